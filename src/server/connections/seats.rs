//! The seats of connections: a bounded number, and a line of those that wait for a whole request.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Longest time that one who has to go may take for it. It has nothing to do before, so that this is the time
/// that a busy process takes to come to it.
const LEAVING: Duration = Duration::from_secs(1);

/// The seats of a server. A clone is the same seats.
///
/// When all are taken and one more comes, the one who has waited longest has to go: a connection
/// between requests, or one whose request, head or body, has not arrived whole. A connection whose request is
/// executed or answered, and a websocket, is never taken away. Whoever leaves the line and finds
/// himself taken out of it has to go and may begin nothing.
#[derive(Debug, Clone)]
pub(crate) struct Seats {
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

    /// Leaves a place; false if it has been taken out of the line.
    fn leave(&mut self, place: u64) -> bool {
        self.waiting.remove(&place).is_some()
    }
}

/// One connection's seat, given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
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
    /// The body of the last request has not arrived whole.
    arrives: bool,
    /// It is a websocket now, and holds one of their seats.
    socket: Option<OwnedSemaphorePermit>,
}

impl Seats {
    /// Seats for `most` connections; half of them may become websockets.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(most)),
            sockets: Arc::new(Semaphore::new((most / 2).max(1))),
            line: Arc::default(),
        }
    }

    /// A seat, if need be that of the one who has waited longest; `None` if nobody waits, or if that
    /// one does not go in [`LEAVING`].
    pub(crate) async fn take(&self) -> Option<Arc<Seat>> {
        let taken = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(taken) => taken,
            Err(_full) => {
                let (_, longest) = lock(&self.line).waiting.pop_first()?;
                longest.cancel();
                // The semaphore is never closed.
                timeout(LEAVING, Arc::clone(&self.free).acquire_owned()).await.ok()?.ok()?
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
    pub(crate) fn shrink(&self) {
        if let Some((_, longest)) = lock(&self.line).waiting.pop_first() {
            longest.cancel();
        }
    }
}

impl Seat {
    /// Resolves when somebody else needs the seat.
    pub(crate) async fn needed(&self) {
        self.gone.cancelled().await;
    }

    /// The head of a request has arrived, and its body is waited for: at the end of the line.
    pub(crate) fn begins(&self) {
        let mut state = lock(&self.state);
        state.arrives = true;
        if let Some(place) = &mut state.waits {
            let mut line = lock(&self.seats.line);
            if line.leave(*place) {
                *place = line.join(&self.gone);
            }
        }
    }

    /// A request has arrived whole and is executed; false if it must not be, since somebody else has
    /// the seat.
    #[must_use]
    pub(crate) fn works(&self) -> bool {
        let mut state = lock(&self.state);
        state.works = self.stays(&mut state);
        state.arrives = false;
        state.works
    }

    /// Returns true if the client may still be sending the body of a request.
    pub(crate) fn arrives(&self) -> bool {
        lock(&self.state).arrives
    }

    /// Leaves the line; false if somebody else has the seat.
    fn stays(&self, state: &mut State) -> bool {
        // Kept when it has been taken out of the line, so that it can't come back into it.
        match state.waits {
            Some(place) if !lock(&self.seats.line).leave(place) => false,
            _ => {
                state.waits = None;
                true
            }
        }
    }

    /// The answer is there, and to be written.
    pub(crate) fn answers(&self) {
        lock(&self.state).works = false;
    }

    /// Everything has been written.
    pub(crate) fn rests(&self) {
        let mut state = lock(&self.state);
        if state.works || state.waits.is_some() || state.socket.is_some() {
            return;
        }
        state.waits = Some(lock(&self.seats.line).join(&self.gone));
    }

    /// Makes it the seat of a websocket, for as long as the connection lives; false if there are
    /// too many of these, or if somebody else has the seat.
    #[must_use]
    pub(crate) fn becomes_a_socket(&self) -> bool {
        let Ok(taken) = Arc::clone(&self.seats.sockets).try_acquire_owned() else { return false };
        let mut state = lock(&self.state);
        let stays = self.stays(&mut state);
        state.socket = stays.then_some(taken);
        stays
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(place) = lock(&self.state).waits {
            lock(&self.seats.line).leave(place);
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
        assert!(first.works());
        let fourth = {
            let mut taking = Box::pin(seats.take());
            assert!(taking.as_mut().now_or_never().is_none());
            assert!(second.needed().now_or_never().is_some());
            drop(second);
            taking.await.unwrap()
        };
        assert!(first.needed().now_or_never().is_none());
        assert!(third.works() && fourth.works());
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
        assert!(first.works());
        assert!(first.becomes_a_socket());
        first.answers();
        first.rests();
        assert!(second.works());
        assert!(!second.becomes_a_socket());
        assert!(seats.take().now_or_never().flatten().is_none());
        drop(first);
        let third = seats.take().await.unwrap();
        assert!(third.becomes_a_socket());
    }

    #[tokio::test]
    async fn one_who_has_to_go_begins_nothing_and_comes_back_into_no_line() {
        let seats = Seats::new(2);
        let [first, second] = [seats.take().await, seats.take().await].map(Option::unwrap);
        let mut taking = Box::pin(seats.take());
        assert!(taking.as_mut().now_or_never().is_none());
        // Chosen, and its next request arrives before it has seen that.
        first.begins();
        assert!(!first.works());
        assert!(!first.becomes_a_socket());
        first.rests();
        assert!(lock(&seats.line).waiting.len() == 1 && second.works());
        drop(first);
        assert!(taking.await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_websocket_that_was_asked_for_with_a_body_is_in_no_line() {
        let seats = Seats::new(1);
        let only = seats.take().await.unwrap();
        only.begins();
        assert!(only.becomes_a_socket());
        assert!(seats.take().now_or_never().flatten().is_none());
        assert!(only.needed().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_long_for_one_who_does_not_go() {
        let seats = Seats::new(1);
        let only = seats.take().await.unwrap();
        let begun = tokio::time::Instant::now();
        assert!(seats.take().await.is_none());
        assert!(begun.elapsed() <= LEAVING + Duration::from_millis(5));
        drop(only);
        assert!(seats.take().await.is_some());
    }
}
