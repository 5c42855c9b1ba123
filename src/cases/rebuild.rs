//! Rebuilding the view from the log, from the beginning, in bounded memory.

use futures::{StreamExt, stream};

use super::{Cases, Error, Inner, Repaired, Result, repair::same};
use crate::{
    models::{CaseId, RecordKind, WorkflowId},
    storage::{LogScope, Register, RegisterState, StorageError},
};

/// How many cases are looked at at once.
const AT_ONCE: usize = 64;

/// What one item of a pass was.
enum Item {
    Case(WorkflowId, CaseId),
    /// A register that should perhaps say something else.
    Register(Box<Register>),
    Nothing,
}

impl Cases {
    /// Makes the view equal to the log. First every case's live tokens are written where they
    /// are missing or wrong, then everything in the view that the log does not have is taken
    /// away. `progress` gets how much is done and of how much, in messages of the log's
    /// lifecycles and of the view.
    pub async fn rebuild(&self, progress: &(dyn Fn(u64, u64) + Send + Sync)) -> Result<Repaired> {
        let inner = &self.inner;
        let last = inner.storage.last_sequence().await?;
        let mut repaired = Repaired::default();
        let lifecycles = inner.storage.history(LogScope::Lifecycles(None), 1).await?;
        let cases = lifecycles.map(|record| match record {
            Ok(record) if record.value.kind == RecordKind::Created => {
                Ok((record.sequence, Item::Case(record.value.workflow, record.value.case)))
            }
            Ok(record) => Ok((record.sequence, Item::Nothing)),
            Err(error) => Err(error),
        });
        repaired += inner.pass(cases, |position| progress(position, 2 * last)).await?;
        let registers = inner.storage.registers().await?;
        let mut seen = 0;
        let registers = registers.map(move |register| {
            seen += 1;
            register.map(|register| match register.state {
                RegisterState::Live(_) | RegisterState::Unreadable { .. } => {
                    (seen, Item::Register(Box::new(register)))
                }
                _ => (seen, Item::Nothing),
            })
        });
        let in_view = |position: u64| progress(last + position.min(last), 2 * last);
        repaired += inner.pass(registers, in_view).await?;
        progress(2 * last, 2 * last);
        Ok(repaired)
    }
}

impl Inner {
    async fn pass<S>(&self, items: S, progress: impl Fn(u64)) -> Result<Repaired>
    where
        S: stream::Stream<Item = std::result::Result<(u64, Item), StorageError>> + Send,
    {
        let repairs = items.map(|item| async move {
            let (position, item) = item?;
            let one = |mended| Repaired { cases: 1, mended, failed: 0 };
            let repaired = match item {
                Item::Case(workflow, case) => self.repair_case(&workflow, &case).await.map(one)?,
                Item::Register(register) => {
                    let mended = self.repair_register(*register).await?;
                    Repaired { cases: 0, mended, failed: 0 }
                }
                Item::Nothing => Repaired::default(),
            };
            Ok::<_, Error>((position, repaired))
        });
        let mut repairs = std::pin::pin!(repairs.buffered(AT_ONCE));
        let mut total = Repaired::default();
        while let Some(repaired) = repairs.next().await {
            match repaired {
                Ok((position, repaired)) => {
                    total += repaired;
                    progress(position);
                }
                Err(error) if !error.is_of_one_case() => return Err(error),
                Err(error) if self.is_put_aside(&error).await => {}
                Err(error) => {
                    tracing::warn!(%error, "passed over in the rebuild");
                    total.failed += 1;
                }
            }
        }
        Ok(total)
    }

    /// Something in the view: the log must have it there. Whose it is follows from its
    /// subject, not from what it says of itself.
    async fn repair_register(&self, register: Register) -> Result<u64> {
        let (workflow, token) = (&register.workflow, &register.token);
        let case = match token.case() {
            Some((case, tag)) if workflow.tag() == tag => case,
            // No case has given this id. The characters of a token's id are those of a case's.
            _ => {
                let id = token.as_str();
                let name = CaseId::new(&id[..id.len().min(CaseId::MAX_LENGTH)])?;
                return self.clear(register, name).await;
            }
        };
        let Some((_, state)) = self.load(workflow, &case).await? else {
            return self.clear(register, case).await;
        };
        let right = matches!(&register.state, RegisterState::Live(seen)
            if seen.place == register.place
                && state.tokens.get(token).is_some_and(|live| same(live, seen)));
        if right {
            return Ok(0);
        }
        let keys = vec![(token.clone(), register.place.clone())];
        self.repair(workflow, &case, keys).await
    }
}
