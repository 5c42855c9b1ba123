//! Work that fails, is stopped or handed over, by examples.

use chrono::TimeDelta;
use serde_json::json;

use super::{
    fixture::Run,
    work_fixture::{of, one, working},
};
use crate::{
    engine::{
        Act, Answered, Bounds, Budget, Claim, HandOver, Limits, Net, Refused, complete, fail,
        give_back, retry,
    },
    models::{
        CaseStatus, Ended, Failure, Held, IncidentAbout, IncidentCode, KindId, QueueId, Record,
        RecordKind, WorkClass,
    },
};

#[test]
fn failures_are_tried_again_and_end_as_an_incident() {
    let retry = json!({ "attempts": 2, "first": "3s", "jitter": false, "except": ["NEVER"] });
    let mut run = one(json!({ "retry": retry }));
    run.begin(1);
    let record = run.fail(of(1, 1), "DOWN");
    let wait = run.case.items[0].wait.clone().unwrap();
    assert_eq!(
        (wait.until - record.time, wait.armed),
        (TimeDelta::seconds(3), Some(run.case.sequence))
    );
    let refused = run.begin_at(1, None, &run.act()).unwrap_err();
    assert_eq!(refused, Refused::NotYet { until: wait.until, answers: false });
    run.begin_at(1, None, &run.later(5)).unwrap();
    let record = run.fail(of(1, 2), "DOWN");
    let [incident] = &run.case.incidents[..] else { panic!("{:?}", run.case.incidents) };
    assert_eq!(
        (incident.code, &incident.about),
        (IncidentCode::WorkFailed, &IncidentAbout::Item(1))
    );
    assert_eq!(record.work.unwrap().failure.unwrap().code, "DOWN");
    let incident = incident.clone();
    let refused = run.begin_at(1, None, &run.later(9)).unwrap_err();
    assert_eq!(refused, Refused::Stopped(incident.clone()));
    // A person has it tried again, with attempts as at first.
    let (budget, act) = (Budget::default(), run.act());
    let record = retry_of(&run, incident.number, &act, Bounds::of(&budget));
    run.append(record);
    assert!(run.case.incidents.is_empty());
    let item = &run.case.items[0];
    assert_eq!((item.failed, item.offered), (0, Some(run.case.sequence)));
    run.begin(1);
    // A code that is not tried again.
    run.fail(of(1, 3), "NEVER");
    assert_eq!(run.case.incidents.len(), 1);
    // A person ends it.
    let ended = run.complete(Claim { item: 1, number: None }, json!({})).unwrap();
    assert_eq!(ended.work.unwrap().ended, None);
    assert_eq!((run.case.status, run.case.incidents.len()), (CaseStatus::Completed, 0));
}

fn retry_of(run: &Run, incident: u64, act: &Act, bounds: Bounds<'_>) -> Record {
    retry(&run.net, &run.case, incident, &[], act, bounds).unwrap().unwrap()
}

#[test]
fn corrections_of_many_tokens_are_the_same_record_each_time() {
    let mut run = one(json!({ "retry": { "attempts": 1 } }));
    (0..7).for_each(|_| run.add(0));
    run.begin(1);
    run.fail(of(1, 1), "DOWN");
    let tokens: Vec<_> = run.case.live_tokens().map(|token| token.id.clone()).collect();
    let patches: Vec<_> =
        tokens.iter().map(|token| (token.clone(), json!({ "right": true }))).collect();
    for _ in 0..8 {
        let (budget, act) = (Budget::default(), run.act());
        let bounds = Bounds::of(&budget);
        let record = retry(&run.net, &run.case, 1, &patches, &act, bounds).unwrap().unwrap();
        let made: Vec<_> = record.produced.iter().map(|token| token.id.clone()).collect();
        assert_eq!(made, tokens);
    }
    let gone = vec![(crate::models::TokenId::new("c-0-99").unwrap(), json!({}))];
    let (budget, act) = (Budget::default(), run.act());
    assert!(retry(&run.net, &run.case, 1, &gone, &act, Bounds::of(&budget)).is_none());
}

