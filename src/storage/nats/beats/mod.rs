//! Beats in a stream of their own, each with a time to live, so that the server's clock ends it.

mod codec;

use std::{future, time::Duration};

use async_nats::HeaderMap;
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, stream::BoxStream};
use serde_json::Value;

use super::{
    NatsStorage,
    direct::{Asked, Query, RawMessage},
    publish::Expected,
    store::Inner,
};
use crate::{
    models::{CaseId, WorkflowId},
    storage::{
        Beat, BeatSequence, Beats, Hint, LastBeat, LastProgress, Progress, Result, StorageError,
        beats::whole_seconds,
    },
};

impl Inner {
    /// The last message at a subject, by the leader: another replica may lag.
    async fn last_at(&self, subject: &str) -> Result<Option<RawMessage>> {
        let stream = &self.beats.name;
        match self.link.get(stream, Query::Last(subject), Asked::Leader).await {
            // Of a stream that is made again there is none.
            Err(StorageError::Stream { .. }) if self.keep_other(&self.beats).await? => Ok(None),
            found => found,
        }
    }

    async fn last_beat(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        item: u64,
    ) -> Result<Option<LastBeat>> {
        let subject = self.subjects.beat(workflow, case, item);
        let Some(message) = self.last_at(&subject).await? else { return Ok(None) };
        let (claim, holder, worker, life) =
            codec::decode_beat(&message).map_err(|reason| self.unreadable(&message, &reason))?;
        if self.is_over(message.timestamp, life).await? {
            return Ok(None);
        }
        let (workflow, case) = (workflow.clone(), case.clone());
        let beat = Beat { workflow, case, item, claim, holder, worker };
        let (sequence, at) = (BeatSequence(message.sequence), message.timestamp);
        Ok(Some(LastBeat { beat, sequence, at, life }))
    }

    /// Returns true if the life of what was stored at a time is over by the server's clock. The server takes
    /// it away somewhat later, by up to half a second. Its clock is asked only where this machine's says so.
    async fn is_over(&self, at: DateTime<Utc>, life: Duration) -> Result<bool> {
        let end = at + TimeDelta::from_std(life).unwrap_or(TimeDelta::MAX);
        if Utc::now() < end {
            return Ok(false);
        }
        let stream = &self.beats.name;
        let info = self.link.call_leader(&format!("STREAM.INFO.{stream}"), &Value::Null).await?;
        let info = info.map_err(|error| error.of_stream(stream))?;
        let now = info["ts"].as_str().and_then(|time| time.parse::<DateTime<Utc>>().ok());
        Ok(now.is_some_and(|now| now >= end))
    }

    fn unreadable(&self, message: &RawMessage, reason: &str) -> StorageError {
        let (subject, sequence) = (&message.subject, message.sequence);
        StorageError::Stream {
            stream: self.beats.name.clone(),
            reason: format!("{subject} at sequence {sequence} can't be read: {reason}"),
        }
    }

    async fn beat(
        &self,
        beat: &Beat,
        life: Duration,
        expected: Option<BeatSequence>,
    ) -> Result<BeatSequence> {
        let Beat { workflow, case, item, .. } = beat;
        let subject = self.subjects.beat(workflow, case, *item);
        let life = whole_seconds(life);
        let (headers, body) = (|| codec::beat_headers(life), codec::beat_body(beat, life));
        let stored = self.store_beat(&subject, expected, headers, body.clone()).await;
        let (None, Err(StorageError::LostRace { .. })) = (expected, &stored) else { return stored };
        // One whose life is over may be there for a moment, and be gone at the second look.
        let Some(message) = self.last_at(&subject).await? else {
            return self.store_beat(&subject, None, headers, body).await;
        };
        match codec::decode_beat(&message) {
            Ok((.., life)) if self.is_over(message.timestamp, life).await? => {
                let over = Some(BeatSequence(message.sequence));
                match self.store_beat(&subject, over, headers, body).await {
                    Err(StorageError::LostRace { .. }) => stored,
                    stored => stored,
                }
            }
            _ => stored,
        }
    }

