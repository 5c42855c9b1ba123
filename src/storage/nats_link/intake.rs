//! A bound of what the server has on its way to this process.

use std::{
    future::pending,
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;

/// Bytes that may be on their way at once, where answers are large. A server cuts the connection of
/// a client who does not take what is more than its `max_pending` (64 MB), and all requests with it.
const MOST_BYTES: usize = 24 * 1024 * 1024;

/// Answers that are no larger are not counted: a process has not so many requests under way that
/// they would be too much.
const SMALL: usize = 32 * 1024;

/// Part of its size that the expectation loses with each smaller answer: so it forgets a single
/// large one.
const FORGOTTEN: usize = 32;

/// One unit of what is counted, in bytes.
const UNIT: usize = 1024;

/// Longest wait for room. Those who have it may have read, and not be asked to go on: then others do
/// without, so that nobody waits for ever.
const LONGEST: Duration = Duration::from_secs(1);

/// The room of an answer that is on its way, or is not decoded yet; given back with the last clone.
#[derive(Debug, Clone)]
pub(crate) struct Room(#[expect(dead_code, reason = "held")] Option<Arc<OwnedSemaphorePermit>>);

/// Turns of reads whose answers are expected to be large.
#[derive(Debug)]
pub(super) struct Intake {
    free: Arc<Semaphore>,
    /// Bytes of an answer, as the largest of the last ones had.
    expected: AtomicUsize,
}

impl Intake {
    /// Nothing on its way. `expected` are the bytes of an answer before the first one has come.
    pub(super) fn new(expected: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(MOST_BYTES / UNIT)),
            expected: AtomicUsize::new(expected),
        }
    }

    /// Returns true if the next answer is expected to be small, so that its read needs no turn.
    pub(super) fn is_small(&self) -> bool {
        self.expected.load(Ordering::Relaxed) <= SMALL
    }

    /// Reads once there is room for an answer as large as is expected. The task is its own: what has
    /// room must not depend on a caller who is not polled.
    pub(super) async fn turn<T: Send + 'static>(
        &self,
        read: impl Future<Output = T> + Send + 'static,
    ) -> (T, Room) {
        let bytes = self.expected.load(Ordering::Relaxed).min(MOST_BYTES);
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let free = Arc::clone(&self.free);
        let read = AbortOnDropHandle::new(tokio::spawn(async move {
            let room = timeout(LONGEST, free.acquire_many_owned(units)).await;
            (read.await, Room(room.ok().and_then(Result::ok).map(Arc::new)))
        }));
        match read.await.map_err(|ended| ended.try_into_panic()) {
            Ok(answer) => answer,
            Err(Ok(panic)) => resume_unwind(panic),
            // The runtime ends, and the task that asked with it.
            Err(Err(_)) => pending().await,
        }
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
        assert!(!intake.is_small());
        (0..200).for_each(|_| intake.learn(1_000));
        assert!(intake.is_small());
        intake.learn(800_000);
        intake.learn(1_000);
        assert!(!intake.is_small());
        (0..200).for_each(|_| intake.learn(0));
        assert!(intake.is_small());
        (0..1_000).for_each(|_| intake.learn(0));
    }
}
