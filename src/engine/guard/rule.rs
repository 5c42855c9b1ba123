//! Rule trees, compiled.

use cel::common::types::Kind;
use serde_json::Value;

use super::{
    comparison::{Comparison, compare},
    conditions::Failure,
    expression::MAX_LENGTH,
    expression::clip,
    rule_path::RulePath,
    scope::Variables,
};
use crate::models::Rule;

/// Most levels of rules, and of the values in them.
const MAX_DEPTH: usize = 32;

/// A rule tree that has passed every check. It is decided on the same values, with the same
/// comparisons, as CEL. Unlike in CEL a comparison with a missing value is false, so that
/// `not` of it is true.
#[derive(Debug)]
pub(super) enum Test {
    Exists(RulePath),
    Compare { comparison: Comparison, path: RulePath, value: Value },
    And(Vec<Test>),
    Or(Vec<Test>),
    Not(Box<Test>),
}

impl Test {
    /// Checks `rule`; returns its compact JSON too.
    ///
    /// # Errors
    ///
    /// All its problems, in words.
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
        // All of them first, so that every problem is found.
        let tests: Vec<_> = rules.iter().map(|rule| Self::of(rule, problems)).collect();
        tests.into_iter().collect()
    }

    /// Returns true if a path of it begins at the case.
    pub(super) fn asks_for_case(&self) -> bool {
        match self {
            Self::Exists(path) | Self::Compare { path, .. } => path.is_of_case(),
            Self::And(tests) | Self::Or(tests) => tests.iter().any(Self::asks_for_case),
            Self::Not(test) => test.asks_for_case(),
        }
    }

    /// Checks that it holds.
    ///
    /// # Errors
    ///
    /// The reason that it doesn't.
    pub(super) fn check(&self, variables: &Variables<'_>) -> Result<(), Failure> {
        match self {
            Self::Exists(path) => match path.find(variables) {
                None => Err(Failure::decided(&format!("nothing at `{path}`"))),
                Some(value) if value.get_type().kind() == Kind::NullType => {
                    Err(Failure::decided(&format!("`{path}` is null")))
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
                Ok(()) => Err(Failure::decided("what `not` denies holds")),
                Err(_) => Ok(()),
            },
        }
    }
}

