//! Definitions and records in the log stream.

use std::collections::BTreeSet;

use async_nats::HeaderMap;
use bytes::Bytes;
use chrono::Utc;
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};

use super::{
    append::Append,
    branch::{Branch, merged},
    codec,
    decoding::decoded,
    direct::{Asked, Decoded, Query, RawMessage},
    publish::Expected,
    store::Inner,
    walk::{Walk, walked_first},
};
use crate::{
    models::{
        CaseId, LogSequence, Record, Stored, StoredDefinition, WorkflowDefinition, WorkflowId,
    },
    storage::{
        AppendOptions, Appended, Consistency, DefinitionVersion, LogRange, LogScope, PutOptions,
        Result, StatusAt, StorageError, WatchOptions,
    },
};

/// Number of records up to which their statuses are read by direct get.
const FEW_STATUSES: u64 = 256;

impl Inner {
    pub(super) fn log(&self) -> &str {
        &self.config.log_stream
    }

    pub(super) async fn put_definition(
        &self,
        definition: &WorkflowDefinition,
        options: PutOptions,
    ) -> Result<StoredDefinition> {
        let subject = self.subjects.definition(&definition.id);
        let PutOptions { version, expected } = options;
        let payload = codec::encode_definition(definition, version, &subject)?;
        let expected = Expected { sequence: number(expected), filter: None };
        let hash = codec::hash(&payload);
        let sequence = self.publish(&subject, expected, payload, &hash).await?;
        // The server's time of the message is not in its acknowledgement.
        let at = DefinitionVersion::Sequence(sequence);
        let stored = self.definition(&definition.id, at).await?;
        Ok(stored.unwrap_or_else(|| StoredDefinition {
            definition: definition.clone(),
            version,
            sequence,
            stored_at: Utc::now(),
        }))
    }

    pub(super) async fn definition(
        &self,
        workflow: &WorkflowId,
        version: DefinitionVersion,
    ) -> Result<Option<StoredDefinition>> {
        let subject = self.subjects.definition(workflow);
        let ours = subject.clone();
        let decode = move |message: &RawMessage| {
            let ours = message.subject == ours;
            ours.then(|| codec::decode_definition(message)).transpose()
        };
        let found = match version {
            DefinitionVersion::Latest => self.last_strong(&subject, decode).await?,
            DefinitionVersion::Sequence(sequence) => {
                self.stays(Query::At(sequence.get()), decode).await?
            }
        };
        Ok(found.flatten())
    }

    /// All versions, by a consumer that reads up to the present end.
    pub(super) async fn versions(
        &self,
        workflow: &WorkflowId,
    ) -> Result<Vec<Result<StoredDefinition>>> {
        let subject = self.subjects.definition(workflow);
        let until = number(self.last_sequence().await?);
        let messages = self.feed(self.log(), subject, 1, Some(until)).into_stream();
        let decode = |message: RawMessage| codec::decode_definition(&message);
        messages.map_ok(decode).try_collect().await
    }

    pub(super) async fn workflow_ids(&self) -> Result<Vec<WorkflowId>> {
        let filter = self.subjects.definitions();
        self.seen.look().await?;
        // Says so if the stream is missing, which the client below does not tell apart.
        self.stream_state(self.log()).await?;
        let subjects = self.subjects_of(self.log(), filter).await?;
        let ids =
            subjects.iter().filter_map(|subject| self.subjects.workflow_of_definition(subject));
        // A set: the pages are cut by number, so when a workflow is stored between two of them,
        // the last of one page is the first of the next again.
        let ids: BTreeSet<_> = ids.collect();
        Ok(ids.into_iter().collect())
    }

    pub(super) async fn last_definition(&self) -> Result<Option<LogSequence>> {
        let sequence = |message: &RawMessage| Ok(LogSequence::new(message.sequence));
        Ok(self.last_strong(&self.subjects.definitions(), sequence).await?.flatten())
    }

    pub(super) async fn append(&self, record: &Record, options: AppendOptions) -> Result<Appended> {
        let subject = self.subjects.record(&record.workflow, &record.case, record.kind);
        let fence = self.subjects.case(&record.workflow, &record.case);
        let payload = codec::encode_record(record, &subject)?;
        let hash = codec::hash(&payload);
        // All appends of a case carry this one text: with replicas, the server compares the
        // texts of the fences of what is on its way, and not the subjects that they cover.
        let expected = number(options.expected);
        let seen = self.seen.highest();
        let append = Append { subject: subject.clone(), fence, expected, payload };
        let sequence = self.appended(seen, self.group.append(append).await?, &hash)?;
        Ok(Appended { sequence, subject, hash })
    }

