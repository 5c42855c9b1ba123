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
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The checkpoints that one follower of the log keeps.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    /// The life of the view.
    life: String,
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
    /// The position after which the view may have lost something, if it is before `back`, or else
    /// `back`; and true if it is in the life that it was in before.
    pub(super) async fn begin(
        &mut self,
        view: &dyn Storage,
        back: Option<LogSequence>,
    ) -> Result<(Option<LogSequence>, bool)> {
        self.looked = Some(Instant::now());
        Ok(self.begin_with(found(view).await?, back))
    }

    fn begin_with(
        &mut self,
        (life, found): (String, Option<Checkpoint>),
        back: Option<LogSequence>,
    ) -> (Option<LogSequence>, bool) {
        let is_the_same = life == self.life;
        (self.right, self.kept, self.life, self.last) = (Settled::default(), None, life, found);
        (self.last.as_ref().map_or(back, |last| back.min(last.right)), is_the_same)
    }

    /// Notes that the views of all records up to `done` are right, and keeps a checkpoint if it is time
    /// for one. Returns false if the view is another one, or in another life, than at the beginning: of
    /// that nothing is known yet.
    pub(super) async fn note(
        &mut self,
        view: &dyn Storage,
        done: Option<LogSequence>,
    ) -> Result<bool> {
        let next = self.next(done, KEPT_AFTER);
        let next = next.filter(|_| self.kept.is_none_or(|at| at.elapsed() >= EVERY));
        if next.is_some() || self.looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            let looked = Instant::now();
            if found(view).await?.0 != self.life {
                return Ok(false);
            }
            self.looked = Some(looked);
        }
        let Some(next) = next else { return Ok(true) };
        match view.keep_checkpoint(&next).await {
            Ok(true) => (self.last, self.told) = (Some(next), false),
            // Another process keeps its own; ours comes later.
            Ok(false) => {}
            Err(error) if error.retryable() => return Err(error.into()),
            Err(error) if !self.told => {
                tracing::warn!(%error, "the checkpoint of the view can't be kept");
                self.told = true;
            }
            Err(_) => {}
        }
        self.kept = Some(Instant::now());
        Ok(true)
    }

    /// The next checkpoint, if it says more than the last one.
    fn next(&mut self, done: Option<LogSequence>, kept_after: Duration) -> Option<Checkpoint> {
        let last = self.last.as_ref()?;
        self.right.note(done);
        // Where the log went back, what it has since is written now.
        let kept = last.kept.filter(|kept| Some(*kept) <= done);
        let kept = kept.max(self.right.sequence(kept_after));
        let next = Checkpoint { life: last.life.clone(), right: done, kept };
        (next != *last).then_some(next)
    }
}

/// The life of the view, and the checkpoint that it has, unless it loses nothing or is being filled by
/// others.
async fn found(view: &dyn Storage) -> Result<(String, Option<Checkpoint>)> {
    Ok(match view.recovery().await? {
        Recovery::After(found) => (found.life.clone(), Some(found)),
        Recovery::Nothing(life) => (life, None),
        // Once it is filled, it is begun with anew.
        Recovery::BeingFilled(life) => (format!("{life} being filled"), None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: Duration = Duration::ZERO;

    fn at(number: u64) -> Option<LogSequence> {
        LogSequence::new(number)
    }

    /// The checkpoint that a view finds in another life.
    fn in_life(life: &str, kept: Option<Checkpoint>) -> (String, Option<Checkpoint>) {
        let kept = kept.and_then(|kept| kept.kept);
        (life.to_owned(), Some(Checkpoint { life: life.to_owned(), right: kept, kept }))
    }

    #[test]
    fn what_was_right_is_so_in_this_life_and_what_is_on_disk_in_the_next() {
        let mut first = Checkpoints::default();
        let (begins, is_the_same) = first.begin_with(in_life("1", None), at(90));
        assert_eq!((begins, is_the_same), (None, false), "nothing is known");
        let kept = first.next(at(50), KEPT_AFTER);
        assert_eq!(kept, Some(Checkpoint { life: "1".to_owned(), right: at(50), kept: None }));
        let mut second = Checkpoints::default();
        assert_eq!(second.begin_with(("1".to_owned(), kept.clone()), at(40)), (at(40), false));
        assert_eq!(second.begin_with(("1".to_owned(), kept.clone()), at(90)), (at(50), true));
        let old_enough = second.next(at(60), AT_ONCE);
        assert_eq!(old_enough.clone().and_then(|next| next.kept), at(60));
        second.last = old_enough;
        let young = second.next(at(80), KEPT_AFTER);
        assert_eq!(young.clone().map(|next| (next.right, next.kept)), Some((at(80), at(60))));
        let begins = second.begin_with(in_life("2", young), at(90));
        assert_eq!(begins, (at(60), false), "80 was not on disk");
    }

    #[test]
    fn nothing_is_on_disk_of_a_log_that_went_back_and_what_says_no_more_is_not_kept() {
        let mut checkpoints = Checkpoints::default();
        let last = Checkpoint { life: "1".to_owned(), right: at(10), kept: at(10) };
        checkpoints.begin_with(("1".to_owned(), Some(last)), at(20));
        assert_eq!(checkpoints.next(at(10), KEPT_AFTER), None);
        let next = checkpoints.next(at(5), KEPT_AFTER);
        assert_eq!(next.map(|next| (next.right, next.kept)), Some((at(5), None)));
    }
}
