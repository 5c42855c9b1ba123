//! Step from a record to the state of the case: the same code live, on replay and in tests.

use std::{collections::HashMap, sync::Arc};

use super::Contradiction;
use crate::models::{Case, Chain, Digests, FORMAT_VERSION, Record, Stored, Token, TokenId};

/// The state of a case after `stored`, given the state before it (`None`: there was none).
///
/// An error names the contradiction between the record and the case: a gap in the chain, a
/// token that was not there, a marking that does not follow.
pub fn apply(before: Option<&Case>, stored: &Stored<Record>) -> Result<Case, Contradiction> {
    let record = &stored.value;
    check_chain(before, record)?;
    let mut tokens = before.map(|case| case.tokens.clone()).unwrap_or_default();
    // Looked at first: what was read may be removed by a reset arc of the same firing.
    for at in &record.read {
        if tokens.get(&at.token).is_none_or(|token| token.place != at.place) {
            let (token, place) = (at.token.clone(), at.place.clone());
            return Err(Contradiction::NotRead { token, place });
        }
    }
    for at in record.consumed.iter().chain(&record.removed) {
        let gone = tokens.remove(&at.token);
        if gone.is_none_or(|token| token.place != at.place) {
            let (token, place) = (at.token.clone(), at.place.clone());
            return Err(Contradiction::NotTaken { token, place });
        }
    }
    for mut token in produced(stored) {
        if let Some(&base) = record.history_bases.get(&token.id) {
            let known = before.and_then(|case| case.tokens.get(&token.id));
            let missing = || Contradiction::NoHistory { token: token.id.clone(), base };
            let known = known.ok_or_else(missing)?;
            token.complete_history(base, &known.history);
        }
        tokens.insert(token.id.clone(), Arc::new(token));
    }
    let mut bases = before.map(|case| case.history_bases.clone()).unwrap_or_default();
    bases.extend(history_bases(stored));
    let chain = Chain::after(before.map(|case| &case.chain), stored);
    let changed = record.produced.iter().map(|token| &token.id);
    let digests = Digests::after(before.map(|case| &case.digests), &tokens, changed);
    // An older version does not write on what is put aside.
    let aside = match before {
        Some(before) if record.is_without_lists() => before.aside.clone(),
        _ => record.aside.clone(),
    };
    Ok(Case { digests, aside, ..restored(stored, tokens, bases, chain)? })
}

/// The state of a case after `stored`, from the one that was computed before its sequence and
/// hash were known. The result is the same as that of [`apply`], with less work. `reckoned_at`
/// is the sequence that the record had then; `before` is the case before it.
pub fn apply_stored(
    mut reckoned: Case,
    reckoned_at: u64,
    before: Option<&Case>,
    stored: &Stored<Record>,
) -> Case {
    let record = &stored.value;
    (reckoned.sequence, reckoned.head_hash) = (stored.sequence, stored.hash.clone());
    reckoned.chain = Chain::after(before.map(|case| &case.chain), stored);
    for (entry, as_recorded) in reckoned.marking.0.iter_mut().zip(&record.marking.0) {
        entry.sequence = as_recorded.sequence_in(stored.sequence);
    }
    for token in &record.produced {
        if !record.history_bases.contains_key(&token.id)
            && let Some(base) = reckoned.history_bases.get_mut(&token.id)
        {
            *base = stored.sequence;
        }
        let Some(known) = reckoned.tokens.get_mut(&token.id) else { continue };
        let known = Arc::make_mut(known);
        known.nats_sequence = stored.sequence;
        if let Some(last) = known.history.last_mut()
            && last.sequence == reckoned_at
        {
            last.set_sequence(stored.sequence);
        }
    }
    reckoned
}

/// Tokens that a record produced, each with the record that has its history whole: this one,
/// or the one that it names.
pub fn history_bases(stored: &Stored<Record>) -> impl Iterator<Item = (TokenId, u64)> + '_ {
    let record = &stored.value;
    record.produced.iter().map(|token| {
        let named = record.history_bases.get(&token.id);
        (token.id.clone(), named.copied().unwrap_or(stored.sequence))
    })
}

/// The state of a case from its head, its live tokens and the records that have their
/// histories whole, without replay.
pub fn restore(
    head: &Stored<Record>,
    tokens: HashMap<TokenId, Arc<Token>>,
    history_bases: HashMap<TokenId, u64>,
) -> Result<Case, Contradiction> {
    restored(head, tokens, history_bases, Chain::after(None, head))
}

fn restored(
    head: &Stored<Record>,
    tokens: HashMap<TokenId, Arc<Token>>,
    mut history_bases: HashMap<TokenId, u64>,
    chain: Chain,
) -> Result<Case, Contradiction> {
    let marking = &head.value.marking.0;
    for entry in marking {
        if tokens.get(&entry.token).is_none_or(|token| token.place != entry.place) {
            let (token, place) = (entry.token.clone(), entry.place.clone());
            return Err(Contradiction::Marking { token, place });
        }
    }
    if marking.len() != tokens.len() {
        let (marked, alive) = (marking.len(), tokens.len());
        return Err(Contradiction::Tokens { marked, alive });
    }
    history_bases.retain(|token, _| tokens.contains_key(token));
    Ok(case_with(head, tokens, history_bases, chain))
}

/// The case after a record, as the record describes it, with these tokens, right or wrong.
#[cfg(feature = "analysis")]
pub(crate) fn case_after(
    stored: &Stored<Record>,
    tokens: HashMap<TokenId, Arc<Token>>,
    history_bases: HashMap<TokenId, u64>,
) -> Case {
    case_with(stored, tokens, history_bases, Chain::after(None, stored))
}

fn case_with(
    stored: &Stored<Record>,
    tokens: HashMap<TokenId, Arc<Token>>,
    history_bases: HashMap<TokenId, u64>,
    chain: Chain,
) -> Case {
    let record = &stored.value;
    let mut marking = record.marking.clone();
    for entry in &mut marking.0 {
        entry.sequence = entry.sequence_in(stored.sequence);
    }
    Case {
        workflow: record.workflow.clone(),
        id: record.case.clone(),
        definition: record.definition,
        status: record.status,
        marking,
        tokens,
        history_bases,
        tokens_made: record.tokens_made,
        sequence: stored.sequence,
        head_hash: stored.hash.clone(),
        digests: Digests::default(),
        chain,
        aside: record.aside.clone(),
    }
}

/// The tokens that a record produced, with the record's sequence in them, and with as much of
/// their history as the record has.
pub fn produced(stored: &Stored<Record>) -> impl Iterator<Item = Token> + '_ {
    stored.value.produced.iter().map(|token| {
        let mut token = token.clone();
        token.nats_sequence = stored.sequence;
        if let Some(last) = token.history.last_mut()
            && last.sequence == 0
        {
            last.set_sequence(stored.sequence);
        }
        token
    })
}

fn check_chain(before: Option<&Case>, record: &Record) -> Result<(), Contradiction> {
    if record.format > FORMAT_VERSION {
        return Err(Contradiction::Format { format: record.format });
    }
    match before {
        None if record.previous != 0 => Err(Contradiction::Missing { previous: record.previous }),
        Some(case) if record.previous != case.sequence => {
            Err(Contradiction::Elsewhere { previous: record.previous, last: case.sequence })
        }
        Some(case) if record.previous_hash.as_ref() != Some(&case.head_hash) => {
            Err(Contradiction::Changed { last: case.sequence })
        }
        _ => Ok(()),
    }
}
