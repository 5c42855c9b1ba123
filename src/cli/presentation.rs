//! Presentation of cases, tokens, records and pages, to people and to programs.

use std::fmt::Write;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{answer::Answer, table::Table};
use crate::{
    models::{
        Case, Ended, Incident, IncidentAbout, Item, Record, RecordKind, Stored, Timer, Token,
        TokenAt, Work, visible,
    },
    petrel::Changed,
    storage::PageOf,
};

/// A number of things, as in `1 place` and `2 places`.
pub(super) fn counted(count: impl Into<u128>, what: &str) -> String {
    match count.into() {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

/// A page as an answer: `items` and `next` for programs, `table` for people. If there is more,
/// both have the way to get it.
pub(super) fn page<T>(page: &PageOf<T>, item: impl Fn(&T) -> Value, table: &Table) -> Answer {
    let items: Vec<_> = page.items.iter().map(|(_, of)| item(of)).collect();
    let next = page.end().filter(|_| page.has_next).map(|cursor| cursor.0);
    listing(items, next.map(Value::from), table)
}

/// A listing that continues after `next`, if it does.
pub(super) fn listing(items: Vec<Value>, next: Option<Value>, table: &Table) -> Answer {
    let mut text = if items.is_empty() { "none\n".to_owned() } else { table.to_string() };
    if let Some(next) = &next {
        let next = next.as_str().map_or_else(|| next.to_string(), str::to_owned);
        let _ = writeln!(text, "there is more: the same command with --after {next}");
    }
    Answer::new(json!({ "items": items, "next": next }), text)
}

/// A time for people: to the millisecond, in UTC.
pub(super) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Tokens as a table.
pub(super) fn token_table<'a>(tokens: impl IntoIterator<Item = &'a Token>) -> Table {
    let mut table = Table::new(&["TOKEN", "PLACE", "CASE", "REVISION", "DATA"]);
    for token in tokens {
        table.row([
            token.id.to_string(),
            token.place.to_string(),
            token.case.to_string(),
            revision(token),
            token.data.to_string(),
        ]);
    }
    table
}

/// The revision of a token, as it is shown.
fn revision(token: &Token) -> String {
    token.nats_sequence.map_or_else(String::new, |sequence| sequence.to_string())
}

/// A token, whole, for people.
pub(super) fn token_text(token: &Token) -> String {
    let mut text = format!(
        "token     {}\nplace     {}\ncase      {} of {}\nrevision  {}\n",
        token.id,
        token.place,
        token.case,
        token.workflow,
        revision(token)
    );
    if let Some(subject) = &token.nats_subject {
        let _ = writeln!(text, "subject   {subject}");
    }
    let stored = token
        .nats_timestamp
        .map_or_else(String::new, |at| format!("stored    {} (the server's time)\n", time(at)));
    let _ = write!(
        text,
        "{stored}created   {}\nupdated   {}\ndata      {:#}\n",
        time(token.created_at),
        time(token.updated_at),
        token.data
    );
    if !token.metadata.is_empty() {
        let _ = writeln!(text, "metadata  {:#}", Value::Object(token.metadata.clone()));
    }
    if token.history_total > 0 {
        let shown = token.history.len() as u64;
        let of = if shown < token.history_total {
            format!(", the last {shown}; `petrel case history` has all")
        } else {
            String::new()
        };
        let _ = writeln!(text, "history   {} in all{of}", token.history_total);
        for event in token.history.iter() {
            let by = event
                .triggered_by
                .as_ref()
                .map(|by| format!(" by {}", visible(by)))
                .unwrap_or_default();
            let (at, transition) = (time(event.time), &event.transition);
            let _ = writeln!(text, "  {at}  {transition}: {} -> {}{by}", event.from, event.to);
        }
    }
    text
}

/// A case for programs.
pub(super) fn case_json(case: &Case) -> Value {
    json!({
        "workflow": case.workflow,
        "id": case.id,
        "status": case.status,
        "revision": case.revision(),
        "definition": case.definition,
        "tokens_made": case.tokens_made,
        "marking": case.marking,
        "incidents": case.incidents,
        "timers": case.timers,
        "items": case.items,
        "tokens": case.live_tokens().collect::<Vec<_>>(),
    })
}

/// A case for people.
pub(super) fn case_text(case: &Case) -> String {
    let mut text = format!(
        "case {} of {} is {}, revision {}\n",
        case.id,
        case.workflow,
        case.status.as_str(),
        case.revision()
    );
    let tokens = token_table(case.live_tokens().map(|token| &**token));
    if !case.marking.0.is_empty() {
        let _ = write!(text, "{tokens}");
    }
    for timer in &case.timers {
        let _ = writeln!(text, "{}", timer_line(timer));
    }
    for item in &case.items {
        let _ = writeln!(text, "{}", item_line(item, &case.incidents));
    }
    for open in &case.incidents {
        let _ = writeln!(text, "{}", incident_line(open));
    }
    text
}

/// A timer in one line.
pub(super) fn timer_line(timer: &Timer) -> String {
    let Timer { number, transition, tokens, since, due, elapsed, item, .. } = timer;
    if let Some(item) = item {
        let (due, since) = (time(*due), time(*since));
        return format!(
            "the deadline of work item {item} of {transition} is at {due}, since {since}"
        );
    }
    let with: Vec<_> = tokens.iter().map(|at| format!("{}@{}", at.token, at.place)).collect();
    let when = if *elapsed { "was due" } else { "is due" };
    let (due, since, with) = (time(*due), time(*since), with.join(", "));
    format!("timer {number} of {transition} {when} {due}, since {since}, with {with}")
}

/// An open incident in one line.
pub(super) fn incident_line(open: &Incident) -> String {
    let (number, of) = (open.number, incident_of(&open.about));
    format!("incident {number} of {of}: {}, since {}", open.code.as_str(), time(open.since))
}

/// The part of a case that an incident is about.
pub(super) fn incident_of(about: &IncidentAbout) -> String {
    match about {
        IncidentAbout::Transition(transition) => transition.to_string(),
        IncidentAbout::Item(item) => format!("work item {item}"),
        IncidentAbout::Cascade => "all that fires by itself".to_owned(),
        IncidentAbout::Unknown => "a part that this version does not know".to_owned(),
    }
}

/// The places of a case's tokens, in one line.
pub(super) fn marking_line(case: &Case) -> String {
    let counts = case.marking.counts();
    if counts.is_empty() {
        return "no tokens".to_owned();
    }
    let places = counts.iter().map(|(place, count)| match count {
        1 => place.to_string(),
        count => format!("{place} ({count})"),
    });
    places.collect::<Vec<_>>().join(", ")
}

/// A record for programs.
pub(super) fn record_json(stored: &Stored<Record>) -> Value {
    json!({
        "sequence": stored.sequence,
        "timestamp": stored.timestamp,
        "subject": stored.subject,
        "hash": stored.hash,
        "record": stored.value,
    })
}

/// A record in one line: the change, the tokens taken (`-`) and those given (`+`).
pub(super) fn record_line(stored: &Stored<Record>) -> String {
    let record = &stored.value;
    let mut line = format!("{:>8}  {}  {}", stored.sequence, time(stored.timestamp), event(record));
    if let Some(by) = &record.by {
        let _ = write!(line, " by {by}");
    }
    let at = |sign: char, token: &TokenAt| format!("  {sign}{}@{}", token.token, token.place);
    line.extend(record.consumed.iter().map(|token| at('-', token)));
    line.extend(record.removed.iter().map(|token| at('-', token)));
    let due = |timer: &Timer| {
        format!("  timer {} of {}, due {}", timer.number, timer.transition, time(timer.due))
    };
    line.extend(record.elapsed.iter().map(due));
    let gave = record.gave().into_iter();
    line.extend(gave.map(|(token, place)| format!("  +{token}@{place}")));
    for step in &record.cascade {
        let _ = write!(line, "  > {}", step.transition);
        if let Some(timer) = step.timer {
            let _ = write!(line, " (timer {timer})");
        }
        line.extend(step.consumed.iter().chain(&step.removed).map(|token| at('-', token)));
        line.extend(step.produced.iter().map(|token| at('+', token)));
    }
    for raised in &record.raised {
        let _ = write!(line, "  incident {}: {}", raised.number, raised.explanation);
    }
    let put_aside = record.put_aside.iter();
    line.extend(put_aside.map(|one| format!("  {}: {}", one.sequence, one.reason)));
    if !record.unknown.is_empty() {
        let _ = write!(line, "  unknown to this version: {}", record.unknown.join(", "));
    }
    visible(&line).into_owned()
}

fn event(record: &Record) -> String {
    if let Some(work) = &record.work {
        return work_event(record, work);
    }
    match &record.transition {
        Some(transition) => format!("{} {transition}", record.kind_name()),
        None => record.kind_name().to_owned(),
    }
}

/// The part of a record that is about a work item.
fn work_event(record: &Record, work: &Work) -> String {
    let mut text = format!("{} {} (item {}", record.kind_name(), work.transition, work.item);
    let claim = work.claim.map(|claim| format!(", claim {claim}"));
    let outcome = work.outcome.as_ref().map(|outcome| format!(", outcome {outcome}"));
    let attempt = (work.attempt > 1).then(|| format!(", attempt {}", work.attempt));
    text.extend([claim, attempt, outcome].into_iter().flatten());
    text.push(')');
    match work.ended {
        Some(Ended::Lost) => text.push_str(", the attempt before was lost"),
        Some(Ended::Overridden) => text.push_str(", the attempt was overridden"),
        _ => {}
    }
    if let Some(failure) = &work.failure {
        let _ = write!(text, ": {}", failure.code);
        if !failure.message.is_empty() {
            let _ = write!(text, ": {}", failure.message);
        }
    }
    let item = record.items.iter().find(|item| item.number == work.item);
    if let Some(wait) = item.and_then(|item| item.wait.as_ref()) {
        let way = if work.failure.is_some() { "again" } else { "goes on" };
        match wait.answers {
            true => text.push_str("; goes on when it has an answer from outside"),
            false => {
                let _ = write!(text, "; {way} at {}", time(wait.until));
            }
        }
    }
    if let Some(next) = &work.next {
        let _ = write!(text, "; begun {} (item {}, handed over)", next.transition, next.item);
    }
    text
}

/// A wait that has no end for people.
const FAR: TimeDelta = TimeDelta::days(50 * 365);

/// State of an open work item in words.
pub(super) fn item_state(item: &Item, incidents: &[Incident]) -> String {
    let about = IncidentAbout::Item(item.number);
    if item.done.is_some() {
        return "done, fires as soon as it can".to_owned();
    }
    if let Some(open) = incidents.iter().find(|open| open.about == about) {
        return format!("stopped by incident {} ({})", open.number, open.code.as_str());
    }
    if let Some(running) = &item.running {
        let worker = running.worker.as_deref().unwrap_or("a worker");
        return format!("with {worker} since {}, claim {}", time(running.since), item.claim);
    }
    match &item.wait {
        Some(wait) if item.failed > 0 => format!("tried again at {}", time(wait.until)),
        Some(wait) if wait.answers && wait.until - item.since > FAR => {
            "waits for an answer from outside".to_owned()
        }
        Some(wait) if wait.answers => {
            format!("waits for an answer from outside, or {}", time(wait.until))
        }
        Some(wait) => format!("goes on at {}", time(wait.until)),
        None => "waits for a worker".to_owned(),
    }
}

/// An open work item in one line.
pub(super) fn item_line(item: &Item, incidents: &[Incident]) -> String {
    let (number, transition, since) = (item.number, &item.transition, time(item.since));
    let state = item_state(item, incidents);
    let failed = match item.failed {
        0 => String::new(),
        1 => ", 1 attempt failed".to_owned(),
        failed => format!(", {failed} attempts failed"),
    };
    format!("work item {number} of {transition} {state}; open since {since}{failed}")
}

/// A change as an answer.
pub(super) fn changed(changed: &Changed) -> Answer {
    let Changed { record, case, tokens, repeated } = changed;
    let json = json!({
        "repeated": repeated,
        "sequence": record.sequence,
        "kind": record.value.kind,
        "transition": record.value.transition,
        "firing": record.value.firing,
        "case": case_json(case),
        "tokens": tokens,
    });
    let what = match record.value.kind {
        RecordKind::Fired => event(&record.value),
        RecordKind::Created => "started".to_owned(),
        kind => kind.as_str().to_owned(),
    };
    let mut text = format!("{what}: case {} of {}", case.id, case.workflow);
    if *repeated {
        text.push_str(" (it had happened before; nothing was changed)");
    }
    with_state(json, text, changed)
}

/// A change of a case's status as an answer. `asked` is the kind of record that it would have made.
pub(super) fn status_changed(changed: &Changed, asked: RecordKind) -> Answer {
    let Changed { record, case, repeated, .. } = changed;
    let mut answer = self::changed(changed);
    // It had the status already, and its last record may be about anything.
    if *repeated && record.value.kind != asked {
        let status = case.status.as_str();
        answer.json["already"] = json!(status);
        let text = format!(
            "{status} already: case {} of {} (nothing was changed)",
            case.id, case.workflow
        );
        return with_state(answer.json, text, changed);
    }
    answer
}

fn with_state(json: Value, mut text: String, Changed { case, tokens, .. }: &Changed) -> Answer {
    let status = case.status.as_str();
    let _ = writeln!(text, "\n{status}, revision {}, in {}", case.revision(), marking_line(case));
    if !tokens.is_empty() {
        let _ = write!(text, "{}", token_table(tokens.iter().map(|token| &**token)));
    }
    Answer::new(json, text)
}
