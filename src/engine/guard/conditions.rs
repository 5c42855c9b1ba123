//! The conditions of a transition.

use std::{fmt, sync::Arc};

use cel::{Context, common::types::CelBool};

use super::{
    expression::{Expression, Join, context, reason},
    rule::Test,
    scope::{GUARD_VARIABLES, Scope, Variables},
    value::with_article,
    wanted::Wanted,
};
use crate::engine::Budget;
use crate::models::{Guard, Problems};

/// All conditions of one transition, compiled. A clone shares them.
#[derive(Debug, Clone, Default)]
pub struct Guards(pub(super) Arc<[Condition]>);

#[derive(Debug)]
pub(super) struct Condition {
    pub index: usize,
    pub source: String,
    pub form: Form,
}

#[derive(Debug)]
pub(super) enum Form {
    Cel(Expression),
    Rule(Test),
}

/// A condition that doesn't hold, or can't be told to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuardFailure {
    /// Its place among the transition's conditions, from 0.
    pub index: usize,
    /// Its text; for a rule its compact JSON.
    pub source: String,
    /// Reason: `is false`, `is false: …` with the value that a rule found, or the evaluation
    /// error in words.
    pub reason: String,
    /// True if it could not be evaluated, so that it counts as false without being so.
    pub failed_to_evaluate: bool,
}

impl fmt::Display for GuardFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "condition {} `{}` ", self.index, self.source)?;
        if self.failed_to_evaluate {
            f.write_str("could not be evaluated: ")?;
        }
        f.write_str(&self.reason)
    }
}

impl std::error::Error for GuardFailure {}

/// Reason that a condition doesn't hold.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) reason: String,
    pub(super) failed_to_evaluate: bool,
}

impl Failure {
    /// A rule that was decided and doesn't hold.
    pub(super) fn decided(detail: &str) -> Self {
        Self { reason: format!("is false: {detail}"), failed_to_evaluate: false }
    }

    /// A rule or an expression that could not be decided.
    pub(super) fn undecided(reason: String) -> Self {
        Self { reason, failed_to_evaluate: true }
    }
}

impl Guards {
    /// Compiles `guards`. Each error in one becomes a problem at `path[i]`, and such a guard
    /// is left out.
    pub fn compile(guards: &[Guard], path: &str, problems: &mut Problems) -> Self {
        let mut conditions = Vec::with_capacity(guards.len());
        for (index, guard) in guards.iter().enumerate() {
            let compiled = match guard {
                Guard::Cel(source) => Expression::compile(source, GUARD_VARIABLES)
                    .map(|one| (source.clone(), Form::Cel(one))),
                Guard::Rule(rule) => {
                    Test::compile(rule).map(|(text, test)| (text, Form::Rule(test)))
                }
            };
            match compiled {
                Ok((source, form)) => conditions.push(Condition { index, source, form }),
                Err(messages) => {
                    messages.into_iter().for_each(|m| problems.add(format!("{path}[{index}]"), m));
                }
            }
        }
        Self(conditions.into())
    }

    /// Adds a problem at `path[i]` for each expression that can't give true or false, as its text
    /// tells within `budget`. Older versions stored such conditions.
    pub fn refuse_futile(&self, path: &str, budget: &Budget, problems: &mut Problems) {
        for condition in self.0.iter() {
            if let Form::Cel(expression) = &condition.form {
                for message in expression.futile(Wanted::Verdict, budget) {
                    problems.add(format!("{path}[{}]", condition.index), message);
                }
            }
        }
    }

    /// The joins that conditions ask for.
    pub(in crate::engine) fn joins(&self) -> impl Iterator<Item = &Join> {
        self.0.iter().flat_map(|condition| match &condition.form {
            Form::Cel(expression) => expression.joins(),
            Form::Rule(_) => &[],
        })
    }

    /// Returns true if a condition asks for the case, whose marking is that of all places.
    pub(in crate::engine) fn ask_for_case(&self) -> bool {
        self.0.iter().any(|condition| match &condition.form {
            Form::Cel(expression) => expression.asks_for_case(),
            Form::Rule(test) => test.asks_for_case(),
        })
    }

