//! Workers that are lost, and stores that lose what they had.

use super::*;
use crate::support::system;

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