#[test]
fn workers_that_are_lost_too_often_end_as_an_incident() {
    let mut run = one(json!({ "retry": { "lost": 2 } }));
    run.begin(1);
    run.begin_at(1, Some(1), &run.act()).unwrap();
    let begun = run.begin_at(1, Some(2), &run.act()).unwrap();
    assert_eq!((begun.input, begun.record.kind), (None, RecordKind::Failed));
    assert_eq!(run.case.incidents[0].code, IncidentCode::WorkLost);
    // The silent one answers after all.
    let record = run.complete(of(1, 2), json!({})).unwrap();
    assert_eq!((record.kind, run.case.incidents.len()), (RecordKind::Fired, 0));
}

#[test]
fn a_deadline_ends_the_item_also_under_a_running_attempt() {
    let outcomes = json!({ "done": { "to_place": "end" }, "late": { "to_place": "late" } });
    let activity = json!({ "deadline": "60s", "outcomes": outcomes,
        "on_error": { "DEADLINE": "late" } });
    let transition = json!([{"id": "work", "from_places": ["p0"], "activity": activity}]);
    let mut run = working(transition, &["p0", "end", "late"]);
    assert_eq!(run.case.timers[0].item, Some(1));
    run.begin(1);
    assert!(run.elapse_after(50).is_none());
    let record = run.elapse_after(60).unwrap();
    assert_eq!((record.cascade[0].item, record.produced[0].place.as_str()), (Some(1), "late"));
    assert_eq!((run.case.status, run.case.timers.len()), (CaseStatus::Completed, 0));

    let mut run = one(json!({ "deadline": "60s" }));
    run.begin(1);
    run.elapse_after(60).unwrap();
    assert_eq!(run.case.incidents[0].code, IncidentCode::DeadlinePassed);
    assert!(run.case.timers.is_empty());
    run.complete(of(1, 1), json!({})).unwrap();
    assert!(run.case.incidents.is_empty());
}

#[test]
fn an_input_that_fails_is_an_incident_and_no_attempt() {
    let mut run = one(json!({ "input": "{'n': token.data.missing}", "outcomes": {} }));
    let begun = run.begin(1);
    assert_eq!((begun.input, run.case.incidents[0].code), (None, IncidentCode::InputFailed));
    assert!(run.case.items[0].running.is_none());
}

#[test]
fn a_class_that_fails_is_an_incident() {
    let mut run = one(json!({ "priority": "string(token.data.n)" }));
    assert!(run.case.items.is_empty());
    assert_eq!(run.case.incidents[0].code, IncidentCode::PriorityFailed);
    run.edit(&json!({ "n": "high" }));
    assert_eq!((run.case.incidents.len(), run.case.items[0].class), (0, WorkClass::High));
}

#[test]
fn an_activity_that_takes_nothing_is_a_problem() {
    let definition = json!({
        "id": "w", "initial_place": "p0", "places": [{"id": "p0"}, {"id": "end"}],
        "transitions": [
            {"id": "work", "inputs": [{"place": "p0", "kind": "read"}], "to_place": "end", "activity": {}},
            {"id": "leave", "from_places": ["p0"], "to_place": "end"}
        ]
    });
    let problems = Net::compile(&serde_json::from_value(definition).unwrap()).unwrap_err();
    assert_eq!(problems.0[0].path, "transitions[0].activity");
}

