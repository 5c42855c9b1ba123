//! Completion of the library's answers to those that the specification asks for.
//!
//! The GraphQL specification ("Handling Execution Errors") has a field that failed be null, or
//! the nearest thing around it that may be null. The library leaves such a field out, and makes
//! an object null that would be empty without it; typed clients take neither. Fields are in
//! the order in which they were asked for ("Serialized Map Ordering"), where the library has
//! them in the order in which they were found.

use std::{cmp::Ordering, collections::HashMap};

use async_graphql::{
    Name, PathSegment, Response, Value,
    indexmap::IndexMap,
    parser::types::{BaseType, ExecutableDocument, Selection, SelectionSet, Type},
};

use crate::graphql::{
    request::plain::NOTHING,
    request::shape::{Shape, named, root},
};

/// Puts nulls where the errors of a response to `document`, which has one operation in its plain
/// form, say that something failed, and fields into the order in which they were asked for.
pub(in crate::graphql) fn complete(
    shape: &Shape,
    document: &ExecutableDocument,
    response: &mut Response,
) {
    let Some((_, operation)) = document.operations.iter().next() else { return };
    let mut asked = Asked::default();
    asked.add(shape, Some(root(operation.node.ty)), &operation.node.selection_set.node);
    let paths = response.errors.iter().map(|error| error.path.as_slice());
    let mut nulls: Vec<&[PathSegment]> = paths
        .filter(|path| !path.is_empty())
        .filter_map(|path| Some(&path[..nullable(&asked, path)?]))
        .collect();
    // What is in something that is null is null with it. In this order the outer one comes
    // right before what is in it.
    nulls.sort_unstable_by(|one, other| by_path(one, other));
    let mut outer: Option<&[PathSegment]> = None;
    for path in nulls {
        if !outer.is_some_and(|outer| path.starts_with(outer)) {
            put_null(&mut response.data, path);
            outer = Some(path);
        }
    }
    order(&asked, &mut response.data);
}

fn by_path(one: &[PathSegment], other: &[PathSegment]) -> Ordering {
    let differs = one.iter().zip(other).map(|pair| match pair {
        (PathSegment::Field(one), PathSegment::Field(other)) => one.cmp(other),
        (PathSegment::Index(one), PathSegment::Index(other)) => one.cmp(other),
        (PathSegment::Field(_), PathSegment::Index(_)) => Ordering::Less,
        (PathSegment::Index(_), PathSegment::Field(_)) => Ordering::Greater,
    });
    let differs = differs.into_iter().find(|order| order.is_ne());
    differs.unwrap_or_else(|| one.len().cmp(&other.len()))
}

/// A field as it was asked for, with the fields asked for below it by the keys of the answer, in
/// order.
#[derive(Default)]
struct Asked<'a> {
    of: Option<&'a Type>,
    below: IndexMap<&'a str, Asked<'a>>,
    /// The fields asked for of each of the types that it may be of.
    kinds: HashMap<&'a str, Asked<'a>>,
}

impl<'a> Asked<'a> {
    fn add(&mut self, shape: &'a Shape, parent: Option<&'a str>, set: &'a SelectionSet) {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => {
                    let (field, key) = (&field.node, field.node.response_key().node.as_str());
                    let name = field.name.node.as_str();
                    let of = parent.and_then(|parent| Some(&shape.field(parent, name)?.ty.node));
                    let asked = self.below.entry(key).or_default();
                    asked.of = of;
                    asked.add(shape, of.map(|of| named(of).0), &field.selection_set.node);
                }
                // What is selected of one of several types.
                Selection::InlineFragment(fragment) => {
                    let Some(on) = &fragment.node.type_condition else { continue };
                    let on = on.node.on.node.as_str();
                    let of = self.kinds.entry(on).or_default();
                    of.add(shape, Some(on), &fragment.node.selection_set.node);
                }
                // A plain operation has none.
                Selection::FragmentSpread(_) => {}
            }
        }
    }
}

