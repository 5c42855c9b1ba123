//! The two ways of reading the view agree: with one another, with the memory store after the
//! same history, and with the log.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use chrono::DateTime;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};
use stormpetrel::{
    models::{
        CaseId, LogSequence, PlaceId, Token, TokenId, TransitionEvent, TransitionId,
        WorkflowDefinition, WorkflowId,
    },
    petrel::{Change, ExpectedVersion, Fire, NewCase, NewToken, Petrel},
    storage::{
        Consistency, Cursor, ListOptions, MemoryStorage, Page, ReadPath, Storage, StorageExt,
        TokenScope, nats::NatsStorage,
    },
    testing::TestServer,
};

use crate::support::{case, config, definition, place, transition, workflow};

const PLACES: [&str; 5] = ["draft", "review", "left", "right", "done"];
const TRANSITIONS: [&str; 7] =
    ["submit", "reject", "split", "join", "approve", "multiply", "drain"];
const CASES: [&str; 3] = ["a", "a-1", "b"];
const PATHS: [ReadPath; 2] = [ReadPath::Direct, ReadPath::Consumer];

/// A net with a loop, a split, a join, a guard, a weight, a read arc and a reset arc.
fn net(id: &WorkflowId) -> WorkflowDefinition {
    let places: Vec<_> = PLACES.iter().map(|id| json!({ "id": id })).collect();
    definition(json!({
        "id": id, "name": "Random walks", "initial_place": "draft", "places": places,
        "transitions": [
            {"id": "submit", "from_places": ["draft"], "to_place": "review"},
            {"id": "reject", "from_places": ["review", "left"], "to_place": "draft"},
            {"id": "split", "inputs": [{"place": "review"}],
             "outputs": [{"place": "left"}, {"place": "right"}]},
            {"id": "join", "inputs": [{"place": "left"}, {"place": "right"}],
             "outputs": [{"place": "draft"}]},
            {"id": "approve", "inputs": [{"place": "review"}], "outputs": [{"place": "done"}],
             "conditions": ["token.data.amount < 50.0"]},
            {"id": "multiply", "inputs": [{"place": "draft"}, {"place": "right", "kind": "read"}],
             "outputs": [{"place": "left", "weight": 3}, {"place": "review"}]},
            {"id": "drain", "inputs": [{"place": "draft"}, {"place": "left", "kind": "reset"}],
             "outputs": [{"place": "right"}]}
        ]
    }))
}

#[derive(Debug, Clone)]
enum Step {
    Create(usize, f64),
    Add(usize, usize),
    Fire(usize, usize),
    Move(usize, u64, usize),
    Edit(usize, u64, f64),
    Pause(usize),
    Resume(usize),
    Cancel(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let case = 0..CASES.len();
    prop_oneof![
        2 => (case.clone(), any::<u16>()).prop_map(|(c, n)| Step::Create(c, f64::from(n) / 700.0)),
        8 => (case.clone(), 0..PLACES.len()).prop_map(|(c, p)| Step::Add(c, p)),
        60 => (case.clone(), any::<usize>()).prop_map(|(c, t)| Step::Fire(c, t)),
        10 => (case.clone(), 1..8_u64, 0..TRANSITIONS.len())
            .prop_map(|(c, n, t)| Step::Move(c, n, t)),
        10 => (case.clone(), 1..8_u64, any::<u16>())
            .prop_map(|(c, n, a)| Step::Edit(c, n, f64::from(a) / 300.0)),
        1 => case.clone().prop_map(Step::Pause),
        3 => case.clone().prop_map(Step::Resume),
        1 => case.prop_map(Step::Cancel),
    ]
}

/// A history that begins with all its cases.
fn history() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..150).prop_map(|steps| {
        let created = (0..CASES.len()).map(|case| Step::Create(case, 20.5));
        created.chain(steps).collect()
    })
}

/// The transition that a pick stands for: one of those that can fire, if there are any.
async fn picked(petrel: &Petrel, id: &WorkflowId, number: usize, pick: usize) -> TransitionId {
    let explanation = petrel.explain(id, &case(CASES[number])).await.unwrap();
    let enabled: Vec<_> = explanation.transitions.iter().filter(|t| t.enabled).collect();
    match enabled.len() {
        0 => transition(TRANSITIONS[pick % TRANSITIONS.len()]),
        count => enabled[pick % count].transition.clone(),
    }
}

