//! Answers that come after an incident, or too late.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::join_all;
use serde_json::{Value, json};
use stormpetrel::{
    durable::{AnswerError, Context, InvocationStatus, InvokeError, Settlement},
    petrel::{Change, Petrel},
    worker::{QueueOptions, WorkError, Worker, WorkerBuilder},
};
use tokio::sync::Notify;

use super::{is_gone, queue};
use crate::{
    support::{case, system, workflow},
    work::{Running, eventually},
};

type Ids = Arc<Mutex<HashMap<String, String>>>;

const LONG: Duration = Duration::from_secs(60);

async fn resolve(petrel: &Petrel, id: &str, answer: Value) -> Result<bool, AnswerError> {
    let answered = petrel.resolve_awakeable(id, answer, Change::default()).await;
    answered.map(|answered| answered.repeated)
}

fn functions(petrel: &Petrel, concurrency: usize) -> WorkerBuilder {
    Worker::builder(petrel.clone()).queue(QueueOptions { concurrency, ..queue() })
}

async fn registered(petrel: &Petrel, name: &str) {
    eventually("a function", async || petrel.workflow(&workflow(name)).await.ok()).await;
}

/// `count` awakeables side by side, each with a step after its answer.
fn many(builder: WorkerBuilder, ids: &Ids) -> WorkerBuilder {
    let ids = Arc::clone(ids);
    builder.function(workflow("many"), move |ctx: Context, (name, count): (String, u64)| {
        let ids = Arc::clone(&ids);
        async move {
            let waits: Vec<_> = (0..count).map(|_| ctx.awakeable::<u64>()).collect();
            let all: Vec<_> = waits.iter().map(|wait| wait.id().to_owned()).collect();
            let tell = || {
                let mut ids = ids.lock().unwrap();
                for (number, id) in all.iter().enumerate() {
                    ids.insert(format!("{name} {number}"), id.clone());
                }
                async { Ok::<_, WorkError>(()) }
            };
            ctx.step("tells", tell).await?;
            let branches = waits.into_iter().enumerate().map(|(number, wait)| {
                let ctx = ctx.scope(&format!("b{number}"));
                async move {
                    let answer = wait.await?;
                    let doubled =
                        ctx.step("doubles", || async { Ok::<_, WorkError>(answer * 2) }).await?;
                    Ok::<_, WorkError>(doubled)
                }
            });
            join_all(branches).await.into_iter().collect::<Result<Vec<u64>, _>>()
        }
    })
}

async fn id_of(ids: &Ids, name: &str, number: u64) -> String {
    let key = format!("{name} {number}");
    eventually("an id", async || ids.lock().unwrap().get(&key).cloned()).await
}

/// An answer that the code can't read, of which a person says that it did not happen: another one is taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_settled_as_not_done_is_waited_for_anew() {
    let (_server, petrel) = system().await;
    let ids = Ids::default();
    let running = Running::start(&petrel, many(functions(&petrel, 2), &ids));
    registered(&petrel, "many").await;
    let handle = petrel.invoke_async("many", &("x".to_owned(), 1)).id("x").await.unwrap();
    let id = id_of(&ids, "x", 0).await;
    resolve(&petrel, &id, json!("no number")).await.unwrap();
    let failed = handle.result::<Vec<u64>>(LONG).await.unwrap_err();
    let InvokeError::Failed { incident: Some(incident), .. } = failed else { panic!("{failed:?}") };
    let (w, c) = (workflow("many"), case("x"));
    let settled =
        petrel.settle_step(&w, &c, incident, Settlement::NotDone, Change::default()).await;
    settled.unwrap();
    let answered = resolve(&petrel, &id, json!(4)).await;
    let result = handle.result::<Vec<u64>>(Duration::from_secs(10)).await;
    assert!(result.is_ok(), "{answered:?} {result:?} {:?}", handle.status().await);
    running.stop().await;
}

