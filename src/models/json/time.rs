//! Times in stored JSON: the text that chrono's own serde support writes and reads, by its functions that
//! are several times as fast. A firing writes eight of them, and a token that is read has as many as its
//! history is long.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserializer, Serializer, de};

pub(crate) fn serialize<S: Serializer>(time: &DateTime<Utc>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<DateTime<Utc>, D::Error> {
    from.deserialize_str(Text)
}

/// Reads a time that may be absent.
pub(crate) fn or_none<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<DateTime<Utc>>, D::Error> {
    deserialize(from).map(Some)
}

/// Writes a time that is there.
pub(crate) fn write_some<S: Serializer>(
    time: &Option<DateTime<Utc>>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serialize(time, to),
        None => to.serialize_none(),
    }
}

struct Text;

impl de::Visitor<'_> for Text {
    type Value = DateTime<Utc>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a date and time as RFC 3339 has it")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<DateTime<Utc>, E> {
        // What the second one takes beside what the first one does was always taken.
        let time = DateTime::parse_from_rfc3339(text).or_else(|_| text.parse());
        time.map(|time| time.to_utc()).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Ours(#[serde(with = "super")] DateTime<Utc>);

    fn time() -> impl Strategy<Value = DateTime<Utc>> {
        let (first, last) =
            (DateTime::<Utc>::MIN_UTC.timestamp(), DateTime::<Utc>::MAX_UTC.timestamp());
        let seconds = prop_oneof![-62_200_000_000..253_500_000_000_i64, first..=last];
        // With a leap second, and with as many digits as there can be.
        let nanos = prop_oneof![
            Just(0),
            (0..2_000_u32).prop_map(|millis| millis * 1_000_000),
            (0..2_000_000_u32).prop_map(|micros| micros * 1_000),
            0..2_000_000_000_u32,
        ];
        (seconds, nanos)
            .prop_filter_map("no time", |(seconds, nanos)| DateTime::from_timestamp(seconds, nanos))
    }

    proptest! {
        #[test]
        fn a_time_is_written_and_read_as_chrono_does(time in time()) {
            let text = serde_json::to_string(&time).unwrap();
            prop_assert_eq!(&serde_json::to_string(&Ours(time)).unwrap(), &text);
            let chronos = serde_json::from_str::<DateTime<Utc>>(&text);
            let ours = serde_json::from_str::<Ours>(&text).map(|Ours(time)| time);
            prop_assert_eq!(ours.ok(), chronos.ok());
        }
    }

    #[test]
    fn what_chrono_reads_is_read_and_nothing_else() {
        for text in [
            "2026-01-01T00:00:00Z",
            "2026-01-01t00:00:00z",
            "2026-01-01 00:00:00+01:00",
            "2026-01-01T00:00:00 -01:30",
            "2016-12-31T23:59:60Z",
            "-0004-01-01T00:00:00Z",
            "+262142-12-31T23:59:59.999999999Z",
            "2026-01-01T00:00:00.1234567891Z",
            "2026-01-01T00:00Z",
            "2026-01-01",
            "2026-02-30T00:00:00Z",
            "2026-01-01T00:00:00",
            " 2026-01-01T00:00:00Z",
            "",
        ] {
            let text = serde_json::to_string(text).unwrap();
            let chronos = serde_json::from_str::<DateTime<Utc>>(&text);
            let ours = serde_json::from_str::<Ours>(&text).map(|Ours(time)| time);
            assert_eq!(ours.ok(), chronos.ok(), "{text}");
        }
    }
}
