//! The binding that a timer has.

use std::sync::Arc;

use super::super::{
    Blocker, Mode, NetTransition,
    binding::{Binding, View},
    draft::Draft,
};
use crate::models::{ArcKind, Timer, Token};

/// The most timers of a case that run at once. The next begin when these end.
pub const MOST_TIMERS: usize = 1_000;

/// The mode in which a timer's tokens are those of its transition.
pub(super) fn mode_of<'n>(
    view: &View<'_>,
    transition: &'n NetTransition,
    timer: &Timer,
) -> Option<&'n Mode> {
    let places = || timer.tokens.iter().map(|at| view.net.place(&at.place));
    transition.modes.iter().find(|mode| {
        let wanted = [ArcKind::Consume, ArcKind::Read].into_iter().flat_map(|kind| {
            let arcs = mode.arcs.inputs.iter().filter(move |arc| arc.kind == kind);
            arcs.flat_map(|arc| (0..arc.weight).map(|_| Some(arc.place)))
        });
        wanted.eq(places())
    })
}

/// Number of the tokens that are taken in a mode: the others are read.
pub(super) fn takes(mode: &Mode) -> usize {
    let arcs = mode.arcs.inputs.iter().filter(|arc| arc.kind == ArcKind::Consume);
    arcs.map(|arc| usize::try_from(arc.weight).unwrap_or(usize::MAX)).sum()
}

/// The tokens of a timer; `None` if one of them has been taken, also if it came back.
pub(super) fn tokens<'d>(draft: &'d Draft<'_>, timer: &Timer) -> Option<Vec<&'d Arc<Token>>> {
    let token =
        |at: &crate::models::TokenAt| draft.token(&at.token).filter(|_| !draft.took(&at.token));
    timer.tokens.iter().map(token).collect()
}

/// Returns true if no inhibitor arc forbids a firing in a mode.
pub(super) fn is_free(view: &View<'_>, mode: &Mode) -> bool {
    let inhibits = |kind, place, weight| kind == ArcKind::Inhibitor && view.count(place) >= weight;
    !mode.arcs.inputs.iter().any(|arc| inhibits(arc.kind, arc.place, arc.weight))
}

/// The binding of a timer that has come due, with its mode, or what keeps it from firing now; `None` if
/// it is gone.
pub(in crate::engine) fn bound<'n>(
    view: &View<'n>,
    draft: &Draft<'_>,
    transition: &'n NetTransition,
    timer: &Timer,
) -> Option<(&'n Mode, Result<Binding, Vec<Blocker>>)> {
    let mode = mode_of(view, transition, timer)?;
    let tokens = tokens(draft, timer)?;
    is_free(view, mode).then_some(())?;
    // What it runs out of, the guard says.
    let _ = view.budget.charge(1 + tokens.len() as u64);
    let seen: Vec<_> = tokens.iter().map(|token| token.as_ref()).collect();
    if let Err(failure) = transition.guards.check(&view.scope(&seen)) {
        let (condition, explanation) = (failure.source, failure.reason);
        let blocker = match failure.failed_to_evaluate {
            true => Blocker::GuardFailed { condition, explanation, bindings_tried: 1 },
            false => Blocker::Guard { condition, explanation, bindings_tried: 1 },
        };
        return Some((mode, Err(vec![blocker])));
    }
    let mut blockers = Vec::new();
    view.check_capacity(mode, &mut blockers);
    if !blockers.is_empty() {
        return Some((mode, Err(blockers)));
    }
    let mut consumed: Vec<_> = tokens.into_iter().cloned().collect();
    let read = consumed.split_off(takes(mode));
    let is_taken = |token: &Arc<Token>| consumed.iter().any(|one| Arc::ptr_eq(one, token));
    let reset = view.reset(mode, is_taken);
    Some((mode, Ok(Binding { consumed, read, reset })))
}
