//! Work items of a case, by examples.

use serde_json::json;

use super::{
    fixture::Run,
    work_fixture::{of, one, with_places, working},
};
use crate::{
    engine::{Bounds, Budget, Limits, Refused, change_status, explain, give_back},
    models::{CaseStatus, Ended, IncidentCode, RecordKind, WorkClass},
};

#[test]
fn an_item_is_begun_and_done_by_its_claim() {
    let mut run = one(json!({ "input": "{'n': token.data.n}" }));
    let [item] = &run.case.items[..] else { panic!("{:?}", run.case.items) };
    assert_eq!((item.number, item.offered, item.claim), (1, Some(run.case.sequence), 0));
    let refused = run.complete(of(1, 1), json!({})).unwrap_err();
    assert_eq!(refused, Refused::LeaseLost { claim: 0, is_over: false });
    let begun = run.begin(1);
    assert_eq!((begun.input, begun.record.kind), (Some(json!({"n": 1})), RecordKind::Begun));
    assert_eq!(run.case.marking.0.len(), 1, "tokens stay while work is done");
    let taken = run.begin_at(1, None, &run.act()).unwrap_err();
    assert_eq!(taken, Refused::Taken { claim: 1 });
    let record = run.complete(of(1, 1), json!({ "paid": true })).unwrap();
    assert_eq!((record.kind, record.consumed.len()), (RecordKind::Fired, 1));
    assert_eq!(record.produced[0].data, json!({ "n": 1, "paid": true }));
    assert_eq!((run.case.status, run.case.items.len()), (CaseStatus::Completed, 0));
    let refused = run.complete(of(1, 1), json!({})).unwrap_err();
    assert_eq!(refused, Refused::Ended(CaseStatus::Completed));
}

#[test]
fn a_lost_claim_can_neither_answer_nor_give_back() {
    let mut run = one(json!({}));
    run.begin(1);
    let begun = run.begin_at(1, Some(1), &run.act()).unwrap();
    let work = begun.record.work.unwrap();
    assert_eq!((work.claim, work.attempt, work.ended), (Some(2), 2, Some(Ended::Lost)));
    assert_eq!(run.case.items[0].lost, 1);
    let lost = Refused::LeaseLost { claim: 2, is_over: false };
    assert_eq!(run.complete(of(1, 1), json!({})).unwrap_err(), lost);
    let (budget, act) = (Budget::default(), run.act());
    let refused = give_back(&run.net, &run.case, (of(1, 1), None), &act, Bounds::of(&budget));
    assert_eq!(refused.unwrap_err(), lost);
    // What the present claim gives back is begun again, and no attempt is counted.
    let record =
        give_back(&run.net, &run.case, (of(1, 2), None), &act, Bounds::of(&budget)).unwrap();
    run.append(record);
    let refused = run.complete(of(1, 2), json!({})).unwrap_err();
    assert_eq!(refused, Refused::LeaseLost { claim: 2, is_over: true });
    let work = run.begin(1).record.work.unwrap();
    assert_eq!((work.claim, work.attempt, work.ended), (Some(3), 2, None));
    assert_eq!(run.case.items[0].lost, 1);
}

#[test]
fn outcomes_have_outputs_of_their_own() {
    let outcomes = json!({
        "paid": { "to_place": "paid", "output": "{'receipt': result.id}" },
        "declined": { "to_place": "declined" },
    });
    let activity = json!({ "outcomes": outcomes, "on_error": { "CARD": "declined" } });
    let transition = json!([{"id": "charge", "from_places": ["p0"], "activity": activity}]);
    let charge = || {
        let mut run = working(transition.clone(), &["p0", "paid", "declined"]);
        run.begin(1);
        run
    };
    let mut run = charge();
    let Err(Refused::Outcome { outcomes }) = run.complete(of(1, 1), json!({})) else { panic!() };
    assert_eq!(outcomes.len(), 2, "which one is not said");
    assert!(matches!(
        run.complete_by(of(1, 1), Some("lost"), json!({})),
        Err(Refused::Outcome { .. })
    ));
    let record = run.complete_by(of(1, 1), Some("paid"), json!({ "id": 7 })).unwrap();
    assert_eq!(record.produced[0].data, json!({ "n": 1, "receipt": 7 }));
    let mut run = charge();
    let record = run.fail(of(1, 1), "CARD");
    assert_eq!((record.kind, record.produced[0].place.as_str()), (RecordKind::Fired, "declined"));
    let work = record.work.unwrap();
    assert_eq!(
        (work.outcome.unwrap().as_str(), work.failure.unwrap().code.as_str()),
        ("declined", "CARD")
    );
    let mut run = charge();
    // An output that fails keeps the answer, and the work is not done again.
    run.complete_by(of(1, 1), Some("paid"), json!("no map")).unwrap();
    assert!(run.case.items[0].done.is_some());
    assert_eq!(run.case.incidents[0].code, IncidentCode::OutputFailed);
    let refused = run.begin_at(1, Some(1), &run.act()).unwrap_err();
    assert_eq!(refused, Refused::Done);
}

