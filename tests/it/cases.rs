//! Cases on a real server, as a caller sees them.

use std::sync::Arc;

use chrono::TimeDelta;
use futures::StreamExt;
use serde_json::{Map, Value, json};
use stormpetrel::{
    models::{CaseStatus, FiringId, LogSequence, Passed, Revision, TokenId, WorkflowDefinition},
    petrel::{Change, Error, ExpectedVersion, Fire, Lookup, NewCase, NewToken, Petrel},
    storage::{Consistency, LogScope, MemoryStorage, Page, Storage, TokenScope, nats::NatsStorage},
    testing::{FaultyStorage, ManualClock, TestServer},
};

use crate::support::{
    begin, case, config, definition, orders, petrel_at, place, system, transition, workflow,
};

#[tokio::test]
async fn a_token_moves_and_is_read_in_its_new_place_at_once() {
    let (_server, petrel) = system().await;
    let (begun, token) = begin(&petrel, json!({"amount": 5})).await;
    for round in 0..50 {
        let (name, to) = if round % 2 == 0 { ("submit", "review") } else { ("reject", "draft") };
        let moved = petrel.fire(Fire::token(token.clone(), transition(name))).await.unwrap();
        for consistency in [Consistency::Eventual, Consistency::Strong] {
            let read = petrel.token(None, &token, consistency).await.unwrap();
            assert_eq!(read.place, place(to));
            assert_eq!(read.nats_sequence, Some(moved.record.sequence));
            assert_eq!(read.history_total, round + 1);
            assert!(read.nats_timestamp.is_some());
            assert_eq!(
                read.nats_subject,
                Some(format!("cb.workflows.orders.places.{to}.tokens.{token}"))
            );
        }
        let other = if to == "draft" { "review" } else { "draft" };
        for (place_id, count) in [(to, 1), (other, 0)] {
            let scope = TokenScope {
                workflow: workflow("orders"),
                place: Some(place(place_id)),
                case: None,
            };
            let tokens = petrel.tokens(&scope, Page::default()).await.unwrap();
            assert_eq!(tokens.items.len(), count, "{place_id} in round {round}");
        }
    }
    assert_eq!(begun.case.status, CaseStatus::Running);
}

/// Each of two processes knows the case as it left it, and the other one has moved it on.
#[tokio::test]
async fn a_strong_read_is_what_the_log_says_whatever_a_process_knows() {
    let (server, first) = system().await;
    let (_, token) = begin(&first, json!({"amount": 5})).await;
    let second = petrel_at(server.url()).await;
    for step in 0..20 {
        let (mover, name) = ([&first, &second][step / 2 % 2], ["submit", "reject"][step % 2]);
        let moved = mover.fire(Fire::token(token.clone(), transition(name))).await.unwrap();
        let fresh = petrel_at(server.url()).await;
        let expected = fresh.token(None, &token, Consistency::Strong).await.unwrap();
        assert_eq!(expected.nats_sequence, Some(moved.record.sequence));
        for petrel in [&first, &second] {
            let read = petrel.token(None, &token, Consistency::Strong).await.unwrap();
            assert_eq!(read, expected, "step {step}");
        }
    }
}

#[tokio::test]
async fn a_strong_read_of_a_case_that_is_known_asks_the_log_once() {
    let storage = FaultyStorage::new(Arc::new(MemoryStorage::new()));
    let petrel = Petrel::new(Arc::new(storage.clone()));
    petrel.create_workflow(orders(), ExpectedVersion::Any).await.unwrap();
    let (_, token) = begin(&petrel, json!({"amount": 5})).await;
    // So many that the last record leaves the first ones to an earlier record.
    for step in 0..20 {
        let name = ["submit", "reject"][step % 2];
        petrel.fire(Fire::token(token.clone(), transition(name))).await.unwrap();
    }
    let before = storage.log_reads();
    let read = petrel.token(None, &token, Consistency::Strong).await.unwrap();
    assert_eq!((read.history.len(), storage.log_reads() - before), (20, 1));
}

