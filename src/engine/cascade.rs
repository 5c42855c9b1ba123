//! The cascade: the immediate firings that follow a change, in the same record.

use std::collections::BTreeSet;

use serde_json::Map;

use super::{
    Act, Budget, Excess, Limits, MAX_STEPS, Net, RanOut,
    binding::View,
    draft::{Draft, at},
    fire::Given,
    fit::fit,
    incidents::{Judged, Open, Stopped},
    next::{Found, Search},
    waiting::{judge, reckon_elapsed},
};
use crate::models::{CaseStatus, IncidentCode, Record, Step, json_length, object_length};

/// Bytes that the causes of new incidents have together, and of these as many as there is room for.
const EXPLAINED: [usize; 4] = [64 * 1024, 4 * 1024, 512, 0];

/// Limits of a decision.
#[derive(Debug, Clone, Copy)]
pub struct Bounds<'a> {
    /// Limits of the record, and of the tokens in it.
    pub limits: Limits,
    /// Limit of the cost.
    pub budget: &'a Budget,
}

impl<'a> Bounds<'a> {
    /// A limit of the cost alone, for what is not stored.
    pub fn of(budget: &'a Budget) -> Self {
        Self { limits: Limits::NONE, budget }
    }
}

/// The reason that a change is not made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NotMade {
    /// Its record would be more than the store, or a reader, takes.
    #[error(transparent)]
    Excess(#[from] Excess),
    /// The machine had no time to find out what follows it.
    #[error("what follows it takes too long to decide on this machine now")]
    Late,
}

/// Lets the immediate transitions fire that a change enabled, and makes the record, which fits.
/// Where the cascade can't be stored, the change is, and an incident beside it.
pub(super) fn conclude(
    net: &Net,
    draft: Draft<'_>,
    Bounds { limits, budget }: Bounds<'_>,
) -> Result<Record, NotMade> {
    let before = draft.before;
    // The change counts more than the words about what can't follow it.
    let fitted = |mut open: Open, draft: Draft<'_>| {
        if !open.has_raised() {
            let mut record = open.into_draft(draft).finish(net);
            return fit(&mut record, before, limits).map(|()| record).map_err(NotMade::from);
        }
        let mut excess = None;
        for most in EXPLAINED {
            open.shorten(most);
            let mut record = open.clone().into_draft(draft.clone()).finish(net);
            match fit(&mut record, before, limits) {
                Ok(()) => return Ok(record),
                Err(found) => excess = excess.or(Some(found)),
            }
        }
        excess.map_or(Err(NotMade::Late), |excess| Err(excess.into()))
    };
    let mut open = Open::after(&draft.record);
    if !open.is_any() && rests(net, &draft) {
        return fitted(open, draft);
    }
    let mut change = draft;
    let fires = change.record.status == CaseStatus::Running && !open.is_stopped();
    let (mut most_timers, mut budget) = (usize::MAX, budget.clone());
    let stopped = loop {
        let (mut timers, bounds) = (0, Bounds { limits, budget: &budget });
        let draft = change.clone();
        let stopped = match cascade(net, draft, fires, (most_timers, &mut timers), bounds) {
            Ok(_) if budget.ran_out() == Some(RanOut::Time) => return Err(NotMade::Late),
            Ok((draft, judged)) => {
                let has_fired = !draft.record.cascade.is_empty();
                match fitted(open.clone().judged(judged), draft) {
                    Err(NotMade::Excess(_)) if timers <= 1 && change.record.elapsed.len() > 1 => {
                        change.keep_first_elapsed();
                        continue;
                    }
                    Err(NotMade::Excess(excess)) if has_fired => {
                        Stopped::new(IncidentCode::CascadeTooLarge, excess.to_string())
                    }
                    done => return done,
                }
            }
            Err(_) if budget.ran_out() == Some(RanOut::Time) => return Err(NotMade::Late),
            Err(stopped) => stopped,
        };
        let is_spent = budget.ran_out().is_some();
        match is_spent {
            // Whoever gave so few decides again with all there are.
            true if budget.steps() < MAX_STEPS => return Err(NotMade::Late),
            true => budget = budget.beside(MAX_STEPS),
            false => {}
        }
        // Fewer timers in one record; the others come due in the next.
        match timers {
            0 | 1 => break stopped,
            _ => most_timers = if is_spent { 1 } else { timers / 2 },
        }
    };
    open.stop(stopped);
    change.keep_first_elapsed();
    // The timers of the change alone.
    match cascade(net, change, false, (0, &mut 0), Bounds { limits, budget: &budget }) {
        Ok(_) if budget.ran_out() == Some(RanOut::Time) => Err(NotMade::Late),
        Ok((change, judged)) => fitted(open.judged(judged), change),
        Err(_) => Err(NotMade::Late),
    }
}

