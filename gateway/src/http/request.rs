//! What handlers take out of a request: who sent it, its JSON body, its query.

use std::{collections::HashMap, sync::Arc};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{header, request::Parts},
};
use roomlog_core::{
    code::Code,
    event::Event,
    ids::{RoomId, RoomKey, Seq, UserId},
};
use serde::de::DeserializeOwned;

use super::{meter::Meter, problem::Problem};
use crate::{
    amending::pace,
    auth::{Identity, Verifier},
    gateway::Gateway,
    hub::Caller,
    users::User,
};

/// The signed-in sender of a request.
pub(super) struct SignedIn {
    pub(super) user: Arc<User>,
    pub(super) identity: Identity,
    pub(super) caller: Caller,
    pub(super) meter: Meter,
}

/// The signed-in sender of an event, which counts as a message and not as a request: a retry of it is free, and what turns
/// out to be no event counts as a request.
pub(super) struct Sender(pub(super) SignedIn);

/// A body that is this JSON. Its content type does not matter: browsers can't send one of these unasked, since every
/// endpoint needs a bearer token or makes a stranger.
pub(super) struct Body<T>(pub(super) T);

/// The raw body, within the limit.
pub(super) struct Raw(pub(super) Bytes);

/// The query parameters.
pub(super) struct Parameters<T>(pub(super) T);

/// The room in the path.
pub(super) struct Room(pub(super) RoomId);

/// The room and one of its people in the path.
pub(super) struct Member {
    pub(super) room: RoomId,
    pub(super) user: UserId,
}

/// The user in the path.
pub(super) struct Other(pub(super) UserId);

/// The room and the message in the path, and the reaction where there is one.
pub(super) struct Message {
    pub(super) room: RoomId,
    pub(super) seq: Seq,
    pub(super) emoji: String,
}

// === impl SignedIn, Sender ===

impl FromRequestParts<Arc<Gateway>> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        gateway: &Arc<Gateway>,
    ) -> Result<Self, Problem> {
        let Sender(signed_in) = Sender::from_request_parts(parts, gateway).await?;
        signed_in.meter.note(signed_in.user.request())?;
        Ok(signed_in)
    }
}

impl SignedIn {
    /// Counts an event against the sender's rate; a retry is free.
    pub(super) async fn pace(&self, gateway: &Gateway, event: &Event) -> Result<(), Problem> {
        let counted = pace(gateway, &self.user, &self.caller, &[event]).await;
        self.meter.note(counted)
    }
}

impl FromRequestParts<Arc<Gateway>> for Sender {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        gateway: &Arc<Gateway>,
    ) -> Result<Self, Problem> {
        let value = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .ok_or_else(|| {
                Problem::new(
                    Code::Unauthenticated,
                    "an Authorization header with a bearer token is needed",
                )
            })?;
        let (user, identity) = gateway.sign_in(Verifier::bearer(value)?).await?;
        let caller = Caller {
            user: user.id.clone(),
            is_admin: identity.is_admin,
        };
        let meter: Meter = parts.extensions.get().cloned().unwrap_or_default();
        meter.expect_event(&user);
        Ok(Self(SignedIn {
            user,
            identity,
            caller,
            meter,
        }))
    }
}

// === impl Body, Raw, Parameters, Room ===

impl<T: DeserializeOwned> FromRequest<Arc<Gateway>> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, gateway: &Arc<Gateway>) -> Result<Self, Problem> {
        let Raw(bytes) = Raw::from_request(request, gateway).await?;
        parse(&bytes).map(Self)
    }
}

/// Reads a JSON body.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        Problem::new(
            Code::BadRequest,
            format!("the body is not what it must be: {error}"),
        )
    })
}

impl FromRequest<Arc<Gateway>> for Raw {
    type Rejection = Problem;

    async fn from_request(request: Request, gateway: &Arc<Gateway>) -> Result<Self, Problem> {
        Bytes::from_request(request, gateway)
            .await
            .map(Self)
            .map_err(|rejection| {
                let code = match rejection.status().as_u16() {
                    413 => Code::TooLarge,
                    _ => Code::BadRequest,
                };
                Problem::new(code, "the body could not be read")
            })
    }
}

impl<T: DeserializeOwned> FromRequestParts<Arc<Gateway>> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        gateway: &Arc<Gateway>,
    ) -> Result<Self, Problem> {
        Query::from_request_parts(parts, gateway)
            .await
            .map(|Query(value)| Self(value))
            .map_err(|rejection| Problem::new(Code::BadRequest, rejection.body_text()))
    }
}

impl FromRequestParts<Arc<Gateway>> for Room {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        gateway: &Arc<Gateway>,
    ) -> Result<Self, Problem> {
        let not_found = || Problem::new(Code::NotFound, "there is no such room, or it is private");
        let Path(id) = Path::<String>::from_request_parts(parts, gateway)
            .await
            .map_err(|_| not_found())?;
        RoomId::parse(&id).map(Self).map_err(|_| not_found())
    }
}

impl FromRequestParts<Arc<Gateway>> for Message {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        gateway: &Arc<Gateway>,
    ) -> Result<Self, Problem> {
        let found = Path::<HashMap<String, String>>::from_request_parts(parts, gateway).await;
        let read = found.ok().and_then(|Path(mut path)| {
            let seq = path.get("seq")?.parse().ok();
            Some(Self {
                room: RoomId::parse(path.get("id")?).ok()?,
                seq: Seq(seq.filter(|seq| (1..=i64::MAX as u64).contains(seq))?),
                emoji: path.remove("emoji").unwrap_or_default(),
            })
        });
        read.ok_or_else(|| Problem::new(Code::NotFound, "there is no such room or message"))
    }
}

// === impl Member, Other ===

impl FromRequestParts<Arc<Gateway>> for Member {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        gateway: &Arc<Gateway>,
    ) -> Result<Self, Problem> {
        let found = Path::<(String, String)>::from_request_parts(parts, gateway).await;
        let read = found.ok().and_then(|Path((room, user))| {
            Some(Self {
                room: RoomId::parse(&room).ok()?,
                user: UserId::parse(&user).ok()?,
            })
        });
        read.ok_or_else(|| Problem::new(Code::NotFound, "there is no such room or user"))
    }
}

impl FromRequestParts<Arc<Gateway>> for Other {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        gateway: &Arc<Gateway>,
    ) -> Result<Self, Problem> {
        let found = Path::<String>::from_request_parts(parts, gateway).await;
        let read = found.ok().and_then(|Path(user)| UserId::parse(&user).ok());
        read.map(Self)
            .ok_or_else(|| Problem::new(Code::NotFound, "there is no such user"))
    }
}

impl Room {
    pub(super) fn key(&self) -> RoomKey {
        (&self.0).into()
    }
}
