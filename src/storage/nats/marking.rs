//! Live tokens in the marking stream.

use std::time::Instant;

use futures::{StreamExt, future::join_all, stream::BoxStream};

use super::{
    codec::{decode_register, decode_token, encode_view, headers_of_view, moved_to},
    decoding::decoded,
    direct::{Asked, Many, Query, RawMessage},
    feed::{Feed, FeedRequest},
    listing::Age,
    publish::Expected,
    store::Inner,
};
use crate::{
    models::{PlaceId, Token, TokenId, ViewSequence, WorkflowId},
    storage::{
        Cursor, Filling, Markers, PAGE_BYTES, Page, PageOf, ReadPath, Register, RegisterState,
        Result, StorageError, ViewOutcome, ViewScope, ViewWrite,
    },
};

/// Number of subjects that one request may name; the server answers for at most 1,024.
pub(super) const SUBJECTS_AT_ONCE: usize = 512;

impl Inner {
    pub(super) fn marking(&self) -> &str {
        &self.config.marking_stream
    }

    pub(super) fn markers(&self) -> Markers {
        Markers::kept_for(self.config.marker_ttl)
    }

    pub(super) async fn register(
        &self,
        workflow: &WorkflowId,
        place: &PlaceId,
        token: &TokenId,
    ) -> Result<Register> {
        let subject = self.subjects.token(workflow, place, token);
        let subjects = self.subjects.clone();
        let decode = move |message: &RawMessage| decode_register(message, &subjects);
        let (marking, last) = (self.marking(), Query::Last(&subject));
        match self.link.get_decoded(marking, last, Asked::Any, decode).await? {
            Some(found) => found.what,
            None => Ok(Register::empty(workflow, place, token)),
        }
    }

    /// Writes all of them at once on one connection, which keeps their order: the marker at
    /// the old place arrives before the token at the new one.
    pub(super) async fn write_views(
        &self,
        writes: Vec<ViewWrite>,
        log_read: Instant,
    ) -> Vec<Result<ViewOutcome>> {
        join_all(writes.iter().map(|write| self.write_view(write, log_read))).await
    }

