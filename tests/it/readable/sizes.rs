//! Records and view messages near the server's limit.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use stormpetrel::{
    engine::Excess,
    local_server::LocalServerOptions,
    models::{CaseId, FiringId},
    petrel::{Change, Error, ExpectedVersion, Fire, NewCase, NewToken, Petrel},
    storage::{Consistency, Page, TokenScope, nats::NatsStorage},
    testing::{FaultyStorage, TestServer},
};

use super::{fire, loop_of, noted, read_all};
use crate::support::{case, config, definition, petrel_at, transition, workflow};

async fn server_of(max_payload: usize) -> (TestServer, Petrel) {
    let max_payload = Some(max_payload.try_into().unwrap());
    let options = LocalServerOptions { max_payload, ..Default::default() };
    let server = TestServer::start_with(options).await;
    let cases = petrel_at(server.url()).await;
    (server, cases)
}

fn text(bytes: usize) -> Value {
    json!({ "text": "x".repeat(bytes) })
}

async fn begin(petrel: &Petrel, id: &str, data: Value) -> Result<CaseId, Error> {
    let request = NewCase { case: Some(case(id)), data, ..NewCase::of(workflow("loop")) };
    petrel.create_case(request).await.map(|begun| begun.case.id.clone())
}

fn is_too_large(error: &Error, limit: usize) {
    let Error::Excess(Excess::Size { size, limit: told, what }) = error else { panic!("{error}") };
    assert_eq!((error.code(), error.retryable()), ("TOO_LARGE", false));
    assert!(size > told && *told <= limit && *told > limit - 8_192, "{error}");
    assert!(what.contains("case k") || what.contains("token k"), "{what}");
}

/// The input that got stuck, and its metadata.
#[tokio::test]
async fn a_token_that_only_moves_never_gets_stuck_by_its_history() {
    let (server, petrel) = server_of(65_536).await;
    let id = loop_of(&petrel).await;
    let k = begin(&petrel, "k0", text(59_700)).await.unwrap();
    let long = begin(&petrel, "k1", text(30_000)).await.unwrap();
    for step in 0..150 {
        let name = if step % 2 == 0 { "go" } else { "back" };
        petrel.fire(fire(&k, name)).await.unwrap_or_else(|error| panic!("{step}: {error}"));
        let mut noting = fire(&long, name);
        noting.change = noted(json!({ "why": "y".repeat(step * 40) }));
        petrel.fire(noting).await.unwrap_or_else(|error| panic!("{step}: {error}"));
        if step % 37 == 0 {
            for petrel in [&petrel, &petrel_at(server.url()).await] {
                read_all(petrel, &k).await;
                read_all(petrel, &long).await;
            }
        }
    }
    for known in [&k, &long] {
        let state = petrel.case(&id, known).await.unwrap();
        let token = state.live_tokens().next().unwrap();
        assert_eq!(token.history_total, 150);
        assert!(!token.history.is_empty() && token.history.len() < 64, "{}", token.history.len());
        assert_eq!(token.history.last().unwrap().sequence, token.nats_sequence);
    }
    let fresh = petrel_at(server.url()).await;
    let rebuilt = fresh.rebuild(&|_, _| ()).await.unwrap();
    assert_eq!((rebuilt.mended, rebuilt.failed), (0, 0));
    fresh.cancel(&id, &k, Change::default()).await.unwrap();
}

#[tokio::test]
async fn around_the_limit_it_is_refused_or_read_by_every_reader() {
    for max_payload in [65_536_usize, 1_048_576] {
        let (server, petrel) = server_of(max_payload).await;
        let id = loop_of(&petrel).await;
        let (mut taken, mut refused) = (0, 0);
        for below in (0..6_000).step_by(429) {
            let name = format!("k{below}");
            let k = match begin(&petrel, &name, text(max_payload - below)).await {
                Ok(k) => k,
                Err(error) => {
                    is_too_large(&error, max_payload);
                    refused += 1;
                    let missing = petrel.case(&id, &case(&name)).await;
                    assert!(matches!(missing, Err(Error::NotFound(_))));
                    continue;
                }
            };
            taken += 1;
            for step in 0..20 {
                let name = if step % 2 == 0 { "go" } else { "back" };
                petrel.fire(fire(&k, name)).await.unwrap();
            }
            let mut more = fire(&k, "go");
            more.data = Some(json!({ "more": "y".repeat(6_000) }));
            is_too_large(&petrel.fire(more).await.unwrap_err(), max_payload);
            let mut more = fire(&k, "go");
            more.change = noted(json!({ "more": "y".repeat(6_000) }));
            is_too_large(&petrel.fire(more).await.unwrap_err(), max_payload);
            let fresh = petrel_at(server.url()).await;
            read_all(&fresh, &k).await;
            let rebuilt = fresh.rebuild(&|_, _| ()).await.unwrap();
            assert_eq!((rebuilt.mended, rebuilt.failed), (0, 0));
            petrel.pause(&id, &k, Change::default()).await.unwrap();
            petrel.cancel(&id, &k, Change::default()).await.unwrap();
        }
        assert!(taken > 1 && refused > 1, "{taken} taken, {refused} refused");
    }
}

