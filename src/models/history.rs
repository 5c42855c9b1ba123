//! The history of a token: the transitions that it has passed.

use std::{
    fmt,
    ops::Deref,
    sync::{Arc, OnceLock},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error};
use serde_json::{Map, Value, value::RawValue};

use super::{LogSequence, PlaceId, TransitionId, object_length, text_length};

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
    #[serde(with = "super::json::time")]
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
pub struct Passed {
    shared: Arc<Shared>,
    /// Beside the pointer: the lengths of a whole history are looked at with each move.
    length: usize,
}

struct Shared {
    event: TransitionEvent,
    json: OnceLock<Box<RawValue>>,
}

impl Passed {
    /// Notes the sequence of the record that says it, known once that record is stored.
    pub fn set_sequence(&mut self, sequence: Option<LogSequence>) {
        *self = TransitionEvent { sequence, ..self.shared.event.clone() }.into();
    }

    /// Most bytes that it takes as JSON, with any sequence.
    pub fn length(&self) -> usize {
        self.length
    }

    fn json(&self) -> serde_json::Result<&RawValue> {
        if let Some(json) = self.shared.json.get() {
            return Ok(json);
        }
        let json = serde_json::value::to_raw_value(&self.shared.event)?;
        Ok(self.shared.json.get_or_init(|| json))
    }
}

impl From<TransitionEvent> for Passed {
    fn from(event: TransitionEvent) -> Self {
        /// The names of the fields that are always there, and the longest time and sequence.
        const ALWAYS: usize = r#"{"from":,"to":,"transition":,"time":"+262142-12-31T23:59:59.999999999Z","sequence":18446744073709551615}"#.len();
        const BY: usize = r#","triggered_by":"#.len();
        const METADATA: usize = r#","metadata":"#.len();
        let ids = [event.from.as_str(), event.to.as_str(), event.transition.as_str()];
        // An id has nothing to escape.
        let mut length = ALWAYS + ids.iter().map(|id| id.len() + 2).sum::<usize>();
        length += event.triggered_by.as_ref().map_or(0, |by| BY + text_length(by));
        if !event.metadata.is_empty() {
            length += METADATA + object_length(&event.metadata);
        }
        Self { shared: Arc::new(Shared { event, json: OnceLock::new() }), length }
    }
}

impl Deref for Passed {
    type Target = TransitionEvent;

    fn deref(&self) -> &TransitionEvent {
        &self.shared.event
    }
}

impl fmt::Debug for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.event.fmt(f)
    }
}

impl PartialEq for Passed {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared) || self.shared.event == other.shared.event
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_entry_is_never_longer_than_its_length_with_any_sequence() {
        let longest = "x".repeat(PlaceId::MAX_LENGTH);
        for time in
            ["2026-01-01T00:00:00Z", "2026-01-01T23:59:59.123456789Z", "-9999-12-31T00:00:00.5Z"]
        {
            for by in [None, Some(""), Some("\u{0}\"\\\n\u{7f}ä")] {
                for metadata in
                    [json!({}), json!({"\t": [1.5e300, -1, {"a": "\u{1f}"}, null, true]})]
                {
                    let event = TransitionEvent {
                        from: PlaceId::new(&longest).unwrap(),
                        to: PlaceId::new("b").unwrap(),
                        transition: TransitionId::new("t").unwrap(),
                        time: time.parse().unwrap(),
                        triggered_by: by.map(str::to_owned),
                        sequence: None,
                        metadata: serde_json::from_value(metadata).unwrap(),
                    };
                    let mut passed = Passed::from(event);
                    passed.set_sequence(LogSequence::new(u64::MAX));
                    let json = serde_json::to_string(&passed).unwrap();
                    assert!(json.len() <= passed.length(), "{} {json}", passed.length());
                    assert!(passed.length() <= json.len() + 32, "{} {json}", passed.length());
                }
            }
        }
    }
}
