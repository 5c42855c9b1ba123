//! The same request again, by one process and by others, before and after a restart.

use futures::future::join_all;
use serde_json::json;
use stormpetrel::{
    models::{CaseStatus, FiringId},
    petrel::{Change, Error, ExpectedVersion, Fire, NewCase},
    storage::Page,
};

use super::{begun, fired, order, places};
use crate::support::{case, petrel_at, place, system, transition, workflow};

fn id(text: &str) -> Change {
    Change { firing: Some(FiringId::new(text).unwrap()), ..Change::default() }
}

#[tokio::test]
async fn a_change_and_what_follows_it_is_one_record_with_one_view() {
    let (server, petrel) = system().await;
    let started = begun(&petrel, "o-1", json!({"amount": 5})).await;
    assert_eq!(fired(&started.record.value), ["accept", "split"]);
    assert_eq!(places(&petrel, &case("o-1")).await, ["to_bill", "to_pack"]);
    // Nothing was ever in the places between, for anybody who reads the view.
    for between in ["new", "accepted"] {
        let token = &started.record.value.given[0].token;
        let seen = petrel.storage().register(&workflow("order"), &place(between), token).await;
        assert_eq!(seen.unwrap().sequence, None, "{between}");
    }
    let fire = |name| Fire::case(workflow("order"), case("o-1"), transition(name));
    let packed = petrel.fire(fire("pack")).await.unwrap();
    assert_eq!(fired(&packed.record.value), ["pack"]);
    let billed = petrel_at(server.url()).await.fire(fire("bill")).await.unwrap();
    assert_eq!(fired(&billed.record.value), ["bill", "join", "send"]);
    assert_eq!(billed.case.status, CaseStatus::Completed);
    for petrel in [&petrel, &petrel_at(server.url()).await] {
        assert_eq!(places(petrel, &case("o-1")).await, ["sent"]);
        let read = petrel.case(&workflow("order"), &case("o-1")).await.unwrap();
        assert_eq!(*read, *billed.case);
        let page = Page { first: 100, after: None };
        let history = petrel.history(&workflow("order"), &case("o-1"), page).await.unwrap();
        assert_eq!(history.items.len(), 3, "one record a change");
        let sent = petrel.token(None, &billed.tokens[0].id, Default::default()).await.unwrap();
        assert_eq!(sent.place, place("sent"));
        let passed: Vec<_> = sent.history.iter().map(|of| of.transition.to_string()).collect();
        assert_eq!(passed, ["join", "send"]);
        assert!(sent.history.iter().all(|of| of.sequence == Some(billed.record.sequence)));
    }
}

#[tokio::test]
async fn a_repeated_request_is_answered_with_the_first_whatever_followed_it() {
    let (server, petrel) = system().await;
    begun(&petrel, "o-1", json!({"amount": 5})).await;
    let other = petrel_at(server.url()).await;
    let pack = |by: &str| Fire {
        change: id(by),
        ..Fire::case(workflow("order"), case("o-1"), transition("pack"))
    };
    let both = join_all([&petrel, &other].map(|petrel| petrel.fire(pack("p-1")))).await;
    let both: Vec<_> = both.into_iter().map(Result::unwrap).collect();
    assert_eq!(both[0].record.sequence, both[1].record.sequence);
    let bill = Fire {
        change: id("b-1"),
        ..Fire::case(workflow("order"), case("o-1"), transition("bill"))
    };
    let first = petrel.fire(bill.clone()).await.unwrap();
    for petrel in [&petrel, &other, &petrel_at(server.url()).await] {
        let again = petrel.fire(bill.clone()).await.unwrap();
        assert!(again.repeated);
        assert_eq!(again.record.sequence, first.record.sequence);
        assert_eq!(fired(&again.record.value), ["bill", "join", "send"]);
    }
}

