//! The guard stops what would cost the parser, the validator or the executor too much.

use async_graphql::{Request, Variables};
use packtrail::graphql::code;
use packtrail::graphql::guard::{Cause, GuardError, Guarded, check};
use packtrail::graphql::limits::GuardLimits;
use proptest::prelude::*;
use serde_json::json;

fn checked(query: &str) -> Result<Guarded, GuardError> {
    check(Request::new(query), &GuardLimits::default())
}

fn checked_with(query: &str, variables: serde_json::Value) -> Result<Guarded, GuardError> {
    let request = Request::new(query).variables(Variables::from_json(variables));
    check(request, &GuardLimits::default())
}

fn code_of(query: &str) -> &'static str {
    checked(query).unwrap_err().code
}

fn cost_of(query: &str) -> u64 {
    checked(query).unwrap().cost
}

/// Fields below one another, `depth` of them.
fn deep(depth: usize) -> String {
    let inner = depth - 2;
    format!("{{ tree {{ {}leaf{} }} }}", "t { ".repeat(inner), " }".repeat(inner))
}

#[test]
fn nested_lists_and_objects_are_refused_before_the_parser_sees_them() {
    let lists = format!("{{ literal(value: {}1{}) }}", "[".repeat(2_000), "]".repeat(2_000));
    assert_eq!(code_of(&lists), code::QUERY_TOO_LARGE);
    let objects = format!("{{ literal(value: {}1{}) }}", "{a:".repeat(600), "}".repeat(600));
    assert_eq!(code_of(&objects), code::QUERY_TOO_LARGE);
}

#[test]
fn brackets_hidden_behind_a_broken_block_string_are_refused() {
    let query = format!("{{ literal(value: [\"\"\"[\", {}1{}]) }}", "[".repeat(900), "]".repeat(900));
    assert_eq!(code_of(&query), code::BAD_USER_INPUT);
}

#[test]
fn doubling_fragments_are_measured_once_each() {
    let fragments = (0..26)
        .map(|level| format!("fragment f{level} on Tree {{ ...f{0} ...f{0} }} ", level + 1))
        .collect::<Vec<_>>()
        .concat();
    let query = format!("{{ tree {{ ...f0 }} }} {fragments} fragment f26 on Tree {{ leaf }}");
    assert_eq!(code_of(&query), code::QUERY_TOO_DEEP);

    let unlimited = GuardLimits { selections: u64::MAX, cost: u64::MAX, ..GuardLimits::default() };
    let visited = check(Request::new(query), &unlimited).unwrap().visited;
    assert!(visited < 200, "{visited} selections were visited");
}

#[test]
fn fragments_nobody_uses_count_too() {
    let fragments = (0..26)
        .map(|level| format!("fragment f{level} on Tree {{ ...f{0} ...f{0} }} ", level + 1))
        .collect::<Vec<_>>()
        .concat();
    let query = format!("{{ hello }} {fragments} fragment f26 on Tree {{ leaf }}");
    assert_eq!(code_of(&query), code::QUERY_TOO_DEEP);
}

#[test]
fn fragments_that_contain_themselves_are_refused() {
    let used = "{ tree { ...a } } fragment a on Tree { ...b ...b } fragment b on Tree { ...a }";
    let unused = "{ hello } fragment a on Tree { t { ...a } }";
    for query in [used, unused] {
        let error = checked(query).unwrap_err();
        assert_eq!((error.code, error.cause), (code::BAD_USER_INPUT, Cause::Invalid));
    }
}

#[test]
fn unknown_fragments_are_left_to_validation() {
    assert!(checked("{ tree { ...nowhere } }").is_ok());
}

#[test]
fn long_chains_of_fragments_are_refused() {
    let chain = (0..100)
        .map(|level| format!("fragment f{level} on Tree {{ ...f{} }} ", level + 1))
        .collect::<Vec<_>>()
        .concat();
    let query = format!("{{ tree {{ ...f0 }} }} {chain} fragment f100 on Tree {{ leaf }}");
    assert_eq!(code_of(&query), code::QUERY_TOO_DEEP);
}

#[test]
fn a_hundred_thousand_aliases_are_too_large() {
    let query = format!("{{ {} }}", (0..100_000).map(|n| format!("a{n}: hello ")).collect::<Vec<_>>().concat());
    assert_eq!(code_of(&query), code::QUERY_TOO_LARGE);
    let query = format!("{{ {} }}", "a: __typename ".repeat(20_000));
    assert_eq!(code_of(&query), code::QUERY_TOO_LARGE);
}

