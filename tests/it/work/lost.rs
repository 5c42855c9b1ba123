//! Workers that are lost, and stores that lose what they had.

use stormpetrel::{
    storage::nats::NatsStorage,
    testing::{FaultyStorage, ManualClock, TestServer},
};

use super::*;
use crate::support::{config, petrel_at, system};

/// A worker that ends without a word: another one gets the item after the lease, and the first attempt
/// is lost in the log.
#[tokio::test]
async fn the_item_of_a_worker_that_is_gone_is_begun_by_another() {
    let (_server, petrel) = system().await;
    begun(&petrel, &steps(2, json!({})), "a").await;
    let ledger = Arc::<Ledger>::default();
    let kinds_of_steps = ["step0", "step1"];
    let mut options = QueueOptions::new(queue("default"));
    options.ack_wait = Some(Duration::from_secs(1));
    let first = noting(&petrel, &kinds_of_steps, &ledger, LONG);
    let first = {
        // The same, with a short lease.
        let _ = first;
        let ledger = Arc::clone(&ledger);
        Worker::builder(petrel.clone()).queue(options).handle(
            kind("step0"),
            move |attempt: Attempt, _: Value| {
                ledger.note(&attempt);
                std::future::pending::<std::result::Result<Value, WorkError>>()
            },
        )
    };
    // It runs on a runtime of its own, which is dropped with all that it does.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let worker = first.build().unwrap();
    runtime.spawn(async move { worker.run(CancellationToken::new()).await.unwrap() });
    eventually("it has begun", async || (ledger.len() == 1).then_some(())).await;
    runtime.shutdown_background();
    let running =
        Running::start(&petrel, noting(&petrel, &kinds_of_steps, &ledger, Duration::ZERO));
    let records = until(&petrel, "steps", "a", CaseStatus::Completed).await;
    let lost: Vec<_> = records
        .iter()
        .filter_map(|record| record.value.work.as_ref())
        .filter(|work| work.ended.is_some())
        .map(|work| (work.item, work.claim))
        .collect();
    assert_eq!(lost, [(1, Some(2))]);
    assert_eq!(ledger.len(), 3);
    ledger.is_once_a_claim();
    running.stop().await;
    is_whole(&petrel).await;
}

/// An item that was not offered, since its process died, is offered by any process that serves; also one
/// whose message somebody took away.
#[tokio::test]
async fn what_is_open_and_not_in_the_queue_is_put_back() {
    let (_server, petrel) = system().await;
    begun(&petrel, &steps(1, json!({})), "a").await;
    let (w, a) = (workflow("steps"), case("a"));
    let offered = petrel.storage().offered_in(&w, &a).await.unwrap();
    assert_eq!(offered.len(), 1);
    petrel.storage().withdraw(&offered).await.unwrap();
    assert_eq!(petrel.storage().offered_in(&w, &a).await.unwrap(), []);
    let running = Running::serving(&petrel);
    eventually("it is put back", async || {
        let offered = petrel.storage().offered_in(&w, &a).await.unwrap();
        (offered.len() == 1).then_some(())
    })
    .await;
    running.stop().await;
}

/// The acknowledgement of an answer is lost: what comes again is acknowledged away, and not done again.
#[tokio::test]
async fn an_item_that_comes_again_after_its_answer_is_not_done_again() {
    let server = TestServer::start().await;
    let stored = NatsStorage::connect(config(server.url())).await.unwrap();
    let faulty = FaultyStorage::new(Arc::new(stored));
    let deaf = Petrel::new(Arc::new(faulty.clone()));
    let ledger = Arc::<Ledger>::default();
    begun(&deaf, &steps(1, json!({})), "a").await;
    faulty.drop_acknowledgements(true);
    let mut options = QueueOptions::new(queue("default"));
    options.ack_wait = Some(Duration::from_secs(1));
    let worker = {
        let ledger = Arc::clone(&ledger);
        move |attempt: Attempt, _: Value| {
            ledger.note(&attempt);
            async { Ok::<_, WorkError>(json!({})) }
        }
    };
    let build = |petrel: &Petrel| {
        Worker::builder(petrel.clone()).queue(options.clone()).handle(kind("step0"), worker.clone())
    };
    let running = Running::start(&deaf, build(&deaf));
    until(&deaf, "steps", "a", CaseStatus::Completed).await;
    running.stop().await;
    let (w, a) = (workflow("steps"), case("a"));
    assert_eq!(deaf.storage().offered_in(&w, &a).await.unwrap().len(), 1, "it is still there");
    let petrel = petrel_at(server.url()).await;
    let running = Running::start(&petrel, build(&petrel));
    eventually("it is acknowledged away", async || {
        petrel.storage().offered_in(&w, &a).await.unwrap().is_empty().then_some(())
    })
    .await;
    assert_eq!((ledger.len(), history(&petrel, "steps", &a).await.len()), (1, 3));
    running.stop().await;
    is_whole(&petrel).await;
}

