//! The tokens that a transition would take: the choice is deterministic, oldest arrival first.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};

use super::{Blocker, Budget, GuardFailure, Mode, Net, NetTransition, RanOut, Scope};
use crate::models::{ArcKind, Case, CaseStatus, PlaceId, Token, TokenId, petri::Input};

/// Steps for one choice of tokens, beside one for each token.
const STEPS_A_CHOICE: u64 = 10;

/// The tokens of one firing.
#[derive(Debug, Clone)]
pub struct Binding<'a> {
    /// Tokens taken, in arc order.
    pub consumed: Vec<&'a Arc<Token>>,
    /// Tokens that read arcs need and leave, in arc order.
    pub read: Vec<&'a Arc<Token>>,
    /// Tokens that reset arcs remove, beside those consumed.
    pub reset: Vec<&'a Arc<Token>>,
}

/// A case seen by the firing rule: its tokens by place, oldest arrival first.
pub(super) struct View<'a> {
    pub net: &'a Net,
    pub case: &'a Case,
    pub now: DateTime<Utc>,
    pub budget: &'a Budget,
    by_place: Vec<Vec<&'a Arc<Token>>>,
    counts: BTreeMap<PlaceId, u64>,
}

impl<'a> View<'a> {
    pub(super) fn new(
        net: &'a Net,
        case: &'a Case,
        now: DateTime<Utc>,
        budget: &'a Budget,
    ) -> Self {
        let mut by_place = vec![Vec::new(); net.places.len()];
        for token in case.live_tokens() {
            if let Some(place) = net.place(&token.place) {
                by_place[place].push(token);
            }
        }
        Self { net, case, now, budget, by_place, counts: case.marking.counts() }
    }

    fn count(&self, place: usize) -> u64 {
        self.by_place[place].len() as u64
    }

