//! Answers to what was given out.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use crate::storage::{
    Receipt, Result, StorageError,
    nats::{
        direct::{Asked, Query},
        refusal::NOT_FOUND,
        store::Inner,
    },
};

/// A message that is not there to be deleted, and one that could not be deleted, as beyond the stream's
/// ends (`server/errors.json` of nats-server).
const DELETED: u64 = 10_043;
const NOT_DELETED: u64 = 10_057;

/// Acknowledgements: it is done, it is never to come again, its time begins anew, and it is to come again
/// later.
const DONE: Bytes = Bytes::from_static(b"+ACK");
pub(super) const NEVER: Bytes = Bytes::from_static(b"+TERM");
const GOES_ON: Bytes = Bytes::from_static(b"+WPI");
const LATER: &str = "-NAK";

/// The receipt of a message: its sequence, and the subject of its acknowledgements.
pub(super) fn receipt(sequence: u64, reply: &str) -> Receipt {
    Receipt(format!("{sequence} {reply}"))
}

impl Inner {
    /// Acknowledges a message, and does not wait for an answer.
    pub(in crate::storage::nats) async fn acknowledge_soon(
        &self,
        stream: &str,
        receipt: &Receipt,
    ) -> Result<()> {
        let (_, reply) = delivery(stream, receipt)?;
        let _ = self.link.client.publish(reply, DONE).await;
        Ok(())
    }

    /// Acknowledges a message of a work queue, where that takes it away. Without its consumer nobody
    /// answers, and it is deleted; the same where the consumer knows nothing of having given it out, as after a kill of
    /// the server, which writes a consumer's state a moment later.
    pub(in crate::storage::nats) async fn acknowledge(
        &self,
        stream: &str,
        receipt: &Receipt,
    ) -> Result<()> {
        let (sequence, reply) = delivery(stream, receipt)?;
        match self.link.request(reply, None, DONE).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) | Err(StorageError::Unavailable { .. }) => {
                self.delete(stream, sequence).await.map(drop)
            }
            Err(error) => Err(error),
        }
    }

    /// Begins the time anew in which a message must be acknowledged.
    pub(in crate::storage::nats) async fn extend(
        &self,
        stream: &str,
        receipt: &Receipt,
    ) -> Result<()> {
        let (_, reply) = delivery(stream, receipt)?;
        self.link.request(reply, None, GOES_ON).await.map(drop)
    }

    /// Lets a message be given out again after a time.
    pub(in crate::storage::nats) async fn put_off(
        &self,
        stream: &str,
        receipt: &Receipt,
        delay: Duration,
    ) -> Result<()> {
        let (_, reply) = delivery(stream, receipt)?;
        let later = match delay.is_zero() {
            true => LATER.to_owned(),
            false => format!("{LATER} {}", json!({ "delay": delay.as_nanos() as u64 })),
        };
        // Without the consumer nobody answers, and one that is made again gives out everything.
        self.link.request(reply, None, later.into()).await.map(drop)
    }

    /// Deletes the message of a receipt; false if it is not there.
    pub(in crate::storage::nats) async fn delete_received(
        &self,
        stream: &str,
        receipt: &Receipt,
    ) -> Result<bool> {
        let (sequence, _) = delivery(stream, receipt)?;
        self.delete(stream, sequence).await
    }

    /// Deletes a message; false if it is not there.
    pub(in crate::storage::nats) async fn delete(
        &self,
        stream: &str,
        sequence: u64,
    ) -> Result<bool> {
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
}

/// The sequence of a message, and the subject of its acknowledgements.
fn delivery(stream: &str, receipt: &Receipt) -> Result<(u64, String)> {
    let words = receipt.0.split_once(' ');
    let parsed = words.and_then(|(sequence, reply)| Some((sequence.parse().ok()?, reply)));
    let (sequence, reply) = parsed.ok_or_else(|| StorageError::Stream {
        stream: stream.to_owned(),
        reason: format!("the receipt {:?} is another store's", receipt.0),
    })?;
    Ok((sequence, reply.to_owned()))
}
