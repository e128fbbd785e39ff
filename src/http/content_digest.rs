//! `Content-Digest` and `Repr-Digest` (RFC 9530), of which SHA-256 is read and written here.
//!
//! The field is a dictionary of structured fields (RFC 9651) whose values are byte sequences:
//! `sha-256=:<base64>:, sha-512=:<base64>:`.

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

use crate::domain::digest::Digest;

const SHA_256: &str = "sha-256";

/// Readers of structured fields accept missing padding and stray bits in it.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A field that is no dictionary of digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a digest field is written sha-256=:<base64>:, a list of algorithms with their digests")]
pub struct DigestFieldError;

/// The SHA-256 of a digest field, if it has one; other algorithms are ignored.
///
/// Several lines of the field are one text, joined by commas. Of an algorithm given twice the last
/// counts, as in every dictionary.
///
/// # Errors
///
/// If the text is no dictionary of byte sequences, or its SHA-256 is not 32 bytes long.
pub fn sha256(field: &str) -> Result<Option<Digest>, DigestFieldError> {
    let mut found = None;
    let mut rest = field.trim_matches(' ');
    while !rest.is_empty() {
        let (algorithm, bytes, after) = member(rest).ok_or(DigestFieldError)?;
        if algorithm == SHA_256 {
            found = Some(Digest(bytes.try_into().map_err(|_| DigestFieldError)?));
        }
        rest = next_member(after).ok_or(DigestFieldError)?;
    }
    Ok(found)
}

/// The field that states this digest.
#[must_use]
pub fn field(digest: &Digest) -> String {
    format!("{SHA_256}=:{}:", STANDARD.encode(digest.0))
}

/// The algorithm and digest that the text begins with, and what follows them.
fn member(text: &str) -> Option<(&str, Vec<u8>, &str)> {
    let (algorithm, rest) = key(text)?;
    let (encoded, rest) = rest.strip_prefix("=:")?.split_once(':')?;
    let bytes = LENIENT.decode(encoded).ok()?;
    Some((algorithm, bytes, after_parameters(rest)?))
}

/// The key that the text begins with, and what follows it.
fn key(text: &str) -> Option<(&str, &str)> {
    let is_first = |c: char| c.is_ascii_lowercase() || c == '*';
    let is_next = |c: char| is_first(c) || c.is_ascii_digit() || "_-.".contains(c);
    let end = text.find(|c| !is_next(c)).unwrap_or(text.len());
    text.starts_with(is_first).then(|| text.split_at(end))
}

/// What follows the parameters that the text may begin with. None are defined, so none are read.
fn after_parameters(mut text: &str) -> Option<&str> {
    while let Some(parameter) = text.strip_prefix(';') {
        let (_, rest) = key(parameter.trim_start_matches(' '))?;
        text = match rest.strip_prefix('=') {
            Some(value) => after_value(value)?,
            None => rest,
        };
    }
    Some(text)
}

/// What follows the bare item that the text begins with: a quoted string, or anything without a delimiter.
fn after_value(text: &str) -> Option<&str> {
    let Some(string) = text.strip_prefix('"') else {
        let end = text.find([',', ';', ' ', '\t']).unwrap_or(text.len());
        return (end > 0).then(|| &text[end..]);
    };
    let mut is_escaped = false;
    let end = string.find(|c| {
        let ends = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends
    })?;
    Some(&string[end + 1..])
}

/// The member after the comma, or nothing at the end; a comma at the end is an error.
fn next_member(text: &str) -> Option<&str> {
    let text = text.trim_start_matches([' ', '\t']);
    if text.is_empty() {
        return Some(text);
    }
    let next = text.strip_prefix(',')?.trim_start_matches([' ', '\t']);
    (!next.is_empty()).then_some(next)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EMPTY: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

    #[test]
    fn sha_256_is_found_among_other_algorithms() {
        let empty = Some(Digest::of_bytes(b""));
        let unpadded = EMPTY.trim_end_matches('=');
        let other = "A".repeat(43);
        let cases = [
            (format!("sha-256=:{EMPTY}:"), empty),
            (format!("  sha-256=:{EMPTY}:  "), empty),
            (format!("sha-256=:{unpadded}:"), empty),
            (format!("sha-512=:AAAA:,sha-256=:{EMPTY}:"), empty),
            (format!("sha-512=:AAAA: \t,\t sha-256=:{EMPTY}:, md5=::"), empty),
            (format!("sha-256=:{EMPTY}:;a;b=\"x,\\\"; sha-256=\"; c=?1, crc32c=:AAAA:;d=4"), empty),
            (format!("sha-256=:{other}:, sha-256=:{EMPTY}:"), empty),
            ("sha-512=:AAAA:".to_owned(), None),
            ("sha-2567=:AAAA:".to_owned(), None),
            (String::new(), None),
            ("  ".to_owned(), None),
        ];
        for (text, expected) in cases {
            assert_eq!(sha256(&text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_dictionary_of_digests_is_an_error() {
        let hex = Digest::of_bytes(b"").hex();
        let texts = [
            "sha-256".to_owned(),
            "sha-256=".to_owned(),
            format!("sha-256={EMPTY}"),
            format!("sha-256=:{EMPTY}"),
            format!("sha-256={EMPTY}:"),
            format!("sha-256=\"{EMPTY}\""),
            format!("sha-256=:{hex}:"),
            "sha-256=:AAAA:".to_owned(),
            "sha-256=::".to_owned(),
            "sha-256=:not base64:".to_owned(),
            format!("SHA-256=:{EMPTY}:"),
            format!("sha-256 =:{EMPTY}:"),
            format!("sha-256=:{EMPTY}:,"),
            format!(",sha-256=:{EMPTY}:"),
            format!("sha-256=:{EMPTY}: sha-512=:AAAA:"),
            format!("sha-256=:{EMPTY}:;"),
            format!("sha-256=:{EMPTY}:;a="),
            format!("sha-256=:{EMPTY}:;a=\"x"),
            format!("sha-256=:{EMPTY}:, sha-512=1"),
            format!("sha-256=:{EMPTY}:, sha-512=:?:"),
        ];
        for text in texts {
            assert_eq!(sha256(&text), Err(DigestFieldError), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_written_field_reads_back(bytes in any::<[u8; 32]>()) {
            prop_assert_eq!(sha256(&field(&Digest(bytes))), Ok(Some(Digest(bytes))));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in ".{0,40}|sha-256=:[A-Za-z0-9+/=]{40,46}:[,; a-z=\"\\\\]{0,9}") {
            let _read = sha256(&text);
        }
    }
}
