//! A worker as it is seen by others.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::models::{CaseId, KindId, QueueId, WorkflowId};

/// The fixed part of a worker's description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerCard {
    /// Its name, for people. Several may have the same.
    pub name: String,
    /// The queues that it serves.
    pub queues: Vec<ServedQueue>,
    /// The kinds of work that it has handlers for, in the order of their ids.
    pub kinds: Vec<KindId>,
    /// True if the next item of a case comes with the answer to the one before.
    pub hands_over: bool,
    /// Time since when it runs, by its own clock.
    pub since: DateTime<Utc>,
}

/// A queue that a worker serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedQueue {
    /// The queue.
    pub queue: QueueId,
    /// The most items of it that the worker carries out at once.
    pub concurrency: usize,
}

/// The state of a worker when it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Doing {
    /// Attempts whose handlers run, those that run longest first. A worker with very many names a part of
    /// them.
    pub attempts: Vec<RunningAttempt>,
    /// Number of all attempts whose handlers run.
    pub running: u64,
    /// Attempts that have ended since it runs.
    pub ended: EndedAttempts,
    /// Attempts that have ended in the last minute, by queue: those with a result and those that failed.
    pub lately: Vec<EndedLately>,
    /// True if it begins nothing more, and ends when what runs has ended.
    pub stopping: bool,
}

/// An attempt whose handler runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningAttempt {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The case.
    pub case: CaseId,
    /// The item's number in the case.
    pub item: u64,
    /// Its claim.
    pub claim: u64,
    /// Number of the attempt, counted from 1.
    pub attempt: u64,
    /// Kind of the work.
    pub kind: KindId,
    /// The queue from which it came.
    pub queue: QueueId,
    /// Time since when its handler runs, by the worker's clock.
    pub since: DateTime<Utc>,
}

/// Number of attempts of a queue that have ended in the last minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedLately {
    /// The queue from which their items came.
    pub queue: QueueId,
    /// Their number.
    pub ended: u64,
}

/// Numbers of attempts that a worker has ended, by how their handlers ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EndedAttempts {
    /// With a result.
    pub done: u64,
    /// With a failure.
    pub failed: u64,
    /// Given back, since they were not carried out.
    pub released: u64,
    /// Told to stop, since their answer counts no more.
    pub stopped: u64,
}

/// A worker that has answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresentWorker {
    /// Its id: no other worker has it, and the same one has another after it was started again.
    pub id: String,
    /// Version of the library that it is made with.
    pub version: String,
    /// Its description.
    #[serde(flatten)]
    pub card: WorkerCard,
    /// Its state when it answered.
    #[serde(flatten)]
    pub doing: Doing,
}

impl PresentWorker {
    /// Approximate memory that it takes, in bytes.
    #[cfg(feature = "graphql")]
    pub(crate) fn memory(&self) -> usize {
        let of_card = self.card.name.len() + 64 * (self.card.queues.len() + self.card.kinds.len());
        500 + of_card + 500 * self.doing.attempts.len() + 64 * self.doing.lately.len()
    }

    /// Returns the number of attempts of a queue that workers end in a second: the mean of the last minute.
    pub fn rate(workers: &[Self], queue: &QueueId) -> f64 {
        let lately = workers.iter().flat_map(|worker| &worker.doing.lately);
        let ended: u64 = lately.filter(|of| of.queue == *queue).map(|of| of.ended).sum();
        ended as f64 / 60.0
    }

    /// Returns true if it serves a queue.
    pub fn serves(&self, queue: &QueueId) -> bool {
        self.card.queues.iter().any(|served| served.queue == *queue)
    }
}
