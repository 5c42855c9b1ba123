//! Decoding of large messages, off the threads that everybody's requests take turns on.

use std::{num::NonZero, panic::resume_unwind, sync::LazyLock, thread::available_parallelism};

use tokio::{sync::Semaphore, task::spawn_blocking};

use super::direct::RawMessage;
use crate::storage::StorageError;

/// Bytes that are decoded in no time. A megabyte takes some 10 ms, and a case may have its tokens in
/// many such records.
const LIGHT: usize = 32 * 1024;

/// Turns at decoding large messages: as many at a time as the machine has processors.
static TURNS: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(available_parallelism().map_or(1, NonZero::get)));

/// Decodes a message.
pub async fn decoded<T: Send + 'static>(
    message: RawMessage,
    decode: fn(&RawMessage) -> Result<T, StorageError>,
) -> Result<T, StorageError> {
    if message.payload.len() <= LIGHT {
        return decode(&message);
    }
    // Nobody closes it, and nobody aborts the work, so its error is a panic.
    let _turn = TURNS.acquire().await;
    let work = spawn_blocking(move || decode(&message));
    work.await.unwrap_or_else(|error| resume_unwind(error.into_panic()))
}
