//! Conversion of a file's net to a workflow definition.

use std::collections::{BTreeMap, HashMap, HashSet, hash_map::Entry};

use serde_json::{Value, json};

use super::{
    Arc, Direction, PnmlNet,
    position::excerpt,
    ways::{Ends, Inputs, Joint},
};
use crate::models::{
    ArcKind, InputArc, KindId, OutputArc, Place, PlaceId, PlaceKind, Problems, Transition,
    TransitionId, WorkflowDefinition, WorkflowId,
    petri::{self, Arcs, Timed},
};

/// The most characters of an id: places and transitions share this.
const MAX_ID: usize = PlaceId::MAX_LENGTH;
const _: () = assert!(TransitionId::MAX_LENGTH == MAX_ID);

/// A text as an id: characters that ids may not hold become `_`, and it is cut to as many
/// characters as they may have; empty if nothing is left.
pub fn id_of(text: &str) -> String {
    let mut id = String::new();
    for c in text.chars().take(MAX_ID) {
        match c {
            'A'..='Z' | 'a'..='z' | '0'..='9' | '-' => id.push(c),
            _ if id.ends_with('_') => {}
            _ => id.push('_'),
        }
    }
    let trimmed = id.trim_matches('_');
    if trimmed.is_empty() { String::new() } else { trimmed.to_owned() }
}

impl PnmlNet {
    /// The workflow that this net is; everything that a definition can't hold otherwise.
    ///
    /// The initial place is the marked place, or the one place without arcs to it. Ids that a
    /// definition can't have are changed, always in the same way, and noted in
    /// `metadata.pnml.ids`; positions are kept in `metadata.layout`. The result still has to pass
    /// `engine::Net::compile`.
    pub fn definition(&self, id: WorkflowId) -> Result<WorkflowDefinition, Problems> {
        let mut problems = Problems::default();
        let joints = self.joints();
        let ids = self.definition_ids(&joints);
        let (place_ids, transition_ids) = ids.split_at(self.places.len());
        let initial = self.initial_place(&mut problems);
        let net = self.petri();
        let ends = Ends {
            takes: net.transitions.iter().map(|of| joined(&of.arcs)).collect(),
            gives: net.transitions.iter().map(|of| given(&of.arcs)).collect(),
        };
        let mut definition = WorkflowDefinition {
            id,
            name: self.name.clone().unwrap_or_else(|| self.id.clone()),
            description: None,
            places: Vec::with_capacity(self.places.len()),
            transitions: Vec::with_capacity(self.transitions.len()),
            initial_place: place_id(initial.map_or("p", |place| place_ids[place].as_str())),
            final_markings: self.own_final_markings(&net, place_ids),
            max_cascade: self.max_cascade,
            defaults: self.defaults.clone(),
            metadata: self.metadata(&ids, &joints),
        };
        for (place, id) in self.places.iter().zip(place_ids) {
            definition.places.push(Place {
                id: place_id(id),
                name: named(&place.id, place.name.as_ref(), id),
                description: None,
                capacity: place.capacity,
                kind: PlaceKind::Normal,
            });
        }
        for (joint, id) in joints.iter().zip(transition_ids) {
            definition.transitions.push(self.transition(
                joint,
                id,
                place_ids,
                &ends,
                &mut problems,
            ));
        }
        if problems.0.is_empty() { Ok(definition) } else { Err(problems) }
    }

    /// The transition that these of the file are.
    fn transition(
        &self,
        joint: &Joint<'_>,
        id: &str,
        place_ids: &[String],
        ends: &Ends,
        problems: &mut Problems,
    ) -> Transition {
        for member in &joint.members {
            let path = format!("transition {}", excerpt(&self.transitions[*member].id));
            self.check_ends(&path, &ends.takes[*member], &ends.gives[*member], problems);
        }
        let head = joint.members[0];
        let transition = &self.transitions[head];
        let original = self.original(joint);
        let input = |(place, kind, weight): &(usize, ArcKind, u64)| InputArc {
            place: place_id(&place_ids[*place]),
            weight: *weight,
            kind: *kind,
        };
        let output = |(place, weight): (&usize, &u64)| OutputArc {
            place: place_id(&place_ids[*place]),
            weight: *weight,
        };
        let outputs = |of: usize| ends.gives[of].iter().map(output).collect();
        let mut activity = match &transition.work {
            Some(work) if work.way.is_none() => work.activity.as_deref().cloned(),
            _ => None,
        };
        let (mut from_places, mut inputs) = (Vec::new(), &ends.takes[head]);
        let joined = self.join(joint, ends, problems);
        if let Some(joined) = &joined {
            let mut whole = joined.activity.clone();
            for (id, of) in &joined.outcomes {
                whole.outcomes.entry(id.clone()).or_default().outputs = outputs(*of);
            }
            activity = Some(whole);
            inputs = &joined.inputs;
            from_places = joined.from_places.iter().map(|of| place_id(&place_ids[*of])).collect();
        }
        let has_outcomes = joined.as_ref().is_some_and(|joined| !joined.outcomes.is_empty());
        if id != original
            && let Some(activity) = &mut activity
        {
            // The workers' handler is the same as before.
            activity.kind = activity.kind.take().or_else(|| KindId::new(original).ok());
        }
        let name = transition.name.as_ref();
        let name = name.filter(|name| joint.of.is_none() || name.as_str() != original);
        Transition {
            id: transition_id(id),
            name: named(original, name, id),
            description: None,
            inputs: inputs.iter().map(input).collect(),
            outputs: if has_outcomes { Vec::new() } else { outputs(head) },
            from_places,
            to_place: None,
            conditions: Vec::new(),
            output: None,
            auto: transition.immediate.is_some(),
            priority: transition.immediate.filter(|priority| *priority != 0),
            after: after(&transition.timed),
            at: at(&transition.timed),
            activity,
            silent: transition.silent,
        }
    }

