//! Conversion of models to stored bytes and back. The formats are in `docs/storage.md`.

use std::{str::FromStr, sync::Arc, time::Duration};

use async_nats::{
    HeaderMap,
    header::{HeaderName, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_MESSAGE_TTL, NATS_ROLLUP},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::{Subjects, direct::RawMessage};
use crate::{
    models::{
        CaseId, CaseStatus, FORMAT_VERSION, Fence, LogSequence, PlaceId, Record, RecordKind,
        Stored, StoredDefinition, Token, UNKNOWN_KIND, Version, ViewSequence, WorkflowDefinition,
        hex, read_json, read_json_noting,
    },
    storage::{
        Lifecycle, MostInFlight, Outline, QueueSettings, Register, RegisterState, Result, StatusAt,
        StorageError, ViewContent, ViewWrite,
    },
};

/// The case of a token, noted with each of its view messages.
const CASE: HeaderName = HeaderName::from_static("Petrel-Case");
/// The log sequence of the record that a message of a view comes from.
pub(super) const REVISION: HeaderName = HeaderName::from_static("Petrel-Revision");
/// The format of the view's messages: format 2 of records changed nothing there.
pub(super) const VIEW_FORMAT: u32 = 1;
/// The version of the format of a view message; 1 where absent.
const FORMAT: HeaderName = HeaderName::from_static("Petrel-Format");
/// Header of a marker: the place where the token is now, or `-` when it is gone for good.
const MOVED_TO: HeaderName = HeaderName::from_static("Petrel-Moved-To");
/// Header with the length of the body that the server was asked to leave out.
const SIZE: HeaderName = HeaderName::from_static("Nats-Msg-Size");

/// A definition with a field that this version does not know is refused: a net that is
/// fired without one of its parts is another net. Records and tokens are read without.
#[derive(Serialize, Deserialize)]
struct DefinitionMessage<D> {
    format: u32,
    version: Version,
    definition: D,
}

/// The format of the settings of queues.
const QUEUE_FORMAT: u32 = 1;

/// Settings with a field that this version does not know are refused: a queue that is run without one of
/// them is another queue.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct QueueMessage {
    format: u32,
    ack_wait_ms: u64,
    most_in_flight: MostInFlight,
    paused: bool,
}

/// `tokens` are those in it, which make it long: most messages fit without growing the buffer.
fn encode<'a>(
    value: &impl Serialize,
    tokens: impl IntoIterator<Item = &'a Token>,
    subject: &str,
) -> Result<Bytes> {
    let room: usize = tokens.into_iter().map(|token| 512 + 160 * token.history.len()).sum();
    let mut bytes = Vec::with_capacity(1_536 + room);
    serde_json::to_writer(&mut bytes, value).map_err(|error| StorageError::Unwritable {
        subject: subject.to_owned(),
        reason: error.to_string(),
    })?;
    Ok(Bytes::from(bytes))
}

/// Reason that a message can't be read, and true if a newer version wrote it.
pub(super) struct Fault {
    reason: String,
    newer: bool,
}

impl Fault {
    fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), newer: false }
    }

    /// The error of a message in the log.
    fn in_log(self, message: &RawMessage, sequence: LogSequence) -> StorageError {
        let (subject, Self { reason, newer }) = (message.subject.clone(), self);
        StorageError::Corrupt { subject, sequence, reason, newer }
    }

    /// The error of a message in the view.
    fn in_view(self, message: &RawMessage) -> StorageError {
        let subject = message.subject.clone();
        match ViewSequence::new(message.sequence) {
            Some(sequence) => StorageError::CorruptView { subject, sequence, reason: self.reason },
            None => placeless(message),
        }
    }
}

/// The error of a message that came without its place in the stream.
fn placeless(message: &RawMessage) -> StorageError {
    let reason = "a message came without its place in it".to_owned();
    StorageError::Stream { stream: format!("with {}", message.subject), reason }
}

pub(super) type Decoded<T> = std::result::Result<T, Fault>;

/// Decodes a message of the log, which is at this sequence.
pub(super) fn in_log<T>(
    message: &RawMessage,
    decode: impl FnOnce(LogSequence) -> Decoded<T>,
) -> Result<T> {
    let sequence = LogSequence::new(message.sequence).ok_or_else(|| placeless(message))?;
    decode(sequence).map_err(|fault| fault.in_log(message, sequence))
}

pub(super) fn decode<T: DeserializeOwned>(message: &RawMessage) -> Decoded<T> {
    decode_by(message, read_json)
}

fn decode_by<T>(
    message: &RawMessage,
    read: impl FnOnce(&[u8]) -> serde_json::Result<T>,
) -> Decoded<T> {
    #[derive(Deserialize)]
    struct Format {
        #[serde(default)]
        format: u32,
    }
    read(&message.payload).map_err(|error| {
        let format = read_json(&message.payload);
        let format = format.map_or(0, |Format { format }| format);
        readable(format).err().unwrap_or_else(|| Fault::new(error.to_string()))
    })
}

/// Refuses a message that a newer version wrote, even if it looks familiar.
fn readable(format: u32) -> Decoded<()> {
    readable_up_to(FORMAT_VERSION, format)
}