/// Returns true if nothing can follow a change, by the numbers of tokens alone. Most changes end here: a look at their
/// bindings costs as much as the change.
fn rests(net: &Net, draft: &Draft<'_>) -> bool {
    if !(net.timed.is_empty() && net.activities.is_empty()) {
        return false;
    }
    if net.immediate.is_empty() || draft.record.status != CaseStatus::Running {
        return true;
    }
    let counts = draft.counts(net);
    let modes = net.immediate.iter().flat_map(|index| &net.transitions[*index].modes);
    !modes.into_iter().any(|mode| mode.has_tokens(&counts))
}

/// Fires immediate transitions, and where none is enabled a timer that has come due, of these at most so
/// many, which are counted. Then the timers follow from where it rests; if nothing `fires`, from the change.
fn cascade<'a>(
    net: &Net,
    mut draft: Draft<'a>,
    fires: bool,
    (most_timers, timers): (usize, &mut usize),
    Bounds { limits, budget }: Bounds<'_>,
) -> Result<(Draft<'a>, Judged), Stopped> {
    let record = &draft.record;
    let (workflow, case, now) = (record.workflow.clone(), record.case.clone(), record.time);
    let act = Act {
        by: None,
        now,
        firing: record.firing.clone(),
        metadata: Map::new(),
        request: None,
        format: record.format,
    };
    let mut view =
        View::of(net, (&workflow, &case), CaseStatus::Running, draft.live(), now, budget);
    draft.end_of_change();
    let (mut fired, most) = (vec![0_u32; net.transitions.len()], net.max_cascade as usize);
    let mut search = Search::new(net, limits, budget);
    reckon_elapsed(&view, &mut draft);
    while !view.has_ended() && fires {
        let found = search.immediate(&mut view, &draft, &act, &fired)?;
        let has_room = *timers < most_timers;
        let found = match found {
            None => search.answered(&mut view, &draft, &act, &fired)?,
            found => found,
        };
        let found = match found {
            None if has_room => search.elapsed(&mut view, &draft, &act, &fired)?,
            found => found,
        };
        let Some(Found { transition, given, timer, item }) = found else { break };
        if draft.record.cascade.len() == most {
            return Err(Stopped::too_long(net, most, &fired));
        }
        *timers += usize::from(timer.is_some());
        fired[transition] += 1;
        let places = follow(&mut view, &mut draft, given, (timer, item));
        search.moved(net, places);
        if draft.carried() > limits.message {
            let (count, size) = (draft.record.cascade.len(), draft.carried());
            let most = limits.message;
            let reason = format!(
                "the tokens that {count} firings by themselves give carry {size} bytes, and {most} is \
                 the most of a record; carry less data, or have fewer tokens"
            );
            return Err(Stopped::new(IncidentCode::CascadeTooLarge, reason));
        }
    }
    if view.has_ended() {
        return Ok((draft, Judged::default()));
    }
    if fires && *timers == most_timers {
        draft.put_off_elapsed();
    }
    let judged = judge(&mut view, &mut draft, budget, search.judged(net, fires));
    Ok((draft, judged))
}

/// Takes and gives the tokens of a firing. Returns the places that they left or came to.
fn follow(
    view: &mut View<'_>,
    draft: &mut Draft<'_>,
    given: Given,
    (timer, item): (Option<u64>, Option<u64>),
) -> BTreeSet<usize> {
    let Given { transition, binding, tokens, made, .. } = given;
    let net = view.net;
    let moved = binding.consumed.iter().chain(&binding.reset).chain(&tokens);
    let places = moved.filter_map(|token| net.place(&token.place)).collect();
    for token in binding.consumed.iter().chain(&binding.reset) {
        view.take(token);
        draft.take(&token.id);
    }
    draft.record.tokens_made += made;
    draft.record.cascade.push(Step {
        transition,
        consumed: binding.consumed.iter().map(at).collect(),
        read: binding.read.iter().map(at).collect(),
        removed: binding.reset.iter().map(at).collect(),
        produced: tokens.iter().map(at).collect(),
        timer,
        item,
    });
    draft.record.timers.retain(|of| Some(of.number) != timer);
    draft.record.items.retain(|of| Some(of.number) != item);
    // All carry the same.
    let carried =
        tokens.first().map_or(0, |token| json_length(&token.data) + object_length(&token.metadata));
    for token in tokens {
        view.give(token.clone());
        draft.give_carrying(token, carried);
    }
    places
}
