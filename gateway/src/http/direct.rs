//! The room of two people: one for each pair, made by whoever asks first.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse as _};
use roomlog_core::{
    code::{Code, Refusal},
    event::{Body as EventBody, MemberChange, MemberEvent, RoomEvent, RoomKind},
    ids::{RoomId, UserId},
    room_state::Membership,
};

use super::{
    joining::has_room_for_one_more,
    members::exists,
    openapi::{COMMAND, FIND, SIGNED_IN, refusals},
    problem::{Answer, Problem},
    request::{Other, SignedIn},
    rooms::{described, event},
    shape::RoomAnswer,
};
use crate::{
    gateway::Gateway,
    hub::{Caller, Entered, Purpose},
    publish::Record,
};

/// How often the way is tried again when the other one was faster: each step is done once by one of the two, and there
/// are two of them.
const ATTEMPTS_MAX: usize = 5;

/// Finds the room of the caller and somebody else, and makes it where there is none.
#[utoipa::path(
    post, path = "/dm/{user}", tag = "rooms", operation_id = "openDirectRoom", params(Other),
    responses((status = 200, body = RoomAnswer, description = "The room of the two.")),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, FIND, COMMAND, &[Code::BadRequest, Code::NotAMember, Code::Forbidden]])))),
)]
pub(super) async fn open(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    Other(other): Other,
) -> Answer {
    let me = &signed_in.user.id;
    if other == *me {
        return Err(Problem::new(
            Code::BadRequest,
            "a direct room is with somebody else",
        ));
    }
    let room = RoomId::direct(me, &other);
    for _ in 0..ATTEMPTS_MAX {
        let step = next_step(&gateway, &signed_in, &room, &other).await?;
        let (purpose, body) = match step {
            Step::Done(entered) => {
                let room = described(&room, &signed_in.caller, &entered);
                return Ok(Json(RoomAnswer { room, seq: None }).into_response());
            }
            Step::Create => {
                exists(&gateway, &other).await?;
                has_room_for_one_more(&gateway, &signed_in.user).await?;
                (None, creation(me, &other))
            }
            Step::Join(user) => {
                let change = MemberChange::Joined;
                (Some(()), EventBody::Member(MemberEvent { user, change }))
            }
        };
        let event = event(&signed_in, &room, body);
        let record = Record::of(&event, &gateway.origin, None);
        let purpose = match purpose {
            Some(()) => Purpose::Meet(Box::new(event)),
            None => Purpose::Create,
        };
        let carried = gateway.carry_out(&signed_in.caller, purpose, record).await;
        if let Err(refusal) = carried
            && refusal.code != Code::Conflict
        {
            return Err(refusal.into());
        }
        // A conflict is the other one's doing: what is left is seen in the next round.
    }
    let refusal = Refusal::retry_after(Code::Overloaded, "try again", 1_000);
    Err(refusal.into())
}

/// What is left to do for two people to have their room.
enum Step {
    Create,
    /// Bring this one in.
    Join(UserId),
    Done(Box<Entered>),
}

async fn next_step(
    gateway: &Gateway,
    signed_in: &SignedIn,
    room: &RoomId,
    other: &UserId,
) -> Result<Step, Problem> {
    // The room is private even to the one of the two who is not in it yet.
    let host = Caller {
        user: signed_in.user.id.clone(),
        is_admin: true,
    };
    let users = vec![signed_in.user.id.clone(), other.clone()];
    let looked = gateway.hub.look(&room.into(), &host, users.clone()).await;
    let (entered, rows) = match looked {
        Ok(looked) => looked,
        Err(refusal) if refusal.code == Code::NotFound => return Ok(Step::Create),
        Err(refusal) => return Err(refusal.into()),
    };
    let mut stands = users.into_iter().zip(rows);
    let missing = stands.find(|(_, row)| !row.as_ref().is_some_and(Membership::is_in));
    Ok(match missing {
        Some((user, _)) => Step::Join(user),
        None => Step::Done(Box::new(entered)),
    })
}

/// The room's name holds both ids, so that each can be shown the other.
fn creation(me: &UserId, other: &UserId) -> EventBody {
    let (first, second) = (me.min(other), me.max(other));
    EventBody::Room(RoomEvent {
        kind: Some(RoomKind::Direct),
        name: Some(format!("{first} {second}")),
        public: Some(false),
        ..RoomEvent::default()
    })
}
