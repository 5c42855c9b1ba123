//! The checkpoint of a view that acknowledges before the disk: kept in that stream, so that no other
//! one says what it lost.

use std::sync::atomic::Ordering;

use async_nats::{HeaderMap, ServerInfo, header::NATS_ROLLUP};
use serde::{Deserialize, Serialize};

use super::{
    direct::{Asked, Query, RawMessage},
    publish::Expected,
    store::Inner,
    streams::{self, acknowledges_before_disk, is_alone},
};
use crate::{
    models::LogSequence,
    storage::{Checkpoint, Recovery, Result, StorageError},
};

/// The checkpoint as it is stored.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// When the stream was made, and the server's id, which is another one after each start.
    life: String,
    right: Option<LogSequence>,
    kept: Option<LogSequence>,
}

impl Inner {
    /// The writes that the view may have lost. A server's crash takes those that it had not written
    /// down; nothing else does.
    pub(super) async fn recovery(&self) -> Result<Recovery> {
        let server = self.link.client.server_info();
        let found = self.recovery_from(&server).await?;
        match self.link.client.server_info().server_id == server.server_id {
            true => Ok(found),
            // Whose answer it was is not known.
            false => Err(StorageError::Unavailable {
                reason: "another server came meanwhile".to_owned(),
                away_since: None,
            }),
        }
    }

    async fn recovery_from(&self, server: &ServerInfo) -> Result<Recovery> {
        let view = self.stream_info_led(self.marking()).await?;
        let made = view["created"].as_str().unwrap_or_default();
        let leader = view["cluster"]["leader"].as_str().unwrap_or_default();
        if !acknowledges_before_disk(&view) {
            return Ok(Recovery::Nothing(format!("{made} {leader}")));
        }
        if !is_alone(server, &self.config) {
            if !self.is_far.swap(true, Ordering::Relaxed) {
                let stream = self.marking();
                tracing::warn!(
                    stream,
                    "the view acknowledges before the disk, and this process is not connected to \
                     the server that has it: it does not see when that crashes, and mends no more \
                     than usual then; a process that is connected to it does, and so does `petrel \
                     rebuild`"
                );
            }
            return Ok(Recovery::Nothing(made.to_owned()));
        }
        let life = format!("{made} {}", server.server_id);
        if streams::is_filling(&view) {
            return Ok(Recovery::BeingFilled(life));
        }
        let (right, kept) = match self.checkpoint().await?.1 {
            Some(last) if last.life == life => (last.right, last.kept),
            Some(last) if made_at(&last.life) == made => (last.kept, last.kept),
            Some(_) | None => (None, None),
        };
        Ok(Recovery::After(Checkpoint { life, right, kept }))
    }

    /// Keeps a checkpoint; false if another process keeps one at this moment.
    pub(super) async fn keep_checkpoint(&self, checkpoint: &Checkpoint) -> Result<bool> {
        let (sequence, _) = self.checkpoint().await?;
        let Checkpoint { life, right, kept } = checkpoint.clone();
        let payload = serde_json::to_vec(&Kept { life, right, kept });
        let payload = payload.map_err(|error| StorageError::Stream {
            stream: self.marking().to_owned(),
            reason: format!("the checkpoint: {error}"),
        })?;
        let headers = || HeaderMap::from_iter([(NATS_ROLLUP, "sub".into())]);
        let (marking, subject) = (self.marking(), self.subjects.checkpoint());
        let expected = Expected { sequence, filter: None };
        match self.link.publish(marking, &subject, expected, headers, payload.into()).await {
            Ok(_) => Ok(true),
            Err(StorageError::LostRace { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The last checkpoint, after its sequence; 0 where there is none. What can't be read is none: all is looked
    /// at, then.
    async fn checkpoint(&self) -> Result<(u64, Option<Kept>)> {
        let subject = self.subjects.checkpoint();
        let decode = |message: &RawMessage| Ok(serde_json::from_slice(&message.payload).ok());
        let last = Query::Last(&subject);
        let found = self.link.get_decoded(self.marking(), last, Asked::Any, decode).await?;
        let Some(found) = found else { return Ok((0, None)) };
        Ok((found.sequence, found.what?))
    }
}

/// When the stream was made, of a life.
fn made_at(life: &str) -> &str {
    life.rsplit_once(' ').map_or("", |(made, _)| made)
}
