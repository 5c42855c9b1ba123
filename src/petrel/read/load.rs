//! Load of a case's state from the store: the head, and the records that its tokens are in.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::SemaphorePermit;

use crate::petrel::{
    Error, Result,
    read::{
        Reader,
        turn::{Loaded, Loading, Purpose},
    },
    thread::by_itself,
};
use crate::{
    engine::{fit_history, history_bases, produced, restore, take_produced},
    models::{
        Case, CaseId, Digests, LogSequence, MOST_UNKNOWN, MarkingEntry, Record, Stored, Token,
        TokenId, WorkflowId,
    },
    storage::{Consistency, Page, ViewScope},
};

/// Number of records that are asked for at once, and kept at hand for the histories that
/// others leave to them.
pub(super) const AT_ONCE: usize = 32;

/// Number of records that are asked for at once of a case with many tokens, each of whose
/// records names them all.
const LARGE_AT_ONCE: usize = 8;

/// The number of tokens from which on a case is one with many.
const LARGE: usize = 1_024;

/// Number of messages of the view that are read first: they tell how large the others may be.
const SAMPLE: usize = 4;

/// Most times as many as before that are read next.
const GROWTH: usize = 4;

/// Most messages of the view that are asked for at once.
const MESSAGES_AT_ONCE: usize = 512;

/// The beginning of the names of fields of a record's tokens.
const PRODUCED: &str = "produced.";

/// The tokens that are being put together, and the records that have their histories whole.
struct Found<'a> {
    head: &'a Stored<Record>,
    /// The log sequences of the records that the live tokens are in.
    sequences: HashMap<&'a TokenId, LogSequence>,
    alive: Vec<Token>,
    bases: HashMap<TokenId, LogSequence>,
}

impl<'a> Found<'a> {
    fn of(head: &'a Stored<Record>) -> Self {
        let marking = &head.value.marking.0;
        let sequence = |entry: &'a MarkingEntry| (&entry.token, entry.sequence_in(head.sequence));
        let (alive, bases) = (Vec::with_capacity(marking.len()), HashMap::new());
        let sequences = marking.iter().map(sequence).collect();
        let mut found = Self { head, sequences, alive, bases };
        let here = |token: &TokenId| found.sequences.get(token) == Some(&head.sequence);
        found.alive.extend(produced(head).filter(|token| here(&token.id)));
        found.bases.extend(history_bases(head).filter(|(token, _)| here(token)));
        found
    }

    /// Takes the live tokens out of a record that produced them: it keeps their histories.
    fn take(&mut self, record: &mut Stored<Record>) {
        let (sequences, at) = (&self.sequences, record.sequence);
        let here = |token: &TokenId| sequences.get(token) == Some(&at);
        self.alive.extend(take_produced(record, here));
        self.bases.extend(history_bases(record).filter(|(token, _)| here(token)));
    }

    /// The log sequences of the other records that have live tokens.
    fn elsewhere(&self) -> BTreeSet<LogSequence> {
        let sequences = self.sequences.values().copied();
        sequences.filter(|sequence| *sequence != self.head.sequence).collect()
    }
}

impl Reader {
    /// The case as the log has it now; `None` if it does not exist.
    pub(crate) fn load(
        self: &Arc<Self>,
        workflow: &WorkflowId,
        case: &CaseId,
    ) -> impl Future<Output = Result<Option<(Stored<Record>, Case)>>> + Send + use<> {
        let (reader, workflow, case) = (Arc::clone(self), workflow.clone(), case.clone());
        by_itself(async move {
            let mut loading = reader.loading();
            loop {
                match reader.load_in(&workflow, &case, &mut loading).await? {
                    Loaded::Whole(loaded) => return Ok(loaded),
                    Loaded::Large => loading.wait().await?,
                }
            }
        })
    }

    /// The same, unless it is a large case.
    pub(in crate::petrel) async fn load_small(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
    ) -> Result<Loaded<Option<Case>>> {
        Ok(match self.load_in(workflow, case, &mut self.loading_small()).await? {
            Loaded::Whole(loaded) => Loaded::Whole(loaded.map(|(_, case)| case)),
            Loaded::Large => Loaded::Large,
        })
    }

    async fn load_in(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        loading: &mut Loading<'_>,
    ) -> Result<Loaded<Option<(Stored<Record>, Case)>>> {
        let head = self.storage.head(workflow, case, Consistency::Strong).await?;
        let Some(head) = head else { return Ok(Loaded::Whole(None)) };
        Ok(match self.restore_in(&head, loading).await? {
            Loaded::Whole(case) => Loaded::Whole(Some((head, case))),
            Loaded::Large => Loaded::Large,
        })
    }

    /// The state that a head stands for. Tokens that are in many records are taken from the
    /// view if the head vouches for them, since each record has the whole marking: a case is
    /// read in as many bytes as it has tokens.
    pub(crate) async fn restore(&self, head: &Stored<Record>, purpose: Purpose) -> Result<Case> {
        self.restore_held(head, purpose).await.map(|(case, _)| case)
    }

