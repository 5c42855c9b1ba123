//! The raw server, to compare with: the cost of the same messages with nothing of ours above.

use std::{collections::HashMap, sync::Arc};

use async_nats::jetstream::{self, stream::Stream};
use bytes::Bytes;
use futures::{Stream as Messages, StreamExt, future::try_join_all};

use super::{
    Link, NatsStorageConfig, Subjects, append::Append, codec, direct::Many, group::Group,
    publish::Expected, streams,
};
use crate::{
    models::{CaseId, LogSequence, PlaceId, RecordKind, TokenId, WorkflowId},
    storage::{Result, StorageError},
};

/// End of its prefix.
const APART: &str = "-floor";

/// Plain JetStream calls of async-nats on two streams that are set up like the product's, with
/// subjects and bodies like its own. A clone shares the connection.
///
/// The streams are beside the product's: the prefix ends in `-floor`, the names in `_FLOOR`.
#[derive(Debug, Clone)]
pub struct Floor {
    link: Link,
    jetstream: jetstream::Context,
    marking: Stream,
    subjects: Subjects,
    workflow: WorkflowId,
    guarded: WorkflowId,
    config: NatsStorageConfig,
    group: Arc<Group>,
}

impl Floor {
    /// Connects, and makes the two streams.
    pub async fn connect(config: &NatsStorageConfig) -> Result<Self> {
        let config = NatsStorageConfig {
            prefix: format!("{}{APART}", config.prefix),
            log_stream: format!("{}_FLOOR", config.log_stream),
            marking_stream: format!("{}_FLOOR", config.marking_stream),
            ..config.clone()
        };
        config.validate()?;
        let link = Link::connect(&config).await?;
        streams::prepare(&link, &config, streams::Purpose::Compare).await?;
        let jetstream = jetstream::ContextBuilder::new()
            .timeout(config.consumer_timeout)
            .api_prefix(link.api.clone())
            .build(link.client.clone());
        let marking = jetstream.get_stream(&config.marking_stream).await.map_err(lost)?;
        let workflow = WorkflowId::new("floor").map_err(lost)?;
        let guarded = WorkflowId::new("guarded").map_err(lost)?;
        let subjects = Subjects::new(&config.prefix);
        let group = Arc::new(Group::new(&link, &config.log_stream, config.group_commit));
        Ok(Self { link, jetstream, marking, subjects, workflow, guarded, config, group })
    }

    /// The same connection and streams, with guarded cases and a group commit of its own: what
    /// the other one learns of batches does not count here.
    pub fn apart(&self) -> Result<Self> {
        let guarded = WorkflowId::new("guarded-apart").map_err(lost)?;
        let Self { link, config, .. } = self;
        let group = Arc::new(Group::new(link, &config.log_stream, config.group_commit));
        Ok(Self { guarded, group, ..self.clone() })
    }

    /// The streams that it uses.
    pub fn streams(config: &NatsStorageConfig) -> [String; 2] {
        [format!("{}_FLOOR", config.log_stream), format!("{}_FLOOR", config.marking_stream)]
    }

