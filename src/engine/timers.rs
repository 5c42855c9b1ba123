//! Timers: the bindings that timed transitions have, from one record to the next.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Blocker, Budget, Mode, Net, NetTransition, Scope,
    binding::{Binding, Kept, View},
    cascade::{Failures, STEPS_A_SEARCH},
    draft::Draft,
    incidents::{Stopped, stopped_by},
};
use crate::models::{
    ArcKind, IncidentCode, RecordKind, Timer, Token, TokenAt, TokenId, TransitionId,
};

/// The most timers of a case that run at once. The next begin when these end.
pub const MOST_TIMERS: usize = 1_000;

/// The shortest time between two firings of a transition that takes nothing.
pub(super) const SHORTEST_PERIOD: TimeDelta = TimeDelta::seconds(1);

/// Steps of asking about one token, beside those of the guard; and of all tokens of one transition.
const STEPS_A_TOKEN: u64 = 4;
const STEPS_A_SCAN: u64 = 10 * STEPS_A_SEARCH;

/// The mode in which a timer's tokens are those of its transition.
fn mode_of<'n>(view: &View<'_>, transition: &'n NetTransition, timer: &Timer) -> Option<&'n Mode> {
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
fn takes(mode: &Mode) -> usize {
    let arcs = mode.arcs.inputs.iter().filter(|arc| arc.kind == ArcKind::Consume);
    arcs.map(|arc| usize::try_from(arc.weight).unwrap_or(usize::MAX)).sum()
}

/// The tokens of a timer; `None` if one of them has been taken, also if it came back.
fn tokens<'d>(draft: &'d Draft<'_>, timer: &Timer) -> Option<Vec<&'d Arc<Token>>> {
    let token = |at: &TokenAt| draft.token(&at.token).filter(|_| !draft.took(&at.token));
    timer.tokens.iter().map(token).collect()
}

/// Returns true if no inhibitor arc forbids a firing in a mode.
fn is_free(view: &View<'_>, mode: &Mode) -> bool {
    let inhibits = |kind, place, weight| kind == ArcKind::Inhibitor && view.count(place) >= weight;
    !mode.arcs.inputs.iter().any(|arc| inhibits(arc.kind, arc.place, arc.weight))
}

/// The binding of a timer that has come due, with its mode, or what keeps it from firing now; `None` if
/// it is gone.
pub(super) fn bound<'n>(
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
    let checked = transition.guards.check(&view.scope(&seen));
    if let Some(ran_out) = view.budget.ran_out() {
        return Some((mode, Err(vec![Blocker::SearchStopped { ran_out, bindings_tried: 1 }])));
    }
    if let Err(failure) = checked {
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

/// The transitions that were looked at where a cascade rests, and of these the failures.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub failures: Failures,
    pub looked: HashSet<TransitionId>,
}

impl Judged {
    fn fails(&mut self, transition: &NetTransition, failure: Stopped) {
        self.failures.entry(transition.id.clone()).or_insert(failure);
    }
}

/// Ends the timers whose binding is gone, and begins one for each binding that is new.
///
/// A timer goes on as long as its tokens stay and are not taken, its guard is true and no inhibitor arc
/// forbids it. What may have become enabled is what a token concerns that came, left or was
/// changed; of the others nothing is new.
pub(super) fn judge(
    view: &mut View<'_>,
    draft: &mut Draft<'_>,
    budget: &Budget,
    mut judged: Judged,
) -> Judged {
    let net = view.net;
    if net.timed.is_empty() {
        return judged;
    }
    let mut to_search = to_search(net, draft);
    let edited: HashSet<_> = draft.edited().map(|token| token.id.clone()).collect();
    let mut timers = Vec::with_capacity(draft.record.timers.len());
    for timer in std::mem::take(&mut draft.record.timers) {
        view.budget = budget.part(STEPS_A_SEARCH);
        let number = net.timed.iter().position(|of| net.transitions[*of].id == timer.transition);
        // A definition never changes under a case.
        let Some(number) = number else { continue };
        let transition = &net.transitions[net.timed[number]];
        match goes_on(view, draft, transition, timer, &edited) {
            Ok(Some(timer)) => timers.push(timer),
            Ok(None) => drop(to_search.insert(number)),
            Err(failure) => {
                judged.fails(transition, failure);
                to_search.insert(number);
            }
        }
    }
    for number in to_search {
        let transition = &net.transitions[net.timed[number]];
        view.budget = budget.part(STEPS_A_SCAN);
        let failed = begin(view, draft, transition, &mut timers);
        // Of one with a timer that waits, the cascade knows; and of what had no room nothing is known.
        let waits = timers.iter().any(|of| of.elapsed && of.transition == transition.id);
        if failed.is_err() || !(waits || timers.len() >= MOST_TIMERS) {
            judged.looked.insert(transition.id.clone());
        }
        if let Err(failure) = failed {
            judged.fails(transition, failure);
        }
        view.kept = Kept::default();
    }
    timers.sort_by_key(|timer| timer.number);
    draft.record.timers = timers;
    judged
}

/// The timed transitions, by their numbers, that may be enabled with other tokens than before.
fn to_search(net: &Net, draft: &Draft<'_>) -> BTreeSet<usize> {
    let was_full = draft.before.is_some_and(|case| case.timers.len() >= MOST_TIMERS);
    if was_full || draft.record.kind == RecordKind::Retried {
        return (0..net.timed.len()).collect();
    }
    let places = draft.places();
    let places = places.into_iter().filter_map(|place| net.place(place));
    let mut found: BTreeSet<_> = places.flat_map(|place| net.timed_watchers.of(place)).collect();
    // One that only reads has taken nothing, and its clock starts anew.
    let fired = draft.record.cascade.iter().filter(|step| step.timer.is_some());
    let number = |id: &TransitionId| net.timed.iter().position(|of| net.transitions[*of].id == *id);
    found.extend(fired.filter_map(|step| number(&step.transition)));
    found
}

/// Reckons the times anew of the timers that have come due and whose tokens an edit has changed: one that
/// it puts off does not fire.
pub(super) fn reckon_elapsed(view: &View<'_>, draft: &mut Draft<'_>) {
    if draft.record.kind != RecordKind::Edited {
        return;
    }
    let edited: HashSet<_> = draft.edited().map(|token| token.id.clone()).collect();
    let elapsed = draft.record.timers.iter().enumerate().filter(|(_, timer)| timer.elapsed);
    let reckoned: Vec<_> = elapsed
        .filter_map(|(at, timer)| {
            let transition = view.net.transition(&timer.transition)?;
            // What it is over for is judged where the record rests.
            let goes_on = goes_on(view, draft, transition, timer.clone(), &edited);
            Some((at, goes_on.ok()??))
        })
        .collect();
    for (at, timer) in reckoned {
        draft.record.timers[at] = timer;
    }
}

/// The timer if its binding is still there. An edit of a token has its guard judged again, and its time
/// reckoned anew, from when it began.
fn goes_on(
    view: &View<'_>,
    draft: &Draft<'_>,
    transition: &NetTransition,
    mut timer: Timer,
    edited: &HashSet<TokenId>,
) -> Result<Option<Timer>, Stopped> {
    let mode = mode_of(view, transition, &timer).filter(|mode| is_free(view, mode));
    let (Some(mode), Some(tokens)) = (mode, tokens(draft, &timer)) else { return Ok(None) };
    let is_edited = timer.tokens.iter().any(|at| edited.contains(&at.token));
    if !is_edited && !transition.guards.ask_for_case() {
        return Ok(Some(timer));
    }
    let tokens: Vec<_> = tokens.into_iter().map(AsRef::as_ref).collect();
    let scope = view.scope(&tokens);
    let holds = transition.guards.check(&scope);
    // Nobody knows: it stays as it was.
    if view.budget.ran_out().is_some() {
        return Ok(Some(timer));
    }
    if holds.is_err() {
        return Ok(None);
    }
    if is_edited && let Some(timing) = &transition.timing {
        let due = timing.due(&Scope { now: timer.since, ..scope });
        let due = due.map_err(|reason| no_time(transition, &reason))?;
        // A time that a resume has moved stays, unless the edit is about it.
        let before = draft.before.map(|case| &case.tokens);
        let before = |at: &TokenAt| before.and_then(|tokens| tokens.get(&at.token));
        let before: Option<Vec<_>> = timer.tokens.iter().map(before).collect();
        let before: Vec<_> = before.iter().flatten().map(|token| token.as_ref()).collect();
        let was = timing.due(&Scope { now: timer.since, ..view.scope(&before) });
        let is_other = was.as_ref() != Ok(&due);
        let due = not_at_once(draft, mode, timer.since, due);
        if is_other && due != timer.due {
            (timer.due, timer.armed) = (due, None);
            timer.elapsed &= due <= view.now;
        }
    }
    Ok(Some(timer))
}

/// Begins a timer for each binding of a transition that has none, oldest tokens first.
fn begin(
    view: &mut View<'_>,
    draft: &mut Draft<'_>,
    transition: &NetTransition,
    timers: &mut Vec<Timer>,
) -> Result<(), Stopped> {
    for timer in timers.iter().filter(|timer| timer.transition == transition.id) {
        let Some(mode) = mode_of(view, transition, timer) else { continue };
        keep(&mut view.kept, timer, takes(mode));
    }
    let mut failure = None;
    for mode in &transition.modes {
        if let Some(place) = alone(mode) {
            failure = failure.or(scan(view, draft, (transition, mode, place), timers));
        }
    }
    let modes: Vec<_> = transition.modes.iter().filter(|mode| alone(mode).is_none()).collect();
    'next: while timers.len() < MOST_TIMERS {
        for mode in &modes {
            let _ = view.budget.charge(1);
            match view.bind(transition, mode, &[]) {
                Ok(binding) => {
                    let (tokens, of) = (binding.tokens(), (transition, *mode));
                    failure = failure.or(add(view, draft, of, &tokens, timers));
                    continue 'next;
                }
                Err(blockers) => failure = failure.or_else(|| stopped_by(&blockers)),
            }
        }
        break;
    }
    failure.map_or(Ok(()), Err)
}

