//! Other users: found by name or id.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse as _};
use roomlog_core::{
    account::{NAME_BYTES_MAX, folded},
    code::Code,
    ids::UserId,
};
use roomlog_platform::dynamo::{Consistency, FoundUser};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    openapi::{SIGNED_IN, refusals},
    problem::{Answer, Problem},
    request::{Other, Parameters, SignedIn},
    shape::Person,
};
use crate::gateway::Gateway;

/// Users of one search, where nothing else is asked for, and at most.
const FOUND_DEFAULT: u16 = 20;
const FOUND_MAX: u16 = 50;

/// Users that were found.
#[derive(Debug, Serialize, ToSchema)]
struct Found {
    items: Vec<Person>,
}

/// Somebody.
#[derive(Debug, Serialize, ToSchema)]
struct Known {
    user: Person,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// The beginning of a name, or an id.
    #[param(min_length = 1, max_length = 64)]
    q: String,
    /// 20 where it is left out.
    #[param(minimum = 1, maximum = 50)]
    limit: Option<u16>,
}

/// Users whose name begins like this, whatever the size of its letters, and the one whose id it is.
#[utoipa::path(
    get, path = "/users", tag = "users", operation_id = "findUsers", params(Query),
    responses((status = 200, body = Found, description = "By name.")),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, &[Code::BadRequest]])))),
)]
pub(super) async fn search(
    State(gateway): State<Arc<Gateway>>,
    _signed_in: SignedIn,
    Parameters(query): Parameters<Query>,
) -> Answer {
    let limit = query.limit.unwrap_or(FOUND_DEFAULT);
    if !(1..=FOUND_MAX).contains(&limit) {
        let message = format!("limit is 1 to {FOUND_MAX}");
        return Err(Problem::new(Code::BadRequest, message));
    }
    let begin = query.q.trim();
    if folded(begin).is_empty() || begin.len() > NAME_BYTES_MAX {
        let message = format!("q is the beginning of a name: 1 to {NAME_BYTES_MAX} bytes");
        return Err(Problem::new(Code::BadRequest, message));
    }
    let store = &gateway.source.store;
    let found = store.users_named(begin, limit).await;
    let mut found = found.map_err(|error| Problem::store(&error))?;
    if let Ok(id) = UserId::parse(begin)
        && found.iter().all(|user| user.id != id)
    {
        let row = store.user(&id, Consistency::Eventual).await;
        let row = row.map_err(|error| Problem::store(&error))?;
        let user = row.map(|row| FoundUser {
            id: row.id,
            name: row.name,
            avatar: row.avatar,
        });
        found.splice(0..0, user);
    }
    found.truncate(usize::from(limit));
    let items = found.into_iter().map(described).collect();
    Ok(Json(Found { items }).into_response())
}

/// One user.
#[utoipa::path(
    get, path = "/users/{user}", tag = "users", operation_id = "getUser", params(Other),
    responses((status = 200, body = Known, description = "As others see them.")),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, &[Code::NotFound]])))),
)]
pub(super) async fn show(
    State(gateway): State<Arc<Gateway>>,
    _signed_in: SignedIn,
    Other(user): Other,
) -> Answer {
    let row = gateway.source.store.user(&user, Consistency::Strong).await;
    let row = row.map_err(|error| Problem::store(&error))?;
    let row = row.ok_or_else(|| Problem::new(Code::NotFound, "there is no such user"))?;
    let user = FoundUser {
        id: row.id,
        name: row.name,
        avatar: row.avatar,
    };
    let user = described(user);
    Ok(Json(Known { user }).into_response())
}

fn described(user: FoundUser) -> Person {
    Person {
        id: user.id.as_str().to_owned(),
        name: user.name,
        avatar: user.avatar,
    }
}
