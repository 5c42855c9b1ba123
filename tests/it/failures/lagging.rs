//! Replicas that lag, and leaders that others have replaced: neither is believed.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use futures::TryStreamExt;
use stormpetrel::{
    storage::{Consistency, LogRange, LogScope, StorageError},
    testing::TestCluster,
};

use super::{
    fixtures::{eventually, operator, pendulum, swing},
    replicas::{joined, leader, ticking},
};
use crate::support::{case, replicated, workflow};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_through_a_replica_that_lags_lacks_nothing() {
    let cluster = TestCluster::start(3).await;
    let operator = operator(cluster.url(0)).await;
    let writer = joined(replicated(&cluster, 0)).await;
    pendulum(&writer).await;
    for turn in 0..3 {
        // The one that was suspended may have had another one elected.
        let leads = leader(&operator, &cluster, "CB_LOG").await;
        let lags = (leads + 1) % 3;
        let (writer, reader) =
            (joined(replicated(&cluster, leads)).await, joined(replicated(&cluster, lags)).await);
        cluster.suspend(lags);
        let mut written = HashSet::new();
        for n in 0..40 {
            written.insert(swing(&writer, &format!("case-{turn}-{n}")).await.0);
        }
        let last = format!("case-{turn}-39");
        cluster.resume(lags);
        for scope in [LogScope::All, LogScope::Lifecycles(Some(workflow("pendulum")))] {
            let found: HashSet<_> = eventually("an answer", Duration::from_secs(20), async || {
                let log = reader.storage().history(scope.clone(), LogRange::ALL).await?;
                log.map_ok(|record| record.value.case).try_collect::<HashSet<_>>().await
            })
            .await;
            let lacks: Vec<_> = written.difference(&found).collect();
            assert!(lacks.is_empty(), "turn {turn}, {scope:?} lacks {lacks:?}");
        }
        let records = eventually("an answer", Duration::from_secs(20), async || {
            let scope = LogScope::Case(workflow("pendulum"), case(&last));
            let log = reader.storage().history(scope, LogRange::ALL).await?;
            log.map_ok(|record| record.sequence).try_collect::<Vec<_>>().await
        });
        assert_eq!(records.await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_is_not_believed() {
    let cluster = TestCluster::start(3).await;
    let operator_of_all = operator(cluster.url(0)).await;
    let petrel = joined(replicated(&cluster, 0)).await;
    let (workflow, id, _) = ticking(&petrel).await;
    let leads = leader(&operator_of_all, &cluster, "CB_LOG").await;
    let petrel = joined(replicated(&cluster, leads)).await;
    let others: Vec<usize> = (0..3).filter(|node| *node != leads).collect();
    petrel.case(&workflow, &id).await.unwrap();
    for other in &others {
        cluster.suspend(*other);
    }
    let cut_off = Instant::now();
    // Others could have elected another leader 4 s after they last heard of this one.
    let refused = loop {
        let begun = cut_off.elapsed();
        match petrel.storage().head(&workflow, &id, Consistency::Strong).await {
            Err(error) => break error,
            Ok(_) => assert!(begun < Duration::from_secs(4), "still believed after {begun:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(matches!(refused, StorageError::Unavailable { .. }), "{refused}");
    for other in &others {
        cluster.resume(*other);
    }
    eventually("an answer", Duration::from_secs(30), async || petrel.case(&workflow, &id).await)
        .await;
}
