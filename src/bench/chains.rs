//! The clients of chains: those of the engine, and those that store the same without one.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{driver::Driver, load::LoadError};
use crate::{
    models::{CaseId, KindId, LogSequence, QueueId, TransitionId, WorkClass, WorkflowId},
    petrel::{Error, NewCase, Petrel},
    storage::{
        Offer,
        nats::{Floor, Sequences},
    },
};

/// The workflow of the chains.
pub(super) const WORKFLOW: &str = "bench-steps";

/// Those who wait for the end of a case, or for its item.
pub(super) type Waiting = Mutex<HashMap<CaseId, oneshot::Sender<()>>>;

pub(super) fn tell(waiting: &Waiting, case: &CaseId) {
    let told = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(case);
    if let Some(told) = told {
        // Whoever waited may be gone.
        let _ = told.send(());
    }
}

pub(super) fn wait_for(waiting: &Waiting, case: &CaseId) -> oneshot::Receiver<()> {
    let (told, hears) = oneshot::channel();
    waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(case.clone(), told);
    hears
}

/// Ids of cases, each once in a process and a server.
#[derive(Debug)]
pub(super) struct Names {
    pub run: u64,
    pub next: AtomicU64,
}

impl Names {
    pub(super) fn next(&self) -> Result<CaseId, LoadError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Ok(CaseId::new(format!("{:x}-{number}", self.run)).map_err(Error::from)?)
    }
}

/// A client that begins cases and waits for their ends.
pub(super) struct Chain {
    pub petrel: Petrel,
    pub workflow: WorkflowId,
    pub names: Arc<Names>,
    pub ends: Arc<Waiting>,
}

impl Driver for Chain {
    async fn fire(&mut self) -> Result<(), LoadError> {
        let case = self.names.next()?;
        let ended = wait_for(&self.ends, &case);
        let new = NewCase { case: Some(case), ..NewCase::of(self.workflow.clone()) };
        self.petrel.create_case(new).await?;
        // The sender is dropped only when the measurement ends.
        let _ = ended.await;
        Ok(())
    }
}

/// A client that stores what a chain stores, without an engine.
pub(super) struct Raw {
    pub floor: Floor,
    pub names: Arc<Names>,
    pub steps: usize,
    pub record: Bytes,
    /// The queue, if each step goes through it.
    pub queue: Option<(Petrel, QueueId, Arc<Waiting>)>,
}

impl Raw {
    fn offer(&self, queue: &QueueId, case: &CaseId, item: u64) -> Result<Offer, LoadError> {
        Ok(Offer {
            queue: queue.clone(),
            class: WorkClass::Normal,
            workflow: WorkflowId::new(WORKFLOW).map_err(Error::from)?,
            case: case.clone(),
            item,
            follows: LogSequence::FIRST,
            kind: KindId::new("step").map_err(Error::from)?,
            transition: TransitionId::new("step").map_err(Error::from)?,
        })
    }
}

impl Driver for Raw {
    async fn fire(&mut self) -> Result<(), LoadError> {
        let (case, mut last) = (self.names.next()?, Sequences::default());
        let append = async |last: &mut Sequences| {
            let appended = self.floor.guarded(&case, &self.record, &[], last).await;
            appended.map_err(|error| LoadError::from(Error::from(error)))
        };
        append(&mut last).await?;
        if self.queue.is_none() {
            append(&mut last).await?;
        }
        for step in 0..self.steps {
            if let Some((petrel, queue, taken)) = &self.queue {
                let hears = wait_for(taken, &case);
                let offer = self.offer(queue, &case, step as u64 + 1)?;
                petrel.storage().offer(&[offer]).await.map_err(Error::from)?;
                let _ = hears.await;
                append(&mut last).await?;
            }
            append(&mut last).await?;
        }
        Ok(())
    }
}

/// A client that publishes one record after the other.
pub(super) struct Publish {
    pub floor: Floor,
    pub case: CaseId,
    pub record: Bytes,
}

impl Driver for Publish {
    async fn fire(&mut self) -> Result<(), LoadError> {
        let published = self.floor.publish(&self.case, self.record.clone()).await;
        published.map_err(Error::from)?;
        Ok(())
    }
}
