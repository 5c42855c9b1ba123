//! What a case's timers do, by examples.

use chrono::TimeDelta;
use serde_json::json;

use super::fixture::{Run, Start};
use crate::{
    engine::{Bounds, Budget, Limits, elapse, fit::record_length, update_data},
    models::{CaseStatus, IncidentCode, Record},
};

fn timed(transitions: serde_json::Value, places: &[&str]) -> Run {
    let places: Vec<_> = places.iter().map(|id| json!({ "id": id })).collect();
    let definition = serde_json::from_value(json!({
        "id": "random", "initial_place": "p0", "places": places, "transitions": transitions
    }));
    Run::new(&Start { definition: definition.unwrap(), tokens: vec![1] })
}

fn elapsed(run: &mut Run, seconds: i64) -> Option<Record> {
    let budget = Budget::default();
    let until = run.log.last().unwrap().value.time + TimeDelta::seconds(seconds);
    let record =
        elapse(&run.net, &run.case, (until, u64::MAX), &run.act(), Bounds::of(&budget))?.unwrap();
    run.append(record.clone());
    Some(record)
}

/// A token that is taken and comes back within a record is another one: the clock starts anew.
#[test]
fn a_token_that_comes_back_has_a_new_clock() {
    let mut run = timed(
        json!([
            {"id": "expire", "from_places": ["p0"], "to_place": "end", "after": "30s"},
            {"id": "again", "from_places": ["p0"], "to_place": "p0"}
        ]),
        &["p0", "end"],
    );
    let first = run.case.timers[0].clone();
    let record = run.fire(1, &[]).unwrap();
    run.append(record);
    let [second] = &run.case.timers[..] else { panic!("{:?}", run.case.timers) };
    assert_eq!((second.number, &second.tokens), (2, &first.tokens));
    assert!(second.since > first.since && second.due > first.due);
    assert!(elapsed(&mut run, 29).is_none());
    let record = elapsed(&mut run, 30).unwrap();
    assert_eq!((record.cascade[0].timer, run.case.status), (Some(2), CaseStatus::Completed));
}

/// An edit reckons the time anew from the same beginning, also one that has come due already.
#[test]
fn an_edit_moves_the_time_and_not_the_beginning() {
    let mut run = timed(
        json!([{"id": "expire", "from_places": ["p0"], "to_place": "end",
            "after": "duration(string(token.data.n) + 'm')"}]),
        &["p0", "end"],
    );
    let first = run.case.timers[0].clone();
    assert_eq!(first.due - first.since, TimeDelta::minutes(1));
    let edit = |run: &mut Run, n: serde_json::Value| {
        let token = first.tokens[0].token.clone();
        let (budget, patch) = (Budget::default(), json!({ "n": n }));
        let bounds = Bounds::of(&budget);
        let record = update_data(&run.net, &run.case, &token, &patch, &run.act(), bounds);
        run.append(record.unwrap().unwrap());
    };
    edit(&mut run, json!(5));
    let second = run.case.timers[0].clone();
    assert_eq!((second.number, second.since), (1, first.since));
    assert_eq!(second.due - second.since, TimeDelta::minutes(5));
    assert_eq!(second.armed, Some(run.case.sequence), "it is armed again");
    // A time that can't be reckoned is an incident, and over when it can.
    edit(&mut run, json!("soon"));
    assert!(run.case.timers.is_empty());
    assert_eq!(run.case.incidents[0].code, IncidentCode::DueFailed);
    edit(&mut run, json!(0));
    let third = run.case.timers[0].clone();
    assert_eq!((third.number, run.case.incidents.len()), (2, 0));
    assert_eq!(elapsed(&mut run, 0).unwrap().cascade.len(), 1);
}

