//! Step from a record to the state of the case: the same code live, on replay and in tests.

use std::{collections::HashMap, sync::Arc};

use crate::models::{
    Aside, Case, Chain, Digests, FORMAT_VERSION, Incident, Item, LogSequence, PlaceId, Record,
    Stored, Timer, Token, TokenId,
};

/// The reason that a record does not follow from the case before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Contradiction {
    /// A newer version wrote the record.
    #[error(
        "it has format {format}, and this version reads up to {FORMAT_VERSION}; use a newer one"
    )]
    Format {
        /// The record's format.
        format: u32,
    },
    /// The record follows another one, and there is no case before it.
    #[error("it follows record {previous}, which is missing")]
    Missing {
        /// The log sequence of the record that it follows.
        previous: LogSequence,
    },
    /// The record begins the case, which has begun already.
    #[error("it begins the case, which has record {last}")]
    Begins {
        /// The log sequence of the case's last record.
        last: LogSequence,
    },
    /// The record follows another one than the case's last.
    #[error("it follows record {previous}, not {last}")]
    Elsewhere {
        /// The log sequence of the record that it follows.
        previous: LogSequence,
        /// The log sequence of the case's last record.
        last: LogSequence,
    },
    /// The record follows another content of the case's last record.
    #[error("record {last} has changed since: its hash is another")]
    Changed {
        /// The log sequence of the case's last record.
        last: LogSequence,
    },
    /// The record's transition reads a token where it is not.
    #[error("token {token} was read in place {place}, but was not there")]
    NotRead {
        /// The token.
        token: TokenId,
        /// The place.
        place: PlaceId,
    },
    /// The record takes a token from where it is not.
    #[error("token {token} was not in place {place}")]
    NotTaken {
        /// The token.
        token: TokenId,
        /// The place.
        place: PlaceId,
    },
    /// The record leaves the history of a token to an earlier record, and the token is new.
    #[error("token {token} is new and leaves its history to record {base}")]
    NoHistory {
        /// The token.
        token: TokenId,
        /// The log sequence of the earlier record.
        base: LogSequence,
    },
    /// The record's marking has a token where it does not come to be.
    #[error(
        "the marking has token {token} in place {place}, which does not follow from the records"
    )]
    Marking {
        /// The token.
        token: TokenId,
        /// The place.
        place: PlaceId,
    },
    /// The record's marking lacks tokens.
    #[error("the marking has {marked} tokens and {alive} follow from the records")]
    Tokens {
        /// The number of tokens in the marking.
        marked: usize,
        /// The number of tokens that there are.
        alive: usize,
    },
}

/// A case as a record leaves it, reckoned before the record has its place in the log.
#[derive(Debug, Clone)]
pub struct Reckoned {
    /// The live tokens. Those that the record made have no sequence yet.
    tokens: HashMap<TokenId, Arc<Token>>,
    /// The records that have the tokens' histories whole, as far as these are earlier ones.
    history_bases: HashMap<TokenId, LogSequence>,
    digests: Digests,
    aside: Vec<Aside>,
}

/// The state of a case after `stored`, given the state before it (`None`: there was none).
///
/// An error names the contradiction between the record and the case: a gap in the chain, a
/// token that was not there, a marking that does not follow.
pub fn apply(before: Option<&Case>, stored: &Stored<Record>) -> Result<Case, Contradiction> {
    Ok(reckon(before, &stored.value)?.stored(before, stored))
}

/// The part of a case's state after `record` that does not depend on the record's place in the
/// log. The errors are those of [`apply`].
pub fn reckon(before: Option<&Case>, record: &Record) -> Result<Reckoned, Contradiction> {
    check_chain(before, record)?;
    let mut tokens = before.map(|case| case.tokens.clone()).unwrap_or_default();
    take(record, &mut tokens)?;
    for token in &record.produced {
        let mut token = token.clone();
        if let Some(&base) = record.history_bases.get(&token.id) {
            let known = before.and_then(|case| case.tokens.get(&token.id));
            let missing = || Contradiction::NoHistory { token: token.id.clone(), base };
            let known = known.ok_or_else(missing)?;
            token.complete_history(base, &known.history);
        }
        tokens.insert(token.id.clone(), Arc::new(token));
    }
    check_marking(record, &tokens)?;
    let mut bases = before.map(|case| case.history_bases.clone()).unwrap_or_default();
    let named = record.produced.iter().filter_map(|token| {
        record.history_bases.get(&token.id).map(|base| (token.id.clone(), *base))
    });
    bases.extend(named);
    bases.retain(|token, _| tokens.contains_key(token));
    let changed = record.produced.iter().map(|token| &token.id);
    let digests = Digests::after(before.map(|case| &case.digests), &tokens, changed);
    // An older version does not write on what is put aside.
    let aside = match before {
        Some(before) if record.is_without_lists() => before.aside.clone(),
        _ => record.aside.clone(),
    };
    Ok(Reckoned { tokens, history_bases: bases, digests, aside })
}