#[tokio::test]
async fn what_a_firing_would_give_is_reckoned_before_it_is_made() {
    let (_server, petrel) = server_of(1_048_576).await;
    let wide = definition(json!({
        "id": "wide", "initial_place": "a", "places": [{"id": "a"}, {"id": "b"}, {"id": "c"}],
        "transitions": [
            {"id": "burst", "inputs": [{"place": "a"}],
             "outputs": [{"place": "b", "weight": 10_000}, {"place": "c", "weight": 10_000}]},
            {"id": "split", "inputs": [{"place": "a"}], "outputs": [{"place": "b", "weight": 900}]}
        ]
    }));
    petrel.create_workflow(wide, ExpectedVersion::Any).await.unwrap();
    let id = workflow("wide");
    for (name, data) in [("k-small", json!({})), ("k-large", text(100_000))] {
        let request = NewCase { case: Some(case(name)), data, ..NewCase::of(id.clone()) };
        petrel.create_case(request).await.unwrap();
        let begun = Instant::now();
        let burst = Fire::case(id.clone(), case(name), transition("burst"));
        let error = petrel.fire(burst).await.unwrap_err();
        is_too_large(&error, 1_048_576);
        assert!(error.to_string().contains("20000 tokens"), "{error}");
        assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    }
    // What fits is given, and each can be read; so the next is refused before it is stored.
    let split = Fire::case(id.clone(), case("k-small"), transition("split"));
    let given = petrel.fire(split).await.unwrap();
    assert_eq!(given.tokens.len(), 900);
    let scope = TokenScope { workflow: id, place: None, case: Some(case("k-small")) };
    let listed = petrel.tokens(&scope, Page { first: 1_000, after: None }).await.unwrap();
    assert_eq!(listed.items.len(), 900);
}

#[tokio::test]
async fn a_case_takes_tokens_until_its_marking_is_full_and_every_one_is_read() {
    let (server, petrel) = server_of(65_536).await;
    let id = loop_of(&petrel).await;
    let new = || NewToken {
        workflow: id.clone(),
        case: case("k"),
        place: None,
        data: json!({}),
        metadata: Default::default(),
        change: Change::default(),
    };
    let mut added = 0;
    let error = loop {
        match petrel.create_token(new()).await {
            Ok(_) => added += 1,
            Err(error) => break error,
        }
    };
    is_too_large(&error, 65_536);
    assert!(added > 300, "{added}");
    let fresh = petrel_at(server.url()).await;
    let state = fresh.case(&id, &case("k")).await.unwrap();
    assert_eq!(state.tokens.len(), added);
    // All of them still move, though each record names all of them.
    for token in state.live_tokens().take(5) {
        fresh.fire(Fire::token(token.id.clone(), transition("go"))).await.unwrap();
        fresh.token(None, &token.id, Consistency::Strong).await.unwrap();
    }
    fresh.pause(&id, &case("k"), Change::default()).await.unwrap();
    fresh.cancel(&id, &case("k"), Change::default()).await.unwrap();
}

/// Records with little room for a list let it begin anew again and again.
#[tokio::test]
async fn near_the_limit_a_process_goes_on_with_the_ids_that_it_knows() {
    let (server, petrel) = server_of(65_536).await;
    loop_of(&petrel).await;
    let storage = NatsStorage::connect(config(server.url())).await.unwrap();
    let faults = FaultyStorage::new(Arc::new(storage));
    let process = Petrel::new(Arc::new(faults.clone()));
    let mut size = 64_000;
    let k = loop {
        match begin(&petrel, "k0", text(size)).await {
            Ok(k) => break k,
            Err(error) => is_too_large(&error, 65_536),
        }
        size -= 20;
    };
    let firing = |step: usize| {
        let mut fire = fire(&k, ["go", "back"][step % 2]);
        fire.change.firing = Some(FiringId::new(format!("f-{step}")).unwrap());
        // What is noted takes the room that is kept for the names of earlier records.
        fire.change.metadata.insert("note".to_owned(), text(300));
        fire
    };
    let (mut read, mut unlisted, mut anew) = (0, None, 0);
    for step in 0..240 {
        let before = faults.history_reads();
        let fired = process.fire(firing(step)).await.unwrap();
        assert!(!fired.repeated);
        read = read.max(faults.history_reads() - before);
        let now = fired.record.value.unlisted;
        anew += usize::from(now != std::mem::replace(&mut unlisted, now));
    }
    assert!(anew > 3, "{anew}: it must begin anew often for this test");
    assert!(read <= 64, "{read} records were read for one firing");
    for step in [0, 30, 60, 90, 119, 239] {
        for process in [&process, &petrel, &petrel_at(server.url()).await] {
            assert!(process.fire(firing(step)).await.unwrap().repeated, "{step}");
        }
    }
}
