//! The clock as the oracle knows it: readings of the platform's wall clock at known moments.
//!
//! The platform reads its clock somewhere between a request and its answer, and the plan may step
//! that clock forwards and backwards meanwhile. So the model never knows one reading, only the span
//! in which it lies. Between two readings that the runner reports, time only runs forward: every
//! step is reported by one reading before and one after it.

use crate::words::utc;

/// A moment of the run: monotonic time and what the platform's clock would read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Monotonic time since the run began, in milliseconds.
    pub mono_ms: u64,
    /// The platform's wall clock, in milliseconds since 1970.
    pub clock_ms: i64,
}

/// All clock readings from `lo_ms` to `hi_ms`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// The earliest reading.
    pub lo_ms: i64,
    /// The latest reading.
    pub hi_ms: i64,
}

/// The last millisecond of the year 9999, to which later deadlines are cut.
pub const LAST_DEADLINE_MS: i64 = 253_402_300_799_999;

impl Span {
    /// The span of one known reading.
    pub fn exactly(ms: i64) -> Self {
        Span { lo_ms: ms, hi_ms: ms }
    }

    /// Whether `ms` can have been read.
    pub fn contains(self, ms: i64) -> bool {
        self.lo_ms <= ms && ms <= self.hi_ms
    }

    /// The deadlines of a time to live that begins in this span.
    pub fn plus_ttl(self, ttl_ms: u64) -> Self {
        let ttl = i64::try_from(ttl_ms).unwrap_or(i64::MAX);
        let cut = |ms: i64| ms.saturating_add(ttl).min(LAST_DEADLINE_MS);
        Span { lo_ms: cut(self.lo_ms), hi_ms: cut(self.hi_ms) }
    }

    /// The smallest span with all readings of both.
    pub fn hull(self, other: Span) -> Self {
        Span { lo_ms: self.lo_ms.min(other.lo_ms), hi_ms: self.hi_ms.max(other.hi_ms) }
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.lo_ms == self.hi_ms {
            return write!(f, "{}", utc(self.lo_ms));
        }
        write!(f, "{} to {}", utc(self.lo_ms), utc(self.hi_ms))
    }
}

/// The milliseconds since 1970 of an RFC 3339 time; none if the text is no such time.
pub fn rfc3339_ms(text: &str) -> Option<i64> {
    let digits = |range: std::ops::Range<usize>| -> Option<i64> {
        let part = text.get(range)?;
        part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok()).flatten()
    };
    let signs = [(4, "-"), (7, "-"), (13, ":"), (16, ":")];
    if signs.iter().any(|(at, sign)| text.get(*at..at + 1) != Some(sign))
        || !matches!(text.get(10..11), Some("T" | "t"))
    {
        return None;
    }
    let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
    let (hour, minute, second) = (digits(11..13)?, digits(14..16)?, digits(17..19)?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let month_days = [31, 28 + i64::from(is_leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let days_max = *month_days.get(usize::try_from(month - 1).ok()?)?;
    if !(1..=days_max).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (ms, zone) = fraction(text.get(19..)?)?;
    let leap_days = |year: i64| year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let before_month: i64 = month_days[..(month - 1) as usize].iter().sum();
    let days = year * 365 + leap_days(year - 1) + before_month + day - 1 - 719_527;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some(seconds * 1_000 + ms - offset_ms(zone)?)
}

/// Whole milliseconds of a fraction of a second, and what follows it.
fn fraction(rest: &str) -> Option<(i64, &str)> {
    let Some(digits) = rest.strip_prefix('.') else {
        return Some((0, rest));
    };
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    let ms: String = digits[..length].chars().chain("000".chars()).take(3).collect();
    (length > 0).then_some(())?;
    Some((ms.parse().ok()?, &digits[length..]))
}

fn offset_ms(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let sign: i64 = match zone.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let part = |text: &str, max: i64| -> Option<i64> {
        let is_plain = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|n| is_plain && *n <= max)
    };
    Some(sign * (part(hours, 23)? * 60 + part(minutes, 59)?) * 60_000)
}

/// A place in the log of readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    at: u64,
    clock_ms: i64,
    mono_ms: u64,
}

impl Mark {
    /// The mark before every reading.
    pub const ZERO: Mark = Mark { at: 0, clock_ms: 0, mono_ms: 0 };

