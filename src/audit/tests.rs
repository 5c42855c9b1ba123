//! Logs that the engine makes, and single faults planted in them.

use chrono::DateTime;
use proptest::{prelude::*, sample::Index};
use serde_json::{Map, json};

use super::{
    Finding, FindingKind,
    replay::{Replay, follows},
};
use crate::{
    engine::{self, Act, Bounds, Budget, Firing, Limits, Net, TokenSeed},
    models::{
        Case, CaseId, CaseStatus, Fence, LogSequence, PlaceId, Record, RecordKind, Stored, Token,
        TokenAt, WorkflowId,
    },
};

/// Alternatives, weights, all kinds of arcs, a guard and an output.
fn net() -> Net {
    let net = json!({
        "id": "w", "initial_place": "a",
        "places": [{"id": "a"}, {"id": "b"}, {"id": "c"}, {"id": "d", "capacity": 9},
                   {"id": "e"}],
        "transitions": [
            {"id": "split", "inputs": [{"place": "a"}],
             "outputs": [{"place": "b", "weight": 2}, {"place": "c"}]},
            {"id": "move", "from_places": ["b", "c"], "to_place": "d",
             "output": "{'moved': true}"},
            {"id": "back", "inputs": [{"place": "d"}, {"place": "c", "kind": "read"}],
             "outputs": [{"place": "b"}], "conditions": ["token.data.n >= 0"]},
            {"id": "join", "inputs": [{"place": "b", "weight": 2},
                                      {"place": "e", "kind": "inhibitor"}],
             "outputs": [{"place": "a"}]},
            {"id": "clear", "inputs": [{"place": "c"}, {"place": "d", "kind": "reset"}],
             "outputs": [{"place": "e"}]},
            {"id": "again", "inputs": [{"place": "e"}], "outputs": [{"place": "a"}]}
        ]
    });
    Net::compile(&serde_json::from_value(net).unwrap()).unwrap()
}

const TRANSITIONS: [&str; 6] = ["split", "move", "back", "join", "clear", "again"];

/// One case's log, as it grows.
struct Log {
    net: Net,
    case: Option<Case>,
    records: Vec<Stored<Record>>,
}

impl Log {
    /// Runs a case through these steps; an impossible one is passed over.
    fn run(steps: &[u8]) -> Self {
        let mut log = Self { net: net(), case: None, records: Vec::new() };
        let (workflow, id) = (WorkflowId::new("w").unwrap(), CaseId::new("k").unwrap());
        let (first, act, budget) = (LogSequence::FIRST, log.act(), Budget::default());
        let bounds = Bounds::of(&budget);
        let created = engine::create_case(&log.net, first, workflow, id, seed("a"), &act, bounds);
        log.append(created.unwrap());
        for step in steps {
            let record = log.decide(usize::from(*step));
            if let Some(record) = record {
                log.append(record);
            }
        }
        log
    }

    fn act(&self) -> Act {
        let number = self.records.len() as i64;
        Act {
            by: None,
            now: DateTime::from_timestamp(number, 0).unwrap(),
            firing: format!("f{number}").try_into().unwrap(),
            metadata: Map::new(),
            request: None,
            format: crate::models::FORMAT_VERSION,
        }
    }

    fn decide(&self, step: usize) -> Option<Record> {
        let (case, act) = (self.case.as_ref()?, self.act());
        if !matches!(case.status, CaseStatus::Running | CaseStatus::Paused) {
            return None;
        }
        let (net, budget) = (&self.net, Budget::default());
        let bounds = Bounds::of(&budget);
        match step % 16 {
            10 => engine::add_token(net, case, seed("c"), &act, bounds).ok(),
            11 => {
                let token = case.marking.0.first()?;
                let patch = json!({"n": 7});
                engine::update_data(net, case, &token.token, &patch, &act, bounds)?.ok()
            }
            12 => engine::change_status(net, case, RecordKind::Paused, &act, bounds).ok(),
            13..=15 => engine::change_status(net, case, RecordKind::Resumed, &act, bounds).ok(),
            step => {
                let transition = TRANSITIONS[step % TRANSITIONS.len()].try_into().unwrap();
                let data = json!({"given": step});
                let firing = Firing {
                    transition: &transition,
                    tokens: &[],
                    to_place: None,
                    data: Some(&data),
                    outcome: None,
                    act: &act,
                    limits: Limits::NONE,
                    budget: &Budget::default(),
                };
                engine::fire(&self.net, case, firing).ok()
            }
        }
    }

