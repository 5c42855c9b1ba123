//! The history of a token: the transitions that it has passed.

use std::{
    fmt,
    ops::Deref,
    sync::{Arc, OnceLock},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error};
use serde_json::{Map, Value, value::RawValue};

use super::{LogSequence, PlaceId, TransitionId};

/// One transition that a token passed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TransitionEvent {
    /// Place that it came from: of several consumed tokens, the place of the first arc.
    pub from: PlaceId,
    /// Place that it went to.
    pub to: PlaceId,
    /// Transition that fired.
    pub transition: TransitionId,
    /// Time by the clock of the process that decided it.
    pub time: DateTime<Utc>,
    /// Name of the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triggered_by: Option<String>,
    /// The log sequence of the firing; absent in that firing's own record.
    #[serde(default, deserialize_with = "LogSequence::or_none")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<LogSequence>,
    /// Notes of the caller about it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

/// An entry of a token's history. A clone shares the event and its JSON text: a token is
/// stored with up to 64 of them each time that it moves, and all but one are the same as before.
#[derive(Clone)]
pub struct Passed(Arc<Shared>);

struct Shared {
    event: TransitionEvent,
    json: OnceLock<Box<RawValue>>,
}

impl Passed {
    /// Notes the sequence of the record that says it, known once that record is stored.
    pub fn set_sequence(&mut self, sequence: Option<LogSequence>) {
        *self = TransitionEvent { sequence, ..self.0.event.clone() }.into();
    }

    /// Most bytes that it takes as JSON, with any sequence.
    pub fn length(&self) -> usize {
        // `"sequence":,` and the digits, which it may not have yet.
        const SEQUENCE: usize = 12;
        let has = match self.0.event.sequence {
            None => 0,
            Some(sequence) => SEQUENCE + sequence.get().ilog10() as usize + 1,
        };
        // What can't be written as JSON fails where it is written.
        let length = self.json().map_or(0, |json| json.get().len());
        length.saturating_sub(has) + SEQUENCE + 20
    }

    fn json(&self) -> serde_json::Result<&RawValue> {
        if let Some(json) = self.0.json.get() {
            return Ok(json);
        }
        let json = serde_json::value::to_raw_value(&self.0.event)?;
        Ok(self.0.json.get_or_init(|| json))
    }
}

impl From<TransitionEvent> for Passed {
    fn from(event: TransitionEvent) -> Self {
        Self(Arc::new(Shared { event, json: OnceLock::new() }))
    }
}

impl Deref for Passed {
    type Target = TransitionEvent;

    fn deref(&self) -> &TransitionEvent {
        &self.0.event
    }
}

impl fmt::Debug for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.event.fmt(f)
    }
}

impl PartialEq for Passed {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.event == other.0.event
    }
}

impl Serialize for Passed {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.json().map_err(S::Error::custom)?.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Passed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        TransitionEvent::deserialize(from).map(Self::from)
    }
}
