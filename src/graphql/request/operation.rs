//! One request: the parameters that a client sends, and the operation that they ask for.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{kind::OperationKind, twice::named_twice};
use async_graphql::{
    Name, Positioned, Request, Response, Variables,
    parser::{
        parse_query,
        types::{
            DocumentOperations, ExecutableDocument, FragmentDefinition, Selection, SelectionSet,
        },
    },
};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::graphql::{
    Answer, Limits,
    request::cost::{WAITS, cost, values},
    request::plain::plain,
    request::shape::Shape,
    request::spread::{Sizes, spreads},
    request::variables,
    response::code::{INVALID_REQUEST, TOO_LARGE},
    schema::{self, Schema},
};
use crate::models::unambiguous;

/// The parameters of a request, as clients send them in JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parameters {
    /// The document.
    pub query: String,
    /// The name of the operation to execute; needed if the document has several.
    #[serde(default)]
    pub operation_name: Option<String>,
    /// Values for the operation's variables.
    #[serde(default)]
    pub variables: Option<Map<String, Value>>,
    /// Parameters of extensions of the protocol, of which there are none here.
    #[serde(default)]
    pub extensions: Option<Map<String, Value>>,
}

/// A request that has been parsed and may be executed.
pub struct Operation {
    pub(in crate::graphql) request: Request,
    pub(in crate::graphql) document: Arc<ExecutableDocument>,
    kind: OperationKind,
    weight: usize,
    waits: bool,
}

/// Bytes of text that count as one operation: parsed they take some thirty times as much.
const TEXT: usize = 1024;

/// Fields that count as one operation, with fragments spread out.
const FIELDS: usize = 128;

impl Parameters {
    /// Reads parameters from a JSON object.
    pub fn from_json(body: &[u8]) -> Result<Self, Answer> {
        let value =
            unambiguous(body).map_err(|error| invalid(format!("the body is not JSON: {error}")))?;
        Self::from_value(value)
    }

    /// Reads parameters from a JSON value.
    pub(in crate::graphql) fn from_value(value: Value) -> Result<Self, Answer> {
        if value.is_array() {
            return Err(Answer::no_batch());
        }
        if !value.is_object() {
            return Err(invalid("the request is not a JSON object with a `query`"));
        }
        serde_json::from_value(value)
            .map_err(|error| invalid(format!("the parameters are malformed: {error}")))
    }
}

impl Operation {
    /// Parses a request, validates it by `checker`, and checks its cost and the values of its
    /// variables. Its plain form will be executed.
    pub(in crate::graphql) fn new(
        parameters: Parameters,
        limits: &Limits,
        shape: &Shape,
        checker: &Schema,
    ) -> Result<Self, Answer> {
        limits.check_text(&parameters.query).map_err(|problem| {
            let code = if parameters.query.len() > limits.document_bytes {
                TOO_LARGE
            } else {
                INVALID_REQUEST
            };
            Answer::refused(code, problem)
        })?;
        let name = parameters.operation_name;
        let document = match parse_query(&parameters.query) {
            Ok(document) => only(document, name.as_deref()).map_err(invalid)?,
            Err(error) => return Err(Response::from_errors(vec![error.into()]).into()),
        };
        if let Some(problem) = named_twice(&parameters.query) {
            return Err(Response::from_errors(vec![problem]).into());
        }
        limits.check_document(&document).map_err(invalid)?;
        let mut variables = parameters.variables.unwrap_or_default();
        // A subscription would keep them, as long as it lasts.
        variables.retain(|name, _| declares(&document, name));
        let mut text = parameters.query.len();
        let mut kinds = document.operations.iter().map(|(_, of)| OperationKind::of(of.node.ty));
        if kinds.any(|kind| kind == OperationKind::Subscription) {
            text += variables.iter().map(|(_, value)| value.to_string().len()).sum::<usize>();
        }
        let variables = Variables::from_json(Value::Object(variables));
        let mut kind = OperationKind::Query;
        for (_, operation) in document.operations.iter() {
            kind = OperationKind::of(operation.node.ty);
            let problems = variables::problems(shape, &operation.node, &variables);
            if !problems.is_empty() {
                return Err(Response::from_errors(problems).into());
            }
        }
        limits.check_cost(values(shape, &document, &variables)).map_err(invalid)?;
        let mut request = Request::new(parameters.query).variables(variables);
        request.operation_name = name;
        let problems = schema::problems(checker, &request, &document);
        if !problems.is_empty() {
            return Err(Response::from_errors(problems).into());
        }
        let document = plain(shape, &document, &request.variables)
            .map_err(|problem| Answer::from(Response::from_errors(vec![problem])))?;
        for (_, operation) in document.operations.iter() {
            let cost = cost(shape, &operation.node, &request.variables);
            limits.check_cost(cost).map_err(invalid)?;
        }
        let fields = Sizes::of(&document).map_err(invalid)?.operations.selections;
        let weight = text.div_ceil(TEXT).max(fields.div_ceil(FIELDS)).max(1);
        request.set_parsed_query(document.clone());
        let waits = document.operations.iter().any(|(_, of)| waits(&of.node.selection_set.node));
        Ok(Self { request, document: Arc::new(document), kind, weight, waits })
    }

