//! Firing, explaining and offering say the same of guards, outputs, sizes and costs.

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};

use super::fixture::{Run, Start, now};
use crate::{
    engine::{
        Blocker, Bounds, Budget, Firing, Limits, Refusal, TokenSeed, add_token, available, explain,
        fire, fit,
    },
    models::{PlaceId, Record, WorkflowDefinition},
};

const CONDITIONS: &[&str] = &[
    "true",
    "token.data.n == 3",
    "token.data.n < 2",
    "token.data.missing == 1",
    "token.data.n != 1 || token.data.missing == 1",
    "tokens[0].data.n + 1 == tokens[tokens.size() - 1].data.n",
    "token.data.l.all(a, token.data.l.all(b, a + b >= 0))",
];

const OUTPUTS: &[&str] = &[
    "{'n': token.data.n}",
    "{'x': token.data.missing}",
    "{'l': token.data.l + token.data.l}",
    "[1]",
    "{'c': token.data.l.map(a, token.data.l.filter(b, b > a).size())}",
];

fn transition() -> impl Strategy<Value = Value> {
    let arcs = vec((select(vec!["p0", "p1"]), 1..=2_u64), 1..=2);
    let condition = proptest::option::of(select(CONDITIONS));
    let output = proptest::option::of(select(OUTPUTS));
    (arcs, condition, output, 1..=3_u64, any::<bool>()).prop_map(
        |(mut arcs, condition, output, given, short)| {
            arcs.sort();
            arcs.dedup_by_key(|(place, _)| *place);
            let arc = |(place, weight): &(&str, u64)| json!({ "place": place, "weight": weight });
            let mut made = match short {
                true => json!({ "from_places": ["p0", "p1"], "to_place": "p2" }),
                false => json!({
                    "inputs": arcs.iter().map(arc).collect::<Vec<_>>(),
                    "outputs": [{ "place": "p2", "weight": given }],
                }),
            };
            if let Some(text) = condition {
                made["conditions"] = json!([text]);
            }
            if let Some(text) = output {
                made["output"] = json!(text);
            }
            made
        },
    )
}

fn start(transitions: Vec<Value>) -> Start {
    let mut transitions = transitions;
    // Every place can be reached.
    transitions.push(json!({
        "inputs": [{ "place": "p0" }],
        "outputs": [{ "place": "p0" }, { "place": "p1" }, { "place": "p2" }],
    }));
    for (number, transition) in transitions.iter_mut().enumerate() {
        transition["id"] = json!(format!("t{number}"));
    }
    let places = ["p0", "p1", "p2"].map(|place| json!({ "id": place }));
    let definition: WorkflowDefinition = serde_json::from_value(json!({
        "id": "random", "initial_place": "p0", "places": places, "transitions": transitions
    }))
    .unwrap();
    Start { definition, tokens: vec![1, 0, 0] }
}

/// A case with the tokens: the place and the number of each.
fn run(start: &Start, tokens: &[(usize, i64)], length: usize) -> Run {
    let mut run = Run::new(start);
    for (place, n) in tokens {
        let place: PlaceId = format!("p{place}").try_into().unwrap();
        let list: Vec<_> = (0..length).collect();
        let data = json!({ "n": n, "l": list });
        let seed = TokenSeed { place, data, metadata: Default::default() };
        let record =
            add_token(&run.net, &run.case, seed, &run.act(), Bounds::of(&Budget::default()))
                .unwrap();
        run.append(record);
    }
    run
}

fn fired(run: &Run, transition: usize, limits: Limits, budget: &Budget) -> Result<Record, Refusal> {
    let firing = Firing {
        transition: &run.net.transitions[transition].id,
        tokens: &[],
        to_place: None,
        data: None,
        outcome: None,
        act: &run.act(),
        limits,
        budget,
    };
    let mut record = fire(&run.net, &run.case, firing)?;
    fit(&mut record, Some(&run.case), limits).map_err(Refusal::Excess)?;
    Ok(record)
}

