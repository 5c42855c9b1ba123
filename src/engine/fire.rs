//! Decision of a firing: from a case and a request to the record of the change.

use std::{collections::HashSet, sync::Arc};

use serde_json::{Map, Value};

use super::{
    Blocker, Budget, Excess, Limits, ModeExplanation, Net, NetTransition, NotEnabled, OutputError,
    binding::{Binding, View},
    fit::{fit, must_fit},
    merge_patch,
    record::{Act, leave_out_history, next_record, status_after},
};
use crate::models::{
    Case, HISTORY_KEPT, MarkingEntry, PlaceId, Record, RecordKind, Token, TokenAt, TokenId,
    TransitionEvent, TransitionId, json_length,
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
enum NotProduced {
    /// The output expression failed, or ran out of its budget.
    Output(Blocker),
    Excess(Excess),
}

/// Decides a firing. Returns the record to append, which fits, or the reason for a refusal.
pub fn fire(net: &Net, case: &Case, firing: Firing<'_>) -> Result<Record, Refusal> {
    let transition = net.transition(firing.transition).ok_or(Refusal::UnknownTransition)?;
    let leads = |place: &PlaceId| {
        let wanted = net.place(place);
        move |mode: &&super::Mode| mode.arcs.outputs.iter().any(|(to, _)| Some(*to) == wanted)
    };
    let modes: Vec<_> = match firing.to_place {
        Some(place) => transition.modes.iter().filter(leads(place)).collect(),
        None => transition.modes.iter().collect(),
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
        let blockers = match view.bind(transition, mode, firing.tokens) {
            Ok(binding) => match given(&view, transition, mode, &binding, &firing) {
                Ok(record) => return Ok(record),
                Err(NotProduced::Excess(excess)) => {
                    let explanation = excess.to_string();
                    too_large.get_or_insert(excess);
                    vec![Blocker::TooLarge { explanation }]
                }
                Err(NotProduced::Output(blocker)) => vec![blocker],
            },
            Err(blockers) => blockers,
        };
        let from = mode.from.map(|place| net.places[place].id.clone());
        failed.push(ModeExplanation { from, enabled: false, would_take: Vec::new(), blockers });
    }
    let is_known = firing.budget.ran_out().is_none();
    if let Some(excess) = too_large.filter(|_| is_known) {
        return Err(Refusal::Excess(excess));
    }
    let (case, transition) = (case.id.clone(), transition.id.clone());
    Err(Refusal::NotEnabled(Box::new(NotEnabled { case, transition, modes: failed })))
}

/// The binding, if the tokens of a firing with it fit into a record. These are the checks that
/// a firing makes after its tokens are bound.
pub(super) fn would_give<'a>(
    view: &View<'a>,
    transition: &NetTransition,
    mode: &super::Mode,
    binding: Binding<'a>,
    limits: Limits,
) -> Result<Binding<'a>, Vec<Blocker>> {
    let excess = |excess: Excess| vec![Blocker::TooLarge { explanation: excess.to_string() }];
    let act = Act::of_nobody(view.now);
    let firing = Firing {
        transition: &transition.id,
        tokens: &[],
        to_place: None,
        data: None,
        act: &act,
        limits,
        budget: view.budget,
    };
    match given(view, transition, mode, &binding, &firing) {
        Ok(_) => {}
        Err(NotProduced::Output(blocker)) => return Err(vec![blocker]),
        Err(NotProduced::Excess(found)) => return Err(excess(found)),
    }
    Ok(binding)
}

/// The record, which fits.
fn given(
    view: &View<'_>,
    transition: &NetTransition,
    mode: &super::Mode,
    binding: &Binding<'_>,
    firing: &Firing<'_>,
) -> Result<Record, NotProduced> {
    let mut record = produce(view, transition, mode, binding, firing)?;
    fit(&mut record, Some(view.case), firing.limits).map_err(NotProduced::Excess)?;
    Ok(record)
}

