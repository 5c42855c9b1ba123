//! One run after the other.

use std::ops::ControlFlow;

use serde::Serialize;

use super::report::{Counts, SimulationReport};
use crate::{
    analysis::random::Random,
    models::petri::{Marking, Net},
};

/// A simulation: a net, the ends of its cases, and the choices to make.
#[derive(Debug, Clone)]
pub struct Simulation<'a> {
    /// The net; every case starts in its initial marking.
    pub net: &'a Net,
    /// The places where a case may end, by index.
    pub ends: &'a [usize],
    /// The markings in which a case ends; where there are none, it ends when only `ends` hold
    /// tokens.
    pub final_markings: &'a [Marking],
    /// The weight of each transition against the others that are enabled at the same time, by
    /// index; one of weight 0 never fires.
    pub weights: &'a [u64],
    /// Number of cases.
    pub cases: u64,
    /// The seed that decides all choices.
    pub seed: u64,
    /// Number of firings after which a case is given up.
    pub max_steps: usize,
}

/// The end of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It came to an end, as a case should.
    Completed,
    /// Nothing can fire, or nothing of a weight above 0, and it is not at an end.
    DeadEnd,
    /// It was given up after so many firings as were allowed.
    StepLimit,
}

/// A case that has been played out.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// The number of the case, from 0.
    pub case: u64,
    /// The transitions that fired, by index.
    pub firings: &'a [usize],
    /// Its end.
    pub end: End,
    /// The marking at its end.
    pub marking: &'a [u64],
}

impl Simulation<'_> {
    /// Plays out all cases, and shows each to `each`, which may stop it. The report is of the
    /// cases that were played out.
    pub fn run(&self, mut each: impl FnMut(Run<'_>) -> ControlFlow<()>) -> SimulationReport {
        let mut play = Play::new(self);
        let mut counts = Counts::new(self.net.transitions.len());
        for case in 0..self.cases {
            let end = play.case(case);
            let run = Run { case, firings: &play.firings, end, marking: &play.marking };
            counts.add(run);
            if each(run).is_break() {
                break;
            }
        }
        counts.report()
    }
}

/// A case that is being played out. A transition is only tested again where the last firing
/// touched its places.
struct Play<'a> {
    simulation: &'a Simulation<'a>,
    /// The transitions that may be enabled or not after each transition.
    touches: Vec<Vec<usize>>,
    /// True for each place where a case may end.
    is_end: Vec<bool>,
    initially: Vec<bool>,
    marking: Marking,
    enabled: Vec<bool>,
    firings: Vec<usize>,
}

impl<'a> Play<'a> {
    fn new(simulation: &'a Simulation<'a>) -> Self {
        let net = simulation.net;
        let mut at_place = vec![Vec::new(); net.places.len()];
        let places_of = |transition: usize| {
            let arcs = &net.transitions[transition].arcs;
            arcs.inputs.iter().map(|arc| arc.place).chain(arcs.outputs.iter().map(|of| of.0))
        };
        for transition in 0..net.transitions.len() {
            places_of(transition).for_each(|place: usize| at_place[place].push(transition));
        }
        let touched_by = |transition: usize| {
            let mut near: Vec<usize> =
                places_of(transition).flat_map(|place| at_place[place].iter().copied()).collect();
            near.sort_unstable();
            near.dedup();
            near
        };
        let mut is_end = vec![false; net.places.len()];
        simulation.ends.iter().for_each(|place| is_end[*place] = true);
        let mut marking = net.initial();
        let count = net.transitions.len();
        Self {
            simulation,
            touches: (0..count).map(touched_by).collect(),
            is_end,
            initially: (0..count).map(|of| net.is_enabled(of, &mut marking)).collect(),
            marking,
            enabled: Vec::new(),
            firings: Vec::new(),
        }
    }

    fn case(&mut self, case: u64) -> End {
        let net = self.simulation.net;
        let mut random = Random::of(self.simulation.seed, case);
        self.marking = net.initial();
        self.enabled.clone_from(&self.initially);
        self.firings.clear();
        loop {
            if self.is_final(false) {
                return End::Completed;
            }
            let Some(transition) = self.choice(&mut random) else {
                return if self.is_final(true) { End::Completed } else { End::DeadEnd };
            };
            if self.firings.len() == self.simulation.max_steps {
                return End::StepLimit;
            }
            net.fire(transition, &mut self.marking).expect("what is enabled fires");
            self.firings.push(transition);
            for &near in &self.touches[transition] {
                self.enabled[near] = net.is_enabled(near, &mut self.marking);
            }
        }
    }

    /// Returns true if the case is at its end. A net without any token is, if nothing can fire.
    fn is_final(&self, stuck: bool) -> bool {
        let declared = self.simulation.final_markings;
        if !declared.is_empty() {
            return declared.contains(&self.marking);
        }
        let mut marked = self.marking.iter().zip(&self.is_end).filter(|(tokens, _)| **tokens > 0);
        let empty = marked.clone().next().is_none();
        marked.all(|(_, is_end)| *is_end) && (stuck || !empty)
    }

    /// One of the enabled transitions, as likely as its weight says.
    fn choice(&self, random: &mut Random) -> Option<usize> {
        let weights = self.simulation.weights;
        let enabled = || (0..weights.len()).filter(|transition| self.enabled[*transition]);
        let all: u64 = enabled().fold(0, |sum, of| sum.saturating_add(weights[of]));
        let mut chosen = random.below(all.max(1));
        enabled().find(|transition| {
            let found = chosen < weights[*transition];
            chosen = chosen.saturating_sub(weights[*transition]);
            found
        })
    }
}
