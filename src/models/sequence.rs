//! Sequences: positions in the log, and in the view.

use std::{fmt, num::NonZeroU64, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize};

/// A text that is no sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number from 1 to {}", u64::MAX)]
pub struct NoSequence;

macro_rules! sequence {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(NonZeroU64);

        impl $name {
            /// The first one.
            pub const FIRST: Self = Self(NonZeroU64::MIN);

            /// The sequence of this number; `None` for 0, which stands for no message.
            pub fn new(number: u64) -> Option<Self> {
                NonZeroU64::new(number).map(Self)
            }

            /// The number, as it is stored and shown.
            pub fn get(self) -> u64 {
                self.0.get()
            }

            /// The one after it; the last number there is follows itself.
            pub fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }

            /// The one after the last of those that are done: the first one where none is.
            pub fn after(done: Option<Self>) -> Self {
                done.map_or(Self::FIRST, Self::next)
            }

            /// The one that is so many before it; `None` where that is before the first.
            pub fn minus(self, count: u64) -> Option<Self> {
                Self::new(self.get().saturating_sub(count))
            }
        }

        impl FromStr for $name {
            type Err = NoSequence;

            fn from_str(text: &str) -> Result<Self, NoSequence> {
                text.parse().map(Self).map_err(|_| NoSequence)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

sequence! {
    /// Sequence of a record or a definition in its log.
    LogSequence
}

sequence! {
    /// Position of a register's last write in the view.
    ViewSequence
}

sequence! {
    /// Number of a definition's version, counted from 1.
    Version
}

/// Revision of a case: the log sequence of its last record. A change may say which one it expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(LogSequence);

impl Revision {
    /// The log sequence of the record that made it.
    pub fn sequence(self) -> LogSequence {
        self.0
    }
}

impl From<LogSequence> for Revision {
    fn from(sequence: LogSequence) -> Self {
        Self(sequence)
    }
}

impl FromStr for Revision {
    type Err = NoSequence;

    fn from_str(text: &str) -> Result<Self, NoSequence> {
        text.parse().map(Self)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl LogSequence {
    /// Reads a stored sequence that may be absent, or 0 for none.
    pub(super) fn or_none<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Self>, D::Error> {
        u64::deserialize(from).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sequences_and_revisions_are_ordered_written_and_read_as_their_numbers(
            one in 1..=u64::MAX, other in 1..=u64::MAX,
        ) {
            let [first, second] = [one, other].map(|number| LogSequence::new(number).unwrap());
            prop_assert_eq!(first.cmp(&second), one.cmp(&other));
            prop_assert_eq!(Revision::from(first).cmp(&second.into()), one.cmp(&other));
            prop_assert!(Some(first) > None, "none is before all");
            let texts = [first.to_string(), Revision::from(first).to_string()];
            let json = [serde_json::to_string(&first), serde_json::to_string(&Revision(first))];
            for text in texts.into_iter().chain(json.map(Result::unwrap)) {
                prop_assert_eq!(&text, &one.to_string());
                prop_assert_eq!(text.parse(), Ok(first));
                prop_assert_eq!(text.parse(), Ok(Revision(first)));
                prop_assert_eq!(serde_json::from_str::<LogSequence>(&text).unwrap(), first);
                prop_assert_eq!(serde_json::from_str::<Revision>(&text).unwrap(), Revision(first));
            }
        }

        #[test]
        fn so_many_back_and_on_again_is_the_same(number in 1..=u64::MAX, count in 0..100u64) {
            let sequence = LogSequence::new(number).unwrap();
            let back = sequence.minus(count);
            prop_assert_eq!(back.map_or(0, LogSequence::get), number.saturating_sub(count));
            let again = (0..count.min(number)).fold(back, |at, _| Some(LogSequence::after(at)));
            prop_assert_eq!(again, Some(sequence));
        }

        #[test]
        fn a_text_that_is_no_number_from_1_is_no_sequence(text in "[0-9a-z+ -]{0,4}") {
            let number = text.parse::<u64>().ok().filter(|number| *number > 0);
            prop_assert_eq!(text.parse::<LogSequence>().ok().map(LogSequence::get), number);
        }
    }

    /// A stored field that may be absent, and was written as 0 for none.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Holder {
        #[serde(default, deserialize_with = "LogSequence::or_none")]
        #[serde(skip_serializing_if = "Option::is_none")]
        previous: Option<LogSequence>,
    }

    #[test]
    fn a_stored_0_is_none_and_none_is_not_stored() {
        for (text, right) in
            [("{}", None), (r#"{"previous":0}"#, None), (r#"{"previous":7}"#, Some(7))]
        {
            let holder: Holder = serde_json::from_str(text).unwrap();
            assert_eq!(holder.previous.map(LogSequence::get), right);
            let written = serde_json::to_string(&holder).unwrap();
            assert_eq!(written, if right.is_none() { "{}" } else { text });
        }
        for wrong in [r#"{"previous":-1}"#, r#"{"previous":null}"#, r#"{"previous":"7"}"#] {
            assert!(serde_json::from_str::<Holder>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_sequence_is_stored_and_shown_as_its_number() {
        let sequence = LogSequence::new(17).unwrap();
        assert_eq!((sequence.get(), sequence.to_string()), (17, "17".to_owned()));
        assert_eq!(serde_json::to_string(&sequence).unwrap(), "17");
        assert_eq!(serde_json::from_str::<LogSequence>("17").unwrap(), sequence);
        assert_eq!(serde_json::to_string(&None::<LogSequence>).unwrap(), "null");
    }

    #[test]
    fn nothing_is_at_sequence_0() {
        assert_eq!(ViewSequence::new(0), None);
        assert!(serde_json::from_str::<ViewSequence>("0").is_err());
        assert_eq!(ViewSequence::new(1), Some(ViewSequence::FIRST));
        let last = ViewSequence::new(u64::MAX).unwrap();
        assert_eq!((ViewSequence::FIRST.next().get(), last.next()), (2, last));
    }
}