    /// The same, with the turn of a large case, for those who keep it while they do more. Whoever has
    /// it must not ask for another one.
    pub(in crate::petrel) async fn restore_held(
        &self,
        head: &Stored<Record>,
        purpose: Purpose,
    ) -> Result<(Case, Option<SemaphorePermit<'_>>)> {
        let mut loading = self.loading_for(purpose);
        loop {
            match self.restore_in(head, &mut loading).await? {
                Loaded::Whole(case) => return Ok((case, loading.into_turn())),
                Loaded::Large => loading.wait().await?,
            }
        }
    }

    async fn restore_in(
        &self,
        head: &Stored<Record>,
        loading: &mut Loading<'_>,
    ) -> Result<Loaded<Case>> {
        let Record { produced, marking, .. } = &head.value;
        produced.iter().for_each(|token| loading.add(token.memory()));
        let elsewhere = |entry: &&MarkingEntry| entry.sequence_in(head.sequence) != head.sequence;
        if !loading.may_read(marking.0.iter().filter(elsewhere).count()).await {
            return Ok(Loaded::Large);
        }
        let found = Found::of(head);
        let records = found.elsewhere();
        if let Some(hash) = &head.value.tokens_hash
            && records.len() > AT_ONCE
        {
            let Loaded::Whole(case) = self.restore_by_view(found, loading).await? else {
                return Ok(Loaded::Large);
            };
            if case.digests.of_all(&case.marking).as_ref() == Some(hash) {
                return Ok(Loaded::Whole(case));
            }
            let (workflow, case) = (&head.value.workflow, &head.value.case);
            tracing::warn!(
                %workflow, %case,
                "the view has other contents than the log; read from the log, and `petrel \
                 rebuild` mends the view"
            );
            return self.restore_with(Found::of(head), records, Vec::new(), loading).await;
        }
        self.restore_with(found, records, Vec::new(), loading).await
    }

