//! The token view of what workers do: soon of what they did, at once of what a caller is answered.

use futures::TryStreamExt;
use stormpetrel::{
    engine::Answered,
    models::{Failure, TokenId},
    petrel::{Change, NewToken, StartWork},
    storage::{Consistency, MemoryStorage, ReadOptions, Register, Storage, TokenView},
};

use super::*;
use crate::{
    failures::fixtures::{faulty, view_is_the_log},
    support::{petrel_at, place, system},
};

fn later() -> Change {
    Change { views_later: true, ..Change::default() }
}

/// Begins an item and ends it, as a worker does.
async fn done(petrel: &Petrel, work: &WorkId) -> Changed {
    let claim = claimed(petrel, work).await;
    let answer = Answered { outcome: None, result: json!({}), hand_over: None };
    petrel.complete_work(work, Some(claim), answer, later()).await.unwrap()
}

async fn claimed(petrel: &Petrel, work: &WorkId) -> u64 {
    let (worker, lease) = ("w".to_owned(), Duration::from_secs(30));
    let start = StartWork { work: work.clone(), over: None, worker, lease, start: 1 };
    petrel.begin_work(start).await.unwrap().item.claim
}

/// The place that a token has in the view.
async fn viewed(petrel: &Petrel, token: &TokenId) -> Option<String> {
    let storage = petrel.storage();
    let found = storage.token(&workflow("steps"), token, ReadOptions::default()).await.unwrap();
    found.map(|token| token.place.to_string())
}

#[tokio::test]
async fn what_a_worker_did_is_in_the_log_at_once_and_in_the_view_soon() {
    let (server, petrel) = system().await;
    let other = petrel_at(server.url()).await;
    let token = begun(&petrel, &steps(6, json!({})), "a").await.tokens[0].id.clone();
    for number in 1..=5 {
        let of = [&petrel, &other][number as usize % 2];
        let changed = done(of, &item("steps", "a", number)).await;
        let at = place(&format!("p{number}"));
        for petrel in [&petrel, &other] {
            let now = petrel.case(&workflow("steps"), &case("a")).await.unwrap();
            assert_eq!((now.sequence, &now.tokens[&token].place), (changed.record.sequence, &at));
            let explained = petrel.explain(&workflow("steps"), &case("a")).await.unwrap();
            assert!(explained.items.iter().any(|item| item.number == number + 1));
            let records = history(petrel, "steps", &case("a")).await;
            assert_eq!(records.last().unwrap().sequence, changed.record.sequence);
            let strong = petrel.token(None, &token, Consistency::Strong).await.unwrap();
            assert_eq!((strong.place, strong.nats_sequence), (at.clone(), Some(now.sequence)));
        }
        // Nobody but the two writes views here.
        for petrel in [&petrel, &other] {
            eventually("the view", async || view_is_the_log(petrel).await.ok()).await;
            assert_eq!(viewed(petrel, &token).await, Some(at.to_string()));
        }
    }
    is_whole(&petrel).await;
}

/// In time that only passes when nobody has anything to do.
#[tokio::test(start_paused = true)]
async fn a_place_that_a_token_passes_in_a_moment_is_written_once() {
    let storage = Arc::new(MemoryStorage::new());
    let petrel = Petrel::new(Arc::clone(&storage) as Arc<dyn Storage>);
    begun(&petrel, &steps(6, json!({})), "a").await;
    for number in 1..=5 {
        done(&petrel, &item("steps", "a", number)).await;
    }
    petrel.close().await;
    let registers: Vec<_> = storage.registers().await.unwrap().try_collect().await.unwrap();
    let of = |register: Register| {
        (register.place.to_string(), register.sequence.map(|sequence| sequence.get()))
    };
    let mut registers: Vec<_> = registers.into_iter().map(of).collect();
    registers.sort();
    let written: Vec<_> = (0..=5).map(|at| (format!("p{at}"), Some(at + 2))).collect();
    assert_eq!(registers, written, "each place once after the beginning, in the order of writes");
}

/// A caller's change, and whatever people wait for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Next {
    Edit,
    Add,
    Pause,
    Cancel,
    End,
    Incident,
    Close,
    /// The last answer again, as where its own answer was lost.
    Again,
}

const NEXT: [Next; 8] = [
    Next::Edit,
    Next::Add,
    Next::Pause,
    Next::Cancel,
    Next::End,
    Next::Incident,
    Next::Close,
    Next::Again,
];

async fn go_on(petrel: &Petrel, id: &str, token: &TokenId, next: Next) {
    let (of, at, work) = (workflow("steps"), case(id), item("steps", id, 3));
    let answer = || Answered { outcome: None, result: json!({}), hand_over: None };
    match next {
        Next::Edit => {
            let edit = petrel.update_token_data(None, token, json!({"n": 1}), Change::default());
            edit.await.unwrap();
        }
        Next::Add => {
            let (data, metadata, change) = Default::default();
            let place = Some(place("p2"));
            let new = NewToken { workflow: of, case: at, place, data, metadata, change };
            petrel.create_token(new).await.unwrap();
        }
        Next::Pause => drop(petrel.pause(&of, &at, Change::default()).await.unwrap()),
        Next::Cancel => drop(petrel.cancel(&of, &at, Change::default()).await.unwrap()),
        Next::End => drop(done(petrel, &work).await),
        Next::Incident => {
            let claim = claimed(petrel, &work).await;
            let failure = Failure { code: "X".to_owned(), is_final: true, ..Failure::default() };
            petrel.fail_work(&work, Some(claim), failure, later()).await.unwrap();
        }
        Next::Close => petrel.close().await,
        Next::Again => {
            let work = item("steps", id, 2);
            let again = petrel.complete_work(&work, Some(1), answer(), Change::default()).await;
            assert!(again.unwrap().repeated);
        }
    }
}

