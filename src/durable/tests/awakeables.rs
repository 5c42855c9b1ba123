//! Awakeables: answers that come before, in and after the wait.

use std::{future::IntoFuture, time::Duration};

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::fixture::{Crash, World, code};
use crate::{
    durable::{Context, OperationError, environment::Environment},
    models::{EntryKind, OperationEnd},
    worker::WorkError,
};

type Handled = Result<Value, WorkError>;

/// Waits for an answer, and then does a step.
async fn asks(ctx: Context, world: World) -> Handled {
    let answer: u64 = ctx.awakeable().await?;
    world.step(&ctx, "after", |_| Ok(())).await?;
    Ok(json!(answer))
}

/// Waits for an answer for an hour, and does a step then.
async fn asks_for_an_hour(ctx: Context, world: World) -> Handled {
    let answer = ctx.awakeable::<u64>().timeout(Duration::from_secs(3_600)).await;
    world.step(&ctx, "after", |_| Ok(())).await?;
    Ok(json!(answer.map_err(|error| error.code().to_owned())))
}

/// The kinds of a journal's entries.
async fn kinds(world: &World) -> Vec<&'static str> {
    let kind = |what: EntryKind| match what {
        EntryKind::Begun { .. } => "begun",
        EntryKind::Awaits { .. } => "awaits",
        EntryKind::Parked { .. } => "parked",
        EntryKind::Resolved { .. } => "resolved",
        EntryKind::Ended { .. } => "ended",
        _ => "other",
    };
    world.entries().await.into_iter().map(|entry| kind(entry.what)).collect()
}

#[tokio::test]
async fn a_handler_that_waits_for_an_answer_lets_its_worker_go_and_goes_on_with_it() {
    let world = World::default();
    assert!(world.run(Crash::Never, asks).await.is_none(), "it was let go");
    world.is_answered().await;
    assert_eq!(world.run(Crash::Never, asks).await.unwrap().unwrap(), json!(7));
    let wanted = ["begun", "awaits", "parked", "resolved", "begun", "ended"];
    assert_eq!(kinds(&world).await, wanted);
    let entries = world.entries().await;
    let lost = entries.iter().filter_map(|entry| match &entry.what {
        EntryKind::Ended { times, .. } => Some((times.attempt, times.lost)),
        _ => None,
    });
    assert_eq!(lost.collect::<Vec<_>>(), [(1, 0)], "no run was lost");
}

/// Answered just before each entry in turn: of the wait, and of the word that it lets the worker go.
#[tokio::test]
async fn an_answer_that_comes_while_the_wait_begins_is_taken_at_once() {
    for at in [1, 2] {
        let world = World::that_lets_go();
        assert_eq!(world.run(Crash::Meets(at), asks).await.unwrap().unwrap(), json!(7), "{at}");
        assert!(!kinds(&world).await.contains(&"parked"));
        assert_eq!(world.effects(), ["after"]);
    }
}

#[tokio::test]
async fn an_answer_before_the_wait_is_kept_for_it() {
    let world = World::that_lets_go();
    let handler = |ctx: Context, world: World| async move {
        let wait = ctx.awakeable::<u64>();
        let id = wait.id().to_owned();
        let told = ctx.step("tells", || {
            let (world, id) = (world.clone(), id.clone());
            async move {
                world.is_answered().await;
                Ok::<_, WorkError>(id)
            }
        });
        assert_eq!(told.await?, id);
        Ok(json!([wait.await?, id]))
    };
    let ended = world.run(Crash::Never, handler).await.unwrap().unwrap();
    assert_eq!(ended[0], json!(7));
    // The same id and the same answer in each other run.
    for _ in 0..3 {
        assert_eq!(world.run(Crash::Never, handler).await.unwrap().unwrap(), ended);
    }
    assert_eq!(kinds(&world).await[..3], ["begun", "resolved", "ended"]);
}

