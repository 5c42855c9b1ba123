//! Rule trees, compiled.

use std::cmp::Ordering;

use cel::common::{
    types::{CelString, Kind},
    value::Val,
};
use serde_json::Value;

use super::{
    conditions::Failure,
    expression::MAX_LENGTH,
    reason::clip,
    rule_path::RulePath,
    scope::Variables,
    value::{from_json, with_article},
};
use crate::models::Rule;

/// How deeply rules, and the values in them, may nest.
const MAX_DEPTH: usize = 32;

/// A rule tree that has passed every check. It is decided on the same values, with the same
/// comparisons, as CEL; unlike in CEL a comparison with what isn't there is false, so that
/// `not` of it is true.
#[derive(Debug)]
pub(super) enum Test {
    Exists(RulePath),
    Compare { comparison: Comparison, path: RulePath, value: Value },
    And(Vec<Test>),
    Or(Vec<Test>),
    Not(Box<Test>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equals,
    Greater,
    Less,
    Contains,
}

impl Test {
    /// Checks `rule`; gives its compact JSON too.
    ///
    /// # Errors
    ///
    /// All that is wrong with it, in words.
    pub(super) fn compile(rule: &Rule) -> Result<(String, Self), Vec<String>> {
        // First of all: everything after this line recurses.
        if rule_exceeds(rule, MAX_DEPTH) {
            return Err(vec![format!("nests more than {MAX_DEPTH} levels deep")]);
        }
        let source = serde_json::to_string(rule).map_err(|error| vec![error.to_string()])?;
        if source.len() > MAX_LENGTH {
            let length = source.len();
            return Err(vec![format!("has {length} bytes as JSON; the most is {MAX_LENGTH}")]);
        }
        let mut problems = Vec::new();
        match Self::of(rule, &mut problems) {
            Some(test) if problems.is_empty() => Ok((source, test)),
            _ => Err(problems),
        }
    }

    fn of(rule: &Rule, problems: &mut Vec<String>) -> Option<Self> {
        let (comparison, path, value) = match rule {
            Rule::Exists(path) => return parse(path, problems).map(Self::Exists),
            Rule::And(rules) => return Self::all_of("and", rules, problems).map(Self::And),
            Rule::Or(rules) => return Self::all_of("or", rules, problems).map(Self::Or),
            Rule::Not(rule) => return Some(Self::Not(Box::new(Self::of(rule, problems)?))),
            Rule::Equals { path, value } => (Comparison::Equals, path, value),
            Rule::Greater { path, value } => (Comparison::Greater, path, value),
            Rule::Less { path, value } => (Comparison::Less, path, value),
            Rule::Contains { path, value } => (Comparison::Contains, path, value),
        };
        let ordered = matches!(comparison, Comparison::Greater | Comparison::Less);
        if ordered && !matches!(value, Value::Number(_) | Value::String(_)) {
            let name = if comparison == Comparison::Greater { "greater" } else { "less" };
            problems.push(format!("`{name}` needs a number or a text as its value, not {value}"));
        }
        let path = parse(path, problems)?;
        Some(Self::Compare { comparison, path, value: value.clone() })
    }

    fn all_of(name: &str, rules: &[Rule], problems: &mut Vec<String>) -> Option<Vec<Self>> {
        if rules.is_empty() {
            problems.push(format!("`{name}` has no rules in it"));
        }
        rules.iter().map(|rule| Self::of(rule, problems)).collect()
    }

