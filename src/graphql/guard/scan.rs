//! Counts the tokens and brackets of a query text without recursion, before any parser sees it.

/// What a text is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Names, numbers, strings and punctuators.
    pub tokens: usize,
    /// The most brackets open at once.
    pub nesting: usize,
}

/// A string without its end, at a byte offset.
///
/// It must end the request here: a parser that backtracks out of it would read as brackets what
/// this scan took for text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unterminated(pub usize);

/// Scans `text` to its end.
///
/// # Errors
/// [`Unterminated`] when a string or block string is not closed.
pub fn scan(text: &str) -> Result<Scan, Unterminated> {
    let bytes = text.as_bytes();
    let mut found = Scan::default();
    let mut open = 0_usize;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at = match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => {
                at += 1;
                continue;
            }
            b'#' => {
                at = end_of_line(bytes, at);
                continue;
            }
            b'"' => end_of_string(bytes, at).ok_or(Unterminated(at))?,
            b'(' | b'[' | b'{' => {
                open += 1;
                found.nesting = found.nesting.max(open);
                at + 1
            }
            b')' | b']' | b'}' => {
                open = open.saturating_sub(1);
                at + 1
            }
            b'.' if bytes[at..].starts_with(b"...") => at + 3,
            _ if is_word(byte) => end_of_word(bytes, at),
            _ => at + 1,
        };
        found.tokens += 1;
    }
    Ok(found)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn end_of_word(bytes: &[u8], start: usize) -> usize {
    let length = bytes[start..].iter().take_while(|byte| is_word(**byte));
    start + length.count()
}

fn end_of_line(bytes: &[u8], start: usize) -> usize {
    let length = bytes[start..].iter().take_while(|byte| !matches!(byte, b'\r' | b'\n'));
    start + length.count()
}

fn end_of_string(bytes: &[u8], start: usize) -> Option<usize> {
    if bytes[start..].starts_with(b"\"\"\"") {
        end_of_block(bytes, start + 3)
    } else {
        end_of_line_string(bytes, start + 1)
    }
}

fn end_of_block(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    while at < bytes.len() {
        let rest = &bytes[at..];
        if rest.starts_with(b"\"\"\"") {
            return Some(at + 3);
        }
        at += if rest.starts_with(b"\\\"\"\"") { 4 } else { 1 };
    }
    None
}

fn end_of_line_string(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        match *bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\r' | b'\n' => return None,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_strings_and_comments_do_not_count() {
        let text = "{ a(x: \"[[\\\"[[\", y: \"\"\"{{ \\\"\"\" {{\"\"\") # ((((\n b }";
        assert_eq!(scan(text), Ok(Scan { tokens: 12, nesting: 2 }));
    }

    #[test]
    fn an_unterminated_string_is_refused_where_it_begins() {
        assert_eq!(scan("{ a(x: \"b\n) }"), Err(Unterminated(7)));
        assert_eq!(scan("{ a(x: [\"\"\"[\", [[[[ ]) }"), Err(Unterminated(8)));
        assert_eq!(scan("\"\\"), Err(Unterminated(0)));
    }

    #[test]
    fn closing_brackets_alone_do_not_underflow() {
        assert_eq!(scan("}}}{"), Ok(Scan { tokens: 4, nesting: 1 }));
    }
}
