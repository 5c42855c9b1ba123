//! Reading by direct get: one request, answered by any replica, nothing acknowledged.

use async_nats::{
    HeaderMap,
    header::{NATS_SEQUENCE, NATS_SUBJECT, NATS_TIME_STAMP},
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::StreamExt;
use serde_json::{Value, json};

use super::{Link, decoding::decoded, link::status};
use crate::storage::{Result, StorageError};

/// A stored message as the server hands it out.
#[derive(Debug, Clone)]
pub(crate) struct RawMessage {
    pub subject: String,
    pub sequence: u64,
    pub timestamp: DateTime<Utc>,
    pub headers: HeaderMap,
    pub payload: Bytes,
}

/// The most bytes that one request asks for. A server sends up to its `max_pending` (64 MB)
/// otherwise: more than it may have on its way to a client before it cuts the connection.
pub(crate) const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Answer to a request for many messages.
#[derive(Debug)]
pub(crate) enum Many {
    /// Messages, in the order of their sequences.
    Some {
        messages: Vec<RawMessage>,
        /// True if the server stopped at a limit: there are more after the last of these.
        more: bool,
    },
    /// More subjects match than the server answers for at once (1,024).
    TooMany,
}

/// The message that is asked for. Subjects may have wildcards.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Query<'a> {
    /// The last one over a subject.
    Last(&'a str),
    /// The one at a sequence; the first is 1.
    At(u64),
    /// The first one over a subject at or after a sequence.
    Next(&'a str, u64),
}

impl Query<'_> {
    fn json(self) -> Value {
        match self {
            Self::Last(subject) => json!({ "last_by_subj": subject }),
            Self::At(sequence) => json!({ "seq": sequence }),
            Self::Next(subject, from) => json!({ "next_by_subj": subject, "seq": from.max(1) }),
        }
    }
}

/// The server that is asked for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Any that has the stream. One that lags may not have it yet.
    Any,
    /// The stream's leader. It has everything that was acknowledged.
    Leader,
}

/// A message that was read, and what it was decoded to.
#[derive(Debug)]
pub(crate) struct Decoded<T> {
    pub sequence: u64,
    pub timestamp: DateTime<Utc>,
    pub what: Result<T>,
}

impl Link {
    /// The message that is asked for. `None` if there is none.
    pub(crate) async fn get(
        &self,
        stream: &str,
        query: Query<'_>,
        asked: Asked,
    ) -> Result<Option<RawMessage>> {
        match self.one.room() {
            Some(_room) => self.get_now(stream, query.json(), asked).await,
            None => {
                let (link, stream, query) = (self.clone(), stream.to_owned(), query.json());
                self.one.turn(async move { link.get_now(&stream, query, asked).await }).await
            }
        }
    }

