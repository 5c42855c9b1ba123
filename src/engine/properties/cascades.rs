//! Cascades: what fires by itself is what would fire one by one.

use proptest::{collection::vec, prelude::*};

use super::fixture::{Run, Start, start};
use crate::{
    engine::{Bounds, Budget, Net, reckon, update_data},
    models::{CaseStatus, Guard, IncidentAbout, IncidentCode, Record, TokenAt, TokenId},
};

/// The net with some of its transitions immediate, and with none; `None` if they never end.
fn pair(start: &Start, auto: &[Option<i32>]) -> Option<(Start, Start)> {
    let mut of_itself = start.clone();
    of_itself.definition.max_cascade = Some(40);
    for (transition, auto) in of_itself.definition.transitions.iter_mut().zip(auto) {
        transition.auto = auto.is_some();
        transition.priority = *auto;
    }
    // The one that a caller fires.
    of_itself.definition.transitions.last_mut()?.auto = false;
    of_itself.definition.transitions.last_mut()?.priority = None;
    Net::compile_stored(&of_itself.definition).ok()?;
    Some((of_itself, Start { tokens: vec![1], ..start.clone() }))
}

/// The net with conditions over the marking of places that the transitions may have no arc to.
pub(super) fn over_marking(mut start: Start, seen: &[Option<(usize, u64)>]) -> Start {
    let places = start.tokens.len();
    for (transition, seen) in start.definition.transitions.iter_mut().zip(seen) {
        if let Some((place, most)) = seen {
            let place = place % places;
            let condition = format!("case.marking.?p{place}.orValue(0) <= {most}");
            transition.conditions.push(Guard::Cel(condition));
        }
    }
    start
}

fn named(tokens: &[TokenAt]) -> Vec<TokenId> {
    tokens.iter().map(|at| at.token.clone()).collect()
}

/// Fires the cascade of a record one by one in the net without immediate transitions.
fn one_by_one(plain: &mut Run, immediate: &[usize], record: &Record) {
    for step in &record.cascade {
        let index = plain.net.transitions.iter().position(|of| of.id == step.transition).unwrap();
        let first = immediate.iter().find(|index| plain.fire(**index, &[]).is_ok());
        assert_eq!(first, Some(&index), "the first in their order that can fire");
        let fired = plain
            .fire(index, &named(&step.consumed))
            .unwrap_or_else(|refused| panic!("{} of the cascade: {refused:?}", step.transition));
        let gave: Vec<_> =
            fired.gave().into_iter().map(|(id, at)| (id.clone(), at.clone())).collect();
        let produced: Vec<_> =
            step.produced.iter().map(|at| (at.token.clone(), at.place.clone())).collect();
        assert_eq!(fired.consumed, step.consumed);
        assert_eq!(fired.read, step.read);
        assert_eq!(fired.removed, step.removed);
        assert_eq!(gave, produced);
        plain.append(fired);
    }
}

/// Token, with its place, data and number of transitions.
type Said = (TokenId, String, serde_json::Value, u64);

/// The part in which two cases agree that came to the same marking.
fn said(run: &Run) -> (CaseStatus, u64, Vec<Said>) {
    let mut tokens: Vec<_> = run
        .case
        .live_tokens()
        .map(|token| {
            let place = token.place.to_string();
            (token.id.clone(), place, token.data.clone(), token.history_total)
        })
        .collect();
    tokens.sort_by_key(|(id, ..)| id.number());
    (run.case.status, run.case.tokens_made, tokens)
}

/// Checks the end of a cascade: nothing fires by itself any more, but for what an incident says.
fn rests(of_itself: &Run, plain: &Run) {
    let stopped = |about: IncidentAbout| of_itself.case.incidents.iter().any(|i| i.about == about);
    if stopped(IncidentAbout::Cascade) {
        return;
    }
    for (index, transition) in of_itself.net.transitions.iter().enumerate() {
        if transition.auto && !stopped(IncidentAbout::Transition(transition.id.clone())) {
            let refused = plain.fire(index, &[]).is_err();
            assert!(refused, "{} can fire by itself, and did not", transition.id);
        }
    }
}

