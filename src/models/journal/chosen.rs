//! Words of operations on branches.

use serde::{Deserialize, Serialize};

use super::{Operation, OperationEnd, OperationKind};

/// The word of an operation on some branches: those that had ended when no other one was waited for. What the journal has
/// of the others is of no account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// Their places among the branches, from 0, in the order of their ends.
    pub chosen: Vec<usize>,
    /// Number of the branches.
    pub of: usize,
    /// The numbers of their scopes, which are beside the operation: the first and the last one of each row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub won: Vec<[u64; 2]>,
    /// The numbers of the others' scopes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<[u64; 2]>,
}

impl Chosen {
    /// The word of an operation, by its end; `None` of one that chooses nothing.
    pub fn by(of: &Operation, end: &OperationEnd) -> Option<Self> {
        match (of.kind, end) {
            (OperationKind::Select | OperationKind::Map, OperationEnd::Result(result)) => {
                serde_json::from_value(result.clone()).ok()
            }
            _ => None,
        }
    }

    /// Returns true if it has taken the branch in the scope with a number.
    pub fn takes(&self, scope: u64) -> bool {
        is_among(scope, &self.won)
    }

    /// Returns true if it has left out the branch in the scope with a number.
    pub fn leaves_out(&self, scope: u64) -> bool {
        is_among(scope, &self.lost)
    }
}

fn is_among(number: u64, rows: &[[u64; 2]]) -> bool {
    rows.iter().any(|[first, last]| (first..=last).contains(&&number))
}
