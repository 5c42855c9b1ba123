//! The check of workflows: verdicts, and firing sequences that show the faults on the engine.

mod activities;
mod completion;
mod courses;
mod finals;
mod known;
mod nets;
mod replay;
mod truth;

use std::{cell::RefCell, collections::BTreeMap, ops::ControlFlow, time::Duration};

use proptest::{prelude::*, test_runner::TestRunner};
use stormpetrel::{
    analysis::{self, Finding, Limits, Method, Report, Verdict},
    engine::Net,
    petrel::{check, check_within},
};

use courses::Courses;
use nets::{definition, random};
use replay::Replay;
use truth::Truth;

/// Time that is more than any net here needs.
const BUDGET: Duration = Duration::from_secs(300);

fn checked(transitions: &str) -> Report {
    check(&compiled(transitions), BUDGET)
}

fn compiled(transitions: &str) -> Net {
    Net::compile(&definition(transitions)).unwrap()
}

/// Fires the sequence of a finding on the engine, and checks that the finding is true.
fn show(net: &Net, finding: &Finding) {
    match finding {
        Finding::Deadlock { marking, path } => {
            let run = Replay::of(net, path);
            assert_eq!(run.held(), *marking);
            assert!(run.enabled().is_empty(), "{finding}: {:?}", run.enabled());
            assert!(!run.ended(), "{finding}");
        }
        Finding::NoWayToEnd { marking, path } => {
            let run = Replay::of(net, path);
            assert_eq!(run.held(), *marking);
            let courses = Courses::after(run);
            assert!(courses.never_stop(), "{finding}");
        }
        Finding::LeftOver { marking, path } => {
            let run = Replay::of(net, path);
            assert_eq!(run.held(), *marking);
            assert!(run.left_over(), "{finding}");
        }
        Finding::Unbounded { places, path, pump } => {
            let mut run = Replay::of(net, path);
            for _ in 0..3 {
                let before = run.counts();
                run.fire(pump);
                let after = run.counts();
                let grown = |place: &&str| after[*place] > before[*place];
                assert!(after.iter().all(|(place, tokens)| *tokens >= before[place]), "{finding}");
                assert!(places.iter().all(|place| grown(&place.as_str())), "{finding}");
            }
        }
        Finding::DeadTransition { transition } => {
            let courses = Courses::after(Replay::of(net, &[]));
            assert!(!courses.fire(transition), "{finding}");
        }
        Finding::NotAWorkflowNet { .. } | Finding::Structure { .. } | Finding::Limit { .. } => {}
    }
}

/// An unsound net with a finding of this kind, which shows on the engine.
#[track_caller]
fn unsound(transitions: &str, kind: &str) -> Report {
    let net = compiled(transitions);
    let report = check(&net, BUDGET);
    assert_eq!(report.verdict, Verdict::Unsound, "{report:?}");
    let json = serde_json::to_value(&report).unwrap();
    let mut kinds = json["findings"].as_array().unwrap().iter().map(|finding| &finding["kind"]);
    assert!(kinds.any(|found| found == kind), "{report:?}");
    report.findings.iter().for_each(|finding| show(&net, finding));
    report
}

#[track_caller]
fn sound(transitions: &str, by: Method) {
    let report = checked(transitions);
    assert_eq!((report.verdict, report.decided_by), (Verdict::Sound, by), "{report:?}");
    assert_eq!(report.findings, []);
}

#[test]
fn free_choice_nets_are_decided_without_looking_at_their_markings() {
    sound("a: i -> p; b: p -> o", Method::RankTheorem);
    sound("split: i -> p q; one: p -> r; two: q -> s; join: r s -> o", Method::RankTheorem);
    sound("yes: i -> p; no: i -> q; again: q -> i; end: p -> o", Method::RankTheorem);
}

