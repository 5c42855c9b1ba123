//! Code that differs from its journal: nothing of it is carried out.

use serde_json::{Value, json};

use super::fixture::{Crash, World, code, words};
use crate::{
    durable::Context,
    models::{EntryKind, JournalEntry},
    worker::WorkError,
};

/// Carries out steps of these names, in this order; a name with a slash is in a scope.
async fn steps(ctx: Context, world: World, names: &[&str]) -> Result<Value, WorkError> {
    for name in names {
        let (ctx, step) = match name.split_once('/') {
            Some((scope, step)) => (ctx.scope(scope), step),
            None => (ctx.clone(), *name),
        };
        let _: Value = ctx
            .step(step, || async {
                world.does(name);
                Ok::<_, WorkError>(json!(name))
            })
            .await?;
    }
    Ok(json!(names.len()))
}

/// Runs code after other code was ended at the entry that follows these steps. Returns the failure's words.
async fn differs(before: &[&str], after: &[&str]) -> String {
    let (world, all) = (World::default(), [before, &["never"]].concat());
    let crash = Crash::Before(before.len() as i64 + 1);
    assert!(world.run(crash, |ctx, world| steps(ctx, world, &all)).await.is_none());
    world.effects();
    let entries = world.entries().await.len();
    let ended = world.run(Crash::Never, |ctx, world| steps(ctx, world, after)).await;
    assert_eq!(code(ended.clone()), "NON_DETERMINISTIC");
    assert_eq!(world.effects(), Vec::<String>::new(), "something was carried out");
    assert_eq!(world.entries().await.len(), entries + 1, "only that a claim has begun");
    // The old code goes on.
    world.run(Crash::Never, |ctx, world| steps(ctx, world, before)).await.unwrap().unwrap();
    words(ended)
}

