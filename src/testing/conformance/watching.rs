//! Following the log.

use crate::storage::WatchOptions;
use futures::{StreamExt, stream};

use super::{
    Behaviour, behaviour,
    fixture::{
        Log, PATIENCE, Writer, beyond, case, definition, is_silent, last_of, next, put, workflow,
    },
};
use crate::{
    models::{LogSequence, RecordKind},
    storage::LogScope,
};

/// The behaviours of this module.
pub(super) const BEHAVIOURS: &[Behaviour<Log>] = &[
    behaviour!(a_watch_gives_what_was_and_then_what_comes),
    behaviour!(a_watch_from_the_future_gives_nothing_that_was),
    behaviour!(a_watch_has_only_what_is_in_its_scope),
    behaviour!(watches_lose_nothing_and_double_nothing_while_others_append),
    behaviour!(a_watch_resumes_by_sequence),
];

/// Records come in order, with no gap between the two.
pub async fn a_watch_gives_what_was_and_then_what_comes(log: &Log) {
    let (id, c) = (workflow("watch-both"), case("c"));
    let mut writer = Writer::new(&id, &c);
    let mut written = Vec::new();
    for _ in 0..3 {
        written.push(writer.write(log, RecordKind::Fired).await);
    }
    let mut watch =
        log.watch(LogScope::Case(id.clone(), c), WatchOptions::from(written[1].0)).await.unwrap();
    for expected in &written[1..] {
        let seen = next(&mut watch).await;
        assert_eq!((&seen.sequence, &seen.value), (&expected.0, &expected.1));
    }
    for kind in [RecordKind::Fired, RecordKind::Paused, RecordKind::Resumed, RecordKind::Fired] {
        let (sequence, written) = writer.write(log, kind).await;
        let seen = next(&mut watch).await;
        assert_eq!((seen.sequence, seen.value), (sequence, written));
    }
    assert!(is_silent(&mut watch).await, "nothing comes twice");
}

/// The future may also be a sequence that the log never reaches.
pub async fn a_watch_from_the_future_gives_nothing_that_was(log: &Log) {
    let (id, c) = (workflow("watch-future"), case("c"));
    let mut writer = Writer::new(&id, &c);
    writer.write(log, RecordKind::Created).await;
    let last = LogSequence::after(last_of(log.as_ref()).await);
    let scope = LogScope::Workflow(id.clone());
    let mut soon = log.watch(scope.clone(), WatchOptions::from(last)).await.unwrap();
    let mut never = log.watch(scope, WatchOptions::from(beyond(last, 1_000_000))).await.unwrap();
    assert!(is_silent(&mut soon).await && is_silent(&mut never).await);
    let (sequence, _) = writer.write(log, RecordKind::Fired).await;
    assert_eq!(next(&mut soon).await.sequence, sequence);
    assert!(is_silent(&mut never).await);
}

/// Other cases, other workflows and definitions pass by.
pub async fn a_watch_has_only_what_is_in_its_scope(log: &Log) {
    let (id, other) = (workflow("watch-scope"), workflow("watch-scope-2"));
    let from = LogSequence::after(last_of(log.as_ref()).await);
    let scopes = [
        LogScope::Case(id.clone(), case("a")),
        LogScope::Workflow(id.clone()),
        LogScope::Lifecycles(Some(id.clone())),
    ];
    let mut watches = Vec::new();
    for scope in scopes {
        watches.push(log.watch(scope, WatchOptions::from(from)).await.unwrap());
    }
    put(log, &definition(&id, &["p"]), 1, None).await;
    let mut others = Writer::new(&other, &case("a"));
    let (mut mine, mut near) = (Writer::new(&id, &case("a")), Writer::new(&id, &case("a-1")));
    let mut expected = [Vec::new(), Vec::new(), Vec::new()];
    for kind in [RecordKind::Created, RecordKind::Fired, RecordKind::Cancelled] {
        others.write(log, kind).await;
        let (a, _) = mine.write(log, kind).await;
        let (near, _) = near.write(log, kind).await;
        expected[0].push(a);
        expected[1].extend([a, near]);
        if kind != RecordKind::Fired {
            expected[2].extend([a, near]);
        }
    }
    for (watch, expected) in watches.iter_mut().zip(expected) {
        for sequence in expected {
            assert_eq!(next(watch).await.sequence, sequence);
        }
        assert!(is_silent(watch).await);
    }
}

/// Four writers at once; watches that began before, meanwhile and after.
pub async fn watches_lose_nothing_and_double_nothing_while_others_append(log: &Log) {
    const WRITERS: usize = 4;
    const RECORDS: usize = 100;
    let id = workflow("watch-busy");
    let scope = LogScope::Workflow(id.clone());
    let before = log.watch(scope.clone(), WatchOptions::default()).await.unwrap();
    let writing = stream::iter(0..WRITERS).map(|number| {
        let (log, mut writer) = (log.clone(), Writer::new(&id, &case(&format!("c-{number}"))));
        async move {
            let mut written = Vec::new();
            for round in 0..RECORDS {
                let kind = if round % 7 == 0 { RecordKind::Edited } else { RecordKind::Fired };
                written.push(writer.write(&log, kind).await.0);
            }
            written
        }
    });
    let written = writing.buffer_unordered(WRITERS).concat();
    let meanwhile = async {
        let mut first = log.watch(scope.clone(), WatchOptions::default()).await.unwrap();
        next(&mut first).await;
        log.watch(scope.clone(), WatchOptions::default()).await.unwrap()
    };
    let all = before.take(WRITERS * RECORDS);
    let all = all.map(|record| record.expect("a record").sequence).collect::<Vec<_>>();
    let all = tokio::time::timeout(PATIENCE, all);
    let (mut written, seen, meanwhile) = tokio::join!(written, all, meanwhile);
    written.sort();
    assert_eq!(seen.expect("all of them in time"), written);
    let mut after = log.watch(scope.clone(), WatchOptions::default()).await.unwrap();
    let mut meanwhile = meanwhile;
    for sequence in written {
        assert_eq!(next(&mut meanwhile).await.sequence, sequence);
        assert_eq!(next(&mut after).await.sequence, sequence);
    }
    assert!(is_silent(&mut after).await);
}

/// A reader who went away and comes back misses nothing.
pub async fn a_watch_resumes_by_sequence(log: &Log) {
    let (id, c) = (workflow("watch-resume"), case("c"));
    let scope = LogScope::Case(id.clone(), c.clone());
    let mut writer = Writer::new(&id, &c);
    let mut written = Vec::new();
    let mut seen = Vec::new();
    for _ in 0..10 {
        written.push(writer.write(log, RecordKind::Fired).await.0);
        written.push(writer.write(log, RecordKind::Fired).await.0);
        let from = LogSequence::after(seen.last().copied());
        let mut watch = log.watch(scope.clone(), WatchOptions::from(from)).await.unwrap();
        seen.push(next(&mut watch).await.sequence);
    }
    let from = LogSequence::after(seen.last().copied());
    let mut watch = log.watch(scope, WatchOptions::from(from)).await.unwrap();
    while seen.len() < written.len() {
        seen.push(next(&mut watch).await.sequence);
    }
    assert_eq!(seen, written);
}
