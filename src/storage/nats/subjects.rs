//! The subjects of a system: one prefix, and ids that can't widen them.

use chrono::{DateTime, Utc};

use crate::{
    models::{CaseId, PlaceId, RecordKind, TokenId, WorkflowId},
    storage::{Arming, LogScope},
};

/// Makes and reads the subjects under one prefix.
#[derive(Debug, Clone)]
pub(super) struct Subjects {
    prefix: String,
}

impl Subjects {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// Subjects of the log stream.
    pub(super) fn log_stream(&self) -> Vec<String> {
        let prefix = &self.prefix;
        vec![format!("{prefix}.workflows.*.definition"), format!("{prefix}.workflows.*.events.*.*")]
    }

    /// Subjects of the marking stream: every token of every place, and in one that acknowledges
    /// before the disk its checkpoint.
    pub(super) fn marking_stream(&self, before_disk: bool) -> Vec<String> {
        let checkpoint = before_disk.then(|| self.checkpoint());
        [self.all_tokens()].into_iter().chain(checkpoint).collect()
    }

    /// Every token of every place.
    pub(super) fn all_tokens(&self) -> String {
        format!("{}.workflows.*.places.*.tokens.*", self.prefix)
    }

    /// The checkpoint of the view.
    pub(super) fn checkpoint(&self) -> String {
        format!("{}.views.checkpoint", self.prefix)
    }

    /// Subjects of the stream of timers: schedules, and what has come due.
    pub(super) fn timer_stream(&self) -> Vec<String> {
        let prefix = &self.prefix;
        vec![format!("{prefix}.timers.*.*.*.*"), format!("{prefix}.due.*.*.*.*")]
    }

    /// Subject of an armed timer.
    pub(super) fn timer(&self, arming: &Arming) -> String {
        self.of_arming("timers", arming)
    }

    /// Subject of a timer that has come due.
    pub(super) fn due(&self, arming: &Arming) -> String {
        self.of_arming("due", arming)
    }

    /// Both subjects of a timer: the fence of its arming.
    pub(super) fn armed_or_due(&self, arming: &Arming) -> String {
        self.of_arming("*", arming)
    }

    fn of_arming(&self, kind: &str, arming: &Arming) -> String {
        let Arming { workflow, case, timer, armed, .. } = arming;
        format!("{}.{kind}.{workflow}.{case}.{timer}.{armed}", self.prefix)
    }

    /// All timers of a case, armed or due.
    pub(super) fn timers_of(&self, workflow: &WorkflowId, case: &CaseId) -> String {
        format!("{}.*.{workflow}.{case}.*.*", self.prefix)
    }

    /// All timers that have come due.
    pub(super) fn all_due(&self) -> String {
        format!("{}.due.>", self.prefix)
    }

    /// The timer of a subject, armed or due.
    pub(super) fn parse_timer(&self, subject: &str, due: DateTime<Utc>) -> Option<Arming> {
        let rest = subject.strip_prefix(&self.prefix)?.strip_prefix('.')?;
        let mut words = rest.split('.');
        let kind = words.next().filter(|kind| ["timers", "due"].contains(kind))?;
        let workflow = WorkflowId::new(words.next()?).ok()?;
        let case = CaseId::new(words.next()?).ok()?;
        let (timer, armed) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let arming = Arming { workflow, case, timer, armed, due };
        // A number may be written in several ways, of which one is ours.
        (self.of_arming(kind, &arming) == subject).then_some(arming)
    }

    /// Subjects of each kind that is published to, of a workflow that nobody has: a definition, both
    /// branches of a case, a token, and a timer.
    pub(super) fn of_no_workflow(&self) -> [String; 5] {
        let of = format!("{}.workflows.petrel-doctor", self.prefix);
        [
            format!("{of}.definition"),
            format!("{of}.events.transitions.none"),
            format!("{of}.events.lifecycle.none"),
            format!("{of}.places.none.tokens.none"),
            format!("{}.timers.petrel-doctor.none.0.0", self.prefix),
        ]
    }

    pub(super) fn definition(&self, workflow: &WorkflowId) -> String {
        format!("{}.workflows.{workflow}.definition", self.prefix)
    }

    pub(super) fn definitions(&self) -> String {
        format!("{}.workflows.*.definition", self.prefix)
    }

    /// The workflow of a definition's subject.
    pub(super) fn workflow_of_definition(&self, subject: &str) -> Option<WorkflowId> {
        let rest = subject.strip_prefix(&self.prefix)?.strip_prefix(".workflows.")?;
        WorkflowId::new(rest.strip_suffix(".definition")?).ok()
    }

    /// Subject of a record.
    pub(super) fn record(&self, workflow: &WorkflowId, case: &CaseId, kind: RecordKind) -> String {
        match kind {
            RecordKind::Fired => self.firings(workflow, case),
            _ => self.lifecycle(workflow, case),
        }
    }

    /// The branch of a case's firings.
    pub(super) fn firings(&self, workflow: &WorkflowId, case: &CaseId) -> String {
        format!("{}.workflows.{workflow}.events.transitions.{case}", self.prefix)
    }

    /// The branch of all other records of a case, its first one among them.
    pub(super) fn lifecycle(&self, workflow: &WorkflowId, case: &CaseId) -> String {
        format!("{}.workflows.{workflow}.events.lifecycle.{case}", self.prefix)
    }

    /// Both subjects of a case: the fence of its appends.
    pub(super) fn case(&self, workflow: &WorkflowId, case: &CaseId) -> String {
        format!("{}.workflows.{workflow}.events.*.{case}", self.prefix)
    }