/// Takes the tokens away that the record takes, in its order: those of the change, and then those of
/// each firing that followed, which may have come just before.
fn take(record: &Record, tokens: &mut HashMap<TokenId, Arc<Token>>) -> Result<(), Contradiction> {
    // The tokens that came within the record, which has not all of them whole.
    let mut came: HashMap<&TokenId, &PlaceId> = HashMap::new();
    let steps = record.cascade.iter();
    let steps = steps.map(|step| (&step.consumed, &step.read, &step.removed, &step.produced));
    let change = (&record.consumed, &record.read, &record.removed, &record.given);
    for (consumed, read, removed, given) in std::iter::once(change).chain(steps) {
        // Looked at first: what was read may be removed by a reset arc of the same firing.
        for at in read {
            let place = came.get(&at.token).copied();
            let place = place.or_else(|| tokens.get(&at.token).map(|token| &token.place));
            if place != Some(&at.place) {
                let (token, place) = (at.token.clone(), at.place.clone());
                return Err(Contradiction::NotRead { token, place });
            }
        }
        for at in consumed.iter().chain(removed) {
            let is_there = match came.remove(&at.token) {
                Some(place) => *place == at.place,
                None => tokens.remove(&at.token).is_some_and(|token| token.place == at.place),
            };
            if !is_there {
                let (token, place) = (at.token.clone(), at.place.clone());
                return Err(Contradiction::NotTaken { token, place });
            }
        }
        came.extend(given.iter().map(|at| (&at.token, &at.place)));
    }
    if record.cascade.is_empty() {
        return Ok(());
    }
    // Those that are left are among the ones that it has whole.
    let whole = record.produced.iter().map(|token| (&token.id, &token.place));
    let whole: HashMap<_, _> = whole.collect();
    match came.into_iter().find(|(token, place)| whole.get(token) != Some(place)) {
        Some((token, place)) => {
            Err(Contradiction::Marking { token: token.clone(), place: place.clone() })
        }
        None => Ok(()),
    }
}

impl Reckoned {
    /// The digest by which the record vouches for its case's tokens; `None` if they are few.
    pub fn tokens_hash(&self, record: &Record) -> Option<String> {
        self.digests.of_all(&record.marking)
    }

    /// Notes the subject of each token that the record made.
    pub fn name_subjects(&mut self, record: &Record, subject: impl Fn(&Token) -> String) {
        for token in &record.produced {
            if let Some(known) = self.tokens.get_mut(&token.id) {
                Arc::make_mut(known).nats_subject = Some(subject(token));
            }
        }
    }

    /// The state of the case, now that its record is stored; `before` is the case before it.
    pub fn stored(mut self, before: Option<&Case>, stored: &Stored<Record>) -> Case {
        let record = &stored.value;
        for token in &record.produced {
            if !record.history_bases.contains_key(&token.id) {
                self.history_bases.insert(token.id.clone(), stored.sequence);
            }
            let Some(known) = self.tokens.get_mut(&token.id) else { continue };
            let known = Arc::make_mut(known);
            known.nats_sequence = Some(stored.sequence);
            known.set_passed(stored.sequence);
        }
        let chain = Chain::after(before.map(|case| &case.chain), stored);
        let Self { tokens, history_bases, digests, aside } = self;
        Case { digests, aside, ..case_with(stored, tokens, history_bases, chain) }
    }
}

/// The incidents that are open after a record, each with the record that has its details.
fn incidents(stored: &Stored<Record>) -> Vec<Incident> {
    let open = stored.value.incidents.iter();
    open.map(|open| Incident { sequence: open.sequence.or(Some(stored.sequence)), ..open.clone() })
        .collect()
}

/// The timers that run after a record, each with the record that set its time.
fn timers(stored: &Stored<Record>) -> Vec<Timer> {
    let timers = stored.value.timers.iter();
    timers.map(|of| Timer { armed: of.armed.or(Some(stored.sequence)), ..of.clone() }).collect()
}

