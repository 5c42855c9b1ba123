//! Live tokens in the marking stream.

use futures::{StreamExt, future::join_all, stream::BoxStream};
use serde_json::Value;

use super::{
    codec::{self, decode_register, decode_token, encode_view, moved_to},
    direct::{Many, RawMessage},
    feed::{Feed, FeedRequest},
    link::Expected,
    store::Inner,
};
use crate::{
    models::{CaseId, PlaceId, Token, TokenId, WorkflowId},
    storage::{
        Consistency, Cursor, Health, Page, PageOf, ReadPath, Register, RegisterState, Result,
        StorageError, TokenScope, ViewOutcome, ViewWrite,
    },
};

/// How many subjects one request may name; the server answers for at most 1,024.
const SUBJECTS_AT_ONCE: usize = 512;

impl Inner {
    fn marking(&self) -> &str {
        &self.config.marking_stream
    }

    pub async fn register(
        &self,
        workflow: &WorkflowId,
        place: &PlaceId,
        token: &TokenId,
    ) -> Result<Register> {
        let subject = self.subjects.token(workflow, place, token);
        match self.link.last(self.marking(), &subject).await? {
            Some(message) => decode_register(&message, &self.subjects),
            None => Ok(Register {
                workflow: workflow.clone(),
                place: place.clone(),
                token: token.clone(),
                sequence: 0,
                state: RegisterState::Empty,
            }),
        }
    }

    /// All of them at once on one connection, which keeps their order: the marker at the old
    /// place arrives before the token at the new one.
    pub async fn write_views(&self, writes: Vec<ViewWrite>) -> Vec<Result<ViewOutcome>> {
        join_all(writes.iter().map(|write| self.write_view(write))).await
    }

    async fn write_view(&self, write: &ViewWrite) -> Result<ViewOutcome> {
        let subject = self.subjects.token(&write.workflow, &write.place, &write.token);
        let ttl = self.config.marker_ttl.as_secs();
        let (headers, payload) = encode_view(write, &subject, ttl)?;
        let expected = Expected { sequence: write.expected, filter: None };
        match self.link.publish(self.marking(), subject, expected, headers, payload).await {
            Ok(sequence) => Ok(ViewOutcome::Written(sequence)),
            Err(StorageError::LostRace { .. }) => Ok(ViewOutcome::LostRace),
            Err(error) => Err(error),
        }
    }

    pub async fn token(
        &self,
        workflow: &WorkflowId,
        token: &TokenId,
        path: ReadPath,
    ) -> Result<Option<Token>> {
        let anywhere = self.subjects.token_anywhere(workflow, token);
        let message = match path {
            ReadPath::Direct => self.link.last(self.marking(), &anywhere).await?,
            ReadPath::Consumer => newest(self.scan_last(anywhere).await?),
        };
        let Some(message) = message else { return Ok(None) };
        if !message.payload.is_empty() {
            return decode_token(&message).map(Some);
        }
        // The last word on the token is a marker: it moved a moment ago, or is gone.
        let Some(place) = moved_to(&message) else { return Ok(None) };
        match self.register(workflow, &place, token).await?.state {
            RegisterState::Live(token) => Ok(Some(*token)),
            _ => Ok(None),
        }
    }

    pub async fn tokens(
        &self,
        scope: &TokenScope,
        page: Page,
        path: ReadPath,
    ) -> Result<PageOf<Token>> {
        if let Some(case) = &scope.case {
            return self.tokens_of_case(scope, case, page).await;
        }
        let filter = self.subjects.tokens(scope);
        if path == ReadPath::Direct
            && let Many::All(messages) =
                self.link.last_of_each(self.marking(), std::slice::from_ref(&filter)).await?
        {
            return page_of(messages, page);
        }
        let from = page.after.map_or(1, |Cursor(after)| after + 1);
        let until = self.stream_state(self.marking()).await?["last_seq"].as_u64();
        let mut feed = self.feed(self.marking(), filter, from, Some(until.unwrap_or_default()));
        let mut messages = Vec::new();
        // One more than asked for tells whether there is a next page.
        while messages.len() <= page.first {
            let Some(message) = feed.next().await else { break };
            let message = message?;
            // After a crash of the server an old version may stand beside the new one.
            messages.retain(|other: &RawMessage| other.subject != message.subject);
            if !message.payload.is_empty() {
                messages.push(message);
            }
        }
        page_of(messages, Page { first: page.first, after: page.after })
    }

