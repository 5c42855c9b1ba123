//! The activities of the sample, as `petrel dev` carries them out (`src/cli/sample_work.rs`), noted in a ledger.

use std::{hash::Hasher, sync::Arc, time::Duration};

use serde_json::{Value, json};
use stormpetrel::{
    models::{CaseId, IdError, KindId, OutcomeId, QueueId},
    petrel::Petrel,
    worker::{Attempt, Done, QueueOptions, WorkError, Worker},
};
use tokio::time::sleep;

use crate::ledger::Ledger;

/// Code with which charging fails now and then.
pub(crate) const BANK_AWAY: &str = "BANK_AWAY";

/// Tenths of the attempts at charging that fail.
pub(crate) const FAILING_TENTHS: u64 = 3;

/// The queue of the sample.
pub(crate) fn queue() -> Result<QueueId, IdError> {
    QueueId::new("orders")
}

/// A worker that notes what it does.
pub(crate) fn worker(petrel: Petrel, name: &str, ledger: Ledger) -> anyhow::Result<Worker> {
    let ledger = Arc::new(ledger);
    let mut builder = Worker::builder(petrel).named(name).queue(QueueOptions::new(queue()?));
    for name in ["reserve-stock", "charge-card", "ship-goods", "refund-payment"] {
        let ledger = Arc::clone(&ledger);
        builder = builder.handle_outcomes(KindId::new(name)?, move |attempt, order| {
            noted(Arc::clone(&ledger), attempt, order)
        });
    }
    Ok(builder.build()?)
}

async fn noted(ledger: Arc<Ledger>, attempt: Attempt, order: Value) -> Result<Done, WorkError> {
    ledger.begins(&attempt);
    let done = match attempt.kind().as_str() {
        "reserve-stock" => reserve(&order).await,
        "charge-card" => charge(&attempt, &order).await,
        "ship-goods" => ship().await,
        _ => refund(&order).await,
    };
    match &done {
        Ok(Done { outcome: Some(outcome), .. }) => ledger.ends(&attempt, outcome.as_str()),
        Ok(_) => ledger.ends(&attempt, "done"),
        // Its text begins with the code.
        Err(error) => ledger.ends(&attempt, error.to_string().split(':').next().unwrap_or("-")),
    }
    done
}

async fn reserve(order: &Value) -> Result<Done, WorkError> {
    sleep(Duration::from_millis(50)).await;
    let is_there = order["quantity"].as_i64().unwrap_or(1) <= 100;
    Done::by(OutcomeId::new(if is_there { "reserved" } else { "sold_out" })?, json!({}))
}

async fn charge(attempt: &Attempt, order: &Value) -> Result<Done, WorkError> {
    sleep(Duration::from_millis(80)).await;
    if order["card"] == "expired" {
        return Err(WorkError::new("CARD_DECLINED", "the card has expired"));
    }
    let (case, claim) = (&attempt.work().case, attempt.claim());
    if fails(case, claim) {
        return Err(WorkError::new(BANK_AWAY, "the bank does not answer"));
    }
    Done::by(OutcomeId::new("charged")?, json!({ "receipt": format!("{case}-{claim}") }))
}

async fn ship() -> Result<Done, WorkError> {
    sleep(Duration::from_millis(50)).await;
    Ok(Done { outcome: None, result: json!({ "shipped": true }) })
}

async fn refund(order: &Value) -> Result<Done, WorkError> {
    sleep(Duration::from_millis(50)).await;
    Ok(Done { outcome: None, result: json!({ "refunded": order["receipt"] }) })
}

/// Returns true if charging fails: the same for the same claim, and another time for the next.
pub(crate) fn fails(case: &CaseId, claim: u64) -> bool {
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(case.as_str().as_bytes());
    hasher.write_u64(claim);
    hasher.finish() % 10 < FAILING_TENTHS
}
