//! One CEL expression, compiled; and evaluation errors in words.

use std::sync::Arc;

use cel::{
    Context, ExecutionError, IdedExpr, ParseErrors, Value,
    common::{
        ast::{Expr, LiteralValue, operators},
        value::CowVal,
    },
    context::VariableResolver,
};

use super::{environment::ENVIRONMENT, futile, names, rewrite::rewrite, wanted::Wanted};
use crate::engine::Budget;

/// The longest expression, in bytes.
pub(super) const MAX_LENGTH: usize = 4_096;

/// Most levels of parentheses, lists, maps and calls. The parser recurses several times a
/// level.
const MAX_NESTING: u16 = 48;

/// Most levels of the syntax tree: `1 + 1 + 1` has three. The interpreter recurses once a
/// level; a thousand levels fit the two megabytes of a worker thread in an unoptimised build.
const MAX_DEPTH: usize = 128;

/// A CEL expression that has passed every check.
#[derive(Debug, Clone)]
pub(super) struct Expression(Arc<IdedExpr>, Arc<[Join]>);

/// Two tokens of a choice that must agree: whatever else is so, the condition is false if they don't.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::engine) struct Join {
    pub one: KeyAt,
    pub other: KeyAt,
}

/// Value of a token that is compared: `tokens[1].data.order.id`.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::engine) struct KeyAt {
    /// Index of the token in the choice.
    pub token: usize,
    /// True if the path begins in the token's metadata, and not in its data.
    pub of_metadata: bool,
    pub path: Vec<String>,
}

/// The joins that an expression asks for.
fn joins(expr: &IdedExpr, found: &mut Vec<Join>) {
    let Expr::Call(call) = &expr.expr else { return };
    match (call.func_name.as_str(), &call.args[..]) {
        (operators::LOGICAL_AND, parts) => parts.iter().for_each(|part| joins(part, found)),
        (operators::EQUALS, [one, other]) => {
            if let (Some(one), Some(other)) = (key_at(one), key_at(other)) {
                found.push(Join { one, other });
            }
        }
        _ => {}
    }
}

fn key_at(mut expr: &IdedExpr) -> Option<KeyAt> {
    let mut path = Vec::new();
    while let Expr::Select(select) = &expr.expr {
        (!select.test).then_some(())?;
        path.push(select.field.clone());
        expr = &select.operand;
    }
    let token = match &expr.expr {
        Expr::Ident(name) if name == "token" => 0,
        Expr::Call(call) if call.func_name == operators::INDEX => match &call.args[..] {
            [
                IdedExpr { expr: Expr::Ident(name), .. },
                IdedExpr { expr: Expr::Literal(LiteralValue::Int(index)), .. },
            ] if name == "tokens" => usize::try_from(*index.inner()).ok()?,
            _ => return None,
        },
        _ => return None,
    };
    let part = path.pop()?;
    let of_metadata = part == "metadata";
    path.reverse();
    let is_key = (of_metadata || part == "data") && !path.is_empty();
    is_key.then_some(KeyAt { token, of_metadata, path })
}

impl Expression {
    /// Parses and checks `source`, which may name `variables`.
    ///
    /// # Errors
    ///
    /// The problems in words; all unknown names at once.
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
        let mut found = Vec::new();
        joins(&expr, &mut found);
        rewrite(&mut expr);
        Ok(Self(Arc::new(expr), found.into()))
    }

    /// The reasons, in words, that it never gives what is wanted, as far as its text and `budget` tell.
    pub(super) fn futile(&self, wanted: Wanted, budget: &Budget) -> Vec<String> {
        futile::problems(&self.0, wanted, budget)
    }

    /// The joins that it asks for.
    pub(super) fn joins(&self) -> &[Join] {
        &self.1
    }

    /// Returns true if it asks for the revision of a token.
    pub(super) fn asks_for_revision(&self) -> bool {
        names::asks_for_revision(&self.0)
    }

    /// Returns true if it asks for the case, whose marking is that of all places.
    pub(super) fn asks_for_case(&self) -> bool {
        names::asks_for(&self.0, "case")
    }

    /// Evaluates it in `context`.
    ///
    /// # Errors
    ///
    /// The interpreter's; [`reason`] has it in words.
    pub(super) fn evaluate<'e, 'v>(
        &'e self,
        context: &'e Context<'_, 'v>,
    ) -> Result<CowVal<'e, 'v>, ExecutionError> {
        Value::resolve_val(&self.0, context)
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

/// The most characters of a reason: an error of the interpreter can quote whole values.
const MAX_REASON: usize = 300;

/// `error` as a reason that a person can act on.
pub(super) fn reason(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
        // Names are checked at definition time, so only a variable without a value is left.
        ExecutionError::UndeclaredReference(name) => {
            format!("there is no {name}: the transition takes and reads no token")
        }
        ExecutionError::IndexOutOfBounds(index) => format!("no such index: {}", shown(index)),
        ExecutionError::NoSuchOverload(error) => {
            let types = error.argument_types().join(", ");
            let name = error.function().trim_matches(['_', '@']);
            format!("`{name}` can't be applied to ({types})")
        }
        ExecutionError::UnsupportedBinaryOperator(name, left, right) => {
            format!("can't {name} {} and {}", left.type_of(), right.type_of())
        }
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "division by zero".to_owned()
        }
        ExecutionError::Overflow(name, ..) => format!("{name} leaves the range of its type"),
        ExecutionError::DuplicateKey(key) => format!("a map has the key {} twice", shown(key)),
        ExecutionError::UnsupportedKeyType(key) => {
            format!("{} can't be a key of a map", shown(key))
        }
        ExecutionError::FunctionError { function, message } => {
            // The reason may be on the last line.
            let lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
            let message = lines.collect::<Vec<_>>().join(" ");
            clip(&format!("`{function}` fails: {message}"))
        }
        ExecutionError::InternalError(message) => message.clone(),
        other => clip(&other.to_string()),
    }
}

