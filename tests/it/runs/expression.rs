//! What expressions give, and how much they may cost.

use packtrail::domain::taskpack::expression::MAX_EXPRESSION;
use packtrail::domain::taskpack::template::{self, render};
use packtrail::domain::taskpack::{Budget, Expression, ExpressionError, MAX_STEPS, MAX_VALUE_BYTES, is_true};
use serde_json::{Value, json};

fn context() -> Value {
    json!({
        "inputs": {"target": "app", "n": 3, "list": [3, 1, 2], "flag": false, "cfg": {"a": {"b": 1}, "z": [1, [2, [3]]]},
                   "people": [{"name": "b", "age": 2}, {"name": "a", "age": 1}, {"age": 3}]},
        "steps": {"my-step": {"outputs": {"ok": true, "text": "é"}}},
        "item": "eu", "index": 0
    })
}

fn evaluate(text: &str) -> Result<Value, ExpressionError> {
    Expression::parse(text)?.evaluate(&context())
}

#[test]
fn expressions_give_what_the_specification_says() {
    for (text, expected) in [
        ("inputs.target", json!("app")),
        ("inputs.nope.more", json!(null)),
        ("steps.\"my-step\".outputs.ok", json!(true)),
        ("inputs.list[0]", json!(3)),
        ("inputs.list[-1]", json!(2)),
        ("inputs.list[9]", json!(null)),
        ("inputs.list[1:]", json!([1, 2])),
        ("inputs.list[::-1]", json!([2, 1, 3])),
        ("inputs.list[-2:]", json!([1, 2])),
        ("inputs.list[5:1:-1]", json!([2])),
        ("inputs.list[::2]", json!([3, 2])),
        ("inputs.target[0:1]", json!(null)),
        ("inputs.people[*].name", json!(["b", "a"])),
        ("inputs.people[?age > `1`].age", json!([2, 3])),
        ("inputs.people[?name == 'a'] | [0].age", json!(1)),
        ("inputs.cfg.*", json!([{"b": 1}, [1, [2, [3]]]])),
        ("inputs.cfg.*.b", json!([1])),
        ("inputs.cfg.z[]", json!([1, 2, [3]])),
        ("inputs.cfg.z[][]", json!([1, 2, 3])),
        ("inputs.[target, n]", json!(["app", 3])),
        ("inputs.{a: target, b: n}", json!({"a": "app", "b": 3})),
        ("inputs.nope.[a]", json!(null)),
        ("inputs.flag || inputs.target", json!("app")),
        ("inputs.target && inputs.n", json!(3)),
        ("!(inputs.flag) && !`[]`", json!(true)),
        ("!(inputs.list[5]) && !length(`[]`)", json!(false)),
        ("inputs.n == `3.0`", json!(true)),
        ("inputs.cfg == `{\"z\": [1.0, [2, [3]]], \"a\": {\"b\": 1}}`", json!(true)),
        ("inputs.n != '3'", json!(true)),
        ("inputs.target < 'b'", json!(null)),
        ("inputs.n >= `3` && inputs.n <= `3` && inputs.n < `4`", json!(true)),
        ("`\"x\"`", json!("x")),
        ("'it\\'s'", json!("it's")),
        ("@.inputs.n", json!(3)),
        ("abs(`-1.5`)", json!(1.5)),
        ("avg(inputs.list)", json!(2)),
        ("avg(`[]`)", json!(null)),
        ("ceil(`1.2`)", json!(2)),
        ("floor(`-0.5`)", json!(-1)),
        ("contains('banana', 'nan')", json!(true)),
        ("contains(inputs.list, `2.0`)", json!(true)),
        ("contains('a', `1`)", json!(false)),
        ("ends_with('abc', 'bc')", json!(true)),
        ("starts_with('abc', 'bc')", json!(false)),
        ("join('-', `[\"a\", \"b\"]`)", json!("a-b")),
        ("keys(inputs.cfg)", json!(["a", "z"])),
        ("values(inputs.cfg.a)", json!([1])),
        ("length('é€')", json!(2)),
        ("length(inputs.cfg)", json!(2)),
        ("map(&name, inputs.people)", json!(["b", "a", null])),
        ("max(inputs.list)", json!(3)),
        ("min(`[\"b\", \"a\"]`)", json!("a")),
        ("max(`[]`)", json!(null)),
        ("max_by(inputs.people, &age).age", json!(3)),
        ("min_by(inputs.people, &age).name", json!("a")),
        ("merge(`{\"a\": 1, \"b\": 1}`, `{\"b\": 2}`)", json!({"a": 1, "b": 2})),
        ("not_null(inputs.nope, inputs.n)", json!(3)),
        ("reverse('aé')", json!("éa")),
        ("reverse(inputs.list)", json!([2, 1, 3])),
        ("sort(inputs.list)", json!([1, 2, 3])),
        ("sort_by(inputs.people, &age)[*].age", json!([1, 2, 3])),
        ("sum(inputs.list)", json!(6)),
        ("sum(`[]`)", json!(0)),
        ("to_array('a')", json!(["a"])),
        ("to_array(inputs.list)", json!([3, 1, 2])),
        ("to_number('1.0')", json!(1)),
        ("to_number('x')", json!(null)),
        ("to_string(inputs.cfg.a)", json!("{\"b\":1}")),
        ("to_string('a')", json!("a")),
        ("type(inputs.nope)", json!("null")),
        ("type(`1`)", json!("number")),
    ] {
        assert_eq!(evaluate(text), Ok(expected), "{text}");
    }
}

