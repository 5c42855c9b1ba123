//! The memory that requests may take while they arrive and are read, all of them together.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Bytes that a request may take without asking: nearly all need no more.
pub(super) const FREE: usize = 16 * 1024;

/// The most bytes that one request may take.
pub(super) const MOST: usize = 64 * 1024 * 1024;

/// Bytes that all requests that ask may take together while they arrive.
const ARRIVING: usize = 64 * 1024 * 1024;

/// Bytes that all requests that ask may take together once they are read.
const READ: usize = 128 * 1024 * 1024;

/// Bytes that are counted as one.
const UNIT: usize = 1024;

/// Time that a request may wait for its turn.
const TURN: Duration = Duration::from_secs(5);

/// A share of the memory, given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    _units: Option<OwnedSemaphorePermit>,
}

/// The memory. A clone is the same. A request keeps its share of the one part until it has that of the
/// other: what has arrived and waits to be read is in memory, too.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    arriving: Arc<Semaphore>,
    read: Arc<Semaphore>,
}

impl Budget {
    pub(super) fn new() -> Self {
        let of = |bytes: usize| Arc::new(Semaphore::new(bytes / UNIT));
        Self { arriving: of(ARRIVING), read: of(READ) }
    }

    /// A share of so many bytes for a request that arrives, at most [`MOST`], in the order in which
    /// they were asked for; `None` if there are none in time.
    pub(super) async fn arriving(&self, bytes: usize) -> Option<Share> {
        share(&self.arriving, bytes).await
    }

    /// The same for a request that is read.
    pub(super) async fn read(&self, bytes: usize) -> Option<Share> {
        share(&self.read, bytes).await
    }
}

async fn share(memory: &Arc<Semaphore>, bytes: usize) -> Option<Share> {
    if bytes <= FREE {
        return Some(Share { _units: None });
    }
    // At most `MOST / UNIT`, which is far below 32 bits.
    let units = bytes.min(MOST).div_ceil(UNIT) as u32;
    let turn = timeout(TURN, Arc::clone(memory).acquire_many_owned(units)).await;
    Some(Share { _units: Some(turn.ok()?.ok()?) })
}

/// An estimate of the bytes that a JSON document takes when it has been read. A map takes some
/// hundred times its two brackets.
pub(super) fn when_read(json: &[u8]) -> usize {
    const MAP: usize = 640;
    const VALUE: usize = 64;
    let (mut values, mut in_string, mut escaped) = (0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' => values += MAP,
            b'[' | b',' => values += VALUE,
            _ => {}
        }
    }
    json.len() + values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_strings_takes_no_more_than_it_has() {
        assert_eq!(when_read(br#""[{,\"{{{,,,""#), 13);
        assert_eq!(when_read(b"[1,{}]"), 6 + 640 + 2 * 64);
    }

    #[tokio::test(start_paused = true)]
    async fn shares_are_bounded_and_come_back_and_small_ones_are_free() {
        let budget = Budget::new();
        let shares = [budget.read(MOST).await, budget.read(MOST).await];
        assert!(shares.iter().all(Option::is_some));
        assert!(budget.read(FREE + 1).await.is_none());
        assert!(budget.read(FREE).await.is_some());
        assert!(budget.arriving(MOST).await.is_some(), "another part");
        drop(shares);
        assert!(budget.read(MOST).await.is_some());
    }
}
