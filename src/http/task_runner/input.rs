//! What clients send: read strictly, as the contract has it. Members that it does not name are passed
//! over, since it does not forbid them.

use axum::http::StatusCode;
use serde_json::{Map, Value};

use super::failure::Failure;
use crate::domain::digest::Digest;
use crate::domain::json::{JsonLimits, parse};
use crate::domain::run::Decision;
use crate::domain::taskpack::PlanError;
use crate::http::error::RestError;

/// `SimulationRequest`.
#[derive(Debug)]
pub struct Simulate {
    pub manifest: String,
    pub inputs: Map<String, Value>,
}

/// `CreateRunRequest`.
#[derive(Debug)]
pub struct Create {
    pub run_id: Option<String>,
    pub manifest: String,
    pub inputs: Map<String, Value>,
    pub tenant: Option<String>,
}

/// `ApprovalDecisionRequest`.
#[derive(Debug)]
pub struct Decided {
    pub decision: Decision,
    pub plan_hash: String,
    pub actor: Option<String>,
    pub summary: Option<String>,
}

/// An object of which members are taken, and what is wrong with them.
struct Members {
    object: Map<String, Value>,
    errors: Vec<PlanError>,
}

impl Members {
    fn read(body: &[u8], limits: &JsonLimits) -> Result<Self, PlanError> {
        match parse(body, limits) {
            Ok(Value::Object(object)) => Ok(Self { object, errors: Vec::new() }),
            Ok(_) => Err(error("body", "is no JSON object")),
            Err(cause) => Err(error("body", &cause.to_string())),
        }
    }

    fn optional_text(&mut self, name: &str) -> Option<String> {
        if let Value::String(text) = self.object.shift_remove(name)? {
            return Some(text);
        }
        self.errors.push(error(name, "is no string"));
        None
    }

    fn text(&mut self, name: &str) -> String {
        if !self.object.contains_key(name) {
            self.errors.push(error(name, "is required"));
        }
        self.optional_text(name).unwrap_or_default()
    }

    fn inputs(&mut self) -> Map<String, Value> {
        match self.object.shift_remove("inputs") {
            None => Map::new(),
            Some(Value::Object(inputs)) => inputs,
            Some(_) => {
                self.errors.push(error("inputs", "is no object"));
                Map::new()
            }
        }
    }

    fn checked<T>(self, value: T) -> Result<T, Vec<PlanError>> {
        if self.errors.is_empty() { Ok(value) } else { Err(self.errors) }
    }
}

fn error(path: &str, message: &str) -> PlanError {
    PlanError { path: path.to_owned(), message: message.to_owned() }
}

impl Simulate {
    /// Reads a body.
    pub fn read(body: &[u8], limits: &JsonLimits) -> Result<Self, Failure> {
        let mut members = Members::read(body, limits)?;
        let asked = Self { manifest: members.text("manifest"), inputs: members.inputs() };
        Ok(members.checked(asked)?)
    }
}

impl Create {
    /// Reads a body.
    pub fn read(body: &[u8], limits: &JsonLimits) -> Result<Self, Failure> {
        let mut members = Members::read(body, limits)?;
        let asked = Self {
            run_id: members.optional_text("runId"),
            manifest: members.text("manifest"),
            inputs: members.inputs(),
            tenant: members.optional_text("tenantId"),
        };
        Ok(members.checked(asked)?)
    }
}

impl Decided {
    /// Reads a body.
    pub fn read(body: &[u8], limits: &JsonLimits) -> Result<Self, Failure> {
        let mut members = Members::read(body, limits).map_err(|wrong| plain(&wrong))?;
        let (decision, plan_hash) = (members.text("decision"), members.text("planHash"));
        let (actor, summary) = (members.optional_text("actorId"), members.optional_text("summary"));
        if let [wrong, ..] = &members.errors[..] {
            return Err(plain(wrong).into());
        }
        let bad = |code, message: &str| RestError::new(StatusCode::BAD_REQUEST, code, message);
        let known = [Decision::Approved, Decision::Rejected, Decision::Expired];
        let decision = known.into_iter().find(|known| known.word() == decision);
        let decision = decision.ok_or_else(|| bad("INVALID_DECISION", "decision is approved, rejected or expired."))?;
        if plan_hash.parse::<Digest>().is_err() {
            let message = "planHash is `sha256:` and 64 hex digits in lower case.";
            return Err(bad("INVALID_PLAN_HASH", message).into());
        }
        Ok(Self { decision, plan_hash, actor, summary })
    }
}

fn plain(wrong: &PlanError) -> RestError {
    RestError::bad_input(format!("{} {}.", wrong.path, wrong.message))
}