/// Takes a step; returns the caller's answer, without the parts that no two systems share.
async fn take(
    petrel: &Petrel,
    id: &WorkflowId,
    step: &Step,
    picked: Option<&TransitionId>,
) -> Result<Vec<Token>, &'static str> {
    let of = |number: &usize| case(CASES[*number]);
    let token = |number: &usize, n: &u64| TokenId::of_case(&id.tag(), &of(number), *n);
    let change = Change::default;
    let changed = match step {
        Step::Create(c, amount) => {
            let data = json!({"amount": amount, "by": "create"});
            petrel.create_case(NewCase { case: Some(of(c)), data, ..NewCase::of(id.clone()) }).await
        }
        Step::Add(c, p) => {
            let new = NewToken {
                workflow: id.clone(),
                case: of(c),
                place: Some(place(PLACES[*p])),
                data: json!({"amount": 1.5, "by": "add"}),
                metadata: serde_json::Map::from_iter([("added".to_owned(), Value::Bool(true))]),
                change: change(),
            };
            petrel.create_token(new).await
        }
        Step::Fire(c, _) => {
            let transition = picked.expect("a firing has its transition").clone();
            petrel.fire(Fire::case(id.clone(), of(c), transition)).await
        }
        Step::Move(c, n, t) => {
            petrel.fire(Fire::token(token(c, n), transition(TRANSITIONS[*t]))).await
        }
        Step::Edit(c, n, amount) => {
            let patch = json!({ "amount": amount, "by": null });
            petrel.update_token_data(Some(id), &token(c, n), patch, change()).await
        }
        Step::Pause(c) => petrel.pause(id, &of(c), change()).await,
        Step::Resume(c) => petrel.resume(id, &of(c), change()).await,
        Step::Cancel(c) => petrel.cancel(id, &of(c), change()).await,
    };
    match changed {
        Ok(changed) => Ok(changed.tokens.iter().map(|token| plain(token)).collect()),
        Err(error) => Err(error.code()),
    }
}

/// A token without times, sequences and subjects, which differ between two systems.
fn plain(token: &Token) -> Token {
    let mut token = token.clone();
    (token.created_at, token.updated_at) = (DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH);
    (token.nats_sequence, token.nats_timestamp) = (None, None);
    token.nats_subject = None;
    for event in std::sync::Arc::make_mut(&mut token.history) {
        let plain = TransitionEvent::clone(event);
        *event = TransitionEvent { time: DateTime::UNIX_EPOCH, sequence: None, ..plain }.into();
    }
    token
}

async fn listing(
    storage: &dyn Storage,
    scope: &TokenScope,
    first: usize,
    path: ReadPath,
) -> Vec<(Cursor, Token)> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = storage
            .tokens_in(scope, ListOptions { page: Page { first, after }, path: Some(path) })
            .await
            .unwrap();
        assert!(page.items.len() <= first);
        after = page.end().or(after);
        let has_next = page.has_next;
        all.extend(page.items);
        if !has_next {
            return all;
        }
    }
}

fn scopes(id: &WorkflowId) -> Vec<TokenScope> {
    let all = TokenScope { workflow: id.clone(), place: None, case: None };
    let mut scopes = vec![all.clone()];
    scopes.extend(PLACES.map(|p| TokenScope { place: Some(place(p)), ..all.clone() }));
    for c in CASES {
        let of_case = TokenScope { case: Some(case(c)), ..all.clone() };
        scopes.extend(PLACES.map(|p| TokenScope { place: Some(place(p)), ..of_case.clone() }));
        scopes.push(of_case);
    }
    scopes
}

type Where = BTreeSet<(TokenId, PlaceId, Option<LogSequence>)>;

/// Places of a case's tokens in the log, with the sequences of their last changes.
async fn marked(storage: &dyn Storage, id: &WorkflowId, case: &CaseId) -> Where {
    let head = storage.head(id, case, Consistency::Strong).await.unwrap();
    let Some(head) = head else { return BTreeSet::new() };
    let entries = head.value.marking.0.iter();
    entries
        .map(|e| (e.token.clone(), e.place.clone(), Some(e.sequence_in(head.sequence))))
        .collect()
}

async fn compare(nats: &dyn Storage, memory: &dyn Storage, id: &WorkflowId) {
    for scope in scopes(id) {
        let expected = listing(memory, &scope, 100, ReadPath::Direct).await;
        let expected: Vec<_> = expected.iter().map(|(_, token)| plain(token)).collect();
        let whole = listing(nats, &scope, 100, ReadPath::Direct).await;
        let seen: Vec<_> = whole.iter().map(|(_, token)| plain(token)).collect();
        assert_eq!(seen, expected, "{scope:?}: the memory store has the second");
        for path in PATHS {
            for first in [1, 2, 3, 7] {
                assert_eq!(listing(nats, &scope, first, path).await, whole, "{scope:?} by {first}");
            }
        }
    }
    for c in CASES.map(case) {
        let made = nats.head(id, &c, Consistency::Strong).await.unwrap();
        let made = made.map_or(0, |head| head.value.tokens_made);
        let marked = marked(nats, id, &c).await;
        let scope = TokenScope { workflow: id.clone(), place: None, case: Some(c.clone()) };
        let listed = listing(nats, &scope, 100, ReadPath::Direct).await;
        let listed: Where =
            listed.into_iter().map(|(_, t)| (t.id, t.place, t.nats_sequence)).collect();
        assert_eq!(listed, marked, "the log has the second");
        for number in 1..=made + 1 {
            let token = TokenId::of_case(&id.tag(), &c, number);
            let direct = nats.token(id, &token, ReadPath::Direct.into()).await.unwrap();
            let scanned = nats.token(id, &token, ReadPath::Consumer.into()).await.unwrap();
            assert_eq!(direct, scanned, "the two paths");
            let expected = memory.token(id, &token, ReadPath::Direct.into()).await.unwrap();
            assert_eq!(direct.as_ref().map(plain), expected.as_ref().map(plain));
            let at = direct.map(|t| (t.id, t.place, t.nats_sequence));
            let entry = marked.iter().find(|(marked, ..)| *marked == token).cloned();
            assert_eq!(at, entry, "{token}: the log has the second");
        }
    }
}

