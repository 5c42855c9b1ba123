//! Examination of a case's log for bad messages: it is replayed from its start.

use std::collections::BTreeSet;

use futures::StreamExt;

use crate::{
    engine::apply,
    models::{
        Aside, Case, CaseId, FiringId, IdHash, LogSequence, PlaceId, PutAside, Record, RecordKind,
        Stored, TokenId, WorkflowId,
    },
    petrel::{
        Error, Result, error::named, read::Reader, read::follows::known, read::load::broken,
        read::turn::Purpose, views::unseen::touched,
    },
    storage::{LogRange, LogScope, StorageError},
};

/// Most characters of a message's fault that are told.
const MOST_TOLD: usize = 200;

/// Number of replays of the log, each without the messages that the last good record says are
/// put aside.
const MOST_PASSES: usize = 8;

/// A case's log, looked at from its start.
#[derive(Default)]
pub(in crate::petrel) struct Examined {
    /// The state after the last good record.
    pub state: Option<Case>,
    /// Bad messages that are not put aside yet, oldest first.
    pub bad: Vec<Bad>,
    /// The sequence of the last message of any kind.
    pub last: Option<LogSequence>,
    /// The messages that are put aside already.
    pub aside: Vec<Aside>,
    /// The messages that can't be read, put aside or not.
    unreadable: BTreeSet<LogSequence>,
    /// The record that has the firing id of the request.
    pub repeated: Option<Stored<Record>>,
    /// A message that is put aside, or is to be, and has that id, or may have.
    pub taken: Option<LogSequence>,
}

impl Examined {
    /// Returns true if a record says that it follows the last good one, or what can't be read.
    fn goes_on_with(&self, record: &Stored<Record>) -> bool {
        let Record { previous, previous_hash, .. } = &record.value;
        let last = self.state.as_ref();
        let is_linked = last.map(|state| state.sequence) == *previous
            && last.map(|state| &state.head_hash) == previous_hash.as_ref();
        is_linked || previous.is_some_and(|previous| self.unreadable.contains(&previous))
    }
}

pub(in crate::petrel) struct Bad {
    pub message: PutAside,
    /// The registers that it is about, if it can be read and only does not follow.
    pub registers: Option<Vec<(TokenId, PlaceId)>>,
    /// True if the message before it in the case's log is bad too.
    goes_on: bool,
    /// The record, by its hash and its words, if it can be read; and true if it follows
    /// another.
    pub read: Option<Read>,
}

pub(in crate::petrel) struct Read {
    pub definition: LogSequence,
    hash: String,
    words: String,
    follows: bool,
}

impl Reader {
    /// The bad messages of a case's log. The list of its last message only counts if the last
    /// good record has the same: that message may be one of the bad ones.
    pub(in crate::petrel) async fn examine(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        firing: &FiringId,
    ) -> Result<Examined> {
        let mut known = self.put_aside_in(workflow, case).await?;
        let mut last = None;
        for _ in 0..MOST_PASSES {
            let found = self.examine_without(workflow, case, firing, known).await?;
            let said = found.state.as_ref().map_or(&[][..], |state| state.aside.as_slice());
            if said == found.aside {
                return Ok(found);
            }
            (known, last) = (said.to_vec(), found.last);
        }
        let reason = "its records contradict one another in what is put aside".to_owned();
        Err(broken(workflow, case, last, reason))
    }

    /// The same, without the messages known to be put aside.
    async fn examine_without(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        firing: &FiringId,
        aside: Vec<Aside>,
    ) -> Result<Examined> {
        let scope = LogScope::Case(workflow.clone(), case.clone());
        let mut records = self.storage.history(scope, LogRange::ALL).await?;
        let mut found = Examined { aside, ..Examined::default() };
        let (hash, mut listed) = (IdHash::of(firing), BTreeSet::new());
        let mut last_is_bad = false;
        while let Some(item) = records.next().await {
            let (sequence, bad) = match item {
                Ok(record) => {
                    let sequence = record.sequence;
                    let links = record.value.recent.iter().filter(|link| link.id == hash);
                    listed.extend(links.map(|link| link.sequence));
                    let named = (record.value.firing == *firing).then(|| record.clone());
                    let is_aside = Aside::any(&found.aside, sequence);
                    let bad = match is_aside {
                        true => None,
                        false => self.judge_record(&mut found, record).await?,
                    };
                    match named {
                        Some(_) if is_aside || bad.is_some() => found.taken = Some(sequence),
                        named => found.repeated = found.repeated.or(named),
                    }
                    (sequence, bad)
                }
                Err(StorageError::Corrupt { sequence, .. })
                    if Aside::any(&found.aside, sequence) =>
                {
                    found.unreadable.insert(sequence);
                    (sequence, None)
                }
                Err(StorageError::Corrupt { subject, sequence, reason, newer: false }) => {
                    found.unreadable.insert(sequence);
                    (sequence, Some((PutAside { subject, sequence, reason }, None, None)))
                }
                // What a newer version wrote is good, and this error says so.
                Err(error) => return Err(error.into()),
            };
            found.last = Some(sequence);
            let is_bad = bad.is_some();
            if let Some((mut message, registers, read)) = bad {
                message.reason = message.reason.chars().take(MOST_TOLD).collect();
                found.bad.push(Bad { message, registers, goes_on: last_is_bad, read });
            }
            last_is_bad = is_bad;
        }
        // Of what can't be read, others may have noted the id.
        let unreadable = listed.intersection(&found.unreadable).next();
        found.taken = found.taken.or(unreadable.copied());
        Ok(found)
    }

