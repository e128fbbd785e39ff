//! From the text of one item to a record, a report of a run, a quarantine entry or a rejection.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::auth::IngestBinding;
use crate::domain::contract::{self, ContractKind};
use crate::domain::envelope::{self, Envelope, EnvelopeError, EventType};
use crate::domain::json::{self, JsonErrorKind, JsonLimits};
use crate::domain::kind;
use crate::domain::record::Record;
use crate::domain::run::import::{ImportItem, ImportWarning};
use crate::service::reader::ItemError;

use super::item::{Item, Mode, Prepared, Refusal, Sighting, Warning};

/// The code of what its sender may not send.
pub const FORBIDDEN: &str = "FORBIDDEN";

/// The rules under which the items of one request are read.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The source that they come from.
    pub source: String,
    /// How strictly contracts are held.
    pub mode: Mode,
    /// What the sender may send.
    pub binding: Arc<IngestBinding>,
    /// The time of the complete listing that the items are, microseconds.
    pub listed_at: Option<i64>,
    /// The bounds of one item.
    pub limits: JsonLimits,
}

/// Reads and checks one item.
#[must_use]
pub fn prepare(terms: &Terms, index: u64, line: Option<u64>, text: &[u8]) -> Prepared {
    match json::parse(text, &terms.limits) {
        Ok(value) => open(terms, index, line, text, value),
        Err(error) => {
            let refusal = Refusal {
                code: error.kind.code().to_owned(),
                path: error.path.to_string(),
                // The reader counts the lines of the request, the parser those of the item.
                line: line.map(|line| line + u64::try_from(error.line.saturating_sub(1)).unwrap_or(0)),
                message: error.message,
            };
            match error.kind {
                JsonErrorKind::InvalidUtf8
                | JsonErrorKind::Syntax
                | JsonErrorKind::Truncated
                | JsonErrorKind::TooLarge => refused(index, Item::Reject(refusal)),
                _ => quarantined(index, refusal, text),
            }
        }
    }
}

/// An item that the reader could not get hold of.
#[must_use]
pub fn unreadable(error: ItemError) -> Prepared {
    let refusal = Refusal {
        code: error.code.as_str().to_owned(),
        path: error.path.to_string(),
        line: error.line,
        message: error.message,
    };
    refused(error.index, Item::Reject(refusal))
}

fn refused(index: u64, item: Item) -> Prepared {
    Prepared { index, item, warnings: Vec::new() }
}

fn quarantined(index: u64, refusal: Refusal, text: &[u8]) -> Prepared {
    refused(index, Item::Quarantine { refusal, bytes: text.to_vec(), strict: false })
}

fn open(terms: &Terms, index: u64, line: Option<u64>, text: &[u8], value: Value) -> Prepared {
    let envelope = match envelope::open(value) {
        Ok(envelope) => envelope,
        Err(error) => {
            let refusal = Refusal {
                code: EnvelopeError::CODE.to_owned(),
                path: error.path.to_string(),
                line,
                message: error.message.to_owned(),
            };
            return quarantined(index, refusal, text);
        }
    };
    match envelope.event {
        EventType::Bookmark => refused(index, Item::Bookmark),
        EventType::Error => Prepared {
            index,
            item: Item::Bookmark,
            warnings: vec![Warning {
                code: "WATCH_ERROR".to_owned(),
                path: "$".to_owned(),
                message: "the watch failed: what happened until the next listing may be missing".to_owned(),
            }],
        },
        EventType::Bare if let Some(kind) = reported_kind(&envelope.object) => {
            report(terms, index, line, text, kind, &envelope.object)
        }
        _ => read(terms, index, line, text, envelope),
    }
}

/// The kind of a report of a run that happened elsewhere. What has an `apiVersion` is a record.
fn reported_kind(object: &Map<String, Value>) -> Option<&'static str> {
    let kind = object.get("kind").filter(|_| !object.contains_key("apiVersion"))?.as_str()?;
    ImportItem::KINDS.into_iter().find(|known| *known == kind)
}

