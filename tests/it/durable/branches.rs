//! Branches of durable handlers on a real server: what is not waited for any more.

use std::{
    sync::{Arc, Mutex},
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
