//! Facts of the whole log: each case, and each claim with its end.

use std::collections::{BTreeMap, HashMap};

use futures::StreamExt;
use stormpetrel::{
    models::{Ended, Failure, Record, RecordKind, Stored, WorkflowId},
    petrel::Petrel,
    storage::{LogRange, LogScope},
};

use crate::{
    case_facts::CaseFacts,
    ledger::{ClaimId, Names},
    orders,
};

/// End of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Its worker was lost, and another claim began.
    Lost,
    /// It was answered, by an outcome or with a code: the number of its name.
    Answered(u32),
    /// It was given back.
    Released,
}

/// A claim as the log has it.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    /// Its worker, by its number among the names.
    pub worker: u32,
    pub ends: Vec<End>,
}

/// Everything that the checks need of the log.
#[derive(Debug, Default)]
pub(crate) struct LogFacts {
    pub cases: HashMap<u32, CaseFacts>,
    pub claims: HashMap<ClaimId, Claim>,
    pub records: u64,
    /// Attempts that were lost.
    pub lost: u64,
    /// Failed attempts that did not end their items, of each code.
    pub failed: BTreeMap<String, u64>,
    /// Items that began by hand-over.
    pub handed_over: u64,
    /// Contradictions.
    pub odd: Vec<String>,
}

impl LogFacts {
    /// Reads the whole log of a workflow.
    pub(crate) async fn read(
        petrel: &Petrel,
        workflow: &WorkflowId,
        names: &mut Names,
    ) -> anyhow::Result<Self> {
        let mut facts = Self::default();
        let scope = LogScope::Workflow(workflow.clone());
        let mut records = petrel.storage().history(scope, LogRange::ALL).await?;
        while let Some(record) = records.next().await {
            facts.add(&record?, names);
        }
        Ok(facts)
    }

    fn add(&mut self, stored: &Stored<Record>, names: &mut Names) {
        self.records += 1;
        let record = &stored.value;
        let Some(number) = orders::number(record.case.as_str()) else {
            self.odd.push(format!("case {} is not of the soak", record.case));
            return;
        };
        match self.cases.get_mut(&number) {
            Some(case) => case.add(stored),
            None => drop(self.cases.insert(number, CaseFacts::new(stored))),
        }
        let Some(work) = &record.work else { return };
        let worker = names.number(record.by.as_deref().unwrap_or("nobody"));
        let id = |claim: u64| (number, work.item, claim);
        match (record.kind, work.claim) {
            (RecordKind::Begun, Some(claim)) => {
                if work.ended == Some(Ended::Lost) {
                    self.lost += 1;
                    self.end(id(claim - 1), End::Lost, stored);
                }
                self.begin(id(claim), worker, stored);
            }
            (RecordKind::Released, Some(claim)) => self.end(id(claim), End::Released, stored),
            (RecordKind::Failed, Some(claim)) => {
                let code = work.failure.as_ref().map_or("?", |failure| &failure.code);
                *self.failed.entry(code.to_owned()).or_default() += 1;
                // An item whose workers were lost too often ends no attempt by its incident.
                if code != Failure::LOST {
                    self.end(id(claim), End::Answered(names.number(code)), stored);
                }
            }
            (RecordKind::Fired | RecordKind::Completed, Some(claim)) => {
                let failure = work.failure.as_ref().map(|failure| failure.code.as_str());
                let outcome = work.outcome.as_ref().map(|outcome| outcome.as_str());
                let by = names.number(failure.or(outcome).unwrap_or("done"));
                self.end(id(claim), End::Answered(by), stored);
            }
            (kind, claim) => {
                let kind = kind.as_str();
                self.odd.push(format!("record {}: {kind} of claim {claim:?}", stored.sequence));
            }
        }
        if let Some(next) = &work.next {
            self.handed_over += 1;
            self.begin((number, next.item, next.claim), worker, stored);
        }
    }

    fn begin(&mut self, id: ClaimId, worker: u32, stored: &Stored<Record>) {
        let before = self.claims.insert(id, Claim { worker, ends: Vec::new() });
        if before.is_some() {
            self.odd.push(format!("record {}: claim {id:?} begins twice", stored.sequence));
        }
    }

    fn end(&mut self, id: ClaimId, end: End, stored: &Stored<Record>) {
        match self.claims.get_mut(&id) {
            Some(claim) => claim.ends.push(end),
            None => {
                let sequence = stored.sequence;
                self.odd.push(format!("record {sequence}: claim {id:?} ends and never began"));
            }
        }
    }
}
