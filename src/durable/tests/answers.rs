//! Answers from outside at the worst moments: while a handler comes to rest, or its time is over, or it has failed.

use std::{future::IntoFuture, time::Duration};

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::fixture::{Crash, World, code};
use crate::{
    durable::{Context, environment::Environment},
    models::{EntryKind, Failure, OperationEnd},
    worker::WorkError,
};

type Handled = Result<Value, WorkError>;

fn rejected(code: &str) -> OperationEnd {
    OperationEnd::Error(Failure { code: code.to_owned(), ..Failure::default() })
}

async fn kinds(world: &World) -> Vec<String> {
    let text = |what: EntryKind| {
        let text = serde_json::to_value(&what).unwrap();
        format!("{}:{}", text["kind"].as_str().unwrap(), text["op"])
    };
    world.entries().await.into_iter().map(|entry| text(entry.what)).collect()
}

async fn asks(ctx: Context, _: World) -> Handled {
    Ok(json!(ctx.awakeable::<u64>().await?))
}

/// A look into the journal is on its way while the handler comes to rest: what it finds must not be left behind, in the
/// first run and in another one, whose wait is known.
#[tokio::test]
async fn an_answer_that_a_look_finds_while_the_handler_lets_its_worker_go() {
    for is_other in [false, true] {
        let world = World::that_lets_go();
        if is_other {
            assert!(world.run(Crash::Never, asks).await.is_none());
        }
        world.hears();
        // 0 is that of the opening.
        let ended = world.run(Crash::LooksLate(1), asks).await;
        let all = kinds(&world).await;
        assert!(all.iter().any(|kind| kind == "resolved:1"), "the trial tries nothing: {all:?}");
        let is_there = all.last().unwrap() == "resolved:1";
        assert!(ended.is_some() || is_there, "parked behind its answer: {all:?}");
    }
}

/// An answer that was taken while a branch's entry is on its way, and the time limit's entry stands in line behind it.
#[tokio::test]
async fn an_answer_is_in_the_journal_before_the_time_limit_is() {
    let world = World::that_lets_go();
    let handler = |ctx: Context, world: World| async move {
        let wait = ctx.awakeable::<u64>().timeout(Duration::from_secs(3_600));
        let (one, two) = (ctx.scope("one"), ctx.scope("two"));
        drop(one);
        let waits = async {
            let answer = wait.await;
            Ok::<_, WorkError>(answer.map_err(|error| error.code().to_owned()))
        };
        let works = async { Ok::<_, WorkError>(world.step(&two, "works", |_| Ok(())).await?) };
        // The time is over when the second run works.
        let (works, waits) = tokio::join!(works, waits);
        works?;
        Ok(json!(waits?))
    };
    let due = world.now() + TimeDelta::hours(2);
    // The first run is lost after it has begun to wait.
    assert!(world.run(Crash::After(1), handler).await.is_none());
    world.moves_on_to(due - TimeDelta::hours(1) - TimeDelta::seconds(1));
    let mover = world.clone();
    let handler = |ctx: Context, world: World| async move {
        let wait = ctx.awakeable::<u64>().timeout(Duration::from_secs(3_600));
        let (one, two) = (ctx.scope("one"), ctx.scope("two"));
        drop(one);
        let waits = async {
            let answer = wait.await;
            Ok::<_, WorkError>(answer.map_err(|error| error.code().to_owned()))
        };
        let mover = mover.clone();
        let works = async {
            let inside = move |_: &World| {
                mover.moves_on_to(due);
                Ok(())
            };
            Ok::<_, WorkError>(world.step(&two, "works", inside).await?)
        };
        let late = async {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            waits.await
        };
        let (works, waits) = tokio::join!(works, late);
        works?;
        Ok(json!(waits?))
    };
    let ended = world.run(Crash::Holds(1), handler).await;
    let all = kinds(&world).await;
    assert!(all.iter().any(|kind| kind == "resolved:1"), "the trial tries nothing: {all:?}");
    assert_eq!(ended.unwrap().unwrap(), json!({ "Ok": 7 }), "{all:?}");
}

