//! What checks compare, as a person reads it: times by RFC 3339, rows by what they say.
//!
//! **Invariant:** what differs is told differently, times to the millisecond.

use std::fmt;

use crate::tables::{KeptRow, OutboxState};

const DAY_MS: i64 = 86_400_000;

/// A time in UTC, from milliseconds since 1970, to the millisecond.
pub fn utc(ms: i64) -> String {
    let (days, of_day) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    let leap_days = |year: i64| year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // Days from 1970 to the first of January of a year.
    let first = |year: i64| (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    // Never later than the year itself, for no year has more than 366 days.
    let mut year = 1970 + days.div_euclid(366) - i64::from(days < 0) * 7;
    while first(year + 1) <= days {
        year += 1;
    }
    let is_leap = first(year + 1) - first(year) == 366;
    let lengths = [31, 28 + i64::from(is_leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let (mut month, mut day) = (1, days - first(year));
    for length in lengths {
        if day < length {
            break;
        }
        (month, day) = (month + 1, day - length);
    }
    let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (second, ms, day) = (of_day / 1_000 % 60, of_day % 1_000, day + 1);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// A row's deadline, in words.
pub(crate) fn until(deadline_ms: Option<i64>) -> String {
    deadline_ms.map_or("for ever".to_owned(), |ms| format!("until {}", utc(ms)))
}

/// A length of time, in milliseconds below a second, and in seconds from there on.
pub fn length(ms: i64) -> String {
    let sign = if ms < 0 { "-" } else { "" };
    match (ms.unsigned_abs() / 1_000, ms.unsigned_abs() % 1_000) {
        (0, ms) => format!("{sign}{ms} ms"),
        (seconds, 0) => format!("{sign}{seconds} s"),
        (seconds, ms) => format!("{sign}{seconds}.{ms:03} s"),
    }
}

/// An event's idempotency key, in words.
pub(crate) fn key(key: Option<&str>) -> String {
    key.map_or("no key".to_owned(), |key| format!("key `{key}`"))
}

impl fmt::Display for KeptRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeptRow::Inline => write!(f, "inline"),
            KeptRow::Truncated { limit_bytes } => write!(f, "cut off at {limit_bytes} bytes"),
            KeptRow::Blob { key, size_bytes, deadline_ms } => {
                write!(f, "as blob {key} of {size_bytes} bytes, {}", until(*deadline_ms))
            }
        }
    }
}

impl fmt::Display for OutboxState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OutboxState::Open => write!(f, "open"),
            OutboxState::Done => write!(f, "done"),
            OutboxState::Closed(reason) => write!(f, "closed as: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{LAST_DEADLINE_MS, rfc3339_ms};

    /// Goal: a time is told right. Method: the reader of the same form, over six thousand years, and ends of
    /// days, months and years.
    #[test]
    fn a_time_is_read_back_as_it_was_told() {
        assert_eq!(utc(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(utc(1_767_229_200_001), "2026-01-01T01:00:00.001Z");
        assert_eq!(utc(LAST_DEADLINE_MS), "9999-12-31T23:59:59.999Z");
        let (first, last) = (rfc3339_ms("0001-01-01T00:00:00Z").unwrap(), LAST_DEADLINE_MS);
        for day_ms in (first..last).step_by(13 * DAY_MS as usize) {
            for ms in [day_ms, day_ms + 1, day_ms + DAY_MS - 1] {
                assert_eq!(rfc3339_ms(&utc(ms)), Some(ms), "{}", utc(ms));
            }
        }
    }

    #[test]
    fn rows_are_told_in_plain_words() {
        let key = "field-overflow/sha256/ab.json".to_owned();
        let blob = KeptRow::Blob { key, size_bytes: 7, deadline_ms: Some(1) };
        let told =
            "as blob field-overflow/sha256/ab.json of 7 bytes, until 1970-01-01T00:00:00.001Z";
        assert_eq!(blob.to_string(), told);
        assert_eq!(KeptRow::Truncated { limit_bytes: 9 }.to_string(), "cut off at 9 bytes");
        assert_eq!(OutboxState::Closed("late".to_owned()).to_string(), "closed as: late");
        assert_eq!((super::key(None), super::key(Some("1"))), ("no key".into(), "key `1`".into()));
    }

    #[test]
    fn lengths_of_time_are_told_to_the_millisecond() {
        let told = [-1_001, -5, 0, 999, 1_000, 300_002].map(length);
        assert_eq!(told, ["-1.001 s", "-5 ms", "0 ms", "999 ms", "1 s", "300.002 s"]);
    }
}