#[test]
fn wrong_arguments_are_errors() {
    for text in [
        "abs('x')",
        "avg(`[\"a\"]`)",
        "sort(`[1, \"a\"]`)",
        "sort(inputs.target)",
        "join(`1`, `[]`)",
        "join(',', `[1]`)",
        "keys(`[]`)",
        "length(`1`)",
        "max(`[true]`)",
        "merge(`[]`)",
        "sum(`{}`)",
        "sort_by(inputs.people, &name)",
        "map(&a, 'x')",
        "starts_with(inputs.nope, 'a')",
        "reverse(`1`)",
        "sum(`[1e300, 1e308, 1e308]`)",
    ] {
        let result = evaluate(text);
        let is_refused = matches!(result, Err(ExpressionError::Argument(_) | ExpressionError::Syntax(_)));
        assert!(is_refused, "{text}: {result:?}");
    }
}

#[test]
fn a_member_of_a_negation_is_refused_since_it_is_always_null() {
    for text in ["!inputs.flag", "inputs.n && !inputs.cfg.a", "!inputs.*", "!a.b[0]"] {
        let refused = Expression::parse(text).unwrap_err();
        assert!(refused.to_string().contains("write !(a.b)"), "{text}: {refused}");
    }
}

#[test]
fn the_order_of_members_means_nothing() {
    let one: Value = serde_json::from_str(r#"{"inputs": {"b": 1, "a": {"z": 2, "y": 3}}}"#).unwrap();
    let other: Value = serde_json::from_str(r#"{"inputs": {"a": {"y": 3, "z": 2}, "b": 1}}"#).unwrap();
    for text in ["keys(inputs)", "values(inputs.a)", "inputs.a.*", "to_string(inputs)"] {
        let expression = Expression::parse(text).unwrap();
        assert_eq!(expression.evaluate(&one), expression.evaluate(&other), "{text}");
    }
    let template = json!("is {{ inputs }}");
    assert_eq!(render(&template, &one), render(&template, &other));
    assert_eq!(render(&template, &one), Ok(json!("is {\"a\":{\"y\":3,\"z\":2},\"b\":1}")));
}

#[test]
fn zero_is_true_and_what_is_empty_is_false() {
    for value in [json!(false), json!(null), json!(""), json!([]), json!({})] {
        assert!(!is_true(&value), "{value}");
    }
    for value in [json!(true), json!(0), json!(-1.5), json!("false"), json!(" "), json!([null]), json!({"a": null})] {
        assert!(is_true(&value), "{value}");
    }
}

#[test]
fn conditions_are_bare_or_between_braces() {
    for text in ["inputs.n", "{{ inputs.n }}", "  {{inputs.n}} ", "inputs.n == `3`", "{{ {a: inputs.n} }}", "`0`"] {
        assert_eq!(template::condition(text, &context()), Ok(true), "{text}");
    }
    for text in ["inputs.flag", "{{ inputs.nope }}", "`false`"] {
        assert_eq!(template::condition(text, &context()), Ok(false), "{text}");
    }
    for text in ["{{ inputs.n }} x", "{{ inputs.n }}{{ inputs.n }}", "", "{{}}", "{{ inputs.n", "inputs.n }}"] {
        assert!(template::condition(text, &context()).is_err(), "{text}");
    }
}

#[test]
fn a_lone_template_keeps_its_type_and_an_embedded_one_becomes_text() {
    for (template, expected) in [
        (json!("{{ inputs.list }}"), json!([3, 1, 2])),
        (json!("{{inputs.n}}"), json!(3)),
        (json!("{{ inputs.nope }}"), json!(null)),
        (json!("{{ steps.ghost.outputs.x }}"), json!(null)),
        (json!(" {{ inputs.n }}"), json!(" 3")),
        (json!("{{ inputs.n }}{{ inputs.target }}"), json!("3app")),
        (json!("a {{ inputs.cfg.a }} b {{ inputs.flag }} {{ inputs.nope }}"), json!("a {\"b\":1} b false null")),
        (json!("{{ '}}' }}"), json!("}}")),
        (json!("{{ '{{' }}x"), json!("{{x")),
        (json!("{{ {a: {b: inputs.n}} }}"), json!({"a": {"b": 3}})),
        (json!("{{ `{\"a\": {}}` }}"), json!({"a": {}})),
        (json!("plain }} text { }"), json!("plain }} text { }")),
        (json!(""), json!("")),
        (
            json!({"{{ key }}": ["{{ item }}", {"i": "{{ index }}"}, 1, null]}),
            json!({"{{ key }}": ["eu", {"i": 0}, 1, null]}),
        ),
    ] {
        assert_eq!(render(&template, &context()), Ok(expected), "{template}");
    }
}

#[test]
fn what_an_expression_reads_is_known_without_evaluating_it() {
    let roots = |text: &str| {
        let read = Expression::parse(text).unwrap().references();
        let steps: Vec<String> = read.steps.into_iter().collect();
        (read.roots.into_iter().collect::<Vec<_>>().join(","), steps.join(","), read.whole, read.vague_steps)
    };
    let claim = |text: &str, names: &str, steps: &str| {
        assert_eq!(roots(text), (names.to_owned(), steps.to_owned(), false, false), "{text}");
    };
    claim("inputs.list[?steps.x == item].inputs", "inputs", "");
    claim("steps.\"a-b\".outputs.x || inputs.y", "inputs,steps", "a-b");
    claim("map(&steps.b, inputs.list)", "inputs", "");
    claim("@.steps.a.outputs | steps", "steps", "a");
    claim("[steps.a.outputs, {k: steps.b.outputs[0].x}]", "steps", "a,b");
    claim("length(steps.a.outputs.list[*].steps)", "steps", "a");
    claim("inputs.*.steps", "inputs", "");
    claim("steps | a | outputs", "steps", "a");
    claim("`1`", "", "");
    for text in ["@", "*", "[]", "keys(@)", "@ | @", "to_string(@)", "merge(@, inputs)", "[@]"] {
        assert!(roots(text).2, "{text} reads everything");
    }
    for text in
        ["steps", "steps.a", "steps.*.outputs", "steps.a.status", "keys(steps)", "steps.a | [outputs]", "steps.[a]"]
    {
        assert!(roots(text).3, "{text} is vague");
    }
}

/// Reading and evaluating on the small stack of a test thread.
#[test]
fn deep_texts_are_refused_before_the_stack_is() {
    for unit in [
        "(",
        "[",
        "{a:",
        "!",
        "&",
        "*.",
        "[*].",
        "[].",
        "a[?",
        "abs(",
        "a.",
        "a|",
        "a||",
        "a&&",
        "a[0].",
        "[[",
        "!(",
        "@.",
        "a==",
        "[*][",
        "not_null(a,",
        "-",
        "'",
        "`",
        "\"",
        "`[",
        "a,",
    ] {
        for tail in ["", "a", "a]", ")"] {
            let mut text = unit.repeat((MAX_EXPRESSION - tail.len()) / unit.len());
            text.push_str(tail);
            if let Ok(expression) = Expression::parse(&text) {
                let _ = expression.evaluate(&context());
            }
        }
    }
    let closed = |open: &str, close: &str, n: usize| format!("{}n{}", open.repeat(n), close.repeat(n));
    for (open, close) in [("(", ")"), ("[", "]"), ("!", ""), ("{a: ", "}"), ("to_array(", ")")] {
        assert!(Expression::parse(&closed(open, close, 40)).is_ok(), "{open}");
        assert_eq!(Expression::parse(&closed(open, close, 101)).err(), Some(ExpressionError::TooDeep), "{open}");
    }
    let path = |n: usize| format!("a{}", ".a".repeat(n));
    assert!(Expression::parse(&path(90)).is_ok());
    assert_eq!(Expression::parse(&path(400)).err(), Some(ExpressionError::TooDeep));
    assert_eq!(Expression::parse(&"a".repeat(MAX_EXPRESSION + 1)).err(), Some(ExpressionError::TooLong));
}

#[test]
fn work_is_counted_and_bounded() {
    let big: Vec<Value> = (0..9_000).map(|n| json!({"n": n, "s": "x".repeat(10)})).collect();
    let texts: Vec<String> = (0..2_000).map(|n| format!("{n:0100}")).collect();
    let context = json!({"inputs": {"big": big, "texts": texts, "long": "x".repeat(200_000), "two": [1, 2]}});
    let doubling = |unit: &str| format!("inputs.two | {}", vec![unit; (1_000 / (unit.len() + 3)).min(30)].join(" | "));
    for text in [
        doubling("[@, @]"),
        doubling("{a: @, b: @}"),
        doubling("[@, @][]"),
        doubling("to_array([@, @])"),
        doubling("[to_string(@), to_string(@)]"),
        format!("'x' | {}", ["join('', [@, @])"; 40].join(" | ")),
        doubling("map(&[@, @], @)"),
        "inputs.big[*].[n, n, n, n]".to_owned(),
        "inputs.big[?contains(s, 'y')] | [0]".to_owned(),
        "sort_by(inputs.big, &s)".to_owned(),
        "max_by(inputs.big, &n)".to_owned(),
        "join(inputs.long, inputs.texts)".to_owned(),
        "inputs.{a: big, b: big, c: big}".to_owned(),
        "inputs.big == inputs.big".to_owned(),
        "inputs.big[]".to_owned(),
        "inputs.big[::-1]".to_owned(),
        "reverse(inputs.big)".to_owned(),
        "to_string(inputs.big)".to_owned(),
        "merge(inputs, inputs)".to_owned(),
        "values(inputs)".to_owned(),
        format!("inputs.texts[*].[{}]", ["length(@)"; 40].join(", ")),
    ] {
        assert!(text.len() <= MAX_EXPRESSION, "{text}");
        let mut budget = Budget::default();
        let result = Expression::parse(&text).unwrap().evaluate_within(&context, &mut budget);
        assert!(matches!(result, Err(ExpressionError::TooManySteps | ExpressionError::TooLarge)), "{text}: {result:?}");
        assert!(budget.used() <= MAX_STEPS, "{text}: {}", budget.used());
    }
    let mut budget = Budget::default();
    let cheap = Expression::parse("length(inputs.big)").unwrap().evaluate_within(&context, &mut budget);
    assert_eq!((cheap, budget.used() < 10), (Ok(json!(9_000)), true));
}

#[test]
fn values_are_bounded_in_size_and_depth() {
    let context = json!({"inputs": {"long": "x".repeat(MAX_VALUE_BYTES), "one": 1, "part": "y".repeat(60_000)}});
    let evaluate = |text: &str| Expression::parse(text).unwrap().evaluate(&context);
    assert_eq!(evaluate("inputs.long"), Err(ExpressionError::TooLarge));
    assert_eq!(evaluate("length(inputs.long)"), Ok(json!(MAX_VALUE_BYTES)));
    let nested = |n: usize| format!("inputs.one | {}", vec!["[@]"; n].join(" | "));
    assert!(evaluate(&nested(64)).is_ok());
    assert_eq!(evaluate(&nested(70)), Err(ExpressionError::TooLarge));
    let many = json!(vec!["{{ inputs.part }}"; 20]);
    assert_eq!(render(&many, &context), Err(ExpressionError::TooLarge));
    let costly = json!(vec!["{{ length(to_string(inputs.part)) }}"; 2_000]);
    assert_eq!(render(&costly, &context), Err(ExpressionError::TooManySteps));
}
