//! The functions that expressions may call.

use cel::{
    Context, IdedExpr, Value,
    common::ast::{CallExpr, Expr, LiteralValue},
};

use super::{environment::ENVIRONMENT, expression::clip};

/// Names, each with the numbers of arguments it takes.
type Functions = &'static [(&'static str, &'static [usize])];

/// The functions called as `name(…)`, with the numbers of arguments they take.
const FUNCTIONS: Functions = &[
    ("bool", &[1]),
    ("bytes", &[1]),
    ("double", &[1]),
    ("duration", &[1]),
    ("dyn", &[1]),
    ("int", &[1]),
    ("matches", &[2]),
    ("size", &[1]),
    ("string", &[1]),
    ("timestamp", &[1]),
    ("type", &[1]),
    ("uint", &[1]),
];

/// The functions called as `optional.name(…)`.
const OPTIONAL_FUNCTIONS: Functions = &[("none", &[0]), ("of", &[1]), ("ofNonZeroValue", &[1])];

/// The functions called as `value.name(…)`.
const METHODS: Functions = &[
    ("contains", &[1]),
    ("endsWith", &[1]),
    ("getDate", &[0, 1]),
    ("getDayOfMonth", &[0, 1]),
    ("getDayOfWeek", &[0, 1]),
    ("getDayOfYear", &[0, 1]),
    ("getFullYear", &[0, 1]),
    ("getHours", &[0, 1]),
    ("getMilliseconds", &[0, 1]),
    ("getMinutes", &[0, 1]),
    ("getMonth", &[0, 1]),
    ("getSeconds", &[0, 1]),
    ("hasValue", &[0]),
    ("matches", &[1]),
    ("or", &[1]),
    ("orValue", &[1]),
    ("size", &[0]),
    ("startsWith", &[1]),
    ("value", &[0]),
];

/// The macros called as `value.name(…)`. The parser has replaced every one that was called
/// as it should be.
const METHOD_MACROS: Functions = &[
    ("all", &[2]),
    ("exists", &[2]),
    ("exists_one", &[2]),
    ("existsOne", &[2]),
    ("filter", &[2]),
    ("map", &[2, 3]),
];

/// The macro called as `has(…)`.
const FUNCTION_MACROS: Functions = &[("has", &[1])];

/// Form of a function's call.
#[derive(Debug, Clone, Copy)]
pub(super) enum Style {
    /// `name(…)`
    Function,
    /// `value.name(…)`
    Method,
    /// `optional.name(…)`
    Optional,
}

/// The fault of a call, whatever it is called with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CallProblem {
    #[error("unknown function `{name}`; known {what} are {known}")]
    Unknown { name: String, what: &'static str, known: String },
    #[error("`{name}` takes {counts} argument{}, not {given}", if .counts == "1" { "" } else { "s" })]
    Arguments { name: String, counts: String, given: usize },
    #[error("`{0}` is no regular expression")]
    Pattern(String),
}

/// Returns true if `call` has the name of a macro: it was called wrongly, or the parser would
/// have replaced it.
pub(super) fn is_macro(call: &CallExpr) -> bool {
    METHOD_MACROS.iter().chain(FUNCTION_MACROS).any(|(name, _)| *name == call.func_name)
}

/// Checks that the interpreter knows the function of `call` with as many arguments.
///
/// # Errors
///
/// The problem, with the names of all functions.
pub(super) fn check(call: &CallExpr, style: Style) -> Result<(), CallProblem> {
    let (name, given) = (call.func_name.as_str(), call.args.len());
    if name.starts_with(['_', '@', '!', '-']) {
        // An operator. No such name can be written.
        return Ok(());
    }
    let (functions, macros, what) = match style {
        Style::Function => (FUNCTIONS, FUNCTION_MACROS, "functions"),
        Style::Method => (METHODS, METHOD_MACROS, "functions of values"),
        Style::Optional => (OPTIONAL_FUNCTIONS, &[] as Functions, "functions of `optional`"),
    };
    let known = || functions.iter().chain(macros);
    let Some((_, counts)) = known().find(|(known, _)| *known == name) else {
        let names: Vec<_> = known().map(|(name, _)| *name).collect();
        return Err(CallProblem::Unknown { name: name.to_owned(), what, known: names.join(", ") });
    };
    if !counts.contains(&given) {
        let counts: Vec<_> = counts.iter().map(usize::to_string).collect();
        let counts = counts.join(" or ");
        return Err(CallProblem::Arguments { name: name.to_owned(), counts, given });
    }
    if name == "matches" { check_pattern(call) } else { Ok(()) }
}

