//! Some of a case's tokens, for those who need no others.

use std::collections::{BTreeSet, HashSet};

use crate::models::{Record, Stored, TokenId};
use crate::petrel::read::load::AT_ONCE;
#[cfg(feature = "analysis")]
use crate::{
    models::Case,
    petrel::{
        Result,
        read::{Reader, turn::Purpose},
    },
};

#[cfg(feature = "analysis")]
impl Reader {
    /// The case that a head stands for, with no other tokens than these if they are in few
    /// records: then no more than those are read.
    pub(crate) async fn restore_some(
        &self,
        head: Stored<Record>,
        only: &HashSet<TokenId>,
        purpose: Purpose,
    ) -> Result<Case> {
        self.restore(&narrowed(head, only), purpose).await
    }
}

/// A head that stands for no other tokens than these if they are in few records.
pub(in crate::petrel) fn narrowed(
    mut head: Stored<Record>,
    only: &HashSet<TokenId>,
) -> Stored<Record> {
    let marking = &mut head.value.marking.0;
    let wanted = marking.iter().filter(|entry| only.contains(&entry.token));
    let records: BTreeSet<_> = wanted.map(|entry| entry.sequence).collect();
    if head.value.tokens_hash.is_none() || records.len() <= AT_ONCE {
        marking.retain(|entry| only.contains(&entry.token));
        head.value.tokens_hash = None;
    }
    head
}
