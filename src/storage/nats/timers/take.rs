//! Taking what has come due, and settling it.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use async_nats::{Message, jetstream};
use bytes::Bytes;
use serde_json::json;

use super::{codec, pull::Pulled};
use crate::storage::{
    Due, Receipt, Result, StorageError,
    nats::{
        direct::{Asked, Query, RawMessage},
        options::backoff,
        refusal::NOT_FOUND,
        store::Inner,
    },
};

/// Longest time of one pull. An idle one hears nothing of a restart.
const PULL: Duration = Duration::from_secs(5);

/// A message that is not there to be deleted, and one that could not be deleted, as beyond the stream's
/// ends (`server/errors.json` of nats-server).
const DELETED: u64 = 10_043;
const NOT_DELETED: u64 = 10_057;

/// Acknowledgements: it is done, it is never to come again, and it is to come again later.
const DONE: Bytes = Bytes::from_static(b"+ACK");
const NEVER: Bytes = Bytes::from_static(b"+TERM");
const LATER: &str = "-NAK";

impl Inner {
    /// Takes up to `most` that have come due, of as many as a scan asks for at once.
    pub(super) async fn take_due(&self, most: usize, wait: Duration) -> Result<Vec<Due>> {
        let (begun, most) = (Instant::now(), most.min(self.config.scan_batch));
        let mut failed = 0;
        loop {
            let left = wait.saturating_sub(begun.elapsed());
            if most == 0 {
                return Ok(Vec::new());
            }
            match self.take_once(most, left.min(PULL)).await {
                Ok(due) if !due.is_empty() || begun.elapsed() >= wait => return Ok(due),
                Ok(_) => failed = 0,
                Err(error) if !error.retryable() || begun.elapsed() >= wait => return Err(error),
                Err(error) => {
                    failed += 1;
                    tracing::debug!(%error, failed, "nothing can be taken at the moment, trying again");
                    let left = wait.saturating_sub(begun.elapsed());
                    tokio::time::sleep(backoff(failed).min(left)).await;
                }
            }
        }
    }

    /// Those that are there now, or the first in this time and what came with it.
    async fn take_once(&self, most: usize, wait: Duration) -> Result<Vec<Due>> {
        let mut is_kept = self.timers.has_consumer.load(Ordering::Relaxed);
        if !is_kept {
            self.keep_consumer().await?;
        }
        self.look_for_strays().await;
        loop {
            match self.pull(most, None).await? {
                Pulled::Messages(messages) if messages.is_empty() => break,
                Pulled::Messages(messages) => {
                    let due = self.due_of(messages).await;
                    // What is nobody's timer must not hide those behind it.
                    if !due.is_empty() {
                        return Ok(due);
                    }
                }
                Pulled::Nobody if is_kept => {
                    self.keep_consumer().await?;
                    is_kept = false;
                }
                Pulled::Nobody => {
                    let reason = "nobody leads the consumer of timers at the moment".to_owned();
                    return Err(StorageError::Unavailable { reason, away_since: None });
                }
            }
        }
        if wait.is_zero() {
            return Ok(Vec::new());
        }
        // Only one: it ends when that comes, and leaves nothing on its way to nobody.
        let Pulled::Messages(mut messages) = self.pull(1, Some(wait)).await? else {
            return Ok(Vec::new());
        };
        if !messages.is_empty()
            && most > 1
            && let Ok(Pulled::Messages(more)) = self.pull(most - 1, None).await
        {
            messages.extend(more);
        }
        Ok(self.due_of(messages).await)
    }

    /// The timers of messages. One that has none is told of, stays in the stream and never comes again.
    async fn due_of(&self, messages: Vec<Message>) -> Vec<Due> {
        let mut taken = Vec::with_capacity(messages.len());
        for message in messages {
            // Without it, nothing would be known of the message, and nothing could be said.
            let Some(reply) = message.reply.clone() else { continue };
            let message = jetstream::Message { message, context: self.jetstream.clone() };
            let (sequence, at) = match message.info() {
                Ok(info) => (info.stream_sequence, info.published),
                Err(error) => {
                    tracing::warn!(%error, subject = %message.subject, "a timer came from nowhere");
                    continue;
                }
            };
            let message = message.split().0;
            let raw = RawMessage {
                subject: message.subject.to_string(),
                sequence,
                timestamp: at,
                headers: message.headers.unwrap_or_default(),
                payload: message.payload,
            };
            match codec::decode(&raw, &self.subjects) {
                Ok(arming) => {
                    let receipt = Receipt(format!("{sequence} {reply}"));
                    taken.push(Due { arming, at, receipt });
                }
                Err(reason) => {
                    let (stream, subject) = (&self.timers.name, &raw.subject);
                    tracing::warn!(
                        stream,
                        subject,
                        sequence,
                        reason,
                        "this is no timer, and is left there"
                    );
                    // If that is lost, it comes and is told of once more.
                    let _ = self.link.client.publish(reply, NEVER).await;
                }
            }
        }
        taken
    }

    /// Deletes the message and acknowledges it, in this order: acknowledged and not deleted, it would
    /// neither come again nor let its timer be armed again.
    pub(super) async fn settle(&self, due: &Due) -> Result<()> {
        let (sequence, reply) = self.delivery(&due.receipt)?;
        self.delete(sequence).await?;
        // The consumer passes over what is deleted, so nothing waits for an answer.
        let _ = self.link.client.publish(reply, DONE).await;
        Ok(())
    }

    /// Deletes a message; false if it is not there.
    pub(super) async fn delete(&self, sequence: u64) -> Result<bool> {
        let stream = &self.timers.name;
        let body = json!({ "seq": sequence, "no_erase": true });
        let error = match self.link.call(&format!("STREAM.MSG.DELETE.{stream}"), &body).await? {
            Ok(_) => return Ok(true),
            Err(error) => error,
        };
        match error.err_code {
            NOT_FOUND | DELETED => Ok(false),
            NOT_DELETED => match self.link.get(stream, Query::At(sequence), Asked::Leader).await? {
                None => Ok(false),
                Some(_) => Err(error.of_stream(stream)),
            },
            _ => Err(error.of_stream(stream)),
        }
    }

    pub(super) async fn give_back(&self, due: &Due, delay: Duration) -> Result<()> {
        let (_, reply) = self.delivery(&due.receipt)?;
        let later = match delay.is_zero() {
            true => LATER.to_owned(),
            false => format!("{LATER} {}", json!({ "delay": delay.as_nanos() as u64 })),
        };
        // Without the consumer nobody answers, and one that is made again gives out everything.
        self.link.request(reply, None, later.into()).await.map(drop)
    }

    /// The sequence of a message, and the subject of its acknowledgements.
    fn delivery(&self, receipt: &Receipt) -> Result<(u64, String)> {
        let words = receipt.0.split_once(' ');
        let parsed = words.and_then(|(sequence, reply)| Some((sequence.parse().ok()?, reply)));
        let (sequence, reply) = parsed.ok_or_else(|| StorageError::Stream {
            stream: self.timers.name.clone(),
            reason: format!("the receipt {:?} is another store's", receipt.0),
        })?;
        Ok((sequence, reply.to_owned()))
    }
}