    pub(super) async fn publish(
        &self,
        subject: &str,
        expected: Expected<'_>,
        payload: Bytes,
        hash: &str,
    ) -> Result<LogSequence> {
        let seen = self.seen.highest();
        let none = HeaderMap::new;
        let sequence = self.link.publish(self.log(), subject, expected, none, payload).await?;
        self.appended(seen, sequence, hash)
    }

    /// The sequence of a message that was appended, when `seen` was the highest.
    pub(super) fn appended(&self, seen: u64, sequence: u64, hash: &str) -> Result<LogSequence> {
        self.seen.appended(seen, sequence, hash.to_owned());
        LogSequence::new(sequence).ok_or_else(|| StorageError::Stream {
            stream: self.log().to_owned(),
            reason: "the server acknowledged a message at sequence 0".to_owned(),
        })
    }

    pub(super) async fn head(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        consistency: Consistency,
    ) -> Result<Option<Stored<Record>>> {
        let subject = self.subjects.case(workflow, case);
        match consistency {
            Consistency::Strong => self.last_strong(&subject, codec::decode_record).await,
            Consistency::Eventual => {
                let last = Query::Last(&subject);
                let decode = codec::decode_record;
                let found = self.link.get_decoded(self.log(), last, Asked::Any, decode).await?;
                found.map(|found| found.what).transpose()
            }
        }
    }

    pub(super) async fn record(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        sequence: LogSequence,
    ) -> Result<Option<Stored<Record>>> {
        let branch = format!("{}.workflows.{workflow}.events.", self.config.prefix);
        let end = format!(".{case}");
        let decode = move |message: &RawMessage| {
            let ours = message.subject.starts_with(&branch) && message.subject.ends_with(&end);
            ours.then(|| codec::decode_record(message)).transpose()
        };
        Ok(self.stays(Query::At(sequence.get()), decode).await?.flatten())
    }

