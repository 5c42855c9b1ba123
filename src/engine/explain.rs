//! Abilities of each transition of a case now, with the reasons.

use std::{
    collections::{BTreeSet, HashSet},
    fmt::Write,
};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    Blocker, Budget, Limits, MOST_ITEMS, MOST_TIMERS, Mode, Net, NetTransition, RanOut,
    binding::View, fire::would_give,
};
use crate::models::{
    ArcKind, Case, CaseId, CaseStatus, Incident, IncidentAbout, Item, KindId, MarkingEntry,
    OutcomeId, PlaceId, QueueId, Timer, TokenId, TransitionId,
};

/// One way in which a transition can fire: the short form has one for each `from_places`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ModeExplanation {
    /// The place of the short form that this mode takes from, if it is one.
    pub from: Option<PlaceId>,
    /// The outcome of an activity by which this mode ends, if it has outcomes.
    pub outcome: Option<OutcomeId>,
    /// True if it can fire now.
    pub enabled: bool,
    /// The tokens it would take, in arc order; empty when it can't fire.
    pub would_take: Vec<TokenId>,
    /// Everything that hinders it; empty when it can fire.
    pub blockers: Vec<Blocker>,
}

impl ModeExplanation {
    /// A mode that can't fire.
    pub(super) fn blocked(
        net: &Net,
        (transition, mode): (&NetTransition, &Mode),
        blockers: Vec<Blocker>,
    ) -> Self {
        let from = mode.from.map(|place| net.places[place].id.clone());
        let outcome = transition.outcome(mode).map(|of| of.id.clone());
        Self { from, outcome, enabled: false, would_take: Vec::new(), blockers }
    }
}

/// The present abilities of a transition, with the reasons.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TransitionExplanation {
    /// The transition.
    pub transition: TransitionId,
    /// True if it fires by itself as soon as it is enabled.
    pub auto: bool,
    /// True if it fires by itself once it has been enabled for some time.
    pub timed: bool,
    /// True if it fires when a worker has done its work.
    pub activity: bool,
    /// The queue where workers look for it, if it is an activity.
    pub queue: Option<QueueId>,
    /// Kind of its work, if it is an activity.
    pub kind: Option<KindId>,
    /// True if one of its modes can fire now.
    pub enabled: bool,
    /// Its modes in the order in which they are tried.
    pub modes: Vec<ModeExplanation>,
}

/// A case, and the present abilities of each transition in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The case.
    pub case: CaseId,
    /// Its status.
    pub status: CaseStatus,
    /// One line for people: the status, and the transitions that can fire.
    pub summary: String,
    /// Its open incidents, oldest first.
    pub incidents: Vec<Incident>,
    /// Its timers that run, in the order of their times.
    pub timers: Vec<Timer>,
    /// Its open work items, oldest first.
    pub items: Vec<Item>,
    /// Every transition of the net, in the order of the definition.
    pub transitions: Vec<TransitionExplanation>,
}

/// A transition that was asked to fire and can't.
#[derive(Debug, Clone, PartialEq, Serialize, thiserror::Error)]
#[error("transition {transition} can't fire in case {case}: {}", join(.modes))]
#[non_exhaustive]
pub struct NotEnabled {
    /// The case.
    pub case: CaseId,
    /// The transition.
    pub transition: TransitionId,
    /// Its modes, each with everything that hinders it.
    pub modes: Vec<ModeExplanation>,
}

fn join(modes: &[ModeExplanation]) -> String {
    let mode = |mode: &ModeExplanation| {
        let blockers: Vec<_> = mode.blockers.iter().map(Blocker::to_string).collect();
        match &mode.from {
            Some(place) if modes.len() > 1 => format!("from {place}: {}", blockers.join("; ")),
            _ => blockers.join("; "),
        }
    };
    modes.iter().map(mode).collect::<Vec<_>>().join(" | ")
}

