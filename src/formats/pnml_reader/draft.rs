//! A net while it is read: things that are known by id, and others that have to wait for the end
//! of the net, since they may name things that come later.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use super::{
    Arc, Direction, Kind, Node, Part, PnmlError, PnmlNet, Reference, Work, arc_kind, id, position,
    xml::Xml,
};
use crate::models::{ArcKind, petri::Timed};

/// A net while it is read.
#[derive(Default)]
pub(in crate::formats) struct Draft<'a> {
    /// The finished part.
    pub(in crate::formats) net: PnmlNet,
    /// The nodes by id, with their positions in the file.
    pub(in crate::formats) nodes: HashMap<Cow<'a, str>, (Named, usize)>,
    /// The arcs.
    pub(in crate::formats) arcs: Vec<DraftArc<'a>>,
    /// The references.
    pub(in crate::formats) references: Vec<DraftReference<'a>>,
    /// The node that each reference leads to in the end, once that is known.
    targets: Vec<Node>,
    /// The final markings.
    pub(in crate::formats) final_markings: Vec<DraftMarking<'a>>,
    /// The ids that our own notes give back.
    pub(in crate::formats) original_ids: Vec<(Part, String)>,
    /// True if a note says that the transition which is being read is no activity.
    pub(in crate::formats) silent: bool,
    /// The rank that a note gives the transition which is being read, if that fires by itself.
    pub(in crate::formats) immediate: Option<i32>,
    /// The time at which the present transition fires by itself.
    pub(in crate::formats) timed: Option<Timed>,
    /// The work before the present transition fires.
    pub(in crate::formats) work: Option<Work>,
    /// The one class of tokens that PIPE's markings and weights name.
    pub(in crate::formats) token_class: Option<String>,
    /// PIPE's precedence of each transition.
    pub(in crate::formats) precedence: Vec<Precedence>,
}

/// The thing that an id stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::formats) enum Named {
    Place(usize),
    Transition(usize),
    Reference(usize),
}

/// An arc whose ends are not looked up yet.
pub(in crate::formats) struct DraftArc<'a> {
    pub(in crate::formats) source: Cow<'a, str>,
    pub(in crate::formats) target: Cow<'a, str>,
    /// The rest; its ends are not filled in.
    pub(in crate::formats) arc: Arc,
    pub(in crate::formats) at: usize,
}

/// A reference whose target is not looked up yet.
pub(in crate::formats) struct DraftReference<'a> {
    pub(in crate::formats) target: Cow<'a, str>,
    /// True if it is a reference place.
    pub(in crate::formats) to_place: bool,
    /// The rest; its target is not filled in.
    pub(in crate::formats) reference: Reference,
    pub(in crate::formats) at: usize,
}

/// Places by id, each with its tokens and its position in the file.
pub(in crate::formats) type DraftMarking<'a> = Vec<(Cow<'a, str>, u64, usize)>;

/// The precedence of a transition, in a dialect that has priorities.
pub(in crate::formats) struct Precedence {
    /// True if it takes time: those that don't come first.
    pub(in crate::formats) timed: bool,
    /// Its priority: the highest of those that take no time comes first.
    pub(in crate::formats) priority: u64,
    /// The position of the transition in the file.
    pub(in crate::formats) at: usize,
}

impl<'a> Draft<'a> {
    /// Looks up the names that had to wait, once the whole net is read.
    pub(in crate::formats) fn finish(&mut self, xml: &Xml<'_>) -> Result<PnmlNet, PnmlError> {
        self.check_precedence(xml)?;
        self.targets = self.follow(xml)?;
        let markings = std::mem::take(&mut self.final_markings);
        let markings = markings.into_iter().map(|marking| self.marking(marking, xml));
        self.net.final_marking_entries = markings.collect::<Result<_, _>>()?;
        let mut net = std::mem::take(&mut self.net);
        self.restore_ids(&mut net);
        let targets = &self.targets;
        for (draft, target) in self.references.drain(..).zip(targets) {
            net.references.push(Reference { target: *target, ..draft.reference });
        }
        let mut total = 0_u64;
        net.arcs.reserve_exact(self.arcs.len());
        for draft in self.arcs.drain(..) {
            let DraftArc { source, target, mut arc, at } = draft;
            let end = |id: &str, end: &str| match self.nodes.get(id) {
                Some((Named::Place(index), _)) => Ok(Node::Place(*index)),
                Some((Named::Transition(index), _)) => Ok(Node::Transition(*index)),
                Some((Named::Reference(index), _)) => Ok(targets[*index]),
                None => {
                    let id = position::excerpt(id);
                    let message = format!(
                        "the {end} {id} of the arc is no place or transition of this net; add \
                         it, or remove the arc"
                    );
                    Err(xml.error(at, Kind::Dangling, message))
                }
            };
            match (end(&source, "source")?, end(&target, "target")?) {
                (Node::Place(place), Node::Transition(transition)) => {
                    (arc.place, arc.transition) = (place, transition);
                    arc.direction = Direction::ToTransition;
                }
                (Node::Transition(transition), Node::Place(place)) => {
                    (arc.place, arc.transition) = (place, transition);
                    arc.direction = Direction::ToPlace;
                }
                (Node::Place(_), _) => return Err(not_bipartite(xml, at, "two places")),
                (Node::Transition(_), _) => return Err(not_bipartite(xml, at, "two transitions")),
            }
            if arc.direction == Direction::ToPlace && arc.kind != ArcKind::Consume {
                let kind = arc_kind::name(arc.kind);
                let message =
                    format!("a(n) {kind} arc leads from a place to a transition, never back");
                return Err(xml.error(at, Kind::InhibitorOutput, message));
            }
            // Arcs side by side add up, and every such sum is below this one.
            total = total.checked_add(arc.weight).ok_or_else(|| {
                let message = "the weights of the arcs add up to more than 64 bits hold";
                xml.error(at, Kind::Overflow, message)
            })?;
            net.arcs.push(arc);
        }
        Ok(net)
    }

