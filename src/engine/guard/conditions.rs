//! The conditions of a transition.

use std::{fmt, sync::Arc};

use cel::{Context, common::types::CelBool};

use super::{
    expression::{Expression, context},
    rule::Test,
    scope::{GUARD_VARIABLES, Scope, Variables},
    value::with_article,
};
use crate::models::{Guard, Problems};

/// All conditions of one transition, compiled. A clone shares them.
#[derive(Debug, Clone, Default)]
pub struct Guards(Arc<[Condition]>);

#[derive(Debug)]
struct Condition {
    index: usize,
    source: String,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Cel(Expression),
    Rule(Test),
}

/// A condition that doesn't hold, or can't be told to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardFailure {
    /// Its place among the transition's conditions, from 0.
    pub index: usize,
    /// Its text; for a rule its compact JSON.
    pub source: String,
    /// `is false`, `is false: …` with what a rule found, or the evaluation error in words.
    pub reason: String,
    /// Whether it could not be evaluated, so that it counts as false without being so.
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

/// Why a condition doesn't hold.
pub(super) struct Failure {
    pub(super) reason: String,
    pub(super) failed_to_evaluate: bool,
}

impl Guards {
    /// Compiles `guards`. Everything that is wrong becomes a problem at `path[i]`, and such a
    /// guard is left out.
    pub fn compile(guards: &[Guard], path: &str, problems: &mut Problems) -> Self {
        let mut conditions = Vec::with_capacity(guards.len());
        for (index, guard) in guards.iter().enumerate() {
            let compiled = match guard {
                Guard::Cel(source) => Expression::compile(source, GUARD_VARIABLES)
                    .map(|expression| (source.clone(), Form::Cel(expression))),
                Guard::Rule(rule) => {
                    Test::compile(rule).map(|(source, test)| (source, Form::Rule(test)))
                }
            };
            match compiled {
                Ok((source, form)) => conditions.push(Condition { index, source, form }),
                Err(messages) => {
                    for message in messages {
                        problems.add(format!("{path}[{index}]"), message);
                    }
                }
            }
        }
        Self(conditions.into())
    }

    /// Whether there is nothing to check.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all conditions hold for `scope`, in order.
    ///
    /// # Errors
    ///
    /// The first that doesn't, and why.
    pub fn check(&self, scope: &Scope<'_>) -> Result<(), GuardFailure> {
        if self.is_empty() {
            return Ok(());
        }
        for condition in self.0.iter() {
            // Every condition has its own variables, since they count its steps.
            let variables = Variables::new(scope);
            let verdict = match &condition.form {
                Form::Cel(expression) => is_true(expression, &context(&variables)),
                Form::Rule(test) => test.check(&variables),
            };
            verdict.map_err(|failure| GuardFailure {
                index: condition.index,
                source: condition.source.clone(),
                reason: failure.reason,
                failed_to_evaluate: failure.failed_to_evaluate,
            })?;
        }
        Ok(())
    }
}

fn is_true(expression: &Expression, context: &Context<'_, '_>) -> Result<(), Failure> {
    let failure = |reason| Failure { reason, failed_to_evaluate: false };
    let value = expression
        .evaluate(context)
        .map_err(|reason| Failure { reason, failed_to_evaluate: true })?;
    match value.downcast_ref::<CelBool>().map(|truth| *truth.inner()) {
        Some(true) => Ok(()),
        Some(false) => Err(failure("is false".to_owned())),
        None => {
            let kind = with_article(value.as_ref());
            Err(failure(format!("gave {kind}, not true or false")))
        }
    }
}
