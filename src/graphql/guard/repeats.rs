//! Whether several selections of a document can give one field of the answer.

use std::collections::HashSet;

use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};

/// Whether, in any selection set with its fragments opened, two fields with selections of their own have
/// one name in the answer, so that what they give is merged. May say so though types tell the two apart.
/// The document was measured: no fragment contains itself, and all of it opened is not too large.
#[must_use]
pub fn repeats(document: &ExecutableDocument) -> bool {
    let operations = document.operations.iter().map(|(_, operation)| &operation.node.selection_set.node);
    let fragments = document.fragments.values().map(|fragment| &fragment.node.selection_set.node);
    operations.chain(fragments).any(|set| repeats_in(document, set))
}

fn repeats_in(document: &ExecutableDocument, set: &SelectionSet) -> bool {
    let mut names = Names { document, fields: HashSet::new(), fragments: HashSet::new() };
    names.repeat(set) || fields_below(set).any(|below| repeats_in(document, below))
}

/// The selection sets of the fields of a set, those of inline fragments included.
fn fields_below(set: &SelectionSet) -> Box<dyn Iterator<Item = &SelectionSet> + '_> {
    Box::new(set.items.iter().flat_map(|selection| match &selection.node {
        Selection::Field(field) => Box::new(std::iter::once(&field.node.selection_set.node)),
        Selection::InlineFragment(inline) => fields_below(&inline.node.selection_set.node),
        Selection::FragmentSpread(_) => Box::new(std::iter::empty()) as Box<dyn Iterator<Item = &SelectionSet>>,
    }))
}

/// What one selection set has named so far.
struct Names<'a> {
    document: &'a ExecutableDocument,
    fields: HashSet<&'a str>,
    fragments: HashSet<&'a str>,
}

impl<'a> Names<'a> {
    /// Adds a set; whether anything was named before.
    fn repeat(&mut self, set: &'a SelectionSet) -> bool {
        set.items.iter().any(|selection| match &selection.node {
            Selection::Field(field) => {
                !field.node.selection_set.node.items.is_empty() && !self.fields.insert(&field.node.response_key().node)
            }
            Selection::InlineFragment(inline) => self.repeat(&inline.node.selection_set.node),
            Selection::FragmentSpread(spread) => {
                let name = &spread.node.fragment_name.node;
                let fragment = self.document.fragments.get(name);
                !self.fragments.insert(name)
                    || fragment.is_some_and(|fragment| self.repeat(&fragment.node.selection_set.node))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(text: &str) -> bool {
        repeats(&async_graphql::parser::parse_query(text).unwrap())
    }

    #[test]
    fn what_would_be_merged_is_found_wherever_it_is() {
        for text in [
            "{ a { b } a { c } }",
            "{ x { a { b } ... { a { c } } } }",
            "{ x { ...F a { c } } } fragment F on X { a { b } }",
            "{ x { ...F ...G } } fragment F on X { a { b } } fragment G on X { ...H } fragment H on X { a { c } }",
            "{ x { ...F ...F } } fragment F on X { a { b } }",
            "{ x: a { b } x: a { c } }",
            "{ y } fragment F on X { a { b } a { c } }",
        ] {
            assert!(says(text), "{text}");
        }
    }

    #[test]
    fn leaves_and_fields_of_other_names_are_none() {
        for text in [
            "{ a a b { a } }",
            "{ x: a { b } y: a { b } }",
            "{ a { b { a { b } } } }",
            "{ x { ...F } y { ...F } } fragment F on X { a { b } c }",
        ] {
            assert!(!says(text), "{text}");
        }
    }
}
