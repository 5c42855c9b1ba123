//! View of a serving process: made again where somebody deleted it, and filled from the log.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::{
    petrel::{self, Petrel, Repaired},
    storage::{
        CaseLog, Checkpoint, Recovery, StorageError, TokenView, nats::Filling, nats::NatsStorage,
    },
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
    let recovery = storage.recovery().await?;
    let right = storage.last_sequence().await?;
    tracing::warn!("the view was missing; it is being filled from the log");
    let note = async || {
        if let Some(end) = end_of(storage.view_to_be_filled().await?, &view) {
            return Ok(end);
        }
        if let Recovery::BeingFilled(life) = recovery {
            match storage.recovery().await? {
                Recovery::BeingFilled(now) if now == life => {
                    let filled = Checkpoint { life, right, kept: None };
                    match storage.keep_checkpoint(&filled).await {
                        Err(error) if error.retryable() => return Err(error),
                        // It is right without: whoever serves looks at all of it again.
                        Err(error) => {
                            tracing::warn!(%error, "the checkpoint of the view can't be kept");
                        }
                        Ok(_) => {}
                    }
                }
                // Another process has kept one, and has not noted yet that the view is filled.
                Recovery::After(kept) if kept.life == life => {}
                // What was written before a crash may be lost.
                _ => return Ok(End::InAnotherLife),
            }
        }
        storage.view_is_filled(&view).await?;
        Ok(End::Filled)
    };
    Ok(match fill(petrel, ended_by_others(storage, &view), note).await {
        Ok(end) => end.told(),
        // Who was frozen for a while has no answers, and others may have filled it meanwhile.
        Err(error) => match storage.view_to_be_filled().await.map(|now| end_of(now, &view)) {
            Ok(Some(end)) => end.told(),
            Ok(None) | Err(_) => {
                tracing::warn!(%error, "the view could not be filled; trying again");
                false
            }
        },
    })
}

/// End of a filling.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The view has what the log has, and that is noted for all processes.
    Filled,
    /// Another process has noted it.
    FilledByAnother,
    /// So many cases were out of reach.
    Unsettled(u64),
    /// The view was taken away, and is there again.
    MadeAgain,
    /// The view's server started again.
    InAnotherLife,
}

impl End {
    /// Tells of it, unless [`fill`] has. Returns true if the view is filled.
    fn told(self) -> bool {
        match self {
            Self::Filled => return true,
            Self::FilledByAnother => {
                tracing::warn!("the view was missing; another process has filled it");
                return true;
            }
            Self::Unsettled(unsettled) => {
                tracing::warn!(unsettled, "cases could not be put into the view; trying again");
            }
            Self::MadeAgain => {
                tracing::warn!("the view was taken away while it was filled; looking again");
            }
            Self::InAnotherLife => {
                tracing::warn!(
                    "the view's server started again while it was filled; looking again"
                );
            }
        }
        false
    }
}

/// The end that others have made of the filling of `view`, by the view that is to be filled `now`.
fn end_of(now: Option<Filling>, view: &Filling) -> Option<End> {
    match now {
        None => Some(End::FilledByAnother),
        Some(now) if now != *view => Some(End::MadeAgain),
        Some(_) => None,
    }
}

/// Waits until others have made an end of the filling of `view`. Cancel-safe.
async fn ended_by_others(storage: &NatsStorage, view: &Filling) -> End {
    loop {
        tokio::time::sleep(EVERY).await;
        // Without an answer it goes on: to fill it once more is never wrong.
        if let Ok(now) = storage.view_to_be_filled().await
            && let Some(end) = end_of(now, view)
        {
            return end;
        }
    }
}

/// Fills the view from the log, and notes for all processes that it is done, unless others make an end
/// of it before. Does not note it if a case was out of reach. Stopped in the middle, the next look, or
/// the next serving process, begins again.
async fn fill<F>(
    petrel: &Petrel,
    ended_by_others: impl Future<Output = End>,
    note: impl FnOnce() -> F,
) -> petrel::Result<End>
where
    F: Future<Output = Result<End, StorageError>>,
{
    let repaired = tokio::select! {
        repaired = petrel.rebuild(&|_, _| ()) => repaired?,
        end = ended_by_others => return Ok(end),
    };
    let Repaired { cases, mended, failed, unsettled, .. } = repaired;
    // What can't be read stays so, and what was out of reach does not.
    if unsettled > 0 {
        return Ok(End::Unsettled(unsettled));
    }
    let end = note().await?;
    if end == End::Filled {
        tracing::warn!(cases, mended, failed, "the view was missing; it has been filled");
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use serde_json::json;

    use super::*;
    use crate::{
        models::{WorkflowDefinition, WorkflowId},
        petrel::{Changed, ExpectedVersion, NewCase},
        storage::{Consistency, MemoryStorage},
        testing::FaultyStorage,
    };

    /// A case whose token is not in the view, and writes of the view that fail.
    async fn unfilled() -> (Arc<FaultyStorage>, Petrel, Changed) {
        let faulty = Arc::new(FaultyStorage::new(Arc::new(MemoryStorage::new())));
        let petrel = Petrel::new(faulty.clone());
        let net = json!({ "id": "w", "initial_place": "a", "places": [{ "id": "a" }],
                          "transitions": [] });
        let net: WorkflowDefinition = serde_json::from_value(net).unwrap();
        petrel.create_workflow(net, ExpectedVersion::Any).await.unwrap();
        faulty.drop_views();
        let begun = petrel.create_case(NewCase::of(WorkflowId::new("w").unwrap())).await.unwrap();
        (faulty, petrel, begun)
    }

    #[tokio::test]
    async fn a_filling_that_others_have_made_an_end_of_is_left_where_it_is() {
        let (faulty, petrel, _) = unfilled().await;
        faulty.hold_views();
        for by_others in [End::FilledByAnother, End::MadeAgain] {
            let until_others = async {
                faulty.until_views_held().await;
                by_others
            };
            let note = || async { unreachable!("it is noted by others") };
            let end = fill(&petrel, until_others, note).await.unwrap();
            assert_ne!(end, End::Filled);
        }
    }

    #[tokio::test]
    async fn a_view_is_not_filled_while_a_case_is_out_of_reach() {
        let (faulty, petrel, begun) = unfilled().await;
        let notes = AtomicUsize::new(0);
        let note = || {
            notes.fetch_add(1, Ordering::Relaxed);
            ready(Ok(End::Filled))
        };
        for _ in 0..2 {
            assert_eq!(fill(&petrel, pending(), note).await.unwrap(), End::Unsettled(1));
        }
        assert_eq!(notes.load(Ordering::Relaxed), 0);
        faulty.pass_views();
        assert_eq!(fill(&petrel, pending(), note).await.unwrap(), End::Filled);
        assert_eq!(notes.load(Ordering::Relaxed), 1);
        let token = petrel.token(None, &begun.tokens[0].id, Consistency::Eventual).await;
        assert_eq!(token.unwrap().id, begun.tokens[0].id);
    }
}