    pub(super) fn records(&self, scope: &LogScope) -> String {
        match scope {
            LogScope::All => format!("{}.workflows.*.events.*.*", self.prefix),
            LogScope::Workflow(workflow) => {
                format!("{}.workflows.{workflow}.events.*.*", self.prefix)
            }
            LogScope::Lifecycles(workflow) => {
                let workflow = workflow.as_ref().map_or("*", |workflow| workflow.as_str());
                format!("{}.workflows.{workflow}.events.lifecycle.*", self.prefix)
            }
            LogScope::Case(workflow, case) => self.case(workflow, case),
            LogScope::Lifecycle(workflow, case) => self.lifecycle(workflow, case),
        }
    }

    /// The workflow and the case of a record's subject.
    pub(super) fn parse_record(&self, subject: &str) -> Option<(WorkflowId, CaseId)> {
        let rest = subject.strip_prefix(&self.prefix)?.strip_prefix(".workflows.")?;
        let mut words = rest.split('.');
        let workflow = WorkflowId::new(words.next()?).ok()?;
        (words.next()? == "events").then_some(())?;
        let case = CaseId::new(words.nth(1)?).ok()?;
        words.next().is_none().then_some((workflow, case))
    }

    pub(super) fn token(&self, workflow: &WorkflowId, place: &PlaceId, token: &TokenId) -> String {
        format!("{}.workflows.{workflow}.places.{place}.tokens.{token}", self.prefix)
    }

    /// A token at any place of its workflow.
    pub(super) fn token_anywhere(&self, workflow: &WorkflowId, token: &TokenId) -> String {
        format!("{}.workflows.{workflow}.places.*.tokens.{token}", self.prefix)
    }

    /// The tokens of a place, or of the whole workflow.
    pub(super) fn tokens(&self, workflow: &WorkflowId, place: Option<&PlaceId>) -> String {
        let place = place.map_or("*", |place| place.as_str());
        format!("{}.workflows.{workflow}.places.{place}.tokens.*", self.prefix)
    }

    /// The workflow, place and token of a token's subject.
    pub(super) fn parse_token(&self, subject: &str) -> Option<(WorkflowId, PlaceId, TokenId)> {
        let rest = subject.strip_prefix(&self.prefix)?.strip_prefix(".workflows.")?;
        let mut words = rest.split('.');
        let workflow = WorkflowId::new(words.next()?).ok()?;
        (words.next()? == "places").then_some(())?;
        let place = PlaceId::new(words.next()?).ok()?;
        (words.next()? == "tokens").then_some(())?;
        let token = TokenId::new(words.next()?).ok()?;
        words.next().is_none().then_some((workflow, place, token))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::models::LogSequence;

    proptest! {
        #[test]
        fn a_tokens_subject_leads_back_to_it(
            workflow in "[A-Za-z0-9_-]{1,64}",
            place in "[A-Za-z0-9_-]{1,64}",
            token in "[A-Za-z0-9_-]{1,96}",
        ) {
            let subjects = Subjects::new("cb");
            let ids = (
                WorkflowId::new(workflow).unwrap(),
                PlaceId::new(place).unwrap(),
                TokenId::new(token).unwrap(),
            );
            let subject = subjects.token(&ids.0, &ids.1, &ids.2);
            prop_assert_eq!(subject.split('.').count(), 7);
            prop_assert_eq!(subjects.parse_token(&subject), Some(ids));
        }
    }

    proptest! {
        #[test]
        fn a_timers_subjects_lead_back_to_it(
            workflow in "[A-Za-z0-9_-]{1,64}",
            case in "[A-Za-z0-9_-]{1,64}",
            timer: u64,
            armed in 1..=u64::MAX,
        ) {
            let subjects = Subjects::new("cb");
            let (workflow, case) = (WorkflowId::new(workflow).unwrap(), CaseId::new(case).unwrap());
            let armed = LogSequence::new(armed).unwrap();
            let arming = Arming { workflow, case, timer, armed, due: DateTime::UNIX_EPOCH };
            for subject in [subjects.timer(&arming), subjects.due(&arming)] {
                prop_assert_eq!(subject.split('.').count(), 6);
                let parsed = subjects.parse_timer(&subject, DateTime::UNIX_EPOCH);
                prop_assert_eq!(parsed.as_ref(), Some(&arming));
            }
        }
    }

    #[test]
    fn a_foreign_subject_is_no_timer() {
        let subjects = Subjects::new("cb");
        let parse = |subject: &str| subjects.parse_timer(subject, DateTime::UNIX_EPOCH);
        assert!(parse("cb.due.w.c.1.2").is_some());
        for foreign in [
            "xx.due.w.c.1.2",
            "cb.told.w.c.1.2",
            "cb.due.w.c.1",
            "cb.due.w.c.1.2.3",
            "cb.due.w.c.x.2",
            "cb.due.w.c.01.2",
            "cb.due.w.c.+1.2",
            "cb.due.w.c.1.0",
            "cb.due.w.c*.1.2",
        ] {
            assert_eq!(parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_foreign_subject_is_no_token() {
        let subjects = Subjects::new("cb");
        assert_eq!(subjects.parse_token("xx.workflows.w.places.p.tokens.t"), None);
        assert_eq!(subjects.parse_token("cb.workflows.w.places.p.tokens.t.u"), None);
        assert_eq!(subjects.parse_token("cb.workflows.w.events.p.tokens.t"), None);
    }
}
