//! A batch of records whose views are looked at together.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Instant,
};

use futures::StreamExt;

use crate::petrel::{
    Error, Repaired, Result,
    read::{narrowed::narrowed, turn::Purpose},
    views::{
        Views,
        rebuild::Tally,
        repair::is_wrong,
        unseen::{self, Key},
    },
};
use crate::{
    models::{CaseId, LogSequence, Record, Stored, WorkflowId, json_length},
    storage::{LogRange, LogScope, Register, StorageError},
};

/// Number of records that are handled together.
const BATCH: usize = 4_096;

/// Most bytes of JSON that a record's tokens carry whose case is looked at with others. They may take a hundred times as
/// much memory.
const LIGHT: usize = 16 * 1024;

/// Number of cases, and of their registers, that are asked for together.
const CASES: usize = 64;
const REGISTERS: usize = 32;

/// Number of cases of a part that are looked at at once.
const AT_ONCE: usize = 16;

/// Most registers of a case that are read together with others'.
const MOST_TOGETHER: usize = 16;

/// Registers to look at, by case.
pub(super) type Touched = HashMap<(WorkflowId, CaseId), BTreeSet<Key>>;

/// Parts of a case that are to be looked at.
struct Wanted {
    registers: BTreeSet<Key>,
    /// True if it may have timers and work, too.
    waits: bool,
    /// True if its tokens carry so much that it is looked at alone.
    is_heavy: bool,
}

impl Wanted {
    /// Returns true if its registers are read with others'.
    fn is_light(&self) -> bool {
        !self.is_heavy && self.registers.len() <= MOST_TOGETHER
    }
}

/// Some cases.
pub(super) type Cases = BTreeSet<(WorkflowId, CaseId)>;

/// A case with its registers, and what was mended of them.
type Looked = (CaseId, BTreeSet<Key>, Result<Repaired>);

/// Result of a batch of records.
pub(super) struct Batch {
    /// The last record that it came to.
    pub upto: LogSequence,
    pub repaired: Repaired,
    /// Registers that others wrote all the time; they are to be looked at again.
    pub contended: Touched,
}

