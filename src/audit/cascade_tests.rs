//! Faults planted in the firings of a cascade.

use chrono::DateTime;
use serde_json::{Map, json};

use super::{Finding, FindingKind, replay::Replay};
use crate::{
    engine::{self, Act, Bounds, Budget, Net, TokenSeed},
    models::{
        CaseId, Fence, LogSequence, PlaceId, Record, Step, Stored, TokenAt, TransitionId,
        WorkflowId,
    },
};

/// A token is split, one half is moved, and the halves are joined: three firings in one record.
fn net() -> Net {
    let net = json!({
        "id": "w", "initial_place": "a",
        "places": [{"id": "a"}, {"id": "b"}, {"id": "c"}, {"id": "d"}, {"id": "e"}, {"id": "f"}],
        "transitions": [
            {"id": "split", "inputs": [{"place": "a"}], "auto": true,
             "outputs": [{"place": "b"}, {"place": "c"}]},
            {"id": "move", "from_places": ["b"], "to_place": "d", "auto": true},
            {"id": "join", "inputs": [{"place": "d"}, {"place": "c"}], "auto": true,
             "outputs": [{"place": "e"}]},
            {"id": "end", "from_places": ["e"], "to_place": "f"}
        ]
    });
    Net::compile(&serde_json::from_value(net).unwrap()).unwrap()
}

fn created(net: &Net) -> Record {
    let (workflow, case) = (WorkflowId::new("w").unwrap(), CaseId::new("k").unwrap());
    let place = PlaceId::new("a").unwrap();
    let seed = TokenSeed { place, data: json!({}), metadata: Map::new() };
    let act = Act {
        by: None,
        now: DateTime::UNIX_EPOCH,
        firing: "f".to_owned().try_into().unwrap(),
        metadata: Map::new(),
        request: None,
        format: crate::models::FORMAT_VERSION,
    };
    let (first, budget) = (LogSequence::FIRST, Budget::default());
    let bounds = Bounds::of(&budget);
    engine::create_case(net, first, workflow, case, seed, &act, bounds).unwrap()
}

fn findings(net: &Net, record: Record) -> Vec<Finding> {
    let stored = Stored {
        value: record,
        sequence: LogSequence::new(2).unwrap(),
        timestamp: DateTime::UNIX_EPOCH,
        subject: String::new(),
        fence: Fence::First,
        hash: String::new(),
    };
    Replay::default().record(net, &stored)
}

type Plant = fn(&mut Vec<Step>);

#[test]
fn each_fault_of_a_cascade_is_found_and_a_right_one_has_none() {
    let net = net();
    let right = created(&net);
    let names: Vec<_> = right.cascade.iter().map(|step| step.transition.as_str()).collect();
    assert_eq!(names, ["split", "move", "join"]);
    assert_eq!(findings(&net, right.clone()), []);
    let place = |id: &str| PlaceId::new(id).unwrap();
    let plant: [(&str, Plant); 7] = [
        ("a firing that is missing", |steps| drop(steps.pop())),
        ("one that callers fire", |steps| steps[1].transition = TransitionId::new("end").unwrap()),
        ("one that is not there", |steps| steps[1].transition = TransitionId::new("no").unwrap()),
        ("another order", |steps| steps.swap(1, 2)),
        ("a token that it does not take", |steps| {
            let other = steps[0].produced[1].clone();
            steps[1].consumed.push(other);
        }),
        ("a token too many", |steps| {
            let other =
                TokenAt { place: PlaceId::new("e").unwrap(), ..steps[2].produced[0].clone() };
            steps[2].produced.push(other);
        }),
        ("a token in another place", |steps| {
            steps[1].produced[0].place = PlaceId::new("c").unwrap();
        }),
    ];
    for (what, plant) in plant {
        let mut wrong = right.clone();
        plant(&mut wrong.cascade);
        let found = findings(&net, wrong);
        let told = found.iter().any(|finding| finding.kind == FindingKind::FiringImpossible);
        assert!(told, "{what}: {found:?}");
    }
    // The last token stands elsewhere than the firings say.
    let mut wrong = right;
    wrong.marking.0[0].place = place("f");
    let found = findings(&net, wrong);
    assert!(found.iter().any(|of| of.kind == FindingKind::TokenMisplaced), "{found:?}");
}
