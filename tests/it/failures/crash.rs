//! A process is killed after an append and before its views.

use std::{
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};
use stormpetrel::models::LogSequence;

use serde_json::json;
use stormpetrel::{
    petrel::{Fire, NewCase},
    storage::{Consistency, Page, TokenScope},
    testing::TestServer,
};
use tokio::process::{Child, Command};

use super::fixtures::{
    Reconciler, connect, eventually, faulty, log_of, move_once, pendulum, swing, view_is_the_log,
};
use crate::support::{begin, case, config, orders, petrel_at, place, transition, workflow};

/// The reconciler lets three seconds pass; a busy machine gets as many again, and more.
const HEALED: Duration = Duration::from_secs(60);

fn draft() -> TokenScope {
    TokenScope { workflow: workflow("orders"), place: Some(place("draft")), case: None }
}

#[tokio::test]
async fn a_token_whose_views_were_never_written_is_found_at_once_and_healed_by_itself() {
    let server = TestServer::start().await;
    let (storage, dying) = faulty(server.url()).await;
    let (_, token) = begin(&dying, json!({})).await;
    storage.drop_views();
    let moved = dying.fire(Fire::token(token.clone(), transition("submit"))).await.unwrap();
    // A token that the view has never heard of.
    let (_, unseen) = begin(&dying, json!({})).await;
    drop(dying);

    let petrel = petrel_at(server.url()).await;
    let strong = petrel.token(None, &token, Consistency::Strong).await.unwrap();
    assert_eq!(
        (strong.place, strong.nats_sequence),
        (place("review"), Some(moved.record.sequence))
    );
    let found = petrel.token(None, &unseen, Consistency::Eventual).await.unwrap();
    assert_eq!(found.place, place("draft"));
    assert!(view_is_the_log(&petrel).await.is_err(), "the views must be wrong for this test");

    let _reconciler = Reconciler::of(&petrel);
    let begun = Instant::now();
    eventually("healed views", HEALED, async || view_is_the_log(&petrel).await).await;
    assert!(begun.elapsed() > Duration::from_secs(2), "its writer must have had its time");
    let healed = petrel.token(None, &token, Consistency::Eventual).await.unwrap();
    assert_eq!(healed.place, place("review"));
    let listed = petrel.tokens(&draft(), Page::default()).await.unwrap().into_items();
    assert_eq!(listed.iter().map(|token| &token.id).collect::<Vec<_>>(), [&unseen]);
}

#[tokio::test]
async fn a_register_that_others_write_all_the_time_is_looked_at_again() {
    let server = TestServer::start().await;
    let (lost, dying) = faulty(server.url()).await;
    begin(&dying, json!({})).await;
    let (storage, petrel) = faulty(server.url()).await;
    let _reconciler = Reconciler::of(&petrel);
    lost.drop_views();
    begin(&dying, json!({})).await;
    drop(dying);
    // More than it tries in one turn, as where a replica lags for long.
    storage.lose_view_races(40);
    eventually("healed views", HEALED, async || view_is_the_log(&petrel).await).await;
}

#[tokio::test]
async fn one_contended_case_is_looked_at_again_and_not_the_whole_view() {
    let server = TestServer::start().await;
    let (lost, dying) = faulty(server.url()).await;
    let (_, token) = begin(&dying, json!({})).await;
    lost.drop_views();
    dying.fire(Fire::token(token, transition("submit"))).await.unwrap();
    drop(dying);
    let (storage, petrel) = faulty(server.url()).await;
    // Some turns of the reconciler, in each of which it is tried several times.
    storage.lose_view_races(300);
    let _reconciler = Reconciler::of(&petrel);
    eventually("healed views", HEALED, async || view_is_the_log(&petrel).await).await;
    assert_eq!(storage.outline_reads(), 1);
}

#[tokio::test]
async fn a_reconciler_that_was_running_heals_what_another_process_left_behind() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    petrel.create_workflow(orders(), Default::default()).await.unwrap();
    let _reconciler = Reconciler::of(&petrel);
    let (storage, dying) = faulty(server.url()).await;
    storage.drop_views();
    for id in ["a", "b", "c"] {
        let new = NewCase { case: Some(case(id)), ..NewCase::of(workflow("orders")) };
        let begun = dying.create_case(new).await.unwrap();
        let token = begun.tokens[0].id.clone();
        dying.fire(Fire::token(token, transition("submit"))).await.unwrap();
    }
    drop(dying);
    assert!(view_is_the_log(&petrel).await.is_err());
    let healed = eventually("healed views", HEALED, async || view_is_the_log(&petrel).await).await;
    assert_eq!(healed.len(), 3);
}

