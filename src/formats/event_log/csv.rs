//! CSV (RFC 4180): one line an event.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use csv::{Terminator, Writer, WriterBuilder};

use super::{
    EventLog, LogRecord, Options, Written,
    event::{Course, roles, text, time},
};

/// The columns, in order.
const COLUMNS: [&str; 15] = [
    "case",
    "event",
    "transition",
    "label",
    "time",
    "who",
    "firing",
    "sequence",
    "definition",
    "kind",
    "status",
    "consumed",
    "read",
    "removed",
    "produced",
];

/// Writes CSV in UTF-8, with a line of column names, CRLF after each line, and quotes where they
/// are needed.
///
/// `event` is the event's number in its case, from 1; `label` is the activity; `transition` is
/// the transition's id, empty where the event is no firing; `sequence` and `definition` are log
/// sequences; `kind` and `status` are the record's kind and the case's status after it; the last
/// four are tokens, each as `token@place`, with spaces between.
///
/// A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula, which may send
/// the contents of others to anybody, and a caller's name or a case's id may begin like that. Such
/// a cell is written with a `'` before it, the spreadsheets' own sign of text, unless
/// [`Options::raw_cells`] asks for the cells as they are.
#[derive(Debug)]
pub struct Csv<W: Write> {
    sink: Writer<W>,
    course: Course,
}

impl<W: Write> Csv<W> {
    /// Begins a document.
    pub fn new(sink: W, options: Options) -> io::Result<Self> {
        let mut sink = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(sink);
        sink.write_record(COLUMNS)?;
        Ok(Self { sink, course: Course::new(options) })
    }
}

/// A cell that no spreadsheet takes for a formula.
fn guarded(cell: &str) -> Cow<'_, str> {
    // The last four are wide forms, which some spreadsheets take for the narrow ones.
    let formula = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    match cell.starts_with(formula) {
        true => Cow::Owned(format!("'{cell}")),
        false => Cow::Borrowed(cell),
    }
}

impl<W: Write> EventLog for Csv<W> {
    fn part(&mut self, stored: LogRecord<'_>) -> io::Result<()> {
        let Some((number, at)) = self.course.step(stored).event else { return Ok(()) };
        let record = stored.record;
        let transition = record.transition.as_ref().map_or("", |transition| transition.as_str());
        let [consumed, read, removed, produced] = roles(record).map(|tokens| text(&tokens));
        let row: [&str; COLUMNS.len()] = [
            record.case.as_str(),
            &number.to_string(),
            transition,
            self.course.options.labels.label(record),
            &time(at),
            record.by.as_deref().unwrap_or_default(),
            record.firing.as_str(),
            &stored.sequence.to_string(),
            &record.definition.to_string(),
            record.kind_name(),
            record.status.as_str(),
            &consumed,
            &read,
            &removed,
            &produced,
        ];
        if self.course.options.raw_cells {
            return Ok(self.sink.write_record(row)?);
        }
        Ok(self
            .sink
            .write_record(row.map(|cell| guarded(cell)).iter().map(|cell| cell.as_bytes()))?)
    }

    fn finish(mut self: Box<Self>) -> io::Result<Written> {
        self.sink.flush()?;
        Ok(self.course.written)
    }
}
