//! The form of a definition that fires: places and transitions by index, guards compiled.

mod immediate;
mod modes;
mod places;

use std::collections::HashMap;

use super::{
    Budget, Guards, OutputExpression,
    timing::Timing,
    work::{NetActivity, check_defaults},
};
use crate::models::{
    ArcKind, PlaceId, Problems, Transition, TransitionId, WorkflowDefinition,
    petri::{self, Arcs, Input},
};

pub(super) use immediate::Watchers;
use modes::modes;
use places::{check_reachable, check_terminals, places};

/// A checked net.
#[derive(Debug)]
pub struct Net {
    /// The places, in the order of the definition.
    pub places: Vec<NetPlace>,
    /// The transitions, in the order of the definition.
    pub transitions: Vec<NetTransition>,
    /// The index of the initial place.
    pub initial: usize,
    /// The indexes of the immediate transitions, in the order in which they are tried.
    pub immediate: Vec<usize>,
    /// The immediate transitions that the tokens of each place concern.
    pub(super) watchers: Watchers,
    /// The indexes of the timed transitions, in the order of the definition.
    pub timed: Vec<usize>,
    /// The timed transitions that the tokens of each place concern.
    pub(super) timed_watchers: Watchers,
    /// The indexes of the activities, in the order of the definition.
    pub activities: Vec<usize>,
    /// The activities that the tokens of each place concern.
    pub(super) activity_watchers: Watchers,
    /// The most firings by themselves that may follow one change.
    pub max_cascade: u32,
    /// The markings that a case is to come to, if the definition names any.
    pub final_markings: Vec<petri::Marking>,
    name: String,
    place_index: HashMap<PlaceId, usize>,
    transition_index: HashMap<TransitionId, usize>,
}

/// A place of a net.
#[derive(Debug)]
pub struct NetPlace {
    /// Its id.
    pub id: PlaceId,
    /// Its name for people.
    pub name: Option<String>,
    /// The most tokens of one case that it can hold.
    pub capacity: Option<u64>,
    /// True if a token may end here: declared terminal, or nothing takes from it.
    pub terminal: bool,
}

/// A transition of a net.
#[derive(Debug)]
pub struct NetTransition {
    /// Its id.
    pub id: TransitionId,
    /// Its name for people.
    pub name: Option<String>,
    /// The ways in which it can fire, in the order in which they are tried.
    pub modes: Vec<Mode>,
    /// Conditions on the tokens.
    pub guards: Guards,
    /// Expression of the map that is merged into the produced data.
    pub output: Option<OutputExpression>,
    /// True if it fires by itself as soon as it is enabled.
    pub auto: bool,
    /// The time at which it fires by itself, once it is enabled.
    pub(super) timing: Option<Timing>,
    /// Its rank among the immediate transitions.
    pub priority: i32,
    /// The same as the definition says it.
    pub timed: Option<petri::Timed>,
    /// The work that a worker does before it fires.
    pub activity: Option<NetActivity>,
    /// True if it is a step that nobody does.
    pub silent: bool,
}

/// One way in which a transition can fire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mode {
    /// The place of the short form that this mode takes from.
    pub from: Option<usize>,
    /// Number of the activity's outcome by which it ends.
    pub outcome: Option<usize>,
    /// Its arcs.
    pub arcs: Arcs,
}

impl Mode {
    /// Returns true if these numbers of tokens, by place, are as many as each arc needs for itself.
    pub(super) fn has_tokens(&self, counts: &[u64]) -> bool {
        let needs = |arc: &&Input| matches!(arc.kind, ArcKind::Consume | ArcKind::Read);
        self.arcs.inputs.iter().filter(needs).all(|arc| counts[arc.place] >= arc.weight)
    }
}

impl NetTransition {
    /// Returns true if callers fire it.
    pub fn is_by_callers(&self) -> bool {
        !self.fires_by_itself() && self.activity.is_none()
    }

    /// The outcome of a mode.
    pub fn outcome(&self, mode: &Mode) -> Option<&crate::engine::NetOutcome> {
        self.activity.as_ref()?.outcomes.get(mode.outcome?)
    }

    /// Returns true if the engine fires it, and callers don't.
    pub fn fires_by_itself(&self) -> bool {
        self.auto || self.timing.is_some()
    }
}

impl Net {
    /// Checks a definition and compiles it; returns all its problems at once otherwise.
    pub fn compile(definition: &WorkflowDefinition) -> Result<Self, Problems> {
        Self::checked(definition, true)
    }

    /// Compiles a definition that is stored. Earlier versions stored expressions that can never
    /// succeed: those fail when their time comes, and the rest of the case goes on.
    pub fn compile_stored(definition: &WorkflowDefinition) -> Result<Self, Problems> {
        Self::checked(definition, false)
    }