/// What comes due without room stays, and fires in the first change that makes room.
#[test]
fn a_timer_without_room_fires_when_there_is_some() {
    let definition = serde_json::from_value(json!({
        "id": "random", "initial_place": "p0",
        "places": [{"id": "p0"}, {"id": "p1", "capacity": 1}, {"id": "end"}],
        "transitions": [
            {"id": "move", "from_places": ["p0"], "to_place": "p1", "after": "10s"},
            {"id": "leave", "from_places": ["p1"], "to_place": "end"}
        ]
    }));
    let mut run = Run::new(&Start { definition: definition.unwrap(), tokens: vec![2] });
    assert_eq!(run.case.timers.len(), 2);
    let record = elapsed(&mut run, 20).unwrap();
    assert_eq!((record.elapsed.len(), record.cascade.len()), (2, 1));
    assert!(run.case.timers[0].elapsed && run.case.incidents.is_empty());
    assert!(elapsed(&mut run, 100).is_none(), "it has come due");
    let record = run.fire(1, &[]).unwrap();
    assert_eq!(record.cascade[0].timer, Some(2));
    run.append(record);
    assert!(run.case.timers.is_empty());
}

/// Of two timers whose transitions want the same token the first takes it, and the other is over.
#[test]
fn what_comes_first_takes_the_token() {
    let mut run = timed(
        json!([
            {"id": "late", "from_places": ["p0"], "to_place": "p1", "after": "20s"},
            {"id": "early", "from_places": ["p0"], "to_place": "p1", "after": "10s"},
            {"id": "end", "from_places": ["p1"], "to_place": "end"}
        ]),
        &["p0", "p1", "end"],
    );
    let record = elapsed(&mut run, 60).unwrap();
    assert_eq!((record.elapsed.len(), record.cascade.len()), (2, 1));
    assert_eq!(record.cascade[0].transition.as_str(), "early");
    assert!(run.case.timers.is_empty());
}

/// One that only reads fires again and again, each time after as long.
#[test]
fn a_timer_that_only_reads_begins_again() {
    let mut run = timed(
        json!([
            {"id": "remind", "inputs": [{"place": "p0", "kind": "read"}],
             "outputs": [{"place": "p1"}], "after": "1h"},
            {"id": "end", "from_places": ["p0"], "to_place": "p1"}
        ]),
        &["p0", "p1"],
    );
    for round in 1..=3 {
        assert_eq!(run.case.timers.len(), 1);
        assert_eq!(elapsed(&mut run, 3_600).unwrap().cascade[0].timer, Some(round));
    }
    assert_eq!(run.count(1), 3);
}

/// A guard that asks for what happens elsewhere ends a timer when it is false, and begins another.
#[test]
fn a_guard_is_judged_where_a_change_rests() {
    let mut run = timed(
        json!([
            {"id": "expire", "from_places": ["p0"], "to_place": "end", "after": "30s",
             "conditions": ["case.marking.?p1.orValue(0) == 0"]},
            {"id": "out", "from_places": ["p1"], "to_place": "end"},
            {"id": "in", "from_places": ["end"], "to_place": "p1"}
        ]),
        &["p0", "p1", "end"],
    );
    run.add(1);
    assert!(run.case.timers.is_empty());
    let record = run.fire(1, &[]).unwrap();
    run.append(record);
    let [timer] = &run.case.timers[..] else { panic!("{:?}", run.case.timers) };
    assert_eq!((timer.number, timer.since), (2, run.log.last().unwrap().value.time));
}

/// As many as run at once; the next begin when these end.
#[test]
fn more_than_a_thousand_timers_take_turns() {
    let definition = serde_json::from_value(json!({
        "id": "random", "initial_place": "p0", "max_cascade": 10_000,
        "places": [{"id": "p0"}, {"id": "p1"}, {"id": "end"}],
        "transitions": [
            {"id": "spread", "inputs": [{"place": "p0"}],
             "outputs": [{"place": "p1", "weight": 1_300}]},
            {"id": "expire", "from_places": ["p1"], "to_place": "end", "after": "30s"}
        ]
    }));
    let mut run = Run::new(&Start { definition: definition.unwrap(), tokens: vec![1] });
    let record = run.fire(0, &[]).unwrap();
    run.append(record);
    assert_eq!(run.case.timers.len(), 1_000);
    let mut records = 0;
    while let Some(record) = elapsed(&mut run, 60) {
        assert_eq!(record.cascade.len(), record.elapsed.len());
        records += 1;
    }
    assert_eq!((run.case.timers_made, run.case.status), (1_300, CaseStatus::Completed));
    assert_eq!(records, 6, "256 at a time");
}

