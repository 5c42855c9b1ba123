//! A step: its attempts, and its entries.

use std::{
    future::IntoFuture, marker::PhantomData, panic::AssertUnwindSafe, sync::Arc, time::Duration,
};

use chrono::{DateTime, Utc};
use futures::{FutureExt, future::BoxFuture};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    OperationError,
    error::{Difference, Fatal},
    run::{Asked, Run, TooLarge, in_step},
    sleep::LONGEST,
};
use crate::{
    engine::Policy,
    models::{EntryKind, Failure, Operation, OperationEnd, Retry, Times},
    worker::{WorkError, panicked},
};

type Attempts<'a> = Box<dyn FnMut() -> BoxFuture<'a, Result<Value, WorkError>> + Send + 'a>;

/// A step of a durable handler. It begins when it is awaited.
#[must_use = "a step does nothing unless it is awaited"]
pub struct Step<'a, T> {
    run: Arc<Run>,
    of: Operation,
    place: String,
    attempt: Attempts<'a>,
    policy: Result<Policy, String>,
    timeout: Option<Duration>,
    once: Once,
    result: PhantomData<fn() -> T>,
}

impl<T> std::fmt::Debug for Step<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Step").field("of", &self.of).finish_non_exhaustive()
    }
}

/// Times that a step may be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Once {
    /// At least once.
    No,
    /// Each attempt at most once: one that failed is followed by another, one that was lost is not.
    EachAttempt,
    /// At most once in all.
    Step,
}

impl<'a, T: DeserializeOwned + Send + 'a> Step<'a, T> {
    pub(super) fn new(
        run: Arc<Run>,
        (of, place): (Operation, String),
        attempt: impl FnMut() -> BoxFuture<'a, Result<Value, WorkError>> + Send + 'a,
    ) -> Self {
        let (policy, timeout, once) = (Ok(Policy::default()), None, Once::No);
        let (attempt, result) = (Box::new(attempt), PhantomData);
        Self { run, of, place, attempt, policy, timeout, once, result }
    }

    /// Says how failed attempts are tried again: as those of an activity where it leaves something out (three attempts,
    /// a second, twice as long each time, at most a minute, full jitter); `lost` counts for nothing here. A policy
    /// that a definition would be refused for is the error `RETRY_REFUSED`, and nothing is carried out. A failure that says
    /// to come again in more than 100 years is the last one.
    pub fn retry(mut self, retry: &Retry) -> Self {
        self.policy = Policy::of(retry).map_err(|problems| problems.to_string());
        self
    }

    /// Ends an attempt that takes longer, as the failure `TIMEOUT`. Its future is dropped, and a result that comes later
    /// is not taken.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Carries the step out once or not at all. A failure is not tried again. If the worker is lost in it nobody knows
    /// if it had its effect, and the item becomes an incident, `OUTCOME_UNKNOWN`.
    pub fn at_most_once(mut self) -> Self {
        self.once = Once::Step;
        self
    }

    /// Carries each attempt out once or not at all: one that failed is tried again, one whose worker was lost becomes an
    /// incident, `OUTCOME_UNKNOWN`.
    pub fn each_attempt_at_most_once(mut self) -> Self {
        self.once = Once::EachAttempt;
        self
    }

    async fn carry_out(self) -> Result<T, OperationError> {
        let Self { run, of, place, mut attempt, policy, timeout, once, .. } = self;
        let Asked { of, past, begun, under: _under } = run.ask(of).await;
        let (mut failed, mut before, mut next) = (0, 0, None);
        if let Some(past) = past {
            match (past.end, past.started) {
                (Some((end, times)), _) => return ended(&run, of, end, times.attempt).await,
                (None, Some(attempt)) => return run.end_by(Fatal::Unknown { of, attempt }).await,
                (None, None) => (failed, before, next) = (past.failed, past.attempt, past.next),
            }
        }
        let policy = match policy {
            Ok(policy) => policy,
            Err(message) => {
                let code = RETRY_REFUSED.to_owned();
                let failure = Failure { code, message, is_final: true, ..Failure::default() };
                return Err(OperationError { operation: of, failure, attempts: 0 });
            }
        };
        let mut lost = lost(&begun, next);
        loop {
            if let Some(next) = next {
                run.wait_until(next).await;
            }
            run.go_on().await;
            let busy = run.waits.busy();
            let (number, since) = (before + lost + 1, run.environment.now());
            let times = Times { attempt: number, lost, since, place: place.clone() };
            if once != Once::No {
                // It has nothing that could be too large.
                let _ = run.write(EntryKind::Started { of: of.clone(), attempt: number }).await;
            }
            let result = match try_once(&mut attempt, timeout, &place).await {
                Ok(result) => store(&run, &of, OperationEnd::Result(result), &times).await,
                Err(failure) => Err(failure),
            };
            drop(busy);
            let failure = match result {
                Ok(end) => return ended(&run, of, end, number).await,
                Err(failure) => failure,
            };
            failed += 1;
            let now = run.environment.now();
            // A later attempt than that is none.
            let is_far = failure.not_before.is_some_and(|time| time - now > LONGEST);
            if once == Once::Step || is_far || policy.is_final(&failure, failed) {
                let end = store(&run, &of, OperationEnd::Error(failure), &times).await;
                let end = end.unwrap_or_else(OperationEnd::Error);
                return ended(&run, of, end, number).await;
            }
            let delay = policy.delay(failed, &format!("{} {of} {failed}", run.seed));
            let due = failure.not_before.map_or(now + delay, |time| time.max(now));
            // Its words were cut to fit.
            let _ = run.write(EntryKind::Tried { of: of.clone(), failure, times, next: due }).await;
            (before, lost, next) = (number, 0, Some(due));
        }
    }
}

