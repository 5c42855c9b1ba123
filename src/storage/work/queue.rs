//! Queues: their settings, and their state.

use std::{ops::RangeInclusive, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    models::{LogSequence, QueueId, WorkClass},
    storage::{Result, StorageError},
};

/// Settings of a queue. They are kept in whole milliseconds; what is finer is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct QueueSettings {
    /// Longest time that a taker may keep an offer without a word, before another one gets it. Default
    /// 30 s; 1 s to 1 h.
    pub ack_wait: Duration,
    /// Most offers that all takers may have at once. Default 1,000 of each class; 1 to 1,000,000.
    pub most_in_flight: MostInFlight,
    /// True if nothing is given out. Default false.
    pub paused: bool,
}

/// The limits of what is in flight, of each class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MostInFlight {
    /// Of the class `high`.
    pub high: u32,
    /// Of the class `normal`.
    pub normal: u32,
    /// Of the class `low`.
    pub low: u32,
}

impl MostInFlight {
    /// The same for each class.
    pub const fn each(most: u32) -> Self {
        Self { high: most, normal: most, low: most }
    }

    /// The limit of a class.
    pub fn of(&self, class: WorkClass) -> u32 {
        match class {
            WorkClass::High => self.high,
            WorkClass::Normal => self.normal,
            WorkClass::Low => self.low,
        }
    }
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            ack_wait: Duration::from_secs(30),
            most_in_flight: MostInFlight::each(1_000),
            paused: false,
        }
    }
}

impl QueueSettings {
    /// Allowed times to keep an offer. A beat lives as long, and no server counts less than a second.
    pub const ACK_WAIT: RangeInclusive<Duration> =
        Duration::from_secs(1)..=Duration::from_secs(3_600);

    /// Allowed limits of a class. Each offer in flight takes memory of the server's.
    pub const MOST_IN_FLIGHT: RangeInclusive<u32> = 1..=1_000_000;

    /// Checks every field.
    ///
    /// # Errors
    ///
    /// [`StorageError::Config`], which names the field and its limits.
    pub fn validate(&self) -> Result<()> {
        let wrong = |field: &str, reason: String| {
            Err(StorageError::Config { field: field.to_owned(), reason })
        };
        if !Self::ACK_WAIT.contains(&self.ack_wait)
            || !self.ack_wait.subsec_nanos().is_multiple_of(1_000_000)
        {
            let reason = format!("is {:?}; use 1 s to 1 h, in whole milliseconds", self.ack_wait);
            return wrong("ack_wait", reason);
        }
        for class in WorkClass::ALL {
            let most = self.most_in_flight.of(class);
            if !Self::MOST_IN_FLIGHT.contains(&most) {
                let reason = format!("is {most}; use 1 to 1,000,000");
                return wrong(&format!("most_in_flight.{}", class.as_str()), reason);
            }
        }
        Ok(())
    }
}

/// State of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueState {
    /// The queue.
    pub queue: QueueId,
    /// The settings in force: the defaults where nobody has set others.
    pub settings: QueueSettings,
    /// Version of the settings; `None` where nobody has set any.
    pub version: Option<LogSequence>,
    /// The classes, in the order of [`WorkClass::ALL`].
    pub classes: [ClassState; 3],
}

impl QueueState {
    /// Time at which the first of those that nobody has got yet was offered.
    pub fn oldest(&self) -> Option<DateTime<Utc>> {
        self.classes.iter().filter_map(|class| class.oldest).min()
    }

    /// State of a class.
    pub fn class(&self, class: WorkClass) -> &ClassState {
        match class {
            WorkClass::High => &self.classes[0],
            WorkClass::Normal => &self.classes[1],
            WorkClass::Low => &self.classes[2],
        }
    }
}

/// State of a class of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClassState {
    /// Number of offers that nobody has got yet.
    pub waiting: u64,
    /// Number of offers that were given out and have not ended, those given back for later among them.
    pub in_flight: u64,
    /// Number of those in flight that were given out more than once.
    pub redelivered: u64,
    /// Number of takers that wait.
    pub open_pulls: u64,
    /// Time by the store's clock at which the first of those that nobody has got yet was offered. Absent
    /// where there is none, or where it has gone meanwhile.
    pub oldest: Option<DateTime<Utc>>,
    /// Time by the store's clock at which this was so, where the store says it.
    pub at: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_their_limits_are_refused_with_the_field() {
        let fine = QueueSettings::default();
        assert!(fine.validate().is_ok());
        for (millis, is_fine) in
            [(0, false), (999, false), (1_000, true), (3_600_000, true), (3_600_001, false)]
        {
            let settings = QueueSettings { ack_wait: Duration::from_millis(millis), ..fine };
            assert_eq!(settings.validate().is_ok(), is_fine, "{millis}");
        }
        let odd = QueueSettings { ack_wait: Duration::from_nanos(1_000_000_001), ..fine };
        let told = odd.validate().unwrap_err().to_string();
        assert!(told.contains("ack_wait") && told.contains("1 s to 1 h"), "{told}");
        for most in [0, 1_000_001] {
            let most_in_flight = MostInFlight { low: most, ..fine.most_in_flight };
            let told = QueueSettings { most_in_flight, ..fine }.validate().unwrap_err().to_string();
            assert!(told.contains("most_in_flight.low") && told.contains("1,000,000"), "{told}");
        }
    }
}
