//! A stream's leader, which has everything that was acknowledged: reads from it, and the
//! reasons for its absence.

use std::time::Duration;

use async_nats::{
    Request,
    jetstream::{message::StreamMessage, stream},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Link,
    direct::RawMessage,
    refusal::{ApiError, no_leader},
};
use crate::storage::{Result, StorageError};

/// A message that the server does not have (`server/errors.json` of nats-server).
const NO_MESSAGE: u64 = 10_037;

/// Longest time for the API to give the reason that nobody listens. It says nothing at all
/// while the stream has no leader.
const INFO_ANSWERS: Duration = Duration::from_secs(1);

/// Longest time since a leader has heard from most of the servers to be believed. Another one
/// is elected by servers that have not heard of it for at least 4 s (`minElectionTimeout` of
/// nats-server, which says something every second); until [`FRESH`] is over, 3 s have passed.
const LEASE: Duration = Duration::from_secs(2);

/// Refuses what is said of a stream that no server leads, and the word of a leader that may be none
/// any more, since it is cut off from the others or was frozen: it finds that out by itself after up
/// to 10 s. `info` is what the server's API says of the stream.
pub(crate) fn led(stream: &str, info: &Value) -> Result<()> {
    let is_replicated = info["config"]["num_replicas"].as_u64().is_some_and(|count| count > 1);
    // A follower answers so.
    if is_replicated && info["cluster"].is_object() && info["cluster"]["leader"].is_null() {
        return Err(no_leader(stream));
    }
    let others = info["cluster"]["replicas"].as_array().map_or(&[][..], Vec::as_slice);
    let silent = |other: &&Value| {
        other["active"].as_u64().is_some_and(|ago| Duration::from_nanos(ago) > LEASE)
    };
    let silent = others.iter().filter(silent).count();
    if silent * 2 <= others.len() {
        return Ok(());
    }
    let of = others.len();
    let reason = format!(
        "the leader of stream {stream} has not heard from {silent} of the {of} others for \
         {LEASE:?}, so it may not lead any more"
    );
    Err(StorageError::Unavailable { reason, away_since: None })
}

impl Link {
    /// The message that `query` names; `None` is the leader's word that it has none.
    pub(super) async fn leader_get(
        &self,
        stream: &str,
        query: &Value,
    ) -> Result<Option<RawMessage>> {
        match self.call_leader(&format!("STREAM.MSG.GET.{stream}"), query).await? {
            Ok(mut answer) => raw(answer["message"].take(), stream).map(Some),
            Err(error) if error.err_code == NO_MESSAGE => Ok(None),
            Err(error) => Err(error.of_stream(stream)),
        }
    }

    /// Refuses the word of a leader that there is nothing more, where it has less than is known to be there:
    /// it was frozen, and others lead by now.
    pub(crate) async fn must_reach(&self, stream: &str, until: u64) -> Result<()> {
        let ends_at = self.ends_at(stream).await?;
        if ends_at >= until {
            return Ok(());
        }
        let reason = format!("{stream} ends at {ends_at}, says its leader, and had {until}");
        Err(StorageError::Unavailable { reason, away_since: None })
    }

    /// The last sequence of a stream, 0 if it is empty, by the word of a leader that is to be believed.
    pub(crate) async fn ends_at(&self, stream: &str) -> Result<u64> {
        let info = self.call_leader(&format!("STREAM.INFO.{stream}"), &Value::Null).await?;
        let info = info.map_err(|error| error.of_stream(stream))?;
        led(stream, &info)?;
        info["state"]["last_seq"].as_u64().ok_or_else(|| StorageError::Stream {
            stream: stream.to_owned(),
            reason: "the server does not say its last sequence".to_owned(),
        })
    }

    /// Returns true if the server answers for a stream which has not acknowledged a message.
    pub(crate) async fn stores_nothing(&self, stream: &str) -> bool {
        let subject = format!("{}.STREAM.INFO.{stream}", self.api);
        let request = Request::new().timeout(Some(self.timeout().min(INFO_ANSWERS)));
        let answered = self.client.send_request(subject, request).await.is_ok();
        if answered {
            self.breaker.answered();
        }
        answered
    }

    /// Reason for which nobody listens where a stream should: it is missing, or can't listen there, or has
    /// no leader now. The server's API is asked, since only that knows.
    pub(crate) async fn nobody(
        &self,
        stream: &str,
        listens: impl Fn(&Value) -> bool,
    ) -> StorageError {
        let subject = format!("{}.STREAM.INFO.{stream}", self.api);
        let request = Request::new().timeout(Some(self.timeout().min(INFO_ANSWERS)));
        // Not a sign of a server that is away: it has just said that nobody listens.
        let answer = match self.client.send_request(subject, request).await {
            Ok(answer) => serde_json::from_slice::<Value>(&answer.payload),
            Err(_) => return no_leader(stream),
        };
        match answer.as_ref().map(|answer| (answer, answer.get("error"))) {
            Ok((_, Some(error))) => match ApiError::deserialize(error) {
                Ok(error) => error.of_stream(stream),
                Err(_) => no_leader(stream),
            },
            // There is one by now.
            Ok((info, None)) if info["cluster"].is_object() && listens(&info["config"]) => {
                no_leader(stream)
            }
            _ => StorageError::Stream {
                stream: stream.to_owned(),
                reason: "its settings keep it from answering; restart to mend it".to_owned(),
            },
        }
    }
}

fn raw(message: Value, stream: &str) -> Result<RawMessage> {
    let unreadable = |error: &dyn std::fmt::Display| StorageError::Stream {
        stream: stream.to_owned(),
        reason: format!("its leader answered what is no message: {error}"),
    };
    let message: stream::RawMessage =
        serde_json::from_value(message).map_err(|error| unreadable(&error))?;
    let message = StreamMessage::try_from(message).map_err(|error| unreadable(&error))?;
    Ok(RawMessage {
        subject: message.subject.to_string(),
        sequence: message.sequence,
        timestamp: message.time,
        headers: message.headers,
        payload: message.payload,
    })
}

/// Returns true if a stream takes in messages of a subject, by its settings.
pub(crate) fn takes(config: &Value, subject: &str) -> bool {
    let matches = |pattern: &str| {
        let (mut words, mut pattern) = (subject.split('.'), pattern.split('.'));
        loop {
            match (pattern.next(), words.next()) {
                (Some(">"), Some(_)) | (None, None) => break true,
                (Some("*"), Some(_)) => {}
                (Some(pattern), Some(word)) if pattern == word => {}
                _ => break false,
            }
        }
    };
    config["subjects"].as_array().into_iter().flatten().filter_map(Value::as_str).any(matches)
}
