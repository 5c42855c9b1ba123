//! Pages of live tokens: by direct gets whose number grows with the page, or by a consumer that
//! reads the whole view.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use futures::future::join_all;

use super::{
    codec::{decode_token, revision},
    direct::RawMessage,
    marking::SUBJECTS_AT_ONCE,
    store::Inner,
};
use crate::{
    models::{Token, TokenId},
    storage::{Cursor, Result, TokenScope},
};

/// How many messages the view may have for a listing to be asked for at once, whatever it is
/// of: to say that there are too many, the server looks at all that match, some 5 µs each.
const FEW_MESSAGES: u64 = 16_384;

/// How long it is remembered how many messages the view has, and what a listing was like.
const REMEMBERED: Duration = Duration::from_secs(10);

/// Of so many listings it is remembered.
const LISTINGS: usize = 1_024;

/// The filter of all messages of a stream.
const EVERYTHING: &str = ">";

/// How many direct gets for the next token are under way at once.
const MOST_AT_ONCE: u64 = 32;

/// What listings were like, so that most of them take one request.
#[derive(Debug, Default)]
pub struct Listings {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How many messages the view has.
    messages: Option<(Instant, u64)>,
    /// Whether the server answers for all tokens of a filter at once.
    at_once: HashMap<String, (Instant, bool)>,
}

impl Listings {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock; if it did, the state would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, filter: &str) -> Option<bool> {
        let state = self.state();
        if let Some((at, at_once)) = state.at_once.get(filter)
            && at.elapsed() < REMEMBERED
        {
            return Some(*at_once);
        }
        let (at, messages) = state.messages?;
        (at.elapsed() < REMEMBERED).then_some(messages <= FEW_MESSAGES)
    }

    /// Notes whether the server answers for all tokens of a filter at once.
    pub fn note(&self, filter: &str, at_once: bool) {
        let mut state = self.state();
        if state.at_once.len() >= LISTINGS {
            state.at_once.clear();
        }
        state.at_once.insert(filter.to_owned(), (Instant::now(), at_once));
    }
}

impl Inner {
    /// Whether the server probably answers for all tokens of a filter at once.
    pub async fn is_asked_at_once(&self, filter: &str) -> Result<bool> {
        if let Some(known) = self.listings.known(filter) {
            return Ok(known);
        }
        let state = self.stream_state(&self.config.marking_stream).await?;
        let messages = state["messages"].as_u64().unwrap_or_default();
        self.listings.state().messages = Some((Instant::now(), messages));
        Ok(messages <= FEW_MESSAGES)
    }

    /// The live tokens of a scope, in order, from a sequence on: at least one more than `enough`,
    /// or all there are. It goes from each message to the next one, since a batch would make the
    /// server count all that are left.
    pub async fn live_along(
        &self,
        scope: &TokenScope,
        from: u64,
        enough: usize,
    ) -> Result<Vec<(Cursor, Token)>> {
        let filter = &self.subjects.tokens(scope);
        // Of the stream's beginning the server is asked for any message: asked for one of a filter
        // there, it looks at all subjects that match.
        let Some(begin) = self.link.next(self.marking(), EVERYTHING, from).await? else {
            return Ok(Vec::new());
        };
        let is_whole = from <= 1;
        let mut from = begin.sequence + 1;
        let mut found = BTreeMap::new();
        if self.subjects.is_token_of(scope, &begin.subject) && !begin.payload.is_empty() {
            found.insert(begin.sequence, begin.subject);
        }
        let mut live = Vec::new();
        let (mut at_once, mut seen) = (1, found.len());
        loop {
            let mut is_over = false;
            while !is_over && live.len() + found.len() <= enough {
                let more = self.next_ones(filter, from, at_once).await?;
                is_over = more.is_over;
                // Where the messages lie close together, as many are asked for as come.
                at_once = match more.messages.len() as u64 * 2 > at_once {
                    true => (at_once * 2).min(MOST_AT_ONCE),
                    false => (at_once / 2).max(1),
                };
                seen += more.messages.len();
                if let Some((last, _)) = more.messages.last_key_value() {
                    from = last + 1;
                }
                let tokens = more.messages.into_iter().filter(|(_, m)| !m.payload.is_empty());
                found.extend(tokens.map(|(sequence, message)| (sequence, message.subject)));
            }
            live.extend(self.still_there(&std::mem::take(&mut found)).await?);
            if is_over || live.len() > enough {
                // The end of a long listing says nothing of its length.
                if is_whole && is_over && seen < SUBJECTS_AT_ONCE {
                    self.listings.note(filter, true);
                }
                return Ok(live);
            }
        }
    }

