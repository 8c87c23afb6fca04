//! Wall-clock times: whole milliseconds since 1970 in memory, sortable UTC text on disk.
//!
//! **Invariant:** for two times the order of the numbers is the order of the texts.

/// The last millisecond that the text can hold, 9999-12-31 23:59:59.999; later deadlines are cut.
pub const LAST_MS: i64 = 253_402_300_799_999;

const DAY_MS: i64 = 86_400_000;

/// `YYYY-MM-DD HH:MM:SS.SSS`, UTC.
pub fn to_text(ms: i64) -> String {
    let ms = ms.clamp(0, LAST_MS);
    let (year, month, day) = civil_from_days(ms / DAY_MS);
    let rest = ms % DAY_MS;
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}.{:03}",
        rest / 3_600_000,
        rest / 60_000 % 60,
        rest / 1000 % 60,
        rest % 1000,
    )
}

/// Reads [`to_text`]'s form; whole seconds (as older rows have them) and RFC 3339 too.
pub fn from_text(text: &str) -> Option<i64> {
    let (date, clock) = (text.get(..10)?, text.get(11..)?);
    if !matches!(text.as_bytes()[10], b' ' | b'T' | b't') {
        return None;
    }
    let (clock, offset_ms) = split_offset(clock)?;
    let (clock, fraction_ms) = match clock.split_once('.') {
        Some((clock, fraction)) => (clock, fraction_ms(fraction)?),
        None => (clock, 0),
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    if !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(seconds * 1000 + fraction_ms - offset_ms)
}

/// Reads RFC 3339 only: a time of day and an offset must be there.
pub fn from_rfc3339(text: &str) -> Option<i64> {
    let marked = matches!(text.as_bytes().get(10)?, b'T' | b't');
    let offset = text.ends_with(['Z', 'z']) || text.get(19..)?.contains(['+', '-']);
    if marked && offset { from_text(text) } else { None }
}

fn split_offset(clock: &str) -> Option<(&str, i64)> {
    if let Some(clock) = clock.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let Some(at) = clock.rfind(['+', '-']) else {
        return Some((clock, 0));
    };
    let (hours, minutes) = clock[at + 1..].split_once(':')?;
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let offset = (hours * 60 + minutes) * 60_000;
    Some((&clock[..at], if clock.as_bytes()[at] == b'-' { -offset } else { offset }))
}

fn fraction_ms(digits: &str) -> Option<i64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let padded = format!("{digits}00");
    padded[..3].parse().ok()
}

fn number(text: &str, digits: usize) -> Option<i64> {
    let plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

fn numbers(text: &str, separator: char, digits: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(separator);
    let mut read = |index: usize| number(parts.next()?, digits[index]);
    let found = [read(0)?, read(1)?, read(2)?];
    if parts.next().is_some() { None } else { Some(found) }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar. Years start in March, so that the
/// leap day is the last of its year.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (153 * month_from_march + 2) / 5 + day - 1 - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let mut year = 1970 + days / 366;
    while days_from_civil(year + 1, 1, 1) <= days {
        year += 1;
    }
    let mut month = 12;
    while days_from_civil(year, month, 1) > days {
        month -= 1;
    }
    (year, month, days - days_from_civil(year, month, 1) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times_have_their_texts() {
        assert_eq!(to_text(0), "1970-01-01 00:00:00.000");
        assert_eq!(to_text(951_782_400_000), "2000-02-29 00:00:00.000");
        assert_eq!(to_text(1_767_225_599_999), "2025-12-31 23:59:59.999");
        assert_eq!(to_text(LAST_MS), "9999-12-31 23:59:59.999");
        assert_eq!(to_text(LAST_MS + 1), "9999-12-31 23:59:59.999");
    }

    #[test]
    fn every_day_of_eight_centuries_reads_back() {
        for day in 0..292_194 {
            let ms = day * DAY_MS + 12_345_678;
            assert_eq!(from_text(&to_text(ms)), Some(ms));
        }
    }

    #[test]
    fn older_whole_seconds_and_offsets_are_read() {
        assert_eq!(from_text("1970-01-01 00:00:01"), Some(1000));
        assert_eq!(from_rfc3339("1970-01-01T01:00:00.5+01:00"), Some(500));
        assert_eq!(from_rfc3339("1970-01-01T00:00:00Z"), Some(0));
        for bad in ["1970-01-01 00:00:00", "1970-02-30T00:00:00Z", "1970-01-01T24:00:00Z", "", "T"]
        {
            assert_eq!(from_rfc3339(bad), None, "{bad}");
        }
    }
}
