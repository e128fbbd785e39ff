//! What is searched for, and how: the words of records and of questions, cut by the same rule.
//!
//! A word is a stretch of letters and digits of any script, in lower case. All else separates, so
//! that a quoted name, a path, `sha256:<hex>` and a list of words are one question.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::record::Resource;

/// The longest word, in bytes: a SHA-256 in hex. Longer ones are cut, in records and in questions
/// alike, so that they are still found.
pub const MAX_WORD: usize = 64;
/// How many distinct words of one content are kept, its names first: free text must not grow the
/// index without end.
pub const MAX_WORDS: usize = 512;
/// The longest question, in bytes: ten names of the longest kind are shorter.
pub const MAX_TEXT: usize = 1000;
/// How many distinct words a question may have: each is one condition more on every candidate.
pub const MAX_ASKED: usize = 16;
/// The shortest last word, in characters: as a prefix, one character would match nearly all.
pub const MIN_PREFIX: usize = 2;
/// How many hex digits are taken for the beginning of a digest, wherever they stand.
const DIGEST_PREFIX: usize = 6;
/// Greater than every character of a word.
const BEYOND: char = '\u{10FFFF}';

/// The words of a text, in order, with repeats.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()).map(word)
}

fn word(part: &str) -> String {
    let mut word = String::with_capacity(part.len().min(MAX_WORD));
    for c in part.chars().flat_map(char::to_lowercase) {
        // Lower case can bring marks that are no letters (of a dotted capital I).
        if !c.is_alphanumeric() {
            continue;
        }
        if word.len() + c.len_utf8() > MAX_WORD {
            break;
        }
        word.push(c);
    }
    word
}

/// What is asked: every word, and a word that begins with each prefix.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Question {
    /// The words to be there as they are.
    pub words: BTreeSet<String>,
    /// The beginnings of words to be there.
    pub prefixes: BTreeSet<String>,
}

/// Why a text is no question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// Longer than [`MAX_TEXT`].
    #[error("Search for at most {MAX_TEXT} bytes of text.")]
    TooLong,
    /// More words than [`MAX_ASKED`].
    #[error("Search for at most {MAX_ASKED} different words.")]
    TooManyWords,
    /// No letter and no digit.
    #[error("Search for at least one word: letters or digits.")]
    NoWords,
    /// The last word is shorter than [`MIN_PREFIX`].
    #[error("The last word is looked up as a beginning: give it at least {MIN_PREFIX} characters.")]
    TooShort,
}

impl Question {
    /// Reads a text. Its last word is a prefix, and so is a word of six or more hex digits with a
    /// decimal one among them, since nobody types a digest to its end.
    ///
    /// # Errors
    /// If the text is too long, too short or has too many words.
    pub fn read(text: &str) -> Result<Self, QuestionError> {
        if text.len() > MAX_TEXT {
            return Err(QuestionError::TooLong);
        }
        let mut all: Vec<String> = words(text).collect();
        let last = all.pop().ok_or(QuestionError::NoWords)?;
        if last.chars().count() < MIN_PREFIX {
            return Err(QuestionError::TooShort);
        }
        let (digests, words): (BTreeSet<String>, BTreeSet<String>) = all.into_iter().partition(|w| is_digest(w));
        let mut prefixes = digests;
        prefixes.insert(last);
        if words.len() + prefixes.len() > MAX_ASKED {
            return Err(QuestionError::TooManyWords);
        }
        Ok(Self { words, prefixes })
    }

    /// Whether words answer the question: the meaning that an index must have.
    #[must_use]
    pub fn is_met_by(&self, words: &BTreeSet<String>) -> bool {
        self.words.iter().all(|word| words.contains(word))
            && self.prefixes.iter().all(|prefix| matching(words, prefix).next().is_some())
    }

    /// Those of some words that answer the question.
    #[must_use]
    pub fn matched(&self, words: &BTreeSet<String>) -> BTreeSet<String> {
        let begun = self.prefixes.iter().flat_map(|prefix| matching(words, prefix));
        self.words.iter().filter(|word| words.contains(*word)).chain(begun).cloned().collect()
    }
}

fn matching<'a>(words: &'a BTreeSet<String>, prefix: &'a str) -> impl Iterator<Item = &'a String> {
    words.range(prefix.to_owned()..).take_while(move |word| word.starts_with(prefix))
}

fn is_digest(word: &str) -> bool {
    word.len() >= DIGEST_PREFIX
        && word.bytes().all(|b| b.is_ascii_hexdigit())
        && word.bytes().any(|b| b.is_ascii_digit())
}

/// The end of the words that begin with `prefix`, in byte order and exclusive.
#[must_use]
pub fn beyond(prefix: &str) -> String {
    format!("{prefix}{BEYOND}")
}

/// The words by which a record with this content is found, at most [`MAX_WORDS`].
#[must_use]
pub fn words_of_object(object: &Map<String, Value>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for text in texts(object) {
        for word in words(text) {
            if found.len() == MAX_WORDS {
                return found;
            }
            found.insert(word);
        }
    }
    found
}

/// The words by which a resource is found.
#[must_use]
pub fn words_of_resource(resource: &Resource) -> BTreeSet<String> {
    let texts = [&resource.name, &resource.kind, &resource.namespace, &resource.api_version];
    texts.into_iter().flat_map(|text| words(text)).take(MAX_WORDS).collect()
}

/// The words by which a thing that has only a name is found.
#[must_use]
pub fn words_of_name(name: &str) -> BTreeSet<String> {
    words(name).take(MAX_WORDS).collect()
}

