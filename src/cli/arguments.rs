//! Arguments that several commands share.

use clap::{Args, builder::RangedU64ValueParser};
use serde_json::Value;

use super::failure::Failure;
use crate::{
    models::{FiringId, Revision, unambiguous},
    petrel::Change,
    storage::{Cursor, MAX_PAGE, Page},
};

/// Number of items of a listing that a person gets without asking.
const FIRST: usize = 100;

/// Choice of a listing's part.
#[derive(Debug, Clone, Args)]
pub(super) struct PageArgs {
    /// Most items to list
    #[arg(long, value_name = "N", default_value_t = FIRST, value_parser = first())]
    first: usize,
    /// Continue after this position, as the listing before it said
    #[arg(long, value_name = "POSITION")]
    after: Option<u64>,
}

impl PageArgs {
    /// Refuses a position where all is shown at once.
    pub(super) fn must_not_continue(&self) -> Result<(), Failure> {
        match self.after {
            Some(_) => Err(Failure::usage("the list of one case is whole: leave --after away")),
            None => Ok(()),
        }
    }

    pub(super) fn page(&self) -> Page {
        Page { first: self.first, after: self.after.map(Cursor) }
    }
}

/// `--first` as every listing takes it.
pub(super) fn first() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=MAX_PAGE as u64)
}

/// Parts that any change may have.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ChangeArgs {
    /// Name of the caller; noted in the log
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
    /// Id of this attempt: repeated, it changes nothing
    #[arg(long, value_name = "ID")]
    firing_id: Option<FiringId>,
    /// Refuse if the case has another revision by now
    #[arg(long, value_name = "REVISION")]
    expect_revision: Option<Revision>,
}

impl ChangeArgs {
    pub(super) fn change(self) -> Change {
        let Self { by, firing_id: firing, expect_revision: expected_revision } = self;
        Change { by, firing, expected_revision, ..Change::default() }
    }
}

/// A JSON value on the command line.
pub(super) fn json(text: &str) -> Result<Value, String> {
    unambiguous(text.as_bytes())
        .map_err(|error| format!("not JSON: {error}; write it as in '{{\"amount\": 120}}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_json_is_refused_with_an_example() {
        assert_eq!(json("{\"a\": 1}"), Ok(serde_json::json!({"a": 1})));
        let error = json("{amount: 120}").unwrap_err();
        assert!(error.contains("column 2") && error.contains("'{\"amount\": 120}'"), "{error}");
    }
}
