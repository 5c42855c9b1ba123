//! Steps: their results, attempts and limits.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::fixture::{Crash, World, code, words};
use crate::{
    durable::{Context, environment::Environment},
    models::{EntryKind, Failure, OperationEnd, Retry},
    storage::MemoryStorage,
    worker::WorkError,
};

type Handled = Result<Value, WorkError>;

/// The times and the failures of a journal's entries about operations.
async fn tried(world: &World) -> Vec<(u64, Option<String>)> {
    let entries = world.entries().await.into_iter();
    let tried = entries.filter_map(|entry| match entry.what {
        EntryKind::Ended { times, end: OperationEnd::Result(_), .. } => Some((times.attempt, None)),
        EntryKind::Ended { times, end: OperationEnd::Error(failure), .. }
        | EntryKind::Tried { times, failure, .. } => Some((times.attempt, Some(failure.code))),
        _ => None,
    });
    tried.collect()
}

fn failed(attempt: u64, code: &str) -> (u64, Option<String>) {
    (attempt, Some(code.to_owned()))
}

/// A step that fails so often before it has a result.
async fn fails(ctx: Context, world: World, times: usize, retry: Retry) -> Handled {
    let run = || {
        let world = world.clone();
        async move {
            world.does("try");
            let tries = world.count();
            if tries <= times { Err(WorkError::new("DOWN", "later")) } else { Ok(tries) }
        }
    };
    Ok(json!(ctx.step("flaky", run).retry(&retry).await?))
}

#[tokio::test]
async fn a_step_that_fails_is_tried_again_as_its_policy_says() {
    let world = World::default();
    let begun = world.now();
    let policy = || Retry { attempts: Some(3), jitter: Some(false), ..Retry::default() };
    let ended = world.run(Crash::Never, |ctx, world| fails(ctx, world, 2, policy())).await;
    assert_eq!(ended.unwrap().unwrap(), json!(3));
    assert_eq!(tried(&world).await, [failed(1, "DOWN"), failed(2, "DOWN"), (3, None)]);
    assert_eq!(world.now() - begun, TimeDelta::seconds(3), "one second and then two");
}

#[tokio::test]
async fn attempts_that_failed_count_in_other_runs_and_waits_are_no_attempts() {
    let world = World::default();
    let policy = || Retry { attempts: Some(3), ..Retry::default() };
    // It ends before the third attempt has its result, and before that while it waits for it.
    let run = |crash| world.run(crash, |ctx, world| fails(ctx, world, 9, policy()));
    assert!(run(Crash::After(2)).await.is_none());
    assert_eq!(code(run(Crash::Never).await), "DOWN");
    assert_eq!(tried(&world).await, [failed(1, "DOWN"), failed(2, "DOWN"), failed(3, "DOWN")]);
    assert_eq!(world.effects().len(), 3);
    assert_eq!(code(run(Crash::Never).await), "DOWN");
    assert_eq!(world.effects().len(), 0, "nothing more is tried");
}

#[tokio::test]
async fn a_failure_that_says_to_come_again_in_two_thousand_years_is_the_last_one() {
    let world = World::that_lets_go();
    let handler = |ctx: Context, world: World| async move {
        let fails = || {
            world.does("tried");
            let never = "4026-01-01T00:00:00Z".parse().unwrap();
            async move { Err::<i32, _>(WorkError::new("DOWN", "no").not_before(never)) }
        };
        Ok(json!(ctx.step("fails", fails).await?))
    };
    assert_eq!(code(world.run(Crash::Never, handler).await), "DOWN");
    assert_eq!(world.effects(), ["tried"]);
}

