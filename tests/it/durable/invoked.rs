//! Functions that clients invoke.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stormpetrel::{
    durable::{Context, InvocationStatus, InvokeError},
    engine::Answered,
    petrel::{Change, ExpectedVersion, Petrel},
    worker::{WorkError, Worker, WorkerBuilder, WorkerError},
};
use tokio_util::sync::CancellationToken;

use super::Effects;
use crate::{
    support::{case, petrel_at, system, workflow},
    work::{Running, eventually, is_whole, steps},
};

#[derive(Debug, Serialize, Deserialize)]
struct Name(String);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Hello {
    text: String,
    length: u64,
}

async fn hello(ctx: Context, name: Name) -> Result<Hello, WorkError> {
    let length = ctx.step("count", || async { Ok::<_, WorkError>(name.0.len() as u64) }).await?;
    let greet =
        || async { Ok::<_, WorkError>(Hello { text: format!("Hello, {}!", name.0), length }) };
    Ok(ctx.step("greet", greet).await?)
}

fn greets(petrel: &Petrel) -> WorkerBuilder {
    Worker::builder(petrel.clone()).function(workflow("hello"), hello)
}

const SOON: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(60);

/// A client begins before any worker was there: as soon as one has registered, its invocation is carried out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_is_invoked_in_five_lines() {
    let (server, petrel) = system().await;
    let client = Petrel::connect(&server.url()).await.unwrap();
    let nobody = client.invoke::<Hello>("hello", &Name("Ann".to_owned())).await.unwrap_err();
    assert_eq!(nobody.code(), "NOT_FOUND", "{nobody}");
    let running = Running::start(&petrel, greets(&petrel));
    eventually("a function", async || client.workflow(&workflow("hello")).await.ok()).await;
    let hello: Hello = client.invoke("hello", &Name("Ann".to_owned())).await.unwrap();
    assert_eq!(hello, Hello { text: "Hello, Ann!".to_owned(), length: 3 });
    running.stop().await;
    is_whole(&petrel).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invocation_is_found_again_by_its_id_and_begun_once() {
    let (server, petrel) = system().await;
    let running = Running::start(&petrel, greets(&petrel));
    eventually("a function", async || petrel.workflow(&workflow("hello")).await.ok()).await;
    let ann = Name("Ann".to_owned());
    let first = petrel.invoke_async("hello", &ann).id("one").by("ann").await.unwrap();
    assert!(!first.is_repeated());
    let result: Hello = first.result(LONG).await.unwrap();
    let other = petrel_at(server.url()).await;
    let again = other.invoke_async("hello", &ann).id("one").await.unwrap();
    assert!(again.is_repeated());
    assert_eq!(again.result::<Hello>(LONG).await.unwrap(), result);
    let found = other.invocation("hello", "one").unwrap();
    assert_eq!(found.status().await.unwrap(), InvocationStatus::Completed);
    assert_eq!(found.step::<u64>("count").await.unwrap(), Some(3));
    assert_eq!(found.step::<u64>("absent").await.unwrap(), None);
    assert_eq!(found.journal().await.unwrap().len(), 3);
    let bob = Name("Bob".to_owned());
    let taken = other.invoke::<Hello>("hello", &bob).id("one").await.unwrap_err();
    assert_eq!(taken.code(), "CONFLICT", "{taken}");
    let wrong = found.result::<u64>(LONG).await.unwrap_err();
    assert_eq!(wrong.code(), "TYPE", "{wrong}");
    let absent = other.invocation("hello", "two").unwrap();
    assert_eq!(absent.result::<Hello>(SOON).await.unwrap_err().code(), "NOT_FOUND");
    for (function, id) in [("no name", "a"), ("hello", ""), ("", "a")] {
        let refused = other.invocation(function, id).unwrap_err();
        assert_eq!(refused.code(), "INVALID_ARGUMENT", "{refused}");
    }
    running.stop().await;
    is_whole(&petrel).await;
}

