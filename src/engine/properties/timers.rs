//! The timers of a case, judged by the rules alone.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::TimeDelta;
use proptest::{collection::vec, prelude::*};
use serde_json::json;

use super::{
    cascades::over_marking,
    fixture::{Run, Start, start},
};
use crate::{
    engine::{
        Bounds, Budget, Mode, Net, NetTransition, change_status, elapse, resume, update_data,
    },
    models::{
        ArcKind, CaseStatus, IncidentCode, OnResume, Record, RecordKind, Timer, TokenAt, TokenId,
        TransitionId,
    },
};

/// The net with some of its transitions timed, and with none; `None` if a definition has a problem.
fn pair(start: &Start, after: &[Option<String>]) -> Option<(Start, Start)> {
    let plain = Start { tokens: vec![1], ..start.clone() };
    let mut timed = start.clone();
    for (transition, after) in timed.definition.transitions.iter_mut().zip(after) {
        transition.after.clone_from(after);
    }
    // The last one is a caller's.
    timed.definition.transitions.last_mut()?.after = None;
    Net::compile(&timed.definition).ok()?;
    Some((timed, plain))
}

fn arcs(mode: &Mode, kind: ArcKind) -> u64 {
    mode.arcs.inputs.iter().filter(|arc| arc.kind == kind).map(|arc| arc.weight).sum()
}

/// The mode that a timer's tokens are of.
fn mode<'n>(net: &Net, transition: &'n NetTransition, timer: &Timer) -> Option<&'n Mode> {
    let mut found: BTreeMap<usize, u64> = BTreeMap::new();
    for at in &timer.tokens {
        *found.entry(net.place(&at.place)?).or_default() += 1;
    }
    transition.modes.iter().find(|mode| {
        let mut wanted: BTreeMap<usize, u64> = BTreeMap::new();
        for arc in &mode.arcs.inputs {
            if matches!(arc.kind, ArcKind::Consume | ArcKind::Read) {
                *wanted.entry(arc.place).or_default() += arc.weight;
            }
        }
        wanted == found
    })
}

fn is_inhibited(run: &Run, mode: &Mode) -> bool {
    let mut arcs = mode.arcs.inputs.iter();
    arcs.any(|arc| arc.kind == ArcKind::Inhibitor && run.count(arc.place) >= arc.weight)
}

fn taken(record: &Record) -> HashSet<TokenId> {
    let steps = record.cascade.iter().flat_map(|step| step.consumed.iter().chain(&step.removed));
    let all = record.consumed.iter().chain(&record.removed).chain(steps);
    all.map(|at| at.token.clone()).collect()
}

/// Checks that a case's timers are those that the rules say.
fn is_judged(run: &Run, before: &[Timer], made_before: u64) {
    let record = &run.log.last().unwrap().value;
    let (case, now) = (&run.case, record.time);
    if matches!(case.status, CaseStatus::Completed | CaseStatus::Cancelled) {
        assert!(case.timers.is_empty());
        return;
    }
    let (gone, mut numbers) = (taken(record), HashSet::new());
    let mut takes: HashMap<(&TransitionId, &TokenId), u64> = HashMap::new();
    for timer in &case.timers {
        let transition = run.net.transition(&timer.transition).unwrap();
        assert!(transition.fires_by_itself() && !transition.auto);
        let mode = mode(&run.net, transition, timer).expect("its tokens are those of a mode");
        assert!(!is_inhibited(run, mode), "{timer:?}");
        assert!(numbers.insert(timer.number) && timer.number <= case.timers_made);
        assert!(timer.since <= now && timer.due >= timer.since);
        for at in &timer.tokens {
            assert_eq!(case.tokens[&at.token].place, at.place, "{timer:?}");
        }
        let taken = usize::try_from(arcs(mode, ArcKind::Consume)).unwrap();
        for TokenAt { token, .. } in &timer.tokens[..taken] {
            assert!(takes.insert((&timer.transition, token), timer.number).is_none(), "{token}");
        }
        match before.iter().find(|old| old.number == timer.number) {
            Some(old) => {
                assert_eq!(old.tokens, timer.tokens);
                match record.on_resume {
                    OnResume::KeepRemaining => {
                        assert_eq!(timer.due - timer.since, old.due - old.since);
                        assert!(timer.since >= old.since);
                    }
                    _ => assert_eq!(old.since, timer.since),
                }
                assert!(timer.tokens.iter().all(|at| !gone.contains(&at.token)), "a new one");
            }
            None => {
                assert!(timer.number > made_before && timer.since == now && !timer.elapsed);
                assert_eq!(timer.armed, Some(case.sequence));
            }
        }
    }
    let fired: HashSet<_> = record.cascade.iter().filter_map(|step| step.timer).collect();
    for old in before.iter().filter(|old| !numbers.contains(&old.number)) {
        let transition = run.net.transition(&old.transition).unwrap();
        let mode = mode(&run.net, transition, old).unwrap();
        let gone = old.tokens.iter().any(|at| gone.contains(&at.token));
        let has_guard = !transition.guards.is_empty();
        let is_over = gone || fired.contains(&old.number) || is_inhibited(run, mode) || has_guard;
        assert!(is_over, "{old:?} is gone without a cause");
    }
    is_whole(run, &takes);
}

