//! Firing: its condition, its choice of tokens, and the state afterwards.

use std::collections::{BTreeSet, HashMap};

use proptest::{collection::vec, prelude::*};

use super::fixture::{Run, Start, conserving, crowded, start, weight};
use crate::{
    engine::{Mode, NetPlace, Refusal, apply, reckon, restore},
    models::{
        ArcKind, Case, CaseStatus, Digests, Fence, LogSequence, Record, TokenAt, TokenId,
        VOUCHED_FROM,
    },
};

/// Fires the transitions of `picks` that can fire, and calls `check` before each.
fn walk(start: &Start, picks: &[usize], mut check: impl FnMut(&Run, usize)) -> Run {
    let mut run = Run::new(start);
    for pick in picks {
        let transition = pick % run.net.transitions.len();
        check(&run, transition);
        if let Ok(record) = run.fire(transition, &[]) {
            run.append(record);
        }
    }
    run
}

fn picks() -> impl Strategy<Value = Vec<usize>> {
    vec(any::<usize>(), 1..40)
}

fn ids(tokens: &[TokenAt]) -> Vec<&TokenId> {
    tokens.iter().map(|at| &at.token).collect()
}

/// The tokens that a mode must take: the oldest of each arc's place, in arc order.
fn oldest(run: &Run, mode: &Mode) -> Vec<TokenId> {
    let consuming = mode.arcs.inputs.iter().filter(|arc| arc.kind == ArcKind::Consume);
    let take = |arc: &crate::models::petri::Input| {
        let place = &run.net.places[arc.place].id;
        let tokens = run.case.marking.in_place(place).take(usize::try_from(arc.weight).unwrap());
        tokens.map(|entry| entry.token.clone()).collect::<Vec<_>>()
    };
    consuming.flat_map(take).collect()
}

fn counts(run: &Run, record: &Record) -> Vec<u64> {
    let count = |place: &crate::engine::NetPlace| record.marking.in_place(&place.id).count() as u64;
    run.net.places.iter().map(count).collect()
}

/// Checks the ids, numbers and history of the produced tokens.
fn check_produced(run: &Run, mode: &Mode, record: &Record) {
    let given: u64 = mode.arcs.outputs.iter().map(|(_, weight)| weight).sum();
    assert_eq!(record.produced.len() as u64, given);
    if record.consumed.len() == 1 && given == 1 {
        let (token, before) = (&record.produced[0], &run.case.tokens[&record.consumed[0].token]);
        assert_eq!((&token.id, token.created_at), (&before.id, before.created_at));
        assert_eq!(record.tokens_made, run.case.tokens_made, "it is no new token");
        assert_eq!(token.history_total, before.history_total + 1);
    } else {
        assert_eq!(record.tokens_made, run.case.tokens_made + given);
        let numbers: Vec<_> = record.produced.iter().filter_map(|t| t.id.number()).collect();
        let expected: Vec<_> = (run.case.tokens_made + 1..=record.tokens_made).collect();
        assert_eq!(numbers, expected, "new tokens have the next numbers");
    }
    for token in &record.produced {
        assert!(record.marking.entry(&token.id).is_some_and(|entry| entry.place == token.place));
        let unsaid = (token.nats_sequence, token.nats_timestamp, &token.nats_subject);
        assert_eq!(unsaid, (None, None, &None), "what only a store knows is not in a record");
    }
}

