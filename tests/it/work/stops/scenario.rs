//! Scenarios: a workflow, what callers do with it, and its end.

use super::*;
use stormpetrel::{
    engine::Answered,
    models::{Case, Failure, FiringId},
    petrel::Change,
};

/// The case of each scenario.
pub(super) const CASE: &str = "a";

/// A request of a caller. Each has an id of its own, so that it happens once, whichever process is asked.
#[derive(Debug, Clone, Copy)]
pub(super) enum Request {
    Begin,
    Pause,
    Resume,
    Cancel,
    /// Complete an item by hand.
    Complete(u64),
    /// Fail an item by hand.
    Fail(u64),
    /// Shut the worker down, with an attempt that does not end, and start another one. Of the process that
    /// takes over nothing is asked: its worker is another one.
    Replace,
}

/// A request, and the state of the case in which it is made; `true`: by the process that takes over.
pub(super) type Asked = (fn(&Case, bool) -> bool, Request);

/// A scenario.
#[derive(Debug, Clone)]
pub(super) struct Scenario {
    pub name: &'static str,
    /// Places and transitions. The first word of an activity's id says how its handler behaves.
    pub net: Value,
    pub requests: Vec<Asked>,
    pub ends: CaseStatus,
    /// Number of times that each transition fires.
    pub fires: &'static [(&'static str, usize)],
}

impl Scenario {
    pub(super) fn definition(&self) -> WorkflowDefinition {
        let mut net = self.net.clone();
        (net["id"], net["initial_place"]) = (json!("steps"), json!("p0"));
        definition(net)
    }
}

fn net(places: &[&str], transitions: Value) -> Value {
    let places: Vec<_> = places.iter().map(|id| json!({ "id": id })).collect();
    json!({ "places": places, "transitions": transitions })
}

/// An activity from a place to the next.
fn step(id: &str, from: &str, to: &str, activity: Value) -> Value {
    json!({ "id": id, "from_places": [from], "to_place": to, "activity": activity })
}

fn always(_: &Case, _: bool) -> bool {
    true
}

/// Returns true if the first item runs.
fn runs(case: &Case, _: bool) -> bool {
    case.items.iter().any(|item| item.number == 1 && item.running.is_some())
}

/// Returns true if the first item runs after a failure.
fn runs_again(case: &Case, by_another: bool) -> bool {
    runs(case, by_another) && case.items[0].failed > 0
}

/// Returns true in a paused case whose first item is over. A dead worker's is over when the case was resumed.
fn is_done_in_pause(case: &Case, by_another: bool) -> bool {
    case.status == CaseStatus::Paused
        && (by_another || case.items.iter().all(|item| item.number != 1))
}

fn is_paused(case: &Case, _: bool) -> bool {
    case.status == CaseStatus::Paused
}

const BEGIN: Asked = (always, Request::Begin);

/// Publish, claim, beat, complete, and two hand-overs.
pub(super) fn chain() -> Scenario {
    Scenario {
        name: "chain",
        net: net(
            &["p0", "p1", "p2", "p3"],
            json!([
                step("quick0", "p0", "p1", json!({})),
                step("slow1", "p1", "p2", json!({})),
                step("quick2", "p2", "p3", json!({})),
            ]),
        ),
        requests: vec![BEGIN],
        ends: CaseStatus::Completed,
        fires: &[("quick0", 1), ("slow1", 1), ("quick2", 1)],
    }
}

/// Cascades before and after two items that are offered together, of two classes.
fn fork() -> Scenario {
    let out = json!([{"place": "l0"}, {"place": "r0"}]);
    let both = json!([{"place": "l1"}, {"place": "r1"}]);
    Scenario {
        name: "fork",
        net: net(
            &["p0", "l0", "l1", "r0", "r1", "p1", "p2"],
            json!([
                {"id": "split", "auto": true, "from_places": ["p0"], "outputs": out},
                step("quick0", "l0", "l1", json!({})),
                step("quick1", "r0", "r1", json!({"priority": "high"})),
                {"id": "join", "auto": true, "inputs": both, "to_place": "p1"},
                step("quick2", "p1", "p2", json!({})),
            ]),
        ),
        requests: vec![BEGIN],
        ends: CaseStatus::Completed,
        fires: &[("split", 1), ("quick0", 1), ("quick1", 1), ("join", 1), ("quick2", 1)],
    }
}

/// A failure after which the item comes again by the queue (a NAK), or by a timer.
fn again(name: &'static str, first: &str) -> Scenario {
    let retry = json!({"retry": {"first": first, "jitter": false}});
    Scenario {
        name,
        net: net(&["p0", "p1"], json!([step("fails0", "p0", "p1", retry)])),
        requests: vec![BEGIN],
        ends: CaseStatus::Completed,
        fires: &[("fails0", 1)],
    }
}

