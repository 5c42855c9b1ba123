//! Handlers that ended with an error, and are tried again because somebody says so.

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::fixture::{Crash, World, code};
use crate::{
    durable::{Context, OperationError},
    models::{EntryKind, Retry},
    worker::WorkError,
};

type Handled = Result<Value, WorkError>;

/// Two steps; the second fails as long as `fails`.
async fn two(ctx: Context, world: World, fails: bool) -> Handled {
    let note = |name: &'static str, fails: bool| {
        let world = world.clone();
        move || {
            world.does(name);
            async move { if fails { Err(WorkError::new("DOWN", "no")) } else { Ok(1) } }
        }
    };
    let policy = Retry { attempts: Some(2), ..Retry::default() };
    let first: i32 = ctx.step("first", note("first", false)).await?;
    let second: i32 = ctx.step("second", note("second", fails)).retry(&policy).await?;
    Ok(json!(first + second))
}

async fn failing(ctx: Context, world: World) -> Handled {
    two(ctx, world, true).await
}

async fn mended(ctx: Context, world: World) -> Handled {
    two(ctx, world, false).await
}

#[tokio::test]
async fn a_handler_that_is_tried_again_goes_on_at_the_step_that_failed() {
    let world = World::default();
    assert_eq!(code(world.run(Crash::Never, failing).await), "DOWN");
    assert_eq!(world.effects(), ["first", "second", "second"]);
    // The answer of that attempt was lost with its worker: nothing is tried again.
    assert_eq!(code(world.run(Crash::Never, mended).await), "DOWN");
    assert_eq!(world.effects().len(), 0);
    // Tried again, it has all its attempts again.
    world.is_tried_again(true);
    assert_eq!(code(world.run(Crash::Never, failing).await), "DOWN");
    assert_eq!(world.effects(), ["second", "second"]);
    assert_eq!(world.run(Crash::Never, mended).await.unwrap().unwrap(), json!(2));
    assert_eq!(world.effects(), ["second"]);
    let attempts = world.entries().await.into_iter().filter_map(|entry| match entry.what {
        EntryKind::Tried { times, .. } | EntryKind::Ended { times, .. } => Some(times.attempt),
        _ => None,
    });
    assert_eq!(attempts.collect::<Vec<_>>(), [1, 1, 2, 3, 4, 5]);
    world.is_tried_again(false);
    assert_eq!(world.run(Crash::Never, failing).await.unwrap().unwrap(), json!(2));
}

#[tokio::test]
async fn a_retry_whose_run_is_lost_stays_one() {
    for crash in [Crash::Before(1), Crash::After(1), Crash::Unanswered(1), Crash::Before(2)] {
        let world = World::default();
        assert_eq!(code(world.run(Crash::Never, failing).await), "DOWN");
        world.effects();
        world.is_tried_again(true);
        let ended = world.run(crash, mended).await;
        assert_eq!(ended.is_some(), matches!(crash, Crash::Unanswered(_)));
        // The word was stored, or is said by the next who has the item tried again.
        world.is_tried_again(matches!(crash, Crash::Before(1)));
        assert_eq!(world.run(Crash::Never, mended).await.unwrap().unwrap(), json!(2), "{crash:?}");
    }
}

/// Its steps about the error are not undone: the error stays, and so does its end.
#[tokio::test]
async fn an_error_after_which_more_was_done_stays() {
    let world = World::default();
    let handler = |ctx: Context, world: World| async move {
        let fails = || async { Err::<i32, _>(WorkError::new("NO", "no").without_retry()) };
        let error = ctx.step("fails", fails).await.unwrap_err();
        let undo = || async {
            world.does("undo");
            Ok::<_, WorkError>(())
        };
        ctx.step("undo", undo).await?;
        Err(error.into())
    };
    assert_eq!(code(world.run(Crash::Never, handler).await), "NO");
    world.is_tried_again(true);
    assert_eq!(code(world.run(Crash::Never, handler).await), "NO");
    assert_eq!(world.effects(), ["undo"]);
}

/// The undoing has its place before what failed: in a scope that was made before, as a step that was made before, or in
/// a scope that was used before.
#[tokio::test]
async fn what_was_undone_at_a_place_before_stays_undone() {
    for way in 0..3 {
        let world = World::default();
        let handler = |fails: bool| {
            move |ctx: Context, world: World| async move {
                let stock = ctx.scope("stock");
                let does = |of: &Context, name| world.step(of, name, |_| Ok(()));
                let made_before = does(&ctx, "release");
                if way == 2 {
                    does(&stock, "reserve").await?;
                }
                let no = move || Err(WorkError::new("NO", "no").without_retry());
                let charge = move |_: &World| if fails { no() } else { Ok(()) };
                if let Err(error) = world.step(&ctx, "charge", charge).await {
                    match way {
                        0 => made_before.await?,
                        _ => does(&stock, "release").await?,
                    };
                    return Err(error.into());
                }
                Ok(json!(does(&ctx, "send").await?))
            }
        };
        assert_eq!(code(world.run(Crash::Never, handler(true)).await), "NO");
        let done = world.effects();
        assert_eq!(done.last().unwrap(), "release");
        world.is_tried_again(true);
        assert_eq!(code(world.run(Crash::Never, handler(false)).await), "NO", "way {way}");
        assert_eq!(world.effects().len(), 0);
    }
}

