//! Awakeables: waits for answers from outside.

use std::{future::IntoFuture, marker::PhantomData, panic::Location, sync::Arc, time::Duration};

use chrono::TimeDelta;
use futures::{FutureExt, future::BoxFuture};
use serde::de::DeserializeOwned;

use super::{
    Context, OperationError,
    answer_id::AnswerId,
    context::place,
    error::Fatal,
    run::{Asked, Run},
    sleep::LONGEST,
    step::ended,
};
use crate::models::{EntryKind, Failure, Operation, OperationEnd, OperationKind, Times};

/// A wait for an answer that somebody outside gives, by its id. It begins when it is awaited; what is answered before
/// that is kept.
#[must_use = "an awakeable waits for nothing unless it is awaited"]
pub struct Awakeable<T> {
    run: Arc<Run>,
    of: Operation,
    place: String,
    id: String,
    limit: Option<Duration>,
    result: PhantomData<fn() -> T>,
}

impl<T> std::fmt::Debug for Awakeable<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Who knows the id can answer.
        f.debug_struct("Awakeable").field("of", &self.of).finish_non_exhaustive()
    }
}

impl Context {
    /// A wait for an answer from outside: of a person, of another system, of whoever was given its id. The answer is in
    /// the journal before the handler sees it, and another run gets it from there. The wait lets the worker go, if
    /// nothing else of the handler goes on meanwhile, and costs nobody anything.
    ///
    /// [`Petrel::resolve_awakeable`](crate::Petrel::resolve_awakeable) answers, and
    /// [`reject_awakeable`](crate::Petrel::reject_awakeable) does so with an error.
    ///
    /// # Errors
    ///
    /// The failure with which somebody rejects it; `TIMEOUT` if its time is over.
    #[track_caller]
    pub fn awakeable<T>(&self) -> Awakeable<T> {
        let of = self.operation(OperationKind::Awakeable, "");
        let (run, place) = (Arc::clone(self.run()), place(Location::caller()));
        let id = AnswerId::of(run.item(), &of, &run.seed).to_string();
        Awakeable { run, of, place, id, limit: None, result: PhantomData }
    }
}

impl<T> Awakeable<T> {
    /// The id by which it is answered. Nobody can guess it; who knows it can answer. Another run has the same one. It is
    /// handed out by a step.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Ends the wait with the failure `TIMEOUT` where nobody answers for so long, counted from the first run that waits.
    /// At most 100 years, which is also what counts without it.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    async fn wait(self) -> Result<T, OperationError>
    where
        T: DeserializeOwned,
    {
        let Self { run, of, place, limit, .. } = self;
        let Asked { of, past, under: _under, .. } = run.ask(of).await;
        let mut known = None;
        if let Some(past) = past {
            if let Some(end) = past.end.clone() {
                return answered(&run, (of, place), end, past.is_answer()).await;
            }
            known = past.until;
        }
        let since = run.environment.now();
        let until = match known {
            Some(until) => until,
            None => {
                let limit = limit.map_or(Ok(LONGEST), TimeDelta::from_std);
                let until = limit.ok().filter(|limit| *limit <= LONGEST).map(|limit| since + limit);
                let Some(until) = until else {
                    let reason = format!("the time limit of {of} is longer than 100 years");
                    return run.end_by(Fatal::Wait(reason)).await;
                };
                run.go_on().await;
                // It has nothing that could be too large.
                let _ = run.write(EntryKind::Awaits { of: of.clone(), until }).await;
                until
            }
        };
        loop {
            if let Some(end) = run.answer(&of, until).await.and_then(|answered| answered.end) {
                return answered(&run, (of, place), end, true).await;
            }
            run.go_on().await;
            let message = format!("nobody has answered by {}", until.to_rfc3339());
            let code = Failure::TIMEOUT.to_owned();
            let failure = Failure { code, message, is_final: true, ..Failure::default() };
            let times = Times { attempt: 1, lost: 0, since, place: place.clone() };
            let end = OperationEnd::Error(failure);
            let (what, beside) = (end.clone(), run.under_way.beside(&of));
            let entry = EntryKind::Ended { of: of.clone(), end: what, times, beside };
            if run.write_unless_answered(&of, entry).await {
                return ended(&run, of, end, 1).await;
            }
        }
    }
}

/// The answer as the handler sees it. An error gets an entry of its own when it does: what it did before that was not
/// because of it.
async fn answered<T: DeserializeOwned>(
    run: &Run,
    (of, place): (Operation, String),
    (end, times): (OperationEnd, Times),
    is_new: bool,
) -> Result<T, OperationError> {
    if is_new && matches!(end, OperationEnd::Error(_)) {
        let beside = run.under_way.beside(&of);
        let times = Times { place, ..times.clone() };
        run.write_whole(EntryKind::Ended { of: of.clone(), end: end.clone(), times, beside }).await;
    }
    ended(run, of, end, times.attempt).await
}

impl<T: DeserializeOwned + Send + 'static> IntoFuture for Awakeable<T> {
    type Output = Result<T, OperationError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        self.wait().boxed()
    }
}