    /// The final markings by the places' new ids; none where they go without saying: one token in
    /// the only place that nothing takes from.
    fn own_final_markings(&self, net: &petri::Net, ids: &[String]) -> Vec<BTreeMap<PlaceId, u64>> {
        let of = |(place, tokens): &(usize, u64)| (place_id(&ids[*place]), *tokens);
        match (&self.final_marking_entries[..], &net.sinks()[..]) {
            ([entries], [sink]) if entries[..] == [(*sink, 1)] => Vec::new(),
            (all, _) => all.iter().map(|entries| entries.iter().map(of).collect()).collect(),
        }
    }

    fn check_ends(
        &self,
        path: &str,
        takes: &Inputs,
        gives: &BTreeMap<usize, u64>,
        problems: &mut Problems,
    ) {
        let feeds = |kind: ArcKind| matches!(kind, ArcKind::Consume | ArcKind::Read);
        if !takes.iter().any(|(_, kind, _)| feeds(*kind)) {
            problems.add(
                path,
                "takes from no place and could fire without end; give it an arc from a place",
            );
        }
        if gives.is_empty() {
            problems
                .add(path, "gives to no place; give it an arc to a place, such as an end place");
        }
        for (place, weight) in gives {
            if *weight > OutputArc::MAX_WEIGHT {
                let place = excerpt(&self.places[*place].id);
                let message = format!(
                    "gives {weight} tokens to place {place}; the most is {}",
                    OutputArc::MAX_WEIGHT
                );
                problems.add(path, message);
            }
        }
    }

    /// The place where a case starts.
    fn initial_place(&self, problems: &mut Problems) -> Option<usize> {
        let marked: Vec<_> =
            self.places.iter().enumerate().filter(|(_, place)| place.tokens > 0).collect();
        let list = |places: &[usize]| {
            let ids = places.iter().take(10).map(|place| excerpt(&self.places[*place].id));
            let more = if places.len() > 10 { ", …" } else { "" };
            format!("{}{more}", ids.collect::<Vec<_>>().join(", "))
        };
        let advice = "a case starts with one token in one place; add a start place with one token \
                      and a transition that gives the others";
        match &marked[..] {
            [] => {
                let mut fed = vec![false; self.places.len()];
                let to_place = |arc: &&Arc| arc.direction == Direction::ToPlace;
                self.arcs.iter().filter(to_place).for_each(|arc| fed[arc.place] = true);
                let sources: Vec<_> = (0..fed.len()).filter(|place| !fed[*place]).collect();
                match &sources[..] {
                    [source] => return Some(*source),
                    [] if self.places.is_empty() => {
                        problems.add("places", "there is none; a workflow needs at least one");
                    }
                    [] => problems.add(
                        "initial marking",
                        "no place has a token, and none is without arcs to it; mark the start \
                         place with one token",
                    ),
                    several => problems.add(
                        "initial marking",
                        format!(
                            "no place has a token, and several have no arcs to them ({}); mark \
                             the start place with one token",
                            list(several)
                        ),
                    ),
                }
                return None;
            }
            [(start, place)] if place.tokens == 1 => return Some(*start),
            [(_, place)] => {
                let place_id = excerpt(&place.id);
                problems.add(
                    "initial marking",
                    format!("place {place_id} has {} tokens; {advice}", place.tokens),
                );
            }
            several => {
                let places: Vec<_> = several.iter().map(|(place, _)| *place).collect();
                problems.add(
                    "initial marking",
                    format!("{} places have tokens ({}); {advice}", places.len(), list(&places)),
                );
            }
        }
        None
    }

