//! Rooms: making, finding, joining and leaving them.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use roomlog_core::{
    code::{Code, Refusal},
    event::{Body as EventBody, Event, MemberChange, RoomEvent, RoomKind},
    ids::{RoomId, RoomKey, UserId},
    permission,
    room_state::{MemberState, Membership},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    direct::partner,
    members::change_member,
    problem::{Answer, Problem},
    request::{Body, Parameters, Room, SignedIn},
};
use crate::{
    gateway::{Carried, Gateway},
    hub::{Entered, Purpose},
    publish::{Record, fresh_id},
    rate::Limit,
    room_list::Item,
    users::User,
};

/// Bytes of a room's name.
const NAME_BYTES_MAX: usize = 128;
/// The longest slow mode: a day.
const SLOW_MODE_S_MAX: u32 = 86_400;
/// Entries of a page, where the client names no number and at most.
const PAGE_DEFAULT: u16 = 50;
const PAGE_MAX: u16 = 200;

/// How long a user's list may take to be read.
const LIST_WAIT: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
pub(super) struct NewRoom {
    id: Option<String>,
    name: String,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    public: bool,
}

#[derive(Deserialize)]
pub(super) struct Listing {
    /// All public rooms instead of one's own.
    #[serde(default)]
    public: bool,
    after: Option<String>,
    limit: Option<u16>,
}

/// What is to change about a room.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    name: Option<String>,
    public: Option<bool>,
    read_only: Option<bool>,
    slow_mode_s: Option<u32>,
}

/// Makes a room; its maker is its owner.
pub(super) async fn create(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    Body(wanted): Body<NewRoom>,
) -> Answer {
    let name = shown_name(&wanted.name)?;
    let kind = match wanted.kind.as_deref() {
        None => Some(RoomKind::Group),
        Some(kind) => RoomKind::parse(kind).filter(|kind| *kind != RoomKind::Direct),
    };
    let kind = kind.ok_or_else(|| {
        Problem::new(
            Code::BadRequest,
            "kind is one of group, channel and announcement",
        )
    })?;
    let id = wanted
        .id
        .unwrap_or_else(|| uuid::Uuid::now_v7().simple().to_string());
    let id =
        RoomId::parse(&id).map_err(|error| Problem::new(Code::BadRequest, error.to_string()))?;
    if id.is_direct() {
        return Err(Problem::new(
            Code::BadRequest,
            "ids that begin with dm- are those of direct rooms",
        ));
    }
    has_room_for_one_more(&gateway, &signed_in.user).await?;
    let body = EventBody::Room(RoomEvent {
        kind: Some(kind),
        name: Some(name.to_owned()),
        public: Some(wanted.public),
        ..RoomEvent::default()
    });
    let event = event(&signed_in, &id, body);
    let record = Record::of(&event, &gateway.origin, None);
    let carried = gateway
        .carry_out(&signed_in.caller, Purpose::Create, record)
        .await?;
    let room =
        json!({ "id": id.as_str(), "name": name, "kind": kind.as_str(), "public": wanted.public });
    Ok(answer(
        carried,
        StatusCode::CREATED,
        json!({ "room": room }),
    ))
}

/// Joins a public room, or one that one was invited to.
pub(super) async fn join(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    room: Room,
) -> Answer {
    let entered = enter(&gateway, &signed_in, &room.key()).await?;
    if let Some(member) = entered.member.filter(Membership::is_in) {
        return Ok(Json(json!({ "seq": member.changed_seq.0 })).into_response());
    }
    has_room_for_one_more(&gateway, &signed_in.user).await?;
    let members = entered.room.map_or(0, |room| room.members as usize);
    let max = gateway.limits.members_per_room_max;
    if members >= max {
        let message = format!("a room has at most {max} members");
        return Err(Limit::Members.reached(message).into());
    }
    change(&gateway, &signed_in, &room, MemberChange::Joined).await
}

/// Leaves a room, or declines an invitation; the last owner can't leave.
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

/// Changes a room's settings.
pub(super) async fn alter(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    room: Room,
    Body(settings): Body<Settings>,
) -> Answer {
    let name = settings.name.as_deref().map(shown_name).transpose()?;
    let fields = RoomEvent {
        name: name.map(str::to_owned),
        public: settings.public,
        slow_mode_s: settings.slow_mode_s,
        read_only: settings.read_only,
        ..RoomEvent::default()
    };
    if fields == RoomEvent::default() {
        return Err(Problem::new(
            Code::BadRequest,
            "name one of name, public, read_only and slow_mode_s",
        ));
    }
    if fields.slow_mode_s.is_some_and(|s| s > SLOW_MODE_S_MAX) {
        return Err(Problem::new(
            Code::BadRequest,
            format!("slow_mode_s is 0 to {SLOW_MODE_S_MAX}"),
        ));
    }
    let event = event(&signed_in, &room.0, EventBody::Room(fields));
    let carried = carry_out(&gateway, &signed_in, event).await?;
    let entered = enter(&gateway, &signed_in, &room.key()).await?;
    let room = described(&room.0, &signed_in.user.id, &entered);
    Ok(answer(carried, StatusCode::OK, json!({ "room": room })))
}

/// Deletes a room: its members see that it was, and then it is not found any more. Its log stays as it is.
pub(super) async fn delete(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    room: Room,
) -> Answer {
    let fields = RoomEvent {
        deleted: Some(true),
        ..RoomEvent::default()
    };
    let event = event(&signed_in, &room.0, EventBody::Room(fields));
    let carried = carry_out(&gateway, &signed_in, event).await?;
    Ok(answer(carried, StatusCode::OK, json!({})))
}