    /// Whether it holds.
    ///
    /// # Errors
    ///
    /// Why it doesn't.
    pub(super) fn check(&self, variables: &Variables<'_>) -> Result<(), Failure> {
        match self {
            Self::Exists(path) => match path.find(variables) {
                None => Err(is_false(format!("nothing at `{path}`"))),
                Some(value) if value.get_type().kind() == Kind::NullType => {
                    Err(is_false(format!("`{path}` is null")))
                }
                Some(_) => Ok(()),
            },
            Self::Compare { comparison, path, value } => {
                compare(*comparison, path, value, variables)
            }
            Self::And(tests) => tests.iter().try_for_each(|test| test.check(variables)),
            Self::Or(tests) => {
                let mut failures = Vec::with_capacity(tests.len());
                for test in tests {
                    match test.check(variables) {
                        Ok(()) => return Ok(()),
                        Err(failure) => failures.push(failure),
                    }
                }
                Err(none_of(failures))
            }
            Self::Not(test) => match test.check(variables) {
                Ok(()) => Err(is_false("what `not` denies holds".to_owned())),
                Err(_) => Ok(()),
            },
        }
    }
}

fn parse(path: &str, problems: &mut Vec<String>) -> Option<RulePath> {
    RulePath::parse(path).map_err(|problem| problems.push(problem)).ok()
}

fn rule_exceeds(rule: &Rule, limit: usize) -> bool {
    let Some(limit) = limit.checked_sub(1) else {
        return true;
    };
    match rule {
        Rule::Exists(_) => false,
        Rule::Equals { value, .. }
        | Rule::Greater { value, .. }
        | Rule::Less { value, .. }
        | Rule::Contains { value, .. } => value_exceeds(value, limit),
        Rule::And(rules) | Rule::Or(rules) => rules.iter().any(|rule| rule_exceeds(rule, limit)),
        Rule::Not(rule) => rule_exceeds(rule, limit),
    }
}

fn value_exceeds(value: &Value, limit: usize) -> bool {
    let Some(limit) = limit.checked_sub(1) else {
        return true;
    };
    match value {
        Value::Array(items) => items.iter().any(|item| value_exceeds(item, limit)),
        Value::Object(fields) => fields.values().any(|field| value_exceeds(field, limit)),
        _ => false,
    }
}

fn compare(
    comparison: Comparison,
    path: &RulePath,
    value: &Value,
    variables: &Variables<'_>,
) -> Result<(), Failure> {
    let found = path.find(variables);
    let found = found.ok_or_else(|| cannot(format!("nothing at `{path}`")))?;
    let (found, wanted) = (found.as_ref(), from_json(value));
    let (holds, relation) = match comparison {
        Comparison::Equals => (found.equals(wanted.as_ref()), "equal"),
        Comparison::Contains => (contains(path, found, wanted.as_ref())?, "contain"),
        Comparison::Greater => {
            (order(path, found, wanted.as_ref())? == Ordering::Greater, "exceed")
        }
        Comparison::Less => (order(path, found, wanted.as_ref())? == Ordering::Less, "fall below"),
    };
    if holds {
        return Ok(());
    }
    Err(is_false(format!("`{path}` doesn't {relation} {}", clip(&value.to_string()))))
}

fn order(path: &RulePath, found: &dyn Val, wanted: &dyn Val) -> Result<Ordering, Failure> {
    let numbers = [Kind::Int, Kind::UInt, Kind::Double];
    let (left, right) = (found.get_type().kind(), wanted.get_type().kind());
    let alike = (numbers.contains(&left) && numbers.contains(&right))
        || (left == Kind::String && right == Kind::String);
    let ordering = found.as_comparer().filter(|_| alike).map(|left| left.compare(wanted));
    let mismatch = || {
        let (left, right) = (with_article(found), with_article(wanted));
        cannot(format!("`{path}` is {left}, to be compared with {right}"))
    };
    ordering.and_then(Result::ok).ok_or_else(mismatch)
}

fn contains(path: &RulePath, found: &dyn Val, wanted: &dyn Val) -> Result<bool, Failure> {
    if let Some(text) = found.downcast_ref::<CelString>() {
        let part = wanted.downcast_ref::<CelString>().ok_or_else(|| {
            cannot(format!("`{path}` is a text and can't contain {}", with_article(wanted)))
        })?;
        return Ok(text.inner().contains(part.inner()));
    }
    let container = found.as_container().ok_or_else(|| {
        cannot(format!("`{path}` is {}, which contains nothing", with_article(found)))
    })?;
    Ok(container.contains(wanted).unwrap_or(false))
}

fn is_false(detail: String) -> Failure {
    Failure { reason: format!("is false: {detail}"), failed_to_evaluate: false }
}

fn cannot(reason: String) -> Failure {
    Failure { reason, failed_to_evaluate: true }
}

/// The failure of an `or`: all the reasons, since mending any of them would do.
fn none_of(failures: Vec<Failure>) -> Failure {
    let failed_to_evaluate = failures.iter().any(|failure| failure.failed_to_evaluate);
    let reasons: Vec<_> =
        failures.iter().map(|failure| failure.reason.trim_start_matches("is false: ")).collect();
    let reasons = clip(&reasons.join("; "));
    if failed_to_evaluate { cannot(reasons) } else { is_false(reasons) }
}
