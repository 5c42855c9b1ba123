//! The work of the sample that runs by itself, as `petrel dev` carries it out.

use std::{hash::Hasher, time::Duration};

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{failure::Failure, worker::failure};
use crate::{
    models::{KindId, OutcomeId, QueueId},
    petrel::Petrel,
    worker::{Attempt, Done, QueueOptions, WorkError, Worker},
};

/// The queue that the sample names.
const QUEUE: &str = "orders";

/// A worker of the sample's activities. They take a moment, and charging fails now and then.
pub(super) fn worker(petrel: Petrel) -> Result<Worker, Failure> {
    let id = |id: &str| KindId::new(id).map_err(|error| Failure::internal(error.to_string()));
    let queue = QueueId::new(QUEUE).map_err(|error| Failure::internal(error.to_string()))?;
    Worker::builder(petrel)
        .named("sample")
        .grace(Duration::from_secs(2))
        .queue(QueueOptions::new(queue))
        .handle_outcomes(id("reserve-stock")?, reserve)
        .handle_outcomes(id("charge-card")?, charge)
        .handle(id("ship-goods")?, ship)
        .handle(id("refund-payment")?, refund)
        .build()
        .map_err(failure)
}

async fn reserve(_: Attempt, order: Value) -> Result<Done, WorkError> {
    sleep(Duration::from_millis(50)).await;
    let is_there = order["quantity"].as_i64().unwrap_or(1) <= 100;
    Done::by(OutcomeId::new(if is_there { "reserved" } else { "sold_out" })?, json!({}))
}

async fn charge(attempt: Attempt, order: Value) -> Result<Done, WorkError> {
    sleep(Duration::from_millis(80)).await;
    if order["card"] == "expired" {
        return Err(WorkError::new("CARD_DECLINED", "the card has expired"));
    }
    // The same for the same attempt, and another one for the next.
    let chance = chance(&attempt);
    if chance < 3 {
        return Err(WorkError::new("BANK_AWAY", "the bank does not answer"));
    }
    let receipt = format!("{}-{}", attempt.work().case, attempt.claim());
    Done::by(OutcomeId::new("charged")?, json!({ "receipt": receipt }))
}

async fn ship(_: Attempt, _: Value) -> Result<Value, WorkError> {
    sleep(Duration::from_millis(50)).await;
    Ok(json!({ "shipped": true }))
}

async fn refund(_: Attempt, order: Value) -> Result<Value, WorkError> {
    sleep(Duration::from_millis(50)).await;
    Ok(json!({ "refunded": order["receipt"] }))
}

/// A number from 0 to 9 that differs from attempt to attempt.
fn chance(attempt: &Attempt) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(attempt.work().case.as_str().as_bytes());
    hasher.write_u64(attempt.claim());
    hasher.finish() % 10
}
