//! The level of what may be written into the log.

use std::{fmt, num::NonZeroU32, str::FromStr};

use crate::models::FORMAT_VERSION;

/// A level of the kinds and fields that records may have, beginning at 1. `docs/storage.md` has the
/// list. A program that reads a level reads all below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WriteLevel(NonZeroU32);

impl WriteLevel {
    /// The level of format 1, and of a log that names none.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// The highest level that this version reads.
    pub const KNOWN: Self = Self::SECOND;

    /// The level of format 2, and of nets that run by themselves.
    pub const SECOND: Self = Self(NonZeroU32::MIN.saturating_add(1));

    /// Format of the records that may be written at this level.
    pub fn format(self) -> u32 {
        self.get().min(FORMAT_VERSION)
    }

    /// The level of this number; `None` for 0.
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// Its number.
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for WriteLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is no level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no level: levels are whole numbers from 1 on")]
pub struct NoLevel {
    text: String,
}

impl FromStr for WriteLevel {
    type Err = NoLevel;

    fn from_str(text: &str) -> Result<Self, NoLevel> {
        let number = text.parse().ok().and_then(Self::new);
        number.ok_or_else(|| NoLevel { text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_a_whole_number_from_1_on() {
        assert_eq!("1".parse(), Ok(WriteLevel::FIRST));
        assert_eq!("12".parse::<WriteLevel>().unwrap().to_string(), "12");
        for text in ["", "0", "-1", "1.0", "two", " 1", "4294967296"] {
            assert!(text.parse::<WriteLevel>().is_err(), "{text}");
        }
    }
}