proptest! {
    #[test]
    fn a_cascade_is_the_same_firings_one_by_one(
        start in start(),
        auto in vec(proptest::option::weighted(0.4, -1..=1_i32), 5),
        seen in vec(proptest::option::weighted(0.3, (0..4_usize, 0..4_u64)), 5),
        picks in vec(any::<bool>(), 1..12),
    ) {
        let start = over_marking(start, &seen);
        let Some((of_itself, plain)) = pair(&start, &auto) else { return Ok(()) };
        let tokens = of_itself.tokens.clone();
        let of_itself = Start { tokens: vec![1], ..of_itself };
        let (mut of_itself, mut plain) = (Run::new(&of_itself), Run::new(&plain));
        let immediate = of_itself.net.immediate.clone();
        one_by_one(&mut plain, &immediate, &of_itself.log[0].value.clone());
        let last = plain.net.transitions.len() - 1;
        let mut places = tokens.iter().enumerate().flat_map(|(place, count)| {
            (0..*count).map(move |_| place)
        });
        for pick in picks {
            rests(&of_itself, &plain);
            prop_assert_eq!(said(&of_itself), said(&plain));
            if of_itself.case.status != CaseStatus::Running {
                break;
            }
            let oldest = plain.case.marking.0.first().map(|entry| entry.token.clone());
            match (pick, places.next()) {
                (true, None) if oldest.is_some() => {
                    let token = oldest.unwrap();
                    let edit = |run: &Run| {
                        let (patch, budget) = (serde_json::json!({ "e": 1 }), Budget::default());
                        let (net, case, bounds) = (&run.net, &run.case, Bounds::of(&budget));
                        update_data(net, case, &token, &patch, &run.act(), bounds).unwrap().unwrap()
                    };
                    let (record, alone) = (edit(&of_itself), edit(&plain));
                    of_itself.append(record);
                    plain.append(alone);
                }
                (true, Some(place)) => {
                    if plain.net.places[place].capacity.is_some_and(|most| plain.count(place) >= most) {
                        continue;
                    }
                    plain.add(place);
                    of_itself.add(place);
                }
                _ => match (of_itself.fire(last, &[]), plain.fire(last, &[])) {
                    (Ok(record), Ok(alone)) => {
                        of_itself.append(record);
                        plain.append(alone);
                    }
                    (one, other) => {
                        prop_assert_eq!(one.is_ok(), other.is_ok());
                        continue;
                    }
                },
            }
            let record = of_itself.log.last().unwrap().value.clone();
            one_by_one(&mut plain, &immediate, &record);
        }
    }

    /// A record whose cascade takes a token that is not there is refused.
    #[test]
    fn a_cascade_that_does_not_follow_is_refused(start in start(), auto in vec(any::<bool>(), 5)) {
        let auto: Vec<_> = auto.into_iter().map(|auto| auto.then_some(0)).collect();
        let Some((of_itself, _)) = pair(&start, &auto) else { return Ok(()) };
        let run = Run::new(&of_itself);
        for (at, stored) in run.log.iter().enumerate() {
            let before = (at > 0).then(|| {
                run.log[..at].iter().fold(None, |case: Option<crate::models::Case>, record| {
                    Some(crate::engine::apply(case.as_ref(), record).unwrap())
                })
            });
            let before = before.flatten();
            for step in 0..stored.value.cascade.len() {
                let mut wrong = stored.value.clone();
                for at in &mut wrong.cascade[step].consumed {
                    at.token = TokenId::of_case("0000000000", &wrong.case, 1);
                }
                let has_taken = !wrong.cascade[step].consumed.is_empty();
                prop_assert_eq!(reckon(before.as_ref(), &wrong).is_err(), has_taken);
            }
        }
    }
}

