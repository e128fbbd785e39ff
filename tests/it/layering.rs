//! Reads the sources and fails where a module uses one it must not know.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// What each module of the crate may use of the others. The first part is the layers, bottom up;
/// the second the modules beside them.
const MODULES: [(&str, &[&str]); 12] = [
    ("domain", &[]),
    ("storage", &["domain", "clock", "config"]),
    ("service", &["domain", "storage", "clock", "config", "auth", "shutdown"]),
    ("graphql", &["domain", "storage", "service", "clock", "config", "auth", "shutdown"]),
    ("http", &["domain", "storage", "service", "graphql", "clock", "config", "auth", "shutdown", "telemetry"]),
    (
        "cli",
        &[
            "domain",
            "storage",
            "service",
            "graphql",
            "http",
            "clock",
            "config",
            "auth",
            "shutdown",
            "telemetry",
            "worker",
        ],
    ),
    // A client: it knows the server by its surfaces alone.
    ("worker", &[]),
    ("clock", &["domain"]),
    ("config", &["domain"]),
    ("auth", &["domain", "config"]),
    ("telemetry", &["domain", "config"]),
    ("shutdown", &["domain"]),
];

/// External crates and the only modules that may use them.
const CRATES: [(&str, &[&str]); 5] = [
    ("sqlx", &["storage"]),
    ("async_graphql", &["graphql", "http"]),
    ("axum", &["http"]),
    ("tokio", &["storage", "service", "graphql", "http", "cli", "telemetry", "shutdown", "worker"]),
    ("object_store", &["storage"]),
];

#[derive(Debug, PartialEq, Eq)]
struct Violation {
    file: PathBuf,
    line: usize,
    what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.what)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    line: usize,
    /// An identifier, `::`, or one other character.
    text: String,
}

/// The tokens of a Rust source without comments and literals.
fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while let Some(&c) = chars.get(at) {
        let end = match c {
            '/' if chars.get(at + 1) == Some(&'/') => line_comment_end(&chars, at),
            '/' if chars.get(at + 1) == Some(&'*') => block_comment_end(&chars, at),
            '"' => string_end(&chars, at),
            'r' | 'b' if raw_string_start(&chars, at).is_some() => raw_string_end(&chars, at),
            '\'' => char_end(&chars, at),
            _ if is_word(c) => word_end(&chars, at),
            _ => at + 1,
        };
        if is_word(c) && raw_string_start(&chars, at).is_none() {
            let text = chars[at..end].iter().collect();
            tokens.push(Token { line, text });
        } else if c == ':' && chars.get(at + 1) == Some(&':') {
            let text = "::".to_owned();
            tokens.push(Token { line, text });
            at += 2;
            continue;
        } else if end == at + 1 && !c.is_whitespace() {
            let text = c.to_string();
            tokens.push(Token { line, text });
        }
        line += chars[at..end].iter().filter(|c| **c == '\n').count();
        at = end;
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn find(chars: &[char], from: usize, stop: impl Fn(usize) -> bool) -> usize {
    (from..chars.len()).find(|at| stop(*at)).unwrap_or(chars.len())
}

fn word_end(chars: &[char], at: usize) -> usize {
    find(chars, at, |i| !is_word(chars[i]))
}

fn line_comment_end(chars: &[char], at: usize) -> usize {
    find(chars, at, |i| chars[i] == '\n')
}

fn block_comment_end(chars: &[char], at: usize) -> usize {
    let (mut depth, mut at) = (0, at);
    while at < chars.len() {
        let pair = (chars[at], chars.get(at + 1).copied().unwrap_or(' '));
        match pair {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            break;
        }
    }
    at.min(chars.len())
}

fn string_end(chars: &[char], at: usize) -> usize {
    let mut at = at + 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// The number of `#` of a raw string that starts here (`r"`, `r#"`, `br"`), and where its text does.
fn raw_string_start(chars: &[char], at: usize) -> Option<(usize, usize)> {
    let rest = at + usize::from(chars[at] == 'b');
    if chars.get(rest) != Some(&'r') || at > 0 && is_word(chars[at - 1]) {
        return None;
    }
    let quote = find(chars, rest + 1, |i| chars[i] != '#');
    (chars.get(quote) == Some(&'"')).then_some((quote - rest - 1, quote + 1))
}

fn raw_string_end(chars: &[char], at: usize) -> usize {
    let Some((hashes, from)) = raw_string_start(chars, at) else {
        return at + 1;
    };
    let closes = |i: usize| chars[i] == '"' && (1..=hashes).all(|hash| chars.get(i + hash) == Some(&'#'));
    (find(chars, from, closes) + 1 + hashes).min(chars.len())
}

/// The end of a character literal; of a lifetime, only of its quote.
fn char_end(chars: &[char], at: usize) -> usize {
    if chars.get(at + 1) == Some(&'\\') {
        return (find(chars, at + 3, |i| chars[i] == '\'') + 1).min(chars.len());
    }
    if chars.get(at + 2) == Some(&'\'') { at + 3 } else { at + 1 }
}

/// The first names after `crate::`, at `tokens[at..]`: one, or several of a `{…}` group.
fn heads(tokens: &[Token], at: usize) -> Vec<Token> {
    match tokens.get(at) {
        Some(token) if token.text == "{" => group_heads(&tokens[at + 1..]),
        Some(token) => vec![token.clone()],
        None => vec![],
    }
}

fn group_heads(tokens: &[Token]) -> Vec<Token> {
    let mut heads = Vec::new();
    let (mut depth, mut expected) = (0, true);
    for token in tokens {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" if depth == 0 => break,
            "}" => depth -= 1,
            "," if depth == 0 => expected = true,
            _ if depth == 0 && expected => {
                heads.push(token.clone());
                expected = false;
            }
            _ => {}
        }
    }
    heads
}

/// The modules of this crate that a source names, with where.
///
/// `depth` is the source's distance from the crate root, which enough `super`s reach.
fn modules_used(tokens: &[Token], depth: usize) -> Vec<Token> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut used = Vec::new();
    for at in 0..tokens.len() {
        let inside_path = at > 0 && text(at - 1) == "::";
        let mut next = at;
        match text(at) {
            "crate" => next += 1,
            "packtrail" if text(at + 1) == "::" && !inside_path => next += 1,
            "super" if !inside_path => {
                let mut supers = 0;
                while text(next) == "super" && text(next + 1) == "::" {
                    supers += 1;
                    next += 2;
                }
                if supers < depth {
                    continue;
                }
                next -= 1;
            }
            _ => continue,
        }
        // `use super::*` in an inline module means the file's own items.
        let own = text(at) == "super" && text(next + 1) == "*";
        if text(next) == "::" && !own {
            used.extend(heads(tokens, next + 1));
        }
    }
    used
}

