//! The published contracts of the four pack kinds, as JSON Schemas compiled into the binary.

use std::sync::LazyLock;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::paths::LocationSegment;
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use super::path::{JsonPath, PathSegment, bounded};

/// The most breaches that one object reports: enough to mend it, too few to flood a log.
pub const MAX_BREACHES: usize = 20;

/// The longest message of a breach, in characters.
const MESSAGE_CHARS: usize = 200;

/// A kind with a published contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContractKind {
    /// The result of one operation.
    PackOperationResult,
    /// The execution of a pack on a cluster.
    PackExecution,
    /// A compiled pack.
    ClusterPack,
    /// A cluster's acknowledgement of a pack.
    PackReceipt,
}

impl ContractKind {
    /// Every kind with a contract.
    pub const ALL: [Self; 4] = [Self::PackOperationResult, Self::PackExecution, Self::ClusterPack, Self::PackReceipt];

    /// The published schema, as JSON text.
    #[must_use]
    pub fn schema(self) -> &'static str {
        match self {
            Self::PackOperationResult => {
                include_str!("../../contracts/PackOperationResult.schema.json")
            }
            Self::PackExecution => {
                include_str!("../../contracts/InfrastructurePackExecution.schema.json")
            }
            Self::ClusterPack => {
                include_str!("../../contracts/InfrastructureClusterPack.schema.json")
            }
            Self::PackReceipt => include_str!("../../contracts/PackReceipt.schema.json"),
        }
    }

    fn validator(self) -> &'static Validator {
        static RESULT: LazyLock<Validator> = LazyLock::new(|| compile(ContractKind::PackOperationResult));
        static EXECUTION: LazyLock<Validator> = LazyLock::new(|| compile(ContractKind::PackExecution));
        static PACK: LazyLock<Validator> = LazyLock::new(|| compile(ContractKind::ClusterPack));
        static RECEIPT: LazyLock<Validator> = LazyLock::new(|| compile(ContractKind::PackReceipt));
        match self {
            Self::PackOperationResult => &RESULT,
            Self::PackExecution => &EXECUTION,
            Self::ClusterPack => &PACK,
            Self::PackReceipt => &RECEIPT,
        }
    }
}

/// One way in which an object breaks its contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The value at fault; for a missing member, the object that misses it.
    pub path: JsonPath,
    /// One short sentence, which quotes no value of the object.
    pub message: String,
}

/// Holds an object against its contract.
///
/// Returns at most [`MAX_BREACHES`]; none means that the object keeps it. Records that break it are
/// kept all the same: real clusters write dialects that the contract does not know.
#[must_use]
pub fn validate(kind: ContractKind, object: &Value) -> Vec<Breach> {
    kind.validator().iter_errors(object).flat_map(|error| breaches(&error)).take(MAX_BREACHES).collect()
}

/// Compiles a schema of the binary itself; a broken one fails the first test that runs.
fn compile(kind: ContractKind) -> Validator {
    let schema: Value = serde_json::from_str(kind.schema()).expect("a contract is JSON");
    jsonschema::options().should_validate_formats(true).build(&schema).expect("a contract is a schema")
}

/// The breaches of one error: one for each unknown member, else one.
fn breaches(error: &ValidationError<'_>) -> Vec<Breach> {
    let path = path_of(error);
    if let ValidationErrorKind::AdditionalProperties { unexpected } = error.kind() {
        return unexpected.iter().take(MAX_BREACHES).map(|name| unknown_member(&path, name)).collect();
    }
    let message = bounded(&describe(error), MESSAGE_CHARS);
    vec![Breach { path, message }]
}

/// The breach of a member that the contract does not know.
fn unknown_member(parent: &JsonPath, name: &str) -> Breach {
    let mut path = parent.clone();
    path.0.push(PathSegment::Key(name.to_owned()));
    Breach { path, message: "the contract knows no such member".to_owned() }
}

fn path_of(error: &ValidationError<'_>) -> JsonPath {
    let segment = |segment| match segment {
        LocationSegment::Property(key) => PathSegment::Key(key.into_owned()),
        LocationSegment::Index(index) => PathSegment::Index(index),
    };
    JsonPath(error.instance_path().segments().map(segment).collect())
}

/// What the contract asks for, in words of the contract and never of the object.
fn describe(error: &ValidationError<'_>) -> String {
    match error.kind() {
        ValidationErrorKind::Required { property } => format!("{property} is missing"),
        ValidationErrorKind::Enum { options } => format!("the value is none of {options}"),
        ValidationErrorKind::Format { format } => format!("the value is no {format}"),
        ValidationErrorKind::Type { kind: TypeKind::Single(kind) } => {
            format!("the value is not of type {kind}")
        }
        _ => error.masked_with("the value").to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn result() -> Value {
        json!({"spec": {"revision": 1, "capability": "pack-deploy", "status": "Succeeded"}})
    }

    fn breach(kind: ContractKind, object: &Value) -> (String, String) {
        let found = validate(kind, object);
        assert_eq!(found.len(), 1, "{found:?}");
        (found[0].path.to_string(), found[0].message.clone())
    }

    #[test]
    fn every_contract_compiles_and_asks_for_a_spec() {
        for kind in ContractKind::ALL {
            let (path, message) = breach(kind, &json!({}));
            assert_eq!((path.as_str(), message.as_str()), ("$", "\"spec\" is missing"));
        }
    }

    #[test]
    fn an_object_that_keeps_its_contract_has_no_breach() {
        assert_eq!(validate(ContractKind::PackOperationResult, &result()), []);
    }

    #[test]
    fn each_kind_of_breach_is_one_clear_sentence() {
        for (pointer, member, value, path, message) in [
            ("/spec", "status", json!("Odd"), "$.spec.status", r#"the value is none of ["Succeeded","Failed"]"#),
            ("/spec", "revision", json!("1"), "$.spec.revision", "the value is not of type integer"),
            ("/spec", "rbacDigest", json!("x"), "$.spec.rbacDigest", "the contract knows no such member"),
            ("/spec", "startedAt", json!("noon"), "$.spec.startedAt", "the value is no date-time"),
            ("/spec", "steps", json!([{"status": "Failed"}]), "$.spec.steps[0]", "\"name\" is missing"),
        ] {
            let mut object = result();
            object.pointer_mut(pointer).unwrap()[member] = value;
            let found = breach(ContractKind::PackOperationResult, &object);
            assert_eq!(found, (path.to_owned(), message.to_owned()));
        }
    }

    #[test]
    fn breaches_are_bounded_and_quote_nothing() {
        let mut object = result();
        let secret = "s3cret".repeat(1_000);
        object["spec"]["artifacts"] = json!(vec![&secret; 100]);
        object["spec"]["status"] = json!(secret);
        object["spec"]["failureReason"] = json!({"category": secret, "why": secret});
        let found = validate(ContractKind::PackOperationResult, &object);
        assert_eq!(found.len(), MAX_BREACHES);
        assert!(found.iter().all(|breach| breach.message.len() < 700));
        assert!(found.iter().all(|breach| !breach.message.contains("s3cret")));
    }
}