#[test]
fn both_read_paths_agree_with_each_other_with_memory_and_with_the_log() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(TestServer::start());
    let nats = runtime.block_on(NatsStorage::connect(config(server.url()))).unwrap();
    let nats: Arc<dyn Storage> = Arc::new(nats);
    let petrel = Petrel::new(nats.clone());
    let (runs, firings) = (AtomicU64::new(0), AtomicU64::new(0));
    let config =
        Config { cases: 32, max_shrink_iters: 200, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&history(), |history| {
        // The log can't be emptied, so each run has a workflow of its own.
        let id = workflow(&format!("walk-{}", runs.fetch_add(1, Ordering::Relaxed)));
        runtime.block_on(async {
            let memory: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
            let remembered = Petrel::new(memory.clone());
            for petrel in [&petrel, &remembered] {
                petrel.create_workflow(net(&id), ExpectedVersion::New).await.unwrap();
            }
            let half = history.len() / 2;
            for (number, step) in history.iter().enumerate() {
                let picked = match step {
                    Step::Fire(c, pick) => Some(picked(&remembered, &id, *c, *pick).await),
                    _ => None,
                };
                let told = take(&petrel, &id, step, picked.as_ref()).await;
                if let (Ok(_), Step::Fire(..) | Step::Move(..)) = (&told, step) {
                    firings.fetch_add(1, Ordering::Relaxed);
                }
                assert_eq!(told, take(&remembered, &id, step, picked.as_ref()).await, "{step:?}");
                if number == half {
                    compare(nats.as_ref(), memory.as_ref(), &id).await;
                }
            }
            compare(nats.as_ref(), memory.as_ref(), &id).await;
        });
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    let (runs, firings) = (runs.into_inner(), firings.into_inner());
    assert!(firings > 10 * runs, "{firings} firings in {runs} walks: they hardly walk");
}

/// Subjects beyond 1,024: a server answers no request for the last of each.
#[tokio::test]
async fn a_listing_over_more_subjects_than_one_request_may_have_is_whole() {
    const TOKENS: u64 = 1_100;
    let server = TestServer::start().await;
    let nats: Arc<dyn Storage> =
        Arc::new(NatsStorage::connect(config(server.url())).await.unwrap());
    let petrel = Petrel::new(nats.clone());
    let id = workflow("crowd");
    let crowd = definition(json!({
        "id": id, "initial_place": "egg", "places": [{"id": "egg"}, {"id": "cliff"}, {"id": "sea"}],
        "transitions": [
            {"id": "hatch", "from_places": ["egg"], "outputs": [{"place": "cliff", "weight": TOKENS}]},
            {"id": "fly", "from_places": ["cliff"], "to_place": "sea"}
        ]
    }));
    petrel.create_workflow(crowd, ExpectedVersion::New).await.unwrap();
    let c = case("colony");
    let new = NewCase { case: Some(c.clone()), ..NewCase::of(id.clone()) };
    petrel.create_case(new).await.unwrap();
    petrel.fire(Fire::case(id.clone(), c.clone(), transition("hatch"))).await.unwrap();
    for flown in [0, 3] {
        for _ in 0..flown {
            petrel.fire(Fire::case(id.clone(), c.clone(), transition("fly"))).await.unwrap();
        }
        let marked = marked(nats.as_ref(), &id, &c).await;
        assert_eq!(marked.len() as u64, TOKENS);
        let workflow = TokenScope { workflow: id.clone(), place: None, case: None };
        for scope in [
            workflow.clone(),
            TokenScope { place: Some(place("cliff")), ..workflow.clone() },
            TokenScope { case: Some(c.clone()), ..workflow.clone() },
            TokenScope { place: Some(place("sea")), case: Some(c.clone()), ..workflow },
        ] {
            let here = |at: &PlaceId| scope.place.as_ref().is_none_or(|only| only == at);
            let expected: Where = marked.iter().filter(|(_, at, _)| here(at)).cloned().collect();
            let mut listings = Vec::new();
            for path in PATHS {
                for first in [1_000, 550, 400] {
                    let listed = listing(nats.as_ref(), &scope, first, path).await;
                    assert_eq!(listed.len(), expected.len(), "{scope:?} by {first}, {path:?}");
                    listings.push(listed);
                }
            }
            assert!(listings.windows(2).all(|two| two[0] == two[1]), "{scope:?}");
            let listed = listings.swap_remove(0).into_iter();
            let listed: Where = listed.map(|(_, t)| (t.id, t.place, t.nats_sequence)).collect();
            assert_eq!(listed, expected);
        }
    }
}
