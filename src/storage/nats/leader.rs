//! Reading from a stream's leader, which has everything that was acknowledged: one request.

use async_nats::jetstream::{message::StreamMessage, stream};
use serde_json::{Value, json};

use super::{Link, direct::RawMessage};
use crate::storage::{Result, StorageError};

/// A message that the server does not have (`server/errors.json` of nats-server).
const NO_MESSAGE: u64 = 10_037;

impl Link {
    /// The last message over a subject, which may have wildcards.
    pub async fn leader_last(&self, stream: &str, subject: &str) -> Result<Option<RawMessage>> {
        self.leader_get(stream, &json!({ "last_by_subj": subject })).await
    }

    /// The first message at or after a sequence over a subject, which may have wildcards.
    pub async fn leader_next(
        &self,
        stream: &str,
        subject: &str,
        from: u64,
    ) -> Result<Option<RawMessage>> {
        self.leader_get(stream, &json!({ "next_by_subj": subject, "seq": from.max(1) })).await
    }

    /// The message that `query` names; `None` is the leader's word that it has none.
    pub async fn leader_get(&self, stream: &str, query: &Value) -> Result<Option<RawMessage>> {
        match self.call(&format!("STREAM.MSG.GET.{stream}"), query).await? {
            Ok(mut answer) => raw(answer["message"].take(), stream).map(Some),
            Err(error) if error.err_code == NO_MESSAGE => Ok(None),
            Err(error) => Err(error.of_stream(stream)),
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
