//! The consumer of what has come due, which all processes share.

use std::{sync::atomic::Ordering, time::Duration};

use serde_json::{Value, json};

use crate::storage::{
    Result,
    nats::{Subjects, refusal::NOT_FOUND, store::Inner},
};

/// Name of the consumer.
pub(in crate::storage::nats) const CONSUMER: &str = "petrel-timers";

/// Longest time that a taker may keep what has come due.
pub(super) const LEASE: Duration = Duration::from_secs(30);

/// A request to make a consumer that can't be carried out, as for one with settings that can't be changed
/// (`server/errors.json` of nats-server).
const NOT_MADE: u64 = 10_012;

impl Inner {
    /// Makes the consumer where it is missing, and the stream if that is; gives it the settings that are
    /// needed. One that is made again gives out all that was not settled.
    pub(super) async fn keep_consumer(&self) -> Result<()> {
        if self.timers.has_consumer.swap(false, Ordering::Relaxed) {
            tracing::warn!(
                stream = self.timers.stream.name,
                consumer = CONSUMER,
                "the consumer of timers does not answer, and is made again if it is missing"
            );
        }
        let (making, settings) = (self.making(), self.asked_for());
        let mut made = self.link.call(&making, &settings).await?;
        if made.as_ref().is_err_and(|error| error.err_code == NOT_FOUND)
            && self.keep_other(&self.timers.stream).await?
        {
            made = self.link.call(&making, &settings).await?;
        }
        if let Err(error) = &made
            && error.err_code == NOT_MADE
        {
            let (stream, reason) = (&self.timers.stream.name, &error.description);
            tracing::warn!(stream, consumer = CONSUMER, reason, "the consumer is made anew");
            let deleting = format!("CONSUMER.DELETE.{stream}.{CONSUMER}");
            // If it is still there, making it says so.
            let _ = self.link.call(&deleting, &Value::Null).await?;
            made = self.link.call(&making, &settings).await?;
        }
        made.map_err(|error| {
            error.of_making(&self.timers.stream.name, "can't be read by a consumer")
        })?;
        self.timers.has_consumer.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn making(&self) -> String {
        let (stream, filter) = (&self.timers.stream.name, self.subjects.all_due());
        format!("CONSUMER.CREATE.{stream}.{CONSUMER}.{filter}")
    }

    fn asked_for(&self) -> Value {
        let mut config = settings(&self.subjects);
        config["name"] = json!(CONSUMER);
        config["durable_name"] = json!(CONSUMER);
        config["description"] =
            json!("Storm Petrel: timers that have come due, for all who serve.");
        json!({ "stream_name": self.timers.stream.name, "config": config })
    }
}

/// The settings that the consumer needs.
fn settings(subjects: &Subjects) -> Value {
    json!({
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "ack_wait": u64::try_from(LEASE.as_nanos()).unwrap_or(u64::MAX),
        // Each comes until it is settled.
        "max_deliver": -1,
        // What is given back for a while holds no place.
        "max_ack_pending": -1,
        "replay_policy": "instant",
        "filter_subject": subjects.all_due(),
    })
}

/// The fault of a consumer, as the server's API describes it, for people.
pub(in crate::storage::nats) fn fault(info: &Value, subjects: &Subjects) -> Option<String> {
    if info["paused"] == true {
        return Some(format!(
            "the consumer {CONSUMER} is paused, so no timer fires; `nats consumer resume` lets it go on"
        ));
    }
    let wanted = settings(subjects);
    let differ = |(field, value): (&String, &Value)| {
        (info["config"][field] != *value).then(|| field.clone())
    };
    let changed: Vec<_> = wanted.as_object()?.iter().filter_map(differ).collect();
    (!changed.is_empty()).then(|| {
        format!(
            "the consumer {CONSUMER} has other settings than this system needs: {}; a restart of \
             `petrel serve` puts them right",
            changed.join(", ")
        )
    })
}
