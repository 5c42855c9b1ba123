//! An operation in its plain form: fragments spread out, `@skip` and `@include` decided, and
//! fields of one key made one (GraphQL specification, "Collecting Fields" and "Merging Selection
//! Sets").
//!
//! The library executes a field as often as it is written, and overlooks a subscription's field in
//! a fragment, the default of a variable in `@skip`, and an object that is left without fields. Of
//! a plain operation there is nothing to overlook, and the fields counted before it is executed
//! are those that will be executed.

use std::collections::HashMap;

use async_graphql::{
    Name, Pos, Positioned, ServerError, Value as Const, Variables,
    indexmap::{IndexMap, IndexSet},
    parser::types::{
        Directive, DocumentOperations, ExecutableDocument, Field, InlineFragment,
        OperationDefinition, OperationType, Selection, SelectionSet, TypeCondition,
    },
};

use super::fit::{Shapes, asks_the_same, conflict};
use crate::graphql::request::shape::{Shape, named, root};

/// The key under which an object without any other field has its type, and each object that may be
/// of several types: no name that a client could write, and taken out of the answer again. Without
/// any field the library would make the object null.
pub(in crate::graphql) const NOTHING: &str = " ";

/// A field that has its type's name, in every object.
const TYPE_NAME: &str = "__typename";

/// The plain form of a valid document of one operation.
pub(in crate::graphql) fn plain(
    shape: &Shape,
    document: &ExecutableDocument,
    variables: &Variables,
) -> Result<ExecutableDocument, ServerError> {
    let one = |operation: &Positioned<OperationDefinition>| {
        let of = Of { shape, document, values: conditions(&operation.node, variables) };
        let set = of.operation(&operation.node, operation.pos)?;
        let node = OperationDefinition { selection_set: set, ..operation.node.clone() };
        Ok::<_, ServerError>(Positioned::new(node, operation.pos))
    };
    let operations = match &document.operations {
        DocumentOperations::Single(operation) => DocumentOperations::Single(one(operation)?),
        DocumentOperations::Multiple(operations) => {
            let each =
                operations.iter().map(|(name, operation)| Ok((name.clone(), one(operation)?)));
            DocumentOperations::Multiple(each.collect::<Result<_, ServerError>>()?)
        }
    };
    Ok(ExecutableDocument { operations, fragments: HashMap::new() })
}

/// The variables that a condition may name.
fn conditions(operation: &OperationDefinition, variables: &Variables) -> HashMap<Name, bool> {
    let declared = operation.variable_definitions.iter().map(|declared| &declared.node);
    let value = |of: &async_graphql::parser::types::VariableDefinition| {
        let name = &of.name.node;
        match variables.get(name).or_else(|| of.default_value()) {
            Some(Const::Boolean(value)) => Some((name.clone(), *value)),
            _ => None,
        }
    };
    declared.filter_map(value).collect()
}

pub(super) struct Of<'a> {
    pub(super) shape: &'a Shape,
    document: &'a ExecutableDocument,
    values: HashMap<Name, bool>,
}

/// The fields that are selected of an object.
#[derive(Default)]
pub(super) struct Fields<'a> {
    /// All of them by their keys in the answer, each with true if it is skipped: a skipped one
    /// must fit the rest all the same.
    pub(super) all: IndexMap<&'a str, Vec<(&'a Positioned<Field>, bool)>>,
    /// The keys of those that are not skipped, in order.
    wanted: IndexSet<&'a str>,
}

/// A selection set, with true if it is skipped.
pub(super) type Set<'a> = (&'a Positioned<SelectionSet>, bool);

impl<'a> Of<'a> {
    fn operation(
        &self,
        operation: &'a OperationDefinition,
        pos: Pos,
    ) -> Result<Positioned<SelectionSet>, ServerError> {
        let set = &operation.selection_set;
        if operation.ty == OperationType::Subscription {
            self.check_subscription(set, pos)?;
        }
        self.set(Some(root(operation.ty)), &[(set, false)])
    }

