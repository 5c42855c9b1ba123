//! Reading by direct get: one request, answered by any replica, nothing acknowledged.

use async_nats::HeaderMap;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::StreamExt;
use serde_json::{Value, json};

use super::{Link, codec::timestamp, link::status};
use crate::storage::{Result, StorageError};

/// A stored message as the server hands it out.
#[derive(Debug, Clone)]
pub struct RawMessage {
    pub subject: String,
    pub sequence: u64,
    pub timestamp: DateTime<Utc>,
    pub headers: HeaderMap,
    pub payload: Bytes,
}

/// What a request for many messages gave.
#[derive(Debug)]
pub enum Many {
    /// The messages, in the order of their sequences.
    All(Vec<RawMessage>),
    /// More subjects match than the server answers for at once (1,024).
    TooMany,
}

impl Link {
    /// The last message over a subject, which may have wildcards.
    pub async fn last(&self, stream: &str, subject: &str) -> Result<Option<RawMessage>> {
        self.get(stream, &json!({ "last_by_subj": subject })).await
    }

    /// The message at a sequence.
    pub async fn at(&self, stream: &str, sequence: u64) -> Result<Option<RawMessage>> {
        self.get(stream, &json!({ "seq": sequence })).await
    }

    async fn get(&self, stream: &str, query: &Value) -> Result<Option<RawMessage>> {
        let subject = format!("{}.DIRECT.GET.{stream}", self.api);
        let message = match self.request(subject, None, query.to_string().into()).await {
            Err(StorageError::Stream { .. }) => return Err(missing(stream)),
            other => other?,
        };
        match status(&message) {
            None => raw(message, stream).map(Some),
            Some((code, _)) if code.as_u16() == 404 => Ok(None),
            Some((code, text)) => Err(StorageError::Stream {
                stream: stream.to_owned(),
                reason: format!("direct get {query} was refused: {code} {text}"),
            }),
        }
    }

    /// The last message of each subject that `filters` match.
    pub async fn last_of_each(&self, stream: &str, filters: &[String]) -> Result<Many> {
        self.get_many(stream, json!({ "multi_last": filters })).await
    }

    /// At most `batch` messages of the subjects that `filter` matches, from a sequence on.
    pub async fn next_batch(
        &self,
        stream: &str,
        filter: &str,
        from: u64,
        batch: usize,
    ) -> Result<Vec<RawMessage>> {
        let query = json!({ "seq": from.max(1), "next_by_subj": filter, "batch": batch });
        match self.get_many(stream, query).await? {
            Many::All(messages) => Ok(messages),
            // Said only of a request for the last of each.
            Many::TooMany => Ok(Vec::new()),
        }
    }

    async fn get_many(&self, stream: &str, query: Value) -> Result<Many> {
        self.breaker.check()?;
        let inbox = self.client.new_inbox();
        let lost = |error: &dyn std::fmt::Display| self.breaker.unanswered(&error.to_string());
        let mut answers =
            self.client.subscribe(inbox.clone()).await.map_err(|error| lost(&error))?;
        let subject = format!("{}.DIRECT.GET.{stream}", self.api);
        let query = query.to_string().into();
        let sent = self.client.publish_with_reply(subject, inbox, query).await;
        sent.map_err(|error| lost(&error))?;
        let mut messages = Vec::new();
        loop {
            let next = tokio::time::timeout(self.timeout(), answers.next()).await;
            let Ok(Some(message)) = next else {
                return Err(lost(&format!("no answer in {:?}", self.timeout())));
            };
            self.breaker.answered();
            match status(&message).map(|(code, text)| (code.as_u16(), text)) {
                None => messages.push(raw(message, stream)?),
                Some((204 | 404, _)) => return Ok(Many::All(messages)),
                Some((413, _)) => return Ok(Many::TooMany),
                Some((503, _)) => return Err(missing(stream)),
                Some((code, text)) => {
                    return Err(StorageError::Stream {
                        stream: stream.to_owned(),
                        reason: format!("a listing was refused: {code} {text}"),
                    });
                }
            }
        }
    }
}

fn missing(stream: &str) -> StorageError {
    StorageError::Stream {
        stream: stream.to_owned(),
        reason: "is missing, or does not allow direct get; restart to mend it".to_owned(),
    }
}

fn raw(message: async_nats::Message, stream: &str) -> Result<RawMessage> {
    let headers = message.headers.unwrap_or_default();
    let text = |name: &str| headers.get(name).map(|value| value.as_str());
    let read = || {
        Some((
            text("Nats-Subject")?.to_owned(),
            text("Nats-Sequence")?.parse().ok()?,
            timestamp(text("Nats-Time-Stamp")?)?,
        ))
    };
    let Some((subject, sequence, timestamp)) = read() else {
        return Err(StorageError::Stream {
            stream: stream.to_owned(),
            reason: "a direct get answered without subject, sequence and time".to_owned(),
        });
    };
    Ok(RawMessage { subject, sequence, timestamp, headers, payload: message.payload })
}
