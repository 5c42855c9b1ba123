//! Sizes: a record and the views that follow from it are measured before they are stored.

use std::sync::Arc;

use super::carried::{check_carried, check_memory, check_notes, replaced};
use crate::models::{
    Answer, Case, HISTORY_KEPT, Incident, IncidentAbout, Item, LONGEST_LINK, MarkingEntry, Passed,
    PutAside, Raised, Record, RecordKind, Step, Timer, Token, TokenAt, TokenId, Work, json_length,
    object_length, text_length,
};

/// Limits of stored messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes that a record, or a token in the view, may have as JSON.
    pub message: usize,
}

impl Limits {
    /// No limits, for values that are not stored.
    pub const NONE: Self = Self { message: usize::MAX };
}

/// More than the store, or a reader, takes. Nothing was stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Excess {
    /// Objects and lists in one another.
    #[error("{what} would have more than {limit} levels of objects and lists in one another")]
    Nesting {
        /// Name of the part and its token.
        what: String,
        /// The most levels.
        limit: usize,
    },
    /// A name that no field of stored JSON can have.
    #[error("{what} would have a field {name:?}, a name that no field can have")]
    Name {
        /// Name of the part and its token.
        what: String,
        /// The name.
        name: String,
    },
    /// Memory.
    #[error(
        "{what} would take some {memory} bytes of memory, and {limit} is the most here: an object \
         counts 640 for every 5 to 11 of its fields, and each of its fields 24, an element of a list \
         64; carry fewer of them, or put them into a text"
    )]
    Memory {
        /// Name of the token, or of the notes.
        what: String,
        /// Approximate number of bytes that it would take.
        memory: usize,
        /// The most that it may take.
        limit: usize,
    },
    /// Bytes.
    #[error(
        "{what} would have {size} bytes, and {limit} is the most here; carry less data in the \
         case's tokens, have fewer of them, or raise max_payload on the server"
    )]
    Size {
        /// Name of the record or token.
        what: String,
        /// Approximate number of bytes that it would have as JSON.
        size: usize,
        /// The most that it may have.
        limit: usize,
    },
}

/// Bytes that data may not fill, so that its token can always move: the ids of places and
/// transitions in a later record may be longer than in this one.
const RESERVE: usize = 2_048;

/// The names of a token's fields, its times and numbers, and its subject without the ids.
const TOKEN: usize = 330;

/// The names of a record's fields, its times, numbers and hashes.
const RECORD: usize = 640;

/// Bytes of `{"token":"","place":""},`, as format 1 has it. A later record has it of each token, with
/// `,"sequence":` and 20 digits.
const AT: usize = 24;
const MARKED: usize = AT + 32;

/// Bytes of `[,""],`, as format 2 has it, beside the number and the place. A later record has `[,],` of
/// each token, with the number and 16 digits of a sequence; or it takes them all away.
const NUMBERED_AT: usize = 6;
const NUMBERED: usize = 20;

/// Bytes of a firing of a cascade without its tokens, and of an incident without its explanation.
const STEP: usize = 70;
const INCIDENT: usize = 160;

/// Bytes of a timer without its tokens.
const TIMER: usize = 180;

/// Bytes of a work item without its tokens and names, and of the part of a record that is about one.
const ITEM: usize = 500;
const WORK: usize = 220;
const NEXT: usize = 120;

/// Makes a record fit that follows from `before`, or returns the part that does not fit. A
/// history of tokens that leaves no room loses its oldest entries, and the list of earlier
/// records begins anew.
pub fn fit(record: &mut Record, before: Option<&Case>, limits: Limits) -> Result<(), Excess> {
    if limits == Limits::NONE {
        return Ok(());
    }
    let was: Vec<_> = replaced(record, before).collect();
    check_notes(&record.metadata, limits)?;
    record.produced.iter().try_for_each(|token| check_carried(token, &was))?;
    let most = length_with_all(record, before);
    if most > limits.message / 64 {
        let memory = was.iter().map(|token| token.carried_memory()).sum();
        record.produced.iter().try_for_each(|token| check_memory(token, memory, limits))?;
    }
    if most <= limits.message.saturating_sub(RESERVE) {
        return Ok(());
    }
    let room = match grows(record, &was) {
        true => limits.message.saturating_sub(RESERVE),
        false => limits.message,
    };
    for at in 0..record.produced.len() {
        shorten(record, at, before, room)?;
    }
    let mut over = record_length(record).saturating_sub(room);
    let kept = kept(record);
    for at in 0..record.produced.len() {
        if over == 0 {
            return Ok(());
        }
        let token = &mut record.produced[at];
        let oldest = token.history.len().saturating_sub(kept);
        let mut dropped = 0;
        while dropped < oldest && over > 0 {
            over = over.saturating_sub(token.history[dropped].length() + 1);
            dropped += 1;
        }
        if dropped > 0 {
            Arc::make_mut(&mut token.history).drain(..dropped);
            record.history_bases.remove(&token.id);
        }
    }
    if over > 0 && !record.recent.is_empty() {
        (record.recent, record.pages, record.page) = (Vec::new(), Vec::new(), None);
        record.unlisted = record.previous;
    }
    let size = record_length(record);
    if size <= room {
        return Ok(());
    }
    let what = match &record.transition {
        Some(transition) => format!("the record of {transition} in case {}", record.case),
        None => format!("the record that case {} was {}", record.case, record.kind.as_str()),
    };
    let tokens = (record.produced.len(), record.marking.0.len());
    let what = format!("{what}, with {} tokens changed and {} alive,", tokens.0, tokens.1);
    Err(Excess::Size { what, size, limit: room })
}