#[test]
fn a_net_with_a_billion_markings_is_decided_at_once_where_it_is_free_choice() {
    let branch = |n: usize| format!("s{n}: a{n} -> b{n}; t{n}: b{n} -> c{n}");
    let all = |letter| (0..30).map(|n| format!("{letter}{n}")).collect::<Vec<_>>().join(" ");
    let branches: Vec<_> = (0..30).map(branch).collect();
    let (begin, end) = (all('a'), all('c'));
    let net = format!("split: i -> {begin}; {}; join: {end} -> o", branches.join("; "));
    sound(&net, Method::RankTheorem);
}

#[test]
fn other_nets_are_decided_by_their_markings() {
    // Which way was taken is remembered in m or n.
    sound(
        "left: i -> p m; right: i -> p n; next: p -> q; undo_left: q m -> o; undo_right: q n -> o",
        Method::StateSpace,
    );
    // Sound and not safe: a well-known tool gets it wrong.
    sound("three: i -> p*3; one: p -> q; collect: q*3 -> o", Method::StateSpace);
    // Unbounded by its arcs alone, but a place has a capacity of one, so it never grows.
    sound("begin: i -> p[1]; end: p -> o", Method::StateSpace);
}

#[test]
fn a_choice_that_is_joined_as_if_it_were_parallel_is_a_deadlock() {
    let report = unsound("left: i -> p; right: i -> q; join: p q -> o", "deadlock");
    let dead = Finding::DeadTransition { transition: "join".to_owned() };
    assert!(report.findings.contains(&dead), "{report:?}");
    let text = report.findings[0].to_string();
    assert!(text.contains("after left a case is stuck with a token in p"), "{text}");
}

#[test]
fn parallel_branches_that_are_joined_as_if_they_were_a_choice_leave_something_over() {
    unsound("split: i -> p q; left: p -> o; right: q -> o", "left_over");
}

#[test]
fn there_may_be_several_ends_as_alternatives_or_for_branches_of_their_own() {
    sound("approve: i -> approved; reject: i -> rejected", Method::RankTheorem);
    sound("split: i -> p q; left: p -> one; right: q -> two", Method::RankTheorem);
    unsound("split: i -> p q; left: p -> one; right: q -> two; both: q -> one", "left_over");
}

#[test]
fn a_case_may_come_back_to_where_it_began() {
    sound(
        "submit: draft -> review; reject: review -> draft; accept: review -> o",
        Method::RankTheorem,
    );
}

#[test]
fn a_loop_that_can_never_be_left_is_no_way_to_end() {
    unsound(
        "go: i -> p; end: p -> o; lose: p -> q; on: q -> r; back: r -> q",
        "not_a_workflow_net",
    );
    unsound(
        "go: i -> p; back: p -> i; end: p never -> o; tease: i -> x; stay: x -> y; again: y -> x; \
         out: y never -> o; make: i never -> never*2",
        "no_way_to_end",
    );
}

#[test]
fn a_place_that_grows_is_shown_with_the_sequence_that_pumps_it() {
    let report = unsound(
        "go: i -> p; more: p -> p q; end: p -> r; drain: q r -> r; out: r -> o",
        "unbounded",
    );
    let pumps =
        |finding: &Finding| matches!(finding, Finding::Unbounded { pump, .. } if pump == &["more"]);
    assert!(report.findings.iter().any(pumps), "{report:?}");
}

#[test]
fn a_deadlock_near_the_start_is_found_in_a_net_that_is_too_large_to_be_seen_whole() {
    let trip = "trip: i -> x; fall: x never -> o; feed: c0 k -> c0 k never; split: i ->";
    let report = unsound(&branches(30).replace("split: i ->", trip), "deadlock");
    let text = report.findings[0].to_string();
    assert!(text.contains("after trip a case is stuck with a token in x"), "{text}");
}

#[test]
fn a_reset_arc_clears_what_would_be_left_over() {
    let net = "split: i -> p q; end: p ~q ~q2 -> o; work: q -> q2; back: q2 -> q; both: p q2 -> o";
    sound(net, Method::StateSpace);
    unsound(&net.replace("~q2 ", ""), "left_over");
}

