//! Instants as microseconds since the Unix epoch, UTC, and their RFC 3339 text.
//!
//! A leap second (`…:60`) is refused: the clusters' clocks cannot write one, and moving it to a
//! neighbouring second would change what the sender said.

use chrono::{DateTime, Datelike as _, NaiveDate, Timelike as _};

/// `0000-01-01T00:00:00Z`, the earliest instant that RFC 3339 can write.
pub const MIN_MICROS: i64 = -62_167_219_200_000_000;
/// `9999-12-31T23:59:59.999999Z`, the latest instant that RFC 3339 can write.
pub const MAX_MICROS: i64 = 253_402_300_799_999_999;

const MICROS_PER_SECOND: i64 = 1_000_000;

/// Reads an RFC 3339 date-time as microseconds since the epoch.
///
/// Digits beyond the sixth of a fraction are cut. `None` for anything else: a missing offset, a day
/// that is not in the calendar, a leap second, an instant outside the years 0000 to 9999 in UTC.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if !text.is_ascii() || bytes.len() < 20 {
        return None;
    }
    let shape = bytes[4] == b'-'
        && bytes[7] == b'-'
        && matches!(bytes[10], b'T' | b't')
        && bytes[13] == b':'
        && bytes[16] == b':';
    if !shape {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(
        i32::try_from(number(&bytes[..4])?).ok()?,
        number(&bytes[5..7])?,
        number(&bytes[8..10])?,
    )?;
    let (hour, minute, second) = (number(&bytes[11..13])?, number(&bytes[14..16])?, number(&bytes[17..19])?);
    let local = date.and_hms_opt(hour, minute, second)?;
    let (fraction, offset) = split_fraction(&bytes[19..])?;
    let seconds = local.and_utc().timestamp() - offset_seconds(offset)?;
    let micros = seconds.checked_mul(MICROS_PER_SECOND)? + fraction;
    (MIN_MICROS..=MAX_MICROS).contains(&micros).then_some(micros)
}

/// Writes an instant as RFC 3339 in UTC with `Z`; microseconds only when they are not zero.
///
/// An instant that RFC 3339 cannot write is shown as the nearest one that it can.
#[must_use]
pub fn format_micros(micros: i64) -> String {
    let shown = micros.clamp(MIN_MICROS, MAX_MICROS);
    let time = DateTime::from_timestamp_micros(shown).unwrap_or_default();
    // By hand: lists are full of times, and the general way costs several times as much.
    let mut text = String::with_capacity(27);
    for (value, width, end) in [
        (u32::try_from(time.year()).unwrap_or_default(), 4, '-'),
        (time.month(), 2, '-'),
        (time.day(), 2, 'T'),
        (time.hour(), 2, ':'),
        (time.minute(), 2, ':'),
    ] {
        push_digits(&mut text, value, width);
        text.push(end);
    }
    push_digits(&mut text, time.second(), 2);
    if shown % MICROS_PER_SECOND != 0 {
        text.push('.');
        push_digits(&mut text, time.timestamp_subsec_micros(), 6);
    }
    text.push('Z');
    text
}

/// Adds a number of at most `width` digits, zeros before it.
fn push_digits(text: &mut String, value: u32, width: u32) {
    for place in (0..width).rev() {
        let digit = value / 10_u32.pow(place) % 10;
        text.push(char::from_digit(digit, 10).unwrap_or('0'));
    }
}

/// A run of digits as a number; `None` where anything else is in it.
fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0')))
}

/// Splits what follows the seconds into the fraction in microseconds and the offset.
fn split_fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some(after) = rest.strip_prefix(b".") else {
        return Some((0, rest));
    };
    let length = after.iter().take_while(|b| b.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let kept = number(&after[..length.min(6)])?;
    let scale = (length.min(6)..6).fold(1, |scale, _| scale * 10);
    Some((i64::from(kept) * scale, &after[length..]))
}

/// The seconds by which a local time is ahead of UTC.
fn offset_seconds(offset: &[u8]) -> Option<i64> {
    let (sign, rest) = match offset {
        [b'Z' | b'z'] => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    if rest.len() != 5 || rest[2] != b':' {
        return None;
    }
    let (hours, minutes) = (number(&rest[..2])?, number(&rest[3..])?);
    (hours < 24 && minutes < 60).then(|| sign * i64::from(hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use proptest::test_runner::{Config as ProptestConfig, RngSeed};

    use super::*;

    #[test]
    fn times_are_read_as_their_instant() {
        for (text, micros) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:01.5Z", 1_500_000),
            ("1970-01-01T01:00:00+01:00", 0),
            ("1969-12-31T23:59:59.999999Z", -1),
            ("1970-01-01t00:00:00.0000019z", 1),
            ("2026-05-04T08:00:00Z", 1_777_881_600_000_000),
            ("0001-01-01T00:00:00Z", -62_135_596_800_000_000),
            ("0000-01-01T00:00:00Z", MIN_MICROS),
            ("9999-12-31T23:59:59.999999Z", MAX_MICROS),
            ("2024-02-29T00:00:00-23:59", 1_709_251_140_000_000),
        ] {
            assert_eq!(parse_rfc3339(text), Some(micros), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_time() {
        for text in [
            "",
            "2026-05-04",
            "2026-05-04T08:00:00",
            "2026-05-04 08:00:00Z",
            "2026-05-04T08:00Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-05-04T24:00:00Z",
            "2016-12-31T23:59:60Z",
            "2026-05-04T08:00:00.Z",
            "2026-05-04T08:00:00+0100",
            "2026-05-04T08:00:00+24:00",
            "2026-05-04T08:00:00Zulu",
            "+2026-05-04T08:00:00Z",
            "-001-05-04T08:00:00Z",
            "20２6-05-04T08:00:00Z",
            "0000-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "yesterday, at about eight",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn an_instant_is_written_in_utc_with_micros_only_when_needed() {
        assert_eq!(format_micros(0), "1970-01-01T00:00:00Z");
        assert_eq!(format_micros(-1), "1969-12-31T23:59:59.999999Z");
        assert_eq!(format_micros(MIN_MICROS), "0000-01-01T00:00:00Z");
        assert_eq!(format_micros(i64::MIN), "0000-01-01T00:00:00Z");
        assert_eq!(format_micros(i64::MAX), "9999-12-31T23:59:59.999999Z");
    }

    proptest::proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn writing_and_reading_is_the_identity(micros in MIN_MICROS..=MAX_MICROS) {
            assert_eq!(parse_rfc3339(&format_micros(micros)), Some(micros));
        }

        #[test]
        fn reading_is_total(text in ".{0,40}") {
            let _ = parse_rfc3339(&text);
        }
    }
}