/// Many that come due together, with more behind each than one record takes: some in each record.
#[test]
fn timers_that_are_too_many_for_one_record_fire_in_several() {
    let mut transitions = vec![
        json!({"id": "fan", "inputs": [{"place": "p0"}],
            "outputs": [{"place": "wait", "weight": 240}]}),
        json!({"id": "expire", "from_places": ["wait"], "to_place": "s0", "after": "3s"}),
    ];
    let mut places = vec!["p0".to_owned(), "wait".to_owned()];
    for number in 0..6 {
        places.push(format!("s{number}"));
        let (from, to) = (format!("s{number}"), format!("s{}", number + 1));
        if number < 5 {
            let step = json!({"id": format!("t{number}"), "from_places": [from], "to_place": to,
                "auto": true});
            transitions.push(step);
        }
    }
    let places: Vec<_> = places.iter().map(String::as_str).collect();
    let mut run = timed(json!(transitions), &places);
    let record = run.fire(0, &[]).unwrap();
    run.append(record);
    let (mut records, mut fired) = (0, 0);
    while let Some(record) = elapsed(&mut run, 60) {
        assert!(record.incidents.is_empty(), "{:?}", record.raised);
        assert_eq!(record.cascade.len(), 6 * record.elapsed.len());
        assert!(record.cascade.len() <= 1_000);
        (records, fired) = (records + 1, fired + record.elapsed.len());
    }
    assert_eq!((fired, run.case.status), (240, CaseStatus::Completed));
    assert!(records > 1);
}

/// A condition that many tokens do not meet keeps none of the others from its time.
#[test]
fn each_token_that_meets_the_condition_has_a_timer_among_many_that_do_not() {
    let mut run = timed(
        json!([
            {"id": "fan", "inputs": [{"place": "p0"}],
             "outputs": [{"place": "p1", "weight": 3_000}]},
            {"id": "expire", "from_places": ["p1"], "to_place": "end", "after": "3s",
             "conditions": ["has(token.data.ready) && token.data.ready == true"]}
        ]),
        &["p0", "p1", "end"],
    );
    let record = run.fire(0, &[]).unwrap();
    run.append(record);
    assert!(run.case.timers.is_empty() && run.case.incidents.is_empty());
    let tokens: Vec<_> = run.case.marking.0.iter().map(|entry| entry.token.clone()).collect();
    for (count, token) in tokens.iter().rev().take(3).enumerate() {
        let (budget, patch) = (Budget::default(), json!({ "ready": true }));
        let bounds = Bounds::of(&budget);
        let record = update_data(&run.net, &run.case, token, &patch, &run.act(), bounds);
        run.append(record.unwrap().unwrap());
        assert_eq!((run.case.timers.len(), run.case.incidents.len()), (count + 1, 0));
    }
}

/// A case that is nearly as large as a record may be: what comes due fires, some at a time.
#[test]
fn timers_of_a_case_that_is_nearly_full_fire_all_the_same() {
    let mut run = timed(
        json!([
            {"id": "fan", "inputs": [{"place": "p0"}],
             "outputs": [{"place": "p1", "weight": 400}]},
            {"id": "expire", "from_places": ["p1"], "to_place": "p2", "after": "3s"},
            {"id": "end", "from_places": ["p2"], "to_place": "end"}
        ]),
        &["p0", "p1", "p2", "end"],
    );
    let record = run.fire(0, &[]).unwrap();
    run.append(record);
    let limits = Limits { message: record_length(&run.log.last().unwrap().value) };
    let (budget, mut fired) = (Budget::default(), 0);
    for _ in 0..400 {
        let until = run.log.last().unwrap().value.time + TimeDelta::seconds(60);
        let bounds = Bounds { limits, budget: &budget };
        let record = elapse(&run.net, &run.case, (until, u64::MAX), &run.act(), bounds);
        let Some(record) = record else { break };
        let record = record.unwrap();
        assert!(record.incidents.is_empty(), "{:?}", record.raised);
        fired += record.cascade.len();
        run.append(record);
    }
    assert_eq!((fired, run.case.timers.len()), (400, 0));
}
