//! The work items of a case, judged by the rules alone.

use std::collections::HashSet;

use chrono::TimeDelta;
use proptest::{collection::vec, prelude::*};
use serde_json::json;

use super::{
    cascades::over_marking,
    fixture::{Run, Start, start},
};
use crate::{
    engine::{
        Act, Answered, Begin, Bounds, Budget, Claim, Net, PutOff, Refused, begin, change_status,
        complete, fail, give_back, update_data,
    },
    models::{
        Activity, ArcKind, CaseStatus, Failure, Item, Record, RecordKind, TokenId,
        WorkflowDefinition,
    },
};

/// The net with some of its transitions as activities, and with none; `None` if a definition has a problem.
fn pair(start: &Start, parallel: &[Option<u32>]) -> Option<(Start, Start)> {
    let plain = Start { tokens: vec![1], ..start.clone() };
    let mut working = start.clone();
    let takes = |definition: &WorkflowDefinition, number: usize| {
        let transition = &definition.transitions[number];
        !transition.from_places.is_empty()
            || transition.inputs.iter().any(|arc| arc.kind == ArcKind::Consume)
    };
    let last = parallel.len().min(working.definition.transitions.len()) - 1;
    for (number, parallel) in parallel.iter().enumerate().take(last) {
        if parallel.is_some() && takes(&working.definition, number) {
            let activity = Activity { max_parallel: *parallel, ..Activity::default() };
            working.definition.transitions[number].activity = Some(activity);
        }
    }
    Net::compile(&working.definition).ok()?;
    Some((Start { tokens: vec![1], ..working }, plain))
}

fn taken(record: &Record) -> HashSet<TokenId> {
    let steps = record.cascade.iter().flat_map(|step| step.consumed.iter().chain(&step.removed));
    let all = record.consumed.iter().chain(&record.removed).chain(steps);
    all.map(|at| at.token.clone()).collect()
}

/// Checks that a case's items are those that the rules say.
fn is_judged(run: &Run, before: &[Item], made_before: u64) {
    let (record, case) = (&run.log.last().unwrap().value, &run.case);
    if case.status.has_ended() {
        assert!(case.items.is_empty());
        return;
    }
    let (gone, mut numbers, mut takes) = (taken(record), HashSet::new(), HashSet::new());
    for item in &case.items {
        let transition = run.net.transition(&item.transition).unwrap();
        let activity = transition.activity.as_ref().expect("it is of an activity");
        let of = case.items.iter().filter(|other| other.transition == item.transition);
        assert!(of.count() <= activity.max_parallel);
        assert!(numbers.insert(item.number) && item.number <= case.items_made);
        // Tokens of the modes that a random net has are told apart by place and number alone.
        let mode = transition.modes.iter().find(|mode| {
            let count = |kind| {
                let arcs = mode.arcs.inputs.iter().filter(move |arc| arc.kind == kind);
                arcs.map(|arc| arc.weight).sum::<u64>()
            };
            count(ArcKind::Consume) + count(ArcKind::Read) == item.tokens.len() as u64
                && mode.arcs.inputs.iter().all(|arc| {
                    let here =
                        item.tokens.iter().any(|at| at.place == run.net.places[arc.place].id);
                    here || matches!(arc.kind, ArcKind::Inhibitor | ArcKind::Reset)
                })
        });
        let mode = mode.expect("its tokens are those of a mode");
        let consumes = mode.arcs.inputs.iter().filter(|arc| arc.kind == ArcKind::Consume);
        let consumes: u64 = consumes.map(|arc| arc.weight).sum();
        for (at, number) in item.tokens.iter().zip(0_u64..) {
            assert_eq!(case.tokens[&at.token].place, at.place, "{item:?}");
            if number < consumes {
                assert!(takes.insert((&item.transition, &at.token)), "shared: {item:?}");
            }
        }
        let mut inhibitors = mode.arcs.inputs.iter().filter(|arc| arc.kind == ArcKind::Inhibitor);
        assert!(!inhibitors.any(|arc| run.count(arc.place) >= arc.weight), "{item:?}");
        match before.iter().find(|old| old.number == item.number) {
            Some(old) => {
                assert_eq!((&old.tokens, old.since), (&item.tokens, item.since));
                assert!(item.tokens.iter().all(|at| !gone.contains(&at.token)), "a new one");
            }
            None => {
                assert!(item.number > made_before && item.since == record.time);
                assert_eq!((item.offered, item.claim), (Some(case.sequence), 0));
            }
        }
    }
    for old in before.iter().filter(|old| !numbers.contains(&old.number)) {
        let transition = run.net.transition(&old.transition).unwrap();
        let mut inhibitors = transition.modes.iter().flat_map(|mode| &mode.arcs.inputs);
        let is_inhibited = inhibitors.any(|arc| arc.kind == ArcKind::Inhibitor);
        let is_over = old.tokens.iter().any(|at| gone.contains(&at.token));
        let is_answered = record.work.as_ref().is_some_and(|work| work.item == old.number);
        assert!(
            is_over || is_answered || is_inhibited || !transition.guards.is_empty(),
            "{old:?} is gone without a cause"
        );
    }
}

