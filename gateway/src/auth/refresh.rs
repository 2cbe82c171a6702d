//! Refresh tokens: each names its session and its number in the session's chain, and proves that we made it.
//!
//! A token follows from the session, the number and our secret, so the successor of one can be given again without
//! being stored anywhere. A made-up token is told from an old one, so a stranger can't end anybody's session.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use roomlog_platform::config::{Jwt, Secret};
use sha2::{Digest as _, Sha256};

/// What the key is for: it keeps these tokens apart from everything else the secret signs.
const PURPOSE: &[u8] = b"roomlog refresh token 1";
/// Longer than any token of ours.
const TOKEN_BYTES_MAX: usize = 256;

/// Makes and reads refresh tokens.
pub(crate) struct RefreshKey([u8; 32]);

/// What a genuine token says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The session's id.
    pub(crate) session: String,
    /// The token's number in its chain.
    pub(crate) generation: u64,
}

// === impl RefreshKey ===

impl RefreshKey {
    /// `None` where no secret is configured: then this system makes no tokens.
    pub(crate) fn new(jwt: &Jwt) -> Option<Self> {
        let secret = jwt.secret.as_ref()?.reveal();
        Some(Self(mac(secret.as_bytes(), &[PURPOSE])))
    }

    /// The token with this number.
    pub(crate) fn token(&self, session: &str, generation: u64) -> Secret {
        let proof = hex(&self.proof(session, generation));
        Secret::new(format!("{session}.{generation}.{proof}"))
    }

    /// What a token says, if we made it.
    pub(crate) fn read(&self, token: &Secret) -> Option<Shown> {
        let token = token.reveal();
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let mut parts = token.split('.');
        let (session, generation, proof) = (parts.next()?, parts.next()?, parts.next()?);
        let generation: u64 = generation.parse().ok()?;
        let expected = self.token(session, generation);
        // Both are hashed before they are compared, so the time it takes tells nothing about where they differ.
        let is_ours = proof.len() == 64 && hash(&expected) == hash_of(token);
        (is_ours && parts.next().is_none()).then(|| Shown {
            session: session.to_owned(),
            generation,
        })
    }

    fn proof(&self, session: &str, generation: u64) -> [u8; 32] {
        mac(
            &self.0,
            &[session.as_bytes(), b".", &generation.to_be_bytes()],
        )
    }
}

/// What is stored of a token.
pub(crate) fn hash(token: &Secret) -> String {
    hash_of(token.reveal())
}

fn hash_of(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a text takes everything");
        text
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn key(byte: u8) -> RefreshKey {
        RefreshKey([byte; 32])
    }

    #[test]
    fn a_token_is_read_back_and_each_is_another() {
        let token = key(1).token("abc", 7);
        let shown = key(1).read(&token).unwrap();
        assert_eq!((shown.session.as_str(), shown.generation), ("abc", 7));
        assert_eq!(hash(&token), hash(&key(1).token("abc", 7)));
        assert_ne!(hash(&token), hash(&key(1).token("abc", 8)));
        assert!(!format!("{token:?}").contains("abc"));
    }

    #[test]
    fn what_we_did_not_make_is_no_token() {
        let good = key(1).token("abc", 7).reveal().to_owned();
        let proof = good.rsplit_once('.').unwrap().1;
        let bad = [
            String::new(),
            "..".into(),
            format!("abc.8.{proof}"),
            format!("abd.7.{proof}"),
            format!("abc.07.{proof}"),
            format!("abc.+7.{proof}"),
            format!("{good}.x"),
            good.to_uppercase(),
            good[..good.len() - 1].to_owned(),
            key(2).token("abc", 7).reveal().to_owned(),
            "x".repeat(10_000),
        ];
        for bad in bad {
            assert_eq!(key(1).read(&Secret::new(bad.clone())), None, "{bad}");
        }
    }
}