    async fn write_view(&self, write: &ViewWrite, log_read: Instant) -> Result<ViewOutcome> {
        let subject = self.subjects.token(&write.workflow, &write.place, &write.token);
        let payload = encode_view(write, &subject)?;
        let seen = self.markers().expected(&write.expected);
        let expected = seen.map_or(0, ViewSequence::get);
        let headers = || headers_of_view(write, expected, self.config.marker_ttl);
        let condition = Expected { sequence: expected, filter: None };
        match self.link.publish(self.marking(), &subject, condition, headers, payload).await {
            Ok(sequence) => {
                let sequence = ViewSequence::new(sequence).ok_or_else(|| StorageError::Stream {
                    stream: self.marking().to_owned(),
                    reason: "the server acknowledged a message at sequence 0".to_owned(),
                })?;
                let written = write.content.written_at(sequence);
                Ok(self.markers().outcome(written, seen, log_read))
            }
            Err(StorageError::LostRace { .. }) => Ok(ViewOutcome::LostRace),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn token(
        &self,
        workflow: &WorkflowId,
        token: &TokenId,
        path: ReadPath,
    ) -> Result<Option<Token>> {
        let anywhere = self.subjects.token_anywhere(workflow, token);
        let last = match path {
            ReadPath::Direct => {
                let (marking, last) = (self.marking(), Query::Last(&anywhere));
                let found = self.link.get_decoded(marking, last, Asked::Any, last_word).await?;
                found.map(|found| found.what).transpose()?
            }
            ReadPath::Consumer => match self.newest(anywhere.clone()).await? {
                // It moved, and its new place was written after the marker or is written now.
                Some(LastWord::Gone { moved_to: Some(_) }) => {
                    let newest = self.newest(anywhere).await?;
                    newest.filter(|newest| matches!(newest, LastWord::Live(_)))
                }
                newest => newest,
            },
        };
        let place = match last {
            Some(LastWord::Live(token)) => return Ok(Some(*token)),
            Some(LastWord::Gone { moved_to: Some(place) }) => place,
            Some(LastWord::Gone { moved_to: None }) | None => return Ok(None),
        };
        // The last word on the token is a marker: it moved a moment ago, or is gone.
        match self.register(workflow, &place, token).await?.state {
            RegisterState::Live(token) => Ok(Some(*token)),
            _ => Ok(None),
        }
    }

    pub(super) async fn tokens(
        &self,
        scope: &ViewScope,
        page: Page,
        path: ReadPath,
    ) -> Result<PageOf<Token>> {
        // Nothing is after the last sequence there can be.
        let Some(from) = page.after.map_or(Some(1), |Cursor(after)| after.checked_add(1)) else {
            return Ok(PageOf { items: Vec::new(), has_next: false });
        };
        let enough = Enough { tokens: page.first, bytes: PAGE_BYTES };
        let (workflow, place) = match scope {
            ViewScope::Workflow(workflow) => (workflow, None),
            ViewScope::Place(workflow, place) => (workflow, Some(place)),
            // Their subjects are known, whatever the path.
            ViewScope::Registers(workflow, registers) => {
                let live = self.live_at(workflow, registers, from, enough).await?;
                return Ok(page_of(live, page));
            }
        };
        let live = match path {
            ReadPath::Consumer => self.live_by_consumer(workflow, place, from, enough).await?,
            ReadPath::Direct => {
                self.live_in(self.subjects.tokens(workflow, place), from, enough).await?
            }
        };
        Ok(page_of(live, page))
    }

    async fn live_in(&self, filter: String, from: u64, enough: Enough) -> Result<Vec<Live>> {
        if self.is_asked_at_once(&filter).await? {
            let filters = std::slice::from_ref(&filter);
            let live = self.live_of(filters, from, enough, |_| true).await?;
            self.listings.note(&filter, live.is_some());
            if let Some(live) = live {
                return Ok(live);
            }
        }
        self.live_along(&filter, from, enough).await
    }

    /// The live tokens at subjects, in order, from a sequence on, with sequences that are wanted:
    /// more than `enough`, or all there are. `None` if there are too many subjects for direct gets.
    pub(super) async fn live_of(
        &self,
        filters: &[String],
        mut from: u64,
        enough: Enough,
        wanted: impl Fn(u64) -> bool,
    ) -> Result<Option<Vec<Live>>> {
        let mut live = Vec::new();
        loop {
            let batch = enough.tokens + 1 - live.len();
            match self.link.last_of_each(self.marking(), filters, from, batch).await? {
                Many::TooMany => return Ok(None),
                Many::Some { messages, more } => {
                    let last = messages.last().map(|message| message.sequence);
                    enough.add(&mut live, messages, &wanted).await;
                    match last {
                        Some(last) if more && !enough.is_less_than(&live) => from = last + 1,
                        _ => return Ok(Some(live)),
                    }
                }
            }
        }
    }

    /// The live ones of these tokens in these places, in order, from a sequence on: of each
    /// request more than `enough`, or all there are.
    async fn live_at(
        &self,
        workflow: &WorkflowId,
        registers: &[(TokenId, PlaceId)],
        from: u64,
        enough: Enough,
    ) -> Result<Vec<Live>> {
        let subject = |(token, place): &_| self.subjects.token(workflow, place, token);
        let subjects: Vec<_> = registers.iter().map(subject).collect();
        let mut live = Vec::new();
        for subjects in subjects.chunks(SUBJECTS_AT_ONCE) {
            let some = self.live_of(subjects, from, enough, |_| true).await?;
            live.extend(some.ok_or_else(|| self.too_many(subjects.len()))?);
            live.sort_by_key(|live| live.at);
            enough.cut(&mut live);
        }
        Ok(live)
    }

    pub(super) fn too_many(&self, subjects: usize) -> StorageError {
        StorageError::Stream {
            stream: self.marking().to_owned(),
            reason: format!("the server does not answer for {subjects} subjects at once"),
        }
    }

    /// The word of the newest message of these subjects, by consumer.
    async fn newest(&self, filter: String) -> Result<Option<LastWord>> {
        match newest(self.scan_last(filter).await?) {
            Some(message) => decoded(message, last_word).await.map(Some),
            None => Ok(None),
        }
    }

    /// The last message of each subject, by consumer.
    async fn scan_last(&self, filter: String) -> Result<Vec<RawMessage>> {
        let until = self.last_of(self.marking()).await?;
        let request = FeedRequest {
            stream: self.marking().to_owned(),
            filter,
            from: 1,
            last_of_each: true,
            headers_only: false,
            until: Some(until),
            batch: self.config.scan_batch,
            tries: self.config.deliveries,
            replicated: self.seen.replicated(),
        };
        let mut feed = Feed::new(&self.link, &self.jetstream, request);
        let mut messages = Vec::new();
        while let Some(message) = feed.next().await {
            messages.push(message?);
        }
        Ok(messages)
    }

    pub(super) async fn registers(&self) -> Result<BoxStream<'static, Result<Register>>> {
        let until = self.last_of(self.marking()).await?;
        let filter = self.subjects.all_tokens();
        let feed = self.feed(self.marking(), filter, 1, Some(until));
        let subjects = self.subjects.clone();
        let decode = move |message: Result<RawMessage>| decode_register(&message?, &subjects);
        Ok(feed.into_stream().map(decode).boxed())
    }
}

/// The word of the view's last message on a token.
enum LastWord {
    Live(Box<Token>),
    Gone { moved_to: Option<PlaceId> },
}

fn last_word(message: &RawMessage) -> Result<LastWord> {
    if message.payload.is_empty() {
        return Ok(LastWord::Gone { moved_to: moved_to(message) });
    }
    decode_token(message).map(|token| LastWord::Live(Box::new(token)))
}

/// The newest message of a token, at any of its places.
fn newest(messages: Vec<RawMessage>) -> Option<RawMessage> {
    messages.into_iter().max_by_key(Age::of)
}

/// A live token of the view, at its position.
pub(super) struct Live {
    pub at: Cursor,
    pub token: Token,
    /// Bytes that it takes.
    pub bytes: usize,
}

impl Live {
    /// The token of a message; `None`, and a line in the log, for one that can't be read: it must
    /// not hide the others.
    pub(super) async fn of(message: RawMessage) -> Option<Self> {
        let at = Cursor(message.sequence);
        let unreadable = |error: &StorageError| {
            tracing::warn!(%error, "left out of a listing; `petrel rebuild` mends it");
        };
        let token = decoded(message, decode_token).await.inspect_err(unreadable).ok()?;
        Some(Self { at, bytes: token.memory(), token })
    }
}

/// As much as a page may have. More than that tells that another page follows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Enough {
    pub tokens: usize,
    pub bytes: usize,
}

