//! Queues: their settings in the log, and what is in them.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use futures::{TryStreamExt, future::try_join_all};
use serde_json::{Value, json};

use super::consumer::{NO_CONSUMER, name, part_of};
use crate::{
    models::{LogSequence, QueueId, WorkClass},
    storage::{
        ClassState, QueueSettings, QueueState, Result,
        nats::{
            codec,
            direct::{Asked, Query},
            publish::Expected,
            refusal::NOT_FOUND,
            store::Inner,
        },
    },
};

impl Inner {
    /// The settings of a queue and their version; the defaults where nobody has set any.
    pub(super) async fn queue_settings(
        &self,
        queue: &QueueId,
    ) -> Result<(QueueSettings, Option<LogSequence>)> {
        let subject = self.subjects.queue(queue);
        let found = self.last_strong(&subject, codec::decode_queue).await?;
        Ok(found.map_or_else(Default::default, |(settings, version)| (settings, Some(version))))
    }

    pub(super) async fn set_queue(
        &self,
        queue: &QueueId,
        settings: &QueueSettings,
        expected: Option<LogSequence>,
    ) -> Result<LogSequence> {
        settings.validate()?;
        let subject = self.subjects.queue(queue);
        let payload = codec::encode_queue(settings, &subject)?;
        let sequence = expected.map_or(0, LogSequence::get);
        let expected = Expected { sequence, filter: None };
        let hash = codec::hash(&payload);
        let version = self.publish(&subject, expected, payload, &hash).await?;
        self.read(|| self.apply_to_all(queue, settings)).await?;
        Ok(version)
    }

    async fn apply_to_all(&self, queue: &QueueId, settings: &QueueSettings) -> Result<()> {
        let all = WorkClass::ALL.map(|class| self.apply(queue, class, settings));
        try_join_all(all).await.map(drop)
    }

    /// A queue as it is. A consumer with other settings than the queue's gets these, if this process serves.
    pub(super) async fn queue(&self, queue: &QueueId) -> Result<QueueState> {
        let (settings, version) = self.queue_settings(queue).await?;
        let classes = WorkClass::ALL.map(|class| self.class(queue, class, &settings));
        let classes = try_join_all(classes).await?;
        let classes = [classes[0], classes[1], classes[2]];
        Ok(QueueState { queue: queue.clone(), settings, version, classes })
    }

    async fn class(
        &self,
        queue: &QueueId,
        class: WorkClass,
        settings: &QueueSettings,
    ) -> Result<ClassState> {
        let (stream, name) = (&self.work.stream.name, name(queue, class));
        let asked = format!("CONSUMER.INFO.{stream}.{name}");
        let info = match self.link.call(&asked, &Value::Null).await? {
            Ok(info) => info,
            Err(error) if error.err_code == NO_CONSUMER => {
                let waiting = self.count(&self.subjects.offers_in(queue, class)).await?;
                let oldest = self.oldest_after(0, queue, class, waiting).await?;
                return Ok(ClassState { waiting, oldest, ..ClassState::default() });
            }
            // There is no work in a system of an earlier version.
            Err(error) if error.err_code == NOT_FOUND => return Ok(ClassState::default()),
            Err(error) => return Err(error.of_stream(stream)),
        };
        let differing = self.differing(queue, class, settings, &info);
        if !differing.is_empty() && self.work.stream.may_be_made {
            let (consumer, differing) = (&name, differing.join(", "));
            tracing::info!(stream, consumer, differing, "the consumer gets its queue's settings");
            self.keep_class(queue, class).await?;
        }
        let number = |field: &str| info[field].as_u64().unwrap_or_default();
        let waiting = number("num_pending");
        let given_out = info["delivered"]["stream_seq"].as_u64().unwrap_or_default();
        Ok(ClassState {
            waiting,
            oldest: self.oldest_after(given_out, queue, class, waiting).await?,
            in_flight: number("num_ack_pending"),
            redelivered: number("num_redelivered"),
            open_pulls: number("num_waiting"),
            at: info["ts"].as_str().and_then(|time| time.parse().ok()),
        })
    }

