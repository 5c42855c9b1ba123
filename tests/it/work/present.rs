//! Workers as others see them: in a listing, and by the services API of NATS.

use std::collections::BTreeSet;

use futures::StreamExt;
use stormpetrel::{
    storage::{
        MemoryStorage, PresentWorker, Storage,
        nats::{NatsStorage, NatsStorageConfig},
    },
    testing::TestServer,
};
use tokio::sync::Semaphore;

use super::*;
use crate::{
    cli::{json as json_of, text},
    support::{config, petrel_at, system},
};

/// A worker of `default` whose handlers wait until they are told.
fn waiting(petrel: &Petrel, name: &str, told: &Arc<Semaphore>) -> WorkerBuilder {
    let told = Arc::clone(told);
    Worker::builder(petrel.clone())
        .named(name)
        .queue(QueueOptions::new(queue("default")).at_once(1))
        .queue(QueueOptions::new(queue(name)).at_once(7))
        .handle(kind("step0"), move |_: Attempt, _: Value| {
            let told = Arc::clone(&told);
            async move {
                told.acquire().await.unwrap().forget();
                Ok::<_, WorkError>(json!({}))
            }
        })
}

/// The workers, once they are as they should be.
async fn seen(
    petrel: &Petrel,
    what: &str,
    is_so: impl Fn(&[PresentWorker]) -> bool,
) -> Vec<PresentWorker> {
    eventually(what, async || {
        // The store may be away.
        let found = petrel.workers(None).await.ok()?;
        is_so(&found).then_some(found)
    })
    .await
}

fn names(found: &[PresentWorker]) -> Vec<&str> {
    found.iter().map(|worker| worker.card.name.as_str()).collect()
}

/// The cases that workers have, and their names.
fn at_work(found: &[PresentWorker]) -> BTreeSet<String> {
    let attempts = found.iter().flat_map(|worker| &worker.doing.attempts);
    attempts.map(|attempt| attempt.case.to_string()).collect()
}

/// Two workers take a case each, and others see which, until they have ended.
async fn two_are_seen(petrels: [&Petrel; 2], asker: &Petrel) {
    assert_eq!(asker.workers(None).await.unwrap(), [], "nobody is there yet");
    let told = Arc::new(Semaphore::new(0));
    let definition = steps(1, json!({}));
    begun(asker, &definition, "one").await;
    begun(asker, &definition, "other").await;
    let running = [("ann", petrels[0]), ("ben", petrels[1])]
        .map(|(name, petrel)| Running::start(petrel, waiting(petrel, name, &told)));
    let found = seen(asker, "both have a case", |found| at_work(found).len() == 2).await;
    assert_eq!(names(&found), ["ann", "ben"]);
    assert_eq!(at_work(&found), ["one", "other"].map(str::to_owned).into());
    for worker in &found {
        assert_eq!(worker.card.kinds, [kind("step0")]);
        assert!(worker.card.hands_over && !worker.doing.stopping);
        let concurrency: Vec<_> = worker.card.queues.iter().map(|of| of.concurrency).collect();
        assert_eq!((concurrency, worker.doing.running), (vec![1, 7], 1));
        let attempt = &worker.doing.attempts[0];
        assert_eq!((attempt.item, attempt.claim, attempt.attempt), (1, 1, 1));
        assert_eq!((&attempt.kind, &attempt.queue), (&kind("step0"), &queue("default")));
        assert!(attempt.since >= worker.card.since);
    }
    assert_eq!(names(&asker.workers(Some(&queue("ben"))).await.unwrap()), ["ben"]);
    assert_eq!(names(&asker.workers(Some(&queue("nobodys"))).await.unwrap()), [""; 0]);
    told.add_permits(2);
    let ended = |found: &[PresentWorker]| {
        found.iter().map(|worker| worker.doing.ended.done).sum::<u64>() == 2
    };
    let found = seen(asker, "both have ended theirs", ended).await;
    assert!(found.iter().all(|worker| worker.doing.running == 0), "{found:?}");
    for running in running {
        running.stop().await;
    }
    let lately = found.iter().flat_map(|worker| &worker.doing.lately);
    let lately: Vec<_> = lately.map(|of| (of.queue.as_str(), of.ended)).collect();
    assert_eq!(lately, [("default", 1); 2]);
    seen(asker, "they are gone", <[_]>::is_empty).await;
}