/// Inputs and results that are easily taken for others, or for nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inputs_and_results_come_as_they_are() {
    let (_server, petrel) = system().await;
    let echo = |_: Context, input: Value| async move { Ok(input) };
    let worker = Worker::builder(petrel.clone()).function(workflow("echo"), echo);
    let running = Running::start(&petrel, worker);
    eventually("a function", async || petrel.workflow(&workflow("echo")).await.ok()).await;
    for value in [
        json!(null),
        json!(0),
        json!(""),
        json!([]),
        json!({}),
        json!(u64::MAX),
        json!(-0.0),
        json!({ "input": 1, "output": { "error": 2 }, "error": [3], "result": null }),
        json!([null, { "a": null }]),
        json!("\u{2028}🦀"),
    ] {
        let back: Value = petrel.invoke("echo", &value).await.unwrap();
        assert_eq!(back.to_string(), value.to_string());
    }
    let refused = petrel.invoke::<Value>("echo", &f64::NAN).await.unwrap_err();
    assert_eq!(refused.code(), "TYPE", "{refused}");
    let large = "x".repeat(2 << 20);
    let refused = petrel.invoke::<Value>("echo", &large).await.unwrap_err();
    assert_eq!(refused.code(), "TOO_LARGE", "{refused}");
    running.stop().await;
    is_whole(&petrel).await;
}

