//! Media types of requests and responses.

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};

/// A media type a response can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `application/graphql-response+json`: the status tells whether the request was executed.
    Graphql,
    /// `application/json`: every well-formed GraphQL response has status 200.
    Json,
}

impl Media {
    /// The `Content-Type` of a response.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Graphql => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        }
    }

    /// The type that suits `Accept` best, none if neither does.
    ///
    /// Without the header, and for wildcards, it is plain JSON, which every client reads.
    #[must_use]
    pub fn negotiate(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(ACCEPT).iter().peekable();
        if values.peek().is_none() {
            return Some(Self::Json);
        }
        let texts = values.filter_map(|value| value.to_str().ok());
        let ranges: Vec<Range> = texts.flat_map(|text| text.split(',')).map(range).collect();
        let graphql = quality(&ranges, "application/graphql-response+json", false);
        let json = quality(&ranges, "application/json", true);
        match (graphql, json) {
            (0, 0) => None,
            _ if graphql >= json => Some(Self::Graphql),
            _ => Some(Self::Json),
        }
    }
}

/// Whether `Accept` names JSON, and not YAML as at least as good.
#[must_use]
pub fn prefers_json(headers: &HeaderMap) -> bool {
    let texts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<Range> = texts.flat_map(|text| text.split(',')).map(range).collect();
    let yaml = ["application/yaml", "application/x-yaml", "text/yaml"].map(|name| quality(&ranges, name, false));
    quality(&ranges, "application/json", false) > yaml.into_iter().max().unwrap_or(0)
}

struct Range {
    name: String,
    /// Thousandths.
    quality: u16,
}

fn range(text: &str) -> Range {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    let quality = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
    Range { name, quality: quality.map_or(1000, thousandths) }
}

/// A quality such as `0.85` in thousandths; what is none counts as 0.
fn thousandths(text: &str) -> u16 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = format!("{fraction:0<3}").chars().take(3).collect();
    match (whole, digits.parse::<u16>()) {
        ("1", Ok(_)) => 1000,
        ("0", Ok(value)) => value,
        _ => 0,
    }
}

/// The quality of `name`: that of the most specific range that matches.
fn quality(ranges: &[Range], name: &str, wildcards: bool) -> u16 {
    let wildcards: &[&str] = if wildcards { &["application/*", "*/*"] } else { &[] };
    std::iter::once(&name)
        .chain(wildcards)
        .find_map(|wanted| ranges.iter().find(|range| range.name == **wanted))
        .map_or(0, |range| range.quality)
}

/// Whether the body is declared as JSON in UTF-8, the only content type a browser form cannot send
/// across origins.
#[must_use]
pub fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let Ok(text) = value.to_str() else {
        return false;
    };
    let mut parts = text.split(';').map(str::trim);
    let json = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/json"));
    json && parts.all(is_utf8_parameter)
}

fn is_utf8_parameter(parameter: &str) -> bool {
    match parameter.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiated(accept: &str) -> Option<Media> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept.parse().unwrap());
        Media::negotiate(&headers)
    }

    #[test]
    fn the_more_wanted_type_wins() {
        let both = "application/graphql-response+json, application/json;q=0.9";
        assert_eq!(negotiated(both), Some(Media::Graphql));
        let turned = "application/graphql-response+json;q=0.5, application/json";
        assert_eq!(negotiated(turned), Some(Media::Json));
        let even = "application/json, application/graphql-response+json";
        assert_eq!(negotiated(even), Some(Media::Graphql));
    }

    #[test]
    fn wildcards_and_silence_mean_plain_json() {
        assert_eq!(negotiated("*/*"), Some(Media::Json));
        assert_eq!(negotiated("text/html, application/*;q=0.1"), Some(Media::Json));
        assert_eq!(Media::negotiate(&HeaderMap::new()), Some(Media::Json));
    }

    #[test]
    fn nothing_acceptable_is_none() {
        assert_eq!(negotiated("text/html"), None);
        assert_eq!(negotiated("application/json;q=0, */*"), None);
    }
}
