//! Failures of commands: a text for people, a document for programs, and the exit code.

use std::{io, process::ExitCode};

use serde_json::json;

use super::answer::{complain, complain_json};
#[cfg(feature = "peers")]
use crate::bench::peers::PostgresError;
use crate::{
    bench::{LoadError, PeerError},
    config::ConfigError,
    durable::{AnswerError, SettleError},
    local_server::LocalServerError,
    models::without_logins,
    petrel,
    storage::StorageError,
};

/// Reason that a command failed.
#[derive(Debug)]
pub(super) struct Failure {
    code: &'static str,
    message: String,
    retryable: bool,
    exit: Exit,
    /// True if it is about a message of a case that an operator can put aside.
    of_record: bool,
}

/// The exit codes beside 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    /// The operation was refused or failed.
    Failed = 1,
    /// The command line or the settings make no sense.
    Usage = 2,
    /// The server can't be reached; trying again later may help.
    Unavailable = 3,
    /// The command was stopped from outside; the shell's number for Ctrl-C.
    Interrupted = 130,
}

impl Failure {
    /// The command line or a file that it names can't be used.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new("USAGE", message, Exit::Usage)
    }

    /// The input is not valid.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new("INVALID_ARGUMENT", message, Exit::Failed)
    }

    /// Something that should not happen.
    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new("INTERNAL", message, Exit::Failed)
    }

    /// A stored message can't be read.
    pub(super) fn corrupt(message: impl Into<String>) -> Self {
        Self::new("CORRUPT", message, Exit::Failed)
    }

    /// An audit has found something.
    pub(super) fn findings(message: impl Into<String>) -> Self {
        Self::new("FINDINGS", message, Exit::Failed)
    }

    /// A part that a yes needs could not be done; the exit code is that of wrong usage.
    pub(super) fn incomplete(message: impl Into<String>) -> Self {
        Self::new("INCOMPLETE", message, Exit::Usage)
    }

    /// A server that is needed does not run or can't be run.
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self { retryable: true, ..Self::new("UNAVAILABLE", message, Exit::Unavailable) }
    }

    /// The user stopped it, and knows about it.
    pub(super) fn interrupted() -> Self {
        Self::new("INTERRUPTED", "interrupted", Exit::Interrupted)
    }

    fn new(code: &'static str, message: impl Into<String>, exit: Exit) -> Self {
        // Whatever names an address, no login is shown.
        let message = without_logins(&message.into()).into_owned();
        Self { code, message, retryable: false, exit, of_record: false }
    }

    /// The same failure, with its subject before it.
    pub(super) fn about(self, what: impl std::fmt::Display) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }

    /// The same failure, with advice after it.
    pub(super) fn and(self, hint: impl std::fmt::Display) -> Self {
        Self { message: format!("{}; {hint}", self.message), ..self }
    }

    /// Writes it to stderr, and returns the exit code.
    pub(super) fn report(&self, as_json: bool) -> ExitCode {
        if self.exit != Exit::Interrupted {
            match as_json {
                true => complain_json(&self.to_json().to_string()),
                false => complain(&self.to_text()),
            }
        }
        self.exit_code()
    }

    /// The same failure, about messages that an operator can put aside if one of these errors is.
    pub(super) fn about_records<'e>(
        self,
        errors: impl IntoIterator<Item = &'e StorageError>,
    ) -> Self {
        Self { of_record: errors.into_iter().any(is_of_record), ..self }
    }

    /// Returns true if trying again later may help.
    pub(super) fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// The code that the process ends with.
    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit as u8)
    }

    /// Document for programs.
    pub(super) fn to_json(&self) -> serde_json::Value {
        let Self { code, message, retryable, .. } = self;
        json!({ "error": { "code": code, "message": message, "retryable": retryable } })
    }

    /// Text for people, with advice.
    pub(super) fn to_text(&self) -> String {
        let mut text = format!("error: {}", indented(&self.message));
        let advice = match self.code {
            "NOT_ENABLED" => "`petrel case explain` shows what every transition waits for",
            "CORRUPT" if self.of_record => {
                "`petrel case quarantine` puts aside what in a case's log can't be read"
            }
            // A local server that could not be run says itself what to do.
            "UNAVAILABLE" if !self.retryable => return text,
            "PERMISSION_DENIED" => {
                "`petrel doctor` checks the login and prints the permissions to grant"
            }
            "UNAVAILABLE" | "MISCONFIGURED" => {
                "`petrel doctor` checks the connection and the streams"
            }
            _ => return text,
        };
        text.push_str("\n  try: ");
        text.push_str(advice);
        text
    }
}

/// Returns true if an operator can put aside the message that an error is about: it is one of a
/// case, and none of a newer version, which can read it.
fn is_of_record(error: &StorageError) -> bool {
    let StorageError::Corrupt { subject, newer: false, .. } = error else { return false };
    // The case and the branch come last, and no id has a dot.
    let mut parts = subject.rsplit('.').skip(1);
    matches!(parts.next(), Some("transitions" | "lifecycle")) && parts.next() == Some("events")
}

