//! Workers whose user lacks a right that being seen needs: they work.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use stormpetrel::{models::CaseStatus, petrel::Petrel, storage::nats::NatsStorage};

use super::doctor::{Configured, as_user, documented};
use crate::{
    program::{Program, program},
    work::{begun, steps, until},
};

/// The words of a worker that can't be seen by all.
const TOLD: &str = "is not seen by all who ask for it";

/// A user who serves, and has these rights beside.
fn user(name: &str, publish: &[&str], subscribe: &[&str], responds: bool) -> String {
    let publish = [&documented()[..], publish].concat();
    let subscribe = [&["_INBOX.>"], subscribe].concat();
    let responses = if responds { ", allow_responses: true" } else { "" };
    format!(
        "{{ user: {name}, password: s, permissions: {{ publish: {{ allow: {publish:?} }}, \
         subscribe: {{ allow: {subscribe:?} }}{responses} }} }}\n"
    )
}

async fn petrel_of(server: &Configured, user: &str) -> Petrel {
    Petrel::new(Arc::new(NatsStorage::connect(as_user(&server.url, user)).await.unwrap()))
}

fn worker(server: &Configured, user: &str) -> Program {
    let mut command = program();
    command.args(["worker", "--command", "step0=/bin/cat", "--name", user]);
    command.args(["--nats-user", user, "--nats-password", "s"]).env("NATS_URL", &server.url);
    Program::start(command)
}

#[tokio::test]
async fn a_worker_that_may_not_be_seen_works_and_says_once_what_it_lacks() {
    let (all, ours) = (["$SRV.>", "cb.workers.>"], ["cb.workers.>"]);
    let users = [
        user("seen", &ours, &all, true),
        user("listed", &ours, &ours, true),
        user("unseen", &[], &[], true),
        user("silent", &[], &all, false),
    ]
    .concat();
    let server = Configured::start(&format!(
        "jetstream {{ store_dir: \"STORE\" }}\nauthorization {{ users: [\n\
         {{ user: all, password: s }}\n{users}] }}\n"
    ))
    .await;
    let petrel = petrel_of(&server, "all").await;
    for (name, is_listed, is_told) in [
        ("seen", true, false),
        ("listed", true, true),
        ("unseen", false, true),
        ("silent", false, true),
    ] {
        let mut running = worker(&server, name);
        running.logs("the worker serves a queue").await;
        begun(&petrel, &steps(1, json!({})), name).await;
        until(&petrel, "steps", name, CaseStatus::Completed).await;
        let found = petrel.workers(None).await.unwrap();
        let names: Vec<_> = found.iter().map(|worker| worker.card.name.as_str()).collect();
        assert_eq!(names, if is_listed { vec![name] } else { vec![] });
        petrel.workers(None).await.unwrap();
        if is_told {
            running.logs(TOLD).await;
        }
        let (code, errors) = running.terminate().await;
        assert_eq!((code, errors.matches(TOLD).count()), (Some(0), is_told.into()), "{errors}");
        assert!(!is_told || errors.contains("\"$SRV.>\", \"cb.workers.>\""), "{errors}");
    }
    // Whoever may not ask is told so, and soon.
    let unseen = petrel_of(&server, "unseen").await;
    let asked = tokio::time::timeout(Duration::from_secs(30), unseen.workers(None)).await;
    let refused = asked.unwrap().unwrap_err();
    assert_eq!((refused.code(), refused.retryable()), ("PERMISSION_DENIED", false), "{refused}");
    assert!(refused.to_string().contains("cb.workers.>"), "{refused}");
    let nobody = petrel_of(&server, "listed").await.workers(None).await.unwrap();
    assert_eq!(json!(nobody), Value::Array(vec![]));
}
