//! Signing in: guests, tickets and who one is.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse as _};
use roomlog_core::{
    code::{Code, Refusal},
    event::{Body as EventBody, Event, MemberChange, MemberEvent},
    ids::{RoomKey, UserId},
};
use roomlog_platform::dynamo::UserRow;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    problem::{Answer, Problem},
    request::{Body, SignedIn},
};
use crate::{
    auth::{
        TICKET_TTL_S,
        token::{Holder, mint},
    },
    clock,
    gateway::Gateway,
    hub::{Caller, Purpose},
    publish::{Record, fresh_id},
    users::User,
};

/// Bytes of a guest's name.
const NAME_BYTES_MAX: usize = 64;

/// The role guests and users have.
const USER_ROLE: &str = "user";

#[derive(Deserialize)]
pub(super) struct Guest {
    name: String,
}

/// Signs somebody in by a name alone.
pub(super) async fn guest(State(gateway): State<Arc<Gateway>>, Body(guest): Body<Guest>) -> Answer {
    if !gateway.config.gateway.guests {
        return Err(Problem::new(Code::NotFound, "guests can't sign in here"));
    }
    gateway.guests.take()?;
    let name = shown_name(&guest.name).ok_or_else(|| {
        Problem::new(Code::BadRequest, "a name has 1 to 64 bytes and can be seen")
    })?;
    let id = format!("guest-{}", uuid::Uuid::new_v4().simple());
    let id = UserId::parse(&id).expect("a UUID fits the alphabet");
    let row = UserRow {
        id: id.clone(),
        name: name.clone(),
        avatar: None,
        guest: true,
        created_at_ms: i64::try_from(clock::unix_ms()).unwrap_or(i64::MAX),
    };
    let row = gateway
        .source
        .store
        .create_user(&row)
        .await
        .map_err(|error| Problem::store(&error))?;
    let user = gateway.users.add(row.id, row.name, row.avatar);
    let ttl = gateway.config.jwt.access_ttl;
    let holder = Holder {
        user: &user.id,
        role: USER_ROLE,
        name: Some(&name),
    };
    let token = mint(&gateway.config.jwt, holder, ttl).map_err(|error| {
        tracing::error!(%error, "guests are allowed, but no token can be made");
        Problem::new(Code::Internal, "no token can be made")
    })?;
    welcome(&gateway, &user).await;
    Ok(Json(json!({
        "user": described(&user),
        "access_token": token,
        "expires_in": ttl.as_millis() / 1_000,
    }))
    .into_response())
}

/// Lets a guest into the configured room. They are signed in all the same where that does not work.
async fn welcome(gateway: &Gateway, user: &User) {
    let Some(room) = &gateway.config.gateway.guest_room else {
        return;
    };
    let joined = match RoomKey::parse(room) {
        Ok(key) => join(gateway, user, key).await,
        Err(error) => Err(Refusal::new(Code::BadRequest, error.to_string())),
    };
    if let Err(refusal) = joined {
        tracing::warn!(%refusal, "a guest could not join the guests' room");
    }
}

async fn join(gateway: &Gateway, user: &User, key: RoomKey) -> Result<(), Refusal> {
    let caller = Caller {
        user: user.id.clone(),
        is_admin: false,
    };
    let event = membership_event(user, key, MemberChange::Joined);
    let record = Record::of(&event, &gateway.origin, None);
    let purpose = Purpose::Change(Box::new(event));
    gateway.carry_out(&caller, purpose, record).await.map(drop)
}

/// An event by which a user changes their own membership.
pub(super) fn membership_event(user: &User, key: RoomKey, change: MemberChange) -> Event {
    Event {
        key,
        id: fresh_id(),
        sender: user.sender(),
        body: EventBody::Member(MemberEvent {
            user: user.id.clone(),
            change,
        }),
        headers: Vec::new(),
    }
}

/// A ticket for the upgrade.
pub(super) async fn ticket(State(gateway): State<Arc<Gateway>>, signed_in: SignedIn) -> Answer {
    let ticket = gateway
        .tickets
        .issue(&signed_in.identity, clock::unix_ms() / 1_000)?;
    Ok(Json(json!({ "ticket": ticket, "expires_in": TICKET_TTL_S })).into_response())
}

/// Who one is.
pub(super) async fn me(signed_in: SignedIn) -> Answer {
    Ok(Json(json!({
        "user": described(&signed_in.user),
        "role": if signed_in.identity.is_admin { "admin" } else { USER_ROLE },
    }))
    .into_response())
}

fn described(user: &User) -> Value {
    json!({ "id": user.id.as_str(), "name": user.name, "avatar": user.avatar })
}

/// A name people can see: trimmed, without control characters.
fn shown_name(name: &str) -> Option<String> {
    let name: String = name
        .trim()
        .chars()
        .filter(|letter| !letter.is_control())
        .collect();
    (!name.is_empty() && name.len() <= NAME_BYTES_MAX).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_be_seen() {
        assert_eq!(shown_name(" Ada\n").as_deref(), Some("Ada"));
        assert_eq!(shown_name("Zoë 🦀").as_deref(), Some("Zoë 🦀"));
        for bad in ["", "  ", "\u{1b}", &"x".repeat(65)] {
            assert_eq!(shown_name(bad), None, "{bad:?}");
        }
    }
}
