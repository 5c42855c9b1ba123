//! Listings of cases by their status, as callers of several processes see them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;
use stormpetrel::{
    local_server::{LocalServerOptions, Store},
    models::{CaseId, CaseStatus, WorkflowDefinition},
    petrel::{Change, ExpectedVersion, Fire, Following, NewCase, Petrel},
    storage::{MemoryStorage, Page},
    testing::{FaultyStorage, TestServer},
};

use crate::support::{case, copy_folder, definition, petrel_at, system, transition, workflow};

const STATUSES: [CaseStatus; 4] =
    [CaseStatus::Running, CaseStatus::Paused, CaseStatus::Completed, CaseStatus::Cancelled];

fn loop_with_an_end() -> WorkflowDefinition {
    definition(json!({
        "id": "loop",
        "initial_place": "a",
        "places": [{"id": "a"}, {"id": "end"}],
        "transitions": [
            {"id": "tick", "from_places": ["a"], "to_place": "a"},
            {"id": "end", "from_places": ["a"], "to_place": "end"}
        ]
    }))
}

async fn create(petrel: &Petrel, id: &str) {
    let new = NewCase { case: Some(case(id)), ..NewCase::of(workflow("loop")) };
    petrel.create_case(new).await.unwrap();
}

/// All cases with a status, or all, three at a time.
async fn listed(petrel: &Petrel, status: Option<CaseStatus>) -> Vec<CaseId> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = Page { first: 3, after };
        let found = petrel.cases(&workflow("loop"), status, page).await.unwrap();
        let (end, has_next) = (found.end(), found.cases.has_next);
        let found = found.cases.into_items();
        assert!(found.iter().all(|case| status.is_none_or(|status| case.status == status)));
        all.extend(found.iter().map(|case| case.id.clone()));
        if !has_next {
            return all;
        }
        after = end;
    }
}

#[tokio::test]
async fn a_page_that_is_full_reads_no_more_cases() {
    let storage = FaultyStorage::new(Arc::new(MemoryStorage::new()));
    let petrel = Petrel::new(Arc::new(storage.clone()));
    petrel.create_workflow(loop_with_an_end(), ExpectedVersion::New).await.unwrap();
    for number in 0..200 {
        let new = NewCase {
            case: Some(case(&format!("c{number}"))),
            data: json!({ "text": "x".repeat(800_000) }),
            ..NewCase::of(workflow("loop"))
        };
        petrel.create_case(new).await.unwrap();
    }
    let workflow = workflow("loop");
    for status in [Some(CaseStatus::Running), None] {
        petrel.cases(&workflow, status, Page::default()).await.unwrap();
        let before = storage.log_reads();
        let page = Page { first: 1_000, after: None };
        let found = petrel.cases(&workflow, status, page).await.unwrap().cases;
        assert!(found.has_next && (5..20).contains(&found.items.len()), "{}", found.items.len());
        let reads = storage.log_reads() - before;
        assert!(reads < 100, "{reads} reads for {} cases", found.items.len());
    }
}

