//! The way of a delivered item, and of those that are handed over after it.

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::FutureExt;
use serde_json::Value;
use tokio::task::JoinError;

use super::{
    Attempt, Done, StopReason, WorkError,
    answer::{AfterAnswer, End, answer},
    begin::{Beginning, begin, meant},
    builder::Shared,
    handler::panicked,
    lease::Lease,
    queue::{Live, give_back},
};
use crate::{
    engine::wrong_code,
    models::{Failure, Item, KindId},
    petrel::{Error, ItemActivity, Started, WorkId},
    storage::{Delivery, Offer, RunningAttempt},
};

/// End of a handler's task: its answer, or its panic.
type Ended = Result<Result<Result<Done, WorkError>, Box<dyn Any + Send>>, JoinError>;

/// Time that a handler has to end once it is told to stop, unless its claim is lost.
const STOPS_WITHIN: Duration = Duration::from_secs(5);

/// The shortest and the longest wait before an item of a kind that this worker does not know is given out
/// again. They differ from time to time, so that it does not come to the same worker each time.
const NOT_OURS: [u64; 2] = [50, 1_000];

/// Wait before an item is given out again whose case could not be looked at.
const LATER: Duration = Duration::from_secs(5);

/// Most items of a chain, and its longest time, so that others get their turn.
const LONGEST_CHAIN: usize = 100;
const CHAIN_ENDS_AFTER: Duration = Duration::from_secs(10);

/// Carries out a delivered item.
pub(super) async fn carry(shared: &Arc<Shared>, delivery: Delivery, live: &Live) {
    let storage = shared.petrel.storage();
    let offer = &delivery.offer;
    if delivery.deliveries > 1 {
        shared.petrel.metrics().work().redelivered();
    }
    // Nothing begins after a shutdown, and another worker may have it at once.
    if shared.shutdown.is_cancelled() {
        return give_back(shared, &delivery).await;
    }
    let ack_wait = live.ack_wait();
    if !shared.handlers.contains_key(&offer.kind) && !is_ours(shared, &delivery).await {
        return;
    }
    let settled = match begin(shared, &delivery, (live, ack_wait)).await {
        Beginning::Begun(started, asked) => {
            let lease = Lease::new(started.item.lease(), ack_wait, asked);
            return chain(shared, (&delivery, live), lease, *started).await;
        }
        Beginning::Over => storage.acknowledge(&delivery).await,
        Beginning::Again(delay) => storage.give_work_back(&delivery, delay).await,
        Beginning::PutAway => {
            let settled = storage.acknowledge(&delivery).await;
            let (workflow, case) = (offer.workflow.clone(), offer.case.clone());
            let message = WorkId { workflow, case, item: offer.item };
            if let Err(error) = shared.petrel.put_back(&message).await {
                tracing::debug!(case = %offer.case, item = offer.item, %error, "not looked at again");
            }
            settled
        }
    };
    if let Err(error) = settled {
        tracing::debug!(case = %offer.case, item = offer.item, %error, "a message comes again");
    }
}

/// Returns true if a message whose own item is of another worker's kind holds one of ours. Otherwise the
/// message is settled: whoever serves the kind gets it.
async fn is_ours(shared: &Shared, delivery: &Delivery) -> bool {
    let (storage, offer) = (shared.petrel.storage(), &delivery.offer);
    let delay = Duration::from_millis(rand::random_range(NOT_OURS[0]..NOT_OURS[1]));
    let held = async {
        let case = shared.petrel.case(&offer.workflow, &offer.case).await?;
        let item = meant(&case, offer.item).filter(|item| item.number != offer.item);
        let Some(item) = item else { return Ok(None) };
        let activity = shared.petrel.activity(&case, &item.transition).await?;
        Ok::<_, Error>(Some((item.number, activity)))
    };
    let settled = match held.await {
        Ok(Some((_, activity))) if shared.handlers.contains_key(&activity.kind) => return true,
        // It gets a message of its own, and this one is not needed any more.
        Ok(Some((item, ItemActivity { kind, .. }))) => {
            let own = Offer { item, kind, ..offer.clone() };
            match storage.offer(&[own]).await {
                Ok(()) => storage.acknowledge(delivery).await,
                Err(_) => storage.give_work_back(delivery, delay).await,
            }
        }
        Ok(None) => storage.give_work_back(delivery, delay).await,
        Err(error) => {
            if !error.retryable() {
                let (workflow, case, item) = (&offer.workflow, &offer.case, offer.item);
                tracing::warn!(%workflow, %case, item, %error, "a work item can't be looked at");
            }
            storage.give_work_back(delivery, LATER).await
        }
    };
    tracing::debug!(case = %offer.case, item = offer.item, kind = %offer.kind, ?settled, "not ours");
    false
}

