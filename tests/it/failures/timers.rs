//! Timers when their consumer, their stream, a taker, the server or its leader goes away.

use std::{
    collections::BTreeMap,
    slice,
    time::{Duration, Instant},
};

use async_nats::jetstream::{self, AckKind, consumer::PullConsumer};
use chrono::{SubsecRound, TimeDelta, Utc};
use futures::StreamExt;
use serde_json::{Value, json};
use stormpetrel::{
    models::LogSequence,
    storage::{
        Arming, CaseLog, Due, Page, StorageError, Timers,
        nats::{NatsStorage, NatsStorageConfig},
    },
    testing::{TestCluster, TestServer},
};

use super::{
    fixtures::{eventually, impatient, operator, stream_info},
    looking::{doctor, failures, run, warnings},
    replicas::leader,
};
use crate::support::{case, config, replicated, workflow};

/// Longest time for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Longest time for what would come at once.
const MOMENT: Duration = Duration::from_millis(700);

async fn connect(config: NatsStorageConfig) -> NatsStorage {
    NatsStorage::connect(config).await.expect("connect")
}

/// Timers with these numbers, due in so many seconds.
fn armings(numbers: std::ops::Range<u64>, seconds: i64) -> Vec<Arming> {
    let due = Utc::now().trunc_subsecs(6) + TimeDelta::seconds(seconds);
    let arming = |timer| Arming {
        workflow: workflow("w"),
        case: case(&format!("c-{}", timer % 7)),
        timer,
        armed: LogSequence::FIRST,
        due,
    };
    numbers.map(arming).collect()
}

/// Takes and settles until so many different timers have come; answers how often each did. An absence of
/// the server is waited out, as those who take do.
async fn all_of(timers: &NatsStorage, count: usize) -> BTreeMap<u64, u32> {
    let (begun, mut times) = (Instant::now(), BTreeMap::new());
    while times.len() < count {
        assert!(begun.elapsed() < PATIENCE, "{} of {count} have come", times.len());
        let taken = match timers.take_due(64, Duration::from_secs(5)).await {
            Ok(taken) => taken,
            Err(error) => {
                assert!(error.retryable(), "{error}");
                continue;
            }
        };
        for due in taken {
            *times.entry(due.arming.timer).or_default() += 1;
            settled(timers, &due).await;
        }
    }
    times
}

async fn settled(timers: &NatsStorage, due: &Due) {
    eventually("it is settled", PATIENCE, async || {
        let done = timers.settle(due).await;
        done.inspect_err(|error| assert!(error.retryable(), "{error}"))
    })
    .await;
}

async fn is_quiet(timers: &NatsStorage) {
    let came = timers.take_due(10, MOMENT).await.unwrap();
    assert_eq!(came, [], "nothing was to come");
}

async fn left(timers: &NatsStorage) -> usize {
    timers.armed(Page { first: 1_000, after: None }).await.unwrap().items.len()
}

/// The consumer as an operator has it.
async fn consumer(operator: &jetstream::Context) -> PullConsumer {
    let stream = operator.get_stream("CB_TIMERS").await.unwrap();
    stream.get_consumer("petrel-timers").await.unwrap()
}

async fn delete_consumer(operator: &jetstream::Context) {
    operator.delete_consumer_from_stream("petrel-timers", "CB_TIMERS").await.unwrap();
}

#[tokio::test]
async fn a_consumer_that_is_deleted_by_hand_is_made_again_and_gives_out_what_was_not_settled() {
    let server = TestServer::start().await;
    let (timers, operator) = (connect(config(server.url())).await, operator(server.url()).await);
    timers.arm(&armings(0..20, -1)).await.unwrap();
    let mut taken = Vec::new();
    while taken.len() < 20 {
        taken.extend(timers.take_due(20 - taken.len(), PATIENCE).await.unwrap());
    }
    for due in &taken[..10] {
        timers.settle(due).await.unwrap();
    }
    delete_consumer(&operator).await;
    let again = all_of(&timers, 10).await;
    let expected = taken[10..].iter().map(|due| (due.arming.timer, 1)).collect();
    assert_eq!(again, expected, "at once, and not when a lease is over");
    // Nobody has these deliveries any more.
    timers.settle(&taken[19]).await.unwrap();
    timers.give_back(&taken[18], Duration::ZERO).await.unwrap();
    is_quiet(&timers).await;

    // Under one who waits.
    let waits = async { timers.take_due(1, PATIENCE).await.unwrap() };
    let deletes = async {
        eventually("a pull", PATIENCE, async || {
            let waiting = consumer(&operator).await.cached_info().num_waiting;
            if waiting > 0 { Ok(()) } else { Err("none") }
        })
        .await;
        delete_consumer(&operator).await;
        timers.arm(&armings(20..21, -1)).await.unwrap();
    };
    let (came, ()) = tokio::join!(waits, deletes);
    assert_eq!(came[0].arming.timer, 20);
    timers.settle(&came[0]).await.unwrap();
    assert_eq!(left(&timers).await, 0);
}