async fn pays(ctx: Context, world: World) -> Handled {
    let wait = ctx.awakeable::<u64>();
    world.step(&ctx, "tells", |_| Ok(())).await?;
    let pay = || {
        world.does("pay");
        async { Err::<u64, _>(WorkError::new("DOWN", "no").without_retry()) }
    };
    let paid = ctx.step("pay", pay).await?;
    Ok(json!([wait.await?, paid]))
}

/// A step fails, and somebody answers what is not waited for yet: the retry repeats the step.
#[tokio::test]
async fn a_failed_step_is_repeated_though_an_answer_came_after_it() {
    let world = World::default();
    assert_eq!(code(world.run(Crash::Never, pays).await), "DOWN");
    assert_eq!(world.effects(), ["tells", "pay"]);
    world.is_answered().await;
    world.is_tried_again(true);
    assert_eq!(code(world.run(Crash::Never, pays).await), "DOWN");
    assert_eq!(world.effects(), ["pay"], "{:?}", kinds(&world).await);
}

/// Rejected while the step before the wait runs: the same.
#[tokio::test]
async fn one_that_was_rejected_before_the_wait_is_waited_for_anew() {
    let world = World::default();
    let handler = |ctx: Context, world: World| async move {
        let wait = ctx.awakeable::<u64>();
        let tell = || {
            let world = world.clone();
            async move {
                world.is_answered_with("", 1, rejected("NO")).await;
                Ok::<_, WorkError>(1)
            }
        };
        ctx.step("tells", tell).await?;
        Ok(json!(wait.await?))
    };
    assert_eq!(code(world.run(Crash::Never, handler).await), "NO");
    world.is_tried_again(true);
    let again = world.run(Crash::Never, handler).await;
    assert!(again.is_none(), "it waits anew: {:?} {again:?}", kinds(&world).await);
}

/// Rejected while a branch that had begun before goes on with its next step.
#[tokio::test]
async fn one_that_was_rejected_beside_a_branch_is_waited_for_anew() {
    let world = World::default();
    let handler = |ctx: Context, world: World| async move {
        let wait = ctx.awakeable::<u64>();
        let branch = ctx.scope("branch");
        let works = async {
            let reject = || {
                let world = world.clone();
                async move {
                    world.is_answered_with("", 1, rejected("NO")).await;
                    Ok::<_, WorkError>(1)
                }
            };
            branch.step("one", reject).await?;
            world.step(&branch, "two", |_| Ok(())).await?;
            Ok::<_, WorkError>(())
        };
        let (answer, works) = tokio::join!(wait.into_future(), works);
        works?;
        Ok(json!(answer?))
    };
    assert_eq!(code(world.run(Crash::Never, handler).await), "NO");
    world.is_tried_again(true);
    let again = world.run(Crash::Never, handler).await;
    assert!(again.is_none(), "it waits anew: {:?} {again:?}", kinds(&world).await);
}

/// A step that a `select` drops while its entry is on its way: the handler comes to its end all the same.
#[tokio::test]
async fn a_dropped_steps_own_entry_is_not_taken_for_somebody_elses() {
    let world = World::default();
    let handler = |ctx: Context, world: World| async move {
        let (a, b) = (ctx.scope("a"), ctx.scope("b"));
        {
            let step = a.step("dropped", || async { Ok::<_, WorkError>(1) }).into_future();
            let soon = async {
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                biased;
                _ = step => {}
                () = soon => {}
            }
        }
        world.step(&b, "after", |_| Ok(())).await?;
        Ok(json!(1))
    };
    let ended = world.run(Crash::Slow(1), handler).await;
    assert_eq!(ended.unwrap().unwrap(), json!(1), "{:?}", kinds(&world).await);
}
