//! Putting aside what in a case's log can't be read or does not follow, so that the case goes on.

use std::sync::Arc;

use chrono::Utc;
use futures::{StreamExt, future, stream::BoxStream};
use uuid::Uuid;

use super::{
    Cases, Change, Changed, Error, Inner, Result, by_case::case_of, repair::touched, repeat::Asked,
};
use crate::{
    engine::{Act, apply, fit, never_begun, quarantine},
    models::{
        Aside, Case, CaseId, FiringId, IdProblem, PlaceId, PutAside, Record, RecordKind, Stored,
        TokenId, WorkflowId,
    },
    storage::{Consistency, LogScope, StorageError},
};

/// How many times it is looked again, where somebody appends meanwhile or no answer comes.
const MOST_LOOKS: u32 = 8;

/// How much is told of what is wrong with a message, in characters.
const MOST_TOLD: usize = 200;

impl Cases {
    /// Puts aside all messages of a case's log that can't be read or do not follow, wherever they
    /// are. After it the case is as its last good record says, and goes on; a case without a good
    /// record is cancelled. The messages stay where they are, and the record that says so names
    /// them. It is an error if nothing is wrong, or if a newer version wrote what can't be read.
    pub async fn quarantine(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        change: Change,
    ) -> Result<Changed> {
        let change = change.checked()?;
        let inner = Arc::clone(&self.inner);
        let (workflow, case) = (workflow.clone(), case.clone());
        inner.must_exist(&workflow).await?;
        let change = async move { inner.put_aside(&workflow, &case, change).await };
        self.inner.to_its_end(change).await
    }
}

/// A case's log, looked at from its start.
#[derive(Default)]
struct Examined {
    /// The state after the last good record.
    state: Option<Case>,
    /// What is wrong and not put aside yet, oldest first.
    bad: Vec<Bad>,
    /// The last message, whatever it is.
    last: u64,
    /// The record that has the firing id of the request.
    repeated: Option<Stored<Record>>,
}

struct Bad {
    message: PutAside,
    /// Whether it can be read, and only does not follow.
    registers: Option<Vec<(TokenId, PlaceId)>>,
    /// Whether the message before it in the case's log is bad too.
    goes_on: bool,
}

