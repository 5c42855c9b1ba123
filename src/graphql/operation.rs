//! One request: what a client sends, and what it asks to be done.

use async_graphql::{
    Request, Variables,
    parser::types::{DocumentOperations, ExecutableDocument, OperationType},
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    Answer, Limits,
    error::{INVALID_REQUEST, TOO_LARGE},
};

/// The parameters of a request, as clients send them in JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parameters {
    /// The document.
    pub query: String,
    /// Which of the document's operations; needed if it has several.
    #[serde(default)]
    pub operation_name: Option<String>,
    /// Values for the operation's variables.
    #[serde(default)]
    pub variables: Option<Map<String, Value>>,
    /// For extensions of the protocol, of which there are none here.
    #[serde(default)]
    pub extensions: Option<Map<String, Value>>,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationKind {
    /// Reads.
    Query,
    /// Changes.
    Mutation,
    /// Follows.
    Subscription,
}

/// A request that has been parsed and may be executed.
pub struct Operation {
    pub(super) request: Request,
    kind: OperationKind,
}

impl Parameters {
    /// Reads parameters from a JSON object.
    pub fn from_json(body: &[u8]) -> Result<Self, Answer> {
        let value: Value = serde_json::from_slice(body)
            .map_err(|error| invalid(format!("the body is not JSON: {error}")))?;
        Self::from_value(value)
    }

    /// Reads parameters from a JSON value.
    pub(super) fn from_value(value: Value) -> Result<Self, Answer> {
        if value.is_array() {
            return Err(invalid("batches are not supported; send one operation a request"));
        }
        if !value.is_object() {
            return Err(invalid("the request is not a JSON object with a `query`"));
        }
        serde_json::from_value(value)
            .map_err(|error| invalid(format!("the parameters are malformed: {error}")))
    }
}

impl Operation {
    /// Parses a request and checks what it may cost to look at.
    pub(super) fn new(parameters: Parameters, limits: &Limits) -> Result<Self, Answer> {
        limits.check_text(&parameters.query).map_err(|problem| {
            let code = if parameters.query.len() > limits.document_bytes {
                TOO_LARGE
            } else {
                INVALID_REQUEST
            };
            Answer::refused(code, problem)
        })?;
        let mut request = Request::new(parameters.query);
        let variables = Value::Object(parameters.variables.unwrap_or_default());
        request.variables = Variables::from_json(variables);
        let document = match request.parsed_query() {
            Ok(document) => document,
            Err(error) => return Err(async_graphql::Response::from_errors(vec![error]).into()),
        };
        limits.check_document(document).map_err(invalid)?;
        let kind = kind(document, parameters.operation_name.as_deref()).map_err(invalid)?;
        request.operation_name = parameters.operation_name;
        Ok(Self { request, kind })
    }

    /// What it does.
    pub fn kind(&self) -> OperationKind {
        self.kind
    }
}

fn invalid(problem: impl Into<String>) -> Answer {
    Answer::refused(INVALID_REQUEST, problem)
}

fn kind(document: &ExecutableDocument, name: Option<&str>) -> Result<OperationKind, String> {
    let operation = match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => operation,
        (DocumentOperations::Multiple(operations), None) => {
            let mut all = operations.values();
            match (all.next(), all.next()) {
                (Some(only), None) => only,
                _ => return Err("the document has several operations; name one".to_owned()),
            }
        }
        (DocumentOperations::Multiple(operations), Some(name)) if operations.contains_key(name) => {
            &operations[name]
        }
        (_, Some(name)) => return Err(format!("the document has no operation named {name:?}")),
    };
    Ok(match operation.node.ty {
        OperationType::Query => OperationKind::Query,
        OperationType::Mutation => OperationKind::Mutation,
        OperationType::Subscription => OperationKind::Subscription,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(json: &str) -> Result<Operation, Answer> {
        Operation::new(Parameters::from_json(json.as_bytes())?, &Limits::default())
    }

    fn problem(json: &str) -> String {
        let Err(answer) = operation(json) else { panic!("{json} is an operation") };
        assert!(!answer.executed());
        String::from_utf8(answer.to_json()).unwrap()
    }

    #[test]
    fn the_kind_is_that_of_the_named_operation() {
        let both = r#"{"query": "query A { health { version } } subscription B { x }",
                       "operationName": "B"}"#;
        assert_eq!(operation(both).unwrap().kind(), OperationKind::Subscription);
        let only = r#"{"query": "mutation M { x }", "variables": null}"#;
        assert_eq!(operation(only).unwrap().kind(), OperationKind::Mutation);
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
}
