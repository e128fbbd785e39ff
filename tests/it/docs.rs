//! Holds the documentation against what it is about: what the sources have, it names, and what it
//! names, they have.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Names in the order of the alphabet, so that a failure reads well.
type Names = BTreeSet<String>;

fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

fn read(relative: &str) -> String {
    fs::read_to_string(path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
}

/// The files below a folder whose names end so.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![path(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap().path();
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.to_str().unwrap().ends_with(ending) {
                found.push(entry);
            }
        }
    }
    found.sort();
    found
}

/// The part of a page below a heading, up to the next one of its level or above.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let start = page.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
    let body = &page[start + heading.len() + 2..];
    let level = heading.chars().take_while(|c| *c == '#').count();
    let ends = (1..=level).filter_map(|level| body.find(&format!("\n{} ", "#".repeat(level))));
    &body[..ends.min().unwrap_or(body.len())]
}

/// The code spans in the first cells of the tables of a text.
fn first_cells(text: &str) -> Names {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split_once("` |")).map(|(name, _)| name.to_owned()).collect()
}

fn assert_same(sources: &Names, documented: &Names, what: &str) {
    let missing: Vec<_> = sources.difference(documented).collect();
    let stale: Vec<_> = documented.difference(sources).collect();
    assert!(missing.is_empty() && stale.is_empty(), "{what}: not documented {missing:?}, documented only {stale:?}");
}

/// The keys of a TOML text below headings that `accepts` lets through.
fn keys(text: &str, accepts: impl Fn(&str) -> bool) -> Names {
    let mut heading = "";
    let mut keys = Names::new();
    for line in text.lines() {
        if line.starts_with('[') {
            heading = line.trim_matches(['[', ']']);
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#') && accepts(heading)) {
            keys.insert(key.to_owned());
        }
    }
    keys
}

#[test]
fn every_direct_dependency_has_its_reason() {
    let manifest = read("Cargo.toml");
    let dependencies = keys(&manifest, |heading| heading.ends_with("dependencies"));
    assert!(dependencies.contains("sqlx") && dependencies.contains("proptest"), "{dependencies:?}");
    let architecture = read("docs/architecture.md");
    assert_same(&dependencies, &first_cells(section(&architecture, "## Dependencies")), "dependencies");
}

#[test]
fn every_table_is_described() {
    let storage = read("docs/storage.md");
    let described = first_cells(section(&storage, "## Tables"));
    for database in ["sqlite", "postgres"] {
        let migrations = files(&format!("migrations/{database}"), ".sql");
        let texts: Vec<String> = migrations.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
        let tables: Names = texts
            .iter()
            .flat_map(|text| text.split("CREATE TABLE ").skip(1))
            .filter_map(|rest| rest.split_whitespace().next())
            .map(ToOwned::to_owned)
            .collect();
        assert!(tables.contains("observation"), "{tables:?}");
        assert_same(&tables, &described, database);
    }
}

#[test]
fn every_configuration_key_is_explained() {
    let example = read("packtrail.example.toml");
    let operations = read("docs/operations.md");
    let configuration = section(&operations, "## Configuration");
    for (heading, title) in [("auth.tokens", "### Access tokens"), ("limits", "### Limits")] {
        let keys = keys(&example, |found| found == heading);
        assert!(!keys.is_empty());
        assert_same(&keys, &first_cells(section(configuration, title)), title);
    }
    let top = configuration.split("### ").next().unwrap();
    assert_same(&keys(&example, str::is_empty), &first_cells(top), "top level");
}

/// The codes that the rules raise: the first argument of each finding that is made.
fn finding_codes() -> Names {
    let mut codes = Names::new();
    for file in files("src/domain", ".rs") {
        let text = fs::read_to_string(file).unwrap();
        for call in ["Finding::on(", "Finding::new("] {
            let arguments = text.split(call).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
            codes.extend(arguments.filter_map(|rest| rest.split_once('"')).map(|(code, _)| code.to_owned()));
        }
    }
    codes
}

#[test]
fn every_finding_is_explained() {
    let codes = finding_codes();
    assert!(codes.contains("REVISION_GAP") && codes.contains("SPEC_REWRITTEN"), "{codes:?}");
    for page in ["docs/operations.md", "docs/rules.md"] {
        assert_same(&codes, &first_cells(section(&read(page), "## Findings")), page);
    }
}

/// The code words in quotes of a source file.
fn quoted_codes(file: &str) -> Names {
    let is_code = |text: &&str| text.contains('_') && text.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    read(file).split('"').filter(is_code).map(ToOwned::to_owned).collect()
}

#[test]
fn every_code_that_clients_see_is_in_the_api() {
    let api = read("docs/api.md");
    for file in [
        "src/graphql/code.rs",
        "src/service/reader/mod.rs",
        "src/domain/json.rs",
        "src/domain/envelope.rs",
        "src/service/ingest/prepare.rs",
        "src/service/ingest/batch.rs",
        "src/http/ingest.rs",
        "src/http/identity.rs",
        "src/http/error.rs",
        "src/http/task_runner/mod.rs",
        "src/http/task_runner/input.rs",
        "src/http/task_runner/failure.rs",
    ] {
        // REST shows codes in lower case.
        let is_told = |code: &String| {
            [code.clone(), code.to_ascii_lowercase()].iter().any(|code| api.contains(&format!("`{code}`")))
        };
        let missing: Vec<String> = quoted_codes(file).into_iter().filter(|code| !is_told(code)).collect();
        assert!(missing.is_empty(), "{file}: not in docs/api.md: {missing:?}");
    }
}

/// The lines of a page outside of its code blocks.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    page.lines().filter(move |line| {
        let is_fence = line.starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    })
}

/// The targets of the links of a page.
fn links(page: &str) -> Vec<String> {
    let in_line = |line: &str| -> Vec<String> {
        line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.to_owned()).collect()
    };
    prose(page).flat_map(in_line).collect()
}

/// The anchors that headings give a page.
fn anchors(page: &str) -> Names {
    let headings = prose(page).filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let words = line.trim_start_matches('#').trim().to_lowercase();
            words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
        })
        .collect()
}

/// What is wrong with a link of `page`.
fn broken(page: &Path, target: &str) -> Option<String> {
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let file = if file.is_empty() { page.to_owned() } else { page.parent().unwrap().join(file) };
    if !file.exists() {
        return Some(format!("{}: {target}: no such file", page.display()));
    }
    let has_anchor = || anchors(&fs::read_to_string(&file).unwrap()).contains(anchor);
    (!anchor.is_empty() && !has_anchor()).then(|| format!("{}: {target}: no such heading", page.display()))
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut pages = files("docs", ".md");
    pages.extend([path("README.md"), path("CHANGELOG.md")]);
    let mut wrong = Vec::new();
    let mut count = 0;
    for page in pages {
        for target in links(&fs::read_to_string(&page).unwrap()) {
            if !target.contains("://") {
                count += 1;
                wrong.extend(broken(&page, &target));
            }
        }
    }
    assert!(count > 20, "only {count} links were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_link_to_nowhere_is_found() {
    let page = path("docs/api.md");
    assert_eq!(links("a [b](c.md) d\n```\n[e](f)\n```\n[g](#h)"), ["c.md", "#h"]);
    assert!(broken(&page, "nothing.md").is_some());
    assert!(broken(&page, "rules.md#nothing").is_some());
    assert_eq!(broken(&page, "rules.md#sequences-rows-and-epochs"), None);
}
