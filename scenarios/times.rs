//! Times as texts: those of the journal, those of RFC 3339, and the time of a story's line.
//!
//! **Invariant:** what is written is read back by the model's reader, which shares nothing with this one.

/// Milliseconds of Unix time from `YYYY-MM-DD HH:MM:SS.SSS`.
pub fn utc_ms(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let ms = if text.len() > 19 { number(20..23)? } else { 0 };
    // Days of the civil calendar, counted from March so that the leap day is a year's last.
    let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = years * 365 + years.div_euclid(4) - years.div_euclid(100)
        + years.div_euclid(400)
        + (months * 153 + 2) / 5
        + day
        - 1
        - 719_468;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000 + ms)
}

/// A time as RFC 3339 writes it, in a zone so many minutes ahead of UTC.
pub fn rfc3339(utc_ms: i64, zone_minutes: i64) -> String {
    let local_ms = utc_ms + zone_minutes * 60_000;
    let (days, ms) = (local_ms.div_euclid(86_400_000), local_ms.rem_euclid(86_400_000));
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    // Years begin in March here, so that a leap day is the last of its year.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let (year, ms) = (year + era * 400 + carry, ms % 1_000);
    let zone = match zone_minutes {
        0 => "Z".to_string(),
        ahead => {
            let sign = if ahead < 0 { '-' } else { '+' };
            format!("{sign}{:02}:{:02}", ahead.abs() / 60, ahead.abs() % 60)
        }
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}{zone}")
}

/// Milliseconds since a run began, as its story has them.
pub fn since_start(ms: i64) -> String {
    format!("t+{}.{:03}s", ms / 1000, ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stormglass_model::clock::rfc3339_ms;

    #[test]
    fn times_of_the_journal_are_read() {
        assert_eq!(utc_ms("1970-01-01 00:00:00.000"), Some(0));
        assert_eq!(utc_ms("2026-01-01 00:00:00.001"), Some(1_767_225_600_001));
        assert_eq!(utc_ms("2024-02-29 12:00:00"), Some(1_709_208_000_000));
        assert_eq!(utc_ms("9999-12-31 23:59:59.999"), Some(253_402_300_799_999));
        assert_eq!(utc_ms("yesterday"), None);
    }

    #[test]
    fn times_are_written_as_rfc_3339_has_them() {
        assert_eq!(rfc3339(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(1_709_208_000_500, 90), "2024-02-29T13:30:00.500+01:30");
        assert_eq!(rfc3339(1_735_689_599_999, -300), "2024-12-31T18:59:59.999-05:00");
        for at_ms in (-4_000_000_000_000..4_000_000_000_000).step_by(86_399_777_777) {
            assert_eq!(rfc3339_ms(&rfc3339(at_ms, 90)), Some(at_ms));
            let text = rfc3339(at_ms, 0).replace('T', " ");
            assert_eq!(utc_ms(text.trim_end_matches('Z')), Some(at_ms), "{text}");
        }
    }
}
