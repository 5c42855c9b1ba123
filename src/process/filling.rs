//! View of a serving process: made again where somebody deleted it, and filled from the log.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::{
    petrel::{self, Petrel, Repaired},
    storage::{CaseLog, Checkpoint, Recovery, StorageError, TokenView, nats::NatsStorage},
};

/// Time between two looks at the view.
const EVERY: Duration = Duration::from_secs(1);

/// Longest pause before a view that could not be filled is tried again; it grows to this, since each
/// time costs as much as a rebuild.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Time after which a lasting failure is told of again.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// Looks for the view until `stop`, and fills it when it was made again.
pub(super) async fn keep_view(petrel: &Petrel, storage: &NatsStorage, stop: CancellationToken) {
    let (mut complained, mut pause) = (None::<Instant>, EVERY);
    loop {
        let looked = tokio::select! {
            looked = look(petrel, storage) => looked,
            () = stop.cancelled() => return,
        };
        match looked {
            Ok(true) => (complained, pause) = (None, EVERY),
            Ok(false) => pause = (2 * pause).min(LONGEST_PAUSE),
            // An outage is told of by the connection.
            Err(error) if error.retryable() => {
                tracing::debug!(%error, "the view is looked at again")
            }
            Err(error) if complained.is_none_or(|at| at.elapsed() >= COMPLAIN_EVERY) => {
                tracing::warn!(%error, "the view can't be filled now; trying again");
                complained = Some(Instant::now());
            }
            Err(_) => {}
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Looks for the view, and fills it if it is to be filled. Returns false if it could not be filled.
async fn look(petrel: &Petrel, storage: &NatsStorage) -> petrel::Result<bool> {
    let Some(view) = storage.view_to_be_filled().await? else { return Ok(true) };
    tracing::warn!("the view was missing; it is being filled from the log");
    let recovery = storage.recovery().await?;
    let right = storage.last_sequence().await?;
    let note = async || {
        // What was written before a crash may be lost.
        let is_filled_in = matches!(recovery, Recovery::BeingFilled(_));
        if is_filled_in && storage.recovery().await? != recovery {
            tracing::warn!("the view's server started again while it was filled; looking again");
            return Ok(false);
        }
        if let Recovery::BeingFilled(life) = recovery {
            match storage.keep_checkpoint(&Checkpoint { life, right, kept: None }).await {
                Err(error) if error.retryable() => return Err(error),
                // It is right without: whoever serves looks at all of it again.
                Err(error) => tracing::warn!(%error, "the checkpoint of the view can't be kept"),
                Ok(_) => {}
            }
        }
        storage.view_is_filled(&view).await?;
        Ok(true)
    };
    fill(petrel, note).await.or_else(|error| {
        tracing::warn!(%error, "the view could not be filled; trying again");
        Ok(false)
    })
}

/// Fills the view from the log, and notes for all processes that it is done. Returns false if a case
/// was out of reach, or `note` does not want to. Stopped in the middle, the next look, or the next
/// serving process, begins again.
async fn fill<F>(petrel: &Petrel, note: impl FnOnce() -> F) -> petrel::Result<bool>
where
    F: Future<Output = Result<bool, StorageError>>,
{
    let Repaired { cases, mended, failed, unsettled, .. } = petrel.rebuild(&|_, _| ()).await?;
    // What can't be read stays so, and what was out of reach does not.
    if unsettled > 0 {
        tracing::warn!(unsettled, "cases could not be put into the view; trying again");
        return Ok(false);
    }
    let is_noted = note().await?;
    if is_noted {
        tracing::warn!(cases, mended, failed, "the view was missing; it has been filled");
    }
    Ok(is_noted)
}

#[cfg(test)]
mod tests {
    use std::{
        future::ready,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use serde_json::json;

    use super::*;
    use crate::{
        models::{WorkflowDefinition, WorkflowId},
        petrel::{ExpectedVersion, NewCase},
        storage::{Consistency, MemoryStorage},
        testing::FaultyStorage,
    };

    #[tokio::test]
    async fn a_view_is_not_filled_while_a_case_is_out_of_reach() {
        let faulty = Arc::new(FaultyStorage::new(Arc::new(MemoryStorage::new())));
        let petrel = Petrel::new(faulty.clone());
        let net = json!({ "id": "w", "initial_place": "a", "places": [{ "id": "a" }],
                          "transitions": [] });
        let net: WorkflowDefinition = serde_json::from_value(net).unwrap();
        petrel.create_workflow(net, ExpectedVersion::Any).await.unwrap();
        faulty.drop_views();
        let begun = petrel.create_case(NewCase::of(WorkflowId::new("w").unwrap())).await.unwrap();
        let notes = AtomicUsize::new(0);
        let note = || {
            notes.fetch_add(1, Ordering::Relaxed);
            ready(Ok(true))
        };
        for _ in 0..2 {
            assert!(!fill(&petrel, note).await.unwrap());
        }
        assert_eq!(notes.load(Ordering::Relaxed), 0);
        faulty.pass_views();
        assert!(fill(&petrel, note).await.unwrap());
        assert_eq!(notes.load(Ordering::Relaxed), 1);
        let token = petrel.token(None, &begun.tokens[0].id, Consistency::Eventual).await;
        assert_eq!(token.unwrap().id, begun.tokens[0].id);
    }
}