    /// Time of the first offer of a class after the last one that was given out.
    async fn oldest_after(
        &self,
        given_out: u64,
        queue: &QueueId,
        class: WorkClass,
        waiting: u64,
    ) -> Result<Option<DateTime<Utc>>> {
        if waiting == 0 {
            return Ok(None);
        }
        let (stream, filter) = (&self.work.stream.name, self.subjects.offers_in(queue, class));
        let query = Query::Next(&filter, given_out.saturating_add(1));
        let found = self.link.get(stream, query, Asked::Any).await?;
        Ok(found.map(|message| message.timestamp))
    }

    /// Number of offers at the subjects that match.
    async fn count(&self, filter: &str) -> Result<u64> {
        let stream = &self.work.stream.name;
        // Without the subjects: those of a page beyond all of them.
        let page = json!({ "subjects_filter": filter, "offset": u32::MAX });
        match self.link.call(&format!("STREAM.INFO.{stream}"), &page).await? {
            Ok(info) => Ok(info["total"].as_u64().unwrap_or_default()),
            Err(error) if error.err_code == NOT_FOUND => Ok(0),
            Err(error) => Err(error.of_stream(stream)),
        }
    }

    pub(super) async fn queues(&self) -> Result<Vec<QueueId>> {
        let log = self.config.log_stream.as_str();
        let set_up = self.subjects_of(log, self.subjects.queues()).await?;
        let set_up = set_up.iter().filter_map(|subject| self.subjects.queue_of_settings(subject));
        let mut queues: BTreeSet<_> = set_up.collect();
        let Some(messages) = self.messages().await? else {
            return Ok(queues.into_iter().collect());
        };
        let mut counted = 0;
        for info in self.all_consumers().await? {
            let number = |field: &str| info[field].as_u64().unwrap_or_default();
            if let Some((queue, _)) = info["name"].as_str().and_then(part_of) {
                counted += number("num_pending") + number("num_ack_pending");
                queues.insert(queue);
            }
        }
        // Where that is all there is, nothing waits without a consumer, and the subjects, which may be
        // a million, need no look.
        let noted = self.count(&self.subjects.anything_open()).await?;
        if messages > counted + noted {
            let all = self.subjects.work_stream().remove(0);
            let subjects = self.subjects_of(&self.work.stream.name, all).await?;
            let offers = subjects.iter().filter_map(|subject| self.subjects.parse_offer(subject));
            queues.extend(offers.map(|(queue, ..)| queue));
        }
        Ok(queues.into_iter().collect())
    }

    /// Number of messages in the stream; `None` if there is no stream.
    async fn messages(&self) -> Result<Option<u64>> {
        let stream = &self.work.stream.name;
        match self.link.call_leader(&format!("STREAM.INFO.{stream}"), &Value::Null).await? {
            Ok(info) => Ok(info["state"]["messages"].as_u64()),
            Err(error) if error.err_code == NOT_FOUND => Ok(None),
            Err(error) => Err(error.of_stream(stream)),
        }
    }

    /// The consumers of the stream, as the server's API describes them.
    async fn all_consumers(&self) -> Result<Vec<Value>> {
        let (stream, mut found) = (&self.work.stream.name, Vec::new());
        loop {
            let page = json!({ "offset": found.len() });
            let listed = self.link.call(&format!("CONSUMER.LIST.{stream}"), &page).await?;
            let mut listed = listed.map_err(|error| error.of_stream(stream))?;
            let total = listed["total"].as_u64().unwrap_or_default();
            let Value::Array(some) = listed["consumers"].take() else { return Ok(found) };
            let is_over = some.is_empty();
            found.extend(some);
            if is_over || found.len() as u64 >= total {
                return Ok(found);
            }
        }
    }

    /// The subjects of a stream that match.
    pub(in crate::storage::nats) async fn subjects_of(
        &self,
        stream: &str,
        filter: String,
    ) -> Result<Vec<String>> {
        let lost = |error: &dyn std::fmt::Display| self.link.breaker.unanswered(&error.to_string());
        let stream = self.jetstream.get_stream_no_info(stream).await.map_err(|e| lost(&e))?;
        let subjects = stream.info_with_subjects(filter).await.map_err(|error| lost(&error))?;
        let subjects = subjects.map_ok(|(subject, _)| subject).map_err(|error| lost(&error));
        subjects.try_collect().await
    }
}
