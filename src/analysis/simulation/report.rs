//! The report of a simulation.

use std::collections::HashMap;

use serde::Serialize;

use super::{End, Run};
use crate::models::petri::Marking;

/// Number of the most frequent variants that are reported.
const VARIANTS: usize = 10;

/// Firings that are kept in all to tell variants apart, some hundred MiB: cases beyond that count,
/// and only their variants are no longer looked at.
const KEPT_FIRINGS: usize = 20_000_000;

/// The counts of all cases together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SimulationReport {
    /// Number of cases that were played out.
    pub cases: u64,
    /// Number of firings in all.
    pub steps: u64,
    /// Number of cases that ended as they should.
    pub completed: u64,
    /// Number of cases that could not go on before.
    pub dead_ends: u64,
    /// Number of cases that were given up.
    pub step_limit: u64,
    /// The shortest firing sequence to a dead end that was seen.
    pub dead_end: Option<Example>,
    /// Number of firings of each transition, by its index in the net.
    pub firings: Vec<u64>,
    /// Number of different firing sequences of the cases.
    pub variants: u64,
    /// True if more variants may be there, because not all could be kept.
    pub more_variants: bool,
    /// The most frequent ones, the most frequent first.
    pub most_frequent: Vec<Variant>,
}

/// A firing sequence and the marking at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    /// Transitions by index, from the initial marking.
    pub firings: Vec<usize>,
    /// Tokens by the place's index.
    pub marking: Marking,
}

/// A firing sequence that cases had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Variant {
    /// Transitions by index, from the initial marking.
    pub firings: Vec<usize>,
    /// Their end.
    pub end: End,
    /// Number of cases that had it.
    pub cases: u64,
}

/// The report while it is made.
pub(super) struct Counts {
    report: SimulationReport,
    variants: HashMap<Vec<usize>, (u64, End)>,
    kept: usize,
}

impl Counts {
    pub(super) fn new(transitions: usize) -> Self {
        let report = SimulationReport {
            cases: 0,
            steps: 0,
            completed: 0,
            dead_ends: 0,
            step_limit: 0,
            dead_end: None,
            firings: vec![0; transitions],
            variants: 0,
            more_variants: false,
            most_frequent: Vec::new(),
        };
        Self { report, variants: HashMap::new(), kept: 0 }
    }

    pub(super) fn add(&mut self, run: Run<'_>) {
        let Self { report, variants, kept } = self;
        report.cases += 1;
        report.steps += run.firings.len() as u64;
        run.firings.iter().for_each(|transition| report.firings[*transition] += 1);
        match run.end {
            End::Completed => report.completed += 1,
            End::DeadEnd => report.dead_ends += 1,
            End::StepLimit => report.step_limit += 1,
        }
        let shortest = report.dead_end.as_ref().map_or(usize::MAX, |of| of.firings.len());
        if run.end == End::DeadEnd && run.firings.len() < shortest {
            let (firings, marking) = (run.firings.to_vec(), run.marking.to_vec());
            report.dead_end = Some(Example { firings, marking });
        }
        if let Some((cases, _)) = variants.get_mut(run.firings) {
            *cases += 1;
        } else if *kept + run.firings.len() <= KEPT_FIRINGS {
            *kept += run.firings.len();
            variants.insert(run.firings.to_vec(), (1, run.end));
        } else {
            report.more_variants = true;
        }
    }

    pub(super) fn report(self) -> SimulationReport {
        let variant = |(firings, (cases, end))| Variant { firings, end, cases };
        let variants = self.variants.len() as u64;
        let mut most: Vec<Variant> = self.variants.into_iter().map(variant).collect();
        most.sort_unstable_by(|a, b| b.cases.cmp(&a.cases).then_with(|| a.firings.cmp(&b.firings)));
        most.truncate(VARIANTS);
        SimulationReport { variants, most_frequent: most, ..self.report }
    }
}
