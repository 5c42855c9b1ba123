//! This process's knowledge of a case.

use std::{collections::HashMap, sync::Arc};

use crate::petrel::{
    read::chain::Earlier,
    views::{later::Later, unseen::Unseen},
};
use crate::{
    models::{Case, PlaceId, Record, TokenId},
    storage::{Register, RegisterVersion},
};

/// Approximate memory that things take, in bytes, beside the texts in them: measured as the
/// process's growth.
const SLOT_SIZE: usize = 1_000;
const REGISTER_SIZE: usize = 150;
const LINK_SIZE: usize = 16;

/// Knowledge of one case. Only the holder of the turn reads or writes it. Every append checks
/// it against the store, so old knowledge costs a retry and no more.
#[derive(Debug, Default)]
pub(in crate::petrel) struct Slot {
    /// The case as of the last record that this process has seen.
    pub case: Option<Arc<Case>>,
    /// The contents of the view's registers.
    pub registers: Registers,
    /// The generation of the log that this was read from.
    pub generation: u64,
    /// The ids of the records that the case's last one does not name, once somebody asked.
    pub earlier: Option<Earlier>,
    /// Registers that this process has not seen as the case's records have them.
    pub unseen: Option<Unseen>,
    /// Registers that are to be written in a moment.
    pub later: Option<Later>,
}

impl Slot {
    /// Approximate memory that it takes, in bytes.
    pub(crate) fn size(&self) -> usize {
        let case = self.case.as_ref().map_or(0, |case| case.memory());
        let links = self.case.as_ref().map_or(0, |case| case.chain.recent.len());
        let links = links + self.earlier.as_ref().map_or(0, Earlier::len);
        let registers = self.registers.known.len()
            + self.unseen.as_ref().map_or(0, |unseen| unseen.keys().count())
            + self.later.as_ref().map_or(0, Later::len);
        SLOT_SIZE + case + REGISTER_SIZE * registers + LINK_SIZE * links
    }

    /// Looks at the views of the case's last record, and of those before it, with the next change: the
    /// view may have lost what it acknowledged.
    pub(crate) fn look_behind(&mut self, last: &Record) {
        let unseen = self.unseen.take().unwrap_or_default();
        self.unseen = Some(unseen.and_last(last));
    }

    /// Forgets all that rests on a sequence alone: the log may be another one than before. The
    /// case and the ids up to its last page are named by hash.
    pub(crate) fn doubt(&mut self) {
        self.registers.clear();
        if self.earlier.as_ref().is_some_and(Earlier::is_unlisted) {
            self.earlier = None;
        }
    }
}

/// The known contents of the view's registers of one case.
#[derive(Debug, Default)]
pub(in crate::petrel) struct Registers {
    known: HashMap<(TokenId, PlaceId), RegisterVersion>,
}

impl Registers {
    /// The contents that a write to this register must expect, if they are known.
    pub(crate) fn expected(&self, token: &TokenId, place: &PlaceId) -> Option<RegisterVersion> {
        self.known.get(&(token.clone(), place.clone())).copied()
    }

    /// Takes over the registers that were found in the view.
    pub(crate) fn adopt(&mut self, found: &[Register]) {
        for register in found {
            let of = (register.token.clone(), register.place.clone());
            self.known.insert(of, register.version());
        }
    }

    pub(crate) fn set(&mut self, token: &TokenId, place: &PlaceId, seen: RegisterVersion) {
        self.known.insert((token.clone(), place.clone()), seen);
    }

    /// Forgets the registers of tokens that are gone, and all but the newest markers.
    pub(crate) fn forget_gone(&mut self, case: &Case) {
        if self.known.len() > 4 * (case.marking.0.len() + 8) {
            self.known.retain(|(token, _), seen| {
                seen.marker_since().is_none() && case.tokens.contains_key(token)
            });
        }
    }

    pub(crate) fn clear(&mut self) {
        self.known.clear();
    }
}
