//! Who is here, for those who ask.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse as _};
use roomlog_core::{
    code::Code,
    ids::{RoomKey, UserId},
    presence::View,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    problem::{Answer, Problem},
    request::{Body, Room, SignedIn},
};
use crate::{gateway::Gateway, hub::Purpose};

/// Users asked about at once; more is refused `too-large`.
const USERS_MAX: usize = 200;

#[derive(Deserialize)]
pub(super) struct Query {
    users: Vec<String>,
}

/// Which members of a room are online.
pub(super) async fn room(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    room: Room,
) -> Answer {
    let view = look(&gateway, &signed_in, &room.key()).await?;
    let body = json!({
        "online": names(view.online.iter()),
        "online_total": view.online_total,
        "sample": view.is_sample,
    });
    Ok(Json(body).into_response())
}

/// Which members of a room look at it.
pub(super) async fn viewers(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    room: Room,
) -> Answer {
    let view = look(&gateway, &signed_in, &room.key()).await?;
    let body = json!({
        "users": names(view.viewing.iter()),
        "total": view.viewing_total,
        "sample": view.is_sample,
    });
    Ok(Json(body).into_response())
}

/// Whether users are online.
pub(super) async fn query(
    State(gateway): State<Arc<Gateway>>,
    _: SignedIn,
    Body(query): Body<Query>,
) -> Answer {
    if query.users.len() > USERS_MAX {
        let message = format!("at most {USERS_MAX} users are asked about at once");
        return Err(Problem::new(Code::TooLarge, message));
    }
    let users = query.users.iter().map(|user| UserId::parse(user));
    let users: Vec<UserId> = users
        .collect::<Result<_, _>>()
        .map_err(|error| Problem::new(Code::BadRequest, error.to_string()))?;
    let statuses = gateway.presence.of_users(&users).await?;
    let statuses = users.iter().zip(statuses).map(|(user, status)| {
        json!({
            "user": user.as_str(),
            "status": if status.online { "online" } else { "offline" },
            "last_active": status.last_active_ms,
        })
    });
    Ok(Json(json!({ "users": statuses.collect::<Vec<_>>() })).into_response())
}

async fn look(gateway: &Gateway, signed_in: &SignedIn, key: &RoomKey) -> Result<View, Problem> {
    gateway
        .hub
        .enter(key, &signed_in.caller, Purpose::READ, None)
        .await?;
    Ok(gateway.presence.of_room(key).await?)
}

fn names<'a>(users: impl Iterator<Item = &'a UserId>) -> Vec<Value> {
    users.map(|user| user.as_str().into()).collect()
}
