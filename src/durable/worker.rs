//! Durable handlers of workers.

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Context,
    environment::{Environment, RealTime},
    journal::Journal,
    past::Past,
    run::Run,
};
use crate::{
    models::{JournalId, KindId, StoredEntry},
    petrel::WorkId,
    storage::Journals,
    worker::{Attempt, WorkError, WorkerBuilder},
};

impl WorkerBuilder {
    /// Carries out a kind of work by a durable handler, whose input and result have the JSON forms that serde gives them.
    /// An attempt whose worker is lost is followed by another one, which goes on after the last entry of the journal.
    ///
    /// An error of the handler is final: each of its steps has its own attempts.
    #[must_use]
    pub fn durable<I, O, F, R>(self, kind: KindId, run: F) -> Self
    where
        I: DeserializeOwned + Send + 'static,
        O: Serialize + Send + 'static,
        F: Fn(Context, I) -> R + Send + Sync + 'static,
        R: Future<Output = Result<O, WorkError>> + Send + 'static,
    {
        let run = Arc::new(run);
        self.handle(kind, move |attempt: Attempt, input: I| {
            let run = Arc::clone(&run);
            async move {
                let petrel = attempt.petrel();
                let environment = Arc::new(RealTime(petrel.clock()));
                let WorkId { workflow, case, item } = attempt.work().clone();
                let of = JournalId { workflow, case, item };
                let store: Arc<dyn Journals> = petrel.storage().clone();
                let by = (attempt.worker().to_owned(), environment.now());
                let opened = Journal::open(store, of, attempt.claim(), by).await;
                let opened = opened.map_err(|fatal| WorkError::from(fatal.failure()))?;
                carry_out(environment, opened, |context| run(context, input)).await
            }
        })
    }
}

/// Carries a handler out on its journal, which has these entries.
pub(super) async fn carry_out<T, R>(
    environment: Arc<dyn Environment>,
    (journal, entries): (Journal, Vec<StoredEntry>),
    handler: impl FnOnce(Context) -> R,
) -> Result<T, WorkError>
where
    R: Future<Output = Result<T, WorkError>>,
{
    let run = Arc::new(Run::new(environment, journal, Past::of(entries)));
    let handler = handler(Context::new(Arc::clone(&run)));
    match run.carry(handler).await {
        Ok(ended) => ended.map_err(WorkError::without_retry),
        Err(fatal) => Err(fatal.failure().into()),
    }
}
