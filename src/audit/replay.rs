//! A case's log fired again from its start, on the engine. Pure: records in, findings out.

use std::{collections::HashSet, sync::Arc};

use super::{
    Finding, FindingIn, FindingKind,
    cascade::Walked,
    given::{arithmetic, arrivals, edited, planted},
    lists::{Lists, names},
    marking::{Fault, differences},
    timers,
};

use crate::{
    engine::{self, Act, Budget, Firing, Limits, MAX_STEPS, Net, produced},
    models::{
        Case, CaseStatus, LogSequence, MarkingEntry, PlaceId, Record, RecordKind, Stored, Token,
        TokenAt, TokenId,
    },
};

/// One case, record by record.
#[derive(Debug, Default)]
pub(super) struct Replay {
    /// The state after the record before, as that record says it, so that a fault is not found
    /// again in every later record.
    before: Option<Case>,
    /// The records that can't be read: none of them judges the one after it.
    unreadable: Vec<LogSequence>,
    /// The place of each token that somebody has put into the case.
    given: Vec<PlaceId>,
    /// The ids and the lists of earlier records.
    lists: Lists,
}

impl Replay {
    /// Notes that a record of the case can't be read.
    pub(super) fn unreadable(&mut self, sequence: LogSequence) {
        self.unreadable.push(sequence);
    }

    /// The places of all the tokens that the case was given, not by firing. Its P-invariants
    /// are counted from them.
    pub(super) fn given(&self) -> &[PlaceId] {
        &self.given
    }

    /// The state after the last record, as that says it.
    pub(super) fn state(&self) -> Option<&Case> {
        self.before.as_ref()
    }

    /// Takes the next record and returns its faults.
    pub(super) fn record(&mut self, net: &Net, stored: &Stored<Record>) -> Vec<Finding> {
        let record = &stored.value;
        let after_gap = record.previous.is_some_and(|before| self.unreadable.contains(&before));
        let mut faults = match (&self.before, after_gap) {
            // What it follows can't be read: it is believed.
            (_, true) => Vec::new(),
            (None, false) => begins(net, stored),
            (Some(before), false) => {
                let mut faults: Vec<_> = chain(before, record).into_iter().collect();
                faults.extend(follows(net, before, stored));
                faults
            }
        };
        faults.extend(self.lists.faults(stored));
        let known = self.before.as_ref().map_or(0, |before| before.tokens_made);
        if matches!(record.kind, RecordKind::Created | RecordKind::Edited) {
            let new = record.gave().into_iter().filter(|(token, _)| number(token) > known);
            self.given.extend(new.map(|(_, place)| place.clone()));
        }
        self.before = Some(state_after(self.before.take(), stored));
        faults.into_iter().map(|fault| finding(stored, fault)).collect()
    }
}

/// A fault as a finding in the log.
pub(super) fn finding(stored: &Stored<Record>, fault: Fault) -> Finding {
    let Fault { kind, token, place, message } = fault;
    Finding {
        kind,
        place_of: FindingIn::Log,
        workflow: stored.value.workflow.clone(),
        case: stored.value.case.clone(),
        sequence: Some(stored.sequence),
        place,
        token,
        message,
    }
}

fn number(token: &TokenId) -> u64 {
    token.number().unwrap_or_default()
}

/// Fault of a record's link to the one before it.
fn chain(before: &Case, record: &Record) -> Option<Fault> {
    let (named, there) = (record.previous, before.sequence);
    if named != Some(there) {
        let message = match named {
            Some(named) if named > there => {
                format!("it follows record {named}, which is not in the log")
            }
            Some(named) => {
                format!("it follows record {named}, and the log has record {there} between")
            }
            None => format!("it begins the case, and the log has record {there} before it"),
        };
        return Some(Fault::of(FindingKind::RecordMissing, message));
    }
    (record.previous_hash.as_ref() != Some(&before.head_hash)).then(|| {
        let message = format!("the hash that it has of record {there} is not that record's");
        Fault::of(FindingKind::RecordChanged, message)
    })
}

/// Faults of the first record that is there.
pub(super) fn begins(net: &Net, stored: &Stored<Record>) -> Vec<Fault> {
    let record = &stored.value;
    if record.previous.is_none() && record.kind == RecordKind::Quarantined {
        // No record of the case could be read.
        return Vec::new();
    }
    if record.previous.is_some() || record.kind != RecordKind::Created {
        let message = match record.previous {
            None => "no record that creates the case comes before it".to_owned(),
            Some(previous) => format!("it follows record {previous}, which is not in the log"),
        };
        return vec![Fault::of(FindingKind::RecordMissing, message)];
    }
    let mut faults = planted(net, record, 0, 1);
    let (marking, made) = (arrivals(record), record.gave().len() as u64);
    faults.extend(ends(net, stored, marking, made, CaseStatus::Running));
    faults.extend(timers::faults(net, None, stored));
    faults
}

