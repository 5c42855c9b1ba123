//! Properties of any expression, rule and data.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::fixture::{check, guards, in_scope};
use super::{Guards, OutputExpression};
use crate::models::{Guard, Problems, Rule};

const FIELDS: [&str; 4] = ["a", "b", "c", "d"];

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..3).prop_map(Value::from),
        (-6i64..6).prop_map(|half| json!(half as f64 / 2.0)),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[ab]{0,2}".prop_map(Value::from),
    ]
}

fn json_value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-d]", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

fn object() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-d]", json_value(), 0..4).prop_map(|map| json!(map))
}

fn leaf() -> impl Strategy<Value = Rule> {
    let path = prop_oneof![
        prop::sample::select(&FIELDS[..]).prop_map(str::to_owned),
        "[a-d]\\.[a-d]",
        "token\\.data\\.[a-d]",
    ];
    let ordered = || scalar().prop_filter("has an order", |v| v.is_number() || v.is_string());
    prop_oneof![
        path.clone().prop_map(Rule::Exists),
        (path.clone(), json_value()).prop_map(|(path, value)| Rule::Equals { path, value }),
        (path.clone(), ordered()).prop_map(|(path, value)| Rule::Greater { path, value }),
        (path.clone(), ordered()).prop_map(|(path, value)| Rule::Less { path, value }),
        (path, scalar()).prop_map(|(path, value)| Rule::Contains { path, value }),
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    leaf().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(Rule::And),
            prop::collection::vec(inner.clone(), 1..3).prop_map(Rule::Or),
            inner.prop_map(|rule| Rule::Not(Box::new(rule))),
        ]
    })
}

