//! A walk along the whole view. Cases whose registers are all there and right are done with after it.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};

use crate::petrel::{
    Error, Inner, Repaired, Result,
    read::turn::Purpose,
    thread::by_itself,
    views::{
        Views,
        rebuild::{Right, Tally, Unknown, case_named},
        repair::is_wrong,
        unseen::Key,
    },
};
use crate::{
    models::{CaseId, Record, Stored, WorkflowId},
    storage::{Register, RegisterState, StorageError},
};

/// Numbers of registers, and of bytes of their tokens, that are compared together.
const REGISTERS: usize = 2_048;
const BYTES: usize = 4 * 1024 * 1024;

/// Number of such parts that are compared at once, while the next one is read.
const PARTS_AT_ONCE: usize = 2;

/// Number of cases of a part that are looked at at once.
const AT_ONCE: usize = 32;

/// Most tokens of a case that is compared as a whole with what a part has of it.
const FEW: usize = 256;

/// Cases that need no other look, each by 128 bits of its name. That two have the same does not
/// happen; a million of them take 36 MB.
#[derive(Default)]
pub(super) struct Met {
    hasher: RandomState,
    cases: HashSet<(u64, u64)>,
}

impl Met {
    /// Notes a case. Returns true if it is a new one.
    pub(super) fn add(&mut self, workflow: &WorkflowId, case: &CaseId) -> bool {
        let one = self.hasher.hash_one((workflow, case));
        self.cases.insert((one, self.hasher.hash_one((case, workflow))))
    }
}

/// A part of the view, and the errors of what is no register.
#[derive(Default)]
struct Part {
    registers: Vec<Register>,
    errors: Vec<StorageError>,
    seen: u64,
}

/// A case, with what was mended of it, and true if it is right as a whole.
type Look = ((WorkflowId, CaseId), Result<(Repaired, bool)>);

/// Compares all registers of the view with the heads of their cases. The cases that are right as a
/// whole are noted in `met`.
pub(super) async fn walk(
    inner: &Arc<Inner>,
    met: &mut Met,
    tally: &mut Tally,
    progress: impl Fn(u64),
) -> Result<()> {
    let unknown = tally.unknown();
    let looks = parts(inner.reader.storage.registers().await?).map(|part| {
        let inner = Arc::clone(inner);
        // Tasks of their own: they go on while the next registers are read.
        by_itself(async move {
            let Part { registers, errors, seen } = part?;
            Ok::<_, Error>((inner.views.compare_part(registers, unknown).await?, errors, seen))
        })
    });
    let mut looks = std::pin::pin!(looks.buffered(PARTS_AT_ONCE));
    let mut done = 0;
    while let Some(look) = looks.next().await {
        let (looks, errors, seen) = look?;
        for error in errors {
            tally.add(Err(error.into()))?;
        }
        for ((workflow, case), look) in looks {
            let is_whole = matches!(look, Ok((_, true)));
            tally.add(look.map(|(repaired, _)| repaired))?;
            if is_whole && met.add(&workflow, &case) {
                tally.total.cases += 1;
            }
        }
        done += seen;
        progress(done);
    }
    Ok(())
}

/// The registers of the view that are no markers, so many together as may be in memory.
fn parts(
    registers: BoxStream<'static, std::result::Result<Register, StorageError>>,
) -> impl Stream<Item = std::result::Result<Part, StorageError>> + Send {
    // The last part finds its end, and the one after it once more.
    stream::try_unfold(registers.fuse(), |mut registers| async move {
        let (mut part, mut bytes) = (Part::default(), 0);
        while part.registers.len() < REGISTERS && bytes < BYTES {
            let Some(register) = registers.next().await else { break };
            part.seen += 1;
            match register {
                Ok(Register { state: RegisterState::Gone { .. }, .. }) => {}
                Ok(register) => {
                    if let RegisterState::Live(token) = &register.state {
                        bytes += token.memory();
                    }
                    part.registers.push(register);
                }
                Err(error @ StorageError::CorruptView { .. }) => part.errors.push(error),
                Err(error) => return Err(error),
            }
        }
        Ok((part.seen > 0).then_some((part, registers)))
    })
}

impl Views {
    async fn compare_part(&self, registers: Vec<Register>, unknown: Unknown) -> Result<Vec<Look>> {
        let mut workflows = HashMap::<_, HashMap<CaseId, Vec<Register>>>::new();
        let mut looks = Vec::new();
        for register in registers {
            let case = case_named(&register.workflow, &register.token)?;
            let cases = workflows.entry(register.workflow.clone()).or_default();
            cases.entry(case).or_default().push(register);
        }
        for (workflow, cases) in &workflows {
            let ids: Vec<_> = cases.keys().cloned().collect();
            let heads = self.reader.storage.heads(workflow, &ids);
            let compared = heads.map(|(case, head)| async move {
                let (registers, of_case) = (&cases[&case], (workflow.clone(), case));
                let look = match head {
                    Ok(head) => self.compare(&of_case, registers, head, unknown).await,
                    Err(error) => Err(error.into()),
                };
                (of_case, look)
            });
            let mut compared = std::pin::pin!(compared.buffer_unordered(AT_ONCE));
            while let Some(look) = compared.next().await {
                looks.push(look);
            }
        }
        Ok(looks)
    }

    /// Compares registers of a case with its head, which was read after them. If any of them is wrong,
    /// the whole case is looked at. Returns true if nothing of it is left to be looked at.
    async fn compare(
        &self,
        of_case: &(WorkflowId, CaseId),
        registers: &[Register],
        head: Option<Stored<Record>>,
        unknown: Unknown,
    ) -> Result<(Repaired, bool)> {
        let keys = |wrong: &dyn Fn(&Register) -> bool| -> Vec<Key> {
            let wrong = registers.iter().filter(|register| wrong(register));
            wrong.map(|register| (register.token.clone(), register.place.clone())).collect()
        };
        let Some(head) = head else {
            return Ok((self.settle_unknown(of_case, keys(&|_| true), unknown).await?, false));
        };
        let marking = &head.value.marking.0;
        if marking.len() > registers.len().min(FEW) {
            let right = Right::of(Some(&head));
            let is_wrong = |register: &Register| {
                !right.has(&register.token, &register.place, register.state.revision())
            };
            return self.settle(of_case, keys(&is_wrong), false).await;
        }
        let case = match self.reader.restore(&head, Purpose::Upkeep).await {
            Ok(case) => case,
            Err(error) if error.retryable() => return Err(error),
            // What can't be read of it is told of by the look at the case.
            Err(_) => return Ok((Repaired::default(), false)),
        };
        let seen: HashSet<_> = registers.iter().map(|register| &register.token).collect();
        let are_all_there = marking.iter().all(|entry| seen.contains(&entry.token));
        self.settle(of_case, keys(&|register| is_wrong(&case, register)), are_all_there).await
    }

    async fn settle(
        &self,
        (workflow, case): &(WorkflowId, CaseId),
        wrong: Vec<Key>,
        is_whole: bool,
    ) -> Result<(Repaired, bool)> {
        match wrong.is_empty() {
            true => Ok((Repaired::default(), is_whole)),
            false => Ok((self.repair_case(workflow, case, wrong).await?, true)),
        }
    }
}