/// Makes an attempt.
async fn try_once(
    attempt: &mut Attempts<'_>,
    timeout: Option<Duration>,
    place: &str,
) -> Result<Value, Failure> {
    // What it does before its first pause may panic, too.
    let running = AssertUnwindSafe(in_step(async move { attempt().await })).catch_unwind();
    let ended = match timeout {
        None => running.await,
        Some(limit) => match tokio::time::timeout(limit, running).await {
            Ok(ended) => ended,
            Err(_) => {
                let message = format!("the attempt took longer than {limit:?}");
                let code = Failure::TIMEOUT.to_owned();
                return Err(Failure { code, message, ..Failure::default() });
            }
        },
    };
    match ended {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(error)) => Err(cut(error.into_failure())),
        Err(panic) => Err(cut(Failure { stack: Some(place.to_owned()), ..panicked(&*panic) })),
    }
}

/// Stores the end of a step, and returns it.
async fn store(
    run: &Run,
    of: &Operation,
    end: OperationEnd,
    times: &Times,
) -> Result<OperationEnd, Failure> {
    let beside = match &end {
        OperationEnd::Result(_) => Vec::new(),
        OperationEnd::Error(_) => run.under_way.beside(of),
    };
    let entry = EntryKind::Ended { of: of.clone(), end: end.clone(), times: times.clone(), beside };
    match run.write(entry).await {
        Ok(()) => Ok(end),
        Err(TooLarge { size, limit }) => Err(Failure {
            code: RESULT_TOO_LARGE.to_owned(),
            message: format!(
                "the entry with the result has {size} bytes, and a message has {limit} at most: store what is \
                 large elsewhere, and return where it is"
            ),
            is_final: true,
            ..Failure::default()
        }),
    }
}

/// The end of a step as its handler sees it.
pub(super) async fn ended<T: DeserializeOwned>(
    run: &Run,
    operation: Operation,
    end: OperationEnd,
    attempts: u64,
) -> Result<T, OperationError> {
    let result = match end {
        OperationEnd::Result(result) => result,
        OperationEnd::Error(failure) => {
            return Err(OperationError { operation, failure, attempts });
        }
    };
    match serde_json::from_value(result) {
        Ok(result) => Ok(result),
        Err(error) => {
            let (of, reason) = (operation, error.to_string());
            run.end_by(Fatal::Differs(Difference::Unreadable { of, reason })).await
        }
    }
}

impl<'a, T: DeserializeOwned + Send + 'a> IntoFuture for Step<'a, T> {
    type Output = Result<T, OperationError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.carry_out().boxed()
    }
}

/// Code of a result that does not fit into a message.
const RESULT_TOO_LARGE: &str = "RESULT_TOO_LARGE";

/// Code of a policy that is none.
const RETRY_REFUSED: &str = "RETRY_REFUSED";

/// Most bytes of the words of a failure in a journal.
const LONGEST_WORDS: usize = 16 * 1024;

/// A failure whose words fit into a message.
pub(super) fn cut(mut failure: Failure) -> Failure {
    let cut = |words: &mut String| words.truncate(words.floor_char_boundary(LONGEST_WORDS));
    cut(&mut failure.message);
    failure.stack.as_mut().map(cut);
    cut(&mut failure.code);
    failure
}

/// Number of attempts that were lost: the run before each other claim may have begun one, if it was due by then.
fn lost(begun: &[DateTime<Utc>], next: Option<DateTime<Utc>>) -> u64 {
    let count = begun.iter().filter(|at| next.is_none_or(|next| **at >= next)).count();
    count as u64
}
