//! Durations as ISO 8601 writes them.

/// The longest duration: a leap year.
const MAX_SECONDS: i64 = 366 * 24 * 3600;

/// The seconds of a duration such as `PT4H`, `P2DT30M` or `P1W`.
///
/// `None` for anything else: years and months, which have no fixed length, fractions, signs, none at
/// all, and more than 366 days.
pub(super) fn seconds(text: &str) -> Option<i64> {
    let rest = text.strip_prefix('P')?;
    let (date, time) = match rest.split_once('T') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None => (rest, ""),
    };
    let days = sum(date, &[('W', 7 * 24 * 3600), ('D', 24 * 3600)])?;
    let total = days.checked_add(sum(time, &[('H', 3600), ('M', 60), ('S', 1)])?)?;
    (1..=MAX_SECONDS).contains(&total).then_some(total)
}

/// The sum of parts such as `4H30M`, each unit at most once and in this order.
fn sum(text: &str, units: &[(char, i64)]) -> Option<i64> {
    let (mut rest, mut total) = (text, 0_i64);
    for (unit, size) in units {
        if let Some((digits, after)) = rest.split_once(*unit) {
            if digits.is_empty() || digits.len() > 12 || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            total = total.checked_add(digits.parse::<i64>().ok()?.checked_mul(*size)?)?;
            rest = after;
        }
    }
    rest.is_empty().then_some(total)
}
