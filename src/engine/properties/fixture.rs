//! Random nets, cases that run in them, and a firing rule that only counts.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::{collection::vec, prelude::*, sample::subsequence};
use serde_json::{Map, Value, json};

use crate::{
    engine::{
        Act, Bounds, Budget, Firing, Limits, Mode, Net, Refusal, TokenSeed, add_token, apply,
        create_case, fire, fit::record_length,
    },
    models::{
        ArcKind, Case, CaseId, CaseStatus, Fence, FiringId, LogSequence, PlaceId, Record, Stored,
        TokenId, TransitionId, VOUCHED_FROM, WorkflowDefinition, WorkflowId,
    },
};

/// A net, and the number of tokens in each of its places at the beginning.
#[derive(Debug, Clone)]
pub(super) struct Start {
    pub definition: WorkflowDefinition,
    pub tokens: Vec<u64>,
}

fn place_name(number: usize) -> String {
    format!("p{number}")
}

fn input_arcs(places: usize) -> impl Strategy<Value = Vec<Value>> {
    let kinds = ["consume", "read", "inhibitor", "reset"];
    // Consuming twice as often as the rest; an arc of each kind at most once a place.
    let pairs: Vec<_> = (0..places)
        .flat_map(|place| kinds.iter().map(move |kind| (place, *kind)))
        .chain((0..places).map(|place| (place, "consume")))
        .collect();
    let most = pairs.len().min(4);
    (subsequence(pairs, 1..=most), vec(1..=3_u64, 4)).prop_map(|(mut pairs, weights)| {
        pairs.sort();
        pairs.dedup();
        if !pairs.iter().any(|(_, kind)| ["consume", "read"].contains(kind)) {
            let place = pairs[0].0;
            pairs.push((place, "consume"));
        }
        let arc = |((place, kind), weight): (&(usize, &str), &u64)| {
            json!({ "place": place_name(*place), "kind": kind, "weight": weight })
        };
        pairs.iter().zip(weights.iter().cycle()).map(arc).collect()
    })
}

fn output_arcs(places: usize) -> impl Strategy<Value = Vec<Value>> {
    vec((0..places, 1..=2_u64), 1..=3).prop_map(|arcs| {
        let arc = |(place, weight)| json!({ "place": place_name(place), "weight": weight });
        arcs.into_iter().map(arc).collect()
    })
}

/// A transition without its id: with arcs, or in the short form.
fn transition(places: usize) -> impl Strategy<Value = Value> {
    let all: Vec<_> = (0..places).map(place_name).collect();
    prop_oneof![
        3 => (input_arcs(places), output_arcs(places))
            .prop_map(|(inputs, outputs)| json!({ "inputs": inputs, "outputs": outputs })),
        1 => (subsequence(all.clone(), 1..=places), prop::sample::select(all))
            .prop_map(|(from, to)| json!({ "from_places": from, "to_place": to })),
    ]
}

fn definition(places: Vec<Value>, mut transitions: Vec<Value>) -> WorkflowDefinition {
    for (number, transition) in transitions.iter_mut().enumerate() {
        transition["id"] = json!(format!("t{number}"));
    }
    let definition = json!({
        "id": "random", "initial_place": "p0", "places": places, "transitions": transitions
    });
    serde_json::from_value(definition).unwrap()
}

/// A net of all five kinds of arcs, with weights and capacities, and a marking within them.
pub(super) fn start() -> impl Strategy<Value = Start> {
    (2..=4_usize).prop_flat_map(|count| {
        let capacities = vec(prop_oneof![Just(None), (1..=6_u64).prop_map(Some)], count);
        let transitions = vec(transition(count), 1..=4);
        (capacities, transitions, vec(0..=5_u64, count)).prop_map(
            move |(capacities, mut transitions, mut tokens)| {
                let place = |(number, capacity): (usize, &Option<u64>)| match capacity {
                    Some(capacity) => json!({ "id": place_name(number), "capacity": capacity }),
                    None => json!({ "id": place_name(number) }),
                };
                let places = capacities.iter().enumerate().map(place).collect();
                // Every place can be reached, and a token in the first keeps the case running.
                let all: Vec<_> =
                    (0..count).map(|number| json!({ "place": place_name(number) })).collect();
                transitions.push(json!({ "inputs": [{ "place": "p0" }], "outputs": all }));
                tokens[0] = tokens[0].max(1);
                for (tokens, capacity) in tokens.iter_mut().zip(&capacities) {
                    *tokens = (*tokens).min(capacity.unwrap_or(u64::MAX));
                }
                Start { definition: definition(places, transitions), tokens }
            },
        )
    })
}

