//! Values of flags that have a unit.

use std::time::Duration;

use bytesize::ByteSize;

use crate::local_server::SyncInterval;

/// A time with its unit: `500ms`, `10s`, `2m`, `1h 30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write a time as in 10s"))
}

/// A number of bytes: `1048576`, `512KiB`, `10GiB`, `1GB`.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let size = text.parse::<ByteSize>();
    let size = size.map_err(|error| format!("{error}; write it as in 10GiB"))?;
    Ok(size.as_u64())
}

/// `default`, `always`, or a time.
pub(super) fn sync_interval(text: &str) -> Result<SyncInterval, String> {
    match text {
        "default" => Ok(SyncInterval::Default),
        "always" => Ok(SyncInterval::Always),
        time => match duration(time) {
            Ok(time) if time >= Duration::from_millis(1) => Ok(SyncInterval::Every(time)),
            _ => Err("write default, always, or a time of at least 1ms, as in 10s".to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_needs_its_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("1 h"), Ok(Duration::from_secs(3_600)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5_400)));
        for wrong in ["", "10", "s", "-1s", "10 somethings", "99999999999999999999s"] {
            assert!(duration(wrong).unwrap_err().contains("10s"), "{wrong}");
        }
        assert!(duration("18446744073709551615h").is_err());
    }

    #[test]
    fn bytes_know_decimal_and_binary_units() {
        assert_eq!(bytes("1024"), Ok(1_024));
        assert_eq!(bytes("10GiB"), Ok(10 << 30));
        assert_eq!(bytes("1GB"), Ok(1_000_000_000));
        for wrong in ["", "10 gigs", "GiB", "-1", "-1GiB", "10 GiB more"] {
            assert!(bytes(wrong).unwrap_err().contains("10GiB"), "{wrong}");
        }
    }

    #[test]
    fn a_sync_interval_is_a_word_or_a_time() {
        assert_eq!(sync_interval("default"), Ok(SyncInterval::Default));
        assert_eq!(sync_interval("always"), Ok(SyncInterval::Always));
        let ten = SyncInterval::Every(Duration::from_secs(10));
        assert_eq!(sync_interval("10s"), Ok(ten));
        for short in ["0s", "1ns", "999us"] {
            assert!(sync_interval(short).unwrap_err().contains("at least 1ms"), "{short}");
        }
        assert!(sync_interval("never").unwrap_err().contains("always"));
    }
}