/// The external crates among [`CRATES`] that a source names, with where.
fn crates_used(tokens: &[Token]) -> Vec<Token> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut roots = Vec::new();
    for at in 0..tokens.len() {
        match (text(at), text(at + 1)) {
            ("use", "{") => roots.extend(heads(tokens, at + 1)),
            // `use a;` and `extern crate a;`: with a path behind it, the last arm sees it.
            ("use" | "crate", name) if is_name(name) && text(at + 2) != "::" => {
                roots.push(tokens[at + 1].clone());
            }
            (name, "::") if is_name(name) && starts_path(tokens, at) => {
                roots.push(tokens[at].clone());
            }
            _ => {}
        }
    }
    roots.retain(|root| CRATES.iter().any(|(name, _)| *name == root.text));
    roots
}

/// Whether the name at `at` is the first of its path; a leading `::` belongs to no name.
fn starts_path(tokens: &[Token], at: usize) -> bool {
    let before = |by: usize| at.checked_sub(by).map_or("", |before| tokens[before].text.as_str());
    before(1) != "::" || before(2) == "use" || !is_name(before(2)) && before(2) != ">"
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// What one source of module `module` does that it must not. `path` is relative to `src`.
fn violations_in(path: &Path, source: &str) -> Vec<Violation> {
    let parts: Vec<String> = path
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .filter(|part| part != "mod")
        .collect();
    let module = parts[0].as_str();
    if matches!(module, "lib" | "main") {
        return vec![];
    }
    let violation = |line, what| Violation { file: Path::new("src").join(path), line, what };
    let Some((_, allowed)) = MODULES.iter().find(|(name, _)| *name == module) else {
        let what = format!("`{module}` is no known module: say in this test what it may use");
        return vec![violation(1, what)];
    };
    let tokens = tokens(source);
    let mut found = Vec::new();
    for used in modules_used(&tokens, parts.len()) {
        let name = used.text.as_str();
        let known = MODULES.iter().any(|(known, _)| *known == name);
        if name != module && !allowed.contains(&name) && (known || name == "*") {
            found.push(violation(used.line, format!("`{module}` must not use `{name}`")));
        }
    }
    for used in crates_used(&tokens) {
        let users = CRATES.iter().find(|(name, _)| *name == used.text).unwrap().1;
        if !users.contains(&module) {
            let what = format!("`{module}` must not use the crate `{}`", used.text);
            found.push(violation(used.line, what));
        }
    }
    found
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_module_uses_one_above_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 5, "too few sources found: {files:?}");
    let mut violations = Vec::new();
    for file in files {
        let path = file.strip_prefix(&root).unwrap();
        violations.extend(violations_in(path, &fs::read_to_string(&file).unwrap()));
    }
    let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "\n{}", lines.join("\n"));
}

