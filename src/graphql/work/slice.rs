//! Slices of a request's execution, between which other requests have their turn.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use tokio::task::yield_now;

/// Length of a slice. An answer of many small values is made without a pause otherwise.
const SLICE: u64 = 5_000_000;

/// The slice that a request is in. Its fields are executed side by side in one task.
pub(super) struct Slice {
    since: Instant,
    /// Its beginning, in nanoseconds.
    begun: AtomicU64,
}

impl Slice {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), begun: AtomicU64::new(0) }
    }

    /// Waits until the next slice if this one is over.
    pub(super) async fn turn(&self) {
        loop {
            let begun = self.begun.load(Ordering::Relaxed);
            if self.now().saturating_sub(begun) < SLICE {
                return;
            }
            yield_now().await;
            // The first field that goes on begins the next slice, for all of them.
            let (set, unset) = (Ordering::Relaxed, Ordering::Relaxed);
            let _ = self.begun.compare_exchange(begun, self.now(), set, unset);
        }
    }

    fn now(&self) -> u64 {
        // It is enough for 584 years.
        self.since.elapsed().as_nanos() as u64
    }
}