#[test]
fn the_next_item_of_the_queue_is_handed_over_with_the_end_of_one() {
    let fast = json!({ "queue": "fast" });
    let transitions = json!([
        {"id": "one", "from_places": ["p0"], "to_place": "p1", "activity": fast},
        {"id": "two", "from_places": ["p1"], "to_place": "p2", "activity": fast},
        {"id": "three", "from_places": ["p2"], "to_place": "end", "activity": {}}
    ]);
    let mut run = working(transitions, &["p0", "p1", "p2", "end"]);
    run.begin(1);
    let hand_over = |run: &Run, item: u64| HandOver {
        queue: QueueId::new("fast").unwrap(),
        class: WorkClass::Normal,
        kinds: vec![KindId::new("one").unwrap(), KindId::new("two").unwrap()],
        held: run.case.items.iter().find(|of| of.number == item).unwrap().lease(),
        lease: None,
    };
    let end = |run: &mut Run, item: u64| {
        let (budget, act) = (Budget::default(), run.act());
        let hand_over = Some(hand_over(run, item));
        let answer = Answered { outcome: None, result: json!({}), hand_over };
        let bounds = Bounds::of(&budget);
        let record = complete(&run.net, &run.case, of(item, 1), answer, &act, bounds).unwrap();
        run.append(record.clone());
        record.work.unwrap().next
    };
    let next = end(&mut run, 1).unwrap();
    assert_eq!((next.item, next.claim, next.attempt), (2, 1, 1));
    let item = &run.case.items[0];
    assert_eq!(item.held, Some(Held { message: 1, item: 1, claim: 1 }), "the chain's first");
    assert!(item.running.is_some());
    // Its worker is gone: whoever gets the message of the first begins the second.
    let refused = run.begin_at(2, None, &run.act()).unwrap_err();
    assert_eq!(refused, Refused::Taken { claim: 1 });
    let work = run.begin_at(2, Some(1), &run.act()).unwrap().record.work.unwrap();
    assert_eq!((work.claim, work.ended), (Some(2), Some(Ended::Lost)));
    assert_eq!(run.case.items[0].held, Some(Held { message: 1, item: 2, claim: 2 }));
    // After a failure it has a message of its own.
    run.fail(of(2, 2), "DOWN");
    let item = &run.case.items[0];
    assert_eq!((&item.held, item.offered), (&None, Some(run.case.sequence)));
    run.begin_at(2, None, &run.later(9)).unwrap();
    let (budget, act) = (Budget::default(), run.act());
    let answer = Answered { outcome: None, result: json!({}), hand_over: Some(hand_over(&run, 2)) };
    let record =
        complete(&run.net, &run.case, of(2, 3), answer, &act, Bounds::of(&budget)).unwrap();
    assert_eq!(record.work.as_ref().unwrap().next, None, "another queue's");
    run.append(record);
    assert_eq!((run.case.items[0].number, run.case.items[0].claim), (3, 0));
}

#[test]
fn what_a_record_has_no_room_for_is_not_handed_over_and_takes_nothing_from_it() {
    let transitions = json!([
        {"id": "one", "from_places": ["p0"], "to_place": "p1", "activity": {}},
        {"id": "two", "from_places": ["p1"], "to_place": "end", "activity": {}}
    ]);
    let mut run = working(transitions, &["p0", "p1", "end"]);
    run.begin(1);
    let (budget, act) = (Budget::default(), run.act());
    let decide = |message: usize, hands: bool| {
        let hand_over = hands.then(|| HandOver {
            queue: QueueId::new("default").unwrap(),
            class: WorkClass::Normal,
            kinds: vec![KindId::new("two").unwrap()],
            held: run.case.items[0].lease(),
            lease: None,
        });
        let answer = Answered { outcome: None, result: json!({}), hand_over };
        let bounds = Bounds { limits: Limits { message }, budget: &budget };
        complete(&run.net, &run.case, of(1, 1), answer, &act, bounds)
    };
    let mut found = [0; 3];
    for message in (500..6_000).step_by(20).chain([200_000]) {
        let (alone, handed) = (decide(message, false), decide(message, true));
        let Ok(alone) = alone else {
            assert_eq!(handed, alone);
            found[0] += 1;
            continue;
        };
        let mut handed = handed.unwrap();
        let next = handed.work.as_mut().unwrap().next.take();
        found[if next.is_some() { 2 } else { 1 }] += 1;
        if next.is_some() {
            handed.items.clone_from(&alone.items);
        }
        let is_whole = handed.recent.len() == run.case.chain.recent.len();
        assert!(handed == alone || (next.is_some() && !is_whole), "{message}: {handed:?}");
    }
    assert!(found.iter().all(|count| *count > 0), "{found:?}");
}

#[test]
fn an_activity_that_never_gets_a_token_is_a_problem() {
    let definition = json!({
        "id": "w", "initial_place": "p0", "places": [{"id": "p0"}, {"id": "end"}],
        "transitions": [
            {"id": "work", "from_places": ["p0"], "to_place": "end", "activity": {}},
            {"id": "first", "from_places": ["p0"], "to_place": "end", "auto": true}
        ]
    });
    let problems = Net::compile(&serde_json::from_value(definition).unwrap()).unwrap_err();
    assert_eq!(problems.0[0].path, "transitions[0].activity");
}

