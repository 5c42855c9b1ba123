//! Three servers, and faults of one of them.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::{HeaderMap, jetstream};
use futures::future::join_all;
use serde_json::json;
use stormpetrel::{
    models::{CaseId, LogSequence, TokenId, WorkflowId},
    petrel::{Change, Changed, Error, ExpectedVersion, Fire, NewCase, NewToken, Petrel},
    storage::{
        CaseLog, Consistency,
        nats::{NatsStorage, NatsStorageConfig},
    },
    testing::{FaultyStorage, TestCluster},
};

use super::{
    fixtures::{
        Reconciler, connect, edit_stream, eventually, fire_once, log_of, operator, pendulum,
        stream_info, swing, view_is_the_log,
    },
    load::Load,
    looking::{doctor, failures},
};
use crate::support::{case, config, definition, replicated, transition, workflow};

/// Server that leads a stream.
pub(crate) async fn leader(
    operator: &jetstream::Context,
    cluster: &TestCluster,
    stream: &str,
) -> usize {
    eventually("a leader", Duration::from_secs(30), async || {
        let info = stream_info(operator, stream).await;
        let name = info["cluster"]["leader"].as_str().unwrap_or_default();
        cluster.named(name).ok_or_else(|| info["cluster"].to_string())
    })
    .await
}

/// Connects, even if the servers have not all heard of one another yet.
pub(crate) async fn joined(config: NatsStorageConfig) -> Petrel {
    let within = Duration::from_secs(30);
    let storage = eventually("a system", within, async || {
        let connected = NatsStorage::connect(config.clone()).await;
        connected.inspect_err(|error| assert!(error.retryable(), "{error}"))
    });
    let storage = storage.await;
    eventually("a leader", within, async || {
        let end = storage.last_sequence().await;
        end.inspect_err(|error| assert!(error.retryable(), "{error}"))
    })
    .await;
    Petrel::new(Arc::new(storage))
}

pub(super) async fn ticking(petrel: &Petrel) -> (WorkflowId, CaseId, TokenId) {
    let ticking = definition(json!({
        "id": "ticking",
        "initial_place": "a",
        "places": [{"id": "a"}, {"id": "b"}],
        "transitions": [
            {"id": "tick", "inputs": [{"place": "a"}], "outputs": [{"place": "a"}]},
            {"id": "move", "inputs": [{"place": "a"}], "outputs": [{"place": "b"}]}
        ]
    }));
    petrel.create_workflow(ticking, ExpectedVersion::Any).await.unwrap();
    let new = NewCase { case: Some(case("k")), ..NewCase::of(workflow("ticking")) };
    let begun = petrel.create_case(new).await.unwrap();
    (workflow("ticking"), case("k"), begun.tokens[0].id.clone())
}

