//! The immediate firings of a record, judged by the arcs of the net: the tokens in between are named
//! in it and not whole, so their guards can't be asked again.

use std::collections::{BTreeMap, HashMap};

use super::{FindingKind, marking::Fault};
use crate::{
    engine::{self, Mode, Net, NetTransition},
    models::{
        ArcKind, CaseStatus, IncidentAbout, Marking, MarkingEntry, PlaceId, Record, Step, TokenAt,
        TokenId,
    },
};

/// The state of a case while a record's firings are gone through.
pub(super) struct Walked<'a> {
    net: &'a Net,
    /// The live tokens in the order of their arrival.
    live: BTreeMap<usize, MarkingEntry>,
    /// Their places in that order.
    order: HashMap<TokenId, usize>,
    /// Number of tokens in each place.
    counts: Vec<u64>,
    /// Number of tokens that the case has had.
    pub made: u64,
}

impl<'a> Walked<'a> {
    /// After the change alone.
    pub(super) fn after(net: &'a Net, marking: Vec<MarkingEntry>, made: u64) -> Self {
        let (live, order) = (BTreeMap::new(), HashMap::new());
        let mut walked = Self { net, live, order, counts: vec![0; net.places.len()], made };
        marking.into_iter().for_each(|entry| walked.add(entry));
        walked
    }

    /// The live tokens.
    pub(super) fn marking(&self) -> Marking {
        Marking(self.live.values().cloned().collect())
    }

    fn add(&mut self, entry: MarkingEntry) {
        self.remove(&entry.token);
        let next = self.live.last_key_value().map_or(0, |(last, _)| last + 1);
        if let Some(place) = self.net.place(&entry.place) {
            self.counts[place] += 1;
        }
        self.order.insert(entry.token.clone(), next);
        self.live.insert(next, entry);
    }

    fn remove(&mut self, token: &TokenId) {
        let entry = self.order.remove(token).and_then(|at| self.live.remove(&at));
        if let Some(place) = entry.and_then(|entry| self.net.place(&entry.place)) {
            self.counts[place] -= 1;
        }
    }

    fn is_in(&self, at: &TokenAt) -> bool {
        let entry = self.order.get(&at.token).and_then(|order| self.live.get(order));
        entry.is_some_and(|entry| entry.place == at.place)
    }

    /// Goes through the firings of a record and returns its faults.
    pub(super) fn cascade(&mut self, record: &Record, status: CaseStatus) -> Vec<Fault> {
        let mut faults = Vec::new();
        if let Some(first) = record.cascade.first()
            && status != CaseStatus::Running
        {
            let status = status.as_str();
            faults.push(impossible(
                first.transition.as_str(),
                &format!("fired by itself in a case that is {status}"),
            ));
        }
        for step in &record.cascade {
            faults.extend(self.step(record, step));
        }
        if engine::status_after(self.net, &self.marking(), status) == CaseStatus::Running {
            faults.extend(self.rests(record));
        }
        faults
    }

    fn step(&mut self, record: &Record, step: &Step) -> Option<Fault> {
        let name = step.transition.as_str();
        let fault = match self.net.transition(&step.transition) {
            None => Some(impossible(name, "is no transition of the workflow")),
            Some(transition)
                if transition.auto == (step.timer.is_some() || step.item.is_some()) =>
            {
                Some(impossible(name, "does not fire by itself"))
            }
            Some(transition) => self.missing(step).or_else(|| {
                let fits = transition.modes.iter().any(|mode| self.fits(record, step, mode));
                let reason = "took, read, removed or gave other tokens than its arcs say";
                (!fits).then(|| impossible(name, reason))
            }),
        };
        step.consumed.iter().chain(&step.removed).for_each(|at| self.remove(&at.token));
        for TokenAt { token, place } in &step.produced {
            self.made = self.made.max(token.number().unwrap_or_default());
            let (token, place) = (token.clone(), place.clone());
            self.add(MarkingEntry { token, place, sequence: None });
        }
        fault
    }

    /// Fault of a firing that takes or reads a token that is not there.
    fn missing(&self, step: &Step) -> Option<Fault> {
        let mut named = step.consumed.iter().chain(&step.read).chain(&step.removed);
        let lacks = |at: &&TokenAt| !self.is_in(at);
        let at = named.find(lacks)?;
        let name = step.transition.as_str();
        let fault = impossible(name, &format!("took a token from {}: it was not there", at.place));
        Some(fault.at(&at.token, &at.place))
    }

