//! Answers of workers, and what the services API says of them beside these.

use std::collections::HashMap;

use bytes::Bytes;
use chrono::SecondsFormat;

use crate::storage::{PresentWorker, WorkerCard};

/// The most characters of a text among the metadata.
const MOST_OF_A_TEXT: usize = 2_000;

/// An answer of at most so many bytes. If there are more, the attempts that began last are left out, and then
/// kinds and queues.
pub(super) fn encode(worker: &mut PresentWorker, most: usize) -> Bytes {
    loop {
        // Numbers and texts are JSON whatever they are.
        let encoded = serde_json::to_vec(&worker).unwrap_or_default();
        let named = worker.doing.attempts.len();
        let (kinds, queues) = (worker.card.kinds.len(), worker.card.queues.len());
        if encoded.len() <= most || named + kinds + queues == 0 {
            return encoded.into();
        }
        match named {
            0 => {
                worker.card.kinds.truncate(kinds / 2);
                worker.card.queues.truncate(queues / 2);
            }
            named => worker.doing.attempts.truncate(named / 2),
        }
    }
}

/// The worker of an answer; `None` if it is something else. What else it has is a later version's, and passed
/// over.
pub(super) fn decode(payload: &[u8]) -> Option<PresentWorker> {
    serde_json::from_slice(payload).ok()
}

/// The fixed part of a worker, as texts.
pub(super) fn metadata(card: &WorkerCard, prefix: &str) -> HashMap<String, String> {
    let queues = card.queues.iter().map(|of| format!("{}={}", of.queue, of.concurrency));
    let kinds = card.kinds.iter().map(ToString::to_string);
    let all = [
        ("worker", card.name.clone()),
        ("queues", queues.collect::<Vec<_>>().join(",")),
        ("kinds", kinds.collect::<Vec<_>>().join(",")),
        ("hand_over", card.hands_over.to_string()),
        ("since", card.since.to_rfc3339_opts(SecondsFormat::Millis, true)),
        ("prefix", prefix.to_owned()),
    ];
    all.map(|(key, text)| (key.to_owned(), text.chars().take(MOST_OF_A_TEXT).collect())).into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn worker(attempts: usize) -> PresentWorker {
        let attempt = json!({
            "workflow": "w", "case": "c", "item": 1, "claim": 2, "attempt": 1, "kind": "k",
            "queue": "q", "since": "2026-03-14T15:09:26Z",
        });
        let attempts: Vec<_> = (0..attempts).map(|_| attempt.clone()).collect();
        serde_json::from_value(json!({
            "id": "1", "version": "0.1.0", "name": "ann", "kinds": ["k"], "hands_over": true,
            "queues": [{ "queue": "q", "concurrency": 5 }], "since": "2026-03-14T15:09:26Z",
            "running": attempts.len(), "attempts": attempts, "more": "of a later version",
        }))
        .unwrap()
    }

    #[test]
    fn an_answer_comes_back_and_one_that_is_too_long_says_how_many_there_are() {
        let mut whole = worker(3);
        let encoded = encode(&mut whole, 100_000);
        assert_eq!(decode(&encoded).unwrap(), worker(3));
        let mut part = worker(100);
        let encoded = encode(&mut part, 4_000);
        assert!(encoded.len() <= 4_000, "{}", encoded.len());
        let part = decode(&encoded).unwrap();
        assert_eq!((part.doing.running, part.doing.attempts.len()), (100, 25));
        assert_eq!(decode(b"{\"stream\":\"ALL\",\"seq\":1}"), None);
    }
}
