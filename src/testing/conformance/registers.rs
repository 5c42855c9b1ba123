//! Registers of the view: conditional writes, markers, and writers that come too late.

use futures::TryStreamExt;
use serde_json::json;

use super::{
    Behaviour, behaviour,
    fixture::{
        PATHS, Store, Writer, assert_same, case, gone, in_place, live, place, shift, token,
        workflow, write,
    },
};
use crate::{
    models::{RecordKind, Token},
    storage::{Page, RegisterState, StorageExt, ViewOutcome},
};

/// The behaviours of this module.
pub(super) const BEHAVIOURS: &[Behaviour] = &[
    behaviour!(an_unwritten_register_is_empty),
    behaviour!(a_register_holds_what_was_written_last),
    behaviour!(a_write_happens_under_the_expected_sequence_only),
    behaviour!(each_write_is_answered_and_a_failed_one_stops_no_other),
    behaviour!(an_old_writer_neither_overwrites_nor_brings_back),
    behaviour!(of_two_writers_that_saw_the_same_one_wins),
    behaviour!(all_registers_are_listed_markers_included),
    behaviour!(many_registers_are_read_as_each_is_alone_and_in_the_order_asked),
    behaviour!(an_outline_says_of_each_register_what_it_comes_from),
    behaviour!(a_marker_is_kept_longer_than_a_writer_may_be_late),
];

/// An empty register has its own ids, and no revision.
pub async fn an_unwritten_register_is_empty(storage: &Store) {
    let (id, c, p) = (workflow("reg-empty"), case("c"), place("p"));
    let t = token(&id, &c, 1, &p, json!({}));
    let register = storage.register(&id, &p, &t.id).await.unwrap();
    assert_eq!((&register.workflow, &register.place, &register.token), (&id, &p, &t.id));
    assert_eq!((register.sequence, register.state.revision()), (0, 0));
    assert_eq!(register.state, RegisterState::Empty);
}

/// The token comes whole, then a marker, then the token again.
pub async fn a_register_holds_what_was_written_last(storage: &Store) {
    let (id, c, p) = (workflow("reg-last"), case("c"), place("p"));
    let first = token(&id, &c, 5, &p, json!({"round": 1}));
    let mut last = 0;
    for round in 0..3 {
        let t = Token { nats_sequence: 5 + 10 * round, ..first.clone() };
        let sequence = write(storage, live(&t, last)).await;
        assert!(sequence > last);
        let register = storage.register(&id, &p, &t.id).await.unwrap();
        assert_eq!((register.sequence, register.state.revision()), (sequence, t.nats_sequence));
        match register.state {
            RegisterState::Live(read) => assert_same(storage, &read, &t),
            other => panic!("expected the token, got {other:?}"),
        }
        last = write(storage, gone(&t, sequence, None)).await;
        assert!(last > sequence);
        let register = storage.register(&id, &p, &t.id).await.unwrap();
        assert_eq!(register.sequence, last);
        assert_eq!(register.state, RegisterState::Gone { revision: t.nats_sequence + 1 });
    }
}

/// Any other sequence than that of the register is a lost race, and nothing is written.
pub async fn a_write_happens_under_the_expected_sequence_only(storage: &Store) {
    let (id, c, p) = (workflow("reg-cas"), case("c"), place("p"));
    let t = token(&id, &c, 1, &p, json!({"n": 1}));
    let changed = Token { data: json!({"n": 2}), ..t.clone() };
    for wrong in [1, 1_000_000] {
        for write in [live(&t, wrong), gone(&t, wrong, None)] {
            assert_eq!(storage.write_views(vec![write]).await, [Ok(ViewOutcome::LostRace)]);
        }
    }
    let empty = storage.register(&id, &p, &t.id).await.unwrap();
    assert_eq!(empty.state, RegisterState::Empty, "a lost race writes nothing");
    let there = write(storage, live(&t, 0)).await;
    for wrong in [0, there + 1, there + 1_000_000] {
        for write in [live(&changed, wrong), gone(&changed, wrong, None)] {
            assert_eq!(storage.write_views(vec![write]).await, [Ok(ViewOutcome::LostRace)]);
        }
    }
    let register = storage.register(&id, &p, &t.id).await.unwrap();
    assert_eq!(register.sequence, there, "a lost race writes nothing");
    write(storage, live(&changed, there)).await;
}