/// A worker that is shut down gives back what it has begun.
fn release() -> Scenario {
    Scenario {
        name: "release",
        net: net(&["p0", "p1"], json!([step("held0", "p0", "p1", json!({}))])),
        requests: vec![BEGIN, (runs, Request::Replace)],
        ends: CaseStatus::Completed,
        fires: &[("held0", 1)],
    }
}

/// A pause while an attempt runs, which ends in it, and a resume that offers what follows.
fn pause() -> Scenario {
    Scenario {
        name: "pause",
        net: net(
            &["p0", "p1", "p2"],
            json!([step("slow0", "p0", "p1", json!({})), step("quick1", "p1", "p2", json!({})),]),
        ),
        requests: vec![BEGIN, (runs, Request::Pause), (is_done_in_pause, Request::Resume)],
        ends: CaseStatus::Completed,
        fires: &[("slow0", 1), ("quick1", 1)],
    }
}

/// A pause right after the beginning, and a resume right after that.
fn pause_early() -> Scenario {
    Scenario {
        name: "pause early",
        requests: vec![BEGIN, (always, Request::Pause), (is_paused, Request::Resume)],
        ..pause()
    }
}

/// A cancel while an attempt runs, which has a deadline.
fn cancel() -> Scenario {
    let activity = json!({"deadline": "1h"});
    Scenario {
        name: "cancel",
        net: net(&["p0", "p1"], json!([step("stuck0", "p0", "p1", activity)])),
        requests: vec![BEGIN, (runs, Request::Cancel)],
        ends: CaseStatus::Cancelled,
        fires: &[],
    }
}

/// A person fails an attempt that runs, and completes the next one.
fn by_hand() -> Scenario {
    let retry = json!({"retry": {"first": "100ms", "jitter": false}});
    Scenario {
        name: "by hand",
        net: net(
            &["p0", "p1", "p2"],
            json!([step("stuck0", "p0", "p1", retry), step("quick1", "p1", "p2", json!({}))]),
        ),
        requests: vec![BEGIN, (runs, Request::Fail(1)), (runs_again, Request::Complete(1))],
        ends: CaseStatus::Completed,
        fires: &[("stuck0", 1), ("quick1", 1)],
    }
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        chain(),
        fork(),
        again("again by the queue", "100ms"),
        again("again by a timer", "2s"),
        release(),
        pause(),
        pause_early(),
        cancel(),
        by_hand(),
    ]
}

/// A worker for the activities of all scenarios. What is `held` is held by the first one only.
pub(super) fn worker(petrel: &Petrel, ledger: &Arc<Ledger>, is_first: bool) -> WorkerBuilder {
    let options = QueueOptions::new(queue("default"));
    let mut builder = Worker::builder(petrel.clone()).queue(options).grace(Duration::ZERO);
    for name in ["quick0", "quick1", "quick2", "slow0", "slow1", "fails0", "held0", "stuck0"] {
        let ledger = Arc::clone(ledger);
        builder = builder.handle(kind(name), move |attempt: Attempt, _: Value| {
            let ledger = Arc::clone(&ledger);
            async move {
                ledger.note(&attempt);
                let behaves = attempt.kind().as_str().trim_end_matches(char::is_numeric);
                match behaves {
                    // Long enough for a beat, where the queue's time is the shortest.
                    "slow" => tokio::time::sleep(6 * ACK_WAIT / 10).await,
                    "fails" if attempt.number() == 1 => {
                        return Err(WorkError::new("DOWN", "the first time"));
                    }
                    "held" if !is_first => {}
                    "held" | "stuck" => {
                        attempt.stopped().await;
                        return Err(WorkError::new("STOPPED", "it was told to"));
                    }
                    _ => {}
                }
                Ok(json!({}))
            }
        });
    }
    builder
}

/// Makes a request, with the id of its number.
pub(super) async fn ask(petrel: &Petrel, request: Request, id: &FiringId) -> Result<()> {
    let (of, at) = (workflow("steps"), case(CASE));
    let change = Change { firing: Some(id.clone()), ..Change::default() };
    match request {
        Request::Begin => {
            let new = NewCase { case: Some(at), ..NewCase::of(of) };
            petrel.create_case(new).await.map(drop)
        }
        Request::Pause => petrel.pause(&of, &at, change).await.map(drop),
        Request::Resume => petrel.resume(&of, &at, change).await.map(drop),
        Request::Cancel => petrel.cancel(&of, &at, change).await.map(drop),
        Request::Complete(number) => {
            let answer = Answered { outcome: None, result: json!({}), hand_over: None };
            petrel.complete_work(&item("steps", CASE, number), None, answer, change).await.map(drop)
        }
        Request::Fail(number) => {
            let failure = Failure { code: "BY_HAND".to_owned(), ..Failure::default() };
            petrel.fail_work(&item("steps", CASE, number), None, failure, change).await.map(drop)
        }
        Request::Replace => Ok(()),
    }
}
