//! Decoding of large messages, off the threads that everybody's requests take turns on.

use std::{
    future::pending,
    num::NonZero,
    panic::resume_unwind,
    sync::{Arc, LazyLock},
    thread::available_parallelism,
};

use tokio::{
    sync::Semaphore,
    task::{JoinError, spawn_blocking},
};
use tokio_util::task::AbortOnDropHandle;

use super::direct::RawMessage;
use crate::storage::StorageError;

/// Bytes that are decoded in no time. A megabyte takes some 10 ms, and a case may have its tokens in
/// many such records.
const LIGHT: usize = 32 * 1024;

/// Turns at decoding large messages: as many at a time as the machine has processors.
static TURNS: LazyLock<Arc<Semaphore>> =
    LazyLock::new(|| Arc::new(Semaphore::new(available_parallelism().map_or(1, NonZero::get))));

/// Decodes a message.
pub(crate) async fn decoded<T: Send + 'static>(
    message: RawMessage,
    decode: impl FnOnce(&RawMessage) -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    if message.payload.len() <= LIGHT {
        return decode(&message);
    }
    // A task of its own waits for the turn. Whoever waited here would keep the turn from others for
    // as long as nobody polls him, as in the buffer of a stream whose reader awaits something else.
    let work = AbortOnDropHandle::new(tokio::spawn(async move {
        // Nobody closes it.
        let turn = Arc::clone(&TURNS).acquire_owned().await;
        let work = spawn_blocking(move || {
            // It is ours until the end, even if nobody waits for it any more.
            let _turn = turn;
            decode(&message)
        });
        work.await
    }));
    match work.await.flatten().map_err(JoinError::try_into_panic) {
        Ok(decoded) => decoded,
        Err(Ok(panic)) => resume_unwind(panic),
        // The runtime ends, and the task that asked with it.
        Err(Err(_)) => pending().await,
    }
}