    /// Returns true if there is nothing to check.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks that all conditions hold for `scope`, in order.
    ///
    /// # Errors
    ///
    /// The first that is false, and the reason; where none is, the first that can't be evaluated. So
    /// it is with the parts of one condition that `&&` joins.
    pub fn check(&self, scope: &Scope<'_>) -> Result<(), GuardFailure> {
        if self.is_empty() {
            return Ok(());
        }
        let variables = Variables::new(scope);
        let mut undecided = None;
        for condition in self.0.iter() {
            let verdict = match &condition.form {
                Form::Cel(expression) => is_true(expression, &context(&variables)),
                Form::Rule(test) => test.check(&variables),
            };
            let ran_out = scope.budget.ran_out();
            // What an `||` or a `not` made of an error that ran out decides nothing.
            let verdict = match ran_out {
                Some(ran_out) => Err(Failure::undecided(ran_out.to_string())),
                None => verdict,
            };
            let Err(failure) = verdict else { continue };
            let is_last_word = !failure.failed_to_evaluate || ran_out.is_some();
            let failure = GuardFailure {
                index: condition.index,
                source: condition.source.clone(),
                reason: failure.reason,
                failed_to_evaluate: failure.failed_to_evaluate,
            };
            if is_last_word {
                return Err(failure);
            }
            undecided.get_or_insert(failure);
        }
        undecided.map_or(Ok(()), Err)
    }
}