    fn append(&mut self, record: Record) {
        let sequence = self.records.last().map_or(10, |last| last.sequence.get() + 3);
        let stored = stored(record, LogSequence::new(sequence).unwrap());
        self.case = Some(engine::apply(self.case.as_ref(), &stored).unwrap());
        self.records.push(stored);
    }

    fn audit(&self) -> Vec<Finding> {
        let mut replay = Replay::default();
        self.records.iter().flat_map(|record| replay.record(&self.net, record)).collect()
    }

    /// The index of one of the firings, if there is any.
    fn one_fired(&self, at: Index) -> Option<usize> {
        let is_fired = |at: &usize| self.records[*at].value.kind == RecordKind::Fired;
        let fired: Vec<_> = (0..self.records.len()).filter(is_fired).collect();
        (!fired.is_empty()).then(|| fired[at.index(fired.len())])
    }

    /// Writes the records after `at` anew, each upon the one before it, as somebody does who
    /// knows about the chain.
    fn rechain(&mut self, at: usize) {
        for index in at..self.records.len() {
            let mut record = self.records[index].value.clone();
            if index > at {
                record.previous_hash = Some(self.records[index - 1].hash.clone());
            }
            self.records[index] = stored(record, self.records[index].sequence);
        }
    }
}

fn seed(place: &str) -> TokenSeed {
    TokenSeed { place: PlaceId::new(place).unwrap(), data: json!({"n": 1}), metadata: Map::new() }
}

fn stored(value: Record, sequence: LogSequence) -> Stored<Record> {
    use sha2::{Digest, Sha256};
    let bytes = serde_json::to_vec(&value).unwrap();
    let hash = crate::models::hex(&Sha256::digest(bytes));
    Stored {
        value,
        sequence,
        timestamp: DateTime::default(),
        subject: String::new(),
        fence: Fence::Unchecked,
        hash,
    }
}

fn has(
    findings: &[Finding],
    kind: FindingKind,
    sequence: LogSequence,
    place: Option<&PlaceId>,
) -> bool {
    findings.iter().any(|finding| {
        finding.kind == kind
            && finding.sequence == Some(sequence)
            && (place.is_none() || finding.place.as_ref() == place)
    })
}

fn other_place(place: &PlaceId) -> PlaceId {
    PlaceId::new(if place.as_str() == "e" { "a" } else { "e" }).unwrap()
}

#[derive(Debug, Clone, Copy)]
enum Planted {
    Lost,
    Doubled,
    Made,
    Moved,
}

fn planted() -> impl Strategy<Value = Planted> {
    use Planted::*;
    prop::sample::select(vec![Lost, Doubled, Made, Moved])
}

