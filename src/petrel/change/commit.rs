//! The commit: decide, append under the fence, write the views.

use std::{
    ops::ControlFlow::{self, Break, Continue},
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::SubsecRound;
use uuid::Uuid;

use crate::petrel::{
    Changed, Error, Inner, Result,
    cache::definitions::Compiled,
    cache::index::Own,
    cache::slot::Slot,
    change::decided::{Commit, Decided},
    change::whole::tokens_after,
    read::turn::Purpose,
    read::{follows::known_with, load::broken},
    views::write::Writing,
};
use crate::{
    engine::{Act, Budget, Reckoned, reckon},
    models::{FiringId, Record, Stored},
    storage::{AppendOptions, Consistency, StorageError},
};

/// Number of times that a lost race is run again before the caller is told of the conflict.
const MOST_RACES: u32 = 64;

/// Number of changes that are under way in a process at once.
const MOST_UNDER_WAY: usize = 10_000;

/// Number of times that an append without an answer is tried again.
const MOST_UNANSWERED: u32 = 2;

/// End of an attempt.
enum Attempt {
    Done(Box<Changed>),
    /// Somebody else appended first.
    LostRace,
    /// The log may be another one than the one that it was decided on; nothing was stored.
    Outdated,
    /// No answer: it happened or not.
    Unanswered(StorageError),
}

impl Attempt {
    /// The end of one whose append had this answer.
    fn refused(error: StorageError) -> Result<Self> {
        match error {
            StorageError::LostRace { .. } => Ok(Self::LostRace),
            error @ StorageError::Unavailable { .. } => Ok(Self::Unanswered(error)),
            error => Err(error.into()),
        }
    }
}

impl Inner {
    pub(crate) async fn commit(self: &Arc<Self>, commit: Commit) -> Result<Changed> {
        let inner = Arc::clone(self);
        self.to_its_end(async move { inner.run(commit).await }).await
    }

    /// Runs a change in a task of its own. Once begun it ends, even if the caller no longer
    /// waits; and a caller who stops polling does not keep the case's turn.
    pub(crate) async fn to_its_end(
        &self,
        change: impl Future<Output = Result<Changed>> + Send + 'static,
    ) -> Result<Changed> {
        if self.running.len() >= MOST_UNDER_WAY {
            let reason = format!("{MOST_UNDER_WAY} changes are under way in this process");
            return Err(Error::Overloaded { reason });
        }
        match self.running.spawn(change).await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is shutting down.
            Err(error) => Err(Error::Storage(StorageError::Unavailable {
                reason: error.to_string(),
                away_since: None,
            })),
        }
    }

    async fn run(self: &Arc<Self>, commit: Commit) -> Result<Changed> {
        let begun = Instant::now();
        let firing = commit.change.firing.clone();
        let act = Act {
            by: commit.change.by.clone(),
            now: self.reader.clock.now().trunc_subsecs(6),
            firing: firing.clone().map_or_else(new_firing, Ok)?,
            metadata: commit.change.metadata.clone(),
            request: (!commit.is_new).then(|| commit.asked.digest()),
            format: self.reader.storage.write_level().await?.format(),
        };
        let (mut races, mut outdated, mut unanswered) = (0, 0, 0);
        let mut presume_new = commit.is_new;
        let result = loop {
            let mut slot = self.slots.turn(&commit.workflow, &commit.case).await?;
            let presumed = std::mem::take(&mut presume_new) && slot.case.is_none();
            let look_first = slot.case.is_none() && !presumed;
            if look_first && races + outdated + unanswered == 0 {
                self.metrics.was_cold();
            }
            match self.attempt(&commit, &act, &mut slot, look_first, unanswered > 0).await {
                Ok(Attempt::Done(changed)) => {
                    self.see_to_later((&commit.workflow, &commit.case), &mut slot);
                    self.see_to_notes();
                    break Ok(*changed);
                }
                Ok(Attempt::LostRace) if presumed => {}
                Ok(Attempt::LostRace) if races < MOST_RACES => {
                    races += 1;
                    self.metrics.race_lost();
                    drop(slot);
                    tokio::time::sleep(backoff(races)).await;
                }
                Ok(Attempt::LostRace) => {
                    let reason = format!(
                        "others change case {} all the time, and were first {MOST_RACES} times; \
                         try again",
                        commit.case
                    );
                    break Err(StorageError::Unavailable { reason, away_since: None }.into());
                }
                Ok(Attempt::Outdated) if outdated < MOST_RACES => {
                    outdated += 1;
                    drop(slot);
                    tokio::time::sleep(backoff(outdated)).await;
                }
                Ok(Attempt::Outdated) => {
                    let reason = format!(
                        "the connection was lost, or the log went back, {MOST_RACES} times while \
                         case {} was begun; try again",
                        commit.case
                    );
                    break Err(StorageError::Unavailable { reason, away_since: None }.into());
                }
                Ok(Attempt::Unanswered(error)) => {
                    unanswered += 1;
                    if unanswered > MOST_UNANSWERED {
                        break Err(error.into());
                    }
                    self.metrics.retried();
                }
                Err(error) => break Err(error),
            }
        };
        self.metrics.committed(begun.elapsed(), &result);
        result
    }

    /// Large values of it lie elsewhere: each change's future is copied on its way to its task.
    async fn attempt(
        self: &Arc<Self>,
        commit: &Commit,
        act: &Act,
        slot: &mut Slot,
        look_first: bool,
        was_tried: bool,
    ) -> Result<Attempt> {
        let begun = Instant::now();
        // What is known of the case was read from a log that may be another one by now.
        let generation = self.reader.storage.generation().await?;
        let doubtful = slot.case.is_some() && slot.generation != generation;
        if slot.case.is_none() && slot.generation != generation {
            slot.doubt();
            slot.generation = generation;
        }
        let mut fresh = look_first || doubtful;
        if fresh {
            Box::pin(self.reload(commit, slot)).await?;
        }
        let (record, reckoned, runs) = loop {
            match self.decide(commit, act, slot, was_tried).await {
                Ok(Continue((record, runs))) => match self.checked(slot, record) {
                    Ok((record, reckoned)) => break (record, reckoned, runs),
                    Err(error) if fresh => return Err(error),
                    Err(_) => {}
                },
                Ok(Break(changed)) if fresh => {
                    Box::pin(self.show_again(slot, &changed)).await;
                    return Ok(Attempt::Done(changed));
                }
                Err(error) if fresh => return Err(error),
                Ok(Break(_)) | Err(_) => {}
            }
            // An answer that appends nothing, a no above all, is only given of what the log has
            // now: an append finds out by its fence.
            Box::pin(self.reload(commit, slot)).await?;
            fresh = true;
        };
        if runs.is_some() && self.reader.storage.generation().await? != slot.generation {
            // The definition may be one that the log does not have any more: decided anew.
            return Ok(Attempt::Outdated);
        }
        let expected = AppendOptions::after(record.previous);
        let probe = self.views.unknown_registers(slot, &record);
        let append = self.reader.storage.append(&record, expected);
        let (appended, registers) = tokio::join!(append, probe);
        let appended = match appended {
            Ok(appended) => appended,
            Err(error) => {
                slot.case = None;
                return Attempt::refused(error);
            }
        };
        self.metrics.appended(begun.elapsed());
        let mut stored = Box::new(Stored {
            sequence: appended.sequence,
            fence: record.previous.into(),
            value: *record,
            timestamp: act.now,
            subject: appended.subject,
            hash: appended.hash,
        });
        let before = slot.case.take();
        let generation = self.reader.storage.generation().await;
        let is_same = generation.is_ok_and(|now| now == slot.generation);
        match &before {
            Some(_) if !is_same => {
                slot.look_behind(&Box::pin(self.reader.must_follow(&stored)).await?.value);
            }
            None if !is_same => Box::pin(self.reader.must_run(&stored, runs.as_deref())).await?,
            _ => {}
        }
        let case = reckoned.stored(before.as_deref(), &stored);
        if is_same {
            let (workflow, id) = (case.workflow.clone(), case.id.clone());
            let own = Own { workflow, case: id, status: case.status, hash: stored.hash.clone() };
            self.index.note(slot.generation, stored.sequence, own);
        }
        let case = Arc::new(case);
        slot.case = Some(Arc::clone(&case));
        let known = (before.as_deref(), registers);
        let writing = Writing { begun, may_wait: commit.change.views_later };
        Box::pin(self.views.write_views(slot, known, (&stored.value, &case), writing)).await;
        let tokens = tokens_after(&mut stored.value, &case);
        let record = Arc::from(stored);
        Ok(Attempt::Done(Box::new(Changed { record, case, tokens, repeated: false })))
    }

    /// The record to append, which follows from the case as it is known, and what the case is
    /// after it. A record that replay would refuse is never stored.
    fn checked(&self, slot: &Slot, mut record: Box<Record>) -> Result<(Box<Record>, Reckoned)> {
        let case = slot.case.as_deref();
        let mut reckoned = reckon(case, &record)
            .map_err(|reason| broken(&record.workflow, &record.case, None, reason))?;
        let storage = &self.reader.storage;
        reckoned.name_subjects(&record, |token| {
            storage.token_subject(&token.workflow, &token.place, &token.id)
        });
        record.tokens_hash = reckoned.tokens_hash(&record);
        Ok((record, reckoned))
    }

    /// Brings the known case up to the log's present state. The known case is kept if the log
    /// ends with just its record.
    async fn reload(&self, commit: &Commit, slot: &mut Slot) -> Result<()> {
        let (workflow, case) = (&commit.workflow, &commit.case);
        let generation = self.reader.storage.generation().await?;
        let head = self.reader.storage.head(workflow, case, Consistency::Strong).await?;
        let is_doubtful = slot.generation != generation;
        if is_doubtful {
            slot.doubt();
        }
        slot.generation = generation;
        let is_known = |head: &Stored<Record>| {
            let known = slot.case.as_ref();
            known.is_some_and(|known| {
                (known.sequence, &known.head_hash) == (head.sequence, &head.hash)
            })
        };
        if let Some(head) = head.as_ref().filter(|head| is_known(head)) {
            if is_doubtful {
                slot.look_behind(&head.value);
            }
            return Ok(());
        }
        slot.registers.clear();
        slot.case = None;
        if let Some(head) = head {
            slot.look_behind(&head.value);
            let (case, follows) = tokio::join!(
                self.reader.restore(&head, Purpose::Change),
                self.reader.follows(&head)
            );
            follows?;
            let case = case?;
            known_with(&head, &case)?;
            slot.case = Some(Arc::new(case));
        }
        Ok(())
    }

    /// The decision about a case that is not there.
    async fn decide_new(
        &self,
        commit: &Commit,
        act: &Act,
        latest: &Arc<Compiled>,
    ) -> Result<Result<Decided>> {
        let act = match self.in_format_of(act, latest).await {
            Ok(act) => act,
            Err(refused) => return Ok(Err(refused)),
        };
        let quick = |budget: &Budget| (commit.decide)(latest, None, &act, budget);
        let costly = || {
            let (decide, act, latest) =
                (Arc::clone(&commit.decide), Act::clone(&act), Arc::clone(latest));
            move |budget: &Budget| decide(&latest, None, &act, budget)
        };
        self.decided(quick, costly).await
    }

    /// The record to append, and the definition that a new case is to run; or the answer to a change
    /// that is in the log already, or has nothing to do.
    async fn decide(
        self: &Arc<Self>,
        commit: &Commit,
        act: &Act,
        slot: &mut Slot,
        was_tried: bool,
    ) -> Result<ControlFlow<Box<Changed>, (Box<Record>, Option<Arc<Compiled>>)>> {
        let Some(case) = slot.case.clone() else {
            if commit.change.expected_revision.is_some() {
                return Err(Error::no_case(&commit.case));
            }
            let mut latest = Box::pin(self.reader.latest(&commit.workflow)).await?;
            let mut decided = self.decide_new(commit, act, &latest).await?;
            if decided.is_err() {
                // The one that is known may be of a moment ago, and a no is said of what there is.
                latest = Box::pin(self.reader.latest_now(&commit.workflow)).await?;
                decided = self.decide_new(commit, act, &latest).await?;
            }
            return match decided? {
                Decided::Append(record) => Ok(Continue((record, Some(latest)))),
                Decided::AsItIs | Decided::Begun(_) => Err(Error::no_case(&commit.case)),
            };
        };
        // After an attempt of our own it may be in the log already.
        if (commit.change.firing.is_some() || was_tried)
            && let Some(changed) =
                Box::pin(self.repeated(commit, (act, was_tried), slot, &case)).await?
        {
            return Ok(Break(Box::new(changed)));
        }
        if let Some(expected) = commit.change.expected_revision
            && expected != case.revision()
        {
            let what = format!("case {}", case.id);
            return Err(Error::Conflict { what, expected, actual: case.revision() });
        }
        let compiled = Box::pin(self.reader.compiled(&case.workflow, case.definition)).await?;
        let act = &*self.in_format_of(act, &compiled).await?;
        // The next record names all pages if it is one.
        let case = match case.chain.is_full() && case.chain.pages.is_none() {
            true => Arc::new(Box::pin(self.reader.with_pages(&case)).await?),
            false => case,
        };
        let quick = |budget: &Budget| (commit.decide)(&compiled, Some(&case), act, budget);
        let costly = || {
            let (decide, act) = (Arc::clone(&commit.decide), act.clone());
            let (compiled, case) = (Arc::clone(&compiled), Arc::clone(&case));
            move |budget: &Budget| decide(&compiled, Some(&case), &act, budget)
        };
        match self.decided(quick, costly).await?? {
            Decided::Append(record) => Ok(Continue((record, None))),
            Decided::AsItIs => Ok(Break(Box::new(Box::pin(self.unchanged(&case)).await?))),
            Decided::Begun(seed) => {
                Ok(Break(Box::new(Box::pin(self.begun(&case, seed.as_ref())).await?)))
            }
        }
    }
}

fn new_firing() -> Result<FiringId> {
    Ok(FiringId::new(Uuid::now_v7().to_string())?)
}

/// Jittered exponential: up to 1 ms, 2 ms, 4 ms … 64 ms.
fn backoff(races: u32) -> Duration {
    let most = 1_000 << races.min(6);
    Duration::from_micros(rand::random_range(most / 4..=most))
}
