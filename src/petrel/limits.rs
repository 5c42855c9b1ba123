//! The limits of callers' data, checked before anything is decided.

use serde_json::{Map, Value};

use crate::petrel::{Change, Error, Result, read::Reader};
use crate::{
    engine::{Excess, Limits, NotMade},
    models::{
        FiringId, IdProblem, MAX_NESTING, Problems, WorkflowDefinition, kept_name, nesting,
        object_kept_name, object_nesting,
    },
};

impl Reader {
    /// The limits of the messages stored here.
    pub(in crate::petrel) fn limits(&self) -> Limits {
        Limits { message: self.storage.max_message() }
    }
}

impl From<NotMade> for Error {
    fn from(not: NotMade) -> Self {
        match not {
            NotMade::Excess(excess) => excess.into(),
            NotMade::Late => Self::Overloaded { reason: not.to_string() },
        }
    }
}

impl From<Excess> for Error {
    fn from(excess: Excess) -> Self {
        Self::Excess(excess)
    }
}

/// Refuses a value that nests deeper than a stored one may, or that could not be read back.
pub(in crate::petrel) fn must_be_storable(argument: &str, value: &Value) -> Result<()> {
    refuse(argument, nesting(value, MAX_NESTING), || kept_name(value))
}

/// Refuses a map that nests deeper than a stored one may, or that could not be read back.
pub(in crate::petrel) fn must_be_storable_map(
    argument: &str,
    fields: &Map<String, Value>,
) -> Result<()> {
    refuse(argument, object_nesting(fields, MAX_NESTING), || object_kept_name(fields))
}

fn refuse<'a>(argument: &str, levels: usize, kept: impl FnOnce() -> Option<&'a str>) -> Result<()> {
    fault(levels, kept).map_or(Ok(()), |reason| Err(Error::argument(argument, reason)))
}

/// The reason that a value can't be stored. Its names are looked at if it is no deeper than it may be.
fn fault<'a>(levels: usize, kept: impl FnOnce() -> Option<&'a str>) -> Option<String> {
    if levels > MAX_NESTING {
        let most = MAX_NESTING;
        return Some(format!("has more than {most} levels of objects and lists in one another"));
    }
    kept().map(|name| format!("has a field {name:?}, a name that no field can have"))
}

impl Change {
    /// Refuses a change whose own metadata can't be stored, and one with an id of the program's own.
    pub(crate) fn checked(self) -> Result<Self> {
        must_be_storable_map("metadata", &self.metadata)?;
        if self.firing.as_ref().is_some_and(FiringId::is_reserved) {
            return Err(Error::argument("firing id", IdProblem::Reserved.to_string()));
        }
        Ok(self)
    }
}

/// Refuses a definition whose metadata nest deeper than stored ones may, or that could not be read
/// back. Guards have a limit of their own, which is lower.
pub(in crate::petrel) fn must_be_storable_definition(
    definition: &WorkflowDefinition,
) -> Result<()> {
    let levels = object_nesting(&definition.metadata, MAX_NESTING);
    // Every key is a text, so that it can be written.
    let whole = || serde_json::to_value(definition).unwrap_or_default();
    let kept = (levels <= MAX_NESTING).then(whole);
    let kept = kept.as_ref().and_then(kept_name);
    let Some(reason) = fault(levels, || kept) else { return Ok(()) };
    let mut problems = Problems::default();
    problems.add(if levels > MAX_NESTING { "metadata" } else { "" }, reason);
    Err(Error::InvalidDefinition(problems))
}