    /// An id for each place, then for each transition: its own where that is one, so that ids
    /// which need no change never change.
    fn definition_ids<'a>(&'a self, joints: &[Joint<'a>]) -> Vec<String> {
        let places = self.places.iter().map(|place| (&*place.id, "place"));
        let transitions = joints.iter().map(|joint| (self.original(joint), "transition"));
        let all: Vec<_> = places.chain(transitions).collect();
        let mut taken: HashSet<String> = HashSet::new();
        let kept: Vec<bool> = all
            .iter()
            .map(|(id, _)| PlaceId::new(id).is_ok() && taken.insert((*id).to_owned()))
            .collect();
        let mut next: HashMap<String, u64> = HashMap::new();
        let made = all.iter().zip(kept).map(|((id, kind), kept)| {
            if kept {
                return (*id).to_owned();
            }
            let mut base = id_of(id);
            if base.is_empty() {
                base = (*kind).to_owned();
            }
            let number = next.entry(base.clone()).or_insert(1);
            let mut made = base.clone();
            while !taken.insert(made.clone()) {
                *number += 1;
                let suffix = format!("-{number}");
                made = format!("{}{suffix}", &base[..base.len().min(MAX_ID - suffix.len())]);
            }
            made
        });
        made.collect()
    }

    fn metadata(&self, ids: &[String], joints: &[Joint<'_>]) -> serde_json::Map<String, Value> {
        let mut metadata = serde_json::Map::new();
        let originals = self.places.iter().map(|p| &*p.id);
        let originals = originals.chain(joints.iter().map(|joint| self.original(joint)));
        let changed = ids.iter().zip(originals).filter(|(id, original)| id != original);
        let changed: serde_json::Map<_, _> =
            changed.map(|(id, original)| (id.clone(), json!(original))).collect();
        if !changed.is_empty() {
            metadata.insert("pnml".to_owned(), json!({ "ids": changed }));
        }
        let pages = self.places.iter().map(|p| p.page);
        let pages: HashSet<_> = pages.chain(self.transitions.iter().map(|t| t.page)).collect();
        // Every page has coordinates of its own.
        if pages.len() == 1 {
            let graphics = self.places.iter().map(|p| &p.graphics);
            // Where the first one is; the others stand below it.
            let first = joints.iter().map(|joint| &self.transitions[joint.members[0]].graphics);
            let graphics: Vec<_> = graphics.chain(first).collect();
            let position = |(id, graphics): (&String, &Option<Box<super::NodeGraphics>>)| {
                let at = graphics.as_ref()?.position?;
                Some((id.clone(), json!([at.x, at.y])))
            };
            let both: Vec<_> = ids.iter().zip(graphics).map(position).collect();
            let (places, transitions) = both.split_at(self.places.len());
            let map = |part: &[Option<(String, Value)>]| {
                part.iter().flatten().cloned().collect::<serde_json::Map<_, _>>()
            };
            let (places, transitions) = (map(places), map(transitions));
            if !places.is_empty() || !transitions.is_empty() {
                let layout = json!({ "places": places, "transitions": transitions });
                metadata.insert("layout".to_owned(), layout);
            }
        }
        metadata
    }
}

/// The inputs of a transition. Arcs of one kind between the same two count together, so they
/// become one.
fn joined(arcs: &Arcs) -> Inputs {
    let mut inputs = Inputs::new();
    let mut known: HashMap<(usize, ArcKind), usize> = HashMap::new();
    for arc in &arcs.inputs {
        match known.entry((arc.place, arc.kind)) {
            Entry::Vacant(entry) => {
                entry.insert(inputs.len());
                inputs.push((arc.place, arc.kind, arc.weight));
            }
            Entry::Occupied(entry) => {
                let weight = &mut inputs[*entry.get()].2;
                *weight = match arc.kind {
                    ArcKind::Consume | ArcKind::Read => weight.saturating_add(arc.weight),
                    ArcKind::Inhibitor => arc.weight.min(*weight),
                    ArcKind::Reset => *weight,
                };
            }
        }
    }
    inputs
}

/// Number of tokens that a transition gives to each place.
fn given(arcs: &Arcs) -> BTreeMap<usize, u64> {
    let mut given: BTreeMap<usize, u64> = BTreeMap::new();
    for (place, weight) in &arcs.outputs {
        let sum = given.entry(*place).or_default();
        *sum = sum.saturating_add(*weight);
    }
    given
}

/// The name, or the original id where there is no name and the id had to change.
fn named(original: &str, name: Option<&String>, id: &str) -> Option<String> {
    name.cloned().or_else(|| (original != id).then(|| original.to_owned()))
}

/// An id made here, which is valid: the net's own where that is, or one of [`id_of`].
fn place_id(id: &str) -> PlaceId {
    PlaceId::new(id).expect("made of the characters of ids")
}

fn transition_id(id: &str) -> TransitionId {
    TransitionId::new(id).expect("made of the characters of ids")
}

fn after(timed: &Option<Timed>) -> Option<String> {
    match timed {
        Some(Timed::After(after)) => Some(after.clone()),
        _ => None,
    }
}

fn at(timed: &Option<Timed>) -> Option<String> {
    match timed {
        Some(Timed::At(at)) => Some(at.clone()),
        _ => None,
    }
}