impl Enough {
    /// One token alone is never more than a page may have, however large it is.
    pub(super) fn is_less_than(self, live: &[Live]) -> bool {
        self.is_less_than_these(live.len(), bytes_of(live))
    }

    fn is_less_than_these(self, tokens: usize, bytes: usize) -> bool {
        tokens > self.tokens || tokens > 1 && bytes > self.bytes
    }

    /// Adds newer messages to the known tokens, until they are more than this: what is decoded takes
    /// many times the memory that it takes in a message. A token that moved on during the read is
    /// dropped; and after a crash of the server an old version may stand beside the new one.
    async fn add(self, live: &mut Vec<Live>, newer: Vec<RawMessage>, wanted: impl Fn(u64) -> bool) {
        let stays = |old: &Live| {
            newer.iter().all(|new| Some(&new.subject) != old.token.nats_subject.as_ref())
        };
        live.retain(stays);
        let mut bytes = bytes_of(live);
        for message in newer {
            if self.is_less_than_these(live.len(), bytes) {
                return;
            }
            if !message.payload.is_empty() && wanted(message.sequence) {
                let new = Live::of(message).await;
                bytes += new.as_ref().map_or(0, |new| new.bytes);
                live.extend(new);
            }
        }
    }

    /// Drops what is not needed to be more than this.
    fn cut(self, live: &mut Vec<Live>) {
        while live.len() > 1 && self.is_less_than(&live[..live.len() - 1]) {
            live.pop();
        }
    }
}

fn bytes_of(live: &[Live]) -> usize {
    live.iter().map(|live| live.bytes).sum()
}

/// A page of tokens that are in the order of their positions, more than the page may have if there
/// are more.
fn page_of(live: Vec<Live>, page: Page) -> PageOf<Token> {
    let mut filling = Filling::new(page.first);
    for Live { at, token, bytes } in live {
        if !filling.add(at, token, bytes) {
            break;
        }
    }
    filling.page()
}