#[tokio::test]
async fn others_see_two_workers_and_what_they_do_until_they_end() {
    let server = TestServer::start().await;
    let [one, other, asker] = [(); 3].map(|()| petrel_at(server.url()));
    let (one, other, asker) = tokio::join!(one, other, asker);
    two_are_seen([&one, &other], &asker).await;
}

#[tokio::test]
async fn workers_on_the_store_in_memory_are_seen() {
    let petrel = Petrel::new(Arc::new(MemoryStorage::new()) as Arc<dyn Storage>);
    two_are_seen([&petrel, &petrel], &petrel).await;
}

#[tokio::test]
async fn a_worker_that_stops_says_so_while_something_runs() {
    let (_server, petrel) = system().await;
    begun(&petrel, &steps(1, json!({})), "k").await;
    let told = Arc::new(Semaphore::new(0));
    let running = Running::start(&petrel, waiting(&petrel, "ann", &told));
    seen(&petrel, "it has the case", |found| at_work(found).len() == 1).await;
    running.stop.cancel();
    let found = seen(&petrel, "it stops", |found| found.iter().all(|of| of.doing.stopping)).await;
    assert_eq!(at_work(&found).len(), 1);
    told.add_permits(1);
    running.stop().await;
}

#[tokio::test]
async fn workers_are_seen_again_after_a_restart_of_the_server_and_their_ids_stay() {
    let mut server = TestServer::start().await;
    let (one, other) = tokio::join!(petrel_at(server.url()), petrel_at(server.url()));
    begun(&one, &steps(1, json!({})), "k").await;
    let told = Arc::new(Semaphore::new(0));
    let running = [("ann", &one), ("ben", &other)]
        .map(|(name, petrel)| Running::start(petrel, waiting(petrel, name, &told)));
    let is_so =
        |found: &[PresentWorker]| names(found) == ["ann", "ben"] && at_work(found).len() == 1;
    let before = seen(&one, "both are there", is_so).await;
    server.kill().await;
    server.restart().await;
    let after = seen(&one, "both are there again", is_so).await;
    let ids = |found: &[PresentWorker]| found.iter().map(|of| of.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&before), ids(&after));
    told.add_permits(1);
    for running in running {
        running.stop().await;
    }
}

#[tokio::test]
async fn two_systems_of_one_account_see_their_own_workers_only() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    let second = NatsStorageConfig {
        prefix: "second".to_owned(),
        log_stream: "SECOND_LOG".to_owned(),
        marking_stream: "SECOND_MARKING".to_owned(),
        ..config(server.url())
    };
    let second = Petrel::new(Arc::new(NatsStorage::connect(second).await.unwrap()));
    let told = Arc::new(Semaphore::new(0));
    let running = [("ann", &petrel), ("ben", &second)]
        .map(|(name, petrel)| Running::start(petrel, waiting(petrel, name, &told)));
    for (petrel, name) in [(&petrel, "ann"), (&second, "ben")] {
        let found = seen(petrel, name, |found| !found.is_empty()).await;
        assert_eq!(names(&found), [name]);
    }
    // By the API of all services, too.
    let client = async_nats::connect(server.url()).await.unwrap();
    let found = answers(&client, "$SRV.PING.petrel-worker-second", 1).await;
    assert_eq!(found[0]["metadata"]["worker"], "ben");
    let both = answers(&client, "$SRV.PING", 2).await;
    let named: BTreeSet<_> = both.iter().map(|of| of["name"].as_str().unwrap()).collect();
    assert_eq!(named, ["petrel-worker-cb", "petrel-worker-second"].into());
    for running in running {
        running.stop().await;
    }
}

