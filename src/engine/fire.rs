//! Decision of a firing: from a case and a request to the record of the change.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    Blocker, Bounds, Budget, Excess, Limits, Mode, ModeExplanation, Net, NetTransition, NotEnabled,
    OutputError, RanOut,
    binding::{Binding, View},
    cascade::{NotMade, conclude},
    draft::{Draft, at},
    fit::{fit, must_fit},
    merge_patch,
    record::{Act, next_record},
    waiting::merged,
};
use crate::models::{
    Case, HISTORY_KEPT, LogSequence, OutcomeId, Passed, PlaceId, Record, RecordKind, Token,
    TokenId, TransitionEvent, TransitionId, json_length,
};

/// Request for a firing.
#[derive(Debug, Clone, Copy)]
pub struct Firing<'a> {
    /// Transition that is to fire.
    pub transition: &'a TransitionId,
    /// Tokens that must be among those taken.
    pub tokens: &'a [TokenId],
    /// The place that must get a token; a mode that gives it none is left out.
    pub to_place: Option<&'a PlaceId>,
    /// Data merged into the produced data, last.
    pub data: Option<&'a Value>,
    /// The outcome of an activity, which its answer names.
    pub outcome: Option<&'a OutcomeId>,
    /// Caller, time and id of the attempt.
    pub act: &'a Act,
    /// Limits of the tokens that it gives, checked before they are made.
    pub limits: Limits,
    /// Limit of the cost of the decision.
    pub budget: &'a Budget,
}

/// Reason that nothing fires.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// The net has no such transition.
    UnknownTransition,
    /// It is an immediate or a timed transition: callers don't fire it.
    FiresByItself,
    /// It is an activity: its worker's answer fires it.
    IsWork,
    /// No mode of the transition gives a token to the place that the caller named.
    LeadsElsewhere {
        /// Places that it leads to.
        places: Vec<PlaceId>,
    },
    /// The transition can't fire now.
    NotEnabled(Box<NotEnabled>),
    /// The tokens that it gives are more than a record takes.
    Excess(Excess),
}

/// Reason that a binding gives nothing.
pub(super) enum NotProduced {
    /// The output expression failed, or ran out of its budget.
    Output(Blocker),
    Excess(Excess),
}

impl From<NotMade> for NotProduced {
    fn from(not: NotMade) -> Self {
        match not {
            NotMade::Excess(excess) => Self::Excess(excess),
            NotMade::Late => {
                Self::Output(Blocker::SearchStopped { ran_out: RanOut::Time, bindings_tried: 1 })
            }
        }
    }
}

/// A firing that is decided: the tokens that it takes, and those that it gives.
pub(super) struct Given {
    pub transition: TransitionId,
    pub binding: Binding,
    pub tokens: Vec<Arc<Token>>,
    /// Number of the tokens that are new.
    pub made: u64,
    /// The record that has the history of the one token that passes, where a part is left out.
    left_out: Option<LogSequence>,
}

/// Decides a firing, and the cascade after it. Returns the record to append, which fits, or the
/// reason for a refusal.
pub fn fire(net: &Net, case: &Case, firing: Firing<'_>) -> Result<Record, Refusal> {
    let Firing { limits, budget, .. } = firing;
    if net.transition(firing.transition).is_some_and(|of| of.activity.is_some()) {
        return Err(Refusal::IsWork);
    }
    decide(net, case, firing, |draft| conclude(net, draft, Bounds { limits, budget }))
}

/// Decides a firing without the cascade after it, of any size; of an activity, without its answer.
#[cfg(feature = "analysis")]
pub(crate) fn fire_alone(net: &Net, case: &Case, firing: Firing<'_>) -> Result<Record, Refusal> {
    decide(net, case, firing, |draft| Ok(draft.finish(net)))
}

fn decide<'c>(
    net: &Net,
    case: &'c Case,
    firing: Firing<'_>,
    conclude: impl Fn(Draft<'c>) -> Result<Record, NotMade>,
) -> Result<Record, Refusal> {
    let transition = net.transition(firing.transition).ok_or(Refusal::UnknownTransition)?;
    if transition.fires_by_itself() {
        return Err(Refusal::FiresByItself);
    }
    let leads = |place: &PlaceId| {
        let wanted = net.place(place);
        move |mode: &&Mode| mode.arcs.outputs.iter().any(|(to, _)| Some(*to) == wanted)
    };
    let ends = |mode: &&Mode| transition.outcome(mode).map(|of| &of.id) == firing.outcome;
    let modes = transition.modes.iter().filter(ends);
    let modes: Vec<_> = match firing.to_place {
        Some(place) => modes.filter(leads(place)).collect(),
        None => modes.collect(),
    };
    if modes.is_empty() {
        let outputs = transition.modes.iter().flat_map(|mode| &mode.arcs.outputs);
        let mut places: Vec<_> = outputs.map(|(to, _)| net.places[*to].id.clone()).collect();
        places.sort();
        places.dedup();
        return Err(Refusal::LeadsElsewhere { places });
    }
    let view = View::new(net, case, firing.act.now, firing.budget);
    let (mut failed, mut too_large) = (Vec::new(), None);
    for mode in modes {
        let made = view.bind(transition, mode, firing.tokens).map(|binding| {
            given(&view, case, transition, mode, binding, &firing)
                .and_then(|draft| conclude(draft).map_err(NotProduced::from))
        });
        let blockers = match made {
            Ok(Ok(record)) => return Ok(record),
            Ok(Err(NotProduced::Output(blocker))) => vec![blocker],
            Ok(Err(NotProduced::Excess(excess))) => {
                let explanation = excess.to_string();
                too_large.get_or_insert(excess);
                vec![Blocker::TooLarge { explanation }]
            }
            Err(blockers) => blockers,
        };
        failed.push(ModeExplanation::blocked(net, (transition, mode), blockers));
    }
    if let Some(excess) = too_large.filter(|_| firing.budget.ran_out().is_none()) {
        return Err(Refusal::Excess(excess));
    }
    let (case, transition) = (case.id.clone(), transition.id.clone());
    Err(Refusal::NotEnabled(Box::new(NotEnabled { case, transition, modes: failed })))
}

