//! Times as a person writes them.

use time::format_description::well_known::Rfc3339;
use time::{Date, OffsetDateTime, macros::format_description};

use crate::failure::{Failure, Outcome};

/// A day in UTC, a time by RFC 3339, or how long ago (`90s`, `30m`, `36h`, `7d`), in milliseconds since the Unix epoch.
pub(super) fn parse(text: &str, now_ms: u64) -> Outcome<u64> {
    let found = ago(text, now_ms).or_else(|| {
        let at = OffsetDateTime::parse(text, &Rfc3339).ok().or_else(|| {
            let day = Date::parse(text, format_description!("[year]-[month]-[day]")).ok()?;
            Some(day.midnight().assume_utc())
        })?;
        u64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
    });
    found.ok_or_else(|| {
        Failure::error(
            format!("{text:?} is not a time"),
            "write a day as 2026-11-21, a time as 2026-11-21T08:00:00Z, or how long ago as 36h or 7d",
        )
    })
}

fn ago(text: &str, now_ms: u64) -> Option<u64> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
    now_ms.checked_sub(count.checked_mul(seconds)?.checked_mul(1_000)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_three_ways_and_in_no_other() {
        let now_ms = 1_800_000_000_000;
        assert_eq!(parse("2h", now_ms).unwrap(), now_ms - 7_200_000);
        assert_eq!(parse("1970-01-02", now_ms).unwrap(), 86_400_000);
        assert_eq!(parse("1970-01-01T00:00:01.5Z", now_ms).unwrap(), 1_500);
        assert_eq!(parse("1970-01-01T01:00:00+01:00", now_ms).unwrap(), 0);
        for wrong in [
            "",
            "d",
            "2 h",
            "yesterday",
            "1969-12-31",
            "2026-13-01",
            "99999999999999d",
            "-1d",
        ] {
            assert!(parse(wrong, now_ms).is_err(), "{wrong}");
        }
    }
}