    /// Checks "Single Root Field" of the specification, which forbids conditions there too.
    fn check_subscription(
        &self,
        set: &'a Positioned<SelectionSet>,
        pos: Pos,
    ) -> Result<(), ServerError> {
        if self.has_conditions(&set.node) {
            let problem = "the field of a subscription can't be skipped: take @skip and @include \
                           away from it";
            return Err(ServerError::new(problem, Some(pos)));
        }
        let mut fields = Fields::default();
        self.collect(Some("Subscription"), (set, false), &mut fields);
        if fields.wanted.len() != 1 {
            let keys: Vec<_> = fields.wanted.into_iter().collect();
            let problem = format!(
                "a subscription has exactly one field, and this one has {}: {}; subscribe to \
                 each by itself",
                keys.len(),
                keys.join(", ")
            );
            return Err(ServerError::new(problem, Some(pos)));
        }
        if fields.all.values().flatten().any(|(field, _)| field.node.name.node.starts_with("__")) {
            let problem = "the field of a subscription can't be one of introspection";
            return Err(ServerError::new(problem, Some(pos)));
        }
        Ok(())
    }

    fn has_conditions(&self, set: &SelectionSet) -> bool {
        set.items.iter().any(|selection| {
            let conditional = |of: &Positioned<Directive>| {
                ["skip", "include"].contains(&of.node.name.node.as_str())
            };
            selection.node.directives().iter().any(conditional)
                || match &selection.node {
                    Selection::Field(_) => false,
                    Selection::InlineFragment(of) => {
                        self.has_conditions(&of.node.selection_set.node)
                    }
                    Selection::FragmentSpread(of) => self
                        .document
                        .fragments
                        .get(&of.node.fragment_name.node)
                        .is_some_and(|of| self.has_conditions(&of.node.selection_set.node)),
                }
        })
    }