#[tokio::test]
async fn code_that_differs_ends_at_the_first_difference_and_says_both_sides() {
    let renamed = differs(&["order", "pay"], &["order", "charge"]).await;
    assert!(
        renamed.contains(r#"has step "pay" at 2, and the code asks for step "charge" at 2"#),
        "{renamed}"
    );
    let order = differs(&["a", "b"], &["b", "a"]).await;
    assert!(order.contains(r#"has step "a" at 1, and the code asks for step "b" at 1"#), "{order}");
    let removed = differs(&["load", "process"], &["process"]).await;
    assert!(removed.contains(r#"step "load" at 1"#), "{removed}");
    let added = differs(&["a", "b"], &["a", "x", "b"]).await;
    assert!(added.contains(r#"has step "b" at 2, and the code asks for step "x" at 2"#), "{added}");
    let early = differs(&["a", "b", "c", "d", "e"], &["a", "b", "c"]).await;
    assert!(
        early.contains(r#"has 2 more operations; the first of them is step "d" at 4"#),
        "{early}"
    );
    let scoped = differs(&["lib/fetch", "other/fetch"], &["lib/fetch", "other/load"]).await;
    assert!(scoped.contains(r#"step "fetch" at 2:other/1"#), "{scoped}");
    assert!(scoped.contains(r#"step "load" at 2:other/1"#), "{scoped}");
}

#[tokio::test]
async fn a_scope_that_is_renamed_added_or_removed_differs() {
    let renamed = differs(&["pay/charge"], &["payment/charge"]).await;
    let words = "has scope 1:pay, and the code asks for scope 1:payment";
    assert!(renamed.contains(words), "{renamed}");
    let removed = differs(&["a", "pay/charge"], &["a", "charge"]).await;
    let words = r#"has scope 2:pay, and the code asks for step "charge" at 2"#;
    assert!(removed.contains(words), "{removed}");
    let added = differs(&["a", "charge"], &["a", "pay/charge"]).await;
    let words = r#"has step "charge" at 2, and the code asks for scope 2:pay"#;
    assert!(added.contains(words), "{added}");
}

/// Side by side with what differs, in the same moment.
#[tokio::test]
async fn nothing_begins_beside_a_difference() {
    let world = World::default();
    let one = |ctx: Context, world: World| async move {
        ctx.step("a", || async {
            world.does("a");
            Ok::<_, WorkError>(())
        })
        .await?;
        Ok(Value::Null)
    };
    world.run(Crash::Never, one).await.unwrap().unwrap();
    world.effects();
    let two = |ctx: Context, world: World| async move {
        let step = |name: &'static str| {
            let world = world.clone();
            ctx.step(name, move || {
                world.does(name);
                async { Ok::<_, WorkError>(()) }
            })
        };
        let (x, y) = (step("x"), step("y"));
        let (x, y) = futures::future::join(x.into_future(), y.into_future()).await;
        x?;
        y?;
        Ok(Value::Null)
    };
    assert_eq!(code(world.run(Crash::Never, two).await), "NON_DETERMINISTIC");
    assert_eq!(world.effects(), Vec::<String>::new());
}

#[tokio::test]
async fn an_operation_of_another_kind_differs() {
    let world = World::default();
    let now = |ctx: Context, _| async move { Ok(json!(ctx.now().await)) };
    world.run(Crash::Never, now).await.unwrap().unwrap();
    let ended = world.run(Crash::Never, |ctx, world| steps(ctx, world, &[""])).await;
    let words = words(ended);
    assert!(words.contains(r#"has now "" at 1, and the code asks for step "" at 1"#), "{words}");
}

#[tokio::test]
async fn code_that_is_added_after_the_journals_end_is_carried_out() {
    let world = World::default();
    let before = |ctx, world| steps(ctx, world, &["a", "b"]);
    assert!(world.run(Crash::Before(2), before).await.is_none());
    world.effects();
    let more = |ctx, world| steps(ctx, world, &["a", "b", "x"]);
    assert_eq!(world.run(Crash::Never, more).await.unwrap().unwrap(), json!(3));
    assert_eq!(world.effects(), ["b", "x"]);
}

#[tokio::test]
async fn a_result_that_the_code_reads_otherwise_differs() {
    let world = World::default();
    let text = |ctx: Context, _| async move {
        Ok(json!(ctx.step("s", || async { Ok::<_, WorkError>("five".to_owned()) }).await?))
    };
    world.run(Crash::Never, text).await.unwrap().unwrap();
    let number = |ctx: Context, _| async move {
        Ok(json!(ctx.step("s", || async { Ok::<_, WorkError>(5) }).await?))
    };
    let ended = world.run(Crash::Never, number).await;
    assert_eq!(code(ended.clone()), "NON_DETERMINISTIC");
    assert!(words(ended).contains("is not what the code reads"));
}

/// "a" and "b", as it was; then with "x" between, behind a question or not.
async fn changed(ctx: Context, world: World, way: u8) -> Result<Value, WorkError> {
    let inner = ctx.scope("inner");
    for ctx in [&ctx, &inner] {
        let mut done = vec![world.step(ctx, "a", |_| Ok(())).await?];
        if way == 1 && ctx.patched("x between").await {
            done.push(world.step(ctx, "x", |_| Ok(())).await?);
        }
        done.push(world.step(ctx, "b", |_| Ok(())).await?);
    }
    Ok(json!(null))
}

/// Ended after each entry before the change, and goes on with it.
#[tokio::test]
async fn code_that_changes_at_a_place_behind_a_question_is_no_difference() {
    for (at, wanted) in [
        // The first step of the two scopes is "a", the second one is "b".
        (0, ["a", "x", "b", "a", "x", "b"].as_slice()),
        (1, ["a", "x", "b", "a", "x", "b"].as_slice()),
        (2, ["a", "b", "a", "x", "b"].as_slice()),
        (3, ["a", "b", "a", "x", "b"].as_slice()),
        (4, ["a", "b", "a", "b"].as_slice()),
    ] {
        let world = World::default();
        let begun = world.run(Crash::After(at), |ctx, world| changed(ctx, world, 0)).await;
        assert_eq!(begun.is_some(), at > 4);
        let ended = world.run(Crash::Never, |ctx, world| changed(ctx, world, 1)).await;
        ended.unwrap().unwrap();
        assert_eq!(world.effects(), wanted, "after entry {at}");
        // Other runs go the same way.
        for _ in 0..3 {
            let again = world.run(Crash::Never, |ctx, world| changed(ctx, world, 1)).await;
            again.unwrap().unwrap();
        }
        assert_eq!(world.effects().len(), 0);
    }
}

/// Steps in a loop; from the third one on with the question in the code.
#[tokio::test]
async fn a_question_in_a_loop_is_answered_from_where_the_invocation_stands() {
    let handler = |asks: bool| {
        move |ctx: Context, world: World| async move {
            for _ in 0..4 {
                if asks && ctx.patched("new").await {
                    world.step(&ctx, "new", |_| Ok(())).await?;
                }
                world.step(&ctx, "does", |_| Ok(())).await?;
            }
            Ok(json!(null))
        }
    };
    let world = World::default();
    assert!(world.run(Crash::After(2), handler(false)).await.is_none());
    assert!(world.run(Crash::After(3), handler(true)).await.is_none());
    world.run(Crash::Never, handler(true)).await.unwrap().unwrap();
    assert_eq!(world.effects(), ["does", "does", "new", "does", "new", "does"]);
    world.run(Crash::Never, handler(true)).await.unwrap().unwrap();
    assert_eq!(world.effects().len(), 0);
    let asked = |entry: &JournalEntry| matches!(entry.what, EntryKind::Patched { .. });
    assert_eq!(world.entries().await.iter().filter(|entry| asked(entry)).count(), 1);
}

/// Ended at each entry with the question in the code: it has the same answer in each run.
#[tokio::test]
async fn a_question_about_a_change_has_one_answer_whatever_is_lost() {
    for at in 0..9 {
        for crash in [Crash::Before(at), Crash::After(at), Crash::Unanswered(at)] {
            let world = World::default();
            let _ = world.run(crash, |ctx, world| changed(ctx, world, 1)).await;
            let ended = world.run(Crash::Never, |ctx, world| changed(ctx, world, 1)).await;
            ended.unwrap().unwrap();
            let mut done = world.effects();
            done.dedup();
            assert_eq!(done, ["a", "x", "b", "a", "x", "b"], "{crash:?}");
        }
    }
}
