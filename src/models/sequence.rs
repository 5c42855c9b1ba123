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
    /// Position of a record or a definition in the log. It is the revision of what the record
    /// made.
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

impl LogSequence {
    /// Reads a stored sequence that may be absent, or 0 for none.
    pub(super) fn or_none<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Self>, D::Error> {
        u64::deserialize(from).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