#[tokio::test]
async fn what_is_final_is_not_tried_again_and_a_named_time_is_waited_for() {
    let world = World::default();
    let refused = |ctx: Context, world: World| async move {
        let run = || async {
            world.does("no");
            Err::<(), _>(WorkError::new("NO_STOCK", "none"))
        };
        let except = Retry { except: vec!["NO_STOCK".to_owned()], ..Retry::default() };
        let error = ctx.step("reserve", run).retry(&except).await.unwrap_err();
        assert_eq!((error.name(), error.attempts()), ("reserve", 1));
        Err(error.into())
    };
    let ended = world.run(Crash::Never, refused).await.unwrap().unwrap_err().into_failure();
    assert_eq!((ended.code.as_str(), ended.is_final), ("NO_STOCK", true));
    assert_eq!(ended.message, r#"step "reserve" at 1 failed (NO_STOCK): none"#);
    assert_eq!(world.effects(), ["no"]);
    let world = World::default();
    let (begun, due) = (world.now(), world.now() + TimeDelta::seconds(10));
    let later = |ctx: Context, world: World| async move {
        let run = || async {
            match world.now() < due {
                true => Err(WorkError::new("BUSY", "in 10 s").not_before(due)),
                false => Ok(()),
            }
        };
        ctx.step("ask", run).await?;
        Ok(Value::Null)
    };
    world.run(Crash::Never, later).await.unwrap().unwrap();
    assert_eq!(world.now() - begun, TimeDelta::seconds(10));
}

#[tokio::test]
async fn values_that_are_easily_taken_for_others_come_back_as_they_were() {
    let deep = (0..60).fold(json!(1), |inner, _| json!([inner]));
    let values = [
        json!(null),
        json!(""),
        json!([]),
        json!({}),
        json!(0),
        json!(9_223_372_036_854_775_809u64),
        json!(-0.0),
        json!(1e-320),
        json!("🦀\u{2028}"),
        json!({"z": 1, "a": {"c": 2, "b": 3}}),
        deep,
    ];
    let world = World::default();
    let all = |ctx: Context, _| {
        let values = &values;
        async move {
            let mut found = Vec::new();
            for value in values {
                found.push(ctx.step("v", || async { Ok::<_, WorkError>(value.clone()) }).await?);
            }
            Ok(json!([found, ctx.is_replaying()]))
        }
    };
    let first = world.run(Crash::Never, all).await.unwrap().unwrap();
    let again = world.run(Crash::Never, all).await.unwrap().unwrap();
    assert_eq!(first, json!([values, false]));
    assert_eq!(first.to_string(), again.to_string());
}

#[tokio::test]
async fn results_that_can_not_be_stored_are_failures_with_the_reason() {
    let world = World::on(MemoryStorage::with_max_message(2_000));
    let of = |ctx: Context, _| async move {
        let large = ctx.step("large", || async { Ok::<_, WorkError>("x".repeat(3_000)) }).await;
        let nan = ctx.step("nan", || async { Ok::<_, WorkError>([f64::NAN]) }).await.unwrap_err();
        let fits = ctx.step("fits", || async { Ok::<_, WorkError>("x".repeat(1_000)) }).await?;
        let large = large.unwrap_err();
        Ok(json!([large.code(), large.message(), nan.code(), nan.message(), fits.len()]))
    };
    let first = world.run(Crash::Never, of).await.unwrap().unwrap();
    assert_eq!(first[0], "RESULT_TOO_LARGE");
    assert!(first[1].as_str().unwrap().contains("a message has 2000 at most"), "{first}");
    assert_eq!(first[2], "RESULT_REFUSED");
    assert!(first[3].as_str().unwrap().contains("NaN is no number that JSON has"), "{first}");
    assert_eq!(first[4], 1_000);
    assert_eq!(world.run(Crash::Never, of).await.unwrap().unwrap(), first);
}

#[tokio::test]
async fn a_step_that_panics_has_failed_and_says_where() {
    let world = World::default();
    let of = |ctx: Context, _| async move {
        let run = || async {
            if true {
                panic!("out of paper")
            }
            Ok::<_, WorkError>(())
        };
        let once = Retry { attempts: Some(1), ..Retry::default() };
        let error = ctx.step("print", run).retry(&once).await.unwrap_err();
        let place = error.failure().stack.clone().unwrap_or_default();
        Ok(json!([error.code(), error.message(), place.contains("steps.rs:")]))
    };
    let ended = world.run(Crash::Never, of).await.unwrap().unwrap();
    assert_eq!(ended, json!(["PANIC", "out of paper", true]));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_is_dropped_and_tried_again() {
    let world = World::default();
    let of = |ctx: Context, world: World| async move {
        let run = || {
            world.does("try");
            let long = world.count() == 1;
            async move {
                tokio::time::sleep(Duration::from_secs(if long { 10 } else { 1 })).await;
                Ok::<_, WorkError>(long)
            }
        };
        Ok(json!(ctx.step("slow", run).timeout(Duration::from_secs(2)).await?))
    };
    assert_eq!(world.run(Crash::Never, of).await.unwrap().unwrap(), json!(false));
    assert_eq!(tried(&world).await, [failed(1, Failure::TIMEOUT), (2, None)]);
}

#[tokio::test]
async fn what_is_carried_out_at_most_once_is_never_repeated() {
    for is_each in [false, true] {
        let world = World::default();
        let of = |ctx: Context, world: World| async move {
            let step = ctx.step("pay", || async {
                world.does("pay");
                Ok::<_, WorkError>(7)
            });
            let step = if is_each { step.each_attempt_at_most_once() } else { step.at_most_once() };
            Ok(json!(step.await?))
        };
        // Before the note that it begins, it has not begun.
        assert!(world.run(Crash::Before(1), of).await.is_none());
        assert_eq!(world.effects(), Vec::<String>::new());
        // After that nobody knows.
        assert!(world.run(Crash::Before(2), of).await.is_none());
        assert_eq!(world.effects(), ["pay"]);
        for _ in 0..3 {
            let ended = world.run(Crash::Never, of).await;
            assert_eq!(code(ended.clone()), "OUTCOME_UNKNOWN");
            assert!(words(ended).contains(r#"in attempt 2 at step "pay" at 1"#), "{is_each}");
        }
        assert_eq!(world.effects(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_failure_of_what_is_carried_out_at_most_once_is_the_end_or_another_attempt() {
    for (is_each, attempts) in [(false, 1), (true, 3)] {
        let world = World::default();
        let of = |ctx: Context, world: World| async move {
            let run = || async {
                world.does("pay");
                Err::<(), _>(WorkError::new("NO", ""))
            };
            let step = ctx.step("pay", run);
            let step = if is_each { step.each_attempt_at_most_once() } else { step.at_most_once() };
            let error = step.await.unwrap_err();
            Ok(json!([error.code(), error.attempts()]))
        };
        let ended = world.run(Crash::Never, of).await.unwrap().unwrap();
        assert_eq!(ended, json!(["NO", attempts]));
        assert_eq!(world.effects().len(), attempts);
        assert_eq!(world.run(Crash::Never, of).await.unwrap().unwrap(), ended);
    }
}

#[tokio::test]
async fn an_earlier_claim_is_refused_at_its_next_entry_and_ends_there() {
    let world = World::default();
    // The same journal: another claim of it begins in the middle.
    let other = World::on(world.store.clone());
    let of = |ctx: Context, world: World| {
        let other = &other;
        async move {
            ctx.step("one", || async {
                world.does("one");
                Ok::<_, WorkError>(1)
            })
            .await?;
            let of = |ctx: Context, world: World| async move {
                let does = |name: &'static str| {
                    let world = world.clone();
                    move || {
                        let world = world.clone();
                        async move {
                            world.does(name);
                            Ok::<_, WorkError>(1)
                        }
                    }
                };
                ctx.step("one", does("one")).await?;
                ctx.step("two", does("two")).await?;
                Ok(json!("other"))
            };
            // It has a later claim.
            assert!(other.run(Crash::Never, of).await.unwrap().is_ok());
            ctx.step("two", || async {
                world.does("two");
                Ok::<_, WorkError>(1)
            })
            .await?;
            world.does("three");
            Ok(json!("ours"))
        }
    };
    // Its claims are beyond ours.
    other.run(Crash::Before(0), |_, _| async { Ok(Value::Null) }).await;
    other.run(Crash::Before(0), |_, _| async { Ok(Value::Null) }).await;
    let ended = world.run(Crash::Never, of).await;
    assert_eq!(code(ended), "LEASE_LOST");
    assert_eq!(world.effects(), ["one", "two"], "nothing after the refused entry");
    assert_eq!(other.effects(), ["two"]);
    assert_eq!(world.ends().await.len(), 2, "each result once");
}

/// Another run may not carry the step out, so that all after it would be otherwise.
#[tokio::test]
async fn a_step_that_uses_the_context_ends_the_run_before_its_effect() {
    let uses: [fn(&Context); 4] = [
        |ctx| assert_ne!(ctx.random(), 0),
        |ctx| drop(ctx.now()),
        |ctx| drop(ctx.scope("s")),
        |ctx| drop(ctx.step("inner", || async { Ok::<_, WorkError>(()) })),
    ];
    for (number, uses) in uses.into_iter().enumerate() {
        let world = World::default();
        let of = |ctx: Context, world: World| async move {
            let run = || async {
                uses(&ctx);
                world.does("effect");
                Ok::<_, WorkError>(())
            };
            ctx.step("outer", run).await?;
            Ok(Value::Null)
        };
        assert_eq!(code(world.run(Crash::Never, of).await), "CONTEXT_IN_STEP", "{number}");
        assert_eq!(world.effects(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn nothing_begins_once_the_attempt_is_to_stop_and_what_has_run_is_stored() {
    let world = World::default();
    let of = |ctx: Context, world: World| async move {
        let stops = || async {
            world.does("one");
            world.stop();
            Ok::<_, WorkError>(1)
        };
        ctx.step("one", stops).await?;
        ctx.step("two", || async {
            world.does("two");
            Ok::<_, WorkError>(2)
        })
        .await?;
        Ok(Value::Null)
    };
    let ended = world.run(Crash::Never, of).await.unwrap().unwrap_err().into_failure();
    assert_eq!((ended.code.as_str(), ended.is_final), ("STOPPED", false));
    assert_eq!((world.effects(), world.ends().await.len()), (vec!["one".to_owned()], 1));
}

#[tokio::test]
async fn names_that_an_entry_has_no_room_for_and_results_too_deep_to_be_read_are_refused() {
    let (world, long) = (World::default(), "n".repeat(5_000));
    let of = |ctx: Context, world: World| {
        let long = &long;
        async move {
            ctx.step(long, || async {
                world.does("it");
                Ok::<_, WorkError>(())
            })
            .await?;
            Ok(Value::Null)
        }
    };
    assert_eq!(code(world.run(Crash::Never, of).await), "NAME_REFUSED");
    let deep = (0..70).fold(json!(1), |inner, _| json!([inner]));
    let of = |ctx: Context, _| {
        let deep = &deep;
        async move { Ok(ctx.step("s", || async { Ok::<_, WorkError>(deep.clone()) }).await?) }
    };
    assert_eq!(code(World::default().run(Crash::Never, of).await), "RESULT_REFUSED");
    assert_eq!(world.effects(), Vec::<String>::new());
}

#[tokio::test]
async fn a_policy_that_is_none_is_refused_and_nothing_is_carried_out() {
    let world = World::default();
    let none = || Retry { attempts: Some(0), ..Retry::default() };
    let ended = world.run(Crash::Never, |ctx, world| fails(ctx, world, 0, none())).await;
    assert_eq!(code(ended.clone()), "RETRY_REFUSED");
    assert!(words(ended).contains("retry.attempts"));
    assert_eq!(world.effects(), Vec::<String>::new());
}
