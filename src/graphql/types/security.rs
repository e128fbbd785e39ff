//! What records claim about their security. Claims, not verdicts: none of it was checked here.

use async_graphql::{Enum, SimpleObject};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::graphql::scalar::Json;
use crate::service::query::{Body, bounded, member_text};

/// The bytes of an Ed25519 signature.
const ED25519: usize = 64;

/// Where a record carries a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum SignaturePlace {
    /// In its `spec`, as the published contract has it.
    Spec,
    /// In its `status`.
    Status,
    /// In an annotation.
    Annotation,
    /// In an annotation of an older release.
    LegacyAnnotation,
}

/// Whether a text can be a signature at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum SignatureForm {
    /// It is base64, and as long as an Ed25519 signature.
    Plausible,
    /// It is base64 of another length: no Ed25519 signature.
    WrongLength,
    /// It is no base64.
    Malformed,
}

/// A signature in one of the places where a record may carry it.
#[derive(Debug, Clone, SimpleObject)]
pub struct SignatureCopy {
    /// The place.
    place: SignaturePlace,
    /// The path of the field, its parts joined by `/`.
    path: String,
    /// The signature, as the record has it.
    signature: String,
    /// Whether it can be a signature at all.
    form: SignatureForm,
}

/// What a record says of a signature: a claim. While no key was mounted, clusters called everything verified.
#[derive(Debug, Clone, SimpleObject)]
pub struct SignatureClaim {
    /// The signature, as the record has it, base64; the first of `copies`.
    pub signature: Option<String>,
    /// Whether it can be a signature at all.
    pub form: Option<SignatureForm>,
    /// The Secret that it was read from.
    pub signature_ref: Option<String>,
    /// Whether the record says that it held; null where it says nothing. False is a security incident.
    pub verified: Option<bool>,
    /// Why it did not hold, as the record says.
    pub failure_reason: Option<String>,
    /// Every place in which the record carries a signature.
    pub copies: Vec<SignatureCopy>,
}

impl SignatureClaim {
    /// The claim of a record that carries its signature in some of the places, the first that counts first.
    #[must_use]
    pub fn at(body: &Body, places: &[(SignaturePlace, &[&str])]) -> Self {
        let copy = |(place, path): &(SignaturePlace, &[&str])| {
            let signature = body.text(path).filter(|text| !text.is_empty())?;
            Some(SignatureCopy { place: *place, path: path.join("/"), form: form(&signature), signature })
        };
        let copies: Vec<SignatureCopy> = places.iter().filter_map(copy).collect();
        Self {
            signature: copies.first().map(|copy| copy.signature.clone()),
            form: copies.first().map(|copy| copy.form),
            signature_ref: None,
            verified: None,
            failure_reason: None,
            copies,
        }
    }

    /// The claim; `None` where the record claims nothing.
    #[must_use]
    pub fn some(self) -> Option<Self> {
        let texts = [&self.signature, &self.signature_ref, &self.failure_reason];
        (texts.iter().any(|text| text.is_some()) || self.verified.is_some()).then_some(self)
    }
}

fn form(signature: &str) -> SignatureForm {
    match STANDARD.decode(signature) {
        Ok(bytes) if bytes.len() == ED25519 => SignatureForm::Plausible,
        Ok(_) => SignatureForm::WrongLength,
        Err(_) => SignatureForm::Malformed,
    }
}

/// What a cluster says of a degraded security state. No contract fixes its form.
#[derive(Debug, Clone, SimpleObject)]
pub struct DegradedSecurityState {
    /// Whether it is degraded; null where the form does not tell.
    degraded: Option<bool>,
    /// Why.
    reason: Option<String>,
    /// What the record has.
    raw: Json,
}

/// `status.degradedSecurityState`.
#[must_use]
pub fn degraded_security_state(body: &Body) -> Option<DegradedSecurityState> {
    let raw = body.at(&["status", "degradedSecurityState"])?;
    let (degraded, reason) = match raw {
        Value::Bool(degraded) => (Some(*degraded), None),
        Value::String(reason) => (None, Some(bounded(reason))),
        Value::Object(object) => (
            object.get("degraded").and_then(Value::as_bool),
            member_text(object, "reason").or_else(|| member_text(object, "message")),
        ),
        _ => (None, None),
    };
    Some(DegradedSecurityState { degraded, reason, raw: Json(raw.clone()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_64_bytes_of_base64_can_be_a_signature() {
        assert_eq!(form(&STANDARD.encode([7; ED25519])), SignatureForm::Plausible);
        assert_eq!(form(&STANDARD.encode([7; 63])), SignatureForm::WrongLength);
        assert_eq!(form("not base64!"), SignatureForm::Malformed);
    }
}