/// A net in which every transition gives as many tokens as it takes: the vector of ones is a
/// P-invariant. Its places form a ring, so that there is always a way on.
pub(super) fn conserving() -> impl Strategy<Value = Start> {
    (2..=5_usize).prop_flat_map(|count| {
        let swaps = vec((vec(0..count, 1..=4), vec(0..count, 4)), 0..=4);
        (swaps, vec(0..=4_u64, count)).prop_map(move |(swaps, mut tokens)| {
            let counted = |places: &[usize]| {
                let mut weights: BTreeMap<usize, u64> = BTreeMap::new();
                for place in places {
                    *weights.entry(*place).or_default() += 1;
                }
                let arc = |(place, weight)| json!({"place": place_name(place), "weight": weight});
                weights.into_iter().map(arc).collect::<Vec<_>>()
            };
            let mut transitions: Vec<_> = (0..count)
                .map(|n| json!({"from_places": [place_name(n)], "to_place": place_name((n + 1) % count)}))
                .collect();
            for (from, to) in &swaps {
                let (inputs, outputs) = (counted(from), counted(&to[..from.len()]));
                transitions.push(json!({ "inputs": inputs, "outputs": outputs }));
            }
            tokens[0] = tokens[0].max(1);
            let places = (0..count).map(|number| json!({"id": place_name(number)})).collect();
            Start { definition: definition(places, transitions), tokens }
        })
    })
}

/// A start with so many tokens that its records vouch for them after any run.
pub(super) fn crowded() -> impl Strategy<Value = Start> {
    conserving().prop_map(|mut start| {
        start.tokens[0] += VOUCHED_FROM as u64;
        start
    })
}

/// A case as it runs: its state, and its log so far.
#[derive(Debug)]
pub(super) struct Run {
    pub net: Net,
    pub case: Case,
    pub log: Vec<Stored<Record>>,
}

impl Run {
    pub(super) fn new(start: &Start) -> Self {
        // Expressions that can never succeed are refused when they are new; what is stored has them.
        let net = Net::compile_stored(&start.definition).unwrap();
        let first = create_case(
            &net,
            LogSequence::FIRST,
            WorkflowId::new("random").unwrap(),
            CaseId::new("run").unwrap(),
            seed(0, 1),
            &act(1),
            Bounds::of(&Budget::default()),
        )
        .unwrap();
        let first = stored(first, 2);
        let case = apply(None, &first).unwrap();
        let mut run = Self { net, case, log: vec![first] };
        for (place, tokens) in start.tokens.iter().enumerate() {
            let there = u64::from(place == 0);
            (there..*tokens).for_each(|_| run.add(place));
        }
        run
    }

    /// Adds a token to a place.
    pub(super) fn add(&mut self, place: usize) {
        let seed = seed(place, self.case.tokens_made + 1);
        let record =
            add_token(&self.net, &self.case, seed, &self.act(), Bounds::of(&Budget::default()))
                .unwrap();
        self.append(record);
    }

    pub(super) fn act(&self) -> Act {
        act(self.log.len() as u64 + 1)
    }

    pub(super) fn fire(&self, transition: usize, tokens: &[TokenId]) -> Result<Record, Refusal> {
        let transition = &self.net.transitions[transition].id;
        self.fire_by_id(transition, tokens)
    }

    fn fire_by_id(&self, transition: &TransitionId, tokens: &[TokenId]) -> Result<Record, Refusal> {
        let act = self.act();
        fire(
            &self.net,
            &self.case,
            Firing {
                transition,
                tokens,
                to_place: None,
                data: None,
                outcome: None,
                act: &act,
                limits: Limits::NONE,
                budget: &Budget::default(),
            },
        )
    }