/// Carries out an item that has begun, and those that are handed over.
async fn chain(
    shared: &Arc<Shared>,
    (delivery, live): (&Delivery, &Live),
    mut lease: Lease,
    started: Started,
) {
    let (begun, mut count) = (Instant::now(), 0);
    let Started { mut item, input, mut changed } = started;
    let mut input = Ok(input);
    loop {
        count += 1;
        let work = WorkId {
            workflow: delivery.offer.workflow.clone(),
            case: delivery.offer.case.clone(),
            item: item.number,
        };
        let end = match input {
            Ok(input) => {
                execute(shared, delivery, &mut lease, (&work, &item), &changed, input).await
            }
            Err(Error::InvalidArgument { reason: message, .. }) => {
                let code = Failure::INPUT_FAILED.to_owned();
                Some(End::Failed(Failure { code, message, is_final: true, ..Failure::default() }))
            }
            // Nobody knows it now.
            Err(_) => Some(End::Released(None)),
        };
        let Some(end) = end else { return };
        let goes_on =
            count < LONGEST_CHAIN && begun.elapsed() < CHAIN_ENDS_AFTER && !live.is_paused();
        let after = answer(shared, delivery, (&lease, goes_on), (&work, item.claim), end).await;
        let AfterAnswer::Next(next, sent) = after else { return };
        (item, changed) = *next;
        lease.renew(sent);
        input = shared.petrel.input_of(&changed.case, &item).await;
    }
}

/// Runs the handler of an attempt. Returns its end; `None` if its answer counts no more.
async fn execute(
    shared: &Arc<Shared>,
    delivery: &Delivery,
    lease: &mut Lease,
    (work, item): (&WorkId, &Item),
    changed: &crate::petrel::Changed,
    input: Value,
) -> Option<End> {
    let activity = match shared.petrel.activity(&changed.case, &item.transition).await {
        Ok(activity) => activity,
        Err(error) => {
            tracing::warn!(case = %work.case, item = work.item, %error, "given back");
            return Some(End::Released(None));
        }
    };
    let Some(handler) = shared.handlers.get(&activity.kind).cloned() else {
        tracing::debug!(case = %work.case, item = work.item, kind = %activity.kind, "not ours");
        return Some(End::Released(None));
    };
    let (kind, transition) = (activity.kind.clone(), item.transition.clone());
    let attempt = Attempt::new(
        (shared.petrel.clone(), shared.name.clone(), shared.shutdown.clone()),
        work.clone(),
        (kind, transition),
        item,
    );
    let since = Instant::now();
    tracing::info!(
        worker = shared.name, workflow = %work.workflow, case = %work.case, item = work.item,
        attempt = item.attempt, claim = item.claim, kind = %activity.kind, "an attempt begins"
    );
    let entry = shared.book.enter(seen(shared, delivery, (work, item), &activity.kind));
    let running = AssertUnwindSafe(handler.run(attempt.clone(), input)).catch_unwind();
    // A handler that never pauses must not hold up the signs of life.
    let mut running = tokio::spawn(running);
    let timeout = async {
        match activity.timeout {
            Some(limit) => tokio::time::sleep_until((since + limit).into()).await,
            None => std::future::pending().await,
        }
    };
    let claim = item.claim;
    let stop = tokio::select! {
        // Of one that stood still both are true, and somebody else may have begun meanwhile.
        biased;
        reason = lease.keep(shared, delivery, (work, claim), (&attempt, entry.told())) => Ok(reason),
        ended = &mut running => Err(ended),
        () = timeout => Ok(StopReason::TimedOut),
        () = shared.grace_over.cancelled() => Ok(StopReason::Draining),
    };
    let (reason, ended) = match stop {
        Err(ended) => (None, Some(ended)),
        Ok(reason) => {
            attempt.stop(reason);
            let patience = match reason {
                StopReason::Lost => Duration::ZERO,
                // Nobody else may begin before it has ended.
                _ => STOPS_WITHIN.min(lease.until().saturating_duration_since(Instant::now())),
            };
            let ended = tokio::time::timeout(patience, &mut running).await.ok();
            if ended.is_none() {
                running.abort();
                // At its next pause; until then it may still act.
                let _ = running.await;
            }
            (Some(reason), ended)
        }
    };
    let end = match (end_of(reason, ended, &attempt, activity.timeout), attempt.given_back()) {
        (Some(End::Failed(_) | End::Released(_)), Some(put_off)) => Some(End::Released(put_off)),
        (end, _) => end,
    };
    entry.ended(end.as_ref());
    let outcome = match &end {
        Some(End::Done(done)) => done.outcome.as_ref().map_or("done", |outcome| outcome.as_str()),
        Some(End::Failed(failure)) => &failure.code,
        Some(End::Released(None)) => "released",
        Some(End::Released(Some(_))) => "waits",
        None => "stopped",
    };
    tracing::info!(
        worker = shared.name, workflow = %work.workflow, case = %work.case, item = work.item,
        attempt = item.attempt, claim, kind = %activity.kind, outcome,
        stopped = reason.map(StopReason::as_str), milliseconds = since.elapsed().as_millis(),
        "an attempt has ended"
    );
    end
}

