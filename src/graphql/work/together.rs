//! The bytes of all answers that are being made or sent.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Number of events of subscriptions that are made at once: so many more than there is room for.
const EVENTS_AT_ONCE: usize = 4;

/// The bytes that answers of a kind take that are being made or sent: those of requests, or events of
/// subscriptions. A clone shares them.
#[derive(Debug, Clone)]
pub(in crate::graphql) struct Together(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bytes: AtomicUsize,
    /// Told each time that there are fewer.
    freed: Notify,
    events: Arc<Semaphore>,
}

impl Default for Together {
    fn default() -> Self {
        let events = Arc::new(Semaphore::new(EVENTS_AT_ONCE));
        Self(Arc::new(Shared { bytes: AtomicUsize::new(0), freed: Notify::new(), events }))
    }
}

impl Together {
    /// Number of them.
    pub(in crate::graphql) fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Counts more of them. Returns their number then.
    pub(super) fn add(&self, bytes: usize) -> usize {
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    fn remove(&self, bytes: usize) {
        self.0.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.0.freed.notify_waiters();
    }

    /// The right to make an event of a subscription, once there are fewer bytes than `most`: an event
    /// waits for room and is never left out.
    pub(super) async fn event(&self, most: usize) -> Option<OwnedSemaphorePermit> {
        // It is never closed, so never an error.
        let turn = Arc::clone(&self.0.events).acquire_owned().await.ok();
        loop {
            let mut freed = std::pin::pin!(self.0.freed.notified());
            freed.as_mut().enable();
            if self.bytes() < most {
                return turn;
            }
            freed.await;
        }
    }
}

/// The answer that one who takes events has at a time: the next one is made when it is gone.
#[derive(Debug, Clone)]
pub(in crate::graphql) struct Taker(Arc<Semaphore>);

impl Default for Taker {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Taker {
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed, so never an error.
        Arc::clone(&self.0).acquire_owned().await.ok()
    }
}

/// Bytes of an answer that count among those of all answers until this is dropped.
#[derive(Debug)]
pub struct Charge {
    bytes: usize,
    together: Together,
    /// The turn of who takes it, of an event.
    _turn: Option<OwnedSemaphorePermit>,
}

impl Charge {
    /// A charge of bytes that are counted already.
    pub(super) fn of(
        bytes: usize,
        together: &Together,
        turn: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self { bytes, together: together.clone(), _turn: turn }
    }

    /// Number of them.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives back all but `bytes`: the answer is a text by now, and nothing else is kept of it.
    pub fn shrink(&mut self, bytes: usize) {
        let less = self.bytes.saturating_sub(bytes);
        self.bytes -= less;
        self.together.remove(less);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.together.remove(self.bytes);
    }
}