fn is_true(expression: &Expression, context: &Context<'_, '_>) -> Result<(), Failure> {
    let value = expression.evaluate(context);
    let value = value.map_err(|error| Failure::undecided(reason(&error)))?;
    match value.downcast_ref::<CelBool>().map(|truth| *truth.inner()) {
        Some(true) => Ok(()),
        Some(false) => Err(Failure { reason: "is false".to_owned(), failed_to_evaluate: false }),
        None => {
            let kind = with_article(value.as_ref());
            Err(Failure::undecided(format!("gave {kind}, not true or false")))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixture::{check, guards, in_scope, reason};
    use super::*;

    #[test]
    fn numbers_compare_by_value_whatever_their_form() {
        for amount in [json!(101), json!(150.5), json!(u64::MAX), json!(1e300)] {
            assert_eq!(check("token.data.amount > 100", &[json!({ "amount": amount })]), Ok(()));
            assert_eq!(check("token.data.amount > 100.0", &[json!({ "amount": amount })]), Ok(()));
        }
        for amount in [json!(100), json!(99.5), json!(-7), json!(i64::MIN)] {
            let failure = check("token.data.amount > 100", &[json!({ "amount": amount })]);
            assert_eq!(failure.unwrap_err().reason, "is false");
        }
        for five in [json!(5), json!(5.0)] {
            for source in ["token.data.n == 5", "token.data.n == 5.0", "5u == token.data.n"] {
                assert_eq!(check(source, &[json!({ "n": five })]), Ok(()), "{source} with {five}");
            }
        }
    }

    #[test]
    fn a_missing_key_makes_a_guard_false_and_is_named() {
        let failure = check("token.data.amount > 100", &[json!({})]).unwrap_err();
        assert!(failure.failed_to_evaluate);
        assert_eq!(
            failure.to_string(),
            "condition 0 `token.data.amount > 100` could not be evaluated: no such key: amount"
        );
        assert_eq!(reason("token.data.a.b == 1", json!({ "a": {} })), "no such key: b");
        assert_eq!(reason("token.data['k'] == 1", json!({})), "no such key: k");
        assert_eq!(reason("token.data.l[3] == 1", json!({ "l": [1] })), "no such index: 3");
    }

    #[test]
    fn the_first_guard_that_fails_is_reported_with_its_place() {
        let all = ["true", "token.data.x == 1", "false"].map(|g| Guard::Cel(g.to_owned()));
        let guards = guards(&all);
        let failure = in_scope(&[json!({ "x": 2 })], |scope| guards.check(scope)).unwrap_err();
        assert_eq!(failure.to_string(), "condition 1 `token.data.x == 1` is false");
        assert!(!failure.failed_to_evaluate);
    }

    #[test]
    fn a_guard_that_gives_no_truth_value_has_failed_and_is_not_false() {
        assert!(check("1 + 1", &[json!({})]).unwrap_err().failed_to_evaluate);
        assert_eq!(reason("1 + 1", json!({})), "gave an int, not true or false");
        assert_eq!(reason("token.data", json!({})), "gave a map, not true or false");
        assert_eq!(
            reason("token.data.name", json!({ "name": "x" })),
            "gave a string, not true or false"
        );
    }

    #[test]
    fn presence_can_be_asked_for() {
        let data = json!({ "x": null, "deep": { "y": 1 } });
        for source in [
            "has(token.data.x)",
            "!has(token.data.z)",
            "has(token.data.deep.y) && !has(token.data.deep.z)",
            "'x' in token.data && !('z' in token.data)",
            "token.data.x == null",
            "token.data.?z.orValue(7) == 7",
            "token.data[?'deep'].y.hasValue()",
            "size(token.data) == 2",
        ] {
            assert_eq!(check(source, std::slice::from_ref(&data)), Ok(()), "{source}");
        }
    }

    #[test]
    fn a_token_and_its_case_are_seen_whole() {
        for source in [
            "token.id.startsWith('order-7-') && token.place == 'received'",
            "token.metadata.source == 'web' && token.revision == 41",
            "token.created_at <= now && now - token.updated_at < duration('1s')",
            "now == timestamp('2026-03-14T15:09:26Z') && now.getFullYear() == 2026",
            "case.id == 'order-7' && case.workflow == 'orders' && case.status == 'running'",
            "case.marking.received == 2 && !('shipped' in case.marking)",
            "case.marking.map(place, place) == ['received']",
            "tokens.size() == 2 && tokens[1].data.ok && token.id == tokens[0].id",
            "tokens.all(t, t.data.ok) && tokens.exists(token, token.data.n == 2)",
            "tokens.map(t, t.data.n) == [1, 2] && tokens.exists_one(t, t.data.n == 2)",
            "tokens.filter(t, t.data.n > 1).size() == 1",
            "type(token.data) == map && type(token.created_at) == google.protobuf.Timestamp",
            "token.map(field, field) == ['id', 'place', 'data', 'metadata', 'created_at', 'updated_at', 'revision']",
        ] {
            let data = [json!({ "ok": true, "n": 1 }), json!({ "ok": true, "n": 2 })];
            assert_eq!(check(source, &data), Ok(()), "{source}");
        }
    }

    #[test]
    fn without_tokens_a_guard_over_a_token_is_false() {
        let failure = check("token.data.x == 1", &[]).unwrap_err();
        assert_eq!(failure.reason, "there is no token: the transition takes and reads no token");
        assert_eq!(check("tokens.size() == 0", &[]), Ok(()));
    }

    #[test]
    fn maps_and_lists_are_equal_on_either_side() {
        let data = json!({ "a": { "x": [1, { "y": 2.0 }] }, "l": [{ "k": 1 }], "n": {} });
        for source in [
            "token.data.a == {'x': [1, {'y': 2}]}",
            "{'x': [1, {'y': 2}]} == token.data.a",
            "!({'x': [1, {'y': 3}]} == token.data.a) && {'x': 1} != token.data.a",
            "token.data.l == [{'k': 1}] && [{'k': 1}] == token.data.l",
            "{'k': 1} in token.data.l && token.data.l[0] in [{'k': 1}]",
            "token.data.a == token.data.a && token.data.a != token.data.l",
            "tokens.map(t, t.data.l[0]) == [{'k': 1}] && [{'k': 1}] == tokens.map(t, t.data.l[0])",
            "{'d': {'k': 1}} == {'d': token.data.l[0]} && {'d': token.data.l[0]} == {'d': {'k': 1}}",
            "token.data.n == {} && {} == token.data.n && token.data.l + [1] == [{'k': 1}, 1]",
            "optional.of(token.data.n).hasValue() && !optional.ofNonZeroValue(token.data.n).hasValue()",
        ] {
            assert_eq!(check(source, std::slice::from_ref(&data)), Ok(()), "{source}");
        }
    }

    #[test]
    fn a_type_mismatch_is_a_reason_in_words() {
        let data = json!({ "a": "x", "n": 1 });
        assert_eq!(
            reason("token.data.a > 1", data.clone()),
            "`>` can't be applied to (string, int)"
        );
        assert_eq!(reason("token.data.n * 1.5 > 1.0", data.clone()), "can't mul int and float");
        assert_eq!(reason("token.data.n.foo", data), "`.` can't be applied to (int, string)");
    }

    #[test]
    fn an_error_on_one_side_of_an_or_is_outweighed_by_the_other() {
        assert_eq!(check("token.data.x == 1 || true", &[json!({})]), Ok(()));
        assert_eq!(reason("token.data.x == 1 && false", json!({})), "is false");
    }

    #[test]
    fn an_evaluation_that_takes_too_many_steps_is_stopped() {
        let list: Vec<_> = (0..1_000).collect();
        let data = json!({ "l": list, "s": "0123456789abcdef" });
        for source in [
            "token.data.l.all(a, token.data.l.all(b, token.data.l.all(c, c >= 0)))",
            "token.data.l.map(a, token.data.l).size() > 0",
            "['x'].map(x, x + x + x + x).map(x, x + x + x + x).map(x, x + x + x + x).map(x, x + x + x + x)\
             .map(x, x + x + x + x).map(x, x + x + x + x).map(x, x + x + x + x).map(x, x + x + x + x)\
             .map(x, x + x + x + x).map(x, x + x + x + x).map(x, x + x + x + x).size() > 0",
            "token.data.l.map(a, token.data.s.matches('^[0-9a-f]{16}$')).size() > 0",
            "[[1]].map(x, [x, x, x, x, x, x, x, x, x, x]).map(x, [x, x, x, x, x, x, x, x, x, x])\
             .map(x, [x, x, x, x, x, x, x, x, x, x]).map(x, [x, x, x, x, x, x, x, x, x, x])\
             .map(x, [x, x, x, x, x, x, x, x, x, x]).size() > 0",
        ] {
            let failure = check(source, std::slice::from_ref(&data)).unwrap_err();
            assert!(failure.reason.contains("100000 steps"), "{failure}");
        }
        let fine = "token.data.l.all(a, a >= 0) && token.data.l.map(a, a + 1).size() == 1000";
        assert_eq!(check(fine, &[data]), Ok(()));
    }

    #[test]
    fn what_is_looked_at_counts_with_its_size() {
        let (list, long): (Vec<_>, Vec<_>) = ((0..290).collect(), (0..100_000).collect());
        let text = "x".repeat(900_000);
        let data = json!({ "l": list, "m": long, "t": text, "u": text, "p": "x{1000}{1000}" });
        for source in [
            "token.data.l.all(a, token.data.l.all(b, !(-1 in token.data.m)))",
            "token.data.l.all(a, token.data.m[a] >= 0)",
            "token.data.l.all(a, [token.data.m, token.data.m] != [])",
            "token.data.l.all(a, token.data.m == token.data.m)",
            "token.data.l.all(a, {'a': token.data.m} == {'a': token.data.m})",
            "token.data.l.all(a, token.data.l.all(b, !token.data.t.contains('y')))",
            "token.data.l.all(a, token.data.l.all(b, token.data.t == token.data.u))",
            "token.data.l.all(a, token.data.l.all(b, token.data.t <= token.data.u))",
            "token.data.l.all(a, token.data.l.all(b, size(token.data.t) > 0))",
            "token.data.l.all(a, !token.data.t.matches(token.data.p))",
            "token.data.l.all(a, token.data.l.all(b, 'y' in token.data || b >= 0))",
        ] {
            let begun = std::time::Instant::now();
            let found = check(source, std::slice::from_ref(&data));
            let took = begun.elapsed();
            if !source.contains("'y' in token.data ") {
                assert!(found.unwrap_err().reason.contains("100000 steps"), "{source}");
            }
            // The steps bound the time; this is a hundred times what they take.
            assert!(took < std::time::Duration::from_secs(60), "{source} took {took:?}");
        }
        for source in ["5 in token.data.m", "token.data.t.contains('x')", "token.data.m[7] == 7"] {
            assert_eq!(check(source, std::slice::from_ref(&data)), Ok(()), "{source}");
        }
    }

    #[test]
    fn an_error_that_ran_out_decides_nothing() {
        let list: Vec<_> = (0..1_000).collect();
        let data = json!({ "l": list });
        let costly = "token.data.l.all(a, token.data.l.all(b, b >= 0))";
        for source in [format!("{costly} || true"), format!("!({costly} && false)")] {
            let failure = check(&source, std::slice::from_ref(&data)).unwrap_err();
            assert!(failure.failed_to_evaluate, "{source}: {failure}");
        }
    }

    #[test]
    fn compiled_guards_can_be_shared_between_threads() {
        fn shared<T: Send + Sync + Clone + fmt::Debug + 'static>() {}
        shared::<Guards>();
        assert!(Guards::default().is_empty());
    }
}
