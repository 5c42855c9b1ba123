//! Records of everything but firings, and the parts common to all records.

use std::{collections::HashSet, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{
    Bounds, Net, NotMade,
    cascade::conclude,
    draft::Draft,
    merge_patch,
    work::{pass_deadlines, try_again},
};
use crate::models::{
    Case, CaseId, CaseStatus, FORMAT_VERSION, FiringId, IncidentAbout, LogSequence, Marking,
    OnResume, PlaceId, Record, RecordKind, Timer, Token, TokenAt, TokenId, WorkflowId, hex,
};

/// The most timers that come due in one record.
const MOST_ELAPSED: usize = 256;

/// Caller, time and id of a change. Times and ids come from outside: the engine has no clock
/// and no randomness.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    /// Name of the caller.
    pub by: Option<String>,
    /// Time of the change.
    pub now: DateTime<Utc>,
    /// The id of the attempt.
    pub firing: FiringId,
    /// Notes about it.
    pub metadata: Map<String, Value>,
    /// The digest of the request; none if only a test or a replay decides.
    pub request: Option<String>,
    /// Format of the record, as new as the log allows.
    pub format: u32,
}

impl Act {
    /// Returns true if a record under its id may be its own.
    pub(crate) fn made(&self, record: &Record) -> bool {
        record.time == self.now && record.by == self.by
    }

    /// An act of nobody, for a look at a possible firing. Its id and digest are as long as
    /// those that a process makes.
    pub(super) fn of_nobody(now: DateTime<Utc>) -> Self {
        let firing = FiringId::new("00000000-0000-0000-0000-000000000000").expect("it is an id");
        let request = Some("0".repeat(32));
        Self { by: None, now, firing, metadata: Map::new(), request, format: FORMAT_VERSION }
    }
}

/// The first token of a case, or one more.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenSeed {
    /// The place that it goes to.
    pub place: PlaceId,
    /// Data that it carries.
    pub data: Value,
    /// Notes about it.
    pub metadata: Map<String, Value>,
}

impl TokenSeed {
    /// SHA-256 over it, the first 16 bytes in hexadecimal. The fields of objects count in any order.
    pub fn digest(&self) -> String {
        // Every key is a text, so this can't fail; if it did, all seeds would be one.
        let text = serde_json::to_vec(&(&self.place, &self.data, &self.metadata));
        hex(&Sha256::digest(text.unwrap_or_default())[..16])
    }
}

/// The first record of a case that has no token yet.
pub(super) fn first_record(
    workflow: WorkflowId,
    case: CaseId,
    definition: LogSequence,
    kind: RecordKind,
    act: &Act,
) -> Record {
    Record {
        format: act.format,
        kind,
        workflow,
        case,
        definition,
        time: act.now,
        by: act.by.clone(),
        firing: act.firing.clone(),
        transition: None,
        consumed: Vec::new(),
        read: Vec::new(),
        removed: Vec::new(),
        given: Vec::new(),
        edited: Vec::new(),
        cascade: Vec::new(),
        produced: Vec::new(),
        history_bases: Default::default(),
        marking: Marking::default(),
        status: CaseStatus::Running,
        tokens_made: 0,
        incidents: Vec::new(),
        incidents_made: 0,
        raised: Vec::new(),
        incident: None,
        timers: Vec::new(),
        timers_made: 0,
        items: Vec::new(),
        items_made: 0,
        work: None,
        paused: None,
        on_resume: OnResume::default(),
        elapsed: Vec::new(),
        metadata: act.metadata.clone(),
        previous: None,
        previous_hash: None,
        request: act.request.clone(),
        seed: None,
        recent: Vec::new(),
        page: None,
        pages: Vec::new(),
        unlisted: None,
        tokens_hash: None,
        aside: Vec::new(),
        put_aside: Vec::new(),
        unknown: Vec::new(),
    }
}

/// The next record of a case, with nothing changed yet.
pub(super) fn next_record(case: &Case, kind: RecordKind, act: &Act) -> Record {
    let (workflow, id) = (case.workflow.clone(), case.id.clone());
    let mut record = Record {
        marking: case.marking.clone(),
        status: case.status,
        tokens_made: case.tokens_made,
        incidents: case.incidents.clone(),
        incidents_made: case.incidents_made,
        timers: case.timers.clone(),
        timers_made: case.timers_made,
        items: case.items.clone(),
        items_made: case.items_made,
        paused: case.paused,
        previous: Some(case.sequence),
        previous_hash: Some(case.head_hash.clone()),
        aside: case.aside.clone(),
        ..first_record(workflow, id, case.definition, kind, act)
    };
    // A record of format 1 has it in another order.
    record.marking.sort();
    name_earlier(case, &mut record);
    record
}

