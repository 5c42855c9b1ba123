//! Messages of timers: all is in the subject and in one header, which the server copies from the schedule
//! to what comes of it.

use async_nats::{
    HeaderMap,
    header::{HeaderName, NATS_ROLLUP},
};
use chrono::{DateTime, SecondsFormat, Utc};

use crate::storage::{
    Arming,
    nats::{Subjects, direct::RawMessage},
};

const SCHEDULE: HeaderName = HeaderName::from_static("Nats-Schedule");
const TARGET: HeaderName = HeaderName::from_static("Nats-Schedule-Target");

/// Time at which the timer is due, in whole microseconds. The schedule need not name it (see
/// [`LAST`]).
const DUE: HeaderName = HeaderName::from_static("Petrel-Due");

/// The first and the last time of a schedule, as seconds since 1970: before and after them a server that
/// counts nanoseconds in 64 bits takes another one, and fires what is due in the year 2400 at once.
const FIRST: i64 = 0;
const LAST: i64 = i64::MAX / 1_000_000_000;

/// Headers of a schedule, which replaces one on the same subject.
pub(super) fn schedule(arming: &Arming, subjects: &Subjects) -> HeaderMap {
    let [first, last] = [FIRST, LAST].map(|at| DateTime::from_timestamp(at, 0));
    let at = arming.due.max(first.unwrap_or_default()).min(last.unwrap_or(arming.due));
    let mut headers = HeaderMap::new();
    headers.insert(SCHEDULE, format!("@at {}", text(at)));
    headers.insert(TARGET, subjects.due(arming));
    headers.insert(NATS_ROLLUP, "sub");
    headers.insert(DUE, text(arming.due));
    headers
}

fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// The timer of a message, armed or due. The error is the reason that it has none.
pub(super) fn decode(message: &RawMessage, subjects: &Subjects) -> Result<Arming, String> {
    let due = message.headers.get(DUE).ok_or("it has no header Petrel-Due")?;
    let due = due.as_str().parse::<DateTime<Utc>>();
    let due = due.map_err(|error| format!("its header Petrel-Due is no time: {error}"))?;
    let arming = subjects.parse_timer(&message.subject, due);
    arming.ok_or_else(|| "its subject is no timer's".to_owned())
}

#[cfg(test)]
mod tests {
    use chrono::{DurationRound, TimeDelta};
    use proptest::prelude::*;

    use super::*;
    use crate::models::{CaseId, LogSequence, WorkflowId};

    fn arming(due: DateTime<Utc>) -> Arming {
        let (workflow, case) = (WorkflowId::new("w").unwrap(), CaseId::new("c").unwrap());
        Arming { workflow, case, timer: 7, armed: LogSequence::FIRST, due }
    }

    fn message(arming: &Arming, subjects: &Subjects) -> RawMessage {
        RawMessage {
            subject: subjects.due(arming),
            sequence: 1,
            timestamp: DateTime::UNIX_EPOCH,
            headers: schedule(arming, subjects),
            payload: Default::default(),
        }
    }

    fn scheduled(arming: &Arming) -> String {
        let headers = schedule(arming, &Subjects::new("cb"));
        headers.get(SCHEDULE).unwrap().as_str().to_owned()
    }

    proptest! {
        #[test]
        fn a_timer_comes_back_from_its_message_to_the_microsecond(
            seconds in -8_000_000_000_000_i64..8_000_000_000_000,
            nanos in 0_u32..1_000_000_000,
        ) {
            let subjects = Subjects::new("cb");
            let arming = arming(DateTime::from_timestamp(seconds, nanos).unwrap());
            let decoded = decode(&message(&arming, &subjects), &subjects).unwrap();
            let micros = arming.due.timestamp_micros();
            prop_assert_eq!(decoded.due.timestamp_micros(), micros);
            prop_assert_eq!(decoded.due.timestamp_subsec_nanos() % 1_000, 0);
            prop_assert_eq!(Arming { due: arming.due, ..decoded }, arming);
        }
    }

    #[test]
    fn a_schedule_names_only_times_that_the_server_can_count() {
        let at = |text: &str| scheduled(&arming(text.parse().unwrap()));
        assert_eq!(at("2026-03-14T15:09:26.535897932Z"), "@at 2026-03-14T15:09:26.535897Z");
        assert_eq!(at("1871-03-14T15:09:26Z"), "@at 1970-01-01T00:00:00.000000Z");
        assert_eq!(at("2400-01-01T00:00:00Z"), "@at 2262-04-11T23:47:16.000000Z");
        for due in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
            let subjects = Subjects::new("cb");
            let decoded = decode(&message(&arming(due), &subjects), &subjects).unwrap();
            let micros = due.duration_trunc(TimeDelta::microseconds(1));
            assert_eq!(decoded.due, micros.unwrap_or(decoded.due));
        }
    }

    #[test]
    fn what_is_no_timer_is_refused_with_a_reason() {
        let subjects = Subjects::new("cb");
        let mut message = message(&arming(DateTime::UNIX_EPOCH), &subjects);
        message.subject.push('x');
        assert!(decode(&message, &subjects).unwrap_err().contains("subject"));
        message.headers.insert(DUE, "tomorrow");
        assert!(decode(&message, &subjects).unwrap_err().contains("no time"));
        message.headers = HeaderMap::new();
        assert!(decode(&message, &subjects).unwrap_err().contains("no header"));
    }
}