/// Fails in its second step until it is mended.
fn fails(petrel: &Petrel, effects: &Effects, mended: &Arc<AtomicBool>) -> WorkerBuilder {
    let (effects, mended) = (Arc::clone(effects), Arc::clone(mended));
    let run = move |ctx: Context, (): ()| {
        let (effects, mended) = (Arc::clone(&effects), Arc::clone(&mended));
        async move {
            let note = |name: &str| effects.lock().unwrap().push(name.to_owned());
            let first = || async {
                note("first");
                Ok::<_, WorkError>(1)
            };
            let second = || async {
                note("second");
                match mended.load(Ordering::Relaxed) {
                    true => Ok(2),
                    false => {
                        Err(WorkError::new("NO_MONEY", "the account is empty").without_retry())
                    }
                }
            };
            let first = ctx.step("first", first).await?;
            Ok(json!([first, ctx.step("second", second).await?]))
        }
    };
    Worker::builder(petrel.clone()).function(workflow("fails"), run)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_fails_says_so_and_goes_on_where_it_failed() {
    let (_server, petrel) = system().await;
    let (effects, mended) = (Effects::default(), Arc::<AtomicBool>::default());
    let running = Running::start(&petrel, fails(&petrel, &effects, &mended));
    eventually("a function", async || petrel.workflow(&workflow("fails")).await.ok()).await;
    let failed = petrel.invoke::<Value>("fails", &()).id("f").await.unwrap_err();
    let InvokeError::Failed { failure, incident: Some(incident), .. } = &failed else {
        panic!("{failed:?}")
    };
    assert_eq!(failure.code, "NO_MONEY");
    assert!(failure.message.contains("the account is empty"), "{failure:?}");
    let found = petrel.invocation("fails", "f").unwrap();
    let status = InvocationStatus::Failed { incident: *incident };
    assert_eq!(found.status().await.unwrap(), status);
    mended.store(true, Ordering::Relaxed);
    found.retry(Change::default()).await.unwrap();
    assert_eq!(found.result::<Value>(LONG).await.unwrap(), json!([1, 2]));
    assert_eq!(*effects.lock().unwrap(), ["first", "second", "second"]);
    let again = found.retry(Change::default()).await.unwrap_err();
    assert_eq!(again.code(), "INVALID_ARGUMENT", "{again}");
    running.stop().await;
    is_whole(&petrel).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_fails_can_be_ended_as_failed() {
    let (_server, petrel) = system().await;
    let (effects, mended) = (Effects::default(), Arc::<AtomicBool>::default());
    let running = Running::start(&petrel, fails(&petrel, &effects, &mended));
    eventually("a function", async || petrel.workflow(&workflow("fails")).await.ok()).await;
    let failed = petrel.invoke::<Value>("fails", &()).id("f").await.unwrap_err();
    let InvokeError::Failed { incident: Some(incident), .. } = failed else { panic!("{failed:?}") };
    let answer = Answered {
        outcome: Some("failed".parse().unwrap()),
        result: json!({ "code": "GIVEN_UP", "message": "no money" }),
        hand_over: None,
    };
    let (w, c) = (workflow("fails"), case("f"));
    petrel.complete_incident(&w, &c, incident, answer, Change::default()).await.unwrap();
    let ended = petrel.invocation("fails", "f").unwrap().result::<Value>(LONG).await.unwrap_err();
    let InvokeError::Failed { failure, incident: None, .. } = &ended else { panic!("{ended:?}") };
    assert_eq!(failure.code, "GIVEN_UP");
    running.stop().await;
    is_whole(&petrel).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_standing_of_one_that_waits_is_told_and_it_is_paused_and_cancelled() {
    let (_server, petrel) = system().await;
    let run = |ctx: Context, (): ()| async move { Ok(ctx.awakeable::<u64>().await?) };
    let worker = Worker::builder(petrel.clone()).function(workflow("asks"), run);
    let running = Running::start(&petrel, worker);
    eventually("a function", async || petrel.workflow(&workflow("asks")).await.ok()).await;
    let begun = petrel.invoke_async("asks", &()).await.unwrap();
    let waits = begun.result::<u64>(SOON).await.unwrap_err();
    assert_eq!(waits.code(), "STILL_RUNNING", "{waits}");
    eventually("one that waits", async || {
        (begun.status().await.unwrap() == InvocationStatus::Suspended).then_some(())
    })
    .await;
    begun.pause(Change::default()).await.unwrap();
    assert_eq!(begun.status().await.unwrap(), InvocationStatus::Paused);
    begun.resume(Change::default()).await.unwrap();
    assert_eq!(begun.status().await.unwrap(), InvocationStatus::Suspended);
    begun.cancel(Change::default()).await.unwrap();
    assert_eq!(begun.status().await.unwrap(), InvocationStatus::Cancelled);
    assert_eq!(begun.result::<u64>(LONG).await.unwrap_err().code(), "CANCELLED");
    running.stop().await;
    is_whole(&petrel).await;
}

/// The net of somebody else has the name.
#[tokio::test]
async fn a_function_takes_no_workflow_away() {
    let (_server, petrel) = system().await;
    let net = steps(1, json!({}));
    petrel.create_workflow(net.clone(), ExpectedVersion::Any).await.unwrap();
    let worker = Worker::builder(petrel.clone()).function(workflow("steps"), hello);
    let refused = worker.build().unwrap().run(CancellationToken::new()).await.unwrap_err();
    assert!(matches!(refused, WorkerError::Function(_)), "{refused}");
    assert_eq!(petrel.workflow(&workflow("steps")).await.unwrap().definition, net);
}

/// Workers that are started again, and two at once, make no new version.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_is_registered_again_is_the_same_version() {
    let (server, petrel) = system().await;
    let other = petrel_at(server.url()).await;
    for _ in 0..2 {
        let running =
            [Running::start(&petrel, greets(&petrel)), Running::start(&other, greets(&other))];
        eventually("a function", async || petrel.workflow(&workflow("hello")).await.ok()).await;
        let _: Hello = other.invoke("hello", &Name("Ann".to_owned())).await.unwrap();
        for one in running {
            one.stop().await;
        }
    }
    let stored = petrel.workflow(&workflow("hello")).await.unwrap();
    assert_eq!(stored.version.get(), 1);
    is_whole(&petrel).await;
}
