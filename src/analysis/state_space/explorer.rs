//! The exploration: breadth first, each marking once.

use std::ops::ControlFlow;

use super::{
    batch::{Batch, Compiled, UNKNOWN, Unfit, WATCHED_EVERY},
    layout::Layout,
    limits::{Limits, Progress, Stopped, Watch},
    space::{Counts, StateSpace},
    store::{self, Store},
};
use crate::{
    analysis::structure::{Incidence, Sparse},
    models::{
        ArcKind,
        petri::{Marking, Net},
    },
};

/// Number of markings up to which a new layout is as narrow as can be; after that, little is
/// moved. Few in tests, so that these see both.
const COMPACT: usize = if cfg!(test) { 10 } else { 10_000 };

/// Reason for which the inner loop gave the word to the outer one.
enum Pause {
    Done,
    Stopped(Stopped),
    /// A marking does not fit.
    Wide(Marking),
}

/// A state space in the making.
pub(super) struct Explorer<'n> {
    compiled: Compiled<'n>,
    store: Store,
    limits: Limits,
    /// The first marking whose transitions have not been fired.
    next: usize,
    /// The parent that each marking was first reached from. These only grow: it is breadth first.
    parents: Vec<u32>,
    counts: Counts,
    /// The most that each place has held, packed.
    most: Vec<u64>,
    /// True if two transitions can lead from one marking to the same.
    twins: bool,
    /// True if no firing changes the sum of all tokens.
    conserves: bool,
    batch: Batch,
    targets: Vec<u32>,
    /// The work done since the watcher was asked.
    unwatched: usize,
}

/// The tokens that each transition adds to each place, where they are the same in all markings.
fn effects(net: &Net) -> Option<Vec<Sparse<i128>>> {
    let mut inputs = net.transitions.iter().flat_map(|transition| &transition.arcs.inputs);
    let same = !inputs.any(|arc| arc.kind == ArcKind::Reset);
    same.then(|| Incidence::of(net).columns)
}

impl<'n> Explorer<'n> {
    pub(super) fn new(net: &'n Net, limits: &Limits) -> Self {
        let initial = net.initial();
        let layout = Layout::for_counts(&initial);
        let mut words = vec![0; layout.words];
        layout.pack(&initial, &mut words);
        let mut store = Store::new(layout.words);
        let hash = store::hash(&words);
        if let Err(slot) = store.find(hash, &words) {
            store.add(hash, &words, slot);
        }
        let effects = effects(net);
        let conserves = effects.as_ref().is_some_and(|all| {
            all.iter().all(|effect| effect.iter().map(|(_, change)| change).sum::<i128>() == 0)
        });
        let twins = effects.is_none_or(|mut all| {
            all.sort_unstable();
            all.windows(2).any(|two| two[0] == two[1])
        });
        Self {
            counts: Counts::new(net, layout.tokens(&words)),
            compiled: Compiled::new(net, layout),
            store,
            limits: Limits { states: limits.states.min(store::MOST), ..*limits },
            next: 0,
            parents: vec![UNKNOWN],
            most: words,
            twins,
            conserves,
            batch: Batch::default(),
            targets: Vec::new(),
            unwatched: 0,
        }
    }

    /// Goes on until all is found, or a limit.
    pub(super) fn run(&mut self, watch: &mut Watch<'_>) -> Result<(), Stopped> {
        loop {
            let pause = match self.store.words() {
                1 => self.run_words::<1>(watch),
                2 => self.run_words::<2>(watch),
                3 => self.run_words::<3>(watch),
                4 => self.run_words::<4>(watch),
                _ => self.run_words::<0>(watch),
            };
            match pause {
                Pause::Done => return Ok(()),
                Pause::Stopped(stopped) => return Err(stopped),
                Pause::Wide(marking) => self.widen(&marking)?,
            }
        }
    }

    /// The progress so far.
    pub(super) fn progress(&self) -> Progress {
        Progress { states: self.store.len(), explored: self.next, firings: self.counts.firings }
    }

    fn run_words<const W: usize>(&mut self, watch: &mut Watch<'_>) -> Pause {
        while self.next < self.store.len() {
            if self.unwatched >= WATCHED_EVERY {
                self.unwatched = 0;
                if watch(self.progress()) == ControlFlow::Break(()) {
                    let states = self.store.len();
                    return Pause::Stopped(Stopped::Interrupted { states });
                }
            }
            let mut pause = None;
            self.batch.clear();
            let mut source = self.next;
            while source < self.store.len() && !self.batch.is_full() {
                match self.batch.add::<W>(&self.compiled, &self.store, source) {
                    Ok(()) => source += 1,
                    Err(Unfit::Wide(marking)) => {
                        pause = Some(Pause::Wide(marking));
                        break;
                    }
                    Err(Unfit::Overflow { transition }) => {
                        let stopped = Stopped::Overflow { transition, state: source };
                        pause = Some(Pause::Stopped(stopped));
                        break;
                    }
                }
            }
            if let Err(stopped) = self.settle::<W>() {
                return Pause::Stopped(stopped);
            }
            self.next = source;
            if let Some(pause) = pause {
                return pause;
            }
            self.unwatched += self.batch.work(&self.compiled);
        }
        Pause::Done
    }