    /// The head says which tokens a case has; the view says what they are.
    async fn tokens_of_case(
        &self,
        scope: &TokenScope,
        case: &CaseId,
        page: Page,
    ) -> Result<PageOf<Token>> {
        let head = self.head(&scope.workflow, case, Consistency::Eventual).await?;
        let marking = head.map(|head| head.value.marking.0).unwrap_or_default();
        let wanted = |place: &PlaceId| scope.place.as_ref().is_none_or(|only| only == place);
        let subjects: Vec<_> = marking
            .iter()
            .filter(|entry| wanted(&entry.place))
            .map(|entry| self.subjects.token(&scope.workflow, &entry.place, &entry.token))
            .collect();
        let mut messages = Vec::new();
        for subjects in subjects.chunks(SUBJECTS_AT_ONCE) {
            if let Many::All(part) = self.link.last_of_each(self.marking(), subjects).await? {
                messages.extend(part);
            }
        }
        messages.sort_by_key(|message| message.sequence);
        page_of(messages, page)
    }

    /// The last message of each subject, by consumer.
    async fn scan_last(&self, filter: String) -> Result<Vec<RawMessage>> {
        let until = self.stream_state(self.marking()).await?["last_seq"].as_u64();
        let request = FeedRequest {
            stream: self.marking().to_owned(),
            filter,
            from: 1,
            last_of_each: true,
            until: Some(until.unwrap_or_default()),
            batch: self.config.scan_batch,
        };
        let mut feed = Feed::new(&self.link, &self.jetstream, request);
        let mut messages = Vec::new();
        while let Some(message) = feed.next().await {
            messages.push(message?);
        }
        Ok(messages)
    }

    pub async fn registers(&self) -> Result<BoxStream<'static, Result<Register>>> {
        let until = self.stream_state(self.marking()).await?["last_seq"].as_u64();
        let filter = self.subjects.marking_stream().swap_remove(0);
        let feed = self.feed(self.marking(), filter, 1, Some(until.unwrap_or_default()));
        let subjects = self.subjects.clone();
        let decode = move |message: Result<RawMessage>| decode_register(&message?, &subjects);
        Ok(feed.into_stream().map(decode).boxed())
    }

    pub async fn health(&self) -> Health {
        let begun = std::time::Instant::now();
        let info = self.client_info();
        let log = match self.stream_state(&self.config.log_stream).await {
            Ok(state) => state,
            Err(error) => {
                let (away_since, problem) =
                    (self.link.breaker.away_since(), Some(error.to_string()));
                return Health { server_version: info, away_since, problem, ..Health::default() };
            }
        };
        let round_trip_ms = Some(begun.elapsed().as_secs_f64() * 1_000.0);
        let view = self.stream_state(self.marking()).await;
        let number = |state: &Value, field: &str| state[field].as_u64();
        Health {
            connected: view.is_ok(),
            round_trip_ms,
            server_version: info,
            away_since: None,
            log_messages: number(&log, "messages"),
            log_bytes: number(&log, "bytes"),
            view_messages: view.as_ref().ok().and_then(|state| number(state, "messages")),
            problem: view.err().map(|error| error.to_string()),
        }
    }

    fn client_info(&self) -> Option<String> {
        self.link.client.try_server_info().map(|info| info.version)
    }
}

/// The newest message: by the server's time, then by sequence.
fn newest(messages: Vec<RawMessage>) -> Option<RawMessage> {
    messages.into_iter().max_by_key(|message| (message.timestamp, message.sequence))
}

/// The live tokens among `messages`, which are in the order of their sequences. What can't be
/// read is left out: one bad message must not hide the others.
fn page_of(messages: Vec<RawMessage>, page: Page) -> Result<PageOf<Token>> {
    let after = page.after.map_or(0, |Cursor(after)| after);
    let live = messages
        .into_iter()
        .filter(|message| message.sequence > after && !message.payload.is_empty());
    let mut items = Vec::new();
    for message in live {
        if items.len() == page.first {
            return Ok(PageOf { items, has_next: true });
        }
        match codec::decode_token(&message) {
            Ok(token) => items.push((Cursor(message.sequence), token)),
            Err(error) => {
                tracing::warn!(%error, "left out of a listing; `petrel rebuild` mends it")
            }
        }
    }
    Ok(PageOf { items, has_next: false })
}
