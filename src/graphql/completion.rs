//! What is null where something failed.
//!
//! The GraphQL specification ("Handling Execution Errors") has a field that failed be null, or
//! the nearest thing around it that may be null. The library leaves such a field out, and makes
//! an object null that would be empty without it; typed clients take neither.

use async_graphql::{
    Name, PathSegment, Positioned, Response, Value,
    indexmap::IndexMap,
    parser::types::{
        BaseType, ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet, Type,
    },
};

use super::shape::{Shape, named, root};

/// Puts nulls where the errors of a response to `document`, which has one operation, say that
/// something failed.
pub(super) fn complete(shape: &Shape, document: &ExecutableDocument, response: &mut Response) {
    let Some((_, operation)) = document.operations.iter().next() else { return };
    let walk = Walk { shape, document, operation: &operation.node };
    let paths = response.errors.iter().map(|error| error.path.as_slice());
    let mut nulls: Vec<&[PathSegment]> = paths
        .filter(|path| !path.is_empty())
        .filter_map(|path| Some(&path[..walk.nullable(path)?]))
        .collect();
    nulls.sort_by_key(|path| path.len());
    for (at, path) in nulls.iter().enumerate() {
        // What is in something that is null is null with it.
        if !nulls[..at].iter().any(|outer| path.starts_with(outer)) {
            put_null(&mut response.data, path);
        }
    }
}

struct Walk<'a> {
    shape: &'a Shape,
    document: &'a ExecutableDocument,
    operation: &'a OperationDefinition,
}

impl<'a> Walk<'a> {
    /// How much of `path` leads to the innermost thing that may be null; 0 is all the data.
    /// `None` if the path does not fit the document.
    fn nullable(&self, path: &[PathSegment]) -> Option<usize> {
        let mut sets = vec![&self.operation.selection_set.node];
        let mut parent = root(self.operation.ty);
        let mut found = 0;
        let mut of: Option<&Type> = None;
        for (at, segment) in path.iter().enumerate() {
            let here = match segment {
                PathSegment::Field(key) => {
                    let fields: Vec<_> = sets.iter().flat_map(|set| self.keyed(set, key)).collect();
                    let name = fields.first()?.name.node.as_str();
                    sets = fields.iter().map(|field| &field.selection_set.node).collect();
                    let here = &self.shape.field(parent, name)?.ty.node;
                    parent = named(here).0;
                    here
                }
                PathSegment::Index(_) => match &of?.base {
                    BaseType::List(item) => item,
                    BaseType::Named(_) => return None,
                },
            };
            if here.nullable {
                found = at + 1;
            }
            of = Some(here);
        }
        Some(found)
    }

    /// The fields of a selection that answer under `key`.
    fn keyed(&self, set: &'a SelectionSet, key: &str) -> Vec<&'a Field> {
        let below = |selection: &'a Positioned<Selection>| match &selection.node {
            Selection::Field(field) => {
                let ours = field.node.response_key().node == key;
                if ours { vec![&field.node] } else { Vec::new() }
            }
            Selection::InlineFragment(fragment) => {
                self.keyed(&fragment.node.selection_set.node, key)
            }
            Selection::FragmentSpread(spread) => {
                let fragment = self.document.fragments.get(&spread.node.fragment_name.node);
                let set = fragment.map(|fragment| &fragment.node.selection_set.node);
                set.map(|set| self.keyed(set, key)).unwrap_or_default()
            }
        };
        set.items.iter().flat_map(below).collect()
    }
}

/// Makes what is at `path` null. What is null on the way was made so because all of it failed.
fn put_null(data: &mut Value, path: &[PathSegment]) {
    let Some((segment, rest)) = path.split_first() else {
        *data = Value::Null;
        return;
    };
    match segment {
        PathSegment::Field(key) => {
            if *data == Value::Null {
                *data = Value::Object(IndexMap::default());
            }
            if let Value::Object(fields) = data {
                put_null(fields.entry(Name::new(key)).or_insert(Value::Null), rest);
            }
        }
        PathSegment::Index(at) => {
            if let Value::List(items) = data
                && let Some(item) = items.get_mut(*at)
            {
                put_null(item, rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::{ServerError, parser::parse_query};
    use serde_json::json;

    use super::*;
    use crate::graphql::schema::sdl;

    /// `data` after errors at `paths`, in which numbers are indices.
    fn completed(query: &str, data: serde_json::Value, paths: &[&str]) -> serde_json::Value {
        let segment = |text: &str| match text.parse() {
            Ok(index) => PathSegment::Index(index),
            Err(_) => PathSegment::Field(text.to_owned()),
        };
        let error = |path: &&str| {
            ServerError::new("failed", None).with_path(path.split('.').map(segment).collect())
        };
        let mut response = Response::new(Value::from_json(data).unwrap());
        response.errors = paths.iter().map(error).collect();
        complete(&Shape::of(&sdl()).unwrap(), &parse_query(query).unwrap(), &mut response);
        response.data.into_json().unwrap()
    }

    #[test]
    fn a_field_that_failed_is_null_under_the_key_it_was_asked_with() {
        let query = "{ a: token(id: \"x\") { id } health { version } ...more }
            fragment more on Query { b: natsToken(id: \"x\") { id } }";
        let data = json!({ "health": { "version": "1" } });
        let expected = json!({ "health": { "version": "1" }, "a": null, "b": null });
        assert_eq!(completed(query, data, &["a", "b"]), expected);
    }

    #[test]
    fn if_nothing_else_was_asked_for_the_data_is_still_an_object() {
        let data = completed("{ token(id: \"x\") { id } }", json!(null), &["token"]);
        assert_eq!(data, json!({ "token": null }));
    }

    #[test]
    fn what_must_not_be_null_makes_the_nearest_thing_around_it_null() {
        let query = "{ token(id: \"x\") { id case { id } } health { version } }";
        let data = json!({ "token": { "id": "x" }, "health": { "version": "1" } });
        let expected = json!({ "token": null, "health": { "version": "1" } });
        assert_eq!(completed(query, data, &["token.case"]), expected);
        let query = "{ tokens(workflowId: \"w\") { nodes { id case { id } } } health { version } }";
        let data = json!({ "tokens": { "nodes": [{ "id": "x" }, null] }, "health": {} });
        let paths = ["tokens.nodes.0.case", "tokens.nodes.1.case"];
        assert_eq!(completed(query, data, &paths), json!(null));
    }
}
