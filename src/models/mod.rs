//! Plain data: the stored forms, and the values that the parts hand one another. No I/O.

mod activity;
mod case;
mod clock;
mod definition;
mod digest;
mod history;
mod ids;
mod journal;
mod json;
mod marking;
mod memory;
pub mod petri;
mod position;
mod principal;
mod problem;
mod record;
mod sequence;
mod token;
mod visible;
mod wait;
mod work_class;

pub use activity::{Activity, ActivityDefaults, Outcome, Retry};
pub use case::{Case, CaseStatus};
pub use clock::Clock;
pub use definition::{
    ArcKind, Guard, InputArc, OutputArc, Place, PlaceKind, Rule, StoredDefinition, Transition,
    WorkflowDefinition,
};
pub use digest::{Digests, TokenDigest, VOUCHED_FROM};
pub use history::{Passed, TransitionEvent};
pub(crate) use ids::hex;
pub use ids::{
    CaseId, FiringId, IdError, IdProblem, KindId, OutcomeId, PlaceId, QueueId, TokenId,
    TransitionId, WorkflowId,
};
pub use journal::{
    Chosen, EntryKind, JOURNAL_FORMAT, JOURNAL_PAGE, JournalEnd, JournalEntry, JournalId,
    Operation, OperationEnd, OperationKind, StoredEntry, Times,
};
pub use json::{
    MAX_NESTING, MAX_NESTING_READ, is_kept_name, json_length, kept_name, nesting, object_kept_name,
    object_length, object_nesting, text_length,
};
pub(crate) use json::{MOST_UNKNOWN, read_json, read_json_noting};
pub use json::{Unambiguous, unambiguous};
pub use marking::{Marking, MarkingEntry};
pub(crate) use memory::object_memory;
pub use position::{LogPosition, LogStream};
pub use principal::{Principal, Role};
pub use problem::{Problem, Problems};
pub use record::{
    Answer, Aside, Chain, Ended, FORMAT_VERSION, Failure, Fence, Held, IdHash, Incident,
    IncidentAbout, IncidentCode, Item, LONGEST_EXPLANATION, Link, Next, OnResume, PAGE_LENGTH,
    PageAt, PutAside, Raised, Record, RecordKind, Running, Step, Stored, Timer, TokenAt, Wait,
    Work,
};
pub(crate) use record::{LONGEST_LINK, UNKNOWN_KIND};
pub use sequence::{LogSequence, NoSequence, Revision, Version, ViewSequence};
pub use token::{HISTORY_KEPT, HISTORY_WHOLE_EVERY, Token};
pub use visible::{visible, visible_json, visible_lines, without_logins};
pub use work_class::WorkClass;
