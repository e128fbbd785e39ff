//! SHA-256 digests.
use serde::{Deserialize, Serialize};
/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);
impl Digest {
    /// Lowercase hex.
    #[must_use]
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }
}
use sha2::Digest as _;
impl Digest {
    /// SHA-256 of bytes.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }
    /// SHA-256 of canonical JSON.
    #[must_use]
    pub fn of_json(value: &serde_json::Value) -> Self {
        Self::of_bytes(&super::json::canonical(value))
    }
}