#[tokio::test]
async fn a_writer_that_comes_late_overwrites_nothing() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    let (_, token) = begin(&petrel, json!({})).await;
    let (storage, slow) = faulty(server.url()).await;
    storage.hold_views();
    let late = tokio::spawn({
        let (slow, token) = (slow.clone(), token.clone());
        async move { slow.fire(Fire::token(token, transition("submit"))).await }
    });
    let held = tokio::time::timeout(Duration::from_secs(15), storage.until_views_held());
    held.await.expect("the append was made");
    // By the log it stands in review; somebody else moves it back to where the late one took it.
    petrel.fire(Fire::token(token.clone(), transition("reject"))).await.unwrap();
    storage.pass_views();
    late.await.unwrap().unwrap();
    view_is_the_log(&petrel).await.unwrap();
    let scope = TokenScope { place: None, ..draft() };
    let listed = petrel.tokens(&scope, Page::default()).await.unwrap().into_items();
    let places: Vec<_> = listed.iter().map(|token| token.place.clone()).collect();
    assert_eq!(places, [place("draft")]);
}

/// Child of the next test: it moves tokens as fast as it can until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a child process of another test"]
async fn child_that_moves_tokens_until_it_is_killed() {
    let Ok(url) = std::env::var("PETREL_TEST_CHILD_OF") else { return };
    let round = std::env::var("PETREL_TEST_ROUND").unwrap_or_default();
    let petrel = connect(config(url)).await;
    let movers = (0..16).map(|mover| {
        let (petrel, round) = (petrel.clone(), round.clone());
        tokio::spawn(async move {
            for turn in 0_u64.. {
                let id = case(&format!("case-{}", mover % 8));
                move_once(&petrel, &id, &format!("{round}-{mover}-{turn}")).await;
            }
        })
    });
    futures::future::join_all(movers.collect::<Vec<_>>()).await;
}

fn child(url: &str, round: usize) -> Child {
    let name = "failures::crash::child_that_moves_tokens_until_it_is_killed";
    Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--ignored", "--nocapture"])
        .env("PETREL_TEST_CHILD_OF", url)
        .env("PETREL_TEST_ROUND", format!("round{round}"))
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the test's own binary starts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_killed_in_mid_load_leave_views_that_heal_and_a_log_without_gaps() {
    let server = TestServer::start().await;
    let petrel = Arc::new(petrel_at(server.url()).await);
    pendulum(&petrel).await;
    for number in 0..8 {
        swing(&petrel, &format!("case-{number}")).await;
    }
    let _reconciler = Reconciler::of(&petrel);
    let mut left_behind = 0;
    for round in 0..6 {
        let before = petrel.storage().last_sequence().await.unwrap().map_or(0, LogSequence::get);
        let mut child = child(&server.url(), round);
        eventually("a load", Duration::from_secs(30), async || {
            let last = petrel.storage().last_sequence().await.unwrap().map_or(0, LogSequence::get);
            if last > before + 100 { Ok(()) } else { Err(format!("{} records", last - before)) }
        })
        .await;
        // SIGKILL, with up to sixteen changes under way.
        child.kill().await.unwrap();
        left_behind += usize::from(view_is_the_log(&petrel).await.is_err());
    }
    assert!(left_behind > 0, "no kill came between an append and its views");
    eventually("healed views", HEALED, async || view_is_the_log(&petrel).await).await;
    let mended = petrel.rebuild(&|_, _| ()).await.unwrap();
    assert_eq!((mended.mended, mended.failed), (0, 0), "views differ from a rebuild");
    for number in 0..8 {
        let id = case(&format!("case-{number}"));
        let log = log_of(&petrel, &workflow("pendulum"), &id).await;
        let head = petrel.case(&workflow("pendulum"), &id).await.unwrap();
        let token = head.live_tokens().next().unwrap();
        assert_eq!(token.data["n"], json!(log.len() - 1), "every firing counts once");
        let mut firings: Vec<_> = log.iter().map(|record| &record.value.firing).collect();
        firings.sort_unstable();
        firings.dedup();
        assert_eq!(firings.len(), log.len(), "no firing id is in the log twice");
    }
}