/// Faults of the rest of a record, after the change itself: of the firings that followed, and of what
/// it says of the case after it. `status` is that after the change alone.
fn ends(
    net: &Net,
    stored: &Stored<Record>,
    marking: Vec<MarkingEntry>,
    made: u64,
    status: CaseStatus,
) -> Vec<Fault> {
    let record = &stored.value;
    let mut walked = Walked::after(net, marking, made);
    let mut faults = walked.cascade(record, status);
    let expected = walked.marking();
    faults.extend(differences(&expected.0, &record.marking.0, stored.sequence));
    faults.extend(counted(record, walked.made));
    faults.extend(in_status(record, engine::status_after(net, &expected, status)));
    faults
}

/// Faults of a record that follows a state.
pub(super) fn follows(net: &Net, before: &Case, stored: &Stored<Record>) -> Vec<Fault> {
    let record = &stored.value;
    let mut faults: Vec<_> = continues(before, record).chain(names(before, record)).collect();
    let (expected, made, status) = match record.kind {
        RecordKind::Fired => match fired_again(net, before, record) {
            Ok(again) => {
                faults.extend(same_tokens(&again, record));
                (again.marking.0, again.tokens_made, before.status)
            }
            Err(fault) => {
                let made = record.gave().into_iter().map(|(token, _)| number(token)).max();
                let made = made.unwrap_or_default().max(before.tokens_made);
                faults.push(fault);
                (arithmetic(&before.marking.0, record), made, record.status)
            }
        },
        RecordKind::Edited => {
            let new = record.gave().iter().any(|(token, _)| number(token) > before.tokens_made);
            if new {
                faults.extend(planted(net, record, before.tokens_made, 1));
            } else {
                faults.extend(edited(before, record));
            }
            let expected = arithmetic(&before.marking.0, record);
            (expected, before.tokens_made + u64::from(new), before.status)
        }
        RecordKind::Cancelled => (Vec::new(), before.tokens_made, CaseStatus::Cancelled),
        RecordKind::Paused => (before.marking.0.clone(), before.tokens_made, CaseStatus::Paused),
        RecordKind::Resumed => (before.marking.0.clone(), before.tokens_made, CaseStatus::Running),
        RecordKind::Quarantined => {
            faults.extend(differences(&before.marking.0, &record.marking.0, stored.sequence));
            faults.extend(counted(record, before.tokens_made));
            faults.extend(in_status(record, before.status));
            return faults;
        }
        RecordKind::Retried => {
            faults.extend(edited(before, record));
            (arithmetic(&before.marking.0, record), before.tokens_made, before.status)
        }
        RecordKind::Elapsed
        | RecordKind::Begun
        | RecordKind::Failed
        | RecordKind::Released
        | RecordKind::Completed => (before.marking.0.clone(), before.tokens_made, before.status),
        // A newer version's rule: what it says is believed.
        RecordKind::Unknown => return faults,
        RecordKind::Created => {
            let message = "it creates a case that has been created already";
            faults.push(Fault::of(FindingKind::RecordInconsistent, message));
            return faults;
        }
    };
    faults.extend(ends(net, stored, expected, made, status));
    faults.extend(timers::faults(net, Some(before), stored));
    faults
}

/// Faults of a record that follows the end of its case, or runs another definition than the
/// case has run from its start.
fn continues(before: &Case, record: &Record) -> impl Iterator<Item = Fault> {
    let is_open = matches!(before.status, CaseStatus::Running | CaseStatus::Paused);
    // The engine says so of a firing.
    let may_follow = matches!(record.kind, RecordKind::Fired | RecordKind::Quarantined);
    let closed = (!is_open && !may_follow).then(|| {
        let status = before.status.as_str();
        format!("the case was {status} before it, and nothing follows that")
    });
    let (runs, right) = (record.definition, before.definition);
    let other = (runs != right).then(|| {
        format!("it runs the definition of record {runs}, and the case that of record {right}")
    });
    let fault = |message| Fault::of(FindingKind::RecordInconsistent, message);
    closed.into_iter().chain(other).map(fault)
}

