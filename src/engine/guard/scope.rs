//! The values that an expression can see.

use std::collections::BTreeMap;

use cel::{
    common::{
        types::{CelList, CelTimestamp},
        value::{CowVal, Val},
    },
    context::VariableResolver,
};
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{value::from_json, view::View};
use crate::engine::Budget;
use crate::models::{CaseId, CaseStatus, PlaceId, Token, WorkflowId};

/// The values that an expression can see: the tokens of one binding, their case, and the time.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The consumed tokens in arc order, oldest first inside an arc, then the tokens of read
    /// arcs.
    pub tokens: &'a [&'a Token],
    /// The workflow.
    pub workflow: &'a WorkflowId,
    /// The case.
    pub case: &'a CaseId,
    /// The case's status before the firing.
    pub status: CaseStatus,
    /// Number of tokens in each marked place before the firing.
    pub marking: &'a BTreeMap<PlaceId, u64>,
    /// The time of the firing, given from outside: the engine has no clock.
    pub now: DateTime<Utc>,
    /// Limit of the cost of all that is decided together.
    pub budget: &'a Budget,
}

/// The variables of a guard.
pub(super) const GUARD_VARIABLES: &[&str] = &["token", "tokens", "case", "now"];

/// The variables of an output expression.
pub(super) const OUTPUT_VARIABLES: &[&str] = &["token", "tokens", "case", "now", "data"];

/// The variables of an activity's output expression.
pub(super) const ANSWER_VARIABLES: &[&str] = &["token", "tokens", "case", "now", "data", "result"];

/// The variable that carries the budget. No expression can spell it.
pub(super) const METER: &str = "@meter";

/// The variables of one evaluation, each built when an expression asks for it.
#[derive(Debug)]
pub(super) struct Variables<'a> {
    scope: &'a Scope<'a>,
    data: Option<&'a Value>,
    result: Option<&'a Value>,
}

impl<'a> Variables<'a> {
    pub(super) fn new(scope: &'a Scope<'a>) -> Self {
        Self { scope, data: None, result: None }
    }

    pub(super) fn with_data(
        scope: &'a Scope<'a>,
        data: &'a Value,
        result: Option<&'a Value>,
    ) -> Self {
        Self { scope, data: Some(data), result }
    }

    pub(super) fn budget(&self) -> &'a Budget {
        self.scope.budget
    }

    /// The data of `token`, the start of rule paths.
    pub(super) fn token_data(&self) -> Option<&'a Value> {
        self.scope.tokens.first().map(|token| &token.data)
    }
}

impl VariableResolver for Variables<'_> {
    fn resolve<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        match name {
            "token" => {
                let token = self.scope.tokens.first();
                token.map(|token| CowVal::owned(View::token(token, self.scope.budget)))
            }
            "tokens" => {
                let budget = self.scope.budget;
                let token =
                    |token: &&'b Token| Box::new(View::token(token, budget)) as Box<dyn Val + 'b>;
                let tokens: Vec<_> = self.scope.tokens.iter().map(token).collect();
                Some(CowVal::owned(CelList::from(tokens)))
            }
            "case" => Some(CowVal::owned(View::case(self.scope))),
            "now" => Some(CowVal::owned(CelTimestamp::from(self.scope.now.fixed_offset()))),
            "data" => self.data.map(|data| CowVal::Owned(from_json(data, self.scope.budget))),
            "result" => {
                self.result.map(|result| CowVal::Owned(from_json(result, self.scope.budget)))
            }
            METER => Some(CowVal::Borrowed(self.scope.budget)),
            _ => None,
        }
    }
}
