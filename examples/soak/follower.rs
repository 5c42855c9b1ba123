//! A follower of the log: knows which cases have settled, and tells the intruder of attempts that are over.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::StreamExt;
use stormpetrel::{
    models::{IncidentAbout, LogSequence, Record, RecordKind, WorkflowId},
    petrel::{Petrel, WorkId},
    storage::{LogScope, WatchOptions},
};
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::orders;

/// Wait before the log is followed again.
const AGAIN: Duration = Duration::from_millis(200);

/// An attempt that is over, by the word of the log.
#[derive(Debug, Clone)]
pub(crate) struct Past {
    pub work: WorkId,
    pub claim: u64,
    pub transition: String,
    /// The record that says so.
    pub sequence: LogSequence,
    /// True if its worker was lost, and another one has begun the item.
    pub is_lost: bool,
}

/// State of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Unknown,
    Open,
    Ended,
    /// It waits for a person, by an incident, and for nothing else.
    Stopped,
}

/// Numbers of the cases as the log has them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    /// Cases whose begin was answered.
    pub begun: u64,
    /// Cases in the log.
    pub seen: u64,
    pub open: u64,
    pub stopped: u64,
    /// Attempts whose worker was lost.
    pub lost: u64,
}

impl Progress {
    /// Returns true if nothing is left to do for anybody but a person.
    pub(crate) fn is_settled(&self) -> bool {
        self.seen >= self.begun && self.open == 0
    }
}

/// The follower.
#[derive(Debug, Default)]
pub(crate) struct Follower {
    states: Mutex<Vec<State>>,
    progress: watch::Sender<Progress>,
}

impl Follower {
    fn states(&self) -> MutexGuard<'_, Vec<State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The numbers, as they change.
    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Notes that the begin of a case was answered.
    pub(crate) fn began(&self) {
        self.progress.send_modify(|progress| progress.begun += 1);
    }

    /// The cases that are open.
    pub(crate) fn open(&self) -> Vec<u32> {
        let states = self.states();
        let open = states.iter().zip(0..).filter(|(state, _)| **state == State::Open);
        open.map(|(_, number)| number).collect()
    }

    /// Follows the log until `stop`.
    pub(crate) async fn run(
        &self,
        petrel: &Petrel,
        workflow: &WorkflowId,
        past: &mpsc::Sender<Past>,
        stop: &CancellationToken,
    ) {
        let mut last: Option<LogSequence> = None;
        while !stop.is_cancelled() {
            let options = last.map_or_else(WatchOptions::default, WatchOptions::from);
            let watching = petrel.storage().watch(LogScope::Workflow(workflow.clone()), options);
            let Ok(mut records) = watching.await else {
                sleep(AGAIN).await;
                continue;
            };
            loop {
                // Cancel-safe.
                let record = tokio::select! {
                    record = records.next() => record,
                    () = stop.cancelled() => return,
                };
                let Some(Ok(record)) = record else { break };
                // The last one is given again after a break.
                if last.is_none_or(|last| record.sequence > last) {
                    last = Some(record.sequence);
                    self.note(&record.value);
                    if let Some(over) = over(&record.value, record.sequence) {
                        // The intruder takes what it gets to.
                        let _ = past.try_send(over);
                    }
                }
            }
            sleep(AGAIN).await;
        }
    }

    fn note(&self, record: &Record) {
        let Some(number) = orders::number(record.case.as_str()) else { return };
        let after = match is_stopped(record) {
            _ if record.status.has_ended() => State::Ended,
            true => State::Stopped,
            false => State::Open,
        };
        let mut states = self.states();
        let at = number as usize;
        if states.len() <= at {
            states.resize(at + 1, State::Unknown);
        }
        let before = std::mem::replace(&mut states[at], after);
        drop(states);
        let is_lost = record.work.as_ref().is_some_and(|work| work.ended.is_some());
        self.progress.send_modify(|progress| {
            progress.lost += u64::from(is_lost);
            progress.seen += u64::from(before == State::Unknown);
            progress.open += u64::from(after == State::Open);
            progress.stopped += u64::from(after == State::Stopped);
            progress.open -= u64::from(before == State::Open);
            progress.stopped -= u64::from(before == State::Stopped);
        });
    }
}

/// Returns true if a case has an incident, and all its work waits for it or has its answer.
pub(crate) fn is_stopped(record: &Record) -> bool {
    let waits = |item: &stormpetrel::models::Item| {
        let about = IncidentAbout::Item(item.number);
        item.done.is_some() || record.incidents.iter().any(|open| open.about == about)
    };
    !record.incidents.is_empty() && record.items.iter().all(waits)
}

/// The attempt that a record says is over.
fn over(record: &Record, sequence: LogSequence) -> Option<Past> {
    let work = record.work.as_ref()?;
    let is_lost = record.kind == RecordKind::Begun;
    let claim = match record.kind {
        RecordKind::Begun => {
            work.ended?;
            work.claim?.checked_sub(1)?
        }
        RecordKind::Fired | RecordKind::Failed => work.claim?,
        _ => return None,
    };
    let (workflow, case, item) = (record.workflow.clone(), record.case.clone(), work.item);
    // The failure of an item that was lost too often ends no attempt: its last answer would still count.
    if work.failure.as_ref().is_some_and(|failure| failure.code == "LOST") {
        return None;
    }
    let transition = work.transition.to_string();
    Some(Past { work: WorkId { workflow, case, item }, claim, transition, sequence, is_lost })
}
