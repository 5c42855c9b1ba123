//! Contents of records and definitions.

use super::{
    Behaviour, behaviour,
    fixture::{
        Log, Writer, awkward, awkward_values, case, definition, large, next, place, put, record,
        token, workflow,
    },
};
use crate::{
    models::RecordKind,
    storage::{Consistency, DefinitionVersion, LogScope, WatchOptions},
};

/// The behaviours of this module.
pub(super) const BEHAVIOURS: &[Behaviour<Log>] = &[
    behaviour!(what_a_record_carries_comes_back_as_it_was),
    behaviour!(large_records_come_back_whole),
];

/// Unicode, numbers, nulls and text that looks like protocol.
pub async fn what_a_record_carries_comes_back_as_it_was(log: &Log) {
    let (id, c, p) = (workflow("record-data"), case("c"), place("p"));
    let mut writer = Writer::new(&id, &c);
    for (number, data) in (1..).zip(awkward_values()) {
        let mut t = token(&id, &c, number, &p, data.clone());
        t.metadata.insert("note".to_owned(), data);
        let mut with_it = record(&id, &c, RecordKind::Edited, &format!("f-{number}"));
        with_it.by = Some("Žofie 🦜 \"quoted\"\r\n".to_owned());
        with_it.metadata.clone_from(&t.metadata);
        with_it.produced.push(t);
        let (sequence, written) = writer.append(log, with_it).await;
        let read = log.record(&id, &c, sequence).await.unwrap().unwrap();
        assert_eq!(read.value, written);
    }
    let mut described = definition(&id, &["p"]);
    described.description = Some("Ünïcödé 🪺 \u{0}".to_owned());
    described.metadata.insert("awkward".to_owned(), awkward());
    let stored = put(log, &described, 1, None).await;
    assert_eq!(stored.definition, described);
    let latest = log.definition(&id, DefinitionVersion::Latest).await.unwrap();
    assert_eq!(latest, Some(stored));
}

/// A record with about 200 kB of data, as head and by a watch.
pub async fn large_records_come_back_whole(log: &Log) {
    let (id, c, p) = (workflow("record-large"), case("c"), place("p"));
    let mut with_it = record(&id, &c, RecordKind::Created, "large");
    with_it.produced.push(token(&id, &c, 1, &p, large()));
    let (sequence, written) = Writer::new(&id, &c).append(log, with_it).await;
    let head = log.head(&id, &c, Consistency::Strong).await.unwrap().unwrap();
    assert_eq!((head.sequence, &head.value), (sequence, &written));
    let mut watch =
        log.watch(LogScope::Case(id.clone(), c.clone()), WatchOptions::default()).await.unwrap();
    assert_eq!(next(&mut watch).await.value, written);
}
