//! Timed transitions on a real server, as a caller sees them.

mod firing;
mod lost;
mod racing;
mod shown;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stormpetrel::{
    models::{CaseId, CaseStatus, RecordKind, Stored, WorkflowDefinition},
    petrel::{Changed, ExpectedVersion, Fire, NewCase, Petrel},
    storage::Page,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{case, definition, transition, workflow};

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(120);

/// An invoice that is reminded of after a while, and is lost some time after that.
fn invoice(after: &str) -> WorkflowDefinition {
    definition(json!({
        "id": "invoice", "initial_place": "open",
        "places": [{"id": "open"}, {"id": "reminded"}, {"id": "paid"}, {"id": "lost"}],
        "transitions": [
            {"id": "pay", "from_places": ["open", "reminded"], "to_place": "paid"},
            {"id": "remind", "from_places": ["open"], "to_place": "reminded", "after": after,
             "output": "{'reminded': true}"},
            {"id": "give_up", "from_places": ["reminded"], "to_place": "lost", "after": after}
        ]
    }))
}

async fn begun(petrel: &Petrel, of: WorkflowDefinition, id: &str, data: Value) -> Changed {
    let workflow = of.id.clone();
    petrel.create_workflow(of, ExpectedVersion::Any).await.unwrap();
    let case = Some(case(id));
    petrel.create_case(NewCase { case, data, ..NewCase::of(workflow) }).await.unwrap()
}

fn fire(of: &str, id: &str, name: &str) -> Fire {
    Fire::case(workflow(of), case(id), transition(name))
}

/// The tasks of a process that serves, as far as timers need them.
struct Serving {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Serving {
    fn start(petrel: &Petrel) -> Self {
        let stop = CancellationToken::new();
        let (one, other) = (petrel.clone(), petrel.clone());
        let (of_one, of_other) = (stop.clone(), stop.clone());
        let tasks = vec![
            tokio::spawn(async move { one.run_timers(of_one).await }),
            tokio::spawn(async move { other.run_reconciler(of_other).await }),
        ];
        Self { stop, tasks }
    }

    async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

/// Waits until a case has a status, and returns its records.
async fn until(
    petrel: &Petrel,
    of: &str,
    id: &str,
    status: CaseStatus,
) -> Vec<Stored<stormpetrel::models::Record>> {
    let begun = Instant::now();
    loop {
        let now = petrel.case(&workflow(of), &case(id)).await;
        if let Ok(now) = &now
            && now.status == status
        {
            return history(petrel, of, &case(id)).await;
        }
        assert!(begun.elapsed() < LONG, "{id}: {now:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn history(
    petrel: &Petrel,
    of: &str,
    id: &CaseId,
) -> Vec<Stored<stormpetrel::models::Record>> {
    let page = Page { first: 1_000, after: None };
    let page = petrel.history(&workflow(of), id, page).await.unwrap();
    page.items.into_iter().map(|(_, record)| record).collect()
}

/// The transitions that timers fired, in the order of the log.
fn timed(records: &[Stored<stormpetrel::models::Record>]) -> Vec<String> {
    for record in records.iter().filter(|record| record.value.kind == RecordKind::Elapsed) {
        for timer in &record.value.elapsed {
            assert!(record.timestamp >= timer.due, "{timer:?} at {}", record.timestamp);
        }
    }
    let steps = records.iter().flat_map(|record| &record.value.cascade);
    let steps = steps.filter(|step| step.timer.is_some());
    steps.map(|step| step.transition.to_string()).collect()
}

/// Checks that the log, the view and the armed timers agree.
async fn is_whole(petrel: &Petrel) {
    assert_eq!(crate::cascade::audited::findings(petrel).await, Vec::<String>::new());
    assert_eq!(petrel.rebuild(&|_, _| {}).await.unwrap().mended, 0);
}
