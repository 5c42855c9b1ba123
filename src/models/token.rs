//! Tokens, with their data and history.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{CaseId, LogSequence, Passed, PlaceId, TokenId, WorkflowId, marking::is_zero};

/// Number of a token's last transitions that it carries; the rest is in the log.
pub const HISTORY_KEPT: usize = 64;

/// Number of transitions up to which a record has all of them, and after which it has the
/// whole of [`HISTORY_KEPT`] again. Without it, a token that moves often would be stored again
/// and again with the same 64 transitions; with less, most cases would take one more read.
pub const HISTORY_WHOLE_EVERY: usize = 16;

/// A token, whole: the form stored at its place's subject and returned by reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Token {
    /// The token's id.
    pub id: TokenId,
    /// The workflow it runs in.
    pub workflow: WorkflowId,
    /// The case it belongs to.
    pub case: CaseId,
    /// The place that holds it.
    pub place: PlaceId,
    /// Data that it carries.
    #[serde(default)]
    pub data: Value,
    /// Notes of its owner about it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// Time of its creation, by the clock of the process that decided it.
    #[serde(with = "super::json::time")]
    pub created_at: DateTime<Utc>,
    /// Time of its last change, by the clock of the process that decided it.
    #[serde(with = "super::json::time")]
    pub updated_at: DateTime<Utc>,
    /// Its last transitions, oldest first, at most [`HISTORY_KEPT`]. A clone shares them.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub history: Arc<Vec<Passed>>,
    /// Number of all transitions that it has passed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub history_total: u64,
    /// The log sequence of the record that made this version: the token's revision. Absent in
    /// that very record.
    #[serde(default, deserialize_with = "LogSequence::or_none")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nats_sequence: Option<LogSequence>,
    /// Time at which the server stored the message at [`nats_subject`](Self::nats_subject)
    /// that holds this version: a message of the view, written right after the log's record.
    /// Set by the reader of that message and by nothing else. `None` if the view was not read,
    /// or does not hold this version yet or any more. Never stored: a message carries its own
    /// time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nats_timestamp: Option<DateTime<Utc>>,
    /// The subject that holds the token. `None` only in a record: it follows from the token, and
    /// every read says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nats_subject: Option<String>,
}

impl Token {
    /// History in the token's next record: the transitions to write, and the record that has
    /// the ones before them, if any are left out. `base` is the last record of the token that
    /// has them all. The last transitions are of the record itself where they have no sequence.
    pub fn history_to_record(&self, base: LogSequence) -> (Arc<Vec<Passed>>, Option<LogSequence>) {
        let own = self.passed_unstored();
        let before = &self.history[..self.history.len() - own];
        let since = before.iter().rev().take_while(|event| event.sequence > Some(base)).count();
        let is_short = before.len() < HISTORY_WHOLE_EVERY;
        match is_short || since >= HISTORY_WHOLE_EVERY {
            true => (Arc::clone(&self.history), None),
            false => (self.history[before.len() - since..].to_vec().into(), Some(base)),
        }
    }

    /// Number of its last transitions that are of a record without its place in the log.
    pub fn passed_unstored(&self) -> usize {
        self.history.iter().rev().take_while(|event| event.sequence.is_none()).count()
    }

    /// Notes the sequence of the record that its last transitions are of.
    pub fn set_passed(&mut self, sequence: LogSequence) {
        let own = self.passed_unstored();
        if own > 0 {
            let history = Arc::make_mut(&mut self.history);
            let at = history.len() - own;
            history[at..].iter_mut().for_each(|event| event.set_sequence(Some(sequence)));
        }
    }

    /// Puts back the transitions that this token's record left out and the record at `base`
    /// has. `known` is the token's history in that record, or in any later one.
    pub fn complete_history(&mut self, base: LogSequence, known: &[Passed]) {
        let up_to_base = known.partition_point(|event| event.sequence <= Some(base));
        let too_many = (up_to_base + self.history.len()).saturating_sub(HISTORY_KEPT);
        let all = known[..up_to_base].iter().chain(self.history.iter());
        self.history = Arc::new(all.skip(too_many).cloned().collect());
    }
}

fn is_empty(history: &Arc<Vec<Passed>>) -> bool {
    history.is_empty()
}