#[tokio::test]
async fn a_stream_that_is_deleted_by_hand_is_made_again_by_who_arms_and_by_who_takes() {
    let server = TestServer::start().await;
    let (timers, operator) = (connect(config(server.url())).await, operator(server.url()).await);
    let before = stream_info(&operator, "CB_TIMERS").await["config"].take();
    timers.arm(&armings(0..1, -1)).await.unwrap();
    let old = timers.take_due(1, PATIENCE).await.unwrap();

    operator.delete_stream("CB_TIMERS").await.unwrap();
    let problem = timers_problem(&timers).await.expect("a problem");
    assert!(problem.contains("CB_TIMERS") && problem.contains("missing"), "{problem}");
    let told = warnings(&doctor(&server.url(), &[]).await);
    assert!(told.contains("CB_TIMERS: is missing"), "{told}");
    timers.arm(&armings(1..100, -1)).await.unwrap();
    assert_eq!(timers_problem(&timers).await, None);
    let mut again = stream_info(&operator, "CB_TIMERS").await["config"].take();
    assert!(again["first_seq"].as_u64() > Some(1_000_000), "{again}");
    again.as_object_mut().unwrap().remove("first_seq");
    assert_eq!(again, before);
    // What was taken from the former one touches nothing here.
    timers.settle(&old[0]).await.unwrap();
    assert_eq!(left(&timers).await, 99);
    assert_eq!(all_of(&timers, 99).await.len(), 99);

    let waits = timers.take_due(1, PATIENCE);
    let deletes = async {
        operator.delete_stream("CB_TIMERS").await.unwrap();
        eventually("a stream", PATIENCE, async || {
            operator.get_stream("CB_TIMERS").await.map(drop).map_err(|error| error.to_string())
        })
        .await;
        timers.arm(&armings(100..101, -1)).await.unwrap();
    };
    let (came, ()) = tokio::join!(waits, deletes);
    assert_eq!(came.unwrap()[0].arming.timer, 100);

    // Whoever only looks makes nothing.
    operator.delete_stream("CB_TIMERS").await.unwrap();
    let looks = NatsStorage::connect_to_existing(config(server.url())).await.unwrap();
    let error = looks.arm(&armings(0..1, 1)).await.unwrap_err();
    assert!(
        matches!(&error, StorageError::Stream { stream, .. } if stream == "CB_TIMERS"),
        "{error}"
    );
    assert!(run(&server.url(), &["case", "list", "none"]).await.status.code().is_some());
    assert!(operator.get_stream("CB_TIMERS").await.is_err());
    assert!(run(&server.url(), &["init"]).await.status.success());
    assert!(operator.get_stream("CB_TIMERS").await.is_ok());
    // Nor does anybody where the log is gone.
    for stream in ["CB_LOG", "CB_TIMERS"] {
        operator.delete_stream(stream).await.unwrap();
    }
    timers.arm(&armings(0..1, 1)).await.unwrap_err();
    timers.take_due(1, MOMENT).await.unwrap_err();
    assert!(operator.get_stream("CB_TIMERS").await.is_err());
}

async fn timers_problem(timers: &NatsStorage) -> Option<String> {
    use stormpetrel::storage::Storage;
    timers.health().await.problem
}

#[tokio::test]
async fn what_came_due_while_the_server_was_killed_comes_after_its_restart() {
    let mut server = TestServer::start().await;
    let timers = connect(impatient(server.url())).await;
    let (soon, later) = (armings(0..100, 1), armings(100..200, 3_600));
    timers.arm(&[soon.clone(), later.clone()].concat()).await.unwrap();
    timers.disarm(&soon[90..]).await.unwrap();
    timers.disarm(&later[..10]).await.unwrap();
    server.kill().await;
    eventually("they are due", PATIENCE, async || {
        if Utc::now() > soon[0].due + TimeDelta::milliseconds(500) {
            Ok(())
        } else {
            Err("not yet")
        }
    })
    .await;
    // One waits all the while.
    let (came, ()) = tokio::join!(all_of(&timers, 90), server.restart());
    assert_eq!(came, (0..90).map(|timer| (timer, 1)).collect());
    is_quiet(&timers).await;
    let mut armed = timers.armed(Page { first: 1_000, after: None }).await.unwrap().into_items();
    armed.sort_by_key(|arming| arming.timer);
    assert_eq!(armed, later[10..]);
}

