//! Joining rooms and leaving them, and how full a room and a user's list may be.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use roomlog_core::{
    code::{Code, Refusal},
    event::MemberChange,
    permission,
    room_state::{MemberState, Membership},
};

use super::{
    members::change_member,
    openapi::{COMMAND, FIND, MEMBERS, SIGNED_IN, refusals},
    problem::{Answer, Problem},
    request::{Room, SignedIn},
    rooms::{answer, enter},
    shape::Done,
};
use crate::{gateway::Gateway, hub::Entered, rate::Limit, users::User};

/// Joins a public room, or one that one was invited to.
#[utoipa::path(
    post, path = "/rooms/{id}/join", tag = "rooms", operation_id = "joinRoom", params(Room),
    responses(
        (status = 200, body = Done, description = "One is a member."),
        (status = 202, body = Done, description = "The log has it."),
    ),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, FIND, COMMAND, &[Code::TooMany]])))),
)]
pub(super) async fn join(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    room: Room,
) -> Answer {
    let entered = enter(&gateway, &signed_in, &room.key()).await?;
    if let Some(done) = is_in(&entered) {
        return Ok(done);
    }
    has_room_for_one_more(&gateway, &signed_in.user).await?;
    has_place(&gateway, &entered)?;
    match change(&gateway, &signed_in, &room, MemberChange::Joined).await {
        // Of joins at once, or of one that is asked for again before it was answered, one stands.
        Err(problem) if problem.is(Code::Conflict) => {
            let entered = enter(&gateway, &signed_in, &room.key()).await?;
            is_in(&entered).ok_or(problem)
        }
        answered => answered,
    }
}

/// The answer to who is a member already.
fn is_in(entered: &Entered) -> Option<Response> {
    let member = entered.member.filter(Membership::is_in)?;
    let seq = Some(member.changed_seq.0);
    Some(Json(Done { seq }).into_response())
}

/// Leaves a room, or declines an invitation; the last owner can't leave.
#[utoipa::path(
    post, path = "/rooms/{id}/leave", tag = "rooms", operation_id = "leaveRoom", params(Room),
    responses(
        (status = 200, body = Done, description = "One is no member any more."),
        (status = 202, body = Done, description = "The log has it."),
    ),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, MEMBERS, COMMAND, &[Code::Forbidden]])))),
)]
pub(super) async fn leave(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    room: Room,
) -> Answer {
    let entered = enter(&gateway, &signed_in, &room.key()).await?;
    let state = entered.member.map(|member| member.state);
    if !matches!(state, Some(MemberState::Joined | MemberState::Invited)) {
        return Err(permission::refusal(Code::NotAMember).into());
    }
    change(&gateway, &signed_in, &room, MemberChange::Left).await
}

/// Changes how the caller stands in a room.
async fn change(
    gateway: &Gateway,
    signed_in: &SignedIn,
    room: &Room,
    change: MemberChange,
) -> Answer {
    let user = signed_in.user.id.clone();
    let carried = change_member(gateway, signed_in, &room.0, &user, change).await?;
    Ok(answer(carried, StatusCode::OK, |seq| Done { seq }))
}

/// Refuses where a room has as many members as it may.
pub(super) fn has_place(gateway: &Gateway, entered: &Entered) -> Result<(), Refusal> {
    let members = entered
        .room
        .as_ref()
        .map_or(0, |room| room.members as usize);
    let max = gateway.limits.members_per_room_max;
    if members >= max {
        let message = format!("a room has at most {max} members");
        return Err(Limit::Members.reached(message));
    }
    Ok(())
}

/// Refuses where a user is in as many rooms as they may.
pub(super) async fn has_room_for_one_more(gateway: &Gateway, user: &User) -> Result<(), Problem> {
    let rooms = gateway
        .source
        .store
        .rooms_of(&user.id)
        .await
        .map_err(|error| Problem::store(&error))?;
    let joined = rooms.iter().filter(|row| row.membership.is_in()).count();
    let max = gateway.limits.rooms_per_user_max;
    if joined >= max {
        let message = format!("a user is in at most {max} rooms");
        return Err(Limit::Rooms.reached(message).into());
    }
    Ok(())
}
