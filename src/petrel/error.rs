//! Errors of operations on cases, by the caller's way to deal with them.

use super::{lookup::Lookup, work_refused::WorkRefused};
#[cfg(feature = "analysis")]
use crate::analysis::{Report, Verdict};
use crate::{
    engine::{Excess, NotEnabled, RanOut},
    models::{
        CaseId, CaseStatus, IdError, LogSequence, Problems, Record, RecordKind, Revision, Stored,
        TokenId, TransitionId, Version, WorkflowId,
    },
    storage::StorageError,
};

/// A failed operation on workflows and cases.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The named thing does not exist; the server said so.
    #[error("{_0} does not exist{}", _0.hint())]
    NotFound(Lookup),
    /// The definition that the case runs has no such transition; nothing was stored.
    #[error("workflow {workflow} has no transition {transition}; it has {}", listed(.known))]
    NoTransition {
        /// The workflow.
        workflow: WorkflowId,
        /// The transition that was asked for.
        transition: TransitionId,
        /// The transitions of the workflow.
        known: Vec<TransitionId>,
    },
    /// The definition has problems, all of them listed; nothing was stored.
    #[error(transparent)]
    InvalidDefinition(Problems),
    /// Only sound definitions are wanted, and this one is not known to be; nothing was stored.
    #[cfg(feature = "analysis")]
    #[error("workflow {workflow} {}{}", not_sound(.report.verdict), found(.report))]
    NotSound {
        /// The workflow.
        workflow: WorkflowId,
        /// The report of the check.
        report: Box<Report>,
    },
    /// An argument makes no sense; nothing was stored.
    #[error("{argument}: {reason}")]
    InvalidArgument {
        /// Name of the argument.
        argument: String,
        /// The fault of the argument, with advice.
        reason: String,
    },
    /// The transition can't fire now; nothing was stored.
    #[error(transparent)]
    NotEnabled(Box<NotEnabled>),
    /// Nobody knows if the transition can fire, since it costs too much to find out. Nothing
    /// was stored.
    #[error(
        "whether transition {} can fire in case {} is not known: {}", _0.transition, _0.case, _0.why()
    )]
    Undecided(Box<NotEnabled>),
    /// Too much is asked of this process at this moment; nothing was stored. Try again.
    #[error("too much is asked at once: {reason}; try again")]
    Overloaded {
        /// The part of the load that is too much.
        reason: String,
    },
    /// The case's status forbids it; nothing was stored.
    #[error("case {case} is {}; {reason}", .status.as_str())]
    WrongStatus {
        /// The case.
        case: CaseId,
        /// Its status.
        status: CaseStatus,
        /// Advice.
        reason: &'static str,
    },
    /// Nothing is done with the work item; nothing was stored.
    #[error("{_0}")]
    Work(Box<WorkRefused>),
    /// Somebody else changed it; nothing was stored. Read it again and decide again.
    #[error("{what} is at revision {actual}, not at {expected}; read it again and decide again")]
    Conflict {
        /// The thing that was to be changed.
        what: String,
        /// The revision that the caller expected.
        expected: Revision,
        /// The revision it has.
        actual: Revision,
    },
    /// Somebody else stored another version of the workflow; nothing was stored.
    #[error("workflow {workflow} {}; read it again and decide again", unlike(.expected, .actual))]
    VersionConflict {
        /// The workflow.
        workflow: WorkflowId,
        /// The version that the caller expected to be the latest.
        expected: Version,
        /// The latest version; `None` if there is none.
        actual: Option<Version>,
    },
    /// Others write the views of a case all the time, so they can't be mended now.
    #[error("the views of case {case} are written by others all the time; look at them again")]
    ViewsContended {
        /// The case.
        case: CaseId,
    },
    /// There is a workflow with this id already, and only a new one is wanted.
    #[error("workflow {workflow} exists already, and it is not the same: {reason}")]
    AlreadyExists {
        /// The workflow.
        workflow: WorkflowId,
        /// Its difference.
        reason: String,
    },
    /// An id that the caller chose was used before, for another request; nothing was stored.
    #[error(
        "{kind} id {id} was used before in case {case}, for something else: {first}; this request \
         differs in its {what}; choose another id"
    )]
    IdTaken {
        /// The kind of id: `firing` or `case`.
        kind: &'static str,
        /// The id.
        id: String,
        /// The case.
        case: CaseId,
        /// The part in which the requests differ.
        what: &'static str,
        /// Its first use.
        first: Box<FirstUse>,
    },
    /// An id that may be that of a message which an operator put aside; nothing was stored.
    #[error(
        "firing id {id} may be that of the message at log sequence {sequence} of case {case}, \
         which was put aside, so nothing happened now; look at the case's history, and if it is \
         to happen, ask for it under another firing id"
    )]
    IdPutAside {
        /// The id.
        id: String,
        /// The case.
        case: CaseId,
        /// The log sequence of the message.
        sequence: LogSequence,
    },
    /// Its messages would be more than the store or a reader takes; nothing was stored.
    #[error(transparent)]
    Excess(Excess),
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A case's log contradicts itself; other cases are not affected.
    #[error("workflow {workflow}, case {case}: {} does not fit the case: {reason}", record(.sequence))]
    BrokenLog {
        /// The workflow.
        workflow: WorkflowId,
        /// The case.
        case: CaseId,
        /// The record's sequence in the log; `None` for one that was not stored.
        sequence: Option<LogSequence>,
        /// The contradiction.
        reason: String,
    },
    /// The temporary file, for records that do not fit in memory, can't be written or read.
    #[error("the temporary file, in the folder that TMPDIR names: {0}")]
    TemporaryFile(std::io::Error),
}