proptest! {
    #[test]
    fn a_log_that_the_engine_made_is_clean(steps in prop::collection::vec(0u8..16, 0..60)) {
        let log = Log::run(&steps);
        let findings = log.audit();
        prop_assert!(findings.is_empty(), "{:?}", findings);
    }

    #[test]
    fn a_token_lost_doubled_or_moved_in_a_marking_is_found_where_it_is(
        steps in prop::collection::vec(0u8..16, 1..60),
        (at, entry) in any::<(Index, Index)>(),
        what in planted(),
        rechained in any::<bool>(),
    ) {
        let mut log = Log::run(&steps);
        let at = at.index(log.records.len());
        let sequence = log.records[at].sequence;
        let record = &mut log.records[at].value;
        prop_assume!(!record.marking.0.is_empty());
        let entry = entry.index(record.marking.0.len());
        let mut twin = record.marking.0[entry].clone();
        let right = twin.place.clone();
        twin.place = other_place(&right);
        let (kind, place) = match what {
            Planted::Lost => {
                record.marking.0.remove(entry);
                (FindingKind::TokenLost, right)
            }
            Planted::Doubled => {
                record.marking.0.push(twin.clone());
                (FindingKind::TokenDoubled, twin.place)
            }
            Planted::Made => {
                twin.token = format!("{}9", twin.token).try_into().unwrap();
                record.marking.0.push(twin.clone());
                (FindingKind::TokenDoubled, twin.place)
            }
            Planted::Moved => {
                record.marking.0[entry] = twin.clone();
                (FindingKind::TokenMisplaced, twin.place)
            }
        };
        if rechained {
            log.rechain(at);
        }
        let findings = log.audit();
        prop_assert!(has(&findings, kind, sequence, Some(&place)), "{:?}", findings);
        let first = findings.iter().filter_map(|finding| finding.sequence).min();
        prop_assert_eq!(first, Some(sequence), "nothing before it is told of");
    }

    #[test]
    fn a_firing_that_gives_its_token_elsewhere_is_found_though_the_record_agrees_with_itself(
        steps in prop::collection::vec(0u8..10, 1..60),
        at in any::<Index>(),
    ) {
        let mut log = Log::run(&steps);
        let Some(at) = log.one_fired(at) else { return Err(TestCaseError::reject("none")) };
        let sequence = log.records[at].sequence;
        let record = &mut log.records[at].value;
        let token = record.produced[0].id.clone();
        let place = other_place(&record.produced[0].place);
        record.produced[0].place = place.clone();
        let entry = record.marking.0.iter_mut().find(|entry| entry.token == token).unwrap();
        entry.place = place.clone();
        log.rechain(at);
        let findings = log.audit();
        let found = has(&findings, FindingKind::TokenMisplaced, sequence, Some(&place));
        prop_assert!(found, "{:?}", findings);
    }

    #[test]
    fn another_transition_than_the_one_that_fired_is_found(
        steps in prop::collection::vec(0u8..10, 1..60),
        at in any::<Index>(),
    ) {
        let mut log = Log::run(&steps);
        let Some(at) = log.one_fired(at) else { return Err(TestCaseError::reject("none")) };
        let name = log.records[at].value.transition.clone().unwrap();
        let other = if name.as_str() == "split" { "again" } else { "split" };
        log.records[at].value.transition = Some(other.try_into().unwrap());
        log.rechain(at);
        let sequence = log.records[at].sequence;
        prop_assert!(log.audit().iter().any(|finding| finding.sequence == Some(sequence)));
    }

    #[test]
    fn a_changed_or_missing_record_breaks_the_chain_at_the_next_one(
        steps in prop::collection::vec(0u8..16, 2..60),
        at in any::<Index>(),
        removed in any::<bool>(),
    ) {
        let mut log = Log::run(&steps);
        prop_assume!(log.records.len() > 1);
        let at = at.index(log.records.len() - 1);
        let next = log.records[at + 1].sequence;
        let kind = match removed {
            true => {
                log.records.remove(at);
                FindingKind::RecordMissing
            }
            false => {
                let mut record = log.records[at].value.clone();
                record.by = Some("somebody else".to_owned());
                log.records[at] = stored(record, log.records[at].sequence);
                FindingKind::RecordChanged
            }
        };
        let findings = log.audit();
        prop_assert!(has(&findings, kind, next, None), "{:?}", findings);
    }
}