proptest! {
    #[test]
    fn what_is_said_is_what_a_firing_says(
        transition in transition(),
        tokens in vec((0..2_usize, 0..4_i64), 0..5),
        length in select(vec![0_usize, 3, 40]),
        message in select(vec![3_200_usize, 1_000_000]),
        steps in select(vec![50_u64, 3_000, 1_000_000]),
    ) {
        let run = run(&start(vec![transition]), &tokens, length);
        let limits = Limits { message };
            let said = explain(&run.net, &run.case, now(), limits, &Budget::of(steps));
            let said = &said.transitions[0];
            let budget = Budget::of(steps);
            let fired = fired(&run, 0, limits, &budget);
            // One look has one budget: after a mode that can fire, others are looked at too.
            prop_assert_eq!(said.modes.iter().position(|m| m.enabled).is_some(), said.enabled);
            if said.ran_out().is_none() {
                prop_assert_eq!(said.enabled, fired.is_ok(), "{:?} and {:?}", said, fired);
            }
            match fired {
                Ok(_) => {}
                Err(Refusal::NotEnabled(not)) => {
                    prop_assert!(!said.enabled);
                    prop_assert_eq!(not.ran_out(), said.ran_out());
                    let reasons = |modes: &[crate::engine::ModeExplanation]| -> Vec<Blocker> {
                        modes.iter().flat_map(|mode| mode.blockers.clone()).collect()
                    };
                    // A look is nobody's: the caller's name and id are not in the size it tells.
                    let is_same = |not: &Blocker, said: &Blocker| match (not, said) {
                        (Blocker::TooLarge { .. }, Blocker::TooLarge { .. }) => true,
                        (not, said) => not == said,
                    };
                    let (nots, saids) = (reasons(&not.modes), reasons(&said.modes));
                    let both = nots.iter().zip(&saids);
                    prop_assert_eq!(nots.len(), saids.len());
                    prop_assert!(both.clone().all(|(not, said)| is_same(not, said)), "{:?}", both);
                    for blocker in reasons(&not.modes) {
                        if let Blocker::Guard { explanation, .. } = blocker {
                            prop_assert!(explanation.starts_with("is false"), "{}", explanation);
                        }
                    }
                }
                Err(Refusal::Excess(_)) => {
                    let large = |mode: &crate::engine::ModeExplanation| {
                        mode.blockers.iter().any(|b| matches!(b, Blocker::TooLarge { .. }))
                    };
                    prop_assert!(said.enabled || said.ran_out().is_some() || said.modes.iter().any(large));
                }
                Err(other) => prop_assert!(false, "{:?}", other),
            }
            let first = run.case.marking.0.first().unwrap().token.clone();
            match available(&run.net, &run.case, &first, now(), limits, &Budget::of(steps)) {
                Ok(ids) if ids.contains(&said.transition) => {
                    prop_assert!(said.enabled || said.ran_out().is_some());
                }
                Ok(_) => {}
                Err(not) => prop_assert!(not.ran_out().is_some()),
            }
    }
}

/// Forty orders and forty payments, and only the last of each fit: 1,600 choices.
#[test]
fn a_join_is_searched_to_its_end_or_says_that_it_was_not() {
    let join = json!({
        "inputs": [{ "place": "p0" }, { "place": "p1" }], "outputs": [{ "place": "p2" }],
        "conditions": ["(tokens[0].data.n == tokens[1].data.n) == true"],
    });
    let mut tokens = Vec::new();
    for n in 0..40 {
        tokens.extend([(0, n), (1, if n == 39 { 39 } else { 1_000 + n })]);
    }
    let run = run(&start(vec![join]), &tokens, 0);
    let record = fired(&run, 0, Limits::NONE, &Budget::default()).unwrap();
    assert_eq!(record.consumed.len(), 2);
    let said = explain(&run.net, &run.case, now(), Limits::NONE, &Budget::default());
    assert!(said.transitions[0].enabled);

    let little = Budget::of(2_000);
    let Err(Refusal::NotEnabled(not)) = fired(&run, 0, Limits::NONE, &little) else { panic!() };
    assert!(not.ran_out().is_some());
    assert!(!not.why().contains("is false"), "{}", not.why());
    let said = explain(&run.net, &run.case, now(), Limits::NONE, &Budget::of(2_000));
    assert!(said.summary.contains("not known"), "{}", said.summary);
    assert!(matches!(
        said.transitions[0].modes[0].blockers[..],
        [Blocker::SearchStopped { bindings_tried: 1.., .. }]
    ));
}

/// The same join in a form that is looked up, and in one that is tried choice by choice.
fn joined(condition: &str) -> Start {
    start(vec![json!({
        "inputs": [{ "place": "p0" }, { "place": "p1" }], "outputs": [{ "place": "p2" }],
        "conditions": [condition],
    })])
}

