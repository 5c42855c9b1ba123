//! Registers whose writes are put off for a moment.

use std::time::Instant;

use crate::{
    models::{LogSequence, Record},
    petrel::views::unseen::{Key, touched},
};

/// Registers of a case that are to be written, in the order in which their records touched them.
#[derive(Debug)]
pub(in crate::petrel) struct Later {
    pub(in crate::petrel) keys: Vec<Key>,
    /// Records that are right when these are written, each with the number of connections that there had been
    /// when its timers and work were.
    pub(super) records: Vec<(LogSequence, u64)>,
    pub(super) since: Instant,
    /// Time at which the last record was known to be the case's last one.
    pub(super) read: Instant,
    is_scheduled: bool,
}

impl Later {
    pub(super) fn new(read: Instant) -> Self {
        let (keys, records) = Default::default();
        Self { keys, records, since: Instant::now(), read, is_scheduled: false }
    }

    /// Adds the registers of a record, before which the case was as it is known at `read`.
    pub(super) fn note(&mut self, record: &Record, read: Instant) {
        for key in touched(record) {
            if let Some(before) = self.keys.iter().position(|known| *known == key) {
                self.keys.remove(before);
            }
            self.keys.push(key);
        }
        self.read = read;
    }

    /// Returns true the first time.
    pub(super) fn schedule(&mut self) -> bool {
        !std::mem::replace(&mut self.is_scheduled, true)
    }

    /// Notes that the other views of a record are written, and that it is right when these are.
    pub(super) fn confirms(&mut self, record: LogSequence, reconnects: u64) {
        self.records.push((record, reconnects));
    }

    /// Number of registers.
    pub(in crate::petrel) fn len(&self) -> usize {
        self.keys.len()
    }
}
