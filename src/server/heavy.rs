//! Work that takes long without a pause, off the threads that everybody's requests take turns on.

use std::{num::NonZero, sync::Arc, thread::available_parallelism};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::Semaphore,
    task::block_in_place,
};

/// Bytes that are read, parsed and checked in no time. 128 KiB of document, or 2 MiB of variables, take
/// a tenth of a second and more.
const LIGHT: usize = 4 * 1024;

/// Turns at heavy work: as many at a time as there are processors. A clone shares them.
#[derive(Debug, Clone)]
pub(super) struct Heavy(Arc<Semaphore>);

impl Heavy {
    pub(super) fn new() -> Self {
        let processors = available_parallelism().map_or(1, NonZero::get);
        Self(Arc::new(Semaphore::new(processors)))
    }

    /// Does work on so many bytes. If they are many it waits for its turn, and others' requests go on
    /// on another thread meanwhile.
    pub(super) async fn work<T>(&self, bytes: usize, work: impl FnOnce() -> T) -> T {
        if bytes <= LIGHT {
            return work();
        }
        // Nobody closes it.
        let _turn = self.0.acquire().await;
        match Handle::current().runtime_flavor() {
            RuntimeFlavor::MultiThread => block_in_place(work),
            // There is no other thread.
            _ => work(),
        }
    }
}
