//! Ids that are unique across everything, for clients that keep objects by their ids
//! (<https://graphql.org/learn/global-object-identification/>).
//!
//! Such an id is the name of its type and the short ids that name the object, with dots between
//! them: `Case.orders.A-17`. A short id has no dots, so neither is ever taken for the other. A
//! part of a version of a workflow has the log sequence of the version, and a token as it was
//! after a record that of the record: they are other objects than those of other versions.

use std::{fmt, str::FromStr};

use crate::{
    models::{CaseId, FiringId, IdError, LogSequence, PlaceId, TokenId, TransitionId, WorkflowId},
    petrel::Error,
};

/// An id that is unique across everything, by the type of the object that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GlobalId {
    /// A version of a workflow, by its log sequence.
    Workflow(WorkflowId, LogSequence),
    /// A case.
    Case(WorkflowId, CaseId),
    /// A token, as it is now or as it was after the record at a log sequence.
    Token(WorkflowId, TokenId, Option<LogSequence>),
    /// A token with its NATS metadata.
    NatsToken(WorkflowId, TokenId, Option<LogSequence>),
    /// A place of a version of a workflow.
    Place(WorkflowId, LogSequence, PlaceId),
    /// A transition of a version of a workflow.
    Transition(WorkflowId, LogSequence, TransitionId),
}

impl GlobalId {
    /// The name of the type.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Workflow(..) => "Workflow",
            Self::Case(..) => "Case",
            Self::Token(..) => "Token",
            Self::NatsToken(..) => "NatsToken",
            Self::Place(..) => "Place",
            Self::Transition(..) => "Transition",
        }
    }

    /// The workflow that it is, or that it belongs to.
    pub(super) fn workflow(&self) -> &WorkflowId {
        match self {
            Self::Workflow(workflow, ..)
            | Self::Case(workflow, ..)
            | Self::Token(workflow, ..)
            | Self::NatsToken(workflow, ..)
            | Self::Place(workflow, ..)
            | Self::Transition(workflow, ..) => workflow,
        }
    }
}

impl fmt::Display for GlobalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.kind(), self.workflow())?;
        match self {
            Self::Workflow(_, version) => write!(f, ".{version}"),
            Self::Case(_, case) => write!(f, ".{case}"),
            Self::Token(_, token, None) | Self::NatsToken(_, token, None) => write!(f, ".{token}"),
            Self::Token(_, token, Some(after)) | Self::NatsToken(_, token, Some(after)) => {
                write!(f, ".{token}.{after}")
            }
            Self::Place(_, version, place) => write!(f, ".{version}.{place}"),
            Self::Transition(_, version, transition) => write!(f, ".{version}.{transition}"),
        }
    }
}

/// A text that is no id across everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoGlobalId;

impl FromStr for GlobalId {
    type Err = NoGlobalId;

    fn from_str(text: &str) -> Result<Self, NoGlobalId> {
        fn short<T: FromStr>(text: &str) -> Result<T, NoGlobalId> {
            text.parse().map_err(|_| NoGlobalId)
        }
        // There is one way to write each number.
        let number = |text: &str| match text.parse().map(LogSequence::new) {
            Ok(Some(number)) if number.to_string() == text => Ok(number),
            _ => Err(NoGlobalId),
        };
        let parts: Vec<_> = text.splitn(5, '.').collect();
        Ok(match parts[..] {
            ["Workflow", workflow, version] => Self::Workflow(short(workflow)?, number(version)?),
            ["Case", workflow, case] => Self::Case(short(workflow)?, short(case)?),
            ["Token", workflow, token] => Self::Token(short(workflow)?, short(token)?, None),
            ["Token", workflow, token, after] => {
                Self::Token(short(workflow)?, short(token)?, Some(number(after)?))
            }
            ["NatsToken", workflow, token] => {
                Self::NatsToken(short(workflow)?, short(token)?, None)
            }
            ["NatsToken", workflow, token, after] => {
                Self::NatsToken(short(workflow)?, short(token)?, Some(number(after)?))
            }
            ["Place", workflow, version, place] => {
                Self::Place(short(workflow)?, number(version)?, short(place)?)
            }
            ["Transition", workflow, version, transition] => {
                Self::Transition(short(workflow)?, number(version)?, short(transition)?)
            }
            _ => return Err(NoGlobalId),
        })
    }
}