/// Explains for each transition of `net` if it can fire in `case`, with the reasons.
pub fn explain(
    net: &Net,
    case: &Case,
    now: DateTime<Utc>,
    limits: Limits,
    budget: &Budget,
) -> Explanation {
    let view = View::new(net, case, now, budget);
    let explained = |transition| explain_one(&view, case, transition, &[], limits);
    let transitions: Vec<_> = net.transitions.iter().map(explained).collect();
    let names = |with: &dyn Fn(&TransitionExplanation) -> bool| {
        let names = transitions.iter().filter(|t| with(t)).map(|t| t.transition.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    let by_callers = |t: &TransitionExplanation| !(t.auto || t.timed || t.activity);
    let enabled = names(&|t| t.enabled && by_callers(t));
    let unknown = names(&|t| !t.enabled && by_callers(t) && t.ran_out().is_some());
    let mut timers = case.timers.clone();
    timers.sort_by_key(|timer| (timer.due, timer.number));
    let mut summary = match case.status {
        CaseStatus::Running => match (enabled.is_empty(), unknown.is_empty()) {
            (true, true) if !case.items.is_empty() => "running; waits for work".to_owned(),
            (true, true) if !timers.is_empty() => "running; waits for time".to_owned(),
            (true, true) => {
                "running, but no transition can fire: see what each one lacks".to_owned()
            }
            (false, true) => format!("running; can fire: {enabled}"),
            (true, false) => format!("running; it is not known whether these can fire: {unknown}"),
            (false, false) => {
                format!("running; can fire: {enabled}; it is not known of: {unknown}")
            }
        },
        CaseStatus::Paused => "paused; nothing fires until it is resumed".to_owned(),
        CaseStatus::Completed => "completed: every token is in a terminal place".to_owned(),
        CaseStatus::Cancelled => "cancelled: its tokens are gone".to_owned(),
    };
    write_items(&mut summary, case);
    write_held_back(&mut summary, net, case);
    write_timers(&mut summary, &timers);
    for Incident { number, about, code, .. } in &case.incidents {
        let of = match about {
            IncidentAbout::Cascade => "whatever fires by itself".to_owned(),
            IncidentAbout::Unknown => "a part that this version does not know".to_owned(),
            IncidentAbout::Transition(transition) => transition.to_string(),
            IncidentAbout::Item(item) => format!("work item {item}"),
        };
        let _ = write!(summary, "; incident {number} ({}) stops {of}", code.as_str());
    }
    let (incidents, items) = (case.incidents.clone(), case.items.clone());
    let (case, status) = (case.id.clone(), case.status);
    Explanation { case, status, summary, incidents, timers, items, transitions }
}

/// Says how many work items wait, and how many are with workers.
fn write_items(summary: &mut String, case: &Case) {
    let items = &case.items;
    if items.is_empty() {
        return;
    }
    let running = items.iter().filter(|item| item.running.is_some()).count();
    let done = items.iter().filter(|item| item.done.is_some()).count();
    let waits = |answers| {
        let of = |item: &&Item| item.wait.as_ref().is_some_and(|wait| wait.answers == answers);
        items.iter().filter(of).count()
    };
    let (later, asking) = (waits(false), waits(true));
    let is_stopped = |item: &&Item| {
        let about = IncidentAbout::Item(item.number);
        let is_idle = item.running.is_none() && item.done.is_none() && item.wait.is_none();
        is_idle && case.incidents.iter().any(|open| open.about == about)
    };
    let stopped = items.iter().filter(is_stopped).count();
    let waiting = items.len() - running - done - later - asking - stopped;
    let count = |count: usize, of: &str| (count > 0).then(|| format!("{count} {of}"));
    let parts = [
        count(running, "with workers"),
        count(waiting, "waiting for a worker"),
        count(later, "to go on later"),
        count(asking, "waiting for an answer from outside"),
        count(stopped, "stopped by incidents"),
        count(done, "done, to fire as soon as they can"),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    let plural = if items.len() == 1 { "" } else { "s" };
    let _ = write!(summary, "; {} work item{plural}: {}", items.len(), parts.join(", "));
    if items.len() >= MOST_ITEMS {
        summary.push_str("; as many as are open at once, and others begin when these end");
    }
}

/// Says of which activities as many items are open as may be at once, while tokens are left for others.
fn write_held_back(summary: &mut String, net: &Net, case: &Case) {
    for transition in &net.transitions {
        let Some(activity) = &transition.activity else { continue };
        let own: Vec<_> =
            case.items.iter().filter(|item| item.transition == transition.id).collect();
        if own.len() < activity.max_parallel || case.items.len() >= MOST_ITEMS {
            continue;
        }
        let held: HashSet<_> =
            own.iter().flat_map(|item| &item.tokens).map(|at| &at.token).collect();
        let inputs = transition.modes.iter().flat_map(|mode| &mode.arcs.inputs);
        let inputs = inputs.filter(|input| input.kind == ArcKind::Consume);
        let places: HashSet<_> = inputs.map(|input| &net.places[input.place].id).collect();
        let is_left =
            |entry: &MarkingEntry| places.contains(&entry.place) && !held.contains(&entry.token);
        if case.marking.0.iter().any(is_left) {
            let (id, most) = (&transition.id, activity.max_parallel);
            let _ =
                write!(summary, "; {most} of {id} are open, as many as its max_parallel allows");
        }
    }
}

/// Says when the next timer fires, and how many are more than may run at once.
fn write_timers(summary: &mut String, timers: &[Timer]) {
    let Some(next) = timers.first() else { return };
    let due = next.due.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let _ = match next.elapsed {
        true => {
            write!(summary, "; {} is due since {due}, and fires as soon as it can", next.transition)
        }
        false => match next.item {
            Some(item) => write!(summary, "; the deadline of work item {item} is at {due}"),
            None => write!(summary, "; {} fires at {due}", next.transition),
        },
    };
    if timers.len() > 1 {
        let _ = write!(summary, ", the first of {} timers", timers.len());
    }
    if timers.len() >= MOST_TIMERS {
        summary.push_str(": as many as run at once, and others begin when these end");
    }
}

/// The transitions that a caller can fire now and that would take `token`.
///
/// # Errors
///
/// The first transition for which this is not known.
pub fn available(
    net: &Net,
    case: &Case,
    token: &TokenId,
    now: DateTime<Utc>,
    limits: Limits,
    budget: &Budget,
) -> Result<Vec<TransitionId>, NotEnabled> {
    let view = View::new(net, case, now, budget);
    let named = std::slice::from_ref(token);
    let mut can = Vec::new();
    for transition in net.transitions.iter().filter(|of| of.is_by_callers()) {
        let explained = explain_one(&view, case, transition, named, limits);
        if explained.enabled {
            can.push(explained.transition);
        } else if explained.ran_out().is_some() {
            let (case, transition) = (case.id.clone(), explained.transition);
            return Err(NotEnabled { case, transition, modes: explained.modes });
        }
    }
    Ok(can)
}

impl Explanation {
    /// The queues of the items that wait for a worker.
    pub fn waits_for(&self) -> BTreeSet<QueueId> {
        let is_stopped = |item: &Item| {
            let about = IncidentAbout::Item(item.number);
            self.incidents.iter().any(|open| open.about == about)
        };
        let waiting = self.items.iter().filter(|item| {
            let is_idle = item.running.is_none() && item.done.is_none() && item.wait.is_none();
            is_idle && !is_stopped(item)
        });
        let of = |item: &Item| {
            let found = self.transitions.iter().find(|of| of.transition == item.transition);
            found.and_then(|of| of.queue.clone())
        };
        waiting.filter_map(of).collect()
    }
}

impl TransitionExplanation {
    /// The resource that ran out, if for that reason nobody knows if it can fire.
    pub fn ran_out(&self) -> Option<RanOut> {
        ran_out(&self.modes)
    }
}

impl NotEnabled {
    /// Everything that hinders each of its modes, in words.
    pub fn why(&self) -> String {
        join(&self.modes)
    }

    /// The resource that ran out, if for that reason nobody knows if it can fire.
    pub fn ran_out(&self) -> Option<RanOut> {
        ran_out(&self.modes)
    }
}

fn ran_out(modes: &[ModeExplanation]) -> Option<RanOut> {
    modes.iter().flat_map(|mode| &mode.blockers).find_map(Blocker::ran_out)
}

fn explain_one(
    view: &View<'_>,
    case: &Case,
    transition: &NetTransition,
    named: &[TokenId],
    limits: Limits,
) -> TransitionExplanation {
    let modes: Vec<_> = transition
        .modes
        .iter()
        .map(|mode| {
            let bound = view.bind(transition, mode, named);
            let bound =
                bound.and_then(|binding| would_give(view, case, transition, mode, binding, limits));
            match bound {
                Ok(binding) => ModeExplanation {
                    enabled: true,
                    would_take: binding.consumed.iter().map(|token| token.id.clone()).collect(),
                    ..ModeExplanation::blocked(view.net, (transition, mode), Vec::new())
                },
                Err(blockers) => ModeExplanation::blocked(view.net, (transition, mode), blockers),
            }
        })
        .collect();
    let enabled = modes.iter().any(|mode| mode.enabled);
    TransitionExplanation {
        transition: transition.id.clone(),
        auto: transition.auto,
        timed: transition.timing.is_some(),
        activity: transition.activity.is_some(),
        queue: transition.activity.as_ref().map(|of| of.queue.clone()),
        kind: transition.activity.as_ref().map(|of| of.kind.clone()),
        enabled,
        modes,
    }
}
