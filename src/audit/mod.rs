//! The audit: a check of the logs and the views of cases. It changes nothing.

mod background;
mod cascade;
#[cfg(test)]
mod cascade_tests;
mod finding;
mod given;
mod invariants;
mod lists;
mod log;
mod marking;
mod pass;
mod replay;
mod timers;
mod view;

#[cfg(test)]
mod pass_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod timer_tests;

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

pub use finding::{Finding, FindingIn, FindingKind};

use crate::models::{Case, CaseId, LogSequence, WorkflowId};
use crate::petrel::{
    Petrel, Result,
    read::Reader,
    views::settled::{MENDED_AFTER, Settled},
};

/// Time between two samples of the log's age.
const SAMPLE_EVERY: Duration = Duration::from_millis(500);

/// Choice of the cases to audit.
#[derive(Debug, Clone, Default)]
pub struct AuditScope {
    /// The only workflow, if given.
    pub workflow: Option<WorkflowId>,
    /// The only cases of the workflow; all if the list is empty.
    pub cases: Vec<CaseId>,
    /// True to fire each log again from its start. Without it, only a case's last record is
    /// fired, upon the one before it, and its marking is counted by the net's P-invariants;
    /// the log is fired again from its start only if that looks odd.
    pub replay: bool,
}

/// Hears of an audit while it runs.
pub trait AuditWatcher: Sync {
    /// Hears of a fault.
    fn found(&self, finding: Finding);

    /// Hears of something that could not be checked, with the reason.
    fn unchecked(&self, reason: &str);

    /// Hears of something worth knowing that is not wrong: messages that an operator has put
    /// aside.
    fn noted(&self, notice: &str);

    /// Hears the progress: `done` of `of` messages of the log and of the view.
    fn progress(&self, done: u64, of: u64);
}

/// Numbers of an audit.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Audited {
    /// Number of cases looked at.
    pub cases: u64,
    /// Number of records that were fired again.
    pub replayed: u64,
    /// Number of live tokens of the view looked at.
    pub tokens: u64,
    /// Number of findings of each kind.
    pub findings: BTreeMap<FindingKind, u64>,
    /// Number of things that could not be checked.
    pub unchecked: u64,
    /// Number of cases with messages that an operator has put aside.
    pub quarantined: u64,
}

impl Petrel {
    /// Audits the logs and the views of cases, and tells `watcher` of faults as they are
    /// found.
    ///
    /// A view that lags behind its log by moments is not wrong. A difference is looked at
    /// again once it is five seconds old, after a serving process has had the time to mend it;
    /// it is a finding if it is the same still. In memory are at most some 32 MiB of records,
    /// the names of the cases with findings, and the suspicions of 50,000 of them.
    pub async fn audit(&self, scope: &AuditScope, watcher: &dyn AuditWatcher) -> Result<Audited> {
        let storage = self.storage();
        if let Some(workflow) = &scope.workflow {
            self.reader().must_exist(workflow).await?;
        }
        let last = storage.last_sequence().await?.map_or(0, LogSequence::get);
        let auditor =
            Auditor { reader: self.reader(), scope, watcher, last, state: Mutex::default() };
        auditor.sample().await?;
        for complaint in self.unusable_definitions(scope.workflow.as_ref()).await? {
            auditor.unchecked(complaint);
        }
        auditor.run().await?;
        let mut state = auditor.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        watcher.progress(1, 1);
        Ok(std::mem::take(&mut state.audited))
    }
}

/// An audit that runs.
struct Auditor<'a> {
    reader: &'a Reader,
    scope: &'a AuditScope,
    watcher: &'a dyn AuditWatcher,
    /// The log's last sequence at the start.
    last: u64,
    state: Mutex<State>,
}

/// Cases, each with the finding to report if a replay finds nothing.
type Suspects = BTreeMap<(WorkflowId, CaseId), Option<Finding>>;

#[derive(Debug, Default)]
struct State {
    settled: Settled,
    audited: Audited,
    /// The cases whose logs have been or will be replayed, or are known to be broken.
    replayed: HashSet<(WorkflowId, CaseId)>,
    /// The cases with a record that can't be read, until the pass over the cases meets the
    /// record of their creation.
    unmet: HashSet<(WorkflowId, CaseId)>,
    /// The cases whose logs are to be replayed.
    suspects: Suspects,
    parts_done: u64,
}

impl Auditor<'_> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(&self) -> Result<()> {
        if self.scope.replay && self.scope.cases.is_empty() {
            self.replay_log(None).await?;
        }
        self.state().parts_done += 1;
        match (&self.scope.workflow, &*self.scope.cases) {
            (Some(workflow), [_, ..]) => self.named(workflow).await?,
            _ => self.all_cases().await?,
        }
        self.state().parts_done += 1;
        self.registers().await?;
        self.replay_suspects().await
    }

    /// Returns true if a case's log has not been replayed yet. It counts as replayed from now
    /// on.
    fn begin(&self, workflow: &WorkflowId, case: &CaseId) -> bool {
        self.state().replayed.insert((workflow.clone(), case.clone()))
    }

    fn found(&self, finding: Finding) {
        *self.state().audited.findings.entry(finding.kind).or_default() += 1;
        self.watcher.found(finding);
    }

    fn unreadable(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        sequence: LogSequence,
        message: String,
    ) {
        let sequence = Some(sequence);
        let (workflow, case) = (workflow.clone(), case.clone());
        let (kind, place_of) = (FindingKind::RecordUnreadable, FindingIn::Log);
        let (place, token) = (None, None);
        self.found(Finding { kind, place_of, workflow, case, sequence, place, token, message });
    }

    fn unchecked(&self, reason: impl AsRef<str>) {
        self.state().audited.unchecked += 1;
        self.watcher.unchecked(reason.as_ref());
    }

    fn unchecked_case(&self, workflow: &WorkflowId, case: &CaseId, reason: &str) {
        self.unchecked(format!("workflow {workflow}, case {case}: {reason}"));
    }

    /// Tells of the messages put aside in a case's log.
    fn noted(&self, case: &Case) {
        let ranges = case.aside.iter().map(|aside| match aside.first == aside.last {
            true => aside.first.to_string(),
            false => format!("{} to {}", aside.first, aside.last),
        });
        let ranges = ranges.collect::<Vec<_>>().join(", ");
        self.state().audited.quarantined += 1;
        let (workflow, id) = (&case.workflow, &case.id);
        self.watcher.noted(&format!(
            "workflow {workflow}, case {id}: put aside by an operator is what the case has at \
             sequence {ranges}"
        ));
    }

    fn replayed(&self) {
        self.state().audited.replayed += 1;
    }

    /// Tells the progress of the part that runs, in sequences of the log.
    fn progress(&self, position: u64) {
        let done = self.state().parts_done * self.last + position.min(self.last);
        self.watcher.progress(done, 3 * self.last);
    }

    /// The last sequence of the log whose views would have been mended by now.
    fn settled(&self) -> Option<LogSequence> {
        self.state().settled.sequence(MENDED_AFTER)
    }

    /// Notes the length of the log, now and then.
    async fn sample(&self) -> Result<()> {
        let noted = self.state().settled.noted();
        if noted.is_none_or(|at| at.elapsed() >= SAMPLE_EVERY) {
            let last = self.reader.storage.last_sequence().await?;
            self.state().settled.note(last);
        }
        Ok(())
    }
}
