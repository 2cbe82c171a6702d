//! Who is here, for those who ask.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse as _};
use roomlog_core::{
    code::Code,
    ids::{RoomKey, UserId},
    presence::View,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    openapi::{BODY, MEMBERS, SIGNED_IN, refusals},
    problem::{Answer, Problem},
    request::{Body, Room, SignedIn},
    shape::{self, Online, Status, Statuses, Viewers},
};
use crate::{gateway::Gateway, hub::Purpose};

/// Users asked about at once; more is refused `too-large`.
const USERS_MAX: usize = 200;

/// Who is asked about.
#[derive(Deserialize, ToSchema)]
pub(super) struct Query {
    #[schema(max_items = 200)]
    users: Vec<String>,
}

/// Which members of a room are online.
#[utoipa::path(
    get, path = "/rooms/{id}/presence", tag = "presence", operation_id = "getPresence", params(Room),
    responses((status = 200, body = Online, description = "Who is online.")),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, MEMBERS])))),
)]
pub(super) async fn room(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    room: Room,
) -> Answer {
    let view = look(&gateway, &signed_in, &room.key()).await?;
    let body = Online {
        online: names(view.online.iter()),
        online_total: view.online_total,
        sample: view.is_sample,
    };
    Ok(Json(body).into_response())
}

/// Which members of a room look at it.
#[utoipa::path(
    get, path = "/rooms/{id}/viewers", tag = "presence", operation_id = "getViewers", params(Room),
    responses((status = 200, body = Viewers, description = "Who looks at the room.")),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, MEMBERS])))),
)]
pub(super) async fn viewers(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    room: Room,
) -> Answer {
    let view = look(&gateway, &signed_in, &room.key()).await?;
    let body = Viewers {
        users: names(view.viewing.iter()),
        total: view.viewing_total,
        sample: view.is_sample,
    };
    Ok(Json(body).into_response())
}

/// Whether users are online.
#[utoipa::path(
    post, path = "/presence/query", tag = "presence", operation_id = "queryPresence", request_body = Query,
    responses((status = 200, body = Statuses, description = "In the order asked for.")),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, BODY, &[Code::Overloaded]])))),
)]
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
    let statuses = users.iter().zip(statuses).map(|(user, status)| Status {
        user: user.as_str().to_owned(),
        status: shape::status(status.online),
        last_active: status.last_active_ms,
    });
    let users = statuses.collect();
    Ok(Json(Statuses { users }).into_response())
}

async fn look(gateway: &Gateway, signed_in: &SignedIn, key: &RoomKey) -> Result<View, Problem> {
    gateway
        .hub
        .enter(key, &signed_in.caller, Purpose::READ, None)
        .await?;
    Ok(gateway.presence.of_room(key).await?)
}

fn names<'a>(users: impl Iterator<Item = &'a UserId>) -> Vec<String> {
    users.map(|user| user.as_str().to_owned()).collect()
}
