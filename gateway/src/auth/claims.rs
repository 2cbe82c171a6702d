//! What a token says, in types that accept nothing else.

use roomlog_core::{
    account::{self, NAME_BYTES_MAX},
    ids::UserId,
};
use serde::{Deserialize, Serialize};

use super::{ADMIN, AuthError, CLOCK_LEEWAY_S, Identity, SessionRef};

/// The claims that matter. Times are whole seconds since the Unix epoch; anything else does not parse.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Claims {
    pub(super) iss: String,
    pub(super) aud: Audience,
    pub(super) sub: String,
    pub(super) exp: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) nbf: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) iat: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) jti: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// Which sign-in here it comes from. Other issuers' claims of that kind mean something else, hence the name.
    #[serde(
        default,
        rename = "roomlog_session",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) session: Option<String>,
}

/// One audience or several.
#[derive(Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Several(Vec<String>),
}

// === impl Audience ===

impl Audience {
    fn contains(&self, wanted: &str) -> bool {
        match self {
            Self::One(audience) => audience == wanted,
            Self::Several(audiences) => audiences.iter().any(|audience| audience == wanted),
        }
    }
}

// === impl Claims ===

impl Claims {
    /// Checks everything but the signature.
    pub(super) fn check(&self, issuer: &str, audience: &str, now_s: u64) -> Result<(), AuthError> {
        if self.iss != issuer {
            return Err(AuthError::Claim("iss"));
        }
        if !self.aud.contains(audience) {
            return Err(AuthError::Claim("aud"));
        }
        if self.exp <= now_s {
            return Err(AuthError::Expired);
        }
        let latest_s = now_s + CLOCK_LEEWAY_S;
        if self.nbf.is_some_and(|nbf| nbf > latest_s) {
            return Err(AuthError::Claim("nbf"));
        }
        if self.iat.is_some_and(|iat| iat > latest_s) {
            return Err(AuthError::Claim("iat"));
        }
        Ok(())
    }

    /// Who the claims speak of.
    pub(super) fn identity(&self) -> Result<Identity, AuthError> {
        Ok(Identity {
            user: UserId::parse(&self.sub).map_err(|_| AuthError::Claim("sub"))?,
            name: self.name.as_deref().and_then(shown_name),
            is_admin: self.role.as_deref() == Some(ADMIN),
            expires_at_s: self.exp,
            session: self.session_ref()?,
        })
    }
}

impl Claims {
    fn session_ref(&self) -> Result<Option<SessionRef>, AuthError> {
        self.session
            .as_deref()
            .map(|text| SessionRef::parse(text).ok_or(AuthError::Claim("roomlog_session")))
            .transpose()
    }
}

/// A name as it is shown, whatever the issuer lets people call themselves: cut at a character's end, on one line, and
/// without what can't be seen.
fn shown_name(name: &str) -> Option<String> {
    account::display_name(&name[..name.floor_char_boundary(NAME_BYTES_MAX)])
}
