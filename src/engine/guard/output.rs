//! Output expressions: the data that a firing adds to the tokens it gives.

use cel::common::types::Kind;
use serde_json::{Map, Value};

use super::{
    expression::{Expression, context, reason},
    futile::PASSING_REVISION,
    scope::{ANSWER_VARIABLES, OUTPUT_VARIABLES, Scope, Variables},
    value::{NotJson, map_to_json, to_json, with_article},
    wanted::Wanted,
};
use crate::engine::{Budget, RanOut};
use crate::models::Problems;

/// The reason that an output expression gave no JSON object.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// Its evaluation failed.
    #[error("{reason}")]
    Evaluation {
        /// The interpreter's error in words.
        reason: String,
    },
    /// Its evaluation costs too much.
    #[error("{0}")]
    RanOut(RanOut),
    /// It gave something else than a map.
    #[error("gave {kind}, not a map")]
    NoMap {
        /// The name of the value's type, after its article.
        kind: String,
    },
    /// It gave a map that JSON can't hold.
    #[error(transparent)]
    NotJson(#[from] NotJson),
}

/// A transition's output expression, compiled. A clone shares it.
#[derive(Debug, Clone)]
pub struct OutputExpression(Expression);

impl OutputExpression {
    /// Compiles `source`, a CEL expression over `token`, `tokens`, `case`, `now` and `data`.
    /// Each error in it becomes a problem at `path`, and then there is no expression.
    pub fn compile(source: &str, path: &str, problems: &mut Problems) -> Option<Self> {
        Self::over(OUTPUT_VARIABLES, source, path, problems)
    }

    /// The same over these and `result`, the answer of an activity's worker.
    pub fn compile_answer(source: &str, path: &str, problems: &mut Problems) -> Option<Self> {
        Self::over(ANSWER_VARIABLES, source, path, problems)
    }

    fn over(
        variables: &'static [&'static str],
        source: &str,
        path: &str,
        problems: &mut Problems,
    ) -> Option<Self> {
        match Expression::compile(source, variables) {
            Ok(expression) => Some(Self(expression)),
            Err(messages) => {
                messages.into_iter().for_each(|message| problems.add(path, message));
                None
            }
        }
    }

    /// Adds the problems at `path` of an expression that can't give a JSON object, as its text tells
    /// within `budget`.
    /// Versions before this check stored such outputs.
    pub fn refuse_futile(&self, path: &str, budget: &Budget, problems: &mut Problems) {
        for message in self.0.futile(Wanted::Object, budget) {
            problems.add(path, message);
        }
    }

    /// Adds a problem at `path` if it asks for the revision of a token, in a transition that fires by
    /// itself: a token that the same record made has none yet.
    pub(in crate::engine) fn refuse_passing(&self, path: &str, problems: &mut Problems) {
        if self.0.asks_for_revision() {
            problems.add(path, PASSING_REVISION);
        }
    }

    /// Returns true if it asks for the case, whose marking is that of all places.
    pub(in crate::engine) fn asks_for_case(&self) -> bool {
        self.0.asks_for_case()
    }

    /// Adds the problems at `path` of an expression that JSON can't hold, as its text tells within
    /// `budget`.
    pub(in crate::engine) fn refuse_no_json(
        &self,
        path: &str,
        budget: &Budget,
        problems: &mut Problems,
    ) {
        for message in self.0.futile(Wanted::Json, budget) {
            problems.add(path, message);
        }
    }

    /// Evaluates it to any JSON value; `data` is visible as `data`.
    ///
    /// # Errors
    ///
    /// The reason that it gave none.
    pub(in crate::engine) fn value(
        &self,
        scope: &Scope<'_>,
        data: &Value,
    ) -> Result<Value, OutputError> {
        let variables = Variables::with_data(scope, data, None);
        let context = context(&variables);
        let value = self.0.evaluate(&context);
        let value = value.map_err(|error| OutputError::Evaluation { reason: reason(&error) })?;
        if let Some(ran_out) = scope.budget.ran_out() {
            return Err(OutputError::RanOut(ran_out));
        }
        Ok(to_json(value.as_ref())?)
    }

    /// Evaluates it; `data` is the data of the produced token so far, visible as `data`, and `result` is
    /// the answer of an activity's worker.
    ///
    /// # Errors
    ///
    /// The reason that it gave no JSON object.
    pub fn evaluate(
        &self,
        scope: &Scope<'_>,
        data: &Value,
        result: Option<&Value>,
    ) -> Result<Map<String, Value>, OutputError> {
        let variables = Variables::with_data(scope, data, result);
        let context = context(&variables);
        let value = self.0.evaluate(&context);
        let value = value.map_err(|error| OutputError::Evaluation { reason: reason(&error) })?;
        if let Some(ran_out) = scope.budget.ran_out() {
            return Err(OutputError::RanOut(ran_out));
        }
        if value.get_type().kind() != Kind::Map {
            return Err(OutputError::NoMap { kind: with_article(value.as_ref()) });
        }
        Ok(map_to_json(value.as_ref())?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixture::output;
    use super::*;

    #[test]
    fn an_output_is_made_of_tokens_and_the_data_so_far() {
        let token = json!({ "net": 100, "rate": 0.2, "tags": ["a", { "b": null }] });
        let made = output(
            "{'gross': double(token.data.net) * (1.0 + token.data.rate), 'seen': data.seen + 1, \
              'tags': token.data.tags, 'case': case.id, 'at': now, 'waited': now - token.created_at, \
              'count': tokens.size(), ?'left': token.data.?missing}",
            token,
            json!({ "seen": 1 }),
        );
        let wanted = json!({
            "gross": 120.0, "seen": 2, "tags": ["a", { "b": null }], "case": "order-7",
            "at": "2026-03-14T15:09:26Z", "waited": "0s", "count": 1
        });
        assert_eq!(made, Ok(wanted));
    }

    #[test]
    fn what_goes_through_unchanged_stays_the_same_json() {
        let data =
            json!({ "big": u64::MAX, "small": i64::MIN, "half": 0.5, "one": 1.0, "l": [[], {}] });
        assert_eq!(output("token.data", data.clone(), json!({})), Ok(data.clone()));
        assert_eq!(output("{'d': data}", json!({}), data.clone()), Ok(json!({ "d": data })));
    }

    #[test]
    fn an_output_that_is_no_json_object_is_an_error() {
        let error = |source| output(source, json!({}), json!({})).unwrap_err();
        assert_eq!(error("1 + 1"), "gave an int, not a map");
        assert_eq!(error("[token.data]"), "gave a list, not a map");
        assert_eq!(error("{'a': b'x'}"), "JSON can't hold a bytes");
        assert_eq!(error("{'a': token.data.?x}"), "JSON can't hold an optional_type");
        assert_eq!(error("{1: 2}"), "a key is an int, not text");
        assert_eq!(error("{'a': 1.0 / 0.0}"), "JSON has no number inf");
        assert_eq!(error("{'a': token.data.x}"), "no such key: x");
        assert_eq!(error("{'a': 1 / 0}"), "division by zero");
    }

    #[test]
    fn a_wrong_output_is_a_problem_at_its_path() {
        let mut problems = Problems::default();
        let none = OutputExpression::compile("{'a': dta}", "transitions[0].output", &mut problems);
        assert!(none.is_none());
        let problem = "unknown name `dta`; known are token, tokens, case, now, data";
        assert_eq!(problems.0[0].to_string(), format!("transitions[0].output: {problem}"));
    }
}