    /// Takes a record that can be read; returns its fault.
    async fn judge_record(
        &self,
        found: &mut Examined,
        record: Stored<Record>,
    ) -> Result<Option<Judged>> {
        if found.goes_on_with(&record) {
            // What a newer version wrote is good. What only looks so is judged as others are.
            known(&record)?;
        }
        let reason = match apply(found.state.as_ref(), &record) {
            Ok(_) if self.lacks_net(&record.value).await? => {
                format!("the log does not have its definition {}", record.value.definition)
            }
            Ok(state) => {
                found.state = Some(state);
                return Ok(None);
            }
            Err(contradiction) => contradiction.to_string(),
        };
        // It follows what can't be read: it is believed, if its tokens are there.
        let follows = |at: LogSequence| found.unreadable.contains(&at);
        if record.value.previous.is_some_and(follows) {
            match self.restore(&record, Purpose::Change).await {
                Ok(mut state) => {
                    if record.value.is_without_lists() {
                        state.aside = found.state.take().map_or_else(Vec::new, |known| known.aside);
                    }
                    found.state = Some(state);
                    return Ok(None);
                }
                Err(error) if error.is_of_one_case() => {}
                Err(error) => return Err(error),
            }
        }
        let registers = touched(&record.value).collect();
        let read = Read::of(&record, &found.bad);
        let Stored { subject, sequence, .. } = record;
        Ok(Some((PutAside { subject, sequence, reason }, Some(registers), Some(read))))
    }

    /// Returns true if a record begins a case whose definition the log does not have.
    pub(in crate::petrel) async fn lacks_net(&self, record: &Record) -> Result<bool> {
        let Record { workflow, definition, previous, kind, .. } = record;
        // A case runs what its first record names.
        if previous.is_some() || *kind == RecordKind::Quarantined {
            return Ok(false);
        }
        match self.compiled(workflow, *definition).await {
            Err(Error::NotFound(_)) => Ok(true),
            Err(error) if !error.is_of_one_case() => Err(error),
            // One that can't be used is there.
            Ok(_) | Err(_) => Ok(false),
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
            Some(bad.message.sequence) == *previous
                && (hash.is_none() || hash == previous_hash.as_ref())
        });
        let what = transition.as_ref().map_or_else(String::new, |id| format!(" {id}"));
        let (sequence, kind) = (record.sequence, kind.as_str());
        let words = format!("{sequence} ({kind}{what}, firing id {firing})");
        let (definition, hash) = (record.value.definition, record.hash.clone());
        Self { definition, hash, words, follows }
    }
}

/// Refuses to put aside records that only follow a bad one, and names them.
pub(in crate::petrel) fn must_have_none(case: &CaseId, bad: &[Bad]) -> Result<()> {
    let follows = bad.iter().filter_map(|bad| bad.read.as_ref()).filter(|read| read.follows);
    let words: Vec<_> = follows.map(|read| read.words.as_str()).collect();
    if words.is_empty() {
        return Ok(());
    }
    let others = bad.len() - words.len();
    let reason = format!(
        "beside {others} messages of case {case} that can't be read or do not follow, {} records \
         that were acknowledged would be put aside, since they follow those: {}; \
         nothing was stored; `--with-following`, or `withFollowing: true`, puts them aside as well",
        words.len(),
        named(&words)
    );
    Err(Error::argument("with following", reason))
}

/// The bad messages as ranges in which the case has no others.
pub(in crate::petrel) fn ranges(bad: &[Bad]) -> Vec<Aside> {
    let mut ranges: Vec<Aside> = Vec::new();
    for Bad { message: PutAside { sequence, .. }, goes_on, .. } in bad {
        match ranges.last_mut() {
            Some(range) if *goes_on => range.last = *sequence,
            _ => ranges.push(Aside { first: *sequence, last: *sequence }),
        }
    }
    ranges
}
