//! Admission: a limit of the operations that a process executes at a time.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::graphql::{Answer, Limits, Operation};

/// Room for operations. One that finds none is refused at once, and can be tried again. A clone is
/// the same room.
#[derive(Debug, Clone)]
pub(in crate::graphql) struct Admission {
    short: Room,
    lasting: Room,
}

#[derive(Debug, Clone)]
struct Room {
    free: Arc<Semaphore>,
    all: usize,
}

impl Room {
    fn new(all: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(all)), all }
    }
}

impl Admission {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { short: Room::new(limits.under_way), lasting: Room::new(limits.subscriptions) }
    }

    /// Room for an operation of its weight, until it is dropped.
    pub(crate) fn of(&self, operation: &Operation) -> Result<OwnedSemaphorePermit, Answer> {
        let (room, what) = match operation.lasts() {
            false => (&self.short, "operations"),
            true => (&self.lasting, "subscriptions and waits"),
        };
        // One that is heavier than all there is has it alone.
        let weight = u32::try_from(operation.weight().min(room.all)).unwrap_or(u32::MAX);
        Arc::clone(&room.free).try_acquire_many_owned(weight).map_err(|_| {
            let why =
                format!("too many {what} are under way in this process; try again in a moment");
            Answer::overloaded(why)
        })
    }
}
