//! Queues of the items that a case waits for: what keeps these from beginning.

use std::fmt::Write;

use crate::petrel::Petrel;
use crate::{
    engine::Explanation,
    models::CaseStatus,
    storage::{ClassState, QueueState},
};

/// The most queues that are asked for one explanation.
const MOST_ASKED: usize = 10;

impl Petrel {
    /// Adds to a summary which queues of waiting items are paused, or have nobody who takes from them.
    pub(in crate::petrel) async fn tell_of_queues(&self, explanation: &mut Explanation) {
        if explanation.status != CaseStatus::Running {
            return;
        }
        let queues = explanation.waits_for();
        for queue in queues.iter().take(MOST_ASKED) {
            let told = match self.storage().queue(queue).await {
                Ok(state) if state.settings.paused => "is paused",
                Ok(state) if is_served(&state) => continue,
                Ok(_) => "has no worker that takes from it now",
                Err(error) => {
                    tracing::debug!(%queue, %error, "its state is not told");
                    "can't be asked for its state now"
                }
            };
            let _ = write!(explanation.summary, "; queue {queue} {told}");
        }
        if let Some(more) = queues.len().checked_sub(MOST_ASKED + 1) {
            let _ = write!(explanation.summary, "; {} more queues were not asked", more + 1);
        }
    }
}

/// Returns true if somebody waits for work of the queue, or has some.
fn is_served(state: &QueueState) -> bool {
    state.classes.iter().any(|ClassState { in_flight, open_pulls, .. }| in_flight + open_pulls > 0)
}
