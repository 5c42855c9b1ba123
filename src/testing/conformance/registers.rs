//! Registers of the view: conditional writes, markers, and writers that come too late.

use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use futures::TryStreamExt;
use serde_json::json;

use super::{
    Behaviour, behaviour,
    fixture::{
        PATHS, View, assert_same, attempt, case, gone, in_place, live, page, place, shift, token,
        workflow, write, written,
    },
};
use crate::{
    models::{LogSequence, Token, ViewSequence},
    storage::{RegisterState, RegisterVersion, ViewOutcome, WriteOptions},
};

/// The behaviours of this module.
pub(super) const BEHAVIOURS: &[Behaviour<View>] = &[
    behaviour!(an_unwritten_register_is_empty),
    behaviour!(a_register_holds_what_was_written_last),
    behaviour!(a_write_happens_under_the_expected_sequence_only),
    behaviour!(each_write_is_answered_and_a_failed_one_stops_no_other),
    behaviour!(an_old_writer_neither_overwrites_nor_brings_back),
    behaviour!(of_two_writers_that_saw_the_same_one_wins),
    behaviour!(all_registers_are_listed_markers_included),
    behaviour!(many_registers_are_read_as_each_is_alone_and_in_the_order_asked),
    behaviour!(an_outline_says_of_each_register_what_it_comes_from),
    behaviour!(a_late_write_is_unfenced_where_nothing_was_and_markers_go),
];

/// An empty register has its own ids, and no revision.
pub async fn an_unwritten_register_is_empty(view: &View) {
    let (id, c, p) = (workflow("reg-empty"), case("c"), place("p"));
    let t = token(&id, &c, 1, &p, json!({}));
    let register = view.register(&id, &p, &t.id).await.unwrap();
    assert_eq!((&register.workflow, &register.place, &register.token), (&id, &p, &t.id));
    assert_eq!((register.sequence, register.version()), (None, RegisterVersion::NOTHING));
    assert_eq!(register.state.revision(), None);
    assert_eq!(register.state, RegisterState::Empty);
}

/// The token comes whole, then a marker, then the token again.
pub async fn a_register_holds_what_was_written_last(view: &View) {
    let (id, c, p) = (workflow("reg-last"), case("c"), place("p"));
    let first = token(&id, &c, 5, &p, json!({"round": 1}));
    let mut last = None;
    for round in 0..3 {
        let t = Token { nats_sequence: LogSequence::new(5 + 10 * round), ..first.clone() };
        let sequence =
            write(view, live(&t, last.map_or(RegisterVersion::NOTHING, RegisterVersion::token)))
                .await;
        assert!(Some(sequence) > last);
        let register = view.register(&id, &p, &t.id).await.unwrap();
        assert_eq!(register.sequence, Some(sequence));
        assert_eq!(register.version(), RegisterVersion::token(sequence));
        assert_eq!(register.state.revision(), t.nats_sequence);
        match register.state {
            RegisterState::Live(read) => assert_same(view, &read, &t),
            other => panic!("expected the token, got {other:?}"),
        }
        last = Some(write(view, gone(&t, sequence, None)).await);
        assert!(last > Some(sequence));
        let register = view.register(&id, &p, &t.id).await.unwrap();
        assert_eq!(register.sequence, last);
        assert_eq!(
            register.state,
            RegisterState::Gone { revision: Some(LogSequence::after(t.nats_sequence)) }
        );
    }
}

/// Any other sequence than that of the register is a lost race, and nothing is written.
pub async fn a_write_happens_under_the_expected_sequence_only(view: &View) {
    let (id, c, p) = (workflow("reg-cas"), case("c"), place("p"));
    let t = token(&id, &c, 1, &p, json!({"n": 1}));
    let changed = Token { data: json!({"n": 2}), ..t.clone() };
    for wrong in [1, 1_000_000] {
        for write in [live(&t, wrong), gone(&t, wrong, None)] {
            assert_eq!(attempt(view, vec![write]).await, [Ok(ViewOutcome::LostRace)]);
        }
    }
    let empty = view.register(&id, &p, &t.id).await.unwrap();
    assert_eq!(empty.state, RegisterState::Empty, "a lost race writes nothing");
    let there = write(view, live(&t, 0)).await;
    for wrong in [0, there.get() + 1, there.get() + 1_000_000] {
        for write in [live(&changed, wrong), gone(&changed, wrong, None)] {
            assert_eq!(attempt(view, vec![write]).await, [Ok(ViewOutcome::LostRace)]);
        }
    }
    let register = view.register(&id, &p, &t.id).await.unwrap();
    assert_eq!(register.sequence, Some(there), "a lost race writes nothing");
    write(view, live(&changed, there)).await;
}

