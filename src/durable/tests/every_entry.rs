//! Handlers that are ended at every entry, and go on.

use std::{future::IntoFuture, time::Duration};

use chrono::DateTime;
use futures::future::{join_all, join3};
use serde_json::{Value, json};

use super::fixture::{Crash, World};
use crate::{
    durable::Context,
    models::{EntryKind, Retry},
    worker::WorkError,
};

type Handled = Result<Value, WorkError>;

async fn sequence(ctx: Context, world: World) -> Handled {
    let mut sum = 0;
    for number in 1..=5 {
        let world = world.clone();
        let add = || async {
            world.does(&format!("add {number}"));
            Ok::<_, WorkError>(sum + number)
        };
        sum = ctx.step("add", add).await?;
    }
    Ok(json!(sum))
}

async fn retried(ctx: Context, world: World) -> Handled {
    let flaky = || {
        let world = world.clone();
        async move {
            world.does("flaky");
            if world.count() < 3 {
                Err(WorkError::new("DOWN", "again"))
            } else {
                Ok(json!({"tries": "some"}))
            }
        }
    };
    let result =
        ctx.step("flaky", flaky).retry(&Retry { attempts: Some(50), ..Retry::default() }).await?;
    let world = world.clone();
    let after: Value = ctx
        .step("after", || async {
            world.does("after");
            Ok::<_, WorkError>(Value::Null)
        })
        .await?;
    Ok(json!([result, after]))
}

async fn caught(ctx: Context, world: World) -> Handled {
    let refuse = || async {
        world.does("refuse");
        Err::<(), _>(WorkError::new("NO", "never").without_retry())
    };
    let refused = ctx.step("refuse", refuse).await.unwrap_err();
    let undo = ctx.step("undo", || async {
        world.does("undo");
        Ok::<_, WorkError>(refused.code().to_owned())
    });
    Ok(json!([undo.await?, refused.attempts() > 0, refused.message()]))
}

async fn side_by_side(ctx: Context, world: World) -> Handled {
    let branch = |name: &'static str, pauses: usize| {
        let (ctx, world) = (ctx.scope(name), world.clone());
        async move {
            let mut all = Vec::new();
            for number in 0..3 {
                for _ in 0..pauses {
                    tokio::task::yield_now().await;
                }
                let does = || async {
                    world.does(&format!("{name} {number}"));
                    Ok::<_, WorkError>(number)
                };
                all.push(ctx.step("one", does).await?);
            }
            Ok::<_, WorkError>(all)
        }
    };
    let (a, b, c) = join3(branch("a", 3), branch("b", 1), branch("c", 2)).await;
    Ok(json!([a?, b?, c?]))
}

async fn many_at_once(ctx: Context, world: World) -> Handled {
    let steps = (0..70).map(|number| {
        let world = world.clone();
        ctx.step("one", move || {
            let world = world.clone();
            async move {
                world.does(&number.to_string());
                Ok::<_, WorkError>(number)
            }
        })
        .into_future()
    });
    let steps: Vec<_> = steps.collect();
    let all: Result<Vec<i32>, _> = join_all(steps).await.into_iter().collect();
    Ok(json!(all?))
}

async fn by_chance(ctx: Context, world: World) -> Handled {
    let times = [ctx.now().await, ctx.now().await];
    let (inner, number) = (ctx.scope("inner"), ctx.random());
    let step = ctx
        .step("s", || async {
            world.does("s");
            Ok::<_, WorkError>(number)
        })
        .await?;
    let ids = [ctx.uuid(), ctx.uuid(), inner.uuid()];
    assert!(ids[0] != ids[1] && ids[0] != ids[2], "{ids:?}");
    Ok(json!([times, step, ids, inner.random(), ctx.scope("inner").now().await]))
}

