//! Audit and rebuild of cases that run by themselves.

use std::sync::Mutex;

use serde_json::json;
use stormpetrel::{
    audit::{AuditScope, AuditWatcher, Finding},
    petrel::{Fire, Petrel, Result},
};

use super::{begun, places};
use crate::support::{case, petrel_at, system, transition, workflow};

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl AuditWatcher for Heard {
    fn found(&self, finding: Finding) {
        self.0.lock().unwrap().push(format!("{finding:?}"));
    }

    fn unchecked(&self, reason: &str) {
        self.0.lock().unwrap().push(reason.to_owned());
    }

    fn noted(&self, _: &str) {}

    fn progress(&self, _: u64, _: u64) {}
}

pub(crate) async fn findings(petrel: &Petrel) -> Vec<String> {
    audited(petrel).await.unwrap()
}

/// All that an audit tells of, if it comes to its end.
pub(crate) async fn audited(petrel: &Petrel) -> Result<Vec<String>> {
    let heard = Heard::default();
    let scope = AuditScope { replay: true, ..AuditScope::default() };
    petrel.audit(&scope, &heard).await?;
    Ok(heard.0.into_inner().unwrap())
}

#[tokio::test]
async fn an_audit_finds_nothing_and_a_rebuild_changes_nothing() {
    let (server, petrel) = system().await;
    for number in 0..12 {
        let name = format!("o-{number}");
        let amount = [5, 5_000][number % 2];
        begun(&petrel, &name, json!({"amount": amount, "number": number})).await;
        for step in ["approve", "pack", "bill"].into_iter().take(number % 4) {
            let fire = Fire::case(workflow("order"), case(&name), transition(step));
            // Some of them are not enabled, as callers try.
            drop(petrel.fire(fire).await);
        }
    }
    assert_eq!(findings(&petrel).await, Vec::<String>::new());
    let mut before = Vec::new();
    for number in 0..12 {
        before.push(places(&petrel, &case(&format!("o-{number}"))).await);
    }
    let fresh = petrel_at(server.url()).await;
    let rebuilt = fresh.rebuild(&|_, _| {}).await.unwrap();
    assert_eq!((rebuilt.cases, rebuilt.mended, rebuilt.failed), (12, 0, 0), "{rebuilt:?}");
    for (number, before) in before.iter().enumerate() {
        assert_eq!(places(&fresh, &case(&format!("o-{number}"))).await, *before);
    }
    assert_eq!(findings(&fresh).await, Vec::<String>::new());
}