/// `value` as a CEL literal.
fn literal(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_u64() && number.as_i64().is_none() => {
            format!("{number}u")
        }
        Value::Number(number) if number.as_i64() == Some(i64::MIN) => format!("{number}"),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(literal).collect::<Vec<_>>().join(", "))
        }
        Value::Object(fields) => {
            let field = |(key, value)| format!("{}: {}", json!(key), literal(value));
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// The CEL expression that means the same as `rule`: an operation that can't be done is false.
fn cel(rule: &Rule) -> String {
    let join = |rules: &[Rule], with| rules.iter().map(cel).collect::<Vec<_>>().join(with);
    let numbers = "[int, uint, double]";
    match rule {
        Rule::Exists(path) => {
            let path = full(path);
            format!("({} && {path} != null)", present(&path))
        }
        Rule::Equals { path, value } => {
            let path = full(path);
            format!("({} && {path} == {})", present(&path), literal(value))
        }
        Rule::Greater { path, value } | Rule::Less { path, value } => {
            let path = full(path);
            let operator = if matches!(rule, Rule::Greater { .. }) { ">" } else { "<" };
            let kinds = if value.is_string() { "[string]" } else { numbers };
            let value = literal(value);
            format!("({} && type({path}) in {kinds} && {path} {operator} {value})", present(&path))
        }
        Rule::Contains { path, value } => {
            let (path, there) = (full(path), present(&full(path)));
            let text = value.is_string();
            let value = literal(value);
            let in_text =
                if text { format!("{path}.contains({value})") } else { "false".to_owned() };
            let in_map = if text { format!("{value} in {path}") } else { "false".to_owned() };
            format!(
                "({there} && (type({path}) == string ? {in_text} : type({path}) == list ? \
                 {value} in {path} : type({path}) == map ? {in_map} : false))"
            )
        }
        Rule::And(rules) => format!("({})", join(rules, " && ")),
        Rule::Or(rules) => format!("({})", join(rules, " || ")),
        Rule::Not(rule) => format!("!({})", cel(rule)),
    }
}

fn full(path: &str) -> String {
    if path.starts_with("token.") { path.to_owned() } else { format!("token.data.{path}") }
}

/// CEL for: something is at `path`, and all before its last part are maps.
fn present(path: &str) -> String {
    let (parent, _) = path.rsplit_once('.').unwrap();
    if parent == "token.data" {
        return format!("has({path})");
    }
    format!("has({parent}) && type({parent}) == map && has({path})")
}

fn holds(guards: &Guards, data: &Value) -> bool {
    in_scope(std::slice::from_ref(data), |scope| guards.check(scope)).is_ok()
}

/// Expressions that parse, most of them.
fn expression() -> impl Strategy<Value = String> {
    let start = prop::sample::select(STARTS).prop_map(str::to_owned);
    start.prop_recursive(4, 24, 3, |inner| {
        let pair = (inner.clone(), prop::sample::select(OPERATORS), inner.clone());
        let call = (inner.clone(), prop::sample::select(CALLS), inner.clone());
        prop_oneof![
            pair.prop_map(|(left, operator, right)| format!("({left} {operator} {right})")),
            call.prop_map(|(value, call, argument)| format!(
                "({value}){}",
                call.replace('#', &argument)
            )),
            (inner.clone(), prop::sample::select(FUNCTIONS))
                .prop_map(|(value, function)| format!("{function}({value})")),
            prop::collection::vec(inner.clone(), 0..3)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            (inner.clone(), inner).prop_map(|(key, value)| format!("{{'k': {value}, {key}: 1}}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_rule_and_the_cel_that_says_the_same_agree(rule in rule(), data in object()) {
        let source = cel(&rule);
        prop_assume!(source.len() <= 4_096);
        let by_rule = guards(&[Guard::Rule(rule)]);
        let by_cel = guards(&[Guard::Cel(source.clone())]);
        let failure = in_scope(std::slice::from_ref(&data), |scope| by_cel.check(scope)).err();
        prop_assert!(failure.is_none_or(|failure| !failure.failed_to_evaluate), "{source}");
        prop_assert_eq!(holds(&by_rule, &data), holds(&by_cel, &data), "{}", source);
    }

    #[test]
    fn data_equals_its_own_literal_from_either_side(data in object()) {
        let literal = literal(&data);
        prop_assume!(literal.len() <= 2_000);
        let one = [data];
        prop_assert_eq!(check(&format!("token.data == {literal}"), &one), Ok(()));
        prop_assert_eq!(check(&format!("{literal} == token.data"), &one), Ok(()));
        prop_assert_eq!(check(&format!("token.data in [{literal}]"), &one), Ok(()));
    }

    #[test]
    fn an_output_gives_json_back_as_it_was(data in object()) {
        let mut problems = Problems::default();
        let output = OutputExpression::compile("data", "output", &mut problems).unwrap();
        let made = in_scope(&[json!({})], |scope| output.evaluate(scope, &data, None));
        prop_assert_eq!(made.map(Value::Object), Ok(data));
    }

    #[test]
    fn no_text_makes_the_compiler_panic(source in ".{0,60}") {
        let mut problems = Problems::default();
        let guards = Guards::compile(&[Guard::Cel(source)], "conditions", &mut problems);
        prop_assert_eq!(guards.is_empty(), !problems.0.is_empty());
    }

    #[test]
    fn no_row_of_cel_words_makes_anything_panic(
        words in prop::collection::vec(prop::sample::select(WORDS), 0..16),
        data in object(),
    ) {
        let source = words.concat();
        let mut problems = Problems::default();
        let guards = Guards::compile(&[Guard::Cel(source.clone())], "conditions", &mut problems);
        let _ = in_scope(std::slice::from_ref(&data), |scope| guards.check(scope));
        if let Some(output) = OutputExpression::compile(&source, "output", &mut problems) {
            let _ = in_scope(std::slice::from_ref(&data), |scope| output.evaluate(scope, &data, None));
        }
    }

    #[test]
    fn no_evaluation_panics(source in expression(), data in object()) {
        let mut problems = Problems::default();
        if let Some(output) = OutputExpression::compile(&source, "output", &mut problems) {
            let _ = in_scope(std::slice::from_ref(&data), |scope| output.evaluate(scope, &data, None));
        }
        let guards = Guards::compile(&[Guard::Cel(source)], "conditions", &mut problems);
        let _ = in_scope(std::slice::from_ref(&data), |scope| guards.check(scope));
    }
}

const WORDS: &[&str] = &[
    "token",
    "tokens",
    "case",
    "now",
    "data",
    ".data",
    ".a",
    ".b",
    ".?a",
    "[0]",
    "['a']",
    "[?1]",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "?",
    "!",
    "-",
    "+",
    "*",
    "/",
    "%",
    " in ",
    "==",
    "!=",
    "<",
    ">=",
    "&&",
    "||",
    "1",
    "2u",
    "1.5",
    "-9223372036854775808",
    "18446744073709551615u",
    "'a'",
    "r'",
    "b'\\xff'",
    "\"",
    "'''",
    "\\",
    "has(",
    "size(",
    ".size()",
    ".all(x, ",
    ".map(x, ",
    ".exists(x, ",
    ".filter(x, ",
    "x",
    "int(",
    "string(",
    "timestamp(",
    "duration('1h')",
    ".matches(",
    ".getHours('x')",
    "type(",
    "dyn(",
    "null",
    "true",
    "false",
    "optional.of(",
    ".orValue(",
    "\u{0}",
    "é",
    "//",
    "\n",
    "`a`",
    ".",
    "..",
    "0x",
    "1e999",
    "99999999999999999999",
];

const STARTS: &[&str] = &[
    "token.data",
    "token.data.a",
    "token.data.b",
    "token.?data.c",
    "tokens",
    "case.marking",
    "now",
    "0",
    "1",
    "-1",
    "2u",
    "0.5",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615u",
    "1e308",
    "'a'",
    "''",
    "'UTC'",
    "'9999999999'",
    "b'\\xff'",
    "true",
    "false",
    "null",
    "duration('2562047h')",
    "duration('-2562047h')",
    "int",
    "timestamp('0001-01-01T00:00:00Z')",
    "timestamp('9999-12-31T23:59:59Z')",
    "optional.none()",
];

const OPERATORS: &[&str] =
    &["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "in", "? 1 :"];

const CALLS: &[&str] = &[
    ".a",
    ".?a",
    "[#]",
    "[?#]",
    ".size()",
    ".contains(#)",
    ".startsWith(#)",
    ".endsWith(#)",
    ".matches(#)",
    ".getHours(#)",
    ".getDayOfYear()",
    ".getMilliseconds()",
    ".getDate(#)",
    ".hasValue()",
    ".value()",
    ".or(#)",
    ".orValue(#)",
    ".all(x, #)",
    ".exists(x, x == #)",
    ".map(x, [x, #])",
    ".filter(x, x != #)",
    ".exists_one(x, x in #)",
    ".map(x, x + #)",
];

const FUNCTIONS: &[&str] = &[
    "!",
    "-",
    "size",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "bool",
    "duration",
    "timestamp",
    "type",
    "dyn",
    "optional.of",
    "optional.ofNonZeroValue",
];