#[tokio::test]
async fn cases_are_listed_by_status_as_the_log_has_them_whoever_changed_them() {
    let (server, first) = system().await;
    let second = petrel_at(server.url()).await;
    first.create_workflow(loop_with_an_end(), ExpectedVersion::New).await.unwrap();
    let mut random = StdRng::seed_from_u64(18);
    let mut expected: Vec<(CaseId, CaseStatus)> = Vec::new();
    for turn in 0..200 {
        let change = Change::default();
        if turn < 8 || random.random_bool(0.1) {
            create(if turn % 2 == 0 { &first } else { &second }, &format!("k{turn}")).await;
            expected.push((case(&format!("k{turn}")), CaseStatus::Running));
        } else {
            let at = random.random_range(0..expected.len());
            let writer = if at % 2 == 0 { &first } else { &second };
            let (id, status) = &mut expected[at];
            let fire = |name| Fire::case(workflow("loop"), id.clone(), transition(name));
            let changed = match (*status, random.random_range(0..8)) {
                (CaseStatus::Running, 0..3) => writer.pause(&workflow("loop"), id, change).await,
                (CaseStatus::Running, 3) => writer.cancel(&workflow("loop"), id, change).await,
                (CaseStatus::Running, 4) => writer.fire(fire("end")).await,
                (CaseStatus::Running, _) => writer.fire(fire("tick")).await,
                (CaseStatus::Paused, _) => writer.resume(&workflow("loop"), id, change).await,
                _ => continue,
            };
            *status = changed.unwrap().case.status;
        }
        let reader = if random.random_bool(0.5) { &first } else { &second };
        let status = STATUSES[turn % 4];
        let of_status = |status| {
            let there = expected.iter().filter(move |(_, theirs)| *theirs == status);
            there.map(|(id, _)| id.clone()).collect::<Vec<_>>()
        };
        assert_eq!(listed(reader, Some(status)).await, of_status(status), "{status:?}");
    }
    let all: Vec<_> = expected.iter().map(|(id, _)| id.clone()).collect();
    let third = petrel_at(server.url()).await;
    for reader in [&first, &second, &third] {
        assert_eq!(listed(reader, None).await, all);
    }
    let counts = expected.iter().fold(BTreeMap::new(), |mut counts, (_, status)| {
        *counts.entry(status.as_str()).or_insert(0) += 1;
        counts
    });
    assert_eq!(counts.len(), 4, "each status must be there for this test: {counts:?}");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_hides_no_other_case_from_a_listing_by_status() {
    let (server, petrel) = system().await;
    petrel.create_workflow(loop_with_an_end(), ExpectedVersion::New).await.unwrap();
    for id in ["one", "two", "three"] {
        create(&petrel, id).await;
        petrel.pause(&workflow("loop"), &case(id), Change::default()).await.unwrap();
    }
    let raw = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let subject = "cb.workflows.loop.events.transitions.two";
    raw.publish(subject, "rubbish".into()).await.unwrap().await.unwrap();
    for reader in [&petrel, &petrel_at(server.url()).await] {
        assert_eq!(listed(reader, Some(CaseStatus::Paused)).await, [case("one"), case("three")]);
    }
    petrel.resume(&workflow("loop"), &case("three"), Change::default()).await.unwrap();
    assert_eq!(listed(&petrel, Some(CaseStatus::Paused)).await, [case("one")]);
}

#[tokio::test]
async fn however_a_case_begins_it_is_listed_once_by_the_log_and_by_the_index() {
    let (server, petrel) = system().await;
    petrel.create_workflow(loop_with_an_end(), ExpectedVersion::New).await.unwrap();
    let raw = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let log = raw.get_stream("CB_LOG").await.unwrap();
    let publish = async |subject: &str, payload: String| {
        let subject = format!("cb.workflows.loop.events.{subject}");
        raw.publish(subject, payload.into()).await.unwrap().await.unwrap();
    };
    create(&petrel, "first").await;
    let sequence = petrel.storage().last_sequence().await.unwrap().unwrap();
    let created = log.get_raw_message(sequence.get()).await.unwrap();
    let created = String::from_utf8(created.payload.to_vec()).unwrap();
    // A kind that this version does not know.
    let newer = created.replace("\"created\"", "\"begun\"").replace("first", "newer");
    publish("lifecycle.newer", newer).await;
    create(&petrel, "copied").await;
    // Nothing but rubbish, which is put aside.
    publish("transitions.aside", "rubbish".into()).await;
    let (id, aside) = (workflow("loop"), case("aside"));
    petrel.quarantine(&id, &aside, Following::Refuse, Change::default()).await.unwrap();
    // Another program's copies of what is there.
    for _ in 0..2 {
        publish("lifecycle.first", created.clone()).await;
        publish("lifecycle.copied", created.replace("first", "copied")).await;
    }
    create(&petrel, "last").await;
    let expected = ["first", "newer", "copied", "aside", "last"];
    for by_index in [false, true] {
        if by_index {
            petrel.index_cases().await.unwrap();
        }
        for first in [1, 2, 50] {
            let (mut all, mut page) = (Vec::new(), Page { first, after: None });
            loop {
                let found = petrel.cases(&id, None, page).await.unwrap();
                page.after = found.end();
                all.extend(found.cases.items.iter().map(|(at, case)| (*at, case.id.to_string())));
                all.extend(found.unreadable.iter().map(|(at, case)| (*at, case.to_string())));
                if !found.cases.has_next {
                    break;
                }
            }
            all.sort();
            let all: Vec<_> = all.into_iter().map(|(_, case)| case).collect();
            assert_eq!(all, expected, "{first} at a time, by index: {by_index}");
        }
    }
}

#[tokio::test]
async fn cases_of_which_nothing_can_be_read_take_as_much_of_a_page_as_others() {
    let (server, petrel) = system().await;
    petrel.create_workflow(loop_with_an_end(), ExpectedVersion::New).await.unwrap();
    let raw = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let mut expected = Vec::new();
    for number in 0..40 {
        let id = format!("n{number}");
        if number % 17 == 3 {
            create(&petrel, &id).await;
        } else {
            // Some by two messages, far apart.
            for id in [number, number / 2].map(|number| format!("n{number}")) {
                let subject = format!("cb.workflows.loop.events.lifecycle.{id}");
                if id == format!("n{number}") || number % 3 == 0 {
                    raw.publish(subject, "rubbish".into()).await.unwrap().await.unwrap();
                }
            }
        }
        expected.push(id);
    }
    for by_index in [false, true] {
        if by_index {
            petrel.index_cases().await.unwrap();
        }
        let (mut all, mut page) = (Vec::new(), Page { first: 7, after: None });
        loop {
            let found = petrel.cases(&workflow("loop"), None, page).await.unwrap();
            page.after = found.end();
            let readable = found.cases.items.iter().map(|(at, case)| (*at, case.id.clone()));
            let mut both: Vec<_> = readable.chain(found.unreadable).collect();
            both.sort();
            assert!(both.len() <= 7, "by index: {by_index}: {both:?}");
            all.extend(both.into_iter().map(|(_, case)| case.to_string()));
            if !found.cases.has_next {
                break;
            }
        }
        assert_eq!(all, expected, "by index: {by_index}");
    }
}

#[tokio::test]
async fn a_log_that_went_back_is_listed_as_it_is_then() {
    let folder = tempfile::tempdir().unwrap();
    let (data, kept) = (folder.path().join("data"), folder.path().join("kept"));
    let options =
        LocalServerOptions { store: Store::Kept(data.clone()), ..LocalServerOptions::default() };
    let mut server = TestServer::start_with(options).await;
    let petrel = petrel_at(server.url()).await;
    petrel.create_workflow(loop_with_an_end(), ExpectedVersion::New).await.unwrap();
    for id in ["one", "two"] {
        create(&petrel, id).await;
    }
    let paused = || listed(&petrel, Some(CaseStatus::Paused));
    petrel.pause(&workflow("loop"), &case("one"), Change::default()).await.unwrap();
    assert_eq!(paused().await, [case("one")]);
    server.kill().await;
    copy_folder(&data, &kept);
    server.restart().await;
    answers(&petrel).await;
    create(&petrel, "three").await;
    for id in ["two", "three"] {
        petrel.pause(&workflow("loop"), &case(id), Change::default()).await.unwrap();
    }
    assert_eq!(paused().await, [case("one"), case("two"), case("three")]);

    server.kill().await;
    std::fs::remove_dir_all(&data).unwrap();
    copy_folder(&kept, &data);
    server.restart().await;
    answers(&petrel).await;
    // As many records as there were, and others.
    let other = petrel_at(server.url()).await;
    for id in ["four", "five", "six"] {
        create(&other, id).await;
    }
    other.pause(&workflow("loop"), &case("five"), Change::default()).await.unwrap();
    assert_eq!(paused().await, [case("one"), case("five")]);
    let running = listed(&petrel, Some(CaseStatus::Running)).await;
    assert_eq!(running, [case("two"), case("four"), case("six")]);
}

/// Waits until the server is there again for this process.
async fn answers(petrel: &Petrel) {
    let begun = std::time::Instant::now();
    while let Err(error) = petrel.storage().last_sequence().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
