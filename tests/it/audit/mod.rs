//! Faults planted by hand on a real server, one a case, and the audit's findings.

mod saboteur;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_nats::HeaderMap;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};
use stormpetrel::{
    audit::{AuditScope, AuditWatcher, Audited, Finding, FindingIn, FindingKind},
    models::{CaseId, LogSequence},
    petrel::{Change, ExpectedVersion, Fire, NewCase, NewToken, Petrel},
    storage::MemoryStorage,
    testing::{FaultyStorage, TestServer},
};
use tokio_util::sync::CancellationToken;

use crate::support::{case, definition, petrel_at, place, transition, workflow};
use saboteur::{Expected, FAULTS, Fault, Saboteur, at};

/// Hears everything.
#[derive(Default)]
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

    fn progress(&self, done: u64, of: u64) {
        assert!(done <= of, "{done} of {of}");
    }
}

async fn audit(petrel: &Petrel, replay: bool) -> (Audited, Vec<Finding>) {
    audit_of(petrel, AuditScope { replay, ..AuditScope::default() }).await
}

async fn audit_of(petrel: &Petrel, scope: AuditScope) -> (Audited, Vec<Finding>) {
    let heard = Heard::default();
    let audited = petrel.audit(&scope, &heard).await.unwrap();
    let findings = heard.findings.into_inner().unwrap();
    assert_eq!(audited.findings.values().sum::<u64>(), findings.len() as u64);
    assert_eq!(heard.unchecked.into_inner().unwrap(), Vec::<String>::new());
    (audited, findings)
}

/// A press: sheets come in threes, two at a time are pressed, and the rest is cleared away.
/// The weights of its invariants differ.
async fn press(petrel: &Petrel) {
    let press = definition(json!({
        "id": "press", "initial_place": "stack",
        "places": [{"id": "stack"}, {"id": "sheet"}, {"id": "plate"}, {"id": "shelf"}],
        "transitions": [
            {"id": "deal", "inputs": [{"place": "stack"}],
             "outputs": [{"place": "sheet", "weight": 3}, {"place": "plate"}]},
            {"id": "press", "inputs": [{"place": "sheet", "weight": 2}],
             "outputs": [{"place": "shelf", "weight": 2}]},
            {"id": "unpress", "from_places": ["shelf"], "to_place": "sheet"},
            {"id": "collect", "inputs": [{"place": "sheet", "weight": 3}, {"place": "plate"}],
             "outputs": [{"place": "stack"}]}
        ]
    }));
    petrel.create_workflow(press, ExpectedVersion::Any).await.unwrap();
}

const PLACES: [&str; 4] = ["stack", "sheet", "plate", "shelf"];
const TRANSITIONS: [&str; 4] = ["deal", "press", "unpress", "collect"];

/// A case that has gone some way, with live tokens.
async fn pressed(petrel: &Petrel, id: &str, random: &mut StdRng) {
    let new = NewCase {
        case: Some(case(id)),
        data: json!({"sheets": 3}),
        ..NewCase::of(workflow("press"))
    };
    petrel.create_case(new).await.unwrap();
    for step in 0..random.random_range(3..9) {
        let name = if step == 0 { "deal" } else { TRANSITIONS.choose(random).unwrap() };
        // Some can't fire, and change nothing.
        let _ = petrel.fire(Fire::case(workflow("press"), case(id), transition(name))).await;
        if random.random_ratio(1, 12) {
            let new = token(case(id), PLACES.choose(random).unwrap());
            petrel.create_token(new).await.unwrap();
        }
    }
}

/// One more token.
fn token(case: CaseId, to: &str) -> NewToken {
    NewToken {
        workflow: workflow("press"),
        case,
        place: Some(place(to)),
        data: json!({"extra": true}),
        metadata: Default::default(),
        change: Change::default(),
    }
}