/// Writes are answered in the order in which they were given.
pub async fn each_write_is_answered_and_a_failed_one_stops_no_other(storage: &Store) {
    let (id, c, p) = (workflow("reg-each"), case("c"), place("p"));
    assert_eq!(storage.write_views(Vec::new()).await, []);
    let tokens: Vec<_> = (1..=50).map(|n| token(&id, &c, n, &p, json!({"n": n}))).collect();
    let fails = |t: &Token| t.nats_sequence.is_multiple_of(3);
    let writes = tokens.iter().map(|t| live(t, if fails(t) { 9_999_999 } else { 0 })).collect();
    let outcomes = storage.write_views(writes).await;
    assert_eq!(outcomes.len(), tokens.len());
    for (t, outcome) in tokens.iter().zip(outcomes) {
        let register = storage.register(&id, &p, &t.id).await.unwrap();
        match outcome.unwrap() {
            ViewOutcome::LostRace => {
                assert!(fails(t));
                assert_eq!(register.state, RegisterState::Empty);
            }
            ViewOutcome::Written(sequence) => {
                assert!(!fails(t));
                assert_eq!(register.sequence, sequence);
            }
        }
    }
    let scope = in_place(&id, &p);
    for path in PATHS {
        let page = Page { first: 100, after: None };
        let listed = storage.tokens_in(&scope, page, path).await.unwrap().into_items();
        assert_eq!(listed.len(), tokens.iter().filter(|t| !fails(t)).count());
    }
}

/// A token that moved away stays away, after any write of a writer who saw it before.
pub async fn an_old_writer_neither_overwrites_nor_brings_back(storage: &Store) {
    let (id, c, p, q) = (workflow("reg-old"), case("c"), place("p"), place("q"));
    let t = token(&id, &c, 1, &p, json!({"n": 1}));
    let seen = write(storage, live(&t, 0)).await;
    let newer = Token { data: json!({"n": 2}), nats_sequence: 2, ..t.clone() };
    let newer_at = write(storage, live(&newer, seen)).await;
    for late in [live(&t, seen), live(&t, 0), gone(&t, seen, None)] {
        assert_eq!(storage.write_views(vec![late]).await, [Ok(ViewOutcome::LostRace)]);
    }
    let (moved, moved_at) = shift(storage, &newer, newer_at, &q).await;
    for late in [live(&newer, newer_at), live(&newer, seen), live(&newer, 0)] {
        assert_eq!(storage.write_views(vec![late]).await, [Ok(ViewOutcome::LostRace)]);
    }
    for path in PATHS {
        let read = storage.token(&id, &t.id, path).await.unwrap().unwrap();
        assert_same(storage, &read, &moved);
    }
    // There and back again: the register of the first place is still fenced.
    let (back, back_at) = shift(storage, &moved, moved_at, &p).await;
    for late in [live(&t, seen), live(&newer, newer_at), live(&t, 0)] {
        assert_eq!(storage.write_views(vec![late]).await, [Ok(ViewOutcome::LostRace)]);
    }
    let register = storage.register(&id, &p, &t.id).await.unwrap();
    assert_eq!((register.sequence, register.state.revision()), (back_at, back.nats_sequence));
}

/// Exactly one wins, and its token is there.
pub async fn of_two_writers_that_saw_the_same_one_wins(storage: &Store) {
    let (id, c, p) = (workflow("reg-race"), case("c"), place("p"));
    let mut seen = 0;
    for round in 0..20 {
        let t = |n: u64| token(&id, &c, 1, &p, json!({"round": round, "writer": n}));
        let attempts = (0..4).map(|n| storage.write_views(vec![live(&t(n), seen)]));
        let outcomes = futures::future::join_all(attempts).await.concat();
        let won = (0..).zip(&outcomes).filter_map(|(n, outcome)| match outcome {
            Ok(ViewOutcome::Written(sequence)) => Some((n, *sequence)),
            _ => None,
        });
        let won: Vec<(u64, u64)> = won.collect();
        assert_eq!(won.len(), 1, "{outcomes:?}");
        let register = storage.register(&id, &p, &t(0).id).await.unwrap();
        let RegisterState::Live(read) = register.state else { panic!("{register:?}") };
        assert_eq!((register.sequence, &read.data), (won[0].1, &t(won[0].0).data));
        seen = won[0].1;
    }
}

