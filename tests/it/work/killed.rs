//! Workers of other processes, killed and stopped for real.

use std::{collections::HashSet, fs, os::unix::fs::PermissionsExt, path::Path};

use super::*;
use crate::{
    program::{Program, program},
    support::system,
};

/// A program that notes the begin and the end of each execution, and takes some time.
fn script(folder: &Path, takes: &str) -> String {
    let path = folder.join("step.sh");
    let ledger = folder.join("ledger");
    let text = format!(
        "#!/bin/sh\necho \"begun $PETREL_CASE $PETREL_ITEM $PETREL_CLAIM\" >> {0}\nsleep {takes}\n\
         echo \"ended $PETREL_CASE $PETREL_ITEM $PETREL_CLAIM\" >> {0}\necho '{{\"done\": true}}'\n",
        ledger.display()
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

/// The executions that have begun: case, item and claim.
fn executions(folder: &Path) -> Vec<(String, u64, u64)> {
    let text = fs::read_to_string(folder.join("ledger")).unwrap_or_default();
    let begun = text.lines().filter_map(|line| line.strip_prefix("begun "));
    begun
        .map(|line| {
            let mut words = line.split(' ');
            let mut next = || words.next().unwrap().to_owned();
            (next(), next().parse().unwrap(), next().parse().unwrap())
        })
        .collect()
}

fn worker(url: &str, script: &str, kinds: &[&str], ack_wait: &str) -> Program {
    let mut command = program();
    command.args(["worker", "--nats-url", url, "--ack-wait", ack_wait, "--max-concurrent", "4"]);
    for kind in kinds {
        command.args(["--command", &format!("{kind}={script}")]);
    }
    Program::start(command)
}

/// Checks what was executed against the log: each execution is a claim that a record names, none was
/// executed twice, and each item had its effect once.
async fn agrees(petrel: &Petrel, folder: &Path, cases: &[String], steps: usize) -> usize {
    let executed = executions(folder);
    let once: HashSet<_> = executed.iter().cloned().collect();
    assert_eq!(once.len(), executed.len(), "no claim is executed twice");
    let (mut claims, mut lost) = (HashSet::new(), 0);
    for id in cases {
        let records = history(petrel, "steps", &case(id)).await;
        let mut effects = HashSet::new();
        for record in records.iter().map(|record| &record.value) {
            let Some(work) = &record.work else { continue };
            if record.kind == RecordKind::Begun {
                claims.insert((id.clone(), work.item, work.claim.unwrap()));
            }
            if let Some(next) = &work.next {
                claims.insert((id.clone(), next.item, next.claim));
            }
            lost += usize::from(work.ended.is_some());
            if record.kind == RecordKind::Fired {
                assert!(effects.insert(work.item), "{id}: item {} has its effect twice", work.item);
            }
        }
        assert_eq!(effects.len(), steps, "{id}");
    }
    assert!(once.is_subset(&claims), "{:?}", once.difference(&claims).collect::<Vec<_>>());
    lost
}

#[tokio::test]
async fn work_of_killed_workers_is_done_once() {
    let (server, petrel) = system().await;
    let folder = tempfile::tempdir().unwrap();
    let script = script(folder.path(), "0.05");
    let definition = steps(2, json!({ "retry": { "lost": 100 } }));
    let cases: Vec<_> = (0..40).map(|n| format!("c{n}")).collect();
    for id in &cases {
        begun(&petrel, &definition, id).await;
    }
    let serving = Running::serving(&petrel);
    let kinds = ["step0", "step1"];
    let start = || worker(&server.url(), &script, &kinds, "1s");
    let mut workers = vec![start(), start()];
    for round in 0..6 {
        let before = executions(folder.path()).len();
        eventually("some work is done", async || {
            let all = executions(folder.path()).len();
            (all >= before + 4 || all >= 2 * cases.len()).then_some(())
        })
        .await;
        // Killed when it is dropped.
        workers[round % 2] = start();
    }
    for id in &cases {
        until(&petrel, "steps", id, CaseStatus::Completed).await;
    }
    let lost = agrees(&petrel, folder.path(), &cases, 2).await;
    assert!(lost > 0, "a worker was killed in the midst of its work");
    drop(workers);
    serving.stop().await;
    is_whole(&petrel).await;
}

/// A worker that stands still for longer than its lease, and goes on when another one has begun the item:
/// it is refused, and has no second effect.
#[tokio::test]
async fn a_worker_that_stood_still_is_refused() {
    let (server, petrel) = system().await;
    let folder = tempfile::tempdir().unwrap();
    let script = script(folder.path(), "1");
    begun(&petrel, &steps(1, json!({})), "a").await;
    let mut first = worker(&server.url(), &script, &["step0"], "1s");
    eventually("it has begun", async || (executions(folder.path()).len() == 1).then_some(())).await;
    first.suspend();
    let second = worker(&server.url(), &script, &["step0"], "1s");
    eventually("another has begun", async || (executions(folder.path()).len() == 2).then_some(()))
        .await;
    first.resume();
    // It is told that its claim is lost, or its answer is refused.
    first.logs("an attempt has ended").await;
    let records = until(&petrel, "steps", "a", CaseStatus::Completed).await;
    let last = records.last().unwrap().value.work.as_ref().unwrap();
    assert_eq!(last.claim, Some(2));
    let lost = agrees(&petrel, folder.path(), &["a".to_owned()], 1).await;
    assert_eq!((lost, executions(folder.path()).len()), (1, 2));
    drop(second);
    is_whole(&petrel).await;
}

/// An item that ends its worker each time is an incident in the end, and others go on.
#[tokio::test]
async fn an_item_that_kills_its_worker_is_an_incident_and_others_go_on() {
    let (server, petrel) = system().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("step.sh");
    fs::write(&path, "#!/bin/sh\n[ $PETREL_CASE = bad ] && kill -9 $PPID\necho '{}'\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let definition = steps(1, json!({ "retry": { "lost": 2 } }));
    let serving = Running::serving(&petrel);
    begun(&petrel, &definition, "bad").await;
    let start = || worker(&server.url(), &path.display().to_string(), &["step0"], "1s");
    let mut running = start();
    for round in 0..2 {
        running.exited().await;
        running = start();
        let id = format!("good{round}");
        begun(&petrel, &definition, &id).await;
        until(&petrel, "steps", &id, CaseStatus::Completed).await;
    }
    let open = eventually("it is an incident", async || {
        petrel.case(&workflow("steps"), &case("bad")).await.unwrap().incidents.first().cloned()
    })
    .await;
    assert_eq!(open.code.as_str(), "WORK_LOST");
    begun(&petrel, &definition, "last").await;
    until(&petrel, "steps", "last", CaseStatus::Completed).await;
    let (code, _) = running.terminate().await;
    assert_eq!(code, Some(0));
    serving.stop().await;
    is_whole(&petrel).await;
}

/// A worker that is told to end finishes what runs and begins nothing more.
#[tokio::test]
async fn a_worker_that_is_told_to_end_finishes_what_runs() {
    let (server, petrel) = system().await;
    let folder = tempfile::tempdir().unwrap();
    let script = script(folder.path(), "1");
    for id in ["a", "b", "c", "d", "e", "f"] {
        begun(&petrel, &steps(2, json!({})), id).await;
    }
    let first = worker(&server.url(), &script, &["step0", "step1"], "30s");
    eventually("four run", async || (executions(folder.path()).len() == 4).then_some(())).await;
    let (code, log) = first.terminate().await;
    assert_eq!(code, Some(0), "{log}");
    let text = fs::read_to_string(folder.path().join("ledger")).unwrap();
    let ended = text.lines().filter(|line| line.starts_with("ended")).count();
    assert_eq!((executions(folder.path()).len(), ended), (4, 4), "{text}");
    // What was not begun is there at once for another, and no attempt was counted.
    let ledger = Arc::<Ledger>::default();
    let running =
        Running::start(&petrel, noting(&petrel, &["step0", "step1"], &ledger, Duration::ZERO));
    for id in ["a", "b", "c", "d", "e", "f"] {
        let records = until(&petrel, "steps", id, CaseStatus::Completed).await;
        let works = records.iter().filter_map(|record| record.value.work.as_ref());
        assert!(works.clone().all(|work| work.attempt <= 1 && work.ended.is_none()), "{id}");
    }
    assert_eq!(ledger.len(), 8);
    running.stop().await;
    is_whole(&petrel).await;
}

/// An item that was handed over to a worker that died is done by one that serves its kind, and not the kind of
/// the message that holds it.
#[tokio::test]
async fn an_item_of_a_chain_goes_on_with_a_worker_of_its_own_kind() {
    let (server, petrel) = system().await;
    let folder = tempfile::tempdir().unwrap();
    let (quick, slow) = (tempfile::tempdir().unwrap(), script(folder.path(), "60"));
    let quick = script(quick.path(), "0");
    begun(&petrel, &steps(2, json!({})), "a").await;
    let serving = Running::serving(&petrel);
    let mut command = program();
    command.args(["worker", "--nats-url", &server.url(), "--ack-wait", "1s"]);
    command.args(["--command", &format!("step0={quick}"), "--command", &format!("step1={slow}")]);
    let both = Program::start(command);
    eventually("it was handed over", async || (executions(folder.path()).len() == 1).then_some(()))
        .await;
    drop(both);
    let _second = worker(&server.url(), &quick, &["step1"], "1s");
    let records = until(&petrel, "steps", "a", CaseStatus::Completed).await;
    let lost = records.iter().filter_map(|record| record.value.work.as_ref()?.ended).count();
    assert_eq!(lost, 1);
    serving.stop().await;
    is_whole(&petrel).await;
}

/// The programs of a worker end with their attempts, with all that they have begun, and a program that
/// leaves something behind has ended.
#[tokio::test]
async fn a_program_ends_with_all_that_it_has_begun() {
    let (server, petrel) = system().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("step.sh");
    let left = folder.path().join("left");
    let text = format!("#!/bin/sh\nsleep 61 &\necho $! >> {}\necho '{{}}'\n", left.display());
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    begun(&petrel, &steps(1, json!({})), "a").await;
    let running = worker(&server.url(), &path.display().to_string(), &["step0"], "30s");
    until(&petrel, "steps", "a", CaseStatus::Completed).await;
    let id = fs::read_to_string(&left).unwrap();
    let process = format!("/proc/{}", id.trim());
    eventually("it is killed", async || (!Path::new(&process).exists()).then_some(())).await;
    drop(running);
}

/// A program that is told to stop by a shutdown is given back, and no attempt is counted.
#[tokio::test]
async fn what_does_not_end_in_the_grace_is_given_back() {
    let (server, petrel) = system().await;
    let folder = tempfile::tempdir().unwrap();
    let script = script(folder.path(), "60");
    begun(&petrel, &steps(1, json!({})), "a").await;
    let mut command = program();
    command.args(["worker", "--nats-url", &server.url(), "--grace", "1s"]);
    command.args(["--command", &format!("step0={script}")]);
    let first = Program::start(command);
    eventually("it runs", async || (executions(folder.path()).len() == 1).then_some(())).await;
    let (code, log) = first.terminate().await;
    assert_eq!(code, Some(0), "{log}");
    let now = petrel.case(&workflow("steps"), &case("a")).await.unwrap();
    let item = &now.items[0];
    assert_eq!((item.attempt, item.failed, item.lost, &item.running), (0, 0, 0, &None));
}
