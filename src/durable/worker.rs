//! Durable handlers of workers.

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    Context,
    environment::{Attempted, Environment},
    error::{Difference, Fatal},
    function::{RETURNED, definition, kind_of, outcome},
    journal::Journal,
    past::Past,
    run::Run,
};
use crate::{
    models::{EntryKind, JournalId, KindId, StoredEntry, WorkflowId, kept_name},
    petrel::WorkId,
    storage::Journals,
    worker::{Attempt, Done, WorkError, WorkerBuilder, input_refused},
};

impl WorkerBuilder {
    /// Carries out a kind of work by a durable handler, whose input and result have the JSON forms that serde gives them.
    /// An attempt whose worker is lost is followed by another one, which goes on after the last entry of the journal.
    ///
    /// The input is that of the first attempt, whatever becomes of the tokens. An error of the handler is final: each of
    /// its steps has its own attempts. Where somebody has the item tried again, it goes on at the operation whose error
    /// the handler handed on.
    #[must_use]
    pub fn durable<I, O, F, R>(self, kind: KindId, run: F) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        O: Serialize + Send + 'static,
        F: Fn(Context, I) -> R + Send + Sync + 'static,
        R: Future<Output = Result<O, WorkError>> + Send + 'static,
    {
        let run = Arc::new(run);
        self.handle(kind, move |attempt: Attempt, input: Value| {
            attempted(attempt, input, run.clone())
        })
    }

    /// Serves a durable handler as a function with a workflow of its own, made when the worker starts:
    /// [`Petrel::invoke`](crate::Petrel::invoke) begins a case of it and waits for the result. Its kind is its name, and its queue the first
    /// one that the worker serves, or `default`. All that [`durable`](Self::durable) says holds.
    ///
    /// # Errors
    ///
    /// [`Worker::run`](crate::worker::Worker::run) refuses a name that a workflow of another kind has.
    #[must_use]
    pub fn function<I, O, F, R>(self, name: WorkflowId, run: F) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        O: Serialize + Send + 'static,
        F: Fn(Context, I) -> R + Send + Sync + 'static,
        R: Future<Output = Result<O, WorkError>> + Send + 'static,
    {
        let (run, kind) = (Arc::new(run), kind_of(&name));
        self.registers(definition(&name)).handle_outcomes(kind, move |attempt: Attempt, input| {
            let attempted = attempted(attempt, input, run.clone());
            async move { Done::by(outcome(RETURNED), attempted.await?) }
        })
    }
}

/// Carries out an attempt at a handler.
async fn attempted<I, O, F, R>(attempt: Attempt, input: Value, run: Arc<F>) -> Result<O, WorkError>
where
    I: DeserializeOwned,
    F: Fn(Context, I) -> R,
    R: Future<Output = Result<O, WorkError>>,
{
    // It could not be read back from the journal.
    if let Some(name) = kept_name(&input) {
        let reason = format!("no field may have the name {name:?}");
        return Err(input_refused(&serde::de::Error::custom(reason)));
    }
    let petrel = attempt.petrel();
    let WorkId { workflow, case, item } = attempt.work().clone();
    let of = JournalId { workflow, case, item };
    let store: Arc<dyn Journals> = petrel.storage().clone();
    let by = (attempt.worker().to_owned(), petrel.now());
    let opened = Journal::open(store, of, attempt.claim(), by, input).await;
    let opened = opened.map_err(|fatal| WorkError::from(fatal.failure()))?;
    let environment = Arc::new(Attempted { clock: petrel.clock(), attempt });
    carry_out(environment, opened, |context, input| run(context, input)).await
}

/// Carries a handler out on its journal, which has these entries, the input among them.
pub(super) async fn carry_out<I, T, R>(
    environment: Arc<dyn Environment>,
    (journal, entries): (Journal, Vec<StoredEntry>),
    handler: impl FnOnce(Context, I) -> R,
) -> Result<T, WorkError>
where
    I: DeserializeOwned,
    R: Future<Output = Result<T, WorkError>>,
{
    let mut past = Past::of(entries);
    let input = serde_json::from_value(past.input.take().unwrap_or_default());
    let input = input.map_err(|error| input_refused(&error))?;
    if let Some(of) = past.to_retry().filter(|_| environment.is_first()) {
        let retried =
            journal.append(EntryKind::Retried { of: of.clone() }, environment.now()).await;
        retried.map_err(|fatal| WorkError::from(fatal.failure()))?;
        past.forget_failure(&of);
    }
    let run = Arc::new(Run::new(environment, journal, past));
    let handler = handler(Context::new(Arc::clone(&run)), input);
    match run.carry(handler).await {
        Ok(Ok(ended)) => Ok(ended),
        Ok(Err(error)) => match run.failed(&error).await {
            Ok(()) => Err(error.without_retry()),
            Err(fatal) => Err(fatal.failure().into()),
        },
        Err(fatal) => {
            let failure = fatal.failure();
            // Whoever settles it has to know which step it was, of those that ran side by side.
            if let Fatal::Unknown { of, .. } | Fatal::Differs(Difference::Unreadable { of, .. }) =
                fatal
            {
                let entry = EntryKind::Failed { of: Some(of.clone()), failure: failure.clone() };
                run.end(entry).await.map_err(|fatal| WorkError::from(fatal.failure()))?;
            }
            Err(failure.into())
        }
    }
}
