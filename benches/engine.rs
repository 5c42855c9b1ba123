//! Benches of the parts that need no network: deciding a firing, applying its record, and the
//! codec.
//!
//! ```sh
//! cargo bench --bench engine
//! ```

use std::hint::black_box;

use chrono::DateTime;
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::{Map, json};
use stormpetrel::{
    engine::{self, Act, Bounds, Budget, Firing, Limits, Net, TokenSeed},
    models::{
        Case, CaseId, Fence, FiringId, LogSequence, MarkingEntry, PlaceId, Record, Stored, Token,
        TokenId, TransitionId, WorkflowDefinition,
    },
};

fn definition() -> WorkflowDefinition {
    serde_json::from_value(json!({
        "id": "bench",
        "name": "Bench",
        "initial_place": "a",
        "places": [{"id": "a"}, {"id": "b"}, {"id": "c"}],
        "transitions": [
            {"id": "there", "from_places": ["a"], "to_place": "b"},
            {"id": "back", "from_places": ["b"], "to_place": "a"},
            {"id": "guarded", "from_places": ["a"], "to_place": "b",
             "conditions": ["token.data.amount < 1000 && token.data.customer != ''"]},
            {"id": "split", "inputs": [{"place": "a"}],
             "outputs": [{"place": "b"}, {"place": "c"}]},
            {"id": "join", "inputs": [{"place": "a"}, {"place": "b"}], "outputs": [{"place": "c"}],
             "conditions": ["tokens[0].data.order == tokens[1].data.order"]}
        ]
    }))
    .unwrap()
}

fn act() -> Act {
    Act {
        by: None,
        now: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
        firing: FiringId::new("bench").unwrap(),
        metadata: Map::new(),
        request: None,
        format: stormpetrel::models::FORMAT_VERSION,
    }
}

fn stored(value: Record, sequence: u64) -> Stored<Record> {
    let timestamp = value.time;
    Stored {
        value,
        sequence: LogSequence::new(sequence).unwrap(),
        timestamp,
        subject: String::new(),
        fence: Fence::Unchecked,
        hash: format!("{sequence:064}"),
    }
}

/// A case with one token that has moved so many times.
fn case_after(net: &Net, moves: u64) -> (Case, Stored<Record>) {
    let definition = definition();
    let seed = TokenSeed {
        place: PlaceId::new("a").unwrap(),
        data: json!({"customer": "c-1207", "amount": 120, "currency": "EUR"}),
        metadata: Map::new(),
    };
    let case = CaseId::new("case-1").unwrap();
    let (first, budget) = (LogSequence::FIRST, Budget::default());
    let bounds = Bounds::of(&budget);
    let begun = engine::create_case(net, first, definition.id, case, seed, &act(), bounds);
    let mut head = stored(begun.unwrap(), 2);
    let mut case = engine::apply(None, &head).unwrap();
    for step in 0..moves {
        let name = if step % 2 == 0 { "there" } else { "back" };
        head = stored(fire(net, &case, name), 3 + step);
        case = engine::apply(Some(&case), &head).unwrap();
    }
    (case, head)
}

fn fire(net: &Net, case: &Case, transition: &str) -> Record {
    let transition = TransitionId::new(transition).unwrap();
    let act = act();
    let firing = Firing {
        transition: &transition,
        tokens: &[],
        to_place: None,
        data: None,
        outcome: None,
        act: &act,
        limits: Limits::NONE,
        budget: &Budget::default(),
    };
    engine::fire(net, case, firing).unwrap()
}

/// A case with ten thousand tokens in each of two places, of which only the last ones join.
fn crowded(net: &Net) -> Case {
    let (mut case, _) = case_after(net, 0);
    let first = Token::clone(case.tokens.values().next().unwrap());
    let tag = case.workflow.tag();
    case.marking.0.clear();
    case.tokens.clear();
    case.tokens_made = 20_000;
    for number in 1..=case.tokens_made {
        let id = TokenId::of_case(&tag, &case.id, number);
        let place = PlaceId::new(if number % 2 == 0 { "a" } else { "b" }).unwrap();
        let order = if number > 19_998 { 0 } else { number };
        let data = json!({"order": format!("order-{order}")});
        let sequence = LogSequence::new(1_000_000 + number);
        case.marking.0.push(MarkingEntry { token: id.clone(), place: place.clone(), sequence });
        case.tokens.insert(id.clone(), Token { id, place, data, ..first.clone() }.into());
    }
    case.marking.sort();
    case
}

fn benches(criterion: &mut Criterion) {
    let net = Net::compile(&definition()).unwrap();
    let mut group = criterion.benchmark_group("joins");
    group.sample_size(20);
    let case = crowded(&net);
    let bytes = serde_json::to_vec(&fire(&net, &case, "join")).unwrap().len();
    let name = format!("join by key, 10,000 and 10,000 tokens ({bytes} B)");
    group.bench_function(name, |b| b.iter(|| fire(&net, &case, "join")));
    group.finish();
    let mut group = criterion.benchmark_group("engine");
    for moves in [0, 200] {
        let (case, _) = case_after(&net, moves);
        let named = |name: &str| format!("{name}, after {moves} moves");
        group.bench_function(named("fire 1->1"), |b| b.iter(|| fire(&net, &case, "there")));
        group.bench_function(named("fire 1->1 with a guard"), |b| {
            b.iter(|| fire(&net, &case, "guarded"));
        });
        group.bench_function(named("fire 1->2"), |b| b.iter(|| fire(&net, &case, "split")));
        let next = stored(fire(&net, &case, "there"), 1_000);
        group.bench_function(named("apply"), |b| b.iter(|| engine::apply(Some(&case), &next)));
        let case = black_box(&case);
        group.bench_function(named("explain"), |b| {
            b.iter(|| engine::explain(&net, case, act().now, Limits::NONE, &Budget::default()));
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("codec");
    for moves in [0, 200] {
        let (case, head) = case_after(&net, moves);
        let token = case.tokens.values().next().unwrap();
        let (record_json, token_json) =
            (serde_json::to_vec(&head.value).unwrap(), serde_json::to_vec(&**token).unwrap());
        let named = |name: &str, bytes: usize| format!("{name}, after {moves} moves ({bytes} B)");
        group.bench_function(named("write a record", record_json.len()), |b| {
            b.iter(|| serde_json::to_vec(&head.value));
        });
        group.bench_function(named("read a record", record_json.len()), |b| {
            b.iter(|| serde_json::from_slice::<Record>(&record_json));
        });
        group.bench_function(named("write a token", token_json.len()), |b| {
            b.iter(|| serde_json::to_vec(&**token));
        });
        group.bench_function(named("read a token", token_json.len()), |b| {
            b.iter(|| serde_json::from_slice::<Token>(&token_json));
        });
    }
    group.finish();
}

criterion_group!(engine_and_codec, benches);
criterion_main!(engine_and_codec);
