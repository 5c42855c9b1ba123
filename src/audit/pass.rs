//! The passes of an audit: over the cases of the log, and over the registers of the view.

use std::collections::{BTreeMap, HashMap};

use futures::{Stream, StreamExt, TryStreamExt, stream};

use super::{
    Auditor, Finding, FindingIn, FindingKind,
    given::places,
    view::{Spot, Suspicion},
};
use crate::{
    models::{CaseId, PlaceId, Record, RecordKind, Stored, WorkflowId},
    petrel::{Error, Lookup, Result, export::by_case::case_of, read::turn::Purpose},
    storage::{LogRange, LogScope, Register, RegisterState, StorageError},
};

/// Number of cases that are looked at at once: few, since others work.
const AT_ONCE: usize = 16;

/// Number of things of a pass whose cases' heads are read together.
const TOGETHER: usize = 256;

/// Most tokens of a case, and most memory of it in bytes, whose registers are read together with
/// those of others.
const FEW: usize = 16;
const SMALL: usize = 64 * 1024;

/// Number of registers of the view that are read together.
const REGISTERS_AT_ONCE: usize = 512;

/// Number of registers that may wait for another look.
const MOST_SUSPICIONS: usize = 4_096;

/// Number of cases that may wait for their replay.
const MOST_SUSPECTS: usize = 50_000;

/// Number of cases with added tokens that are kept in mind.
const MOST_ADDED: usize = 100_000;

/// The places of tokens that were put into cases, by case.
type Added = HashMap<(WorkflowId, CaseId), Vec<PlaceId>>;

/// The places of the tokens that a case was given; none are needed where its log is replayed.
type Given = Option<Vec<PlaceId>>;

/// One thing of a pass.
enum Item {
    /// A case, to look at its log.
    Case(WorkflowId, CaseId, Given),
    /// A case that has a record that can't be read.
    Replay(WorkflowId, CaseId),
    /// Registers of one case.
    Registers(WorkflowId, CaseId, Vec<Register>),
    Nothing,
}

/// Parts of a case that are to be looked at.
#[derive(Default)]
struct Due {
    /// Its log, if that is one of them.
    log: Option<Given>,
    registers: Vec<Register>,
}

/// An item with the position of the pass after it.
type At = std::result::Result<(u64, Item), StorageError>;

/// The next items whose cases' heads are read together, with few registers in all.
async fn together(items: &mut (impl Stream<Item = At> + Unpin)) -> Vec<At> {
    let (mut some, mut registers) = (Vec::new(), 0);
    while some.len() < TOGETHER && registers < REGISTERS_AT_ONCE {
        let Some(item) = items.next().await else { break };
        if let Ok((_, Item::Registers(_, _, of_case))) = &item {
            registers += of_case.len();
        }
        some.push(item);
    }
    some
}

/// Result of a look at a case.
#[derive(Default)]
struct Look {
    suspicions: Vec<Suspicion>,
    /// Registers that the view should have.
    spots: Vec<Spot>,
}

