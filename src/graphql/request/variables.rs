//! The values of variables, checked against the operation's declarations before anything is
//! executed (GraphQL specification, "Coercing Variable Values"). A value that does not fit is the
//! request's fault, so it must be known before execution.

use std::cmp::Ordering;

use async_graphql::{
    Name, ServerError, Value, Variables,
    parser::types::{BaseType, OperationDefinition, Type},
};

use crate::graphql::{request::shape::Shape, response::error::invalid_argument, scalars};

/// Characters of a refused value that are shown.
const SHOWN: usize = 80;

/// Problems that are told at once.
const TOLD: usize = 100;

/// The problems of the values given for the variables of an operation; all of them, up to [`TOLD`]
/// and one that says that there are more.
pub(in crate::graphql) fn problems(
    shape: &Shape,
    operation: &OperationDefinition,
    given: &Variables,
) -> Vec<ServerError> {
    let mut errors = Vec::new();
    for declared in &operation.variable_definitions {
        if errors.len() > TOLD {
            break;
        }
        let (name, of) = (&declared.node.name.node, &declared.node.var_type.node);
        let mut found = Found { shape, problems: Vec::new(), left: TOLD - errors.len() };
        match given.get(name) {
            Some(value) => found.check(name.as_str(), value, of),
            None if declared.node.default_value().is_some() => {}
            None => found.add(name.as_str(), format!("is missing; it must be given, as {of}")),
        }
        errors.extend(found.problems.into_iter().map(|(path, problem)| {
            let message = format!("Variable ${path} {problem}");
            let mut error = ServerError::new(message, Some(declared.pos));
            invalid_argument(&mut error, &path);
            error
        }));
    }
    errors
}

struct Found<'a> {
    shape: &'a Shape,
    /// The problems, each with its path in the variables.
    problems: Vec<(String, String)>,
    /// Number of problems that may still be told.
    left: usize,
}

impl Found<'_> {
    fn add(&mut self, path: &str, problem: impl Into<String>) {
        match self.problems.len().cmp(&self.left) {
            Ordering::Less => self.problems.push((path.to_owned(), problem.into())),
            Ordering::Equal => {
                let more = format!("is not the last problem; the first {TOLD} are told");
                self.problems.push((path.to_owned(), more));
            }
            Ordering::Greater => {}
        }
    }

    fn is_full(&self) -> bool {
        self.problems.len() > self.left
    }

    fn check(&mut self, path: &str, value: &Value, of: &Type) {
        if self.is_full() {
            return;
        }
        match (value, &of.base) {
            (Value::Null, _) if of.nullable => {}
            (Value::Null, _) => self.add(path, format!("is null, and {of} is expected")),
            (Value::List(items), BaseType::List(item)) => {
                for (at, value) in items.iter().enumerate() {
                    if self.is_full() {
                        return;
                    }
                    self.check(&format!("{path}[{at}]"), value, item);
                }
            }
            // One value stands for a list of it.
            (value, BaseType::List(item)) => self.check(path, value, item),
            (value, BaseType::Named(name)) => self.check_named(path, value, name),
        }
    }

    fn check_named(&mut self, path: &str, value: &Value, name: &Name) {
        if let Some(input) = self.shape.input(name) {
            let Value::Object(given) = value else { return self.unfit(path, value, name) };
            let fields = input.fields.iter().map(|field| &field.node);
            for field in fields.clone() {
                let (of, below) = (&field.ty.node, format!("{path}.{}", field.name.node));
                match given.get(&field.name.node) {
                    Some(value) => self.check(&below, value, of),
                    None if of.nullable || field.default_value.is_some() => {}
                    None => self.add(&below, format!("is missing; it must be given, as {of}")),
                }
            }
            let known = |name: &Name| fields.clone().any(|field| field.name.node == *name);
            for unknown in given.keys().filter(|name| !known(name)) {
                if self.is_full() {
                    return;
                }
                self.add(&format!("{path}.{unknown}"), format!("is no field of {name}"));
            }
        } else if let Some(choice) = self.shape.choice(name) {
            let names = || choice.values.iter().map(|value| value.node.value.node.as_str());
            let fits = match value {
                Value::String(text) => names().any(|name| name == text),
                Value::Enum(text) => names().any(|name| name == text.as_str()),
                _ => false,
            };
            if !fits {
                let all = names().collect::<Vec<_>>().join(", ");
                self.add(path, format!("is {}, and one of {all} is expected", shown(value)));
            }
        } else if !is_scalar(value, name) {
            self.unfit(path, value, name);
        }
    }

    fn unfit(&mut self, path: &str, value: &Value, name: &Name) {
        let of = match name.as_str() {
            "Int" => "a whole number from -2147483648 to 2147483647 (Int)",
            "ID" => "a string (ID)",
            "Sequence" | "BigInt" => {
                "a whole number from 0 to 18446744073709551615, best as a string"
            }
            other => other,
        };
        self.add(path, format!("is {}, and {of} is expected", shown(value)));
    }
}