    pub(super) fn scope<'s>(&'s self, tokens: &'s [&'s Token]) -> Scope<'s> {
        Scope {
            tokens,
            workflow: &self.case.workflow,
            case: &self.case.id,
            status: self.case.status,
            marking: &self.counts,
            now: self.now,
            budget: self.budget,
        }
    }

    /// The tokens that `transition` takes in `mode`, `named` among them; or everything that
    /// hinders it.
    pub(super) fn bind(
        &self,
        transition: &NetTransition,
        mode: &Mode,
        named: &[TokenId],
    ) -> Result<Binding<'a>, Vec<Blocker>> {
        let mut blockers = Vec::new();
        if self.case.status != CaseStatus::Running {
            blockers.push(Blocker::Status { status: self.case.status });
        }
        self.check_arcs(mode, &mut blockers);
        self.check_capacity(mode, &mut blockers);
        self.check_named(mode, named, &mut blockers);
        if !blockers.is_empty() {
            return Err(blockers);
        }
        self.search(transition, mode, named)
    }

    fn check_arcs(&self, mode: &Mode, blockers: &mut Vec<Blocker>) {
        for arc in &mode.arcs.inputs {
            let place = self.net.places[arc.place].id.clone();
            let present = self.count(arc.place);
            match arc.kind {
                ArcKind::Reset => {}
                ArcKind::Inhibitor if present >= arc.weight => {
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
                    let present = present.saturating_sub(taken);
                    if present < arc.weight {
                        let needed = arc.weight;
                        blockers.push(Blocker::TooFewTokens { place, kind, needed, present });
                    }
                }
            }
        }
    }

    fn check_capacity(&self, mode: &Mode, blockers: &mut Vec<Blocker>) {
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

    fn check_named(&self, mode: &Mode, named: &[TokenId], blockers: &mut Vec<Blocker>) {
        let mut used: BTreeMap<usize, u64> = BTreeMap::new();
        for token in named {
            let place = self.case.marking.entry(token).map(|entry| entry.place.clone());
            let index = place.as_ref().and_then(|place| self.net.place(place));
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
    ) -> Result<Binding<'a>, Vec<Blocker>> {
        let mut arcs: Vec<(Input, Choices<'a>)> = Vec::new();
        for kind in [ArcKind::Consume, ArcKind::Read] {
            for arc in mode.arcs.inputs.iter().filter(|arc| arc.kind == kind) {
                let candidates = self.candidates(arc, named);
                arcs.push((*arc, Choices::new(candidates, arc, named)));
            }
        }
        let mut failures = Failures::default();
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
            if let Some(ran_out) = self.budget.ran_out() {
                return Err(vec![failures.stopped(ran_out)]);
            }
            if !has_moved {
                return Err(vec![failures.blocker()]);
            }
        }
    }

    fn candidates(&self, arc: &Input, named: &[TokenId]) -> Vec<&'a Arc<Token>> {
        let all = &self.by_place[arc.place];
        // Named tokens come first, and `Choices` keeps them fixed.
        let set: HashSet<_> = named.iter().collect();
        let is_named = |token: &&&Arc<Token>| set.contains(&token.id);
        let mut candidates: Vec<_> = match arc.kind {
            ArcKind::Consume => all.iter().filter(is_named).copied().collect(),
            _ => Vec::new(),
        };
        candidates.extend(all.iter().filter(|token| !is_named(token)).copied());
        candidates
    }

    /// The binding of the present choices, unless a token would be both taken and read.
    fn pick(&self, arcs: &[(Input, Choices<'a>)], mode: &Mode) -> Result<Binding<'a>, Clash> {
        let (mut consumed, mut read) = (Vec::new(), Vec::new());
        for (arc, choices) in arcs {
            match arc.kind {
                ArcKind::Consume => consumed.extend(choices.chosen()),
                _ => read.extend(choices.chosen()),
            }
        }
        let mut known = HashSet::new();
        if !read.is_empty() || mode.arcs.inputs.iter().any(|arc| arc.kind == ArcKind::Reset) {
            known.extend(consumed.iter().map(|token: &&Arc<Token>| Arc::as_ptr(token)));
        }
        let taken = |token: &&Arc<Token>| known.contains(&Arc::as_ptr(token));
        for (arc, (of, choices)) in arcs.iter().enumerate() {
            if of.kind == ArcKind::Read
                && let Some(position) = choices.chosen().position(|token| taken(&token))
            {
                return Err(Clash { arc, position });
            }
        }
        let resets = mode.arcs.inputs.iter().filter(|arc| arc.kind == ArcKind::Reset);
        let reset = resets
            .flat_map(|arc| self.by_place[arc.place].iter().copied())
            .filter(|token| !taken(token))
            .collect();
        Ok(Binding { consumed, read, reset })
    }
}

/// Failures of the guard for the choices that were tried.
#[derive(Debug, Default)]
struct Failures {
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

impl Binding<'_> {
    /// The tokens that an expression sees: the consumed ones, then the read ones.
    pub(super) fn tokens(&self) -> Vec<&Token> {
        self.consumed.iter().chain(&self.read).map(|token| token.as_ref()).collect()
    }
}

/// A token that a choice would read and take: no choice that is the same up to it can be bound.
struct Clash {
    /// Index of the reading arc.
    arc: usize,
    /// Place of the token in the arc's choice.
    position: usize,
}

impl Clash {
    /// Moves to the next choice that is another up to the token; false at the end.
    fn leave(&self, arcs: &mut [(Input, Choices<'_>)]) -> bool {
        let (before, rest) = arcs.split_at_mut(self.arc);
        let [(_, here), after @ ..] = rest else { return false };
        after.iter_mut().for_each(|(_, choices)| choices.start_over());
        here.advance_up_to(self.position + 1) || advance(before)
    }
}

/// Moves to the next choice: the last arc that has one moves on, those after it start over. False at
/// the end.
fn advance(arcs: &mut [(Input, Choices<'_>)]) -> bool {
    arcs.iter_mut().rposition(|(_, choices)| choices.advance_up_to(choices.chosen.len())).is_some()
}

/// The ways to choose `weight` of the candidates of one arc, in lexicographic order; the
/// first `fixed` candidates are in every choice.
struct Choices<'a> {
    candidates: Vec<&'a Arc<Token>>,
    fixed: usize,
    chosen: Vec<usize>,
}

impl<'a> Choices<'a> {
    fn new(candidates: Vec<&'a Arc<Token>>, arc: &Input, named: &[TokenId]) -> Self {
        let weight = usize::try_from(arc.weight).unwrap_or(usize::MAX).min(candidates.len());
        let fixed = match arc.kind {
            ArcKind::Consume => {
                candidates.iter().take(weight).filter(|token| named.contains(&token.id)).count()
            }
            _ => 0,
        };
        Self { candidates, fixed, chosen: (0..weight).collect() }
    }

    fn chosen(&self) -> impl Iterator<Item = &'a Arc<Token>> + '_ {
        self.chosen.iter().map(|index| self.candidates[*index])
    }

    /// Moves to the next choice that differs in the first `end` of its tokens; if there is none, starts
    /// over and answers false.
    fn advance_up_to(&mut self, end: usize) -> bool {
        let weight = self.chosen.len();
        for position in (self.fixed..end).rev() {
            if self.chosen[position] < self.candidates.len() - (weight - position) {
                let next = self.chosen[position] + 1;
                for (offset, index) in self.chosen[position..].iter_mut().enumerate() {
                    *index = next + offset;
                }
                return true;
            }
        }
        self.start_over();
        false
    }

    fn start_over(&mut self) {
        self.chosen = (0..self.chosen.len()).collect();
    }
}