/// A message of several lines, of which only the first begins at the margin, so that a quoted
/// line can't pass for a message of its own.
fn indented(message: &str) -> String {
    let mut lines = message.lines();
    let mut text = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        text.push_str(if line.starts_with(' ') { "\n" } else { "\n  " });
        text.push_str(line);
    }
    text
}

impl From<AnswerError> for Failure {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Petrel(error) => error.into(),
            error => Self::new(error.code(), error.to_string(), Exit::Failed),
        }
    }
}

impl From<SettleError> for Failure {
    fn from(error: SettleError) -> Self {
        match error {
            SettleError::Petrel(error) => error.into(),
            error => Self::new(error.code(), error.to_string(), Exit::Failed),
        }
    }
}

impl From<petrel::Error> for Failure {
    fn from(error: petrel::Error) -> Self {
        let code = error.code();
        let exit = if code == "UNAVAILABLE" { Exit::Unavailable } else { Exit::Failed };
        let of_record = match &error {
            petrel::Error::BrokenLog { .. } => true,
            petrel::Error::Storage(error) => is_of_record(error),
            _ => false,
        };
        let retryable = error.retryable();
        Self { retryable, of_record, ..Self::new(code, error.to_string(), exit) }
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        petrel::Error::from(error).into()
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<LocalServerError> for Failure {
    fn from(error: LocalServerError) -> Self {
        Self { retryable: false, ..Self::unavailable(error.to_string()) }
    }
}

impl From<PeerError> for Failure {
    fn from(error: PeerError) -> Self {
        Self::new("PEER", error.to_string(), Exit::Failed)
    }
}

#[cfg(feature = "peers")]
impl From<PostgresError> for Failure {
    fn from(error: PostgresError) -> Self {
        Self::new("PEER", error.to_string(), Exit::Failed)
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Engine(error) => error.into(),
            LoadError::Peer(error) => error.into(),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        // Whoever read our output has had enough; that is no failure worth a message.
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::interrupted();
        }
        Self::new("IO", error.to_string(), Exit::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{CaseId, LogSequence, WorkflowId};

    #[test]
    fn a_refusal_exits_with_1_and_an_absent_server_with_3() {
        let (expected, actual) = (LogSequence::FIRST.into(), LogSequence::FIRST.next().into());
        let conflict = petrel::Error::Conflict { what: "case a".into(), expected, actual };
        assert_eq!(Failure::from(conflict).exit, Exit::Failed);
        let away = StorageError::Unavailable { reason: "no route".into(), away_since: None };
        let failure = Failure::from(away);
        assert_eq!((failure.exit, failure.retryable), (Exit::Unavailable, true));
        assert!(failure.to_text().contains("petrel doctor"));
        assert_eq!(Failure::from(ConfigError::NoDataFolder).exit, Exit::Usage);
        let taken = Failure::from(LocalServerError::PortInUse { port: 4222 });
        assert_eq!(taken.exit, Exit::Unavailable);
        assert!(!taken.to_text().contains("petrel doctor"));
    }

    #[test]
    fn a_message_that_can_be_put_aside_is_known_by_its_subject_and_not_by_words() {
        let advised = |subject: &str, reason: &str, newer| {
            let (subject, reason) = (subject.to_owned(), reason.to_owned());
            let error =
                StorageError::Corrupt { subject, sequence: LogSequence::FIRST, reason, newer };
            Failure::from(error).to_text().contains("petrel case quarantine")
        };
        let record = "cb.workflows.events.events.lifecycle.k";
        assert!(advised(record, "it is no JSON", false));
        assert!(advised(record, "it says: use a newer petrel", false));
        assert!(!advised(record, "it has format 2", true));
        let others =
            ["cb.workflows.events.definition", "cb.workflows.w.places.events.tokens.k-t-1"];
        for subject in others {
            assert!(!advised(subject, "it is no JSON; a text in it: .events.", false), "{subject}");
        }
        let (workflow, case) = (WorkflowId::new("w").unwrap(), CaseId::new("k").unwrap());
        let reason = "it follows record 3, not 4".to_owned();
        let broken =
            petrel::Error::BrokenLog { workflow, case, sequence: Some(LogSequence::FIRST), reason };
        assert!(Failure::from(broken).to_text().contains("petrel case quarantine"));
    }

    #[test]
    fn programs_get_code_message_and_whether_to_try_again() {
        let case = CaseId::new("order-1").unwrap();
        let error = petrel::Error::NotFound(petrel::Lookup::Case(case));
        let failure = Failure::from(error);
        assert_eq!(
            failure.to_json(),
            json!({"error": {
                "code": "NOT_FOUND", "message": "case order-1 does not exist", "retryable": false
            }})
        );
        assert_eq!(failure.to_text(), "error: case order-1 does not exist");
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure_to_speak_of() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(failure.exit, Exit::Interrupted);
    }
}