#[test]
fn every_alternative_of_a_transition_is_looked_at() {
    let report = unsound("go: i -> p; end: p|never -> o; x: p never -> never", "dead_transition");
    let dead: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
    assert!(dead.iter().any(|text| text.contains("end.never")), "{dead:?}");
}

#[test]
fn guards_are_free_choices_and_the_report_says_so() {
    let mut definition = definition("a: i -> p; b: p -> o");
    definition.transitions[0].conditions =
        vec![stormpetrel::models::Guard::Cel("token.data.ok == true".to_owned())];
    let report = check(&Net::compile(&definition).unwrap(), BUDGET);
    assert_eq!(report.verdict, Verdict::Sound);
    assert!(report.notes.iter().any(|note| note.contains("free choices") && note.ends_with(": a")));
}

/// A net of so many branches at once, each with a choice that is not free.
fn branches(count: usize) -> String {
    let branch =
        |n: usize| format!("s{n}: a{n} -> b{n}; t{n}: b{n} -> c{n}; u{n}: b{n} ?k -> c{n}");
    let all = |letter| (0..count).map(|n| format!("{letter}{n}")).collect::<Vec<_>>().join(" ");
    let branches: Vec<_> = (0..count).map(branch).collect();
    let (begin, end) = (all('a'), all('c'));
    format!("split: i -> k {begin}; {}; join: k {end} -> o", branches.join("; "))
}

#[test]
fn out_of_time_is_unknown_and_says_what_to_do() {
    let report = check(&compiled(&branches(30)), Duration::ZERO);
    assert_eq!((report.verdict, report.decided_by), (Verdict::Unknown, Method::Undecided));
    assert!(
        matches!(&report.findings[..], [Finding::Limit { reason }] if reason.contains("budget"))
    );
}