/// A room as the caller may see it.
pub(super) async fn show(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    room: Room,
) -> Answer {
    let entered = enter(&gateway, &signed_in, &room.key()).await?;
    let mut shown = described(&room.0, &signed_in.user.id, &entered);
    let totals = gateway.presence.online_totals(&[room.key()]).await;
    if let Some(online) = totals.get(&room.key()) {
        shown["online"] = (*online).into();
    }
    Ok(Json(json!({ "room": shown })).into_response())
}

/// One's own rooms, or all public ones.
pub(super) async fn list(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    Parameters(listing): Parameters<Listing>,
) -> Answer {
    if listing.public {
        return list_public(&gateway, &listing).await;
    }
    let shown = gateway.room_lists.show(signed_in.caller.clone());
    let shown = tokio::time::timeout(LIST_WAIT, shown)
        .await
        .map_err(|_| Problem::new(Code::StoreUnavailable, "the store did not answer"))?;
    let user = &signed_in.user.id;
    let items: Vec<Value> = shown?.iter().map(|item| listed(item, user)).collect();
    Ok(Json(json!({ "items": items })).into_response())
}

/// A room as one's own list shows it, with the numbers of `/user/queue/rooms`.
fn listed(item: &Item, user: &UserId) -> Value {
    let mut listed = json!({
        "id": item.key.as_str(),
        "name": item.meta.name,
        "kind": item.meta.kind.as_str(),
        "public": item.meta.public,
        "role": item.member.role.as_str(),
        "head": item.head.seq.0,
        "count": item.head.count.0,
        "unread": item.unread,
        "mentions": item.mentions,
        "last": item.last,
    });
    if item.meta.kind == RoomKind::Direct {
        listed["with"] = partner(&item.meta.name, user).into();
    }
    listed
}

async fn list_public(gateway: &Gateway, listing: &Listing) -> Answer {
    let after = listing.after.as_deref().map(RoomId::parse).transpose();
    let after = after.map_err(|error| Problem::new(Code::BadRequest, error.to_string()))?;
    let page = gateway
        .source
        .store
        .public_rooms(after.as_ref(), page_size(listing.limit)?)
        .await
        .map_err(|error| Problem::store(&error))?;
    let items: Vec<Value> = page
        .rooms
        .iter()
        .map(|room| json!({ "id": room.room.as_str(), "name": room.name, "kind": room.kind.as_str(), "public": true }))
        .collect();
    Ok(
        Json(json!({ "items": items, "next": page.next.as_ref().map(RoomId::as_str) }))
            .into_response(),
    )
}

async fn enter(gateway: &Gateway, signed_in: &SignedIn, key: &RoomKey) -> Result<Entered, Refusal> {
    gateway
        .hub
        .enter(key, &signed_in.caller, Purpose::FIND, None)
        .await
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
    Ok(answer(carried, StatusCode::OK, json!({})))
}

/// An event of the caller's.
pub(super) fn event(signed_in: &SignedIn, room: &RoomId, body: EventBody) -> Event {
    Event {
        key: room.into(),
        id: fresh_id(),
        sender: signed_in.user.sender(),
        body,
        headers: Vec::new(),
    }
}

/// Changes a room or somebody's standing in it, if the caller may.
pub(super) async fn carry_out(
    gateway: &Gateway,
    signed_in: &SignedIn,
    event: Event,
) -> Result<Carried, Problem> {
    let record = Record::of(&event, &gateway.origin, None);
    let purpose = Purpose::Change(Box::new(event));
    Ok(gateway
        .carry_out(&signed_in.caller, purpose, record)
        .await?)
}

/// A name people can see.
fn shown_name(name: &str) -> Result<&str, Problem> {
    let name = name.trim();
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Problem::new(
            Code::BadRequest,
            "a room's name has 1 to 128 bytes and can be seen",
        ));
    }
    Ok(name)
}

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

/// The answer of a command: with its seq once it came back, 202 before that.
pub(super) fn answer(carried: Carried, done: StatusCode, mut body: Value) -> Response {
    let status = match carried {
        Carried::Out(echo, _) => {
            body["seq"] = echo.seq.0.into();
            done
        }
        Carried::Accepted(_) => StatusCode::ACCEPTED,
    };
    (status, Json(body)).into_response()
}

pub(super) fn described(id: &RoomId, me: &UserId, entered: &Entered) -> Value {
    let mut room = json!({ "id": id.as_str(), "head": entered.head.0, "count": entered.count.0 });
    if let Some(meta) = &entered.room {
        room["name"] = meta.name.as_str().into();
        if meta.kind == RoomKind::Direct {
            room["with"] = partner(&meta.name, me).into();
        }
        room["kind"] = meta.kind.as_str().into();
        room["public"] = meta.public.into();
        room["slow_mode_s"] = meta.slow_mode_s.into();
        room["read_only"] = meta.read_only.into();
        room["members"] = meta.members.into();
        room["created_by"] = meta.created_by.as_str().into();
    }
    if let Some(member) = entered.member.filter(Membership::is_in) {
        room["role"] = member.role.as_str().into();
        room["muted"] = member.muted.into();
    }
    room
}

pub(super) fn page_size(limit: Option<u16>) -> Result<u16, Problem> {
    let limit = limit.unwrap_or(PAGE_DEFAULT);
    if (1..=PAGE_MAX).contains(&limit) {
        Ok(limit)
    } else {
        Err(Problem::new(
            Code::BadRequest,
            format!("limit is 1 to {PAGE_MAX}"),
        ))
    }
}
