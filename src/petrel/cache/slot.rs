//! This process's knowledge of a case.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Map, Value};

use crate::petrel::read::chain::Earlier;
use crate::{
    models::{Case, PlaceId, Token, TokenId},
    storage::{Register, RegisterState},
};

/// Approximate memory that things take, in bytes, beside the texts in them: measured as the
/// process's growth.
const SLOT_SIZE: usize = 1_000;
const TOKEN_SIZE: usize = 1_200;
const EVENT_SIZE: usize = 500;
const VALUE_SIZE: usize = 100;
const REGISTER_SIZE: usize = 150;
const LINK_SIZE: usize = 16;

/// Knowledge of one case. Only the holder of the turn reads or writes it. Every append checks
/// it against the store, so old knowledge costs a retry and no more.
#[derive(Debug, Default)]
pub(in crate::petrel) struct Slot {
    /// The case as of the last record that this process has seen.
    pub case: Option<Arc<Case>>,
    /// The sequences of the view's registers.
    pub registers: Registers,
    /// The generation of the log that this was read from.
    pub generation: u64,
    /// The ids of the records that the case's last one does not name, once somebody asked.
    pub earlier: Option<Earlier>,
}

impl Slot {
    /// Approximate memory that it takes, in bytes.
    pub fn size(&self) -> usize {
        let case = self.case.as_ref().map_or(0, |case| case_size(case));
        let links = self.case.as_ref().map_or(0, |case| case.chain.recent.len());
        let links = links + self.earlier.as_ref().map_or(0, Earlier::len);
        SLOT_SIZE + case + REGISTER_SIZE * self.registers.known.len() + LINK_SIZE * links
    }

    /// Forgets all that rests on a sequence alone: the log may be another one than before. The
    /// case and the ids up to its last page are named by hash.
    pub fn doubt(&mut self) {
        self.registers.clear();
        if self.earlier.as_ref().is_some_and(Earlier::is_unlisted) {
            self.earlier = None;
        }
    }
}

/// The known sequences of the view's registers of one case.
#[derive(Debug, Default)]
pub(in crate::petrel) struct Registers {
    known: HashMap<(TokenId, PlaceId), Known>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    sequence: u64,
    marker_since: Option<Instant>,
}

impl Registers {
    /// The sequence that a write to this register must expect, if it is known. A marker
    /// older than `marker_kept` is gone from the store.
    pub fn expected(&self, token: &TokenId, place: &PlaceId, marker_kept: Duration) -> Option<u64> {
        let known = self.known.get(&(token.clone(), place.clone()))?;
        let forgotten = known.marker_since.is_some_and(|at| at.elapsed() > marker_kept);
        Some(if forgotten { 0 } else { known.sequence })
    }

    /// Takes over the registers that were found in the view.
    pub fn adopt(&mut self, found: Vec<Register>) {
        for register in found {
            let is_marker = matches!(register.state, RegisterState::Gone { .. });
            self.set(&register.token, &register.place, register.sequence, is_marker);
        }
    }

    pub fn set(&mut self, token: &TokenId, place: &PlaceId, sequence: u64, is_marker: bool) {
        let marker_since = is_marker.then(Instant::now);
        let known = Known { sequence, marker_since };
        self.known.insert((token.clone(), place.clone()), known);
    }

    /// Forgets the registers of tokens that are gone, and all but the newest markers.
    pub fn forget_gone(&mut self, case: &Case) {
        if self.known.len() > 4 * (case.marking.0.len() + 8) {
            self.known.retain(|(token, _), known| {
                known.marker_since.is_none() && case.tokens.contains_key(token)
            });
        }
    }

    pub fn clear(&mut self) {
        self.known.clear();
    }
}

fn case_size(case: &Case) -> usize {
    case.tokens.values().map(|token| token_size(token)).sum()
}

fn token_size(token: &Token) -> usize {
    let history = EVENT_SIZE * token.history.len();
    TOKEN_SIZE + history + json_size(&token.data) + object_size(&token.metadata)
}

fn json_size(value: &Value) -> usize {
    VALUE_SIZE
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(values) => values.iter().map(json_size).sum(),
            Value::Object(fields) => object_size(fields),
        }
}

fn object_size(fields: &Map<String, Value>) -> usize {
    fields.iter().map(|(name, value)| name.len() + json_size(value)).sum()
}
