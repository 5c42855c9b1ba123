//! Messages of beats and of progress.

use std::time::Duration;

use async_nats::{
    HeaderMap,
    header::{HeaderName, NATS_MESSAGE_TTL, NATS_ROLLUP},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::storage::{Beat, nats::direct::RawMessage};

/// The claim under which a progress was made.
const CLAIM: HeaderName = HeaderName::from_static("Petrel-Claim");

/// Body of a beat's message; whose it is says the subject. What else it has is a later version's, and
/// passed over.
#[derive(Serialize, Deserialize)]
struct Body {
    claim: u64,
    holder: String,
    worker: String,
    /// Seconds for which it lives.
    life: u64,
}

/// Headers of a beat, which replaces the one before it.
pub(super) fn beat_headers(life: u64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_ROLLUP, "sub");
    headers.insert(NATS_MESSAGE_TTL, format!("{life}s"));
    headers
}

/// Body of a beat.
pub(super) fn beat_body(beat: &Beat, life: u64) -> Bytes {
    let (claim, holder, worker) = (beat.claim, beat.holder.clone(), beat.worker.clone());
    // Numbers and texts are JSON whatever they are.
    serde_json::to_vec(&Body { claim, holder, worker, life }).unwrap_or_default().into()
}

/// Headers of a progress, which replaces the one before it.
pub(super) fn progress_headers(claim: u64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_ROLLUP, "sub");
    headers.insert(CLAIM, claim.to_string());
    headers
}

/// Claim, holder, worker and life of a beat's message. The error is the reason that it is none.
pub(super) fn decode_beat(message: &RawMessage) -> Result<(u64, String, String, Duration), String> {
    let body = serde_json::from_slice(&message.payload);
    let Body { claim, holder, worker, life } =
        body.map_err(|error| format!("it is no beat: {error}"))?;
    Ok((claim, holder, worker, Duration::from_secs(life)))
}

/// Claim of a progress's message. The error is the reason that it is none.
pub(super) fn decode_progress(message: &RawMessage) -> Result<u64, String> {
    let claim = message.headers.get(CLAIM).ok_or("it is no progress: no header Petrel-Claim")?;
    claim.as_str().parse().map_err(|error| format!("its header Petrel-Claim: {error}"))
}
