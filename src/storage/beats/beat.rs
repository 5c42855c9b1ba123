//! Beats: signs of life of those who do work.

use std::{fmt, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::models::{CaseId, WorkflowId};

/// A sign of life of whoever does an item.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Beat {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The case.
    pub case: CaseId,
    /// The item's number in the case.
    pub item: u64,
    /// The claim that it stands for.
    pub claim: u64,
    /// The holder: what the claim's attempt is of, as whoever beats names it. The store only keeps it.
    pub holder: String,
    /// The worker, for people.
    pub worker: String,
}

/// Position of a beat, or of a progress, among what was stored. What was stored later has a higher one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BeatSequence(pub u64);

impl fmt::Display for BeatSequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The last beat of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastBeat {
    /// The beat.
    pub beat: Beat,
    /// Its position, which the next one expects.
    pub sequence: BeatSequence,
    /// Time by the store's clock at which it was stored.
    pub at: DateTime<Utc>,
    /// Time for which it lives from then on.
    pub life: Duration,
}

/// Progress of an item, for whoever makes its next attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Progress {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The case.
    pub case: CaseId,
    /// The item's number in the case.
    pub item: u64,
    /// The claim under which it was made.
    pub claim: u64,
    /// JSON, which is kept byte by byte.
    pub json: Bytes,
}

/// The last progress of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastProgress {
    /// The progress.
    pub progress: Progress,
    /// Its position, which the next one expects.
    pub sequence: BeatSequence,
    /// Time by the store's clock at which it was stored.
    pub at: DateTime<Utc>,
}

/// A word that something has happened to an item that somebody does: he is to look at the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hint {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The case.
    pub case: CaseId,
    /// The item's number in the case.
    pub item: u64,
}
