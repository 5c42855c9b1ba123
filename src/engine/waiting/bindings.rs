//! Bindings that stay from one record to the next: those of timers and of work items.

use std::sync::Arc;

use super::Waits;
use crate::engine::{
    Blocker, Mode, NetTransition,
    binding::{Binding, Kept, View},
    budget::STEPS_A_SEARCH,
    draft::Draft,
    incidents::{Stopped, stopped_by},
};
use crate::models::{ArcKind, Item, Timer, Token, TokenAt, TransitionId};

/// Steps of asking about one token, beside those of the guard; and of all tokens of one transition.
const STEPS_A_TOKEN: u64 = 4;
pub(super) const STEPS_A_SCAN: u64 = 10 * STEPS_A_SEARCH;

/// Holder of a binding of a transition.
pub(in crate::engine) trait Bound {
    /// The transition.
    fn transition(&self) -> &TransitionId;

    /// The tokens that it is to take, in arc order, and then those that it is to read.
    fn tokens(&self) -> &[TokenAt];
}

impl Bound for Timer {
    fn transition(&self) -> &TransitionId {
        &self.transition
    }

    fn tokens(&self) -> &[TokenAt] {
        &self.tokens
    }
}

impl Bound for Item {
    fn transition(&self) -> &TransitionId {
        &self.transition
    }

    fn tokens(&self) -> &[TokenAt] {
        &self.tokens
    }
}

/// The modes in which the tokens of a binding are those of its transition: they differ in what they give.
pub(in crate::engine) fn modes_of<'n>(
    view: &View<'_>,
    transition: &'n NetTransition,
    of: &impl Bound,
) -> impl Iterator<Item = &'n Mode> {
    let places: Vec<_> = of.tokens().iter().map(|at| view.net.place(&at.place)).collect();
    transition.modes.iter().filter(move |mode| {
        let wanted = [ArcKind::Consume, ArcKind::Read].into_iter().flat_map(|kind| {
            let arcs = mode.arcs.inputs.iter().filter(move |arc| arc.kind == kind);
            arcs.flat_map(|arc| (0..arc.weight).map(|_| Some(arc.place)))
        });
        wanted.eq(places.iter().copied())
    })
}

/// Number of the tokens that are taken in a mode: the others are read.
pub(in crate::engine) fn takes(mode: &Mode) -> usize {
    let arcs = mode.arcs.inputs.iter().filter(|arc| arc.kind == ArcKind::Consume);
    arcs.map(|arc| usize::try_from(arc.weight).unwrap_or(usize::MAX)).sum()
}

/// The tokens of a binding; `None` if one of them has been taken, also if it came back.
pub(in crate::engine) fn tokens<'d>(
    draft: &'d Draft<'_>,
    of: &impl Bound,
) -> Option<Vec<&'d Arc<Token>>> {
    let token = |at: &TokenAt| draft.token(&at.token).filter(|_| !draft.took(&at.token));
    of.tokens().iter().map(token).collect()
}

/// Returns true if no inhibitor arc forbids a firing in a mode.
pub(super) fn is_free(view: &View<'_>, mode: &Mode) -> bool {
    let inhibits = |kind, place, weight| kind == ArcKind::Inhibitor && view.count(place) >= weight;
    !mode.arcs.inputs.iter().any(|arc| inhibits(arc.kind, arc.place, arc.weight))
}

/// The binding of what waits, in a mode, or what keeps it from firing now; `None` if it is gone.
pub(in crate::engine) fn bound(
    view: &View<'_>,
    draft: &Draft<'_>,
    transition: &NetTransition,
    mode: &Mode,
    of: &impl Bound,
) -> Option<Result<Binding, Vec<Blocker>>> {
    let tokens = tokens(draft, of)?;
    is_free(view, mode).then_some(())?;
    // What it runs out of, the guard says.
    let _ = view.budget.charge(1 + tokens.len() as u64);
    let seen: Vec<_> = tokens.iter().map(|token| token.as_ref()).collect();
    let checked = transition.guards.check(&view.scope(&seen));
    if let Some(ran_out) = view.budget.ran_out() {
        return Some(Err(vec![Blocker::SearchStopped { ran_out, bindings_tried: 1 }]));
    }
    if let Err(failure) = checked {
        let (condition, explanation) = (failure.source, failure.reason);
        let blocker = match failure.failed_to_evaluate {
            true => Blocker::GuardFailed { condition, explanation, bindings_tried: 1 },
            false => Blocker::Guard { condition, explanation, bindings_tried: 1 },
        };
        return Some(Err(vec![blocker]));
    }
    let mut blockers = Vec::new();
    view.check_capacity(mode, &mut blockers);
    if !blockers.is_empty() {
        return Some(Err(blockers));
    }
    let mut consumed: Vec<_> = tokens.into_iter().cloned().collect();
    let read = consumed.split_off(takes(mode));
    let is_taken = |token: &Arc<Token>| consumed.iter().any(|one| Arc::ptr_eq(one, token));
    let reset = view.reset(mode, is_taken);
    Some(Ok(Binding { consumed, read, reset }))
}

