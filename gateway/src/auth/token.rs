//! Makes access tokens, for guests and for the operator's tools.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use roomlog_core::ids::UserId;
use roomlog_platform::config::{Jwt, Span};
use thiserror::Error;

use super::claims::{Audience, Claims};

/// Whom a token is for.
#[derive(Clone, Debug)]
pub struct Holder<'a> {
    /// Their id.
    pub user: &'a UserId,
    /// Their global role: `user` or `admin`.
    pub role: &'a str,
    /// Their display name, if the token is to carry one.
    pub name: Option<&'a str>,
    /// The sign-in it comes from; none for tokens of the operator's tools, which nothing but their expiry ends.
    pub session: Option<String>,
}

/// Why no token can be made.
#[derive(Debug, Error)]
pub enum MintError {
    /// Only public keys are configured.
    #[error("tokens can only be made where ROOMLOG_JWT_SECRET is set")]
    NoSecret,
    /// The library could not sign.
    #[error("the token could not be signed: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

/// Makes an HS256 access token that is valid from now for `ttl`.
///
/// # Errors
/// Where no secret is configured.
pub fn mint(jwt: &Jwt, holder: Holder<'_>, ttl: Span) -> Result<String, MintError> {
    let secret = jwt.secret.as_ref().ok_or(MintError::NoSecret)?;
    let now_s = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let claims = Claims {
        iss: jwt.issuer.clone(),
        aud: Audience::One(jwt.audience.clone()),
        sub: holder.user.as_str().to_owned(),
        exp: now_s + ttl.as_millis().div_ceil(1_000),
        nbf: None,
        iat: Some(now_s),
        jti: None,
        role: Some(holder.role.to_owned()),
        name: holder.name.map(str::to_owned),
        session: holder.session,
    };
    let key = EncodingKey::from_secret(secret.reveal().as_bytes());
    Ok(encode(&Header::new(Algorithm::HS256), &claims, &key)?)
}