fn report(
    terms: &Terms,
    index: u64,
    line: Option<u64>,
    text: &[u8],
    kind: &str,
    object: &Map<String, Value>,
) -> Prepared {
    let refusal = |code: &str, path: &str, message: String| Refusal {
        code: code.to_owned(),
        path: path.to_owned(),
        line,
        message,
    };
    if !terms.binding.allows(&terms.source, "", kind) {
        let message = "this token may not send reports of this source and kind".to_owned();
        return refused(index, Item::Reject(refusal(FORBIDDEN, "$", message)));
    }
    let item = match ImportItem::read(object) {
        Ok(Some(item)) => item,
        Ok(None) => return quarantined(index, refusal("INVALID_RECORD", "$.kind", "it is no report".to_owned()), text),
        Err(error) => {
            return quarantined(index, refusal("INVALID_RECORD", &error.path.to_string(), error.message), text);
        }
    };
    let warnings = item.warnings();
    if terms.mode == Mode::Strict
        && let Some(first) = warnings.first()
    {
        let refusal = refusal("CONTRACT_BREACH", &first.path.to_string(), first.message.clone());
        return refused(index, Item::Quarantine { refusal, bytes: text.to_vec(), strict: true });
    }
    let warning = |breach: ImportWarning| Warning {
        code: "CONTRACT_BREACH".to_owned(),
        path: breach.path.to_string(),
        message: breach.message,
    };
    Prepared { index, item: Item::Imported(Box::new(item)), warnings: warnings.into_iter().map(warning).collect() }
}

fn read(terms: &Terms, index: u64, line: Option<u64>, text: &[u8], envelope: Envelope) -> Prepared {
    let root = if envelope.event == EventType::Bare { "$" } else { "$.object" };
    let refusal = |code: &str, path: &str, message: String| Refusal {
        code: code.to_owned(),
        path: path.replacen('$', root, 1),
        line,
        message,
    };
    let record = match Record::read(&envelope.object) {
        Ok(record) => record,
        Err(error) => return quarantined(index, refusal("INVALID_RECORD", error.path, error.message), text),
    };
    let key = &record.key;
    if !terms.binding.allows(&terms.source, &key.namespace, &key.kind) {
        let message = "this token may not send records of this source, namespace and kind".to_owned();
        return refused(index, Item::Reject(refusal(FORBIDDEN, "$", message)));
    }
    let kind = contract_of(&key.kind);
    let object = Value::Object(envelope.object);
    let breaches = kind.map(|kind| contract::validate(kind, &object)).unwrap_or_default();
    if terms.mode == Mode::Strict
        && let Some(first) = breaches.first()
    {
        let refusal = refusal("CONTRACT_BREACH", &first.path.to_string(), first.message.clone());
        return refused(index, Item::Quarantine { refusal, bytes: text.to_vec(), strict: true });
    }
    let warnings = breaches
        .into_iter()
        .map(|breach| Warning {
            code: "CONTRACT_BREACH".to_owned(),
            path: breach.path.to_string(),
            message: breach.message,
        })
        .collect();
    let sighting = Sighting {
        record,
        deleted: envelope.event == EventType::Deleted,
        observed_at: envelope.observed_at,
        listed_at: terms.listed_at,
        object: Arc::new(object),
    };
    Prepared { index, item: Item::Sighting(Box::new(sighting)), warnings }
}

fn contract_of(kind: &str) -> Option<ContractKind> {
    match kind {
        kind::RESULT => Some(ContractKind::PackOperationResult),
        kind::EXECUTION => Some(ContractKind::PackExecution),
        kind::PACK => Some(ContractKind::ClusterPack),
        kind::RECEIPT => Some(ContractKind::PackReceipt),
        _ => None,
    }
}
