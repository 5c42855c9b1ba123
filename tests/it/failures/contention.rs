//! Many want to change the same few cases.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use stormpetrel::{
    models::CaseId,
    petrel::{Error, Fire, Petrel},
    testing::TestServer,
};

use super::fixtures::{log_of, move_once, pendulum, swing, view_is_the_log};
use crate::support::{petrel_at, transition, workflow};

const TASKS: usize = 16;
const EACH: usize = 125;

async fn connections(server: &TestServer) -> Vec<Petrel> {
    futures::future::join_all((0..4).map(|_| petrel_at(server.url()))).await
}

async fn has_exactly(petrel: &Petrel, case: &CaseId, firings: usize) {
    let workflow = workflow("pendulum");
    let log = log_of(petrel, &workflow, case).await;
    assert_eq!(log.len(), firings + 1, "records of {case}");
    let head = petrel.case(&workflow, case).await.unwrap();
    let token = head.live_tokens().next().unwrap();
    assert_eq!(token.data["n"], json!(firings), "the count in the head of {case}");
    let mut ids: Vec<_> = log.iter().map(|record| &record.value.firing).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), log.len(), "each firing id once in {case}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_firings_of_sixteen_tasks_on_four_connections_are_counted_exactly() {
    let server = TestServer::start().await;
    let connections = connections(&server).await;
    pendulum(&connections[0]).await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(swing(&connections[0], name).await.0);
    }
    let tasks = (0..TASKS).map(|task| {
        let (petrel, ids) = (connections[task % 4].clone(), ids.clone());
        tokio::spawn(async move {
            for turn in 0..EACH {
                move_once(&petrel, &ids[(task + turn) % 3], &format!("{task}-{turn}")).await;
            }
        })
    });
    for ended in futures::future::join_all(tasks.collect::<Vec<_>>()).await {
        ended.unwrap();
    }
    let asked = |case: usize| {
        let turns = (0..TASKS).flat_map(|task| (0..EACH).map(move |turn| (task + turn) % 3));
        turns.filter(|hit| *hit == case).count()
    };
    assert_eq!((0..3).map(asked).sum::<usize>(), 2_000);
    for (number, id) in ids.iter().enumerate() {
        has_exactly(&connections[0], id, asked(number)).await;
    }
    let view = view_is_the_log(&connections[0]).await.unwrap();
    let counted: u64 = view.values().map(|token| token.data["n"].as_u64().unwrap()).sum();
    assert_eq!(counted, 2_000, "the count in the views");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_all_who_expect_the_same_revision_one_goes_through() {
    let server = TestServer::start().await;
    let connections = connections(&server).await;
    pendulum(&connections[0]).await;
    let (id, token) = swing(&connections[0], "a").await;
    let conflicts = AtomicUsize::new(0);
    let rivals = (0..TASKS).map(|task| {
        let (petrel, id, token, conflicts) = (&connections[task % 4], &id, &token, &conflicts);
        async move {
            let mut done = 0;
            while done < 15 {
                let seen = petrel.case(&workflow("pendulum"), id).await.unwrap();
                let name =
                    if seen.tokens[token].place.as_str() == "here" { "go" } else { "return" };
                let mut fire = Fire::token(token.clone(), transition(name));
                fire.change.expected_revision = Some(seen.revision());
                match petrel.fire(fire).await {
                    Ok(changed) => {
                        assert_eq!(changed.record.value.previous, Some(seen.sequence));
                        done += 1;
                    }
                    Err(Error::Conflict { expected, .. }) => {
                        assert_eq!(expected, seen.revision());
                        conflicts.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
    });
    futures::future::join_all(rivals).await;
    has_exactly(&connections[0], &id, TASKS * 15).await;
    view_is_the_log(&connections[0]).await.unwrap();
    assert!(conflicts.into_inner() > 0, "without a conflict this test shows nothing");
}
