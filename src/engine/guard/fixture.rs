//! A token, a case and a scope for the tests of this folder.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeZone, Utc};
use serde_json::{Map, Value, json};

use super::{GuardFailure, Guards, OutputExpression, Scope};
use crate::engine::Budget;
use crate::models::{
    CaseId, CaseStatus, Guard, LogSequence, PlaceId, Problems, Rule, Token, TokenId, WorkflowId,
};

pub(super) fn time() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 14, 15, 9, 26).unwrap()
}

pub(super) fn token(number: u64, data: Value) -> Token {
    let workflow = WorkflowId::new("orders").unwrap();
    let case = CaseId::new("order-7").unwrap();
    Token {
        id: TokenId::of_case(&workflow.tag(), &case, number),
        workflow,
        case,
        place: PlaceId::new("received").unwrap(),
        data,
        metadata: Map::from_iter([("source".to_owned(), json!("web"))]),
        created_at: time(),
        updated_at: time(),
        history: Default::default(),
        history_total: 0,
        nats_sequence: LogSequence::new(41),
        nats_timestamp: None,
        nats_subject: None,
    }
}

/// Calls `with` with a scope of one token for each of `data`.
pub(super) fn in_scope<T>(data: &[Value], with: impl FnOnce(&Scope<'_>) -> T) -> T {
    let tokens: Vec<_> = (1..).zip(data).map(|(n, data)| token(n, data.clone())).collect();
    let tokens: Vec<_> = tokens.iter().collect();
    let marking = BTreeMap::from([(PlaceId::new("received").unwrap(), tokens.len() as u64)]);
    with(&Scope {
        tokens: &tokens,
        workflow: &WorkflowId::new("orders").unwrap(),
        case: &CaseId::new("order-7").unwrap(),
        status: CaseStatus::Running,
        marking: &marking,
        now: time(),
        budget: &Budget::of(100_000),
    })
}

pub(super) fn guards(guards: &[Guard]) -> Guards {
    let mut problems = Problems::default();
    let compiled = Guards::compile(guards, "conditions", &mut problems);
    assert_eq!(problems, Problems::default());
    compiled
}

pub(super) fn check(source: &str, data: &[Value]) -> Result<(), GuardFailure> {
    let guards = guards(&[Guard::Cel(source.to_owned())]);
    in_scope(data, |scope| guards.check(scope))
}

pub(super) fn check_rule(rule: Value, data: Value) -> Result<(), GuardFailure> {
    let rule: Rule = serde_json::from_value(rule).unwrap();
    let guards = guards(&[Guard::Rule(rule)]);
    in_scope(&[data], |scope| guards.check(scope))
}

/// The reason that `source` doesn't hold.
pub(super) fn reason(source: &str, data: Value) -> String {
    check(source, &[data]).unwrap_err().reason
}

/// The problems of one guard, each as text.
pub(super) fn problems(guard: Guard) -> Vec<String> {
    let mut problems = Problems::default();
    Guards::compile(&[guard], "transitions[2].conditions", &mut problems);
    problems.0.iter().map(ToString::to_string).collect()
}

pub(super) fn cel_problems(source: &str) -> Vec<String> {
    problems(Guard::Cel(source.to_owned()))
}

pub(super) fn output(source: &str, token: Value, data: Value) -> Result<Value, String> {
    let mut problems = Problems::default();
    let output = OutputExpression::compile(source, "output", &mut problems);
    assert_eq!(problems, Problems::default());
    let output = output.unwrap();
    let made = in_scope(&[token], |scope| output.evaluate(scope, &data, None));
    made.map(Value::Object).map_err(|error| error.to_string())
}

/// The only problem of `source`.
pub(super) fn one_cel_problem(source: &str) -> String {
    let mut problems = cel_problems(source);
    assert_eq!(problems.len(), 1, "{source}: {problems:?}");
    problems.remove(0)
}