/// The binding, if the tokens of a firing with it fit into a record. These are the checks that
/// a firing makes after its tokens are bound.
pub(super) fn would_give(
    view: &View<'_>,
    case: &Case,
    transition: &NetTransition,
    mode: &Mode,
    binding: Binding,
    limits: Limits,
) -> Result<Binding, Vec<Blocker>> {
    let excess = |excess: Excess| vec![Blocker::TooLarge { explanation: excess.to_string() }];
    let act = Act::of_nobody(view.now);
    let firing = Firing {
        transition: &transition.id,
        tokens: &[],
        to_place: None,
        data: None,
        outcome: None,
        act: &act,
        limits,
        budget: &view.budget,
    };
    let draft = match given(view, case, transition, mode, binding.clone(), &firing) {
        Ok(draft) => draft,
        Err(NotProduced::Output(blocker)) => return Err(vec![blocker]),
        Err(NotProduced::Excess(found)) => return Err(excess(found)),
    };
    // What follows does not hinder it.
    let mut record = draft.finish(view.net);
    fit(&mut record, Some(case), limits).map_err(excess)?;
    Ok(binding)
}

/// The record in the making, with the firing in it.
fn given<'a>(
    view: &View<'_>,
    case: &'a Case,
    transition: &NetTransition,
    mode: &Mode,
    binding: Binding,
    firing: &Firing<'_>,
) -> Result<Draft<'a>, NotProduced> {
    let Firing { act, data, limits, .. } = *firing;
    let alone = (!view.net.runs_by_itself()).then_some(case);
    let marked = case.marking.0.len();
    let ask = Ask { transition, mode, act, data, result: None, limits, marked, alone };
    let given = produce(view, &ask, binding, case.tokens_made)?;
    Ok(draft_of(case, given, act))
}

/// The record in the making of a firing that is decided.
pub(super) fn draft_of<'a>(case: &'a Case, given: Given, act: &Act) -> Draft<'a> {
    let mut record = next_record(case, RecordKind::Fired, act);
    record.transition = Some(given.transition);
    record.consumed = given.binding.consumed.iter().map(at).collect();
    record.read = given.binding.read.iter().map(at).collect();
    record.removed = given.binding.reset.iter().map(at).collect();
    record.tokens_made += given.made;
    let passed = given.tokens.first().map(|token| token.id.clone());
    record.history_bases.extend(passed.zip(given.left_out));
    let mut draft = Draft::new(Some(case), record);
    let taken = given.binding.consumed.iter().chain(&given.binding.reset);
    taken.for_each(|token| draft.take(&token.id));
    given.tokens.into_iter().for_each(|token| draft.give(token));
    draft
}

/// A firing whose tokens are asked for.
pub(super) struct Ask<'a> {
    pub transition: &'a NetTransition,
    pub mode: &'a Mode,
    pub act: &'a Act,
    /// Data merged into the produced data, last.
    pub data: Option<&'a Value>,
    /// The answer of an activity's worker.
    pub result: Option<&'a Value>,
    pub limits: Limits,
    /// Number of tokens whose entries in the marking are copied.
    pub marked: usize,
    /// The case, if nothing follows the firing: histories that its records have are not copied.
    pub alone: Option<&'a Case>,
}