    async fn store_beat(
        &self,
        subject: &str,
        expected: Option<BeatSequence>,
        headers: impl Fn() -> HeaderMap,
        body: Bytes,
    ) -> Result<BeatSequence> {
        let sequence = expected.map_or(0, |BeatSequence(sequence)| sequence);
        let expected = Expected { sequence, filter: None };
        let store = || self.store_other(&self.beats, subject, expected, &headers, body.clone());
        let stored = match store().await {
            Err(StorageError::Stream { .. }) if self.keep_other(&self.beats).await? => {
                store().await
            }
            stored => stored,
        };
        stored.map(BeatSequence)
    }

    async fn last_progress(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        item: u64,
    ) -> Result<Option<LastProgress>> {
        let subject = self.subjects.progress(workflow, case, item);
        let Some(message) = self.last_at(&subject).await? else { return Ok(None) };
        let claim = codec::decode_progress(&message)
            .map_err(|reason| self.unreadable(&message, &reason))?;
        let (workflow, case, json) = (workflow.clone(), case.clone(), message.payload);
        let progress = Progress { workflow, case, item, claim, json };
        let (sequence, at) = (BeatSequence(message.sequence), message.timestamp);
        Ok(Some(LastProgress { progress, sequence, at }))
    }

    async fn end_beats(&self, workflow: &WorkflowId, case: &CaseId, item: u64) -> Result<()> {
        let beat = self.subjects.beat(workflow, case, item);
        let progress = self.subjects.progress(workflow, case, item);
        for subject in [beat, progress] {
            self.purge(&self.beats, &subject).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Beats for NatsStorage {
    async fn beat(
        &self,
        beat: &Beat,
        life: Duration,
        expected: Option<BeatSequence>,
    ) -> Result<BeatSequence> {
        self.inner().beat(beat, life, expected).await
    }

    async fn last_beat(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        item: u64,
    ) -> Result<Option<LastBeat>> {
        self.inner().read(|| self.inner().last_beat(workflow, case, item)).await
    }

    async fn end_beats(&self, workflow: &WorkflowId, case: &CaseId, item: u64) -> Result<()> {
        self.inner().read(|| self.inner().end_beats(workflow, case, item)).await
    }

    async fn progress(
        &self,
        progress: &Progress,
        expected: Option<BeatSequence>,
    ) -> Result<BeatSequence> {
        let inner = self.inner();
        let Progress { workflow, case, item, claim, json } = progress;
        let subject = inner.subjects.progress(workflow, case, *item);
        let headers = || codec::progress_headers(*claim);
        inner.store_beat(&subject, expected, headers, json.clone()).await
    }

    async fn last_progress(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        item: u64,
    ) -> Result<Option<LastProgress>> {
        self.inner().read(|| self.inner().last_progress(workflow, case, item)).await
    }

    async fn take_turn(&self, duty: &'static str, life: Duration) -> Result<bool> {
        let (inner, life) = (self.inner(), whole_seconds(life));
        let (subject, headers) = (inner.subjects.turn(duty), || codec::beat_headers(life));
        // The server takes the one before away up to half a second late, which is no matter here.
        match inner.store_beat(&subject, None, headers, Bytes::new()).await {
            Ok(_) => Ok(true),
            Err(StorageError::LostRace { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn tell(&self, hints: &[Hint]) -> Result<()> {
        let Inner { link, subjects, .. } = self.inner();
        let told = async {
            for hint in hints {
                link.client.publish(subjects.told(hint), Bytes::new()).await?;
            }
            Ok::<_, async_nats::PublishError>(())
        };
        // While the server is away, it would wait for room to be sent in.
        let told = tokio::time::timeout(link.timeout(), told).await;
        let failed = match told {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "hints were not sent".to_owned(),
        };
        Err(link.breaker.unanswered(&failed))
    }

    async fn hints(&self) -> Result<BoxStream<'static, Hint>> {
        let Inner { link, subjects, .. } = self.inner();
        let heard = link.client.subscribe(subjects.all_told()).await;
        let heard = heard.map_err(|error| link.breaker.unanswered(&error.to_string()))?;
        let subjects = subjects.clone();
        let hints =
            heard.filter_map(move |message| future::ready(subjects.told_at(&message.subject)));
        Ok(hints.boxed())
    }
}
