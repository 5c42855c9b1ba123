//! Scalars for numbers that do not fit into GraphQL's 32-bit `Int`.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};

use crate::models::{LogSequence, Revision};

/// A sequence of the log: an unsigned 64-bit integer, written as a string because JSON
/// readers lose digits beyond 2^53. A string of digits or a number is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sequence(pub u64);

/// An unsigned 64-bit integer, written as a string because JSON readers lose digits beyond
/// 2^53.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BigInt(pub u64);

/// A sequence of the log: an unsigned 64-bit integer, written as a string because JSON
/// readers lose digits beyond 2^53. A string of digits or a number is accepted.
#[Scalar]
impl ScalarType for Sequence {
    fn parse(value: Value) -> InputValueResult<Self> {
        parse(&value).map(Self).map_err(InputValueError::custom)
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// An unsigned 64-bit integer, written as a string because JSON readers lose digits beyond
/// 2^53.
#[Scalar]
impl ScalarType for BigInt {
    fn parse(value: Value) -> InputValueResult<Self> {
        parse(&value).map(Self).map_err(InputValueError::custom)
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

impl From<LogSequence> for Sequence {
    fn from(sequence: LogSequence) -> Self {
        Self(sequence.get())
    }
}

impl From<Revision> for Sequence {
    fn from(revision: Revision) -> Self {
        revision.sequence().into()
    }
}

impl From<Option<LogSequence>> for Sequence {
    /// A sequence that a record does not have, since it was never stored, is 0.
    fn from(sequence: Option<LogSequence>) -> Self {
        Self(sequence.map_or(0, LogSequence::get))
    }
}

impl Sequence {
    /// The sequence to read from; 0 is the beginning, as 1 is.
    pub(super) fn begin(self) -> LogSequence {
        LogSequence::new(self.0).unwrap_or(LogSequence::FIRST)
    }
}

/// A number of 64 bits, from a string or a number.
pub(super) fn parse(value: &Value) -> Result<u64, String> {
    let number = match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.as_u64(),
        _ => None,
    };
    number.ok_or_else(|| {
        format!("{value} is no whole number from 0 to {}, as a string or a number", u64::MAX)
    })
}

/// A count as GraphQL's `Int`; a larger one is given as the largest that fits.
pub(super) fn int(count: u64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_keep_all_64_bits() {
        let largest = Value::String(u64::MAX.to_string());
        let sequence = <Sequence as ScalarType>::parse(largest.clone()).unwrap();
        assert_eq!(sequence, Sequence(u64::MAX));
        assert_eq!(ScalarType::to_value(&sequence), largest);
        assert_eq!(<Sequence as ScalarType>::parse(Value::from(7)).unwrap(), Sequence(7));
    }

    #[test]
    fn what_is_no_sequence_is_refused() {
        for value in [Value::from(-1), Value::from(1.5), Value::from("1e3"), Value::from(true)] {
            assert!(<Sequence as ScalarType>::parse(value).is_err());
        }
    }
}
