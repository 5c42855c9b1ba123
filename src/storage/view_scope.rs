//! Choices of a reader of the view.

use crate::models::{CaseId, PlaceId, TokenId, WorkflowId};

/// Choice of registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewScope {
    /// One workflow's.
    Workflow(WorkflowId),
    /// One place's.
    Place(WorkflowId, PlaceId),
    /// Those of these tokens in these places.
    Registers(WorkflowId, Vec<(TokenId, PlaceId)>),
}

/// Choice of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenScope {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The only place, if given.
    pub place: Option<PlaceId>,
    /// The only case, if given: the tokens are those of the marking in its last record.
    pub case: Option<CaseId>,
}

/// Way of reading a view. The answers are the same; the costs differ. A listing of one case in
/// NATS is by direct get either way: its subjects are known from the case's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadPath {
    /// Direct gets: one request for a token, and for most pages of a place.
    #[default]
    Direct,
    /// An ephemeral consumer without acknowledgements, deleted after use: for a token over all
    /// its places, for a page over all tokens of the workflow.
    Consumer,
}
