//! The shapes in which good items come.

use std::io::{self, Cursor};
use std::pin::Pin;
use std::task::{Context, Poll};

use packtrail::domain::envelope::EventType;
use packtrail::domain::json::JsonLimits;
use packtrail::service::reader::{DecodeLimits, Encoding, Format, ItemReader, RawItem, ReaderLimits, decode};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, BufReader, ReadBuf};

use super::corpus::{JSON, NDJSON, YAML, good, gzip};
use super::{examine, examine_body, wait};

/// The items of a body that has no faults.
fn items(body: &str, format: Format) -> Vec<RawItem> {
    let mut reader = ItemReader::new(Cursor::new(body), format, ReaderLimits::default());
    wait(async {
        let mut items = Vec::new();
        while let Some(found) = reader.next().await {
            items.push(found.unwrap());
        }
        items
    })
}

/// The lines and texts of those items.
fn seen(body: &str, format: Format) -> Vec<(u64, String)> {
    items(body, format).into_iter().map(|item| (item.line.unwrap(), String::from_utf8(item.text).unwrap())).collect()
}

fn at(line: u64, text: &str) -> (u64, String) {
    (line, text.to_owned())
}

#[test]
fn a_line_is_an_item_whatever_its_end_is() {
    assert_eq!(
        seen("\u{feff}{\"a\":1}\r\n\n  \r\n{\"a\":2} \n\t{\"a\":3}", Format::Ndjson),
        [at(1, "{\"a\":1}"), at(4, "{\"a\":2}"), at(5, "\t{\"a\":3}")]
    );
}

