//! Readers while tokens move.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use stormpetrel::{
    models::TokenId,
    petrel::{Fire, Petrel},
    storage::{Consistency, ListOptions, Page, ReadPath, StorageExt, TokenScope},
    testing::TestServer,
};

use super::fixtures::{Reconciler, move_once, pendulum, swing, view_is_the_log};
use crate::support::{petrel_at, place, transition, workflow};

/// Places that the lists have a token in.
async fn listed_in(petrel: &Petrel, token: &TokenId, path: ReadPath) -> Vec<&'static str> {
    let mut places = Vec::new();
    for name in ["here", "there"] {
        let scope =
            TokenScope { workflow: workflow("pendulum"), place: Some(place(name)), case: None };
        let page = Page { first: 1_000, after: None };
        let listed = petrel
            .storage()
            .tokens_in(&scope, ListOptions { page, path: Some(path) })
            .await
            .unwrap()
            .into_items();
        places.extend(listed.iter().filter(|listed| listed.id == *token).map(|_| name));
    }
    places
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_found_by_its_id_at_any_moment_while_several_processes_move_it() {
    let server = TestServer::start().await;
    let movers = [petrel_at(server.url()).await, petrel_at(server.url()).await];
    let reader = petrel_at(server.url()).await;
    let _reconcilers: Vec<_> = movers.iter().map(Reconciler::of).collect();
    pendulum(&reader).await;
    let mut tokens = Vec::new();
    for name in ["a", "b", "c"] {
        tokens.push(swing(&reader, name).await);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let tasks = (0..6).map(|task| {
        let (petrel, case) = (movers[task % 2].clone(), tokens[task % 3].0.clone());
        let stop = Arc::clone(&stop);
        tokio::spawn(async move {
            for turn in 0_u32.. {
                if stop.load(Ordering::Relaxed) {
                    return turn;
                }
                move_once(&petrel, &case, &format!("{task}-{turn}")).await;
            }
            unreachable!()
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let begun = std::time::Instant::now();
    let (mut reads, mut strong) = (0, vec![None; tokens.len()]);
    // Long enough for the reconciler, three seconds behind, to meddle.
    while begun.elapsed() < Duration::from_secs(5) {
        for (number, (_, token)) in tokens.iter().enumerate() {
            let seen = reader.token(None, token, Consistency::Eventual).await.unwrap();
            assert_eq!(seen.data["n"], json!(seen.history_total));
            let now = reader.token(None, token, Consistency::Strong).await.unwrap();
            assert!(now.nats_sequence >= strong[number], "a strong read went back in time");
            strong[number] = now.nats_sequence;
            reads += 1;
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut moves = 0;
    for task in tasks {
        moves += task.await.unwrap();
    }
    assert!(reads > 100 && moves > 300, "{reads} reads and {moves} moves show little");
    // Every call has returned: the views are right now, without waiting for anybody.
    view_is_the_log(&reader).await.unwrap();
    for (_, token) in &tokens {
        for path in [ReadPath::Direct, ReadPath::Consumer] {
            assert_eq!(listed_in(&reader, token, path).await.len(), 1, "{token} by {path:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_move_has_returned_the_token_is_in_one_list_while_the_reconciler_works() {
    let server = TestServer::start().await;
    let movers = [petrel_at(server.url()).await, petrel_at(server.url()).await];
    let reader = petrel_at(server.url()).await;
    // Its reconciler has written none of it itself, so it looks at everything.
    let _reconciler = Reconciler::of(&reader);
    pendulum(&reader).await;
    let (_, token) = swing(&reader, "a").await;
    let begun = std::time::Instant::now();
    for turn in 0.. {
        if begun.elapsed() > Duration::from_secs(6) {
            break;
        }
        let (name, to) = if turn % 2 == 0 { ("go", "there") } else { ("return", "here") };
        // Whose turn it is changes at another rate than where the token is.
        let mover = &movers[(turn / 3) % 2];
        mover.fire(Fire::token(token.clone(), transition(name))).await.unwrap();
        assert_eq!(listed_in(&reader, &token, ReadPath::Direct).await, [to], "turn {turn}");
        if turn % 16 == 0 {
            assert_eq!(listed_in(&reader, &token, ReadPath::Consumer).await, [to], "turn {turn}");
        }
        let seen = reader.token(None, &token, Consistency::Eventual).await.unwrap();
        assert_eq!((seen.place, seen.history_total), (place(to), turn as u64 + 1));
    }
    view_is_the_log(&reader).await.unwrap();
}
