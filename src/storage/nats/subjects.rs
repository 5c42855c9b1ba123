//! The subjects of a system: one prefix, and ids that can't widen them.

use chrono::{DateTime, Utc};

use crate::{
    models::{CaseId, JournalId, PlaceId, QueueId, RecordKind, TokenId, WorkClass, WorkflowId},
    storage::{Arming, Hint, LogScope, Offer, Open, OpenScope},
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
        vec![
            format!("{prefix}.workflows.*.definition"),
            format!("{prefix}.workflows.*.events.*.*"),
            format!("{prefix}.workflows.*.journals.*.*"),
            self.queues(),
        ]
    }

    /// Subjects of the marking stream: every token of every place, and in one that acknowledges
    /// before the disk its checkpoint.
    pub(super) fn marking_stream(&self, before_disk: bool) -> Vec<String> {
        let checkpoint = before_disk.then(|| self.checkpoint());
        [self.all_tokens()].into_iter().chain(checkpoint).collect()
    }

    /// Subject of a journal.
    pub(super) fn journal(&self, JournalId { workflow, case, item }: &JournalId) -> String {
        format!("{}.workflows.{workflow}.journals.{case}.{item}", self.prefix)
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

    /// Subjects of the stream of open work.
    pub(super) fn work_stream(&self) -> Vec<String> {
        vec![
            self.all_offers(),
            format!("{}.open.items.*.*.*.*", self.prefix),
            format!("{}.open.incidents.*.*.*", self.prefix),
        ]
    }

    /// All offers.
    pub(super) fn all_offers(&self) -> String {
        format!("{}.work.*.*.*.*.*", self.prefix)
    }

    /// All entries of the index of what is open.
    pub(super) fn anything_open(&self) -> String {
        format!("{}.open.>", self.prefix)
    }

    /// Subject of the message at the head of the stream of open work: no workflow has that id, so it is no entry.
    pub(super) fn head_of_work(&self) -> String {
        format!("{}.open.incidents.~.~.~", self.prefix)
    }

    /// Subject of an entry of the index of what is open.
    pub(super) fn open(&self, open: &Open) -> String {
        let prefix = &self.prefix;
        match open {
            Open::Item { queue, workflow, case, item } => {
                format!("{prefix}.open.items.{queue}.{workflow}.{case}.{item}")
            }
            Open::Incident { workflow, case, incident } => {
                format!("{prefix}.open.incidents.{workflow}.{case}.{incident}")
            }
        }
    }

    /// All entries of a part of that index.
    pub(super) fn all_open(&self, scope: &OpenScope) -> String {
        let (prefix, workflow) = (&self.prefix, |of: &Option<WorkflowId>| {
            of.as_ref().map_or("*", |of| of.as_str()).to_owned()
        });
        match scope {
            OpenScope::Items { queue, workflow: of } => {
                let queue = queue.as_ref().map_or("*", |queue| queue.as_str());
                format!("{prefix}.open.items.{queue}.{}.*.*", workflow(of))
            }
            OpenScope::Incidents { workflow: of } => {
                format!("{prefix}.open.incidents.{}.*.*", workflow(of))
            }
        }
    }

    /// The entry of a subject.
    pub(super) fn parse_open(&self, subject: &str) -> Option<Open> {
        let rest = subject.strip_prefix(&self.prefix)?.strip_prefix(".open.")?;
        let mut words = rest.split('.');
        let is_item = match words.next()? {
            "items" => true,
            "incidents" => false,
            _ => return None,
        };
        let queue = match is_item {
            true => Some(QueueId::new(words.next()?).ok()?),
            false => None,
        };
        let workflow = WorkflowId::new(words.next()?).ok()?;
        let case = CaseId::new(words.next()?).ok()?;
        let number = words.next()?.parse().ok()?;
        let open = match queue {
            Some(queue) => Open::Item { queue, workflow, case, item: number },
            None => Open::Incident { workflow, case, incident: number },
        };
        // A number may be written in several ways, of which one is ours.
        (self.open(&open) == subject).then_some(open)
    }

    /// Subject of an offer.
    pub(super) fn offer(&self, offer: &Offer) -> String {
        let Offer { queue, class, workflow, case, item, .. } = offer;
        let class = class.as_str();
        format!("{}.work.{queue}.{class}.{workflow}.{case}.{item}", self.prefix)
    }

    /// All offers of a case.
    pub(super) fn offers_of(&self, workflow: &WorkflowId, case: &CaseId) -> String {
        format!("{}.work.*.*.{workflow}.{case}.*", self.prefix)
    }

    /// All offers of a class of a queue.
    pub(super) fn offers_in(&self, queue: &QueueId, class: WorkClass) -> String {
        format!("{}.work.{queue}.{}.*.*.*", self.prefix, class.as_str())
    }

    /// Queue, class, workflow, case and item of an offer's subject.
    pub(super) fn parse_offer(
        &self,
        subject: &str,
    ) -> Option<(QueueId, WorkClass, WorkflowId, CaseId, u64)> {
        let rest = subject.strip_prefix(&self.prefix)?.strip_prefix(".work.")?;
        let mut words = rest.split('.');
        let queue = QueueId::new(words.next()?).ok()?;
        let class = WorkClass::named(words.next()?)?;
        let workflow = WorkflowId::new(words.next()?).ok()?;
        let case = CaseId::new(words.next()?).ok()?;
        let word = words.next()?;
        let item: u64 = word.parse().ok()?;
        // A number may be written in several ways, of which one is ours.
        (words.next().is_none() && item.to_string() == word)
            .then_some((queue, class, workflow, case, item))
    }

    /// Subject to which all workers answer.
    pub(super) fn workers(&self) -> String {
        format!("{}.workers.state", self.prefix)
    }

    /// Subjects of the stream of beats.
    pub(super) fn beat_stream(&self) -> Vec<String> {
        let prefix = &self.prefix;
        vec![format!("{prefix}.beats.*.*.*"), format!("{prefix}.beats.*.*.*.progress")]
    }

    /// Subject of an item's beat.
    pub(super) fn beat(&self, workflow: &WorkflowId, case: &CaseId, item: u64) -> String {
        format!("{}.beats.{workflow}.{case}.{item}", self.prefix)
    }

    /// Subject of the turn at a duty. No workflow has such an id.
    pub(super) fn turn(&self, duty: &str) -> String {
        format!("{}.beats.~turn.{duty}.0", self.prefix)
    }

    /// Subject of hints about an item.
    pub(super) fn told(&self, hint: &Hint) -> String {
        format!("{}.told.{}.{}.{}", self.prefix, hint.workflow, hint.case, hint.item)
    }

    /// Subjects of all hints.
    pub(super) fn all_told(&self) -> String {
        format!("{}.told.*.*.*", self.prefix)
    }

    /// The hint at a subject; `None` if there is none.
    pub(super) fn told_at(&self, subject: &str) -> Option<Hint> {
        let rest = subject.strip_prefix(&self.prefix)?.strip_prefix(".told.")?;
        let mut parts = rest.split('.');
        let workflow = WorkflowId::new(parts.next()?).ok()?;
        let case = CaseId::new(parts.next()?).ok()?;
        let item = parts.next()?.parse().ok()?;
        parts.next().is_none().then_some(Hint { workflow, case, item })
    }

    /// Subject of an item's progress.
    pub(super) fn progress(&self, workflow: &WorkflowId, case: &CaseId, item: u64) -> String {
        format!("{}.progress", self.beat(workflow, case, item))
    }

    /// Subject of a queue's settings, in the log.
    pub(super) fn queue(&self, queue: &QueueId) -> String {
        format!("{}.queues.{queue}", self.prefix)
    }

    /// Settings of all queues.
    pub(super) fn queues(&self) -> String {
        format!("{}.queues.*", self.prefix)
    }

    /// The queue of its settings' subject.
    pub(super) fn queue_of_settings(&self, subject: &str) -> Option<QueueId> {
        let rest = subject.strip_prefix(&self.prefix)?.strip_prefix(".queues.")?;
        QueueId::new(rest).ok()
    }

    /// Subjects of each kind that is published to, of a workflow, or a queue, that nobody has: of the
    /// log a definition, both branches of a case and a queue's settings; a token, a timer, an offer, an entry of
    /// what is open, a beat.
    pub(super) fn of_no_workflow(&self) -> [String; 9] {
        let (prefix, of) = (&self.prefix, format!("{}.workflows.petrel-doctor", self.prefix));
        [
            format!("{of}.definition"),
            format!("{of}.events.transitions.none"),
            format!("{of}.events.lifecycle.none"),
            format!("{prefix}.queues.petrel-doctor"),
            format!("{of}.places.none.tokens.none"),
            format!("{prefix}.timers.petrel-doctor.none.0.0"),
            format!("{prefix}.work.petrel-doctor.low.petrel-doctor.none.0"),
            format!("{prefix}.open.items.petrel-doctor.petrel-doctor.none.0"),
            format!("{prefix}.beats.petrel-doctor.none.0"),
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
#[path = "subjects_tests.rs"]
mod tests;
