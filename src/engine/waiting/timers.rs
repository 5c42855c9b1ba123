//! Timers: the bindings that timed transitions have, from one record to the next.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::{
    Waits,
    bindings::{is_free, modes_of, named, takes, tokens},
};
use crate::engine::{
    Mode, Net, NetTransition, Scope, binding::View, draft::Draft, incidents::Stopped,
    net::Watchers, timing::SHORTEST_PERIOD,
};
use crate::models::{Case, IncidentCode, Record, Step, Timer, Token, TokenAt, TokenId};

/// The most timers of a case that run at once. The next begin when these end.
pub const MOST_TIMERS: usize = 1_000;

impl Waits for Timer {
    const MOST: usize = MOST_TIMERS;

    fn of(net: &Net) -> (&[usize], &Watchers) {
        (&net.timed, &net.timed_watchers)
    }

    fn list(record: &mut Record) -> &mut Vec<Self> {
        &mut record.timers
    }

    fn before(case: &Case) -> &[Self] {
        &case.timers
    }

    fn number(&self) -> u64 {
        self.number
    }

    fn most(_: &NetTransition) -> usize {
        MOST_TIMERS
    }

    fn is_due(&self) -> bool {
        self.elapsed
    }

    fn fired(step: &Step) -> bool {
        step.timer.is_some()
    }

    fn goes_on(
        self,
        view: &View<'_>,
        draft: &Draft<'_>,
        transition: &NetTransition,
        edited: &HashSet<TokenId>,
    ) -> Result<Option<Self>, Stopped> {
        goes_on(view, draft, transition, self, edited)
    }

    fn make(
        view: &View<'_>,
        draft: &mut Draft<'_>,
        (transition, mode): (&NetTransition, &Mode),
        tokens: &[&Token],
    ) -> Result<Self, Stopped> {
        let (number, since) = (draft.record.timers_made + 1, draft.record.time);
        let due = match &transition.timing {
            Some(timing) => timing.due(&Scope { now: since, ..view.scope(tokens) }),
            None => Ok(since),
        };
        let due = due.map_err(|reason| no_time(transition, &reason))?;
        let (due, tokens) = (not_at_once(draft, mode, since, due), named(tokens));
        let (transition, armed, elapsed, item) = (transition.id.clone(), None, false, None);
        draft.record.timers_made = number;
        Ok(Self { number, transition, tokens, since, due, armed, elapsed, item })
    }
}

/// Ends the deadlines of items that are not open any more. Returns the others, which no binding keeps.
pub(super) fn take_deadlines(draft: &mut Draft<'_>) -> Vec<Timer> {
    let open: HashSet<_> = draft.record.items.iter().map(|item| item.number).collect();
    let (mut deadlines, timers): (Vec<_>, Vec<_>) =
        draft.record.timers.drain(..).partition(|timer| timer.item.is_some());
    draft.record.timers = timers;
    deadlines.retain(|timer| timer.item.is_some_and(|item| open.contains(&item)));
    deadlines
}

/// Reckons the times anew of the timers that have come due and whose tokens an edit has changed: one that
/// it puts off does not fire.
pub(in crate::engine) fn reckon_elapsed(view: &View<'_>, draft: &mut Draft<'_>) {
    if !draft.record.kind.may_edit() {
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
    let mode = modes_of(view, transition, &timer).next().filter(|mode| is_free(view, mode));
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

fn no_time(transition: &NetTransition, reason: &str) -> Stopped {
    let key = match &transition.timed {
        Some(crate::models::petri::Timed::At(_)) => "at",
        _ => "after",
    };
    Stopped::new(IncidentCode::DueFailed, format!("its time can't be reckoned: `{key}` {reason}"))
}