#[test]
fn whoever_watches_a_check_is_asked_often_and_can_end_it_in_wide_nets_and_in_deep_ones() {
    // Each marking of the counter covers all those before it, and none makes a pump.
    let counter = "go: i -> p; up: p -> p q[3000000]; down: p q -> p; end: p !q -> o";
    for (net, patience) in [(counter, 200), (&branches(400), 20)] {
        let (net, mut asked, mut firings) = (compiled(net), 0, 0);
        let report =
            analysis::check(&net.petri(), &net.ends(), &[], &Limits::default(), &mut |at| {
                asked += 1;
                assert!(at.firings.saturating_sub(firings) < 100_000, "{at:?} after {firings}");
                firings = at.firings;
                if asked < patience { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
        assert_eq!(report.verdict, Verdict::Unknown);
        // Each part and each walk that is still to be made asks once more.
        assert!((patience..patience + 100).contains(&asked), "{asked}");
    }
}

#[test]
fn a_deadlock_that_is_found_before_a_limit_is_told() {
    let chain: Vec<_> = (0..8).map(|n| format!("x{n}: x{n} -> x{}", n + 1)).collect();
    let lose = format!("lose: i -> x0; {}; never: x8 k -> o; split: i ->", chain.join("; "));
    let net = compiled(&branches(12).replace("split: i ->", &lose)).petri();
    let limits = Limits { states: 160_000, ..Limits::default() };
    let report = check_within(&net, &net.sinks(), &[], &limits, BUDGET);
    assert_eq!(report.verdict, Verdict::Unsound, "{report:?}");
    let text = report.findings[0].to_string();
    assert!(text.ends_with("x6, x7 a case is stuck with a token in x8"), "{text}");
}

#[test]
fn what_all_markings_say_is_told_where_there_is_no_memory_for_their_graph() {
    let limits = Limits { bytes: 800 << 10, ..Limits::default() };
    let net = compiled(&branches(8)).petri();
    let report = check_within(&net, &net.sinks(), &[], &limits, BUDGET);
    assert_eq!(report.verdict, Verdict::Unknown, "{report:?}");
    assert!(report.findings[0].to_string().contains("bytes of memory"), "{report:?}");
    assert_eq!((report.net.states, report.net.bound), (Some(6_563), Some(1)));
    let net = compiled(&branches(8).replace("join:", "never: a0 c0 k -> o; join:")).petri();
    let report = check_within(&net, &net.sinks(), &[], &limits, BUDGET);
    let dead = Finding::DeadTransition { transition: "never".to_owned() };
    assert_eq!((report.verdict, report.findings), (Verdict::Unsound, vec![dead]));
}

#[test]
fn the_place_where_a_case_begins_may_be_read() {
    sound("make: ?i !p -> p; end: i p -> o", Method::StateSpace);
}

#[test]
fn growth_that_a_reset_or_inhibitor_arc_may_clear_away_decides_nothing() {
    // Both are sound by the definition, and unbounded.
    for end in ["~q", "!q"] {
        let net = format!("go: i -> p; more: p -> p q; drain: p q -> p; end: p {end} -> o");
        let report = checked(&net);
        assert_eq!((report.verdict, report.decided_by), (Verdict::Unknown, Method::Undecided));
        assert!(matches!(&report.findings[..], [Finding::Unbounded { .. }]), "{report:?}");
        assert!(report.notes[0].contains("reset or inhibitor"), "{report:?}");
    }
    let net = "go: i -> p; more: p -> p q; drain: p q -> p; end: p -> o";
    assert_eq!(checked(net).verdict, Verdict::Unsound);
}

#[test]
fn more_tokens_than_can_be_counted_are_not_said_to_need_a_greater_budget() {
    let mut net = compiled("go: i -> p k; more: k -> p; end: p -> o").petri();
    net.transitions[0].arcs.outputs[0].1 = 1 << 63;
    net.transitions[1].arcs.outputs[0].1 = 1 << 63;
    net.transitions[2].arcs.inputs[0].weight = 1 << 63;
    let report = check_within(&net, &net.sinks(), &[], &Limits::default(), BUDGET);
    assert_eq!(report.verdict, Verdict::Unknown);
    let text = report.findings[0].to_string();
    assert!(text.contains("more than 18446744073709551615") && !text.contains("budget"), "{text}");
}

/// The textbook's definition, applied to every marking one by one, and the engine agree with
/// the verdict.
#[test]
fn verdicts_are_those_of_the_definition_and_every_witness_shows() {
    let seen = RefCell::new(BTreeMap::<_, usize>::new());
    let config = ProptestConfig { cases: 400, source_file: Some(file!()), ..Default::default() };
    let checked = TestRunner::new(config).run(&random(), |transitions| {
        let net = compiled(&transitions);
        let report = check(&net, BUDGET);
        let sound = report.verdict == Verdict::Sound;
        match Truth::of(&net) {
            Some(truth) if report.decided_by != Method::Shape => {
                prop_assert_eq!(sound, truth.sound(), "{:?} {:?}", report, truth);
            }
            // Too many markings for the naive look: unbounded, as a rule.
            _ => prop_assert!(!sound || report.decided_by == Method::RankTheorem),
        }
        let courses = Courses::after(Replay::of(&net, &[]));
        if courses.whole && report.decided_by != Method::Shape {
            prop_assert_eq!(sound, courses.are_sound(&net), "{:?}", report);
        }
        prop_assert_eq!(sound, report.findings.is_empty());
        report.findings.iter().for_each(|finding| show(&net, finding));
        *seen.borrow_mut().entry((sound, report.decided_by.as_str())).or_default() += 1;
        Ok(())
    });
    checked.unwrap();
    let seen = seen.into_inner();
    let often = |sound, by: Method| seen.get(&(sound, by.as_str())).copied().unwrap_or(0);
    for sound in [true, false] {
        assert!(often(sound, Method::RankTheorem) >= 10, "{seen:?}");
        assert!(often(sound, Method::StateSpace) >= 10, "{seen:?}");
    }
    assert!(often(false, Method::Shape) >= 1, "{seen:?}");
}
