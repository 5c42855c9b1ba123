//! The limits of callers' data, checked before anything is decided.

use serde_json::{Map, Value};

use crate::petrel::{Change, Error, Result, read::Reader};
use crate::{
    engine::{Excess, Limits},
    models::{MAX_NESTING, Problems, WorkflowDefinition, nesting, object_nesting},
};

impl Reader {
    /// The limits of the messages stored here.
    pub(in crate::petrel) fn limits(&self) -> Limits {
        Limits { message: self.storage.max_message() }
    }
}

impl From<Excess> for Error {
    fn from(excess: Excess) -> Self {
        Self::Excess(excess)
    }
}

/// Refuses a value that nests deeper than a stored one may.
pub(in crate::petrel) fn must_be_shallow(argument: &str, value: &Value) -> Result<()> {
    refuse(argument, nesting(value, MAX_NESTING))
}

/// Refuses a map that nests deeper than a stored one may.
pub(in crate::petrel) fn must_be_shallow_map(
    argument: &str,
    fields: &Map<String, Value>,
) -> Result<()> {
    refuse(argument, object_nesting(fields, MAX_NESTING))
}

fn refuse(argument: &str, levels: usize) -> Result<()> {
    if levels <= MAX_NESTING {
        return Ok(());
    }
    let reason = format!("has more than {MAX_NESTING} levels of objects and lists in one another");
    Err(Error::argument(argument, reason))
}

impl Change {
    /// Refuses a change whose own metadata can't be stored.
    pub(in crate::petrel) fn checked(self) -> Result<Self> {
        must_be_shallow_map("metadata", &self.metadata)?;
        Ok(self)
    }
}

/// Refuses a definition that nests deeper than a stored one may. Guards have a limit of their
/// own, which is lower.
pub(in crate::petrel) fn must_be_shallow_definition(definition: &WorkflowDefinition) -> Result<()> {
    if object_nesting(&definition.metadata, MAX_NESTING) <= MAX_NESTING {
        return Ok(());
    }
    let mut problems = Problems::default();
    problems.add(
        "metadata",
        format!("has more than {MAX_NESTING} levels of objects and lists in one another"),
    );
    Err(Error::InvalidDefinition(problems))
}