    fn checked(definition: &WorkflowDefinition, is_new: bool) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let place_index = index_places(definition, &mut problems);
        let transition_index = index_transitions(definition, &mut problems);
        let initial =
            look_up(&place_index, &definition.initial_place, "initial_place", &mut problems);
        // As much as a firing may take, for all expressions.
        let budget = Budget::default();
        let mut transitions = Vec::with_capacity(definition.transitions.len());
        for (number, transition) in definition.transitions.iter().enumerate() {
            let path = format!("transitions[{number}]");
            let of = (definition, transition, &path[..]);
            transitions.push(compiled(of, &place_index, is_new.then_some(&budget), &mut problems));
        }
        let final_markings = final_markings(definition, &place_index, &mut problems);
        check_terminals(definition, &place_index, &transitions, &mut problems);
        check_defaults(definition.defaults.as_ref(), &mut problems);
        if is_new {
            immediate::check(definition, &transitions, &mut problems);
        }
        // Through a transition with a problem, a place may be reached or not.
        let is_told = problems.0.iter().any(|problem| problem.path.starts_with("transitions"));
        if let Some(initial) = initial
            && !is_told
        {
            check_reachable(definition, initial, &transitions, &mut problems);
        }
        match initial {
            Some(initial) if problems.0.is_empty() => {
                let places = places(definition, &transitions);
                let name = match definition.name.as_str() {
                    "" => definition.id.to_string(),
                    name => name.to_owned(),
                };
                let immediate = immediate::in_order(&transitions);
                let is_timed = |of: &usize| transitions[*of].timing.is_some();
                let timed: Vec<_> = (0..transitions.len()).filter(is_timed).collect();
                let is_activity = |of: &usize| transitions[*of].activity.is_some();
                let activities: Vec<_> = (0..transitions.len()).filter(is_activity).collect();
                Ok(Self {
                    activity_watchers: Watchers::new(&places, &transitions, &activities),
                    activities,
                    timed_watchers: Watchers::new(&places, &transitions, &timed),
                    timed,
                    watchers: Watchers::new(&places, &transitions, &immediate),
                    immediate,
                    max_cascade: definition.max_cascade.unwrap_or(WorkflowDefinition::CASCADE),
                    places,
                    transitions,
                    initial,
                    final_markings,
                    name,
                    place_index,
                    transition_index,
                })
            }
            _ => Err(problems),
        }
    }

    /// Returns true if the engine fires some of its transitions, or workers do.
    pub fn runs_by_itself(&self) -> bool {
        !(self.immediate.is_empty() && self.timed.is_empty() && self.activities.is_empty())
    }

    /// The index of a place.
    pub fn place(&self, id: &PlaceId) -> Option<usize> {
        self.place_index.get(id).copied()
    }

    /// The index of a transition.
    pub(super) fn transition_index(&self, id: &TransitionId) -> Option<usize> {
        self.transition_index.get(id).copied()
    }

    /// A transition by its id.
    pub fn transition(&self, id: &TransitionId) -> Option<&NetTransition> {
        self.transition_index.get(id).map(|index| &self.transitions[*index])
    }

    /// The places where a case ends: those declared terminal, and those that nothing takes from.
    pub fn ends(&self) -> Vec<usize> {
        (0..self.places.len()).filter(|place| self.places[*place].terminal).collect()
    }

    /// Every way in which something can fire, in the order of the transitions of
    /// [`petri`](Self::petri).
    pub fn modes(&self) -> impl Iterator<Item = (&NetTransition, &Mode)> {
        self.transitions.iter().flat_map(|t| t.modes.iter().map(move |mode| (t, mode)))
    }

    /// The net alone, without data and guards, with one token in the initial place: the net
    /// that is analysed and drawn. A transition with alternatives is there once for each of
    /// them, as `<transition>.<place>`, an activity with outcomes as `<transition>.<outcome>`, and one
    /// with both as `<transition>.<place>.<outcome>`: ids of a definition have no dot.
    pub fn petri(&self) -> petri::Net {
        let place = |(index, place): (usize, &NetPlace)| petri::Place {
            id: place.id.to_string(),
            name: place.name.clone(),
            tokens: u64::from(index == self.initial),
            capacity: place.capacity,
        };
        let transition = |(transition, mode): (&NetTransition, &Mode)| {
            let mut id = transition.id.to_string();
            let others = || transition.modes.iter().filter(|other| other.from != mode.from);
            let from = mode.from.filter(|_| others().next().is_some());
            let from = from.map(|from| self.places[from].id.clone());
            let outcome = transition.outcome(mode).map(|outcome| outcome.id.clone());
            from.iter().for_each(|from| id.push_str(&format!(".{from}")));
            outcome.iter().for_each(|outcome| id.push_str(&format!(".{outcome}")));
            let name = transition.name.clone();
            let name =
                name.or_else(|| (id != transition.id.as_str()).then(|| transition.id.to_string()));
            let is_one_of_several = from.is_some() || outcome.is_some();
            let way = petri::Way { of: transition.id.clone(), from, outcome };
            let way = is_one_of_several.then_some(way);
            petri::Transition {
                id,
                name,
                arcs: mode.arcs.clone(),
                silent: transition.silent,
                immediate: transition.auto.then_some(transition.priority),
                timed: transition.timed.clone(),
                work: transition.activity.as_ref().map(|activity| activity.work(way)),
            }
        };
        petri::Net {
            name: self.name.clone(),
            places: self.places.iter().enumerate().map(place).collect(),
            transitions: self.modes().map(transition).collect(),
        }
    }
}

