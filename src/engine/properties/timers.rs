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
            let record = elapse(net, case, (until, u64::MAX), &act, bounds)?.unwrap();
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
