//! Positions in logs: where a reader was, and where he goes on.

use std::cmp::Ordering;

use super::LogSequence;

/// A log, as its positions name it. A store has one log today, so this takes no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LogStream(());

impl LogStream {
    /// The one log of a store.
    pub const ONLY: Self = Self(());
}

/// A position in a log: a stream and a sequence in it. Only positions of one stream can be
/// compared; of two others, neither comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogPosition {
    /// The log.
    pub stream: LogStream,
    /// The sequence in it.
    pub sequence: LogSequence,
}

impl LogPosition {
    /// The beginning of a store's one log.
    pub const FIRST: Self = Self { stream: LogStream::ONLY, sequence: LogSequence::FIRST };
}

impl PartialOrd for LogPosition {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self.stream == other.stream).then(|| self.sequence.cmp(&other.sequence))
    }
}

/// A sequence in a store's one log.
impl From<LogSequence> for LogPosition {
    fn from(sequence: LogSequence) -> Self {
        Self { stream: LogStream::ONLY, sequence }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_stream_of_a_position_costs_nothing() {
        assert_eq!(size_of::<LogPosition>(), size_of::<u64>());
        assert_eq!(size_of::<Option<LogPosition>>(), size_of::<u64>());
    }

    proptest! {
        #[test]
        fn positions_of_one_stream_are_ordered_by_their_sequences(
            one in 1..=u64::MAX, other in 1..=u64::MAX,
        ) {
            let [first, second] =
                [one, other].map(|number| LogPosition::from(LogSequence::new(number).unwrap()));
            prop_assert_eq!(first.partial_cmp(&second), Some(one.cmp(&other)));
            prop_assert_eq!(first == second, one == other);
            prop_assert!(first >= LogPosition::FIRST);
        }
    }
}