    /// The clock's reading at this mark.
    pub fn clock_ms(self) -> i64 {
        self.clock_ms
    }

    /// The monotonic time of this mark.
    pub fn mono_ms(self) -> u64 {
        self.mono_ms
    }

    /// Whether this mark was set before `other`.
    pub fn before(self, other: Mark) -> bool {
        self.at < other.at
    }
}

/// The readings of a run. Only the turning points are kept: what lies between two of them lies
/// between their values too.
#[derive(Clone, Debug, Default)]
pub struct ClockLog {
    at: u64,
    turns: Vec<(u64, i64)>,
    last: Option<(u64, i64)>,
    rising: bool,
}

impl ClockLog {
    /// Records a reading and returns its place.
    pub fn read(&mut self, moment: Moment) -> Mark {
        self.at += 1;
        if let Some((at, last_ms)) = self.last {
            let rising = moment.clock_ms >= last_ms;
            if rising != self.rising {
                self.turns.push((at, last_ms));
            }
            self.rising = rising;
        }
        self.last = Some((self.at, moment.clock_ms));
        Mark { at: self.at, clock_ms: moment.clock_ms, mono_ms: moment.mono_ms }
    }

    /// Whether nobody set the clock between two marks: it went on as time did, without a turn.
    pub fn was_let_run(&self, from: Mark, to: Mark) -> bool {
        let first = self.turns.partition_point(|(at, _)| *at <= from.at);
        let has_turned = self.turns.get(first).is_some_and(|(at, _)| *at < to.at);
        let passed_ms = to.mono_ms.saturating_sub(from.mono_ms);
        !has_turned && i64::try_from(passed_ms).is_ok_and(|ms| to.clock_ms - from.clock_ms == ms)
    }

    /// Every reading that the clock can have given from one mark to another.
    pub fn span(&self, from: Mark, to: Mark) -> Span {
        let mut span = Span::exactly(from.clock_ms).hull(Span::exactly(to.clock_ms));
        let first = self.turns.partition_point(|(at, _)| *at <= from.at);
        for (_, ms) in self.turns[first..].iter().take_while(|(at, _)| *at < to.at) {
            span = span.hull(Span::exactly(*ms));
        }
        span
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(log: &mut ClockLog, readings: &[i64]) -> Vec<Mark> {
        let at = |ms: &i64| Moment { mono_ms: 0, clock_ms: *ms };
        readings.iter().map(|ms| log.read(at(ms))).collect()
    }

    #[test]
    fn a_span_holds_every_reading_between_its_marks() {
        let readings = [5, 6, 9, 3, 4, 4, 7, 1, 2, 20, 0];
        let mut log = ClockLog::default();
        let marks = read_all(&mut log, &readings);
        for from in 0..readings.len() {
            for to in from..readings.len() {
                let span = log.span(marks[from], marks[to]);
                let between = &readings[from..=to];
                assert_eq!(span.lo_ms, *between.iter().min().unwrap());
                assert_eq!(span.hi_ms, *between.iter().max().unwrap());
            }
        }
    }

    #[test]
    fn times_of_rfc_3339_are_read_and_nothing_else() {
        assert_eq!(rfc3339_ms("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(rfc3339_ms("2026-01-01T00:00:00.0019z"), Some(1_767_225_600_001));
        assert_eq!(rfc3339_ms("2024-02-29t13:30:00.5+01:30"), Some(1_709_208_000_500));
        assert_eq!(rfc3339_ms("0000-03-01T00:00:00Z"), Some(-62_162_035_200_000));
        for odd in [
            "",
            "soon",
            "2026-01-01",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00",
            "2023-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+1:00",
            "+026-01-01T00:00:00Z",
        ] {
            assert_eq!(rfc3339_ms(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_deadline_is_cut_to_the_year_9999() {
        let span = Span::exactly(LAST_DEADLINE_MS - 5).plus_ttl(6);
        assert_eq!(span, Span::exactly(LAST_DEADLINE_MS));
        assert_eq!(Span::exactly(10).plus_ttl(u64::MAX).hi_ms, LAST_DEADLINE_MS);
        assert_eq!(Span::exactly(10).plus_ttl(7), Span::exactly(17));
    }
}
