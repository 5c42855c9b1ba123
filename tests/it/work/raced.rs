//! Requests of people and workers at the same moment, and attempts that follow one another.

use std::collections::BTreeSet;

use stormpetrel::petrel::Change;

use super::*;
use crate::support::{petrel_at, system};

const LEASE: Duration = Duration::from_secs(1);

fn short() -> QueueOptions {
    let mut options = QueueOptions::new(queue("default"));
    options.ack_wait = Some(LEASE);
    options
}

/// A cancel and a result at the same moment: one of them is in the log, and the other's caller is told so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_cancel_and_a_result_one_wins_and_the_other_is_told() {
    let (server, petrel) = system().await;
    let other = petrel_at(server.url()).await;
    let mut won = BTreeSet::new();
    for number in 0..40 {
        let id = format!("c{number}");
        begun(&petrel, &steps(1, json!({})), &id).await;
        let work = item("steps", &id, 1);
        let start = stormpetrel::petrel::StartWork {
            work: work.clone(),
            over: None,
            worker: "w".to_owned(),
            lease: LEASE,
            start: 1,
        };
        other.begin_work(start).await.unwrap();
        let done =
            stormpetrel::engine::Answered { outcome: None, result: json!({}), hand_over: None };
        let (of, name) = (workflow("steps"), case(&id));
        // One of them begins some time later, another one each time.
        let (wait, cancels_late) = (Duration::from_micros(150 * number), number % 2 == 0);
        let late = async |is_late: bool| {
            if is_late {
                tokio::time::sleep(wait).await;
            }
        };
        let cancel = async {
            late(cancels_late).await;
            petrel.cancel(&of, &name, Change::default()).await
        };
        let complete = async {
            late(!cancels_late).await;
            other.complete_work(&work, Some(1), done, Change::default()).await
        };
        let (cancelled, completed) = tokio::join!(cancel, complete);
        let now = petrel.case(&of, &name).await.unwrap();
        let status = match (cancelled, completed) {
            (Ok(_), Err(error)) => {
                assert!(error.to_string().contains("cancelled"), "{error}");
                CaseStatus::Cancelled
            }
            (Err(error), Ok(_)) => {
                assert!(error.to_string().contains("completed"), "{error}");
                CaseStatus::Completed
            }
            both => panic!("{both:?}"),
        };
        assert_eq!(now.status, status);
        won.insert(status.as_str());
        assert_eq!(history(&petrel, "steps", &name).await.len(), 3);
    }
    assert_eq!(won.len(), 2, "both happened: {won:?}");
    is_whole(&petrel).await;
}

/// A case whose item waits for its next attempt is cancelled at once, and nothing of it comes again.
#[tokio::test]
async fn a_case_that_waits_for_its_next_attempt_is_cancelled_at_once() {
    let (_server, petrel) = system().await;
    let retry = json!({"retry": {"attempts": 3, "first": "1h"}});
    begun(&petrel, &steps(1, retry), "c").await;
    let worker = Worker::builder(petrel.clone())
        .queue(short())
        .handle(kind("step0"), |_: Attempt, _: Value| async {
            Err::<Value, _>(WorkError::new("DOWN", ""))
        });
    let running = Running::start(&petrel, worker);
    let (of, id) = (workflow("steps"), case("c"));
    eventually("it waits", async || {
        let now = petrel.case(&of, &id).await.unwrap();
        now.items[0].wait.is_some().then_some(())
    })
    .await;
    let done = petrel.cancel(&of, &id, Change::default()).await.unwrap();
    assert_eq!((done.case.status, done.case.items.len()), (CaseStatus::Cancelled, 0));
    running.stop().await;
    is_whole(&petrel).await;
}

/// A thousand items fail at the same second: their next attempts are spread over the whole delay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_after_a_common_failure_are_spread() {
    let petrel = Petrel::new(Arc::new(stormpetrel::storage::MemoryStorage::new()));
    let retry = json!({"retry": {"attempts": 2, "first": "50s"}});
    for number in 0..1_000 {
        begun(&petrel, &steps(1, retry.clone()), &format!("c{number}")).await;
    }
    let worker = Worker::builder(petrel.clone())
        .queue(QueueOptions::new(queue("default")))
        .handle(kind("step0"), |_: Attempt, _: Value| async {
            Err::<Value, _>(WorkError::new("DOWN", ""))
        });
    let running = Running::start(&petrel, worker);
    let mut tenths = [0; 10];
    for number in 0..1_000 {
        let failed = eventually("it fails", async || {
            let records = history(&petrel, "steps", &case(&format!("c{number}"))).await;
            records.into_iter().find(|record| record.value.kind == RecordKind::Failed)
        })
        .await;
        let wait = failed.value.items[0].wait.as_ref().unwrap().until - failed.value.time;
        tenths[usize::try_from(wait.num_seconds()).unwrap().min(49) / 5] += 1;
    }
    // Each has 100; a binomial one below 50 or above 150 is five standard deviations away.
    assert!(tenths.iter().all(|count| (50..=150).contains(count)), "{tenths:?}");
    running.stop().await;
}

/// Two operators have the same incident tried again at the same moment: its work is done once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incident_that_two_people_retry_is_tried_once() {
    let (server, petrel) = system().await;
    let other = petrel_at(server.url()).await;
    let ledger = Arc::<Ledger>::default();
    for number in 0..10 {
        let id = format!("c{number}");
        begun(&petrel, &steps(1, json!({})), &id).await;
        let failure = stormpetrel::models::Failure {
            code: "X".to_owned(),
            is_final: true,
            ..Default::default()
        };
        petrel.fail_work(&item("steps", &id, 1), None, failure, Change::default()).await.unwrap();
        let (of, name) = (workflow("steps"), case(&id));
        let (one, two) = tokio::join!(
            petrel.retry_incident(&of, &name, 1, Change::default()),
            other.retry_incident(&of, &name, 1, Change::default())
        );
        let late = match (one, two) {
            (Ok(_), Err(late)) | (Err(late), Ok(_)) => late,
            both => panic!("{both:?}"),
        };
        assert!(late.to_string().contains("is over"), "{late}");
    }
    let running = Running::start(&petrel, noting(&petrel, &["step0"], &ledger, Duration::ZERO));
    for number in 0..10 {
        until(&petrel, "steps", &format!("c{number}"), CaseStatus::Completed).await;
    }
    assert_eq!(ledger.len(), 10);
    ledger.is_once_a_claim();
    running.stop().await;
    is_whole(&petrel).await;
}