/// Returns true if a record that fitted, and has got a little more of anything but tokens and notes, fits so
/// easily that nothing has to be left out of it.
pub(super) fn fits_still(record: &Record, before: Option<&Case>, limits: Limits) -> bool {
    length_with_all(record, before) <= limits.message / 64
}

/// The bytes of a record with all that it leaves to earlier ones: no view message is longer.
fn length_with_all(record: &Record, before: Option<&Case>) -> usize {
    let left_out = record.produced.iter().flat_map(|token| earlier(record, token, before));
    record_length(record) + left_out.map(entry_length).sum::<usize>()
}

/// Checks that so many tokens of so many bytes are not too much for one record, before they
/// are made.
pub(super) fn must_fit(
    given: u64,
    each: usize,
    what: impl FnOnce() -> String,
    limits: Limits,
) -> Result<(), Excess> {
    let each = each + TOKEN / 2;
    let size = usize::try_from(given).unwrap_or(usize::MAX).saturating_mul(each);
    if size <= limits.message {
        return Ok(());
    }
    let what = format!("{}, {given} tokens of at least {each} bytes,", what());
    Err(Excess::Size { what, size, limit: limits.message })
}

/// Checks a token that a firing gives in place of others, before it is in a record: what it carries,
/// and if its view message has room for it.
pub(super) fn fits_alone(token: &Token, was: &[&Token], limits: Limits) -> Result<(), Excess> {
    if limits == Limits::NONE {
        return Ok(());
    }
    check_carried(token, was)?;
    let size = bare_length(token) + token.history.last().map_or(0, entry_length);
    if size > limits.message / 64 {
        check_memory(token, was.iter().map(|token| token.carried_memory()).sum(), limits)?;
    }
    if size > limits.message {
        let what = format!("token {} in place {}", token.id, token.place);
        return Err(Excess::Size { what, size, limit: limits.message });
    }
    Ok(())
}

/// Leaves out of a token the oldest entries of its history that a view message can't hold.
pub fn fit_history(token: &mut Token, limits: Limits) {
    let bare = bare_length(token);
    let mut size = bare + token.history.iter().map(entry_length).sum::<usize>();
    let mut dropped = 0;
    while size > limits.message && dropped < token.history.len() {
        size -= entry_length(&token.history[dropped]);
        dropped += 1;
    }
    if dropped > 0 {
        Arc::make_mut(&mut token.history).drain(..dropped);
    }
}

/// Number of entries of a history that are never left out: the one of the present firing.
fn kept(record: &Record) -> usize {
    usize::from(record.kind == RecordKind::Fired)
}

/// Makes a produced token fit into its view message, with the history that an earlier record
/// has of it.
fn shorten(
    record: &mut Record,
    at: usize,
    before: Option<&Case>,
    room: usize,
) -> Result<(), Excess> {
    let kept = kept(record);
    let token = &record.produced[at];
    let earlier = earlier(record, token, before);
    let left_out = (earlier.len() + token.history.len()).saturating_sub(HISTORY_KEPT);
    let entries = || earlier.iter().chain(token.history.iter()).skip(left_out);
    let count = entries().count();
    let mut size = bare_length(token) + entries().map(entry_length).sum::<usize>();
    let mut dropped = 0;
    for entry in entries().take(count.saturating_sub(kept)) {
        if size <= room {
            break;
        }
        size -= entry_length(entry);
        dropped += 1;
    }
    if size > room {
        let what = format!("token {} in place {}", token.id, token.place);
        return Err(Excess::Size { what, size, limit: room });
    }
    if dropped > 0 {
        let history = entries().skip(dropped).cloned().collect();
        record.history_bases.remove(&token.id.clone());
        record.produced[at].history = Arc::new(history);
    }
    Ok(())
}

/// The part of a token's history that the record leaves to an earlier one.
fn earlier<'a>(record: &Record, token: &Token, before: Option<&'a Case>) -> &'a [Passed] {
    let Some(base) = record.history_bases.get(&token.id) else { return &[] };
    let known = before.and_then(|case| case.tokens.get(&token.id));
    let Some(known) = known else { return &[] };
    let count = known.history.partition_point(|event| event.sequence <= Some(*base));
    &known.history[..count]
}

/// Returns true if the case has more to carry after the record than before it.
fn grows(record: &Record, was: &[&Token]) -> bool {
    let carried =
        |token: &Token| RESERVE + json_length(&token.data) + object_length(&token.metadata);
    let after: usize = record.produced.iter().map(carried).sum();
    after > 0 && after > was.iter().map(|token| carried(token)).sum()
}