#[test]
fn an_answer_without_room_waits_for_it() {
    let places = json!([{"id": "p0"}, {"id": "p1", "capacity": 1}, {"id": "end"}]);
    let transitions = json!([
        {"id": "work", "from_places": ["p0"], "to_place": "p1", "activity": {}},
        {"id": "leave", "from_places": ["p1"], "to_place": "end"}
    ]);
    let mut run = with_places(transitions, &places);
    run.add(0);
    assert_eq!(run.case.items.len(), 2);
    run.begin(1);
    run.begin(2);
    run.complete(of(2, 1), json!({ "by": 2 })).unwrap();
    let record = run.complete(of(1, 1), json!({ "by": 1 })).unwrap();
    assert_eq!((record.kind, record.cascade.len()), (RecordKind::Completed, 0));
    assert!(run.case.incidents.is_empty());
    assert_eq!(run.complete(of(1, 1), json!({})).unwrap_err(), Refused::Done);
    let record = run.fire(1, &[]).unwrap();
    assert_eq!(record.cascade[0].item, Some(1));
    run.append(record);
    assert!(run.case.items.is_empty());
}

#[test]
fn a_paused_case_takes_answers_and_starts_nothing() {
    let transitions = json!([
        {"id": "work", "from_places": ["p0"], "to_place": "p1", "activity": {}},
        {"id": "go", "from_places": ["p1"], "to_place": "p2", "auto": true},
        {"id": "more", "from_places": ["p2"], "to_place": "end", "activity": {}}
    ]);
    let mut run = working(transitions, &["p0", "p1", "p2", "end"]);
    run.begin(1);
    let budget = Budget::default();
    let bounds = Bounds::of(&budget);
    let change =
        |run: &Run, kind| change_status(&run.net, &run.case, kind, &run.act(), bounds).unwrap();
    let record = change(&run, RecordKind::Paused);
    run.append(record);
    let record = run.complete(of(1, 1), json!({})).unwrap();
    assert_eq!(
        (record.kind, record.cascade.len(), run.case.status),
        (RecordKind::Fired, 0, CaseStatus::Paused)
    );
    let record = change(&run, RecordKind::Resumed);
    assert_eq!(record.cascade.len(), 1);
    run.append(record);
    assert_eq!(run.case.items[0].number, 2);
    let record = change(&run, RecordKind::Paused);
    run.append(record);
    assert_eq!(run.begin_at(2, None, &run.act()).unwrap_err(), Refused::Paused);
    assert_eq!(run.case.items.len(), 1, "pausing closes no item");
    let record = change(&run, RecordKind::Cancelled);
    run.append(record);
    assert!(run.case.items.is_empty());
    assert_eq!(
        run.complete(of(2, 1), json!({})).unwrap_err(),
        Refused::Ended(CaseStatus::Cancelled)
    );
}

#[test]
fn whoever_takes_the_token_first_withdraws_the_work() {
    let transitions = json!([
        {"id": "work", "from_places": ["p0"], "to_place": "end", "activity": {}},
        {"id": "again", "from_places": ["p0"], "to_place": "p0"},
        {"id": "stop", "from_places": ["p0"], "to_place": "end"}
    ]);
    let mut run = working(transitions, &["p0", "end"]);
    run.begin(1);
    // A token that comes back makes a new item.
    let record = run.fire(1, &[]).unwrap();
    run.append(record);
    assert_eq!((run.case.items[0].number, run.case.items[0].claim), (2, 0));
    assert_eq!(run.complete(of(1, 1), json!({})).unwrap_err(), Refused::Over);
    let unknown = run.complete(of(9, 1), json!({})).unwrap_err();
    assert_eq!(unknown, Refused::Unknown { made: 2 });
    run.begin(2);
    let record = run.fire(2, &[]).unwrap();
    run.append(record);
    assert!(run.case.items.is_empty());
    let refused = run.complete(of(2, 1), json!({})).unwrap_err();
    assert_eq!(refused, Refused::Ended(CaseStatus::Completed));
}

#[test]
fn an_edit_keeps_the_item_and_gives_the_next_attempt_its_data() {
    let mut run = one(json!({ "priority": "token.data.n > 5 ? 'high' : 'low'" }));
    assert_eq!(run.case.items[0].class, WorkClass::Low);
    assert_eq!(run.begin(1).input, Some(json!({ "n": 1 })));
    run.edit(&json!({ "n": 7 }));
    let item = &run.case.items[0];
    assert_eq!((item.number, item.claim, item.running.is_some()), (1, 1, true));
    run.fail(of(1, 1), "DOWN");
    let begun = run.begin_at(1, None, &run.later(5)).unwrap();
    assert_eq!(begun.input, Some(json!({ "n": 7 })));
}

#[test]
fn at_most_as_many_as_may_run_side_by_side_are_open() {
    let mut run = one(json!({ "max_parallel": 2 }));
    (0..3).for_each(|_| run.add(0));
    let numbers = |run: &Run| run.case.items.iter().map(|item| item.number).collect::<Vec<_>>();
    let told = |run: &Run| {
        let (now, budget) = (run.act().now, Budget::default());
        explain(&run.net, &run.case, now, Limits::NONE, &budget).summary
    };
    assert_eq!(numbers(&run), [1, 2]);
    assert!(told(&run).contains("2 of"), "{}", told(&run));
    run.begin(1);
    run.complete(of(1, 1), json!({})).unwrap();
    assert_eq!(numbers(&run), [2, 3]);
    run.begin(2);
    run.complete(of(2, 1), json!({})).unwrap();
    assert!(!told(&run).contains("max_parallel"), "{}", told(&run));
}
