//! The tokens that a transition would take: the choice is deterministic, oldest arrival first.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};

use super::{
    Blocker, Budget, GuardFailure, Mode, Net, NetTransition, RanOut, Scope,
    search::{Choices, Clash, Joins, TRIED_FIRST, advance},
};
use crate::models::{
    ArcKind, Case, CaseId, CaseStatus, PlaceId, Token, TokenId, WorkflowId, petri::Input,
};

/// Steps for one choice of tokens, beside one for each token.
const STEPS_A_CHOICE: u64 = 10;

/// The tokens of one firing.
#[derive(Debug, Clone)]
pub struct Binding {
    /// Tokens taken, in arc order.
    pub consumed: Vec<Arc<Token>>,
    /// Tokens that read arcs need and leave, in arc order.
    pub read: Vec<Arc<Token>>,
    /// Tokens that reset arcs remove, beside those consumed.
    pub reset: Vec<Arc<Token>>,
}

/// A case seen by the firing rule: its tokens by place, oldest arrival first.
pub(super) struct View<'a> {
    pub net: &'a Net,
    pub workflow: &'a WorkflowId,
    pub case: &'a CaseId,
    pub status: CaseStatus,
    pub now: DateTime<Utc>,
    pub budget: Budget,
    pub by_place: Vec<Vec<Arc<Token>>>,
    counts: BTreeMap<PlaceId, u64>,
    /// Number of tokens in places that are not terminal.
    on_the_way: usize,
    /// The tokens that are none of a binding, though they are there.
    pub kept: Kept,
}

/// Tokens of a transition's other bindings.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Those that one of them takes: no other binding has them.
    pub taken: HashSet<TokenId>,
    /// Those that one of them reads: others may read them too, unless they take none.
    pub read: HashSet<TokenId>,
}

impl<'a> View<'a> {
    pub(super) fn new(net: &'a Net, case: &'a Case, now: DateTime<Utc>, budget: &Budget) -> Self {
        let of = (&case.workflow, &case.id);
        Self::of(net, of, case.status, case.live_tokens(), now, budget)
    }