/// The first use of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FirstUse {
    /// The kind of change.
    pub kind: RecordKind,
    /// The transition, if it was a firing.
    pub transition: Option<TransitionId>,
    /// The log sequence of the record.
    pub sequence: LogSequence,
}

impl FirstUse {
    pub(in crate::petrel) fn of(record: &Stored<Record>) -> Self {
        let (kind, transition) = (record.value.kind, record.value.transition.clone());
        Self { kind, transition, sequence: record.sequence }
    }
}

impl std::fmt::Display for FirstUse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "record {} ({}", self.sequence, self.kind.as_str())?;
        match &self.transition {
            Some(transition) => write!(f, " {transition})"),
            None => write!(f, ")"),
        }
    }
}

fn unlike(expected: &Version, actual: &Option<Version>) -> String {
    match actual {
        Some(actual) => format!("is at version {actual}, not at {expected}"),
        None => format!("has no version, not even {expected}"),
    }
}

fn record(sequence: &Option<LogSequence>) -> String {
    sequence.map_or_else(|| "its next record".to_owned(), |at| format!("record {at}"))
}

/// Number of a list's items that an error names.
const MOST_NAMED: usize = 100;

fn listed(known: &[TransitionId]) -> String {
    named(&known.iter().map(TransitionId::as_str).collect::<Vec<_>>())
}

/// The first of these, and the number of the others.
pub(in crate::petrel) fn named(all: &[&str]) -> String {
    let some = all[..all.len().min(MOST_NAMED)].join(", ");
    match all.len().saturating_sub(MOST_NAMED) {
        0 => some,
        more => format!("{some}, and {more} more"),
    }
}

#[cfg(feature = "analysis")]
fn not_sound(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Unknown => "is not known to be sound, and only sound ones are wanted here",
        _ => "is not sound, and only sound ones are wanted here",
    }
}

#[cfg(feature = "analysis")]
fn found(report: &Report) -> String {
    report.findings.iter().map(|finding| format!("\n  {finding}")).collect()
}

impl From<IdError> for Error {
    fn from(error: IdError) -> Self {
        Self::InvalidArgument { argument: format!("{} id", error.kind), reason: error.to_string() }
    }
}

impl Error {
    pub(crate) fn no_workflow(id: &WorkflowId) -> Self {
        Self::NotFound(Lookup::Workflow(id.clone()))
    }

