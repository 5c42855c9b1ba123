//! Comparisons of the value that a rule finds with the one that it names.

use std::cmp::Ordering;

use cel::common::{
    types::{CelString, Kind},
    value::Val,
};
use serde_json::Value;

use super::{
    conditions::Failure,
    expression::clip,
    rule_path::RulePath,
    scope::Variables,
    value::{from_json, nodes, with_article},
};

/// Way in which a rule compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equals,
    Greater,
    Less,
    Contains,
}

/// Checks `comparison` between the value at `path` and `value`.
///
/// # Errors
///
/// The reason that it doesn't hold.
pub(super) fn compare(
    comparison: Comparison,
    path: &RulePath,
    value: &Value,
    variables: &Variables<'_>,
) -> Result<(), Failure> {
    let found = path.find(variables);
    let found = found.ok_or_else(|| Failure::undecided(format!("nothing at `{path}`")))?;
    let (found, wanted) = (found.as_ref(), from_json(value, variables.budget()));
    let looked = variables.budget().charge(1 + nodes(found) / 16);
    looked.map_err(|ran_out| Failure::undecided(ran_out.to_string()))?;
    let (holds, relation) = match comparison {
        Comparison::Equals => (found.equals(wanted.as_ref()), "equal"),
        Comparison::Contains => (contains(path, found, wanted.as_ref())?, "contain"),
        Comparison::Greater => {
            (order(path, found, wanted.as_ref())? == Ordering::Greater, "exceed")
        }
        Comparison::Less => (order(path, found, wanted.as_ref())? == Ordering::Less, "fall below"),
    };
    if holds {
        return Ok(());
    }
    Err(Failure::decided(&format!("`{path}` doesn't {relation} {}", clip(&value.to_string()))))
}

fn order(path: &RulePath, found: &dyn Val, wanted: &dyn Val) -> Result<Ordering, Failure> {
    let numbers = [Kind::Int, Kind::UInt, Kind::Double];
    let (left, right) = (found.get_type().kind(), wanted.get_type().kind());
    let alike = (numbers.contains(&left) && numbers.contains(&right))
        || (left == Kind::String && right == Kind::String);
    let ordering = found.as_comparer().filter(|_| alike).map(|left| left.compare(wanted));
    let mismatch = || {
        let (left, right) = (with_article(found), with_article(wanted));
        Failure::undecided(format!("`{path}` is {left}, to be compared with {right}"))
    };
    ordering.and_then(Result::ok).ok_or_else(mismatch)
}

fn contains(path: &RulePath, found: &dyn Val, wanted: &dyn Val) -> Result<bool, Failure> {
    if let Some(text) = found.downcast_ref::<CelString>() {
        let part = wanted.downcast_ref::<CelString>().ok_or_else(|| {
            Failure::undecided(format!(
                "`{path}` is a text and can't contain {}",
                with_article(wanted)
            ))
        })?;
        return Ok(text.inner().contains(part.inner()));
    }
    let container = found.as_container().ok_or_else(|| {
        Failure::undecided(format!("`{path}` is {}, which contains nothing", with_article(found)))
    })?;
    Ok(container.contains(wanted).unwrap_or(false))
}
