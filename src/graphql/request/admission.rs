//! Admission: a limit of the operations that a process executes at a time.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::graphql::{Answer, Limits, OperationKind};

/// Room for operations. One that finds none is refused at once, and can be tried again. A clone is
/// the same room.
#[derive(Debug, Clone)]
pub(in crate::graphql) struct Admission {
    short: Arc<Semaphore>,
    lasting: Arc<Semaphore>,
}

impl Admission {
    pub fn new(limits: &Limits) -> Self {
        Self {
            short: Arc::new(Semaphore::new(limits.under_way)),
            lasting: Arc::new(Semaphore::new(limits.subscriptions)),
        }
    }

    /// Room for one operation, until it is dropped.
    pub fn of(&self, kind: OperationKind) -> Result<OwnedSemaphorePermit, Answer> {
        let (room, what) = match kind {
            OperationKind::Query | OperationKind::Mutation => (&self.short, "operations"),
            OperationKind::Subscription => (&self.lasting, "subscriptions"),
        };
        Arc::clone(room).try_acquire_owned().map_err(|_| {
            let why =
                format!("too many {what} are under way in this process; try again in a moment");
            Answer::overloaded(why)
        })
    }
}
