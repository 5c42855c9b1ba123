//! Counts as JSON has them.

use serde::{Serialize, Serializer};

/// The largest whole number that every reader of JSON has exactly (RFC 8259, section 6).
const MOST: u128 = (1 << 53) - 1;

/// A number of tokens, for JSON: a number, or text where readers would round it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(pub u128);

impl Serialize for Count {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match u64::try_from(self.0) {
            Ok(count) if self.0 <= MOST => serializer.serialize_u64(count),
            _ => serializer.serialize_str(&self.0.to_string()),
        }
    }
}

/// Serialises a number as a [`Count`].
pub(super) fn count<S: Serializer>(
    count: &(impl Copy + Into<u128>),
    serializer: S,
) -> Result<S::Ok, S::Error> {
    Count((*count).into()).serialize(serializer)
}

/// Serialises a number as a [`Count`], or as null.
pub(super) fn optional<S: Serializer>(
    count: &Option<impl Copy + Into<u128>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    count.map(|count| Count(count.into())).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_readers_would_round_is_text() {
        assert_eq!(json!(Count(MOST)), json!(9_007_199_254_740_991_u64));
        assert_eq!(json!(Count(MOST + 1)), json!("9007199254740992"));
        assert_eq!(json!(Count(u128::MAX)), json!(u128::MAX.to_string()));
    }
}
