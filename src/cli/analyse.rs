//! `petrel analyse`.

use std::{fmt::Write, path::PathBuf, time::Duration};

use clap::Args;
use serde_json::json;

use super::{
    answer::Answer, failure::Failure, net_file, presentation::counted, watching::Watching,
};
use crate::{
    analysis::{
        Limits, PlaceLists, Properties, Stopped, Weights, properties, sequence, structure::Class,
    },
    config::{Config, duration},
    models::visible,
};

const EXAMPLES: &str = "\
Examples:
  petrel analyse orders.yaml
  petrel analyse net.pnml --json
  petrel analyse net.pnml --budget 10m --max-states 100000000

For any net, with its own initial marking. Whether a workflow can always end is what
`petrel check` says.";

/// Describe a net: its class, invariants, siphons, bounds, markings, liveness
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Analyse {
    /// A definition (YAML or JSON) or a net (PNML); - is the standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Net of a PNML file: its number from 1, or its id. Needed if there are several
    #[arg(long, value_name = "N")]
    net: Option<String>,
    /// Approximate time for the look at the markings, as in 30s
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    budget: Duration,
    /// Most markings to look at
    #[arg(long, value_name = "N", default_value_t = Limits::default().states)]
    max_states: usize,
}

/// Number of invariants, siphons or traps that are listed for people; programs get all.
const LISTED: usize = 12;

impl Analyse {
    pub(super) fn run(self, config: &Config) -> Result<Answer, Failure> {
        let file = net_file::read_one(&self.file, self.net.as_deref())?;
        let limits = Limits { states: self.max_states, ..Limits::default() };
        let mut watching = Watching::new(self.budget, config);
        let found = properties(&file.net, &limits, &mut |progress| watching.watch(progress));
        let took = watching.end();
        let text = text(&file.name, &found, took);
        let json = json!({
            "name": file.name, "properties": found, "seconds": took.as_secs_f64(),
        });
        Ok(Answer::new(json, text))
    }
}

fn text(name: &str, found: &Properties, took: Duration) -> String {
    let mut text = format!(
        "{}: {}, {}, {}, {}\n",
        visible(name),
        counted(found.places as u64, "place"),
        counted(found.transitions as u64, "transition"),
        counted(found.arcs as u64, "arc"),
        counted(found.tokens, "token")
    );
    let mut line = |what: &str, value: &str| {
        // Writing to a string can't fail.
        let _ = writeln!(text, "{what:<13} {}", visible(value));
    };
    line("class", &class(&found.class, found.workflow_net));
    for (what, basis, covered) in [
        ("P-invariants", &found.place_invariants, found.covered_by_place_invariants),
        ("T-invariants", &found.transition_invariants, found.covered_by_transition_invariants),
    ] {
        let Some(basis) = basis else {
            line(what, "not found out: it would take too long");
            continue;
        };
        let covered = match covered {
            Some(true) => ", positive ones cover the net",
            Some(false) => ", positive ones don't cover the net",
            None => "",
        };
        line(what, &format!("{} independent{covered}", basis.len()));
        basis.iter().take(LISTED).for_each(|of| line("", &sum(of)));
        if let Some(more @ 1..) = basis.len().checked_sub(LISTED) {
            line("", &format!("{more} more; --json has all"));
        }
    }
    for (what, sets) in [("siphons", &found.siphons), ("traps", &found.traps)] {
        place_sets(what, sets, &mut line);
    }
    match (found.commoner, &found.siphon_without_marked_trap) {
        (_, Some(siphon)) => {
            line("Commoner", &format!("no: no marked trap in {}", siphon.join(", ")))
        }
        (Some(_), None) => line("Commoner", "yes: a marked trap in every siphon"),
        (None, None) => line("Commoner", "not found out"),
    }
    markings(found, took, line);
    text
}

fn place_sets(what: &str, sets: &PlaceLists, line: &mut impl FnMut(&str, &str)) {
    let (count, all) = (sets.minimal.len(), sets.complete);
    let more = if all { "" } else { ", and more that were not looked for" };
    line(what, &format!("{count} minimal{more}"));
    sets.minimal.iter().take(LISTED).for_each(|set| line("", &set.join(", ")));
    if let Some(more @ 1..) = count.checked_sub(LISTED) {
        line("", &format!("{more} more; --json has all"));
    }
}

