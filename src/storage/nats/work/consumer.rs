//! The consumers of queues, one of each class, which all takers share. The settings of a queue are in the
//! log, and a consumer follows them.

use std::{
    collections::HashMap,
    sync::{MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    models::{QueueId, WorkClass},
    storage::{
        QueueSettings, Result,
        nats::{
            refusal::{ApiError, NOT_FOUND},
            store::Inner,
        },
    },
};

/// Longest time for which a consumer is taken to have the settings of its queue without a look.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Most looks for settings that hold still.
const LOOKS: usize = 5;

/// Number of takers that may wait at once: those of one more are refused. It is no room, only a limit.
const MOST_WAITING: u32 = 100_000;

/// End of a pause that ends when somebody ends it.
const FOR_EVER: &str = "2200-01-01T00:00:00Z";

/// A request to make a consumer that can't be carried out, as for one with settings that can't be changed,
/// and one to make a new one where there is another (`server/errors.json` of nats-server).
const NOT_MADE: u64 = 10_012;
const THERE: u64 = 10_148;

/// No such consumer.
pub(super) const NO_CONSUMER: u64 = 10_014;

/// Name of the consumer of a class of a queue.
pub(super) fn name(queue: &QueueId, class: WorkClass) -> String {
    format!("petrel-{queue}-{}", class.as_str())
}

/// The queue and the class of a consumer's name.
pub(super) fn part_of(name: &str) -> Option<(QueueId, WorkClass)> {
    let (queue, class) = name.strip_prefix("petrel-")?.rsplit_once('-')?;
    Some((QueueId::new(queue).ok()?, WorkClass::named(class)?))
}

impl Inner {
    fn consumers(&self) -> MutexGuard<'_, HashMap<(QueueId, WorkClass), Instant>> {
        // Nothing panics while it holds the lock.
        self.work.consumers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True if the consumer was there a short time ago, with the settings of its queue.
    pub(super) fn is_class_kept(&self, part: &(QueueId, WorkClass)) -> bool {
        self.consumers().get(part).is_some_and(|at| at.elapsed() < LOOK_EVERY)
    }

    /// Makes the consumer where it is missing, and the stream if that is, with the settings of its queue;
    /// gives it these where it has others. One that is made again gives out all that was not acknowledged.
    pub(super) async fn keep_class(&self, queue: &QueueId, class: WorkClass) -> Result<()> {
        let (stream, name) = (&self.work.stream.name, name(queue, class));
        let part = (queue.clone(), class);
        if self.consumers().remove(&part).is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            tracing::warn!(
                stream,
                consumer = name,
                "the consumer does not answer, and is made again if it is missing"
            );
        }
        let (mut settings, _) = self.queue_settings(queue).await?;
        for _ in 0..LOOKS {
            let mut made = self.make(queue, class, &settings, "create").await?;
            if made.as_ref().is_err_and(|error| error.err_code == NOT_FOUND)
                && self.keep_other(&self.work.stream).await?
            {
                made = self.make(queue, class, &settings, "create").await?;
            }
            if made.as_ref().is_err_and(|error| error.err_code == THERE) {
                made =
                    self.link.call(&format!("CONSUMER.INFO.{stream}.{name}"), &Value::Null).await?;
            }
            let info = made.map_err(|error| error.of_making(stream, &about(&name)))?;
            if self.differing(queue, class, &settings, &info).is_empty() {
                break;
            }
            // Somebody may have set others, and given them to the consumer, since they were read.
            let (now, _) = self.queue_settings(queue).await?;
            if now == settings {
                self.apply(queue, class, &settings).await?;
                break;
            }
            settings = now;
        }
        self.consumers().insert(part, Instant::now());
        Ok(())
    }

    /// Gives a consumer these settings, and makes it where it is missing.
    pub(super) async fn apply(
        &self,
        queue: &QueueId,
        class: WorkClass,
        settings: &QueueSettings,
    ) -> Result<()> {
        let (stream, name) = (&self.work.stream.name, name(queue, class));
        let mut made = self.make(queue, class, settings, "").await?;
        if let Err(error) = &made
            && error.err_code == NOT_FOUND
            && self.keep_other(&self.work.stream).await?
        {
            made = self.make(queue, class, settings, "").await?;
        }
        if let Err(error) = &made
            && error.err_code == NOT_MADE
        {
            let reason = &error.description;
            tracing::warn!(stream, consumer = name, reason, "the consumer is made anew");
            let deleting = format!("CONSUMER.DELETE.{stream}.{name}");
            // If it is still there, making it says so.
            let _ = self.link.call(&deleting, &Value::Null).await?;
            made = self.make(queue, class, settings, "").await?;
        }
        let info = made.map_err(|error| error.of_making(stream, &about(&name)))?;
        if is_paused(&info) != settings.paused {
            // An update neither pauses nor resumes.
            let until = match settings.paused {
                true => json!({ "pause_until": FOR_EVER }),
                false => json!({}),
            };
            let done = self.link.call(&format!("CONSUMER.PAUSE.{stream}.{name}"), &until).await?;
            done.map_err(|error| error.of_making(stream, &about(&name)))?;
        }
        Ok(())
    }

    async fn make(
        &self,
        queue: &QueueId,
        class: WorkClass,
        settings: &QueueSettings,
        action: &str,
    ) -> Result<std::result::Result<Value, ApiError>> {
        let (stream, name) = (&self.work.stream.name, name(queue, class));
        let mut config = self.wanted(queue, class, settings);
        config["name"] = json!(name);
        config["durable_name"] = json!(name);
        config["max_waiting"] = json!(MOST_WAITING);
        config["description"] = json!("Storm Petrel: open work of a queue, for all its workers.");
        if settings.paused {
            config["pause_until"] = json!(FOR_EVER);
        }
        let filter = self.subjects.offers_in(queue, class);
        let body = json!({ "stream_name": stream, "config": config, "action": action });
        self.link.call(&format!("CONSUMER.CREATE.{stream}.{name}.{filter}"), &body).await
    }

    /// The settings that a consumer needs.
    fn wanted(&self, queue: &QueueId, class: WorkClass, settings: &QueueSettings) -> Value {
        json!({
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "ack_wait": u64::try_from(settings.ack_wait.as_nanos()).unwrap_or(u64::MAX),
            // Each comes until it is acknowledged.
            "max_deliver": -1,
            "max_ack_pending": settings.most_in_flight.of(class),
            "replay_policy": "instant",
            "filter_subject": self.subjects.offers_in(queue, class),
        })
    }

    /// The settings in which a consumer, as the server's API describes it, is not as its queue says.
    pub(super) fn differing(
        &self,
        queue: &QueueId,
        class: WorkClass,
        settings: &QueueSettings,
        info: &Value,
    ) -> Vec<String> {
        let wanted = self.wanted(queue, class, settings);
        let fields = wanted.as_object().into_iter().flatten();
        let differ = fields.filter(|(field, value)| info["config"][field.as_str()] != **value);
        let differ = differ.map(|(field, _)| field.clone());
        let paused = (is_paused(info) != settings.paused).then(|| "paused".to_owned());
        differ.chain(paused).collect()
    }
}

fn is_paused(info: &Value) -> bool {
    info["paused"] == true
}

fn about(name: &str) -> String {
    format!("the consumer {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumers_name_leads_back_to_queue_and_class() {
        for queue in ["q", "a-high", "petrel-low-low", "_"] {
            let queue = QueueId::new(queue).unwrap();
            for class in WorkClass::ALL {
                assert_eq!(part_of(&name(&queue, class)), Some((queue.clone(), class)));
            }
        }
        for other in ["petrel-q", "q-high", "petrel--high", "petrel-timers", "petrel-q-highest"] {
            assert_eq!(part_of(other), None, "{other}");
        }
    }
}
