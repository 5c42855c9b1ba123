//! One CEL expression, compiled.

use std::sync::Arc;

use cel::{
    Context, IdedExpr, ParseErrors, Value, common::value::CowVal, context::VariableResolver,
};

use super::{
    environment::ENVIRONMENT,
    names,
    reason::{clip, reason},
    rewrite::rewrite,
};

/// The longest expression, in bytes.
pub(super) const MAX_LENGTH: usize = 4_096;

/// How deeply parentheses, lists, maps and calls may nest. The parser recurses several times a
/// level.
const MAX_NESTING: u16 = 48;

/// How deep the syntax tree may be: `1 + 1 + 1` is three deep. The interpreter recurses once a
/// level; a thousand levels fit the two megabytes of a worker thread in an unoptimised build.
const MAX_DEPTH: usize = 128;

/// A CEL expression that has passed every check.
#[derive(Debug, Clone)]
pub(super) struct Expression(Arc<IdedExpr>);

impl Expression {
    /// Parses and checks `source`, which may name `variables`.
    ///
    /// # Errors
    ///
    /// What is wrong, in words; all unknown names at once.
    pub(super) fn compile(source: &str, variables: &[&str]) -> Result<Self, Vec<String>> {
        if source.trim().is_empty() {
            return Err(vec!["is empty; write a CEL expression".to_owned()]);
        }
        if source.len() > MAX_LENGTH {
            let length = source.len();
            return Err(vec![format!("has {length} bytes; the most is {MAX_LENGTH}")]);
        }
        let expr = ENVIRONMENT.parser().max_recursion_depth(MAX_NESTING).parse(source);
        let mut expr = expr.map_err(|errors| vec![syntax_problem(&errors)])?;
        if names::depth_exceeds(&expr, MAX_DEPTH) {
            return Err(vec![format!("chains or nests more than {MAX_DEPTH} operations")]);
        }
        let unknown = names::unknown(&expr, variables);
        if !unknown.is_empty() {
            return Err(unknown);
        }
        rewrite(&mut expr);
        Ok(Self(Arc::new(expr)))
    }

    /// Evaluates it in `context`.
    ///
    /// # Errors
    ///
    /// The interpreter's error in words.
    pub(super) fn evaluate<'e, 'v>(
        &'e self,
        context: &'e Context<'_, 'v>,
    ) -> Result<CowVal<'e, 'v>, String> {
        Value::resolve_val(&self.0, context).map_err(|error| reason(&error))
    }
}

/// A context whose variables come from `variables`.
pub(super) fn context<'v>(variables: &'v dyn VariableResolver) -> Context<'v, 'v> {
    let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
    context.set_variable_resolver(variables);
    context
}

/// The first of the parser's errors, on one line.
fn syntax_problem(errors: &ParseErrors) -> String {
    let Some(error) = errors.errors.first() else {
        return "is no CEL expression".to_owned();
    };
    if error.msg.contains("Recursion limit") {
        return format!("nests more than {MAX_NESTING} levels deep");
    }
    let (line, column) = error.pos;
    format!("is no CEL expression: line {line}, column {column}: {}", clip(&error.msg))
}
