//! Event logs: the events of a workflow's cases, for tools of process mining.
//!
//! A writer takes records with those of one case together, in the order of their sequences,
//! writes each one at once into its sink, and keeps nothing of them. All three formats say the
//! same events:
//!
//! - An event is a firing. Its activity is the transition's label: its name, or its id where it
//!   has none. Records of a case's lifecycle (created, paused, resumed, cancelled, edited) are
//!   events only with [`Options::lifecycle`], named like that: no net has a transition for them.
//! - A firing of a silent transition is no activity and no event, as the readers of these formats
//!   expect; with [`Options::lifecycle`] it is one like others.
//! - Its time is the server's, in microseconds, which is as fine as the readers of these formats
//!   go. It strictly increases in a case: one that would not be later than that of the event before
//!   is a microsecond later than that.

mod csv;
mod event;
mod ocel2;
mod xes;

#[cfg(test)]
mod tests;

use std::io;

pub use self::{csv::Csv, event::Labels, ocel2::Ocel2, xes::Xes};

use chrono::{DateTime, Utc};

use crate::models::{LogSequence, Record, Stored};

/// The facts of a workflow for its log, and the choices of the writer.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The log's name: that of the workflow.
    pub name: String,
    /// The names of the transitions.
    pub labels: Labels,
    /// True if records that are no firings, and firings of silent transitions, are events too.
    pub lifecycle: bool,
    /// True if cells of CSV are written as they are, and not guarded against spreadsheets.
    pub raw_cells: bool,
}

/// The amounts that were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Written {
    /// Cases, those without an event included.
    pub cases: u64,
    /// Events.
    pub events: u64,
    /// Firings that are no events, since their transitions are silent.
    pub silent: u64,
}

/// A record of an event log, with the server's facts that such a log shows.
#[derive(Debug, Clone, Copy)]
pub struct LogRecord<'a> {
    /// The record.
    pub record: &'a Record,
    /// Its sequence in the log.
    pub sequence: LogSequence,
    /// Time at which the server stored it.
    pub timestamp: DateTime<Utc>,
    /// Number of the firing in its cascade; 0 for the change itself.
    pub step: usize,
}

impl<'a> From<&'a Stored<Record>> for LogRecord<'a> {
    fn from(stored: &'a Stored<Record>) -> Self {
        let Stored { value, sequence, timestamp, .. } = stored;
        Self { record: value, sequence: *sequence, timestamp: *timestamp, step: 0 }
    }
}

/// Writes a log, record by record. The sink has the whole document after
/// [`finish`](Self::finish).
pub trait EventLog {
    /// Takes the next record: of the same case as the one before, or of a case that has not
    /// been there yet. The firings of its cascade are events of their own.
    fn record(&mut self, stored: LogRecord<'_>) -> io::Result<()> {
        if stored.record.cascade.is_empty() {
            return self.part(stored);
        }
        for (step, part) in stored.record.parts().enumerate() {
            self.part(LogRecord { record: &part, step, ..stored })?;
        }
        Ok(())
    }

    /// Takes a record without a cascade, or a [part](Record::parts) of one.
    fn part(&mut self, stored: LogRecord<'_>) -> io::Result<()>;

    /// Writes the rest, and answers with the amounts.
    fn finish(self: Box<Self>) -> io::Result<Written>;
}