#[test]
fn what_follows_an_unreadable_record_is_believed_and_what_follows_that_is_judged() {
    let mut log = Log::run(&[0, 1, 1, 1]);
    assert_eq!(log.records.len(), 5);
    let lost = log.records.remove(2).sequence;
    let (last, sequence) = (log.records.len() - 1, log.records[3].sequence);
    let mut replay = Replay::default();
    replay.unreadable(lost);
    for record in &log.records {
        assert_eq!(replay.record(&log.net, record), []);
    }
    log.records[last].value.marking.0.pop();
    let mut replay = Replay::default();
    replay.unreadable(lost);
    let findings: Vec<_> =
        log.records.iter().flat_map(|record| replay.record(&log.net, record)).collect();
    assert!(has(&findings, FindingKind::TokenLost, sequence, None), "{findings:?}");
}

#[test]
fn each_thing_that_a_record_says_wrongly_is_found_though_all_else_is_right() {
    type Change = fn(&mut Record);
    let wrong: [(usize, FindingKind, Change); 11] = [
        // The case is created; a split, an added token, an edit, a pause, a resumption.
        (0, FindingKind::RecordInconsistent, |record| record.status = CaseStatus::Completed),
        (2, FindingKind::RecordInconsistent, |record| record.status = CaseStatus::Completed),
        (5, FindingKind::RecordInconsistent, |record| record.status = CaseStatus::Completed),
        (0, FindingKind::TokenUnknown, |record| {
            record.produced[0].id = format!("{}9", record.produced[0].id).try_into().unwrap();
            record.marking.0[0].token = record.produced[0].id.clone();
        }),
        (1, FindingKind::FiringImpossible, |record| {
            record.produced[0].place = other_place(&record.produced[0].place);
        }),
        (2, FindingKind::RecordInconsistent, |record| {
            record.marking.0[0].sequence = LogSequence::new(1);
        }),
        (2, FindingKind::RecordInconsistent, |record| record.tokens_made += 1),
        (3, FindingKind::RecordInconsistent, |record| record.status = CaseStatus::Completed),
        (3, FindingKind::TokenMisplaced, |record| {
            record.produced[0].place = other_place(&record.produced[0].place);
        }),
        (4, FindingKind::RecordInconsistent, |record| {
            record.definition = record.definition.next();
        }),
        (1, FindingKind::FiringImpossible, |record| {
            // What the firing gives was not there before it.
            let Token { id, place, .. } = record.produced[0].clone();
            record.read.push(TokenAt { token: id, place });
        }),
    ];
    for (number, (at, kind, change)) in wrong.into_iter().enumerate() {
        let mut log = Log::run(&[0, 10, 11, 12, 13]);
        assert_eq!((log.records.len(), log.audit()), (6, Vec::new()));
        change(&mut log.records[at].value);
        log.rechain(at);
        let (sequence, findings) = (log.records[at].sequence, log.audit());
        assert!(has(&findings, kind, sequence, None), "{number}: {findings:?}");
    }
}

#[test]
fn nothing_follows_the_end_of_a_case() {
    let open = Log::run(&[0, 1]);
    let mut completed = open.case.clone().unwrap();
    completed.status = CaseStatus::Completed;
    let mut cancelled = Log::run(&[0, 1]);
    let act = cancelled.act();
    let case = cancelled.case.as_ref().unwrap();
    let budget = Budget::default();
    let (kind, bounds) = (RecordKind::Cancelled, Bounds::of(&budget));
    let ends = engine::change_status(&cancelled.net, case, kind, &act, bounds).unwrap();
    cancelled.append(ends);
    for case in [&completed, cancelled.case.as_ref().unwrap()] {
        let change = |kind| engine::change_status(&open.net, case, kind, &act, bounds).unwrap();
        for record in [
            change(RecordKind::Paused),
            change(RecordKind::Resumed),
            change(RecordKind::Cancelled),
            engine::add_token(&open.net, case, seed("c"), &act, bounds).unwrap(),
        ] {
            let kind = record.kind;
            let faults = follows(&open.net, case, &stored(record, case.sequence.next()));
            let told = faults.iter().any(|fault| {
                fault.kind == FindingKind::RecordInconsistent
                    && fault.message.contains("nothing follows that")
            });
            assert!(told, "{kind:?} after {:?}: {faults:?}", case.status);
        }
    }
}