impl Auditor<'_> {
    /// The cases that the caller named.
    pub(super) async fn named(&self, workflow: &WorkflowId) -> Result<()> {
        for case in &self.scope.cases {
            self.suspect(workflow, case, None);
        }
        let cases = self.scope.cases.iter().map(|case| (workflow.clone(), case.clone()));
        self.pass_over(cases.collect()).await
    }

    async fn pass_over(&self, cases: Vec<(WorkflowId, CaseId)>) -> Result<()> {
        let items = cases.into_iter().map(|(workflow, case)| Item::Case(workflow, case, None));
        self.pass(stream::iter(items.map(|item| Ok((self.last, item))))).await
    }

    /// Every case that a lifecycle record speaks of.
    pub(super) async fn all_cases(&self) -> Result<()> {
        let scope = LogScope::Lifecycles(self.scope.workflow.clone());
        let mut added = match self.scope.replay {
            true => Added::new(),
            false => self.added(scope.clone()).await?,
        };
        let records = self.reader.storage.history(scope, LogRange::ALL).await?;
        let items = records.map(move |record| match record {
            Ok(record) => {
                let (sequence, record) = (record.sequence.get(), record.value);
                if record.kind != RecordKind::Created {
                    return Ok((sequence, Item::Nothing));
                }
                let mut given = places(&record);
                let key = (record.workflow, record.case);
                self.state().unmet.remove(&key);
                given.extend(added.remove(&key).unwrap_or_default());
                Ok((sequence, Item::Case(key.0, key.1, (!self.scope.replay).then_some(given))))
            }
            Err(StorageError::Corrupt { subject, sequence, reason, .. }) => {
                let item = match case_of(&subject) {
                    Some((workflow, case)) => Item::Replay(workflow, case),
                    None => {
                        self.unchecked(format!("{subject} at sequence {sequence}: {reason}"));
                        Item::Nothing
                    }
                };
                Ok((sequence.get(), item))
            }
            Err(error) => Err(error),
        });
        self.pass(items).await?;
        let unmet = std::mem::take(&mut self.state().unmet);
        self.pass_over(unmet.into_iter().collect()).await
    }

    /// The places of the tokens that somebody has put into cases that ran. Tokens that find no
    /// room here, or come later, make the sums of their case odd, and a replay finds out the
    /// reason.
    async fn added(&self, scope: LogScope) -> Result<Added> {
        let mut added = Added::new();
        let mut records = self.reader.storage.history(scope, LogRange::ALL).await?;
        while let Some(record) = records.next().await {
            let record = match record {
                Ok(record) if record.value.kind == RecordKind::Edited => record.value,
                Ok(_) => continue,
                // The next pass tells of it.
                Err(StorageError::Corrupt { subject, .. }) => {
                    self.state().unmet.extend(case_of(&subject));
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let mut places = places(&record).into_iter().peekable();
            if places.peek().is_some() && added.len() < MOST_ADDED {
                let key = (record.workflow.clone(), record.case.clone());
                added.entry(key).or_default().extend(places);
            }
        }
        Ok(added)
    }

    /// Everything that the view has.
    pub(super) async fn registers(&self) -> Result<()> {
        let registers = self.reader.storage.registers().await?;
        let mut seen = 0;
        let items = registers.chunks(REGISTERS_AT_ONCE).flat_map(move |registers| {
            let mut by_case = BTreeMap::<_, Vec<_>>::new();
            let mut items = Vec::new();
            for register in registers {
                seen += 1;
                match register {
                    Ok(register) => {
                        if let Some(case) = self.whose(&register) {
                            let key = (register.workflow.clone(), case);
                            by_case.entry(key).or_default().push(register);
                        }
                    }
                    Err(StorageError::CorruptView { subject, sequence, reason }) => {
                        if self.is_in_scope(&subject) {
                            self.unchecked(format!("{subject} at sequence {sequence}: {reason}"));
                        }
                    }
                    Err(error) => items.push(Err(error)),
                }
            }
            items.extend(by_case.into_iter().map(|((workflow, case), registers)| {
                Ok((seen, Item::Registers(workflow, case, registers)))
            }));
            stream::iter(items)
        });
        self.pass(items).await
    }

    /// Returns true if a subject of the view, which is no token's, is of a workflow in the
    /// scope.
    fn is_in_scope(&self, subject: &str) -> bool {
        let workflow = subject.rsplit('.').nth(4);
        self.scope.workflow.as_ref().is_none_or(|only| workflow == Some(only.as_str()))
    }

    /// The case of a register of the view, if it is in the scope. It follows from the
    /// register's subject.
    fn whose(&self, register: &Register) -> Option<CaseId> {
        let (workflow, token) = (&register.workflow, &register.token);
        let is_other = self.scope.workflow.as_ref().is_some_and(|only| only != workflow);
        if is_other || matches!(register.state, RegisterState::Empty | RegisterState::Gone { .. }) {
            return None;
        }
        let case = match token.case() {
            Some((case, tag)) if workflow.tag() == tag => case,
            // No case has given this id. The characters of a token's id are those of a case's.
            _ => {
                let id = token.as_str();
                CaseId::new(&id[..id.len().min(CaseId::MAX_LENGTH)]).ok()?
            }
        };
        let is_wanted = self.scope.cases.is_empty() || self.scope.cases.contains(&case);
        is_wanted.then(|| self.state().audited.tokens += 1);
        is_wanted.then_some(case)
    }

    async fn pass<S>(&self, items: S) -> Result<()>
    where
        S: Stream<Item = At> + Send,
    {
        let (mut items, mut suspicions) = (std::pin::pin!(items.fuse()), Vec::new());
        loop {
            let items = together(&mut items).await;
            if items.is_empty() {
                return self.resolve(suspicions).await;
            }
            let (mut position, mut due) = (0, BTreeMap::<_, BTreeMap<_, Due>>::new());
            for item in items {
                let item = item?;
                position = item.0;
                let ((workflow, case), log, registers) = match item.1 {
                    Item::Case(workflow, case, given) => {
                        ((workflow, case), Some(given), Vec::new())
                    }
                    Item::Registers(workflow, case, registers) => {
                        ((workflow, case), None, registers)
                    }
                    Item::Replay(workflow, case) => {
                        self.suspect(&workflow, &case, None);
                        continue;
                    }
                    Item::Nothing => continue,
                };
                let due = due.entry(workflow).or_default().entry(case).or_default();
                due.log = log.or(due.log.take());
                due.registers.extend(registers);
            }
            for (workflow, due) in due {
                suspicions.extend(self.look_at(&workflow, due).await?);
            }
            self.progress(position);
            if suspicions.len() >= MOST_SUSPICIONS {
                self.resolve(std::mem::take(&mut suspicions)).await?;
            }
            if self.state().suspects.len() >= MOST_SUSPECTS {
                self.replay_suspects().await?;
            }
            self.sample().await?;
        }
    }

    /// Looks at cases of a workflow.
    async fn look_at(
        &self,
        workflow: &WorkflowId,
        due: BTreeMap<CaseId, Due>,
    ) -> Result<Vec<Suspicion>> {
        let cases: Vec<_> = due.keys().cloned().collect();
        let due = &due;
        let looks = self.reader.storage.heads(workflow, &cases).map(|(case, head)| async move {
            match self.due(&case, &due[&case], head).await {
                Ok(look) => Ok(look),
                Err(error) => self.failed(workflow, &case, error).map(|()| Look::default()),
            }
        });
        // To their ends before anything else is done: a look that nobody polls would keep its turn
        // at loading from others.
        let looks: Vec<Look> = looks.buffer_unordered(AT_ONCE).try_collect().await?;
        let (mut suspicions, mut spots) = (Vec::new(), Vec::new());
        for look in looks {
            suspicions.extend(look.suspicions);
            spots.extend(look.spots);
        }
        for spots in spots.chunks(REGISTERS_AT_ONCE) {
            let wanted: Vec<_> =
                spots.iter().map(|spot| (spot.token.clone(), spot.place.clone())).collect();
            let registers = self.reader.storage.registers_of(workflow, &wanted).await?;
            for (spot, register) in spots.iter().zip(registers) {
                if matches!(register.state, RegisterState::Empty | RegisterState::Gone { .. }) {
                    match self.look(spot).await {
                        Ok(found) => suspicions.extend(found),
                        Err(error) => self.failed(workflow, &spot.case, error)?,
                    }
                }
            }
        }
        Ok(suspicions)
    }

    async fn due(
        &self,
        case: &CaseId,
        due: &Due,
        head: std::result::Result<Option<Stored<Record>>, StorageError>,
    ) -> Result<Look> {
        let mut look = Look::default();
        self.state().audited.cases += u64::from(due.log.is_some());
        let head = head?;
        if let Some(given) = &due.log {
            let head = head.as_ref().ok_or_else(|| Error::no_case(case))?;
            look = self.case(head, given.as_deref()).await?;
        }
        if !due.registers.is_empty() {
            let found = self.registers_of(case, head, &due.registers).await?;
            look.suspicions.extend(found);
        }
        Ok(look)
    }

    /// A case: the end of its log, and its live tokens that the view has not got. Those that it
    /// has, right or wrong, are compared in the pass over the registers, so that each is told
    /// of once.
    async fn case(&self, head: &Stored<Record>, given: Option<&[PlaceId]>) -> Result<Look> {
        let (workflow, case) = (&head.value.workflow, &head.value.case);
        let state = self.reader.restore(head, Purpose::Upkeep).await?;
        if !state.aside.is_empty() {
            self.noted(&state);
        }
        if let Some(given) = given
            && let Err(error) = self.check_head(head, &state, given).await
        {
            self.failed(workflow, case, error)?;
        }
        let marking = &state.marking.0;
        let mut look = Look::default();
        if marking.len() <= FEW && state.memory() <= SMALL {
            look.spots.extend(marking.iter().map(|entry| Spot::at(entry, &state)));
            return Ok(look);
        }
        for entries in marking.chunks(REGISTERS_AT_ONCE) {
            let wanted: Vec<_> =
                entries.iter().map(|entry| (entry.token.clone(), entry.place.clone())).collect();
            for register in self.reader.storage.registers_of(workflow, &wanted).await? {
                if matches!(register.state, RegisterState::Empty | RegisterState::Gone { .. }) {
                    let spot = Spot::of(&register, case.clone());
                    look.suspicions.extend(self.compare(Some(&state), &spot, &register).await?);
                }
            }
        }
        Ok(look)
    }

    /// A case could not be read: its log will show the broken place.
    pub(super) fn failed(&self, workflow: &WorkflowId, case: &CaseId, error: Error) -> Result<()> {
        match error {
            Error::NotFound(Lookup::Case(_)) => return Err(error),
            Error::BrokenLog { .. } | Error::Storage(StorageError::Corrupt { .. }) => {
                let sequence = match &error {
                    Error::BrokenLog { sequence, .. } => *sequence,
                    Error::Storage(StorageError::Corrupt { sequence, .. }) => Some(*sequence),
                    _ => None,
                };
                let odd = Finding {
                    kind: FindingKind::RecordInconsistent,
                    place_of: FindingIn::Log,
                    workflow: workflow.clone(),
                    case: case.clone(),
                    sequence,
                    place: None,
                    token: None,
                    message: error.to_string(),
                };
                self.suspect(workflow, case, Some(odd));
            }
            error if error.is_of_one_case() => {
                self.unchecked_case(workflow, case, &error.to_string());
            }
            error => return Err(error),
        }
        Ok(())
    }
}