#[tokio::test]
async fn a_process_that_does_not_know_a_case_reads_little_before_it_fires() {
    let (server, petrel) = system().await;
    let (begun, token) = begin(&petrel, json!({"amount": 5})).await;
    // A head that others appended must be linked to the record before it. Back in a place that it
    // left a moment ago, the token's marker there is looked for.
    for (name, to, reads) in [("submit", "review", (1, 1)), ("reject", "draft", (2, 2))] {
        let storage = NatsStorage::connect(config(server.url())).await.unwrap();
        let storage = FaultyStorage::new(Arc::new(storage));
        let stranger = Petrel::new(Arc::new(storage.clone()));
        let case = begun.case.id.clone();
        stranger.fire(Fire::case(workflow("orders"), case, transition(name))).await.unwrap();
        assert_eq!((storage.log_reads(), storage.register_reads()), reads, "{name}");
        let read = petrel.token(None, &token, Consistency::Eventual).await.unwrap();
        assert_eq!(read.place, place(to));
        for (at, count) in [(to, 1), (if to == "draft" { "review" } else { "draft" }, 0)] {
            let scope =
                TokenScope { workflow: workflow("orders"), place: Some(place(at)), case: None };
            let there = petrel.tokens(&scope, Page::default()).await.unwrap();
            assert_eq!(there.items.len(), count, "{at} after {name}");
        }
    }
}

#[tokio::test]
async fn a_split_and_a_join_make_and_merge_tokens_and_complete_the_case() {
    let (_server, petrel) = system().await;
    let (begun, token) = begin(&petrel, json!({"amount": 5, "a": 1})).await;
    let id = begun.case.id.clone();
    petrel.fire(Fire::token(token.clone(), transition("submit"))).await.unwrap();
    let split = petrel.fire(Fire::token(token.clone(), transition("split"))).await.unwrap();
    assert_eq!(split.tokens.len(), 2);
    assert!(matches!(
        petrel.token(None, &token, Consistency::Eventual).await,
        Err(Error::NotFound(Lookup::Token(_)))
    ));
    let join = Fire::case(workflow("orders"), id.clone(), transition("join"));
    let joined = petrel.fire(join).await.unwrap();
    assert_eq!(joined.case.status, CaseStatus::Completed);
    assert_eq!(joined.tokens[0].data, json!({"amount": 5, "a": 1}));
    let again = petrel.fire(Fire::case(workflow("orders"), id, transition("join"))).await;
    let error = again.unwrap_err();
    assert_eq!(error.code(), "NOT_ENABLED");
    assert!(error.to_string().contains("completed"), "{error}");
}

#[tokio::test]
async fn a_repeated_firing_id_fires_once() {
    let (_server, petrel) = system().await;
    let (_, token) = begin(&petrel, json!({"amount": 5})).await;
    let fire = || {
        let mut fire = Fire::token(token.clone(), transition("submit"));
        fire.change = Change { firing: Some(FiringId::new("once").unwrap()), ..Change::default() };
        fire
    };
    let first = petrel.fire(fire()).await.unwrap();
    assert!(!first.repeated);
    petrel.fire(Fire::token(token.clone(), transition("reject"))).await.unwrap();
    let again = petrel.fire(fire()).await.unwrap();
    assert!(again.repeated);
    assert_eq!(again.record.sequence, first.record.sequence);
    assert_eq!(again.record.value.produced[0].place, place("review"), "what happened then");
    assert_eq!(again.tokens[0].place, place("draft"), "the state of today");
    let now = petrel.token(None, &token, Consistency::Strong).await.unwrap();
    assert_eq!(now.place, place("draft"));
}

#[tokio::test]
async fn a_case_with_a_callers_id_is_created_once() {
    let (_server, petrel) = system().await;
    begin(&petrel, json!({})).await;
    let new = || NewCase { case: Some(case("order-1")), ..NewCase::of(workflow("orders")) };
    let first = petrel.create_case(new()).await.unwrap();
    let again = petrel.create_case(new()).await.unwrap();
    assert!(!first.repeated && again.repeated);
    assert_eq!(first.tokens[0].id, again.tokens[0].id);
}

