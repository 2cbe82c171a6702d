//! Who is asking: checks tokens, and makes them where this system has the secret.
//!
//! The algorithm belongs to the key, never to the token. Everything a token says is read by types that take nothing
//! but what the contract allows: an expiry that is a text, a fraction or negative is no expiry.

mod claims;
mod jwks;
mod keys;
mod password;
pub(crate) mod refresh;
mod session;
mod ticket;
pub(crate) mod token;

#[cfg(test)]
mod tests;

use jsonwebtoken::{Validation, decode, decode_header};
use roomlog_core::{
    code::{Code, Refusal},
    ids::UserId,
};
use roomlog_platform::config::{ConfigError, Jwt};
use thiserror::Error;

use self::{claims::Claims, jwks::KeySource, keys::Key};

pub(crate) use self::{
    password::{Checked, Password, Passwords},
    session::{Ended, Ending, SessionRef},
    ticket::{TICKET_TTL_S, Tickets},
};

/// The largest token that is looked at at all.
pub(crate) const TOKEN_BYTES_MAX: usize = 8 << 10;

/// How far an issuer's clock may be ahead of ours for `nbf` and `iat`. There is none for `exp`.
const CLOCK_LEEWAY_S: u64 = 60;

/// The global role that may do everything.
const ADMIN: &str = "admin";

/// Somebody whose token was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Their id.
    pub(crate) user: UserId,
    /// The display name the token states.
    pub(crate) name: Option<String>,
    /// Whether the token gives the global role `admin`.
    pub(crate) is_admin: bool,
    /// When the token ends, in seconds since the Unix epoch.
    pub(crate) expires_at_s: u64,
    /// The sign-in it comes from, where that was here.
    pub(crate) session: Option<SessionRef>,
}

/// Why a token is not accepted. The reason is for the log; a client only learns whether its token is too old.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum AuthError {
    /// Beyond [`TOKEN_BYTES_MAX`].
    #[error("the token is too long")]
    TooLong,
    /// Not a token at all, or claims that are not what they must be.
    #[error("the token is malformed")]
    Malformed,
    /// No key of ours has this algorithm and key id.
    #[error("the token names no key of ours")]
    UnknownKey,
    /// The signature is not the key's.
    #[error("the signature is wrong")]
    Signature,
    /// A claim has another value than it must have.
    #[error("the claim {0} is wrong")]
    Claim(&'static str),
    /// Its time is over.
    #[error("the token is expired")]
    Expired,
    /// A one-time ticket came again.
    #[error("the ticket was used before")]
    Used,
    /// The store did not say what a ticket is good for.
    #[error("the store did not answer")]
    Unavailable,
    /// Its user signed out.
    #[error("the sign-in it comes from is over")]
    SignedOut,
}

/// Checks access tokens.
#[derive(Debug)]
pub(crate) struct Verifier {
    keys: KeySource,
    issuer: String,
    audience: String,
}

// === impl AuthError ===

impl AuthError {
    /// What the client is told.
    pub(crate) fn refusal(self) -> Refusal {
        match self {
            Self::Expired => Refusal::new(Code::TokenExpired, "the token's time is over"),
            Self::Unavailable => {
                Refusal::retry_after(Code::StoreUnavailable, "the store did not answer", 1_000)
            }
            _ => Refusal::new(Code::Unauthenticated, "no valid credential"),
        }
    }
}

// === impl Verifier ===

impl Verifier {
    /// Checks with the keys the configuration names.
    pub(crate) fn new(jwt: &Jwt) -> Result<Self, ConfigError> {
        Ok(Self {
            keys: KeySource::new(jwt)?,
            issuer: jwt.issuer.clone(),
            audience: jwt.audience.clone(),
        })
    }

    /// Checks an access token at this time.
    pub(crate) async fn verify(&self, token: &str, now_s: u64) -> Result<Identity, AuthError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(AuthError::TooLong);
        }
        let header = decode_header(token).map_err(|_| AuthError::Malformed)?;
        if !header.typ.as_deref().is_some_and(is_access_type) {
            return Err(AuthError::Claim("typ"));
        }
        let keys = self
            .keys
            .matching(header.kid.as_deref(), header.alg)
            .await
            .ok_or(AuthError::UnknownKey)?;
        let claims = signed_claims(token, &keys)?;
        claims.check(&self.issuer, &self.audience, now_s)?;
        claims.identity()
    }

    /// The token in the value of an `Authorization` header.
    pub(crate) fn bearer(value: &str) -> Result<&str, AuthError> {
        let (scheme, token) = value.split_once(' ').ok_or(AuthError::Malformed)?;
        if scheme.eq_ignore_ascii_case("bearer") {
            Ok(token.trim())
        } else {
            Err(AuthError::Malformed)
        }
    }
}

fn is_access_type(typ: &str) -> bool {
    ["jwt", "at+jwt", "application/at+jwt"]
        .iter()
        .any(|known| typ.eq_ignore_ascii_case(known))
}

/// The claims, if one of the keys signed them with its own algorithm.
fn signed_claims(token: &str, keys: &[Key]) -> Result<Claims, AuthError> {
    for key in keys {
        match decode::<Claims>(token, &key.decoding, &signature_only(key)) {
            Ok(data) => return Ok(data.claims),
            Err(error) => match error.kind() {
                jsonwebtoken::errors::ErrorKind::InvalidSignature => {}
                _ => return Err(AuthError::Malformed),
            },
        }
    }
    Err(AuthError::Signature)
}

/// The library checks the signature; the claims are checked by [`Claims::check`], in one place.
fn signature_only(key: &Key) -> Validation {
    let mut validation = Validation::new(key.algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation
}
