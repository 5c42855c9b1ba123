//! Pages of live tokens: by direct gets whose number grows with the page, or by a consumer that
//! reads the whole view.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};

use super::{
    codec::revision,
    direct::{Asked, RawMessage},
    marking::{Enough, Live, SUBJECTS_AT_ONCE},
    store::Inner,
    walk::Walk,
};
use crate::{
    models::{LogSequence, PlaceId, TokenId, WorkflowId},
    storage::Result,
};

/// Most messages of the view with which any listing is asked for at once. To say that there
/// are too many, the server looks at all that match, some 5 µs each.
const FEW_MESSAGES: u64 = 16_384;

/// Time that the number of the view's messages and the kind of a listing are remembered.
const REMEMBERED: Duration = Duration::from_secs(10);

/// Number of listings that are remembered.
const LISTINGS: usize = 1_024;

/// Memory of earlier listings, so that most of them take one request.
#[derive(Debug, Default)]
pub(super) struct Listings {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Number of the view's messages, with the time of the count.
    messages: Option<(Instant, u64)>,
    /// Filters, each with true if the server answers for all its tokens at once.
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

    /// Notes if the server answers for all tokens of a filter at once.
    pub(super) fn note(&self, filter: &str, at_once: bool) {
        let mut state = self.state();
        if state.at_once.len() >= LISTINGS {
            state.at_once.clear();
        }
        state.at_once.insert(filter.to_owned(), (Instant::now(), at_once));
    }
}

impl Inner {
    /// Returns true if the server probably answers for all tokens of a filter at once.
    pub(super) async fn is_asked_at_once(&self, filter: &str) -> Result<bool> {
        if let Some(known) = self.listings.known(filter) {
            return Ok(known);
        }
        let state = self.stream_state(&self.config.marking_stream).await?;
        let messages = state["messages"].as_u64().unwrap_or_default();
        self.listings.state().messages = Some((Instant::now(), messages));
        Ok(messages <= FEW_MESSAGES)
    }

    /// The live tokens at the subjects of a filter, in order, from a sequence on: more than
    /// `enough`, or all there are.
    pub(super) async fn live_along(
        &self,
        filter: &str,
        from: u64,
        enough: Enough,
    ) -> Result<Vec<Live>> {
        let says_the_end = if self.seen.replicated() { Asked::Leader } else { Asked::Any };
        let mut walk = Walk::new(&self.link, self.marking(), filter, from, says_the_end);
        let (mut live, mut seen) = (Vec::new(), 0);
        loop {
            let (mut found, mut bytes) = (BTreeMap::new(), 0);
            while !walk.is_over()
                && live.len() + found.len() <= enough.tokens
                && (found.len() <= 1 || bytes <= enough.bytes)
            {
                let messages = walk.step().await?;
                seen += messages.len();
                for message in messages.into_iter().filter(|message| !message.payload.is_empty()) {
                    bytes += message.payload.len();
                    found.insert(message.sequence, message.subject);
                }
            }
            live.extend(self.still_there(&found, enough).await?);
            if walk.is_over() || enough.is_less_than(&live) {
                // The end of a long listing says nothing of its length.
                if from <= 1 && walk.is_over() && seen < SUBJECTS_AT_ONCE {
                    self.listings.note(filter, true);
                }
                return Ok(live);
            }
        }
    }

    /// The tokens found that are still the last message of their subjects: after a crash of
    /// the server, an old version may stand before the new one. More than `enough`, or all there
    /// are.
    async fn still_there(
        &self,
        found: &BTreeMap<u64, String>,
        enough: Enough,
    ) -> Result<Vec<Live>> {
        let found_ones: Vec<(&u64, &String)> = found.iter().collect();
        let mut live = Vec::new();
        for some in found_ones.chunks(SUBJECTS_AT_ONCE) {
            let subjects: Vec<String> =
                some.iter().map(|(_, subject)| (*subject).clone()).collect();
            let is_found = |sequence| found.contains_key(&sequence);
            let now = self.live_of(&subjects, 1, enough, is_found).await?;
            live.extend(now.ok_or_else(|| self.too_many(subjects.len()))?);
            // A subject that stands twice may be found beyond what has been asked for.
            let last = some.last().map(|(sequence, _)| **sequence);
            live.sort_by_key(|live: &Live| live.at);
            live.dedup_by_key(|live| live.at);
            let before = live.partition_point(|live| Some(live.at.0) <= last);
            if enough.is_less_than(&live[..before]) {
                live.truncate(before);
                break;
            }
        }
        Ok(live)
    }

    /// The same page by consumers. The first reads all messages of the workflow, of which the
    /// newest decides for each token. The second fetches the messages of the page.
    pub(super) async fn live_by_consumer(
        &self,
        workflow: &WorkflowId,
        place: Option<&PlaceId>,
        from: u64,
        enough: Enough,
    ) -> Result<Vec<Live>> {
        let marking = &self.config.marking_stream;
        let until = self.last_of(marking).await?;
        let everywhere = self.subjects.tokens(workflow, None);
        let mut feed = self.feed(marking, everywhere, 1, Some(until));
        let mut newest: HashMap<TokenId, (Age, bool)> = HashMap::new();
        while let Some(message) = feed.next().await {
            let message = message?;
            let Some((_, at, token)) = self.subjects.parse_token(&message.subject) else {
                continue;
            };
            let here = place.is_none_or(|only| *only == at);
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
        let wanted_of = self.subjects.tokens(workflow, place);
        let mut feed = self.feed(marking, wanted_of, *first, Some(*last));
        let mut live = Vec::new();
        while !enough.is_less_than(&live) {
            let Some(message) = feed.next().await else { break };
            let message = message?;
            if !wanted.contains(&message.sequence) {
                continue;
            }
            live.extend(Live::of(message).await);
        }
        Ok(live)
    }
}

/// Age of a message of the view, by the record that it comes from. Of the marker and the token
/// of one record the token counts, and else the server's time decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Age {
    revision: Option<LogSequence>,
    is_live: bool,
    time: DateTime<Utc>,
    sequence: u64,
}

impl Age {
    pub(super) fn of(message: &RawMessage) -> Self {
        Self {
            revision: revision(message),
            is_live: !message.payload.is_empty(),
            time: message.timestamp,
            sequence: message.sequence,
        }
    }
}
