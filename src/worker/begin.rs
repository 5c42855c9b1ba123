//! The start of an item that was delivered: its claim, or the reason that it is not this worker's.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::{builder::Shared, queue::Live};
use crate::{
    engine::Refused,
    models::{Case, CaseStatus, Item},
    petrel::{Error, Result, StartWork, Started, WorkId, is_of},
    storage::Delivery,
};

/// Wait before what could not be looked at is delivered again: since the store was away, or since the log
/// does not have what it should.
const SOON: Duration = Duration::from_secs(1);
const LATER: Duration = Duration::from_secs(30);

/// Time between two tries of a start that was not answered.
const AGAIN: Duration = Duration::from_millis(200);

/// The way on with a delivery.
#[derive(Debug)]
pub(super) enum Beginning {
    /// It has begun; the time is that of the first request.
    Begun(Box<Started>, Instant),
    /// Nobody needs the message any more.
    Over,
    /// The message is not needed now: somebody else brings the item back. The case is looked at afterwards,
    /// since he may have seen the message still there.
    PutAway,
    /// It is to come again after this time.
    Again(Duration),
}

/// Begins the item of a delivery, or the one that is held by its message.
pub(super) async fn begin(
    shared: &Shared,
    delivery: &Delivery,
    (live, ack_wait): (&Live, Duration),
) -> Beginning {
    let offer = &delivery.offer;
    let message =
        WorkId { workflow: offer.workflow.clone(), case: offer.case.clone(), item: offer.item };
    let (asked, start) = (Instant::now(), rand::random());
    let (mut work, mut over) = (message.clone(), None);
    loop {
        let worker = shared.name.clone();
        let request = StartWork { work: work.clone(), over, worker, lease: ack_wait, start };
        let error = match shared.petrel.begin_work(request).await {
            Ok(started) => return Beginning::Begun(Box::new(started), asked),
            Err(error) => error,
        };
        if error.retryable() {
            // It may have begun, and nobody else would begin it before the lease is over.
            if asked.elapsed() + AGAIN < ack_wait && !shared.grace_over.is_cancelled() {
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            return Beginning::Again(SOON);
        }
        match after(shared, delivery, (&message, &work), error, live).await {
            Ok(Next::Is(beginning)) => return beginning,
            Ok(Next::Begin(item, claim)) => {
                // A loop that finds the same again has lost a race, and looks anew.
                work.item = item;
                over = claim;
            }
            Err(error) => {
                tracing::warn!(
                    workflow = %offer.workflow, case = %offer.case, item = offer.item, %error,
                    "a work item can't be looked at; it comes again"
                );
                return Beginning::Again(if error.retryable() { SOON } else { LATER });
            }
        }
    }
}

/// The most by which a worker's clock may be behind the store's without a round for each item that comes due.
const CLOCKS_DIFFER: Duration = Duration::from_secs(60);

enum Next {
    Is(Beginning),
    /// Begin this item, after the claim whose worker is not heard of any more.
    Begin(u64, Option<u64>),
}

/// The way on after a refused start.
async fn after(
    shared: &Shared,
    delivery: &Delivery,
    (message, work): (&WorkId, &WorkId),
    error: Error,
    live: &Live,
) -> Result<Next> {
    match &error {
        Error::Work(_) | Error::WrongStatus { .. } | Error::NotFound(_) => {}
        _ => return Err(error),
    }
    let case = match shared.petrel.case(&message.workflow, &message.case).await {
        Ok(case) => case,
        Err(Error::NotFound(_)) => return gone(shared, delivery).await,
        Err(error) => return Err(error),
    };
    // A log that ends before the record that offered it has gone back.
    if case.sequence < delivery.offer.follows {
        return gone(shared, delivery).await;
    }
    if case.status == CaseStatus::Paused {
        return Ok(Next::Is(Beginning::PutAway));
    }
    let Some(item) = meant(&case, message.item) else { return Ok(Next::Is(Beginning::Over)) };
    if item.number != work.item {
        return Ok(Next::Begin(item.number, None));
    }
    let refused = match error {
        Error::Work(refused) => refused.reason,
        // The case has changed since.
        _ => return Ok(Next::Begin(item.number, None)),
    };
    Ok(match refused {
        Refused::Taken { claim } => match left_of_lease(shared, &case, item, live).await? {
            Some(left) => Next::Is(Beginning::Again(left)),
            None => Next::Begin(item.number, Some(claim)),
        },
        Refused::NotYet { until, .. } => {
            let rest = (until - shared.petrel.now()).to_std().unwrap_or_default();
            let is_armed = item.wait.as_ref().is_some_and(|wait| wait.timer.is_some());
            // One that has come due by the store's clock, and not by this one, would come due again at once.
            match is_armed && rest > CLOCKS_DIFFER {
                true => Next::Is(Beginning::PutAway),
                false => Next::Is(Beginning::Again(rest)),
            }
        }
        Refused::Stopped(_) => Next::Is(Beginning::PutAway),
        Refused::Done => Next::Is(Beginning::Over),
        _ => Next::Begin(item.number, None),
    })
}

/// The open item that a message means: the one that is held by it, or its own.
pub(super) fn meant(case: &Case, message: u64) -> Option<&Item> {
    let held = case.items.iter().find(|item| item.lease().message == message);
    held.or_else(|| case.items.iter().find(|item| item.number == message))
}

/// Where the log does not have a case as far as a message says: it has gone back, or somebody took it away.
async fn gone(shared: &Shared, delivery: &Delivery) -> Result<Next> {
    let last = shared.petrel.storage().last_sequence().await?;
    let follows = delivery.offer.follows;
    Ok(Next::Is(match last < Some(follows) {
        true => {
            let (workflow, case) = (&delivery.offer.workflow, &delivery.offer.case);
            tracing::warn!(
                %workflow, %case, sequence = %follows,
                "a work item follows from a record that the log has not got; it comes again"
            );
            Beginning::Again(LATER)
        }
        false => Beginning::Over,
    }))
}

/// The rest of the lease of an item that runs; `None` if it is over.
async fn left_of_lease(
    shared: &Shared,
    case: &Case,
    item: &Item,
    live: &Live,
) -> Result<Option<Duration>> {
    let Some(running) = &item.running else { return Ok(None) };
    let now = live.store_time().unwrap_or_else(|| shared.petrel.now());
    let lease = item.lease();
    let rest = |since: DateTime<Utc>, life: Duration| {
        let life = TimeDelta::from_std(life).unwrap_or(TimeDelta::MAX);
        (life - (now - since)).to_std().ok().filter(|rest| !rest.is_zero())
    };
    let begun = running.begun.unwrap_or(case.sequence);
    let begun = shared.petrel.record(&case.workflow, &case.id, begun).await?.timestamp;
    let life = running.lease.and_then(|millis| u64::try_from(millis).ok());
    let young = rest(begun, life.map_or_else(|| live.ack_wait(), Duration::from_millis));
    let storage = shared.petrel.storage();
    let last = storage.last_beat(&case.workflow, &case.id, lease.message).await?;
    let beat = last.filter(|last| is_of(&last.beat, &lease));
    // The store says that it is alive; the clocks only say for how long at least.
    let alive = beat.map(|last| rest(last.at, last.life).unwrap_or(SOON));
    Ok(young.max(alive))
}