fn markings(found: &Properties, took: Duration, mut line: impl FnMut(&str, &str)) {
    let yes = |is: Option<bool>| match is {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not found out",
    };
    line("bounded", yes(found.bounded));
    if let Some(pump) = &found.pump {
        let path = if pump.path.is_empty() { "at once" } else { &sequence(&pump.path) };
        line("", &format!("first: {path}"));
        line("", &format!("then, for ever: {}", sequence(&pump.pump)));
        line("", &format!("grows: {}", pump.places.join(", ")));
    }
    if let Some(of) = &found.state_space {
        let seconds = took.as_secs_f64();
        line(
            "markings",
            &format!(
                "{}, {}, {}, {seconds:.2} s in all",
                of.states,
                counted(of.firings, "firing"),
                counted(of.distinct_edges, "edge")
            ),
        );
        let bound = counted(of.k_bound, "token");
        line("bound", &format!("{bound} in a place, {} in all", of.max_tokens));
        match &of.deadlock {
            None => line("deadlock", "none"),
            Some(path) if path.is_empty() => line("deadlock", "at once: nothing is enabled"),
            Some(path) => {
                let dead = counted(of.dead_markings, "dead marking");
                line("deadlock", &format!("{dead}, the nearest after {}", sequence(path)));
            }
        }
        let dead = &of.dead_transitions;
        let dead = if dead.is_empty() { "none".to_owned() } else { dead.join(", ") };
        line("never fire", &dead);
        line("live", yes(of.live));
        line("reversible", yes(of.reversible));
    }
    if let Some(of) = &found.so_far {
        let firings = counted(of.firings, "firing");
        line("so far", &format!("{} markings found, {firings}", of.states));
        let bound = counted(of.bound_at_least, "token");
        line("", &format!("a place can hold {bound} or more"));
        match &of.deadlock {
            None => line("", "no deadlock was found"),
            Some(path) if path.is_empty() => line("", "a deadlock at once: nothing is enabled"),
            Some(path) => line("", &format!("a deadlock after {}", sequence(path))),
        }
        if !of.not_enabled_yet.is_empty() {
            line("", &format!("not enabled yet: {}", of.not_enabled_yet.join(", ")));
        }
    }
    if let Some(stopped) = &found.stopped {
        let knob = match stopped {
            Stopped::States { .. } => " (--max-states)",
            Stopped::Interrupted { .. } => " (--budget)",
            Stopped::Memory { .. } | Stopped::Overflow { .. } => "",
        };
        line("stopped", &format!("{stopped}; {}{knob}", stopped.advice()));
    }
}

/// The kind of a net, in the words of the field.
fn class(class: &Class, workflow_net: bool) -> String {
    let choice = match class {
        Class { state_machine: true, .. } => "state machine",
        Class { marked_graph: true, .. } => "marked graph",
        Class { free_choice: true, .. } => "free-choice",
        Class { extended_free_choice: true, .. } => "extended free-choice",
        Class { asymmetric_choice: true, .. } => "asymmetric choice",
        _ => "any choice",
    };
    let mut words = vec![choice];
    words.push(if class.ordinary { "ordinary" } else { "weighted" });
    let also = [
        (!class.plain, "with read, inhibitor or reset arcs, or capacities"),
        (class.strongly_connected, "strongly connected"),
        (workflow_net, "workflow net"),
    ];
    words.extend(also.iter().filter(|(is, _)| *is).map(|(_, word)| *word));
    words.join(", ")
}

/// An invariant as a sum: `2·a + b - c`.
fn sum(of: &Weights) -> String {
    let mut text = String::new();
    for weight in &of.0 {
        let shown = weight.weight.to_string();
        let (negative, size) = match shown.strip_prefix('-') {
            Some(size) => (true, size),
            None => (false, shown.as_str()),
        };
        text.push_str(match (negative, text.is_empty()) {
            (false, true) => "",
            (true, true) => "-",
            (false, false) => " + ",
            (true, false) => " - ",
        });
        if size != "1" {
            text.push_str(size);
            text.push('·');
        }
        text.push_str(&weight.id);
    }
    text
}
