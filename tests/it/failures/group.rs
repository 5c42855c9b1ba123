//! Appends that come at once, where each alone would wait for the disk: they go together, and each is
//! taken or refused by itself.

use std::{cell::Cell, collections::BTreeSet, time::Duration};

use futures::future::join_all;
use serde_json::json;
use stormpetrel::{
    local_server::{LocalServerOptions, SyncInterval},
    models::CaseId,
    petrel::{Changed, Error, Fire, Petrel},
    storage::nats::{GroupCommit, NatsStorageConfig},
    testing::{FaultProxy, TestCluster, TestServer},
};

use super::fixtures::{
    connect, edit_stream, eventually, fire_once, impatient, log_of, operator, pendulum, swing,
    view_is_the_log,
};
use crate::support::{config, replicated, transition, workflow};

const CASES: usize = 100;

const PATIENCE: Duration = Duration::from_secs(60);

async fn on_disk() -> TestServer {
    let sync_interval = SyncInterval::Always;
    TestServer::start_with(LocalServerOptions { sync_interval, ..Default::default() }).await
}

/// A process whose appends go together whenever several come at once.
async fn together(url: String) -> Petrel {
    connect(NatsStorageConfig { group_commit: GroupCommit::Always, ..impatient(url) }).await
}

async fn swings(petrel: &Petrel) -> Vec<CaseId> {
    pendulum(petrel).await;
    let begun: Vec<_> = (0..CASES).map(|number| format!("case-{number}")).collect();
    let begun = join_all(begun.iter().map(|id| swing(petrel, id))).await;
    begun.into_iter().map(|(case, _)| case).collect()
}

async fn swing_on(
    petrel: &Petrel,
    case: &CaseId,
    round: usize,
    firing: &str,
) -> Result<Changed, Error> {
    let name = ["go", "return"][round % 2];
    let fire = Fire::case(workflow("pendulum"), case.clone(), transition(name));
    petrel.fire(fire_once(fire, firing)).await
}

/// Number of records that went into the log with others.
async fn grouped(url: &str, log: &str) -> usize {
    let log = operator(url).await.get_stream(log).await.unwrap();
    let last = log.cached_info().state.last_sequence;
    let messages = join_all((1..=last).map(|sequence| log.get_raw_message(sequence))).await;
    let is_grouped = |headers: &async_nats::HeaderMap| headers.get("Nats-Batch-Id").is_some();
    messages.into_iter().filter(|message| is_grouped(&message.as_ref().unwrap().headers)).count()
}

/// The ids of a case's firings, each of which is there once.
async fn firings(petrel: &Petrel, case: &CaseId) -> BTreeSet<String> {
    let log = log_of(petrel, &workflow("pendulum"), case).await;
    let ids = log.iter().skip(1).map(|record| record.value.firing.to_string());
    let ids: Vec<_> = ids.collect();
    let all = ids.len();
    let ids: BTreeSet<_> = ids.into_iter().collect();
    assert_eq!(ids.len(), all, "{case}: one is there twice");
    ids
}

