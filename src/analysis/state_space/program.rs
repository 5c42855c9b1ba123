//! A net's transitions as operations on the words of a packed marking.
//!
//! Whole words do as much as they can; the rest (counts that fill a word, a sum that leaves its
//! field) is asked of [`Net::fire`], which is the rule.

use super::layout::{Field, Layout};
use crate::models::{
    ArcKind,
    petri::{Net, Transition},
};

/// The counts that one word must have for a transition to be enabled.
#[derive(Debug, Clone, Copy, Default)]
struct Need {
    word: usize,
    /// Counts of one bit that must be one.
    ones: u64,
    /// The least of each wider count.
    least: u64,
}

/// The counts that one word must not have.
#[derive(Debug, Clone, Copy, Default)]
struct Bar {
    word: usize,
    /// Counts of one bit that must be zero.
    ones: u64,
    /// The numbers that the counts under `guards` must be below.
    below: u64,
    guards: u64,
}

/// The change of one word by a firing.
#[derive(Debug, Clone, Copy, Default)]
struct Change {
    word: usize,
    /// Counts of one bit that overflow if they are one.
    clear: u64,
    /// The bits that no reset arc empties.
    keep: u64,
    /// The sum of all that is given and taken, as one wrapping addition.
    add: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It asks for more than its places can hold as they are laid out.
    Never,
    /// It is decided by words.
    Words,
    /// It is decided by [`Net::fire`].
    Rule,
}

#[derive(Debug, Clone)]
struct Operation {
    kind: Kind,
    needs: (u32, u32),
    bars: (u32, u32),
    changes: (u32, u32),
    rooms: (u32, u32),
}

/// The transitions, compiled for a layout.
#[derive(Debug, Clone)]
pub(super) struct Program {
    operations: Vec<Operation>,
    /// The first need of each transition: most have no other.
    first: Vec<Need>,
    needs: Vec<Need>,
    bars: Vec<Bar>,
    changes: Vec<Change>,
    /// Capacities, as bars to the marking after.
    rooms: Vec<Bar>,
}

/// The outcome of firing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fired {
    Yes,
    No,
    /// A count may leave its field: [`Net::fire`] is to be asked.
    Ask,
}

/// The demands of a transition on one place, and its effects there.
struct Touch {
    place: usize,
    need: u64,
    consume: u64,
    gives: u64,
    output: bool,
    reset: bool,
    inhibitor: Option<u64>,
}

fn touches(transition: &Transition) -> Vec<Touch> {
    let arcs = &transition.arcs;
    let inputs = arcs.inputs.iter().map(|arc| arc.place);
    let mut places: Vec<_> = inputs.chain(arcs.outputs.iter().map(|(place, _)| *place)).collect();
    places.sort_unstable();
    places.dedup();
    let touch = |place| {
        let consume = arcs.weight(place, ArcKind::Consume);
        let inhibitors = arcs.inputs.iter().filter(|arc| arc.place == place);
        Touch {
            place,
            need: consume.saturating_add(arcs.weight(place, ArcKind::Read)),
            consume,
            gives: arcs.gives(place),
            output: arcs.outputs.iter().any(|(to, _)| *to == place),
            reset: arcs.resets(place),
            inhibitor: inhibitors
                .filter(|arc| arc.kind == ArcKind::Inhibitor)
                .map(|arc| arc.weight)
                .min(),
        }
    };
    places.into_iter().map(touch).collect()
}

/// The entry of a word in the list that began at `from`, made where there is none.
fn entry<T: Copy>(list: &mut Vec<T>, from: usize, is: impl Fn(&T) -> bool, new: T) -> &mut T {
    let at = list[from..].iter().position(is).map_or(list.len(), |at| from + at);
    if at == list.len() {
        list.push(new);
    }
    &mut list[at]
}

fn bar(bars: &mut Vec<Bar>, from: usize, field: Field, below: u64) {
    let word = field.word;
    let bar = entry(bars, from, |bar| bar.word == word, Bar { word, ..Bar::default() });
    match field.bits {
        1 => bar.ones |= field.mask(),
        _ => {
            bar.below |= below << field.shift;
            bar.guards |= field.guard();
        }
    }
}

impl Program {
    /// Compiles the transitions of a net.
    pub(super) fn compile(net: &Net, layout: &Layout) -> Self {
        let mut program = Self {
            operations: Vec::with_capacity(net.transitions.len()),
            first: Vec::with_capacity(net.transitions.len()),
            needs: Vec::new(),
            bars: Vec::new(),
            changes: Vec::new(),
            rooms: Vec::new(),
        };
        for transition in &net.transitions {
            program.add(net, layout, transition);
        }
        program
    }