/// The tokens that a firing gives in a case that has had `made` tokens.
pub(super) fn produce(
    view: &View<'_>,
    ask: &Ask<'_>,
    binding: Binding,
    mut made: u64,
) -> Result<Given, NotProduced> {
    let Ask { transition, mode, act, limits, .. } = *ask;
    let stopped =
        |ran_out| NotProduced::Output(Blocker::SearchStopped { ran_out, bindings_tried: 1 });
    let data = produced_data(view, ask, &binding);
    let data = data.map_err(|error| {
        let output = || NotProduced::Output(Blocker::Output { explanation: error.to_string() });
        view.budget.ran_out().map_or_else(output, stopped)
    })?;
    let given: u64 = mode.arcs.outputs.iter().map(|(_, weight)| weight).sum();
    if given > 1 {
        let what = || format!("the record of {} in case {}", transition.id, view.case);
        let fits = must_fit(given, json_length(&data), what, limits);
        fits.map_err(NotProduced::Excess)?;
    }
    // What is copied counts too: a look at what can fire does it for each transition.
    let copied = given.saturating_mul(1 + json_length(&data) as u64 / 1_024);
    view.budget.charge(copied.saturating_add(ask.marked as u64 / 16)).map_err(stopped)?;
    let passes = binding.consumed.len() == 1 && given == 1;
    // A hash: made once, whatever the number of tokens.
    let tag = if passes { String::new() } else { view.workflow.tag() };
    let places = mode.arcs.outputs.iter().flat_map(|(to, weight)| (0..*weight).map(|_| *to));
    // As many as tokens, and the last one is no copy.
    let copies = std::iter::repeat_n(data, usize::try_from(given).unwrap_or(usize::MAX));
    let (before, mut left_out) = (made, None);
    let mut tokens = Vec::new();
    for (to, data) in places.zip(copies) {
        let place = &view.net.places[to].id;
        let event = event(transition, &binding, place, act);
        let token = if passes {
            let token = &binding.consumed[0];
            let base = ask.alone.and_then(|case| case.history_bases.get(&token.id)).copied();
            let earlier = base.map(|base| token.history_to_record(base));
            let (history, base) = earlier.unwrap_or_else(|| (Arc::clone(&token.history), None));
            left_out = base;
            moved(token, &history, place, data, event, view.now)
        } else {
            made += 1;
            let id = TokenId::of_case(&tag, view.case, made);
            new_token(view, id, &binding, place, data, event)
        };
        tokens.push(Arc::new(token));
    }
    let transition = transition.id.clone();
    Ok(Given { transition, binding, tokens, made: made - before, left_out })
}

/// The data of the consumed tokens merged in arc order, then the output expression, then the caller's
/// data. The answer of a worker is what the expression makes of it; without one an object is merged, and
/// any other value becomes `result`.
fn produced_data(view: &View<'_>, ask: &Ask<'_>, binding: &Binding) -> Result<Value, OutputError> {
    let tokens = binding.tokens();
    let mut data = merged(&tokens[..binding.consumed.len()]);
    let transition = ask.transition;
    let own = transition.outcome(ask.mode).and_then(|outcome| outcome.output.as_ref());
    match (own.or(transition.output.as_ref()), ask.result) {
        // Nothing is made of an answer that nobody gave.
        (Some(_), None) if transition.activity.is_some() => {}
        (Some(output), result) => {
            let made = output.evaluate(&view.scope(&tokens), &data, result)?;
            merge_patch(&mut data, &Value::Object(made));
        }
        (None, None | Some(Value::Null)) => {}
        (None, Some(result @ Value::Object(_))) => merge_patch(&mut data, result),
        (None, Some(result)) => merge_patch(&mut data, &json!({ "result": result })),
    }
    if let Some(asked) = ask.data {
        merge_patch(&mut data, asked);
    }
    Ok(data)
}

fn event(
    transition: &NetTransition,
    binding: &Binding,
    to: &PlaceId,
    act: &Act,
) -> TransitionEvent {
    // A checked net has an arc that consumes or reads, so there is a first token.
    let first = binding.consumed.first().or(binding.read.first());
    TransitionEvent {
        from: first.map_or_else(|| to.clone(), |token| token.place.clone()),
        to: to.clone(),
        transition: transition.id.clone(),
        time: act.now,
        triggered_by: act.by.clone(),
        sequence: None,
        metadata: act.metadata.clone(),
    }
}

/// The same token in another place.
fn moved(
    token: &Token,
    earlier: &[Passed],
    place: &PlaceId,
    data: Value,
    event: TransitionEvent,
    now: DateTime<Utc>,
) -> Token {
    let mut history = Vec::with_capacity(earlier.len() + 1);
    let forgotten = (earlier.len() + 1).saturating_sub(HISTORY_KEPT);
    history.extend(earlier[forgotten..].iter().cloned());
    history.push(event.into());
    Token {
        id: token.id.clone(),
        workflow: token.workflow.clone(),
        case: token.case.clone(),
        place: place.clone(),
        data,
        metadata: token.metadata.clone(),
        created_at: token.created_at,
        updated_at: now,
        history: Arc::new(history),
        history_total: token.history_total + 1,
        nats_sequence: None,
        nats_timestamp: None,
        nats_subject: None,
    }
}

fn new_token(
    view: &View<'_>,
    id: TokenId,
    binding: &Binding,
    place: &PlaceId,
    data: Value,
    event: TransitionEvent,
) -> Token {
    let metadata = binding.consumed.iter().flat_map(|token| token.metadata.clone()).collect();
    Token {
        id,
        workflow: view.workflow.clone(),
        case: view.case.clone(),
        place: place.clone(),
        data,
        metadata,
        created_at: view.now,
        updated_at: view.now,
        history: Arc::new(vec![event.into()]),
        history_total: 1,
        nats_sequence: None,
        nats_timestamp: None,
        nats_subject: None,
    }
}
