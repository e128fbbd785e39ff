//! Bodies with exactly one thing wrong, and what every reader of them has to say.

use async_compression::tokio::bufread::GzipEncoder;
use tokio::io::{AsyncReadExt, BufReader};

use super::wait;

pub const NDJSON: &str = "application/x-ndjson";
pub const JSON: &str = "application/json";
pub const YAML: &str = "application/yaml";

/// A body with one thing wrong.
#[derive(Clone, Debug)]
pub struct BadInput {
    pub name: String,
    pub content_type: &'static str,
    pub encoding: Option<&'static str>,
    pub body: Vec<u8>,
    /// How many good items must come through all the same.
    pub good_neighbours: usize,
    pub expect_code: &'static str,
    /// The path of the value at fault, where it matters.
    pub expect_path: Option<&'static str>,
    /// The line of the body on which the bad item begins or breaks, where it matters.
    pub expect_line: Option<u64>,
    /// Whether nothing after the fault can be read.
    pub fatal: bool,
}

/// A record that is as it should be.
pub fn good(name: &str) -> String {
    format!(
        r#"{{"apiVersion":"infrastructure.ontai.dev/v1alpha1","kind":"PackOperationResult","metadata":{{"name":"{name}","namespace":"seam-tenant-ccs-dev"}},"spec":{{"revision":1,"capability":"pack-deploy","status":"Succeeded"}}}}"#
    )
}

