//! The record in which timers of a case come due.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Map;

use crate::petrel::{
    Change, Changed, Error, Petrel, Result,
    change::decided::{Decide, Decided},
    change::operations::record_of,
    change::repeat::Asked,
};
use crate::{
    engine::{self, Bounds},
    models::{CaseId, CaseStatus, Timer, WorkflowId},
    storage::Page,
};

impl Petrel {
    /// Lets the timers of a case come due whose time is not after the one of `due`, and whose number is not
    /// above its, in the order of their times, some in one record. The answer is the case's last record if there is none, or the case does not
    /// run.
    pub(super) async fn elapse(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        due: (DateTime<Utc>, u64),
    ) -> Result<Changed> {
        let limits = self.inner.reader.limits();
        let id = case.clone();
        let decide: Decide = Arc::new(move |compiled, existing, act, budget| {
            let case = existing.ok_or_else(|| Error::no_case(&id))?;
            let bounds = Bounds { limits, budget };
            match engine::elapse(&compiled.net, case, due, act, bounds) {
                Some(record) => Decided::record(record),
                None => Ok(Decided::AsItIs),
            }
        });
        let asked = Asked::to("elapse", &Map::new());
        self.commit(record_of(workflow, case, Change::default(), asked, decide)).await
    }

    /// Lets all timers of a case come due whose time is not after `until`. Returns the last change, and
    /// the number of those that came due.
    pub(super) async fn elapse_all(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        until: DateTime<Utc>,
    ) -> Result<(Changed, u64)> {
        // What its own records set comes due by itself: by a clock that is behind, it may be due already.
        let (mut count, mut made) = (0, u64::MAX);
        loop {
            let changed = self.elapse(workflow, case, (until, made)).await?;
            if changed.repeated {
                self.inner.views.offer_waits(&changed.case, until).await?;
                return Ok((changed, count));
            }
            let elapsed = &changed.record.value.elapsed;
            count += elapsed.len() as u64;
            let now = self.inner.reader.clock.now();
            elapsed.iter().for_each(|timer| self.inner.metrics.timer_elapsed(now - timer.due));
            let oldest_new =
                changed.record.value.timers.iter().find(|of| of.since >= changed.record.value.time);
            made = made.min(oldest_new.map_or(changed.case.timers_made, |of| of.number - 1));
            let is_left =
                |timer: &Timer| !timer.elapsed && timer.due <= until && timer.number <= made;
            if !changed.case.timers.iter().any(is_left) {
                self.inner.views.offer_waits(&changed.case, until).await?;
                return Ok((changed, count));
            }
        }
    }

    /// Lets all timers come due whose time is over by this handle's clock, of all running cases; also
    /// those that are set meanwhile and are due by then. Returns their number. A process that
    /// [runs timers](Self::run_timers) needs no call of it: it is for tests with a clock that is moved
    /// ([`with_clock`](Self::with_clock)).
    pub async fn elapse_due(&self) -> Result<u64> {
        let (mut count, until) = (0, self.inner.reader.clock.now());
        loop {
            let (mut round, mut page) = (0, Page { first: crate::storage::MAX_PAGE, after: None });
            loop {
                let armed = self.storage().armed(page).await?;
                let mut due: Vec<_> =
                    armed.items.iter().map(|(_, one)| one).filter(|one| one.due <= until).collect();
                due.sort_by_key(|one| (one.due, one.timer));
                for arming in due {
                    let (workflow, case) = (&arming.workflow, &arming.case);
                    let (changed, elapsed) = match self.elapse_all(workflow, case, until).await {
                        Err(Error::NotFound(_)) => continue,
                        done => done?,
                    };
                    round += elapsed;
                    if changed.case.status != CaseStatus::Paused {
                        self.storage().disarm(std::slice::from_ref(arming)).await?;
                    }
                }
                page.after = armed.items.last().map(|(cursor, _)| *cursor);
                if !armed.has_next {
                    break;
                }
            }
            count += round;
            if round == 0 {
                return Ok(count);
            }
        }
    }
}