/// Writes are answered in the order in which they were given.
pub async fn each_write_is_answered_and_a_failed_one_stops_no_other(view: &View) {
    let (id, c, p) = (workflow("reg-each"), case("c"), place("p"));
    assert_eq!(attempt(view, Vec::new()).await, []);
    let tokens: Vec<_> = (1..=50).map(|n| token(&id, &c, n, &p, json!({"n": n}))).collect();
    let fails = |t: &Token| t.nats_sequence.is_some_and(|at| at.get().is_multiple_of(3));
    let writes = tokens.iter().map(|t| live(t, if fails(t) { 9_999_999 } else { 0 })).collect();
    let outcomes = attempt(view, writes).await;
    assert_eq!(outcomes.len(), tokens.len());
    for (t, outcome) in tokens.iter().zip(outcomes) {
        let register = view.register(&id, &p, &t.id).await.unwrap();
        match outcome.unwrap() {
            ViewOutcome::LostRace => {
                assert!(fails(t));
                assert_eq!(register.state, RegisterState::Empty);
            }
            outcome => {
                assert!(!fails(t));
                assert!(register.sequence.is_some(), "{outcome:?}");
                assert_eq!(register.sequence, written(&Ok(outcome)));
            }
        }
    }
    let scope = in_place(&id, &p);
    for path in PATHS {
        let listed = view.tokens(&scope, page(100, None, path)).await.unwrap().into_items();
        assert_eq!(listed.len(), tokens.iter().filter(|t| !fails(t)).count());
    }
}

/// A token that moved away stays away, after any write of a writer who saw it before.
pub async fn an_old_writer_neither_overwrites_nor_brings_back(view: &View) {
    let (id, c, p, q) = (workflow("reg-old"), case("c"), place("p"), place("q"));
    let t = token(&id, &c, 1, &p, json!({"n": 1}));
    let seen = write(view, live(&t, 0)).await;
    let newer = Token { data: json!({"n": 2}), nats_sequence: LogSequence::new(2), ..t.clone() };
    let newer_at = write(view, live(&newer, seen)).await;
    for late in [live(&t, seen), live(&t, 0), gone(&t, seen, None)] {
        assert_eq!(attempt(view, vec![late]).await, [Ok(ViewOutcome::LostRace)]);
    }
    let (moved, moved_at) = shift(view, &newer, newer_at, &q).await;
    for late in [live(&newer, newer_at), live(&newer, seen), live(&newer, 0)] {
        assert_eq!(attempt(view, vec![late]).await, [Ok(ViewOutcome::LostRace)]);
    }
    for path in PATHS {
        let read = view.token(&id, &t.id, path.into()).await.unwrap().unwrap();
        assert_same(view, &read, &moved);
    }
    // There and back again: the register of the first place is still fenced.
    let (back, back_at) = shift(view, &moved, moved_at, &p).await;
    for late in [live(&t, seen), live(&newer, newer_at), live(&t, 0)] {
        assert_eq!(attempt(view, vec![late]).await, [Ok(ViewOutcome::LostRace)]);
    }
    let register = view.register(&id, &p, &t.id).await.unwrap();
    assert_eq!(register.sequence, Some(back_at));
    assert_eq!(register.state.revision(), back.nats_sequence);
}

/// Exactly one wins, and its token is there.
pub async fn of_two_writers_that_saw_the_same_one_wins(view: &View) {
    let (id, c, p) = (workflow("reg-race"), case("c"), place("p"));
    let mut seen = RegisterVersion::NOTHING;
    for round in 0..20 {
        let t = |n: u64| token(&id, &c, 1, &p, json!({"round": round, "writer": n}));
        let attempts = (0..4).map(|n| attempt(view, vec![live(&t(n), seen)]));
        let outcomes = futures::future::join_all(attempts).await.concat();
        let won = (0..).zip(&outcomes).filter_map(|(n, outcome)| Some((n, written(outcome)?)));
        let won: Vec<(u64, ViewSequence)> = won.collect();
        assert_eq!(won.len(), 1, "{outcomes:?}");
        let register = view.register(&id, &p, &t(0).id).await.unwrap();
        let RegisterState::Live(read) = register.state else { panic!("{register:?}") };
        assert_eq!((register.sequence, &read.data), (Some(won[0].1), &t(won[0].0).data));
        seen = RegisterVersion::token(won[0].1);
    }
}

/// Every register comes with its contents.
pub async fn all_registers_are_listed_markers_included(view: &View) {
    let (id, c, p, q) = (workflow("reg-all"), case("c"), place("p"), place("q"));
    let mut expected = Vec::new();
    for number in 1..=30 {
        let t = token(&id, &c, number, &p, json!({}));
        let at = write(view, live(&t, 0)).await;
        match number % 3 {
            0 => expected.push((t.id, p.clone(), Some(at), true)),
            1 => expected.push((
                t.id.clone(),
                p.clone(),
                Some(write(view, gone(&t, at, None)).await),
                false,
            )),
            _ => {
                let (moved, moved_at) = shift(view, &t, at, &q).await;
                let old = view.register(&id, &p, &t.id).await.unwrap();
                expected.push((t.id, p.clone(), old.sequence, false));
                expected.push((moved.id, q.clone(), Some(moved_at), true));
            }
        }
    }
    let listed = view.registers().await.unwrap();
    let listed: Vec<_> = listed.try_collect().await.unwrap();
    let ours = listed.into_iter().filter(|register| register.workflow == id);
    let mut ours: Vec<_> = ours
        .map(|register| {
            let alive = matches!(register.state, RegisterState::Live(_));
            (register.token, register.place, register.sequence, alive)
        })
        .collect();
    ours.sort();
    expected.sort();
    assert_eq!(ours, expected);
}