/// The work items that are open after a record, each with the records that it follows from.
fn items(stored: &Stored<Record>) -> Vec<Item> {
    let at = Some(stored.sequence);
    let items = stored.value.items.iter().map(|of| {
        let mut item = of.clone();
        item.offered = item.offered.or(at);
        if let Some(running) = &mut item.running {
            running.begun = running.begun.or(at);
        }
        if let Some(wait) = &mut item.wait {
            wait.armed = wait.armed.or(at);
        }
        item
    });
    items.collect()
}

/// Tokens that a record produced, each with the record that has its history whole: this one,
/// or the one that it names.
pub fn history_bases(stored: &Stored<Record>) -> impl Iterator<Item = (TokenId, LogSequence)> + '_ {
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
    mut history_bases: HashMap<TokenId, LogSequence>,
) -> Result<Case, Contradiction> {
    check_marking(&head.value, &tokens)?;
    history_bases.retain(|token, _| tokens.contains_key(token));
    Ok(case_with(head, tokens, history_bases, Chain::after(None, head)))
}

/// Refuses a marking that has others than the tokens that follow from the records.
fn check_marking(
    record: &Record,
    tokens: &HashMap<TokenId, Arc<Token>>,
) -> Result<(), Contradiction> {
    let marking = &record.marking.0;
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
    Ok(())
}

/// The case after a record, as the record describes it, with these tokens, right or wrong.
#[cfg(feature = "analysis")]
pub(crate) fn case_after(
    stored: &Stored<Record>,
    tokens: HashMap<TokenId, Arc<Token>>,
    history_bases: HashMap<TokenId, LogSequence>,
) -> Case {
    case_with(stored, tokens, history_bases, Chain::after(None, stored))
}

fn case_with(
    stored: &Stored<Record>,
    tokens: HashMap<TokenId, Arc<Token>>,
    history_bases: HashMap<TokenId, LogSequence>,
    chain: Chain,
) -> Case {
    let record = &stored.value;
    let mut marking = record.marking.clone();
    for entry in &mut marking.0 {
        entry.sequence = Some(entry.sequence_in(stored.sequence));
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
        incidents: incidents(stored),
        incidents_made: record.incidents_made,
        timers: timers(stored),
        timers_made: record.timers_made,
        items: items(stored),
        items_made: record.items_made,
        paused: record.paused,
        sequence: stored.sequence,
        head_hash: stored.hash.clone(),
        digests: Digests::default(),
        chain,
        aside: record.aside.clone(),
        unknown: Vec::new(),
    }
}

/// The tokens that a record produced, with the record's sequence in them, and with as much of
/// their history as the record has.
pub fn produced(stored: &Stored<Record>) -> impl Iterator<Item = Token> + '_ {
    stored.value.produced.iter().map(|token| as_stored(token, stored.sequence))
}

/// The same of those tokens that are wanted, out of a record that nobody else reads: their data and
/// metadata are no longer in it.
pub fn take_produced(
    stored: &mut Stored<Record>,
    is_wanted: impl Fn(&TokenId) -> bool,
) -> Vec<Token> {
    let mut taken = Vec::new();
    for token in stored.value.produced.iter_mut().filter(|token| is_wanted(&token.id)) {
        let data = std::mem::take(&mut token.data);
        let metadata = std::mem::take(&mut token.metadata);
        taken.push(Token { data, metadata, ..as_stored(token, stored.sequence) });
    }
    taken
}

/// A token as the record at a sequence made it.
fn as_stored(token: &Token, sequence: LogSequence) -> Token {
    let mut token = token.clone();
    token.nats_sequence = Some(sequence);
    token.set_passed(sequence);
    token
}

fn check_chain(before: Option<&Case>, record: &Record) -> Result<(), Contradiction> {
    if record.format > FORMAT_VERSION {
        return Err(Contradiction::Format { format: record.format });
    }
    match (before, record.previous) {
        (None, None) => Ok(()),
        (None, Some(previous)) => Err(Contradiction::Missing { previous }),
        (Some(case), None) => Err(Contradiction::Begins { last: case.sequence }),
        (Some(case), Some(previous)) if previous != case.sequence => {
            Err(Contradiction::Elsewhere { previous, last: case.sequence })
        }
        (Some(case), _) if record.previous_hash.as_ref() != Some(&case.head_hash) => {
            Err(Contradiction::Changed { last: case.sequence })
        }
        _ => Ok(()),
    }
}