/// Checks that no transition without a condition could have one more timer.
fn is_whole(run: &Run, takes: &HashMap<(&TransitionId, &TokenId), u64>) {
    let case = &run.case;
    for transition in run.net.timed.iter().map(|index| &run.net.transitions[*index]) {
        let plain = transition.guards.is_empty()
            && case.incidents.iter().all(|open| {
                let codes = [IncidentCode::SearchStopped, IncidentCode::DueFailed];
                !codes.contains(&open.code)
            });
        for mode in transition.modes.iter().filter(|mode| plain && arcs(mode, ArcKind::Consume) > 0)
        {
            let free = |place: usize| {
                let there = case.marking.in_place(&run.net.places[place].id);
                let all: Vec<_> = there.map(|entry| &entry.token).collect();
                let taken =
                    all.iter().filter(|id| takes.contains_key(&(&transition.id, *id))).count();
                (all.len() - taken) as u64
            };
            // Tokens that its timers read are counted as taken: it could take them only at their cost.
            let reads = mode.arcs.inputs.iter().any(|arc| arc.kind == ArcKind::Read);
            let has = mode.arcs.inputs.iter().all(|arc| match arc.kind {
                ArcKind::Consume => free(arc.place) >= arc.weight,
                _ => true,
            });
            let fits = run.after(mode).iter().enumerate().all(|(place, after)| {
                let gives = mode.arcs.outputs.iter().any(|(to, _)| *to == place);
                !gives || run.net.places[place].capacity.is_none_or(|most| *after <= most)
            });
            let is_new = has && fits && !reads && !is_inhibited(run, mode);
            assert!(!is_new, "{} has no timer for what is free", transition.id);
        }
    }
}

/// Checks that the timers of an `elapsed` record fired in their order, or are left.
fn has_elapsed(run: &Run, record: &Record) {
    let order: Vec<_> = record.elapsed.iter().map(|timer| (timer.due, timer.number)).collect();
    assert!(order.is_sorted() && !order.is_empty());
    let fired: Vec<_> = record.cascade.iter().filter_map(|step| step.timer).collect();
    assert_eq!(fired.iter().collect::<HashSet<_>>().len(), fired.len(), "each once");
    for timer in &record.elapsed {
        let left = run.case.timers.iter().find(|left| left.number == timer.number);
        assert!(left.is_none_or(|left| left.elapsed), "it came due");
        assert!(!(left.is_some() && fired.contains(&timer.number)));
    }
}

