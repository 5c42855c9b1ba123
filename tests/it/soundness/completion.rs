//! Nothing fires after a case's end: the check agrees with the engine.

use stormpetrel::{
    analysis::{Finding, Limits, Method, Verdict},
    petrel::{check, check_within},
};

use super::{BUDGET, compiled, courses::Courses, replay::Replay, show, sound, unsound};

/// The verdict, compared with all courses of the engine, if these are few.
#[track_caller]
fn as_on_the_engine(transitions: &str) -> Verdict {
    let net = compiled(transitions);
    let report = check(&net, BUDGET);
    let courses = Courses::after(Replay::of(&net, &[]));
    assert!(courses.whole, "few enough markings");
    assert_eq!(report.verdict == Verdict::Sound, courses.are_sound(&net), "{report:?}");
    report.findings.iter().for_each(|finding| show(&net, finding));
    report.verdict
}

#[test]
fn what_needs_nothing_but_an_end_never_fires() {
    let report = unsound("go: i -> p; end: p -> o; log: ?o !l -> l", "dead_transition");
    let dead = Finding::DeadTransition { transition: "log".to_owned() };
    assert_eq!(report.findings, [dead]);
}

#[test]
fn an_end_may_be_read_while_another_branch_goes_on() {
    let net = "split: i -> p q; one: p -> o; two: q ?o -> r; log: ?o !l -> l; out: r -> s";
    assert_eq!(as_on_the_engine(net), Verdict::Sound);
    // Each branch looks whether the other has ended, so that every end has arcs out of it.
    sound(
        "split: i -> p q; first: p !r -> o; last: p ?r -> o; before: q !o -> r; after: q ?o -> r",
        Method::StateSpace,
    );
}

#[test]
fn ends_that_are_read_or_given_to_or_left_are_as_the_engine_has_them() {
    for (net, verdict) in [
        // Alternatives, and one end that shuts the other out.
        ("yes: i -> o; no: i -> r; both: ?o ?r -> s", Verdict::Unsound),
        ("split: i -> p q; a: p -> o; b: q -> r; late: ?o ?r -> s", Verdict::Unsound),
        ("split: i -> p q; a: p -> o; b: q -> r; early: ?o !r !s -> s", Verdict::Sound),
        // What takes from an end and gives back makes it none.
        ("go: i -> o; again: o -> o; out: o -> r", Verdict::Sound),
        ("go: i -> o; again: o -> o", Verdict::Unsound),
        ("split: i -> p o; take: o p -> o r; out: o r -> s", Verdict::Sound),
        // An end is emptied, or looked at, by what still goes on.
        ("split: i -> p o; clear: p ~o -> o", Verdict::Unsound),
        ("split: i -> p o; clear: p ~o -> r", Verdict::Sound),
        ("go: i -> p; end: p !o -> o; more: ?o ~o -> o", Verdict::Unsound),
        ("go: i -> p o; end: p ?o -> o", Verdict::Unsound),
        ("go: i -> p o; end: p ?o -> r; twice: ?o ?r -> o", Verdict::Unsound),
        // It grows, but only after the end.
        ("go: i -> o; more: ?o -> p; out: p r -> r; make: i -> p r", Verdict::Unsound),
    ] {
        assert_eq!(as_on_the_engine(net), verdict, "{net}");
    }
}

#[test]
fn growth_after_the_end_is_no_growth() {
    let report = unsound("go: i -> o; more: ?o -> p; out: p i -> o", "dead_transition");
    let grows = |finding: &Finding| matches!(finding, Finding::Unbounded { .. });
    assert!(!report.findings.iter().any(grows), "{report:?}");
}

#[test]
fn a_transition_that_gives_to_nothing_ends_no_case_whatever_ends_there_are() {
    let mut net = compiled("go: i -> p; yes: p -> o; no: p -> r; lose: p -> o").petri();
    net.transitions[3].arcs.outputs.clear();
    let report = check_within(&net, &net.sinks(), &[], &Limits::default(), BUDGET);
    let problem = "nothing comes out of lose".to_owned();
    assert_eq!(report.findings[0], Finding::NotAWorkflowNet { problem });
    assert_eq!(report.verdict, Verdict::Unsound);
}

#[test]
fn a_place_that_is_left_again_may_be_the_end_by_decree() {
    let net = compiled("go: i -> o; back: o -> i; out: o -> r").petri();
    let report = check_within(&net, &[1, 2], &[], &Limits::default(), BUDGET);
    let dead = ["back", "out"].map(|id| Finding::DeadTransition { transition: id.to_owned() });
    assert_eq!(report.findings, dead);
    assert_eq!(report.decided_by, Method::StateSpace);
}
