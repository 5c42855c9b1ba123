//! Faults planted in the timers of a case.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, json};

use super::{Finding, replay::Replay};
use crate::{
    engine::{self, Act, Bounds, Budget, Net, TokenSeed},
    models::{Case, CaseId, Failure, LogSequence, PlaceId, Record, RecordKind, Stored, WorkflowId},
};

fn net() -> Net {
    let net = json!({
        "id": "w", "initial_place": "a",
        "places": [{"id": "a"}, {"id": "b", "capacity": 1}, {"id": "c"}],
        "transitions": [
            {"id": "expire", "from_places": ["a"], "to_place": "b", "after": "10s"},
            {"id": "leave", "from_places": ["b"], "to_place": "c"},
            {"id": "take", "from_places": ["a"], "to_place": "c"}
        ]
    });
    Net::compile(&serde_json::from_value(net).unwrap()).unwrap()
}

fn act(number: u64) -> Act {
    Act {
        by: None,
        now: DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(i64::try_from(number).unwrap()),
        firing: format!("f-{number}").try_into().unwrap(),
        metadata: Map::new(),
        request: None,
        format: crate::models::FORMAT_VERSION,
    }
}

fn stored(record: Record, sequence: u64) -> Stored<Record> {
    Stored {
        fence: record.previous.into(),
        value: record,
        sequence: LogSequence::new(sequence).unwrap(),
        timestamp: DateTime::UNIX_EPOCH,
        subject: String::new(),
        hash: format!("{sequence:064x}"),
    }
}

/// Three tokens with a timer each, of which one is taken, one fires, and one finds no room.
fn log(net: &Net) -> Vec<Stored<Record>> {
    let budget = Budget::default();
    let bounds = Bounds::of(&budget);
    let (workflow, id) = (WorkflowId::new("w").unwrap(), CaseId::new("k").unwrap());
    let seed =
        || TokenSeed { place: PlaceId::new("a").unwrap(), data: json!({}), metadata: Map::new() };
    let first = LogSequence::FIRST;
    let record = engine::create_case(net, first, workflow, id, seed(), &act(1), bounds).unwrap();
    let mut log = vec![stored(record, 2)];
    let mut case = engine::apply(None, &log[0]).unwrap();
    let mut append = |case: &mut Case, record: Record| {
        let next = stored(record, case.sequence.get() + 1);
        *case = engine::apply(Some(case), &next).unwrap();
        log.push(next);
    };
    for number in 2..4 {
        let record = engine::add_token(net, &case, seed(), &act(number), bounds).unwrap();
        append(&mut case, record);
    }
    let (transition, take) = ("take".to_owned().try_into().unwrap(), act(4));
    let firing = engine::Firing {
        transition: &transition,
        tokens: &[],
        to_place: None,
        data: None,
        outcome: None,
        act: &take,
        limits: engine::Limits::NONE,
        budget: &budget,
    };
    let record = engine::fire(net, &case, firing).unwrap();
    append(&mut case, record);
    let until = act(60).now;
    let record = engine::elapse(net, &case, (until, u64::MAX), &act(20), bounds).unwrap().unwrap();
    append(&mut case, record);
    assert_eq!(log.iter().map(|of| of.value.timers.len()).collect::<Vec<_>>(), [1, 2, 3, 2, 1]);
    assert_eq!(log[4].value.cascade.len(), 1);
    log
}

fn findings(net: &Net, log: &[Stored<Record>]) -> Vec<Finding> {
    let mut replay = Replay::default();
    log.iter().flat_map(|stored| replay.record(net, stored)).collect()
}

#[test]
fn a_log_with_timers_has_no_fault() {
    let net = net();
    assert_eq!(findings(&net, &log(&net)), []);
}

#[test]
fn each_fault_of_a_timer_is_found() {
    let net = net();
    let right = log(&net);
    type Plant = fn(&mut Record);
    let plants: [(usize, &str, Plant); 14] = [
        (0, "has none", |record| record.timers.clear()),
        (1, "is over, and nothing ended it", |record| drop(record.timers.remove(0))),
        (1, "has had 7 timers", |record| record.timers_made = 7),
        (1, "is there twice", |record| {
            let again = record.timers[0].clone();
            record.timers.push(again);
        }),
        (1, "is another one", |record| record.timers[0].since = DateTime::UNIX_EPOCH),
        (1, "is another one", |record| record.timers[0].due = DateTime::UNIX_EPOCH),
        (1, "is to take a token that another", |record| {
            record.timers[1].tokens = record.timers[0].tokens.clone();
        }),
        (1, "other tokens than the arcs", |record| {
            record.timers[1].transition = "leave".to_owned().try_into().unwrap();
        }),
        (1, "began before", |record| record.timers[1].since = DateTime::UNIX_EPOCH),
        (3, "is not there", |record| {
            let mut again = record.timers[0].clone();
            again.number = 1;
            again.tokens[0].token = record.consumed[0].token.clone();
            record.timers.insert(0, again);
        }),
        (4, "which had not come due", |record| {
            record.elapsed.retain(|timer| Some(timer.number) != record.cascade[0].timer);
        }),
        (4, "fired with other tokens", |record| {
            let other = record.elapsed[1].tokens.clone();
            record.cascade[0].consumed = other;
        }),
        (4, "does not fire by itself", |record| record.cascade[0].timer = None),
        (4, "of another kind", |record| record.kind = RecordKind::Retried),
    ];
    for (at, wanted, plant) in plants {
        let mut wrong = right.clone();
        plant(&mut wrong[at].value);
        let found = findings(&net, &wrong);
        assert!(found.iter().any(|of| of.message.contains(wanted)), "{wanted}: {found:#?}");
    }
}