/// Returns true if a value is one of a scalar type. Validation reports a type that does not exist.
fn is_scalar(value: &Value, name: &Name) -> bool {
    let whole = |value: &Value| match value {
        Value::Number(number) => number.as_i64(),
        _ => None,
    };
    match name.as_str() {
        "Int" => whole(value).is_some_and(|number| i32::try_from(number).is_ok()),
        "Float" => matches!(value, Value::Number(_)),
        "String" => matches!(value, Value::String(_)),
        "Boolean" => matches!(value, Value::Boolean(_)),
        "ID" => matches!(value, Value::String(_)) || whole(value).is_some(),
        "Sequence" | "BigInt" => scalars::parse(value).is_ok(),
        _ => true,
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use serde_json::json;

    use super::*;
    use crate::graphql::schema::sdl;

    /// The problems with `variables` for an operation that declares `declared`.
    fn found(declared: &str, variables: serde_json::Value) -> Vec<String> {
        let document = parse_query(format!("query ({declared}) {{ a }}")).unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        let shape = Shape::of(&sdl()).unwrap();
        let errors = problems(&shape, &operation.node, &Variables::from_json(variables));
        errors.into_iter().map(|error| error.message).collect()
    }

    #[test]
    fn what_fits_its_declaration_has_no_problems() {
        let declared = "$a: ID!, $b: Int, $c: Int! = 5, $d: [ID!], $e: Sequence, $f: CaseStatus";
        let given = json!({ "a": 7, "d": "one", "e": "18446744073709551615", "f": "RUNNING" });
        assert_eq!(found(declared, given), Vec::<String>::new());
        let given = json!({ "a": "x", "b": null, "d": ["a", "b"], "e": 7, "other": true });
        assert_eq!(found(declared, given), Vec::<String>::new());
    }

    #[test]
    fn all_that_does_not_fit_is_found_and_says_where_it_is() {
        let input = json!({ "name": "W", "places": [{ "id": "a" }, { "kind": "END", "x": 1 }],
            "initialPlace": null, "expectedVersion": 99_999_999_999_u64 });
        let found = found("$input: CreateWorkflowInput!, $id: ID!", json!({ "input": input }));
        for expected in [
            "$input.places[1].id is missing",
            "$input.places[1].kind is \"END\", and one of NORMAL, TERMINAL is expected",
            "$input.places[1].x is no field of PlaceInput",
            "$input.transitions is missing",
            "$input.initialPlace is null, and ID! is expected",
            "$input.expectedVersion is 99999999999, and a whole number from",
            "$id is missing; it must be given, as ID!",
        ] {
            assert!(
                found.iter().any(|problem| problem.contains(expected)),
                "{expected}: {found:?}"
            );
        }
        assert_eq!(found.len(), 7, "{found:?}");
    }

    #[test]
    fn of_a_great_many_problems_the_first_are_told_and_that_there_are_more() {
        let ids = vec![json!(true); 100_000];
        let found = found("$ids: [ID!]!, $more: [ID!]!", json!({ "ids": ids, "more": ids }));
        assert_eq!(found.len(), TOLD + 1);
        assert!(found[TOLD].contains("the first 100 are told"), "{}", found[TOLD]);
    }

    #[test]
    fn a_sequence_may_be_a_number_or_a_string_and_nothing_else() {
        for refused in
            [json!(-1), json!(1.5), json!("x"), json!(true), json!("18446744073709551616")]
        {
            let found = found("$s: Sequence", json!({ "s": refused }));
            assert!(found[0].contains("from 0 to 18446744073709551615"), "{found:?}");
        }
    }
}
