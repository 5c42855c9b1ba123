//! A record in the making: the change, and then each firing that follows it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::Net;
use crate::models::{
    Case, CaseStatus, Marking, MarkingEntry, PlaceId, Record, Token, TokenAt, TokenId,
};

/// A record without its tokens and its marking, and what becomes of the case's tokens.
#[derive(Clone)]
pub(super) struct Draft<'a> {
    pub before: Option<&'a Case>,
    pub record: Record,
    /// The tokens that were there before and have been taken.
    gone: HashSet<TokenId>,
    /// All tokens that were taken, also those that came back.
    taken: HashSet<TokenId>,
    /// The tokens made or changed that are still there, by the order in which they came.
    made: HashMap<TokenId, Made>,
    /// Number of tokens that have come.
    came: usize,
    /// Bytes that the tokens carry which came in the cascade and are still there.
    carried: usize,
}

#[derive(Clone)]
struct Made {
    token: Arc<Token>,
    /// Its place in the order of arrival; `None` for one that stays where it was.
    came: Option<usize>,
    /// Bytes that it carries, if it came in the cascade.
    carried: usize,
}

impl Made {
    /// Its place among those of a record: in the order of arrival, and after one another in that of their
    /// numbers where they stayed.
    fn place_in_order(&self) -> (Option<usize>, Option<u64>) {
        (self.came, self.token.id.number())
    }
}

impl<'a> Draft<'a> {
    pub(super) fn new(before: Option<&'a Case>, record: Record) -> Self {
        let (gone, taken, made) = (HashSet::new(), HashSet::new(), HashMap::new());
        Self { before, record, gone, taken, made, came: 0, carried: 0 }
    }

    /// Takes a token out of the case.
    pub(super) fn take(&mut self, token: &TokenId) {
        self.taken.insert(token.clone());
        let was_before = match self.made.remove(token) {
            Some(made) => {
                self.carried -= made.carried;
                made.came.is_none()
            }
            None => true,
        };
        if was_before {
            self.gone.insert(token.clone());
        }
    }

    /// Puts a token into the case, as the youngest of its place.
    pub(super) fn give(&mut self, token: Arc<Token>) {
        self.give_carrying(token, 0);
    }

    /// The same of one that comes in the cascade and carries so many bytes.
    pub(super) fn give_carrying(&mut self, token: Arc<Token>, carried: usize) {
        let came = Some(self.came);
        self.came += 1;
        self.carried += carried;
        self.made.insert(token.id.clone(), Made { token, came, carried });
    }

    /// Returns true if a token was taken, also if it came back.
    pub(super) fn took(&self, token: &TokenId) -> bool {
        self.taken.contains(token)
    }

    /// A live token.
    pub(super) fn token(&self, id: &TokenId) -> Option<&Arc<Token>> {
        let before = || self.before.and_then(|case| case.tokens.get(id));
        match self.made.get(id) {
            Some(made) => Some(&made.token),
            None if self.gone.contains(id) => None,
            None => before(),
        }
    }

    /// The tokens that were changed where they are.
    pub(super) fn edited(&self) -> impl Iterator<Item = &Arc<Token>> {
        self.made.values().filter(|made| made.came.is_none()).map(|made| &made.token)
    }

    /// The places that tokens came to, left, or were changed in.
    pub(super) fn places(&self) -> HashSet<&PlaceId> {
        let record = &self.record;
        let steps = record.cascade.iter();
        let moved = steps.flat_map(|of| of.consumed.iter().chain(&of.removed).chain(&of.produced));
        let moved = moved.chain(&record.consumed).chain(&record.removed).chain(&record.given);
        moved.map(|at| &at.place).chain(self.made.values().map(|made| &made.token.place)).collect()
    }

    /// Bytes that the tokens carry which came in the cascade and are still there.
    pub(super) fn carried(&self) -> usize {
        self.carried
    }

    /// Changes a token that stays where and when it arrived.
    pub(super) fn change(&mut self, token: Arc<Token>) {
        self.made.insert(token.id.clone(), Made { token, came: None, carried: 0 });
    }

    /// Notes the tokens that the change itself gave or edited, since others come after them.
    pub(super) fn end_of_change(&mut self) {
        let (came, edited): (Vec<_>, _) =
            self.in_order().into_iter().partition(|made| made.came.is_some());
        let named = |made: Vec<&Made>| made.into_iter().map(|made| at(&made.token)).collect();
        (self.record.given, self.record.edited) = (named(came), named(edited));
    }