fn produce(
    view: &View<'_>,
    transition: &NetTransition,
    mode: &super::Mode,
    binding: &Binding<'_>,
    firing: &Firing<'_>,
) -> Result<Record, NotProduced> {
    let case = view.case;
    let stopped =
        |ran_out| NotProduced::Output(Blocker::SearchStopped { ran_out, bindings_tried: 1 });
    let data = produced_data(view, transition, binding, firing);
    let data = data.map_err(|error| {
        let output = || NotProduced::Output(Blocker::Output { explanation: error.to_string() });
        view.budget.ran_out().map_or_else(output, stopped)
    })?;
    let given: u64 = mode.arcs.outputs.iter().map(|(_, weight)| weight).sum();
    if given > 1 {
        let what = || format!("the record of {} in case {}", transition.id, case.id);
        let fits = must_fit(given, json_length(&data), what, firing.limits);
        fits.map_err(NotProduced::Excess)?;
    }
    // What is copied counts too: a look at what can fire does it for each transition.
    let copied = given.saturating_mul(1 + json_length(&data) as u64 / 1_024);
    let marked = case.marking.0.len() as u64 / 16;
    view.budget.charge(copied.saturating_add(marked)).map_err(stopped)?;
    let mut record = next_record(case, RecordKind::Fired, firing.act);
    record.transition = Some(transition.id.clone());
    record.consumed = at(&binding.consumed);
    record.read = at(&binding.read);
    record.removed = at(&binding.reset);
    let passes = binding.consumed.len() == 1 && given == 1;
    // A hash: made once, whatever the number of tokens.
    let tag = if passes { String::new() } else { case.workflow.tag() };
    let places = mode.arcs.outputs.iter().flat_map(|(to, weight)| (0..*weight).map(|_| *to));
    // As many as tokens, and the last one is no copy.
    let copies = std::iter::repeat_n(data, usize::try_from(given).unwrap_or(usize::MAX));
    for (to, data) in places.zip(copies) {
        let place = &view.net.places[to].id;
        let event = event(transition, binding, place, firing.act);
        let token = if passes {
            moved(case, &mut record, binding.consumed[0], place, data, event, firing.act)
        } else {
            record.tokens_made += 1;
            let id = TokenId::of_case(&tag, &case.id, record.tokens_made);
            new_token(case, id, binding, place, data, event, firing.act)
        };
        record.produced.push(token);
    }
    let gone: HashSet<_> =
        record.consumed.iter().chain(&record.removed).map(|at| &at.token).collect();
    record.marking.0.retain(|entry| !gone.contains(&entry.token));
    let arrivals = record.produced.iter().map(|token| MarkingEntry {
        token: token.id.clone(),
        place: token.place.clone(),
        sequence: None,
    });
    record.marking.0.extend(arrivals);
    record.status = status_after(view.net, &record.marking, record.status);
    Ok(record)
}

fn at(tokens: &[&Arc<Token>]) -> Vec<TokenAt> {
    let at = |token: &&Arc<Token>| TokenAt { token: token.id.clone(), place: token.place.clone() };
    tokens.iter().map(at).collect()
}

/// The data of the consumed tokens merged in arc order, then the transition's output
/// expression, then the caller's data.
fn produced_data(
    view: &View<'_>,
    transition: &NetTransition,
    binding: &Binding<'_>,
    firing: &Firing<'_>,
) -> Result<Value, OutputError> {
    let mut consumed = binding.consumed.iter();
    let mut data = match consumed.next() {
        Some(first) => first.data.clone(),
        None => Value::Object(Map::new()),
    };
    for token in consumed {
        merge_patch(&mut data, &token.data);
    }
    if let Some(output) = &transition.output {
        let tokens = binding.tokens();
        let made = output.evaluate(&view.scope(&tokens), &data)?;
        merge_patch(&mut data, &Value::Object(made));
    }
    if let Some(given) = firing.data {
        merge_patch(&mut data, given);
    }
    Ok(data)
}

fn event(
    transition: &NetTransition,
    binding: &Binding<'_>,
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
    case: &Case,
    record: &mut Record,
    token: &Token,
    place: &PlaceId,
    data: Value,
    event: TransitionEvent,
    act: &Act,
) -> Token {
    let mut token = Token {
        id: token.id.clone(),
        workflow: token.workflow.clone(),
        case: token.case.clone(),
        place: place.clone(),
        data,
        metadata: token.metadata.clone(),
        created_at: token.created_at,
        updated_at: act.now,
        history: token.history.clone(),
        history_total: token.history_total + 1,
        nats_sequence: None,
        nats_timestamp: None,
        nats_subject: None,
    };
    leave_out_history(case, record, &mut token);
    let history = Arc::make_mut(&mut token.history);
    history.push(event.into());
    if history.len() > HISTORY_KEPT {
        history.remove(0);
    }
    token
}

fn new_token(
    case: &Case,
    id: TokenId,
    binding: &Binding<'_>,
    place: &PlaceId,
    data: Value,
    event: TransitionEvent,
    act: &Act,
) -> Token {
    let mut metadata = Map::new();
    for token in &binding.consumed {
        metadata.extend(token.metadata.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    Token {
        id,
        workflow: case.workflow.clone(),
        case: case.id.clone(),
        place: place.clone(),
        data,
        metadata,
        created_at: act.now,
        updated_at: act.now,
        history: Arc::new(vec![event.into()]),
        history_total: 1,
        nats_sequence: None,
        nats_timestamp: None,
        nats_subject: None,
    }
}