impl Views {
    /// Looks at a batch of records after `done` and up to `to`.
    pub(super) async fn reconcile_batch(
        &self,
        done: Option<LogSequence>,
        to: LogSequence,
        skip_confirmed: bool,
    ) -> Result<Batch> {
        let first = match skip_confirmed {
            true => self.confirmed.first_open(done, to),
            false => Some(LogSequence::after(done)),
        };
        let mut repaired = Repaired::default();
        let Some(first) = first else {
            return Ok(Batch { upto: to, repaired, contended: Touched::new() });
        };
        let mut records =
            self.reader.storage.history(LogScope::All, LogRange::from(first)).await?.take(BATCH);
        let (mut touched, mut waiting, mut heavy) = (Touched::new(), Cases::new(), Cases::new());
        let (mut upto, mut count) = (to, 0);
        let mut unreadable = Vec::new();
        while let Some(record) = records.next().await {
            count += 1;
            match record {
                Ok(record) if record.sequence > to => break,
                Ok(record) => {
                    if count == BATCH {
                        upto = record.sequence;
                    }
                    if !(skip_confirmed && self.confirmed.contains(record.sequence)) {
                        touch(&mut touched, &record.value);
                        if carried(&record.value) > LIGHT {
                            let Record { workflow, case, .. } = &record.value;
                            heavy.insert((workflow.clone(), case.clone()));
                        }
                        if unseen::has_waited(&record.value) {
                            waiting.insert((record.value.workflow, record.value.case));
                        }
                    }
                }
                Err(error @ StorageError::Corrupt { .. }) => {
                    if let (StorageError::Corrupt { sequence, .. }, BATCH) = (&error, count) {
                        upto = *sequence;
                    }
                    unreadable.push(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        for error in self.reader.not_put_aside(unreadable).await? {
            tracing::warn!(%error, "the reconciler passes over a record");
            repaired.failed += 1;
        }
        let (mended, contended) = self.look_at(touched, (&waiting, &heavy)).await?;
        repaired += mended;
        Ok(Batch { upto, repaired, contended })
    }

    /// Looks at these registers, those of `heavy` cases one case after the other, and at the timers and the work of the
    /// cases that are `waiting`. Returns the registers that others wrote all the time.
    pub(super) async fn look_at(
        &self,
        touched: Touched,
        (waiting, heavy): (&Cases, &Cases),
    ) -> Result<(Repaired, Touched)> {
        let mut workflows: BTreeMap<WorkflowId, Vec<(CaseId, Wanted)>> = BTreeMap::new();
        for (of_case, registers) in touched {
            let (waits, is_heavy) = (waiting.contains(&of_case), heavy.contains(&of_case));
            let (workflow, case) = of_case;
            workflows
                .entry(workflow)
                .or_default()
                .push((case, Wanted { registers, waits, is_heavy }));
        }
        let (mut tally, mut contended) = (Tally::ending(), Touched::new());
        for (workflow, cases) in workflows {
            for part in parts(cases) {
                for (case, registers, looked) in self.look_at_part(&workflow, part).await? {
                    match looked {
                        Err(error @ Error::ViewsContended { .. }) => {
                            tracing::debug!(%error, "looked at again");
                            contended.insert((workflow.clone(), case), registers);
                        }
                        looked => {
                            tally.add(looked.map(|some| Repaired { cases: 1, ..some }))?;
                        }
                    }
                }
            }
        }
        Ok((tally.total, contended))
    }

    /// Looks at some cases of a workflow with three requests: for their registers, their timers and their last
    /// records. What is wrong is looked at once more.
    async fn look_at_part(
        &self,
        workflow: &WorkflowId,
        cases: BTreeMap<CaseId, Wanted>,
    ) -> Result<Vec<Looked>> {
        let storage = &self.reader.storage;
        let few = cases.values().filter(|wanted| wanted.is_light());
        let keys: Vec<_> = few.flat_map(|wanted| &wanted.registers).cloned().collect();
        let waiting = cases.iter().filter(|(_, wanted)| wanted.waits);
        let waiting: Vec<_> = waiting.map(|(case, _)| case.clone()).collect();
        let (registers, armed) =
            tokio::join!(storage.registers_of(workflow, &keys), self.armed_now(workflow, &waiting));
        let registers = registers?;
        let registers = registers.iter().map(|register| (key(register), register));
        let registers: HashMap<Key, &Register> = registers.collect();
        // Both are judged by what is read after them.
        let (ids, asked): (Vec<_>, _) = (cases.keys().cloned().collect(), Instant::now());
        let looks = storage.heads(workflow, &ids).map(|(case, head)| {
            let (wanted, registers, armed) = (&cases[&case], &registers, &armed);
            async move {
                let looked = async {
                    let head = head?;
                    // Whatever becomes of it, the registers are looked at.
                    let waited = match (head.as_ref().filter(|_| wanted.waits), armed) {
                        (Some(head), Ok(armed)) => self.look_at_waiting(head, armed).await,
                        _ => Ok(()),
                    };
                    let seen = wanted.registers.iter().map(|key| registers.get(key).copied());
                    let seen: Option<Vec<_>> = seen.collect();
                    let repaired = match (seen, head) {
                        (Some(seen), Some(head)) if self.are_right(&head, &seen).await? => {
                            Repaired::default()
                        }
                        (_, head) => {
                            let keys = wanted.registers.iter().cloned().collect();
                            self.repair_some((workflow, &case), (head, asked), keys).await?
                        }
                    };
                    waited.map(|()| repaired)
                };
                let looked = looked.await;
                (case, looked)
            }
        });
        let looks: Vec<_> = looks.buffer_unordered(AT_ONCE).collect().await;
        match armed {
            Err(error) if error.retryable() => return Err(error),
            Err(error) => tracing::warn!(%workflow, %error, "timers and work can't be looked at"),
            Ok(_) => {}
        }
        let mut cases = cases;
        let of_case = |(case, looked)| {
            let registers = cases.remove(&case).map(|wanted| wanted.registers);
            (case, registers.unwrap_or_default(), looked)
        };
        Ok(looks.into_iter().map(of_case).collect())
    }

    /// Returns true if registers, which were read before a case's last record, are as they must be.
    async fn are_right(&self, head: &Stored<Record>, seen: &[&Register]) -> Result<bool> {
        let only = seen.iter().map(|register| register.token.clone()).collect();
        let some = narrowed(head.clone(), &only);
        if some.value.marking.0.len() > MOST_TOGETHER {
            return Ok(false);
        }
        let case = self.reader.restore(&some, Purpose::Upkeep).await?;
        Ok(!seen.iter().any(|register| is_wrong(&case, register)))
    }
}

/// Bytes of JSON that the tokens carry which a record made.
fn carried(record: &Record) -> usize {
    record.produced.iter().map(|token| json_length(&token.data)).sum()
}

/// Parts of cases that are looked at together: of so many registers, and so many cases.
fn parts(cases: Vec<(CaseId, Wanted)>) -> Vec<BTreeMap<CaseId, Wanted>> {
    let (heavy, light): (Vec<_>, Vec<_>) = cases.into_iter().partition(|(_, of)| of.is_heavy);
    let mut parts: Vec<_> = heavy.into_iter().map(|one| BTreeMap::from([one])).collect();
    let mut count = 0;
    parts.push(BTreeMap::new());
    for (case, wanted) in light {
        let more = Some(wanted.registers.len()).filter(|_| wanted.is_light());
        count += more.unwrap_or_default();
        let part = parts.last_mut().filter(|part| part.len() < CASES && count <= REGISTERS);
        match part {
            Some(part) => drop(part.insert(case, wanted)),
            None => {
                count = more.unwrap_or_default();
                parts.push(BTreeMap::from([(case, wanted)]));
            }
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

fn key(register: &Register) -> Key {
    (register.token.clone(), register.place.clone())
}

fn touch(touched: &mut Touched, record: &Record) {
    let key = (record.workflow.clone(), record.case.clone());
    let registers = touched.entry(key).or_default();
    registers.extend(unseen::touched(record));
}