#[test]
fn aliases_root_fields_and_directives_have_limits_of_their_own() {
    let aliases = |count| format!("{{ tree {{ {} }} }}", "a: leaf ".repeat(count));
    assert!(checked(&aliases(30)).is_ok());
    assert_eq!(code_of(&aliases(31)), code::QUERY_TOO_COMPLEX);

    let fields = |count| format!("{{ {} }}", "__typename ".repeat(count));
    assert!(checked(&fields(10)).is_ok());
    assert_eq!(code_of(&fields(11)), code::QUERY_TOO_COMPLEX);
    let spread = "{ ...f ...f } fragment f on Query { a b c d e f }";
    assert_eq!(code_of(spread), code::QUERY_TOO_COMPLEX);

    let directives = |count| format!("{{ hello {} }}", "@skip(if: false) ".repeat(count));
    assert!(checked(&directives(20)).is_ok());
    assert_eq!(code_of(&directives(21)), code::QUERY_TOO_COMPLEX);
    assert_eq!(code_of(&directives(10_000)), code::QUERY_TOO_LARGE);
}

#[test]
fn bytes_tokens_and_depth_end_where_they_say() {
    let limits = GuardLimits::default();
    let padded = |bytes: usize| format!("{{ hello }}{}", " ".repeat(bytes - 9));
    assert!(checked(&padded(limits.query_bytes)).is_ok());
    assert_eq!(code_of(&padded(limits.query_bytes + 1)), code::QUERY_TOO_LARGE);

    let tokens = |count: usize| format!("{{ tree {{ {} }} }}", "leaf ".repeat(count - 5));
    assert!(checked(&tokens(limits.tokens)).is_ok());
    assert_eq!(code_of(&tokens(limits.tokens + 1)), code::QUERY_TOO_LARGE);

    let lists = |levels: usize| {
        let (open, close) = ("[".repeat(levels - 2), "]".repeat(levels - 2));
        format!("{{ literal(value: {open}{close}) }}")
    };
    assert!(checked(&lists(limits.nesting)).is_ok());
    assert_eq!(code_of(&lists(limits.nesting + 1)), code::QUERY_TOO_LARGE);

    assert!(checked(&deep(15)).is_ok());
    assert_eq!(code_of(&deep(16)), code::QUERY_TOO_DEEP);
}

#[test]
fn cost_is_fields_times_page_sizes() {
    assert_eq!(cost_of("{ hello }"), 1);
    assert_eq!(cost_of("{ tree { leaf t { leaf } } }"), 4);
    assert_eq!(cost_of("{ clusters(first: 5) { nodes { id name } } }"), 1 + 5 * 3);
    assert_eq!(cost_of("{ clusters(last: 7) { edges { node { id } } } }"), 1 + 7 * 3);
    assert_eq!(cost_of("{ clusters { nodes { id } } }"), 1 + 20 * 2);
    assert_eq!(cost_of("{ clusters { totalCount } }"), 2);
    assert_eq!(cost_of("{ nodes(ids: [1, 2, 3]) { id } }"), 1 + 3);
    let fragments = "{ clusters { ...c } } fragment c on Connection { ... { nodes { id } } }";
    assert_eq!(cost_of(fragments), 1 + 20 * 2);
    let nested = "{ clusters(first: 10) { nodes { packs(first: 10) { nodes { id } } } } }";
    assert_eq!(cost_of(nested), 1 + 10 * (1 + (1 + 10 * 2)));
}

#[test]
fn page_sizes_in_variables_count_like_literals() {
    let query = "query q($n: Int = 3) { clusters(first: $n) { nodes { id } } }";
    let cost = |variables| checked_with(query, variables).unwrap().cost;
    assert_eq!(cost(json!({})), 1 + 3 * 2);
    assert_eq!(cost(json!({"n": 9})), 1 + 9 * 2);
    assert_eq!(cost(json!({"n": null})), 1 + 20 * 2);
    let error = checked_with(query, json!({"n": 1_000_000})).unwrap_err();
    assert_eq!(error.code, code::QUERY_TOO_COMPLEX);
    let query = "query q($ids: [ID!]!) { nodes(ids: $ids) { id } }";
    let cost = checked_with(query, json!({"ids": ["a", "b"]})).unwrap().cost;
    assert_eq!(cost, 1 + 2);
}