/// Bindings of a transition in the making.
pub(super) struct Begin<'n, T> {
    pub transition: &'n NetTransition,
    /// Those that there are.
    pub there: Vec<T>,
    /// The most that there may be.
    pub most: usize,
    failure: Option<Stopped>,
}

impl<'n, T: Waits> Begin<'n, T> {
    pub(super) fn new(transition: &'n NetTransition, there: Vec<T>, most: usize) -> Self {
        Self { transition, there, most, failure: None }
    }

    /// Makes one for each choice of tokens that has none, oldest tokens first. Returns all, and the
    /// reason that some may be missing.
    pub(super) fn all(
        mut self,
        view: &mut View<'_>,
        draft: &mut Draft<'_>,
    ) -> (Vec<T>, Option<Stopped>) {
        for one in &self.there {
            let mode = modes_of(view, self.transition, one).next();
            if let Some(mode) = mode {
                keep(&mut view.kept, one.tokens(), takes(mode));
            }
        }
        let modes = || self.transition.modes.iter();
        let by_token: Vec<_> = modes().filter_map(|mode| Some((mode, alone(mode)?))).collect();
        let by_search: Vec<_> = modes().filter(|mode| alone(mode).is_none()).collect();
        for (mode, place) in by_token {
            self.scan(view, draft, (mode, place));
        }
        'next: while self.there.len() < self.most {
            for mode in &by_search {
                let _ = view.budget.charge(1);
                match view.bind(self.transition, mode, &[]) {
                    Ok(binding) => {
                        self.add(view, draft, mode, &binding.tokens());
                        continue 'next;
                    }
                    Err(blockers) => self.fails(stopped_by(&blockers)),
                }
            }
            break;
        }
        (self.there, self.failure)
    }

    fn fails(&mut self, failure: Option<Stopped>) {
        self.failure = self.failure.take().or(failure);
    }

    fn add(&mut self, view: &mut View<'_>, draft: &mut Draft<'_>, mode: &Mode, tokens: &[&Token]) {
        let made = T::make(view, draft, (self.transition, mode), tokens);
        keep(&mut view.kept, &named(tokens), takes(mode));
        match made {
            Ok(made) => self.there.push(made),
            Err(failure) => self.fails(Some(failure)),
        }
    }

    /// Makes one for each token of a place with which a mode is enabled: each is asked about once.
    fn scan(&mut self, view: &mut View<'_>, draft: &mut Draft<'_>, (mode, place): (&Mode, usize)) {
        let mut blockers = Vec::new();
        view.check_capacity(mode, &mut blockers);
        if !blockers.is_empty() || !is_free(view, mode) {
            return;
        }
        for token in view.by_place[place].clone() {
            let is_kept = view.kept.taken.contains(&token.id) || view.kept.read.contains(&token.id);
            if is_kept || self.there.len() >= self.most {
                continue;
            }
            let _ = view.budget.charge(STEPS_A_TOKEN);
            let checked = self.transition.guards.check(&view.scope(&[&token]));
            if let Some(ran_out) = view.budget.ran_out() {
                let bindings_tried = self.there.len();
                return self
                    .fails(stopped_by(&[Blocker::SearchStopped { ran_out, bindings_tried }]));
            }
            match checked {
                Ok(()) => self.add(view, draft, mode, &[&token]),
                Err(of) if of.failed_to_evaluate => {
                    let (condition, explanation) = (of.source, of.reason);
                    let failed = Blocker::GuardFailed { condition, explanation, bindings_tried: 1 };
                    self.fails(stopped_by(&[failed]));
                }
                Err(_) => {}
            }
        }
    }
}

/// The place of a mode's one token, if it takes or reads one alone.
fn alone(mode: &Mode) -> Option<usize> {
    let is_asked = |kind| matches!(kind, ArcKind::Consume | ArcKind::Read);
    let mut asked = mode.arcs.inputs.iter().filter(|arc| is_asked(arc.kind));
    let only = asked.next().filter(|arc| arc.weight == 1)?;
    asked.next().is_none().then_some(only.place)
}

fn keep(kept: &mut Kept, tokens: &[TokenAt], takes: usize) {
    let tokens = tokens.iter().map(|at| at.token.clone());
    kept.taken.extend(tokens.clone().take(takes));
    kept.read.extend(tokens.skip(takes));
}

/// Tokens with their places.
pub(super) fn named(tokens: &[&Token]) -> Vec<TokenAt> {
    tokens
        .iter()
        .map(|token| TokenAt { token: token.id.clone(), place: token.place.clone() })
        .collect()
}
