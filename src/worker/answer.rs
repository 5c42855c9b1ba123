//! The answer to an attempt, and what becomes of its message.

use std::time::{Duration, Instant};

use chrono::TimeDelta;

use super::{Done, builder::Shared, handler::RESULT_REFUSED, lease::Lease};
use crate::{
    engine::{Answered, HandOver, PutOff},
    models::{Failure, Item},
    petrel::{Change, Changed, Error, WorkId},
    storage::Delivery,
};

/// Wait between two tries of an answer that the store did not take.
const AGAIN: Duration = Duration::from_millis(200);

/// Time beyond the lease for which a worker still tries to answer: its answer counts until somebody else
/// begins the item.
const PATIENCE: Duration = Duration::from_secs(60);

/// End of an attempt, as its answer is to say it.
#[derive(Debug, Clone)]
pub(super) enum End {
    Done(Done),
    Failed(Failure),
    /// It was not carried out to its end, and is to go on after a wait.
    Released(Option<PutOff>),
}

/// The way on after an answer.
#[derive(Debug)]
pub(super) enum AfterAnswer {
    /// Nothing is left of the message.
    Settled,
    /// The next item of the case has begun with it.
    Next(Box<(Item, Changed)>, Instant),
}

/// Stores the answer of a claim, and settles its message.
pub(super) async fn answer(
    shared: &Shared,
    delivery: &Delivery,
    (lease, may_go_on): (&Lease, bool),
    (work, claim): (&WorkId, u64),
    mut end: End,
) -> AfterAnswer {
    let goes_on = || {
        shared.hands_over
            && may_go_on
            && !shared.shutdown.is_cancelled()
            && Instant::now() < lease.until()
    };
    let hand_over = || HandOver {
        queue: delivery.offer.queue.clone(),
        class: delivery.offer.class,
        kinds: shared.handlers.keys().cloned().collect(),
        held: lease.held().clone(),
        lease: TimeDelta::from_std(lease.length()).ok(),
    };
    loop {
        let sent = Instant::now();
        let change =
            Change { by: Some(shared.name.clone()), views_later: true, ..Change::default() };
        let claimed = Some(claim);
        let changed = match &end {
            End::Done(Done { outcome, result }) => {
                let (outcome, result) = (outcome.clone(), result.clone());
                let answer = Answered { outcome, result, hand_over: goes_on().then(hand_over) };
                shared.petrel.complete_work(work, claimed, answer, change).await
            }
            End::Failed(failure) => {
                shared.petrel.fail_work(work, claimed, failure.clone(), change).await
            }
            End::Released(None) => shared.petrel.release_work(work, claimed, change).await,
            End::Released(Some(put_off)) => {
                shared.petrel.put_off_work(work, claim, *put_off, change).await
            }
        };
        match changed {
            Ok(changed) => return settle(shared, delivery, (work, &end), (changed, sent)).await,
            // A silent attempt may answer until somebody else begins it.
            Err(error) if error.retryable() => {
                let is_late = Instant::now() > lease.until() + PATIENCE;
                if is_late || shared.grace_over.is_cancelled() {
                    tracing::warn!(case = %work.case, item = work.item, claim, %error, "no answer");
                    return AfterAnswer::Settled;
                }
                tokio::time::sleep(AGAIN).await;
            }
            Err(error @ (Error::Excess(_) | Error::InvalidArgument { .. })) => match end {
                End::Done(_) => {
                    let (code, message) = (RESULT_REFUSED.to_owned(), error.to_string());
                    let failure = Failure { code, message, is_final: true, ..Failure::default() };
                    end = End::Failed(failure);
                }
                // What a failure says is too much; that it failed is not.
                End::Failed(failure)
                    if failure.stack.is_some() || failure.message.len() > 1_000 =>
                {
                    let mut message = failure.message;
                    message.truncate(message.floor_char_boundary(1_000));
                    end = End::Failed(Failure { message, stack: None, ..failure });
                }
                _ => return refused(work, claim, &error),
            },
            Err(error) => return refused(work, claim, &error),
        }
    }
}

/// A refused answer is never followed by an acknowledgement: the message may be another claim's by now.
fn refused(work: &WorkId, claim: u64, error: &Error) -> AfterAnswer {
    tracing::info!(
        workflow = %work.workflow, case = %work.case, item = work.item, claim, %error,
        "the answer was refused"
    );
    AfterAnswer::Settled
}

/// Settles the message of an answer that is stored.
async fn settle(
    shared: &Shared,
    delivery: &Delivery,
    (work, end): (&WorkId, &End),
    (changed, sent): (Changed, Instant),
) -> AfterAnswer {
    let storage = shared.petrel.storage();
    let next = changed.record.value.work.as_ref().and_then(|work| work.next.as_ref());
    if let Some(next) = next {
        let item = changed.case.items.iter().find(|item| item.number == next.item);
        // Of a repeated answer others may have come after.
        let item = item.filter(|item| item.claim == next.claim && item.running.is_some());
        if let Some(item) = item.cloned() {
            return AfterAnswer::Next(Box::new((item, changed)), sent);
        }
    }
    let item = changed.case.items.iter().find(|item| item.number == work.item);
    let is_own = item.is_some_and(|item| item.lease().message == delivery.offer.item);
    let delay = match (end, item) {
        // It is to come again by this message.
        (End::Released(_), Some(Item { wait: None, .. })) if is_own => Some(Duration::ZERO),
        (End::Failed(_) | End::Released(_), Some(Item { wait: Some(wait), done: None, .. }))
            if is_own && wait.timer.is_none() =>
        {
            Some((wait.until - shared.petrel.now()).to_std().unwrap_or_default())
        }
        _ => None,
    };
    let settled = match delay {
        Some(delay) => storage.give_work_back(delivery, delay).await,
        None => storage.acknowledge(delivery).await,
    };
    if let Err(error) = settled {
        // Whoever gets it finds what the log says.
        tracing::debug!(case = %work.case, item = work.item, %error, "a message comes again");
        return AfterAnswer::Settled;
    }
    // What it waits for may have come while its message was still there.
    if item.is_some_and(|item| item.wait.as_ref().is_some_and(|wait| wait.answers))
        && let Err(error) = shared.petrel.put_back(work).await
    {
        tracing::debug!(case = %work.case, item = work.item, %error, "not looked at again");
    }
    AfterAnswer::Settled
}
