//! Static tokens and their hashes.
//!
//! A token is stored as its plain SHA-256. That is safe for a token of high entropy only: nobody can
//! try 2^256 of them, so the salt and the slowness that passwords need would add nothing but time to
//! every request. Hence tokens are made here, at random, and short ones are refused.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

/// Fewer characters than this are taken for a password. A generated token has [`TOKEN_LEN`].
pub const MIN_TOKEN_LEN: usize = 32;

/// Characters of a generated token: a prefix that secret scanners can look for, and 256 bits in hex.
pub const TOKEN_LEN: usize = PREFIX.len() + 64;

const PREFIX: &str = "packtrail_";

/// SHA-256 of a token.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

/// Why a hash or a token is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not 64 hex digits.
    #[error("a token's hash is 64 hex digits, as `packtrail token` prints it")]
    BadHash,
    /// Too short to be safe under a fast hash.
    #[error("a token needs at least {MIN_TOKEN_LEN} characters")]
    TooShort,
    /// The operating system's random number generator failed.
    #[error("no random numbers available")]
    NoRandomness,
}

impl TokenHash {
    /// The hash of a presented token.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// Reads 64 hex digits.
    ///
    /// # Errors
    /// [`TokenError::BadHash`] for anything else.
    pub fn from_hex(text: &str) -> Result<Self, TokenError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| TokenError::BadHash)?;
        Ok(Self(bytes))
    }

    /// The 64 hex digits that go into the configuration.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Compares in a time that does not depend on where the two differ.
    #[must_use]
    pub fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash([redacted])")
    }
}

/// The hash to configure for a token that somebody else made.
///
/// # Errors
/// [`TokenError::TooShort`] under [`MIN_TOKEN_LEN`] characters.
pub fn hash_token(token: &str) -> Result<TokenHash, TokenError> {
    if token.len() < MIN_TOKEN_LEN {
        return Err(TokenError::TooShort);
    }
    Ok(TokenHash::of(token))
}

/// A new token of 256 random bits.
///
/// # Errors
/// [`TokenError::NoRandomness`].
pub fn generate_token() -> Result<String, TokenError> {
    let mut secret = [0; 32];
    rustls::crypto::aws_lc_rs::default_provider()
        .secure_random
        .fill(&mut secret)
        .map_err(|_| TokenError::NoRandomness)?;
    Ok(format!("{PREFIX}{}", hex::encode(secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_survives_hex_and_matches_only_its_token() {
        let hash = hash_token(&"a".repeat(32)).unwrap();
        let read = TokenHash::from_hex(&hash.to_hex()).unwrap();
        assert!(bool::from(read.ct_eq(&TokenHash::of(&"a".repeat(32)))));
        assert!(!bool::from(read.ct_eq(&TokenHash::of(&"a".repeat(33)))));
        assert_eq!(TokenHash::of("abc").to_hex().get(..8), Some("ba7816bf"));
    }

    #[test]
    fn texts_that_are_not_64_hex_digits_are_no_hash() {
        for text in ["", "ab", &"g".repeat(64), &"a".repeat(63), &"a".repeat(66)] {
            assert_eq!(TokenHash::from_hex(text), Err(TokenError::BadHash), "{text}");
        }
    }

    #[test]
    fn short_tokens_are_refused() {
        assert_eq!(hash_token(&"a".repeat(31)), Err(TokenError::TooShort));
    }

    #[test]
    fn generated_tokens_are_long_and_differ() {
        let (a, b) = (generate_token().unwrap(), generate_token().unwrap());
        assert_eq!(a.len(), TOKEN_LEN);
        assert_ne!(a, b);
        assert!(hash_token(&a).is_ok());
    }

    #[test]
    fn debug_shows_no_hash() {
        let hash = TokenHash::of("abc");
        assert!(!format!("{hash:?}").contains("ba78"));
    }
}
