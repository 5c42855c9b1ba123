//! A load of careful callers, and the promises to it that hold through any fault.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, TryStreamExt};
use serde_json::json;
use stormpetrel::{
    models::{CaseId, LogPosition, LogSequence},
    petrel::Petrel,
    storage::{LogRange, LogScope, nats::NatsStorageConfig},
};
use tokio::task::JoinHandle;

use super::fixtures::{
    Reconciler, connect, eventually, log_of, move_once, pendulum, swing, view_is_the_log,
};
use crate::support::workflow;

const CASES: usize = 6;
const TASKS: usize = 8;

/// Tasks on several connections that move the tokens of a few cases until they are stopped,
/// each firing with an id of its own and repeated until it is answered.
pub(super) struct Load {
    pub connections: Vec<Petrel>,
    cases: Vec<CaseId>,
    answered: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Vec<(CaseId, String)>>>,
    watched: Arc<Mutex<Vec<LogSequence>>>,
    watcher: JoinHandle<()>,
    _reconcilers: Vec<Reconciler>,
}

impl Load {
    /// Begins it, with a connection for each of these settings.
    pub(super) async fn start(configs: impl IntoIterator<Item = NatsStorageConfig>) -> Self {
        let mut connections = Vec::new();
        for config in configs {
            connections.push(connect(config).await);
        }
        pendulum(&connections[0]).await;
        let mut cases = Vec::new();
        for number in 0..CASES {
            cases.push(swing(&connections[0], &format!("case-{number}")).await.0);
        }
        let watched = Arc::new(Mutex::new(Vec::new()));
        let watcher = watch(&connections[0], Arc::clone(&watched)).await;
        let mut load = Self {
            cases,
            answered: Arc::default(),
            stop: Arc::default(),
            tasks: Vec::new(),
            watched,
            watcher,
            _reconcilers: connections.iter().map(Reconciler::of).collect(),
            connections,
        };
        load.tasks = (0..TASKS).map(|task| load.spawn(task)).collect();
        load
    }

    fn spawn(&self, task: usize) -> JoinHandle<Vec<(CaseId, String)>> {
        let connection = self.connections[task % self.connections.len()].clone();
        let (cases, stop, answered) =
            (self.cases.clone(), self.stop.clone(), self.answered.clone());
        tokio::spawn(async move {
            let mut fired = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let case = cases[(task + fired.len()) % CASES].clone();
                let firing = format!("{task}-{}", fired.len());
                move_once(&connection, &case, &firing).await;
                fired.push((case, firing));
                answered.fetch_add(1, Ordering::Relaxed);
            }
            fired
        })
    }

    /// Waits until so many more firings have been answered.
    pub(super) async fn goes_on(&self, more: usize) {
        let from = self.answered.load(Ordering::Relaxed);
        eventually("the load goes on", Duration::from_secs(30), async || {
            let now = self.answered.load(Ordering::Relaxed);
            if now >= from + more { Ok(()) } else { Err(format!("{} firings", now - from)) }
        })
        .await;
    }

    /// Ends the load, and checks that nothing of it is lost or doubled: not in the logs, not
    /// in the heads, not in the views, and not in the eyes of a watcher.
    pub(super) async fn ends_well(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let mut expected: BTreeMap<CaseId, Vec<String>> = BTreeMap::new();
        for task in self.tasks.drain(..) {
            for (case, firing) in task.await.expect("every firing is answered in the end") {
                expected.entry(case).or_default().push(firing);
            }
        }
        let petrel = &self.connections[0];
        let pendulum = workflow("pendulum");
        for (case, expected) in &mut expected {
            let log = log_of(petrel, &pendulum, case).await;
            let fired = log.iter().filter(|record| record.value.transition.is_some());
            let mut fired: Vec<_> = fired.map(|record| record.value.firing.to_string()).collect();
            fired.sort_unstable();
            expected.sort_unstable();
            assert_eq!(&fired, expected, "what was answered is what the log of {case} has");
            let head = petrel.case(&pendulum, case).await.unwrap();
            let token = head.live_tokens().next().unwrap();
            assert_eq!(token.data["n"], json!(expected.len()), "the count in the head of {case}");
        }
        self.watcher_saw_everything_once().await;
        let within = Duration::from_secs(20);
        let healed = eventually("views", within, async || view_is_the_log(petrel).await).await;
        assert_eq!(healed.len(), CASES);
        let rebuilt = petrel.rebuild(&|_, _| ()).await.unwrap();
        assert_eq!((rebuilt.mended, rebuilt.failed), (0, 0), "views differ from a rebuild");
    }

    async fn watcher_saw_everything_once(&self) {
        let all =
            self.connections[0].storage().history(LogScope::All, LogRange::ALL).await.unwrap();
        let all = all.map_ok(|record| record.sequence);
        let all: Vec<LogSequence> = all.try_collect().await.unwrap();
        let seen = || self.watched.lock().unwrap().clone();
        eventually("the watcher sees everything", Duration::from_secs(15), async || {
            let seen = seen().len();
            if seen >= all.len() { Ok(()) } else { Err(format!("{seen} of {}", all.len())) }
        })
        .await;
        assert_eq!(seen(), all, "each record once and in order");
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.watcher.abort();
    }
}

/// Notes the sequence of every record, through any fault of the connection.
async fn watch(petrel: &Petrel, seen: Arc<Mutex<Vec<LogSequence>>>) -> JoinHandle<()> {
    let mut records = petrel.watch(LogScope::All, Some(LogPosition::FIRST)).await.unwrap();
    tokio::spawn(async move {
        while let Some(record) = records.next().await {
            seen.lock().unwrap().push(record.expect("a record").sequence);
        }
    })
}