/// A step of which nobody knows, and an answer that came after the incident: it is settled all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_is_settled_though_an_answer_came_after_its_incident() {
    let (server, petrel) = system().await;
    let ids = Ids::default();
    let worker = |petrel: &Petrel, ids: &Ids, hangs: Option<&Arc<Notify>>| {
        let (ids, hangs) = (Arc::clone(ids), hangs.cloned());
        functions(petrel, 2).function(workflow("pays"), move |ctx: Context, (): ()| {
            let (ids, hangs) = (Arc::clone(&ids), hangs.clone());
            async move {
                let wait = ctx.awakeable::<u64>();
                let id = wait.id().to_owned();
                let tell = || {
                    ids.lock().unwrap().insert("p 0".to_owned(), id.clone());
                    async { Ok::<_, WorkError>(()) }
                };
                ctx.step("tells", tell).await?;
                let hangs = &hangs;
                let pay = || async move {
                    if let Some(hangs) = hangs {
                        hangs.notify_one();
                        std::future::pending::<()>().await;
                    }
                    Ok::<_, WorkError>(1_u64)
                };
                let paid = ctx.step("pay", pay).at_most_once().await?;
                Ok(paid + wait.await?)
            }
        })
    };
    worker(&petrel, &ids, None).build().unwrap().register().await.unwrap();
    let handle = petrel.invoke_async("pays", &()).id("p").await.unwrap();
    let told = Arc::clone(&ids);
    is_gone(&server, move |petrel, hangs| worker(petrel, &told, Some(hangs))).await;
    let running = Running::start(&petrel, worker(&petrel, &ids, None));
    let failed = handle.result::<u64>(LONG).await.unwrap_err();
    let InvokeError::Failed { incident: Some(incident), failure, .. } = failed else {
        panic!("{failed:?}")
    };
    assert_eq!(failure.code, "OUTCOME_UNKNOWN");
    let id = id_of(&ids, "p", 0).await;
    resolve(&petrel, &id, json!(5)).await.unwrap();
    let (w, c) = (workflow("pays"), case("p"));
    let settled =
        petrel.settle_step(&w, &c, incident, Settlement::Done(json!(2)), Change::default()).await;
    assert!(settled.is_ok(), "{:?}", settled.map(drop));
    assert_eq!(handle.result::<u64>(LONG).await.unwrap(), 7);
    running.stop().await;
}

/// The time limit is over while nobody serves; an answer after that is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_after_the_limit_is_refused_though_nobody_served() {
    let (_server, petrel) = system().await;
    let ids = Ids::default();
    let told = Arc::clone(&ids);
    let run = move |ctx: Context, name: String| {
        let ids = Arc::clone(&told);
        async move {
            let wait = ctx.awakeable::<u64>().timeout(Duration::from_secs(7));
            let id = wait.id().to_owned();
            let tell = || {
                ids.lock().unwrap().insert(format!("{name} 0"), id.clone());
                async { Ok::<_, WorkError>(()) }
            };
            ctx.step("tells", tell).await?;
            Ok(wait.await?)
        }
    };
    let running = Running::start(&petrel, functions(&petrel, 2).function(workflow("one"), run));
    registered(&petrel, "one").await;
    let handle = petrel.invoke_async("one", &"a").id("a").await.unwrap();
    let id = id_of(&ids, "a", 0).await;
    eventually("it waits", async || {
        (handle.status().await.unwrap() == InvocationStatus::Suspended).then_some(())
    })
    .await;
    running.stop().await;
    let now = petrel.case(&workflow("one"), &case("a")).await.unwrap();
    let until = now.items[0].wait.as_ref().unwrap().until;
    tokio::time::sleep((until - chrono::Utc::now()).to_std().unwrap_or_default()).await;
    let answered = resolve(&petrel, &id, json!(1)).await;
    assert_eq!(answered.unwrap_err().code(), "NO_LONGER_WAITED_FOR");
}
