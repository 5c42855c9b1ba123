//! The view while a process serves: made again where somebody deleted it, and filled from the log.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::{
    cases::{self, Cases, Repaired},
    storage::nats::NatsStorage,
};

/// How often the view is looked at, and the pause before one that could not be filled is tried
/// again.
const EVERY: Duration = Duration::from_secs(1);

/// How often a lasting failure is told of again.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// Looks whether the view is there until `stop`, and fills it when it was made again.
pub(super) async fn keep_view(cases: &Cases, storage: &NatsStorage, stop: CancellationToken) {
    let (mut failed_before, mut complained) = (0, None::<Instant>);
    loop {
        let looked = tokio::select! {
            looked = look(cases, storage, &mut failed_before) => looked,
            () = stop.cancelled() => return,
        };
        match looked {
            Ok(()) => complained = None,
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
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Fills the view if it lacks what the log has, and notes for all processes that it is done.
/// Stopped in the middle, the next look, or the next serving process, begins again.
async fn look(
    cases: &Cases,
    storage: &NatsStorage,
    failed_before: &mut u64,
) -> Result<(), cases::Error> {
    let Some(view) = storage.view_to_be_filled().await? else {
        *failed_before = 0;
        return Ok(());
    };
    tracing::warn!("the view was missing; it is being filled from the log");
    let Repaired { cases, mended, failed, .. } = cases.rebuild(&|_, _| ()).await?;
    // What can't be read fails again, and what was out of reach does not.
    if failed == *failed_before {
        storage.view_is_filled(&view).await?;
        tracing::warn!(cases, mended, failed, "the view was missing; it has been filled");
    } else {
        tracing::warn!(failed, "cases could not be put into the view; trying again");
    }
    *failed_before = failed;
    Ok(())
}