    /// The error for a transition that does not fire: it can't, or nobody knows.
    pub(crate) fn not_enabled(reasons: Box<NotEnabled>) -> Self {
        match reasons.ran_out() {
            None => Self::NotEnabled(reasons),
            Some(RanOut::Steps(_)) => Self::Undecided(reasons),
            Some(RanOut::Time) => Self::Overloaded {
                reason: format!("transition {}: {}", reasons.transition, reasons.why()),
            },
        }
    }

    pub(crate) fn no_case(id: &CaseId) -> Self {
        Self::NotFound(Lookup::Case(id.clone()))
    }

    pub(crate) fn no_token(id: &TokenId) -> Self {
        Self::NotFound(Lookup::Token(id.clone()))
    }

    pub(crate) fn argument(argument: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::InvalidArgument { argument: argument.into(), reason: reason.into() }
    }

    /// A stable name of the error, for programs: `NOT_FOUND`, `NOT_ENABLED`, `NOT_SOUND`,
    /// `CONFLICT`, `INVALID_ARGUMENT`, `ALREADY_EXISTS`, `WRONG_STATUS`, `UNAVAILABLE`,
    /// `UNDECIDED`, `OVERLOADED`, `TOO_LARGE`, `STORAGE_FULL`, `CORRUPT`, `LOG_WENT_BACK`,
    /// `PERMISSION_DENIED`, `MISCONFIGURED`, `IO`, or one of [`WorkRefused::code`].
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(_) | Self::NoTransition { .. } => "NOT_FOUND",
            Self::InvalidDefinition(_) | Self::InvalidArgument { .. } => "INVALID_ARGUMENT",
            #[cfg(feature = "analysis")]
            Self::NotSound { .. } => "NOT_SOUND",
            Self::NotEnabled(_) => "NOT_ENABLED",
            Self::Undecided(_) => "UNDECIDED",
            Self::Overloaded { .. } => "OVERLOADED",
            Self::WrongStatus { .. } => "WRONG_STATUS",
            Self::Work(refused) => refused.code(),
            Self::Conflict { .. }
            | Self::VersionConflict { .. }
            | Self::ViewsContended { .. }
            | Self::IdTaken { .. }
            | Self::IdPutAside { .. }
            | Self::Storage(StorageError::LostRace { .. }) => "CONFLICT",
            Self::AlreadyExists { .. } => "ALREADY_EXISTS",
            Self::BrokenLog { .. }
            | Self::Storage(
                StorageError::Corrupt { .. }
                | StorageError::CorruptView { .. }
                | StorageError::Unwritable { .. },
            ) => "CORRUPT",
            Self::Excess(Excess::Name { .. }) => "INVALID_ARGUMENT",
            Self::Excess(_) | Self::Storage(StorageError::TooLarge { .. }) => "TOO_LARGE",
            Self::Storage(StorageError::Full { .. }) => "STORAGE_FULL",
            Self::Storage(StorageError::LogWentBack { .. }) => "LOG_WENT_BACK",
            Self::Storage(StorageError::Denied(_)) => "PERMISSION_DENIED",
            Self::Storage(StorageError::Unavailable { .. }) => "UNAVAILABLE",
            Self::Storage(StorageError::Stream { .. } | StorageError::Config { .. }) => {
                "MISCONFIGURED"
            }
            Self::TemporaryFile(_) => "IO",
        }
    }

    /// Returns true if it is about one case and its messages, so that work on others can go
    /// on.
    pub(crate) fn is_of_one_case(&self) -> bool {
        match self {
            Self::Storage(error) => {
                matches!(
                    error,
                    StorageError::Corrupt { .. }
                        | StorageError::CorruptView { .. }
                        | StorageError::Unwritable { .. }
                        | StorageError::TooLarge { .. }
                )
            }
            Self::Conflict { .. }
            | Self::VersionConflict { .. }
            | Self::ViewsContended { .. }
            | Self::TemporaryFile(_)
            | Self::Overloaded { .. } => false,
            _ => true,
        }
    }

    /// Returns true if the same call may succeed when it is made again, without deciding anew.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Storage(error) => error.retryable(),
            Self::Overloaded { .. } => true,
            _ => false,
        }
    }
}