    /// The cases of the product beside it whose tokens come to a place, each as the server gets the token's
    /// view message. Nothing of it is acknowledged, and no consumer keeps count of it.
    pub async fn arrivals(
        &self,
        workflow: &WorkflowId,
        place: &PlaceId,
    ) -> Result<impl Messages<Item = CaseId> + Send + 'static> {
        let prefix = self.config.prefix.strip_suffix(APART).unwrap_or(&self.config.prefix);
        let subject = Subjects::new(prefix).tokens(workflow, Some(place));
        let messages = self.link.client.subscribe(subject).await.map_err(lost)?;
        // Until the server has heard of it, nothing comes.
        self.link.client.flush().await.map_err(lost)?;
        Ok(messages.filter_map(|message| std::future::ready(codec::case_of(&message))))
    }

    /// One publish to the log, acknowledged.
    pub async fn publish(&self, case: &CaseId, body: Bytes) -> Result<u64> {
        let subject = self.subjects.record(&self.workflow, case, RecordKind::Fired);
        let sent = self.jetstream.publish(subject, body).await.map_err(lost)?;
        Ok(sent.await.map_err(lost)?.sequence)
    }

    /// Puts a token in a place: one publish, acknowledged.
    pub async fn put(&self, place: &PlaceId, token: &TokenId, body: Bytes) -> Result<u64> {
        let subject = self.subjects.token(&self.workflow, place, token);
        let sent = self.jetstream.publish(subject, body).await.map_err(lost)?;
        Ok(sent.await.map_err(lost)?.sequence)
    }

    /// Stores the messages of a firing, as plain publishes that are sent together and then
    /// acknowledged: its record, an empty message at each old place, and a token at each new
    /// one.
    pub async fn firing(&self, case: &CaseId, record: &Bytes, tokens: &[Moved]) -> Result<()> {
        let subject = self.subjects.record(&self.workflow, case, RecordKind::Fired);
        let mut messages = vec![(subject, record.clone())];
        for Moved { token, arrived, from, to, body } in tokens {
            messages.push((self.subjects.token(&self.workflow, from, token), Bytes::new()));
            messages.push((self.subjects.token(&self.workflow, to, arrived), body.clone()));
        }
        // Whoever waits for room to send one takes the acknowledgements of the others meanwhile,
        // which makes room.
        let send = |(subject, body)| async {
            self.jetstream.publish(subject, body).await.map_err(lost)?.await.map_err(lost)
        };
        try_join_all(messages.into_iter().map(send)).await?;
        Ok(())
    }

    /// Stores the messages of a firing of the engine, with all its conditions and in its
    /// order, but without the decision. The record comes first, under the case's fence. After
    /// its acknowledgement come a marker at the old place and a token at the new one of each that
    /// moved. `last` has the sequences that they expect, and is set to those that they get.
    pub async fn guarded(
        &self,
        case: &CaseId,
        record: &Bytes,
        moved: &[Moved],
        last: &mut Sequences,
    ) -> Result<()> {
        self.append(case, RecordKind::Fired, record, last).await?;
        let left = moved.iter().map(|moved| {
            let to = (moved.arrived == moved.token).then_some(&moved.to);
            (&moved.token, &moved.from, Written::Marker(to))
        });
        let arrived =
            moved.iter().map(|moved| (&moved.arrived, &moved.to, Written::Token(&moved.body)));
        let writes: Vec<_> = left.chain(arrived).collect();
        let written = writes
            .iter()
            .map(|(token, place, what)| self.guarded_view(case, (token, place), *what, last));
        let sequences = try_join_all(written).await?;
        for ((token, place, what), sequence) in writes.into_iter().zip(sequences) {
            let at = (token.clone(), place.clone());
            match what {
                // Nothing comes there again.
                Written::Marker(None) => last.places.remove(&at),
                _ => last.places.insert(at, sequence),
            };
        }
        Ok(())
    }

    /// Stores the messages of the beginning of a case with one token, as [`guarded`](Self::guarded)
    /// does those of a firing.
    pub async fn begin(
        &self,
        case: &CaseId,
        record: &Bytes,
        (token, place): (&TokenId, &PlaceId),
        body: &Bytes,
    ) -> Result<()> {
        let mut last = Sequences::default();
        self.append(case, RecordKind::Created, record, &mut last).await?;
        let subject = self.subjects.token(&self.guarded, place, token);
        let headers = || codec::view_headers(case, LogSequence::new(last.record), 0);
        let (stream, expected) =
            (&self.config.marking_stream, Expected { sequence: 0, filter: None });
        self.link.publish(stream, &subject, expected, headers, body.clone()).await?;
        Ok(())
    }

    async fn append(
        &self,
        case: &CaseId,
        kind: RecordKind,
        record: &Bytes,
        last: &mut Sequences,
    ) -> Result<()> {
        let Self { subjects, guarded: workflow, group, .. } = self;
        let fence = subjects.case(workflow, case);
        let subject = subjects.record(workflow, case, kind);
        let (expected, payload) = (last.record, record.clone());
        last.record = group.append(Append { subject, fence, expected, payload }).await?;
        Ok(())
    }

    /// The marker of a token that left a place, or the token.
    async fn guarded_view(
        &self,
        case: &CaseId,
        (token, place): (&TokenId, &PlaceId),
        what: Written<'_>,
        last: &Sequences,
    ) -> Result<u64> {
        let Self { link, subjects, config, .. } = self;
        let (stream, subject) =
            (&config.marking_stream, subjects.token(&self.guarded, place, token));
        let known = last.places.get(&(token.clone(), place.clone()));
        let mut sequence = known.copied().unwrap_or_default();
        loop {
            let headers = || {
                let mut headers =
                    codec::view_headers(case, LogSequence::new(last.record), sequence);
                if let Written::Marker(moved_to) = what {
                    codec::add_marker_headers(&mut headers, moved_to, config.marker_ttl);
                }
                headers
            };
            let body = match what {
                Written::Marker(_) => Bytes::new(),
                Written::Token(body) => body.clone(),
            };
            let expected = Expected { sequence, filter: None };
            match link.publish(stream, &subject, expected, headers, body).await {
                // The marker that it left there has come to its time.
                Err(StorageError::LostRace { .. }) if sequence != 0 => sequence = 0,
                published => return published,
            }
        }
    }

    /// The last message of a token's subject, by direct get.
    pub async fn get(&self, place: &PlaceId, token: &TokenId) -> Result<Bytes> {
        let subject = self.subjects.token(&self.workflow, place, token);
        let message = self.marking.direct_get_last_for_subject(subject).await.map_err(lost)?;
        Ok(message.payload)
    }

    /// The last message of a token in any place, as the engine asks for it: by its subject with a
    /// wildcard for the place.
    pub async fn get_anywhere(&self, token: &TokenId) -> Result<Bytes> {
        let asked = self.subjects.token_anywhere(&self.workflow, token);
        let subject = format!("{}.DIRECT.GET.{}", self.link.api, self.config.marking_stream);
        let body = serde_json::json!({ "last_by_subj": asked }).to_string();
        Ok(self.link.client.request(subject, body.into()).await.map_err(lost)?.payload)
    }

    /// The last message of each token's subject in a place, by one direct get: at most 1,024.
    pub async fn list(&self, place: &PlaceId) -> Result<usize> {
        let filter = self.subjects.tokens(&self.workflow, Some(place));
        match self.link.last_of_each(&self.config.marking_stream, &[filter], 1, 1_024).await? {
            Many::Some { messages, .. } => Ok(messages.len()),
            Many::TooMany => Err(lost("more tokens than one direct get answers for")),
        }
    }
}

/// Message at a token's place.
#[derive(Clone, Copy)]
enum Written<'a> {
    /// The marker of a token that left, and the place that it went to.
    Marker(Option<&'a PlaceId>),
    Token(&'a Bytes),
}

/// A token that a firing moves, or takes and gives another one for.
#[derive(Debug, Clone)]
pub struct Moved {
    /// The token.
    pub token: TokenId,
    /// The token that it is afterwards: itself, or a new one.
    pub arrived: TokenId,
    /// The place that it leaves.
    pub from: PlaceId,
    /// The place that it goes to.
    pub to: PlaceId,
    /// Body of the message there.
    pub body: Bytes,
}

/// The last sequences that [`Floor::guarded`] stored of a case.
#[derive(Debug, Clone, Default)]
pub struct Sequences {
    record: u64,
    places: HashMap<(TokenId, PlaceId), u64>,
}

fn lost(error: impl std::fmt::Display) -> StorageError {
    StorageError::Unavailable { reason: error.to_string(), away_since: None }
}
