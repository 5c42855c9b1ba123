//! The net itself: places and transitions by index, and the counting rule. This is the net
//! that is analysed and drawn, and the rule that firing obeys; tokens' data, guards and ids'
//! rules are not in it.

use std::sync::Arc;

use super::{Activity, ArcKind, KindId, OutcomeId, PlaceId, QueueId, TransitionId};

/// Number of tokens in each place, by the place's index.
pub type Marking = Vec<u64>;

/// A place/transition net with weights, capacities, and read, inhibitor and reset arcs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Net {
    /// Name of the net; empty if nobody gave one.
    pub name: String,
    /// The places.
    pub places: Vec<Place>,
    /// The transitions. A transition of a definition that has alternatives is here once for
    /// each of them.
    pub transitions: Vec<Transition>,
}

/// A place of a net.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// Its id, unique among the places and transitions of the net.
    pub id: String,
    /// Its name for people.
    pub name: Option<String>,
    /// Number of tokens that it holds in the initial marking.
    pub tokens: u64,
    /// The most tokens that it can hold; `None` is no limit.
    pub capacity: Option<u64>,
}

/// A transition of a net.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Transition {
    /// Its id, unique among the places and transitions of the net.
    pub id: String,
    /// Its name for people.
    pub name: Option<String>,
    /// Its arcs.
    pub arcs: Arcs,
    /// True if it is no activity.
    pub silent: bool,
    /// Its rank, if it fires by itself as soon as it is enabled; the highest comes first.
    pub immediate: Option<i32>,
    /// The time at which it fires by itself, if it does.
    pub timed: Option<Timed>,
    /// The work that a worker does before it fires, if one does.
    pub work: Option<Work>,
}

/// Work before a firing, as a definition says it.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// The queue where workers look for it.
    pub queue: QueueId,
    /// Kind of the work.
    pub kind: KindId,
    /// The way of the activity that the transition is, where that has several.
    pub way: Option<Way>,
    /// The activity, with all its outcomes, and without their arcs, which are the net's.
    pub activity: Arc<Activity>,
}

/// One of several ways of an activity, each of which is a transition of the net.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The definition's transition.
    pub of: TransitionId,
    /// The one of several places that it takes from.
    pub from: Option<PlaceId>,
    /// The outcome by which it ends.
    pub outcome: Option<OutcomeId>,
}

/// The time at which a transition fires by itself, as its definition says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Timed {
    /// So long after it was enabled.
    After(String),
    /// At that time.
    At(String),
}

impl Timed {
    /// The time of a definition's transition.
    pub fn of(transition: &super::Transition) -> Option<Self> {
        let after = transition.after.clone().map(Self::After);
        after.or_else(|| transition.at.clone().map(Self::At))
    }
}

/// The arcs of one transition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arcs {
    /// Arcs from places to the transition, in the order in which they were given. Several of
    /// one kind from one place add up; of several inhibitor arcs the least weight counts.
    pub inputs: Vec<Input>,
    /// Places, each with the number of tokens that it gets, in the order in which they were
    /// given. Several to one place add up.
    pub outputs: Vec<(usize, u64)>,
}

/// An arc into a transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input {
    /// The place's index.
    pub place: usize,
    /// Number of tokens; at least 1. A reset arc ignores it.
    pub weight: u64,
    /// Effect of the arc.
    pub kind: ArcKind,
}

/// Reason that a transition can't fire in a marking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// An arc finds too few tokens, or too many, or a place has no room.
    #[error("it is not enabled")]
    NotEnabled,
    /// A place would hold more tokens than 64 bits count.
    #[error("a place would hold more than {} tokens", u64::MAX)]
    Overflow,
}

impl Arcs {
    /// Number of tokens that the arcs of `kind` at `place` ask for together, up to
    /// [`u64::MAX`].
    pub fn weight(&self, place: usize, kind: ArcKind) -> u64 {
        let of = |arc: &&Input| arc.place == place && arc.kind == kind;
        self.inputs.iter().filter(of).fold(0, |sum, arc| sum.saturating_add(arc.weight))
    }

    /// Number of tokens that firing gives to `place`, up to [`u64::MAX`].
    pub fn gives(&self, place: usize) -> u64 {
        let to = |(to, _): &&(usize, u64)| *to == place;
        self.outputs.iter().filter(to).fold(0, |sum, (_, weight)| sum.saturating_add(*weight))
    }

