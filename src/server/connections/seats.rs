//! The seats of connections: a bounded number, and a line of those that wait for a whole request.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// The seats of a server. A clone is the same seats.
///
/// When all are taken and one more comes, the one who has waited longest has to go: a connection
/// between requests, or one whose request, head or body, has not arrived whole. A connection whose request is
/// executed or answered, and a websocket, is never taken away.
#[derive(Debug, Clone)]
pub struct Seats {
    free: Arc<Semaphore>,
    sockets: Arc<Semaphore>,
    line: Arc<Mutex<Line>>,
}

#[derive(Debug, Default)]
struct Line {
    next: u64,
    /// Those who wait, by their place in the line, the longest first.
    waiting: BTreeMap<u64, CancellationToken>,
}

impl Line {
    /// The last place, for one who goes when `gone` is cancelled.
    fn join(&mut self, gone: &CancellationToken) -> u64 {
        let place = self.next;
        self.next += 1;
        self.waiting.insert(place, gone.clone());
        place
    }
}

/// One connection's seat, given back when dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Seats,
    gone: CancellationToken,
    state: Mutex<State>,
    _taken: OwnedSemaphorePermit,
}

#[derive(Debug, Default)]
struct State {
    /// The place in the line, while it waits.
    waits: Option<u64>,
    /// A request is executed.
    works: bool,
    /// It is a websocket now, and holds one of their seats.
    socket: Option<OwnedSemaphorePermit>,
}

impl Seats {
    /// Seats for `most` connections; half of them may become websockets.
    pub fn new(most: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(most)),
            sockets: Arc::new(Semaphore::new((most / 2).max(1))),
            line: Arc::default(),
        }
    }

    /// A seat, if need be that of the one who has waited longest; `None` if nobody waits.
    pub async fn take(&self) -> Option<Arc<Seat>> {
        let taken = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(taken) => taken,
            Err(_full) => {
                let (_, longest) = lock(&self.line).waiting.pop_first()?;
                longest.cancel();
                // The semaphore is never closed.
                Arc::clone(&self.free).acquire_owned().await.ok()?
            }
        };
        let seat = Seat {
            seats: self.clone(),
            gone: CancellationToken::new(),
            state: Mutex::default(),
            _taken: taken,
        };
        seat.rests();
        Some(Arc::new(seat))
    }

    /// Frees the seat of the one who has waited longest.
    pub fn shrink(&self) {
        if let Some((_, longest)) = lock(&self.line).waiting.pop_first() {
            longest.cancel();
        }
    }
}

impl Seat {
    /// Resolves when somebody else needs the seat.
    pub async fn needed(&self) {
        self.gone.cancelled().await;
    }

    /// The head of a request has arrived, and its body is waited for: at the end of the line.
    pub fn begins(&self) {
        let mut state = lock(&self.state);
        if let Some(place) = &mut state.waits {
            let mut line = lock(&self.seats.line);
            line.waiting.remove(place);
            *place = line.join(&self.gone);
        }
    }

    /// A request has arrived whole and is executed.
    pub fn works(&self) {
        let mut state = lock(&self.state);
        state.works = true;
        if let Some(place) = state.waits.take() {
            lock(&self.seats.line).waiting.remove(&place);
        }
    }

    /// The answer is there, and to be written.
    pub fn answers(&self) {
        lock(&self.state).works = false;
    }

    /// Everything has been written.
    pub fn rests(&self) {
        let mut state = lock(&self.state);
        if state.works || state.waits.is_some() || state.socket.is_some() {
            return;
        }
        state.waits = Some(lock(&self.seats.line).join(&self.gone));
    }

    /// Makes it the seat of a websocket, for as long as the connection lives; false if there are
    /// too many of these.
    #[must_use]
    pub fn becomes_a_socket(&self) -> bool {
        let taken = Arc::clone(&self.seats.sockets).try_acquire_owned().ok();
        let mut state = lock(&self.state);
        state.socket = taken;
        state.socket.is_some()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(place) = lock(&self.state).waits {
            lock(&self.seats.line).waiting.remove(&place);
        }
    }
}

/// Nothing panics while it holds one of these locks.
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn the_one_who_has_waited_longest_goes_and_nobody_who_is_served() {
        let seats = Seats::new(3);
        let [first, second, third] =
            [seats.take().await, seats.take().await, seats.take().await].map(Option::unwrap);
        first.works();
        let fourth = {
            let mut taking = Box::pin(seats.take());
            assert!(taking.as_mut().now_or_never().is_none());
            assert!(second.needed().now_or_never().is_some());
            drop(second);
            taking.await.unwrap()
        };
        assert!(first.needed().now_or_never().is_none());
        third.works();
        fourth.works();
        assert!(seats.take().now_or_never().flatten().is_none());
        // The answer of the third is being written: still nobody waits.
        third.answers();
        assert!(seats.take().now_or_never().flatten().is_none());
        third.rests();
        assert!(seats.take().now_or_never().is_none());
        assert!(third.needed().now_or_never().is_some());
    }

    #[tokio::test]
    async fn websockets_take_half_of_the_seats_at_most_and_keep_them() {
        let seats = Seats::new(2);
        let [first, second] = [seats.take().await, seats.take().await].map(Option::unwrap);
        first.works();
        assert!(first.becomes_a_socket());
        first.answers();
        first.rests();
        second.works();
        assert!(!second.becomes_a_socket());
        assert!(seats.take().now_or_never().flatten().is_none());
        drop(first);
        let third = seats.take().await.unwrap();
        assert!(third.becomes_a_socket());
    }
}