/// The token that the case began with is gone with the record, and still says if it is the same case.
#[tokio::test]
async fn a_case_that_went_on_at_once_is_begun_once() {
    let (server, petrel) = system().await;
    let first = begun(&petrel, "o-1", json!({"amount": 5, "who": "a"})).await;
    for petrel in [&petrel, &petrel_at(server.url()).await] {
        let again = begun(petrel, "o-1", json!({"who": "a", "amount": 5})).await;
        assert!(again.repeated);
        assert_eq!(again.record.sequence, first.record.sequence);
        for data in [json!({"amount": 6, "who": "a"}), json!({"amount": 5})] {
            let new = NewCase { case: Some(case("o-1")), data, ..NewCase::of(workflow("order")) };
            let error = petrel.create_case(new).await.unwrap_err();
            assert!(matches!(error, Error::IdTaken { kind: "case", .. }), "{error}");
        }
    }
    let large = begun(&petrel, "o-2", json!({"amount": 5_000})).await;
    assert_eq!(fired(&large.record.value), ["hold"]);
    assert_eq!(large.tokens[0].data, json!({"amount": 5_000, "held": true}));
    assert!(begun(&petrel, "o-2", json!({"amount": 5_000})).await.repeated);
}

#[tokio::test]
async fn nobody_fires_what_fires_by_itself() {
    let (_server, petrel) = system().await;
    begun(&petrel, "o-1", json!({"amount": 5_000})).await;
    let fire = Fire::case(workflow("order"), case("o-1"), transition("split"));
    let error = petrel.fire(fire).await.unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, Error::InvalidArgument { .. }), "{said}");
    assert!(said.contains("split fires by itself"), "{said}");
}

/// Each of two processes changes the same cases, with and without ids; one is paused in between.
#[tokio::test]
async fn two_processes_take_turns_in_cases_that_run_by_themselves() {
    let (server, one) = system().await;
    let other = petrel_at(server.url()).await;
    for number in 0..10 {
        let name = format!("o-{number}");
        let large = number % 2 == 0;
        let amount = if large { 5_000 } else { 5 };
        let (first, second) = if number % 3 == 0 { (&one, &other) } else { (&other, &one) };
        begun(first, &name, json!({"amount": amount})).await;
        let fire = |step: &str| Fire::case(workflow("order"), case(&name), transition(step));
        if large {
            second.pause(&workflow("order"), &case(&name), Change::default()).await.unwrap();
            first.fire(fire("approve")).await.unwrap_err();
            second.resume(&workflow("order"), &case(&name), id("again")).await.unwrap();
            let approved = first.fire(fire("approve")).await.unwrap();
            assert_eq!(fired(&approved.record.value), ["approve", "split"]);
        }
        let pack = Fire { change: id("pack"), ..fire("pack") };
        let (packed, billed) = tokio::join!(first.fire(pack.clone()), second.fire(fire("bill")));
        let (packed, billed) = (packed.unwrap(), billed.unwrap());
        let joined = [&packed, &billed].map(|of| of.record.value.cascade.len());
        assert_eq!(joined.iter().sum::<usize>(), 2, "{name}: the later one is followed");
        assert!(second.fire(pack).await.unwrap().repeated);
        assert_eq!(places(first, &case(&name)).await, ["sent"]);
        let read = first.case(&workflow("order"), &case(&name)).await.unwrap();
        assert_eq!(read.status, CaseStatus::Completed);
    }
}

/// A token that somebody adds, or changes, sets off what it makes possible; not while the case is
/// paused, and then with the resume.
#[tokio::test]
async fn what_is_held_back_by_a_pause_follows_the_resume() {
    let (_server, petrel) = system().await;
    let held = begun(&petrel, "o-1", json!({"amount": 5_000})).await;
    let (of, name) = (workflow("order"), case("o-1"));
    petrel.pause(&of, &name, Change::default()).await.unwrap();
    let added = stormpetrel::petrel::NewToken {
        workflow: of.clone(),
        case: name.clone(),
        place: Some(place("accepted")),
        data: json!({"extra": true}),
        metadata: Default::default(),
        change: Change::default(),
    };
    let added = petrel.create_token(added).await.unwrap();
    assert!(added.record.value.cascade.is_empty());
    assert_eq!(places(&petrel, &name).await, ["accepted", "waits"]);
    let resumed = petrel.resume(&of, &name, Change::default()).await.unwrap();
    assert_eq!(fired(&resumed.record.value), ["split"]);
    assert_eq!(places(&petrel, &name).await, ["to_bill", "to_pack", "waits"]);
    assert_eq!(held.tokens[0].place, place("waits"));
    petrel.create_workflow(order(), ExpectedVersion::Any).await.unwrap();
}