    /// The case with the view's versions of its tokens, right or wrong. A token that the view
    /// does not have in the version of the marking is read from the log.
    async fn restore_by_view(
        &self,
        mut found: Found<'_>,
        loading: &mut Loading<'_>,
    ) -> Result<Loaded<Case>> {
        let head = found.head;
        let elsewhere = |entry: &&MarkingEntry| entry.sequence_in(head.sequence) != head.sequence;
        let marking = head.value.marking.0.iter().filter(elsewhere);
        let wanted: Vec<_> =
            marking.map(|entry| (entry.token.clone(), entry.place.clone())).collect();
        let places: HashMap<_, _> = wanted.iter().map(|(token, place)| (token, place)).collect();
        let mut whole = Vec::with_capacity(wanted.len());
        let (mut at, mut some) = (0, SAMPLE);
        'view: while at < wanted.len() {
            let asked = &wanted[at..wanted.len().min(at + some)];
            let scope = ViewScope::Registers(head.value.workflow.clone(), asked.to_vec());
            let mut page = Page { first: asked.len(), after: None };
            loop {
                // The log has whatever the view can't be asked for.
                let Ok(tokens) = self.storage.tokens(&scope, page.into()).await else {
                    break 'view;
                };
                let (end, has_next) = (tokens.end(), tokens.has_next);
                for token in tokens.into_items() {
                    let sequence = found.sequences.get(&token.id);
                    let is_there = places.get(&token.id).is_some_and(|at| **at == token.place);
                    if is_there && token.nats_sequence.as_ref() == sequence {
                        found.sequences.remove(&token.id);
                        loading.add(token.memory());
                        whole.push(Token { nats_timestamp: None, ..token });
                    }
                }
                let rest = wanted.len() - if has_next { at } else { at + asked.len() };
                if !loading.may_read(rest).await {
                    return Ok(Loaded::Large);
                }
                if !has_next {
                    break;
                }
                page.after = end;
            }
            at += asked.len();
            some = loading.some().clamp(SAMPLE, GROWTH * some).min(MESSAGES_AT_ONCE);
        }
        let records = found.elsewhere();
        let case = self.restore_with(found, records, whole, loading).await?;
        let Loaded::Whole(mut case) = case else { return Ok(Loaded::Large) };
        case.digests = Digests::after(None, &case.tokens, [].into_iter());
        Ok(Loaded::Whole(case))
    }

    /// The case with the tokens of these records, and others that are whole.
    async fn restore_with(
        &self,
        mut found: Found<'_>,
        records: BTreeSet<LogSequence>,
        whole: Vec<Token>,
        loading: &mut Loading<'_>,
    ) -> Result<Loaded<Case>> {
        let head = found.head;
        let (workflow, case) = (&head.value.workflow, &head.value.case);
        let are_few = records.len() <= AT_ONCE;
        let (mut at_hand, mut unknown) = (Vec::new(), Vec::new());
        let records: Vec<_> = records.into_iter().collect();
        let (mut at, mut some) = (0, AT_ONCE);
        while at < records.len() {
            let asked = &records[at..records.len().min(at + some)];
            (at, some) = (at + asked.len(), some * GROWTH);
            let mut reads = stream::iter(asked.iter().copied())
                .map(|sequence| self.named(workflow, case, sequence, head.sequence))
                .buffer_unordered(at_once(head));
            while let Some(mut record) = reads.try_next().await? {
                loading.add(record.memory());
                if !loading.may_read(0).await {
                    return Ok(Loaded::Large);
                }
                found.take(&mut record);
                // Where not all are named, a token's may be among the others.
                let is_cut = record.value.unknown.len() >= MOST_UNKNOWN;
                let names = record.value.unknown.iter();
                let names = names.filter(|name| is_cut || name.starts_with(PRODUCED));
                unknown.extend(names.map(|name| (record.sequence, name.clone())));
                if are_few {
                    at_hand.push(record);
                }
            }
            if !loading.may_read(records.len() - at).await {
                return Ok(Loaded::Large);
            }
        }
        let at_hand: Vec<_> = at_hand.iter().chain([head]).collect();
        // The reads end in any order.
        unknown.sort_unstable();
        let unknown = unknown.into_iter().map(|(at, name)| format!("{name} in record {at}"));
        let Found { mut alive, bases, .. } = found;
        self.complete(&mut alive, &bases, &at_hand).await?;
        let with_subject = |token: Token| (token.id.clone(), Arc::new(self.with_subject(token)));
        let tokens: HashMap<_, _> = alive.into_iter().chain(whole).map(with_subject).collect();
        let restored = restore(head, tokens, bases);
        let restored = restored.map_err(|reason| broken(workflow, case, head.sequence, reason))?;
        let (aside, unknown) = (self.put_aside_by(head).await?, unknown.collect());
        Ok(Loaded::Whole(Case { aside, unknown, ..restored }))
    }

    /// Puts back the history that the tokens' records left out, from `at_hand` where it is
    /// there, and from the log otherwise.
    pub(crate) async fn complete(
        &self,
        tokens: &mut [Token],
        bases: &HashMap<TokenId, LogSequence>,
        at_hand: &[&Stored<Record>],
    ) -> Result<()> {
        let mut wanted =
            BTreeMap::<(WorkflowId, CaseId, LogSequence), HashMap<TokenId, &mut Token>>::new();
        for token in &mut *tokens {
            if let Some(base) = bases.get(&token.id)
                && Some(*base) != token.nats_sequence
            {
                let of_record = (token.workflow.clone(), token.case.clone(), *base);
                wanted.entry(of_record).or_default().insert(token.id.clone(), token);
            }
        }
        for record in at_hand {
            let (workflow, case) = (record.value.workflow.clone(), record.value.case.clone());
            if let Some(tokens) = wanted.remove(&(workflow, case, record.sequence)) {
                put_back(record, tokens);
            }
        }
        let records: Vec<_> = wanted.keys().cloned().collect();
        let mut reads = stream::iter(records)
            .map(|key| async move {
                let record = self.named(&key.0, &key.1, key.2, key.2).await?;
                Ok::<_, Error>((key, record))
            })
            .buffer_unordered(LARGE_AT_ONCE);
        while let Some((key, record)) = reads.try_next().await? {
            put_back(&record, wanted.remove(&key).unwrap_or_default());
        }
        let limits = self.limits();
        tokens.iter_mut().for_each(|token| fit_history(token, limits));
        Ok(())
    }

    /// A record that another one of its case names.
    pub(in crate::petrel) async fn named(
        &self,
        workflow: &WorkflowId,
        case: &CaseId,
        sequence: LogSequence,
        by: LogSequence,
    ) -> Result<Stored<Record>> {
        let record = self.storage.record(workflow, case, sequence).await?;
        record.ok_or_else(|| {
            let reason = format!("record {sequence} is named, and the log does not have it");
            broken(workflow, case, by, reason)
        })
    }

    /// A token with the subject at which the view keeps it.
    pub(crate) fn with_subject(&self, token: Token) -> Token {
        let subject = self.storage.token_subject(&token.workflow, &token.place, &token.id);
        Token { nats_subject: Some(subject), ..token }
    }
}

fn at_once(head: &Stored<Record>) -> usize {
    if head.value.marking.0.len() < LARGE { AT_ONCE } else { LARGE_AT_ONCE }
}

/// Puts back the history of tokens that this record has.
fn put_back(record: &Stored<Record>, mut tokens: HashMap<TokenId, &mut Token>) {
    for known in produced(record) {
        if let Some(token) = tokens.remove(&known.id) {
            token.complete_history(record.sequence, &known.history);
        }
    }
    // A record that does not have what it is named for has none of their earlier history.
    for token in tokens.into_values() {
        token.complete_history(record.sequence, &[]);
    }
}

pub(in crate::petrel) fn broken(
    workflow: &WorkflowId,
    case: &CaseId,
    sequence: impl Into<Option<LogSequence>>,
    reason: impl std::fmt::Display,
) -> Error {
    let (workflow, case, sequence) = (workflow.clone(), case.clone(), sequence.into());
    let reason = reason.to_string();
    Error::BrokenLog { workflow, case, sequence, reason }
}