#[tokio::test]
async fn what_a_caller_is_answered_is_in_the_view_with_what_workers_did_before() {
    let (server, first) = system().await;
    for (number, next) in NEXT.into_iter().enumerate() {
        let petrel = petrel_at(server.url()).await;
        let id = format!("c{number}");
        let token = begun(&petrel, &steps(3, json!({})), &id).await.tokens[0].id.clone();
        for number in 1..=2 {
            done(&petrel, &item("steps", &id, number)).await;
        }
        go_on(&petrel, &id, &token, next).await;
        view_is_the_log(&first).await.unwrap_or_else(|why| panic!("{next:?}: {why}"));
    }
    is_whole(&first).await;
}

#[tokio::test]
async fn views_that_a_worker_could_not_write_are_written_by_the_next_change() {
    let (server, first) = system().await;
    for (number, next) in NEXT.into_iter().filter(|next| *next != Next::Close).enumerate() {
        for by_another in [false, true] {
            let (storage, petrel) = faulty(server.url()).await;
            let id = format!("c{number}-{by_another}");
            let token = begun(&petrel, &steps(3, json!({})), &id).await.tokens[0].id.clone();
            storage.drop_views();
            for number in 1..=2 {
                done(&petrel, &item("steps", &id, number)).await;
            }
            let by = match by_another {
                true => petrel_at(server.url()).await,
                false => {
                    // It gives up, and keeps in mind what is not written.
                    let failed =
                        |text: &str| text.lines().any(|line| line == "petrel_views_failed_total 1");
                    eventually("a try that fails", async || {
                        failed(&petrel.metrics().render()).then_some(())
                    })
                    .await;
                    storage.pass_views();
                    petrel.clone()
                }
            };
            go_on(&by, &id, &token, next).await;
            // Another process says no word of what it did not have to look at.
            let is_told = by_another && next == Next::Again;
            if !is_told {
                view_is_the_log(&first)
                    .await
                    .unwrap_or_else(|why| panic!("{next:?}, {by_another}: {why}"));
            }
            storage.pass_views();
            petrel.close().await;
        }
    }
}

/// Workers with and without hand-over in two processes, and callers of both who edit what is worked on.
#[tokio::test]
async fn the_view_is_right_after_workers_and_callers_of_two_processes() {
    let (server, first) = system().await;
    let second = petrel_at(server.url()).await;
    let definition = steps(5, json!({}));
    let kinds = ["step0", "step1", "step2", "step3", "step4"];
    first.create_workflow(definition.clone(), ExpectedVersion::Any).await.unwrap();
    let (ledger, stop) = (Arc::<Ledger>::default(), CancellationToken::new());
    let handed = noting(&first, &kinds, &ledger, Duration::ZERO);
    let queued = noting(&second, &kinds, &ledger, Duration::from_millis(1)).without_hand_over();
    let workers: Vec<_> = [handed, queued]
        .map(|worker| {
            let (worker, stop) = (worker.build().unwrap(), stop.clone());
            tokio::spawn(async move { worker.run(stop).await.unwrap() })
        })
        .into();
    let case_of = async |number: usize| {
        let id = format!("c{number}");
        let petrel = [&first, &second][number % 2];
        let token = begun(petrel, &definition, &id).await.tokens[0].id.clone();
        for edit in 0..4 {
            let by = [&first, &second][(number + edit) % 2];
            let edited =
                by.update_token_data(None, &token, json!({ "n": edit }), Change::default());
            // The case may have ended.
            if let Ok(changed) = edited.await
                && let Some(seen) = viewed(by, &token).await
            {
                let places: Vec<_> = (0..6).map(|n| format!("p{n}")).collect();
                let at = |place: &String| places.iter().position(|known| known == place).unwrap();
                let answered = changed.tokens[0].place.to_string();
                assert!(at(&seen) >= at(&answered), "{id}: answered {answered}, seen {seen}");
            }
        }
        until(petrel, "steps", &id, CaseStatus::Completed).await;
    };
    futures::future::join_all((0..60).map(case_of)).await;
    stop.cancel();
    for worker in workers {
        worker.await.unwrap();
    }
    first.close().await;
    second.close().await;
    ledger.is_once_a_claim();
    view_is_the_log(&first).await.unwrap();
    is_whole(&first).await;
}

/// A worker's completion that moved a token, and then so many records of its that move none, none of which
/// has its views written.
#[tokio::test]
async fn a_caller_elsewhere_finds_what_lies_behind_records_that_move_nothing() {
    let (server, first) = system().await;
    let (storage, petrel) = faulty(server.url()).await;
    let mut tokens = vec![begun(&petrel, &steps(2, json!({})), "a").await.tokens[0].id.clone()];
    for _ in 0..6 {
        let (data, metadata, change) = Default::default();
        let (workflow, case, place) = (workflow("steps"), case("a"), Some(place("p0")));
        let new = NewToken { workflow, case, place, data, metadata, change };
        tokens.push(petrel.create_token(new).await.unwrap().tokens[0].id.clone());
    }
    storage.drop_views();
    done(&petrel, &item("steps", "a", 1)).await;
    for number in 2..=7 {
        claimed(&petrel, &item("steps", "a", number)).await;
    }
    let other = petrel_at(server.url()).await;
    let edit = other.update_token_data(None, &tokens[6], json!({"n": 1}), Change::default());
    edit.await.unwrap();
    view_is_the_log(&first).await.unwrap();
}