/// So many answers to a request, once there are so many.
async fn answers(client: &async_nats::Client, subject: &str, count: usize) -> Vec<Value> {
    eventually(subject, async || {
        let inbox = client.new_inbox();
        let answers = client.subscribe(inbox.clone()).await.unwrap();
        client.publish_with_reply(subject.to_owned(), inbox, "".into()).await.unwrap();
        let answers = answers.take(count).filter(|of| std::future::ready(of.status.is_none()));
        let answers = tokio::time::timeout(Duration::from_secs(1), answers.collect::<Vec<_>>());
        let answers = answers.await.ok().filter(|answers| answers.len() == count)?;
        let read = |of: async_nats::Message| serde_json::from_slice(&of.payload).unwrap();
        Some(answers.into_iter().map(read).collect())
    })
    .await
}

/// By the letter of ADR-32, of which `nats micro` reads these fields.
#[tokio::test]
async fn a_worker_answers_ping_info_and_stats_as_services_do() {
    let (server, petrel) = system().await;
    begun(&petrel, &steps(1, json!({})), "k").await;
    let told = Arc::new(Semaphore::new(0));
    let running = Running::start(&petrel, waiting(&petrel, "ann", &told));
    let found = seen(&petrel, "it has the case", |found| at_work(found).len() == 1).await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let (id, version) = (found[0].id.as_str(), env!("CARGO_PKG_VERSION"));
    let common = |answer: &Value, kind: &str| {
        assert_eq!(answer["type"], format!("io.nats.micro.v1.{kind}_response"), "{answer}");
        assert_eq!((&answer["name"], &answer["id"]), (&json!("petrel-worker-cb"), &json!(id)));
        assert_eq!(answer["version"], version);
    };
    for of in ["", ".petrel-worker-cb", &format!(".petrel-worker-cb.{id}")] {
        let ping = answers(&client, &format!("$SRV.PING{of}"), 1).await.remove(0);
        common(&ping, "ping");
        let info = answers(&client, &format!("$SRV.INFO{of}"), 1).await.remove(0);
        common(&info, "info");
        assert!(info["description"].as_str().unwrap().contains("Storm Petrel"), "{info}");
        assert_eq!(info["metadata"], ping["metadata"]);
        let metadata = &info["metadata"];
        assert_eq!((&metadata["worker"], &metadata["prefix"]), (&json!("ann"), &json!("cb")));
        assert_eq!(metadata["queues"], "default=1,ann=7");
        assert_eq!((&metadata["kinds"], &metadata["hand_over"]), (&json!("step0"), &json!("true")));
        let endpoint = &info["endpoints"][0];
        assert_eq!(
            (&endpoint["name"], &endpoint["subject"], &endpoint["queue_group"]),
            (&json!("state"), &json!("cb.workers.state"), &json!(id))
        );
        let stats = answers(&client, &format!("$SRV.STATS{of}"), 1).await.remove(0);
        common(&stats, "stats");
        assert!(stats["started"].as_str().unwrap().starts_with("20"), "{stats}");
        let data = &stats["endpoints"][0]["data"];
        assert_eq!((&data["running"], &data["attempts"][0]["case"]), (&json!(1), &json!("k")));
        assert!(stats["endpoints"][0]["num_requests"].is_u64(), "{stats}");
    }
    let nobody = client.request("$SRV.PING.petrel-worker-other", "".into()).await;
    assert!(nobody.is_err(), "{nobody:?}");
    // Whoever asks the endpoint has the state of it as well.
    let state = answers(&client, "cb.workers.state", 1).await.remove(0);
    assert_eq!((&state["id"], &state["name"]), (&json!(id), &json!("ann")));
    told.add_permits(1);
    running.stop().await;
    eventually("nobody answers any more", async || {
        client.request("$SRV.PING", "".into()).await.is_err().then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_command_line_and_graphql_list_workers_and_what_waits() {
    use async_graphql::{Executor, Request};
    use stormpetrel::graphql::{Api, Caller, Limits};

    let (server, petrel) = system().await;
    let definition = steps(1, json!({}));
    let told = Arc::new(Semaphore::new(3));
    let running = Running::start(&petrel, waiting(&petrel, "ann", &told));
    for id in ["one", "two", "three"] {
        begun(&petrel, &definition, id).await;
    }
    seen(&petrel, "three are done", |found| found.iter().any(|of| of.doing.ended.done == 3)).await;
    begun(&petrel, &definition, "has").await;
    seen(&petrel, "it has the case", |found| at_work(found).len() == 1).await;
    begun(&petrel, &definition, "waits").await;
    let waits = eventually("one waits", async || {
        petrel.storage().queue(&queue("default")).await.unwrap().oldest()
    })
    .await;
    let shown = text(&server, &["queue", "workers"]).await;
    assert!(shown.starts_with("WORKER"), "{shown}");
    assert!(shown.contains("ann     default (1), ann (7)  step0"), "{shown}");
    assert!(shown.contains("step0 of steps has (item 1) since 20"), "{shown}");
    assert!(text(&server, &["queue", "workers", "nobodys"]).await.contains("none"));
    let listed = json_of(&server, &["queue", "workers", "default"]).await;
    let worker = &listed["items"][0];
    assert_eq!((&worker["name"], &worker["running"]), (&json!("ann"), &json!(1)));
    assert_eq!(worker["attempts"][0]["case"], "has");
    let queues = json_of(&server, &["queue", "list"]).await;
    let of_default = queues["items"].as_array().unwrap();
    let of_default = of_default.iter().find(|of| of["queue"] == "default").unwrap();
    assert_eq!(of_default["oldest"], json!(waits));
    assert_eq!((&of_default["rate"], &of_default["workers"]), (&json!(0.05), &json!(1)));
    let shown = text(&server, &["queue", "list"]).await;
    assert!(shown.contains("  0.1/s  ") && shown.contains("RATE"), "{shown}");

    let executor = Api::new(petrel.clone(), Limits::default()).executor(Caller::Anybody);
    let ask = async |query: &str| -> Value {
        let answer = serde_json::to_value(&executor.execute(Request::new(query)).await).unwrap();
        assert!(answer["errors"].is_null(), "{answer}");
        answer["data"].clone()
    };
    let found = ask(r#"{ workers(queueId: "default") { name kinds handsOver stopping running done
            queues { queueId concurrency } attempts { workflowId caseId item claim kind queueId } }
            queues { queueId waiting workers rate oldest } none: workers(queueId: "other") { name } }"#)
    .await;
    let one = json!({
        "name": "ann", "kinds": ["step0"], "handsOver": true, "stopping": false, "running": 1,
        "done": 3, "queues": [
            { "queueId": "default", "concurrency": 1 }, { "queueId": "ann", "concurrency": 7 }
        ],
        "attempts": [{
            "workflowId": "steps", "caseId": "has", "item": 1, "claim": 1, "kind": "step0",
            "queueId": "default",
        }],
    });
    assert_eq!((&found["workers"], &found["none"]), (&json!([one]), &json!([])));
    let default = &found["queues"].as_array().unwrap()[1];
    assert_eq!((&default["queueId"], &default["workers"]), (&json!("default"), &json!(1)));
    assert_eq!((&default["waiting"], default["oldest"].is_string()), (&json!(1), true));
    assert_eq!(default["rate"], json!(0.05));
    let wrong = executor.execute(Request::new(r#"{ workers(queueId: "a b") { name } }"#)).await;
    assert!(wrong.errors[0].message.contains("queueId"), "{wrong:?}");
    // What the worker has seen of its queues is measured.
    let metric = "petrel_work_waiting{queue=\"default\"} 1";
    eventually(metric, async || petrel.metrics().render().contains(metric).then_some(())).await;
    told.add_permits(2);
    running.stop().await;
    assert!(!petrel.metrics().render().contains("petrel_work_waiting{"));
}