#[tokio::test]
async fn a_token_that_moves_often_has_its_last_64_transitions_wherever_it_is_read() {
    let (server, petrel) = system().await;
    let (_, token) = begin(&petrel, json!({"amount": 1})).await;
    for step in 0..100 {
        let id = if step % 2 == 0 { "submit" } else { "reject" };
        let changed = petrel.fire(Fire::token(token.clone(), transition(id))).await.unwrap();
        let moved = &changed.tokens[0];
        assert_eq!(moved.history_total, step + 1);
        assert_eq!(moved.history.len() as u64, (step + 1).min(64));
        if step % 7 == 0 {
            let edited = petrel
                .update_token_data(None, &token, json!({"step": step}), Change::default())
                .await
                .unwrap();
            assert_eq!(edited.tokens[0].history, moved.history, "an edit keeps the history");
        }
        // A process that knows nothing yet, and every way to read.
        let fresh = petrel_at(server.url()).await;
        let strong = fresh.token(None, &token, Consistency::Strong).await.unwrap();
        let eventual = fresh.token(None, &token, Consistency::Eventual).await.unwrap();
        let of_case = fresh.case(&workflow("orders"), &strong.case).await.unwrap();
        let sequences =
            |history: &[Passed]| history.iter().map(|event| event.sequence).collect::<Vec<_>>();
        assert_eq!(sequences(&strong.history), sequences(&moved.history));
        assert_eq!(eventual.history, strong.history);
        assert_eq!(of_case.tokens[&token].history, strong.history);
    }
    let case = petrel.token(None, &token, Consistency::Strong).await.unwrap().case;
    let page = Page { first: 1_000, after: None };
    let records = petrel.history(&workflow("orders"), &case, page).await.unwrap();
    for (_, record) in &records.items {
        for made in &record.value.produced {
            assert_eq!(made.history.len() as u64, made.history_total.min(64));
        }
    }
    let scope = LogScope::Case(workflow("orders"), case);
    let from = records.items[90].1.sequence;
    let mut seen = petrel.watch(scope, Some(from.into())).await.unwrap();
    let first = seen.next().await.unwrap().unwrap();
    assert_eq!(first.value.produced, records.items[90].1.value.produced);
}

#[tokio::test]
async fn a_token_is_not_added_to_a_place_that_is_full() {
    let (_server, petrel) = system().await;
    let definition = definition(json!({
        "id": "slots",
        "name": "Slots",
        "initial_place": "slot",
        "places": [{"id": "slot", "capacity": 2}, {"id": "free"}],
        "transitions": [{"id": "leave", "from_places": ["slot"], "to_place": "free"}]
    }));
    petrel.create_workflow(definition, ExpectedVersion::New).await.unwrap();
    let add = || NewToken {
        workflow: workflow("slots"),
        case: case("one"),
        place: None,
        data: json!({}),
        metadata: Default::default(),
        change: Change::default(),
    };
    petrel.create_token(add()).await.unwrap();
    petrel.create_token(add()).await.unwrap();
    let refused = petrel.create_token(add()).await.unwrap_err();
    assert_eq!(refused.code(), "INVALID_ARGUMENT");
    assert!(refused.to_string().contains("place slot takes at most 2 tokens"), "{refused}");
    let now = petrel.case(&workflow("slots"), &case("one")).await.unwrap();
    assert_eq!(now.marking.0.len(), 2, "nothing was stored");
    let leave = Fire::case(workflow("slots"), case("one"), transition("leave"));
    petrel.fire(leave).await.unwrap();
    petrel.create_token(add()).await.unwrap();
}