    pub(super) fn of<'t>(
        net: &'a Net,
        (workflow, case): (&'a WorkflowId, &'a CaseId),
        status: CaseStatus,
        tokens: impl Iterator<Item = &'t Arc<Token>>,
        now: DateTime<Utc>,
        budget: &Budget,
    ) -> Self {
        let (by_place, counts) = (vec![Vec::new(); net.places.len()], BTreeMap::new());
        let (budget, on_the_way, kept) = (budget.clone(), 0, Kept::default());
        let mut view =
            Self { net, workflow, case, status, now, budget, by_place, counts, on_the_way, kept };
        tokens.for_each(|token| view.give(Arc::clone(token)));
        view
    }

    /// Adds a token to its place, as the youngest there.
    pub(super) fn give(&mut self, token: Arc<Token>) {
        match self.counts.get_mut(&token.place) {
            Some(count) => *count += 1,
            None => drop(self.counts.insert(token.place.clone(), 1)),
        }
        if let Some(place) = self.net.place(&token.place) {
            self.on_the_way += usize::from(!self.net.places[place].terminal);
            self.by_place[place].push(token);
        }
    }

    /// Removes a token from its place.
    pub(super) fn take(&mut self, token: &Arc<Token>) {
        if let Some(count) = self.counts.get_mut(&token.place) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&token.place);
            }
        }
        if let Some(place) = self.net.place(&token.place) {
            let there = &mut self.by_place[place];
            if let Some(at) = there.iter().position(|one| Arc::ptr_eq(one, token)) {
                there.remove(at);
                self.on_the_way -= usize::from(!self.net.places[place].terminal);
            }
        }
    }

    /// Returns true if all tokens are in terminal places: the case has come to its end.
    pub(super) fn has_ended(&self) -> bool {
        self.on_the_way == 0
    }

    pub(super) fn count(&self, place: usize) -> u64 {
        self.by_place[place].len() as u64
    }

    /// Returns true if a token is none of a binding's in `mode`, by an arc of a kind.
    fn is_kept(&self, token: &TokenId, mode: &Mode, kind: ArcKind) -> bool {
        let Kept { taken, read } = &self.kept;
        let takes = || mode.arcs.inputs.iter().any(|arc| arc.kind == ArcKind::Consume);
        taken.contains(token)
            || (!read.is_empty() && (kind == ArcKind::Consume || !takes()) && read.contains(token))
    }

    /// Number of tokens in a place that may be of a binding in `mode`.
    fn free(&self, place: usize, mode: &Mode, kind: ArcKind) -> u64 {
        if self.kept.taken.is_empty() && self.kept.read.is_empty() {
            return self.count(place);
        }
        let free = |token: &&Arc<Token>| !self.is_kept(&token.id, mode, kind);
        self.by_place[place].iter().filter(free).count() as u64
    }

    pub(super) fn scope<'s>(&'s self, tokens: &'s [&'s Token]) -> Scope<'s> {
        Scope {
            tokens,
            workflow: self.workflow,
            case: self.case,
            status: self.status,
            marking: &self.counts,
            now: self.now,
            budget: &self.budget,
        }
    }

    /// The tokens that `transition` takes in `mode`, `named` among them; or everything that
    /// hinders it.
    pub(super) fn bind(
        &self,
        transition: &NetTransition,
        mode: &Mode,
        named: &[TokenId],
    ) -> Result<Binding, Vec<Blocker>> {
        let mut blockers = Vec::new();
        if self.status != CaseStatus::Running {
            blockers.push(Blocker::Status { status: self.status });
        }
        self.check_arcs(mode, &mut blockers);
        self.check_capacity(mode, &mut blockers);
        self.check_named(mode, named, &mut blockers);
        if !blockers.is_empty() {
            return Err(blockers);
        }
        self.search(transition, mode, named)
    }

    pub(super) fn check_arcs(&self, mode: &Mode, blockers: &mut Vec<Blocker>) {
        for arc in &mode.arcs.inputs {
            let place = self.net.places[arc.place].id.clone();
            match arc.kind {
                ArcKind::Reset => {}
                ArcKind::Inhibitor if self.count(arc.place) >= arc.weight => {
                    let present = self.count(arc.place);
                    blockers.push(Blocker::Inhibited { place, limit: arc.weight, present });
                }
                ArcKind::Inhibitor => {}
                kind @ (ArcKind::Consume | ArcKind::Read) => {
                    // A read arc beside a consuming one needs tokens of its own, as if it
                    // took them and gave them back.
                    let taken = if kind == ArcKind::Read {
                        mode.arcs.weight(arc.place, ArcKind::Consume)
                    } else {
                        0
                    };
                    let present = self.free(arc.place, mode, kind).saturating_sub(taken);
                    if present < arc.weight {
                        let needed = arc.weight;
                        blockers.push(Blocker::TooFewTokens { place, kind, needed, present });
                    }
                }
            }
        }
    }

    pub(super) fn check_capacity(&self, mode: &Mode, blockers: &mut Vec<Blocker>) {
        let mut given: BTreeMap<usize, u64> = BTreeMap::new();
        for (place, weight) in &mode.arcs.outputs {
            *given.entry(*place).or_default() += weight;
        }
        for (index, given) in given {
            let place = &self.net.places[index];
            let Some(capacity) = place.capacity else { continue };
            let reset =
                mode.arcs.inputs.iter().any(|a| a.place == index && a.kind == ArcKind::Reset);
            let left = match reset {
                true => 0,
                false => {
                    self.count(index).saturating_sub(mode.arcs.weight(index, ArcKind::Consume))
                }
            };
            let after = left + given;
            if after > capacity {
                blockers.push(Blocker::OverCapacity { place: place.id.clone(), capacity, after });
            }
        }
    }

    /// The place that holds a token.
    fn place_of(&self, token: &TokenId) -> Option<usize> {
        self.by_place.iter().position(|there| there.iter().any(|one| one.id == *token))
    }

    fn check_named(&self, mode: &Mode, named: &[TokenId], blockers: &mut Vec<Blocker>) {
        let mut used: BTreeMap<usize, u64> = BTreeMap::new();
        for token in named {
            let index = self.place_of(token);
            let place = index.map(|index| self.net.places[index].id.clone());
            let fits = index.is_some_and(|index| {
                let used = used.entry(index).or_default();
                *used += 1;
                *used <= mode.arcs.weight(index, ArcKind::Consume)
            });
            if !fits {
                blockers.push(Blocker::TokenNotTaken { token: token.clone(), place });
            }
        }
    }

    /// Tries the choices of tokens in order until one satisfies the guard.
    fn search(
        &self,
        transition: &NetTransition,
        mode: &Mode,
        named: &[TokenId],
    ) -> Result<Binding, Vec<Blocker>> {
        let mut arcs: Vec<(Input, Choices<'_>)> = Vec::new();
        for kind in [ArcKind::Consume, ArcKind::Read] {
            for arc in mode.arcs.inputs.iter().filter(|arc| arc.kind == kind) {
                let candidates = self.candidates(arc, mode, named);
                arcs.push((*arc, Choices::new(candidates, arc, named)));
            }
        }
        let (mut joins, mut failures) = (None, Failures::default());
        loop {
            let chosen = arcs.iter().map(|(_, choices)| choices.chosen.len() as u64);
            let charged = self.budget.charge(STEPS_A_CHOICE + chosen.sum::<u64>());
            let mut clash = None;
            if charged.is_ok() {
                match self.pick(&arcs, mode) {
                    Ok(binding) => match transition.guards.check(&self.scope(&binding.tokens())) {
                        Ok(()) => return Ok(binding),
                        Err(failure) => failures.add(failure),
                    },
                    Err(found) => clash = Some(found),
                }
            }
            let has_moved = match clash {
                Some(clash) => clash.leave(&mut arcs),
                None => advance(&mut arcs),
            };
            failures.choices += 1;
            if failures.choices == TRIED_FIRST {
                joins = Joins::of(&transition.guards, &arcs, &self.budget);
            }
            let settled = |joins: &Joins<'_>| joins.settle(&mut arcs, &self.budget);
            let has_moved = has_moved && joins.as_ref().is_none_or(settled);
            if let Some(ran_out) = self.budget.ran_out() {
                return Err(vec![failures.stopped(ran_out)]);
            }
            if !has_moved {
                if joins.is_some() {
                    // The others have been ruled out by what they would have to agree in.
                    failures.tried = failures.tried.max(all_choices(&arcs));
                }
                return Err(vec![failures.blocker()]);
            }
        }
    }

    fn candidates(&self, arc: &Input, mode: &Mode, named: &[TokenId]) -> Cow<'_, [Arc<Token>]> {
        let all = &self.by_place[arc.place];
        if !(self.kept.taken.is_empty() && self.kept.read.is_empty()) {
            let free = |token: &&Arc<Token>| !self.is_kept(&token.id, mode, arc.kind);
            return Cow::Owned(all.iter().filter(free).cloned().collect());
        }
        if named.is_empty() || arc.kind != ArcKind::Consume {
            return Cow::Borrowed(all);
        }
        // Named tokens come first, and `Choices` keeps them fixed.
        let set: HashSet<_> = named.iter().collect();
        let is_named = |token: &&Arc<Token>| set.contains(&token.id);
        let mut candidates: Vec<_> = all.iter().filter(is_named).cloned().collect();
        candidates.extend(all.iter().filter(|token| !is_named(token)).cloned());
        Cow::Owned(candidates)
    }

    /// The binding of the present choices, unless a token would be both taken and read.
    fn pick(&self, arcs: &[(Input, Choices<'_>)], mode: &Mode) -> Result<Binding, Clash> {
        let (mut consumed, mut read) = (Vec::new(), Vec::new());
        for (arc, choices) in arcs {
            match arc.kind {
                ArcKind::Consume => consumed.extend(choices.chosen().cloned()),
                _ => read.extend(choices.chosen().cloned()),
            }
        }
        let mut known = HashSet::new();
        if !read.is_empty() || mode.arcs.inputs.iter().any(|arc| arc.kind == ArcKind::Reset) {
            known.extend(consumed.iter().map(Arc::as_ptr));
        }
        let taken = |token: &Arc<Token>| known.contains(&Arc::as_ptr(token));
        for (arc, (of, choices)) in arcs.iter().enumerate() {
            if of.kind == ArcKind::Read
                && let Some(position) = choices.chosen().position(taken)
            {
                return Err(Clash { arc, position });
            }
        }
        let reset = self.reset(mode, taken);
        Ok(Binding { consumed, read, reset })
    }

    /// The tokens that reset arcs remove beside those that are taken.
    pub(super) fn reset(
        &self,
        mode: &Mode,
        taken: impl Fn(&Arc<Token>) -> bool,
    ) -> Vec<Arc<Token>> {
        let resets = mode.arcs.inputs.iter().filter(|arc| arc.kind == ArcKind::Reset);
        let there = resets.flat_map(|arc| &self.by_place[arc.place]);
        there.filter(|token| !taken(token)).cloned().collect()
    }
}

/// Number of all choices, where each arc gives one token.
fn all_choices(arcs: &[(Input, Choices<'_>)]) -> usize {
    let each = arcs.iter().filter(|(_, choices)| choices.chosen.len() == 1);
    each.fold(1, |all, (_, choices)| all.saturating_mul(choices.candidates.len()))
}

/// Failures of the guard for the choices that were tried.
#[derive(Debug, Default)]
struct Failures {
    /// Number of choices that were looked at, and of those that the guard was asked about.
    choices: usize,
    tried: usize,
    first: Option<GuardFailure>,
    /// The first that could not be evaluated.
    undecided: Option<GuardFailure>,
}

impl Failures {
    fn add(&mut self, failure: GuardFailure) {
        self.tried += 1;
        if failure.failed_to_evaluate && self.undecided.is_none() {
            self.undecided = Some(failure.clone());
        }
        self.first.get_or_insert(failure);
    }

    fn blocker(self) -> Blocker {
        let bindings_tried = self.tried;
        match (self.undecided, self.first) {
            (Some(failure), _) => Blocker::GuardFailed {
                condition: failure.source,
                explanation: failure.reason,
                bindings_tried,
            },
            (None, first) => {
                let (condition, explanation) =
                    first.map(|first| (first.source, first.reason)).unwrap_or_default();
                Blocker::Guard { condition, explanation, bindings_tried }
            }
        }
    }

    fn stopped(self, ran_out: RanOut) -> Blocker {
        Blocker::SearchStopped { ran_out, bindings_tried: self.tried }
    }
}

impl Binding {
    /// The tokens that an expression sees: the consumed ones, then the read ones.
    pub(super) fn tokens(&self) -> Vec<&Token> {
        self.consumed.iter().chain(&self.read).map(|token| token.as_ref()).collect()
    }
}