/// Names the records before this one. A page that can't name the pages before it would lose
/// them, so the list begins anew there, and says so.
fn name_earlier(case: &Case, record: &mut Record) {
    let chain = &case.chain;
    match &chain.pages {
        None if chain.is_full() => record.unlisted = Some(case.sequence),
        pages => {
            let pages = pages.iter().flat_map(|pages| pages.iter().copied());
            record.pages = pages.filter(|_| chain.is_full()).collect();
            record.recent.clone_from(&chain.recent);
            record.page.clone_from(&chain.page);
            record.unlisted = chain.unlisted;
        }
    }
}

/// The record that begins a case, with the cascade after it.
pub fn create_case(
    net: &Net,
    definition: LogSequence,
    workflow: WorkflowId,
    id: CaseId,
    seed: TokenSeed,
    act: &Act,
    bounds: Bounds<'_>,
) -> Result<Record, NotMade> {
    let mut record = first_record(workflow, id, definition, RecordKind::Created, act);
    let digest = net.runs_by_itself().then(|| seed.digest());
    let token = plant(&mut record, seed, act);
    let mut draft = Draft::new(None, record);
    draft.give(token);
    let mut record = conclude(net, draft, bounds)?;
    record.seed = digest.filter(|_| !record.cascade.is_empty());
    Ok(record)
}

/// The record that adds a token to a case, with the cascade after it.
pub fn add_token(
    net: &Net,
    case: &Case,
    seed: TokenSeed,
    act: &Act,
    bounds: Bounds<'_>,
) -> Result<Record, NotMade> {
    let mut record = next_record(case, RecordKind::Edited, act);
    let token = plant(&mut record, seed, act);
    let mut draft = Draft::new(Some(case), record);
    draft.give(token);
    conclude(net, draft, bounds)
}

fn plant(record: &mut Record, seed: TokenSeed, act: &Act) -> Arc<Token> {
    record.tokens_made += 1;
    let id = TokenId::of_case(&record.workflow.tag(), &record.case, record.tokens_made);
    Arc::new(Token {
        id,
        workflow: record.workflow.clone(),
        case: record.case.clone(),
        place: seed.place,
        data: seed.data,
        metadata: seed.metadata,
        created_at: act.now,
        updated_at: act.now,
        history: Arc::default(),
        history_total: 0,
        nats_sequence: None,
        nats_timestamp: None,
        nats_subject: None,
    })
}

/// The record that merges `patch` (RFC 7396) into a live token's data, with the cascade after it;
/// `None` if the token is not alive.
pub fn update_data(
    net: &Net,
    case: &Case,
    token: &TokenId,
    patch: &Value,
    act: &Act,
    bounds: Bounds<'_>,
) -> Option<Result<Record, NotMade>> {
    let changed = patched(case.tokens.get(token)?, patch, act);
    let mut draft = Draft::new(Some(case), next_record(case, RecordKind::Edited, act));
    draft.change(changed);
    Some(conclude(net, draft, bounds))
}

/// A token with `patch` merged into its data.
fn patched(token: &Token, patch: &Value, act: &Act) -> Arc<Token> {
    let mut changed = Token::clone(token);
    merge_patch(&mut changed.data, patch);
    changed.updated_at = act.now;
    // Where and when it is stored is for those who read it to say.
    changed.nats_sequence = None;
    changed.nats_timestamp = None;
    changed.nats_subject = None;
    Arc::new(changed)
}