/// Two work items with a deadline each, of which one is done after a failure, and the other one's time is over.
fn log_of_items(net: &Net) -> Vec<Stored<Record>> {
    let budget = Budget::default();
    let bounds = Bounds::of(&budget);
    let (workflow, id) = (WorkflowId::new("w").unwrap(), CaseId::new("k").unwrap());
    let seed =
        || TokenSeed { place: PlaceId::new("a").unwrap(), data: json!({}), metadata: Map::new() };
    let first = LogSequence::FIRST;
    let record = engine::create_case(net, first, workflow, id, seed(), &act(1), bounds).unwrap();
    let mut log = vec![stored(record, 2)];
    let mut case = engine::apply(None, &log[0]).unwrap();
    let mut append = |case: &mut Case, record: Record| {
        let next = stored(record, case.sequence.get() + 1);
        *case = engine::apply(Some(case), &next).unwrap();
        log.push(next);
    };
    let record = engine::add_token(net, &case, seed(), &act(2), bounds).unwrap();
    append(&mut case, record);
    let begin = engine::Begin { item: 1, over: None, got_on: false, answered: false, lease: None };
    let begun = engine::begin(net, &case, begin, &act(3), bounds).unwrap();
    append(&mut case, begun.record);
    let claim = engine::Claim { item: 1, number: Some(1) };
    let failure = Failure { code: "AWAY".to_owned(), ..Failure::default() };
    let record = engine::fail(net, &case, claim, failure, &act(4), bounds).unwrap();
    assert!(record.items[0].wait.as_ref().unwrap().timer.is_some());
    append(&mut case, record);
    let begun = engine::begin(net, &case, begin, &act(8), bounds).unwrap();
    append(&mut case, begun.record);
    let claim = engine::Claim { item: 1, number: Some(2) };
    let answer = engine::Answered { outcome: None, result: json!({}), hand_over: None };
    let record = engine::complete(net, &case, claim, answer, &act(9), bounds).unwrap();
    append(&mut case, record);
    let until = act(60).now;
    let record = engine::elapse(net, &case, (until, u64::MAX), &act(20), bounds).unwrap().unwrap();
    append(&mut case, record);
    let timers = log.iter().map(|of| of.value.timers.len());
    assert_eq!(timers.collect::<Vec<_>>(), [1, 2, 2, 2, 2, 1, 0]);
    assert_eq!(log[6].value.incidents.len(), 1);
    log
}

#[test]
fn deadlines_of_work_items_have_no_fault_and_each_of_theirs_is_found() {
    let net = json!({
        "id": "w", "initial_place": "a", "places": [{"id": "a"}, {"id": "b"}],
        "transitions": [
            {"id": "work", "from_places": ["a"], "to_place": "b",
             "activity": {"deadline": "10s", "retry": {"first": "3s", "jitter": false}}}
        ]
    });
    let net = Net::compile(&serde_json::from_value(net).unwrap()).unwrap();
    let right = log_of_items(&net);
    assert_eq!(findings(&net, &right), []);
    type Plant = fn(&mut Record);
    let plants: [(usize, &str, Plant); 7] = [
        (1, "is over, and its work item is open", |record| drop(record.timers.remove(0))),
        (2, "is another one", |record| record.timers[0].since = DateTime::UNIX_EPOCH),
        (2, "of a timed transition", |record| record.timers[0].item = None),
        (1, "other tokens than the work item", |record| record.timers[1].item = Some(1)),
        (2, "of a work item that is not open", |record| drop(record.items.remove(0))),
        (3, "has had 2 timers; it has had 3", |record| record.timers_made = 2),
        (6, "is over, and its work item is open", |record| record.elapsed.clear()),
    ];
    for (at, wanted, plant) in plants {
        let mut wrong = right.clone();
        plant(&mut wrong[at].value);
        let found = findings(&net, &wrong);
        assert!(found.iter().any(|of| of.message.contains(wanted)), "{wanted}: {found:#?}");
    }
}