fn step(of_itself: &mut Run, plain: &mut Run, pick: u8) -> Option<()> {
    let (last, budget) = (plain.net.transitions.len() - 1, Budget::default());
    let bounds = Bounds::of(&budget);
    let (record, alone) = match pick {
        0..=3 => {
            let until = of_itself.act().now + TimeDelta::seconds(i64::from(pick) * 3);
            let (net, case, act) = (&of_itself.net, &of_itself.case, of_itself.act());
            let record = elapse(net, case, until, &act, bounds)?.unwrap();
            (record, None)
        }
        4 => {
            let token = plain.case.marking.0.first()?.token.clone();
            let edit = |run: &Run| {
                let patch = json!({ "n": run.log.len() % 7 });
                let (net, case) = (&run.net, &run.case);
                update_data(net, case, &token, &patch, &run.act(), bounds).unwrap().unwrap()
            };
            (edit(of_itself), Some(edit(plain)))
        }
        5 => {
            let kind = match of_itself.case.status {
                CaseStatus::Paused => RecordKind::Resumed,
                _ => RecordKind::Paused,
            };
            let change = |run: &Run| match (kind, run.log.len() % 2) {
                (RecordKind::Resumed, 0) => {
                    let way = OnResume::KeepRemaining;
                    resume(&run.net, &run.case, way, &run.act(), bounds).unwrap()
                }
                _ => change_status(&run.net, &run.case, kind, &run.act(), bounds).unwrap(),
            };
            (change(of_itself), Some(change(plain)))
        }
        6 | 7 => {
            let (record, alone) = (of_itself.fire(last, &[]), plain.fire(last, &[]));
            assert_eq!(record.is_ok(), alone.is_ok());
            (record.ok()?, Some(alone.unwrap()))
        }
        place => {
            let place = usize::from(place) % plain.net.places.len();
            let capacity = plain.net.places[place].capacity;
            capacity.is_none_or(|most| plain.count(place) < most).then_some(())?;
            plain.add(place);
            of_itself.add(place);
            return Some(());
        }
    };
    of_itself.append(record);
    alone.into_iter().for_each(|alone| plain.append(alone));
    Some(())
}

/// The firings of a cascade one by one, in the net without timers.
fn one_by_one(plain: &mut Run, record: &Record) {
    for step in &record.cascade {
        let index = plain.net.transitions.iter().position(|of| of.id == step.transition).unwrap();
        let tokens: Vec<_> = step.consumed.iter().map(|at| at.token.clone()).collect();
        let fired = plain.fire(index, &tokens).unwrap_or_else(|refused| {
            panic!("{} by timer {:?}: {refused:?}", step.transition, step.timer)
        });
        let mut places = [&fired.consumed, &step.consumed]
            .map(|list| list.iter().map(|at| at.token.clone()).collect::<Vec<_>>());
        places.iter_mut().for_each(|list| list.sort());
        assert_eq!(places[0], places[1]);
        plain.append(fired);
    }
}

proptest! {
    #[test]
    fn timers_are_those_that_the_rules_say(
        start in start(),
        after in vec(proptest::option::weighted(0.7, 0..6_u64), 5),
        by_data in any::<bool>(),
        seen in vec(proptest::option::weighted(0.2, (0..4_usize, 0..4_u64)), 5),
        picks in vec(0..12_u8, 1..20),
    ) {
        let text = |seconds: &u64| match by_data {
            true => format!("duration(string(int(token.data.n) + {seconds}) + 's')"),
            false => format!("{seconds}s"),
        };
        let after: Vec<_> = after.iter().map(|of| of.as_ref().map(text)).collect();
        let start = over_marking(start, &seen);
        let Some((of_itself, plain)) = pair(&start, &after) else { return Ok(()) };
        let of_itself = Start { tokens: vec![1], ..of_itself };
        let (mut of_itself, mut plain) = (Run::new(&of_itself), Run::new(&plain));
        is_judged(&of_itself, &[], 0);
        for pick in picks {
            let status = of_itself.case.status;
            if !matches!(status, CaseStatus::Running | CaseStatus::Paused) {
                break;
            }
            if status == CaseStatus::Paused && pick != 5 && pick != 4 {
                continue;
            }
            let (before, made) = (of_itself.case.timers.clone(), of_itself.case.timers_made);
            if step(&mut of_itself, &mut plain, pick).is_none() {
                continue;
            }
            let record = of_itself.log.last().unwrap().value.clone();
            one_by_one(&mut plain, &record);
            prop_assert_eq!(of_itself.counts(), plain.counts());
            is_judged(&of_itself, &before, made);
            if record.kind == RecordKind::Elapsed {
                has_elapsed(&of_itself, &record);
            }
        }
    }
}