/// A short id, which an id across everything may stand for.
pub(super) trait Short: FromStr<Err = IdError> {
    /// The name of its type.
    const TYPE: &str;

    /// The short id of the named object, if it is of this type.
    fn of(named: GlobalId) -> Option<Self>;
}

macro_rules! short {
    ($of:ty, $type:literal, $($pattern:pat_param)|+ => $id:expr) => {
        impl Short for $of {
            const TYPE: &str = $type;

            fn of(named: GlobalId) -> Option<Self> {
                match named {
                    $($pattern)|+ => Some($id),
                    _ => None,
                }
            }
        }
    };
}

short!(WorkflowId, "Workflow", GlobalId::Workflow(workflow, _) => workflow);
short!(CaseId, "Case", GlobalId::Case(_, case) => case);
short!(TokenId, "Token", GlobalId::Token(_, token, _) | GlobalId::NatsToken(_, token, _) => token);
short!(PlaceId, "Place", GlobalId::Place(_, _, place) => place);
short!(TransitionId, "Transition", GlobalId::Transition(_, _, transition) => transition);

impl Short for FiringId {
    const TYPE: &str = "firing";

    fn of(_: GlobalId) -> Option<Self> {
        None
    }
}

/// `value` as a short id, and the workflow that it names where it is an id across everything.
pub(super) fn read<T: Short>(
    argument: &str,
    value: &str,
) -> Result<(Option<WorkflowId>, T), Error> {
    let Ok(named) = value.parse::<GlobalId>() else {
        let short = value.parse::<T>();
        let short = short.map_err(|error| Error::argument(argument, error.to_string()))?;
        return Ok((None, short));
    };
    let (kind, workflow) = (named.kind(), named.workflow().clone());
    let other = || {
        let reason =
            format!("{value} is the id of a {kind}, and that of a {} is asked for", T::TYPE);
        Error::argument(argument, reason)
    };
    Ok((Some(workflow), T::of(named).ok_or_else(other)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id<T: FromStr<Err = IdError> + fmt::Debug>() -> impl Strategy<Value = T> {
        "[A-Za-z0-9_-]{1,20}".prop_map(|text| text.parse().unwrap())
    }

    fn sequence() -> impl Strategy<Value = LogSequence> {
        (1..=u64::MAX).prop_map(|number| LogSequence::new(number).unwrap())
    }

    fn any_global() -> impl Strategy<Value = GlobalId> {
        let after = || proptest::option::of(sequence());
        prop_oneof![
            (id(), sequence()).prop_map(|(of, version)| GlobalId::Workflow(of, version)),
            (id(), id()).prop_map(|(of, case)| GlobalId::Case(of, case)),
            (id(), id(), after()).prop_map(|(of, token, at)| GlobalId::Token(of, token, at)),
            (id(), id(), after()).prop_map(|(of, token, at)| GlobalId::NatsToken(of, token, at)),
            (id(), sequence(), id()).prop_map(|(of, at, place)| GlobalId::Place(of, at, place)),
            (id(), sequence(), id()).prop_map(|(of, at, one)| GlobalId::Transition(of, at, one)),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_different_things_are_written_differently(
            one in any_global(), other in any_global(),
        ) {
            prop_assert_eq!(one.to_string().parse(), Ok(one.clone()));
            prop_assert_eq!(one == other, one.to_string() == other.to_string());
        }

        #[test]
        fn no_short_id_is_one_across_everything(short in "[A-Za-z0-9_-]{1,40}") {
            prop_assert!(short.parse::<GlobalId>().is_err());
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,60}|(Case|Token|Place)(\\.[a-z0-9]{0,4}){0,6}") {
            if let Ok(named) = text.parse::<GlobalId>() {
                prop_assert_eq!(named.to_string(), text);
            }
        }
    }

    #[test]
    fn the_id_of_something_else_says_what_it_is() {
        let error = read::<TokenId>("tokenId", "Case.orders.a").unwrap_err().to_string();
        assert_eq!(
            error,
            "tokenId: Case.orders.a is the id of a Case, and that of a Token is asked for"
        );
        let (workflow, case) = read::<CaseId>("caseId", "Case.orders.a").unwrap();
        assert_eq!((workflow.unwrap().as_str(), case.as_str()), ("orders", "a"));
    }
}