/// A change of a kind, as somebody asks for it.
async fn change(
    petrel: &Petrel,
    kind: &str,
    ids: &(WorkflowId, CaseId, TokenId),
) -> Result<Changed, Error> {
    let (workflow, case, token) = ids;
    let change = Change::default();
    match kind {
        "fired" => {
            petrel.fire(Fire::case(workflow.clone(), case.clone(), transition("tick"))).await
        }
        "edited" => {
            let patch = json!({"n": 1});
            petrel.update_token_data(Some(workflow), token, patch, change).await
        }
        "token_created" => {
            let new = NewToken {
                workflow: workflow.clone(),
                case: case.clone(),
                place: None,
                data: json!({}),
                metadata: Default::default(),
                change,
            };
            petrel.create_token(new).await
        }
        "paused" => petrel.pause(workflow, case, change).await,
        _ => petrel.resume(workflow, case, change).await,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_change_races_every_other_and_each_yes_is_one_record() {
    const KINDS: [&str; 5] = ["fired", "edited", "token_created", "paused", "resumed"];
    const TIMES: usize = 25;
    let cluster = TestCluster::start(3).await;
    let processes = [joined(replicated(&cluster, 0)).await, joined(replicated(&cluster, 1)).await];
    let ids = Arc::new(ticking(&processes[0]).await);
    let mut tasks = Vec::new();
    for kind in KINDS {
        for petrel in &processes {
            let (petrel, ids) = (petrel.clone(), Arc::clone(&ids));
            tasks.push(tokio::spawn(async move {
                let mut yes = Vec::new();
                for _ in 0..TIMES {
                    match change(&petrel, kind, &ids).await {
                        Ok(changed) if !changed.repeated => yes.push(changed.record.sequence),
                        // It was as it should be, or paused; or others were always first.
                        Ok(_)
                        | Err(
                            Error::WrongStatus { .. }
                            | Error::NotEnabled(_)
                            | Error::Conflict { .. },
                        ) => {}
                        Err(error) => panic!("{kind}: {error}"),
                    }
                }
                yes
            }));
        }
    }
    let mut yes: Vec<LogSequence> = Vec::new();
    for task in join_all(tasks).await {
        yes.extend(task.unwrap());
    }
    let log = log_of(&processes[1], &ids.0, &ids.1).await;
    let mut stored: Vec<LogSequence> = log.iter().skip(1).map(|record| record.sequence).collect();
    stored.sort_unstable();
    yes.sort_unstable();
    assert_eq!(yes, stored, "each change that was answered with a yes is one record");
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for pair in log.windows(2) {
        let (before, record) = (&pair[0], &pair[1]);
        assert_eq!(record.value.previous, Some(before.sequence), "two follow upon one record");
        assert_eq!(record.value.previous_hash.as_deref(), Some(before.hash.as_str()));
        *kinds.entry(format!("{:?}", record.value.kind)).or_default() += 1;
    }
    assert_eq!(kinds.len(), 4, "all kinds took part: {kinds:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_killed_in_mid_load_costs_seconds_and_errors_that_say_try_again() {
    let mut cluster = TestCluster::start(3).await;
    let operator = operator(cluster.url(0)).await;
    drop(joined(replicated(&cluster, 0)).await);
    let load = Load::start((0..3).map(|node| replicated(&cluster, node))).await;
    for stream in ["CB_LOG", "CB_MARKING"] {
        load.goes_on(60).await;
        let killed = leader(&operator, &cluster, stream).await;
        cluster.kill(killed).await;
        let seen = errors_until_an_answer(&load.connections).await;
        for error in seen {
            assert!(error.retryable(), "{error}");
            assert!(!error.to_string().contains("missing"), "{error}");
        }
        load.goes_on(60).await;
        cluster.restart(killed).await;
    }
    load.goes_on(60).await;
    load.ends_well().await;
}

/// Errors of strong reads, listings and changes, until all of them succeed for a second.
async fn errors_until_an_answer(connections: &[Petrel]) -> Vec<Error> {
    let (pendulum, id) = (workflow("pendulum"), case("case-0"));
    let (begun, mut well_since) = (Instant::now(), None);
    let mut errors = Vec::new();
    while well_since.is_none_or(|since: Instant| since.elapsed() < Duration::from_secs(1)) {
        assert!(begun.elapsed() < Duration::from_secs(60), "not in a minute: {:?}", errors.last());
        let before = errors.len();
        for petrel in connections {
            errors.extend(petrel.case(&pendulum, &id).await.err());
            errors.extend(petrel.workflow(&pendulum).await.err());
            let change = Change::default();
            errors.extend(petrel.resume(&pendulum, &id, change).await.err());
            errors.extend(petrel.history(&pendulum, &id, Default::default()).await.err());
        }
        match errors.len() == before {
            true => well_since = well_since.or(Some(Instant::now())),
            false => well_since = None,
        }
    }
    errors
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_runs_while_replicas_are_added_reads_what_the_leader_has() {
    let cluster = TestCluster::start(3).await;
    let operator = operator(cluster.url(0)).await;
    let one = connect(config(cluster.url(0))).await;
    let others = [connect(config(cluster.url(1))).await, connect(config(cluster.url(2))).await];
    let (workflow, case, _) = ticking(&one).await;
    for stream in ["CB_LOG", "CB_MARKING", "CB_TIMERS", "CB_WORK", "CB_BEATS"] {
        edit_stream(&operator, stream, json!({"num_replicas": 3})).await;
    }
    eventually("replicas that follow", Duration::from_secs(30), async || {
        let cluster = stream_info(&operator, "CB_LOG").await["cluster"].take();
        let replicas = cluster["replicas"].as_array().cloned().unwrap_or_default();
        let current = replicas.iter().filter(|replica| replica["current"] == true).count();
        if current == 2 { Ok(()) } else { Err(cluster.to_string()) }
    })
    .await;
    for n in 0..400 {
        let id = format!("f{n}");
        let tick =
            || fire_once(Fire::case(workflow.clone(), case.clone(), transition("tick")), &id);
        let fired = one.fire(tick()).await.unwrap();
        let other = &others[n % 2];
        let head = other.storage().head(&workflow, &case, Consistency::Strong).await.unwrap();
        assert_eq!(head.unwrap().sequence, fired.record.sequence, "a strong read of {id}");
        if n % 4 == 0 {
            let log = log_of(other, &workflow, &case).await;
            assert_eq!(log.last().unwrap().sequence, fired.record.sequence, "the history of {id}");
            let again = other.fire(tick()).await.unwrap();
            assert!(again.repeated, "{id} fired again");
        }
    }
}

#[tokio::test]
async fn a_system_without_most_of_its_servers_is_not_ready_and_doctor_says_why() {
    let mut cluster = TestCluster::start(3).await;
    let petrel = joined(replicated(&cluster, 0)).await;
    let (workflow, case, _) = ticking(&petrel).await;
    cluster.kill(1).await;
    cluster.kill(2).await;
    // Its lease, and a look of some seconds; on a busy machine both take longer.
    eventually("not ready", Duration::from_secs(30), async || {
        let health = petrel.health().await;
        match (health.connected, health.problem) {
            (false, Some(problem)) if problem.contains("leader") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert!(petrel.case(&workflow, &case).await.unwrap_err().retryable());
    let found = doctor(&cluster.url(0), &[]).await;
    let failed = failures(&found);
    assert!(failed.contains("leader") && failed.contains("most of"), "{found}");
    assert!(!failed.contains("turn JetStream on"), "{found}");

    cluster.restart(1).await;
    cluster.restart(2).await;
    eventually("ready", Duration::from_secs(30), async || {
        let health = petrel.health().await;
        if health.connected { Ok(()) } else { Err(format!("{health:?}")) }
    })
    .await;
}

/// Settings of one of several systems of a cluster, for a process that begins with one of the servers.
fn one_of_many(cluster: &TestCluster, system: &str, node: usize) -> NatsStorageConfig {
    NatsStorageConfig {
        prefix: system.to_owned(),
        log_stream: format!("LOG_{system}"),
        marking_stream: format!("MARKING_{system}"),
        ..replicated(cluster, node)
    }
}

#[tokio::test]
async fn clients_that_start_together_wait_for_the_leaders_of_their_streams() {
    let cluster = TestCluster::start(3).await;
    for system in ["a", "b", "c", "d"] {
        let started = [0, 1, 2].map(|node| one_of_many(&cluster, system, node));
        let started = join_all(started.map(NatsStorage::connect)).await;
        started.into_iter().for_each(|storage| drop(storage.unwrap()));
    }
}

#[tokio::test]
async fn clients_that_start_together_and_want_different_replicas_share_the_streams() {
    let cluster = TestCluster::start(3).await;
    for system in ["a", "b", "c", "d"] {
        let started = [(0, 1), (1, 3), (2, 1)].map(|(node, replicas)| {
            let config = one_of_many(&cluster, system, node);
            joined(NatsStorageConfig { replicas: Some(replicas), ..config })
        });
        join_all(started).await;
    }
}

#[tokio::test]
async fn a_view_that_is_made_again_has_as_many_replicas_as_its_log() {
    let cluster = TestCluster::start(3).await;
    joined(replicated(&cluster, 0)).await;
    let storage = NatsStorage::connect(config(cluster.url(0))).await.unwrap();
    let operator = operator(cluster.url(0)).await;
    for _ in 0..2 {
        operator.delete_stream("CB_MARKING").await.unwrap();
        eventually("made again", Duration::from_secs(20), async || {
            storage.view_to_be_filled().await.map(drop)
        })
        .await;
        assert_eq!(stream_info(&operator, "CB_MARKING").await["config"]["num_replicas"], 3);
    }
}

/// As a replica shows them whose server was killed: messages that had been replaced.
#[tokio::test]
async fn what_a_new_leader_of_the_view_has_again_is_mended_by_whoever_serves() {
    let cluster = TestCluster::start(3).await;
    let storage = FaultyStorage::new(joined(replicated(&cluster, 0)).await.storage().clone());
    let petrel = Petrel::new(Arc::new(storage.clone()));
    pendulum(&petrel).await;
    let (_, token) = swing(&petrel, "case").await;
    let operator = operator(cluster.url(1)).await;
    let view = operator.get_stream("CB_MARKING").await.unwrap();
    let subject = format!("cb.workflows.pendulum.places.here.tokens.{token}");
    let old = view.get_last_raw_message_by_subject(&subject).await.unwrap();
    petrel.fire(Fire::token(token, transition("go"))).await.unwrap();
    let _reconciler = Reconciler::of(&petrel);
    let within = Duration::from_secs(60);
    eventually("a look at the view", within, async || match storage.outline_reads() {
        0 => Err("none"),
        _ => Ok(()),
    })
    .await;
    view_is_the_log(&petrel).await.unwrap();
    let mut headers = HeaderMap::new();
    for name in ["Petrel-Format", "Petrel-Case", "Petrel-Revision"] {
        if let Some(value) = old.headers.get(name) {
            headers.insert(name, value.clone());
        }
    }
    let again = operator.publish_with_headers(subject, headers, old.payload).await.unwrap();
    again.await.unwrap();
    assert!(view_is_the_log(&petrel).await.is_err(), "it is not there again");
    let led_by = leader(&operator, &cluster, "CB_MARKING").await;
    let request = operator.request("STREAM.LEADER.STEPDOWN.CB_MARKING", &());
    request.await.map(|_: serde_json::Value| ()).unwrap();
    eventually("a view that is right", within, async || view_is_the_log(&petrel).await).await;
    assert_ne!(leader(&operator, &cluster, "CB_MARKING").await, led_by);
}
