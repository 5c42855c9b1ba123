//! The passes of an audit over a store in memory.

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::{AuditScope, AuditWatcher, Auditor, Finding, FindingIn, FindingKind, State};
use crate::{
    models::{CaseId, LogSequence, WorkflowId},
    petrel::{Change, ExpectedVersion, NewCase, Petrel},
    storage::MemoryStorage,
};

/// Hears everything.
#[derive(Debug, Default)]
struct Heard {
    findings: Mutex<Vec<Finding>>,
    unchecked: Mutex<Vec<String>>,
}

impl AuditWatcher for Heard {
    fn found(&self, finding: Finding) {
        self.findings.lock().unwrap().push(finding);
    }

    fn unchecked(&self, reason: &str) {
        self.unchecked.lock().unwrap().push(reason.to_owned());
    }

    fn noted(&self, _: &str) {}

    fn progress(&self, _: u64, _: u64) {}
}

fn names() -> (WorkflowId, CaseId) {
    (WorkflowId::new("w").unwrap(), CaseId::new("k").unwrap())
}

/// A workflow with a case.
async fn petrel() -> Petrel {
    let petrel = Petrel::new(Arc::new(MemoryStorage::new()));
    let definition = json!({
        "id": "w", "initial_place": "a", "places": [{"id": "a"}, {"id": "b"}],
        "transitions": [{"id": "go", "from_places": ["a"], "to_place": "b"},
                        {"id": "back", "from_places": ["b"], "to_place": "a"}]
    });
    let definition = serde_json::from_value(definition).unwrap();
    petrel.create_workflow(definition, ExpectedVersion::Any).await.unwrap();
    let (workflow, case) = names();
    let new = NewCase { case: Some(case), ..NewCase::of(workflow) };
    petrel.create_case(new).await.unwrap();
    petrel
}

fn auditor<'a>(petrel: &'a Petrel, scope: &'a AuditScope, watcher: &'a Heard) -> Auditor<'a> {
    Auditor {
        reader: petrel.reader(),
        scope,
        watcher,
        last: 9,
        state: Mutex::new(State::default()),
    }
}

/// The finding for a sum that does not hold.
fn odd() -> Finding {
    let (workflow, case) = names();
    let (kind, place_of) = (FindingKind::InvariantBroken, FindingIn::Log);
    let (sequence, place, token) = (LogSequence::new(2), None, None);
    let message = "the sums are odd".to_owned();
    Finding { kind, place_of, workflow, case, sequence, place, token, message }
}

#[tokio::test]
async fn a_case_that_is_cancelled_before_its_replay_is_not_counted_any_more() {
    let (petrel, scope, heard) = (petrel().await, AuditScope::default(), Heard::default());
    let (workflow, case) = names();
    petrel.cancel(&workflow, &case, Change::default()).await.unwrap();
    let auditor = auditor(&petrel, &scope, &heard);
    auditor.suspect(&workflow, &case, Some(odd()));
    auditor.replay_suspects().await.unwrap();
    assert_eq!(*heard.findings.lock().unwrap(), []);
    assert_eq!(*heard.unchecked.lock().unwrap(), Vec::<String>::new());
}