fn parse(path: &str, problems: &mut Vec<String>) -> Option<RulePath> {
    RulePath::parse(path).map_err(|problem| problems.push(problem.to_string())).ok()
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

/// The failure of an `or`: all the reasons, since mending any of them would do.
fn none_of(failures: Vec<Failure>) -> Failure {
    let failed_to_evaluate = failures.iter().any(|failure| failure.failed_to_evaluate);
    let reasons: Vec<_> =
        failures.iter().map(|failure| failure.reason.trim_start_matches("is false: ")).collect();
    let reasons = clip(&reasons.join("; "));
    if failed_to_evaluate { Failure::undecided(reasons) } else { Failure::decided(&reasons) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixture::{check_rule, problems};
    use super::*;
    use crate::models::Guard;

    fn order() -> Value {
        json!({
            "amount": 150.5, "count": 5, "status": "paid", "none": null, "big": u64::MAX,
            "tags": ["new", 7, { "a": 1 }], "items": [{ "sku": "x1" }], "address": { "zip": "1" },
            "0": "zero"
        })
    }

    #[test]
    fn rules_hold_for_what_is_there() {
        for rule in [
            json!({ "exists": "amount" }),
            json!({ "exists": "token.data.items.0.sku" }),
            json!({ "exists": "0" }),
            json!({ "equals": { "path": "count", "value": 5.0 } }),
            json!({ "equals": { "path": "none", "value": null } }),
            json!({ "equals": { "path": "address", "value": { "zip": "1" } } }),
            json!({ "equals": { "path": "tags", "value": ["new", 7.0, { "a": 1 }] } }),
            json!({ "equals": { "path": "items.0.sku", "value": "x1" } }),
            json!({ "equals": { "path": "tokens.0.place", "value": "received" } }),
            json!({ "equals": { "path": "case.marking.received", "value": 1 } }),
            json!({ "greater": { "path": "amount", "value": 100 } }),
            json!({ "greater": { "path": "big", "value": 1 } }),
            json!({ "less": { "path": "amount", "value": 150.6 } }),
            json!({ "less": { "path": "status", "value": "pending" } }),
            json!({ "contains": { "path": "tags", "value": 7.0 } }),
            json!({ "contains": { "path": "tags", "value": { "a": 1 } } }),
            json!({ "contains": { "path": "status", "value": "ai" } }),
            json!({ "contains": { "path": "address", "value": "zip" } }),
            json!({ "not": { "equals": { "path": "missing", "value": 1 } } }),
            json!({ "and": [{ "exists": "amount" }, { "not": { "exists": "none" } }] }),
            json!({ "or": [{ "exists": "missing" }, { "exists": "count" }] }),
        ] {
            assert_eq!(check_rule(rule.clone(), order()), Ok(()), "{rule}");
        }
    }

    #[test]
    fn a_rule_that_does_not_hold_says_why() {
        for (rule, reason) in [
            (json!({ "exists": "a.b" }), "is false: nothing at `a.b`"),
            (json!({ "exists": "none" }), "is false: `none` is null"),
            (
                json!({ "equals": { "path": "count", "value": 6 } }),
                "is false: `count` doesn't equal 6",
            ),
            (
                json!({ "greater": { "path": "count", "value": 5 } }),
                "is false: `count` doesn't exceed 5",
            ),
            (
                json!({ "equals": { "path": "items.1.sku", "value": 1 } }),
                "nothing at `items.1.sku`",
            ),
            (
                json!({ "less": { "path": "status", "value": 5 } }),
                "`status` is a string, to be compared with an int",
            ),
            (
                json!({ "contains": { "path": "count", "value": 5 } }),
                "`count` is an int, which contains nothing",
            ),
            (
                json!({ "contains": { "path": "status", "value": 5 } }),
                "`status` is a text and can't contain an int",
            ),
            (json!({ "not": { "exists": "count" } }), "is false: what `not` denies holds"),
            (
                json!({ "or": [{ "exists": "a" }, { "less": { "path": "count", "value": 1 } }] }),
                "is false: nothing at `a`; `count` doesn't fall below 1",
            ),
        ] {
            let failure = check_rule(rule.clone(), order()).unwrap_err();
            assert_eq!(failure.reason, reason, "{rule}");
            assert_eq!(failure.failed_to_evaluate, !reason.starts_with("is false"), "{rule}");
            assert_eq!(failure.source, rule.to_string());
        }
    }

    #[test]
    fn a_wrong_rule_is_a_problem() {
        let greater = |value| Rule::Greater { path: "a".to_owned(), value };
        for (rule, words) in [
            (Rule::Exists(String::new()), "empty part"),
            (Rule::Exists("a..b".to_owned()), "empty part"),
            (Rule::Exists("token.".to_owned()), "empty part"),
            (Rule::Exists("token.dat.x".to_owned()), "unknown name `dat`"),
            (Rule::Exists("case.state".to_owned()), "unknown name `state`"),
            (Rule::Exists("tokens.0.dat".to_owned()), "unknown name `dat`"),
            (Rule::Exists("tokens.first".to_owned()), "no position of a token"),
            (greater(json!(true)), "needs a number or a text"),
            (Rule::And(vec![]), "`and` has no rules in it"),
            (Rule::Not(Box::new(Rule::Or(vec![]))), "`or` has no rules in it"),
            (
                Rule::Equals { path: "a".to_owned(), value: json!("x".repeat(5_000)) },
                "bytes as JSON",
            ),
        ] {
            let problems = problems(Guard::Rule(rule));
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].contains(words), "{problems:?}");
        }
        let both = Rule::And(vec![Rule::Exists(String::new()), Rule::Exists(".".to_owned())]);
        assert_eq!(problems(Guard::Rule(both)).len(), 2);
    }

    #[test]
    fn a_deep_rule_is_a_problem_and_no_overflow() {
        let deep =
            |n| (0..n).fold(Rule::Exists("a".to_owned()), |rule, _| Rule::Not(Box::new(rule)));
        assert_eq!(problems(Guard::Rule(deep(MAX_DEPTH - 1))), Vec::<String>::new());
        for levels in [MAX_DEPTH, 10_000] {
            assert!(problems(Guard::Rule(deep(levels)))[0].contains("32 levels deep"));
        }
        let value = (0..MAX_DEPTH).fold(json!(1), |value, _| json!([value]));
        let rule = Rule::Equals { path: "a".to_owned(), value };
        assert!(problems(Guard::Rule(rule))[0].contains("32 levels deep"));
    }
}