/// A branch whose first step had not ended when another one failed is no word about the error, wherever its place is.
#[tokio::test]
async fn branches_that_were_under_way_go_on_beside_one_that_is_tried_again() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let world = World::default();
        let handler = |fails: bool| {
            move |ctx: Context, world: World| async move {
                let mut branches = Vec::new();
                for place in order {
                    let (scope, world) = (ctx.scope("branch"), world.clone());
                    branches.push(async move {
                        let no = move |_: &World| match fails && place == 1 {
                            true => Err(WorkError::new("NO", "no").without_retry()),
                            false => Ok(()),
                        };
                        world.step(&scope, ["a1", "b1", "c1"][place], no).await?;
                        world.step(&scope, ["a2", "b2", "c2"][place], |_| Ok(())).await
                    });
                }
                let all = futures::future::join_all(branches).await;
                Ok(json!(all.into_iter().collect::<Result<Vec<_>, _>>()?))
            }
        };
        assert_eq!(code(world.run(Crash::Never, handler(true)).await), "NO");
        world.effects();
        world.is_tried_again(true);
        world.run(Crash::Never, handler(false)).await.unwrap().unwrap();
        assert_eq!(world.effects(), ["b1", "b2"], "{order:?}");
    }
}

/// An error of its own, which no operation had, comes again in each run.
#[tokio::test]
async fn an_error_of_its_own_code_is_made_again() {
    let world = World::default();
    let handler = |fails: bool| {
        move |ctx: Context, _: World| async move {
            ctx.now().await;
            match fails {
                true => Err(WorkError::new("MINE", "no")),
                false => Ok(json!(1)),
            }
        }
    };
    assert_eq!(code(world.run(Crash::Never, handler(true)).await), "MINE");
    world.is_tried_again(true);
    assert_eq!(world.run(Crash::Never, handler(false)).await.unwrap().unwrap(), json!(1));
}

#[tokio::test]
async fn a_step_at_most_once_that_failed_is_tried_again_by_the_word_of_a_person() {
    for each in [false, true] {
        let world = World::default();
        let handler = |fails: bool| {
            move |ctx: Context, world: World| async move {
                let pay = || async {
                    world.does("pay");
                    if fails { Err(WorkError::new("NO", "no").without_retry()) } else { Ok(1) }
                };
                let step = ctx.step("pay", pay);
                let step =
                    if each { step.each_attempt_at_most_once() } else { step.at_most_once() };
                Ok(json!(step.await?))
            }
        };
        assert_eq!(code(world.run(Crash::Never, handler(true)).await), "NO");
        world.is_tried_again(true);
        assert_eq!(world.run(Crash::Never, handler(false)).await.unwrap().unwrap(), json!(1));
        assert_eq!(world.effects(), ["pay", "pay"]);
    }
}

/// A step that fails for good, if it does.
fn does(
    ctx: &Context,
    world: &World,
    name: &'static str,
    fails: bool,
) -> BoxFuture<'static, Result<String, OperationError>> {
    world.step(ctx, name, move |_| match fails {
        true => Err(WorkError::new("NO", "no").without_retry()),
        false => Ok(()),
    })
}

/// The step is in a scope of its own, and what undoes it outside, or in another scope.
#[tokio::test]
async fn what_was_undone_in_another_scope_stays_undone() {
    for inner in [false, true] {
        let world = World::default();
        let handler = |fails: bool| {
            move |ctx: Context, world: World| async move {
                does(&ctx, &world, "reserve", false).await?;
                let paid = does(&ctx.scope("pay"), &world, "charge", fails).await;
                if let Err(error) = paid {
                    let undo = if inner { ctx.scope("undo") } else { ctx.clone() };
                    does(&undo, &world, "release", false).await?;
                    return Err(error.into());
                }
                Ok(json!(does(&ctx, &world, "send", false).await?))
            }
        };
        assert_eq!(code(world.run(Crash::Never, handler(true)).await), "NO");
        world.is_tried_again(true);
        assert_eq!(code(world.run(Crash::Never, handler(false)).await), "NO");
        assert_eq!(world.effects(), ["reserve", "charge", "release"]);
    }
}

/// A branch that had begun before goes on after the other one has failed.
#[tokio::test]
async fn a_branch_that_failed_is_tried_again_beside_one_that_went_on() {
    let world = World::default();
    let handler = |fails: bool| {
        move |ctx: Context, world: World| async move {
            let (a, b) = (ctx.scope("a"), ctx.scope("b"));
            let one = async {
                does(&a, &world, "a1", false).await?;
                does(&a, &world, "a2", fails).await
            };
            let two = async {
                for name in ["b1", "b2", "b3", "b4"] {
                    does(&b, &world, name, false).await?;
                }
                does(&b, &world, "b5", false).await
            };
            let (one, two) = tokio::join!(one, two);
            Ok(json!([one?, two?]))
        }
    };
    assert_eq!(code(world.run(Crash::Never, handler(true)).await), "NO");
    let done = world.effects();
    assert_eq!(done.len(), 7, "{done:?}");
    world.is_tried_again(true);
    assert_eq!(
        world.run(Crash::Never, handler(false)).await.unwrap().unwrap(),
        json!(["a2", "b5"])
    );
    assert_eq!(world.effects(), ["a2"]);
}

/// Its worker shuts down, and the answer does not count: no person has said anything.
#[tokio::test]
async fn a_failure_under_a_stop_is_not_tried_again_without_a_word() {
    let world = World::default();
    let handler = |ctx: Context, world: World| async move {
        let fails = || async {
            world.does("tried");
            world.stop();
            Err::<i32, _>(WorkError::new("NO", "no").without_retry())
        };
        Ok(json!(ctx.step("fails", fails).await?))
    };
    assert_eq!(code(world.run(Crash::Never, handler).await), "STOPPED");
    let world = world.goes_on();
    world.is_tried_again(true);
    assert_eq!(code(world.run(Crash::Never, handler).await), "NO");
    assert_eq!(world.effects(), ["tried"]);
}
