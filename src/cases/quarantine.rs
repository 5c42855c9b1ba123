//! Putting aside what in a case's log can't be read or does not follow, so that the case goes on.

use std::sync::Arc;

use chrono::Utc;
use futures::StreamExt;
use uuid::Uuid;

use super::{Cases, Change, Changed, Error, Inner, Result, repair::touched, repeat::Asked};
use crate::{
    engine::{Act, apply, fit, never_begun, quarantine},
    models::{
        Aside, Case, CaseId, FiringId, IdProblem, PlaceId, PutAside, Record, RecordKind, Stored,
        TokenId, WorkflowId,
    },
    storage::{LogScope, StorageError},
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
    /// Records that follow such a message, and so were acknowledged, are only put aside with it
    /// where that is wanted; the error names them otherwise.
    pub async fn quarantine(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        following: Following,
        change: Change,
    ) -> Result<Changed> {
        let change = self.signed(change).checked()?;
        let inner = Arc::clone(&self.inner);
        let (workflow, case) = (workflow.clone(), case.clone());
        inner.must_exist(&workflow).await?;
        let change = async move { inner.put_aside(&workflow, &case, following, change).await };
        self.inner.to_its_end(change).await
    }
}

/// Records that can be read and follow what has to be put aside, so that they have to be as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Following {
    /// Nothing is put aside, and the error names them.
    #[default]
    Refuse,
    /// They are put aside.
    PutAside,
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
    /// What is put aside already.
    aside: Vec<Aside>,
    /// The record that has the firing id of the request.
    repeated: Option<Stored<Record>>,
}

struct Bad {
    message: PutAside,
    /// Whether it can be read, and only does not follow.
    registers: Option<Vec<(TokenId, PlaceId)>>,
    /// Whether the message before it in the case's log is bad too.
    goes_on: bool,
    /// The record, by its hash and its words, if it can be read; and whether it follows another.
    read: Option<Read>,
}

struct Read {
    hash: String,
    words: String,
    follows: bool,
}

impl Inner {
    async fn put_aside(
        self: &Arc<Self>,
        workflow: &WorkflowId,
        case: &CaseId,
        following: Following,
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
            if following == Following::Refuse {
                must_have_none(case, &examined.bad)?;
            }
            let mut before = match examined.state {
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
            before.aside = examined.aside;
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
                    (sequence, Some((PutAside { subject, sequence, reason }, None, None)))
                }
                // What a newer version wrote is good, and this error says so.
                Err(error) => return Err(error.into()),
            };
            found.last = sequence;
            let is_bad = bad.is_some();
            if let Some((mut message, registers, read)) = bad {
                message.reason = message.reason.chars().take(MOST_TOLD).collect();
                found.bad.push(Bad { message, registers, goes_on: last_is_bad, read });
            }
            last_is_bad = is_bad;
        }
        found.aside = known;
        Ok(found)
    }

    /// Takes a record that can be read; says what is wrong with it.
    async fn judge_record(
        &self,
        found: &mut Examined,
        record: Stored<Record>,
        known: &[Aside],
    ) -> Result<Option<Judged>> {
        let Record { workflow, definition, previous, kind, .. } = &record.value;
        // A case runs what its first record names.
        let lacks_net = *previous == 0
            && *kind != RecordKind::Quarantined
            && matches!(self.compiled(workflow, *definition).await, Err(Error::NotFound { .. }));
        let reason = match apply(found.state.as_ref(), &record) {
            Ok(_) if lacks_net => {
                format!("the log does not have its definition {}", record.value.definition)
            }
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
        let read = Read::of(&record, &found.bad);
        let Stored { subject, sequence, .. } = record;
        Ok(Some((PutAside { subject, sequence, reason }, Some(registers), Some(read))))
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
}

/// A bad message: the registers that it is about and its words, if it can be read.
type Judged = (PutAside, Option<Vec<(TokenId, PlaceId)>>, Option<Read>);

impl Read {
    /// A record that can be read. It follows a bad one if it was appended upon just that.
    fn of(record: &Stored<Record>, bad: &[Bad]) -> Self {
        let Record { previous, previous_hash, kind, transition, firing, .. } = &record.value;
        let follows = bad.iter().any(|bad| {
            let hash = bad.read.as_ref().map(|read| &read.hash);
            bad.message.sequence == *previous && (hash.is_none() || hash == previous_hash.as_ref())
        });
        let what = transition.as_ref().map_or_else(String::new, |id| format!(" {id}"));
        let (sequence, kind) = (record.sequence, kind.as_str());
        let words = format!("{sequence} ({kind}{what}, firing id {firing})");
        Self { hash: record.hash.clone(), words, follows }
    }
}

/// Refuses to put aside records that follow what has to be, and names them.
fn must_have_none(case: &CaseId, bad: &[Bad]) -> Result<()> {
    let follows = bad.iter().filter_map(|bad| bad.read.as_ref()).filter(|read| read.follows);
    let words: Vec<_> = follows.map(|read| read.words.as_str()).collect();
    if words.is_empty() {
        return Ok(());
    }
    let others = bad.len() - words.len();
    let reason = format!(
        "beside {others} messages of case {case} that can't be read or do not follow, {} records \
         that were acknowledged would be put aside, since they follow those: {}; nothing was \
         stored; `--with-following`, or `withFollowing: true`, puts them aside as well",
        words.len(),
        words.join(", ")
    );
    Err(Error::argument("with following", reason))
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