async fn sleeps(ctx: Context, world: World) -> Handled {
    let does = |ctx: &Context, name| world.step(ctx, name, |_| Ok(()));
    ctx.sleep(Duration::ZERO).await;
    ctx.sleep(Duration::from_secs(3_600)).await;
    let first = does(&ctx, "first").await?;
    let short = async {
        let ctx = ctx.scope("short");
        ctx.sleep(Duration::from_secs(60)).await;
        let one = does(&ctx, "short").await?;
        ctx.sleep(Duration::from_secs(86_400)).await;
        Ok::<_, WorkError>((one, does(&ctx, "later").await?))
    };
    let long = async {
        let ctx = ctx.scope("long");
        let one = does(&ctx, "long").await?;
        ctx.sleep(Duration::from_secs(7_200)).await;
        ctx.sleep_until(DateTime::UNIX_EPOCH).await;
        Ok::<_, WorkError>((one, does(&ctx, "longer").await?))
    };
    let (short, long) = tokio::join!(short, long);
    Ok(json!([first, short?, long?]))
}

/// Waits for an answer that another of its branches gives, an hour later.
async fn asks(ctx: Context, world: World) -> Handled {
    let wait = ctx.awakeable::<u64>();
    let after = ctx.scope("after");
    let waits = async {
        let answer = wait.await?;
        let done = world.step(&after, "answered", |_| Ok(())).await?;
        Ok::<_, WorkError>((answer, done))
    };
    let tells = async {
        let ctx = ctx.scope("tells");
        ctx.sleep(Duration::from_secs(3_600)).await;
        let tells = || async {
            world.does("tells");
            world.is_answered().await;
            Ok::<_, WorkError>(())
        };
        ctx.step("tells", tells).await?;
        Ok::<_, WorkError>(world.step(&ctx, "told", |_| Ok(())).await?)
    };
    let (waited, told) = tokio::join!(waits, tells);
    Ok(json!([waited?, told?]))
}

/// Waits for what never comes, in one branch, and goes on without it.
async fn asks_in_vain(ctx: Context, world: World) -> Handled {
    let waits = ctx.awakeable::<u64>().timeout(Duration::from_secs(60));
    let works = ctx.scope("works");
    let works = async {
        let one = world.step(&works, "one", |_| Ok(())).await?;
        works.sleep(Duration::from_secs(120)).await;
        Ok::<_, WorkError>((one, world.step(&works, "two", |_| Ok(())).await?))
    };
    let (waited, works) = tokio::join!(waits.into_future(), works);
    let code = waited.map_err(|error| error.code().to_owned());
    Ok(json!([code, works?, world.step(&ctx, "after", |_| Ok(())).await?]))
}

/// Ends a handler at each entry in each way and goes on, in worlds of a kind. Returns the number of these ends.
async fn at_every_entry<R>(
    world: fn() -> World,
    handler: impl Fn(Context, World) -> R + Copy,
) -> usize
where
    R: Future<Output = Handled>,
{
    let whole = world();
    let wanted = whole.run_on(handler).await.unwrap();
    let (wanted_ends, wanted_effects) = (whole.ends().await, whole.effects());
    let entries = whole.entries().await.len() as i64;
    let is_random = wanted_ends.iter().any(|end| end.starts_with("now"));
    let mut crashes = 0;
    for at in 0..entries {
        for crash in [Crash::Before(at), Crash::After(at), Crash::Unanswered(at)] {
            let world = world();
            // One that is put off has few entries in a run, and the crash may be in a later one.
            let (mut ended, mut before) = (None, 0);
            while ended.is_none() && before <= at {
                let here = match crash {
                    Crash::Before(_) => Crash::Before(at - before),
                    Crash::After(_) => Crash::After(at - before),
                    _ => Crash::Unanswered(at - before),
                };
                ended = world.run(here, handler).await;
                let there = world.entries().await.len() as i64;
                if there == before || there > at {
                    break;
                }
                before = there;
            }
            crashes += 1;
            // Each run that goes on is ended once more, at its own first entries.
            for next in [Crash::Before(1), Crash::After(1), Crash::Never] {
                if ended.is_none() {
                    ended = world.run(next, handler).await;
                }
            }
            let ended = match ended {
                Some(ended) => ended.unwrap(),
                None => world.run_on(handler).await.unwrap(),
            };
            let mut effects = world.effects();
            let replayed = world.run(Crash::Never, handler).await.unwrap().unwrap();
            assert_eq!(ended, replayed, "{crash:?}");
            assert_eq!(world.effects(), Vec::<String>::new(), "{crash:?}: done again");
            let mut ends = world.ends().await;
            if !is_random {
                assert_eq!(ended, wanted, "{crash:?}");
                // Side by side they end in any order.
                let mut wanted = wanted_ends.clone();
                wanted.sort();
                ends.sort();
                assert_eq!(ends, wanted, "{crash:?}");
            }
            assert_eq!(ends.len(), wanted_ends.len(), "{crash:?}");
            // Each effect happened.
            effects.sort();
            effects.dedup();
            let mut wanted_effects = wanted_effects.clone();
            wanted_effects.sort();
            wanted_effects.dedup();
            assert_eq!(effects, wanted_effects, "{crash:?}");
        }
    }
    crashes
}

