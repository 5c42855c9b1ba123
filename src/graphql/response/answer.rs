//! Answers to operations.

use async_graphql::{Response, ServerError, Value};
use serde::Serialize;

use crate::graphql::{
    response::code::{FORBIDDEN, INTERNAL, INVALID_REQUEST, OVERLOADED},
    response::error::{classify, refusal},
    work::Charge,
};

/// A GraphQL response.
#[derive(Debug)]
pub struct Answer {
    data: Value,
    errors: Vec<ServerError>,
    executed: bool,
    /// Its part of the bytes of all answers, until it has been sent.
    charge: Option<Box<Charge>>,
}

impl Answer {
    /// A response to a request that was not executed.
    pub fn refused(code: &str, message: impl Into<String>) -> Self {
        Self {
            data: Value::Null,
            errors: vec![refusal(code, message)],
            executed: false,
            charge: None,
        }
    }

    /// A response to a batch of requests.
    pub(in crate::graphql) fn no_batch() -> Self {
        let why = "batches are not supported; send one operation a request";
        Self::refused(INVALID_REQUEST, why)
    }

    /// The same, counted among all answers.
    pub(in crate::graphql) fn charged(self, charge: Charge) -> Self {
        Self { charge: Some(Box::new(charge)), ..self }
    }

    /// Takes out its part of the bytes of all answers, to be kept until it has been sent.
    pub fn take_charge(&mut self) -> Option<Charge> {
        self.charge.take().map(|charge| *charge)
    }

    /// A response to a request that finds no room now; tried again it may find some.
    pub fn overloaded(message: impl Into<String>) -> Self {
        let mut error = refusal(OVERLOADED, message);
        error.extensions.get_or_insert_default().set("retryable", true);
        Self { data: Value::Null, errors: vec![error], executed: false, charge: None }
    }

    /// Returns true if the operation was executed, with or without errors. If not, the answer has
    /// no `data`.
    pub fn executed(&self) -> bool {
        self.executed
    }

    /// Returns true if a fault of this program kept it from being executed.
    pub fn failed(&self) -> bool {
        self.was_refused_as(INTERNAL)
    }

    /// Returns true if there was no room for it.
    pub fn found_no_room(&self) -> bool {
        self.was_refused_as(OVERLOADED)
    }

    /// Returns true if the caller may not do it.
    pub fn was_forbidden(&self) -> bool {
        self.was_refused_as(FORBIDDEN)
    }

    /// Returns true if it was not executed, for the reason of this code.
    fn was_refused_as(&self, code: &str) -> bool {
        let has_code = |error: &ServerError| {
            let given = error.extensions.as_ref().and_then(|values| values.get("code"));
            given == Some(&Value::from(code))
        };
        !self.executed && self.errors.iter().any(has_code)
    }

    /// The response as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        // GraphQL values, strings and numbers are always JSON.
        serde_json::to_vec(&self.body()).unwrap_or_default()
    }

    /// The payload of a websocket message: the response, or the errors of one not executed.
    pub(in crate::graphql) fn body(&self) -> Body<'_> {
        let data = self.executed.then_some(&self.data);
        Body { errors: &self.errors, data }
    }

    /// The errors alone.
    pub(in crate::graphql) fn errors(&self) -> &[ServerError] {
        &self.errors
    }
}

impl From<Answer> for Response {
    /// A response, which counts among all answers no more: nobody says when it has been sent.
    fn from(answer: Answer) -> Self {
        let mut response = Self::from_errors(answer.errors);
        response.data = answer.data;
        response
    }
}

impl From<Response> for Answer {
    /// An answer. Errors that come from executing have a path; the request's own have none.
    fn from(response: Response) -> Self {
        let mut errors = response.errors;
        let executed =
            errors.is_empty() || response.data != Value::Null || errors.iter().any(has_path);
        errors.iter_mut().for_each(classify);
        Self { data: response.data, errors, executed, charge: None }
    }
}

fn has_path(error: &ServerError) -> bool {
    !error.path.is_empty()
}

/// A response as it is written. Errors first, as the specification advises.
#[derive(Serialize)]
pub(in crate::graphql) struct Body<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ServerError],
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
}
