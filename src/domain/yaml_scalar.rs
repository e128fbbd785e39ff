//! What a YAML scalar is in JSON.
//!
//! A plain scalar is a number, boolean or null where JSON would spell it the same; where YAML 1.1,
//! YAML 1.2 and Kubernetes disagree (`010`, `1_000`, `1e3`, `yes`, `1:30`, a bare U+2028) it is
//! refused; all else, timestamps too, is a string.

use std::borrow::Cow;

use granit_parser::ScalarStyle;
use serde_json::Value;

/// The line breaks that YAML 1.1 knows beside those of 1.2, and folds into spaces. Writers escape
/// them between double quotes.
const OLD_BREAKS: [char; 3] = ['\u{85}', '\u{2028}', '\u{2029}'];

/// What a scalar is in JSON.
#[derive(Debug, PartialEq, Eq)]
pub enum Scalar<'t> {
    /// A string, quoted.
    Text(Cow<'t, str>),
    /// A number, a boolean or null.
    Other(Cow<'t, str>),
    /// Not the same for every reader.
    Ambiguous,
}

/// What a scalar of this style is.
#[must_use]
pub fn resolve(text: &str, style: ScalarStyle) -> Scalar<'_> {
    if style != ScalarStyle::DoubleQuoted && text.contains(OLD_BREAKS) {
        return Scalar::Ambiguous;
    }
    if style != ScalarStyle::Plain {
        return Scalar::Text(Value::from(text).to_string().into());
    }
    match text {
        "true" | "false" | "null" => Scalar::Other(text.into()),
        "" | "~" => Scalar::Other("null".into()),
        _ if is_json_number(text) => Scalar::Other(text.into()),
        _ if is_ambiguous(text) => Scalar::Ambiguous,
        _ => Scalar::Text(Value::from(text).to_string().into()),
    }
}

/// Whether JSON spells a number like this, and every YAML reader takes it for one. An exponent wants
/// a point and a sign for that: YAML 1.1 reads `12e4`, which may be the beginning of a digest, as a
/// string.
fn is_json_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "+0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    let exponent_is_plain = mantissa == unsigned || mantissa.contains('.') && exponent.starts_with(['+', '-']);
    !leading_zero && !whole.is_empty() && !fraction.is_empty() && exponent_is_plain && is_decimal(unsigned)
}

/// Whether some YAML reader takes this plain scalar for something that is not a string.
fn is_ambiguous(text: &str) -> bool {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", ".nan", "="];
    let lower = text.to_ascii_lowercase();
    if WORDS.contains(&lower.as_str()) {
        return true;
    }
    let number = lower.strip_prefix(['+', '-']).unwrap_or(&lower);
    if !number.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return false;
    }
    let number = number.replace('_', "");
    number == ".inf" || is_decimal(&number) || is_based(&number) || is_sexagesimal(&number)
}

/// Digits with at most a point and an exponent.
fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_is_good = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && is_digits(digits)
    });
    whole.len() + fraction.len() > 0 && is_digits(whole) && is_digits(fraction) && exponent_is_good
}

/// Hexadecimal, octal or binary digits behind their mark, in lower case.
fn is_based(text: &str) -> bool {
    let Some((mark, digits)) = text.split_at_checked(2) else {
        return false;
    };
    let radix = match mark {
        "0x" => 16,
        "0o" => 8,
        "0b" => 2,
        _ => return false,
    };
    !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix))
}

/// Hours and minutes, or degrees: digits, then one or more parts below 60.
fn is_sexagesimal(text: &str) -> bool {
    let whole = text.split_once('.').map_or(text, |(whole, fraction)| if is_digits(fraction) { whole } else { "" });
    let mut parts = whole.split(':');
    let first = parts.next().unwrap_or("");
    let mut count = 0;
    let below_sixty = parts.all(|part| {
        count += 1;
        is_digits(part) && part.parse::<u8>().is_ok_and(|part| part < 60)
    });
    !first.is_empty() && is_digits(first) && below_sixty && count > 0
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Scalar<'_> {
        resolve(text, ScalarStyle::Plain)
    }

    #[test]
    fn what_json_spells_alike_is_no_string() {
        for text in ["0", "-1", "10", "1.5", "-0.25", "1.5E-7", "1.0e+06", "true", "null"] {
            assert_eq!(plain(text), Scalar::Other(text.into()), "{text}");
        }
        assert_eq!(plain("~"), Scalar::Other("null".into()));
    }

    #[test]
    fn what_readers_understand_differently_is_refused() {
        for text in [
            "010",
            "1e3",
            "1e+06",
            "1.5e7",
            "12e45678",
            "1_000",
            "+1",
            "0x1F",
            "0o17",
            "0b1",
            "1.",
            ".5",
            "1:30",
            "190:20:30",
            "-.inf",
            ".NaN",
            "yes",
            "No",
            "ON",
            "off",
            "True",
            "NULL",
            "00",
            "-01",
            "1_000.5",
            "1e5_0",
            "20:30:15.5",
            "=",
        ] {
            assert_eq!(plain(text), Scalar::Ambiguous, "{text}");
        }
    }

    #[test]
    fn all_else_is_a_string() {
        for text in [
            "2026-05-04T08:00:00Z",
            "2026-05-04",
            "v1.14.0",
            "1.14.0",
            "10.20.0.1:5000/packs",
            "10.20.0.1",
            "-",
            ".",
            "yesterday",
            "0xZZ",
            "y",
            "n",
            "1:75",
            "sha256:00",
            "e5",
            "1e",
            "a_1",
            "1:30:x",
            "_1",
        ] {
            assert_eq!(plain(text), Scalar::Text(format!("\"{text}\"").into()), "{text}");
        }
        assert_eq!(resolve("a\u{85}", ScalarStyle::SingleQuoted), Scalar::Ambiguous);
        for text in ["010", "yes", "", "null"] {
            let quoted = resolve(text, ScalarStyle::SingleQuoted);
            assert_eq!(quoted, Scalar::Text(format!("\"{text}\"").into()));
        }
    }
}