/// Both want the same of every third case in each round, and one of them is late. Nobody is in the way of
/// every fourth round: a batch with one loser is taken apart, and on a busy machine all of the others are.
async fn fight(one: &Petrel, other: &Petrel) {
    let cases = swings(one).await;
    let mut taken = vec![BTreeSet::new(); CASES];
    for round in 0..16 {
        let ours = cases.iter().map(async |case| {
            let firing = format!("one-{round}");
            (swing_on(one, case, round, &firing).await, firing)
        });
        let theirs = cases.iter().enumerate().map(async |(number, case)| {
            let firing = format!("other-{round}");
            match number % 3 {
                0 if round % 4 != 3 => Some((swing_on(other, case, round, &firing).await, firing)),
                _ => None,
            }
        });
        let (ours, theirs) = tokio::join!(join_all(ours), join_all(theirs));
        for (number, (ours, theirs)) in ours.into_iter().zip(theirs).enumerate() {
            let mut winners = 0;
            for (answer, firing) in [Some(ours), theirs].into_iter().flatten() {
                match answer {
                    Ok(changed) => {
                        let stored = one.storage().record(
                            &changed.case.workflow,
                            &changed.case.id,
                            changed.record.sequence,
                        );
                        let stored = stored.await.unwrap().expect("a record");
                        assert_eq!(stored.value.firing.to_string(), firing);
                        taken[number].insert(firing);
                        winners += 1;
                    }
                    Err(Error::NotEnabled(_) | Error::Conflict { .. }) => {}
                    Err(error) => panic!("{round} {number}: {error}"),
                }
            }
            assert_eq!(winners, 1, "{round} {number}");
        }
    }
    for (case, taken) in cases.iter().zip(taken) {
        assert_eq!(firings(one, case).await, taken, "{case}");
    }
    view_is_the_log(one).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_those_who_append_together_each_is_answered_by_itself() {
    let server = on_disk().await;
    for other in [GroupCommit::Always, GroupCommit::Measured, GroupCommit::Never] {
        let name = format!("{other:?}").to_lowercase();
        let of = |group_commit| NatsStorageConfig {
            prefix: name.clone(),
            log_stream: format!("LOG_{name}"),
            marking_stream: format!("VIEW_{name}"),
            group_commit,
            consumer_timeout: PATIENCE,
            ..config(server.url())
        };
        let [one, other] = [connect(of(GroupCommit::Always)).await, connect(of(other)).await];
        fight(&one, &other).await;
        let grouped = grouped(&server.url(), &format!("LOG_{name}")).await;
        assert!(grouped > CASES, "{grouped} were appended with others");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_those_who_append_together_to_three_replicas_each_is_answered_by_itself() {
    let cluster = TestCluster::start(3).await;
    for other in [GroupCommit::Always, GroupCommit::Measured, GroupCommit::Never] {
        let name = format!("{other:?}").to_lowercase();
        let of = |node, group_commit| NatsStorageConfig {
            prefix: name.clone(),
            log_stream: format!("LOG_{name}"),
            marking_stream: format!("VIEW_{name}"),
            consumer_timeout: PATIENCE,
            group_commit,
            ..replicated(&cluster, node)
        };
        let [one, other] = [connect(of(0, GroupCommit::Always)).await, connect(of(1, other)).await];
        fight(&one, &other).await;
        let grouped = grouped(&cluster.url(0), &format!("LOG_{name}")).await;
        assert!(grouped > CASES, "{grouped} were appended with others");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_takes_no_batches_gets_all_appends_one_by_one() {
    let server = on_disk().await;
    let petrel = together(server.url()).await;
    let cases = swings(&petrel).await;
    edit_stream(&operator(server.url()).await, "CB_LOG", json!({ "allow_atomic": false })).await;
    let before = grouped(&server.url(), "CB_LOG").await;
    for round in 0..4 {
        let firing = format!("round-{round}");
        let swung = cases.iter().map(async |case| {
            eventually("an answer", PATIENCE, async || {
                swing_on(&petrel, case, round, &firing).await
            })
            .await;
        });
        join_all(swung).await;
    }
    for case in &cases {
        assert_eq!(firings(&petrel, case).await.len(), 4, "{case}");
    }
    assert_eq!(grouped(&server.url(), "CB_LOG").await, before);
}

/// A new leader has forgotten the batches that were under way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_new_leader_has_forgotten_is_appended_once() {
    let cluster = TestCluster::start(3).await;
    let config = NatsStorageConfig {
        consumer_timeout: Duration::from_secs(2),
        group_commit: GroupCommit::Always,
        ..replicated(&cluster, 0)
    };
    let petrel = connect(config).await;
    let cases = swings(&petrel).await;
    let operator = operator(cluster.url(1)).await;
    let mut ids = BTreeSet::new();
    for round in 0..12 {
        let firing = format!("round-{round}");
        let swung = cases.iter().map(async |case| {
            eventually("an answer", PATIENCE, async || {
                swing_on(&petrel, case, round, &firing).await
            })
            .await;
        });
        let stepped_down = async {
            if round % 3 == 2 {
                let request = operator.request("STREAM.LEADER.STEPDOWN.CB_LOG", &());
                request.await.map(|_: serde_json::Value| ()).unwrap();
            }
        };
        tokio::join!(join_all(swung), stepped_down);
        ids.insert(firing);
    }
    for case in &cases {
        assert_eq!(firings(&petrel, case).await, ids, "{case}");
    }
    let grouped = grouped(&cluster.url(0), "CB_LOG").await;
    assert!(grouped > CASES, "{grouped} were appended with others");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_whose_common_answer_is_lost_find_each_its_own() {
    let server = on_disk().await;
    let proxy = FaultProxy::start(server.address()).await;
    let petrel = together(proxy.url()).await;
    let cases = swings(&petrel).await;
    let (mut ids, lost) = (BTreeSet::new(), Cell::new(0));
    // Until an answer of several was among those that were lost.
    for round in (0..60).take_while(|round| *round < 12 || lost.get() < 2) {
        let firing = format!("round-{round}");
        let is_lost = round % 4 == 3;
        let before = grouped(&server.url(), "CB_LOG").await;
        if is_lost {
            proxy.drop_replies();
        }
        let swung = cases.iter().map(|case| swing_on(&petrel, case, round, &firing));
        let answers = join_all(swung).await;
        if is_lost {
            assert!(answers.iter().all(Result::is_err));
            lost.set(lost.get() + grouped(&server.url(), "CB_LOG").await - before);
            proxy.cut().await;
            proxy.pass_replies();
            proxy.restore();
        }
        for case in &cases {
            eventually("an answer", PATIENCE, async || {
                swing_on(&petrel, case, round, &firing).await
            })
            .await;
        }
        ids.insert(firing);
    }
    assert!(lost.get() > 1, "no answer of several was lost");
    for case in &cases {
        assert_eq!(firings(&petrel, case).await, ids, "{case}");
    }
}