#[test]
fn extreme_page_sizes_neither_wrap_nor_cost_less_than_one() {
    assert_eq!(cost_of("{ clusters(first: -1) { nodes { id } } }"), 1 + 2);
    let largest = "{ clusters(first: 2147483647) { nodes { id } } }";
    let error = checked(largest).unwrap_err();
    assert_eq!(error.code, code::QUERY_TOO_COMPLEX);
    assert!(error.extensions.contains(&("cost", 1 + 2_147_483_647 * 2)));
    let beyond =
        "{ clusters(first: 18446744073709551615) { nodes { packs(first: 18446744073709551615) { nodes { id } } } } }";
    assert_eq!(code_of(beyond), code::QUERY_TOO_COMPLEX);
}

#[test]
fn only_the_chosen_operation_pays() {
    let query = "query a { hello } query b { clusters(first: 100) { nodes { id } } }";
    let request = Request::new(query).operation_name("a");
    assert_eq!(check(request, &GuardLimits::default()).unwrap().cost, 1);
    let none = checked(query).unwrap();
    assert_eq!((none.operation, none.cost), (None, 0));
}

#[test]
fn fifty_thousand_variables_do_not_pass() {
    let declared = (0..50_000).map(|n| format!("$v{n}: Int ")).collect::<Vec<_>>().concat();
    let query = format!("query q({declared}) {{ hello }}");
    assert_eq!(code_of(&query), code::QUERY_TOO_LARGE);

    let sent: serde_json::Map<_, _> = (0..50_000).map(|n| (format!("v{n}"), json!(1))).collect();
    let guarded = checked_with("query q($v1: Int) { echo(value: $v1) }", sent.into()).unwrap();
    assert_eq!(guarded.request.variables.len(), 1);
}

#[test]
fn a_missing_required_variable_stops_the_request() {
    let query = "query q($n: Int!) { echo(value: $n) }";
    for variables in [json!({}), json!({"n": null})] {
        let error = checked_with(query, variables).unwrap_err();
        assert_eq!((error.code, error.cause), (code::BAD_USER_INPUT, Cause::Invalid));
    }
    assert!(checked_with(query, json!({"n": 1})).is_ok());
    assert!(checked_with("query q($n: Int! = 2) { echo(value: $n) }", json!({})).is_ok());
}

#[test]
fn the_standard_introspection_query_passes() {
    let guarded = checked(include_str!("introspection.graphql")).unwrap();
    assert!(guarded.cost < 1_000, "it costs {}", guarded.cost);
}

#[test]
fn a_syntax_error_says_where() {
    let error = checked("{\n  hello(").unwrap_err();
    assert_eq!((error.code, error.cause), (code::BAD_USER_INPUT, Cause::Invalid));
    assert_eq!(error.locations[0].line, 2);
    let error = checked("{\n  echo(text: \"a) }").unwrap_err();
    assert_eq!((error.locations[0].line, error.locations[0].column), (2, 14));
}

/// Pieces of documents, in any order.
fn soup() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "\"",
        "\"\"\"",
        "\\",
        "#",
        "\n",
        "...",
        "a",
        "on",
        ":",
        "$v",
        "1",
        "fragment a on T",
        "...a",
        "query q",
        "@skip(if: true)",
        "first: -1",
        "\u{feff}",
        "é",
        " ",
    ]);
    prop::collection::vec(pieces, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_is_passed_or_refused(text in soup()) {
        if let Err(error) = checked(&text) {
            prop_assert!(!error.code.is_empty() && !error.message.is_empty());
        }
    }

    #[test]
    fn texts_the_parser_takes_are_not_called_unterminated(text in soup()) {
        let parses = async_graphql::parser::parse_query(&text).is_ok();
        let unterminated = checked(&text).is_err_and(|error| error.message.contains("terminated"));
        prop_assert!(!(parses && unterminated));
    }

    /// Whole documents: a tree of fields, some moved into fragments, costs what its tree costs.
    #[test]
    fn fragments_do_not_change_the_cost(pages in prop::collection::vec(0_i32..4, 1..4)) {
        let mut plain = "id".to_owned();
        let mut spread = "id".to_owned();
        let mut fragments = String::new();
        for (level, page) in pages.iter().enumerate() {
            plain = format!("packs(first: {page}) {{ nodes {{ {plain} }} }}");
            let fragment = format!("fragment f{level} on Cluster {{ {spread} }} ");
            fragments.push_str(&fragment);
            spread = format!("packs(first: {page}) {{ nodes {{ ...f{level} }} }}");
        }
        let plain = cost_of(&format!("{{ {plain} }}"));
        let spread = cost_of(&format!("{{ {spread} }} {fragments}"));
        prop_assert_eq!(plain, spread);
    }
}