    /// The live tokens, oldest arrival first.
    pub(super) fn live(&self) -> impl Iterator<Item = &Arc<Token>> {
        let before = self.before.into_iter().flat_map(Case::live_tokens);
        let stays = before.filter(|token| !self.gone.contains(&token.id));
        let stays = stays.map(|token| self.made.get(&token.id).map_or(token, |made| &made.token));
        let came = self.in_order().into_iter().filter(|made| made.came.is_some());
        stays.chain(came.map(|made| &made.token))
    }

    /// Numbers of live tokens, by place of the net.
    pub(super) fn counts(&self, net: &Net) -> Vec<u64> {
        let before = self.before.into_iter().flat_map(Case::live_tokens);
        let stays = before.filter(|token| !self.gone.contains(&token.id));
        let came = self.made.values().filter(|made| made.came.is_some()).map(|made| &made.token);
        let mut counts = vec![0; net.places.len()];
        for place in stays.chain(came).filter_map(|token| net.place(&token.place)) {
            counts[place] += 1;
        }
        counts
    }

    fn in_order(&self) -> Vec<&Made> {
        let mut made: Vec<_> = self.made.values().collect();
        made.sort_unstable_by_key(|made| made.place_in_order());
        made
    }

    /// Lets the timers that have come due and are left come due once more, in a record of their own.
    pub(super) fn put_off_elapsed(&mut self) {
        let record = &mut self.record;
        for timer in record.timers.iter_mut().filter(|timer| timer.elapsed) {
            // A record in which timers come due has one.
            if let [only] = &record.elapsed[..]
                && only.number == timer.number
            {
                continue;
            }
            (timer.elapsed, timer.armed) = (false, None);
            record.elapsed.retain(|of| of.number != timer.number);
        }
    }

    /// Leaves only the first of the timers that come due in this record.
    pub(super) fn keep_first_elapsed(&mut self) {
        let record = &mut self.record;
        for later in record.elapsed.drain(1.min(record.elapsed.len())..) {
            let timer = record.timers.iter_mut().find(|timer| timer.number == later.number);
            if let Some(timer) = timer {
                *timer = later;
            }
        }
    }

    /// The record with its tokens and the marking after it.
    pub(super) fn finish(self, net: &Net) -> Record {
        let Self { before, mut record, gone, made, .. } = self;
        let mut made: Vec<_> = made.into_values().collect();
        made.sort_unstable_by_key(Made::place_in_order);
        let Marking(marking) = &mut record.marking;
        let stays = made.iter().filter(|made| made.came.is_none()).map(|made| &made.token.id);
        for changed in stays {
            for entry in marking.iter_mut().filter(|entry| entry.token == *changed) {
                entry.sequence = None;
            }
        }
        marking.retain(|entry| !gone.contains(&entry.token));
        let arrivals = made.iter().filter(|made| made.came.is_some());
        marking.extend(arrivals.map(|Made { token, .. }| MarkingEntry {
            token: token.id.clone(),
            place: token.place.clone(),
            sequence: None,
        }));
        record.marking.sort();
        for Made { token, .. } in made {
            let mut token = Arc::unwrap_or_clone(token);
            if let Some(before) = before {
                leave_out_history(before, &mut record, &mut token);
            }
            record.produced.push(token);
        }
        record.status = status_after(net, &record.marking, record.status);
        if matches!(record.status, CaseStatus::Completed | CaseStatus::Cancelled) {
            (record.incidents, record.raised) = (Vec::new(), Vec::new());
            record.timers.clear();
            record.items.clear();
        }
        if record.cascade.is_empty() {
            (record.given, record.edited) = (Vec::new(), Vec::new());
        }
        record
    }
}

pub(super) fn at(token: &Arc<Token>) -> TokenAt {
    TokenAt { token: token.id.clone(), place: token.place.clone() }
}

/// Status of a case after a change: a running case whose tokens are all in terminal places is
/// completed.
pub(crate) fn status_after(net: &Net, marking: &Marking, status: CaseStatus) -> CaseStatus {
    let ended = |entry: &MarkingEntry| {
        net.place(&entry.place).is_some_and(|place| net.places[place].terminal)
    };
    match status {
        CaseStatus::Running if marking.0.iter().all(ended) => CaseStatus::Completed,
        status => status,
    }
}

/// Leaves out of a token, as it was before `record`, the history that an earlier record has.
fn leave_out_history(case: &Case, record: &mut Record, token: &mut Token) {
    let Some(&base) = case.history_bases.get(&token.id) else { return };
    let (history, base) = token.history_to_record(base);
    token.history = history;
    if let Some(base) = base {
        record.history_bases.insert(token.id.clone(), base);
    }
}
