//! Where artifacts' content is kept: the URL of configuration.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use object_store::path::Path as Key;
use url::Url;

use super::ArtifactError;

/// Where artifacts' content is kept.
///
/// It holds no secret: credentials of S3 come from `AWS_*` variables alone, and a URL that carries
/// some is refused. So it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArtifactUrl {
    /// A directory: a path, or `file:///path`.
    Directory(PathBuf),
    /// `s3://bucket/prefix?region=…&endpoint=…&allow_http=true`.
    S3(S3Location),
    /// `memory:`, for tests: gone with the process.
    Memory,
}

/// A place in an S3 service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Location {
    /// The bucket.
    pub bucket: String,
    /// What all keys begin with; may be empty.
    pub prefix: Key,
    /// The region, else that of `AWS_REGION`.
    pub region: Option<String>,
    /// The service's address if it is not Amazon's, else that of `AWS_ENDPOINT_URL`.
    pub endpoint: Option<Url>,
    /// Whether the endpoint may be plain HTTP.
    pub allow_http: bool,
}

impl FromStr for ArtifactUrl {
    type Err = ArtifactError;

    fn from_str(text: &str) -> Result<Self, ArtifactError> {
        match scheme(text) {
            None if text.is_empty() => Err(bad("it is empty")),
            None => Ok(Self::Directory(text.into())),
            // `file:name` would be read as `/name`, which is hardly what was meant.
            Some("file") if text.starts_with("file:///") => directory(&parse(text)?),
            Some("s3") => s3(&parse(text)?).map(Self::S3),
            Some("memory") if text == "memory:" => Ok(Self::Memory),
            Some(_) => Err(bad("a path, `file:///path`, `s3://bucket/prefix` or `memory:` is expected")),
        }
    }
}

impl fmt::Display for ArtifactUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::S3(location) => write!(f, "s3://{}/{}", location.bucket, location.prefix),
            Self::Memory => f.write_str("memory:"),
        }
    }
}

fn bad(text: &str) -> ArtifactError {
    ArtifactError::BadUrl(text.to_owned())
}

/// The scheme of a URL; a path has none. `./a:b` writes a path whose name looks like one.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    is_scheme.then_some(scheme)
}

fn parse(text: &str) -> Result<Url, ArtifactError> {
    let url = Url::parse(text).map_err(|error| ArtifactError::BadUrl(error.to_string()))?;
    if has_credentials(&url) {
        return Err(bad("credentials do not belong into it; S3 reads them from AWS_* variables"));
    }
    Ok(url)
}

fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

fn directory(url: &Url) -> Result<ArtifactUrl, ArtifactError> {
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("a file URL has neither query nor fragment"));
    }
    if url.path() == "/" {
        return Err(bad("the root of the file system is no place for a store"));
    }
    let path = url.to_file_path().map_err(|()| bad("a file URL is written file:///path"))?;
    Ok(ArtifactUrl::Directory(path))
}

fn s3(url: &Url) -> Result<S3Location, ArtifactError> {
    let bucket = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| bad("it names no bucket"))?;
    if url.port().is_some() || url.fragment().is_some() {
        return Err(bad("an S3 URL is written s3://bucket/prefix; the service's address is its `endpoint`"));
    }
    let prefix = Key::from_url_path(url.path()).map_err(|_| bad("the prefix cannot be part of a key"))?;
    let location = S3Location { bucket: bucket.to_owned(), prefix, region: None, endpoint: None, allow_http: false };
    let location = url.query_pairs().try_fold(location, |location, (name, value)| option(location, &name, &value))?;
    if location.endpoint.as_ref().is_some_and(|endpoint| endpoint.scheme() == "http") && !location.allow_http {
        return Err(bad("the endpoint is plain HTTP, which needs `allow_http=true`"));
    }
    Ok(location)
}

/// Adds one option of the query. A name that is not known may be a secret's, so it is not repeated.
fn option(location: S3Location, name: &str, value: &str) -> Result<S3Location, ArtifactError> {
    match name {
        "region" if !value.is_empty() => Ok(S3Location { region: Some(value.to_owned()), ..location }),
        "endpoint" => Ok(S3Location { endpoint: Some(endpoint(value)?), ..location }),
        "allow_http" => match value {
            "true" => Ok(S3Location { allow_http: true, ..location }),
            "false" => Ok(S3Location { allow_http: false, ..location }),
            _ => Err(bad("`allow_http` is true or false")),
        },
        _ => Err(bad("its options are `region`, `endpoint` and `allow_http`; credentials come from AWS_* variables")),
    }
}

fn endpoint(text: &str) -> Result<Url, ArtifactError> {
    let url = parse(text)?;
    let is_address = matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none();
    if is_address { Ok(url) } else { Err(bad("the endpoint is an http or https address")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3_location(text: &str) -> S3Location {
        match text.parse() {
            Ok(ArtifactUrl::S3(location)) => location,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_path_or_a_file_url_is_a_directory() {
        let cases = [
            ("packtrail-artifacts", "packtrail-artifacts"),
            ("/var/lib/packtrail/artifacts", "/var/lib/packtrail/artifacts"),
            ("./a:b", "./a:b"),
            ("../a b", "../a b"),
            ("file:///var/lib/a%20b", "/var/lib/a b"),
        ];
        for (text, path) in cases {
            assert_eq!(text.parse::<ArtifactUrl>().unwrap(), ArtifactUrl::Directory(path.into()), "{text}");
        }
        assert_eq!("memory:".parse::<ArtifactUrl>().unwrap(), ArtifactUrl::Memory);
    }

    #[test]
    fn an_s3_url_names_bucket_prefix_and_service() {
        let plain = s3_location("s3://bucket");
        assert_eq!((plain.bucket.as_str(), plain.prefix.as_ref()), ("bucket", ""));
        assert_eq!((plain.region, plain.endpoint, plain.allow_http), (None, None, false));

        let full = s3_location("s3://bucket/a/b/?region=eu-1&endpoint=http://127.0.0.1:9000&allow_http=true");
        assert_eq!((full.bucket.as_str(), full.prefix.as_ref()), ("bucket", "a/b"));
        assert_eq!(full.region.as_deref(), Some("eu-1"));
        assert_eq!(full.endpoint.unwrap().as_str(), "http://127.0.0.1:9000/");
        assert!(full.allow_http);
    }

    #[test]
    fn other_urls_are_refused_and_not_repeated() {
        let texts = [
            "",
            "http://secret/",
            "gs://secret",
            "memory:secret",
            "file:secret",
            "file://secret/a",
            "file:///",
            "file:///a?secret=1",
            "s3:secret",
            "s3:///secret",
            "s3://secret:1/a",
            "s3://key:secret@bucket/",
            "s3://secret@bucket/",
            "s3://bucket/a?secret=1",
            "s3://bucket/a?aws_secret_access_key=secret",
            "s3://bucket/a?region=",
            "s3://bucket/a?allow_http=secret",
            "s3://bucket/a?endpoint=secret",
            "s3://bucket/a?endpoint=ftp://secret",
            "s3://bucket/a?endpoint=http://secret",
            "s3://bucket/a?endpoint=https://key:secret@host",
            "s3://bucket/a?endpoint=https://host?secret",
            "s3://bucket/a#secret",
            "s3://bucket/a//secret",
        ];
        for text in texts {
            let error = text.parse::<ArtifactUrl>().unwrap_err();
            assert!(matches!(error, ArtifactError::BadUrl(_)), "{text}: {error:?}");
            assert!(!format!("{error} {error:?}").contains("secret"), "{text}: {error:?}");
        }
    }
}
