//! Fields of one key, which must ask for the same, or for values of one shape.

use std::collections::HashMap;

use async_graphql::{Name, Pos, ServerError, parser::types::Field};

use super::plain::{Fields, Of, Set};
use crate::graphql::request::shape::named;

/// The shape of a field of one key, for all types that an object may be of: its type, its
/// position, and the keys below it.
pub(super) struct Shaped {
    of: String,
    pos: Pos,
    below: Shapes,
}

/// Fields by their keys.
pub(super) type Shapes = HashMap<Name, Shaped>;

impl<'a> Of<'a> {
    /// Checks that fields of one key of different types have values of one shape, so that a client
    /// can read them ("Same Response Shape").
    pub(super) fn check_shapes(
        &self,
        parent: &str,
        sets: &[Set<'a>],
        known: &mut Shapes,
    ) -> Result<(), ServerError> {
        let mut fields = Fields::default();
        for set in sets {
            self.collect(Some(parent), *set, &mut fields);
        }
        for (key, same) in fields.all {
            // Invariant: a key comes with its first field.
            let first = same[0].0;
            // A field of introspection fits every other, as in the reference implementation.
            let Some(of) = self.shape.field(parent, &first.node.name.node) else { continue };
            let of = &of.ty.node;
            let below: Vec<_> = same.iter().map(|of| (&of.0.node.selection_set, of.1)).collect();
            let has_more = below.iter().any(|set| !set.0.node.items.is_empty());
            // Of objects only how they are nested in lists counts, and what is in them.
            let shape = match has_more {
                true => of.to_string().replace(named(of).0, ""),
                false => of.to_string(),
            };
            let new = || Shaped { of: shape.clone(), pos: first.pos, below: Shapes::new() };
            let before = known.entry(Name::new(key)).or_insert_with(new);
            if before.of != shape {
                return Err(conflict(key, before.pos, first.pos));
            }
            self.check_shapes(named(of).0, &below, &mut before.below)?;
        }
        Ok(())
    }
}

/// The error of two fields of one key that don't fit.
pub(super) fn conflict(key: &str, one: Pos, other: Pos) -> ServerError {
    let problem = format!(
        "fields of the name {key:?} ask for different things, so they can't be one; give one of \
         them another alias"
    );
    let mut error = ServerError::new(problem, Some(one));
    error.locations.push(other);
    error
}

/// Returns true if two fields of one key are the same with the same arguments.
pub(super) fn asks_the_same(one: &Field, other: &Field) -> bool {
    one.name.node == other.name.node
        && one.arguments.len() == other.arguments.len()
        && one.arguments.iter().all(|(name, value)| {
            other.get_argument(&name.node).is_some_and(|other| other.node == value.node)
        })
}