/// Some cases with a fault each, beside many without.
async fn sabotaged(seed: u64) -> (TestServer, Petrel, BTreeMap<CaseId, Expected>) {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    press(&petrel).await;
    let mut random = StdRng::seed_from_u64(seed);
    let saboteur = Saboteur::at(&server).await;
    let mut expected = BTreeMap::new();
    for round in 0..3 {
        for fault in FAULTS {
            let id = format!("{fault:?}-{round}");
            pressed(&petrel, &id, &mut random).await;
            pressed(&petrel, &format!("well-{id}"), &mut random).await;
            let state = petrel.case(&workflow("press"), &case(&id)).await.unwrap();
            let tokens: Vec<_> = state.live_tokens().cloned().collect();
            let token = tokens.choose(&mut random).unwrap().clone();
            if fault == Fault::LogGivenElsewhere && token.place == place("shelf") {
                // Towards the sheets it would be no fault.
                continue;
            }
            let planted = saboteur.plant(fault, &case(&id), &token, &mut random).await;
            expected.insert(case(&id), planted);
        }
    }
    (server, petrel, expected)
}

/// Every fault is found with its record and place, and nothing is said of cases without one.
fn judge(expected: &BTreeMap<CaseId, Expected>, findings: &[Finding]) {
    for (case, planted) in expected {
        let of_case: Vec<_> = findings.iter().filter(|finding| finding.case == *case).collect();
        assert!(
            of_case.iter().any(|finding| planted.is(finding)),
            "{case}: {planted:?} in {of_case:#?}"
        );
    }
    for finding in findings {
        assert!(expected.contains_key(&finding.case), "a false alarm: {finding:?}");
    }
    let at = |one: &Finding| (one.kind, one.sequence, one.place.clone(), one.token.clone());
    for (index, finding) in findings.iter().enumerate() {
        let again = findings[index + 1..].iter().find(|other| at(other) == at(finding));
        assert_eq!(again, None, "told twice");
    }
    // What was done to a view is found in the view alone.
    for finding in findings {
        if expected[&finding.case].fault.is_in() == FindingIn::View {
            assert_eq!(finding.place_of, FindingIn::View, "{finding:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_planted_fault_is_found_with_and_without_replay_and_nothing_else() {
    for seed in [1, 2] {
        let (server, _cases, expected) = sabotaged(seed).await;
        let fresh = petrel_at(server.url()).await;
        for replay in [true, false] {
            let (audited, findings) = audit(&fresh, replay).await;
            judge(&expected, &findings);
            assert!(audited.cases >= expected.len() as u64);
            assert!(!replay || audited.replayed > 100, "{audited:?}");
        }
    }
}

/// The logs of many suspicious cases are read in one pass, those of few one by one.
#[tokio::test(flavor = "multi_thread")]
async fn every_planted_fault_is_found_when_only_its_case_is_asked_for() {
    let (server, _cases, mut expected) = sabotaged(4).await;
    expected.retain(|case, _| case.as_str().ends_with("-0"));
    assert!((10..=16).contains(&expected.len()));
    let scope = AuditScope {
        workflow: Some(workflow("press")),
        cases: expected.keys().cloned().collect(),
        replay: false,
    };
    let (audited, findings) = audit_of(&petrel_at(server.url()).await, scope).await;
    judge(&expected, &findings);
    assert_eq!(audited.cases, expected.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_rebuild_mends_is_not_found_again() {
    let (_server, petrel, expected) = sabotaged(3).await;
    petrel.rebuild(&|_, _| ()).await.unwrap();
    let (_, findings) = audit(&petrel, false).await;
    let broken = |case: &CaseId| expected[case].fault.is_in() == FindingIn::Log;
    assert!(findings.iter().all(|finding| broken(&finding.case)), "{findings:#?}");
    assert!(!findings.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_system_at_work_gives_no_false_alarm() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    press(&petrel).await;
    // They come to an end: an audit takes the longer the more there is, so that audits of a
    // number and workers without an end would go on for each other for ever.
    let workers: Vec<_> = (0..8u64)
        .map(|worker| {
            let petrel = petrel.clone();
            tokio::spawn(async move {
                let mut random = StdRng::seed_from_u64(worker);
                for round in 0..40 {
                    pressed(&petrel, &format!("{worker}-{round}"), &mut random).await;
                    let busy = case(&format!("{worker}-0"));
                    for name in TRANSITIONS {
                        let fire = Fire::case(workflow("press"), busy.clone(), transition(name));
                        let _ = petrel.fire(fire).await;
                    }
                }
            })
        })
        .collect();
    let auditor = petrel_at(server.url()).await;
    let (mut looked, mut during) = (0, 0);
    while !workers.iter().all(|worker| worker.is_finished()) {
        for replay in [false, true] {
            let (audited, findings) = audit(&auditor, replay).await;
            assert_eq!(findings, []);
            looked = audited.cases;
            during += 1;
        }
    }
    for worker in workers {
        worker.await.unwrap();
    }
    assert!(during >= 2 && looked > 50, "{looked} cases at last, in {during} audits");
    let (audited, findings) = audit(&auditor, true).await;
    assert_eq!((audited.cases, findings), (8 * 40, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_ends_while_others_write_without_end() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    press(&petrel).await;
    let mut random = StdRng::seed_from_u64(6);
    for worker in 0..8 {
        pressed(&petrel, &format!("busy-{worker}"), &mut random).await;
    }
    let stop = CancellationToken::new();
    let workers: Vec<_> = (0..8)
        .map(|worker| {
            let (petrel, stop) = (petrel.clone(), stop.clone());
            tokio::spawn(async move {
                let busy = case(&format!("busy-{worker}"));
                let mut fired = 0;
                while !stop.is_cancelled() {
                    for name in TRANSITIONS {
                        let fire = Fire::case(workflow("press"), busy.clone(), transition(name));
                        fired += u64::from(petrel.fire(fire).await.is_ok());
                    }
                }
                fired
            })
        })
        .collect();
    let auditor = petrel_at(server.url()).await;
    for replay in [false, true] {
        let (audited, findings) = audit(&auditor, replay).await;
        assert_eq!((audited.cases, findings), (8, vec![]));
    }
    stop.cancel();
    for worker in workers {
        assert!(worker.await.unwrap() > 0, "a worker has not worked");
    }
}

/// The first record of a case has become unreadable, and its token is not in the view.
#[tokio::test]
async fn the_views_of_a_case_are_compared_though_the_record_that_created_it_is_rubbish() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    press(&petrel).await;
    let model = NewCase { case: Some(case("model")), ..NewCase::of(workflow("press")) };
    petrel.create_case(model).await.unwrap();
    let deal = Fire::case(workflow("press"), case("model"), transition("deal"));
    petrel.fire(deal).await.unwrap();
    let saboteur = Saboteur::at(&server).await;
    let subject = "cb.workflows.press.events.lifecycle.rough".to_owned();
    let rubbish = saboteur.publish(subject, HeaderMap::new(), b"rubbish".to_vec()).await;
    let stream = saboteur.jetstream.get_stream("CB_LOG").await.unwrap();
    let head = "cb.workflows.press.events.transitions.model";
    let head = stream.get_last_raw_message_by_subject(head).await.unwrap();
    let record = String::from_utf8(head.payload.to_vec()).unwrap().replace("model", "rough");
    let mut record: Value = serde_json::from_str(&record).unwrap();
    record["previous"] = json!(rubbish);
    let subject = "cb.workflows.press.events.transitions.rough".to_owned();
    let dealt = saboteur.publish(subject, HeaderMap::new(), record.to_string().into_bytes()).await;
    for replay in [false, true] {
        let (audited, findings) = audit(&petrel, replay).await;
        let mut found: Vec<_> = findings
            .iter()
            .map(|finding| (finding.sequence.map_or(0, LogSequence::get), finding.kind))
            .collect();
        found.sort();
        let unreadable = (rubbish, FindingKind::RecordUnreadable);
        let lost = (dealt, FindingKind::TokenLost);
        assert_eq!(found, [unreadable, lost, lost, lost, lost], "{findings:#?}");
        assert_eq!(audited.cases, 2);
    }
}

#[tokio::test]
async fn what_is_no_token_in_the_view_leaves_audits_of_other_workflows_whole() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    press(&petrel).await;
    let saboteur = Saboteur::at(&server).await;
    let subject = "cb.workflows.other.places.shelf.tokens.no%token".to_owned();
    saboteur.publish(subject.clone(), HeaderMap::new(), b"rubbish".to_vec()).await;
    // Hears of nothing that could not be checked.
    let scope = AuditScope { workflow: Some(workflow("press")), ..AuditScope::default() };
    audit_of(&petrel, scope).await;
    let heard = Heard::default();
    petrel.audit(&AuditScope::default(), &heard).await.unwrap();
    let unchecked = heard.unchecked.into_inner().unwrap();
    assert!(unchecked.len() == 1 && unchecked[0].contains(&subject), "{unchecked:?}");
}

#[tokio::test]
async fn a_case_with_many_tokens_is_audited_with_a_few_reads_for_each() {
    let storage = FaultyStorage::new(Arc::new(MemoryStorage::new()));
    let petrel = Petrel::new(Arc::new(storage.clone()));
    press(&petrel).await;
    let full = NewCase { case: Some(case("full")), ..NewCase::of(workflow("press")) };
    petrel.create_case(full).await.unwrap();
    for _ in 1..60 {
        petrel.create_token(token(case("full"), "shelf")).await.unwrap();
    }
    let before = storage.log_reads();
    let (audited, findings) = audit(&petrel, false).await;
    assert_eq!((audited.tokens, findings), (60, vec![]));
    let reads = storage.log_reads() - before;
    assert!(reads < 6 * 60, "{reads} reads for 60 tokens");
}

#[tokio::test]
async fn an_unknown_workflow_or_case_is_an_error_and_an_empty_system_is_clean() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    let heard = Heard::default();
    assert_eq!(audit(&petrel, true).await.0, Audited::default());
    let scope = AuditScope { workflow: Some(workflow("press")), ..AuditScope::default() };
    let unknown = petrel.audit(&scope, &heard).await.unwrap_err();
    assert!(unknown.to_string().contains("workflow press does not exist"));
    press(&petrel).await;
    let scope = AuditScope { cases: vec![case("nobody")], ..scope };
    let unknown = petrel.audit(&scope, &heard).await.unwrap_err();
    assert_eq!(unknown.to_string(), "case nobody does not exist");
}

/// A record in the middle that lost a token, which every later record does not have either: the
/// invariants tell without a replay, since a firing never changes their sums.
#[tokio::test]
async fn a_token_lost_long_ago_is_found_by_the_invariants_and_traced_to_its_record() {
    let server = TestServer::start().await;
    let petrel = petrel_at(server.url()).await;
    press(&petrel).await;
    let mut random = StdRng::seed_from_u64(5);
    let id = case("old");
    petrel
        .create_case(NewCase { case: Some(id.clone()), ..NewCase::of(workflow("press")) })
        .await
        .unwrap();
    petrel.fire(Fire::case(workflow("press"), id.clone(), transition("deal"))).await.unwrap();
    let plate = petrel.case(&workflow("press"), &id).await.unwrap();
    let plate = plate.live_tokens().find(|token| token.place == place("plate")).unwrap().clone();
    let saboteur = Saboteur::at(&server).await;
    let lost = saboteur.plant(Fault::LogLost, &id, &plate, &mut random).await;
    saboteur.purge(&at("plate", plate.id.as_str())).await;
    let unknowing = petrel_at(server.url()).await;
    unknowing.resume(&workflow("press"), &id, Change::default()).await.unwrap();
    for name in ["press", "unpress", "unpress"] {
        let fire = Fire::case(workflow("press"), id.clone(), transition(name));
        unknowing.fire(fire).await.unwrap();
    }
    for replay in [false, true] {
        let (audited, findings) = audit(&unknowing, replay).await;
        assert!(lost.is(&findings[0]), "{findings:?}");
        assert_eq!(findings.len(), 1);
        assert_eq!(audited.replayed, 7);
    }
}
