//! Many who follow one workflow, through any fault meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use stormpetrel::models::{LogPosition, LogSequence};

use async_nats::jetstream;
use futures::{StreamExt, TryStreamExt, future::join_all};
use serde_json::json;
use stormpetrel::{
    petrel::{Change, Fire, Petrel},
    storage::{LogRange, LogScope},
    testing::TestServer,
};

use super::{
    fixtures::{connect, eventually, impatient, log_of, pendulum, swing},
    load::Load,
};
use crate::support::{at, begin, config, system, transition, workflow};

/// Number of records that a visit reads at most.
const VISIT: usize = 150;

#[tokio::test]
async fn all_who_follow_one_workflow_share_one_reading_of_the_log() {
    let (server, petrel) = system().await;
    pendulum(&petrel).await;
    let (case, _) = swing(&petrel, "shared").await;
    let scope = LogScope::Workflow(workflow("pendulum"));
    let followers = (0..300).map(|_| petrel.watch(scope.clone(), None));
    let mut followers: Vec<_> = join_all(followers).await.into_iter().map(Result::unwrap).collect();

    let fire = Fire::case(workflow("pendulum"), case, transition("go"));
    let fired = petrel.fire(fire).await.unwrap().record.sequence;
    for follower in &mut followers {
        assert_eq!(follower.next().await.unwrap().unwrap().sequence, fired);
    }
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut log = jetstream::new(client).get_stream("CB_LOG").await.unwrap();
    assert_eq!(log.info().await.unwrap().state.consumer_count, 1, "for 300 followers");

    drop(followers);
    eventually("nobody follows any more", Duration::from_secs(10), async || {
        match log.info().await.unwrap().state.consumer_count {
            0 => Ok(()),
            there => Err(format!("{there} consumers")),
        }
    })
    .await;
}

#[tokio::test]
async fn whoever_is_slow_stops_no_other_and_misses_nothing() {
    let server = TestServer::start().await;
    let load = Load::start([config(server.url())]).await;
    let petrel = load.connections[0].clone();
    let scope = LogScope::Workflow(workflow("pendulum"));
    let mut slow = petrel.watch(scope.clone(), Some(LogPosition::FIRST)).await.unwrap();
    let mut late = petrel.watch(scope.clone(), None).await.unwrap();
    let (mut slow_saw, mut late_saw) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        slow_saw.push(slow.next().await.unwrap().unwrap().sequence);
        late_saw.push(late.next().await.unwrap().unwrap().sequence);
        let mut quick = petrel.watch(scope.clone(), None).await.unwrap();
        for _ in 0..700 {
            quick.next().await.unwrap().unwrap();
        }
    }
    for (follower, saw) in [(&mut slow, &mut slow_saw), (&mut late, &mut late_saw)] {
        while saw.len() < 2_100 {
            saw.push(follower.next().await.unwrap().unwrap().sequence);
        }
    }
    is_the_log(&petrel, LogSequence::FIRST, &slow_saw).await;
    is_the_log(&petrel, late_saw[0], &late_saw).await;
    load.ends_well().await;
}

/// More than the feeds keep for those who have not come for it.
#[tokio::test]
async fn large_records_that_nobody_kept_are_read_again_in_order() {
    let (_server, petrel) = system().await;
    let (begun, token) = begin(&petrel, json!({ "amount": 1 })).await;
    let scope = LogScope::Case(workflow("orders"), begun.case.id.clone());
    let mut slow = petrel.watch(scope.clone(), Some(LogPosition::FIRST)).await.unwrap();
    let mut quick = petrel.watch(scope, None).await.unwrap();
    let mut saw = vec![slow.next().await.unwrap().unwrap().sequence];
    for number in 0..40 {
        let patch = json!({ "number": number, "text": "x".repeat(600_000) });
        let change = Change::default();
        petrel.update_token_data(None, &token, patch, change).await.unwrap();
        let record = quick.next().await.unwrap().unwrap();
        assert_eq!(record.value.produced[0].data["number"], number);
    }
    for number in 0..40 {
        let record = slow.next().await.unwrap().unwrap();
        assert_eq!(record.value.produced[0].data["number"], number);
        saw.push(record.sequence);
    }
    let history = log_of(&petrel, &workflow("orders"), &begun.case.id).await;
    assert_eq!(saw, history.iter().map(|record| record.sequence).collect::<Vec<_>>());
}

#[tokio::test]
async fn whoever_comes_and_goes_at_any_moment_has_each_record_once_and_in_order() {
    let mut server = TestServer::start().await;
    let load = Load::start([impatient(server.url())]).await;
    let over = Arc::new(AtomicBool::new(false));
    let reader = connect(impatient(server.url())).await;
    let followers: Vec<_> = (0..12)
        .map(|number| tokio::spawn(visits(reader.clone(), number, Arc::clone(&over))))
        .collect();
    load.goes_on(300).await;
    server.kill().await;
    server.restart().await;
    load.goes_on(300).await;
    over.store(true, Ordering::Relaxed);
    let mut count = 0;
    for visits in join_all(followers).await {
        for (from, saw) in visits.unwrap() {
            is_the_log(&reader, from, &saw).await;
            count += 1;
        }
    }
    assert!(count >= 24, "{count} visits");
    load.ends_well().await;
}

/// Follows the workflow again and again: from the beginning, from somewhere in the middle, or
/// from the end of the last visit. Returns each visit's beginning, and the sequences it saw.
async fn visits(
    petrel: Petrel,
    number: u64,
    over: Arc<AtomicBool>,
) -> Vec<(LogSequence, Vec<LogSequence>)> {
    let scope = LogScope::Workflow(workflow("pendulum"));
    let (mut visits, mut next, mut turn) = (Vec::new(), LogSequence::FIRST, number);
    while !over.load(Ordering::Relaxed) {
        turn += 1;
        let from = [LogSequence::FIRST, at(next.get() / 2 + 1), next][turn as usize % 3];
        let mut records = match petrel.watch(scope.clone(), Some(from.into())).await {
            Ok(records) => records,
            // It is away.
            Err(error) => {
                assert!(error.retryable(), "{error}");
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let mut saw = Vec::new();
        for _ in 0..VISIT - 10 * (turn as usize % 12) {
            saw.push(records.next().await.unwrap().unwrap().sequence);
        }
        next = saw.last().copied().unwrap().next();
        visits.push((from, saw));
    }
    visits
}

async fn is_the_log(petrel: &Petrel, from: LogSequence, saw: &[LogSequence]) {
    let scope = LogScope::Workflow(workflow("pendulum"));
    let log = petrel.storage().history(scope, LogRange::from(from)).await.unwrap();
    let log: Vec<_> =
        log.map_ok(|record| record.sequence).take(saw.len()).try_collect().await.unwrap();
    assert_eq!(saw, log, "from {from}");
}
