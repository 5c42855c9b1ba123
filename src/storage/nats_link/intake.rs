//! A bound of what the server has on its way to this process.

use std::{
    future::pending,
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::task::AbortOnDropHandle;

/// Bytes that may be on their way at once, of each kind. A server cuts the connection of a client who
/// does not take what is more than its `max_pending` (64 MB), and all requests with it.
const MOST_BYTES: usize = 12 * 1024 * 1024;

/// Answers that are expected to be no larger are small.
const SMALL: usize = 32 * 1024;

/// Part of its size that the expectation loses with each smaller answer: so it forgets a single
/// large one.
const FORGOTTEN: usize = 32;

/// One unit of what is counted, in bytes.
const UNIT: usize = 1024;

/// Room for answers.
#[derive(Debug)]
pub(super) struct Intake {
    /// Units for answers that are expected to be small, held by whoever asked.
    small: Semaphore,
    /// Units for all others, held by tasks alone: each of them comes to its end, so that the next one
    /// can wait for its room.
    large: Arc<Semaphore>,
    /// Bytes that an answer counts at least: one that is expected to be small may be large.
    least: usize,
    /// Bytes of an answer, as the largest of the last ones had.
    expected: AtomicUsize,
}

impl Intake {
    /// Nothing on its way. `most` are the bytes of the largest answer, which is expected first.
    pub(super) fn new(most: usize) -> Self {
        let all = || Semaphore::new(MOST_BYTES / UNIT);
        let least = (most / 2).min(MOST_BYTES);
        Self { small: all(), large: Arc::new(all()), least, expected: AtomicUsize::new(most) }
    }

    /// Room for a small answer, if that is expected and there is some at once.
    pub(super) fn room(&self) -> Option<SemaphorePermit<'_>> {
        let is_small = self.expected.load(Ordering::Relaxed) <= SMALL;
        is_small.then(|| self.small.try_acquire_many(self.units(self.least)).ok()).flatten()
    }

    /// Reads once there is room for an answer as large as is expected. The task is its own: what has
    /// so much room must not depend on a caller who is not polled.
    pub(super) async fn turn<T: Send + 'static>(
        &self,
        read: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let units = self.units(self.expected.load(Ordering::Relaxed));
        let large = Arc::clone(&self.large);
        let read = AbortOnDropHandle::new(tokio::spawn(async move {
            // It is never closed, so never an error.
            let _room = large.acquire_many(units).await;
            read.await
        }));
        match read.await.map_err(|ended| ended.try_into_panic()) {
            Ok(answer) => answer,
            Err(Ok(panic)) => resume_unwind(panic),
            // The runtime ends, and the task that asked with it.
            Err(Err(_)) => pending().await,
        }
    }

    /// The units that an answer of so many bytes counts.
    fn units(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.clamp(self.least, MOST_BYTES) / UNIT).unwrap_or(u32::MAX)
    }

    /// Notes the bytes of an answer.
    pub(super) fn learn(&self, bytes: usize) {
        let expected = self.expected.load(Ordering::Relaxed);
        let now = bytes.max(expected - expected.div_ceil(FORGOTTEN).min(expected));
        if now != expected {
            // Of two at the same time one may be forgotten; the next one is not.
            self.expected.store(now, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_answer_is_expected_again_for_a_while() {
        let intake = Intake::new(1024 * 1024);
        assert!(intake.room().is_none());
        (0..200).for_each(|_| intake.learn(1_000));
        assert!(intake.room().is_some());
        intake.learn(800_000);
        intake.learn(1_000);
        assert!(intake.room().is_none());
        (0..1_000).for_each(|_| intake.learn(0));
        assert!(intake.room().is_some());
    }

    #[tokio::test]
    async fn what_is_on_its_way_is_bounded_whatever_is_expected() {
        for (small_ones, rooms) in [(0, 0), (1_000, 24)] {
            let intake = Intake::new(1024 * 1024);
            (0..small_ones).for_each(|_| intake.learn(0));
            // Held all the time, as by who is not polled.
            let held: Vec<_> = std::iter::from_fn(|| intake.room()).collect();
            assert_eq!(held.len(), rooms);
            let (under_way, most) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
            let reads = (0..200).map(|_| {
                let under_way = Arc::clone(&under_way);
                intake.turn(async move {
                    let now = under_way.fetch_add(1, Ordering::SeqCst) + 1;
                    tokio::task::yield_now().await;
                    under_way.fetch_sub(1, Ordering::SeqCst);
                    now
                })
            });
            for now in futures::future::join_all(reads).await {
                most.fetch_max(now, Ordering::SeqCst);
            }
            let most = most.into_inner();
            assert!((2..=24).contains(&most), "{most} at once after {small_ones} small ones");
        }
    }
}
