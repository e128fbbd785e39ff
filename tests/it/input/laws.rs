//! What holds for every body, however it arrives.

use packtrail::service::reader::{Format, ItemReader, ReaderLimits};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Map, Value};
use tokio::io::BufReader;

use super::{Pieces, wait};

/// What a reader gave out: texts, and the codes of what it refused.
type Outcome = Result<Vec<u8>, (&'static str, bool)>;

fn read(body: &[u8], sizes: Vec<usize>, format: Format) -> Vec<Outcome> {
    let body = BufReader::new(Pieces::new(body.to_vec(), sizes));
    let mut reader = ItemReader::new(body, format, ReaderLimits::default());
    wait(async {
        let mut outcomes = Vec::new();
        while let Some(found) = reader.next().await {
            let index = match &found {
                Ok(item) => item.index,
                Err(error) => error.index,
            };
            assert_eq!(usize::try_from(index).unwrap(), outcomes.len());
            outcomes.push(match found {
                Ok(item) => Ok(item.text),
                Err(error) => Err((error.code.as_str(), error.fatal)),
            });
        }
        assert!(reader.next().await.is_none());
        outcomes
    })
}

fn values(outcomes: Vec<Outcome>) -> Vec<Value> {
    outcomes.into_iter().map(|outcome| serde_json::from_slice(&outcome.unwrap()).unwrap()).collect()
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (-1e6..1e6).prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "[\\[\\]{}\",:\\\\ \n\t0-9yesno~.#&*!|>'%@_-]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec(("[\\[\\]{}\",:\\\\ a-z0-9~-]{0,6}", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// An object that no reader takes for a list.
fn record() -> impl Strategy<Value = Value> {
    vec(("[a-z0-9~ :#-]{0,6}", json_value()), 0..4).prop_map(|members| {
        let mut object = Map::from_iter([("kind".to_owned(), Value::from("Pack"))]);
        object.extend(members.into_iter().filter(|(key, _)| key != "kind"));
        Value::Object(object)
    })
}

/// The same cases in every run, and no files left behind.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(0x007a_115e),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    vec(1_usize..40, 1..12)
}

/// Bytes that are likely to mean something to one of the formats.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let telling = prop_oneof![
        8 => prop::sample::select(&b"{}[]\",:\\ \n\r\t-.+eE0123trufalsn#&*!|>%@'?~<=ab"[..])
            .prop_map(|byte| vec![byte]),
        2 => prop::sample::select(vec![
            "---\n", "...\n", "\"items\":[", "items:\n- ", "\"kind\":\"List\"", "- - ", "\u{feff}",
            "&a ", "*a", "? ", "\\u0000", "{\"a\":", "%YAML 1.2\n", "|\n  ",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    vec(telling, 0..60).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn the_elements_of_an_array_do_not_depend_on_how_it_arrives(
        elements in vec(json_value(), 0..8),
        sizes in sizes(),
        pretty in any::<bool>(),
    ) {
        let array = Value::from(elements.clone());
        let text = if pretty { format!("{array:#}") } else { array.to_string() };
        prop_assert_eq!(values(read(text.as_bytes(), sizes.clone(), Format::Json)), elements.clone());
        let list = format!("{{\"apiVersion\":\"v1\",\"items\":{text},\"kind\":\"List\"}}");
        prop_assert_eq!(values(read(list.as_bytes(), sizes, Format::Json)), elements);
    }

    #[test]
    fn records_one_after_the_other_are_the_records(
        records in vec(record(), 0..8),
        sizes in sizes(),
    ) {
        let lines: Vec<_> = records.iter().map(Value::to_string).collect();
        let text = lines.join("\n");
        for format in [Format::Ndjson, Format::Json] {
            let found = read(text.as_bytes(), sizes.clone(), format);
            prop_assert_eq!(values(found), records.clone());
        }
    }

    #[test]
    fn yaml_that_quotes_what_wants_quotes_is_read_as_it_was_written(
        records in vec(record(), 1..4),
        sizes in sizes(),
    ) {
        let documents: Vec<_> =
            records.iter().map(|record| serde_saphyr::to_string(record).unwrap()).collect();
        let text = documents.join("---\n");
        let found = read(text.as_bytes(), sizes, Format::Yaml);
        prop_assert_eq!(values(found), records, "{}", text);
    }

    #[test]
    fn a_body_that_breaks_off_gives_what_came_before(
        elements in vec(record(), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let text = Value::from(elements).to_string();
        let whole = read(text.as_bytes(), vec![64], Format::Json);
        let mut part = read(&text.as_bytes()[..cut.index(text.len())], vec![64], Format::Json);
        if part.last().is_some_and(Result::is_err) {
            prop_assert_eq!(part.pop(), Some(Err(("TRUNCATED", true))));
        }
        prop_assert_eq!(&part[..], &whole[..part.len()]);
    }

    #[test]
    fn noise_gives_the_same_outcome_however_it_arrives(
        body in noise(),
        sizes in sizes(),
    ) {
        for format in [Format::Ndjson, Format::Json, Format::Yaml] {
            let whole = read(&body, vec![4_096], format);
            prop_assert_eq!(read(&body, sizes.clone(), format), whole);
        }
    }
}
