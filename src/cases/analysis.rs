//! The check of a definition by Petri-net theory, within a budget.

use std::{
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;

use super::{Cases, Error, Result, definitions::Compiled};
use crate::{
    analysis::{self, Limits, Report, Verdict},
    engine::Net,
    models::{StoredDefinition, WorkflowDefinition, petri},
};

/// How definitions are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checks {
    /// How long a check may take; the verdict is unknown if that is not enough. The default is
    /// one second.
    pub budget: Duration,
    /// Whether a definition that is not known to be sound is refused. The default is no.
    pub require_sound: bool,
}

impl Default for Checks {
    fn default() -> Self {
        Self { budget: Duration::from_secs(1), require_sound: false }
    }
}

/// Checks the net of a definition: whether each case of it can end, with nothing left over, and
/// whether every transition can fire. Guards may be true or false; capacities, weights and all
/// kinds of arcs are taken as they are. Takes about `budget` at most, and blocks the thread for
/// so long.
pub fn check(net: &Net, budget: Duration) -> Report {
    let mut report = check_within(&net.petri(), &net.ends(), &Limits::default(), budget);
    report.notes.extend(assumptions(net));
    report
}

/// What a check leaves out of a definition, for people.
pub fn assumptions(net: &Net) -> Option<String> {
    let guarded = net.transitions.iter().filter(|transition| !transition.guards.is_empty());
    let guarded: Vec<_> = guarded.map(|transition| transition.id.as_str()).collect();
    let guarded = (!guarded.is_empty()).then(|| guarded.join(", "))?;
    Some(format!("guards are taken as free choices, true or false: {guarded}"))
}

/// Checks a net in which a case ends with a token in one of `ends`; see [`check`].
pub fn check_within(net: &petri::Net, ends: &[usize], limits: &Limits, budget: Duration) -> Report {
    let begun = Instant::now();
    let mut in_time = |_: analysis::Progress| {
        if begun.elapsed() < budget { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    analysis::check(net, ends, limits, &mut in_time)
}

impl Cases {
    /// What the check of a stored definition finds. It is made once for each version in this
    /// process.
    pub async fn analysis(&self, stored: &StoredDefinition) -> Result<Arc<Report>> {
        let compiled = self.inner.compiled(&stored.definition.id, stored.sequence).await?;
        Ok(self.analysed(&compiled).await)
    }

    /// Checks a definition that need not be stored.
    pub async fn check_workflow(&self, definition: &WorkflowDefinition) -> Result<Report> {
        let net = Net::compile(definition).map_err(Error::InvalidDefinition)?;
        Ok(self.in_turn(Arc::new(net)).await)
    }

    /// Refuses a net that is not known to be sound, if the settings say so.
    pub(super) async fn check_soundness(&self, net: &Arc<Net>, workflow: &str) -> Result<()> {
        if !self.checks.require_sound {
            return Ok(());
        }
        let report = self.in_turn(Arc::clone(net)).await;
        match report.verdict {
            Verdict::Sound => Ok(()),
            _ => Err(Error::NotSound { workflow: workflow.to_owned(), report: Box::new(report) }),
        }
    }

    async fn analysed(&self, compiled: &Arc<Compiled>) -> Arc<Report> {
        let make = || async { Arc::new(self.in_turn(Arc::clone(&compiled.net)).await) };
        Arc::clone(compiled.report.get_or_init(make).await)
    }

    /// The check on a thread of its own, since it computes for as long as it may; few at a
    /// time, so that they never take the machine from what fires.
    async fn in_turn(&self, net: Arc<Net>) -> Report {
        // It is never closed.
        let turn = self.inner.checking.acquire().await.expect("a turn");
        let budget = self.checks.budget;
        let checked = tokio::task::spawn_blocking(move || check(&net, budget)).await;
        drop(turn);
        match checked {
            Ok(report) => report,
            // It is not cancelled, so it panicked; that goes on in the task that asked.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

/// How many checks may compute at once: half of the machine.
pub(super) fn turns() -> Semaphore {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Semaphore::new(cores.div_ceil(2))
}
