//! Handlers: functions that carry out a kind of work.

use std::{collections::HashMap, fmt, sync::Arc};

use futures::future::BoxFuture;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Attempt, WorkError};
use crate::models::{Failure, KindId, OutcomeId};

/// The end of an attempt that is done.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Done {
    /// The outcome by which the activity ends; `None` if it has one or none.
    pub outcome: Option<OutcomeId>,
    /// The result, which the activity's `output` sees.
    pub result: Value,
}

impl Done {
    /// An end by an outcome, with a result.
    ///
    /// # Errors
    ///
    /// A result that has no JSON form is the failed attempt `RESULT_REFUSED`.
    pub fn by(outcome: OutcomeId, result: impl Serialize) -> Result<Self, WorkError> {
        Ok(Self { outcome: Some(outcome), result: json(result)? })
    }
}

/// Code of a result that can't be stored: it is no JSON, or too large.
pub(super) const RESULT_REFUSED: &str = "RESULT_REFUSED";

/// Code of an input that is not what its handler takes.
const INPUT_REFUSED: &str = "INPUT_REFUSED";

fn json(result: impl Serialize) -> Result<Value, WorkError> {
    let value = serde_json::to_value(result);
    value.map_err(|error| {
        WorkError::new(RESULT_REFUSED, format!("the result has no JSON form: {error}"))
            .without_retry()
    })
}

/// The failure of an attempt whose input is not what its handler takes.
pub(crate) fn input_refused(error: &serde_json::Error) -> WorkError {
    let message = format!("the input is not what the handler takes: {error}");
    WorkError::new(INPUT_REFUSED, message).without_retry()
}

type Run = dyn Fn(Attempt, Value) -> BoxFuture<'static, Result<Done, WorkError>> + Send + Sync;

/// A handler, whatever its types.
#[derive(Clone)]
pub(super) struct Handler(Arc<Run>);

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handler")
    }
}

/// The handlers of a worker by their kinds.
pub(super) type Handlers = HashMap<KindId, Handler>;

impl Handler {
    /// A handler with an input and a result of its own types.
    pub(super) fn typed<I, O, F, R>(run: F) -> Self
    where
        I: DeserializeOwned + Send,
        O: Serialize + 'static,
        F: Fn(Attempt, I) -> R + Send + Sync + 'static,
        R: Future<Output = Result<O, WorkError>> + Send + 'static,
    {
        Self::of(run, |result| Ok(Done { outcome: None, result: json(result)? }))
    }

    /// A handler that names its outcome.
    pub(super) fn with_outcomes<I, F, R>(run: F) -> Self
    where
        I: DeserializeOwned + Send,
        F: Fn(Attempt, I) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Done, WorkError>> + Send + 'static,
    {
        Self::of(run, Ok)
    }

    fn of<I, O, F, R>(run: F, done: fn(O) -> Result<Done, WorkError>) -> Self
    where
        I: DeserializeOwned + Send,
        O: 'static,
        F: Fn(Attempt, I) -> R + Send + Sync + 'static,
        R: Future<Output = Result<O, WorkError>> + Send + 'static,
    {
        Self(Arc::new(move |attempt, input| {
            let run = match serde_json::from_value(input) {
                Ok(input) => run(attempt, input),
                Err(error) => return Box::pin(std::future::ready(Err(input_refused(&error)))),
            };
            Box::pin(async move { done(run.await?) })
        }))
    }

    pub(super) fn run(
        &self,
        attempt: Attempt,
        input: Value,
    ) -> BoxFuture<'static, Result<Done, WorkError>> {
        (self.0)(attempt, input)
    }
}

/// The failure of a handler that panicked.
pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> Failure {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    let message = text.unwrap_or_else(|| "the handler panicked".to_owned());
    Failure { code: "PANIC".to_owned(), message, ..Failure::default() }
}
