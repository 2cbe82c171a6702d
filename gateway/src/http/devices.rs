//! Where push messages go, and of which rooms.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::IntoResponse as _,
};
use roomlog_core::{code::Code, push::Notify};
use roomlog_platform::dynamo::Consistency;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    openapi::{BODY, MEMBERS, SIGNED_IN, notify, refusals},
    problem::{Answer, Problem},
    request::{Body, Room, SignedIn},
};
use crate::{gateway::Gateway, hub::Purpose};

/// Of which messages one wants to hear.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Notifications {
    #[schema(schema_with = notify)]
    level: String,
}

/// Names a device of one's own that push messages go to.
#[utoipa::path(
    put, path = "/devices/{token}", tag = "push", operation_id = "keepDevice",
    params(("token" = String, Path, description = "What the push service calls the device.", pattern = "^[A-Za-z0-9_.:-]{1,512}$")),
    responses((status = 204, description = "It is kept, and goes with the sign-in it was named in.")),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, &[Code::BadRequest]])))),
)]
pub(super) async fn keep(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    Path(token): Path<String>,
) -> Answer {
    gateway.keep_device(&signed_in.identity, &token).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Takes a device of one's own away from push messages.
#[utoipa::path(
    delete, path = "/devices/{token}", tag = "push", operation_id = "forgetDevice",
    params(("token" = String, Path, description = "What the push service calls the device.", pattern = "^[A-Za-z0-9_.:-]{1,512}$")),
    responses((status = 204, description = "Nothing goes there any more.")),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, &[Code::BadRequest, Code::NotFound]])))),
)]
pub(super) async fn forget(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    Path(token): Path<String>,
) -> Answer {
    gateway.forget_device(&signed_in.user.id, &token).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Says of which messages of a room one wants to hear on devices that are not connected.
#[utoipa::path(
    put, path = "/rooms/{id}/notifications", tag = "push", operation_id = "setNotifications", params(Room),
    request_body = Notifications,
    responses((status = 200, body = Notifications, description = "From now on.")),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, BODY, MEMBERS])))),
)]
pub(super) async fn set_notifications(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    room: Room,
    Body(wish): Body<Notifications>,
) -> Answer {
    let notify = Notify::parse(&wish.level)
        .ok_or_else(|| Problem::new(Code::BadRequest, "level is one of all, mentions and none"))?;
    enter(&gateway, &signed_in, &room).await?;
    let store = &gateway.source.store;
    let set = store.set_notify(&room.0, &signed_in.user.id, notify).await;
    set.map_err(|error| Problem::store(&error))?;
    Ok(shown(notify))
}

/// Of which messages of a room one wants to hear.
#[utoipa::path(
    get, path = "/rooms/{id}/notifications", tag = "push", operation_id = "getNotifications", params(Room),
    responses((status = 200, body = Notifications, description = "`all` where nothing was said.")),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, MEMBERS])))),
)]
pub(super) async fn notifications(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    room: Room,
) -> Answer {
    enter(&gateway, &signed_in, &room).await?;
    let (store, user) = (&gateway.source.store, &signed_in.user.id);
    let row = store.member(&room.0, user, Consistency::Strong).await;
    let row = row.map_err(|error| Problem::store(&error))?;
    Ok(shown(row.map_or(Notify::default(), |row| row.notify)))
}

/// Members only have something to hear.
async fn enter(gateway: &Gateway, signed_in: &SignedIn, room: &Room) -> Result<(), Problem> {
    let hub = &gateway.hub;
    hub.enter(&room.key(), &signed_in.caller, Purpose::READ, None)
        .await?;
    Ok(())
}

fn shown(notify: Notify) -> axum::response::Response {
    let level = notify.as_str().to_owned();
    Json(Notifications { level }).into_response()
}
