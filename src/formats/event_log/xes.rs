//! XES, IEEE 1849-2016: a trace a case, an event a firing.

use std::io::{self, Write};

use chrono::{DateTime, Utc};

use super::super::xml_text::escaped;
use super::{
    EventLog, LogRecord, Options, Written,
    event::{Course, ROLES, roles, text, time},
};

/// The standard's extensions that are used, by name, prefix and address.
const EXTENSIONS: [(&str, &str); 4] = [
    ("Concept", "concept"),
    ("Time", "time"),
    ("Organizational", "org"),
    ("Lifecycle", "lifecycle"),
];

/// Writes XES.
///
/// Beside the standard's `concept:name`, `time:timestamp`, `lifecycle:transition` (always
/// `complete`) and `org:resource` (the name of the caller), an event has
///
/// - `petrel:sequence`: the log sequence of the record, which is the case's revision after it;
/// - `petrel:definition`: the log sequence of the definition that the case runs;
/// - `petrel:kind` and `petrel:status`: of the record and of the case after it, as stored;
/// - `petrel:transition`: the transition's id;
/// - `petrel:firing`: the id of the attempt;
/// - `petrel:consumed`, `petrel:read`, `petrel:removed`, `petrel:produced`: tokens, each as
///   `token@place`, with spaces between; absent where there are none.
///
/// A character that XML 1.0 can't have in any form is written as U+FFFD.
#[derive(Debug)]
pub struct Xes<W> {
    sink: W,
    course: Course,
}

impl<W: Write> Xes<W> {
    /// Begins a document.
    pub fn new(mut sink: W, options: Options) -> io::Result<Self> {
        sink.write_all(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")?;
        sink.write_all(
            b"<log xes.version=\"1849.2016\" xes.features=\"\" \
              xmlns=\"http://www.xes-standard.org/\">\n",
        )?;
        for (name, prefix) in EXTENSIONS {
            writeln!(
                sink,
                "  <extension name=\"{name}\" prefix=\"{prefix}\" \
                 uri=\"http://www.xes-standard.org/{prefix}.xesext\"/>"
            )?;
        }
        sink.write_all(
            b"  <global scope=\"trace\">\n\
              \x20   <string key=\"concept:name\" value=\"\"/>\n\
              \x20 </global>\n\
              \x20 <global scope=\"event\">\n\
              \x20   <string key=\"concept:name\" value=\"\"/>\n\
              \x20   <date key=\"time:timestamp\" value=\"1970-01-01T00:00:00.000000Z\"/>\n\
              \x20   <string key=\"lifecycle:transition\" value=\"complete\"/>\n\
              \x20 </global>\n\
              \x20 <classifier name=\"Activity\" keys=\"concept:name\"/>\n",
        )?;
        let mut xes = Self { sink, course: Course::new(Options::default()) };
        xes.attribute("  ", "string", "concept:name", &options.name)?;
        xes.attribute("  ", "string", "lifecycle:model", "standard")?;
        xes.course.options = options;
        Ok(xes)
    }

    fn attribute(&mut self, indent: &str, kind: &str, key: &str, value: &str) -> io::Result<()> {
        writeln!(self.sink, "{indent}<{kind} key=\"{key}\" value=\"{}\"/>", escaped(value))
    }

    fn event(&mut self, stored: LogRecord<'_>, at: DateTime<Utc>) -> io::Result<()> {
        let record = stored.record;
        self.sink.write_all(b"    <event>\n")?;
        let indent = "      ";
        let label = self.course.options.labels.label(record).to_owned();
        self.attribute(indent, "string", "concept:name", &label)?;
        self.attribute(indent, "date", "time:timestamp", &time(at))?;
        self.attribute(indent, "string", "lifecycle:transition", "complete")?;
        if let Some(who) = &record.by {
            self.attribute(indent, "string", "org:resource", who)?;
        }
        self.attribute(indent, "int", "petrel:sequence", &stored.sequence.to_string())?;
        self.attribute(indent, "int", "petrel:definition", &record.definition.to_string())?;
        self.attribute(indent, "string", "petrel:kind", record.kind_name())?;
        self.attribute(indent, "string", "petrel:status", record.status.as_str())?;
        if let Some(transition) = &record.transition {
            self.attribute(indent, "string", "petrel:transition", transition.as_str())?;
        }
        self.attribute(indent, "string", "petrel:firing", record.firing.as_str())?;
        for (role, tokens) in ROLES.iter().zip(roles(record)) {
            if !tokens.is_empty() {
                self.attribute(indent, "string", &format!("petrel:{role}"), &text(&tokens))?;
            }
        }
        self.sink.write_all(b"    </event>\n")
    }
}

impl<W: Write> EventLog for Xes<W> {
    fn part(&mut self, stored: LogRecord<'_>) -> io::Result<()> {
        let was_in_case = self.course.is_in_case();
        let step = self.course.step(stored);
        if step.begins {
            if was_in_case {
                self.sink.write_all(b"  </trace>\n")?;
            }
            self.sink.write_all(b"  <trace>\n")?;
            self.attribute("    ", "string", "concept:name", stored.record.case.as_str())?;
        }
        match step.event {
            Some((_, time)) => self.event(stored, time),
            None => Ok(()),
        }
    }

    fn finish(mut self: Box<Self>) -> io::Result<Written> {
        if self.course.is_in_case() {
            self.sink.write_all(b"  </trace>\n")?;
        }
        self.sink.write_all(b"</log>\n")?;
        self.sink.flush()?;
        Ok(self.course.written)
    }
}
