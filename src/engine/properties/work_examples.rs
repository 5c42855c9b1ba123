//! Work items of a case, by examples.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::fixture::{Run, Start};
use crate::{
    engine::{
        Act, Answered, Begin, Begun, Bounds, Budget, Claim, HandOver, Net, Refused, begin,
        change_status, complete, elapse, fail, give_back, retry, update_data,
    },
    models::{
        CaseStatus, Ended, Failure, Held, IncidentAbout, IncidentCode, KindId, OutcomeId, QueueId,
        Record, RecordKind, WorkClass,
    },
};

fn working(transitions: Value, places: &[&str]) -> Run {
    let places: Vec<_> = places.iter().map(|id| json!({ "id": id })).collect();
    with_places(transitions, &json!(places))
}

fn with_places(transitions: Value, places: &Value) -> Run {
    let definition = serde_json::from_value(json!({
        "id": "random", "initial_place": "p0", "places": places, "transitions": transitions
    }));
    Run::new(&Start { definition: definition.unwrap(), tokens: vec![1] })
}

/// One activity from `p0` to `end`, with these fields.
fn one(activity: Value) -> Run {
    let transition = json!({"id": "work", "from_places": ["p0"], "to_place": "end",
        "activity": activity});
    working(json!([transition]), &["p0", "end"])
}

impl Run {
    fn later(&self, seconds: i64) -> Act {
        let act = self.act();
        Act { now: act.now + TimeDelta::seconds(seconds), ..act }
    }

    fn begin_at(&mut self, item: u64, over: Option<u64>, act: &Act) -> Result<Begun, Refused> {
        let budget = Budget::default();
        let bounds = Bounds::of(&budget);
        let begun = begin(&self.net, &self.case, Begin { item, over }, act, bounds)?;
        self.append(begun.record.clone());
        Ok(begun)
    }

    fn begin(&mut self, item: u64) -> Begun {
        self.begin_at(item, None, &self.act()).unwrap()
    }

    fn complete(&mut self, claim: Claim, result: Value) -> Result<Record, Refused> {
        self.complete_by(claim, None, result)
    }

    fn complete_by(
        &mut self,
        claim: Claim,
        outcome: Option<&str>,
        result: Value,
    ) -> Result<Record, Refused> {
        let (budget, act) = (Budget::default(), self.act());
        let outcome = outcome.map(|id| OutcomeId::new(id).unwrap());
        let answer = Answered { outcome, result, hand_over: None };
        let bounds = Bounds::of(&budget);
        let record = complete(&self.net, &self.case, claim, answer, &act, bounds)?;
        self.append(record.clone());
        Ok(record)
    }

    fn fail(&mut self, claim: Claim, code: &str) -> Record {
        let (budget, act) = (Budget::default(), self.act());
        let failure = Failure { code: code.to_owned(), ..Failure::default() };
        let record =
            fail(&self.net, &self.case, claim, failure, &act, Bounds::of(&budget)).unwrap();
        self.append(record.clone());
        record
    }

    fn elapse_after(&mut self, seconds: i64) -> Option<Record> {
        let (budget, act) = (Budget::default(), self.later(seconds));
        let until = (act.now, u64::MAX);
        let record = elapse(&self.net, &self.case, until, &act, Bounds::of(&budget))?.unwrap();
        self.append(record.clone());
        Some(record)
    }

    fn edit(&mut self, patch: &Value) {
        let (budget, act) = (Budget::default(), self.act());
        let token = self.case.marking.0[0].token.clone();
        let bounds = Bounds::of(&budget);
        let record = update_data(&self.net, &self.case, &token, patch, &act, bounds);
        self.append(record.unwrap().unwrap());
    }
}

fn of(item: u64, claim: u64) -> Claim {
    Claim { item, number: Some(claim) }
}

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
    let refused = give_back(&run.net, &run.case, of(1, 1), &act, Bounds::of(&budget));
    assert_eq!(refused.unwrap_err(), lost);
    // What the present claim gives back is begun again, and no attempt is counted.
    let record = give_back(&run.net, &run.case, of(1, 2), &act, Bounds::of(&budget)).unwrap();
    run.append(record);
    let refused = run.complete(of(1, 2), json!({})).unwrap_err();
    assert_eq!(refused, Refused::LeaseLost { claim: 2, is_over: true });
    let work = run.begin(1).record.work.unwrap();
    assert_eq!((work.claim, work.attempt, work.ended), (Some(3), 2, None));
    assert_eq!(run.case.items[0].lost, 1);
}

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
    assert_eq!(refused, Refused::NotYet { until: wait.until });
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
    retry(&run.net, &run.case, incident, act, bounds).unwrap().unwrap()
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
fn at_most_as_many_as_may_run_side_by_side_are_open() {
    let mut run = one(json!({ "max_parallel": 2 }));
    (0..3).for_each(|_| run.add(0));
    let numbers = |run: &Run| run.case.items.iter().map(|item| item.number).collect::<Vec<_>>();
    assert_eq!(numbers(&run), [1, 2]);
    run.begin(1);
    run.complete(of(1, 1), json!({})).unwrap();
    assert_eq!(numbers(&run), [2, 3]);
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
