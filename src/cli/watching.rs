//! A look at markings that somebody waits for: it ends with its budget, and shows its
//! progress.

use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

use indicatif::{HumanCount, ProgressBar};

use super::bar::seen;
use crate::{analysis::Progress, config::Config};

/// Time after which a look is worth a line.
const SOON: Duration = Duration::from_secs(1);

/// Watches one look after another, each with the same budget.
pub(super) struct Watching {
    budget: Duration,
    begun: Instant,
    line: ProgressBar,
}

impl Watching {
    pub(super) fn new(budget: Duration, config: &Config) -> Self {
        Self { budget, begun: Instant::now(), line: seen(config, ProgressBar::new_spinner()) }
    }

    /// Begins the next look.
    pub(super) fn begin(&mut self) {
        self.begun = Instant::now();
    }

    /// Shows the progress, and breaks off if there is no time for more.
    pub(super) fn watch(&mut self, progress: Progress) -> ControlFlow<()> {
        let took = self.begun.elapsed();
        if took > SOON {
            let (found, seen) = (progress.states as u64, progress.explored as u64);
            let (found, seen) = (HumanCount(found), HumanCount(seen));
            self.line.set_message(format!("{found} markings found, {seen} of them looked at"));
            self.line.tick();
        }
        if took < self.budget { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    /// Takes the line away, and returns the length of the look.
    pub(super) fn end(&self) -> Duration {
        self.line.finish_and_clear();
        self.begun.elapsed()
    }
}
