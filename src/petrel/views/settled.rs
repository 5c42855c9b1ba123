//! Records so old that their writers had the time to write their views.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::models::LogSequence;

/// Age of a record from which on its views are judged: its writer had its time.
pub(crate) const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// Age of a difference from which on it is told of: the reconciler, which looks every half
/// second, has had its turn.
#[cfg(feature = "analysis")]
pub(crate) const MENDED_AFTER: Duration = SETTLED_AFTER.saturating_add(Duration::from_secs(2));

/// Age of records by samples of the log's last sequence, so that only this process's clock
/// counts.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// The log's last sequence at past times, oldest first.
    samples: VecDeque<(Instant, Option<LogSequence>)>,
    settled: Option<LogSequence>,
    last: Option<LogSequence>,
}

impl Settled {
    /// Notes the log's last sequence of now.
    pub(crate) fn note(&mut self, last: Option<LogSequence>) {
        self.samples.push_back((Instant::now(), last));
        self.last = last;
    }

    /// The log's last sequence as it was last noted.
    pub(crate) fn last(&self) -> Option<LogSequence> {
        self.last
    }

    /// Time at which the last sample was taken.
    #[cfg(feature = "analysis")]
    pub(crate) fn noted(&self) -> Option<Instant> {
        self.samples.back().map(|(at, _)| *at)
    }

    /// The last sequence whose record is at least so old.
    pub(crate) fn sequence(&mut self, age: Duration) -> Option<LogSequence> {
        while let Some((at, sequence)) = self.samples.front() {
            if at.elapsed() < age {
                break;
            }
            self.settled = self.settled.max(*sequence);
            self.samples.pop_front();
        }
        self.settled
    }
}
