//! Each bad body of the corpus is refused for what is wrong with it, and its neighbours are had.

use std::collections::HashSet;

use super::corpus::{BadInput, corpus};
use super::examine_body;

#[test]
fn the_corpus_is_large_and_its_names_tell_its_members_apart() {
    let corpus = corpus();
    assert!(corpus.len() >= 250, "{}", corpus.len());
    let names: HashSet<_> = corpus.iter().map(|input| &input.name).collect();
    assert_eq!(names.len(), corpus.len());
}

#[test]
fn every_bad_input_is_refused_for_what_is_wrong_with_it() {
    let complaints: Vec<_> = corpus().iter().filter_map(complaint).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// What a bad input was not told, if anything.
fn complaint(input: &BadInput) -> Option<String> {
    let outcomes = examine_body(&input.body, input.content_type, input.encoding);
    let good = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let refused: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    let is_right = refused.len() == 1
        && refused[0].code == input.expect_code
        && refused[0].fatal == input.fatal
        && refused[0].message.chars().count() <= 200
        && input.expect_path.is_none_or(|path| refused[0].path == path)
        && input.expect_line.is_none_or(|line| refused[0].line == Some(line))
        && (input.good_neighbours == usize::MAX || good == input.good_neighbours);
    let wanted = (input.expect_code, input.expect_path, input.expect_line, input.good_neighbours);
    (!is_right).then(|| format!("{}: wanted {wanted:?}, got {good} and {refused:?}", input.name))
}
