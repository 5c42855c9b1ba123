//! The cost of finding out the messages put aside, if the last record does not list them.

use std::sync::Arc;

use stormpetrel::{
    models::{LogSequence, RecordKind},
    petrel::{Change, Following, Petrel},
    storage::nats::NatsStorage,
    testing::{FaultyStorage, TestServer},
};

use super::aside::{append, as_older, begun, next, publish_at};
use crate::support::{config, system, transition, workflow};

/// A process whose reads are counted.
async fn counted(server: &TestServer) -> (FaultyStorage, Petrel) {
    let storage = NatsStorage::connect(config(server.url())).await.unwrap();
    let counted = FaultyStorage::new(Arc::new(storage));
    (counted.clone(), Petrel::new(Arc::new(counted)))
}

#[tokio::test]
async fn rubbish_in_one_case_does_not_make_the_reconciler_read_it_again_and_again() {
    const RUBBISH: usize = 120;
    let (server, petrel) = system().await;
    let k = begun(&petrel, 2).await;
    let id = workflow("loop");
    for _ in 0..20 {
        petrel.pause(&id, &k, Change::default()).await.unwrap();
        petrel.resume(&id, &k, Change::default()).await.unwrap();
    }
    let lifecycle = "cb.workflows.loop.events.lifecycle.k";
    for _ in 0..RUBBISH {
        publish_at(&server, lifecycle, "rubbish").await;
    }
    let (reads, process) = counted(&server).await;
    let repaired = process.reconcile_after(None).await.unwrap();
    assert_eq!(repaired.failed, RUBBISH as u64 + 1, "each message, and the case");
    // All of it for the reconciler, and the case's lifecycle to know what is put aside.
    let last =
        process.storage().last_sequence().await.unwrap().map_or(0, LogSequence::get) as usize;
    assert!(reads.history_reads() <= 2 * last, "{} of {last}", reads.history_reads());
    petrel.quarantine(&id, &k, Following::Refuse, Change::default()).await.unwrap();
    let (reads, process) = counted(&server).await;
    let repaired = process.reconcile_after(None).await.unwrap();
    assert_eq!(repaired.failed, 0);
    assert!(reads.log_reads() < 20, "{}", reads.log_reads());
}

#[tokio::test]
async fn a_case_of_an_older_version_is_read_without_its_whole_lifecycle() {
    const CHANGES: usize = 60;
    let (server, petrel) = system().await;
    let k = begun(&petrel, 0).await;
    let id = workflow("loop");
    // It fired, and nobody has paused it: what began it is all that there is.
    for number in 0..5 {
        let mut older = as_older(next(&petrel, &k, &format!("fired-{number}")).await);
        (older.kind, older.transition) = (RecordKind::Fired, Some(transition("wrap")));
        append(&petrel, &older).await;
    }
    let (reads, process) = counted(&server).await;
    for _ in 0..3 {
        assert!(process.case(&id, &k).await.unwrap().aside.is_empty());
    }
    assert_eq!(reads.history_reads(), 0);
    // What is put aside in its middle is found, once in a process.
    publish_at(&server, "cb.workflows.loop.events.transitions.k", "rubbish").await;
    petrel.quarantine(&id, &k, Following::Refuse, Change::default()).await.unwrap();
    let aside = petrel.case(&id, &k).await.unwrap().aside.clone();
    for number in 0..CHANGES {
        append(&petrel, &as_older(next(&petrel, &k, &format!("changed-{number}")).await)).await;
    }
    let (reads, process) = counted(&server).await;
    for number in 0..5 {
        assert_eq!(process.case(&id, &k).await.unwrap().aside, aside);
        let mut older = as_older(next(&petrel, &k, &format!("later-{number}")).await);
        (older.kind, older.transition) = (RecordKind::Fired, Some(transition("wrap")));
        append(&petrel, &older).await;
    }
    assert!(reads.history_reads() <= CHANGES + 2, "{}", reads.history_reads());
}
