//! Checkpoints of a view that may lose its last writes: when one is kept, and what it says.

use std::time::{Duration, Instant};

use crate::petrel::{Result, views::settled::Settled};
use crate::{
    models::LogSequence,
    storage::{Checkpoint, Recovery, Storage},
};

/// Age of a write of the view from which on it is taken to be on disk, whatever happens: more than
/// twice the interval at which a server writes unless it is told otherwise, which is two minutes.
const KEPT_AFTER: Duration = Duration::from_secs(5 * 60);

/// Time between two checkpoints.
const EVERY: Duration = Duration::from_secs(10);

/// Time between two looks at whether it is the view that it was.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The checkpoints that one follower of the log keeps.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    /// The last one that is known; absent where the view loses nothing, or is being filled.
    last: Option<Checkpoint>,
    /// The positions that were right.
    right: Settled,
    /// Start of the last look at the view, and of the last time that one was kept.
    looked: Option<Instant>,
    kept: Option<Instant>,
    /// True if somebody was told that they can't be kept.
    told: bool,
}

impl Checkpoints {
    /// The position to go on from after the view may have lost something: `back`, or as far behind it as
    /// the last checkpoint is.
    pub(super) async fn begin(
        &mut self,
        view: &dyn Storage,
        back: Option<LogSequence>,
    ) -> Result<Option<LogSequence>> {
        let told = self.told;
        *self = Self { told, ..Self::default() };
        self.look(view).await?;
        Ok(match &self.last {
            Some(last) => back.min(last.right),
            None => back,
        })
    }

    /// Notes that the views of all records up to `done` are right, and keeps a checkpoint if it is time
    /// for one.
    pub(super) async fn note(
        &mut self,
        view: &dyn Storage,
        done: Option<LogSequence>,
    ) -> Result<()> {
        if self.looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            self.look(view).await?;
        }
        let Some(last) = &mut self.last else { return Ok(()) };
        self.right.note(done);
        let kept = last.kept.max(self.right.sequence(KEPT_AFTER));
        if (last.right, last.kept) == (done, kept)
            || self.kept.is_some_and(|at| at.elapsed() < EVERY)
        {
            return Ok(());
        }
        let next = Checkpoint { life: last.life.clone(), right: done, kept };
        match view.keep_checkpoint(&next).await {
            Err(error) if error.retryable() => return Err(error.into()),
            Err(error) if !self.told => {
                tracing::warn!(
                    %error,
                    "checkpoints of the view can't be kept: whoever serves next looks at all of the log"
                );
                self.told = true;
            }
            Err(_) => {}
            Ok(()) => *last = next,
        }
        self.kept = Some(Instant::now());
        Ok(())
    }

    /// Looks which view it is. One that was made anew is filled by others.
    async fn look(&mut self, view: &dyn Storage) -> Result<()> {
        let looked = Instant::now();
        let found = match view.recovery().await? {
            Recovery::After(found) => Some(found),
            Recovery::Nothing | Recovery::BeingFilled => None,
        };
        let life = |last: &Checkpoint| last.life.clone();
        if self.last.as_ref().map(life) != found.as_ref().map(life) {
            self.right = Settled::default();
            self.last = found;
        }
        self.looked = Some(looked);
        Ok(())
    }
}
