//! The cost of a query: its depth, and the work that it can ask of the store.
//!
//! A field costs 1, a look-up in the store or a picture [`LOOK_UP`], and a check of a net,
//! or a wait, [`CHECK`]. The items of a page cost the selection of one, times the number asked for; those of
//! other lists, [`FEW`] times. Fields of introspection cost 1 each. An argument costs 1 for each
//! value in it and each 64 bytes of text, as often as a variable with it is used.

use std::collections::HashMap;

use async_graphql::{
    Name, Positioned, Value, Variables,
    parser::types::{
        Directive, ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet,
    },
};
use async_graphql_value::Value as Written;

use crate::graphql::{
    request::arguments::DEFAULT_PAGE,
    request::shape::{Shape, named, root},
};
use crate::storage::MAX_PAGE;

/// The cost of a field that asks the store.
pub(in crate::graphql) const LOOK_UP: usize = 500;

/// The cost of a field that computes for as long as the server's budget for a check allows, or waits.
const CHECK: usize = 10_000;

/// The fields that check a net, and the one that waits, which follows a case's log.
const CHECKS: [(&str, &str); 3] =
    [("Query", "checkWorkflow"), ("Workflow", "analysis"), ("Query", WAITS)];

/// The field that waits.
pub(super) const WAITS: &str = "awaitCase";

/// Items that a list is taken to have if its length is not asked for: cases have a few tokens, not
/// hundreds.
const FEW: usize = 3;

/// The fields that ask the store, beside those of the roots and all pages; and pictures, which
/// are as much work.
const LOOK_UPS: [(&str, &str); 7] = [
    ("Token", "case"),
    ("Token", "workflow"),
    ("Case", "workflow"),
    ("Case", "explain"),
    ("Case", "svg"),
    ("Workflow", "svg"),
    ("Queue", "workers"),
];

/// The cost of an operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::graphql) struct Cost {
    /// The depth to which fields are nested.
    pub depth: usize,
    /// The sum, in fields; see the module.
    pub total: usize,
}

/// The cost of an operation in its plain form.
pub(in crate::graphql) fn cost(
    shape: &Shape,
    operation: &OperationDefinition,
    variables: &Variables,
) -> Cost {
    let of = Of::new(shape, operation, variables);
    of.selections(&operation.selection_set.node, Some(root(operation.ty)), FEW)
}

/// The cost of all values as a document has them, of each fragment once: whoever validates it, or compares its
/// fields, copies a variable's value for each use of it.
pub(super) fn values(shape: &Shape, document: &ExecutableDocument, variables: &Variables) -> Cost {
    let mut total = 0_usize;
    for (_, operation) in document.operations.iter() {
        let of = Of::new(shape, &operation.node, variables);
        let fragments = document.fragments.values().map(|of| &of.node);
        let sets = fragments.map(|fragment| (&fragment.directives, &fragment.selection_set));
        let own = (&operation.node.directives, &operation.node.selection_set);
        for (directives, set) in sets.chain([own]) {
            total = total.saturating_add(of.directives(directives));
            total = total.saturating_add(of.values_in(&set.node));
        }
    }
    Cost { depth: 0, total }
}

struct Of<'a> {
    shape: &'a Shape,
    /// The values of variables, each with the weight of one use of it.
    values: HashMap<&'a str, (&'a Value, usize)>,
}

impl<'a> Of<'a> {
    fn new(shape: &'a Shape, operation: &'a OperationDefinition, variables: &'a Variables) -> Self {
        let values = operation.variable_definitions.iter().filter_map(|declared| {
            let name = &declared.node.name.node;
            let value = variables.get(name).or_else(|| declared.node.default_value())?;
            Some((name.as_str(), (value, weight(value))))
        });
        Self { shape, values: values.collect() }
    }

    /// The weight of all values of a selection as it is written.
    fn values_in(&self, set: &SelectionSet) -> usize {
        let each = set.items.iter().map(|selection| {
            let own = self.directives(selection.node.directives());
            own.saturating_add(match &selection.node {
                Selection::Field(field) => {
                    let below = self.values_in(&field.node.selection_set.node);
                    below.saturating_add(self.arguments(&field.node))
                }
                Selection::InlineFragment(of) => self.values_in(&of.node.selection_set.node),
                Selection::FragmentSpread(_) => 0,
            })
        });
        each.fold(0, usize::saturating_add)
    }

    fn directives(&self, directives: &[Positioned<Directive>]) -> usize {
        let values = directives.iter().flat_map(|directive| &directive.node.arguments);
        values.map(|(_, value)| self.weight(&value.node)).fold(0, usize::saturating_add)
    }

