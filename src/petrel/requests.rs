//! Requests of callers, and the answers to them.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::models::{
    Case, CaseId, FiringId, PlaceId, Record, Revision, Stored, Token, TokenId, TransitionId,
    Version, WorkflowId,
};

/// Version that a caller believes a definition to have before it stores the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ExpectedVersion {
    /// Any version. The same definition again makes no new version.
    #[default]
    Any,
    /// None: the workflow is new.
    New,
    /// The version with this number, counted from 1.
    Version(Version),
}

/// A new case.
#[derive(Debug, Clone)]
pub struct NewCase {
    /// The workflow, in its latest version.
    pub workflow: WorkflowId,
    /// The caller's id for the case. With an id the call is idempotent: the same id again
    /// answers with the case that exists. A new UUID (version 7) where absent.
    pub case: Option<CaseId>,
    /// Place of the first token; the definition's initial place where absent.
    pub place: Option<PlaceId>,
    /// Data of the first token.
    pub data: Value,
    /// Notes about the first token.
    pub metadata: Map<String, Value>,
    /// Name of the caller.
    pub by: Option<String>,
}

impl NewCase {
    /// A case with an id of its own and a token without data in the initial place.
    pub fn of(workflow: WorkflowId) -> Self {
        let (data, metadata) = (Value::Object(Map::new()), Map::new());
        Self { workflow, case: None, place: None, data, metadata, by: None }
    }
}

/// A token to add to a case that exists.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The case; it is created if it does not exist.
    pub case: CaseId,
    /// Place of the token; the definition's initial place where absent.
    pub place: Option<PlaceId>,
    /// Data of the token.
    pub data: Value,
    /// Notes about the token.
    pub metadata: Map<String, Value>,
    /// The rest of the request.
    pub change: Change,
}

/// Parts that any change of a case may have.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Name of the caller.
    pub by: Option<String>,
    /// The id of this attempt. The same id in the same case happens once, at any number of
    /// repetitions; a new one where absent.
    pub firing: Option<FiringId>,
    /// The case's revision that the caller has seen. If it has another by now, the answer is
    /// a conflict and nothing is stored.
    pub expected_revision: Option<Revision>,
    /// Notes about the change in the log.
    pub metadata: Map<String, Value>,
    /// True if the caller does not wait for the token view: it has the change within 100 ms, together
    /// with what else changes in the case meanwhile. What ends a case, pauses it or raises an incident
    /// is in the view before it is answered all the same. Workers answer so.
    pub views_later: bool,
}

/// Target of a firing: found by one of its tokens, or by its case.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum FireIn {
    /// The case that this token is in; the token is one of those taken.
    Token {
        /// The token's workflow; found by the token's id where absent.
        workflow: Option<WorkflowId>,
        /// The token.
        token: TokenId,
    },
    /// The case with this id.
    Case {
        /// The workflow.
        workflow: WorkflowId,
        /// The case.
        case: CaseId,
    },
}

/// A firing.
#[derive(Debug, Clone)]
pub struct Fire {
    /// Target.
    pub target: FireIn,
    /// Transition to fire.
    pub transition: TransitionId,
    /// Tokens that must be among those taken, beside the one of the target. The oldest that
    /// satisfy the guard are the others.
    pub tokens: Vec<TokenId>,
    /// A place that the transition must lead to; an error if it does not.
    pub to_place: Option<PlaceId>,
    /// Data merged into that of the produced tokens, last (JSON merge patch, RFC 7396).
    pub data: Option<Value>,
    /// The rest of the request.
    pub change: Change,
}

impl Fire {
    /// Fires `transition` with `token`, in any place.
    pub fn token(token: TokenId, transition: TransitionId) -> Self {
        Self::at(FireIn::Token { workflow: None, token }, transition)
    }

    /// Fires `transition` in a case, with the oldest tokens.
    pub fn case(workflow: WorkflowId, case: CaseId, transition: TransitionId) -> Self {
        Self::at(FireIn::Case { workflow, case }, transition)
    }

    fn at(target: FireIn, transition: TransitionId) -> Self {
        let (tokens, to_place, data, change) = (Vec::new(), None, None, Change::default());
        Self { target, transition, tokens, to_place, data, change }
    }
}

/// A change that was made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Changed {
    /// The log's record of it. For a repeated request it is the record of the first one. An
    /// acknowledgement has no time, so for a change that was just made `timestamp` is by this
    /// process's clock; [`Petrel::record`](super::Petrel::record) reads the server's.
    pub record: Arc<Stored<Record>>,
    /// The case after the change, or after later ones if the request was a repeated one.
    pub case: Arc<Case>,
    /// The tokens it made or changed, whole. Of a repeated request those that are still alive, as
    /// they are now; `record` has all of them as they were then.
    pub tokens: Vec<Arc<Token>>,
    /// True if it had happened before, under the same firing id or case id, or there was
    /// nothing to change. False if the answer to this very request was lost and found in the
    /// log.
    pub repeated: bool,
}

impl Changed {
    /// The token that answers the change, as it was after it: the first that the change itself gave or
    /// edited, of several in `place` the first there. If immediate firings took it in the same record,
    /// one that came of it. `None` of a change that makes no token.
    pub fn answer(&self, place: Option<&PlaceId>) -> Option<&Token> {
        let record = &self.record.value;
        let gave = record.gave();
        let asked = gave.iter().find(|(_, at)| Some(*at) == place).or(gave.first());
        let made = |id: &TokenId| record.produced.iter().find(|token| token.id == *id);
        let there = || record.produced.iter().find(|token| Some(&token.place) == place);
        asked.and_then(|(id, _)| made(id)).or_else(there).or(record.produced.first())
    }

    /// A token of the change as it is now; `None` if it is gone since.
    pub fn alive(&self, token: &TokenId) -> Option<&Arc<Token>> {
        self.tokens.iter().find(|alive| alive.id == *token)
    }
}