fn timed(transitions: serde_json::Value, places: &[&str]) -> Run {
    let places: Vec<_> = places.iter().map(|id| json!({ "id": id })).collect();
    let definition = serde_json::from_value(json!({
        "id": "random", "initial_place": "p0", "places": places, "transitions": transitions
    }));
    Run::new(&Start { definition: definition.unwrap(), tokens: vec![1] })
}

fn elapsed(run: &mut Run, seconds: i64) -> Option<Record> {
    let budget = Budget::default();
    let until = run.log.last().unwrap().value.time + TimeDelta::seconds(seconds);
    let record = elapse(&run.net, &run.case, until, &run.act(), Bounds::of(&budget))?.unwrap();
    run.append(record.clone());
    Some(record)
}

/// A token that is taken and comes back within a record is another one: the clock starts anew.
#[test]
fn a_token_that_comes_back_has_a_new_clock() {
    let mut run = timed(
        json!([
            {"id": "expire", "from_places": ["p0"], "to_place": "end", "after": "30s"},
            {"id": "again", "from_places": ["p0"], "to_place": "p0"}
        ]),
        &["p0", "end"],
    );
    let first = run.case.timers[0].clone();
    let record = run.fire(1, &[]).unwrap();
    run.append(record);
    let [second] = &run.case.timers[..] else { panic!("{:?}", run.case.timers) };
    assert_eq!((second.number, &second.tokens), (2, &first.tokens));
    assert!(second.since > first.since && second.due > first.due);
    assert!(elapsed(&mut run, 29).is_none());
    let record = elapsed(&mut run, 30).unwrap();
    assert_eq!((record.cascade[0].timer, run.case.status), (Some(2), CaseStatus::Completed));
}

/// An edit reckons the time anew from the same beginning, also one that has come due already.
#[test]
fn an_edit_moves_the_time_and_not_the_beginning() {
    let mut run = timed(
        json!([{"id": "expire", "from_places": ["p0"], "to_place": "end",
            "after": "duration(string(token.data.n) + 'm')"}]),
        &["p0", "end"],
    );
    let first = run.case.timers[0].clone();
    assert_eq!(first.due - first.since, TimeDelta::minutes(1));
    let edit = |run: &mut Run, n: serde_json::Value| {
        let token = first.tokens[0].token.clone();
        let (budget, patch) = (Budget::default(), json!({ "n": n }));
        let bounds = Bounds::of(&budget);
        let record = update_data(&run.net, &run.case, &token, &patch, &run.act(), bounds);
        run.append(record.unwrap().unwrap());
    };
    edit(&mut run, json!(5));
    let second = run.case.timers[0].clone();
    assert_eq!((second.number, second.since), (1, first.since));
    assert_eq!(second.due - second.since, TimeDelta::minutes(5));
    assert_eq!(second.armed, Some(run.case.sequence), "it is armed again");
    // A time that can't be reckoned is an incident, and over when it can.
    edit(&mut run, json!("soon"));
    assert!(run.case.timers.is_empty());
    assert_eq!(run.case.incidents[0].code, IncidentCode::DueFailed);
    edit(&mut run, json!(0));
    let third = run.case.timers[0].clone();
    assert_eq!((third.number, run.case.incidents.len()), (2, 0));
    assert_eq!(elapsed(&mut run, 0).unwrap().cascade.len(), 1);
}