    /// The cost of a selection of one object; `items` is the number that its lists have. If it may
    /// be of several types, the dearest counts.
    fn selections(&self, set: &SelectionSet, parent: Option<&str>, items: usize) -> Cost {
        let (mut sum, mut dearest) = (Cost::default(), Cost::default());
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => {
                    let one = self.field(&field.node, parent, items);
                    sum.depth = sum.depth.max(one.depth);
                    sum.total = sum.total.saturating_add(one.total);
                }
                Selection::InlineFragment(of) => {
                    let on = of.node.type_condition.as_ref();
                    let on = on.map(|on| on.node.on.node.as_str()).or(parent);
                    let one = self.selections(&of.node.selection_set.node, on, items);
                    dearest.depth = dearest.depth.max(one.depth);
                    dearest.total = dearest.total.max(one.total);
                }
                // A plain operation has none.
                Selection::FragmentSpread(_) => {}
            }
        }
        Cost { depth: sum.depth.max(dearest.depth), total: sum.total.saturating_add(dearest.total) }
    }

    fn field(&self, field: &Field, parent: Option<&str>, items: usize) -> Cost {
        let name = field.name.node.as_str();
        let definition = parent.and_then(|parent| Some((parent, self.shape.field(parent, name)?)));
        let set = &field.selection_set.node;
        // Validation reports a field that does not exist; those of introspection are here too.
        let Some((parent, definition)) = definition else {
            let below = self.selections(set, None, 1);
            return Cost { depth: below.depth + 1, total: below.total.saturating_add(1) };
        };
        let arguments = self.arguments(field);
        let (of, lists) = named(&definition.ty.node);
        let is_page =
            definition.arguments.iter().any(|argument| argument.node.name.node == "first");
        let below = match is_page {
            true => self.selections(set, Some(of), self.first(field)),
            false => self.selections(set, Some(of), FEW),
        };
        let times = if lists { items } else { 1 };
        let is_root = ["Query", "Mutation", "Subscription"].contains(&parent);
        let asks = is_root || is_page || LOOK_UPS.contains(&(parent, name));
        let own = match asks {
            _ if CHECKS.contains(&(parent, name)) => CHECK,
            true => LOOK_UP,
            false => 1,
        };
        let total = below.total.saturating_mul(times).saturating_add(own).saturating_add(arguments);
        Cost { depth: below.depth + 1, total }
    }

    /// Items that a page is asked for. More than it can have are refused when they are asked for.
    fn first(&self, field: &Field) -> usize {
        let given = field.get_argument("first").and_then(|value| {
            let known = |name: Name| self.values.get(name.as_str()).map(|of| of.0.clone());
            value.node.clone().into_const_with(|name| known(name).ok_or(())).ok()
        });
        match given {
            Some(Value::Number(first)) => {
                let first = first.as_u64().unwrap_or_default();
                usize::try_from(first).unwrap_or(MAX_PAGE).min(MAX_PAGE)
            }
            _ => DEFAULT_PAGE,
        }
    }

    /// The weight of a field's arguments: each use of a variable is a copy of its value.
    fn arguments(&self, field: &Field) -> usize {
        let each = field.arguments.iter().map(|(_, value)| self.weight(&value.node));
        each.fold(0, usize::saturating_add)
    }

    fn weight(&self, value: &Written) -> usize {
        match value {
            Written::Variable(name) => self.values.get(name.as_str()).map_or(0, |of| of.1),
            Written::String(text) => text.len() / UNIT,
            Written::List(items) => {
                items.iter().map(|item| 1 + self.weight(item)).fold(0, usize::saturating_add)
            }
            Written::Object(fields) => {
                fields.values().map(|value| 1 + self.weight(value)).fold(0, usize::saturating_add)
            }
            _ => 0,
        }
    }
}

/// Bytes of an argument that cost as much as a field.
const UNIT: usize = 64;

/// The weight of a value that is copied: 1 for each value in it and for each 64 bytes of text.
fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() / UNIT,
        Value::List(items) => items.iter().map(|item| 1 + weight(item)).sum(),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| 1 + key.len() / UNIT + weight(value)).sum()
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use serde_json::json;

    use super::*;
    use crate::graphql::{request::plain::plain, schema::sdl};

    fn of(query: &str, variables: serde_json::Value) -> Cost {
        let document = parse_query(query).unwrap();
        let shape = Shape::of(&sdl()).unwrap();
        let variables = Variables::from_json(variables);
        let document = plain(&shape, &document, &variables).unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        cost(&shape, &operation.node, &variables)
    }

    #[test]
    fn the_items_of_a_page_cost_as_often_as_they_are_asked_for() {
        let query = "query($n: Int, $m: Int = 20) {
            a: tokens(workflowId: \"w\", first: $n) { nodes { id placeId } pageInfo { endCursor } }
            b: tokens(workflowId: \"w\", first: $m) { edges { node { id } } } }";
        let of = |variables| of(query, variables).total;
        let (a, b) = (|n: usize| 500 + 1 + n * 2 + 2, |m: usize| 500 + 1 + m * 2);
        assert_eq!(of(json!({})), a(100) + b(20));
        assert_eq!(of(json!({ "n": 7, "m": 1000 })), a(7) + b(1000));
        // No page is larger, so the request is refused for what it asks and not for its cost.
        assert_eq!(of(json!({ "n": 1_000_000, "m": -1 })), a(1000) + b(0));
    }

    #[test]
    fn a_look_up_within_a_page_costs_once_for_each_item() {
        let query =
            "{ tokens(workflowId: \"w\", first: 10) { nodes { case { id tokens { id } } } } }";
        assert_eq!(of(query, json!({})).total, 500 + 1 + 10 * (500 + 1 + 1 + 3));
    }

    #[test]
    fn fragments_and_fields_of_introspection_count_what_they_select() {
        let query = "{ ...a __schema { types { name ofType { name } } } }
            fragment a on Query { health { version ... on Health { connected } } }";
        assert_eq!(of(query, json!({})), Cost { depth: 4, total: 502 + 5 });
    }

    #[test]
    fn a_variable_weighs_as_often_as_it_is_used() {
        let query =
            "mutation($v: JSON) { a: createToken(input: {workflowId: \"w\", data: [$v, $v]})
            { id } b: createToken(input: {workflowId: \"w\", data: {x: $v}}) { id } }";
        let light = of(query, json!({ "v": "" })).total;
        let heavy = of(query, json!({ "v": "x".repeat(64_000) })).total;
        assert_eq!(heavy - light, 3 * 1_000);
    }

    #[test]
    fn every_field_that_is_known_to_ask_the_store_is_in_the_schema() {
        let shape = Shape::of(&sdl()).unwrap();
        for (of, name) in LOOK_UPS.into_iter().chain(CHECKS) {
            assert!(shape.field(of, name).is_some(), "{of}.{name}");
        }
    }
}
