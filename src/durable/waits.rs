//! Waits of a run: the times that its operations wait for, and how it is found out that nothing else goes on.

use std::{
    collections::BTreeMap,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use chrono::{DateTime, Utc};

use crate::engine::PutOff;

/// The operations of a run that do something, and those that wait for a time.
#[derive(Debug, Default)]
pub(super) struct Waits(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    busy: usize,
    is_paused: bool,
    made: u64,
    /// The times, each with true if an answer ends the wait as well.
    times: BTreeMap<u64, (DateTime<Utc>, bool)>,
}

impl Waits {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics between the parts of one change, so the state is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that an operation does something, until the guard is dropped.
    pub(super) fn busy(&self) -> Busy<'_> {
        self.state().busy += 1;
        Busy(self)
    }

    /// Notes that an operation waits for a time, and for an answer if `answers`, until the guard is dropped.
    pub(super) fn wait(&self, time: DateTime<Utc>, answers: bool) -> Waiting<'_> {
        let mut state = self.state();
        state.made += 1;
        let number = state.made;
        state.times.insert(number, (time, answers));
        drop(state);
        Waiting { of: self, number }
    }

    /// Notes that an operation is not to begin in this run.
    pub(super) fn pause(&self) {
        self.state().is_paused = true;
    }

    /// Returns true if one is not to.
    pub(super) fn is_paused(&self) -> bool {
        self.state().is_paused
    }

    /// The end of all waits, if there are some and nothing else goes on.
    pub(super) fn idle(&self) -> Option<Idle> {
        let state = self.state();
        match (state.busy, state.is_paused) {
            (0, false) => {
                let until = state.times.values().map(|(time, _)| *time).min()?;
                let answers = state.times.values().any(|(_, answers)| *answers);
                Some(Idle::Until(PutOff { until, answers }))
            }
            (0, true) => Some(Idle::Paused),
            _ => None,
        }
    }
}

/// A wait of a run of which nothing else goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Idle {
    /// The first of some times, or an answer.
    Until(PutOff),
    /// Another run, for something that is not to begin in this one.
    Paused,
}

/// An operation that does something.
#[derive(Debug)]
pub(super) struct Busy<'w>(&'w Waits);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.state().busy -= 1;
    }
}

/// An operation that waits for a time.
#[derive(Debug)]
pub(super) struct Waiting<'w> {
    of: &'w Waits,
    number: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.of.state().times.remove(&self.number);
    }
}

/// The way in which a future came up to a point where it can be put off, or to its end.
#[derive(Debug)]
pub(super) enum Up<T> {
    Ended(T),
    Idle(Idle),
}

/// Polls after which a future rests that nobody has woken meanwhile. One is not enough where threads share the tasks.
const QUIET: u8 = 2;

/// A future up to its end, or to a point where it rests and another run can go on.
pub(super) struct UpToIdle<F, I> {
    future: Pin<Box<F>>,
    idle: I,
    woken: Option<Arc<Woken>>,
    /// Number of polls since somebody woke it.
    quiet: u8,
}

impl<F, I> UpToIdle<F, I> {
    /// A future that rests where it is pending and nobody has woken it; `idle` then says if its run can end.
    pub(super) fn new(future: F, idle: I) -> Self {
        Self { future: Box::pin(future), idle, woken: None, quiet: 0 }
    }
}

impl<F: Future, I: Fn() -> Option<Idle> + Unpin> UpToIdle<F, I> {
    /// The wait for which its run can end, if it has rested for long enough.
    fn rests(&mut self, context: &mut Context<'_>) -> Option<Idle> {
        let idle = (self.idle)()?;
        self.quiet += 1;
        if self.quiet > QUIET {
            return Some(idle);
        }
        // The runtime wakes those that let others go first after they were polled. This one stands in line behind them.
        let _ = pin!(tokio::task::yield_now()).poll(context);
        None
    }
}

impl<F: Future, I: Fn() -> Option<Idle> + Unpin> Future for UpToIdle<F, I> {
    type Output = Up<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let known = self.woken.take().filter(|woken| woken.waker.will_wake(context.waker()));
        let woken = known.unwrap_or_else(|| {
            Arc::new(Woken { waker: context.waker().clone(), is_woken: AtomicBool::new(true) })
        });
        if woken.is_woken.swap(false, Ordering::AcqRel) {
            self.quiet = 0;
        }
        let waker = Waker::from(Arc::clone(&woken));
        let polled = self.future.as_mut().poll(&mut Context::from_waker(&waker));
        // One part of it may have woken another, which is polled the next time.
        let rests = !woken.is_woken.load(Ordering::Acquire);
        self.woken = Some(woken);
        match polled {
            Poll::Ready(ended) => Poll::Ready(Up::Ended(ended)),
            Poll::Pending if rests => {
                self.rests(context).map_or(Poll::Pending, |idle| Poll::Ready(Up::Idle(idle)))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

/// A waker that notes that it was used.
struct Woken {
    waker: Waker,
    is_woken: AtomicBool,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.waker.wake_by_ref();
    }
}
