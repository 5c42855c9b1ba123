//! Branches side by side: all of them, the first, and enough of them.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use serde_json::{Value, json};

use super::fixture::{Crash, World, code};
use crate::{
    durable::{Context, OperationError},
    models::Retry,
    worker::WorkError,
};

type Handled = Result<Value, WorkError>;

fn no() -> WorkError {
    WorkError::new("NO", "no").without_retry()
}

/// A step that lets others go first some times, and fails if it is to.
async fn step(
    ctx: &Context,
    world: &World,
    (name, pauses, fails): (&str, usize, bool),
) -> Result<String, OperationError> {
    let does = || async move {
        world.does(name);
        for _ in 0..pauses {
            tokio::task::yield_now().await;
        }
        if fails { Err(no()) } else { Ok(name.to_owned()) }
    };
    ctx.step(name, does).await
}

#[tokio::test]
async fn results_are_in_the_order_of_the_items_whatever_ends_first() {
    let world = World::default();
    let handler = |ctx: Context, world: World| async move {
        let pauses = [("a", 9, false), ("b", 1, false), ("c", 5, false)];
        let world = &world;
        let all = ctx.map("each", pauses, |ctx, one| async move { step(&ctx, world, one).await });
        Ok(json!(all.await?))
    };
    let ended = world.run(Crash::Never, handler).await.unwrap().unwrap();
    assert_eq!(ended, json!(["a", "b", "c"]));
    let ends = world.ends().await;
    assert!(ends[0].starts_with(r#"step "b""#) && ends[2].starts_with(r#"step "a""#), "{ends:?}");
    assert_eq!(ends.len(), 3, "there is no entry of the map itself");
    world.effects();
    assert_eq!(world.run(Crash::Never, handler).await.unwrap().unwrap(), ended);
    assert_eq!(world.effects().len(), 0);
}

#[tokio::test]
async fn an_empty_list_has_an_empty_list_of_results_and_no_entry() {
    let world = World::default();
    let handler = |ctx: Context, _: World| async move {
        let none = Vec::<i32>::new();
        let all = ctx.map("each", none.clone(), |_, one| async move { Ok::<_, WorkError>(one) });
        let some = ctx.map("some", none, |_, one| async move { Ok::<_, WorkError>(one) });
        Ok(json!([all.await?, some.tolerate(1).await?]))
    };
    assert_eq!(world.run(Crash::Never, handler).await.unwrap().unwrap(), json!([[], []]));
    assert_eq!(world.entries().await.len(), 1);
}

#[tokio::test]
async fn never_more_than_so_many_run_at_once() {
    let world = World::default();
    let most = AtomicUsize::new(0);
    let handler = |ctx: Context, _: World| {
        let most = &most;
        async move {
            let now = &AtomicUsize::new(0);
            let each = |ctx: Context, number: u64| async move {
                let does = || async move {
                    most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                    for _ in 0..number % 7 {
                        tokio::task::yield_now().await;
                    }
                    now.fetch_sub(1, Ordering::Relaxed);
                    Ok::<_, WorkError>(number)
                };
                ctx.step("does", does).await
            };
            Ok(json!(ctx.map("each", 0..1_000, each).at_most(10).await?))
        }
    };
    let ended = world.run(Crash::Never, handler).await.unwrap().unwrap();
    assert_eq!(ended, json!((0..1_000).collect::<Vec<_>>()));
    assert_eq!(most.load(Ordering::Relaxed), 10);
}

/// The others come to their ends, and the handler has the error of the one that failed.
#[tokio::test]
async fn where_one_fails_the_others_end_and_a_retry_is_of_that_one_alone() {
    let world = World::default();
    let handler = |fails: bool| {
        move |ctx: Context, world: World| async move {
            let pauses = [("a", 9, false), ("b", 1, fails), ("c", 5, false)];
            let world = &world;
            let all =
                ctx.map("each", pauses, |ctx, one| async move { step(&ctx, world, one).await });
            Ok(json!(all.await?))
        }
    };
    assert_eq!(code(world.run(Crash::Never, handler(true)).await), "NO");
    assert_eq!(world.effects(), ["a", "b", "c"]);
    world.is_tried_again(true);
    let ended = world.run(Crash::Never, handler(false)).await.unwrap().unwrap();
    assert_eq!((ended, world.effects()), (json!(["a", "b", "c"]), vec!["b".to_owned()]));
}

/// The choice was made because of the failure, and is made anew without it.
#[tokio::test]
async fn a_failure_that_ended_the_others_is_tried_again_and_they_go_on() {
    let world = World::default();
    let handler = |fails: bool| {
        move |ctx: Context, world: World| async move {
            let pauses = [("a", 9, false), ("b", 1, fails), ("c", 5, false)];
            let world = &world;
            let each = |ctx: Context, one: (&'static str, usize, bool)| async move {
                step(&ctx, world, one).await?;
                step(&ctx, world, ("then", 0, false)).await
            };
            Ok(json!(ctx.map("each", pauses, each).tolerate(0).await?.len()))
        }
    };
    assert_eq!(code(world.run(Crash::Never, handler(true)).await), "NO");
    assert_eq!(world.effects(), ["a", "b", "c"]);
    world.is_tried_again(true);
    assert_eq!(world.run(Crash::Never, handler(false)).await.unwrap().unwrap(), json!(3));
    // Those that were dropped in a step did not end it.
    let mut done = world.effects();
    done.sort();
    assert_eq!(done, ["a", "b", "c", "then", "then", "then"]);
    assert_eq!(world.run(Crash::Never, handler(true)).await.unwrap().unwrap(), json!(3));
    assert_eq!(world.effects().len(), 0);
}

/// Five branches of which three are enough and one may fail: the places of those that count, or the codes.
async fn enough(ctx: Context, world: World, fails: [bool; 5]) -> Handled {
    let names = ["a", "b", "c", "d", "e"];
    let branches: Vec<_> = (0..5).map(|at| (names[at], 10 * at, fails[at])).collect();
    let world = &world;
    let all = ctx.map("each", branches, |ctx, one| async move { step(&ctx, world, one).await });
    let ended = match all.enough(3).tolerate(1).places().await {
        Ok(well) => json!(well.into_iter().map(|(place, _)| place).collect::<Vec<_>>()),
        Err(not) => {
            json!(not.failed.iter().map(|(at, of)| json!([at, of.code()])).collect::<Vec<_>>())
        }
    };
    step(&ctx, world, ("after", 0, false)).await?;
    Ok(ended)
}

#[tokio::test]
async fn enough_branches_end_it_at_once_and_too_many_failures_do() {
    for (fails, wanted) in [
        ([false; 5], json!([0, 1, 2])),
        ([false, true, false, false, false], json!([0, 2, 3])),
        ([true, false, true, false, false], json!([[0, "NO"], [2, "NO"]])),
    ] {
        let world = World::default();
        let handler = |ctx, world| enough(ctx, world, fails);
        let ended = world.run(Crash::Never, handler).await.unwrap().unwrap();
        assert_eq!(ended, wanted);
        world.effects();
        // It is the same in each other run, also where the others would end first.
        for _ in 0..3 {
            assert_eq!(world.run(Crash::Never, handler).await.unwrap().unwrap(), wanted);
        }
        assert_eq!(world.effects().len(), 0);
    }
}

/// A sleep and a step; which of them ends first is not the same in each run.
async fn races(ctx: Context, world: World, slow: usize) -> Handled {
    let world = &world;
    let first = ctx
        .select()
        .branch("a", |ctx| async move { step(&ctx, world, ("a", slow, false)).await })
        .branch("b", |ctx| async move {
            step(&ctx, world, ("b1", 3, false)).await?;
            step(&ctx, world, ("b2", 3, false)).await
        });
    let first = first.await?;
    Ok(json!([first, step(&ctx, world, ("after", 0, false)).await?]))
}

#[tokio::test]
async fn the_first_one_stays_the_first_whatever_ends_first_in_another_run() {
    for (slow, wanted) in [(0, "a"), (50, "b2")] {
        let world = World::default();
        let ended = world.run(Crash::Never, |ctx, world| races(ctx, world, slow)).await;
        assert_eq!(ended.unwrap().unwrap(), json!([wanted, "after"]));
        world.effects();
        for slow in [0, 50, 1, 7] {
            let again = world.run(Crash::Never, |ctx, world| races(ctx, world, slow)).await;
            assert_eq!(again.unwrap().unwrap(), json!([wanted, "after"]));
        }
        assert_eq!(world.effects().len(), 0, "nothing of the others is done again");
    }
}

#[tokio::test]
async fn a_choice_that_was_not_stored_is_made_anew_and_one_that_was_is_not() {
    for at in 0..8 {
        for crash in [Crash::Before(at), Crash::After(at), Crash::Unanswered(at)] {
            let world = World::default();
            let first = world.run(crash, |ctx, world| races(ctx, world, 0)).await;
            let ended = world.run(Crash::Never, |ctx, world| races(ctx, world, 50)).await;
            let ended = ended.unwrap().unwrap();
            if let Some(first) = first {
                assert_eq!(first.unwrap(), ended, "{crash:?}");
            }
            let again = world.run(Crash::Never, |ctx, world| races(ctx, world, 1)).await;
            assert_eq!(again.unwrap().unwrap(), ended, "{crash:?}");
        }
    }
}

/// An answer and a time limit: the worker is let go, and what is not taken is waited for by nobody.
#[tokio::test]
async fn a_select_of_an_answer_and_a_sleep_lets_its_worker_go() {
    let handler = |ctx: Context, world: World| async move {
        let world = &world;
        let waits = ctx.awakeable::<u64>();
        let first = ctx
            .select()
            .branch("answer", |_| async move { Ok::<_, WorkError>(json!(waits.await?)) })
            .branch("late", |ctx| async move {
                ctx.sleep(Duration::from_secs(3_600)).await;
                step(&ctx, world, ("gives up", 0, false)).await?;
                Ok(json!("late"))
            });
        first.await
    };
    let world = World::that_lets_go();
    assert!(world.run(Crash::Never, handler).await.is_none(), "it was let go, for an hour");
    let late = world.run_on(handler).await.unwrap();
    assert_eq!((late, world.effects()), (json!("late"), vec!["gives up".to_owned()]));
    world.is_answered().await;
    assert_eq!(world.run(Crash::Never, handler).await.unwrap().unwrap(), json!("late"));

    let world = World::that_lets_go();
    assert!(world.run(Crash::Never, handler).await.is_none());
    world.is_answered().await;
    let first = world.run(Crash::Never, handler).await.unwrap().unwrap();
    for _ in 0..20 {
        assert_eq!(world.run(Crash::Never, handler).await.unwrap().unwrap(), first);
    }
}

#[tokio::test]
async fn another_number_of_branches_is_a_difference() {
    let world = World::default();
    let handler = |count: usize| {
        move |ctx: Context, _: World| async move {
            let mut first = ctx.select();
            for number in 0..count {
                first = first.branch("one", move |_| async move { number });
            }
            Ok(json!(first.await))
        }
    };
    assert_eq!(world.run(Crash::Never, handler(2)).await.unwrap().unwrap(), json!(0));
    assert_eq!(code(world.run(Crash::Never, handler(3)).await), "NON_DETERMINISTIC");
}

/// Joins in branches of joins, ended at each entry.
async fn nested(ctx: Context, world: World) -> Handled {
    let world = &world;
    let outer = ctx.map("outer", 0..3_usize, |ctx, row| async move {
        let policy = Retry { attempts: Some(2), ..Retry::default() };
        let inner = ctx.map("inner", 0..3_usize, |ctx, column| async move {
            step(&ctx, world, ("cell", row + column, false)).await
        });
        let inner = inner.at_most(2).await?;
        let sum = ctx.step("sum", || async { Ok::<_, WorkError>(inner.len()) }).retry(&policy);
        Ok::<_, WorkError>(sum.await?)
    });
    Ok(json!(outer.await?))
}

#[tokio::test]
async fn numbers_stay_unique_in_joins_of_joins_that_are_ended_at_each_entry() {
    let whole = World::default();
    assert_eq!(whole.run(Crash::Never, nested).await.unwrap().unwrap(), json!([3, 3, 3]));
    let entries = whole.entries().await.len() as i64;
    for at in 0..entries {
        let world = World::default();
        let _ = world.run(Crash::After(at), nested).await;
        assert_eq!(world.run(Crash::Never, nested).await.unwrap().unwrap(), json!([3, 3, 3]));
        let mut ends = world.ends().await;
        ends.sort();
        let mut wanted = whole.ends().await;
        wanted.sort();
        assert_eq!(ends, wanted, "{at}");
    }
}
