//! An append to a log, alone or as one of a batch.

use async_nats::{HeaderMap, header::HeaderName};
use bytes::Bytes;

use super::publish::Expected;

const BATCH_ID: HeaderName = HeaderName::from_static("Nats-Batch-Id");
const BATCH_SEQUENCE: HeaderName = HeaderName::from_static("Nats-Batch-Sequence");
const BATCH_COMMIT: HeaderName = HeaderName::from_static("Nats-Batch-Commit");

/// One message on the condition that a fence has an expected last sequence.
#[derive(Debug, Clone)]
pub(in crate::storage) struct Append {
    pub subject: String,
    pub fence: String,
    pub expected: u64,
    pub payload: Bytes,
}

impl Append {
    /// Headers of the message with this number, from 0 on, of a batch.
    pub(super) fn headers(&self, batch: &str, number: usize) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(BATCH_ID, batch);
        headers.insert(BATCH_SEQUENCE, (number + 1).to_string());
        Expected { sequence: self.expected, filter: Some(&self.fence) }.add_to(&mut headers);
        headers
    }

    /// The same for the last one.
    pub(super) fn commit_headers(&self, batch: &str, number: usize) -> HeaderMap {
        let mut headers = self.headers(batch, number);
        headers.insert(BATCH_COMMIT, "1");
        headers
    }
}
