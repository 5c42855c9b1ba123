//! Open work and beats on three servers.

use std::{collections::BTreeMap, time::Duration};

use stormpetrel::{
    storage::{Beat, Beats, CaseLog, Work, nats::NatsStorage},
    testing::TestCluster,
};

use super::{NORMAL, PATIENCE, acknowledged, offers, queue, take};
use crate::{
    failures::{
        fixtures::{eventually, operator, stream_info},
        replicas::leader,
    },
    support::{case, replicated, workflow},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_offer_is_lost_when_the_leader_is_killed() {
    let mut cluster = TestCluster::start(3).await;
    let work = eventually("a system", PATIENCE, async || {
        NatsStorage::connect(replicated(&cluster, 0)).await
    })
    .await;
    work.last_sequence().await.unwrap();
    let operator = operator(cluster.url(0)).await;
    for stream in ["CB_WORK", "CB_BEATS"] {
        assert_eq!(stream_info(&operator, stream).await["config"]["num_replicas"], 3);
    }
    let made = offers("q", 0..200);
    work.offer(&made).await.unwrap();
    let mut came = BTreeMap::new();
    for delivery in take(&work, "q", 50).await {
        work.acknowledge(&delivery).await.unwrap();
        *came.entry(delivery.offer.item).or_insert(0) += 1;
    }
    let led_by = leader(&operator, &cluster, "CB_WORK").await;
    cluster.kill(led_by).await;
    while came.len() < 200 {
        let delivery = take(&work, "q", 1).await.remove(0);
        acknowledged(&work, &delivery).await;
        *came.entry(delivery.offer.item).or_insert(0) += 1;
    }
    cluster.restart(led_by).await;
    let again: Vec<_> = came.iter().filter(|(_, times)| **times > 1).collect();
    eprintln!("came more than once: {again:?}");
    eventually("none is left", PATIENCE, async || {
        let taken = work.take(&queue("q"), NORMAL, 10, Duration::from_millis(300)).await;
        for delivery in taken.map_err(|error| error.to_string())? {
            acknowledged(&work, &delivery).await;
        }
        let there = work.offered(&made).await.map_err(|error| error.to_string())?;
        if there.contains(&true) { Err("some are there".to_owned()) } else { Ok(()) }
    })
    .await;
    // By the leader, whoever that is: never an earlier one.
    let (mut last, mut beat) = (
        None,
        Beat {
            workflow: workflow("w"),
            case: case("c"),
            item: 1,
            claim: 0,
            holder: "h".to_owned(),
            worker: "a".to_owned(),
        },
    );
    for claim in 0..200 {
        beat.claim = claim;
        last = Some(work.beat(&beat, Duration::from_secs(60), last).await.unwrap());
        let found = work.last_beat(&beat.workflow, &beat.case, 1).await.unwrap().unwrap();
        assert_eq!((found.beat.claim, Some(found.sequence)), (claim, last));
    }
}