impl Inner {
    async fn put_aside(
        self: &Arc<Self>,
        workflow: &WorkflowId,
        case: &CaseId,
        change: Change,
    ) -> Result<Changed> {
        if change.firing.as_ref().is_some_and(FiringId::is_reserved) {
            return Err(Error::argument("firing id", IdProblem::Reserved.to_string()));
        }
        let asked = Asked::to("quarantine", &change.metadata);
        let firing = match change.firing.clone() {
            Some(firing) => firing,
            None => FiringId::new(Uuid::now_v7().to_string())?,
        };
        let act = Act {
            by: change.by.clone(),
            now: Utc::now(),
            firing,
            metadata: change.metadata.clone(),
            request: Some(asked.digest()),
        };
        let mut failed = None;
        for _ in 0..MOST_LOOKS {
            let mut slot = self.slots.turn(workflow, case).await;
            // Whatever this process knew may come from what is put aside.
            *slot = Default::default();
            let examined = self.examine(workflow, case, &act.firing).await?;
            if let Some(record) = examined.repeated {
                asked.must_be(&act, case, &record)?;
                let state = examined.state.ok_or_else(|| Error::no_case(case))?;
                let live = state.marking.0.iter().map(|at| (at.token.clone(), at.place.clone()));
                self.show(&state, live.collect()).await;
                let own = record.value.time == act.now && record.value.by == act.by;
                return Ok(changed(record, state, !own));
            }
            if let Some(expected) = change.expected_revision
                && expected != examined.last
            {
                let (what, actual) = (format!("case {case}"), examined.last);
                return Err(Error::Conflict { what, expected, actual });
            }
            let before = match examined.state {
                _ if examined.last == 0 => return Err(Error::no_case(case)),
                _ if examined.bad.is_empty() => {
                    let reason =
                        format!("nothing is wrong in the log of case {case}; nothing was stored");
                    return Err(Error::argument("case", reason));
                }
                Some(state) => state,
                None => {
                    let definition = self.latest(workflow).await?.stored.sequence;
                    never_begun(workflow.clone(), case.clone(), definition)
                }
            };
            let ranges = ranges(&examined.bad);
            let live = before.marking.0.iter().map(|at| (at.token.clone(), at.place.clone()));
            let mut registers: Vec<_> = live.collect();
            registers.extend(examined.bad.iter().filter_map(|bad| bad.registers.clone()).flatten());
            let put_aside = examined.bad.into_iter().map(|bad| bad.message).collect();
            let mut record = quarantine(&before, &ranges, put_aside, examined.last, &act);
            // What is put aside is said by `aside`; the reasons are for people.
            while let Err(excess) = fit(&mut record, Some(&before), self.limits()) {
                let told = record.put_aside.len();
                if told <= 1 {
                    return Err(excess.into());
                }
                record.put_aside.truncate(told / 2);
            }
            match self.storage.append(&record, examined.last).await {
                Ok(appended) => {
                    let stored = Stored {
                        value: record,
                        sequence: appended.sequence,
                        timestamp: act.now,
                        subject: String::new(),
                        hash: appended.hash,
                    };
                    let before = (before.sequence > 0).then_some(&before);
                    let state = apply(before, &stored).map_err(|reason| {
                        super::load::broken(workflow, case, stored.sequence, reason)
                    })?;
                    self.show(&state, registers).await;
                    return Ok(changed(stored, state, false));
                }
                // Somebody appended, or it may have happened: the log says which.
                Err(error) if error.retryable() => failed = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        match failed {
            Some(error) => Err(error.into()),
            None => Err(Error::no_case(case)),
        }
    }

    async fn examine(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        firing: &FiringId,
    ) -> Result<Examined> {
        let known = self.put_aside_in(workflow, case).await?;
        let scope = LogScope::Case(workflow.clone(), case.clone());
        let mut records = self.storage.history(scope, 1).await?;
        let mut found = Examined::default();
        let mut last_is_bad = false;
        while let Some(item) = records.next().await {
            let (sequence, bad) = match item {
                Ok(record) if Aside::any(&known, record.sequence) => (record.sequence, None),
                Ok(record) => {
                    let sequence = record.sequence;
                    let named = (record.value.firing == *firing).then(|| record.clone());
                    let bad = self.judge_record(&mut found, record, &known).await?;
                    if bad.is_none() && found.repeated.is_none() {
                        found.repeated = named;
                    }
                    (sequence, bad)
                }
                Err(StorageError::Corrupt { sequence, .. }) if Aside::any(&known, sequence) => {
                    (sequence, None)
                }
                Err(StorageError::Corrupt { subject, sequence, reason, newer: false }) => {
                    (sequence, Some((PutAside { subject, sequence, reason }, None)))
                }
                // What a newer version wrote is good, and this error says so.
                Err(error) => return Err(error.into()),
            };
            found.last = sequence;
            let is_bad = bad.is_some();
            if let Some((mut message, registers)) = bad {
                message.reason = message.reason.chars().take(MOST_TOLD).collect();
                found.bad.push(Bad { message, registers, goes_on: last_is_bad });
            }
            last_is_bad = is_bad;
        }
        Ok(found)
    }

    /// Takes a record that can be read; says what is wrong with it.
    async fn judge_record(
        &self,
        found: &mut Examined,
        record: Stored<Record>,
        known: &[Aside],
    ) -> Result<Option<(PutAside, Option<Vec<(TokenId, PlaceId)>>)>> {
        let reason = match apply(found.state.as_ref(), &record) {
            Ok(state) => {
                found.state = Some(state);
                return Ok(None);
            }
            Err(reason) => reason,
        };
        // It follows what can't be read: it is believed, if its tokens are there.
        let previous = record.value.previous;
        let unreadable = |bad: &Bad| bad.message.sequence == previous && bad.registers.is_none();
        if previous != 0
            && (found.bad.iter().any(unreadable) || Aside::any(known, previous))
            && let Ok(state) = self.restore(&record).await
        {
            found.state = Some(state);
            return Ok(None);
        }
        let registers = touched(&record.value).collect();
        let Stored { subject, sequence, .. } = record;
        Ok(Some((PutAside { subject, sequence, reason }, Some(registers))))
    }

    /// The views after messages were put aside. Nothing that fails here undoes it.
    async fn show(&self, case: &Case, registers: Vec<(TokenId, PlaceId)>) {
        if let Err(error) = self.repair(&case.workflow, &case.id, registers).await {
            self.metrics.view_failed();
            tracing::warn!(
                workflow = %case.workflow, case = %case.id, sequence = case.sequence, %error,
                "messages are put aside, but the views can't be looked at; \
                 `petrel rebuild` mends them"
            );
        }
    }

    /// What in a case's log is put aside already. Nothing, if its head can't be read.
    pub(super) async fn put_aside_in(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
    ) -> Result<Vec<Aside>> {
        match self.storage.head(workflow, case, Consistency::Strong).await {
            Ok(head) => Ok(head.map(|head| head.value.aside).unwrap_or_default()),
            // What was put aside before the last good record is said there.
            Err(StorageError::Corrupt { .. }) => self.put_aside_before(workflow, case).await,
            Err(error) => Err(error.into()),
        }
    }

    async fn put_aside_before(&self, workflow: &WorkflowId, case: &CaseId) -> Result<Vec<Aside>> {
        let scope = LogScope::Case(workflow.clone(), case.clone());
        let mut records = self.storage.history(scope, 1).await?;
        let mut aside = Vec::new();
        while let Some(record) = records.next().await {
            match record {
                Ok(record) if record.value.kind == RecordKind::Quarantined => {
                    aside = record.value.aside;
                }
                Ok(_) | Err(StorageError::Corrupt { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(aside)
    }

    /// Whether an error is about a message that is put aside.
    pub(super) async fn is_put_aside(&self, error: &StorageError) -> bool {
        let StorageError::Corrupt { subject, sequence, .. } = error else {
            return false;
        };
        let Some((workflow, case)) = case_of(subject) else { return false };
        let head = self.storage.head(&workflow, &case, Consistency::Strong).await;
        matches!(head, Ok(Some(head)) if Aside::any(&head.value.aside, *sequence))
    }

    /// A case's records from a sequence on, without what is put aside.
    pub(super) async fn records(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        from: u64,
        aside: Vec<Aside>,
    ) -> Result<BoxStream<'static, std::result::Result<Stored<Record>, StorageError>>> {
        let scope = LogScope::Case(workflow.clone(), case.clone());
        let records = self.storage.history(scope, from).await?;
        if aside.is_empty() {
            return Ok(records);
        }
        let counts = move |record: &std::result::Result<Stored<Record>, StorageError>| {
            let sequence = match record {
                Ok(record) => record.sequence,
                Err(StorageError::Corrupt { sequence, .. }) => *sequence,
                Err(_) => 0,
            };
            future::ready(!Aside::any(&aside, sequence))
        };
        Ok(records.filter(counts).boxed())
    }
}

/// The bad messages as ranges in which the case has no others.
fn ranges(bad: &[Bad]) -> Vec<Aside> {
    let mut ranges: Vec<Aside> = Vec::new();
    for Bad { message: PutAside { sequence, .. }, goes_on, .. } in bad {
        match ranges.last_mut() {
            Some(range) if *goes_on => range.last = *sequence,
            _ => ranges.push(Aside { first: *sequence, last: *sequence }),
        }
    }
    ranges
}

fn changed(record: Stored<Record>, case: Case, repeated: bool) -> Changed {
    Changed { record: Arc::new(record), case: Arc::new(case), tokens: Vec::new(), repeated }
}