/// After workers were lost too often a retry gives all attempts anew, and the silent one counts no more.
#[test]
fn a_retry_after_lost_workers_begins_anew() {
    let mut run = one(json!({ "retry": { "lost": 1 } }));
    run.begin(1);
    run.begin_at(1, Some(1), &run.act()).unwrap();
    assert_eq!(run.case.incidents[0].code, IncidentCode::WorkLost);
    let (budget, act) = (Budget::default(), run.act());
    let record = retry_of(&run, 1, &act, Bounds::of(&budget));
    run.append(record);
    let item = &run.case.items[0];
    assert_eq!((item.lost, &item.running, item.offered), (0, &None, Some(run.case.sequence)));
    let begun = run.begin(1).record.work.unwrap();
    assert_eq!((begun.claim, begun.ended), (Some(2), None));
    run.begin_at(1, Some(2), &run.act()).unwrap();
    assert_eq!(run.case.incidents.len(), 1, "one more was lost, and that is the limit");
}

/// A retry of what runs, since its deadline had passed, leaves the attempt its lease.
#[test]
fn a_retry_leaves_a_running_attempt_its_lease() {
    let mut run = one(json!({ "deadline": "60s" }));
    run.begin(1);
    run.elapse_after(60).unwrap();
    let before = run.case.items[0].clone();
    let (budget, act) = (Budget::default(), run.act());
    let record = retry_of(&run, 1, &act, Bounds::of(&budget));
    run.append(record);
    let item = &run.case.items[0];
    assert_eq!((item.lease(), &item.running), (before.lease(), &before.running));
    assert_eq!(run.case.timers[0].item, Some(1), "it has a deadline again");
    run.complete(of(1, 1), json!({})).unwrap();
}

/// Attempts are those that ran: not a failure by hand, nor an input that fails.
#[test]
fn only_what_ran_is_an_attempt() {
    let by_hand = Claim { item: 1, number: None };
    let mut run = one(json!({ "retry": { "attempts": 2 } }));
    for _ in 0..3 {
        run.fail(by_hand, "X");
        assert_eq!((run.case.items[0].failed, run.case.incidents.len()), (0, 0));
    }
    let (budget, act) = (Budget::default(), run.act());
    let refused = give_back(&run.net, &run.case, (by_hand, None), &act, Bounds::of(&budget));
    assert_eq!(refused.unwrap_err(), Refused::LeaseLost { claim: 0, is_over: true });
    let mut run = one(json!({ "input": "token.data.missing" }));
    run.begin(1);
    assert_eq!((run.case.items[0].attempt, run.case.items[0].claim), (0, 0));
    let failure = Failure { code: "X".to_owned(), ..Failure::default() };
    let (budget, act) = (Budget::default(), run.act());
    let refused = fail(&run.net, &run.case, by_hand, failure, &act, Bounds::of(&budget));
    assert!(matches!(refused, Err(Refused::Stopped(_))), "it waits for a person already");
}

/// An input that fails, and workers that are lost, end by the outcome that their codes are mapped to.
#[test]
fn codes_of_the_engine_are_mapped_like_others() {
    let outcomes = json!({ "done": { "to_place": "end" }, "no": { "to_place": "no" } });
    let run_of = |more: serde_json::Value| {
        let mut activity = json!({ "outcomes": outcomes, "retry": { "lost": 1 },
            "on_error": { "INPUT_FAILED": "no", "LOST": "no" } });
        activity.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let transition = json!([{"id": "work", "from_places": ["p0"], "activity": activity}]);
        working(transition, &["p0", "end", "no"])
    };
    let mut run = run_of(json!({ "input": "token.data.missing" }));
    let begun = run.begin(1);
    assert_eq!((begun.input, begun.record.produced[0].place.as_str()), (None, "no"));
    let mut run = run_of(json!({}));
    run.begin(1);
    let begun = run.begin_at(1, Some(1), &run.act()).unwrap();
    assert_eq!(begun.record.work.unwrap().failure.unwrap().code, "LOST");
    assert_eq!(run.case.status, CaseStatus::Completed);
}
