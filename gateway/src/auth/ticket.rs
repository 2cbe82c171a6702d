//! One-time tickets for the WebSocket upgrade, where a browser can set no header.
//!
//! A ticket is a signed token of a type of its own, so that any gateway can redeem it and none takes it for an access
//! token, nor an access token for it. Its id is remembered until it expires.

use std::{collections::HashMap, sync::Mutex, sync::PoisonError, time::Duration};

use jsonwebtoken::{Algorithm, EncodingKey, Header, decode_header, encode};
use roomlog_platform::{config::Jwt, redis::Cache};
use serde::{Deserialize, Serialize};

use super::{AuthError, Identity, SessionRef, TOKEN_BYTES_MAX, keys::Key, signature_only};
use roomlog_core::ids::UserId;

/// How long a ticket may wait to be used.
pub(crate) const TICKET_TTL_S: u64 = 30;

/// The JOSE type that keeps tickets and access tokens apart.
const TICKET_TYPE: &str = "roomlog-ticket";

/// Used tickets remembered here. Each lives 30 s, so this takes thousands of sign-ins a second; beyond it a ticket is
/// refused.
const USED_MAX: usize = 200_000;

/// Makes and redeems tickets.
pub(crate) struct Tickets {
    encoding: EncodingKey,
    key: Key,
    issuer: String,
    /// Ids used on this gateway, and when each can be forgotten.
    used: Mutex<HashMap<String, u64>>,
}

#[derive(Debug, Deserialize, Serialize)]
struct TicketClaims {
    iss: String,
    sub: String,
    jti: String,
    exp: u64,
    /// When the token behind the ticket ends; so does the session.
    until: u64,
    admin: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<String>,
}

// === impl Tickets ===

impl Tickets {
    /// Signs with the shared secret. Where only public keys are configured a secret of this process does: its tickets
    /// are good on this gateway only.
    pub(crate) fn new(jwt: &Jwt) -> Self {
        let own = [
            uuid::Uuid::new_v4(),
            uuid::Uuid::new_v4(),
            uuid::Uuid::new_v4(),
        ];
        let own: Vec<u8> = own.iter().flat_map(|part| *part.as_bytes()).collect();
        let secret = jwt
            .secret
            .as_ref()
            .map_or(own, |secret| secret.reveal().as_bytes().to_vec());
        Self {
            encoding: EncodingKey::from_secret(&secret),
            key: Key::hs256(&secret),
            issuer: jwt.issuer.clone(),
            used: Mutex::default(),
        }
    }

    /// A ticket for someone who has shown an access token.
    pub(crate) fn issue(&self, identity: &Identity, now_s: u64) -> Result<String, AuthError> {
        let claims = TicketClaims {
            iss: self.issuer.clone(),
            sub: identity.user.as_str().to_owned(),
            jti: uuid::Uuid::new_v4().simple().to_string(),
            exp: (now_s + TICKET_TTL_S).min(identity.expires_at_s),
            until: identity.expires_at_s,
            admin: identity.is_admin,
            name: identity.name.clone(),
            session: identity.session.as_ref().map(SessionRef::to_string),
        };
        let header = Header {
            typ: Some(TICKET_TYPE.to_owned()),
            ..Header::new(Algorithm::HS256)
        };
        encode(&header, &claims, &self.encoding).map_err(|_| AuthError::Malformed)
    }

    /// Redeems a ticket: once on this gateway for certain, and once on all of them while the cache answers.
    pub(crate) async fn redeem(
        &self,
        ticket: &str,
        cache: &Cache,
        now_s: u64,
    ) -> Result<Identity, AuthError> {
        let claims = self.read(ticket, now_s)?;
        self.use_up(&claims, now_s)?;
        let ttl = Duration::from_secs(TICKET_TTL_S);
        match cache.claim_once("ticket", &claims.jti, ttl).await {
            Ok(true) => {}
            Ok(false) => return Err(AuthError::Used),
            Err(error) => {
                tracing::debug!(%error, "a ticket was only checked against this gateway's own");
            }
        }
        Ok(Identity {
            user: UserId::parse(&claims.sub).map_err(|_| AuthError::Claim("sub"))?,
            name: claims.name,
            is_admin: claims.admin,
            expires_at_s: claims.until,
            session: claims.session.as_deref().and_then(SessionRef::parse),
        })
    }

    fn read(&self, ticket: &str, now_s: u64) -> Result<TicketClaims, AuthError> {
        if ticket.len() > TOKEN_BYTES_MAX {
            return Err(AuthError::TooLong);
        }
        let header = decode_header(ticket).map_err(|_| AuthError::Malformed)?;
        if header.typ.as_deref() != Some(TICKET_TYPE) {
            return Err(AuthError::Claim("typ"));
        }
        let data = jsonwebtoken::decode::<TicketClaims>(
            ticket,
            &self.key.decoding,
            &signature_only(&self.key),
        )
        .map_err(|_| AuthError::Signature)?;
        if data.claims.iss != self.issuer {
            return Err(AuthError::Claim("iss"));
        }
        if data.claims.exp <= now_s {
            return Err(AuthError::Expired);
        }
        Ok(data.claims)
    }

    fn use_up(&self, claims: &TicketClaims, now_s: u64) -> Result<(), AuthError> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= USED_MAX {
            used.retain(|_, expires_at_s| *expires_at_s > now_s);
        }
        if used.len() >= USED_MAX || used.contains_key(&claims.jti) {
            return Err(AuthError::Used);
        }
        used.insert(claims.jti.clone(), claims.exp);
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn redeem_here(&self, ticket: &str, now_s: u64) -> Result<(), AuthError> {
        let claims = self.read(ticket, now_s)?;
        self.use_up(&claims, now_s)
    }
}
