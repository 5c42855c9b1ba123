//! Sleeps: the time that a first run sets, and workers that are let go.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::fixture::{Crash, World, code, words};
use crate::{
    durable::{Context, environment::Environment},
    models::{EntryKind, Retry},
    worker::WorkError,
};

type Handled = Result<Value, WorkError>;

const HOUR: Duration = Duration::from_secs(3_600);

async fn an_hour(ctx: Context, world: World) -> Handled {
    ctx.sleep(HOUR).await;
    world.does("woken");
    Ok(Value::Null)
}

/// The kinds of a journal's entries, and the times that they name.
async fn kinds(world: &World) -> Vec<(&'static str, Option<DateTime<Utc>>)> {
    let kind = |what: EntryKind| match what {
        EntryKind::Begun { .. } => ("begun", None),
        EntryKind::Waits { until, .. } => ("waits", Some(until)),
        EntryKind::Parked { until } => ("parked", until),
        EntryKind::Ended { .. } => ("ended", None),
        _ => ("other", None),
    };
    world.entries().await.into_iter().map(|entry| kind(entry.what)).collect()
}

#[tokio::test]
async fn a_long_sleep_lets_the_worker_go_and_ends_at_its_time() {
    let world = World::that_lets_go();
    let due = world.now() + TimeDelta::hours(1);
    assert!(world.run(Crash::Never, an_hour).await.is_none(), "it was put off");
    assert_eq!((world.now(), world.effects().len()), (due, 0));
    world.run(Crash::Never, an_hour).await.unwrap().unwrap();
    assert_eq!(world.effects(), ["woken"]);
    let wanted = [
        ("begun", None),
        ("waits", Some(due)),
        ("parked", Some(due)),
        ("begun", None),
        ("ended", None),
    ];
    assert_eq!(kinds(&world).await, wanted);
}

#[tokio::test]
async fn a_sleep_is_not_begun_anew_by_another_run() {
    let world = World::default();
    let due = world.now() + TimeDelta::hours(1);
    // It crashes in its sleep, of which 50 minutes are over.
    assert!(world.run(Crash::After(1), an_hour).await.is_none());
    world.sleep_until(due - TimeDelta::minutes(10)).await;
    world.run(Crash::Never, an_hour).await.unwrap().unwrap();
    assert_eq!(world.now(), due);
}

#[tokio::test]
async fn a_sleep_that_is_over_goes_on_at_once_and_has_an_entry() {
    let world = World::that_lets_go();
    let now = world.now();
    let handler = |ctx: Context, _| async move {
        ctx.sleep_until(now - TimeDelta::days(1)).await;
        ctx.sleep(Duration::ZERO).await;
        Ok(Value::Null)
    };
    world.run(Crash::Never, handler).await.unwrap().unwrap();
    assert_eq!(kinds(&world).await, [("begun", None), ("ended", None), ("ended", None)]);
}

#[tokio::test]
async fn a_worker_is_not_let_go_while_something_else_goes_on() {
    let world = World::that_lets_go();
    let handler = |ctx: Context, world: World| async move {
        let (sleeps, works) = (ctx.scope("sleeps"), ctx.scope("works"));
        let works = works.step("works", || async {
            for _ in 0..1_000 {
                tokio::task::yield_now().await;
            }
            world.does("worked");
            Ok::<_, WorkError>(1)
        });
        let (done, ()) = tokio::join!(works.into_future(), sleeps.sleep(HOUR));
        Ok(json!(done?))
    };
    assert!(world.run(Crash::Never, handler).await.is_none());
    assert_eq!(world.effects(), ["worked"]);
    assert_eq!(world.run(Crash::Never, handler).await.unwrap().unwrap(), json!(1));
    assert_eq!(world.effects().len(), 0);
}

/// One branch ends what another one waits for, in the same moment in which nothing else goes on.
#[tokio::test]
async fn a_worker_is_not_let_go_while_one_branch_wakes_another() {
    let world = World::that_lets_go();
    let handler = |ctx: Context, world: World| async move {
        let (tell, told) = tokio::sync::oneshot::channel();
        let (a, b, c) = (ctx.scope("a"), ctx.scope("b"), ctx.scope("c"));
        let waits = async {
            told.await.unwrap();
            world.does("told");
            a.now().await
        };
        let tells = async {
            let now = b.now().await;
            tell.send(()).unwrap();
            now
        };
        let (a, b, ()) = tokio::join!(waits, tells, c.sleep(HOUR));
        Ok(json!(a == b))
    };
    assert!(world.run(Crash::Never, handler).await.is_none());
    assert_eq!(world.effects(), ["told"]);
    assert_eq!(world.run(Crash::Never, handler).await.unwrap().unwrap(), json!(true));
}