/// Fires the transition of a record again, with the tokens that it says were taken.
fn fired_again(net: &Net, before: &Case, record: &Record) -> Result<Record, Fault> {
    let impossible = |message: String| Fault::of(FindingKind::FiringImpossible, message);
    let Some(transition) = &record.transition else {
        return Err(impossible("it does not say which transition fired".to_owned()));
    };
    let taken = record.consumed.iter().map(|at| ("took the token from", at));
    let read = record.read.iter().map(|at| ("read the token in", at));
    for (what, at) in taken.chain(read) {
        if before.marking.entry(&at.token).is_none_or(|entry| entry.place != at.place) {
            let message = format!("{transition} {what} {}: it was not there", at.place);
            return Err(impossible(message).at(&at.token, &at.place));
        }
    }
    let act = Act {
        by: record.by.clone(),
        now: record.time,
        firing: record.firing.clone(),
        metadata: record.metadata.clone(),
        request: record.request.clone(),
        format: record.format,
    };
    let tokens: Vec<_> = record.consumed.iter().map(|at| at.token.clone()).collect();
    let firing = Firing {
        transition,
        tokens: &tokens,
        to_place: None,
        data: None,
        outcome: record.work.as_ref().and_then(|work| work.outcome.as_ref()),
        act: &act,
        limits: Limits::NONE,
        // More than the decision had, whatever it was counted as then.
        budget: &Budget::of(10 * MAX_STEPS),
    };
    // An answer to work fires in a paused case, too.
    let is_paused = record.work.is_some() && before.status == CaseStatus::Paused;
    let running = is_paused.then(|| Case { status: CaseStatus::Running, ..before.clone() });
    let before = running.as_ref().unwrap_or(before);
    engine::fire_alone(net, before, firing).map_err(|refusal| {
        let fault = impossible(match refusal {
            engine::Refusal::NotEnabled(why) => why.to_string(),
            engine::Refusal::FiresByItself => format!("{transition} fires by itself alone"),
            _ => format!("the workflow has no transition {transition}"),
        });
        match record.consumed.first() {
            Some(at) => fault.at(&at.token, &at.place),
            None => fault,
        }
    })
}

/// Faults of a firing that took, removed or gave other tokens than the same firing does now.
fn same_tokens(again: &Record, record: &Record) -> Vec<Fault> {
    let at = |list: &[TokenAt]| -> Vec<_> {
        let entry = |at: &TokenAt| (at.token.clone(), at.place.clone());
        list.iter().map(entry).collect()
    };
    let given = |record: &Record| -> Vec<_> {
        record.gave().into_iter().map(|(token, place)| (token.clone(), place.clone())).collect()
    };
    let lists = [
        ("takes", at(&again.consumed), at(&record.consumed)),
        ("removes", at(&again.removed), at(&record.removed)),
        ("gives", given(again), given(record)),
    ];
    let mut faults = Vec::new();
    for (what, mut right, mut found) in lists {
        right.sort();
        found.sort();
        if right == found {
            continue;
        }
        let odd = found.iter().find(|one| !right.contains(one));
        let lacking = right.iter().find(|one| !found.contains(one));
        let text = |one: Option<&(TokenId, PlaceId)>| {
            one.map_or_else(|| "nothing".to_owned(), |(token, place)| format!("{token} in {place}"))
        };
        let (found, right) = (text(odd), text(lacking));
        let message = format!("the record {what} {found} where the firing {what} {right}");
        let fault = Fault::of(FindingKind::FiringImpossible, message);
        faults.push(match odd.or(lacking) {
            Some((token, place)) => fault.at(token, place),
            None => fault,
        });
    }
    faults
}

fn counted(record: &Record, made: u64) -> Option<Fault> {
    (record.tokens_made != made).then(|| {
        let said = record.tokens_made;
        let message = format!("it says that the case has had {said} tokens; it has had {made}");
        Fault::of(FindingKind::RecordInconsistent, message)
    })
}

fn in_status(record: &Record, right: CaseStatus) -> Option<Fault> {
    (record.status != right).then(|| {
        let (found, right) = (record.status.as_str(), right.as_str());
        let message = format!("it says that the case is {found} after it, and it is {right}");
        Fault::of(FindingKind::RecordInconsistent, message)
    })
}

/// The state that a record stands for, right or wrong.
fn state_after(before: Option<Case>, stored: &Stored<Record>) -> Case {
    let record = &stored.value;
    let mut tokens = before.map(|case| case.tokens).unwrap_or_default();
    for token in produced(stored) {
        tokens.insert(token.id.clone(), Arc::new(token));
    }
    for entry in &record.marking.0 {
        if let Some(token) = tokens.get_mut(&entry.token)
            && token.place != entry.place
        {
            *token = Arc::new(Token { place: entry.place.clone(), ..Token::clone(token) });
        }
    }
    let alive: HashSet<&TokenId> = record.marking.0.iter().map(|entry| &entry.token).collect();
    tokens.retain(|token, _| alive.contains(token));
    engine::case_after(stored, tokens, Default::default())
}
