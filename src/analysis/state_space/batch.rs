//! The successors of several markings at once, so that the memory of many look-ups is waited for
//! together.

use super::{layout::Layout, program::Fired, program::Program, store, store::Store};
use crate::models::petri::{Marking, Net, Refused};

/// Number of successors with which a batch is full.
const FULL: usize = 128;

/// The [work](Batch::work) after which the watcher is asked: a few milliseconds.
pub(super) const WATCHED_EVERY: usize = 1 << 21;

/// A target that is not known (yet).
pub(super) const UNKNOWN: u32 = u32::MAX;

/// A net compiled for a layout.
#[derive(Debug, Clone)]
pub(super) struct Compiled<'n> {
    pub net: &'n Net,
    pub layout: Layout,
    pub program: Program,
}

impl<'n> Compiled<'n> {
    pub(super) fn new(net: &'n Net, layout: Layout) -> Self {
        let program = Program::compile(net, &layout);
        Self { net, layout, program }
    }

    /// Asks the rule itself. `Ok(None)` means that it can't fire.
    #[cold]
    pub(super) fn ask(&self, transition: usize, words: &[u64]) -> Result<Option<Marking>, Refused> {
        let mut marking = vec![0; self.net.places.len()];
        self.layout.unpack(words, &mut marking);
        match self.net.fire(transition, &mut marking) {
            Ok(()) => Ok(Some(marking)),
            Err(Refused::NotEnabled) => Ok(None),
            Err(Refused::Overflow) => Err(Refused::Overflow),
        }
    }
}

/// Reason for which the successors of a marking are not all in the batch.
#[derive(Debug)]
pub(super) enum Unfit {
    /// One does not fit into the layout.
    Wide(Marking),
    /// One can't be counted in 64 bits.
    Overflow { transition: usize },
}

/// Successors, in the order of their sources and transitions.
#[derive(Debug, Default)]
pub(super) struct Batch {
    rows: Vec<u64>,
    hashes: Vec<u64>,
    /// The transition of each successor.
    pub transitions: Vec<u32>,
    /// The index of each successor in the store, or [`UNKNOWN`].
    pub targets: Vec<u32>,
    /// The markings whose successors these are, each with the end of its own.
    pub sources: Vec<(u32, u32)>,
}

impl Batch {
    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.hashes.clear();
        self.transitions.clear();
        self.sources.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// An estimate of the operations on words that it took to make and to look up: few of the
    /// transitions tried may be enabled, and the successors may be far more than their sources.
    pub(super) fn work(&self, compiled: &Compiled<'_>) -> usize {
        let tried = self.sources.len() * (16 + compiled.program.len());
        tried + self.len() * (64 + compiled.layout.words)
    }

    pub(super) fn is_full(&self) -> bool {
        // Dead markings have no successors and yet must end somewhere.
        self.hashes.len() >= FULL || self.sources.len() >= FULL
    }

    /// Adds all successors of a marking, or none.
    ///
    /// `W` is the number of words, or 0 where it is not known before.
    #[inline(always)]
    pub(super) fn add<const W: usize>(
        &mut self,
        compiled: &Compiled<'_>,
        store: &Store,
        source: usize,
    ) -> Result<(), Unfit> {
        let words = if W == 0 { store.words() } else { W };
        let marking = &store.get(source)[..words];
        let guards = &compiled.layout.guards[..words];
        let begin = self.hashes.len();
        for transition in 0..compiled.program.len() {
            if !compiled.program.has_tokens(transition, marking, guards) {
                continue;
            }
            let at = self.rows.len();
            self.rows.extend_from_slice(marking);
            let after = &mut self.rows[at..at + words];
            match compiled.program.fire(transition, after, guards) {
                Fired::Yes => {}
                Fired::No => {
                    self.rows.truncate(at);
                    continue;
                }
                Fired::Ask => {
                    let answer = compiled.ask(transition, marking);
                    let unfit = match answer {
                        Ok(None) => {
                            self.rows.truncate(at);
                            continue;
                        }
                        Ok(Some(marking)) if compiled.layout.fits(&marking) => {
                            after.fill(0);
                            compiled.layout.pack(&marking, after);
                            None
                        }
                        Ok(Some(marking)) => Some(Unfit::Wide(marking)),
                        Err(_) => Some(Unfit::Overflow { transition }),
                    };
                    if let Some(unfit) = unfit {
                        self.rows.truncate(begin * words);
                        self.hashes.truncate(begin);
                        self.transitions.truncate(begin);
                        return Err(unfit);
                    }
                }
            }
            self.hashes.push(store::hash(&self.rows[at..at + words]));
            self.transitions.push(transition as u32);
        }
        self.sources.push((source as u32, self.hashes.len() as u32));
        Ok(())
    }

    /// Looks for the successors in the store. Those that are found at once get their targets;
    /// the others stay [`UNKNOWN`].
    ///
    /// In three rounds, in each of which no look-up waits for another.
    #[inline(always)]
    pub(super) fn look<const W: usize>(&mut self, store: &Store) {
        let words = if W == 0 { store.words() } else { W };
        let glanced = self.hashes.iter().fold(0, |all, hash| all ^ store.glance(*hash));
        std::hint::black_box(glanced);
        self.targets.clear();
        let candidate = |hash: &u64| store.candidate(*hash).map_or(UNKNOWN, |index| index as u32);
        self.targets.extend(self.hashes.iter().map(candidate));
        for (target, row) in self.targets.iter_mut().zip(self.rows.chunks_exact(words)) {
            if *target != UNKNOWN {
                let found = &store.get(*target as usize)[..words];
                let differs = found.iter().zip(row).fold(0, |bits, (a, b)| bits | (a ^ b));
                *target = if differs == 0 { *target } else { UNKNOWN };
            }
        }
    }

    /// A successor and its hash.
    #[inline(always)]
    pub(super) fn row<const W: usize>(&self, at: usize, store: &Store) -> (u64, &[u64]) {
        let words = if W == 0 { store.words() } else { W };
        (self.hashes[at], &self.rows[at * words..(at + 1) * words])
    }
}
