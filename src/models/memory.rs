//! Approximate memory that things take, in bytes: measured as a process's growth.

use std::io;

use serde_json::{Map, Value};

use super::{Case, Record, Stored, Token, WorkflowDefinition};

/// Bytes of a thing beside those of the texts in it.
const CASE: usize = 500;
const RECORD: usize = 1_000;
const TOKEN: usize = 1_200;
const EVENT: usize = 500;
const VALUE: usize = 100;

/// Bytes of an element's place in a list, which has up to twice as many places as elements, and of what
/// the allocator adds to each of its pieces.
const ELEMENT: usize = 64;
const HEAP: usize = 24;

/// Bytes of a node of an object's fields, which has room for so many of them, and has about half as
/// many where there are several nodes.
const NODE: usize = 640;
const FIELDS: usize = 11;

/// Bytes of a definition and its compiled net for each of its JSON.
const DEFINITION: usize = 20;

impl Case {
    /// Approximate memory that it takes, in bytes.
    pub(crate) fn memory(&self) -> usize {
        let timers = self.timers.iter().map(|timer| 1 + timer.tokens.len()).sum::<usize>();
        CASE + EVENT * timers + self.tokens.values().map(|token| token.memory()).sum::<usize>()
    }
}

impl Stored<Record> {
    /// Approximate memory that it takes, in bytes.
    pub(crate) fn memory(&self) -> usize {
        let Record { produced, marking, consumed, read, removed, given, cascade, .. } = &self.value;
        let tokens = produced.iter().map(Token::memory).sum::<usize>();
        let steps = cascade.iter().map(|step| 1 + step.tokens().count()).sum::<usize>();
        let named = marking.0.len() + consumed.len() + read.len() + removed.len() + given.len();
        let timers = self.value.timers.iter().chain(&self.value.elapsed);
        let steps = steps + timers.map(|timer| 1 + timer.tokens.len()).sum::<usize>();
        let raised = self.value.raised.iter().map(|raised| EVENT + raised.explanation.len());
        let (named, tokens) = (named + steps, tokens + raised.sum::<usize>());
        let put_aside = self.value.put_aside.len() + self.value.aside.len();
        RECORD + tokens + EVENT * (named + put_aside) + object_memory(&self.value.metadata)
    }
}

impl WorkflowDefinition {
    /// Approximate memory that it takes with its compiled net, in bytes.
    pub(crate) fn memory(&self) -> usize {
        DEFINITION * self.json_bytes() + object_memory(&self.metadata)
    }

    /// Bytes that it has as JSON.
    pub(crate) fn json_bytes(&self) -> usize {
        let mut json = Count(0);
        // Nothing of it refuses to be written, as it was read or checked.
        let _ = serde_json::to_writer(&mut json, self);
        json.0
    }
}

/// A count of bytes that are written.
struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Token {
    /// Approximate memory that it takes, in bytes.
    pub(crate) fn memory(&self) -> usize {
        let notes = self.history.iter().map(|event| object_memory(&event.metadata)).sum::<usize>();
        let events = EVENT * self.history.len() + notes;
        TOKEN + events + self.carried_memory()
    }
}

impl Token {
    /// Approximate memory that its data and metadata take, in bytes.
    pub(crate) fn carried_memory(&self) -> usize {
        of_value(&self.data) + object_memory(&self.metadata)
    }
}

fn of_value(value: &Value) -> usize {
    VALUE + beside(value)
}

/// Bytes of a value beside its own place, which an object's node or a list has for it.
fn beside(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => HEAP + text.len(),
        Value::Array(values) => {
            HEAP + values.iter().map(|value| ELEMENT + beside(value)).sum::<usize>()
        }
        Value::Object(fields) => object_memory(fields),
    }
}

/// Approximate memory that an object takes, in bytes.
pub(crate) fn object_memory(fields: &Map<String, Value>) -> usize {
    let nodes = match fields.len() {
        0 => 0,
        count if count <= FIELDS => 1,
        count => count.div_ceil(FIELDS / 2),
    };
    let fields = fields.iter().map(|(name, value)| HEAP + name.len() + beside(value));
    NODE * nodes + fields.sum::<usize>()
}