/// The place of a mode's one token, if it takes or reads one alone.
fn alone(mode: &Mode) -> Option<usize> {
    let is_asked = |kind| matches!(kind, ArcKind::Consume | ArcKind::Read);
    let mut asked = mode.arcs.inputs.iter().filter(|arc| is_asked(arc.kind));
    let only = asked.next().filter(|arc| arc.weight == 1)?;
    asked.next().is_none().then_some(only.place)
}

/// Begins a timer for each token of a place with which a mode is enabled: each is asked about once.
fn scan(
    view: &mut View<'_>,
    draft: &mut Draft<'_>,
    (transition, mode, place): (&NetTransition, &Mode, usize),
    timers: &mut Vec<Timer>,
) -> Option<Stopped> {
    let mut blockers = Vec::new();
    view.check_capacity(mode, &mut blockers);
    if !blockers.is_empty() || !is_free(view, mode) {
        return None;
    }
    let mut failure = None;
    for token in view.by_place[place].clone() {
        let is_kept = view.kept.taken.contains(&token.id) || view.kept.read.contains(&token.id);
        if is_kept || timers.len() >= MOST_TIMERS {
            continue;
        }
        let _ = view.budget.charge(STEPS_A_TOKEN);
        let checked = transition.guards.check(&view.scope(&[&token]));
        if let Some(ran_out) = view.budget.ran_out() {
            let bindings_tried = timers.len();
            return stopped_by(&[Blocker::SearchStopped { ran_out, bindings_tried }]);
        }
        match checked {
            Ok(()) => {
                let of = (transition, mode);
                failure = failure.or(add(view, draft, of, &[&token], timers));
            }
            Err(of) if of.failed_to_evaluate => {
                let (condition, explanation) = (of.source, of.reason);
                let failed = Blocker::GuardFailed { condition, explanation, bindings_tried: 1 };
                failure = failure.or_else(|| stopped_by(&[failed]));
            }
            Err(_) => {}
        }
    }
    failure
}