/// A transition of a definition, compiled; each error becomes a problem under its path. What its text tells
/// can never succeed is refused within `budget`, if there is one.
fn compiled(
    (definition, transition, path): (&WorkflowDefinition, &Transition, &str),
    places: &HashMap<PlaceId, usize>,
    budget: Option<&Budget>,
    problems: &mut Problems,
) -> NetTransition {
    let modes = modes(transition, path, places, problems);
    let conditions = format!("{path}.conditions");
    let guards = Guards::compile(&transition.conditions, &conditions, problems);
    let at = format!("{path}.output");
    let source = transition.output.as_ref();
    let output = source.and_then(|source| match transition.activity {
        Some(_) => OutputExpression::compile_answer(source, &at, problems),
        None => OutputExpression::compile(source, &at, problems),
    });
    if let Some(budget) = budget {
        guards.refuse_futile(&conditions, budget, problems);
        output.iter().for_each(|output| output.refuse_futile(&at, budget, problems));
    }
    let timing = Timing::compile(transition, path, budget, problems);
    let activity =
        NetActivity::compile(transition, definition.defaults.as_ref(), path, budget, problems);
    if transition.fires_by_itself() || activity.is_some() {
        guards.refuse_passing(&conditions, problems);
        output.iter().for_each(|output| output.refuse_passing(&at, problems));
    }
    NetTransition {
        id: transition.id.clone(),
        name: transition.name.clone(),
        modes,
        guards,
        output,
        auto: transition.auto,
        timing,
        timed: petri::Timed::of(transition),
        activity,
        priority: transition.priority.unwrap_or_default(),
        silent: transition.silent,
    }
}

/// Each id once; the first of two wins, the second is a problem.
fn index<K: Clone + Eq + std::hash::Hash + std::fmt::Display>(
    ids: impl Iterator<Item = K>,
    list: &str,
    problems: &mut Problems,
) -> HashMap<K, usize> {
    let mut index = HashMap::new();
    for (number, id) in ids.enumerate() {
        match index.get(&id) {
            Some(first) => problems.add(
                format!("{list}[{number}].id"),
                format!("{id} is the id of {list}[{first}] already; ids are unique"),
            ),
            None => {
                index.insert(id, number);
            }
        }
    }
    index
}

fn index_places(
    definition: &WorkflowDefinition,
    problems: &mut Problems,
) -> HashMap<PlaceId, usize> {
    if definition.places.is_empty() {
        problems.add("places", "a workflow needs at least one place");
    }
    for (number, place) in definition.places.iter().enumerate() {
        if place.capacity == Some(0) {
            problems.add(format!("places[{number}].capacity"), "must be at least 1, or absent");
        }
    }
    index(definition.places.iter().map(|place| place.id.clone()), "places", problems)
}

fn index_transitions(
    definition: &WorkflowDefinition,
    problems: &mut Problems,
) -> HashMap<TransitionId, usize> {
    index(definition.transitions.iter().map(|t| t.id.clone()), "transitions", problems)
}

/// The final markings by the places' indexes.
fn final_markings(
    definition: &WorkflowDefinition,
    places: &HashMap<PlaceId, usize>,
    problems: &mut Problems,
) -> Vec<petri::Marking> {
    let declared = definition.final_markings.iter().enumerate();
    let marking = declared.map(|(number, declared)| {
        let mut marking = vec![0; definition.places.len()];
        for (id, tokens) in declared {
            let path = format!("final_markings[{number}].{id}");
            if let Some(place) = look_up(places, id, &path, problems) {
                marking[place] = *tokens;
            }
        }
        marking
    });
    marking.collect()
}

fn look_up(
    places: &HashMap<PlaceId, usize>,
    id: &PlaceId,
    path: &str,
    problems: &mut Problems,
) -> Option<usize> {
    let found = places.get(id).copied();
    if found.is_none() {
        problems.add(path, format!("place {id} is not among the places of this workflow"));
    }
    found
}
