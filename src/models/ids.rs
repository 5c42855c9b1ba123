//! Validated identifiers. An id is part of a NATS subject, so few characters may be in it.

use std::{fmt, marker::PhantomData, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, de};
use sha2::{Digest, Sha256};

/// A text that is no id, and the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} id {value:?} {problem}")]
pub struct IdError {
    /// Kind of id that was asked for: `workflow`, `place`, `transition`, `case`, `token`, `queue`,
    /// `kind`, `outcome` or `firing`.
    pub kind: &'static str,
    /// The refused text, at most its first 80 characters.
    pub value: String,
    /// The fault of the text.
    pub problem: IdProblem,
}

/// Fault of a text that is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdProblem {
    /// A text without characters.
    #[error("is empty; give it 1 to {max} characters of A-Z a-z 0-9 _ -")]
    Empty {
        /// The most characters that this kind of id may have.
        max: usize,
    },
    /// More characters than a subject token should carry.
    #[error("has {length} characters; the most is {max}")]
    TooLong {
        /// Number of characters in the text.
        length: usize,
        /// The most characters that this kind of id may have.
        max: usize,
    },
    /// A character outside `[A-Za-z0-9_-]`.
    #[error(
        "has {character:?} at position {position}; allowed are A-Z a-z 0-9 _ - (positions count from 0)"
    )]
    Character {
        /// The refused character.
        character: char,
        /// Its place in the text, in characters, from 0.
        position: usize,
    },
    /// A text that begins with `~`.
    #[error("begins with ~, which is kept for the program's own; choose another one")]
    Reserved,
}

/// First character of the ids that the program makes by its own rules.
const RESERVED: char = '~';

fn check(kind: &'static str, value: &str, max: usize) -> Result<(), IdError> {
    let fail = |problem| {
        let value = value.chars().take(80).collect();
        Err(IdError { kind, value, problem })
    };
    if value.is_empty() {
        return fail(IdProblem::Empty { max });
    }
    if kind == FiringId::KIND && value.starts_with(RESERVED) {
        return fail(IdProblem::Reserved);
    }
    let odd = |c: &char| !(c.is_ascii_alphanumeric() || *c == '_' || *c == '-');
    if let Some((position, character)) = value.chars().enumerate().find(|(_, c)| odd(c)) {
        return fail(IdProblem::Character { character, position });
    }
    if value.len() > max {
        return fail(IdProblem::TooLong { length: value.len(), max });
    }
    Ok(())
}

/// Reads an id from a text, without a copy of the text in between: a token with its history
/// has some 200 of them.
struct Checked<Id>(PhantomData<Id>);

/// Texts that may be stored: they include ids of the program's own.
trait Stored: Sized {
    fn stored(text: &str) -> Result<Self, IdError>;
}