    /// Gives nodes the ids that they had before a writer of ours spelled them out. Our note is
    /// believed only where it fits the id that it stands by, and where the id is free.
    fn restore_ids(&mut self, net: &mut PnmlNet) {
        let restored = std::mem::take(&mut self.original_ids);
        if restored.is_empty() {
            return;
        }
        let places = net.places.iter().map(|place| (true, place.id.clone()));
        let transitions = net.transitions.iter().map(|t| (false, t.id.clone()));
        let mut taken: HashSet<_> = places.chain(transitions).collect();
        for (part, original) in restored {
            let (is_place, id) = match part {
                Part::Place(index) => (true, &mut net.places[index].id),
                Part::Transition(index) => (false, &mut net.transitions[index].id),
                _ => continue,
            };
            if id::stands_for(id, &original) && taken.insert((is_place, original.clone())) {
                *id = original;
            }
        }
    }

    /// The node that each reference leads to in the end.
    fn follow(&self, xml: &Xml<'_>) -> Result<Vec<Node>, PnmlError> {
        let mut targets: Vec<Option<Node>> = vec![None; self.references.len()];
        let mut visited = vec![false; self.references.len()];
        for start in 0..self.references.len() {
            let mut way = Vec::new();
            let mut at = start;
            let end = loop {
                if let Some(target) = targets[at] {
                    break target;
                }
                let reference = &self.references[at];
                if std::mem::replace(&mut visited[at], true) {
                    let id = position::excerpt(&reference.reference.id);
                    let message = format!("the reference {id} leads back to itself");
                    return Err(xml.error(reference.at, Kind::ReferenceCycle, message));
                }
                way.push(at);
                match self.nodes.get(&reference.target) {
                    Some((Named::Place(index), _)) => break Node::Place(*index),
                    Some((Named::Transition(index), _)) => break Node::Transition(*index),
                    Some((Named::Reference(next), _)) => at = *next,
                    None => {
                        let target = position::excerpt(&reference.target);
                        let message = format!("the reference leads to {target}, which isn't there");
                        return Err(xml.error(reference.at, Kind::Reference, message));
                    }
                }
            };
            for passed in way {
                let reference = &self.references[passed];
                if reference.to_place != matches!(end, Node::Place(_)) {
                    let (is, leads) = match reference.to_place {
                        true => ("referencePlace", "transition"),
                        false => ("referenceTransition", "place"),
                    };
                    let message = format!("a <{is}> leads to a {leads}");
                    return Err(xml.error(reference.at, Kind::ReferenceKind, message));
                }
                targets[passed] = Some(end);
            }
        }
        Ok(targets.into_iter().flatten().collect())
    }

    /// A final marking by the places' indexes.
    pub(in crate::formats) fn marking(
        &self,
        marking: DraftMarking<'a>,
        xml: &Xml<'_>,
    ) -> Result<Vec<(usize, u64)>, PnmlError> {
        let mut entries = Vec::with_capacity(marking.len());
        for (id, tokens, at) in marking {
            let node = match self.nodes.get(&id) {
                Some((Named::Place(index), _)) => Some(Node::Place(*index)),
                Some((Named::Reference(index), _)) => self.targets.get(*index).copied(),
                _ => None,
            };
            let Some(Node::Place(place)) = node else {
                let id = position::excerpt(&id);
                let message = format!("the final marking's place {id} is no place of this net");
                return Err(xml.error(at, Kind::Dangling, message));
            };
            entries.push((place, tokens, at));
        }
        entries.sort_unstable();
        for pair in entries.windows(2) {
            if pair[0].0 == pair[1].0 {
                let message = "the final marking has this place twice; remove one";
                return Err(xml.error(pair[1].2, Kind::DuplicateLabel, message));
            }
        }
        let entries = entries.into_iter().map(|(place, tokens, _)| (place, tokens));
        Ok(entries.filter(|(_, tokens)| *tokens > 0).collect())
    }

    /// Refuses precedence that changes the firings, which can't be represented.
    fn check_precedence(&self, xml: &Xml<'_>) -> Result<(), PnmlError> {
        let Some(first) = self.precedence.first() else { return Ok(()) };
        for other in &self.precedence {
            if other.timed != first.timed {
                let message = "immediate transitions come before timed ones, and the net has \
                               both; precedence can't be represented, so make them all timed or \
                               all immediate";
                return Err(xml.error(other.at, Kind::Priority, message));
            }
            if !other.timed && other.priority != first.priority {
                let message = format!(
                    "the priority {} where another transition has {}; priorities can't be \
                     represented, so make them all the same",
                    other.priority, first.priority
                );
                return Err(xml.error(other.at, Kind::Priority, message));
            }
        }
        Ok(())
    }
}

fn not_bipartite(xml: &Xml<'_>, at: usize, what: &str) -> PnmlError {
    let message = format!("the arc is between {what}; it must join a place and a transition");
    xml.error(at, Kind::NotBipartite, message)
}
