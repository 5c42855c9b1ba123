//! Definitions and records in the log stream.

use std::collections::BTreeSet;

use async_nats::{
    HeaderMap,
    jetstream::{
        message::StreamMessage,
        stream::{RawMessageError, RawMessageErrorKind},
    },
};
use chrono::Utc;
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};

use super::{codec, direct::RawMessage, link::Expected, store::Inner};
use crate::{
    models::{CaseId, Record, Stored, StoredDefinition, WorkflowDefinition, WorkflowId},
    storage::{Appended, Consistency, DefinitionVersion, LogScope, Result},
};

impl Inner {
    fn log(&self) -> &str {
        &self.config.log_stream
    }

    pub async fn put_definition(
        &self,
        definition: &WorkflowDefinition,
        version: u64,
        expected: u64,
    ) -> Result<StoredDefinition> {
        let subject = self.subjects.definition(&definition.id);
        let payload = codec::encode_definition(definition, version, &subject)?;
        let expected = Expected { sequence: expected, filter: None };
        let sequence =
            self.link.publish(self.log(), subject, expected, HeaderMap::new(), payload).await?;
        // The server's time of the message is not in its acknowledgement.
        let stored = self.definition(&definition.id, DefinitionVersion::Sequence(sequence)).await?;
        Ok(stored.unwrap_or_else(|| StoredDefinition {
            definition: definition.clone(),
            version,
            sequence,
            stored_at: Utc::now(),
        }))
    }

    pub async fn definition(
        &self,
        workflow: &WorkflowId,
        version: DefinitionVersion,
    ) -> Result<Option<StoredDefinition>> {
        let subject = self.subjects.definition(workflow);
        let message = match version {
            DefinitionVersion::Latest => self.last_strong(&subject).await?,
            DefinitionVersion::Sequence(sequence) => self.at_strong(sequence).await?,
        };
        let ours = message.filter(|message| message.subject == subject);
        ours.map(|message| codec::decode_definition(&message)).transpose()
    }

    /// All versions, by a consumer that reads up to what is last now.
    pub async fn versions(&self, workflow: &WorkflowId) -> Result<Vec<Result<StoredDefinition>>> {
        let (subject, until) = (self.subjects.definition(workflow), self.last_sequence().await?);
        let messages = self.feed(self.log(), subject, 1, Some(until)).into_stream();
        let decode = |message: RawMessage| codec::decode_definition(&message);
        messages.map_ok(decode).try_collect().await
    }

    pub async fn workflow_ids(&self) -> Result<Vec<WorkflowId>> {
        let filter = self.subjects.definitions();
        let lost = |error: &dyn std::fmt::Display| self.link.breaker.unanswered(&error.to_string());
        // Says so if the stream is missing, which the client below does not tell apart.
        self.stream_state(self.log()).await?;
        let stream = self.jetstream.get_stream_no_info(self.log()).await.map_err(|e| lost(&e))?;
        let mut subjects = stream.info_with_subjects(filter).await.map_err(|error| lost(&error))?;
        // A set: the pages are cut by number, so when a workflow is stored between two of them,
        // the last of one page is the first of the next again.
        let mut ids = BTreeSet::new();
        while let Some(subject) = subjects.next().await {
            let (subject, _) = subject.map_err(|error| lost(&error))?;
            ids.extend(self.subjects.workflow_of_definition(&subject));
        }
        Ok(ids.into_iter().collect())
    }

    pub async fn append(&self, record: &Record, expected: u64) -> Result<Appended> {
        let subject = self.subjects.record(&record.workflow, &record.case, record.kind);
        let fence = self.subjects.case(&record.workflow, &record.case);
        let payload = codec::encode_record(record, &subject)?;
        let hash = codec::hash(&payload);
        let expected = Expected { sequence: expected, filter: Some(&fence) };
        let sequence =
            self.link.publish(self.log(), subject, expected, HeaderMap::new(), payload).await?;
        Ok(Appended { sequence, hash })
    }

    pub async fn head(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        consistency: Consistency,
    ) -> Result<Option<Stored<Record>>> {
        let subject = self.subjects.case(workflow, case);
        let message = match consistency {
            Consistency::Strong => self.last_strong(&subject).await?,
            Consistency::Eventual => self.link.last(self.log(), &subject).await?,
        };
        message.map(|message| codec::decode_record(&message)).transpose()
    }

