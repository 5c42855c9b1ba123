//! Operations of handlers.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An operation of a handler. It is the same one in another run of the same code.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Operation {
    /// Path of its scope: the numbers and names of the scopes around it, `2:load/1:fetch`; empty in none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// Its number in the scope, counted from 1, in the order in which the code made it.
    #[serde(rename = "op")]
    pub number: u64,
    /// Its kind.
    #[serde(rename = "what")]
    pub kind: OperationKind,
    /// Its name, as the code gives it.
    pub name: String,
    /// The SHA-256 of the JSON of its input, as hexadecimal digits, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_hash: Option<String>,
}

/// Kind of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OperationKind {
    /// A function with an effect outside.
    Step,
    /// A look at the clock.
    Now,
    /// A wait for a time.
    Sleep,
    /// A wait for an answer from outside.
    Awakeable,
    /// The first of some branches.
    Select,
    /// Branches of which not all are awaited.
    Map,
    /// A newer version's kind.
    #[serde(other)]
    Unknown,
}

impl OperationKind {
    /// Its stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Now => "now",
            Self::Sleep => "sleep",
            Self::Awakeable => "awakeable",
            Self::Select => "select",
            Self::Map => "map",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scope, number, kind, name, .. } = self;
        write!(f, "{} {name:?} ", kind.as_str())?;
        match scope.is_empty() {
            true => write!(f, "at {number}"),
            false => write!(f, "at {scope}/{number}"),
        }
    }
}
