//! Putting messages of a case's log aside that can't be read or do not follow, so that the
//! case goes on.

use std::sync::Arc;

use chrono::SubsecRound;
use uuid::Uuid;

use super::examine::{Bad, Examined, must_have_none, ranges};
use crate::petrel::{
    Change, Changed, Error, Inner, Petrel, Result, change::repeat::Asked, read::load::broken,
};
use crate::{
    engine::{Act, Remains, apply, fit, quarantine},
    models::{
        Case, CaseId, Fence, FiringId, LogSequence, PlaceId, Record, Revision, Stored, TokenId,
        WorkflowId,
    },
    storage::{AppendOptions, StorageError},
};

/// Number of looks, if somebody appends meanwhile or no answer comes.
const MOST_LOOKS: u32 = 8;

impl Petrel {
    /// Puts aside all messages of a case's log that can't be read or do not follow, at any
    /// place of it. After it the case is in the state of its last good record, and goes on; a
    /// case without a good record is cancelled. The messages stay in the log, and the new
    /// record names them. It is an error if nothing is wrong, or if a newer version wrote an
    /// unreadable message. Records that follow such a message, and so were acknowledged, are
    /// only put aside with it if that is wanted; the error names them otherwise. The expected
    /// revision is the sequence of the case's last message, readable or not, as the errors name it.
    pub async fn quarantine(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        following: Following,
        change: Change,
    ) -> Result<Changed> {
        let change = self.signed(change).checked()?;
        let inner = Arc::clone(&self.inner);
        let (workflow, case) = (workflow.clone(), case.clone());
        let change = async move { inner.put_aside(&workflow, &case, following, change).await };
        self.inner.to_its_end(change).await
    }
}

/// Way with records that can be read but follow a message to put aside, so that they must go
/// too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Following {
    /// Puts nothing aside; the error names them.
    #[default]
    Refuse,
    /// Puts them aside.
    PutAside,
}