    /// The last message, from a server that can't be behind: with one replica by a direct get,
    /// with several from the leader.
    pub(super) async fn last_strong<T: Send + 'static>(
        &self,
        subject: &str,
        decode: impl FnOnce(&RawMessage) -> Result<T> + Send + 'static,
    ) -> Result<Option<T>> {
        self.seen.look().await?;
        let asked = if self.seen.replicated() { Asked::Leader } else { Asked::Any };
        let last = Query::Last(subject);
        self.saw(self.link.get_decoded(self.log(), last, asked, decode).await?)
    }

    /// A message that stays as it is once it is there: any replica may have it, and only the leader's
    /// word counts that there is none.
    pub(super) async fn stays<T: Send + 'static>(
        &self,
        query: Query<'_>,
        decode: impl Fn(&RawMessage) -> Result<T> + Clone + Send + 'static,
    ) -> Result<Option<T>> {
        let log = self.log();
        let mut found = self.link.get_decoded(log, query, Asked::Any, decode.clone()).await?;
        if found.is_none() {
            self.seen.look().await?;
            if self.seen.replicated() {
                found = self.link.get_decoded(log, query, Asked::Leader, decode).await?;
                if found.is_none() {
                    self.link.must_reach(log, self.seen.highest()).await?;
                }
            }
        }
        self.saw(found)
    }

    fn saw<T>(&self, found: Option<Decoded<T>>) -> Result<Option<T>> {
        let Some(Decoded { sequence, timestamp, what }) = found else { return Ok(None) };
        self.seen.read(sequence, timestamp);
        what.map(Some)
    }

    /// The first record of a case is in the branch of its lifecycle.
    pub(super) async fn first_record(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
    ) -> Result<Option<Stored<Record>>> {
        let subject = self.subjects.lifecycle(workflow, case);
        self.stays(Query::Next(&subject, 1), codec::decode_record).await
    }

    /// The last record of a case's lifecycle has that branch's subject.
    pub(super) async fn last_of_lifecycle(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
    ) -> Result<Option<Stored<Record>>> {
        self.last_strong(&self.subjects.lifecycle(workflow, case), codec::decode_record).await
    }

    /// The last sequence of the log.
    pub(super) async fn last_sequence(&self) -> Result<Option<LogSequence>> {
        self.seen.look().await?;
        Ok(LogSequence::new(self.last_of(self.log()).await?))
    }

    pub(super) async fn history(
        &self,
        scope: LogScope,
        range: LogRange,
    ) -> Result<BoxStream<'static, Result<Stored<Record>>>> {
        let last = self.last_sequence().await?;
        let until = number(range.until.map_or(last, |until| last.min(Some(until.sequence))));
        let from = number(range.from.map(|from| from.sequence));
        if let LogScope::Case(workflow, case) | LogScope::Lifecycle(workflow, case) = &scope {
            let mut subjects = vec![self.subjects.lifecycle(workflow, case)];
            if matches!(scope, LogScope::Case(..)) {
                subjects.push(self.subjects.firings(workflow, case));
                // What somebody put on another branch is last there, until it is put aside.
                let subject = |message: &RawMessage| Ok(message.subject.clone());
                let last = self.last_strong(&self.subjects.case(workflow, case), subject).await?;
                subjects.extend(last.filter(|last| !subjects.contains(last)));
            }
            let branches = subjects.into_iter().map(|subject| {
                let (link, log) = (self.link.clone(), self.log().to_owned());
                let batch = self.config.scan_batch.min(512);
                Branch::new(link, log, subject, from..=until, batch, self.seen.replicated())
            });
            return Ok(merged(branches.collect()).then(record).boxed());
        }
        let filter = self.subjects.records(&scope);
        let feed = self.feed(self.log(), filter.clone(), from, Some(until));
        if let LogScope::Lifecycles(_) = scope {
            // Mostly a page of cases is wanted, and a consumer would count them all.
            // The feed behind it asks the leader.
            let walk = Walk::new(&self.link, self.log(), &filter, from, Asked::Any);
            let messages = walked_first(walk, feed, until, self.seen.replicated());
            return Ok(messages.then(record).boxed());
        }
        Ok(feed.into_stream().then(record).boxed())
    }

    pub(super) async fn statuses(
        &self,
        range: LogRange,
    ) -> Result<BoxStream<'static, Result<StatusAt>>> {
        let from = range.from.map_or(1, |from| from.sequence.get());
        let until = match range.until {
            Some(until) if !self.seen.replicated() => until.sequence.get(),
            // A replica that has less lags, so the end is to be known.
            until => {
                let last = self.last_sequence().await?;
                number(until.map_or(last, |until| last.min(Some(until.sequence))))
            }
        };
        let decode = |message: Result<RawMessage>| {
            message.and_then(|message| codec::decode_status(&message, &self.subjects))
        };
        let filter = self.subjects.records(&LogScope::All);
        if until < from {
            return Ok(stream::empty().boxed());
        }
        let few = until - from + 1;
        if few <= FEW_STATUSES && !self.seen.replicated() {
            // One request, where a consumer takes three.
            let ask = || self.link.next_batch(self.log(), &filter, from, few as usize);
            let (messages, more) = self.read(ask).await?;
            if !more {
                let messages: Vec<_> = messages
                    .into_iter()
                    .filter(|m| m.sequence <= until)
                    .map(Ok)
                    .map(decode)
                    .collect();
                return Ok(stream::iter(messages).boxed());
            }
        }
        let feed = self.feed(self.log(), filter, from, Some(until));
        let subjects = self.subjects.clone();
        let decode = move |message: Result<RawMessage>| {
            message.and_then(|message| codec::decode_status(&message, &subjects))
        };
        Ok(feed.into_stream().map(decode).boxed())
    }

    pub(super) async fn watch(
        &self,
        scope: LogScope,
        options: WatchOptions,
    ) -> Result<BoxStream<'static, Result<Stored<Record>>>> {
        self.link.breaker.check()?;
        let from = number(options.from.map(|from| from.sequence));
        let feed = self.feed(self.log(), self.subjects.records(&scope), from, None);
        Ok(feed.into_stream().then(record).boxed())
    }
}

/// A sequence as the server names it: 0 stands for none, and for the beginning.
fn number(sequence: Option<LogSequence>) -> u64 {
    sequence.map_or(0, LogSequence::get)
}

async fn record(message: Result<RawMessage>) -> Result<Stored<Record>> {
    decoded(message?, codec::decode_record).await
}
