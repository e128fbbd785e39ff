//! Which format a body has.

use super::scan::{Scan, Step};

/// The format of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON value a line.
    Ndjson,
    /// An object, an array, a Kubernetes list, or several of them.
    Json,
    /// One or more YAML documents.
    Yaml,
}

/// The content type of a body that holds no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the content type is none of application/x-ndjson, application/json, application/yaml")]
pub struct FormatError;

/// Tells the format of a body: by its content type, else by the file's name, else by its beginning.
///
/// # Errors
/// The content type says that the body is something else.
pub fn detect(content_type: Option<&str>, file_name: Option<&str>, first_bytes: &[u8]) -> Result<Format, FormatError> {
    let essence = content_type.and_then(|value| value.split(';').next()).unwrap_or("");
    match essence.trim().to_ascii_lowercase().as_str() {
        "" | "application/octet-stream" => {}
        essence => return by_content_type(essence).ok_or(FormatError),
    }
    Ok(file_name.and_then(by_file_name).unwrap_or_else(|| by_beginning(first_bytes)))
}

fn by_content_type(essence: &str) -> Option<Format> {
    match essence {
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines" => {
            Some(Format::Ndjson)
        }
        "application/json" | "text/json" => Some(Format::Json),
        "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml" => Some(Format::Yaml),
        _ if essence.ends_with("+json") => Some(Format::Json),
        _ if essence.ends_with("+yaml") => Some(Format::Yaml),
        _ => None,
    }
}

fn by_file_name(name: &str) -> Option<Format> {
    let name = name.to_ascii_lowercase();
    let plain = [".gz", ".zst"].iter().find_map(|suffix| name.strip_suffix(suffix));
    match plain.unwrap_or(&name).rsplit_once('.')?.1 {
        "ndjson" | "jsonl" => Some(Format::Ndjson),
        "json" => Some(Format::Json),
        "yaml" | "yml" => Some(Format::Yaml),
        _ => None,
    }
}

/// JSON begins with a bracket, and NDJSON has the first value's end on the first line.
fn by_beginning(bytes: &[u8]) -> Format {
    let text = bytes.strip_prefix(super::BYTE_ORDER_MARK).unwrap_or(bytes).trim_ascii_start();
    match text.first() {
        Some(b'{') if ends_on_first_line(text) => Format::Ndjson,
        Some(b'[' | b'{') => Format::Json,
        _ => Format::Yaml,
    }
}

fn ends_on_first_line(text: &[u8]) -> bool {
    let line = text.split(|b| *b == b'\n').next().unwrap_or(text);
    line.first().and_then(|first| Scan::start(*first)).is_some_and(|mut scan| matches!(scan.run(line), Step::End(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_comes_first() {
        for (content_type, format) in [
            ("application/x-ndjson", Ok(Format::Ndjson)),
            ("Application/JSON; charset=utf-8", Ok(Format::Json)),
            ("application/yaml", Ok(Format::Yaml)),
            ("text/html", Err(FormatError)),
            ("application/x-www-form-urlencoded", Err(FormatError)),
            ("multipart/form-data; boundary=x", Err(FormatError)),
        ] {
            assert_eq!(detect(Some(content_type), Some("a.yaml"), b"{"), format, "{content_type}");
        }
    }

    #[test]
    fn the_name_comes_next_and_then_the_beginning() {
        assert_eq!(detect(None, Some("dump.JSONL.gz"), b"["), Ok(Format::Ndjson));
        assert_eq!(detect(Some("application/octet-stream"), Some("x.yml"), b"{"), Ok(Format::Yaml));
        assert_eq!(detect(None, Some("dump"), b" \n["), Ok(Format::Json));
        assert_eq!(detect(None, None, b"{\"a\": \"}\"}\n{}"), Ok(Format::Ndjson));
        assert_eq!(detect(None, None, b"{\n\"a\": 1}"), Ok(Format::Json));
        assert_eq!(detect(None, None, b"\xef\xbb\xbf{\n"), Ok(Format::Json));
        assert_eq!(detect(None, None, b"kind: X\n"), Ok(Format::Yaml));
        assert_eq!(detect(None, None, b""), Ok(Format::Yaml));
    }
}
