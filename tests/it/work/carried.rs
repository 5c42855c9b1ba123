//! Work that is carried out.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use stormpetrel::storage::{MemoryStorage, Storage};

use super::*;
use crate::support::system;

const KINDS: [&str; 5] = ["step0", "step1", "step2", "step3", "step4"];

/// A chain of five steps ends, each step done once; with hand-over in one delivery.
async fn a_chain(petrel: &Petrel, hands_over: bool) {
    let ledger = Arc::<Ledger>::default();
    let mut worker = noting(petrel, &KINDS, &ledger, Duration::ZERO);
    if !hands_over {
        worker = worker.without_hand_over();
    }
    let definition = steps(5, json!({}));
    let id = if hands_over { "handed" } else { "queued" };
    begun(petrel, &definition, id).await;
    let running = Running::start(petrel, worker);
    let records = until(petrel, "steps", id, CaseStatus::Completed).await;
    let begun = records.iter().filter(|record| record.value.kind == RecordKind::Begun).count();
    let handed = records.iter().filter_map(|of| of.value.work.as_ref()?.next.as_ref()).count();
    assert_eq!((begun, handed), if hands_over { (1, 4) } else { (5, 0) });
    assert_eq!(records.len(), 1 + begun + 5);
    let data = &records.last().unwrap().value.produced[0].data;
    assert_eq!(*data, json!({"step0": 1, "step1": 1, "step2": 1, "step3": 1, "step4": 1}));
    assert_eq!(ledger.len(), 5);
    ledger.is_once_a_claim();
    // Nothing is left of it.
    eventually("its messages are gone", async || {
        let left = petrel.storage().offered_in(&workflow("steps"), &case(id)).await.unwrap();
        left.is_empty().then_some(())
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn a_chain_of_steps_is_carried_out_by_hand_over() {
    let (_server, petrel) = system().await;
    a_chain(&petrel, true).await;
    is_whole(&petrel).await;
}

#[tokio::test]
async fn a_chain_of_steps_is_carried_out_through_the_queue() {
    let (_server, petrel) = system().await;
    a_chain(&petrel, false).await;
    is_whole(&petrel).await;
}

#[tokio::test]
async fn work_is_carried_out_on_the_store_in_memory() {
    let petrel = Petrel::new(Arc::new(MemoryStorage::new()) as Arc<dyn Storage>);
    a_chain(&petrel, true).await;
    a_chain(&petrel, false).await;
}

/// Of a thousand items that two workers with the same settings share, each is executed once, and each worker
/// gets its part. `late`: the second starts when the first has begun, and others wait.
async fn two_share(takes: Duration, late: bool) {
    const COUNT: usize = 1_000;
    let (server, petrel) = system().await;
    let other = crate::support::petrel_at(server.url()).await;
    let definition = steps(1, json!({}));
    petrel.create_workflow(definition.clone(), ExpectedVersion::Any).await.unwrap();
    let ledgers = [Arc::<Ledger>::default(), Arc::<Ledger>::default()];
    let start = |petrel: &Petrel, ledger: &Arc<Ledger>| {
        Running::start(petrel, noting(petrel, &["step0"], ledger, takes).named("same"))
    };
    let cases: Vec<_> = (0..COUNT).map(|n| format!("c{n}")).collect();
    let begin = |id: &String| {
        let new = NewCase { case: Some(case(id)), ..NewCase::of(workflow("steps")) };
        let petrel = petrel.clone();
        async move { petrel.create_case(new).await.unwrap() }
    };
    let all_begin = futures::future::join_all(cases.iter().map(begin));
    let running = match late {
        true => {
            all_begin.await;
            let first = start(&petrel, &ledgers[0]);
            eventually("the first begins", async || (ledgers[0].len() > 0).then_some(())).await;
            let state = petrel.storage().queue(&queue("default")).await.unwrap();
            let waiting: u64 = state.classes.iter().map(|class| class.waiting).sum();
            assert!(waiting >= 500, "{waiting} wait");
            [first, start(&other, &ledgers[1])]
        }
        false => {
            let both = [start(&petrel, &ledgers[0]), start(&other, &ledgers[1])];
            all_begin.await;
            both
        }
    };
    for id in &cases {
        until(&petrel, "steps", id, CaseStatus::Completed).await;
    }
    let parts = ledgers.each_ref().map(|ledger| ledger.len());
    assert_eq!(parts.iter().sum::<usize>(), COUNT, "{parts:?}");
    assert!(parts.iter().all(|part| (300..=700).contains(part)), "{parts:?}");
    ledgers.iter().for_each(|ledger| ledger.is_once_a_claim());
    // As `nats consumer report` shows them: one for each class, whoever pulls.
    let work = crate::failures::fixtures::operator(server.url()).await.get_stream("CB_WORK").await;
    let mut consumers: Vec<_> =
        work.unwrap().consumer_names().map(|name| name.unwrap()).collect().await;
    consumers.sort();
    let wanted = ["high", "low", "normal"].map(|class| format!("petrel-default-{class}"));
    assert_eq!(consumers, wanted);
    for running in running {
        running.stop().await;
    }
    is_whole(&petrel).await;
}

#[tokio::test]
async fn two_workers_share_a_queue_of_short_work() {
    two_share(Duration::from_millis(2), false).await;
}

#[tokio::test]
async fn two_workers_share_a_queue_of_longer_work() {
    two_share(Duration::from_millis(20), false).await;
}

#[tokio::test]
async fn a_worker_that_starts_late_gets_its_part_of_what_waits() {
    two_share(Duration::from_millis(20), true).await;
}

/// A failure is tried again, by a NAK and by a timer, and its last failure is an incident.
#[tokio::test]
async fn failures_are_tried_again_and_end_as_an_incident() {
    let (_server, petrel) = system().await;
    for (id, first) in [("short", "100ms"), ("long", "2s")] {
        let retry = json!({"attempts": 3, "first": first, "factor": 1, "jitter": false});
        begun(&petrel, &steps(1, json!({ "retry": retry })), id).await;
    }
    let attempts = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&attempts);
    let fails = move |attempt: Attempt, _: Value| {
        count.fetch_add(1, Ordering::Relaxed);
        let number = attempt.number();
        async move { Err::<Value, _>(WorkError::new("DOWN", format!("number {number}"))) }
    };
    let worker = Worker::builder(petrel.clone())
        .queue(QueueOptions::new(queue("default")))
        .handle(kind("step0"), fails);
    let running = Running::start(&petrel, worker);
    for id in ["short", "long"] {
        let open = eventually(id, async || {
            let now = petrel.case(&workflow("steps"), &case(id)).await.unwrap();
            now.incidents.first().cloned()
        })
        .await;
        assert_eq!(open.code.as_str(), "WORK_FAILED");
        let now = petrel.case(&workflow("steps"), &case(id)).await.unwrap();
        let explanation = petrel.incident_explanation(&now, &open).await.unwrap();
        assert_eq!(explanation, "DOWN: number 3");
        let records = history(&petrel, "steps", &case(id)).await;
        use RecordKind::{Begun, Created, Failed};
        assert_eq!(kinds(&records), [Created, Begun, Failed, Begun, Failed, Begun, Failed]);
        for pair in records.windows(2).skip(2).step_by(2) {
            let gap = pair[1].timestamp - pair[0].timestamp;
            let least = if id == "short" { 100 } else { 2_000 };
            assert!(gap.num_milliseconds() >= least, "{gap}");
        }
    }
    assert_eq!(attempts.load(Ordering::Relaxed), 6);
    // A person has it tried again, with attempts as at first.
    petrel.retry_incident(&workflow("steps"), &case("short"), 1, Default::default()).await.unwrap();
    eventually("tried again", async || {
        let now = petrel.case(&workflow("steps"), &case("short")).await.unwrap();
        (now.incidents.first()?.number == 2).then_some(())
    })
    .await;
    assert_eq!(attempts.load(Ordering::Relaxed), 9);
    running.stop().await;
    is_whole(&petrel).await;
}

/// A step longer than the lease runs once.
#[tokio::test]
async fn a_step_much_longer_than_its_lease_runs_once() {
    let (_server, petrel) = system().await;
    begun(&petrel, &steps(1, json!({})), "slow").await;
    let ledger = Arc::<Ledger>::default();
    let lease = Duration::from_secs(1);
    let mut options = QueueOptions::new(queue("default"));
    options.ack_wait = Some(lease);
    let takes = move |ledger: Arc<Ledger>| {
        move |attempt: Attempt, _: Value| {
            let ledger = Arc::clone(&ledger);
            async move {
                ledger.note(&attempt);
                tokio::time::sleep(10 * lease).await;
                Ok::<_, WorkError>(json!({}))
            }
        }
    };
    let worker = || {
        Worker::builder(petrel.clone())
            .queue(options.clone())
            .handle(kind("step0"), takes(Arc::clone(&ledger)))
    };
    let running = [Running::start(&petrel, worker()), Running::start(&petrel, worker())];
    let records = until(&petrel, "steps", "slow", CaseStatus::Completed).await;
    assert_eq!(ledger.len(), 1);
    assert_eq!(kinds(&records), [RecordKind::Created, RecordKind::Begun, RecordKind::Fired]);
    for running in running {
        running.stop().await;
    }
    // A worker that asks for another time is told so, by field and both values.
    let mut other = QueueOptions::new(queue("default"));
    other.ack_wait = Some(Duration::from_secs(7));
    let worker = noting(&petrel, &["x"], &ledger, Duration::ZERO);
    let worker = Worker::builder(petrel.clone())
        .queue(other)
        .handle(kind("y"), |_: Attempt, _: Value| async { Ok::<_, WorkError>(json!({})) })
        .build()
        .map(|built| (built, worker))
        .unwrap()
        .0;
    let told = worker.run(CancellationToken::new()).await.unwrap_err().to_string();
    assert!(told.contains("ack_wait is 1s") && told.contains("asks for 7s"), "{told}");
}