/// The record is in the log, and the process dies before the item is offered.
#[tokio::test]
async fn items_that_were_not_offered_are_offered_by_any_process_that_serves() {
    let server = TestServer::start().await;
    let stored = NatsStorage::connect(config(server.url())).await.unwrap();
    let faulty = FaultyStorage::new(Arc::new(stored));
    let dying = Petrel::new(Arc::new(faulty.clone()));
    let petrel = petrel_at(server.url()).await;
    let ledger = Arc::<Ledger>::default();
    faulty.drop_offers(true);
    begun(&dying, &steps(2, json!({})), "a").await;
    let worker = noting(&petrel, &["step0", "step1"], &ledger, Duration::ZERO);
    let running = Running::start(&petrel, worker);
    until(&petrel, "steps", "a", CaseStatus::Completed).await;
    running.stop().await;
    is_whole(&petrel).await;
}

/// Somebody takes the streams of work and beats away: they are made again, with the items of all cases.
#[tokio::test]
async fn streams_of_work_that_are_deleted_are_filled_again() {
    let (server, petrel) = system().await;
    let definition = steps(2, json!({}));
    let serving = Running::serving(&petrel);
    for n in 0..20 {
        begun(&petrel, &definition, &format!("c{n}")).await;
    }
    let client = async_nats::connect(server.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    for stream in ["CB_WORK", "CB_BEATS"] {
        jetstream.delete_stream(stream).await.unwrap();
    }
    let ledger = Arc::<Ledger>::default();
    let worker = noting(&petrel, &["step0", "step1"], &ledger, Duration::ZERO);
    let running = Running::start(&petrel, worker);
    for n in 0..20 {
        until(&petrel, "steps", &format!("c{n}"), CaseStatus::Completed).await;
    }
    assert_eq!(ledger.len(), 40);
    ledger.is_once_a_claim();
    running.stop().await;
    serving.stop().await;
    is_whole(&petrel).await;
}

/// A server that is killed and started again while work is done.
#[tokio::test]
async fn work_goes_on_after_the_server_was_killed() {
    let (mut server, petrel) = system().await;
    let definition = steps(3, json!({ "retry": { "lost": 100 } }));
    for n in 0..30 {
        begun(&petrel, &definition, &format!("c{n}")).await;
    }
    let ledger = Arc::<Ledger>::default();
    let kinds_of_steps = ["step0", "step1", "step2"];
    let worker = noting(&petrel, &kinds_of_steps, &ledger, Duration::from_millis(100));
    let running = Running::start(&petrel, worker);
    for _ in 0..3 {
        let before = ledger.len();
        eventually("more is done", async || (ledger.len() >= (before + 10).min(80)).then_some(()))
            .await;
        server.kill().await;
        server.restart().await;
    }
    for n in 0..30 {
        until(&petrel, "steps", &format!("c{n}"), CaseStatus::Completed).await;
    }
    ledger.is_once_a_claim();
    is_whole_in_the_end(&petrel).await;
    running.stop().await;
    is_whole(&petrel).await;
}

/// An offer that is not open, since somebody has put an old message back, is taken away by a rebuild, and
/// by whoever gets it.
#[tokio::test]
async fn what_is_offered_and_not_open_is_taken_away() {
    let (_server, petrel) = system().await;
    let (w, a) = (workflow("steps"), case("a"));
    begun(&petrel, &steps(1, json!({})), "a").await;
    let offered = petrel.storage().offered_in(&w, &a).await.unwrap();
    petrel.cancel(&w, &a, Default::default()).await.unwrap();
    assert_eq!(petrel.storage().offered_in(&w, &a).await.unwrap(), []);
    petrel.storage().offer(&offered).await.unwrap();
    petrel.rebuild(&|_, _| {}).await.unwrap();
    assert_eq!(petrel.storage().offered_in(&w, &a).await.unwrap(), []);
    petrel.storage().offer(&offered).await.unwrap();
    let ledger = Arc::<Ledger>::default();
    let running = Running::start(&petrel, noting(&petrel, &["step0"], &ledger, Duration::ZERO));
    eventually("it is acknowledged away", async || {
        petrel.storage().offered_in(&w, &a).await.unwrap().is_empty().then_some(())
    })
    .await;
    assert_eq!(ledger.len(), 0);
    running.stop().await;
}

/// Leases are judged by the store's clock: a worker whose own is wrong takes nothing away.
#[tokio::test]
async fn a_worker_whose_clock_is_wrong_takes_nothing_from_another() {
    for minutes in [10, -10] {
        let (server, petrel) = system().await;
        let storage = NatsStorage::connect(config(server.url())).await.unwrap();
        let clock = ManualClock::at(chrono::Utc::now() + chrono::TimeDelta::minutes(minutes));
        let wrong = Petrel::with_clock(Arc::new(storage), Arc::new(clock));
        let ledger = Arc::<Ledger>::default();
        begun(&petrel, &steps(1, json!({})), "a").await;
        let worker = |petrel: &Petrel| noting(petrel, &["step0"], &ledger, Duration::from_secs(6));
        let first = Running::start(&petrel, worker(&petrel));
        eventually("it runs", async || (ledger.len() == 1).then_some(())).await;
        let second = Running::start(&wrong, worker(&wrong));
        // All that is not acknowledged is delivered again.
        let client = async_nats::connect(server.url()).await.unwrap();
        let work = async_nats::jetstream::new(client).get_stream("CB_WORK").await.unwrap();
        work.delete_consumer("petrel-default-normal").await.unwrap();
        let records = until(&petrel, "steps", "a", CaseStatus::Completed).await;
        let ended = records.iter().filter_map(|record| record.value.work.as_ref()?.ended).count();
        assert_eq!((ended, ledger.len()), (0, 1), "{minutes} minutes");
        first.stop().await;
        second.stop().await;
    }
}

/// Two branches of a case are with two workers, each in an item that was handed over to it; both die. Other
/// workers take both up, by the messages that the chains began with.
#[tokio::test]
async fn two_branches_whose_workers_die_both_go_on() {
    let (_server, petrel) = system().await;
    let step = |id: &str, from: &str, to: &str, queue: &str| {
        json!({"id": id, "from_places": [from], "to_place": to,
            "activity": {"queue": queue, "kind": id}})
    };
    let places = ["start", "a0", "a1", "a2", "b0", "b1", "b2", "end"];
    let branches = definition(json!({
        "id": "branches", "initial_place": "start", "places": places.map(|id| json!({"id": id})),
        "transitions": [
            {"id": "split", "from_places": ["start"], "auto": true,
             "outputs": [{"place": "a0"}, {"place": "b0"}]},
            step("a-one", "a0", "a1", "a"), step("a-two", "a1", "a2", "a"),
            step("b-one", "b0", "b1", "b"), step("b-two", "b1", "b2", "b"),
            {"id": "join", "inputs": [{"place": "a2"}, {"place": "b2"}], "auto": true,
             "outputs": [{"place": "end"}]}
        ]
    }));
    let stuck = Arc::<Ledger>::default();
    let runtimes: Vec<_> = ["a", "b"]
        .map(|branch| {
            let mut options = QueueOptions::new(queue(branch));
            options.ack_wait = Some(Duration::from_secs(1));
            let (noted, one, two) =
                (Arc::clone(&stuck), format!("{branch}-one"), format!("{branch}-two"));
            let worker = Worker::builder(petrel.clone())
                .queue(options)
                .handle(kind(&one), |_: Attempt, _: Value| async { Ok::<_, WorkError>(json!({})) })
                .handle(kind(&two), move |attempt: Attempt, _: Value| {
                    noted.note(&attempt);
                    std::future::pending::<std::result::Result<Value, WorkError>>()
                })
                .build()
                .unwrap();
            // Each on a runtime of its own, which is dropped with all that it does.
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.spawn(async move { worker.run(CancellationToken::new()).await.unwrap() });
            runtime
        })
        .into();
    begun(&petrel, &branches, "c").await;
    eventually("both are in their second", async || (stuck.len() == 2).then_some(())).await;
    runtimes.into_iter().for_each(tokio::runtime::Runtime::shutdown_background);
    let ledger = Arc::<Ledger>::default();
    let kinds = ["a-one", "a-two", "b-one", "b-two"];
    let others = ["a", "b"].map(|branch| {
        let worker = noting(&petrel, &kinds, &ledger, Duration::ZERO);
        Running::start(&petrel, worker.queue(QueueOptions::new(queue(branch))))
    });
    let records = until(&petrel, "branches", "c", CaseStatus::Completed).await;
    let works = records.iter().filter_map(|record| record.value.work.as_ref());
    let lost: std::collections::BTreeSet<_> =
        works.filter(|work| work.ended.is_some()).map(|work| work.transition.to_string()).collect();
    assert_eq!(lost, ["a-two", "b-two"].map(str::to_owned).into());
    assert_eq!(ledger.len(), 2, "only the second ones were done again");
    for running in others {
        running.stop().await;
    }
    is_whole(&petrel).await;
}