    /// The number of operations that it counts as, by the memory that it takes while it is under
    /// way. The variables of a query or a mutation are counted as a message, by the server.
    pub(in crate::graphql) fn weight(&self) -> usize {
        self.weight
    }

    /// Returns true if it is under way for long, doing little: it follows, or waits.
    pub(in crate::graphql) fn lasts(&self) -> bool {
        self.waits || self.kind == OperationKind::Subscription
    }

    /// Its kind.
    pub fn kind(&self) -> OperationKind {
        self.kind
    }
}

/// Returns true if a field of the root waits, in the plain form.
fn waits(root: &SelectionSet) -> bool {
    root.items.iter().any(|item| match &item.node {
        Selection::Field(field) => field.node.name.node == WAITS,
        Selection::InlineFragment(fragment) => waits(&fragment.node.selection_set.node),
        Selection::FragmentSpread(_) => false,
    })
}

fn invalid(problem: impl Into<String>) -> Answer {
    Answer::refused(INVALID_REQUEST, problem)
}

/// Returns true if an operation of the document declares the variable.
fn declares(document: &ExecutableDocument, name: &str) -> bool {
    document.operations.iter().any(|(_, operation)| {
        let mut declared = operation.node.variable_definitions.iter();
        declared.any(|declared| declared.node.name.node == name)
    })
}

/// The document with only the operation that is asked for, and the fragments that it needs: tools
/// send whole files of operations and name one, and the others cost nothing.
fn only(
    mut document: ExecutableDocument,
    name: Option<&str>,
) -> Result<ExecutableDocument, String> {
    let DocumentOperations::Multiple(operations) = &mut document.operations else {
        return match name {
            Some(name) => Err(format!("the document has no operation named {name:?}")),
            None => Ok(document),
        };
    };
    if operations.len() == 1 && name.is_none_or(|name| operations.contains_key(name)) {
        return Ok(document);
    }
    let name = name.ok_or("the document has several operations; name one")?;
    let missing = || format!("the document has no operation named {name:?}");
    let (key, operation) = operations.remove_entry(name).ok_or_else(missing)?;
    let needed = needed(&document.fragments, &operation.node.selection_set.node);
    document.fragments.retain(|name, _| needed.contains(name));
    document.operations = DocumentOperations::Multiple(HashMap::from([(key, operation)]));
    Ok(document)
}

