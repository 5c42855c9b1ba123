//! Verdicts on others' nets, beside what is known of them.

use std::time::{Duration, Instant};

use stormpetrel::{
    analysis::{Finding, Limits, Verdict},
    cases::check_within,
    models::petri::Net,
};

use crate::corpus;

const BUDGET: Duration = Duration::from_secs(600);

/// Fires what a finding says by the counting rule, and looks whether it is as the finding says.
fn show(net: &Net, finding: &Finding) {
    let (Finding::Deadlock { marking, path }
    | Finding::NoWayToEnd { marking, path }
    | Finding::LeftOver { marking, path }) = finding
    else {
        return;
    };
    let mut counts = vec![0; net.places.len()];
    let mut inputs = vec![false; net.places.len()];
    net.transitions.iter().flat_map(|t| &t.arcs.outputs).for_each(|(to, _)| inputs[*to] = true);
    let start = inputs.iter().position(|given| !given).expect("a source");
    counts[start] = 1;
    for id in path {
        let transition = net.transitions.iter().position(|t| t.id == *id).unwrap();
        net.fire(transition, &mut counts).unwrap_or_else(|refused| panic!("{id}: {refused}"));
    }
    let held = net.places.iter().zip(counts).filter(|(_, tokens)| *tokens > 0);
    let held: Vec<_> = held.map(|(place, tokens)| (place.id.clone(), tokens)).collect();
    let said: Vec<_> = marking.iter().map(|held| (held.place.clone(), held.tokens)).collect();
    assert_eq!(held, said, "{finding}");
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
            let report = check_within(&net, &net.sinks(), &Limits::default(), BUDGET);
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
            let report = check_within(&net, &net.sinks(), &Limits::default(), BUDGET);
            assert_eq!(report.verdict, Verdict::Unsound, "{file}: {report:?}");
        }
    }
}

#[test]
fn industrial_nets_are_as_sound_as_was_published_and_witnesses_show() {
    let nets = corpus::industrial();
    let begun = Instant::now();
    let (mut sound, mut shown) = (0, 0);
    for (net, row) in &nets {
        let net = net.petri();
        let report = check_within(&net, &net.sinks(), &Limits::default(), BUDGET);
        let published = if row[6] == "1" { Verdict::Sound } else { Verdict::Unsound };
        assert_eq!(report.verdict, published, "{}: {report:?}", row[0]);
        report.findings.iter().for_each(|finding| show(&net, finding));
        sound += usize::from(report.verdict == Verdict::Sound);
        let witness = |finding: &Finding| !matches!(finding, Finding::Structure { .. });
        shown += usize::from(report.findings.iter().any(witness));
    }
    let took = begun.elapsed();
    eprintln!("{} nets, {sound} sound, {shown} unsound with a witness, in {took:?}", nets.len());
    assert!(nets.is_empty() || nets.len() == 1_386);
}