/// A place in a cycle that a condition ends, and one that nothing ends.
fn looping(condition: &str) -> Start {
    let definition = serde_json::from_value(serde_json::json!({
        "id": "random", "initial_place": "p0", "max_cascade": 20,
        "places": [{"id": "p0"}, {"id": "p1"}, {"id": "p2"}, {"id": "end"}],
        "transitions": [
            {"id": "t0", "from_places": ["p1"], "to_place": "p2", "auto": true,
             "conditions": [condition], "output": "{'n': token.data.n + 1}"},
            {"id": "t1", "from_places": ["p2"], "to_place": "p1", "auto": true},
            {"id": "go", "from_places": ["p0"], "to_place": "p1"},
            {"id": "end", "from_places": ["p1"], "to_place": "end"}
        ]
    }));
    Start { definition: definition.unwrap(), tokens: vec![1] }
}

#[test]
fn a_cycle_ends_by_its_condition_or_is_an_incident_that_names_who_repeats() {
    let run = Run::new(&looping("token.data.n < 5"));
    let record = run.fire(2, &[]).unwrap();
    assert_eq!((record.cascade.len(), record.incidents.len()), (8, 0));
    assert_eq!(record.produced[0].data, serde_json::json!({ "n": 5 }));
    assert_eq!(record.produced[0].history_total, 9);

    let mut run = Run::new(&looping("token.data.n >= 0"));
    let record = run.fire(2, &[]).unwrap();
    assert!(record.cascade.is_empty() && record.given.is_empty());
    let [open] = &record.incidents[..] else { panic!("{:?}", record.incidents) };
    assert_eq!((open.number, open.code), (1, IncidentCode::CascadeTooLong));
    let told = &record.raised[0].explanation;
    assert!(told.contains("t0 (10 times)") && told.contains("max_cascade"), "{told}");
    run.append(record);
    // Callers go on, and no cascade runs. At the case's end nothing is left to act on.
    let record = run.fire(3, &[]).unwrap();
    assert_eq!((record.incidents.len(), record.cascade.len()), (0, 0));
    assert_eq!((record.status, record.incidents_made), (CaseStatus::Completed, 1));
}

/// A cascade is bounded by its firings, not by what does not change meanwhile.
#[test]
fn a_long_cascade_asks_only_those_whose_places_have_changed() {
    let (long, waiting) = (3_000, 900);
    let mut places = vec![serde_json::json!({"id": "waiting"})];
    let mut transitions = vec![
        // They wait for something else, and are asked about once.
        serde_json::json!({"id": "go", "from_places": ["waiting"], "to_place": "end", "auto": true,
            "priority": 1, "conditions": ["token.data.ready == true"]}),
        serde_json::json!({"id": "spread", "inputs": [{"place": "p0", "kind": "read"}],
            "outputs": [{"place": "waiting", "weight": waiting}]}),
        serde_json::json!({"id": "leave", "from_places": ["p0"], "to_place": "p1"}),
    ];
    for number in 0..=long {
        places.push(serde_json::json!({"id": format!("p{number}")}));
        let next = if number == long { "end".to_owned() } else { format!("p{}", number + 1) };
        if number > 0 {
            transitions.push(serde_json::json!({"id": format!("t{number}"), "auto": true,
                "from_places": [format!("p{number}")], "to_place": next}));
        }
    }
    places.push(serde_json::json!({"id": "end"}));
    let definition = serde_json::from_value(serde_json::json!({
        "id": "random", "initial_place": "p0", "max_cascade": 10_000, "places": places,
        "transitions": transitions
    }));
    let mut run = Run::new(&Start { definition: definition.unwrap(), tokens: vec![0, 1] });
    let record = run.fire(1, &[]).unwrap();
    run.append(record);
    let record = run.fire(2, &[]).unwrap();
    let codes: Vec<_> = record.incidents.iter().map(|incident| incident.code).collect();
    assert_eq!((record.cascade.len(), codes), (long, vec![IncidentCode::GuardFailed]));
}