/// A time that is due, so that nothing fires again and again without a pause: neither a transition that takes
/// nothing, nor one whose token a timer gave it in the same record.
fn not_at_once(
    draft: &Draft<'_>,
    mode: &Mode,
    since: DateTime<Utc>,
    due: DateTime<Utc>,
) -> DateTime<Utc> {
    let follows = draft.record.cascade.iter().any(|step| step.timer.is_some());
    match takes(mode) == 0 || (follows && due <= since) {
        true => due.max(since + SHORTEST_PERIOD),
        false => due,
    }
}

/// Begins a timer with these tokens. Returns the reason that it has no time.
fn add(
    view: &mut View<'_>,
    draft: &mut Draft<'_>,
    (transition, mode): (&NetTransition, &Mode),
    tokens: &[&Token],
    timers: &mut Vec<Timer>,
) -> Option<Stopped> {
    let (number, since) = (draft.record.timers_made + 1, draft.record.time);
    let due = match &transition.timing {
        Some(timing) => timing.due(&Scope { now: since, ..view.scope(tokens) }),
        None => Ok(since),
    };
    let at = |token: &&Token| TokenAt { token: token.id.clone(), place: token.place.clone() };
    let tokens = tokens.iter().map(at).collect();
    let id = transition.id.clone();
    let (armed, elapsed) = (None, false);
    let mut timer = Timer { number, transition: id, tokens, since, due: since, armed, elapsed };
    keep(&mut view.kept, &timer, takes(mode));
    match due {
        Ok(due) => {
            timer.due = not_at_once(draft, mode, since, due);
            draft.record.timers_made = number;
            timers.push(timer);
            None
        }
        // Others have a time.
        Err(reason) => Some(no_time(transition, &reason)),
    }
}

fn keep(kept: &mut Kept, timer: &Timer, takes: usize) {
    let tokens = timer.tokens.iter().map(|at| at.token.clone());
    kept.taken.extend(tokens.clone().take(takes));
    kept.read.extend(tokens.skip(takes));
}

fn no_time(transition: &NetTransition, reason: &str) -> Stopped {
    let key = match &transition.timed {
        Some(crate::models::petri::Timed::At(_)) => "at",
        _ => "after",
    };
    Stopped::new(IncidentCode::DueFailed, format!("its time can't be reckoned: `{key}` {reason}"))
}
