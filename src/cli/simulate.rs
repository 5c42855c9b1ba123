//! `petrel simulate`.

use std::{collections::BTreeMap, ops::ControlFlow, path::PathBuf, time::Instant};

use clap::{Args, builder::RangedU64ValueParser};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::{
    answer::Answer,
    bar::seen,
    failure::Failure,
    file::cant_write,
    net_file::{self, NetFile},
    simulated_log::SimulatedLog,
    table::Table,
};
use crate::{
    analysis::{
        Count,
        simulation::{End, Simulation, SimulationReport},
    },
    config::Config,
    formats::event_log::Written,
    models::petri::Net,
};

const EXAMPLES: &str = "\
Examples:
  petrel simulate order-approval.yaml
  petrel simulate order-approval.yaml --cases 100000 --weight reject=0.1 --weight hold=0.5
  petrel simulate net.pnml --seed 7 --json
  petrel workflow show orders | petrel simulate -    a workflow that is stored
  petrel simulate order-approval.yaml --cases 100 --log runs.xes   for process mining

Each case starts in the initial marking. Of the transitions that are enabled, one is chosen at
random, each as likely as its weight against theirs, until the case is complete (tokens only in
places where a case ends, or a final marking that the file names), nothing of a weight above 0 can
fire, or --max-steps is reached. Tokens are only counted: conditions are not looked at, give
their transitions a weight instead. The same seed gives the same cases, on every machine.

In the log, a case begins a minute after the one before, and its events are a second apart.";

