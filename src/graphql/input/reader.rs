//! Reading a definition to its end, whatever is wrong in it.

use std::str::FromStr;

use async_graphql::{ID, Json};
use serde_json::{Map, Value};

use super::object_or_reason;
use crate::models::{IdError, Problems};

/// A reader that goes to the end of a definition, and notes the parts that can't be read.
#[derive(Default)]
pub(super) struct Reader {
    /// The parts that can't be read, each with its path.
    pub(super) problems: Problems,
}

impl Reader {
    /// `value` as an id. One that is refused is noted, and something like it stands for it, so
    /// that the rest of the definition can be looked at.
    pub(super) fn id<T: FromStr<Err = IdError>>(&mut self, path: &str, value: &ID) -> T {
        value.parse().unwrap_or_else(|error: IdError| {
            self.problems.add(path, error.to_string());
            let fits = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
            let like: String = value.chars().take(32).map(fits).collect();
            let like = if like.is_empty() { "_" } else { &like };
            // 1 to 32 of the characters that every id may have.
            like.parse().expect("an id")
        })
    }

    /// `value` as an object; an empty one stands for what is none, which is noted.
    pub(super) fn object(&mut self, path: &str, value: Option<Json<Value>>) -> Map<String, Value> {
        object_or_reason(value).unwrap_or_else(|reason| {
            self.problems.add(path, reason);
            Map::new()
        })
    }
}