impl Inner {
    async fn put_aside(
        self: &Arc<Self>,
        workflow: &WorkflowId,
        case: &CaseId,
        following: Following,
        change: Change,
    ) -> Result<Changed> {
        let asked = Asked::to("quarantine", &change.metadata);
        let firing = match change.firing.clone() {
            Some(firing) => firing,
            None => FiringId::new(Uuid::now_v7().to_string())?,
        };
        let act = Act {
            by: change.by.clone(),
            now: self.reader.clock.now().trunc_subsecs(6),
            firing,
            metadata: change.metadata.clone(),
            request: Some(asked.digest()),
            format: self.reader.storage.write_level().await?.format(),
        };
        let mut failed = None;
        for _ in 0..MOST_LOOKS {
            let mut slot = self.slots.turn(workflow, case).await?;
            // Whatever this process knew may come from what is put aside.
            let later = std::mem::take(&mut *slot).later;
            let put_off = later.map_or_else(Vec::new, |later| later.keys);
            let examined = self.reader.examine(workflow, case, &act.firing).await?;
            if let Some(record) = examined.repeated {
                asked.must_be(&act, case, &record)?;
                let state = examined.state.ok_or_else(|| Error::no_case(case))?;
                let live = state.marking.0.iter().map(|at| (at.token.clone(), at.place.clone()));
                self.show(&state, live.chain(put_off).collect()).await;
                let was_tried = matches!(failed, Some(StorageError::Unavailable { .. }));
                let own = was_tried && act.made(&record.value);
                return Ok(changed(record, state, !own));
            }
            if examined.last.is_none() {
                self.reader.must_exist(workflow).await?;
            }
            let last = must_be_wanted(case, &act, &examined, following, change.expected_revision)?;
            let mut aside = examined.aside;
            aside.extend(ranges(&examined.bad));
            let before = examined.state;
            let remains = match &before {
                Some(state) => Remains::State(state),
                None => {
                    let definition = self.never_run(workflow, &examined.bad).await?;
                    Remains::Nothing { workflow, case, definition }
                }
            };
            let live = before.iter().flat_map(|state| &state.marking.0);
            let live = live.map(|at| (at.token.clone(), at.place.clone()));
            let mut registers: Vec<_> = live.chain(put_off).collect();
            registers.extend(examined.bad.iter().filter_map(|bad| bad.registers.clone()).flatten());
            let put_aside = examined.bad.into_iter().map(|bad| bad.message).collect();
            let mut record = quarantine(remains, aside, put_aside, last, &act);
            // What is put aside is said by `aside`; the reasons are for people.
            while let Err(excess) = fit(&mut record, before.as_ref(), self.reader.limits()) {
                let told = record.put_aside.len();
                if told <= 1 {
                    return Err(excess.into());
                }
                record.put_aside.truncate(told / 2);
            }
            match self.reader.storage.append(&record, AppendOptions::after(last)).await {
                Ok(appended) => {
                    let stored = Stored {
                        value: record,
                        sequence: appended.sequence,
                        fence: Fence::After(last),
                        timestamp: act.now,
                        subject: appended.subject,
                        hash: appended.hash,
                    };
                    let state = apply(before.as_ref(), &stored)
                        .map_err(|reason| broken(workflow, case, stored.sequence, reason))?;
                    self.show(&state, registers).await;
                    return Ok(changed(stored, state, false));
                }
                // Somebody appended, or it may have happened: the log says which.
                Err(error) if error.retryable() => failed = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        let reason = format!("others change case {case} all the time; try again");
        Err(failed.unwrap_or(StorageError::Unavailable { reason, away_since: None }).into())
    }

    /// The definition to name for a case that never began: the workflow's latest, or if the
    /// log does not know the workflow, the one that the case was begun with.
    async fn never_run(&self, workflow: &WorkflowId, bad: &[Bad]) -> Result<LogSequence> {
        match self.reader.latest(workflow).await {
            Ok(latest) => Ok(latest.stored.sequence),
            Err(error @ Error::NotFound(_)) => {
                let named = bad.iter().find_map(|bad| bad.read.as_ref());
                named.map(|read| read.definition).ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    /// The views after messages were put aside. Nothing that fails here undoes it.
    async fn show(&self, case: &Case, registers: Vec<(TokenId, PlaceId)>) {
        if let Err(error) = self.views.repair(&case.workflow, &case.id, registers).await {
            self.metrics.view_failed();
            tracing::warn!(
                workflow = %case.workflow, case = %case.id, sequence = %case.sequence, %error,
                "messages are put aside, but the views can't be looked at; \
                 `petrel rebuild` mends them"
            );
        }
    }
}

/// Refuses a request whose id was taken, that expects another revision, or that finds nothing to put
/// aside, or more than is wanted. Returns the sequence of the case's last message.
fn must_be_wanted(
    case: &CaseId,
    act: &Act,
    examined: &Examined,
    following: Following,
    expected_revision: Option<Revision>,
) -> Result<LogSequence> {
    if let Some(sequence) = examined.taken {
        let (id, case) = (act.firing.to_string(), case.clone());
        return Err(Error::IdPutAside { id, case, sequence });
    }
    let Some(last) = examined.last else { return Err(Error::no_case(case)) };
    if let Some(expected) = expected_revision
        && expected != last.into()
    {
        let what = format!("case {case}");
        return Err(Error::Conflict { what, expected, actual: last.into() });
    }
    if following == Following::Refuse {
        must_have_none(case, &examined.bad)?;
    }
    if examined.bad.is_empty() {
        let reason = format!("nothing is wrong in the log of case {case}; nothing was stored");
        return Err(Error::argument("case", reason));
    }
    Ok(last)
}

fn changed(record: Stored<Record>, case: Case, repeated: bool) -> Changed {
    Changed { record: Arc::new(record), case: Arc::new(case), tokens: Vec::new(), repeated }
}