impl<Id: Stored> de::Visitor<'_> for Checked<Id> {
    type Value = Id;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
        Id::stored(text).map_err(E::custom)
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $max:literal) => {
        $(#[$doc])*
        ///
        /// Made of `[A-Za-z0-9_-]`, so it can never widen or split a NATS subject. A clone
        /// shares the text.
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The most characters this id may have.
            pub const MAX_LENGTH: usize = $max;

            const KIND: &str = $kind;

            /// Checks `value` and makes an id of it.
            pub fn new(value: impl AsRef<str>) -> Result<Self, IdError> {
                let value = value.as_ref();
                check(Self::KIND, value, Self::MAX_LENGTH)?;
                Ok(Self(value.into()))
            }

            /// The text of the id.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let pattern = format!("^[A-Za-z0-9_-]{{1,{}}}$", Self::MAX_LENGTH);
                schemars::json_schema!({ "type": "string", "pattern": pattern })
            }
        }

        impl Stored for $name {
            fn stored(text: &str) -> Result<Self, IdError> {
                let plain = match Self::KIND == FiringId::KIND {
                    true => text.strip_prefix(RESERVED).unwrap_or(text),
                    false => text,
                };
                check(Self::KIND, plain, Self::MAX_LENGTH)?;
                Ok(Self(text.into()))
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_str(Checked(PhantomData))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(value: &str) -> Result<Self, IdError> {
                Self::new(value)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(value: String) -> Result<Self, IdError> {
                Self::new(value)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = IdError;
            fn try_from(value: &str) -> Result<Self, IdError> {
                Self::new(value)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

id!(
    /// Names a workflow: a net and all the versions of its definition.
    WorkflowId, "workflow", 64
);
id!(
    /// Names a place of a workflow.
    PlaceId, "place", 64
);
id!(
    /// Names a transition of a workflow.
    TransitionId, "transition", 64
);
id!(
    /// Names a case: one run of a workflow. Unique within the workflow.
    CaseId, "case", 64
);
id!(
    /// Names a token: its case, a tag made of its workflow's id, and its number in the case
    /// counted from 1, joined by dashes (`order-7-3f0c9a1b2d-1`). The id is therefore unique
    /// across workflows, and leads to the case and the workflow without an index.
    TokenId, "token", 96
);
id!(
    /// Names a queue: where workers of a kind look for work.
    QueueId, "queue", 64
);
id!(
    /// Names a kind of work: the handler that carries it out.
    KindId, "kind", 64
);
id!(
    /// Names a way for an activity to end.
    OutcomeId, "outcome", 64
);
id!(
    /// Names one attempt to change a case. A caller may repeat it; the change happens once.
    FiringId, "firing", 64
);

impl FiringId {
    /// Returns true if it is one of the program's own, which no caller may choose.
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with(RESERVED)
    }

    /// The id of the answer to a claim of a work item: a claim has one.
    pub(crate) fn of_answer(item: u64, claim: u64) -> Self {
        Self(format!("{RESERVED}{item}-{claim}").into())
    }

    /// An id for one start of a work item. `part` is chosen at random.
    pub(crate) fn of_start(item: u64, part: u64) -> Self {
        Self(format!("{RESERVED}{item}-begin-{part:016x}").into())
    }
}

/// Number of hexadecimal digits of the workflow id's hash in a token id. With 10,000
/// workflows, one installation in twenty thousand has a shared tag, and then both are tried.
const TAG_DIGITS: usize = 10;

impl WorkflowId {
    /// The part of a token id that stands for this workflow: the first ten hexadecimal
    /// digits of the SHA-256 of its id.
    pub fn tag(&self) -> String {
        let mut tag = hex(&Sha256::digest(self.as_str()));
        tag.truncate(TAG_DIGITS);
        tag
    }
}

/// `bytes` in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

impl TokenId {
    /// The id of the `number`th token of a case, counted from 1. `tag` is the
    /// [`WorkflowId::tag`] of the case's workflow.
    pub fn of_case(tag: &str, case: &CaseId, number: u64) -> Self {
        // 64 characters of the case, ten of the tag, two dashes and at most 20 digits.
        Self(format!("{case}-{tag}-{number}").into())
    }

    /// A token by its number alone, as records are stored: no id until [`in_case`](Self::in_case)
    /// has given it its name.
    pub(in crate::models) fn by_number(number: u64) -> Self {
        Self(format!("{RESERVED}{number}").into())
    }

    /// Names a token that is known by its number alone, given what the ids of the case begin with.
    pub(in crate::models) fn in_case(&mut self, beginning: &str) {
        if let Some(number) = self.0.strip_prefix(RESERVED) {
            *self = Self(format!("{beginning}{number}").into());
        }
    }

    /// Beginning of the ids of a case's tokens: all of them but the number.
    pub(in crate::models) fn beginning(workflow: &WorkflowId, case: &CaseId) -> String {
        format!("{case}-{}-", workflow.tag())
    }

    /// The token's number in its case; `None` for an id that no case can have given.
    pub fn number(&self) -> Option<u64> {
        self.0.rsplit_once('-')?.1.parse().ok()
    }

    /// The case this token belongs to and the tag of its workflow; `None` for an id that
    /// no case can have given.
    pub fn case(&self) -> Option<(CaseId, &str)> {
        let (rest, number) = self.0.rsplit_once('-')?;
        let (case, tag) = rest.rsplit_once('-')?;
        number.parse::<u64>().ok()?;
        Some((CaseId::new(case).ok()?, tag))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_refused_id_names_the_character_and_its_position() {
        let error = WorkflowId::new("ord.er").unwrap_err();
        assert_eq!(error.problem, IdProblem::Character { character: '.', position: 3 });
        assert!(error.to_string().contains("'.' at position 3"), "{error}");
    }

    #[test]
    fn a_callers_firing_id_is_none_of_the_programs_and_a_stored_one_may_be() {
        let error = FiringId::new("~3-1").unwrap_err();
        assert_eq!(error.problem, IdProblem::Reserved);
        let stored: FiringId = serde_json::from_str("\"~3-1\"").unwrap();
        assert!(stored.is_reserved() && stored.as_str() == "~3-1");
        assert!(serde_json::from_str::<CaseId>("\"~3-1\"").is_err());
        assert!(serde_json::from_str::<FiringId>("\"~~\"").is_err());
    }

    #[test]
    fn empty_and_long_ids_are_refused_with_the_limit() {
        assert!(PlaceId::new("").unwrap_err().to_string().contains("1 to 64"));
        let error = PlaceId::new("x".repeat(65)).unwrap_err();
        assert_eq!(error.problem, IdProblem::TooLong { length: 65, max: 64 });
        assert!(PlaceId::new("x".repeat(64)).is_ok());
    }

    #[test]
    fn a_token_id_leads_to_its_case() {
        let case = CaseId::new("order-7").unwrap();
        let tag = WorkflowId::new("orders").unwrap().tag();
        let token = TokenId::of_case(&tag, &case, 12);
        assert_eq!(token.as_str(), format!("order-7-{tag}-12"));
        assert_eq!(token.case(), Some((case, tag.as_str())));
        assert_eq!(TokenId::new("plain").unwrap().case(), None);
    }

    proptest! {
        #[test]
        fn no_id_ever_widens_a_subject(text in ".{0,80}") {
            if let Ok(id) = WorkflowId::new(&text) {
                prop_assert!(!id.as_str().contains(['.', '*', '>', ' ', '\t', '\r', '\n']));
                prop_assert!((1..=64).contains(&id.as_str().len()));
            }
        }

        #[test]
        fn json_carries_ids_and_checks_them(text in "[A-Za-z0-9_.-]{1,70}") {
            let json = serde_json::to_string(&text).unwrap();
            let read: Result<CaseId, _> = serde_json::from_str(&json);
            prop_assert_eq!(read.is_ok(), CaseId::new(&text).is_ok());
        }
    }
}