#[tokio::test]
async fn unknown_tokens_are_looked_up_once_for_all_who_ask() {
    let (server, petrel) = system().await;
    let (_, known) = begin(&petrel, json!({})).await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let calls = async || {
        let answer = client.request("$JS.API.INFO", "".into()).await.unwrap();
        let info: Value = serde_json::from_slice(&answer.payload).unwrap();
        info["api"]["total"].as_u64().unwrap()
    };
    let before = calls().await;
    let unknown = (0..1_000).map(|number| {
        let token = TokenId::new(format!("nobody-{number:010x}-1")).unwrap();
        let petrel = petrel.clone();
        async move { petrel.token(None, &token, Consistency::Eventual).await.unwrap_err() }
    });
    let errors = futures::future::join_all(unknown).await;
    assert!(errors.iter().all(|error| error.code() == "NOT_FOUND"), "{:?}", errors[0]);
    let more = calls().await - before;
    assert!(more < 20, "{more} calls of the server's API for 1000 unknown tokens");
    petrel.token(None, &known, Consistency::Eventual).await.unwrap();
}

#[tokio::test]
async fn a_token_of_a_new_workflow_is_found_at_once_wherever_that_was_stored() {
    let (server, petrel) = system().await;
    let elsewhere = petrel_at(server.url()).await;
    for (number, writer) in [&petrel, &elsewhere, &petrel, &elsewhere].into_iter().enumerate() {
        let unknown = TokenId::new(format!("nobody-{number:010x}-1")).unwrap();
        for reader in [&petrel, &elsewhere] {
            let error = reader.token(None, &unknown, Consistency::Strong).await.unwrap_err();
            assert_eq!(error.code(), "NOT_FOUND");
        }
        let id = format!("orders-{number}");
        let definition = WorkflowDefinition { id: workflow(&id), ..orders() };
        writer.create_workflow(definition, ExpectedVersion::New).await.unwrap();
        let begun = writer.create_case(NewCase::of(workflow(&id))).await.unwrap();
        for reader in [&petrel, &elsewhere] {
            for consistency in [Consistency::Eventual, Consistency::Strong] {
                reader.token(None, &begun.tokens[0].id, consistency).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_transition_that_is_not_there_is_answered_with_the_names_of_some() {
    let (_server, petrel) = system().await;
    let transitions: Vec<_> = (0..300)
        .map(|number| json!({"id": format!("t{number}"), "from_places": ["a"], "to_place": "a"}))
        .collect();
    let wide = json!({"id": "wide", "initial_place": "a", "places": [{"id": "a"}],
                      "transitions": transitions});
    petrel.create_workflow(definition(wide), ExpectedVersion::Any).await.unwrap();
    let begun = petrel.create_case(NewCase::of(workflow("wide"))).await.unwrap();
    let none = Fire::case(workflow("wide"), begun.case.id.clone(), transition("none"));
    let text = petrel.fire(none).await.unwrap_err().to_string();
    assert!(text.contains("t99, and 200 more") && !text.contains("t100"), "{text}");
}

/// Whoever stores a version elsewhere may begin a case with what is new in it through any process.
#[tokio::test]
async fn no_new_case_is_refused_for_what_a_newer_version_has() {
    let (server, first) = system().await;
    let second = petrel_at(server.url()).await;
    for number in 0..10 {
        let id = format!("w{number}");
        let net = |to: &[&str]| {
            let more = to.iter().map(|id| json!({"id": id}));
            let places: Vec<_> = [json!({"id": "a"})].into_iter().chain(more).collect();
            let transitions: Vec<_> = to
                .iter()
                .map(|to| json!({"id": format!("to-{to}"), "from_places": ["a"], "to_place": to}))
                .collect();
            definition(json!({
                "id": id, "initial_place": "a", "places": places, "transitions": transitions
            }))
        };
        first.create_workflow(net(&["z"]), ExpectedVersion::New).await.unwrap();
        let new = || NewCase::of(workflow(&id));
        second.create_case(new()).await.unwrap();
        first.create_workflow(net(&["z", "q"]), ExpectedVersion::Any).await.unwrap();
        let at_q = NewCase { place: Some(place("q")), ..new() };
        let begun = second.create_case(at_q).await.unwrap();
        assert_eq!(begun.tokens[0].place, place("q"));
        let error = second.create_case(NewCase { place: Some(place("no")), ..new() }).await;
        assert!(matches!(error, Err(Error::InvalidArgument { .. })), "{error:?}");
    }
}

/// A case that is not there is at no revision.
#[tokio::test]
async fn no_token_begins_a_case_that_was_expected_at_a_revision() {
    let (_server, petrel) = system().await;
    begin(&petrel, json!({})).await;
    let before = petrel.storage().last_sequence().await.unwrap();
    for firing in [None, Some(FiringId::new("f").unwrap())] {
        let expected_revision = Some(Revision::from(LogSequence::new(5).unwrap()));
        let new = NewToken {
            workflow: workflow("orders"),
            case: case("absent"),
            place: None,
            data: json!({}),
            metadata: Map::new(),
            change: Change { firing, expected_revision, ..Change::default() },
        };
        let error = petrel.create_token(new).await.unwrap_err();
        assert_eq!(error.code(), "NOT_FOUND", "{error}");
    }
    assert_eq!(petrel.storage().last_sequence().await.unwrap(), before);
}

/// A condition on thirty days is tried in no time, in memory and on a server.
#[tokio::test]
async fn a_condition_on_time_is_tried_by_a_clock_that_is_moved() {
    let server = TestServer::start().await;
    let stored = NatsStorage::connect(config(server.url())).await.unwrap();
    let stores: [Arc<dyn Storage>; 2] = [Arc::new(stored), Arc::new(MemoryStorage::new())];
    for storage in stores {
        let clock = ManualClock::default();
        let petrel = Petrel::with_clock(storage, Arc::new(clock.clone()));
        let dunned = definition(json!({
            "id": "dunned", "initial_place": "open", "places": [{"id": "open"}, {"id": "dunned"}],
            "transitions": [{"id": "dun", "from_places": ["open"], "to_place": "dunned",
                             "conditions": ["now - token.created_at >= duration('720h')"]}]
        }));
        petrel.create_workflow(dunned, ExpectedVersion::Any).await.unwrap();
        let new = NewCase { case: Some(case("k")), ..NewCase::of(workflow("dunned")) };
        let begun = petrel.create_case(new).await.unwrap();
        let dun = Fire::case(workflow("dunned"), case("k"), transition("dun"));
        clock.advance(TimeDelta::days(29));
        let early = petrel.fire(dun.clone()).await.unwrap_err();
        assert!(matches!(early, Error::NotEnabled(_)), "{early}");
        let why = petrel.explain(&workflow("dunned"), &case("k")).await.unwrap();
        assert!(!why.transitions[0].enabled);
        clock.advance(TimeDelta::days(1));
        assert!(
            petrel.explain(&workflow("dunned"), &case("k")).await.unwrap().transitions[0].enabled
        );
        let done = petrel.fire(dun).await.unwrap();
        let (from, to) = (begun.record.value.time, done.record.value.time);
        assert_eq!(to - from, TimeDelta::days(30));
        assert_eq!(done.tokens[0].history[0].time, to);
    }
}

/// The time and the caller of a request do not say whose it is: two processes may have the same.
#[tokio::test]
async fn of_two_requests_at_the_same_time_one_is_a_repeated_one() {
    let server = TestServer::start().await;
    let clock = ManualClock::default();
    let mut petrels = Vec::new();
    for _ in 0..2 {
        let stored = NatsStorage::connect(config(server.url())).await.unwrap();
        petrels.push(Petrel::with_clock(Arc::new(stored), Arc::new(clock.clone())));
    }
    petrels[0].create_workflow(orders(), ExpectedVersion::Any).await.unwrap();
    for number in 0..20 {
        let (_, token) = begin(&petrels[0], json!({"amount": 5})).await;
        let firing = Some(FiringId::new(format!("f-{number}")).unwrap());
        let fire = Fire {
            change: Change { firing, ..Change::default() },
            ..Fire::token(token, transition("submit"))
        };
        let answers =
            futures::future::join_all(petrels.iter().map(|of| of.fire(fire.clone()))).await;
        let repeated: Vec<_> = answers.into_iter().map(|of| of.unwrap().repeated).collect();
        assert_eq!(repeated.iter().filter(|repeated| **repeated).count(), 1, "{repeated:?}");
        assert!(petrels[number % 2].fire(fire).await.unwrap().repeated);
    }
}
