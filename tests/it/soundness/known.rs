//! Verdicts on others' nets, beside the known ones.

use std::{collections::BTreeSet, time::Duration};

use stormpetrel::{
    analysis::{Finding, Held, Limits, Verdict},
    models::petri::{Marking, Net},
    petrel::check_within,
};

use crate::corpus;

const BUDGET: Duration = Duration::from_secs(600);

/// A case in one of these nets, by the counting rule.
struct Run<'n> {
    net: &'n Net,
    counts: Marking,
}

impl<'n> Run<'n> {
    fn of(net: &'n Net, path: &[String]) -> Self {
        let given = |place: usize| net.transitions.iter().any(|t| t.arcs.gives(place) > 0);
        let start = (0..net.places.len()).find(|place| !given(*place)).expect("a source");
        let mut run = Self { net, counts: vec![0; net.places.len()] };
        run.counts[start] = 1;
        run.fire(path);
        run
    }

    fn fire(&mut self, path: &[String]) {
        for id in path {
            let transition = self.net.transitions.iter().position(|t| t.id == *id).unwrap();
            let fired = self.net.fire(transition, &mut self.counts);
            fired.unwrap_or_else(|refused| panic!("{id}: {refused}"));
        }
    }

    /// A thousand of the markings that can be reached, and the transitions that fire in them.
    fn goes_on(&self) -> (Vec<Marking>, BTreeSet<usize>) {
        let (mut markings, mut fired) = (vec![self.counts.clone()], BTreeSet::new());
        let mut at = 0;
        while at < markings.len().min(1_000) {
            for transition in 0..self.net.transitions.len() {
                let mut after = markings[at].clone();
                if self.net.fire(transition, &mut after).is_ok() {
                    fired.insert(transition);
                    if !markings.contains(&after) {
                        markings.push(after);
                    }
                }
            }
            at += 1;
        }
        (markings, fired)
    }

    fn assert_is(&self, marking: &[Held]) {
        let held = self.net.places.iter().zip(&self.counts).filter(|(_, tokens)| **tokens > 0);
        let held = held.map(|(place, tokens)| Held { place: place.id.clone(), tokens: *tokens });
        assert_eq!(held.collect::<Vec<_>>(), marking);
    }
}

/// Two answers about a marking: true if all tokens are in ends; and true if an end has a
/// second one, or the only end has one beside others.
fn ends(net: &Net, counts: &[u64]) -> (bool, bool) {
    let (ends, all) = (net.sinks(), counts.iter().sum::<u64>());
    let in_ends: u64 = ends.iter().map(|end| counts[*end]).sum();
    let twice = ends.iter().any(|end| counts[*end] > 1);
    (in_ends == all, twice || ends.len() == 1 && in_ends > 0 && all > 1)
}

/// Fires the sequence of a finding, and checks that the finding is true.
fn show(net: &Net, finding: &Finding) {
    match finding {
        Finding::Deadlock { marking, path } => {
            let run = Run::of(net, path);
            run.assert_is(marking);
            assert!(run.goes_on().1.is_empty() && !ends(net, &run.counts).0, "{finding}");
        }
        Finding::NoWayToEnd { marking, path } => {
            let run = Run::of(net, path);
            run.assert_is(marking);
            let (markings, fired) = run.goes_on();
            assert!(!fired.is_empty(), "{finding}");
            assert!(!markings.iter().any(|counts| ends(net, counts).0), "{finding}");
        }
        Finding::LeftOver { marking, path } => {
            let run = Run::of(net, path);
            run.assert_is(marking);
            assert!(ends(net, &run.counts).1, "{finding}");
        }
        Finding::DeadTransition { transition } => {
            let (_, fired) = Run::of(net, &[]).goes_on();
            assert!(!fired.iter().any(|at| net.transitions[*at].id == *transition), "{finding}");
        }
        Finding::Unbounded { places, path, pump } => {
            let mut run = Run::of(net, path);
            for _ in 0..3 {
                let before = run.counts.clone();
                run.fire(pump);
                for (at, place) in net.places.iter().enumerate() {
                    assert!(run.counts[at] >= before[at], "{finding}");
                    let grows = places.contains(&place.id);
                    assert!(run.counts[at] > before[at] || !grows, "{finding}");
                }
            }
        }
        Finding::NotAWorkflowNet { .. } | Finding::Structure { .. } | Finding::Limit { .. } => {}
    }
}

#[test]
fn workflow_nets_of_others_are_as_sound_as_is_known() {
    let Some(folder) = corpus::folder() else { return };
    let mut judged = 0;
    for entry in corpus::index() {
        let Some(sound) = entry["sound"].as_bool() else { continue };
        let file = entry["file"].as_str().unwrap();
        for net in corpus::nets(&folder.join(file)) {
            let net = net.petri();
            let report = check_within(&net, &net.sinks(), &[], &Limits::default(), BUDGET);
            let verdict = if sound { Verdict::Sound } else { Verdict::Unsound };
            assert_eq!(report.verdict, verdict, "{file}: {report:?}");
            assert_eq!(sound, report.findings.is_empty(), "{file}");
            report.findings.iter().for_each(|finding| show(&net, finding));
            judged += 1;
        }
    }
    assert!(judged >= 50, "{judged}");
}

#[test]
fn nets_that_are_no_workflow_nets_are_never_sound() {
    let Some(folder) = corpus::folder() else { return };
    let mut judged = 0;
    for entry in corpus::index() {
        let file = entry["file"].as_str().unwrap();
        if entry["wf_net"] != false || !entry["expect"].as_str().unwrap().starts_with("accept") {
            continue;
        }
        for net in corpus::nets(&folder.join(file)) {
            let net = net.petri();
            if net.sinks().len() > 1 {
                continue;
            }
            let report = check_within(&net, &net.sinks(), &[], &Limits::default(), BUDGET);
            assert_eq!(report.verdict, Verdict::Unsound, "{file}: {report:?}");
            judged += 1;
        }
    }
    assert!(judged >= 30, "{judged}");
}

#[test]
fn industrial_nets_are_as_sound_as_was_published_and_witnesses_show() {
    let nets = corpus::industrial();
    let (mut sound, mut shown) = (0, 0);
    for (net, row) in &nets {
        let net = net.petri();
        let report = check_within(&net, &net.sinks(), &[], &Limits::default(), BUDGET);
        let published = if row[6] == "1" { Verdict::Sound } else { Verdict::Unsound };
        assert_eq!(report.verdict, published, "{}: {report:?}", row[0]);
        report.findings.iter().for_each(|finding| show(&net, finding));
        sound += usize::from(report.verdict == Verdict::Sound);
        let witness = |finding: &Finding| !matches!(finding, Finding::Structure { .. });
        shown += usize::from(report.findings.iter().any(witness));
    }
    let found = (nets.len(), sound, shown);
    assert!(corpus::folder().is_none() || found == (1_386, 642, 652), "{found:?}");
}