/// The lines of the violations in one planted source.
fn planted(path: &str, source: &str) -> Vec<usize> {
    let found = violations_in(Path::new(path), source);
    found.iter().map(|violation| violation.line).collect()
}

#[test]
fn upward_uses_are_found_with_their_line() {
    let found = violations_in(Path::new("domain/chain.rs"), "//! Chains.\n\nuse crate::storage::Store;\n");
    assert_eq!(found[0].to_string(), "src/domain/chain.rs:3: `domain` must not use `storage`");
    assert_eq!(found.len(), 1);
}

#[test]
fn uses_are_found_in_every_way_of_writing_them() {
    for source in [
        "use crate::http;",
        "pub(crate) use crate::http::router as r;",
        "use crate::{domain::X, http::Y};",
        "use crate::{\ndomain::{A, B},\nhttp};",
        "fn f() { crate::http::go() }",
        "use packtrail::http::go;",
        "use super::http::go;",
        "#[cfg(test)] mod tests { use crate::http; }",
        "use crate::*;",
        "macro_rules! m { () => { $crate::http::go() } }",
        "fn f<'a>(x: &'a str) -> char { let _ = crate::http::go; 'x' }",
    ] {
        assert_eq!(planted("storage/mod.rs", source).len(), 1, "{source}");
    }
    assert_eq!(planted("storage/sql/a.rs", "use super::super::super::http::go;"), [1]);
    assert_eq!(planted("auth/mod.rs", "use crate::{config::C, service::S};"), [1]);
}

#[test]
fn foreign_crates_are_found_outside_their_layer() {
    for (path, source) in [
        ("service/a.rs", "use sqlx::Row;"),
        ("graphql/a.rs", "#[derive(sqlx::FromRow)] struct A;"),
        ("service/a.rs", "use async_graphql::{Object, ID};"),
        ("graphql/a.rs", "use ::axum::Router;"),
        ("cli/serve.rs", "use {axum, futures_util};"),
        ("domain/a.rs", "async fn f() { tokio::task::yield_now().await }"),
        ("auth/mod.rs", "extern crate axum;"),
    ] {
        assert_eq!(planted(path, source), [1], "{path}: {source}");
    }
}

#[test]
fn allowed_uses_comments_and_texts_are_no_violations() {
    for (path, source) in [
        ("storage/a.rs", "use crate::domain::Id; use sqlx::Row;"),
        ("http/a.rs", "use async_graphql::Schema; use crate::graphql::schema;"),
        ("cli/a.rs", "use crate::{config, http, telemetry};"),
        ("domain/a.rs", "// use crate::http;\n/* use crate::http; /* and */ crate::http */"),
        ("domain/a.rs", "/// See [`crate::http`].\nconst A: &str = \"crate::http \\\" sqlx::x\";"),
        ("domain/a.rs", "const A: &str = r#\"use \"crate::http\"; tokio::spawn\"#;"),
        ("domain/a.rs", "const A: [char; 2] = ['\"', '\\'']; // \" crate::http"),
        ("domain/chain/a.rs", "use super::http; use self::storage;"),
        ("domain/a.rs", "fn axum(tokio: u8) -> u8 { tokio }"),
        ("main.rs", "use packtrail::cli;"),
    ] {
        assert_eq!(planted(path, source), Vec::<usize>::new(), "{path}: {source}");
    }
}

#[test]
fn a_module_missing_from_the_table_is_a_violation() {
    assert_eq!(planted("extra/mod.rs", ""), [1]);
}
