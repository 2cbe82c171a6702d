//! Friends over REST.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse as _};
use roomlog_core::{
    code::Code,
    friendship::{Friendship as Standing, Step},
    ids::UserId,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    members::exists,
    openapi::{COMMAND, SIGNED_IN, refusals},
    problem::{Answer, Problem},
    request::{Other, SignedIn},
    shape::{Person, status},
};
use crate::gateway::Gateway;

/// One's friends, and who asked or was asked.
#[derive(Debug, Serialize, ToSchema)]
struct Friends {
    items: Vec<Friend>,
}

/// How one stands to somebody.
#[derive(Debug, Serialize, ToSchema)]
struct Friend {
    user: Person,
    /// `friends`, `requested` by oneself, or `received` from them.
    state: &'static str,
    /// Since when, in milliseconds since the Unix epoch.
    since: i64,
    /// `online` or `offline`, of friends alone; null where it is not known at the moment.
    status: Option<&'static str>,
}

/// How one stands to somebody now.
#[derive(Debug, Serialize, ToSchema)]
struct Friendship {
    /// `friends` or `requested`.
    state: &'static str,
}

/// One's friends, and who asked or was asked, by id.
#[utoipa::path(
    get, path = "/friends", tag = "users", operation_id = "listFriends",
    responses((status = 200, body = Friends, description = "By id.")),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN])))),
)]
pub(super) async fn list(State(gateway): State<Arc<Gateway>>, signed_in: SignedIn) -> Answer {
    let store = &gateway.source.store;
    let rows = store.friends(&signed_in.user.id).await;
    let rows = rows.map_err(|error| Problem::store(&error))?;
    let ids: Vec<UserId> = rows.iter().map(|row| row.friend.clone()).collect();
    let users = store.users(&ids).await;
    let users = users.map_err(|error| Problem::store(&error))?;
    let known: BTreeMap<_, _> = users.iter().map(|user| (&user.id, user)).collect();
    let friends = rows.iter();
    let friends = friends.filter(|row| row.standing == Standing::Friends);
    let friends: Vec<UserId> = friends.map(|row| row.friend.clone()).collect();
    let online: BTreeMap<_, _> = gateway
        .presence
        .online(&friends)
        .await
        .into_iter()
        .collect();
    let items = rows.iter().map(|row| {
        let user = known.get(&row.friend);
        let id = row.friend.as_str();
        Friend {
            user: Person {
                id: id.to_owned(),
                name: user.map_or(id, |user| &user.name).to_owned(),
                avatar: user.and_then(|user| user.avatar.clone()),
            },
            state: row.standing.as_str(),
            since: row.since_ms,
            status: online.get(&row.friend).map(|is| status(*is)),
        }
    });
    let items = items.collect();
    Ok(Json(Friends { items }).into_response())
}

/// Asks somebody, or agrees.
#[utoipa::path(
    put, path = "/friends/{user}", tag = "users", operation_id = "befriend", params(Other),
    responses(
        (status = 200, body = Friendship, description = "They had asked: you are friends. Or nothing was to be done."),
        (status = 201, body = Friendship, description = "They are asked."),
    ),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, COMMAND, &[Code::BadRequest, Code::NotFound]])))),
)]
pub(super) async fn ask(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    Other(friend): Other,
) -> Answer {
    let user = &signed_in.user.id;
    if friend == *user {
        return Err(Problem::new(Code::BadRequest, "a friend is somebody else"));
    }
    signed_in.meter.note(gateway.doors.friend(user))?;
    exists(&gateway, &friend).await?;
    let (standing, step) = gateway.befriend(signed_in.user.sender(), &friend).await?;
    let status = match step {
        Step::Request => StatusCode::CREATED,
        Step::Accept | Step::Nothing => StatusCode::OK,
    };
    let state = standing.as_str();
    Ok((status, Json(Friendship { state })).into_response())
}

/// Ends it, withdraws a request or declines one.
#[utoipa::path(
    delete, path = "/friends/{user}", tag = "users", operation_id = "unfriend", params(Other),
    responses((status = 204, description = "There is nothing between the two.")),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, &[Code::NotFound, Code::Overloaded]])))),
)]
pub(super) async fn end(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    Other(friend): Other,
) -> Answer {
    gateway.unfriend(&signed_in.user.id, &friend).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