proptest! {
    #[test]
    fn a_transition_fires_exactly_when_the_textbook_says_so(start in start(), picks in picks()) {
        walk(&start, &picks, |run, transition| {
            let fired = run.fire(transition, &[]);
            assert_eq!(fired.is_ok(), run.first_mode(transition).is_some(), "{fired:?}");
            if let Err(refusal) = fired {
                assert!(matches!(refusal, Refusal::NotEnabled(_)), "{refusal:?}");
            }
        });
    }

    #[test]
    fn a_firing_takes_and_gives_what_its_arcs_say(start in start(), picks in picks()) {
        walk(&start, &picks, |run, transition| {
            let (Ok(record), Some(mode)) = (run.fire(transition, &[]), run.first_mode(transition))
            else {
                return;
            };
            assert_eq!(counts(run, &record), run.after(mode));
            for (place, count) in counts(run, &record).iter().enumerate() {
                let id = &run.net.places[place].id;
                let taken = record.consumed.iter().filter(|at| at.place == *id).count() as u64;
                assert_eq!(taken, weight(mode, place, ArcKind::Consume));
                let read = record.read.iter().filter(|at| at.place == *id).count() as u64;
                assert_eq!(read, weight(mode, place, ArcKind::Read));
                let removed = record.removed.iter().filter(|at| at.place == *id).count() as u64;
                let resets = mode.arcs.inputs.iter().any(|a| a.kind == ArcKind::Reset && a.place == place);
                assert_eq!(removed, if resets { run.count(place) - taken } else { 0 });
                if let Some(capacity) = run.net.places[place].capacity {
                    assert!(*count <= capacity, "{count} in {id}, which can hold {capacity}");
                }
            }
            let gone: BTreeSet<_> = ids(&record.consumed).into_iter().chain(ids(&record.removed)).collect();
            assert_eq!(gone.len(), record.consumed.len() + record.removed.len(), "each goes once");
            let taken = ids(&record.consumed);
            assert!(ids(&record.read).iter().all(|read| !taken.contains(read)), "never both");
            check_produced(run, mode, &record);
        });
    }

    #[test]
    fn the_counting_rule_of_the_net_and_the_engine_agree(start in start(), picks in picks()) {
        walk(&start, &picks, |run, transition| {
            // A case that has completed fires nothing more, even if it could.
            if run.case.status != CaseStatus::Running {
                return;
            }
            let net = run.net.petri();
            let id = &run.net.transitions[transition].id;
            let modes = run.net.modes().enumerate().filter(|(_, (owner, _))| owner.id == *id);
            let counted = modes
                .map(|(index, _)| {
                    let mut marking = run.counts();
                    net.fire(index, &mut marking).map(|()| marking)
                })
                .find_map(Result::ok);
            let fired = run.fire(transition, &[]).ok().map(|record| {
                let count = |place: &NetPlace| record.marking.in_place(&place.id).count() as u64;
                run.net.places.iter().map(count).collect::<Vec<_>>()
            });
            assert_eq!(fired, counted);
        });
    }

    #[test]
    fn inhibitors_block_and_resets_empty(start in start(), picks in picks()) {
        walk(&start, &picks, |run, transition| {
            let fired = run.fire(transition, &[]);
            let modes = &run.net.transitions[transition].modes;
            let inhibited = |mode: &Mode| mode.arcs.inputs.iter().any(|arc| {
                arc.kind == ArcKind::Inhibitor && run.count(arc.place) >= arc.weight
            });
            if modes.iter().all(inhibited) {
                assert!(fired.is_err());
            }
            let Ok(record) = fired else { return };
            let [mode] = modes.as_slice() else { return };
            for arc in mode.arcs.inputs.iter().filter(|arc| arc.kind == ArcKind::Reset) {
                let place = &run.net.places[arc.place].id;
                let old = record.marking.in_place(place).filter(|entry| entry.sequence.is_some());
                assert_eq!(old.count(), 0, "only what the firing gave is in {place}");
            }
        });
    }

    #[test]
    fn the_choice_of_tokens_is_the_same_each_time_and_the_oldest(
        start in start(), picks in picks(),
    ) {
        walk(&start, &picks, |run, transition| {
            let Ok(record) = run.fire(transition, &[]) else { return };
            assert_eq!(run.fire(transition, &[]).as_ref(), Ok(&record));
            let expected = oldest(run, run.first_mode(transition).unwrap());
            let taken: Vec<_> = record.consumed.iter().map(|at| at.token.clone()).collect();
            assert_eq!(taken, expected);
        });
    }

    #[test]
    fn a_named_token_is_taken_or_the_firing_is_refused(
        start in start(), picks in picks(), which in any::<prop::sample::Index>(),
    ) {
        walk(&start, &picks, |run, transition| {
            if run.case.marking.0.is_empty() {
                return;
            }
            let entry = which.get(&run.case.marking.0);
            let place = run.net.place(&entry.place).unwrap();
            let fits = |mode: &&Mode| run.can(mode) && weight(mode, place, ArcKind::Consume) > 0;
            let can = run.net.transitions[transition].modes.iter().any(|mode| fits(&mode));
            match run.fire(transition, std::slice::from_ref(&entry.token)) {
                Ok(record) => assert!(can && ids(&record.consumed).contains(&&entry.token)),
                Err(_) => assert!(!can),
            }
        });
    }

    #[test]
    fn the_log_replayed_is_the_case_that_ran(start in start(), picks in picks()) {
        let run = walk(&start, &picks, |run, transition| {
            let Ok(record) = run.fire(transition, &[]) else { return };
            let (mut marking, at) = (record.marking.clone(), LogSequence::new(1_000_000).unwrap());
            let stored = crate::models::Stored {
                value: record, sequence: at, timestamp: super::fixture::now(),
                subject: String::new(), fence: Fence::Unchecked, hash: String::new(),
            };
            marking.0.iter_mut().for_each(|e| e.sequence = Some(e.sequence_in(at)));
            assert_eq!(apply(Some(&run.case), &stored).unwrap().marking, marking);
        });
        let mut replayed: Option<Case> = None;
        for stored in &run.log {
            let before = replayed.as_ref();
            let applied = apply(before, stored).unwrap();
            // As a commit does it: the sequence and the hash come after all else.
            let reckoned = reckon(before, &stored.value).unwrap();
            prop_assert_eq!(&reckoned.stored(before, stored), &applied);
            replayed = Some(applied);
        }
        prop_assert_eq!(replayed.as_ref(), Some(&run.case));
        let tokens: HashMap<_, _> = run.case.tokens.clone();
        let restored = restore(run.log.last().unwrap(), tokens, run.case.history_bases.clone());
        prop_assert_eq!(restored.as_ref(), Ok(&run.case));
    }

    /// The equality of cases leaves their digests out, so these are compared by themselves.
    #[test]
    fn the_digests_of_a_case_are_those_of_its_tokens(start in crowded(), picks in picks()) {
        let run = walk(&start, &picks, |_, _| {});
        let mut replayed: Option<Case> = None;
        for stored in &run.log {
            let before = replayed.as_ref();
            let reckoned = reckon(before, &stored.value).unwrap();
            let hash = reckoned.tokens_hash(&stored.value);
            let committed = reckoned.stored(before, stored);
            let applied = apply(before, stored).unwrap();
            let anew = Digests::after(None, &applied.tokens, [].into_iter());
            let anew = anew.of_all(&applied.marking);
            prop_assert_eq!(&hash, &anew);
            prop_assert_eq!(anew.is_some(), applied.marking.0.len() >= VOUCHED_FROM);
            for case in [&committed, &applied] {
                prop_assert_eq!(&case.digests.of_all(&case.marking), &anew);
            }
            replayed = Some(committed);
        }
        prop_assert!(replayed.is_some_and(|case| case.marking.0.len() >= VOUCHED_FROM));
    }

    #[test]
    fn a_record_out_of_its_order_is_refused(start in start(), picks in picks()) {
        let run = walk(&start, &picks, |_, _| {});
        for pair in run.log.windows(2) {
            let before = apply(None, &run.log[0]).unwrap();
            if pair[0].sequence != before.sequence {
                prop_assert!(apply(Some(&before), &pair[1]).is_err());
            }
            prop_assert!(apply(None, &pair[1]).is_err());
        }
    }

    #[test]
    fn a_net_that_gives_what_it_takes_keeps_its_tokens(start in conserving(), picks in picks()) {
        let total = |run: &Run| run.counts().iter().sum::<u64>();
        let expected = total(&Run::new(&start));
        let run = walk(&start, &picks, |run, _| assert_eq!(total(run), expected));
        prop_assert_eq!(total(&run), expected);
        // The ring never ends, so a case with tokens can always go on.
        prop_assert!((0..run.net.transitions.len()).any(|t| run.fire(t, &[]).is_ok()));
    }

    #[test]
    fn a_guard_passes_over_tokens_and_the_oldest_that_satisfies_it_is_taken(
        tokens in 1..12_u64, limit in 0..14_u64, weight in 1..=3_u64,
    ) {
        let definition = serde_json::json!({
            "id": "guarded", "initial_place": "p0", "places": [{"id": "p0"}, {"id": "p1"}],
            "transitions": [{
                "id": "t0", "inputs": [{"place": "p0", "weight": weight}],
                "outputs": [{"place": "p1"}],
                "conditions": [format!("tokens.all(t, t.data.n >= {limit})")]
            }]
        });
        let definition = serde_json::from_value(definition).unwrap();
        let run = Run::new(&Start { definition, tokens: vec![tokens, 0] });
        let old_enough = run.case.live_tokens().filter(|token| token.data["n"].as_u64() >= Some(limit));
        let expected: Vec<_> =
            old_enough.take(usize::try_from(weight).unwrap()).map(|token| token.id.clone()).collect();
        match run.fire(0, &[]) {
            Ok(record) => {
                let taken: Vec<_> = record.consumed.into_iter().map(|at| at.token).collect();
                prop_assert_eq!(taken, expected);
            }
            Err(refusal) => {
                prop_assert!((expected.len() as u64) < weight, "{:?}", refusal);
            }
        }
    }
}