/// Checks a pattern that is written out.
fn check_pattern(call: &CallExpr) -> Result<(), CallProblem> {
    match call.args.last().map(|e| &e.expr) {
        Some(Expr::Literal(LiteralValue::String(text))) => pattern(text.inner()),
        _ => Ok(()),
    }
}

/// Checks that `pattern` is one. The interpreter itself is asked, so that its engine and no other
/// decides.
pub(super) fn pattern(pattern: &str) -> Result<(), CallProblem> {
    let text = |text: &str| IdedExpr {
        id: 0,
        expr: Expr::Literal(LiteralValue::String(text.to_owned().into())),
    };
    let args = vec![text(""), text(pattern)];
    let probe = CallExpr { func_name: "matches".to_owned(), target: None, args };
    let probe = IdedExpr { id: 0, expr: Expr::Call(probe) };
    match Value::resolve(&probe, &Context::with_env(ENVIRONMENT.clone())) {
        Ok(_) => Ok(()),
        Err(_) => Err(CallProblem::Pattern(clip(pattern))),
    }
}

#[cfg(test)]
mod tests {
    use cel::{ExecutionError, Program};

    use super::super::fixture::{cel_problems, one_cel_problem as only};
    use super::*;

    #[test]
    fn an_unknown_function_is_a_problem_that_lists_the_known_ones() {
        assert!(
            only("len(tokens) > 0").contains("unknown function `len`; known functions are bool")
        );
        assert!(
            only("token.id.beginsWith('x')").contains("`beginsWith`; known functions of values")
        );
        assert!(
            only("optional.some(1).hasValue()").contains("known functions of `optional` are none")
        );
        assert!(only("size(tokens, 1) > 0").contains("`size` takes 1 argument, not 2"));
        assert!(only("tokens.all(t)").contains("`all` takes 2 arguments, not 1"));
        assert!(only("Foo{a: 1}.a == 1").contains("can't make a `Foo`"));
    }

    #[test]
    fn a_pattern_that_is_none_is_a_problem() {
        assert!(only("token.id.matches('[')").contains("no regular expression"));
        assert!(only("matches(token.id, '(')").contains("no regular expression"));
        assert_eq!(cel_problems("token.id.matches('^order-[0-9]+$')"), Vec::<String>::new());
    }

    /// Returns true if the interpreter knows the function that `source` calls. Its error about
    /// arguments that don't fit shows that.
    fn is_known(source: &str) -> bool {
        let program = Program::compile(source).unwrap();
        let result = program.execute(&Context::with_env(ENVIRONMENT.clone()));
        !matches!(result, Err(ExecutionError::UndeclaredReference(name)) if *name != "x")
    }

    #[test]
    fn the_lists_of_functions_are_the_interpreters_own() {
        for (name, _) in FUNCTIONS {
            assert!(is_known(&format!("{name}(1, 2, 3, 4)")), "{name}");
        }
        for (name, _) in METHODS {
            assert!(is_known(&format!("1.{name}(1, 2, 3, 4)")), "{name}");
        }
        for (name, _) in OPTIONAL_FUNCTIONS {
            assert!(is_known(&format!("optional.{name}(1, 2, 3, 4)")), "{name}");
        }
        assert!(!is_known("1.nothing()") && !is_known("nothing(1)"));
    }
}