fn entry_length(entry: &Passed) -> usize {
    entry.length() + 1
}

/// The bytes of a view message's JSON without the history.
fn bare_length(token: &Token) -> usize {
    let ids = token.id.as_str().len() + token.workflow.as_str().len() + token.place.as_str().len();
    let carried = json_length(&token.data) + object_length(&token.metadata);
    TOKEN + 2 * ids + token.case.as_str().len() + carried
}

fn aside_length(aside: &PutAside) -> usize {
    64 + text_length(&aside.subject) + text_length(&aside.reason)
}

/// The bytes of a record's JSON, and those that a later one has more of the same tokens.
pub(super) fn record_length(record: &Record) -> usize {
    let is_numbered = record.format >= 2;
    // No number is higher than the one that is given next.
    let digits = (record.tokens_made + 1).ilog10() as usize + 1;
    let ids = |token: &TokenId, place: &str| token.as_str().len() + place.len();
    let at = |list: &[TokenAt]| {
        let each = |at: &TokenAt| match is_numbered {
            true => digits + NUMBERED_AT + at.place.as_str().len(),
            false => AT + ids(&at.token, at.place.as_str()),
        };
        list.iter().map(each).sum::<usize>()
    };
    let marked = || match is_numbered {
        true => {
            let (marked, mut place) = (&record.marking.0, None);
            let names = marked.iter().filter(|at| place.replace(&at.place) != Some(&at.place));
            let names: usize = names.map(|at| at.place.as_str().len() + 6).sum();
            let each =
                |at: &MarkingEntry| digits + NUMBERED.max(NUMBERED_AT + at.place.as_str().len());
            names + marked.iter().map(each).sum::<usize>()
        }
        false => {
            let marked = record.marking.0.iter();
            marked.map(|at| MARKED + ids(&at.token, at.place.as_str())).sum()
        }
    };
    let step = |step: &Step| {
        let tokens = [&step.consumed, &step.read, &step.removed, &step.produced];
        STEP + step.transition.as_str().len() + tokens.map(|list| at(list)).iter().sum::<usize>()
    };
    let incident = |open: &Incident| {
        INCIDENT
            + match &open.about {
                IncidentAbout::Transition(transition) => transition.as_str().len(),
                IncidentAbout::Cascade | IncidentAbout::Item(_) | IncidentAbout::Unknown => 0,
            }
    };
    let timer = |timer: &Timer| TIMER + timer.transition.as_str().len() + at(&timer.tokens);
    let raised = |raised: &Raised| 48 + text_length(&raised.explanation);
    let produced = record
        .produced
        .iter()
        .map(|token| bare_length(token) + token.history.iter().map(entry_length).sum::<usize>());
    let names = [record.workflow.as_str(), record.case.as_str(), record.firing.as_str()];
    let transition = record.transition.as_ref().map_or(0, |id| id.as_str().len());
    RECORD
        + names.iter().map(|name| name.len()).sum::<usize>()
        + transition
        + record.by.as_deref().map_or(0, text_length)
        + object_length(&record.metadata)
        + at(&record.consumed)
        + at(&record.read)
        + at(&record.removed)
        + at(&record.given)
        + record.cascade.iter().map(step).sum::<usize>()
        + record.incidents.iter().map(incident).sum::<usize>()
        + record.raised.iter().map(raised).sum::<usize>()
        + record.timers.iter().chain(&record.elapsed).map(timer).sum::<usize>()
        + record.items.iter().map(|item| item_length(item) + at(&item.tokens)).sum::<usize>()
        + record.work.as_ref().map_or(0, work_length)
        + marked()
        + produced.sum::<usize>()
        + record.history_bases.keys().map(|id| id.as_str().len() + 24).sum::<usize>()
        + record.recent.len() * LONGEST_LINK
        + record.page.as_ref().map_or(0, |page| page.hash.len() + 64)
        + record.pages.len() * 21
        + record.aside.len() * 44
        + record.put_aside.iter().map(aside_length).sum::<usize>()
}

/// The most bytes of a work item in a record, without its tokens.
fn item_length(item: &Item) -> usize {
    let answer = |of: &Answer| {
        of.outcome.as_ref().map_or(0, |id| id.as_str().len()) + json_length(&of.result) + 32
    };
    let worker = item.running.as_ref().and_then(|running| running.worker.as_deref());
    ITEM + item.transition.as_str().len()
        + worker.map_or(0, text_length)
        + item.done.as_ref().map_or(0, answer)
}

/// The most bytes of the part of a record that is about a work item.
fn work_length(work: &Work) -> usize {
    let failure = work.failure.as_ref().map_or(0, |of| {
        text_length(&of.code)
            + text_length(&of.message)
            + of.stack.as_deref().map_or(0, text_length)
    });
    let next = work.next.as_ref().map_or(0, |next| NEXT + next.transition.as_str().len());
    WORK + 2 * work.transition.as_str().len() + failure + next
}
