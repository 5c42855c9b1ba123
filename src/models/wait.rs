//! Times to wait, as a text or as a number of seconds.

use std::fmt;

use serde::{Deserializer, de};

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    from.deserialize_any(Wait { is_span: false }).map(Some)
}

/// A time that no expression gives.
pub(super) fn deserialize_span<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<String>, D::Error> {
    from.deserialize_any(Wait { is_span: true }).map(Some)
}

#[cfg(feature = "schema")]
pub(super) fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "anyOf": [
        { "type": "string", "examples": ["30s", "2h 30m", "duration(token.data.wait)"] },
        { "type": "integer", "minimum": 0 }
    ] })
}

#[cfg(feature = "schema")]
pub(super) fn span_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "anyOf": [
        { "type": "string", "examples": ["30s", "2h 30m"] },
        { "type": "integer", "minimum": 0 }
    ] })
}

struct Wait {
    is_span: bool,
}

impl de::Visitor<'_> for Wait {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.is_span {
            true => "a time such as 30s",
            false => "a time such as 30s, or an expression in CEL as a text,",
        })
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<String, E> {
        Ok(format!("{seconds}s"))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}