    /// The selection that all of `sets` make of `parent`, whose fields are not known where it is a
    /// type of introspection.
    fn set(
        &self,
        parent: Option<&str>,
        sets: &[Set<'a>],
    ) -> Result<Positioned<SelectionSet>, ServerError> {
        let pos = sets.first().map(|set| set.0.pos).unwrap_or_default();
        let selected = sets.iter().any(|set| !set.0.node.items.is_empty());
        let kinds = parent.map(|parent| self.shape.kinds(parent)).unwrap_or_default();
        let items = match kinds.is_empty() {
            true => self.fields(parent, sets, selected, pos)?,
            // What may be of several types: what is selected of each of them.
            false => {
                let mut shapes = Shapes::new();
                let each = kinds.into_iter().map(|kind| {
                    let mut items = self.fields(Some(kind), sets, selected, pos)?;
                    self.check_shapes(kind, sets, &mut shapes)?;
                    // By this the answer is put into its order, each type's own.
                    items.push(nothing(pos));
                    let on = Positioned::new(Name::new(kind), pos);
                    let fragment = InlineFragment {
                        type_condition: Some(Positioned::new(TypeCondition { on }, pos)),
                        directives: Vec::new(),
                        selection_set: Positioned::new(SelectionSet { items }, pos),
                    };
                    let fragment = Positioned::new(fragment, pos);
                    Ok(Positioned::new(Selection::InlineFragment(fragment), pos))
                });
                each.collect::<Result<_, ServerError>>()?
            }
        };
        Ok(Positioned::new(SelectionSet { items }, pos))
    }

    /// The fields that `sets` select of an object of the type `parent`, or the least that there is
    /// if `selected` and all of it is skipped.
    fn fields(
        &self,
        parent: Option<&str>,
        sets: &[Set<'a>],
        selected: bool,
        pos: Pos,
    ) -> Result<Vec<Positioned<Selection>>, ServerError> {
        let mut fields = Fields::default();
        for set in sets {
            self.collect(parent, *set, &mut fields);
        }
        let mut merged = HashMap::new();
        for (key, same) in fields.all {
            merged.insert(key, self.merged(parent, key, &same)?);
        }
        let mut items: Vec<_> = fields.wanted.iter().filter_map(|key| merged.remove(key)).collect();
        if items.is_empty() && selected {
            items.push(nothing(pos));
        }
        Ok(items)
    }

    pub(super) fn collect(
        &self,
        parent: Option<&str>,
        (set, skipped): Set<'a>,
        fields: &mut Fields<'a>,
    ) {
        for selection in &set.node.items {
            let skipped = skipped || self.is_skipped(&selection.node);
            let (on, set) = match &selection.node {
                Selection::Field(field) => {
                    let key = field.node.response_key().node.as_str();
                    fields.all.entry(key).or_default().push((field, skipped));
                    if !skipped {
                        fields.wanted.insert(key);
                    }
                    continue;
                }
                Selection::InlineFragment(of) => {
                    (of.node.type_condition.as_ref(), &of.node.selection_set)
                }
                Selection::FragmentSpread(of) => {
                    let name = &of.node.fragment_name.node;
                    let Some(of) = self.document.fragments.get(name) else { continue };
                    (Some(&of.node.type_condition), &of.node.selection_set)
                }
            };
            let applies = match (parent, on) {
                (Some(parent), Some(on)) => {
                    let on = on.node.on.node.as_str();
                    parent == on || self.shape.kinds(on).contains(&parent)
                }
                _ => true,
            };
            if applies {
                self.collect(parent, (set, skipped), fields);
            }
        }
    }

    fn is_skipped(&self, selection: &Selection) -> bool {
        selection.directives().iter().any(|directive| {
            let skipped_if = match directive.node.name.node.as_str() {
                "skip" => true,
                "include" => false,
                _ => return false,
            };
            let given = directive.node.get_argument("if").and_then(|value| {
                match value.node.clone().into_const_with(|name| {
                    self.values.get(&name).map(|value| Const::Boolean(*value)).ok_or(())
                }) {
                    Ok(Const::Boolean(value)) => Some(value),
                    _ => None,
                }
            });
            // Validation has seen to it that there is one.
            given == Some(skipped_if)
        })
    }

    /// The fields `same` of one key, which must ask for the same, as one.
    fn merged(
        &self,
        parent: Option<&str>,
        key: &str,
        same: &[(&'a Positioned<Field>, bool)],
    ) -> Result<Positioned<Selection>, ServerError> {
        // Invariant: a key comes with its first field.
        let ((first, _), others) = same.split_first().expect("a field of each key");
        for (other, _) in others {
            if !asks_the_same(&first.node, &other.node) {
                return Err(conflict(key, first.pos, other.pos));
            }
        }
        let name = first.node.name.node.as_str();
        let of = parent.and_then(|parent| self.shape.field(parent, name));
        let set = |(field, skipped): &(&'a Positioned<Field>, bool)| {
            (&field.node.selection_set, *skipped)
        };
        let sets: Vec<_> = same.iter().map(set).collect();
        let selection_set = self.set(of.map(|of| named(&of.ty.node).0), &sets)?;
        let field = Field {
            alias: first.node.alias.clone(),
            name: first.node.name.clone(),
            arguments: first.node.arguments.clone(),
            directives: Vec::new(),
            selection_set,
        };
        let field = Selection::Field(Positioned::new(field, first.pos));
        Ok(Positioned::new(field, first.pos))
    }
}

/// The field [`NOTHING`].
fn nothing(pos: Pos) -> Positioned<Selection> {
    let name = |name| Positioned::new(Name::new(name), pos);
    let field = Field {
        alias: Some(name(NOTHING)),
        name: name(TYPE_NAME),
        arguments: Vec::new(),
        directives: Vec::new(),
        selection_set: Positioned::new(SelectionSet::default(), pos),
    };
    Positioned::new(Selection::Field(Positioned::new(field, pos)), pos)
}

#[cfg(test)]
#[path = "plain_tests.rs"]
mod tests;