    /// Number of tokens that the arcs of `kind` at `place` ask for, as an exact sum.
    fn asked(&self, place: usize, kind: ArcKind) -> u128 {
        let of = |arc: &&Input| arc.place == place && arc.kind == kind;
        self.inputs.iter().filter(of).map(|arc| u128::from(arc.weight)).sum()
    }

    /// Returns true if firing empties `place` before it gives.
    pub fn resets(&self, place: usize) -> bool {
        self.inputs.iter().any(|arc| arc.place == place && arc.kind == ArcKind::Reset)
    }
}

impl Transition {
    /// Its name, or its id where it has none.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.id)
    }
}

impl Place {
    /// Its name, or its id where it has none.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.id)
    }
}

impl Net {
    /// The initial marking.
    pub fn initial(&self) -> Marking {
        self.places.iter().map(|place| place.tokens).collect()
    }

    /// Number of its arcs.
    pub fn arcs(&self) -> usize {
        let count = |arcs: &Arcs| arcs.inputs.len() + arcs.outputs.len();
        self.transitions.iter().map(|transition| count(&transition.arcs)).sum()
    }

    /// The places that nothing consumes from.
    pub fn sinks(&self) -> Vec<usize> {
        let mut sinks = vec![true; self.places.len()];
        for arc in self.transitions.iter().flat_map(|transition| &transition.arcs.inputs) {
            sinks[arc.place] &= arc.kind != ArcKind::Consume;
        }
        (0..sinks.len()).filter(|place| sinks[*place]).collect()
    }

    /// Returns true if a transition can fire in a marking. The marking is unchanged
    /// afterwards.
    pub fn is_enabled(&self, transition: usize, marking: &mut [u64]) -> bool {
        let arcs = &self.transitions[transition].arcs;
        let places =
            || arcs.inputs.iter().map(|arc| arc.place).chain(arcs.outputs.iter().map(|of| of.0));
        let before: Vec<u64> = places().map(|place| marking[place]).collect();
        let enabled = self.fire(transition, marking).is_ok();
        if enabled {
            places().zip(before).for_each(|(place, tokens)| marking[place] = tokens);
        }
        enabled
    }

    /// Fires a transition by counting: takes the tokens of its consuming arcs, empties the
    /// places of its reset arcs, then gives. `marking` is unchanged if it can't fire.
    ///
    /// A read arc beside a consuming one needs tokens of its own. Inhibitor arcs look at the
    /// marking before, capacities at the marking after.
    pub fn fire(&self, transition: usize, marking: &mut [u64]) -> Result<(), Refused> {
        let arcs = &self.transitions[transition].arcs;
        for arc in &arcs.inputs {
            let present = marking[arc.place];
            let asked = |kind| arcs.asked(arc.place, kind);
            let hindered = match arc.kind {
                ArcKind::Consume | ArcKind::Read => {
                    u128::from(present) < asked(ArcKind::Consume) + asked(ArcKind::Read)
                }
                ArcKind::Inhibitor => present >= arc.weight,
                ArcKind::Reset => false,
            };
            if hindered {
                return Err(Refused::NotEnabled);
            }
        }
        let mut given = Vec::with_capacity(arcs.outputs.len());
        for (place, _) in &arcs.outputs {
            let left = match arcs.resets(*place) {
                true => 0,
                false => u128::from(marking[*place]) - arcs.asked(*place, ArcKind::Consume),
            };
            let gives = arcs.outputs.iter().filter(|(to, _)| to == place);
            let after = left + gives.map(|(_, weight)| u128::from(*weight)).sum::<u128>();
            if self.places[*place].capacity.is_some_and(|capacity| after > capacity.into()) {
                return Err(Refused::NotEnabled);
            }
            given.push((*place, u64::try_from(after).map_err(|_| Refused::Overflow)?));
        }
        for arc in &arcs.inputs {
            match arc.kind {
                // A reset arc at the same place may have emptied it already.
                ArcKind::Consume => {
                    marking[arc.place] = marking[arc.place].saturating_sub(arc.weight)
                }
                ArcKind::Reset => marking[arc.place] = 0,
                ArcKind::Read | ArcKind::Inhibitor => {}
            }
        }
        for (place, after) in given {
            marking[place] = after;
        }
        Ok(())
    }
}
