//! Nets in a short writing: `join: p q*2 -> o; …` takes one of p and two of q. `?p` reads,
//! `!p` inhibits, `~p` resets, `p|q` takes from either, and `p[3]` has a capacity. A case
//! begins in the first place that is named.

use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};
use stormpetrel::models::WorkflowDefinition;

use crate::support;

/// The definition of the net in `transitions`.
pub(super) fn definition(transitions: &str) -> WorkflowDefinition {
    let mut places: Vec<(String, Option<u64>)> = Vec::new();
    let mut of = Vec::new();
    for transition in transitions.split(';') {
        let (id, arcs) = transition.split_once(':').expect("id: arcs");
        let (from, to) = arcs.split_once("->").expect("from -> to");
        let mut inputs = Vec::new();
        let mut from_places: Vec<Value> = Vec::new();
        for arc in from.split_whitespace() {
            if arc.contains('|') {
                let either = arc.split('|').map(|place| json!(arc_at(place, &mut places).0));
                from_places = either.collect();
                continue;
            }
            let (kind, arc) = match arc.as_bytes()[0] {
                b'?' => ("read", &arc[1..]),
                b'!' => ("inhibitor", &arc[1..]),
                b'~' => ("reset", &arc[1..]),
                _ => ("consume", arc),
            };
            let (place, weight) = arc_at(arc, &mut places);
            inputs.push(json!({ "place": place, "weight": weight, "kind": kind }));
        }
        let outputs = to.split_whitespace().map(|arc| {
            let (place, weight) = arc_at(arc, &mut places);
            json!({ "place": place, "weight": weight })
        });
        let outputs: Vec<_> = outputs.collect();
        of.push(json!({
            "id": id.trim(), "inputs": inputs, "outputs": outputs, "from_places": from_places,
        }));
    }
    let place = |(id, capacity): &(String, Option<u64>)| json!({ "id": id, "capacity": capacity });
    support::definition(json!({
        "id": "net",
        "initial_place": places[0].0,
        "places": places.iter().map(place).collect::<Vec<_>>(),
        "transitions": of,
    }))
}

fn arc_at(arc: &str, places: &mut Vec<(String, Option<u64>)>) -> (String, u64) {
    let (place, weight) = arc.split_once('*').unwrap_or((arc, "1"));
    let (id, capacity) = match place.split_once('[') {
        Some((id, capacity)) => (id, Some(capacity.trim_end_matches(']').parse().unwrap())),
        None => (place, None),
    };
    match places.iter_mut().find(|(known, _)| known == id) {
        Some(known) => known.1 = known.1.or(capacity),
        None => places.push((id.to_owned(), capacity)),
    }
    (id.to_owned(), weight.parse().unwrap())
}

/// Workflows that are grown from `i -> o` by splitting and refining, and then damaged by a few
/// random arcs: some are sound, most are nearly.
pub(super) fn random() -> impl Strategy<Value = String> {
    (vec((0..5_u8, any::<prop::sample::Index>()), 0..5), vec(damage(), 0..3)).prop_map(
        |(growth, damages)| {
            let mut net = Grown::new();
            growth.iter().for_each(|(how, at)| net.grow(*how, at));
            damages.iter().for_each(|damage| net.damage(damage));
            net.text()
        },
    )
}

type Index = prop::sample::Index;

fn damage() -> impl Strategy<Value = (Index, Index, String, bool)> {
    let arc = prop_oneof![
        4 => Just("{p}".to_owned()),
        1 => Just("{p}*2".to_owned()),
        1 => Just("?{p}".to_owned()),
        1 => Just("!{p}".to_owned()),
        1 => Just("~{p}".to_owned()),
    ];
    (any::<Index>(), any::<Index>(), arc, any::<bool>())
}

struct Grown {
    /// Arcs of each transition, as their places: from, to.
    transitions: Vec<(Vec<String>, Vec<String>)>,
    places: Vec<String>,
}

impl Grown {
    fn new() -> Self {
        let arcs = |place: &str| vec![place.to_owned()];
        Self {
            transitions: vec![(arcs("i"), arcs("m")), (arcs("m"), arcs("o"))],
            places: vec!["m".to_owned(), "o".to_owned()],
        }
    }

    fn place(&mut self) -> String {
        let place = format!("p{}", self.places.len());
        self.places.push(place.clone());
        place
    }

    fn grow(&mut self, how: u8, at: &Index) {
        let at = at.index(self.transitions.len());
        let (from, to) = self.transitions[at].clone();
        match how {
            // In sequence.
            0 => {
                let between = self.place();
                self.transitions[at].1 = vec![between.clone()];
                self.transitions.push((vec![between], to));
            }
            // A choice.
            1 => self.transitions.push((from, to)),
            // In parallel.
            2 => {
                let (one, two) = (self.place(), self.place());
                self.transitions[at].1 = vec![one.clone(), two.clone()];
                let joined = (self.place(), self.place());
                self.transitions.push((vec![one], vec![joined.0.clone()]));
                self.transitions.push((vec![two], vec![joined.1.clone()]));
                self.transitions.push((vec![joined.0, joined.1], to));
            }
            // Another end.
            3 => {
                let end = format!("end{}", self.transitions.len());
                self.transitions.push((from, vec![end.clone()]));
                self.places.push(end);
            }
            // A way back.
            _ => {
                let inner = |place: &&String| !place.starts_with(['o', 'e']);
                let inner: Vec<_> = self.places.iter().filter(inner).collect();
                let place = inner[at % inner.len()].clone();
                let aside = self.place();
                self.transitions.push((vec![place.clone()], vec![aside.clone()]));
                self.transitions.push((vec![aside], vec![place]));
            }
        }
    }

    fn damage(&mut self, (transition, place, arc, input): &(Index, Index, String, bool)) {
        let place = &self.places[place.index(self.places.len())];
        let arc = arc.replace("{p}", place);
        let transition = transition.index(self.transitions.len());
        let (from, to) = &mut self.transitions[transition];
        // What only an input can be is one.
        let input = *input || arc.starts_with(['?', '!', '~']);
        let arcs = if input { from } else { to };
        let there = |known: &String| known.trim_end_matches("*2") == arc.trim_end_matches("*2");
        if !arcs.iter().any(there) {
            arcs.push(arc);
        }
    }

    fn text(&self) -> String {
        let transition = |(number, (from, to)): (usize, &(Vec<String>, Vec<String>))| {
            format!("t{number}: {} -> {}", from.join(" "), to.join(" "))
        };
        self.transitions.iter().enumerate().map(transition).collect::<Vec<_>>().join("; ")
    }
}