fn shown(value: &cel::Value) -> String {
    match value {
        cel::Value::Int(int) => int.to_string(),
        cel::Value::UInt(uint) => format!("{uint}u"),
        cel::Value::Float(double) => format!("{double:?}"),
        cel::Value::Bool(truth) => truth.to_string(),
        cel::Value::Null => "null".to_owned(),
        cel::Value::String(text) => clip(&format!("{text:?}")),
        other => clip(&format!("{other:?}")),
    }
}

/// The first line of `text`, cut at [`MAX_REASON`] characters.
pub(super) fn clip(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(MAX_REASON) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::cel_problems;
    use super::*;

    #[test]
    fn an_expression_that_is_none_is_a_problem_with_its_position() {
        for source in [
            "",
            "  \n",
            "1 +",
            "token.data.",
            "token data",
            "'open",
            "\u{0}",
            "has(1)",
            "tokens.all(1, true)",
        ] {
            let problems = cel_problems(source);
            assert_eq!(problems.len(), 1, "{source:?}: {problems:?}");
            assert!(!problems[0].contains('\n'), "{problems:?}");
        }
        assert!(cel_problems(" ")[0].ends_with("is empty; write a CEL expression"));
        assert!(cel_problems("true &&\n  && 1")[0].contains("line 2, column 3"));
    }

    #[test]
    fn a_long_expression_is_a_problem() {
        let source = format!("token.id == '{}'", "x".repeat(4_096));
        assert!(cel_problems(&source)[0].contains("has 4110 bytes; the most is 4096"));
    }

    #[test]
    fn a_deep_expression_is_a_problem_and_no_overflow() {
        let nested = |open: &str, inner: &str, close: &str, n: usize| {
            format!("{}{inner}{}", open.repeat(n), close.repeat(n))
        };
        for source in [
            nested("(", "true", ")", 10_000),
            nested("!", "true", "", 10_000),
            nested("(", "true", ")", 2_000),
            nested("(", "", "", 4_096),
            nested("[", "1", "]", 2_000),
            nested("{1:", "1", "}", 1_000),
            nested("true?", "true", ":true", 400),
            nested("size(", "token", ")", 500),
            nested("-(", "1", ")", 1_000),
            nested("1+", "1", "", 2_047),
            nested("1<", "1", "", 2_047),
            nested("", "token", ".a", 2_000),
            nested("", "token", "[0]", 1_300),
            nested("", "tokens", ".map(x,x)", 400),
        ] {
            assert_eq!(cel_problems(&source).len(), 1, "{}", &source[..20]);
        }
        // A row of `!` is no nesting: the parser counts them.
        assert!(cel_problems(&nested("!", "true", "", 4_000)).is_empty());
        assert!(cel_problems(&nested("(", "true", ")", 40)).is_empty());
    }

    #[test]
    fn the_deepest_allowed_expression_fits_the_stack_of_a_worker_thread() {
        let deep = std::thread::Builder::new().stack_size(1 << 20).spawn(|| {
            let sum = format!("{}1 == {MAX_DEPTH}", "1 + ".repeat(MAX_DEPTH - 3));
            let nested = format!("{}true{}", "[1].all(x, ".repeat(25), ")".repeat(25));
            for source in [sum, nested] {
                let expression = Expression::compile(&source, &["token"]).unwrap();
                let value = Value::resolve(&expression.0, &Context::with_env(ENVIRONMENT.clone()));
                assert!(value.is_err() || matches!(value, Ok(Value::Bool(_))));
            }
        });
        deep.unwrap().join().unwrap();
    }
}