    fn add(&mut self, net: &Net, layout: &Layout, transition: &Transition) {
        let starts = [self.needs.len(), self.bars.len(), self.changes.len(), self.rooms.len()];
        let mut kind = Kind::Words;
        for touch in touches(transition) {
            let field = layout.fields[touch.place];
            // An inhibitor arc of weight zero would hinder always.
            if touch.need > field.max() || touch.inhibitor == Some(0) {
                kind = Kind::Never;
                break;
            }
            let grows = if touch.reset { 0 } else { touch.consume };
            if field.bits == 64 || touch.gives.saturating_sub(grows) > field.max() {
                kind = Kind::Rule;
                // Another place may still ask for more than it can hold.
                continue;
            }
            self.touch(starts, field, &touch, net.places[touch.place].capacity);
        }
        let range = |start: usize, end: usize| (start as u32, end as u32);
        self.first.push(self.needs.get(starts[0]).copied().unwrap_or_default());
        self.operations.push(Operation {
            kind,
            needs: range((starts[0] + 1).min(self.needs.len()), self.needs.len()),
            bars: range(starts[1], self.bars.len()),
            changes: range(starts[2], self.changes.len()),
            rooms: range(starts[3], self.rooms.len()),
        });
    }

    /// Adds the operations of a transition on a place whose count has fewer than 64 bits.
    fn touch(&mut self, starts: [usize; 4], field: Field, touch: &Touch, capacity: Option<u64>) {
        let word = field.word;
        if touch.need > 0 {
            let new = Need { word, ..Need::default() };
            let need = entry(&mut self.needs, starts[0], |need| need.word == word, new);
            match field.bits {
                1 => need.ones |= field.mask(),
                _ => need.least |= touch.need << field.shift,
            }
        }
        // A weight that the field can't hold hinders nothing.
        if let Some(weight) = touch.inhibitor.filter(|weight| *weight <= field.max()) {
            bar(&mut self.bars, starts[1], field, weight);
        }
        let add = match touch.reset {
            true => touch.gives,
            false => touch.gives.wrapping_sub(touch.consume),
        };
        if add != 0 || touch.reset {
            let new = Change { word, keep: u64::MAX, ..Change::default() };
            let change = entry(&mut self.changes, starts[2], |change| change.word == word, new);
            change.add = change.add.wrapping_add(add << field.shift);
            if touch.reset {
                change.keep &= !field.mask();
            } else if field.bits == 1 && add == 1 {
                change.clear |= field.mask();
            }
        }
        // A capacity that the field can't exceed needs no test: leaving the field is asked for.
        if let Some(capacity) = capacity.filter(|most| touch.output && *most < field.max()) {
            bar(&mut self.rooms, starts[3], field, capacity + 1);
        }
    }

    /// Number of transitions.
    pub(super) fn len(&self) -> usize {
        self.operations.len()
    }

    /// Returns true if the tokens of a marking suffice for a transition.
    #[inline(always)]
    pub(super) fn has_tokens(&self, transition: usize, words: &[u64], guards: &[u64]) -> bool {
        let has = |need: &Need| {
            let (word, guards) = (words[need.word], guards[need.word]);
            let left = (word | guards).wrapping_sub(need.least);
            (!word & need.ones) | (!left & guards) == 0
        };
        if !has(&self.first[transition]) {
            return false;
        }
        let (from, to) = self.operations[transition].needs;
        self.needs[from as usize..to as usize].iter().all(has)
    }

    /// Fires a transition for which the tokens suffice. `after` begins as the marking and is of
    /// no use unless the answer is yes.
    #[inline(always)]
    pub(super) fn fire(&self, transition: usize, after: &mut [u64], guards: &[u64]) -> Fired {
        let operation = &self.operations[transition];
        match operation.kind {
            Kind::Words => {}
            Kind::Never => return Fired::No,
            Kind::Rule => return Fired::Ask,
        }
        let barred = |bar: &Bar, words: &[u64]| {
            let word = words[bar.word];
            let left = (word | guards[bar.word]).wrapping_sub(bar.below);
            (word & bar.ones) | (left & bar.guards) != 0
        };
        let (from, to) = operation.bars;
        if self.bars[from as usize..to as usize].iter().any(|bar| barred(bar, after)) {
            return Fired::No;
        }
        let (from, to) = operation.changes;
        for change in &self.changes[from as usize..to as usize] {
            let word = &mut after[change.word];
            let overflow = *word & change.clear;
            *word = (*word & change.keep).wrapping_add(change.add);
            if overflow | (*word & guards[change.word]) != 0 {
                return Fired::Ask;
            }
        }
        let (from, to) = operation.rooms;
        if self.rooms[from as usize..to as usize].iter().any(|room| barred(room, after)) {
            return Fired::No;
        }
        Fired::Yes
    }
}