/// An attempt as others see it.
fn seen(
    shared: &Shared,
    delivery: &Delivery,
    (work, item): (&WorkId, &Item),
    kind: &KindId,
) -> RunningAttempt {
    RunningAttempt {
        workflow: work.workflow.clone(),
        case: work.case.clone(),
        item: work.item,
        claim: item.claim,
        attempt: item.attempt,
        kind: kind.clone(),
        queue: delivery.offer.queue.clone(),
        since: shared.petrel.now(),
    }
}

/// The end of a handler as its answer says it; `None` if that counts no more.
fn end_of(
    reason: Option<StopReason>,
    ended: Option<Ended>,
    attempt: &Attempt,
    limit: Option<Duration>,
) -> Option<End> {
    let end = ended.map(|ended| match ended {
        Ok(Ok(Ok(done))) => End::Done(done),
        Ok(Ok(Err(error))) => End::Failed(with_a_code(error.into_failure())),
        Ok(Err(panic)) => End::Failed(panicked(&*panic)),
        Err(error) => {
            let failure = WorkError::new(WorkError::CODE, error.to_string());
            End::Failed(failure.into_failure())
        }
    });
    match (reason, end) {
        (None, end) => end,
        (Some(StopReason::Cancelled | StopReason::Withdrawn | StopReason::Lost), _) => None,
        (Some(_), Some(End::Done(done))) => Some(End::Done(done)),
        // Where nobody knows if that is stored, it is a lost attempt.
        (Some(StopReason::Draining), end) if attempt.has_failed() => end,
        // A failure is that it was told to stop.
        (Some(StopReason::Draining), _) => Some(End::Released(None)),
        (Some(_), _) => Some(End::Failed(timed_out(limit))),
    }
}

/// A failure whose code can be stored.
fn with_a_code(failure: Failure) -> Failure {
    match wrong_code(&failure.code) {
        None => failure,
        Some(_) => {
            let message = format!("{}: {}", failure.code, failure.message);
            Failure { code: WorkError::CODE.to_owned(), message, ..failure }
        }
    }
}

fn timed_out(limit: Option<Duration>) -> Failure {
    let message = match limit {
        Some(limit) => format!("the attempt took longer than {limit:?}"),
        None => "the item was open for too long".to_owned(),
    };
    Failure { code: Failure::TIMEOUT.to_owned(), message, ..Failure::default() }
}
