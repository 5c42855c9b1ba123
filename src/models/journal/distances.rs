//! Log sequences that rise, as they are stored: the first one, and of each other its distance to the one before.

use serde::{Deserialize, Deserializer, Serializer, de};

use crate::models::LogSequence;

pub(super) fn serialize<S: Serializer>(of: &[LogSequence], to: S) -> Result<S::Ok, S::Error> {
    let mut before = 0;
    to.collect_seq(of.iter().map(|sequence| {
        let distance = sequence.get().wrapping_sub(before);
        before = sequence.get();
        distance
    }))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Vec<LogSequence>, D::Error> {
    let mut before = 0u64;
    let sequences = Vec::<u64>::deserialize(from)?.into_iter().map(|distance| {
        before = before.wrapping_add(distance);
        LogSequence::new(before).ok_or_else(|| de::Error::custom("a distance leads to sequence 0"))
    });
    sequences.collect()
}