    pub async fn record(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        sequence: u64,
    ) -> Result<Option<Stored<Record>>> {
        let Some(message) = self.at_strong(sequence).await? else { return Ok(None) };
        let branch = format!("{}.workflows.{workflow}.events.", self.config.prefix);
        let ours =
            message.subject.starts_with(&branch) && message.subject.ends_with(&format!(".{case}"));
        ours.then(|| codec::decode_record(&message)).transpose()
    }

    /// The last message, from whoever can't be behind: with one replica a direct get, with
    /// several the leader.
    async fn last_strong(&self, subject: &str) -> Result<Option<RawMessage>> {
        if !self.replicated {
            return self.link.last(self.log(), subject).await;
        }
        let stream = self.stream().await?;
        self.leader_answer(stream.get_last_raw_message_by_subject(subject).await)
    }

    async fn at_strong(&self, sequence: u64) -> Result<Option<RawMessage>> {
        if sequence == 0 {
            // No message has it, and a server takes the question for an empty one.
            return Ok(None);
        }
        if !self.replicated {
            return self.link.at(self.log(), sequence).await;
        }
        let stream = self.stream().await?;
        self.leader_answer(stream.get_raw_message(sequence).await)
    }

    async fn stream(&self) -> Result<async_nats::jetstream::stream::Stream<()>> {
        self.link.breaker.check()?;
        let stream = self.jetstream.get_stream_no_info(self.log()).await;
        stream.map_err(|error| self.link.breaker.unanswered(&error.to_string()))
    }

    fn leader_answer(
        &self,
        answer: std::result::Result<StreamMessage, RawMessageError>,
    ) -> Result<Option<RawMessage>> {
        match answer {
            Ok(message) => {
                self.link.breaker.answered();
                Ok(Some(RawMessage {
                    subject: message.subject.to_string(),
                    sequence: message.sequence,
                    timestamp: message.time,
                    headers: message.headers,
                    payload: message.payload,
                }))
            }
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {
                self.link.breaker.answered();
                Ok(None)
            }
            Err(error) => Err(self.link.breaker.unanswered(&error.to_string())),
        }
    }

    /// The last sequence of the log.
    pub async fn last_sequence(&self) -> Result<u64> {
        self.last_of(self.log()).await
    }

    pub async fn history(
        &self,
        scope: LogScope,
        from: u64,
    ) -> Result<BoxStream<'static, Result<Stored<Record>>>> {
        let until = self.last_sequence().await?;
        if let (LogScope::Case(..), false) = (&scope, self.replicated) {
            return Ok(self.case_history(self.subjects.records(&scope), from, until));
        }
        let feed = self.feed(self.log(), self.subjects.records(&scope), from, Some(until));
        Ok(feed.into_stream().map(decode).boxed())
    }

    /// The history of one case, in batches of direct gets: cheaper than a consumer for the
    /// few records that most cases have.
    fn case_history(
        &self,
        filter: String,
        from: u64,
        until: u64,
    ) -> BoxStream<'static, Result<Stored<Record>>> {
        let (link, log, batch) =
            (self.link.clone(), self.log().to_owned(), self.config.scan_batch.min(512));
        let batches = stream::try_unfold(Some(from), move |from| {
            let (link, log, filter) = (link.clone(), log.clone(), filter.clone());
            async move {
                let Some(from) = from.filter(|from| *from <= until) else { return Ok(None) };
                let (mut messages, more) = link.next_batch(&log, &filter, from, batch).await?;
                let next = messages.last().filter(|_| more).map(|message| message.sequence + 1);
                messages.retain(|message| message.sequence <= until);
                Ok(Some((stream::iter(messages.into_iter().map(Ok)), next)))
            }
        });
        batches.try_flatten().map(decode).boxed()
    }

    pub async fn watch(
        &self,
        scope: LogScope,
        from: u64,
    ) -> Result<BoxStream<'static, Result<Stored<Record>>>> {
        self.link.breaker.check()?;
        let feed = self.feed(self.log(), self.subjects.records(&scope), from, None);
        Ok(feed.into_stream().map(decode).boxed())
    }
}

fn decode(message: Result<RawMessage>) -> Result<Stored<Record>> {
    message.and_then(|message| codec::decode_record(&message))
}
