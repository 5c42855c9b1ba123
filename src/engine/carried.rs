//! Data and metadata that tokens and records carry: their nesting, names and memory.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{Excess, Limits};
use crate::models::{
    Case, MAX_NESTING, MAX_NESTING_READ, Record, Token, TokenId, kept_name, nesting,
    object_kept_name, object_memory, object_nesting,
};

/// Number of times that a token may be larger in memory than a message: what has very many objects or
/// numbers takes a hundred times its JSON, and readers of many such tokens have no room for it.
const SWELLING: usize = 40;

/// Checks the notes of a change.
pub(super) fn check_notes(notes: &Map<String, Value>, limits: Limits) -> Result<(), Excess> {
    if object_nesting(notes, MAX_NESTING) > MAX_NESTING {
        return Err(Excess::Nesting { what: "the metadata".to_owned(), limit: MAX_NESTING });
    }
    let memory = object_memory(notes);
    if memory > limits.message {
        let what = "the change's metadata".to_owned();
        return Err(Excess::Memory { what, memory, limit: limits.message });
    }
    Ok(())
}

/// Checks that a token can be read back. What an older version has let in may stay as it is in the
/// tokens that come of those, which were `was`.
pub(super) fn check_carried(token: &Token, was: &[&Token]) -> Result<(), Excess> {
    let data = |token: &Token| nesting(&token.data, MAX_NESTING_READ);
    let metadata = |token: &Token| object_nesting(&token.metadata, MAX_NESTING_READ);
    for (name, levels) in [("data", &data as &dyn Fn(&Token) -> usize), ("metadata", &metadata)] {
        let new = levels(token);
        let deepest = || was.iter().map(|token| levels(token)).max().unwrap_or_default();
        if new > MAX_NESTING && new > deepest() {
            let what = format!("the {name} of token {}", token.id);
            return Err(Excess::Nesting { what, limit: MAX_NESTING });
        }
    }
    let name = |token: &Token| {
        let metadata = || object_kept_name(&token.metadata).map(|name| ("metadata", name));
        let found = kept_name(&token.data).map(|name| ("data", name)).or_else(metadata);
        found.map(|(part, name)| (part, name.to_owned()))
    };
    match name(token) {
        Some((part, found)) if was.iter().all(|was| name(was).is_none()) => {
            let what = format!("the {part} of token {}", token.id);
            Err(Excess::Name { what, name: found })
        }
        _ => Ok(()),
    }
}

/// Checks that a token is not far larger in memory than as JSON. Tokens that move, split and join may
/// be as large together as those that they come from, which took `was`.
pub(super) fn check_memory(token: &Token, was: usize, limits: Limits) -> Result<(), Excess> {
    let limit = limits.message.saturating_mul(SWELLING);
    let memory = token.carried_memory();
    if memory > limit.max(was) {
        let what = format!("token {}", token.id);
        return Err(Excess::Memory { what, memory, limit });
    }
    Ok(())
}

/// The tokens that the record takes, and those that it changes, as they were.
pub(super) fn replaced<'a>(
    record: &'a Record,
    before: Option<&'a Case>,
) -> impl Iterator<Item = &'a Token> {
    let mut seen: HashSet<&TokenId> = HashSet::new();
    let taken = match record.cascade.is_empty() {
        // What a reset removes is gone.
        true => record.consumed.iter().collect(),
        false => record.left(),
    };
    let taken = taken.into_iter().map(|at| &at.token);
    let changed = record.produced.iter().map(|token| &token.id);
    let known = move |id: &TokenId| before.and_then(|case| case.tokens.get(id)).map(AsRef::as_ref);
    taken.chain(changed).filter(move |id| seen.insert(id)).filter_map(known)
}
