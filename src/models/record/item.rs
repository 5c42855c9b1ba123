//! Work items: bindings of activities, from the record that made them to the one that ends them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{TokenAt, numbered};
use crate::models::{LogSequence, OutcomeId, TransitionId, WorkClass, json::time};

/// An open work item: the tokens with which an activity is enabled, and how far its work has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Its number in the case, counted from 1.
    pub number: u64,
    /// The activity.
    pub transition: TransitionId,
    /// The tokens that it is to take, in arc order, and then those that it is to read.
    #[serde(serialize_with = "numbered::write_at", deserialize_with = "numbered::at")]
    pub tokens: Vec<TokenAt>,
    /// Time of the record that made it.
    #[serde(with = "time")]
    pub since: DateTime<Utc>,
    /// The log sequence of the record from which it is to be offered: the one that made it, or that had
    /// it tried again; absent in that record.
    #[serde(default, deserialize_with = "LogSequence::or_none")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offered: Option<LogSequence>,
    /// Its class.
    #[serde(default, skip_serializing_if = "WorkClass::is_normal")]
    pub class: WorkClass,
    /// Number of times that it was begun; the present claim is the last.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub claim: u64,
    /// Number of its attempts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempt: u64,
    /// Number of attempts that failed, since it was offered or a person had it tried again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: u64,
    /// Number of attempts whose worker was lost, since then.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u64,
    /// The attempt that has begun and has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<Running>,
    /// The message by which its worker holds it, where that is another item's: it was handed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// The wait before its next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
    /// The answer of its worker, which fires as soon as it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<Answer>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// An attempt that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Time of the record that began it.
    #[serde(with = "time")]
    pub since: DateTime<Utc>,
    /// The log sequence of that record; absent in it.
    #[serde(default, deserialize_with = "LogSequence::or_none")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begun: Option<LogSequence>,
    /// Name of the worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// Milliseconds for which its claim is left alone without a sign of life, from the time of that
    /// record and of each sign; absent if its worker said none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<i64>,
}

impl Item {
    /// The lease of its present claim.
    pub fn lease(&self) -> Held {
        let own = Held { message: self.number, item: self.number, claim: self.claim };
        self.held.clone().unwrap_or(own)
    }
}

/// A lease of a work item, by the message that its worker keeps and prolongs. Of a chain of items that were
/// handed over it is the first one's message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Number of the item whose message it is, of the same queue and class.
    pub message: u64,
    /// The item that the worker's beats name.
    pub item: u64,
    /// The claim that they name.
    pub claim: u64,
}

/// A time before which no attempt begins, unless something else ends the wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// The time.
    #[serde(with = "time")]
    pub until: DateTime<Utc>,
    /// The number that it is armed under, one of the case's timers; absent of a short one, which whoever
    /// holds the item keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timer: Option<u64>,
    /// The log sequence of the record that set it; absent in that record.
    #[serde(default, deserialize_with = "LogSequence::or_none")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub armed: Option<LogSequence>,
    /// True if an answer from outside ends it as well, which the item's journal then has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub answers: bool,
}

/// The answer of a worker, or of somebody in its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The outcome; absent of an activity without outcomes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeId>,
    /// The result.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub result: Value,
}

/// The part of a record that is about a work item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// Number of the item.
    pub item: u64,
    /// The claim that it is about: the one that begins, or that was answered. Absent where a person
    /// ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<u64>,
    /// Number of the attempt.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempt: u64,
    /// The activity.
    pub transition: TransitionId,
    /// The outcome by which it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeId>,
    /// The failure of the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The end of an attempt that had begun before and gave no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
    /// The next item, which the same worker begins with this record: it is handed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Next>,
}

/// A work item that begins with the record that ends another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// Number of the item.
    pub item: u64,
    /// The claim that begins.
    pub claim: u64,
    /// Number of the attempt.
    pub attempt: u64,
    /// The activity.
    pub transition: TransitionId,
}

/// The end of an attempt without an answer of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ended {
    /// Its worker was not heard of any more.
    Lost,
    /// Somebody else ended the item.
    Overridden,
    /// A newer version's word, which this one does not know, and never writes.
    #[serde(other)]
    Unknown,
}

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Failure {
    /// Code of the failure, 1 to [`LONGEST_CODE`](Self::LONGEST_CODE) bytes.
    pub code: String,
    /// Words about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Where it happened, for those who mend it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// True if another attempt makes no sense.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_final: bool,
    /// The time before which no attempt is to begin, where the worker knows it.
    #[serde(default, deserialize_with = "time::or_none", serialize_with = "time::write_some")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<DateTime<Utc>>,
}

impl Failure {
    /// The most bytes of a code.
    pub const LONGEST_CODE: usize = 128;

    /// Code of an attempt that took longer than its activity allows.
    pub const TIMEOUT: &str = "TIMEOUT";
    /// Code of an item that was open for longer than its activity allows.
    pub const DEADLINE: &str = "DEADLINE";
    /// Code of an item whose workers were lost too often.
    pub const LOST: &str = "LOST";
    /// Code of an attempt whose input could not be evaluated.
    pub const INPUT_FAILED: &str = "INPUT_FAILED";
}