/// Registers of any number and contents are read, and twice if somebody asks for one twice.
pub async fn many_registers_are_read_as_each_is_alone_and_in_the_order_asked(view: &View) {
    let (id, c, p, q) = (workflow("reg-many"), case("c"), place("p"), place("q"));
    let mut wanted = Vec::new();
    for number in 1..=1_100 {
        let t = token(&id, &c, number, &p, json!({"n": number}));
        match number % 4 {
            0 => {}
            1 => drop(shift(view, &t, write(view, live(&t, 0)).await, &q).await),
            2 => drop(write(view, gone(&t, 0, None)).await),
            _ => drop(write(view, live(&t, 0)).await),
        }
        wanted.extend([(t.id.clone(), p.clone()), (t.id.clone(), q.clone())]);
    }
    wanted.reverse();
    wanted.push(wanted[7].clone());
    for wanted in [&wanted[..], &wanted[..3], &wanted[..1], &[]] {
        let read = view.registers_of(&id, wanted).await.unwrap();
        assert_eq!(read.len(), wanted.len());
        for ((token, place), register) in wanted.iter().zip(read).rev().step_by(7) {
            let alone = view.register(&id, place, token).await.unwrap();
            // Where markers go, one may have gone since the first read.
            let is_gone = matches!(register.state, RegisterState::Gone { .. })
                && alone.state == RegisterState::Empty;
            assert!(is_gone || register == alone, "{register:?} and then {alone:?}");
        }
    }
    // Of another workflow there is nothing.
    let none = view.registers_of(&workflow("reg-none"), &wanted[..9]).await.unwrap();
    assert!(none.iter().all(|register| register.state == RegisterState::Empty));
}

/// Outlines are all of them, where no start is given.
pub async fn an_outline_says_of_each_register_what_it_comes_from(view: &View) {
    let (id, c, p, q) = (workflow("reg-outline"), case("c"), place("p"), place("q"));
    let mut expected = Vec::new();
    for number in 1..=12 {
        let t = token(&id, &c, number, &p, json!({}));
        let seen = write(view, live(&t, 0)).await;
        match number % 3 {
            0 => {
                let (moved, _) = shift(view, &t, seen, &q).await;
                expected.push((t.id, p.clone(), moved.nats_sequence, true));
                expected.push((moved.id, q.clone(), moved.nats_sequence, false));
            }
            _ => expected.push((t.id, p.clone(), t.nats_sequence, false)),
        }
    }
    let outlines = view.outlines(None).await.unwrap();
    let outlines: Vec<_> = outlines.try_collect().await.unwrap();
    let ours = outlines.into_iter().filter(|outline| outline.workflow == id);
    let mut ours: Vec<_> = ours.map(|o| (o.token, o.place, o.revision, o.is_gone)).collect();
    ours.sort();
    expected.sort();
    assert_eq!(ours, expected);
}

/// A write upon what was seen needs no check, however late it is. A write into an empty register
/// needs one, unless markers stay.
pub async fn a_late_write_is_unfenced_where_nothing_was_and_markers_go(view: &View) {
    let (id, c, p) = (workflow("reg-late"), case("c"), place("p"));
    let now = Instant::now();
    let long_ago = now.checked_sub(Duration::from_secs(24 * 3_600)).expect("an earlier time");
    assert!(!view.is_stale(Instant::now()));
    let markers_go = view.is_stale(long_ago);
    let t = token(&id, &c, 1, &p, json!({"n": 1}));
    let late = WriteOptions { log_read: long_ago };
    let outcomes = view.write_views(vec![live(&t, 0)], late).await;
    let seen = match outcomes[..] {
        [Ok(ViewOutcome::Unfenced(seen))] if markers_go => seen,
        [Ok(ViewOutcome::Written(seen))] if !markers_go => seen,
        _ => panic!("{outcomes:?} where markers {}", if markers_go { "go" } else { "stay" }),
    };
    let register = view.register(&id, &p, &t.id).await.unwrap();
    assert_eq!(register.version(), seen, "it is done, and this is what it left");
    let outcomes = view.write_views(vec![live(&t, seen)], late).await;
    assert!(written(&outcomes[0]).is_some(), "{outcomes:?}");
    // Nobody's clock is behind by a day.
    let (now, before) = (Utc::now(), Utc::now() - TimeDelta::days(1));
    assert!(!view.has_forgotten(now, now));
    assert_eq!(view.has_forgotten(before, now), markers_go);
}