#[tokio::test]
async fn a_wait_for_the_next_attempt_lets_the_worker_go_and_counts_none_as_lost() {
    let world = World::that_lets_go();
    let handler = |ctx: Context, world: World| async move {
        let fails = || async {
            world.does("tried");
            Err::<(), _>(WorkError::new("DOWN", "later"))
        };
        let policy =
            Retry { first: Some("1m".to_owned()), jitter: Some(false), ..Retry::default() };
        let error = ctx.step("flaky", fails).retry(&policy).await.unwrap_err();
        Ok(json!(error.attempts()))
    };
    let begun = world.now();
    assert_eq!(world.run_on(handler).await.unwrap(), json!(3));
    assert_eq!(world.effects().len(), 3);
    // The longest wait is a minute.
    assert_eq!(world.now() - begun, TimeDelta::minutes(2));
    let lost = world.entries().await.into_iter().map(|entry| match entry.what {
        EntryKind::Tried { times, .. } | EntryKind::Ended { times, .. } => times.lost,
        _ => 0,
    });
    assert_eq!(lost.sum::<u64>(), 0);
}

#[tokio::test]
async fn a_step_after_a_sleep_has_no_lost_attempt_and_one_that_was_lost_has() {
    let world = World::that_lets_go();
    let handler = |ctx: Context, world: World| async move {
        ctx.sleep(HOUR).await;
        let does = || async {
            world.does("done");
            Ok::<_, WorkError>(1)
        };
        Ok(json!(ctx.step("does", does).await?))
    };
    assert!(world.run(Crash::Never, handler).await.is_none());
    // It crashes in the step, and then before the first entry of another run.
    assert!(world.run(Crash::Before(2), handler).await.is_none());
    world.run(Crash::Never, handler).await.unwrap().unwrap();
    let last = world.entries().await.pop().unwrap();
    let EntryKind::Ended { times, .. } = last.what else { panic!("{last:?}") };
    assert_eq!((times.attempt, times.lost), (2, 1));
}

#[tokio::test]
async fn a_sleep_without_end_is_refused_and_a_step_in_its_place_differs() {
    for time in [Duration::MAX, Duration::from_micros(u64::MAX), 24 * 36_526 * HOUR] {
        let handler = |ctx: Context, _| async move {
            ctx.sleep(time).await;
            Ok(Value::Null)
        };
        let world = World::default();
        assert_eq!(code(world.run(Crash::Never, handler).await), "WAIT_REFUSED");
    }
    let world = World::that_lets_go();
    assert!(world.run(Crash::Never, an_hour).await.is_none());
    let other = |ctx: Context, _| async move {
        ctx.step("sleeps", || async { Ok::<_, WorkError>(1) }).await?;
        Ok(Value::Null)
    };
    let ended = world.run(Crash::Never, other).await;
    assert!(words(ended).contains("the journal has sleep \"\" at 1, and the code asks for step"));
}

/// A program with other code goes on after a long sleep.
#[tokio::test]
async fn code_after_a_sleep_may_change_meanwhile() {
    let world = World::that_lets_go();
    let month = |then: &'static str| {
        move |ctx: Context, world: World| async move {
            ctx.sleep(30 * 24 * HOUR).await;
            world.does(then);
            Ok(json!(then))
        }
    };
    assert!(world.run(Crash::Never, month("old")).await.is_none());
    assert_eq!(world.run(Crash::Never, month("new")).await.unwrap().unwrap(), json!("new"));
}