/// The length of the part of `path` that leads to the innermost thing that may be null; 0 is all
/// the data. `None` if the path does not fit the fields that were asked for.
fn nullable(asked: &Asked<'_>, path: &[PathSegment]) -> Option<usize> {
    nullable_from(asked, None, path, 0, 0)
}

/// The same for the rest of `path` from `at` on, in something of the type `of`; `found` is the
/// answer if nothing further in may be null.
fn nullable_from(
    asked: &Asked<'_>,
    of: Option<&Type>,
    path: &[PathSegment],
    at: usize,
    found: usize,
) -> Option<usize> {
    let Some(segment) = path.get(at) else { return Some(found) };
    let go_on = |asked: &Asked<'_>, here: &Type| {
        let found = if here.nullable { at + 1 } else { found };
        nullable_from(asked, Some(here), path, at + 1, found)
    };
    match segment {
        PathSegment::Index(_) => match &of?.base {
            BaseType::List(item) => go_on(asked, item),
            BaseType::Named(_) => None,
        },
        // Whatever it is of, what may be null there is the same for all of them.
        PathSegment::Field(key) => {
            let each = std::iter::once(asked).chain(asked.kinds.values());
            let mut each = each.filter_map(|asked| asked.below.get(key.as_str()));
            each.find_map(|asked| go_on(asked, asked.of?))
        }
    }
}

/// Puts the fields of objects into the order of `asked`. A JSON value, below which nothing is
/// asked for, is left as it is.
fn order(asked: &Asked<'_>, data: &mut Value) {
    match data {
        Value::List(items) => items.iter_mut().for_each(|item| order(asked, item)),
        Value::Object(fields) if !asked.below.is_empty() || !asked.kinds.is_empty() => {
            let kind = match fields.get(NOTHING) {
                Some(Value::String(kind)) => asked.kinds.get(kind.as_str()),
                _ => None,
            };
            let asked = kind.unwrap_or(asked);
            if asked.below.contains_key(NOTHING) {
                fields.shift_remove(NOTHING);
            }
            let place = |key: &Name| asked.below.get_index_of(key.as_str());
            if !fields.keys().is_sorted_by_key(place) {
                fields.sort_by_cached_key(|key, _| place(key));
            }
            for (key, value) in fields {
                if let Some(asked) = asked.below.get(key.as_str()) {
                    order(asked, value);
                }
            }
        }
        _ => {}
    }
}

/// Makes the value at `path` null. A null on the way was made so because all of it failed.
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
    use async_graphql::{ServerError, Variables, parser::parse_query};
    use serde_json::json;

    use super::*;
    use crate::graphql::{request::plain::plain, schema::sdl};

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
        completed_as(query, &mut response);
        response.data.into_json().unwrap()
    }

    fn completed_as(query: &str, response: &mut Response) {
        let shape = Shape::of(&sdl()).unwrap();
        let document = parse_query(query).unwrap();
        complete(&shape, &plain(&shape, &document, &Variables::default()).unwrap(), response);
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

    #[test]
    fn fields_come_in_the_order_in_which_they_were_asked_for() {
        let query =
            "{ tokens(workflowId: \"w\") { nodes { data id ...more } } a: health { version } }
            fragment more on Token { id case { id status } caseId }";
        let data = json!({ "a": { "version": "1" }, "tokens": { "nodes": [
            { "id": "x", "caseId": "c", "case": { "status": "RUNNING", "id": "c" },
              "data": { "z": 1 } } ] } });
        let expected = r#"{"tokens":{"nodes":[{"data":{"z":1},"id":"x","case":{"id":"c","status":"RUNNING"},"caseId":"c"}]},"a":{"version":"1"}}"#;
        let mut response = Response::new(Value::from_json(data).unwrap());
        completed_as(query, &mut response);
        let text = serde_json::to_string(&response.data).unwrap();
        assert_eq!(text, expected);
    }
}
