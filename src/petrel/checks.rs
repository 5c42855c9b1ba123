//! The check of a definition by Petri-net theory, within a budget.

use std::{
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::petrel::{
    Error, Petrel, Result, cache::definitions::Compiled, limits::must_be_storable_definition,
    thread::by_itself,
};
use crate::{
    analysis::{self, Limits, Report, Verdict},
    engine::Net,
    models::{StoredDefinition, WorkflowDefinition, WorkflowId, petri},
};

/// Settings of the checks of definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checks {
    /// Longest time of a check; the verdict is unknown if that is not enough. The default is
    /// one second.
    pub budget: Duration,
    /// True to refuse a definition that is not known to be sound. The default is false.
    pub require_sound: bool,
}

impl Default for Checks {
    fn default() -> Self {
        Self { budget: Duration::from_secs(1), require_sound: false }
    }
}

/// Checks the net of a definition: that each case of it can end, with nothing left over, and
/// that every transition can fire. Guards may be true or false; capacities, weights and all
/// kinds of arcs are taken as they are. Takes about `budget` at most, and blocks the thread
/// for so long.
pub fn check(net: &Net, budget: Duration) -> Report {
    let mut report =
        check_within(&net.petri(), &net.ends(), &net.final_markings, &Limits::default(), budget);
    report.notes.extend(assumptions(net));
    report
}

/// The parts of a definition that a check leaves out, for people.
pub fn assumptions(net: &Net) -> Option<String> {
    let guarded = net.transitions.iter().filter(|transition| !transition.guards.is_empty());
    let guarded: Vec<_> = guarded.map(|transition| transition.id.as_str()).collect();
    let guarded = (!guarded.is_empty()).then(|| guarded.join(", "))?;
    Some(format!("guards are taken as free choices, true or false: {guarded}"))
}

/// Checks a net in which a case ends with a token in one of `ends`, or in one of `finals` if there are
/// any; see [`check`].
pub fn check_within(
    net: &petri::Net,
    ends: &[usize],
    finals: &[petri::Marking],
    limits: &Limits,
    budget: Duration,
) -> Report {
    let begun = Instant::now();
    let mut in_time = |_: analysis::Progress| {
        if begun.elapsed() < budget { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    analysis::check(net, ends, finals, limits, &mut in_time)
}

impl Petrel {
    /// The report of a stored definition's check. It is made once for each version in this
    /// process.
    pub async fn analysis(&self, stored: &StoredDefinition) -> Result<Arc<Report>> {
        let compiled = self.inner.reader.compiled(&stored.definition.id, stored.sequence).await?;
        Ok(self.analysed(&compiled).await)
    }

    /// Checks a definition that need not be stored.
    pub async fn check_workflow(&self, definition: &WorkflowDefinition) -> Result<Report> {
        let net = Net::compile(definition).map_err(Error::InvalidDefinition)?;
        must_be_storable_definition(definition)?;
        Ok(self.checked(Arc::new(net)).await)
    }

    /// Refuses a net that is not known to be sound, if the settings say so.
    pub(in crate::petrel) async fn check_soundness(
        &self,
        net: &Arc<Net>,
        workflow: &WorkflowId,
    ) -> Result<()> {
        if !self.checks.require_sound {
            return Ok(());
        }
        let report = self.checked(Arc::clone(net)).await;
        match report.verdict {
            Verdict::Sound => Ok(()),
            _ => Err(Error::NotSound { workflow: workflow.clone(), report: Box::new(report) }),
        }
    }

    async fn analysed(&self, compiled: &Arc<Compiled>) -> Arc<Report> {
        if let Some(report) = compiled.report.get() {
            return Arc::clone(report);
        }
        let (petrel, compiled) = (self.clone(), Arc::clone(compiled));
        by_itself(async move {
            let make = || async { Arc::new(petrel.checked(Arc::clone(&compiled.net)).await) };
            Arc::clone(compiled.report.get_or_init(make).await)
        })
        .await
    }

    async fn checked(&self, net: Arc<Net>) -> Report {
        let budget = self.checks.budget;
        self.inner.reader.in_turn(move || check(&net, budget)).await
    }
}