/// Play out many random cases of a net in a file, and count activities and stuck cases
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Simulate {
    /// A definition (YAML or JSON) or a PNML file; - is the standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Number of cases
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    cases: u64,
    /// Seed of all choices
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Weight of a transition against others that are enabled with it, 0 for never [default:
    /// 1]; repeatable
    #[arg(long = "weight", value_name = "TRANSITION=WEIGHT", value_parser = weight)]
    weights: Vec<(String, f64)>,
    /// Number of firings after which a case is given up
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    max_steps: usize,
    /// Write the cases to this file as an event log, like `petrel history export`; its name ends
    /// in .csv or .xes
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Net of a PNML file: its number from 1, or its id. Needed if there are several
    #[arg(long, value_name = "N")]
    net: Option<String>,
}

/// Weights are counted in thousandths, since choices are made in whole numbers.
const UNIT: f64 = 1000.0;

/// The largest weight; sums of them stay far from 64 bits.
const HEAVIEST: f64 = 1e9;

/// A transition and its weight on the command line.
fn weight(text: &str) -> Result<(String, f64), String> {
    let (transition, weight) =
        text.rsplit_once('=').ok_or("write it as TRANSITION=WEIGHT, like approve=3")?;
    let weight: f64 = weight.trim().parse().map_err(|_| format!("{weight:?} is no number"))?;
    if !(0.0..=HEAVIEST).contains(&weight) || (weight > 0.0 && weight * UNIT < 1.0) {
        return Err(format!("{weight} is not 0 and not between {} and {HEAVIEST}", 1.0 / UNIT));
    }
    Ok((transition.trim().to_owned(), weight))
}

impl Simulate {
    pub(super) fn run(self, config: &Config) -> Result<Answer, Failure> {
        let file = net_file::read_one(&self.file, self.net.as_deref())?;
        let weights = self.all_weights(&file)?;
        let simulation = Simulation {
            net: &file.net,
            ends: &file.ends,
            final_markings: &file.final_markings,
            weights: &weights,
            cases: self.cases,
            seed: self.seed,
            max_steps: self.max_steps,
        };
        let bar = seen(config, ProgressBar::new(self.cases));
        let log = self.log.as_ref();
        let mut log = log.map(|path| SimulatedLog::create(path, &file)).transpose()?;
        let mut written = Ok(());
        let begun = Instant::now();
        let report = simulation.run(|run| {
            if run.case % 1024 == 0 {
                bar.set_position(run.case);
            }
            written = log.as_mut().map_or(Ok(()), |log| log.case(run));
            if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        let seconds = begun.elapsed().as_secs_f64();
        bar.finish_and_clear();
        let written =
            written.and_then(|()| log.map_or(Ok(Written::default()), SimulatedLog::finish));
        if let (Err(error), Some(path)) = (written, &self.log) {
            return Err(cant_write(path, error));
        }
        let rate = report.steps as f64 / seconds.max(1e-9);
        Ok(Answer::new(self.json(&file, &report, rate), self.text(&file, &report, rate)))
    }

    /// The weight of every transition. A transition's id stands for all its alternatives.
    fn all_weights(&self, file: &NetFile) -> Result<Vec<u64>, Failure> {
        let net = &file.net;
        let mut weights = vec![UNIT as u64; net.transitions.len()];
        for (id, weight) in &self.weights {
            let exact = net.transitions.iter().any(|of| of.id == *id);
            let mut found = false;
            for (number, transition) in net.transitions.iter().enumerate() {
                if transition.id == *id || (!exact && file.firing_ids[number] == *id) {
                    weights[number] = (weight * UNIT).round() as u64;
                    found = true;
                }
            }
            if !found {
                let ids: Vec<_> = net.transitions.iter().map(|of| of.id.as_str()).collect();
                let ids = ids.join(", ");
                let reason = format!("--weight: there is no transition {id}; there are: {ids}");
                return Err(Failure::usage(reason));
            }
        }
        Ok(weights)
    }

    fn json(&self, file: &NetFile, report: &SimulationReport, rate: f64) -> Value {
        let net = &file.net;
        let firings: BTreeMap<&str, u64> =
            net.transitions.iter().map(|of| of.id.as_str()).zip(report.firings.clone()).collect();
        let variants: Vec<_> = report
            .most_frequent
            .iter()
            .map(|variant| {
                let firings = ids(net, &variant.firings);
                json!({ "cases": variant.cases, "end": variant.end, "firings": firings })
            })
            .collect();
        let dead_end = report.dead_end.as_ref().map(|example| {
            json!({ "firings": ids(net, &example.firings), "marking": marked(net, &example.marking) })
        });
        json!({
            "net": file.name, "seed": self.seed, "cases": report.cases, "firings": report.steps,
            "completed": report.completed, "dead_ends": report.dead_ends,
            "given_up": report.step_limit, "dead_end": dead_end,
            "transitions": firings, "never_fired": never(net, report),
            "variants": report.variants, "more_variants": report.more_variants,
            "most_frequent": variants, "firings_per_second": rate.round(),
        })
    }

    fn text(&self, file: &NetFile, report: &SimulationReport, rate: f64) -> String {
        let net = &file.net;
        let cases = report.cases as f64;
        let mut text = format!(
            "{} cases of {}, {} firings ({:.2} million/s), seed {}\n\n",
            report.cases,
            file.name,
            report.steps,
            rate / 1e6,
            self.seed
        );
        let mut ends = Table::new(&["ENDED", "CASES", ""]);
        for (name, count) in [
            ("completed", report.completed),
            ("dead end", report.dead_ends),
            ("given up", report.step_limit),
        ] {
            let part = format!("{:.1} %", count as f64 / cases * 100.0);
            ends.row([name.to_owned(), count.to_string(), part]);
        }
        text.push_str(&ends.to_string());
        if let Some(example) = &report.dead_end {
            let held = marked(net, &example.marking);
            let held: Vec<_> =
                held.iter().map(|(place, count)| format!("{place} {}", count.0)).collect();
            text.push_str(&format!(
                "\na dead end: {}\n  leaves {}\n",
                sequence(net, &example.firings),
                if held.is_empty() { "no token".to_owned() } else { held.join(", ") }
            ));
        }
        text.push('\n');
        let mut firings = Table::new(&["TRANSITION", "FIRED", "A CASE"]);
        for (transition, count) in net.transitions.iter().zip(&report.firings) {
            let per_case = format!("{:.2}", *count as f64 / cases);
            firings.row([transition.id.clone(), count.to_string(), per_case]);
        }
        text.push_str(&firings.to_string());
        let never = never(net, report);
        if !never.is_empty() {
            text.push_str(&format!("never fired: {}\n", never.join(", ")));
        }
        let more = if report.more_variants { "at least " } else { "" };
        text.push_str(&format!("\n{more}{} different courses, most often:\n", report.variants));
        for variant in &report.most_frequent {
            let end = match variant.end {
                End::Completed => "",
                End::DeadEnd => " (dead end)",
                End::StepLimit => " (given up)",
            };
            let part = variant.cases as f64 / cases * 100.0;
            let course = sequence(net, &variant.firings);
            text.push_str(&format!("  {part:4.1} %  {course}{end}\n"));
        }
        text
    }
}

fn ids<'a>(net: &'a Net, firings: &[usize]) -> Vec<&'a str> {
    firings.iter().map(|transition| net.transitions[*transition].id.as_str()).collect()
}

/// Firings in one line; only the first ones of many.
fn sequence(net: &Net, firings: &[usize]) -> String {
    const SHOWN: usize = 20;
    let mut shown = ids(net, &firings[..firings.len().min(SHOWN)]).join(" → ");
    if firings.is_empty() {
        shown.push_str("at the beginning");
    } else if firings.len() > SHOWN {
        shown.push_str(&format!(" … ({} firings)", firings.len()));
    }
    shown
}

/// The marked places with their tokens.
fn marked<'a>(net: &'a Net, marking: &[u64]) -> BTreeMap<&'a str, Count> {
    let marked = net.places.iter().zip(marking).filter(|(_, tokens)| **tokens > 0);
    marked.map(|(place, tokens)| (place.id.as_str(), Count((*tokens).into()))).collect()
}

fn never<'a>(net: &'a Net, report: &SimulationReport) -> Vec<&'a str> {
    let transitions = net.transitions.iter().zip(&report.firings);
    transitions.filter(|(_, count)| **count == 0).map(|(of, _)| of.id.as_str()).collect()
}
