//! Output expressions: what a firing adds to the data of the tokens it gives.

use cel::common::types::Kind;
use serde_json::{Map, Value};

use super::{
    expression::{Expression, context},
    scope::{OUTPUT_VARIABLES, Scope, Variables},
    value::{map_to_json, with_article},
};
use crate::models::Problems;

/// A transition's output expression, compiled. A clone shares it.
#[derive(Debug, Clone)]
pub struct OutputExpression(Expression);

impl OutputExpression {
    /// Compiles `source`, a CEL expression over `token`, `tokens`, `case`, `now` and `data`.
    /// Everything that is wrong with it becomes a problem at `path`, and then there is none.
    pub fn compile(source: &str, path: &str, problems: &mut Problems) -> Option<Self> {
        match Expression::compile(source, OUTPUT_VARIABLES) {
            Ok(expression) => Some(Self(expression)),
            Err(messages) => {
                messages.into_iter().for_each(|message| problems.add(path, message));
                None
            }
        }
    }

    /// Evaluates it; `data` is the data of the produced token so far, visible as `data`.
    ///
    /// # Errors
    ///
    /// Why it gave no JSON object, in words.
    pub fn evaluate(&self, scope: &Scope<'_>, data: &Value) -> Result<Map<String, Value>, String> {
        let variables = Variables::with_data(scope, data);
        let context = context(&variables);
        let value = self.0.evaluate(&context)?;
        if value.get_type().kind() != Kind::Map {
            return Err(format!("gave {}, not a map", with_article(value.as_ref())));
        }
        map_to_json(value.as_ref())
    }
}
