//! One-time tickets for the WebSocket upgrade, where a browser can set no header. Any gateway redeems the ticket of any
//! other.
//!
//! Where the gateways share a secret a ticket is a signed token of a type of its own, so that none takes it for an
//! access token, nor an access token for it; its id is remembered until it expires. Where only others sign, a ticket is
//! a random text, and the store keeps under its hash what it is good for.

use std::{collections::HashMap, sync::Mutex, sync::PoisonError, time::Duration};

use jsonwebtoken::{Algorithm, EncodingKey, Header, decode_header, encode};
use roomlog_core::{code::Refusal, ids::UserId};
use roomlog_platform::{
    config::{Jwt, Secret},
    dynamo::{Store, StoreError},
};
use serde::{Deserialize, Serialize};

use super::{AuthError, Identity, SessionRef, TOKEN_BYTES_MAX, keys::Key, refresh, signature_only};
use crate::hub::Source;

/// How long a ticket may wait to be used.
pub(crate) const TICKET_TTL_S: u64 = 30;

/// The JOSE type that keeps tickets and access tokens apart.
const TICKET_TYPE: &str = "roomlog-ticket";

/// Used tickets remembered here. Each lives 30 s, so this takes thousands of sign-ins a second; beyond it a ticket is
/// refused.
const USED_MAX: usize = 200_000;

/// Makes and redeems tickets.
pub(crate) struct Tickets {
    /// `None` where gateways share no secret.
    signing: Option<Signing>,
    issuer: String,
    /// Ids used on this gateway, and when each can be forgotten.
    used: Mutex<HashMap<String, u64>>,
}

/// The secret that gateways share, in both directions.
struct Signing {
    encoding: EncodingKey,
    key: Key,
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
    pub(crate) fn new(jwt: &Jwt) -> Self {
        let signing = jwt.secret.as_ref().map(|secret| {
            let secret = secret.reveal().as_bytes();
            Signing {
                encoding: EncodingKey::from_secret(secret),
                key: Key::hs256(secret),
            }
        });
        Self {
            signing,
            issuer: jwt.issuer.clone(),
            used: Mutex::default(),
        }
    }

    /// A ticket for someone who has shown an access token.
    pub(crate) async fn issue(
        &self,
        identity: &Identity,
        store: &Store,
        now_s: u64,
    ) -> Result<String, Refusal> {
        let claims = self.claims(identity, now_s);
        match &self.signing {
            Some(signing) => signing.sign(&claims).map_err(AuthError::refusal),
            None => keep(&claims, store).await.map_err(AuthError::refusal),
        }
    }

    fn claims(&self, identity: &Identity, now_s: u64) -> TicketClaims {
        TicketClaims {
            iss: self.issuer.clone(),
            sub: identity.user.as_str().to_owned(),
            jti: random(),
            exp: (now_s + TICKET_TTL_S).min(identity.expires_at_s),
            until: identity.expires_at_s,
            admin: identity.is_admin,
            name: identity.name.clone(),
            session: identity.session.as_ref().map(SessionRef::to_string),
        }
    }

    /// Redeems a ticket. One the store keeps is good once; a signed one once on this gateway for certain, and once on all
    /// of them while the cache answers.
    pub(crate) async fn redeem(
        &self,
        ticket: &str,
        source: &Source,
        now_s: u64,
    ) -> Result<Identity, AuthError> {
        if ticket.len() > TOKEN_BYTES_MAX {
            return Err(AuthError::TooLong);
        }
        let Some(signing) = &self.signing else {
            return take(ticket, &source.store, now_s).await?.identity();
        };
        let claims = self.read(signing, ticket, now_s)?;
        self.use_up(&claims, now_s)?;
        let ttl = Duration::from_secs(TICKET_TTL_S);
        match source.cache.claim_once("ticket", &claims.jti, ttl).await {
            Ok(true) => {}
            Ok(false) => return Err(AuthError::Used),
            Err(error) => {
                tracing::debug!(%error, "a ticket was only checked against this gateway's own");
            }
        }
        claims.identity()
    }

    fn read(&self, signing: &Signing, ticket: &str, now_s: u64) -> Result<TicketClaims, AuthError> {
        let header = decode_header(ticket).map_err(|_| AuthError::Malformed)?;
        if header.typ.as_deref() != Some(TICKET_TYPE) {
            return Err(AuthError::Claim("typ"));
        }
        let data = jsonwebtoken::decode::<TicketClaims>(
            ticket,
            &signing.key.decoding,
            &signature_only(&signing.key),
        )
        .map_err(|_| AuthError::Signature)?;
        if data.claims.iss != self.issuer {
            return Err(AuthError::Claim("iss"));
        }
        data.claims.still_good(now_s)
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
    pub(super) fn issue_here(&self, identity: &Identity, now_s: u64) -> Result<String, AuthError> {
        let signing = self.signing.as_ref().ok_or(AuthError::UnknownKey)?;
        signing.sign(&self.claims(identity, now_s))
    }

    #[cfg(test)]
    pub(super) fn redeem_here(&self, ticket: &str, now_s: u64) -> Result<(), AuthError> {
        let signing = self.signing.as_ref().ok_or(AuthError::UnknownKey)?;
        let claims = self.read(signing, ticket, now_s)?;
        self.use_up(&claims, now_s)
    }
}

// === impl Signing ===

impl Signing {
    fn sign(&self, claims: &TicketClaims) -> Result<String, AuthError> {
        let header = Header {
            typ: Some(TICKET_TYPE.to_owned()),
            ..Header::new(Algorithm::HS256)
        };
        encode(&header, claims, &self.encoding).map_err(|_| AuthError::Malformed)
    }
}

// === impl TicketClaims ===

impl TicketClaims {
    fn still_good(self, now_s: u64) -> Result<Self, AuthError> {
        match self.exp <= now_s {
            true => Err(AuthError::Expired),
            false => Ok(self),
        }
    }

    fn identity(self) -> Result<Identity, AuthError> {
        Ok(Identity {
            user: UserId::parse(&self.sub).map_err(|_| AuthError::Claim("sub"))?,
            name: self.name,
            is_admin: self.admin,
            expires_at_s: self.until,
            session: self.session.as_deref().and_then(SessionRef::parse),
        })
    }
}

/// 122 random bits from the system.
fn random() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// Puts what a ticket is good for into the store, under the hash of the ticket.
async fn keep(claims: &TicketClaims, store: &Store) -> Result<String, AuthError> {
    let ticket = random() + &random();
    let says = serde_json::to_string(claims).expect("texts and numbers are JSON");
    let hash = refresh::hash(&Secret::new(ticket.as_str()));
    let kept = store.keep_ticket(&hash, &says, claims.exp).await;
    kept.map_err(|error| unavailable(&error))?;
    Ok(ticket)
}

/// Takes a ticket out of the store.
async fn take(ticket: &str, store: &Store, now_s: u64) -> Result<TicketClaims, AuthError> {
    let hash = refresh::hash(&Secret::new(ticket));
    let taken = store.take_ticket(&hash).await;
    let says = taken.map_err(|error| unavailable(&error))?;
    let claims: Option<TicketClaims> = says.and_then(|says| serde_json::from_str(&says).ok());
    claims.ok_or(AuthError::Used)?.still_good(now_s)
}

fn unavailable(error: &StoreError) -> AuthError {
    tracing::warn!(%error, "the store did not answer for a ticket");
    AuthError::Unavailable
}