/// The record of a start, if it may begin.
fn started(run: &Run, item: &Item, over: bool) -> Option<Record> {
    let (case, act, budget) = (&run.case, run.act(), Budget::default());
    let start = Begin {
        item: item.number,
        over: over.then_some(item.claim),
        got_on: false,
        answered: false,
        lease: None,
    };
    let begun = begin(&run.net, case, start, &act, Bounds::of(&budget));
    let is_refused = case.status == CaseStatus::Paused
        || item.done.is_some()
        || (item.running.is_some() && !over)
        || item.wait.is_some()
        || !case.incidents.is_empty();
    assert!(begun.is_ok() || is_refused, "{begun:?} of {item:?}");
    Some(begun.ok()?.record)
}

/// The time up to which an item is put off that is given back, if it is.
fn until(which: u8, act: &Act) -> Option<PutOff> {
    let seconds = [None, Some(-1), Some(1), Some(3_600)][usize::from(which / 2 % 4)];
    let until = act.now + TimeDelta::seconds(seconds?);
    Some(PutOff { until, answers: which.is_multiple_of(3) })
}

/// A change of both; `None` if there is none of that kind now.
fn step(working: &mut Run, plain: &mut Run, (pick, which): (u8, u8)) -> Option<()> {
    let (last, budget) = (plain.net.transitions.len() - 1, Budget::default());
    let bounds = Bounds::of(&budget);
    let act = working.act();
    let items = &working.case.items;
    let item = (!items.is_empty()).then(|| items[usize::from(which) % items.len()].clone());
    let (net, case) = (&working.net, &working.case);
    let (record, alone) = match pick {
        0..=2 => (started(working, &item?, pick == 0)?, None),
        3..=5 => {
            let item = item?;
            let claim = Claim { item: item.number, number: Some(item.claim) };
            let old = Claim { number: Some(item.claim.checked_sub(1)?), ..claim };
            let answer =
                || Answered { outcome: None, result: json!({ "done": which }), hand_over: None };
            let stale = complete(net, case, old, answer(), &act, bounds);
            assert!(matches!(stale, Err(Refused::LeaseLost { .. } | Refused::Done)), "{stale:?}");
            let done = complete(net, case, claim, answer(), &act, bounds);
            assert_eq!(done.is_ok(), item.running.is_some() && item.done.is_none());
            (done.ok()?, None)
        }
        6 => {
            let claim = Claim { item: item?.number, number: None };
            let answer = Answered { outcome: None, result: json!([which]), hand_over: None };
            (complete(net, case, claim, answer, &act, bounds).ok()?, None)
        }
        7 => {
            let item = item?;
            let claim = Claim { item: item.number, number: Some(item.claim) };
            let failure = Failure { code: "DOWN".to_owned(), ..Failure::default() };
            let record = match which % 2 {
                0 => fail(net, case, claim, failure, &act, bounds),
                _ => give_back(net, case, (claim, until(which, &act)), &act, bounds),
            };
            (record.ok()?, None)
        }
        8 => {
            let token = plain.case.marking.0.first()?.token.clone();
            let edit = |run: &Run| {
                let patch = json!({ "n": run.log.len() % 7 });
                let (net, case) = (&run.net, &run.case);
                update_data(net, case, &token, &patch, &run.act(), bounds).unwrap().unwrap()
            };
            (edit(working), Some(edit(plain)))
        }
        9 => {
            let kind = match working.case.status {
                CaseStatus::Paused => RecordKind::Resumed,
                _ => RecordKind::Paused,
            };
            let change =
                |run: &Run| change_status(&run.net, &run.case, kind, &run.act(), bounds).unwrap();
            (change(working), Some(change(plain)))
        }
        10 => {
            let (record, alone) = (working.fire(last, &[]), plain.fire(last, &[]));
            assert_eq!(record.is_ok(), alone.is_ok());
            (record.ok()?, Some(alone.unwrap()))
        }
        place => {
            (working.case.status == CaseStatus::Running).then_some(())?;
            let place = usize::from(place) % plain.net.places.len();
            let capacity = plain.net.places[place].capacity;
            capacity.is_none_or(|most| plain.count(place) < most).then_some(())?;
            plain.add(place);
            working.add(place);
            return Some(());
        }
    };
    working.append(record);
    alone.into_iter().for_each(|alone| plain.append(alone));
    Some(())
}