/// What comes due without room stays, and fires in the first change that makes room.
#[test]
fn a_timer_without_room_fires_when_there_is_some() {
    let definition = serde_json::from_value(json!({
        "id": "random", "initial_place": "p0",
        "places": [{"id": "p0"}, {"id": "p1", "capacity": 1}, {"id": "end"}],
        "transitions": [
            {"id": "move", "from_places": ["p0"], "to_place": "p1", "after": "10s"},
            {"id": "leave", "from_places": ["p1"], "to_place": "end"}
        ]
    }));
    let mut run = Run::new(&Start { definition: definition.unwrap(), tokens: vec![2] });
    assert_eq!(run.case.timers.len(), 2);
    let record = elapsed(&mut run, 20).unwrap();
    assert_eq!((record.elapsed.len(), record.cascade.len()), (2, 1));
    assert!(run.case.timers[0].elapsed && run.case.incidents.is_empty());
    assert!(elapsed(&mut run, 100).is_none(), "it has come due");
    let record = run.fire(1, &[]).unwrap();
    assert_eq!(record.cascade[0].timer, Some(2));
    run.append(record);
    assert!(run.case.timers.is_empty());
}

/// Of two timers whose transitions want the same token the first takes it, and the other is over.
#[test]
fn what_comes_first_takes_the_token() {
    let mut run = timed(
        json!([
            {"id": "late", "from_places": ["p0"], "to_place": "p1", "after": "20s"},
            {"id": "early", "from_places": ["p0"], "to_place": "p1", "after": "10s"},
            {"id": "end", "from_places": ["p1"], "to_place": "end"}
        ]),
        &["p0", "p1", "end"],
    );
    let record = elapsed(&mut run, 60).unwrap();
    assert_eq!((record.elapsed.len(), record.cascade.len()), (2, 1));
    assert_eq!(record.cascade[0].transition.as_str(), "early");
    assert!(run.case.timers.is_empty());
}

/// One that only reads fires again and again, each time after as long.
#[test]
fn a_timer_that_only_reads_begins_again() {
    let mut run = timed(
        json!([
            {"id": "remind", "inputs": [{"place": "p0", "kind": "read"}],
             "outputs": [{"place": "p1"}], "after": "1h"},
            {"id": "end", "from_places": ["p0"], "to_place": "p1"}
        ]),
        &["p0", "p1"],
    );
    for round in 1..=3 {
        assert_eq!(run.case.timers.len(), 1);
        assert_eq!(elapsed(&mut run, 3_600).unwrap().cascade[0].timer, Some(round));
    }
    assert_eq!(run.count(1), 3);
}

/// A guard that asks for what happens elsewhere ends a timer when it is false, and begins another.
#[test]
fn a_guard_is_judged_where_a_change_rests() {
    let mut run = timed(
        json!([
            {"id": "expire", "from_places": ["p0"], "to_place": "end", "after": "30s",
             "conditions": ["case.marking.?p1.orValue(0) == 0"]},
            {"id": "out", "from_places": ["p1"], "to_place": "end"},
            {"id": "in", "from_places": ["end"], "to_place": "p1"}
        ]),
        &["p0", "p1", "end"],
    );
    run.add(1);
    assert!(run.case.timers.is_empty());
    let record = run.fire(1, &[]).unwrap();
    run.append(record);
    let [timer] = &run.case.timers[..] else { panic!("{:?}", run.case.timers) };
    assert_eq!((timer.number, timer.since), (2, run.log.last().unwrap().value.time));
}

/// As many as run at once; the next begin when these end.
#[test]
fn more_than_a_thousand_timers_take_turns() {
    let definition = serde_json::from_value(json!({
        "id": "random", "initial_place": "p0", "max_cascade": 10_000,
        "places": [{"id": "p0"}, {"id": "p1"}, {"id": "end"}],
        "transitions": [
            {"id": "spread", "inputs": [{"place": "p0"}],
             "outputs": [{"place": "p1", "weight": 1_300}]},
            {"id": "expire", "from_places": ["p1"], "to_place": "end", "after": "30s"}
        ]
    }));
    let mut run = Run::new(&Start { definition: definition.unwrap(), tokens: vec![1] });
    let record = run.fire(0, &[]).unwrap();
    run.append(record);
    assert_eq!(run.case.timers.len(), 1_000);
    let mut records = 0;
    while let Some(record) = elapsed(&mut run, 60) {
        assert_eq!(record.cascade.len(), record.elapsed.len());
        records += 1;
    }
    assert_eq!((run.case.timers_made, run.case.status), (1_300, CaseStatus::Completed));
    assert_eq!(records, 6, "256 at a time");
}