/// The members of `spec` that name something or hold a digest, the most telling first.
const SPEC: [&str; 22] = [
    "targetClusterRef",
    "clusterRef",
    "clusterPackRef",
    "basePackName",
    "packExecutionRef",
    "packInstanceRef",
    "version",
    "clusterPackVersion",
    "capability",
    "status",
    "checksum",
    "rbacDigest",
    "workloadDigest",
    "clusterScopedDigest",
    "registryRef",
    "chartName",
    "chartVersion",
    "chartURL",
    "helmVersion",
    "failureReason",
    "targetClusters",
    "artifacts",
];

/// The labels that name a result's execution and pack.
const LABELS: [&str; 2] = ["ontai.dev/pack-execution", "ontai.dev/cluster-pack"];

/// The texts of an object that are searched, its names first.
fn texts(object: &Map<String, Value>) -> Vec<&str> {
    let mut found = Vec::new();
    let part = |name: &str| object.get(name).and_then(Value::as_object);
    if let Some(metadata) = part("metadata") {
        found.extend(["name", "namespace", "uid"].iter().filter_map(|name| metadata.get(*name)?.as_str()));
        let labels = metadata.get("labels").and_then(Value::as_object);
        found.extend(LABELS.iter().filter_map(|name| labels?.get(*name)?.as_str()));
    }
    if let Some(spec) = part("spec") {
        for value in SPEC.iter().filter_map(|name| spec.get(*name)) {
            shallow(value, &mut found);
        }
        messages(spec.get("steps"), &["name", "message"], &mut found);
    }
    if let Some(status) = part("status") {
        found.extend(["operationResultRef", "driftStatus"].iter().filter_map(|name| status.get(*name)?.as_str()));
        messages(status.get("conditions"), &["reason", "message"], &mut found);
    }
    found
}

/// The texts of a value: itself, those of its members, and those of the members of its elements.
fn shallow<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Object(members) => found.extend(members.values().filter_map(Value::as_str)),
        Value::Array(elements) => {
            for element in elements {
                found.extend(element.as_str());
                found.extend(element.as_object().into_iter().flat_map(Map::values).filter_map(Value::as_str));
            }
        }
        _ => {}
    }
}

fn messages<'a>(list: Option<&'a Value>, members: &[&str], found: &mut Vec<&'a str>) {
    for element in list.and_then(Value::as_array).into_iter().flatten() {
        found.extend(members.iter().filter_map(|name| element.get(*name)?.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn split(text: &str) -> Vec<String> {
        words(text).collect()
    }

    #[test]
    fn letters_and_digits_of_any_script_are_words_in_lower_case() {
        assert_eq!(split("Nginx-CCS_dev.v1/\"x\""), ["nginx", "ccs", "dev", "v1", "x"]);
        assert_eq!(split("ÄRGER  שלום 東京 🚀 100%"), ["ärger", "שלום", "東京", "100"]);
        assert_eq!(split("sha256:0aF\0b"), ["sha256", "0af", "b"]);
        assert!(split("%_'\"\u{301}").is_empty());
        assert_eq!(split("\u{130}"), ["i"], "no mark is left of the dotted capital I");
    }

    #[test]
    fn long_words_are_cut_at_a_character() {
        assert_eq!(split(&"a".repeat(1000)), ["a".repeat(MAX_WORD)]);
        assert_eq!(split(&format!("a{}", "é".repeat(100)))[0].len(), MAX_WORD - 1);
    }

    #[test]
    fn the_last_word_and_beginnings_of_digests_are_prefixes() {
        let question = Question::read("cert 0abcde manager").unwrap();
        assert_eq!(question.words, BTreeSet::from(["cert".to_owned()]));
        assert_eq!(question.prefixes, BTreeSet::from(["0abcde".to_owned(), "manager".to_owned()]));
        assert_eq!(Question::read(" \"Cert\" ").unwrap(), Question::read("cert").unwrap());
        assert!(Question::read("decade of facade x2").unwrap().words.contains("decade"), "no digit, no digest");
    }

    #[test]
    fn what_is_no_question_says_so() {
        assert_eq!(Question::read(&"a".repeat(MAX_TEXT + 1)), Err(QuestionError::TooLong));
        assert_eq!(Question::read("🚀 %"), Err(QuestionError::NoWords));
        assert_eq!(Question::read("nginx d"), Err(QuestionError::TooShort));
        let many: Vec<String> = (0..=MAX_ASKED).map(|i| format!("w{i}")).collect();
        assert_eq!(Question::read(&many.join(" ")), Err(QuestionError::TooManyWords));
    }

    #[test]
    fn an_object_has_the_words_of_its_names_digests_and_messages() {
        let object = json!({"metadata": {"name": "r-1", "labels": {"other": "unseen"}},
            "spec": {"clusterPackRef": {"name": "pack", "version": "v4"}, "registryRef": {"digest": "sha256:ab"},
                "artifacts": [{"reference": "repo/image", "checksum": "ff00"}], "deployedResources": [{"name": "no"}],
                "failureReason": {"failedStep": "wait-ready"}},
            "status": {"conditions": [{"type": "Odd", "message": "timed out"}]}});
        let found = words_of_object(object.as_object().unwrap());
        for word in ["r", "1", "pack", "v4", "ab", "repo", "ff00", "wait", "ready", "timed"] {
            assert!(found.contains(word), "{word} in {found:?}");
        }
        assert!(!found.contains("unseen") && !found.contains("no"), "{found:?}");
    }
}