    /// Puts a record into the log, with a gap as other cases make them.
    pub(super) fn append(&mut self, record: Record) {
        let last = self.case.sequence.get();
        let stored = stored(record, last + 1 + last % 3);
        self.case = apply(Some(&self.case), &stored).unwrap();
        self.log.push(stored);
    }

    pub(super) fn count(&self, place: usize) -> u64 {
        self.case.marking.in_place(&self.net.places[place].id).count() as u64
    }

    pub(super) fn counts(&self) -> Vec<u64> {
        (0..self.net.places.len()).map(|place| self.count(place)).collect()
    }

    /// Returns true if a mode can fire by the textbook rule, on counts alone.
    pub(super) fn can(&self, mode: &Mode) -> bool {
        let arcs = mode.arcs.inputs.iter().all(|arc| {
            let present = self.count(arc.place);
            match arc.kind {
                ArcKind::Consume => present >= arc.weight,
                ArcKind::Read => present >= arc.weight + weight(mode, arc.place, ArcKind::Consume),
                ArcKind::Inhibitor => present < arc.weight,
                ArcKind::Reset => true,
            }
        });
        let fits = |(place, after): (usize, &u64)| {
            let given = mode.arcs.outputs.iter().any(|(to, _)| *to == place);
            !given || self.net.places[place].capacity.is_none_or(|capacity| *after <= capacity)
        };
        self.case.status == CaseStatus::Running
            && arcs
            && self.after(mode).iter().enumerate().all(fits)
    }

    /// Number of tokens that each place would hold after a mode had fired.
    pub(super) fn after(&self, mode: &Mode) -> Vec<u64> {
        let after = |(place, count): (usize, u64)| {
            let reset =
                mode.arcs.inputs.iter().any(|a| a.place == place && a.kind == ArcKind::Reset);
            let kept = count.saturating_sub(weight(mode, place, ArcKind::Consume));
            let given: u64 =
                mode.arcs.outputs.iter().filter(|(to, _)| *to == place).map(|(_, w)| w).sum();
            given + if reset { 0 } else { kept }
        };
        self.counts().into_iter().enumerate().map(after).collect()
    }

    /// The mode that a transition would fire in: the first that can.
    pub(super) fn first_mode(&self, transition: usize) -> Option<&Mode> {
        self.net.transitions[transition].modes.iter().find(|mode| self.can(mode))
    }
}

/// The weight of a mode's arcs of one kind from a place.
pub(super) fn weight(mode: &Mode, place: usize, kind: ArcKind) -> u64 {
    let arcs = mode.arcs.inputs.iter().filter(|arc| arc.place == place && arc.kind == kind);
    arcs.map(|arc| arc.weight).sum()
}

pub(super) fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000)
}

fn seed(place: usize, number: u64) -> TokenSeed {
    let place = PlaceId::new(place_name(place)).unwrap();
    TokenSeed { place, data: json!({ "n": number }), metadata: Map::new() }
}

fn act(number: u64) -> Act {
    Act {
        by: None,
        now: now() + TimeDelta::seconds(i64::try_from(number).unwrap()),
        firing: FiringId::new(format!("f-{number}")).unwrap(),
        metadata: Map::new(),
        request: None,
        format: crate::models::FORMAT_VERSION,
    }
}

/// A record as a store hands it out: by way of its text.
fn stored(record: Record, sequence: u64) -> Stored<Record> {
    let text = serde_json::to_string(&record).unwrap();
    let value: Record = serde_json::from_str(&text).unwrap();
    assert_eq!(value, record, "a record survives being stored");
    assert!(text.len() <= record_length(&record), "{} of {text}", record_length(&record));
    Stored {
        value,
        sequence: LogSequence::new(sequence).unwrap(),
        timestamp: now(),
        subject: String::new(),
        fence: Fence::Unchecked,
        hash: format!("{sequence:064x}"),
    }
}