pub(super) fn readable_up_to(known: u32, format: u32) -> Decoded<()> {
    if format <= known {
        return Ok(());
    }
    let reason =
        format!("it has format {format}, newer than this version's {known}; use a newer petrel");
    Err(Fault { reason, newer: true })
}

/// SHA-256 in hexadecimal.
pub(super) fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(super) fn encode_record(record: &Record, subject: &str) -> Result<Bytes> {
    encode(record, &record.produced, subject)
}

pub(super) fn decode_record(message: &RawMessage) -> Result<Stored<Record>> {
    in_log(message, |sequence| record(message, sequence))
}

fn record(message: &RawMessage, sequence: LogSequence) -> Decoded<Stored<Record>> {
    let (mut value, mut unknown): (Record, _) = decode_by(message, read_json_noting)?;
    readable(value.format)?;
    if value.kind == RecordKind::Unknown {
        #[derive(Deserialize)]
        struct Kind {
            kind: String,
        }
        let Kind { kind } = decode(message)?;
        unknown.insert(0, format!("{UNKNOWN_KIND}{kind}"));
    }
    let odd = value.incidents.iter().filter(|open| open.is_unknown());
    unknown.extend(odd.map(|open| format!("incident {}", open.number)));
    value.unknown = unknown;
    let mut words = message.subject.rsplit('.');
    let (case, branch, workflow) = (words.next(), words.next(), words.nth(1));
    if !matches!(branch, Some("transitions" | "lifecycle")) {
        let branch = branch.unwrap_or_default();
        return Err(Fault::new(format!("{branch} is no branch of a case's log")));
    }
    if case != Some(value.case.as_str()) || workflow != Some(value.workflow.as_str()) {
        let (workflow, case) = (&value.workflow, &value.case);
        let reason = format!("it speaks of workflow {workflow}, case {case}: another subject");
        return Err(Fault::new(reason));
    }
    Ok(Stored {
        value,
        sequence,
        timestamp: message.timestamp,
        subject: message.subject.clone(),
        hash: hash(&message.payload),
        fence: fence(message)?,
    })
}

/// The comparison that the server made as it stored a message, by the sequence that it was asked for.
fn fence(message: &RawMessage) -> Decoded<Fence> {
    let header = NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
    let Some(fence) = message.headers.get(header.clone()).map(|fence| fence.as_str()) else {
        return Ok(Fence::Unchecked);
    };
    let number = fence.parse().map(LogSequence::new);
    number
        .map(Fence::from)
        .map_err(|_| Fault::new(format!("header {header} is {fence:?}, no sequence")))
}

/// The status that a record gives its case. Nothing else is built.
pub(super) fn decode_status(message: &RawMessage, subjects: &Subjects) -> Result<StatusAt> {
    #[derive(Deserialize)]
    struct Status {
        #[serde(default)]
        format: u32,
        status: CaseStatus,
    }
    in_log(message, |sequence| {
        let Status { format, status } = decode(message)?;
        readable(format)?;
        let (workflow, case) = subjects
            .parse_record(&message.subject)
            .ok_or_else(|| Fault::new("its subject is no record's"))?;
        Ok(StatusAt { workflow, case, sequence, timestamp: message.timestamp, status })
    })
}

pub(super) fn encode_definition(
    definition: &WorkflowDefinition,
    version: Version,
    subject: &str,
) -> Result<Bytes> {
    let format = if definition.runs_by_itself() { FORMAT_VERSION } else { 1 };
    encode(&DefinitionMessage { format, version, definition }, [], subject)
}

pub(super) fn decode_definition(message: &RawMessage) -> Result<StoredDefinition> {
    in_log(message, |sequence| {
        let decoded: DefinitionMessage<WorkflowDefinition> = decode(message)?;
        let DefinitionMessage { format, definition, version } = decoded;
        readable(format)?;
        let mut words = message.subject.rsplit('.').skip(1);
        if words.next() != Some(definition.id.as_str()) {
            let reason = format!("it defines workflow {}: another subject", definition.id);
            return Err(Fault::new(reason));
        }
        Ok(StoredDefinition { definition, version, sequence, stored_at: message.timestamp })
    })
}

pub(super) fn encode_queue(settings: &QueueSettings, subject: &str) -> Result<Bytes> {
    let QueueSettings { ack_wait, most_in_flight, paused } = *settings;
    let ack_wait_ms = u64::try_from(ack_wait.as_millis()).unwrap_or(u64::MAX);
    let message = QueueMessage { format: QUEUE_FORMAT, ack_wait_ms, most_in_flight, paused };
    encode(&message, [], subject)
}

/// The settings of a queue and their version.
pub(super) fn decode_queue(message: &RawMessage) -> Result<(QueueSettings, LogSequence)> {
    in_log(message, |sequence| {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        // First, since a later format may have other fields.
        let Format { format } = decode(message)?;
        readable_up_to(QUEUE_FORMAT, format)?;
        let QueueMessage { ack_wait_ms, most_in_flight, paused, .. } = decode(message)?;
        let ack_wait = Duration::from_millis(ack_wait_ms);
        Ok((QueueSettings { ack_wait, most_in_flight, paused }, sequence))
    })
}