    /// Decodes the message that is asked for. It has its room until then: messages that have arrived,
    /// and wait to be decoded, would have no bound otherwise.
    pub(crate) async fn get_decoded<T: Send + 'static>(
        &self,
        stream: &str,
        query: Query<'_>,
        asked: Asked,
        decode: impl FnOnce(&RawMessage) -> Result<T> + Send + 'static,
    ) -> Result<Option<Decoded<T>>> {
        match self.one.room() {
            Some(_room) => {
                let found = self.get_now(stream, query.json(), asked).await?;
                Ok(all_decoded(found, decode).await)
            }
            None => {
                let (link, stream, query) = (self.clone(), stream.to_owned(), query.json());
                let read = async move {
                    let found = link.get_now(&stream, query, asked).await?;
                    Ok(all_decoded(found, decode).await)
                };
                self.one.turn(read).await
            }
        }
    }

    async fn get_now(
        &self,
        stream: &str,
        query: Value,
        asked: Asked,
    ) -> Result<Option<RawMessage>> {
        let found = match asked {
            Asked::Any => self.direct_get(stream, &query).await?,
            Asked::Leader => self.leader_get(stream, &query).await?,
        };
        self.one.learn(found.as_ref().map_or(0, |found| found.payload.len()));
        Ok(found)
    }

    async fn direct_get(&self, stream: &str, query: &Value) -> Result<Option<RawMessage>> {
        let subject = format!("{}.DIRECT.GET.{stream}", self.api);
        let Some(message) = self.request(subject, None, query.to_string().into()).await? else {
            return Err(self.nobody(stream, allows_direct).await);
        };
        match status(&message).map(|(code, text)| (code.as_u16(), text)) {
            None => raw(message, stream).map(Some),
            Some((404, _)) => Ok(None),
            Some((code, text)) => Err(refused(stream, code, &text)),
        }
    }

    /// The last message of each subject that `filters` match, from a sequence on: at most
    /// `batch` of them.
    pub(crate) async fn last_of_each(
        &self,
        stream: &str,
        filters: &[String],
        from: u64,
        batch: usize,
    ) -> Result<Many> {
        let query = json!({
            "multi_last": filters, "seq": from.max(1), "batch": batch, "max_bytes": MAX_BYTES
        });
        self.get_many(stream, query).await
    }

    /// Messages of the subjects that `filter` matches, from a sequence on, at most `batch`;
    /// and true if there are more.
    pub(crate) async fn next_batch(
        &self,
        stream: &str,
        filter: &str,
        from: u64,
        batch: usize,
    ) -> Result<(Vec<RawMessage>, bool)> {
        let query = json!({
            "next_by_subj": filter, "seq": from.max(1), "batch": batch, "max_bytes": MAX_BYTES
        });
        match self.get_many(stream, query).await? {
            Many::Some { messages, more } => Ok((messages, more)),
            // Said only of a request for the last of each.
            Many::TooMany => Err(StorageError::Stream {
                stream: stream.to_owned(),
                reason: format!("the server does not answer for {filter} at once"),
            }),
        }
    }

    /// The sequence of the first message of the subjects that `filter` matches, stored at `time`
    /// or later.
    pub(crate) async fn first_since(
        &self,
        stream: &str,
        filter: &str,
        time: DateTime<Utc>,
    ) -> Result<Option<u64>> {
        let query = json!({ "next_by_subj": filter, "start_time": time, "batch": 1 });
        match self.get_many(stream, query).await? {
            Many::Some { messages, .. } => Ok(messages.first().map(|message| message.sequence)),
            Many::TooMany => Ok(Some(1)),
        }
    }

    async fn get_many(&self, stream: &str, query: Value) -> Result<Many> {
        let found = match self.many.room() {
            Some(_room) => self.get_many_now(stream, query).await?,
            None => {
                let (link, stream) = (self.clone(), stream.to_owned());
                self.many.turn(async move { link.get_many_now(&stream, query).await }).await?
            }
        };
        if let Many::Some { messages, .. } = &found {
            self.many.learn(messages.iter().map(|message| message.payload.len()).sum());
        }
        Ok(found)
    }

    async fn get_many_now(&self, stream: &str, query: Value) -> Result<Many> {
        self.breaker.connected_within(self.timeout()).await?;
        let subject = format!("{}.DIRECT.GET.{stream}", self.api);
        self.unless_interrupted(&subject, self.ask_many(stream, subject.clone(), query)).await
    }

    async fn ask_many(&self, stream: &str, subject: String, query: Value) -> Result<Many> {
        let inbox = self.client.new_inbox();
        let lost = |error: &dyn std::fmt::Display| self.breaker.unanswered(&error.to_string());
        let mut answers =
            self.client.subscribe(inbox.clone()).await.map_err(|error| lost(&error))?;
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
                Some((204, _)) => {
                    let more = pending(&message) > 0;
                    return Ok(Many::Some { messages, more });
                }
                Some((404, _)) => return Ok(Many::Some { messages, more: false }),
                Some((413, _)) => return Ok(Many::TooMany),
                Some((503, _)) => return Err(self.nobody(stream, allows_direct).await),
                Some((code, text)) => return Err(refused(stream, code, &text)),
            }
        }
    }
}

/// Number of messages that the server would still have sent without its limit.
fn pending(end: &async_nats::Message) -> u64 {
    let headers = end.headers.as_ref();
    let pending = headers.and_then(|headers| headers.get("Nats-Num-Pending"));
    pending.and_then(|pending| pending.as_str().parse().ok()).unwrap_or_default()
}

async fn all_decoded<T: Send + 'static>(
    found: Option<RawMessage>,
    decode: impl FnOnce(&RawMessage) -> Result<T> + Send + 'static,
) -> Option<Decoded<T>> {
    let found = found?;
    let (sequence, timestamp) = (found.sequence, found.timestamp);
    Some(Decoded { sequence, timestamp, what: decoded(found, decode).await })
}

fn allows_direct(config: &Value) -> bool {
    config["allow_direct"] == true
}

/// A direct get that was not carried out.
fn refused(stream: &str, code: u16, text: &str) -> StorageError {
    let reason = format!("a direct get was refused: {code} {text}");
    match (code, text) {
        // The server has too much to do; or the replica that was asked is not ready.
        (429 | 503, _) | (408, "Request Timeout") => {
            StorageError::Unavailable { reason: format!("{stream}: {reason}"), away_since: None }
        }
        _ => StorageError::Stream { stream: stream.to_owned(), reason },
    }
}

fn raw(message: async_nats::Message, stream: &str) -> Result<RawMessage> {
    let headers = message.headers.unwrap_or_default();
    let text = |name| headers.get(name).map(|value| value.as_str());
    let read = || {
        Some((
            text(NATS_SUBJECT)?.to_owned(),
            text(NATS_SEQUENCE)?.parse().ok()?,
            timestamp(text(NATS_TIME_STAMP)?)?,
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

/// The server's time of a message, from its header.
fn timestamp(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
}
