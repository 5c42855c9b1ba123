//! OCEL 2.0 in JSON: events and the objects that they are about.
//!
//! "OCEL (Object-Centric Event Log) 2.0 Specification", 2023, <https://www.ocel-standard.org/>.

use std::{
    collections::BTreeSet,
    io::{self, Read, Seek, Write},
};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    EventLog, LogRecord, Options, Written,
    event::{Course, ROLES, roles, text, time},
};
use crate::models::Record;

/// The types of objects; `case` is also the qualifier of those that belong to a case.
const TOKEN: &str = "token";
const CASE: &str = "case";

/// Writes OCEL 2.0 as JSON.
///
/// - Each case is an object of type `case` with the id `case:<case>`; each token is one of type
///   `token` with its own id, related to its case with the qualifier `case`.
/// - Each event is related to its case with the qualifier `case`, and to tokens with `consumed`,
///   `read`, `removed` (by a reset arc or a cancellation) and `produced`. A token that moved is
///   both consumed and produced.
/// - An event's type is the transition's label, and its id `event:<log sequence>`. Its attributes
///   are called as in [`Xes`](super::Xes), without `petrel:`, and `resource` is the caller's name;
///   the tokens' places are in the attributes `consumed`, `read`, `removed` and `produced`.
///
/// All values are JSON strings, as the standard's schema has it; the declarations of the types
/// mark those that are numbers. The document begins with its events; its objects are kept in the
/// `spool` until they are all written.
#[derive(Debug)]
pub struct Ocel2<W, S> {
    sink: W,
    spool: S,
    course: Course,
    /// The labels seen so far: of the transitions, so there are few.
    types: BTreeSet<String>,
    /// The highest number of a token in the case whose records are coming. Tokens are numbered
    /// as they come to be, so this tells the new ones.
    tokens: u64,
}

impl<W: Write, S: Read + Write + Seek> Ocel2<W, S> {
    /// Begins a document. The spool is empty and the writer's own.
    pub fn new(mut sink: W, spool: S, options: Options) -> io::Result<Self> {
        sink.write_all(b"{\"events\":[")?;
        let (course, types) = (Course::new(options), BTreeSet::new());
        Ok(Self { sink, spool, course, types, tokens: 0 })
    }

    fn object(&mut self, kind: &str, id: &str, relationships: Value) -> io::Result<()> {
        let object =
            json!({"id": id, "type": kind, "attributes": [], "relationships": relationships});
        item(&mut self.spool, &object)
    }

    fn event(&mut self, stored: LogRecord<'_>, at: DateTime<Utc>) -> io::Result<()> {
        let record = stored.record;
        let label = self.course.options.labels.label(record);
        let roles = roles(record);
        let mut attributes = vec![
            attribute("sequence", stored.sequence.to_string()),
            attribute("definition", record.definition.to_string()),
            attribute("kind", record.kind_name()),
            attribute("status", record.status.as_str()),
            attribute("firing", record.firing.as_str()),
        ];
        let transition = record.transition.as_ref();
        attributes.extend(transition.map(|id| attribute("transition", id.as_str())));
        attributes.extend(record.by.as_ref().map(|who| attribute("resource", who.as_str())));
        let mut relationships = vec![relationship(&case_object(record), CASE)];
        for (role, tokens) in ROLES.iter().zip(&roles) {
            if !tokens.is_empty() {
                attributes.push(attribute(role, text(tokens)));
            }
            relationships
                .extend(tokens.iter().map(|(token, _)| relationship(token.as_str(), role)));
        }
        let event = json!({
            "id": match stored.step {
                0 => format!("event:{}", stored.sequence),
                step => format!("event:{}.{step}", stored.sequence),
            },
            "type": label,
            "time": time(at),
            "attributes": attributes,
            "relationships": relationships,
        });
        if !self.types.contains(label) {
            self.types.insert(label.to_owned());
        }
        comma(&mut self.sink, self.course.written.events == 1)?;
        item(&mut self.sink, &event)
    }
}

impl<W: Write, S: Read + Write + Seek> EventLog for Ocel2<W, S> {
    fn part(&mut self, stored: LogRecord<'_>) -> io::Result<()> {
        let step = self.course.step(stored);
        let case = case_object(stored.record);
        if step.begins {
            comma(&mut self.spool, self.course.written.cases == 1)?;
            self.object(CASE, &case, json!([]))?;
            self.tokens = 0;
        }
        for (token, _) in stored.record.gave() {
            let number = token.number().ok_or_else(|| {
                let message = format!("token {token} has no number; the record is damaged");
                io::Error::new(io::ErrorKind::InvalidData, message)
            })?;
            if number > self.tokens {
                self.tokens = number;
                comma(&mut self.spool, false)?;
                self.object(TOKEN, token.as_str(), json!([relationship(&case, CASE)]))?;
            }
        }
        match step.event {
            Some((_, time)) => self.event(stored, time),
            None => Ok(()),
        }
    }

    fn finish(mut self: Box<Self>) -> io::Result<Written> {
        self.sink.write_all(b"\n],\n\"objects\":[")?;
        self.spool.rewind()?;
        io::copy(&mut self.spool, &mut self.sink)?;
        let declared = ["kind", "status", "firing", "transition", "resource"].iter().chain(&ROLES);
        let string = declared.map(|name| json!({"name": name, "type": "string"}));
        let numbers =
            ["sequence", "definition"].map(|name| json!({"name": name, "type": "integer"}));
        let attributes: Vec<_> = numbers.into_iter().chain(string).collect();
        let types = self.types.iter().map(|label| json!({"name": label, "attributes": attributes}));
        self.sink.write_all(b"\n],\n\"eventTypes\":")?;
        serde_json::to_writer(&mut self.sink, &types.collect::<Vec<_>>())?;
        self.sink.write_all(b",\n\"objectTypes\":")?;
        let types = [CASE, TOKEN].map(|name| json!({"name": name, "attributes": []}));
        serde_json::to_writer(&mut self.sink, &types)?;
        self.sink.write_all(b"}\n")?;
        self.sink.flush()?;
        Ok(self.course.written)
    }
}

/// The id of a case's object: no other id has a colon, so it is no token's.
fn case_object(record: &Record) -> String {
    format!("case:{}", record.case)
}

fn relationship(object: &str, qualifier: &str) -> Value {
    json!({"objectId": object, "qualifier": qualifier})
}

fn attribute(name: &str, value: impl Into<String>) -> Value {
    json!({"name": name, "value": value.into()})
}

/// Writes the beginning of an item of a list: a comma if it is not the first.
fn comma(to: &mut impl Write, is_first: bool) -> io::Result<()> {
    to.write_all(if is_first { b"\n" } else { b",\n" })
}

fn item(to: &mut impl Write, item: &impl Serialize) -> io::Result<()> {
    Ok(serde_json::to_writer(to, item)?)
}
