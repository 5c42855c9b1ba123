//! The passes of an audit over a store in memory.

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::{AuditScope, AuditWatcher, Auditor, Finding, FindingIn, FindingKind, State};
use crate::{
    cases::{Cases, Change, ExpectedVersion, NewCase, NewToken},
    models::{CaseId, WorkflowId},
    storage::{MemoryStorage, Storage},
    testing::FaultyStorage,
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

    fn progress(&self, _: u64, _: u64) {}
}

fn names() -> (WorkflowId, CaseId) {
    (WorkflowId::new("w").unwrap(), CaseId::new("k").unwrap())
}

/// A workflow with a case.
async fn cases() -> Cases {
    cases_over(Arc::new(MemoryStorage::new())).await
}

async fn cases_over(storage: Arc<dyn Storage>) -> Cases {
    let cases = Cases::new(storage);
    let definition = json!({
        "id": "w", "initial_place": "a", "places": [{"id": "a"}, {"id": "b"}],
        "transitions": [{"id": "go", "from_places": ["a"], "to_place": "b"},
                        {"id": "back", "from_places": ["b"], "to_place": "a"}]
    });
    let definition = serde_json::from_value(definition).unwrap();
    cases.create_workflow(definition, ExpectedVersion::Any).await.unwrap();
    let (workflow, case) = names();
    let new = NewCase { case: Some(case), ..NewCase::of(workflow) };
    cases.create_case(new).await.unwrap();
    cases
}

fn auditor<'a>(cases: &'a Cases, scope: &'a AuditScope, watcher: &'a Heard) -> Auditor<'a> {
    Auditor { inner: &cases.inner, scope, watcher, last: 9, state: Mutex::new(State::default()) }
}

/// What a sum that does not hold is told as.
fn odd() -> Finding {
    let (workflow, case) = names();
    let (kind, place_of) = (FindingKind::InvariantBroken, FindingIn::Log);
    let (sequence, place, token) = (2, None, None);
    let message = "the sums are odd".to_owned();
    Finding { kind, place_of, workflow, case, sequence, place, token, message }
}

#[tokio::test]
async fn a_case_that_is_cancelled_before_its_replay_is_not_counted_any_more() {
    let (cases, scope, heard) = (cases().await, AuditScope::default(), Heard::default());
    let (workflow, case) = names();
    cases.cancel(&workflow, &case, Change::default()).await.unwrap();
    let auditor = auditor(&cases, &scope, &heard);
    auditor.suspect(&workflow, &case, Some(odd()));
    auditor.replay_suspects().await.unwrap();
    assert_eq!(*heard.findings.lock().unwrap(), []);
    assert_eq!(*heard.unchecked.lock().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_case_with_many_tokens_is_audited_with_a_few_reads_for_each() {
    let storage = FaultyStorage::new(Arc::new(MemoryStorage::new()));
    let cases = cases_over(Arc::new(storage.clone())).await;
    let (workflow, case) = names();
    let tokens = 60;
    for _ in 1..tokens {
        let new = NewToken {
            workflow: workflow.clone(),
            case: case.clone(),
            place: None,
            data: json!({}),
            metadata: Default::default(),
            change: Change::default(),
        };
        cases.create_token(new).await.unwrap();
    }
    let (before, heard) = (storage.log_reads(), Heard::default());
    let audited = cases.audit(&AuditScope::default(), &heard).await.unwrap();
    assert_eq!(audited.tokens, tokens);
    assert_eq!(*heard.findings.lock().unwrap(), []);
    let reads = storage.log_reads() - before;
    assert!(reads < 6 * tokens as usize, "{reads} reads for {tokens} tokens");
}
