//! Numbers of every size in every place of a file: nothing panics, and every number for a
//! program is exact.

use std::ops::ControlFlow;

use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};
use stormpetrel::{
    analysis::{Limits, check, properties, simulation::Simulation, state_space::unwatched},
    engine::Net,
    formats::{
        drawing::Drawing,
        pnml::{self, Mode, PnmlNet, Profile},
    },
    models::{WorkflowId, petri::Marking},
};

use super::standard;

/// Numbers around the limits of counters.
fn number() -> impl Strategy<Value = u64> {
    let near = |limit: u64| (0..3_u64).prop_map(move |more| limit.wrapping_add(more));
    prop_oneof![
        4 => 0..4_u64,
        1 => near((1 << 31) - 2),
        1 => near((1 << 32) - 2),
        1 => near((1 << 53) - 2),
        1 => near((1 << 63) - 2),
        2 => near(u64::MAX - 2),
    ]
}

#[derive(Debug, Clone)]
struct Written {
    tokens: Vec<u64>,
    capacities: Vec<Option<u64>>,
    arcs: Vec<(usize, usize, u64, &'static str)>,
    last: Vec<u64>,
}

impl Written {
    fn text(&self) -> String {
        let mut page = String::new();
        for (at, tokens) in self.tokens.iter().enumerate() {
            let capacity = self.capacities[at]
                .map_or(String::new(), |most| format!("<capacity><text>{most}</text></capacity>"));
            page += &format!(
                "<place id='p{at}'><initialMarking><text>{tokens}</text></initialMarking>\
                 {capacity}</place>"
            );
        }
        (0..3).for_each(|at| page += &format!("<transition id='t{at}'/>"));
        for (number, (place, transition, weight, kind)) in self.arcs.iter().enumerate() {
            let place = format!("p{}", place % self.tokens.len());
            let transition = format!("t{transition}");
            let (from, to, kind) = match *kind {
                "out" => (transition, place, "normal"),
                kind => (place, transition, kind),
            };
            page += &format!(
                "<arc id='a{number}' source='{from}' target='{to}'><type value='{kind}'/>\
                 <inscription><text>{weight}</text></inscription></arc>"
            );
        }
        let last = self.last.iter().zip(0..self.tokens.len());
        let last: String = last
            .map(|(tokens, at)| format!("<place idref='p{at}'><text>{tokens}</text></place>"))
            .collect();
        let last = format!("</page><finalmarkings><marking>{last}</marking></finalmarkings>");
        standard(&page).replace("</page>", &last)
    }
}

fn written() -> impl Strategy<Value = Written> {
    let kind = prop_oneof![
        3 => Just("normal"),
        3 => Just("out"),
        1 => Just("read"),
        1 => Just("inhibitor"),
        1 => Just("reset"),
    ];
    let arcs = vec((0..4_usize, 0..3_usize, number(), kind), 0..9).boxed();
    let places = 1..4_usize;
    places.prop_flat_map(move |count| {
        let capacity = prop::option::weighted(0.3, number());
        (vec(number(), count), vec(capacity, count), arcs.clone(), vec(number(), 0..4))
            .prop_map(|(tokens, capacities, arcs, last)| Written { tokens, capacities, arcs, last })
    })
}

/// Returns true if every number in it is one that all readers of JSON have exactly.
fn is_exact(value: &Value) -> bool {
    match value {
        Value::Number(number) => {
            let small = number.as_i64().is_some_and(|number| number.unsigned_abs() < 1 << 53);
            small || number.is_f64()
        }
        Value::Array(values) => values.iter().all(is_exact),
        Value::Object(values) => values.values().all(is_exact),
        _ => true,
    }
}

fn looked_at(net: &PnmlNet) -> Vec<Value> {
    let limits = Limits { states: 200, ..Limits::default() };
    let petri = net.petri();
    let finals: Vec<Marking> = net.final_markings().collect();
    let found = properties(&petri, &limits, &mut unwatched);
    let report = check(&petri, &petri.sinks(), &finals, &limits, &mut unwatched);
    let simulation = Simulation {
        net: &petri,
        ends: &petri.sinks(),
        final_markings: &finals,
        weights: &vec![u64::MAX; petri.transitions.len()],
        cases: 3,
        seed: 1,
        max_steps: 20,
    };
    simulation.run(|_| ControlFlow::Continue(()));
    let drawing = Drawing { net: &petri, title: "", positions: None, marking: None };
    assert!(drawing.svg().starts_with("<svg") && !drawing.dot().is_empty());
    assert!(!drawing.mermaid().is_empty());
    vec![
        serde_json::to_value(&found).unwrap(),
        serde_json::to_value(&report).unwrap(),
        json!(report.findings.iter().map(ToString::to_string).collect::<Vec<_>>()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn numbers_of_every_size_are_counted_said_or_refused(written in written()) {
        let text = written.text();
        let Ok(document) = pnml::read(text.as_bytes(), Mode::Lenient) else { return Ok(()) };
        let net = &document.nets[0];
        for value in looked_at(net) {
            prop_assert!(is_exact(&value), "{value}");
        }
        for profile in [Profile::Iso, Profile::Prom] {
            match pnml::write(std::slice::from_ref(net), profile) {
                Err(refused) => prop_assert!(!refused.0.is_empty()),
                Ok(text) => {
                    let read = pnml::read(text.as_bytes(), Mode::Lenient).unwrap();
                    prop_assert_eq!(read.nets[0].petri().initial(), net.petri().initial());
                }
            }
        }
        if let Ok(definition) = net.definition(WorkflowId::new("w").unwrap())
            && let Ok(compiled) = Net::compile(&definition)
        {
            let (petri, finals) = (compiled.petri(), &compiled.final_markings);
            let limits = Limits { states: 200, ..Limits::default() };
            check(&petri, &compiled.ends(), finals, &limits, &mut unwatched);
            PnmlNet::from_petri("w", &petri, |_| None);
        }
    }
}