#[tokio::test(start_paused = true)]
async fn handlers_that_are_ended_at_any_entry_go_on_to_the_same_end() {
    let mut crashes = 0;
    for world in [World::default, World::that_lets_go] {
        crashes += at_every_entry(world, sequence).await;
        crashes += at_every_entry(world, retried).await;
        crashes += at_every_entry(world, caught).await;
        crashes += at_every_entry(world, side_by_side).await;
        crashes += at_every_entry(world, many_at_once).await;
        crashes += at_every_entry(world, by_chance).await;
        crashes += at_every_entry(world, sleeps).await;
        crashes += at_every_entry(world, asks).await;
        crashes += at_every_entry(world, asks_in_vain).await;
    }
    assert!(crashes > 600, "{crashes}");
}

#[tokio::test]
async fn a_result_that_is_stored_is_not_made_again() {
    let world = World::default();
    let first = world.run(Crash::After(3), sequence).await;
    assert!(first.is_none());
    assert_eq!(world.effects(), ["add 1", "add 2", "add 3"]);
    let second = world.run(Crash::Never, sequence).await.unwrap().unwrap();
    assert_eq!(
        (second, world.effects()),
        (json!(15), vec!["add 4".to_owned(), "add 5".to_owned()])
    );
    for _ in 0..100 {
        assert_eq!(world.run(Crash::Never, sequence).await.unwrap().unwrap(), json!(15));
    }
    assert_eq!(world.effects(), Vec::<String>::new());
}

#[tokio::test]
async fn an_attempt_that_was_lost_is_counted_and_done_again() {
    let world = World::default();
    for _ in 0..2 {
        assert!(world.run(Crash::Before(1), sequence).await.is_none());
    }
    world.run(Crash::Never, sequence).await.unwrap().unwrap();
    assert_eq!(world.effects().iter().filter(|effect| *effect == "add 1").count(), 3);
    let entries = world.entries().await.into_iter();
    let times = entries.filter_map(|entry| match entry.what {
        EntryKind::Ended { times, .. } => Some((times.attempt, times.lost)),
        _ => None,
    });
    assert_eq!(times.collect::<Vec<_>>(), [(3, 2), (1, 0), (1, 0), (1, 0), (1, 0)]);
}

#[tokio::test]
async fn times_and_random_values_are_the_same_in_each_run_and_others_elsewhere() {
    let (world, other) = (World::default(), World::default());
    let first = world.run(Crash::Never, by_chance).await.unwrap().unwrap();
    for _ in 0..100 {
        assert_eq!(world.run(Crash::Never, by_chance).await.unwrap().unwrap(), first);
    }
    let others = other.run(Crash::Never, by_chance).await.unwrap().unwrap();
    assert_eq!(first[0], others[0], "the clocks stand still");
    for number in 1..4 {
        assert_ne!(first[number], others[number]);
    }
}
