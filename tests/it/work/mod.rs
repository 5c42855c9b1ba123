//! Activities and workers on a real server, as a user sees them.

mod answered;
mod carried;
mod corrected;
mod followed;
mod killed;
mod lost;
mod open;
mod present;
mod raced;
mod shown;
mod soaked;
mod stops;
mod told;
mod traps;
mod views;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use stormpetrel::{
    models::{CaseId, CaseStatus, KindId, QueueId, Record, RecordKind, Stored, WorkflowDefinition},
    petrel::{Changed, Error, ExpectedVersion, NewCase, Petrel, Result, WorkId},
    storage::Page,
    worker::{Attempt, QueueOptions, WorkError, Worker, WorkerBuilder},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{case, definition, workflow};

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(120);

pub(crate) fn kind(id: &str) -> KindId {
    KindId::new(id).unwrap()
}

fn queue(id: &str) -> QueueId {
    QueueId::new(id).unwrap()
}

/// Steps one after the other, each an activity of its own kind.
pub(crate) fn steps(count: usize, activity: Value) -> WorkflowDefinition {
    let places: Vec<_> = (0..=count).map(|n| json!({"id": format!("p{n}")})).collect();
    let step = |n: usize| {
        json!({"id": format!("step{n}"), "from_places": [format!("p{n}")],
            "to_place": format!("p{}", n + 1), "activity": activity})
    };
    let steps: Vec<_> = (0..count).map(step).collect();
    definition(json!({
        "id": "steps", "initial_place": "p0", "places": places, "transitions": steps
    }))
}

pub(crate) async fn begun(petrel: &Petrel, of: &WorkflowDefinition, id: &str) -> Changed {
    petrel.create_workflow(of.clone(), ExpectedVersion::Any).await.unwrap();
    let case = Some(case(id));
    petrel.create_case(NewCase { case, ..NewCase::of(of.id.clone()) }).await.unwrap()
}

fn item(of: &str, id: &str, item: u64) -> WorkId {
    WorkId { workflow: workflow(of), case: case(id), item }
}

/// Effects of activities outside of the engine: each execution, by case, kind and claim.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<HashMap<(String, String, u64), u64>>);

impl Ledger {
    fn note(&self, attempt: &Attempt) {
        let work = attempt.work();
        let of =
            (format!("{}-{}", work.case, work.item), attempt.kind().to_string(), attempt.claim());
        *self.0.lock().unwrap().entry(of).or_default() += 1;
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Checks that no claim was executed twice.
    fn is_once_a_claim(&self) {
        let twice: Vec<_> = self
            .0
            .lock()
            .unwrap()
            .iter()
            .filter(|(_, count)| **count > 1)
            .map(|(of, _)| of.clone())
            .collect();
        assert_eq!(twice, []);
    }
}

/// A worker of kinds that note what they do, and take some time.
pub(crate) fn noting(
    petrel: &Petrel,
    kinds: &[&str],
    ledger: &Arc<Ledger>,
    takes: Duration,
) -> WorkerBuilder {
    let mut builder = Worker::builder(petrel.clone()).queue(QueueOptions::new(queue("default")));
    for name in kinds {
        let ledger = Arc::clone(ledger);
        builder = builder.handle(kind(name), move |attempt: Attempt, _: Value| {
            let ledger = Arc::clone(&ledger);
            async move {
                ledger.note(&attempt);
                if !takes.is_zero() {
                    tokio::time::sleep(takes).await;
                }
                let claim = attempt.claim();
                Ok::<_, WorkError>(json!({ attempt.kind().to_string(): claim }))
            }
        });
    }
    builder
}

/// A worker that runs, and the tasks of a process that serves.
pub(crate) struct Running {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start(petrel: &Petrel, worker: WorkerBuilder) -> Self {
        let mut running = Self::serving(petrel);
        let (worker, stop) = (worker.build().unwrap(), running.stop.clone());
        running.tasks.push(tokio::spawn(async move { worker.run(stop).await.unwrap() }));
        running
    }

    pub(crate) fn serving(petrel: &Petrel) -> Self {
        let stop = CancellationToken::new();
        let (one, other) = (petrel.clone(), petrel.clone());
        let (of_one, of_other) = (stop.clone(), stop.clone());
        let tasks = vec![
            tokio::spawn(async move { one.run_timers(of_one).await }),
            tokio::spawn(async move { other.run_reconciler(of_other).await }),
        ];
        Self { stop, tasks }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < LONG, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until a case has a status, and returns its records.
pub(crate) async fn until(
    petrel: &Petrel,
    of: &str,
    id: &str,
    status: CaseStatus,
) -> Vec<Stored<Record>> {
    eventually(id, async || {
        let now = petrel.case(&workflow(of), &case(id)).await.ok()?;
        (now.status == status).then_some(())
    })
    .await;
    history(petrel, of, &case(id)).await
}

async fn history(petrel: &Petrel, of: &str, id: &CaseId) -> Vec<Stored<Record>> {
    let page = Page { first: 1_000, after: None };
    let page = petrel.history(&workflow(of), id, page).await.unwrap();
    page.items.into_iter().map(|(_, record)| record).collect()
}

fn kinds(records: &[Stored<Record>]) -> Vec<RecordKind> {
    records.iter().map(|record| record.value.kind).collect()
}

/// The code of a refused request.
fn code<T: std::fmt::Debug>(refused: Result<T>) -> &'static str {
    let refused: Error = refused.unwrap_err();
    refused.code()
}

/// Checks that the log, the view and the stores of timers and work agree.
pub(crate) async fn is_whole(petrel: &Petrel) {
    assert_eq!(crate::cascade::audited::findings(petrel).await, Vec::<String>::new());
    assert_eq!(petrel.rebuild(&|_, _| {}).await.unwrap().mended, 0);
}

/// Waits until all of it agrees, while those who serve mend what a killed server had lost of the view.
pub(crate) async fn is_whole_in_the_end(petrel: &Petrel) {
    let begun = Instant::now();
    loop {
        let found = crate::cascade::audited::findings(petrel).await;
        if found.is_empty() {
            return;
        }
        assert!(begun.elapsed() < LONG, "{found:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
