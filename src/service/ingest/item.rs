//! What goes into ingest and what comes out, item by item.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::record::Record;
use crate::domain::run::import::ImportItem;

/// How strictly items are held to their contracts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A breach of the contract is kept as a warning.
    #[default]
    Lenient,
    /// A breach of the contract sends the item to quarantine.
    Strict,
}

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// The first that was seen of this object.
    Created,
    /// It changed what is known of an object.
    Updated,
    /// It says nothing new.
    Duplicate,
    /// It closed an object.
    Closed,
    /// It contradicts what was sealed; both are kept.
    Conflict,
    /// It cannot be stored as a record, and is kept raw.
    Quarantined,
    /// It was not kept.
    Rejected,
}

impl Outcome {
    /// Its name, as in answers and in the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Updated => "UPDATED",
            Self::Duplicate => "DUPLICATE",
            Self::Closed => "CLOSED",
            Self::Conflict => "CONFLICT",
            Self::Quarantined => "QUARANTINED",
            Self::Rejected => "REJECTED",
        }
    }

    /// Whether the item did not become part of the records.
    #[must_use]
    pub fn is_refused(self) -> bool {
        matches!(self, Self::Quarantined | Self::Rejected)
    }
}

/// Something about an item that its sender should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// A stable code.
    pub code: String,
    /// Where in the item, as a JSON path.
    pub path: String,
    /// What.
    pub message: String,
}

/// Why an item was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// A stable code.
    pub code: String,
    /// Where in the item, as a JSON path.
    pub path: String,
    /// The line of the request, from 1, where it has lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Why.
    pub message: String,
}

/// Names one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordName {
    /// The canonical kind.
    pub kind: String,
    /// The cluster of a receipt.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub cluster: String,
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The uid.
    pub uid: Option<String>,
}

/// What became of one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemResult {
    /// Its place in the request, from 0.
    pub index: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// The object that it is of.
    pub record: Option<RecordName>,
    /// The commit that holds it; `None` where it changed nothing.
    pub seq: Option<i64>,
    /// What its sender should know.
    pub warnings: Vec<Warning>,
    /// Why it was refused.
    pub error: Option<Refusal>,
}

/// An item that was read and checked, ready to be written.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Its place in the request, from 0.
    pub index: u64,
    /// What it is.
    pub item: Item,
    /// What its sender should know.
    pub warnings: Vec<Warning>,
}

impl Prepared {
    /// The result of the item where it says nothing new.
    #[must_use]
    pub fn unchanged(&self) -> ItemResult {
        ItemResult {
            index: self.index,
            outcome: Outcome::Duplicate,
            record: None,
            seq: None,
            warnings: self.warnings.clone(),
            error: None,
        }
    }
}

/// What a prepared item is.
#[derive(Debug, Clone)]
pub enum Item {
    /// A record that was seen.
    Sighting(Box<Sighting>),
    /// A report of a run that happened elsewhere.
    Imported(Box<ImportItem>),
    /// A mark of the watch stream: nothing to keep.
    Bookmark,
    /// Not a record; to be kept raw.
    Quarantine {
        /// Why.
        refusal: Refusal,
        /// The item as it came.
        bytes: Vec<u8>,
        /// Whether strict mode refused it.
        strict: bool,
    },
    /// Neither a record nor worth keeping.
    Reject(Refusal),
}

/// A record that was seen.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// The record.
    pub record: Record,
    /// Seen by its deletion.
    pub deleted: bool,
    /// When the collector saw it, microseconds.
    pub observed_at: Option<i64>,
    /// The time of the complete listing that it came in, microseconds.
    pub listed_at: Option<i64>,
    /// The raw object. Its text is written only of what is kept.
    pub object: Arc<Value>,
}