#[tokio::test]
async fn none_is_lost_while_the_server_is_killed_again_and_again() {
    let mut server = TestServer::start().await;
    let timers = connect(impatient(server.url())).await;
    let (mut number, mut came) = (0, BTreeMap::new());
    for _ in 0..4 {
        let armed = armings(number..number + 200, 1);
        timers.arm(&armed).await.unwrap();
        number += 200;
        // Between them: some have been taken, and some have been settled.
        for due in timers.take_due(64, PATIENCE).await.unwrap() {
            if due.arming.timer % 2 == 0 {
                timers.settle(&due).await.unwrap();
                *came.entry(due.arming.timer).or_insert(0) += 1;
            } else {
                timers.give_back(&due, Duration::from_millis(10)).await.unwrap();
            }
        }
        server.kill().await;
        server.restart().await;
        let missing = usize::try_from(number).unwrap() - came.len();
        for (timer, times) in all_of(&timers, missing).await {
            *came.entry(timer).or_insert(0) += times;
        }
    }
    assert_eq!(came, (0..number).map(|timer| (timer, 1)).collect(), "what was settled stays so");
    assert_eq!(left(&timers).await, 0);
}

#[tokio::test]
async fn what_a_taker_leaves_comes_to_another_one_when_its_lease_is_over() {
    let server = TestServer::start().await;
    let (gone, timers) = (connect(config(server.url())).await, connect(config(server.url())).await);
    timers.arm(&armings(0..3, -1)).await.unwrap();
    let (begun, mut taken) = (Instant::now(), 0);
    while taken < 3 {
        taken += gone.take_due(3 - taken, PATIENCE).await.unwrap().len();
    }
    drop(gone);
    is_quiet(&timers).await;
    assert_eq!(all_of(&timers, 3).await.len(), 3);
    assert!(begun.elapsed() >= timers.lease() - Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(left(&timers).await, 0);
}

#[tokio::test]
async fn what_is_no_timer_is_passed_over_and_left_there() {
    let server = TestServer::start().await;
    let (timers, operator) = (connect(config(server.url())).await, operator(server.url()).await);
    for subject in ["cb.due.w.c.x.1", "cb.due.w.c.1.1", "cb.timers.w.c.x.1", "cb.timers.w.c.9.1"] {
        operator.publish(subject, "theirs".into()).await.unwrap().await.unwrap();
    }
    timers.arm(&armings(0..5, -1)).await.unwrap();
    assert_eq!(all_of(&timers, 5).await, (0..5).map(|timer| (timer, 1)).collect());
    is_quiet(&timers).await;
    assert_eq!(left(&timers).await, 0);
    assert_eq!(timers.armed_in(&workflow("w"), &[case("c")]).await.unwrap(), []);
    let info = consumer(&operator).await.cached_info().clone();
    assert_eq!((info.num_ack_pending, info.num_pending), (0, 0), "none of them comes again");
    let state = stream_info(&operator, "CB_TIMERS").await["state"].take();
    assert_eq!(state["messages"], 4, "it is nobody's to delete");
}

#[tokio::test]
async fn what_somebody_acknowledges_by_hand_comes_again() {
    let server = TestServer::start().await;
    let (timers, operator) = (connect(config(server.url())).await, operator(server.url()).await);
    operator.publish("cb.due.w.c.x.1", "theirs".into()).await.unwrap().await.unwrap();
    is_quiet(&timers).await;
    let armed = armings(0..3, -1);
    timers.arm(&armed).await.unwrap();
    let mut messages = consumer(&operator).await.messages().await.unwrap();
    for _ in 0..3 {
        let message = messages.next().await.unwrap().unwrap();
        message.ack_with(AckKind::Ack).await.unwrap();
    }
    drop(messages);
    eventually("they are acknowledged", PATIENCE, async || {
        let pending = consumer(&operator).await.cached_info().num_ack_pending;
        if pending == 0 { Ok(()) } else { Err(pending) }
    })
    .await;
    timers.arm(&armed).await.unwrap();
    is_quiet(&timers).await;
    // Whoever starts looks for such ones, and then once a minute.
    let timers = connect(config(server.url())).await;
    assert_eq!(all_of(&timers, 3).await, (0..3).map(|timer| (timer, 1)).collect());
    is_quiet(&timers).await;
}

#[tokio::test]
async fn a_consumer_with_other_settings_is_told_by_doctor_and_put_right_by_who_starts() {
    let server = TestServer::start().await;
    let (timers, operator) = (connect(config(server.url())).await, operator(server.url()).await);
    timers.arm(&armings(0..2, -1)).await.unwrap();
    is_there(&timers).await;
    assert_eq!(doctor(&server.url(), &[]).await["healthy"], true);
    let about = "CONSUMER.CREATE.CB_TIMERS.petrel-timers.cb.due.>";
    for (field, value) in [("max_deliver", json!(1)), ("ack_policy", json!("none"))] {
        let mut settings = json!({
            "durable_name": "petrel-timers", "name": "petrel-timers", "ack_policy": "explicit",
            "deliver_policy": "all", "filter_subject": "cb.due.>"
        });
        settings[field] = value;
        delete_consumer(&operator).await;
        let asked = json!({ "stream_name": "CB_TIMERS", "config": settings });
        let made: Value = operator.request(about, &asked).await.unwrap();
        assert!(made.get("error").is_none(), "{made}");
        let told = failures(&doctor(&server.url(), &[]).await);
        assert!(told.contains("petrel-timers") && told.contains(field), "{field}: {told}");
        let timers = connect(config(server.url())).await;
        is_there(&timers).await;
        assert_eq!(doctor(&server.url(), &[]).await["healthy"], true, "{field}");
    }
    let pause = json!({ "pause_until": "2200-01-01T00:00:00Z" });
    let paused: Value =
        operator.request("CONSUMER.PAUSE.CB_TIMERS.petrel-timers", &pause).await.unwrap();
    assert_eq!(paused["paused"], true, "{paused}");
    let told = failures(&doctor(&server.url(), &[]).await);
    assert!(told.contains("paused") && told.contains("nats consumer resume"), "{told}");
}

/// Takes what is there, and gives it back.
async fn is_there(timers: &NatsStorage) {
    let taken = timers.take_due(1, PATIENCE).await.unwrap();
    timers.give_back(&taken[0], Duration::ZERO).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_three_replicas_none_is_lost_when_the_leader_is_killed() {
    let mut cluster = TestCluster::start(3).await;
    let timers = eventually("a system", PATIENCE, async || {
        let connected = NatsStorage::connect(replicated(&cluster, 0)).await;
        connected.inspect_err(|error| assert!(error.retryable(), "{error}"))
    })
    .await;
    timers.last_sequence().await.unwrap();
    let operator = operator(cluster.url(0)).await;
    assert_eq!(stream_info(&operator, "CB_TIMERS").await["config"]["num_replicas"], 3);
    // Due now, while the leader is away, and after that.
    for (turn, seconds) in [-1, 2, 15].into_iter().enumerate() {
        let from = 100 * turn as u64;
        timers.arm(&armings(from..from + 100, seconds)).await.unwrap();
    }
    assert_eq!(left(&timers).await, 300);
    let mut came = all_of(&timers, 50).await;
    let led_by = leader(&operator, &cluster, "CB_TIMERS").await;
    cluster.kill(led_by).await;
    let missing = 300 - came.len();
    for (timer, times) in all_of(&timers, missing).await {
        *came.entry(timer).or_insert(0) += times;
    }
    cluster.restart(led_by).await;
    assert_eq!(came.len(), 300, "each has come");
    let again: Vec<_> = came.iter().filter(|(_, times)| **times > 1).collect();
    eprintln!("came more than once: {again:?}");
    eventually("all are settled", PATIENCE, async || {
        for due in timers.take_due(64, MOMENT).await.map_err(|error| error.to_string())? {
            timers.settle(&due).await.map_err(|error| error.to_string())?;
        }
        let page = timers.armed(Page::default()).await.map_err(|error| error.to_string())?;
        if page.items.is_empty() { Ok(()) } else { Err(format!("{page:?}")) }
    })
    .await;
}

#[tokio::test]
async fn an_arming_is_the_same_however_many_processes_arm_it() {
    let server = TestServer::start().await;
    let [one, two] = [connect(config(server.url())).await, connect(config(server.url())).await];
    let armed = armings(0..300, 1);
    let again = async |timers: &NatsStorage| {
        // Before they are due, while they come due, and after.
        for _ in 0..40 {
            timers.arm(&armed).await.unwrap();
        }
    };
    let takes = async {
        let mut taken = Vec::new();
        while taken.len() < 300 {
            taken.extend(one.take_due(64, PATIENCE).await.unwrap());
        }
        taken
    };
    let (taken, (), ()) = tokio::join!(takes, again(&one), again(&two));
    is_quiet(&two).await;
    let mut numbers: Vec<_> = taken.iter().map(|due| due.arming.timer).collect();
    numbers.sort();
    assert_eq!(numbers, (0..300).collect::<Vec<_>>());
    assert_eq!(left(&one).await, 300);
    two.disarm(slice::from_ref(&taken[0].arming)).await.unwrap();
    assert_eq!(left(&one).await, 299);
}
