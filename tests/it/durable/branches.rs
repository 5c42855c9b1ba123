//! Branches of durable handlers on a real server: what is not waited for any more.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use stormpetrel::{
    durable::Context,
    petrel::Change,
    worker::{WorkError, Worker},
};

use crate::{
    support::{petrel_at, system, workflow},
    work::{Running, eventually, is_whole},
};

/// The time limit comes first, and the handler goes on: the sender of the answer learns that nobody waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_a_select_has_left_out_is_refused_and_wakes_nobody() {
    let (server, petrel) = system().await;
    let ids = Arc::<Mutex<Vec<String>>>::default();
    let handed_out = Arc::clone(&ids);
    let run = move |ctx: Context, (): ()| {
        let ids = Arc::clone(&handed_out);
        async move {
            let ids = &ids;
            let first = ctx
                .select()
                .branch("answer", |ctx| async move {
                    let wait = ctx.awakeable::<String>();
                    ids.lock().unwrap().push(wait.id().to_owned());
                    Ok::<_, WorkError>(wait.await?)
                })
                .branch("late", |ctx| async move {
                    ctx.sleep(Duration::from_millis(200)).await;
                    Ok("late".to_owned())
                });
            let first = first.await?;
            let last = ctx.awakeable::<String>();
            ids.lock().unwrap().push(last.id().to_owned());
            Ok(json!([first, last.await?]))
        }
    };
    let worker = Worker::builder(petrel.clone()).function(workflow("races"), run);
    let running = Running::start(&petrel, worker);
    eventually("a function", async || petrel.workflow(&workflow("races")).await.ok()).await;
    let begun = petrel.invoke_async("races", &()).await.unwrap();
    let last = eventually("the second wait", async || {
        let ids = ids.lock().unwrap().clone();
        (ids.len() >= 2).then(|| ids.last().cloned()).flatten()
    })
    .await;
    let first = ids.lock().unwrap()[0].clone();
    let other = petrel_at(server.url()).await;
    let resolve =
        async |id: &str| other.resolve_awakeable(id, json!("yes"), Change::default()).await;
    assert_eq!(resolve(&first).await.unwrap_err().code(), "NO_LONGER_WAITED_FOR");
    resolve(&last).await.unwrap();
    let result = begun.result::<serde_json::Value>(Duration::from_secs(60)).await.unwrap();
    assert_eq!(result, json!(["late", "yes"]));
    assert_eq!(resolve(&first).await.unwrap_err().code(), "NO_LONGER_WAITED_FOR");
    running.stop().await;
    is_whole(&petrel).await;
}

/// A branch fails, and the others are dropped. Tried again they are not, and an answer to one of them counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_counts_in_a_branch_that_is_not_left_out_any_more() {
    let (_server, petrel) = system().await;
    let (ids, mended) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicBool>::default());
    let (handed_out, is_mended) = (Arc::clone(&ids), Arc::clone(&mended));
    let run = move |ctx: Context, (): ()| {
        let (ids, mended) = (Arc::clone(&handed_out), Arc::clone(&is_mended));
        async move {
            let (ids, mended) = (&ids, &mended);
            let each = |ctx: Context, place: usize| async move {
                if place == 0 {
                    let wait = ctx.awakeable::<u64>();
                    ids.lock().unwrap().push(wait.id().to_owned());
                    return wait.await;
                }
                // It ends after the other one has begun to wait.
                ctx.sleep(Duration::from_millis(200)).await;
                let step = || async {
                    match mended.load(Ordering::Relaxed) {
                        true => Ok(1),
                        false => Err(WorkError::new("NO", "no").without_retry()),
                    }
                };
                ctx.step("fails", step).await
            };
            Ok(ctx.map("each", [0, 1], each).tolerate(0).await?)
        }
    };
    let worker = Worker::builder(petrel.clone()).function(workflow("both"), run);
    let running = Running::start(&petrel, worker);
    eventually("a function", async || petrel.workflow(&workflow("both")).await.ok()).await;
    let failed = petrel.invoke::<Vec<u64>>("both", &()).id("b").await.unwrap_err();
    assert_eq!(failed.code(), "FAILED", "{failed}");
    let id = ids.lock().unwrap()[0].clone();
    let resolve = async || petrel.resolve_awakeable(&id, json!(7), Change::default()).await;
    assert_eq!(resolve().await.unwrap_err().code(), "NO_LONGER_WAITED_FOR");
    mended.store(true, Ordering::Relaxed);
    let begun = petrel.invocation("both", "b").unwrap();
    begun.retry(Change::default()).await.unwrap();
    eventually("the answer is taken", async || resolve().await.ok()).await;
    let result = begun.result::<Vec<u64>>(Duration::from_secs(60)).await.unwrap();
    assert_eq!(result, [7, 1]);
    running.stop().await;
    is_whole(&petrel).await;
}