/// The names of the fragments that are spread in `set`, and in those.
fn needed(
    fragments: &HashMap<Name, Positioned<FragmentDefinition>>,
    set: &SelectionSet,
) -> HashSet<Name> {
    let mut found = HashSet::new();
    let mut open = Vec::new();
    spreads(set, &mut open);
    while let Some(name) = open.pop() {
        if let Some((name, fragment)) = fragments.get_key_value(name)
            && found.insert(name.clone())
        {
            spreads(&fragment.node.selection_set.node, &mut open);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn operation(json: &str) -> Result<Operation, Answer> {
        let shape = Shape::of(&crate::graphql::sdl()).unwrap();
        let limits = Limits::default();
        let checker = schema::checker(&limits);
        Operation::new(Parameters::from_json(json.as_bytes())?, &limits, &shape, &checker)
    }

    fn problem(json: &str) -> String {
        let Err(answer) = operation(json) else { panic!("{json} is an operation") };
        assert!(!answer.executed());
        String::from_utf8(answer.to_json()).unwrap()
    }

    #[test]
    fn the_kind_is_that_of_the_named_operation() {
        let both = "query A { health { version } }
            subscription B { workflowEvents(workflowId: \"w\") { kind } }";
        let both = json!({ "query": both, "operationName": "B" }).to_string();
        assert_eq!(operation(&both).unwrap().kind(), OperationKind::Subscription);
        let only = r#"{"query": "mutation M { __typename }", "variables": null}"#;
        assert_eq!(operation(only).unwrap().kind(), OperationKind::Mutation);
    }

    #[test]
    fn the_other_operations_of_a_document_and_their_fragments_cost_nothing() {
        let query = "query Dear { cases(workflowId: \"w\", first: 1000) { nodes { ...a } } }
            query Cheap { ...b } fragment b on Query { health { version } }
            fragment a on Case { history(first: 1000) { nodes { kind } } }";
        let named = |name| json!({ "query": query, "operationName": name }).to_string();
        assert!(operation(&named("Cheap")).is_ok());
        assert!(problem(&named("Dear")).contains("costs"));
    }

    #[test]
    fn what_is_no_request_says_why() {
        for (json, why) in [
            ("{", "is not JSON"),
            ("[]", "batches are not supported"),
            ("7", "not a JSON object"),
            (r#"{"id": 1}"#, "missing field `query`"),
            (r#"{"query": 1}"#, "malformed"),
            (r#"{"query": "{a}", "variables": "x"}"#, "malformed"),
            (r#"{"query": "{a"}"#, "expected"),
            (r#"{"query": "query A {a} query B {b}"}"#, "several operations"),
            (r#"{"query": "{a}", "operationName": "A"}"#, "no operation named"),
        ] {
            let answer = problem(json);
            assert!(answer.contains(why) && answer.contains("INVALID_REQUEST"), "{answer}");
            assert!(!answer.contains("\"data\""), "{answer}");
        }
    }

    /// Parts that documents are made of, and some that break them.
    const PARTS: [&str; 36] = [
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "...",
        "on ",
        "Query",
        "Case",
        "Node",
        "Subscription",
        "query ",
        "mutation ",
        "subscription ",
        "fragment ",
        "f",
        "g",
        "node",
        "health",
        "version",
        "id",
        ":",
        "$v",
        "@skip(if: ",
        "@include(if: $v)",
        "true",
        "\"x\"",
        "\"\"\"",
        "\"",
        "\\",
        "#",
        "\n",
        "{ ...f }",
        "fragment f on Query { health { version } }",
        "=",
    ];

    proptest! {
        /// Checks that any text is an operation, or is refused with a reason.
        #[test]
        fn any_text_is_an_operation_or_is_refused(
            parts in proptest::collection::vec(proptest::sample::select(&PARTS[..]), 0..60),
            deep in 0..300usize,
            variables in proptest::option::of(proptest::collection::vec(any::<Option<bool>>(), 0..3)),
        ) {
            thread_local! {
                static SCHEMA: (Shape, Schema) = (
                    Shape::of(&crate::graphql::sdl()).unwrap(),
                    schema::checker(&Limits::default()),
                );
            }
            let (first, last) = parts.split_at(parts.len() / 2);
            let query = format!("{}{}", first.concat().repeat(deep / 60 + 1), last.join(" "));
            let parameters = json!({ "query": query, "variables": variables.map(|of| json!({ "v": of })) });
            let parameters = Parameters::from_json(parameters.to_string().as_bytes()).unwrap();
            SCHEMA.with(|(shape, checker)| {
                if let Err(answer) = Operation::new(parameters, &Limits::default(), shape, checker) {
                    assert!(!answer.executed() && !answer.errors().is_empty());
                }
            });
        }
    }
}