/// A case may come to its end in the record that begins it, and with many tokens.
#[tokio::test]
async fn a_case_that_ends_as_it_begins_is_listed_as_completed() {
    let (server, petrel) = system().await;
    let through = crate::support::definition(json!({
        "id": "through", "initial_place": "a", "max_cascade": 200,
        "places": [{"id": "a"}, {"id": "b"}, {"id": "c"}, {"id": "d"}],
        "transitions": [
            {"id": "spread", "inputs": [{"place": "a"}], "outputs": [{"place": "b", "weight": 50}],
             "auto": true},
            {"id": "one", "from_places": ["b"], "to_place": "c", "auto": true},
            {"id": "two", "from_places": ["c"], "to_place": "d", "auto": true}
        ]
    }));
    petrel.create_workflow(through, ExpectedVersion::Any).await.unwrap();
    let new = NewCase { case: Some(case("k")), ..NewCase::of(workflow("through")) };
    let begun = petrel.create_case(new).await.unwrap();
    assert_eq!(begun.case.status, CaseStatus::Completed);
    assert_eq!(begun.record.value.cascade.len(), 101);
    petrel.index_cases().await.unwrap();
    let page = Page { first: 10, after: None };
    let ended =
        petrel.cases(&workflow("through"), Some(CaseStatus::Completed), page).await.unwrap();
    assert_eq!(ended.cases.items.len(), 1);
    // So many tokens are read from the view where the record vouches for them.
    let other = petrel_at(server.url()).await;
    let read = other.case(&workflow("through"), &case("k")).await.unwrap();
    assert_eq!(*read, *begun.case);
    assert_eq!(other.rebuild(&|_, _| {}).await.unwrap().mended, 0);
}

/// An edit that sets something off is the same edit when it is repeated, and its answer is its token.
#[tokio::test]
async fn an_edit_that_sets_something_off_is_repeated_and_answered_as_itself() {
    let (server, petrel) = system().await;
    let gate = crate::support::definition(json!({
        "id": "gate", "initial_place": "a",
        "places": [{"id": "a"}, {"id": "b"}, {"id": "seen"}, {"id": "end"}],
        "transitions": [
            {"id": "see", "inputs": [{"place": "a", "kind": "read"}, {"place": "b"}], "auto": true,
             "outputs": [{"place": "seen"}], "conditions": ["tokens[1].data.open == true"]},
            {"id": "pass", "from_places": ["a"], "to_place": "end", "auto": true,
             "conditions": ["token.data.go == true"]},
            {"id": "end", "from_places": ["seen"], "to_place": "end"},
            {"id": "to_b", "from_places": ["a"], "to_place": "b"}
        ]
    }));
    petrel.create_workflow(gate, ExpectedVersion::Any).await.unwrap();
    let data = json!({"open": false, "go": false});
    let new =
        NewCase { case: Some(case("k")), data: data.clone(), ..NewCase::of(workflow("gate")) };
    let begun = petrel.create_case(new).await.unwrap();
    let other = stormpetrel::petrel::NewToken {
        workflow: workflow("gate"),
        case: case("k"),
        place: Some(place("b")),
        data,
        metadata: Default::default(),
        change: Change::default(),
    };
    petrel.create_token(other).await.unwrap();
    let token = begun.tokens[0].id.clone();
    // It stays where it is, and another one moves; then it moves on itself.
    for (name, patch, steps, at) in [
        ("e-1", json!({"open": true}), ["see"], "a"),
        ("e-2", json!({"go": true}), ["pass"], "end"),
    ] {
        let edit = async |petrel: &stormpetrel::petrel::Petrel| {
            petrel.update_token_data(None, &token, patch.clone(), id(name)).await
        };
        let first = edit(&petrel).await.unwrap();
        assert_eq!(fired(&first.record.value), steps);
        assert_eq!(first.record.value.edited[0].token, token);
        assert_eq!(first.case.tokens[&token].place, place(at));
        for petrel in [&petrel, &petrel_at(server.url()).await] {
            let again = edit(petrel).await.unwrap();
            assert!(again.repeated, "{name}");
            assert_eq!(again.record.sequence, first.record.sequence);
            let otherwise = petrel.update_token_data(None, &token, json!({"x": 1}), id(name)).await;
            assert!(matches!(otherwise, Err(Error::IdTaken { .. })), "{otherwise:?}");
        }
    }
    let fresh = petrel_at(server.url()).await;
    assert_eq!(super::audited::findings(&fresh).await, Vec::<String>::new());
    assert_eq!(fresh.rebuild(&|_, _| {}).await.unwrap().mended, 0);
}
