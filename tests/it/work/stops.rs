//! Processes that stop between two of their messages, each of them in turn, and those that take over.

mod asks;
mod process;
mod scenario;

use std::{
    any::Any,
    collections::BTreeSet,
    net::SocketAddr,
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures::{FutureExt, StreamExt};
use stormpetrel::{
    models::Case,
    storage::{QueueSettings, nats::NatsStorage, nats::NatsStorageConfig},
    testing::{Stop, StoppingProxy, TestCluster, TestServer},
};

use self::{
    asks::{agrees, forgotten, is_whole},
    process::{Process, take_over},
    scenario::Scenario,
};
use super::*;
use crate::support::{config, replicated};

/// The shortest time that a queue takes; and one that a process on a busy machine does not need by itself,
/// where no lease is to end.
const ACK_WAIT: Duration = Duration::from_secs(1);
const LONG_ACK_WAIT: Duration = Duration::from_secs(3);

/// Time for which a message is held: the lease is over, and others have begun what was begun.
const HELD: Duration = Duration::from_millis(2_500);

/// Longest time of a request of a process that does not wait until a message is let go.
const IMPATIENT: Duration = Duration::from_millis(700);

/// Scenarios that are gone through at once.
const AT_ONCE: usize = 24;
const REPLICATED_AT_ONCE: usize = 9;

impl Ledger {
    /// The claims that were executed, with their items.
    fn claims(&self) -> BTreeSet<(u64, u64)> {
        let of = |(item, _, claim): &(String, String, u64)| {
            (item.rsplit('-').next().unwrap().parse().unwrap(), *claim)
        };
        self.0.lock().unwrap().keys().map(of).collect()
    }
}

/// Returns true if a message can change something: all but the reads.
fn is_change(subject: &str) -> bool {
    let reads = [".INFO", ".NAMES", ".LIST", ".DIRECT.GET", ".MSG.GET"];
    !(subject.starts_with("$JS.API.") && reads.iter().any(|read| subject.contains(read)))
}

/// A system of its own on a server that others use too, and a handle that goes directly to it.
struct System {
    config: NatsStorageConfig,
    upstream: SocketAddr,
    url: String,
    storage: Arc<NatsStorage>,
    direct: Petrel,
}

impl System {
    async fn new(config: NatsStorageConfig, scenario: &Scenario, stop: Stop) -> Self {
        let config = config.apart("stop");
        let url = config.urls[0].clone();
        let upstream = url.trim_start_matches("nats://").parse().unwrap();
        let storage = Arc::new(NatsStorage::connect(config.clone()).await.unwrap());
        let direct = Petrel::new(storage.clone());
        direct.create_workflow(scenario.definition(), ExpectedVersion::Any).await.unwrap();
        let ack_wait = if stop == Stop::Repeat { LONG_ACK_WAIT } else { ACK_WAIT };
        let settings = QueueSettings { ack_wait, ..QueueSettings::default() };
        direct.storage().set_queue(&queue("default"), settings, None).await.unwrap();
        Self { config, upstream, url, storage, direct }
    }

    /// Settings of the process behind a proxy. A half of those that are held give up their requests before
    /// these come through.
    fn behind(&self, proxy: &StoppingProxy, (after, stop): (usize, Stop)) -> NatsStorageConfig {
        let mut config = NatsStorageConfig { urls: vec![proxy.url()], ..self.config.clone() };
        if stop == Stop::Hold(HELD) && after % 2 == 1 {
            config.consumer_timeout = IMPATIENT;
        }
        config
    }

    /// Takes its streams away, for a server that has hundreds of them otherwise.
    async fn remove(self) {
        let client = async_nats::connect(&self.url).await.unwrap();
        let jetstream = async_nats::jetstream::new(client);
        let log = &self.config.log_stream;
        for stream in ["_LOG", "_TIMERS", "_WORK", "_BEATS"] {
            jetstream.delete_stream(log.replace("_LOG", stream)).await.unwrap();
        }
        jetstream.delete_stream(&self.config.marking_stream).await.unwrap();
    }
}

/// Tells what was gone through.
#[derive(Debug, Default)]
struct Count {
    stops: AtomicUsize,
    lost: AtomicUsize,
}

/// Goes through a scenario with a stop after so many messages. Returns the number of all messages.
async fn go_through(
    config: NatsStorageConfig,
    scenario: &Scenario,
    (after, stop): (usize, Stop),
    (count, at): (&Count, &Mutex<String>),
) -> usize {
    let system = System::new(config, scenario, stop).await;
    let (direct, ledger) = (&system.direct, Arc::<Ledger>::default());
    let proxy = StoppingProxy::start(system.upstream).await;
    let process =
        Process::start(system.behind(&proxy, (after, stop)), scenario, &ledger, direct).await;
    eventually("its worker waits", async || {
        let state = direct.storage().queue(&queue("default")).await.ok()?;
        state.classes.iter().all(|class| class.open_pulls > 0).then_some(())
    })
    .await;
    proxy.stop_after(after, stop, is_change);
    let mut going = process.go();
    let stopped = tokio::select! {
        biased;
        subject = proxy.stopped() => Some(subject),
        () = going.ended() => None,
    };
    if let Some(subject) = &stopped {
        at.lock().unwrap().clone_from(subject);
        count.stops.fetch_add(1, Ordering::Relaxed);
    }
    match (stopped, stop) {
        (None, _) => {}
        (Some(_), Stop::Repeat) => going.ended().await,
        (Some(_), Stop::Hold(_)) => {
            direct.reconcile_after(None).await.unwrap();
            let worker = scenario::worker(direct, &ledger, false);
            let running = Running::start(direct, worker);
            tokio::join!(take_over(direct, scenario), going.ended());
            running.stop().await;
        }
        (Some(subject), Stop::Swallow) => {
            // A pull has no answer before there is work.
            if !subject.contains(".MSG.NEXT.") {
                tokio::time::timeout(LONG, proxy.carried_out()).await.expect("its answer");
            }
            drop(going);
            drop(proxy);
            // As any process that serves does at its start.
            direct.reconcile_after(None).await.unwrap();
            assert_eq!(forgotten(direct).await, Vec::<String>::new());
            let worker = scenario::worker(direct, &ledger, false);
            let running = Running::start(direct, worker);
            take_over(direct, scenario).await;
            running.stop().await;
            direct.close().await;
            let lost = finish(system, scenario, &ledger, stop).await;
            count.lost.fetch_add(lost, Ordering::Relaxed);
            return 0;
        }
    }
    let passed = proxy.passed();
    direct.close().await;
    let lost = finish(system, scenario, &ledger, stop).await;
    count.lost.fetch_add(lost, Ordering::Relaxed);
    passed
}

async fn finish(system: System, scenario: &Scenario, ledger: &Ledger, stop: Stop) -> usize {
    let fresh = Petrel::new(system.storage.clone());
    let lost = agrees(&fresh, scenario, ledger, stop).await;
    is_whole(&fresh).await;
    system.remove().await;
    lost
}

/// Goes through scenarios many times at once, each time with a stop after so many messages, and tells of all
/// that did not end as they should.
async fn go_through_all(
    config: &NatsStorageConfig,
    runs: Vec<(Scenario, usize, Stop)>,
    at_once: usize,
) -> (Arc<Count>, Vec<usize>) {
    let count = Arc::<Count>::default();
    let runs = runs.into_iter().map(|(scenario, after, stop)| {
        let (config, count, at) = (config.clone(), Arc::clone(&count), Mutex::default());
        async move {
            let run = go_through(config, &scenario, (after, stop), (&count, &at));
            let ended = AssertUnwindSafe(run).catch_unwind().await;
            ended.map_err(|panic| {
                let at = at.lock().unwrap();
                format!("{}, {stop:?} after {after}, at {at}: {}", scenario.name, words(panic))
            })
        }
    });
    let ended: Vec<_> = futures::stream::iter(runs).buffered(at_once).collect().await;
    let (mut passed, mut failed) = (Vec::new(), Vec::new());
    for ended in ended {
        match ended {
            Ok(count) => passed.push(count),
            Err(error) => failed.push(error),
        }
    }
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
    (count, passed)
}

fn words(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast::<&str>().map_or_else(|_| "?".into(), |text| (*text).into()),
    }
}