    /// Returns true if the step is a firing in this mode.
    fn fits(&self, record: &Record, step: &Step, mode: &Mode) -> bool {
        let index = |place: &PlaceId| self.net.place(place);
        let places = |tokens: &[TokenAt]| {
            let mut places: Vec<_> = tokens.iter().map(|at| index(&at.place)).collect();
            places.sort();
            places
        };
        let asked = |kind: ArcKind| {
            let arcs = mode.arcs.inputs.iter().filter(move |arc| arc.kind == kind);
            let mut places: Vec<_> =
                arcs.flat_map(|arc| (0..arc.weight).map(|_| Some(arc.place))).collect();
            places.sort();
            places
        };
        let outputs =
            mode.arcs.outputs.iter().flat_map(|(to, count)| (0..*count).map(|_| Some(*to)));
        let mut outputs: Vec<_> = outputs.collect();
        outputs.sort();
        places(&step.consumed) == asked(ArcKind::Consume)
            && places(&step.read) == asked(ArcKind::Read)
            && places(&step.produced) == outputs
            && self.empties(step, mode)
            && self.is_allowed(mode)
            && self.names(record, step)
    }

    /// Returns true if all tokens are removed that reset arcs remove, and no others.
    fn empties(&self, step: &Step, mode: &Mode) -> bool {
        let removed = |entry: &MarkingEntry| {
            self.net.place(&entry.place).is_some_and(|place| mode.arcs.resets(place))
                && step.consumed.iter().all(|at| at.token != entry.token)
        };
        let empties = mode.arcs.inputs.iter().any(|arc| arc.kind == ArcKind::Reset);
        let live = self.live.values().filter(|_| empties);
        let mut wanted: Vec<_> =
            live.filter(|entry| removed(entry)).map(|entry| &entry.token).collect();
        let mut found: Vec<_> = step.removed.iter().map(|at| &at.token).collect();
        wanted.sort();
        found.sort();
        wanted == found
    }

    /// Returns true if no inhibitor arc forbids the mode, and all places have room.
    fn is_allowed(&self, mode: &Mode) -> bool {
        let inhibited = mode
            .arcs
            .inputs
            .iter()
            .any(|arc| arc.kind == ArcKind::Inhibitor && self.count(arc.place) >= arc.weight);
        let full = mode.arcs.outputs.iter().any(|(to, _)| {
            let left = match mode.arcs.resets(*to) {
                true => 0,
                false => self.count(*to).saturating_sub(mode.arcs.weight(*to, ArcKind::Consume)),
            };
            let capacity = self.net.places[*to].capacity;
            capacity.is_some_and(|capacity| left + mode.arcs.gives(*to) > capacity)
        });
        !inhibited && !full
    }

    /// Returns true if one token passes under its name, and new ones have the next numbers.
    fn names(&self, record: &Record, step: &Step) -> bool {
        if let ([taken], [given]) = (&step.consumed[..], &step.produced[..]) {
            return taken.token == given.token;
        }
        let tag = record.workflow.tag();
        let next = (self.made + 1..).map(|number| TokenId::of_case(&tag, &record.case, number));
        step.produced.iter().zip(next).all(|(at, next)| at.token == next)
    }

    fn count(&self, place: usize) -> u64 {
        self.counts[place]
    }

    /// Fault of a record that ends although a transition without conditions can still fire by itself.
    fn rests(&self, record: &Record) -> Option<Fault> {
        let is_excused = |transition: &NetTransition| {
            record.incidents.iter().any(|open| match &open.about {
                IncidentAbout::Transition(of) => *of == transition.id,
                IncidentAbout::Item(_) => false,
                IncidentAbout::Cascade | IncidentAbout::Unknown => true,
            })
        };
        let immediate = self.net.immediate.iter().map(|index| &self.net.transitions[*index]);
        let mut left = immediate.filter(|of| of.guards.is_empty() && !is_excused(of));
        let enabled = left.find(|of| of.modes.iter().any(|mode| self.has_tokens(mode)))?;
        Some(impossible(enabled.id.as_str(), "can fire by itself after the record, and did not"))
    }

    fn has_tokens(&self, mode: &Mode) -> bool {
        let weight = |place, kind| mode.arcs.weight(place, kind);
        mode.arcs.inputs.iter().all(|arc| {
            !matches!(arc.kind, ArcKind::Consume | ArcKind::Read)
                || self.count(arc.place)
                    >= weight(arc.place, ArcKind::Consume)
                        .saturating_add(weight(arc.place, ArcKind::Read))
        }) && self.is_allowed(mode)
    }
}

fn impossible(transition: &str, reason: &str) -> Fault {
    Fault::of(FindingKind::FiringImpossible, format!("{transition} {reason}"))
}