/// Two branches; the case is paused while the step of one runs.
#[tokio::test]
async fn a_pause_lets_what_runs_end_and_begins_nothing() {
    let world = World::default();
    let handler = |pauses: bool| {
        move |ctx: Context, world: World| async move {
            let (a, b) = (ctx.scope("a"), ctx.scope("b"));
            let does = |ctx: &Context, name, pauses: bool| {
                world.step(ctx, name, move |world| {
                    if pauses {
                        world.pauses(true);
                    }
                    Ok(())
                })
            };
            let one = async {
                does(&a, "a1", pauses).await?;
                does(&a, "a2", false).await
            };
            let two = async {
                does(&b, "b1", false).await?;
                does(&b, "b2", false).await
            };
            let (one, two) = tokio::join!(one, two);
            Ok(json!([one?, two?]))
        }
    };
    assert!(world.run(Crash::Never, handler(true)).await.is_none());
    // The branch that had begun when the other one paused is over, too.
    let done = world.effects();
    assert!(done == ["a1", "b1"] || done == ["a1"], "{done:?}");
    assert_eq!(kinds(&world).await.last(), Some(&("parked", None)));
    assert!(world.run(Crash::Never, handler(false)).await.is_none(), "it is still paused");
    assert_eq!(world.effects().len(), 0);
    world.pauses(false);
    let ended = world.run(Crash::Never, handler(false)).await.unwrap().unwrap();
    assert_eq!(ended, json!(["a2", "b2"]));
    let lost = world.entries().await.into_iter().map(|entry| match entry.what {
        EntryKind::Ended { times, .. } => times.lost,
        _ => 0,
    });
    assert_eq!(lost.sum::<u64>(), 0);
}

/// A branch that lets others go first is woken by the runtime after it was polled.
#[tokio::test]
async fn a_worker_is_not_let_go_while_a_branch_lets_others_go_first() {
    let world = World::that_lets_go();
    let handler = |ctx: Context, world: World| async move {
        let (works, sleeps) = (ctx.scope("works"), ctx.scope("sleeps"));
        let works = async {
            works.now().await;
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
            (0..1_000).for_each(|number| send.send(number).unwrap());
            drop(send);
            while receive.recv().await.is_some() {}
            world.does("worked");
            works.now().await
        };
        let (_, ()) = tokio::join!(works, sleeps.sleep(HOUR));
        Ok(Value::Null)
    };
    assert!(world.run(Crash::Never, handler).await.is_none());
    assert_eq!(world.effects(), ["worked"]);
}

/// A limit beside a step, which is dropped when the step has ended, and a sleep after it.
#[tokio::test]
async fn a_sleep_that_is_dropped_may_be_left_out_in_another_run() {
    let world = World::that_lets_go();
    let handler = |ctx: Context, world: World| async move {
        let (step, limit) = (ctx.scope("step"), ctx.scope("limit"));
        let works = step.step("works", || async {
            tokio::task::yield_now().await;
            world.does("worked");
            Ok::<_, WorkError>(1)
        });
        let done = tokio::select! {
            biased;
            done = works.into_future() => done?,
            () = limit.sleep(HOUR) => 0,
        };
        ctx.sleep(24 * HOUR).await;
        Ok(json!(done))
    };
    assert!(world.run(Crash::Never, handler).await.is_none());
    assert_eq!(world.run(Crash::Never, handler).await.unwrap().unwrap(), json!(1));
    assert_eq!(world.effects(), ["worked"]);
}

/// The case is resumed while a branch works: the other one goes on in another run, and does not wait for its end.
#[tokio::test]
async fn a_branch_that_met_a_pause_goes_on_after_the_present_step_of_the_other() {
    let world = World::default();
    let handler = |pauses: bool| {
        move |ctx: Context, world: World| async move {
            let (a, b) = (ctx.scope("a"), ctx.scope("b"));
            let does = |ctx: &Context, name: &'static str| {
                let world = world.clone();
                let step = ctx.step(name, move || {
                    let world = world.clone();
                    async move {
                        world.does(name);
                        if pauses && name == "b1" {
                            world.pauses(true);
                            for _ in 0..10 {
                                tokio::task::yield_now().await;
                            }
                            world.pauses(false);
                        }
                        Ok::<_, WorkError>(1)
                    }
                });
                step.into_future()
            };
            let two = async {
                does(&b, "b1").await?;
                does(&b, "b2").await
            };
            let one = async {
                a.now().await;
                does(&a, "a1").await
            };
            let (two, one) = tokio::join!(two, one);
            Ok(json!(one? + two?))
        }
    };
    assert!(world.run(Crash::Never, handler(true)).await.is_none(), "it was given back");
    assert!(!world.effects().contains(&"b2".to_owned()));
    assert_eq!(world.run(Crash::Never, handler(false)).await.unwrap().unwrap(), json!(2));
}