/// A live token from its view message.
pub(super) fn decode_token(message: &RawMessage) -> Result<Token> {
    let format = number(message, FORMAT).unwrap_or_default();
    let token = readable_up_to(VIEW_FORMAT, format).and_then(|()| decode(message));
    let mut token: Token = token.map_err(|fault| fault.in_view(message))?;
    token.nats_timestamp = Some(message.timestamp);
    token.nats_subject = Some(message.subject.clone());
    Ok(token)
}

/// A register from its message, with any contents.
pub(super) fn decode_register(message: &RawMessage, subjects: &Subjects) -> Result<Register> {
    let (workflow, place, token) = subjects
        .parse_token(&message.subject)
        .ok_or_else(|| Fault::new("its subject is no token's").in_view(message))?;
    let state = match message.payload.is_empty() {
        true => RegisterState::Gone { revision: revision(message) },
        false => match decode_token(message) {
            Ok(token) => RegisterState::Live(Box::new(token)),
            Err(error) => RegisterState::Unreadable { reason: error.to_string() },
        },
    };
    let sequence = ViewSequence::new(message.sequence);
    Ok(Register { workflow, place, token, sequence, state })
}

/// A register without its contents, from a message whose body was left out.
pub(super) fn decode_outline(message: &RawMessage, subjects: &Subjects) -> Result<Outline> {
    let (workflow, place, token) = subjects
        .parse_token(&message.subject)
        .ok_or_else(|| Fault::new("its subject is no token's").in_view(message))?;
    let revision = revision(message);
    // A body that is empty has no size either.
    let is_gone = number::<u64>(message, SIZE).unwrap_or_default() == 0;
    Ok(Outline { workflow, place, token, revision, is_gone })
}

/// A record of a lifecycle, by its subject.
pub(super) fn decode_lifecycle(message: &RawMessage, subjects: &Subjects) -> Result<Lifecycle> {
    in_log(message, |sequence| {
        let (workflow, case) = subjects
            .parse_record(&message.subject)
            .ok_or_else(|| Fault::new("its subject is no case's"))?;
        Ok(Lifecycle { workflow, case, sequence })
    })
}

fn number<N: FromStr>(message: &RawMessage, header: HeaderName) -> Option<N> {
    message.headers.get(header)?.as_str().parse().ok()
}

/// The log sequence of the record that a view message comes from, where it says so.
pub(super) fn revision(message: &RawMessage) -> Option<LogSequence> {
    LogSequence::new(number(message, REVISION)?)
}

/// The place that a marker names as its token's.
pub(super) fn moved_to(message: &RawMessage) -> Option<PlaceId> {
    PlaceId::new(message.headers.get(MOVED_TO)?.as_str()).ok()
}

/// The body of a view write.
pub(super) fn encode_view(write: &ViewWrite, subject: &str) -> Result<Bytes> {
    let ViewContent::Live(token) = &write.content else { return Ok(Bytes::new()) };
    // The time is the message's own. A token that was read from the log carries that record's,
    // and the view must not depend on where a token was read.
    let timeless = match token.nats_timestamp {
        None => Arc::clone(token),
        Some(_) => Arc::new(Token { nats_timestamp: None, ..Token::clone(token) }),
    };
    encode(timeless.as_ref(), [timeless.as_ref()], subject)
}

/// The headers of a view write.
pub(super) fn headers_of_view(write: &ViewWrite, expected: u64, marker_ttl: Duration) -> HeaderMap {
    match &write.content {
        ViewContent::Live(token) => view_headers(&write.case, token.nats_sequence, expected),
        ViewContent::Gone { revision, moved_to } => {
            let mut headers = view_headers(&write.case, *revision, expected);
            add_marker_headers(&mut headers, moved_to.as_ref(), marker_ttl);
            headers
        }
    }
}

/// The headers that all view messages have. `expected` is the subject's last sequence, 0 for
/// none: the message that is there is rolled up.
pub(super) fn view_headers(
    case: &CaseId,
    revision: Option<LogSequence>,
    expected: u64,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(FORMAT, VIEW_FORMAT.to_string());
    headers.insert(CASE, case.as_str());
    headers.insert(REVISION, revision.map_or(0, LogSequence::get).to_string());
    if expected != 0 {
        headers.insert(NATS_ROLLUP, "sub");
    }
    headers
}

/// The case that a view message is of.
pub(super) fn case_of(message: &async_nats::Message) -> Option<CaseId> {
    CaseId::new(message.headers.as_ref()?.get(CASE)?.as_str()).ok()
}

/// Adds the headers of a marker. `moved_to` is the place of its token now, if it is alive.
pub(super) fn add_marker_headers(
    headers: &mut HeaderMap,
    moved_to: Option<&PlaceId>,
    kept: Duration,
) {
    headers.insert(MOVED_TO, moved_to.map_or("-", |place| place.as_str()));
    headers.insert(NATS_MESSAGE_TTL, format!("{}s", kept.as_secs()));
}