/// Every register comes with its contents.
pub async fn all_registers_are_listed_markers_included(storage: &Store) {
    let (id, c, p, q) = (workflow("reg-all"), case("c"), place("p"), place("q"));
    let mut expected = Vec::new();
    for number in 1..=30 {
        let t = token(&id, &c, number, &p, json!({}));
        let at = write(storage, live(&t, 0)).await;
        match number % 3 {
            0 => expected.push((t.id, p.clone(), at, true)),
            1 => expected.push((
                t.id.clone(),
                p.clone(),
                write(storage, gone(&t, at, None)).await,
                false,
            )),
            _ => {
                let (moved, moved_at) = shift(storage, &t, at, &q).await;
                let old = storage.register(&id, &p, &t.id).await.unwrap();
                expected.push((t.id, p.clone(), old.sequence, false));
                expected.push((moved.id, q.clone(), moved_at, true));
            }
        }
    }
    let listed = storage.registers().await.unwrap();
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
pub async fn many_registers_are_read_as_each_is_alone_and_in_the_order_asked(storage: &Store) {
    let (id, c, p, q) = (workflow("reg-many"), case("c"), place("p"), place("q"));
    let mut wanted = Vec::new();
    for number in 1..=1_100 {
        let t = token(&id, &c, number, &p, json!({"n": number}));
        match number % 4 {
            0 => {}
            1 => drop(shift(storage, &t, write(storage, live(&t, 0)).await, &q).await),
            2 => drop(write(storage, gone(&t, 0, None)).await),
            _ => drop(write(storage, live(&t, 0)).await),
        }
        wanted.extend([(t.id.clone(), p.clone()), (t.id.clone(), q.clone())]);
    }
    wanted.reverse();
    wanted.push(wanted[7].clone());
    for wanted in [&wanted[..], &wanted[..3], &wanted[..1], &[]] {
        let read = storage.registers_of(&id, wanted).await.unwrap();
        assert_eq!(read.len(), wanted.len());
        for ((token, place), register) in wanted.iter().zip(read).step_by(7) {
            assert_eq!(register, storage.register(&id, place, token).await.unwrap());
        }
    }
    // Of another workflow there is nothing.
    let none = storage.registers_of(&workflow("reg-none"), &wanted[..9]).await.unwrap();
    assert!(none.iter().all(|register| register.state == RegisterState::Empty));
}

/// Outlines are all of them without a start, and at least the newer ones with one.
pub async fn an_outline_says_of_each_register_what_it_comes_from(storage: &Store) {
    let (id, c, p, q) = (workflow("reg-outline"), case("c"), place("p"), place("q"));
    let mut writer = Writer::new(&id, &c);
    let mut expected = Vec::new();
    for number in 1..=12 {
        let (at, _) = writer.write(storage, RecordKind::Paused).await;
        let t = Token { nats_sequence: at, ..token(&id, &c, number, &p, json!({})) };
        let seen = write(storage, live(&t, 0)).await;
        expected.push((t.id.clone(), p.clone(), at, number % 3 == 0));
        if number % 3 == 0 {
            let (moved, _) = shift(storage, &t, seen, &q).await;
            expected.last_mut().unwrap().2 = moved.nats_sequence;
            expected.push((moved.id, q.clone(), moved.nats_sequence, false));
        }
    }
    expected.sort();
    for since in [0, expected[4].2] {
        let outlines = storage.outlines(since).await.unwrap();
        let outlines: Vec<_> = outlines.try_collect().await.unwrap();
        let ours = outlines.into_iter().filter(|outline| outline.workflow == id);
        let mut ours: Vec<_> = ours.map(|o| (o.token, o.place, o.revision, o.is_gone)).collect();
        ours.sort();
        assert!(ours.iter().all(|outline| expected.contains(outline)), "{ours:?}");
        let newer: Vec<_> = expected.iter().filter(|(.., at, _)| *at >= since).collect();
        assert!(newer.iter().all(|outline| ours.contains(outline)), "{newer:?} of {ours:?}");
    }
}

/// A marker that goes earlier would let a late write find the register empty before it is
/// checked.
pub async fn a_marker_is_kept_longer_than_a_writer_may_be_late(storage: &Store) {
    assert!(storage.late_after() <= storage.marker_kept());
    assert!(!storage.late_after().is_zero());
    let before = storage.reconnects();
    let health = storage.health().await;
    assert!(health.connected, "{health:?}");
    assert_eq!(health.problem, None);
    assert!(storage.reconnects() >= before);
}
