//! Many tasks that want the same: an exact count at the end.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use serde_json::json;
use tokio::task::JoinSet;

use super::{
    Behaviour, behaviour,
    fixture::{Log, View, attempt, case, live, place, record, token, workflow},
};
use crate::{
    models::{CaseId, RecordKind},
    storage::{
        AppendOptions, Consistency, LogRange, LogScope, RegisterState, StorageError, ViewOutcome,
    },
};

/// The behaviours of a log in this module.
pub(super) const OF_LOGS: &[Behaviour<Log>] =
    &[behaviour!(conditional_appends_of_many_tasks_are_neither_lost_nor_doubled)];

/// The behaviours of a view in this module.
pub(super) const OF_VIEWS: &[Behaviour<View>] =
    &[behaviour!(conditional_view_writes_of_many_tasks_count_exactly)];

const TASKS: usize = 16;
const APPENDS: usize = 2_000;
const CASES: usize = 4;

/// 16 tasks make 2,000 conditional appends to 4 cases. Every append that was answered is in
/// the log at the sequence that was answered, once; nothing else is; and each record follows
/// the one that its writer saw.
pub async fn conditional_appends_of_many_tasks_are_neither_lost_nor_doubled(log: &Log) {
    let id = workflow("contention");
    let cases: Vec<CaseId> = (0..CASES).map(|n| case(&format!("c-{n}"))).collect();
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let (log, id, cases) = (log.clone(), id.clone(), cases.clone());
        tasks.spawn(async move {
            let mut answered = Vec::new();
            for round in 0..APPENDS / TASKS {
                let case = &cases[(task + round) % CASES];
                let mut mine = record(&id, case, RecordKind::Fired, &format!("t{task}-{round}"));
                loop {
                    let head = log.head(&id, case, Consistency::Strong).await.expect("a head");
                    mine.previous = head.as_ref().map(|head| head.sequence);
                    mine.previous_hash = head.map(|head| head.hash);
                    match log.append(&mine, AppendOptions::after(mine.previous)).await {
                        Ok(appended) => {
                            answered.push((appended.sequence, mine.firing.clone()));
                            break;
                        }
                        Err(StorageError::LostRace { .. }) => tokio::task::yield_now().await,
                        Err(error) => panic!("an append failed: {error}"),
                    }
                }
            }
            answered
        });
    }
    let answered = tasks.join_all().await.concat();
    assert_eq!(answered.len(), APPENDS);
    let answered: BTreeMap<_, _> = answered.into_iter().collect();
    assert_eq!(answered.len(), APPENDS, "each append has a sequence of its own");
    let records =
        log.history(LogScope::Workflow(id.clone()), LogRange::ALL).await.expect("a history");
    let records: Vec<_> = records.try_collect().await.expect("records");
    assert_eq!(records.len(), APPENDS, "nothing is in the log that was not answered");
    let logged: BTreeMap<_, _> =
        records.iter().map(|record| (record.sequence, record.value.firing.clone())).collect();
    assert_eq!(logged, answered);
    for case in &cases {
        let mine = records.iter().filter(|record| record.value.case == *case);
        let (mut last, mut last_hash, mut count) = (None, None, 0);
        for record in mine {
            assert_eq!(record.value.previous, last, "each record follows the one before it");
            assert_eq!(record.value.previous_hash, last_hash);
            (last, last_hash) = (Some(record.sequence), Some(record.hash.clone()));
            count += 1;
        }
        assert_eq!(count, APPENDS / CASES);
        let head = log.head(&id, case, Consistency::Strong).await.expect("a head");
        assert_eq!(head.map(|head| head.sequence), last);
    }
}

/// A counter in a register has the sum of all that 16 tasks added to it one by one.
pub async fn conditional_view_writes_of_many_tasks_count_exactly(view: &View) {
    const ROUNDS: u64 = 20;
    let (id, c, p) = (workflow("contention-view"), case("c"), place("p"));
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (view, zero) = (view.clone(), token(&id, &c, 1, &p, json!(0)));
        tasks.spawn(async move {
            for _ in 0..ROUNDS {
                loop {
                    let (id, p) = (&zero.workflow, &zero.place);
                    let seen = view.register(id, p, &zero.id).await.expect("a register");
                    let condition = seen.version();
                    let count = match seen.state {
                        RegisterState::Live(token) => token.data.as_u64().expect("a count"),
                        _ => 0,
                    };
                    let mut next = zero.clone();
                    next.data = json!(count + 1);
                    let outcomes = attempt(&view, vec![live(&next, condition)]).await;
                    match outcomes.as_slice() {
                        [Ok(ViewOutcome::Written(_))] => break,
                        [Ok(ViewOutcome::LostRace)] => tokio::task::yield_now().await,
                        other => panic!("a view write was answered {other:?}"),
                    }
                }
            }
        });
    }
    tasks.join_all().await;
    let one = token(&id, &c, 1, &p, json!(0));
    let register = view.register(&id, &p, &one.id).await.expect("a register");
    let RegisterState::Live(token) = register.state else { panic!("{register:?}") };
    assert_eq!(token.data, json!(TASKS as u64 * ROUNDS));
}
