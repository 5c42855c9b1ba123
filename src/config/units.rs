//! Values of flags that have a unit.

use std::time::Duration;

use crate::local_server::SyncInterval;

/// A time with its unit: `500ms`, `10s`, `2m`, `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = number_and_unit(text)?;
    let duration = match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3_600).map(Duration::from_secs),
        _ => return Err("write a whole number and ms, s, m or h, as in 10s".to_owned()),
    };
    duration.ok_or_else(|| "is too long".to_owned())
}

/// A number of bytes: `1048576`, `512KiB`, `10GiB`, `1GB`.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = number_and_unit(text)?;
    let factor: u64 = match unit {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => {
            return Err(
                "write a whole number and nothing, kB, MB, GB, KiB, MiB or GiB, as in 10GiB".into(),
            );
        }
    };
    number.checked_mul(factor).ok_or_else(|| "is too many".to_owned())
}

/// `default`, `always`, or a time.
pub(super) fn sync_interval(text: &str) -> Result<SyncInterval, String> {
    match text {
        "default" => Ok(SyncInterval::Default),
        "always" => Ok(SyncInterval::Always),
        time => match duration(time) {
            Ok(time) if !time.is_zero() => Ok(SyncInterval::Every(time)),
            _ => Err("write default, always, or a time of at least 1ms, as in 10s".to_owned()),
        },
    }
}

fn number_and_unit(text: &str) -> Result<(u64, &str), String> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number = number.parse().map_err(|_| "begins with no whole number".to_owned())?;
    Ok((number, unit.trim_start()))
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
        for wrong in ["", "10", "s", "1.5s", "-1s", "10 days", "99999999999999999999s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert!(duration("18446744073709551615h").is_err());
    }

    #[test]
    fn bytes_know_decimal_and_binary_units() {
        assert_eq!(bytes("1024"), Ok(1_024));
        assert_eq!(bytes("10GiB"), Ok(10 << 30));
        assert_eq!(bytes("1GB"), Ok(1_000_000_000));
        assert!(bytes("10 gigs").is_err());
        assert!(bytes("18446744073709551615TiB").is_err());
    }

    #[test]
    fn a_sync_interval_is_a_word_or_a_time() {
        assert_eq!(sync_interval("default"), Ok(SyncInterval::Default));
        assert_eq!(sync_interval("always"), Ok(SyncInterval::Always));
        let ten = SyncInterval::Every(Duration::from_secs(10));
        assert_eq!(sync_interval("10s"), Ok(ten));
        assert!(sync_interval("0s").unwrap_err().contains("always"));
        assert!(sync_interval("never").unwrap_err().contains("always"));
    }
}
