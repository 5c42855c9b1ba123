//! Time expressions: the time at which a timed transition fires.

use cel::common::types::{CelDuration, CelTimestamp};
use chrono::{DateTime, TimeDelta, Utc};

use super::{
    expression::{Expression, context, reason},
    futile::PASSING_REVISION,
    kinds::Kinds,
    scope::{GUARD_VARIABLES, Scope, Variables},
    value::with_article,
    wanted::Wanted,
};
use crate::engine::Budget;
use crate::models::Problems;

/// An expression that gives a time, compiled.
#[derive(Debug)]
pub(in crate::engine) struct TimeExpression {
    expression: Expression,
    /// True if it gives a duration, false if a timestamp.
    is_span: bool,
}

impl TimeExpression {
    /// Compiles an expression over `token`, `tokens`, `case` and `now`, which is the time since when the
    /// transition is enabled. Each error in it becomes a problem at `path`, and then there is none.
    pub(in crate::engine) fn compile(
        source: &str,
        is_span: bool,
        path: &str,
        problems: &mut Problems,
    ) -> Option<Self> {
        match Expression::compile(source, GUARD_VARIABLES) {
            Ok(expression) if expression.asks_for_revision() => {
                problems.add(path, PASSING_REVISION);
                None
            }
            Ok(expression) => Some(Self { expression, is_span }),
            Err(messages) => {
                messages.into_iter().for_each(|message| problems.add(path, message));
                None
            }
        }
    }

    /// Adds the problems at `path` of an expression that can't give such a time, as its text tells within
    /// `budget`.
    pub(in crate::engine) fn refuse_futile(
        &self,
        path: &str,
        budget: &Budget,
        problems: &mut Problems,
    ) {
        let wanted = if self.is_span { Kinds::SPAN } else { Kinds::TIME };
        for message in self.expression.futile(Wanted::Kind(wanted), budget) {
            problems.add(path, message);
        }
    }

    /// Returns true if it asks for the case, whose marking is that of all places.
    pub(in crate::engine) fn asks_for_case(&self) -> bool {
        self.expression.asks_for_case()
    }

    /// Evaluates it, with the time since when as `now`; `None` if the time is none that can be written.
    ///
    /// # Errors
    ///
    /// The reason in words that it gave no such time.
    pub(in crate::engine) fn evaluate(
        &self,
        scope: &Scope<'_>,
    ) -> Result<Option<DateTime<Utc>>, String> {
        let variables = Variables::new(scope);
        let context = context(&variables);
        let value = self.expression.evaluate(&context).map_err(|error| reason(&error))?;
        if let Some(ran_out) = scope.budget.ran_out() {
            return Err(ran_out.to_string());
        }
        if self.is_span {
            let span = value.downcast_ref::<CelDuration>();
            let span = span.map(|span| *span.inner());
            let span: Option<TimeDelta> = span;
            let kind = || format!("gave {}, not a duration", with_article(value.as_ref()));
            Ok(scope.now.checked_add_signed(span.ok_or_else(kind)?))
        } else {
            let time = value.downcast_ref::<CelTimestamp>();
            let kind = || format!("gave {}, not a timestamp", with_article(value.as_ref()));
            Ok(Some(time.ok_or_else(kind)?.inner().to_utc()))
        }
    }
}