/// The firings of a record one by one, in the net without activities, as long as nothing is paused.
fn one_by_one(plain: &mut Run, record: &Record) {
    let is_completion = record.kind == RecordKind::Fired && record.work.is_some();
    let first = is_completion.then(|| (record.transition.as_ref().unwrap(), &record.consumed));
    let steps = record.cascade.iter().map(|step| (&step.transition, &step.consumed));
    for (transition, consumed) in first.into_iter().chain(steps) {
        let index = plain.net.transitions.iter().position(|of| of.id == *transition).unwrap();
        let tokens: Vec<_> = consumed.iter().map(|at| at.token.clone()).collect();
        let fired = plain.fire(index, &tokens);
        let fired = fired.unwrap_or_else(|refused| panic!("{transition}: {refused:?}"));
        let taken = |list: &[crate::models::TokenAt]| {
            let mut ids: Vec<_> = list.iter().map(|at| at.token.clone()).collect();
            ids.sort();
            ids
        };
        assert_eq!(taken(&fired.consumed), taken(consumed));
        plain.append(fired);
    }
}

proptest! {
    #[test]
    fn items_are_those_that_the_rules_say(
        start in start(),
        parallel in vec(proptest::option::weighted(0.7, 1..4_u32), 5),
        seen in vec(proptest::option::weighted(0.2, (0..4_usize, 0..4_u64)), 5),
        picks in vec((0..15_u8, any::<u8>()), 1..30),
    ) {
        let start = over_marking(start, &seen);
        let Some((working, plain)) = pair(&start, &parallel) else { return Ok(()) };
        let (mut working, mut plain) = (Run::new(&working), Run::new(&plain));
        is_judged(&working, &[], 0);
        for pick in picks {
            let was_paused = working.case.status == CaseStatus::Paused;
            if working.case.status.has_ended() {
                break;
            }
            let (before, made) = (working.case.items.clone(), working.case.items_made);
            if step(&mut working, &mut plain, pick).is_none() {
                continue;
            }
            let record = working.log.last().unwrap().value.clone();
            if was_paused && record.work.is_some() && record.kind == RecordKind::Fired {
                // Only an answer fires in a paused case; the plain one has to be made to run for it.
                return Ok(());
            }
            one_by_one(&mut plain, &record);
            prop_assert_eq!(working.counts(), plain.counts());
            is_judged(&working, &before, made);
        }
    }
}