    /// The first messages at or after each of some sequences in a row: all there are up to
    /// the last of them.
    async fn next_ones(&self, filter: &str, from: u64, at_once: u64) -> Result<NextOnes> {
        let asked = (from..from.saturating_add(at_once))
            .map(|from| self.link.next(&self.config.marking_stream, filter, from));
        let (mut messages, mut is_over) = (BTreeMap::new(), false);
        // To their ends, all of them: one may be what finds out that the server is back.
        for found in join_all(asked).await {
            match found? {
                Some(message) => drop(messages.insert(message.sequence, message)),
                None => is_over = true,
            }
        }
        Ok(NextOnes { messages, is_over })
    }

    /// Those of the tokens found that are the last word of their subjects: after a crash of the
    /// server, an old version may stand before the new one.
    async fn still_there(&self, found: &BTreeMap<u64, String>) -> Result<Vec<(Cursor, Token)>> {
        let subjects: Vec<String> = found.values().cloned().collect();
        let mut live = Vec::new();
        for subjects in subjects.chunks(SUBJECTS_AT_ONCE) {
            let some = self.live_of(subjects, 1, subjects.len()).await?;
            live.extend(some.ok_or_else(|| self.too_many(subjects.len()))?);
        }
        live.retain(|(Cursor(sequence), _)| found.contains_key(sequence));
        live.sort_by_key(|(cursor, _)| *cursor);
        live.dedup_by_key(|(cursor, _)| *cursor);
        Ok(live)
    }

    /// The same page by consumers. The first reads all messages of the workflow, for each token
    /// the newest decides; the second fetches those of the page.
    pub async fn live_by_consumer(
        &self,
        scope: &TokenScope,
        from: u64,
        enough: usize,
    ) -> Result<Vec<(Cursor, Token)>> {
        let marking = &self.config.marking_stream;
        let until = self.last_of(marking).await?;
        let everywhere = TokenScope { place: None, ..scope.clone() };
        let mut feed = self.feed(marking, self.subjects.tokens(&everywhere), 1, Some(until));
        let mut newest: HashMap<TokenId, (Age, bool)> = HashMap::new();
        while let Some(message) = feed.next().await {
            let message = message?;
            let Some((_, place, token)) = self.subjects.parse_token(&message.subject) else {
                continue;
            };
            let here = scope.place.as_ref().is_none_or(|only| *only == place);
            let age = Age::of(&message);
            let known = newest.entry(token).or_insert((age, here));
            if known.0 < age {
                *known = (age, here);
            }
        }
        let wanted = |(age, here): &(Age, bool)| *here && age.is_live && age.sequence >= from;
        let wanted: BTreeSet<u64> =
            newest.values().filter(|known| wanted(known)).map(|(age, _)| age.sequence).collect();
        let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else {
            return Ok(Vec::new());
        };
        let mut feed = self.feed(marking, self.subjects.tokens(scope), *first, Some(*last));
        let mut live = Vec::new();
        while live.len() <= enough {
            let Some(message) = feed.next().await else { break };
            let message = message?;
            if !wanted.contains(&message.sequence) {
                continue;
            }
            match decode_token(&message) {
                Ok(token) => live.push((Cursor(message.sequence), token)),
                Err(error) => {
                    tracing::warn!(%error, "left out of a listing; `petrel rebuild` mends it");
                }
            }
        }
        Ok(live)
    }
}

struct NextOnes {
    messages: BTreeMap<u64, RawMessage>,
    /// Whether nothing comes after these.
    is_over: bool,
}

/// How new a message of the view is: by the record that it comes from; of the marker and the
/// token of one record the token counts, and else the server's time decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Age {
    revision: u64,
    is_live: bool,
    time: DateTime<Utc>,
    sequence: u64,
}

impl Age {
    pub fn of(message: &RawMessage) -> Self {
        Self {
            revision: revision(message),
            is_live: !message.payload.is_empty(),
            time: message.timestamp,
            sequence: message.sequence,
        }
    }
}