    /// Puts the successors of the batch that are new into the store, and counts.
    fn settle<const W: usize>(&mut self) -> Result<(), Stopped> {
        self.check_memory()?;
        self.batch.look::<W>(&self.store);
        let mut at = 0;
        for source in 0..self.batch.sources.len() {
            let (state, end) = self.batch.sources[source];
            let (begin, end) = (at, end as usize);
            while at < end {
                if self.batch.targets[at] == UNKNOWN {
                    self.batch.targets[at] = self.target::<W>(at, state)?;
                }
                let first = &mut self.counts.first_enabled[self.batch.transitions[at] as usize];
                if *first == UNKNOWN {
                    *first = state;
                }
                at += 1;
            }
            self.count(state, begin, end);
        }
        Ok(())
    }

    /// The index of a successor, which is added if it is new.
    #[inline(always)]
    fn target<const W: usize>(&mut self, at: usize, source: u32) -> Result<u32, Stopped> {
        let (hash, row) = self.batch.row::<W>(at, &self.store);
        let slot = match self.store.find(hash, row) {
            Ok(index) => return Ok(index as u32),
            Err(slot) => slot,
        };
        let index = self.store.len();
        if index >= self.limits.states {
            return Err(Stopped::States { limit: self.limits.states });
        }
        self.compiled.layout.raise(&mut self.most, row);
        if !self.conserves {
            let tokens = self.compiled.layout.tokens(row);
            self.counts.max_tokens = self.counts.max_tokens.max(tokens);
        }
        self.store.add(hash, row, slot);
        self.parents.push(source);
        Ok(index as u32)
    }

    #[inline(always)]
    fn count(&mut self, state: u32, begin: usize, end: usize) {
        self.counts.firings += (end - begin) as u64;
        if begin == end {
            self.counts.dead.push(state);
        }
        if self.twins {
            self.targets.clear();
            self.targets.extend_from_slice(&self.batch.targets[begin..end]);
            self.targets.sort_unstable();
            self.targets.dedup();
            self.counts.distinct_edges += self.targets.len() as u64;
        } else {
            self.counts.distinct_edges += (end - begin) as u64;
        }
    }

    fn check_memory(&self) -> Result<(), Stopped> {
        let (store, growth) = self.store.bytes(self.batch.len());
        let (parents, dead) = (4 * self.parents.capacity(), 4 * self.counts.dead.capacity());
        if growth > 0 && store + growth + 3 * (parents + dead) > self.limits.bytes {
            let states = self.store.len();
            return Err(Stopped::Memory { limit: self.limits.bytes, states });
        }
        Ok(())
    }

    /// Lays all markings out anew, so that one that did not fit does.
    fn widen(&mut self, marking: &[u64]) -> Result<(), Stopped> {
        let (old, states) = (&self.compiled.layout, self.store.len());
        let layout = match states {
            ..COMPACT => old.widened(marking),
            _ => old.patched(marking),
        };
        if self.store.bytes_beside(layout.words) > self.limits.bytes {
            return Err(Stopped::Memory { limit: self.limits.bytes, states });
        }
        let moved = layout.moved(old);
        let again = |packed: &[u64], words: &mut [u64]| layout.adopt(old, &moved, packed, words);
        let mut most = vec![0; layout.words];
        again(&self.most, &mut most);
        self.most = most;
        // Most of it is to compile the transitions anew.
        self.unwatched += states * layout.words + 1024 * self.compiled.program.len();
        self.store = self.store.relaid(layout.words, again);
        self.compiled = Compiled::new(self.compiled.net, layout);
        Ok(())
    }

    /// The state space that was found.
    pub(super) fn into_space(mut self, stopped: Option<Stopped>) -> StateSpace<'n> {
        self.counts.bounds = vec![0; self.compiled.net.places.len()];
        self.compiled.layout.unpack(&self.most, &mut self.counts.bounds);
        StateSpace::new(self.compiled, self.store, self.parents, self.counts, stopped)
    }
}

/// Finds all markings that a net reaches.
///
/// `watch` is told of the progress every few thousand states and may end it; deadlines are its
/// business. The order of the states depends on the net only.
pub fn explore<'n>(
    net: &'n Net,
    limits: &Limits,
    watch: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<StateSpace<'n>, Stopped> {
    let space = explore_partly(net, limits, watch);
    space.stopped().map_or(Ok(space), Err)
}

/// Explores as [`explore`], and keeps the markings found until it [stopped](StateSpace::stopped).
pub fn explore_partly<'n>(
    net: &'n Net,
    limits: &Limits,
    mut watch: impl FnMut(Progress) -> ControlFlow<()>,
) -> StateSpace<'n> {
    let mut explorer = Explorer::new(net, limits);
    let stopped = explorer.run(&mut watch).err();
    explorer.into_space(stopped)
}