#[test]
fn items_are_numbered_and_refused_ones_count() {
    let outcomes = examine_body(b"{}\n{\n{}\n[]\n", NDJSON, None);
    let refused: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert_eq!(refused.iter().map(|refused| refused.index).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn an_empty_body_has_no_items() {
    for format in [Format::Ndjson, Format::Json, Format::Yaml] {
        for body in ["", "\n", " \r\n ", "\u{feff}"] {
            assert_eq!(seen(body, format), [], "{format:?} {body:?}");
        }
    }
    assert_eq!(seen("[]", Format::Json), []);
    assert_eq!(seen("{\"kind\":\"List\",\"items\":[]}", Format::Json), []);
    assert_eq!(seen("{\"items\":null,\"kind\":\"PackReceiptList\"}", Format::Json), []);
    assert_eq!(seen("# nothing\n---\n---\n# here\n...\n", Format::Yaml), []);
}

#[test]
fn json_values_come_alone_in_arrays_or_one_after_the_other() {
    assert_eq!(
        seen("{\"a\": [1]}{} [{\"b\":\"]\"},\n2 , \"x\",[]]\ntrue 3", Format::Json),
        [
            at(1, "{\"a\": [1]}"),
            at(1, "{}"),
            at(1, "{\"b\":\"]\"}"),
            at(2, "2"),
            at(2, "\"x\""),
            at(2, "[]"),
            at(3, "true"),
            at(3, "3"),
        ]
    );
}

#[test]
fn a_list_gives_its_items_wherever_its_kind_stands() {
    for body in [
        "{\"apiVersion\":\"v1\",\"items\":[{\"a\":1},{\"a\":2}],\"kind\":\"List\",\"metadata\":{}}",
        "{\"kind\":\"PackReceiptList\",\"metadata\":{},\"items\":[{\"a\":1},{\"a\":2}]}",
        "{\"\\u0069tems\":[{\"a\":1},{\"a\":2}]}",
    ] {
        assert_eq!(seen(body, Format::Json), [at(1, "{\"a\":1}"), at(1, "{\"a\":2}")], "{body}");
    }
}

#[test]
fn a_record_with_items_of_its_own_is_one_item() {
    for body in [
        "{\"kind\":\"Basket\",\"items\":[1,2]}",
        "{\"spec\":{},\"items\":[1]}",
        "{\"type\":\"ADDED\",\"object\":{},\"items\":[1]}",
        "{\"kind\":\"Basket\",\"status\":{\"items\":[1]}}",
    ] {
        assert_eq!(seen(body, Format::Json), [at(1, body)]);
    }
}

#[test]
fn yaml_documents_and_lists_give_json_items() {
    let body = "\
# written by hand
%YAML 1.2
---
kind: ClusterPack
metadata: {name: 'a', labels: {ontai.dev/x: \"yes\"}}
spec:
  version: v1.0.0-r1
  created: 2026-05-04T08:00:00Z
  registry: 10.20.0.1:5000/packs
  script: |
    ---
     indented
  quoted: \"010\"
  size: 12
  ratio: 0.5
  on: [true, null, ~, '']
---
apiVersion: v1
items:
- kind: X
  n: 1
- kind: Y
  base: &base {a: [1, 2]}
  copy: *base
kind: List
---
- {kind: Z}
";
    let body = body.replace("  on: [", "  \"on\": [");
    let items = items(&body, Format::Yaml);
    let values: Vec<Value> = items.iter().map(|item| serde_json::from_slice(&item.text).unwrap()).collect();
    assert_eq!(
        values,
        [
            json!({
                "kind": "ClusterPack",
                "metadata": {"name": "a", "labels": {"ontai.dev/x": "yes"}},
                "spec": {
                    "version": "v1.0.0-r1",
                    "created": "2026-05-04T08:00:00Z",
                    "registry": "10.20.0.1:5000/packs",
                    "script": "---\n indented\n",
                    "quoted": "010",
                    "size": 12,
                    "ratio": 0.5,
                    "on": [true, null, null, ""],
                },
            }),
            json!({"kind": "X", "n": 1}),
            json!({"kind": "Y", "base": {"a": [1, 2]}, "copy": {"a": [1, 2]}}),
            json!({"kind": "Z"}),
        ]
    );
    let lines: Vec<_> = items.iter().map(|item| item.line.unwrap()).collect();
    assert_eq!(lines, [4, 20, 22, 27]);
}

#[test]
fn a_bad_scalar_costs_only_its_own_item_of_a_yaml_list() {
    let body = "items:\n- {kind: A}\n- {kind: B, n: 010}\n- {kind: C}\n";
    let outcomes = examine_body(body.as_bytes(), YAML, None);
    let codes: Vec<_> = outcomes.iter().map(|outcome| outcome.as_ref().map_or_else(|e| e.code, |_| "")).collect();
    assert_eq!(codes, ["", "AMBIGUOUS_SCALAR", ""]);
}

#[test]
fn an_item_refused_for_its_yaml_keeps_its_source() {
    let body = "items:\n- kind: A\n- kind: B # the second\n  size: 010\n\n- kind: C\n";
    let raw = wait(async {
        let mut reader = ItemReader::new(Cursor::new(body), Format::Yaml, ReaderLimits::default());
        reader.next().await.unwrap().unwrap();
        reader.next().await.unwrap().unwrap_err().raw.unwrap()
    });
    assert_eq!(String::from_utf8(raw).unwrap(), "kind: B # the second\n  size: 010");
}

#[test]
fn the_record_limit_is_exact_and_little_is_kept_of_what_exceeds_it() {
    let limit = 5_000;
    let item = JsonLimits { max_bytes: limit, ..JsonLimits::default() };
    let limits = ReaderLimits { item, ..ReaderLimits::default() };
    let record = |bytes| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
    let (most, more) = (record(limit), record(limit + 1));
    for (body, format) in [
        (format!("{most}\n{more}\n{most}"), Format::Ndjson),
        (format!("[{most}, {more}, {most}]"), Format::Json),
        (format!("{most}{more}{most}"), Format::Json),
        (format!("{most}\n---\n{more}\n---\n{most}"), Format::Yaml),
    ] {
        let outcomes = wait(async {
            let mut reader = ItemReader::new(Cursor::new(body), format, limits);
            let mut outcomes = Vec::new();
            while let Some(found) = reader.next().await {
                outcomes.push(found.map(|item| item.text));
            }
            outcomes
        });
        let most = Ok(most.clone().into_bytes());
        assert_eq!((outcomes.len(), &outcomes[0], &outcomes[2]), (3, &most, &most), "{format:?}");
        let error = outcomes[1].as_ref().unwrap_err();
        assert_eq!(error.code.as_str(), "ITEM_TOO_LARGE");
        assert_eq!(error.raw.as_deref(), Some(&more.as_bytes()[..4_096]), "{format:?}");
    }
}

#[test]
fn a_yaml_body_is_bounded_as_a_whole() {
    let limits = ReaderLimits { yaml_bytes: 40, ..ReaderLimits::default() };
    let body = "kind: A\n---\nkind: B\n---\nkind: C\nspec: {}\n";
    let codes = wait(async {
        let mut reader = ItemReader::new(Cursor::new(body), Format::Yaml, limits);
        let mut codes = Vec::new();
        while let Some(found) = reader.next().await {
            codes.push(found.map_or_else(|error| error.code.as_str(), |_| ""));
        }
        codes
    });
    assert_eq!(codes, ["", "", "BODY_TOO_LARGE"]);
}

#[test]
fn watch_events_and_bare_objects_come_mixed() {
    let body =
        "{\"object\":{\"kind\":\"X\"},\"observedAt\":\"1970-01-01T00:00:01Z\",\"type\":\"DELETED\"}\n{\"kind\":\"X\"}";
    let opened: Vec<_> = examine_body(body.as_bytes(), NDJSON, None)
        .into_iter()
        .map(|outcome| outcome.map(|envelope| (envelope.event, envelope.observed_at)).unwrap())
        .collect();
    assert_eq!(opened, [(EventType::Deleted, Some(1_000_000)), (EventType::Bare, None)]);
}

#[test]
fn compressed_bodies_read_like_plain_ones() {
    let (first, last) = (good("first") + "\n", good("last") + "\n");
    let plain = examine_body((first.clone() + &last).as_bytes(), JSON, None);
    assert_eq!(plain.len(), 2);
    let members = [gzip(first.as_bytes()), gzip(last.as_bytes())].concat();
    assert_eq!(examine_body(&members, JSON, Some("gzip")), plain);
    let frames = [first, last].map(|text| zstd::encode_all(text.as_bytes(), 19).unwrap()).concat();
    assert_eq!(examine_body(&frames, NDJSON, Some("zstd")), plain);
}

/// A body whose connection breaks.
struct Breaks(Option<Vec<u8>>);

impl AsyncRead for Breaks {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let body = self.0.take().ok_or(io::ErrorKind::ConnectionReset)?;
        buffer.put_slice(&body);
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_connection_that_breaks_is_told_from_a_body_that_is_corrupt() {
    let body = good("first") + "\n{\"kind\":";
    for (encoding, body) in [(Encoding::Identity, body.clone().into_bytes()), (Encoding::Gzip, gzip(body.as_bytes()))] {
        let reader = decode(BufReader::new(Breaks(Some(body))), encoding, DecodeLimits::default());
        let outcomes = wait(examine(reader, Format::Ndjson));
        let refused = outcomes[1].as_ref().unwrap_err();
        assert!(outcomes[0].is_ok());
        assert_eq!((outcomes.len(), refused.code, refused.fatal), (2, "READ_FAILED", true));
    }
}

#[test]
fn a_reader_can_move_between_threads_while_it_waits() {
    fn assert_send<T: Send>(value: T) -> T {
        value
    }
    let body = decode(Cursor::new(b"{}".to_vec()), Encoding::Identity, DecodeLimits::default());
    let mut reader = ItemReader::new(body, Format::Json, ReaderLimits::default());
    assert!(wait(assert_send(reader.next())).is_some());
}

#[test]
fn the_guard_against_bombs_can_be_set() {
    let body = gzip((good("same") + "\n").repeat(1_000).as_bytes());
    let default = DecodeLimits::default();
    for (limits, passes) in [
        (default, true),
        (DecodeLimits { free_bytes: 1_000, max_ratio: 1_000, ..default }, true),
        (DecodeLimits { free_bytes: 1_000, max_ratio: 10, ..default }, false),
        (DecodeLimits { max_bytes: Some(300_000), ..default }, true),
        (DecodeLimits { max_bytes: Some(100_000), ..default }, false),
    ] {
        let reader = decode(Cursor::new(body.clone()), Encoding::Gzip, limits);
        let outcomes = wait(examine(reader, Format::Ndjson));
        assert_eq!(outcomes.iter().all(Result::is_ok), passes, "{limits:?}");
    }
}

#[test]
fn a_body_that_compresses_well_is_no_bomb_before_it_is_large() {
    let body = (good("same") + "\n").repeat(10_000);
    let outcomes = examine_body(&gzip(body.as_bytes()), NDJSON, Some("gzip"));
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 10_000);
}