/// The record that pauses, resumes or cancels a case. A cancelled case loses its tokens; in a
/// resumed one follows what was held back.
pub fn change_status(
    net: &Net,
    case: &Case,
    kind: RecordKind,
    act: &Act,
    bounds: Bounds<'_>,
) -> Result<Record, NotMade> {
    let mut draft = Draft::new(Some(case), next_record(case, kind, act));
    match kind {
        RecordKind::Paused => {
            draft.record.status = CaseStatus::Paused;
            // A log of format 1 has no timers.
            draft.record.paused = draft.record.paused.or((act.format > 1).then_some(act.now));
        }
        RecordKind::Cancelled => {
            draft.record.status = CaseStatus::Cancelled;
            let at = |token: &Arc<Token>| TokenAt {
                token: token.id.clone(),
                place: token.place.clone(),
            };
            draft.record.removed = case.live_tokens().map(at).collect();
            case.marking.0.iter().for_each(|entry| draft.take(&entry.token));
        }
        _ => resumed(&mut draft.record, OnResume::default()),
    }
    conclude(net, draft, bounds)
}

/// The record that resumes a case, whose timers go on in a way.
pub fn resume(
    net: &Net,
    case: &Case,
    on_resume: OnResume,
    act: &Act,
    bounds: Bounds<'_>,
) -> Result<Record, NotMade> {
    let mut draft = Draft::new(Some(case), next_record(case, RecordKind::Resumed, act));
    resumed(&mut draft.record, on_resume);
    conclude(net, draft, bounds)
}

/// What came due in the pause was put away, so all timers are armed anew.
fn resumed(record: &mut Record, on_resume: OnResume) {
    record.status = CaseStatus::Running;
    record.on_resume = on_resume;
    let paused = record.paused.take();
    for timer in record.timers.iter_mut().filter(|timer| !timer.elapsed) {
        timer.armed = None;
        if let (OnResume::KeepRemaining, Some(paused)) = (on_resume, paused) {
            // The clock stood still: an edit reckons from the beginning that is moved with it.
            let stood = (record.time - paused.max(timer.since)).max(TimeDelta::zero());
            timer.since += stood;
            timer.due += stood;
        }
    }
    for wait in record.items.iter_mut().filter_map(|item| item.wait.as_mut()) {
        wait.armed = None;
    }
}

/// The record of a retry: the incident is over, and what it stopped is tried again, after patches (RFC 7396)
/// were merged into the data of tokens. `None` if no such incident is open, or one of the tokens is not alive.
pub fn retry(
    net: &Net,
    case: &Case,
    incident: u64,
    patches: &[(TokenId, Value)],
    act: &Act,
    bounds: Bounds<'_>,
) -> Option<Result<Record, NotMade>> {
    let open = case.incidents.iter().find(|open| open.number == incident)?;
    let (about, code) = (open.about.clone(), open.code);
    let mut record = next_record(case, RecordKind::Retried, act);
    record.incident = Some(incident);
    if let IncidentAbout::Item(item) = about {
        try_again(net, &mut record, item, code);
    }
    let mut draft = Draft::new(Some(case), record);
    for (token, patch) in patches {
        draft.change(patched(case.tokens.get(token)?, patch, act));
    }
    Some(conclude(net, draft, bounds))
}

/// The record in which the timers come due whose time is not after `until` and that are not `made`
/// later, by their numbers: the first of them, in the order of their times; with the cascade in which
/// they fire. `None` if there is none, or the case does not run.
pub fn elapse(
    net: &Net,
    case: &Case,
    (until, made): (DateTime<Utc>, u64),
    act: &Act,
    bounds: Bounds<'_>,
) -> Option<Result<Record, NotMade>> {
    let is_due = |timer: &&Timer| !timer.elapsed && timer.due <= until && timer.number <= made;
    let mut due: Vec<_> = case.timers.iter().filter(is_due).cloned().collect();
    if due.is_empty() || case.status != CaseStatus::Running {
        return None;
    }
    due.sort_by_key(|timer| (timer.due, timer.number));
    due.truncate(MOST_ELAPSED);
    // Deadlines and the timers of transitions are in records of their own.
    let is_deadline = due[0].item.is_some();
    let others = due.iter().position(|timer| timer.item.is_some() != is_deadline);
    due.truncate(others.unwrap_or(due.len()));
    let mut record = next_record(case, RecordKind::Elapsed, act);
    let numbers: HashSet<_> = due.iter().map(|timer| timer.number).collect();
    for timer in record.timers.iter_mut().filter(|timer| numbers.contains(&timer.number)) {
        timer.elapsed = true;
    }
    record.elapsed = due;
    if is_deadline {
        pass_deadlines(net, &mut record);
    }
    Some(conclude(net, Draft::new(Some(case), record), bounds))
}