/// One bad item: its name, text, code and path.
type BadItem = (&'static str, Vec<u8>, &'static str, Option<&'static str>);

/// The corpus: well over a hundred bodies.
pub fn corpus() -> Vec<BadInput> {
    let mut inputs = Vec::new();
    let items: Vec<BadItem> = [json_items(), number_items(), syntax_items(), envelope_items(), large_items()].concat();
    for item in &items {
        inputs.extend(embeddings(item));
    }
    inputs.extend(truncations());
    inputs.extend(broken_json());
    inputs.extend(broken_yaml());
    inputs.extend(broken_encodings());
    inputs
}

fn json_items() -> Vec<BadItem> {
    let item = |name, text: &str, code, path| (name, text.as_bytes().to_vec(), code, Some(path));
    vec![
        item("duplicate key", r#"{"a":1,"a":1}"#, "DUPLICATE_KEY", "$.a"),
        item("duplicate key inside", r#"{"b":{"a":1,"a":2}}"#, "DUPLICATE_KEY", "$.b.a"),
        item(
            "duplicate key far inside",
            r#"{"spec":{"steps":[{},{"name":{"x":0,"x":[]}}]}}"#,
            "DUPLICATE_KEY",
            "$.spec.steps[1].name.x",
        ),
        item("duplicate key in disguise", r#"{"ab":1,"\u0061b":2}"#, "DUPLICATE_KEY", "$.ab"),
        item("duplicate empty key", r#"{"":1,"":2}"#, "DUPLICATE_KEY", "$[\"\"]"),
        item("NUL in a value", r#"{"spec":{"a":"x\u0000y"}}"#, "NUL_CHARACTER", "$.spec.a"),
        item("NUL in a key", r#"{"spec":{"\u0000":1}}"#, "NUL_CHARACTER", "$.spec"),
        item("NUL in an element", r#"{"a":["","\u0000"]}"#, "NUL_CHARACTER", "$.a[1]"),
    ]
}

fn number_items() -> Vec<BadItem> {
    [
        ("2^53", "9007199254740992"),
        ("2^53+1", "9007199254740993"),
        ("-2^53", "-9007199254740992"),
        ("2^63", "9223372036854775808"),
        ("2^64", "18446744073709551616"),
        ("-2^63-1", "-9223372036854775809"),
        ("forty digits", "1234567890123456789012345678901234567890"),
        ("integral float", "9007199254740993.0"),
        ("large exponent", "1e16"),
        ("beyond a double", "1e400"),
        ("negative beyond a double", "-1E+999"),
    ]
    .map(|(name, number)| {
        let text = format!(r#"{{"kind":"X","spec":{{"revision":{number}}}}}"#);
        (name, text.into_bytes(), "UNSAFE_INTEGER", Some("$.spec.revision"))
    })
    .to_vec()
}

fn syntax_items() -> Vec<BadItem> {
    let item = |name, text: &[u8], code| (name, text.to_vec(), code, None);
    vec![
        item("lone leading surrogate", br#"{"a":"\ud800"}"#, "INVALID_JSON"),
        item("lone trailing surrogate", br#"{"a":"\udc00x"}"#, "INVALID_JSON"),
        item("surrogates the wrong way", br#"{"a":"\udc00\ud800"}"#, "INVALID_JSON"),
        item("unknown escape", br#"{"a":"\x41"}"#, "INVALID_JSON"),
        item("short escape", br#"{"a":"\u12"}"#, "INVALID_JSON"),
        item("not UTF-8", b"{\"a\":\"\xff\"}", "INVALID_UTF8"),
        item("overlong UTF-8", b"{\"a\":\"\xc0\xaf\"}", "INVALID_UTF8"),
        item("encoded surrogate", b"{\"a\":\"\xed\xa0\x80\"}", "INVALID_UTF8"),
        item("cut UTF-8", b"{\"a\":\"\xe2\x82\"}", "INVALID_UTF8"),
        item("half a word", br#"{"a":tru}"#, "INVALID_JSON"),
        item("another word", br#"{"a":undefined}"#, "INVALID_JSON"),
        item("not a number", br#"{"a":NaN}"#, "INVALID_JSON"),
        item("leading zero", br#"{"a":01}"#, "INVALID_JSON"),
        item("leading plus", br#"{"a":+1}"#, "INVALID_JSON"),
        item("leading point", br#"{"a":.5}"#, "INVALID_JSON"),
        item("trailing point", br#"{"a":1.}"#, "INVALID_JSON"),
        item("hexadecimal", br#"{"a":0x10}"#, "INVALID_JSON"),
        item("missing colon", br#"{"a":{"b" 1}}"#, "INVALID_JSON"),
        item("trailing comma in an array", br#"{"a":[1,]}"#, "INVALID_JSON"),
        item("trailing comma in an object", br#"{"a":{"b":1,}}"#, "INVALID_JSON"),
        item("bare key", br#"{"a":{b:1}}"#, "INVALID_JSON"),
        item("single quotes", br#"{"a":{'b':1}}"#, "INVALID_JSON"),
        item("a comment", br#"{"a":[1 /* one */]}"#, "INVALID_JSON"),
        item("two values for one key", br#"{"a":{"b":1 2}}"#, "INVALID_JSON"),
    ]
}

fn envelope_items() -> Vec<BadItem> {
    let item = |name, text: &str, path| (name, text.as_bytes().to_vec(), "INVALID_ENVELOPE", Some(path));
    vec![
        item("a number", "12", "$"),
        item("a string", r#""PackReceipt""#, "$"),
        item("null", "null", "$"),
        item("a word", "true", "$"),
        item("an array", "[{}]", "$"),
        item("an unknown event", r#"{"type":"CHANGED","object":{}}"#, "$.type"),
        item("an event in lower case", r#"{"type":"added","object":{}}"#, "$.type"),
        item("an event type that is no text", r#"{"type":1,"object":{}}"#, "$.type"),
        item("an event without a type", r#"{"object":{"kind":"X"}}"#, "$.type"),
        item("an event without an object", r#"{"type":"ADDED"}"#, "$.object"),
        item("an event around an array", r#"{"type":"ADDED","object":[1]}"#, "$.object"),
        item("an event around null", r#"{"type":"DELETED","object":null}"#, "$.object"),
        item("a time in words", r#"{"type":"ADDED","observedAt":"noon","object":{}}"#, "$.observedAt"),
        item("a time that is a number", r#"{"type":"ADDED","observedAt":1777881600,"object":{}}"#, "$.observedAt"),
        item(
            "a time without an offset",
            r#"{"type":"ADDED","observedAt":"2026-05-04T08:00:00","object":{}}"#,
            "$.observedAt",
        ),
        item(
            "a day that is none",
            r#"{"type":"ADDED","observedAt":"2026-02-30T08:00:00Z","object":{}}"#,
            "$.observedAt",
        ),
    ]
}

fn large_items() -> Vec<BadItem> {
    let nested = |open: &str, close: &str, depth| open.repeat(depth) + "1" + &close.repeat(depth);
    let item = |name, text: String, code| (name, text.into_bytes(), code, None);
    vec![
        item("65 deep", format!(r#"{{"a":{}}}"#, nested("[", "]", 64)), "TOO_DEEP"),
        item("5,000 arrays deep", format!(r#"{{"a":{}}}"#, nested("[", "]", 5_000)), "TOO_DEEP"),
        item("5,000 objects deep", nested("{\"a\":", "}", 5_000), "TOO_DEEP"),
        item("100,000 deep", format!(r#"{{"a":{}}}"#, nested("[", "]", 100_000)), "TOO_DEEP"),
        item("a record of 2 MiB", format!(r#"{{"kind":"X","a":"{}"}}"#, "x".repeat(2 * 1024 * 1024)), "ITEM_TOO_LARGE"),
        item("a record of 1.5 MiB and a byte", format!(r#"{{"a":"{}"}}"#, "x".repeat(1_572_865 - 8)), "ITEM_TOO_LARGE"),
        item("two million brackets", format!(r#"{{"a":{}}}"#, nested("[", "]", 1_000_000)), "ITEM_TOO_LARGE"),
    ]
}

/// The same bad item between two good ones, in each shape that a body may have.
fn embeddings((name, item, code, path): &BadItem) -> Vec<BadInput> {
    let (first, last) = (good("first"), good("last"));
    let input = |shape: &str, content_type, parts: [&[u8]; 5], line| BadInput {
        name: format!("{name}, {shape}"),
        content_type,
        encoding: None,
        body: parts.concat(),
        good_neighbours: 2,
        expect_code: code,
        expect_path: *path,
        expect_line: Some(line),
        fatal: false,
    };
    let (first, last) = (first.as_bytes(), last.as_bytes());
    let head = b"{\"apiVersion\":\"v1\",\n\"items\":[\n";
    let tail = b"\n],\"kind\":\"List\",\"metadata\":{\"resourceVersion\":\"\"}}\n";
    vec![
        input("on a line", NDJSON, [first, b"\n", item, b"\n", last], 2),
        input("in an array", JSON, [&[b"[", first].concat(), b",\n", item, b",\n", &[last, b"]"].concat()], 2),
        input("in a list", JSON, [&[head, first].concat(), b",\n", item, b",\n", &[last, tail].concat()], 4),
    ]
}

/// A body that breaks off, every few bytes.
fn truncations() -> Vec<BadInput> {
    let item = r#"{"apiVersion":"v1","kind":"X","metadata":{"name":"a\"b"},"spec":{"n":[1,{"m":-2.5e3}]}}"#;
    let array = format!("[{},\n{item}]", good("first"));
    let list = format!("{{\"items\":[{},\n{item}],\"kind\":\"List\"}}", good("first"));
    let lines = format!("{}\n{item}", good("first"));
    let mut inputs = Vec::new();
    for (shape, content_type, body, fatal) in
        [("array", JSON, array, true), ("list", JSON, list, true), ("line", NDJSON, lines, false)]
    {
        let item_start = body.find('\n').unwrap() + 2;
        for end in (item_start..body.len()).step_by(4) {
            // A list that ends in the `items` of its good first item has that item only; one that
            // ends behind the second has both.
            let whole = end >= item_start - 1 + item.len();
            if whole && !fatal {
                continue;
            }
            inputs.push(BadInput {
                name: format!("{shape} cut at {end}"),
                content_type,
                encoding: None,
                body: body.as_bytes()[..end].to_vec(),
                good_neighbours: 1 + usize::from(whole),
                expect_code: "TRUNCATED",
                expect_path: None,
                expect_line: Some(2),
                fatal,
            });
        }
    }
    inputs
}

/// JSON bodies that are broken between their items.
fn broken_json() -> Vec<BadInput> {
    let first = good("first");
    let last = good("last");
    let input = |name: &str, body: String, good_neighbours, expect_code, line, fatal| BadInput {
        name: name.to_owned(),
        content_type: JSON,
        encoding: None,
        body: body.into_bytes(),
        good_neighbours,
        expect_code,
        expect_path: None,
        expect_line: Some(line),
        fatal,
    };
    let syntax = "INVALID_JSON";
    vec![
        input("no comma", format!("[{first}\n{last}]"), 1, syntax, 2, true),
        input("two commas", format!("[{first},\n,{last}]"), 1, syntax, 2, true),
        input("comma before the end", format!("[{first},\n]"), 1, syntax, 2, true),
        input("wrong bracket", format!("[{first},\n{{\"a\":1]]"), 1, syntax, 2, true),
        input("bracket too many", format!("[{first}]\n]"), 1, syntax, 2, true),
        input("garbage after a value", format!("{first}\n;"), 1, syntax, 2, true),
        input("comma after a value", format!("{first},\n{last}"), 1, syntax, 1, true),
        input("not JSON at all", "<html>".to_owned(), 0, syntax, 1, true),
        input("a line's end in a string", format!("[{first},{{\"a\":\"x\n\"}}]"), 1, syntax, 1, true),
        input("no colon", "{\"a\"\n1}".to_owned(), 0, syntax, 2, true),
        input("a bare key", "{\na:1}".to_owned(), 0, syntax, 2, true),
        input("an unclosed list", format!("{{\"items\":[\n{first}"), 1, "TRUNCATED", 2, true),
        input("only a bracket", "[".to_owned(), 0, "TRUNCATED", 1, true),
        input("only a brace", "{".to_owned(), 0, "TRUNCATED", 1, true),
        input("a million brackets", "[".repeat(1_000_000), 0, "TRUNCATED", 1, true),
        input("a million objects", "{\"a\":".repeat(200_000), 0, "TRUNCATED", 1, true),
        input("items twice", format!("{{\"items\":[{first}],\n\"items\":[{last}]}}"), 1, "DUPLICATE_KEY", 2, true),
        input(
            "a list that is none",
            format!("{{\"items\":[{first}],\n\"kind\":\"Pack\"}}\n{last}"),
            2,
            "INVALID_LIST",
            2,
            false,
        ),
    ]
}

/// YAML documents with one thing wrong, between two good ones.
fn broken_yaml() -> Vec<BadInput> {
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n\
                c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n\
                e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n";
    let wide = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), "*a,".repeat(20));
    let long = format!("kind: X\na: {}\n", "x".repeat(2 * 1024 * 1024));
    let many_aliases = format!("a: &a 1\nb: [{}]\n", "*a,".repeat(1_000));
    let deep_flow = "a: ".to_owned() + &"[".repeat(5_000) + &"]".repeat(5_000) + "\n";
    let deep_blocks = "- ".repeat(5_000) + "x\n";
    let rather_deep = "a: ".to_owned() + &"[".repeat(100) + &"]".repeat(100) + "\n";
    let (invalid, ambiguous) = ("INVALID_YAML", "AMBIGUOUS_SCALAR");
    [
        ("duplicate key", "a: 1\nb: {c: 1, c: 2}\n", "DUPLICATE_KEY", Some("$.b.c"), 6),
        ("duplicate key at the top", "a: 1\na: 1\n", "DUPLICATE_KEY", Some("$.a"), 6),
        ("alias bomb", bomb, invalid, None, 11),
        ("one long alias", &wide, invalid, None, 7),
        ("many aliases", &many_aliases, invalid, None, 7),
        ("unknown alias", "a: *b\n", invalid, None, 6),
        ("alias of itself", "a: &a [*a]\n", invalid, None, 6),
        ("alias as a key", "a: &a x\n*a : 1\n", invalid, None, 7),
        ("merge key", "a: &a {b: 1}\nc:\n  <<: *a\n", invalid, None, 8),
        ("custom tag", "a: !secret x\n", invalid, None, 6),
        ("core tag", "a: !!int 1\n", invalid, None, 6),
        ("object tag", "a: !!python/object:os.system {b: 1}\n", invalid, None, 6),
        ("binary tag", "a: !!binary aGk=\n", invalid, None, 6),
        ("a mapping as a key", "? {a: 1}\n: 2\n", invalid, None, 6),
        ("a sequence as a key", "? [a]\n: 2\n", invalid, None, 6),
        ("a number as a key", "a:\n  8080: x\n", ambiguous, None, 7),
        ("a word as a key", "on: x\n", ambiguous, None, 6),
        ("null as a key", "~: x\n", ambiguous, None, 6),
        ("an octal number", "a:\n  b: 010\n", ambiguous, None, 7),
        ("a number with underscores", "a: 1_000\n", ambiguous, None, 6),
        ("a digest that looks like a number", "a: 12e45\n", ambiguous, None, 6),
        ("a hexadecimal number", "a: 0xFF\n", ambiguous, None, 6),
        ("minutes and seconds", "a: 1:30\n", ambiguous, None, 6),
        ("a word for true", "a: yes\n", ambiguous, None, 6),
        ("a letter for false", "a: [off]\n", ambiguous, None, 6),
        ("infinity", "a: .inf\n", ambiguous, None, 6),
        ("no number", "a: .NaN\n", ambiguous, None, 6),
        ("a plus sign", "a: +1\n", ambiguous, None, 6),
        (
            "an integer beyond 2^53",
            "spec: {revision: 9007199254740993}\n",
            "UNSAFE_INTEGER",
            Some("$.spec.revision"),
            6,
        ),
        ("a huge exponent", "a: 1.0e+400\n", "UNSAFE_INTEGER", Some("$.a"), 6),
        ("NUL", "a: \"x\\0\"\n", "NUL_CHARACTER", Some("$.a"), 6),
        ("an open quotation", "a: \"x\nb: 1\n", invalid, None, 0),
        ("an open bracket", "a: [1, 2\n", invalid, None, 0),
        ("wrong indentation", "a:\n    b: 1\n  c: 2\n", invalid, None, 8),
        ("a tab for indentation", "a:\n\tb: 1\n", invalid, None, 0),
        ("two values", "a: b: c\n", invalid, None, 6),
        ("a stray percent", "a: %b\n", invalid, None, 6),
        ("a stray at", "a: @b\n", invalid, None, 6),
        ("5,000 deep in brackets", &deep_flow, invalid, None, 6),
        ("5,000 deep in dashes", &deep_blocks, invalid, None, 6),
        ("100 deep", &rather_deep, "TOO_DEEP", None, 6),
        ("2 MiB", &long, "ITEM_TOO_LARGE", None, 6),
        ("a scalar", "just words\n", "INVALID_ENVELOPE", Some("$"), 6),
        ("a time in words", "type: ADDED\nobservedAt: noon\nobject: {}\n", "INVALID_ENVELOPE", Some("$.observedAt"), 6),
    ]
    .map(|(name, document, code, path, line)| yaml(name, document.as_bytes(), code, path, line))
    .into_iter()
    .chain([
        yaml("not UTF-8", b"a: b\nc: \xff\n", "INVALID_UTF8", None, 7),
        yaml("UTF-16", b"\xff\xfea\0:\0 \0b\0\n", "INVALID_UTF8", None, 6),
    ])
    .collect()
}

/// A bad document behind a good one of four lines and its mark, before another.
fn yaml(
    name: &str,
    document: &[u8],
    expect_code: &'static str,
    expect_path: Option<&'static str>,
    line: u64,
) -> BadInput {
    let first = b"apiVersion: v1\nkind: X\nmetadata:\n  name: first\n---\n";
    let last = b"\n---\napiVersion: v1\nkind: X\nmetadata: {name: last}\n";
    BadInput {
        name: format!("{name}, in YAML"),
        content_type: YAML,
        encoding: None,
        body: [first, document, last].concat(),
        good_neighbours: 2,
        expect_code,
        expect_path,
        expect_line: (line > 0).then_some(line),
        fatal: false,
    }
}

fn broken_encodings() -> Vec<BadInput> {
    let first = good("first") + "\n";
    let mut noise = 1_u32;
    // Lines that do not compress, so that a cut in the middle is one in the middle.
    let lines: Vec<String> = (0..2_000)
        .map(|_| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            format!(
                "{{\"kind\":\"X\",\"n\":\"{noise:x}\"}}
"
            )
        })
        .collect();
    let lines = lines.concat();
    let zipped = gzip(first.as_bytes());
    let standard = zstd::encode_all(first.as_bytes(), 3).unwrap();
    let blank = vec![b' '; 64 * 1024 * 1024];
    let input = |name: &str, encoding, body, good_neighbours, expect_code| BadInput {
        name: name.to_owned(),
        content_type: NDJSON,
        encoding: Some(encoding),
        body,
        good_neighbours,
        expect_code,
        expect_path: None,
        expect_line: None,
        fatal: true,
    };
    let corrupt = "INVALID_ENCODING";
    let bomb = "DECODED_TOO_LARGE";
    let flipped = |body: &[u8]| {
        let mut body = body.to_vec();
        let middle = body.len() - 6;
        body[middle] ^= 0xff;
        body
    };
    vec![
        input("not gzip", "gzip", first.clone().into_bytes(), 0, corrupt),
        input("not zstd", "zstd", first.clone().into_bytes(), 0, corrupt),
        input("gzip sent as zstd", "zstd", zipped.clone(), 0, corrupt),
        input("zstd sent as gzip", "gzip", standard.clone(), 0, corrupt),
        input("garbage after gzip", "gzip", [&zipped, &b"garbage"[..]].concat(), 1, corrupt),
        input("garbage after zstd", "zstd", [&standard, &b"garbage"[..]].concat(), 1, corrupt),
        input("gzip with a wrong checksum", "gzip", flipped(&zipped), 1, corrupt),
        input("gzip without its end", "gzip", zipped[..zipped.len() - 4].to_vec(), 1, corrupt),
        input("gzip without a body", "gzip", zipped[..8].to_vec(), 0, corrupt),
        input("zstd without its end", "zstd", standard[..standard.len() - 4].to_vec(), 0, corrupt),
        input("gzip bomb", "gzip", gzip(&blank), 0, bomb),
        input("gzip bomb behind a record", "gzip", [zipped, gzip(&blank)].concat(), 1, bomb),
        input("zstd bomb", "zstd", zstd::encode_all(&blank[..], 3).unwrap(), 0, bomb),
        input(
            "zstd bomb of many records",
            "zstd",
            zstd::encode_all(first.repeat(150_000).as_bytes(), 3).unwrap(),
            usize::MAX,
            bomb,
        ),
        input("zstd with a huge window", "zstd", wide_window(lines.as_bytes()), 0, corrupt),
    ]
}

/// A gzip member.
pub fn gzip(body: &[u8]) -> Vec<u8> {
    let zip = || {
        let mut encoder = GzipEncoder::new(BufReader::new(body));
        let mut zipped = Vec::new();
        wait(encoder.read_to_end(&mut zipped)).unwrap();
        zipped
    };
    // On a thread of its own, so that tests within a runtime can ask too.
    std::thread::scope(|scope| scope.spawn(zip).join().unwrap())
}

/// A zstd frame that asks its reader for a window of 128 MiB.
fn wide_window(body: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(27).unwrap();
    std::io::Write::write_all(&mut encoder, body).unwrap();
    encoder.finish().unwrap()
}