#[tokio::test]
async fn an_answer_while_another_branch_works_goes_on_beside_it() {
    let world = World::default();
    let handler = |ctx: Context, world: World| async move {
        let (waits, works) = (ctx.awakeable::<u64>(), ctx.scope("works"));
        let ctx = ctx.scope("waits");
        let goes_on = &tokio::sync::Notify::new();
        let waits = async {
            let answer = waits.await?;
            world.step(&ctx, "answered", |_| Ok(())).await?;
            goes_on.notify_one();
            Ok::<_, OperationError>(answer)
        };
        let works = works.step("works", || {
            // It ends when the other branch has gone on.
            let world = world.clone();
            async move {
                world.is_answered().await;
                goes_on.notified().await;
                Ok::<_, WorkError>(1)
            }
        });
        let (answer, worked) = tokio::join!(waits, works.into_future());
        Ok(json!([answer?, worked?]))
    };
    assert_eq!(world.run(Crash::Never, handler).await.unwrap().unwrap(), json!([7, 1]));
    assert_eq!(world.effects(), ["answered"]);
}

#[tokio::test]
async fn a_wait_without_an_answer_ends_at_its_time_and_what_comes_later_counts_for_nothing() {
    let world = World::that_lets_go();
    let due = world.now() + TimeDelta::hours(1);
    assert!(world.run(Crash::Never, asks_for_an_hour).await.is_none(), "it was let go");
    world.moves_on_to(due);
    let ended = world.run(Crash::Never, asks_for_an_hour).await.unwrap().unwrap();
    assert_eq!(ended, json!({ "Err": "TIMEOUT" }));
    world.is_answered().await;
    assert_eq!(world.run(Crash::Never, asks_for_an_hour).await.unwrap().unwrap(), ended);
    assert_eq!(world.effects(), ["after"]);
}

/// The answer is in the journal just before the word that the time is over: it counts.
#[tokio::test]
async fn an_answer_at_the_last_moment_counts() {
    let world = World::that_lets_go();
    let due = world.now() + TimeDelta::hours(1);
    assert!(world.run(Crash::Never, asks_for_an_hour).await.is_none(), "it was let go");
    world.moves_on_to(due);
    let ended = world.run(Crash::Meets(1), asks_for_an_hour).await.unwrap().unwrap();
    assert_eq!(ended, json!({ "Ok": 7 }));
    assert!(world.entries().await.iter().all(|entry| match &entry.what {
        EntryKind::Ended { end, .. } => matches!(end, OperationEnd::Result(_)),
        _ => true,
    }));
    assert_eq!(world.run(Crash::Never, asks_for_an_hour).await.unwrap().unwrap(), ended);
}

/// An answer that nobody waits for is no difference, whenever it comes.
#[tokio::test]
async fn an_answer_that_nobody_waits_for_is_no_difference() {
    let world = World::default();
    let handler = |ctx: Context, world: World| async move {
        drop(ctx.awakeable::<u64>());
        world.is_answered().await;
        world.step(&ctx, "does", |_| Ok(())).await?;
        Ok(json!("done"))
    };
    assert_eq!(world.run(Crash::Never, handler).await.unwrap().unwrap(), json!("done"));
    assert_eq!(world.run(Crash::Never, handler).await.unwrap().unwrap(), json!("done"));
}

/// Each claim but the last is lost in the wait: no answer is, and nothing is done twice.
#[tokio::test]
async fn an_answer_after_lost_runs_is_taken_once() {
    for crash in [Crash::Before(1), Crash::After(1), Crash::Before(2), Crash::After(2)] {
        let world = World::default();
        assert!(world.run(crash, asks).await.is_none());
        world.is_answered().await;
        for again in [Crash::After(0), Crash::Before(1)] {
            assert!(world.run(again, asks).await.is_none());
        }
        assert_eq!(world.run(Crash::Never, asks).await.unwrap().unwrap(), json!(7), "{crash:?}");
        assert_eq!(world.run(Crash::Never, asks).await.unwrap().unwrap(), json!(7));
    }
}

#[tokio::test]
async fn an_answer_of_another_type_is_no_answer_and_its_code_is_named() {
    let world = World::default();
    let handler = |ctx: Context, _: World| async move {
        let answer: String = ctx.awakeable().await?;
        Ok(json!(answer))
    };
    assert!(world.run(Crash::Never, handler).await.is_none());
    world.is_answered().await;
    assert_eq!(code(world.run(Crash::Never, handler).await), "NON_DETERMINISTIC");
}

#[tokio::test]
async fn a_wait_of_more_than_a_hundred_years_is_refused() {
    let world = World::default();
    let handler = |ctx: Context, _: World| async move {
        Ok(json!(ctx.awakeable::<u64>().timeout(Duration::MAX).await?))
    };
    assert_eq!(code(world.run(Crash::Never, handler).await), "WAIT_REFUSED");
}