proptest! {
    #[test]
    fn what_is_looked_up_is_what_trying_finds(
        tokens in vec((0..2_usize, 0..8_usize), 4..40),
        also in select(vec!["", " && tokens[1].data.l == 1", " && tokens[0].data.n != 2"]),
    ) {
        const VALUES: [&str; 8] = ["1", "1.0", "\"1\"", "true", "2", "null", "[1]", "2.5"];
        let join = format!("tokens[0].data.n == tokens[1].data.n{also}");
        let tried = format!("(tokens[0].data.n == tokens[1].data.n{also}) == true");
        let mut runs = [join, tried].map(|condition| Run::new(&joined(&condition)));
        for (number, (place, value)) in tokens.iter().enumerate() {
            let mut data = json!({ "l": number % 3 });
            // One in eight has no such value at all.
            if number % 8 != 7 {
                data["n"] = serde_json::from_str(VALUES[*value]).unwrap();
            }
            for run in &mut runs {
                let place: PlaceId = format!("p{place}").try_into().unwrap();
                let seed = TokenSeed { place, data: data.clone(), metadata: Default::default() };
                let budget = Budget::default();
                let bounds = Bounds::of(&budget);
                let record = add_token(&run.net, &run.case, seed, &run.act(), bounds).unwrap();
                run.append(record);
            }
        }
        loop {
            let [one, other] = [&runs[0], &runs[1]].map(|run| {
                fired(run, 0, Limits::NONE, &Budget::default())
            });
            match (one, other) {
                (Ok(one), Ok(other)) => {
                    prop_assert_eq!(&one.consumed, &other.consumed);
                    runs[0].append(one);
                    runs[1].append(other);
                }
                (Err(Refusal::NotEnabled(one)), Err(Refusal::NotEnabled(other))) => {
                    let failed = |not: &crate::engine::NotEnabled| {
                        matches!(not.modes[0].blockers[..], [Blocker::GuardFailed { .. }])
                    };
                    // What lacks a value is tried once, and other parts may be false then.
                    let all_have = tokens.len() < 8;
                    if all_have {
                        prop_assert_eq!(failed(&one), failed(&other), "{:?} and {:?}", one, other);
                    }
                    break;
                }
                (one, other) => prop_assert!(false, "{:?} and {:?}", one, other),
            }
        }
    }
}

/// Ten thousand tokens in each of two places, and the last of each fit: a hundred million choices.
#[test]
fn a_join_by_key_among_ten_thousand_and_ten_thousand_is_found() {
    let start = joined("tokens[0].data.id == tokens[1].data.id");
    let mut run = Run::new(&start);
    let (workflow, case) = (run.case.workflow.clone(), run.case.id.clone());
    let of = run.case.live_tokens().next().unwrap().clone();
    let place = |id: &str| PlaceId::new(id).unwrap();
    // As a long history would leave it. The first one has been there from the start.
    run.case.marking.0.clear();
    for number in 1..=20_001_u64 {
        let id = crate::models::TokenId::of_case(&workflow.tag(), &case, number);
        let place = place(if number % 2 == 0 { "p0" } else { "p1" });
        let own = if number > 19_999 { 0 } else { number };
        let data = json!({ "id": format!("order-{own}") });
        let token = crate::models::Token {
            id: id.clone(),
            place: place.clone(),
            data,
            ..crate::models::Token::clone(&of)
        };
        let sequence = crate::models::LogSequence::new(1_000_000_000 + number);
        run.case.marking.0.push(crate::models::MarkingEntry { token: id.clone(), place, sequence });
        run.case.tokens.insert(id, token.into());
    }
    run.case.marking.sort();
    run.case.tokens_made = 20_001;
    let record = fired(&run, 0, Limits { message: 512 * 1024 }, &Budget::default()).unwrap();
    let taken: Vec<_> = record.consumed.iter().filter_map(|at| at.token.number()).collect();
    assert_eq!(taken, [20_000, 20_001]);
    assert!(serde_json::to_vec(&record).unwrap().len() < 512 * 1024);
    // Where none fits, that is known after little, and said.
    let start = joined("tokens[0].data.id == tokens[1].data.id && tokens[0].data.id != 'order-0'");
    let none = Run { net: Run::new(&start).net, ..run };
    let budget = Budget::of(50_000);
    let Err(Refusal::NotEnabled(not)) = fired(&none, 0, Limits::NONE, &budget) else { panic!() };
    assert_eq!(not.ran_out(), None);
    assert!(
        matches!(not.modes[0].blockers[..], [Blocker::Guard { bindings_tried: 100_010_000, .. }]),
        "{not:?}"
    );
}