/// The number of messages of each scenario.
async fn lengths(config: &NatsStorageConfig, at_once: usize) -> Vec<(Scenario, usize)> {
    let all = scenario::all();
    let runs = all.iter().map(|scenario| (scenario.clone(), usize::MAX - 1, Stop::Repeat));
    let (_, passed) = go_through_all(config, runs.collect(), at_once).await;
    all.into_iter().zip(passed).collect()
}

/// Goes through all scenarios with a stop at each of their messages.
async fn stopped_at_each(stop: Stop) -> Arc<Count> {
    let server = TestServer::start().await;
    let config = config(server.url());
    let lengths = lengths(&config, AT_ONCE).await;
    let begun = Instant::now();
    let runs = |(scenario, length): &(Scenario, usize)| {
        let scenario = scenario.clone();
        (0..*length).map(move |after| (scenario.clone(), after, stop)).collect::<Vec<_>>()
    };
    let runs: Vec<_> = lengths.iter().flat_map(runs).collect();
    let (all, told) = (runs.len(), lengths.iter().map(|(of, length)| (of.name, *length)));
    eprintln!("{:?}", told.collect::<Vec<_>>());
    let (count, _) = go_through_all(&config, runs, AT_ONCE).await;
    eprintln!("{stop:?}: {count:?} of {all} in {:?}", begun.elapsed());
    // Some messages come by the clock, and are not in each run.
    assert!(count.stops.load(Ordering::Relaxed) * 5 >= all * 4, "{count:?} of {all}");
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_dies_between_two_messages_leaves_nothing_behind() {
    let count = stopped_at_each(Stop::Swallow).await;
    assert!(count.lost.load(Ordering::Relaxed) > 0, "attempts are lost with the process");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_comes_twice_changes_nothing() {
    stopped_at_each(Stop::Repeat).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_come_after_the_lease_change_nothing_of_what_others_did() {
    let count = stopped_at_each(Stop::Hold(HELD)).await;
    assert!(count.lost.load(Ordering::Relaxed) > 0, "others have begun what was held");
}

/// The same on replicas, at some messages of each scenario, other ones of each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_on_three_servers_stop_between_two_messages() {
    let cluster = TestCluster::start(3).await;
    let config = replicated(&cluster, 0);
    let lengths = lengths(&config, REPLICATED_AT_ONCE).await;
    let mut runs = Vec::new();
    for (number, (scenario, length)) in lengths.into_iter().enumerate() {
        for (of, stop) in [Stop::Swallow, Stop::Repeat, Stop::Hold(HELD)].into_iter().enumerate() {
            let eighth = (3 * number + 5 * of) % 4;
            let at = [eighth, eighth + 4].map(|eighth| length * eighth / 8);
            runs.extend(at.map(|after| (scenario.clone(), after, stop)));
        }
    }
    let all = runs.len();
    let (count, _) = go_through_all(&config, runs, REPLICATED_AT_ONCE).await;
    eprintln!("on three servers: {count:?} of {all}");
    assert!(count.stops.load(Ordering::Relaxed) * 5 >= all * 4, "{count:?} of {all}");
}
