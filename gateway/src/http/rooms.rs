//! Rooms: making, finding and deleting them, and how commands about them are carried out and answered.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use roomlog_core::{
    code::{Code, Refusal},
    event::{Body as EventBody, Event, RoomEvent, RoomKind},
    ids::{RoomId, RoomKey},
    room_state::Membership,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    joining::has_room_for_one_more,
    openapi::{BODY, COMMAND, FIND, MEMBERS, SIGNED_IN, id as any_id, made_kind, refusals},
    problem::{Answer, Problem},
    request::{Body, Parameters, Room, SignedIn},
    settings::shown_name,
    shape::{Done, RoomAnswer, RoomFound, RoomListed, RoomMade, RoomShown, Rooms},
};
use crate::{
    gateway::{Carried, Gateway},
    hub::{Caller, Entered, Purpose},
    publish::{Record, fresh_id},
    room_list::Item,
};

/// Entries of a page, where the client names no number and at most.
const PAGE_DEFAULT: u16 = 50;
const PAGE_MAX: u16 = 200;

/// How long a user's list may take to be read.
const LIST_WAIT: Duration = Duration::from_secs(5);

/// A room to be made.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewRoom {
    /// Chosen by the server where it is left out. Those of direct rooms begin with `dm-` and can't be chosen.
    #[schema(schema_with = any_id, required = false)]
    id: Option<String>,
    /// Up to 128 bytes that can be seen.
    #[schema(min_length = 1, max_length = 128)]
    name: String,
    /// `group` where it is left out.
    #[serde(default)]
    #[schema(schema_with = made_kind, required = false)]
    kind: Option<String>,
    /// Whether anybody signed in may find and join it.
    #[serde(default)]
    public: bool,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Listing {
    /// All public rooms instead of one's own.
    #[serde(default)]
    public: bool,
    /// Of the public ones, those after this id.
    #[param(schema_with = any_id, required = false)]
    after: Option<String>,
    /// Entries of a page of the public ones; 50 where it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
}

/// Makes a room; its maker is its owner.
#[utoipa::path(
    post, path = "/rooms", tag = "rooms", operation_id = "createRoom", request_body = NewRoom,
    responses(
        (status = 201, body = RoomMade, description = "Everybody can see it."),
        (status = 202, body = RoomMade, description = "It is in the log."),
    ),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, BODY, COMMAND, &[Code::TooMany]])))),
)]
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
    let room = RoomFound::new(&id, name, kind, wanted.public);
    Ok(answer(carried, StatusCode::CREATED, |seq| RoomMade {
        room,
        seq,
    }))
}

/// Deletes a room: its members see that it was, and then it is not found any more. Its log stays as it is.
#[utoipa::path(
    delete, path = "/rooms/{id}", tag = "rooms", operation_id = "deleteRoom", params(Room),
    responses(
        (status = 200, body = Done, description = "It is not found any more."),
        (status = 202, body = Done, description = "The log has it."),
    ),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, MEMBERS, COMMAND, &[Code::Forbidden]])))),
)]
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
    Ok(answer(carried, StatusCode::OK, |seq| Done { seq }))
}

/// A room as the caller may see it.
#[utoipa::path(
    get, path = "/rooms/{id}", tag = "rooms", operation_id = "getRoom", params(Room),
    responses((status = 200, body = RoomAnswer, description = "The room.")),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, FIND])))),
)]
pub(super) async fn show(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    room: Room,
) -> Answer {
    let entered = enter(&gateway, &signed_in, &room.key()).await?;
    let mut shown = described(&room.0, &signed_in.caller, &entered);
    let totals = gateway.presence.online_totals(&[room.key()]).await;
    shown.online = totals.get(&room.key()).copied();
    let answer = RoomAnswer {
        room: shown,
        seq: None,
    };
    Ok(Json(answer).into_response())
}

/// One's own rooms, or all public ones.
#[utoipa::path(
    get, path = "/rooms", tag = "rooms", operation_id = "listRooms", params(Listing),
    responses((status = 200, body = Rooms, description = "The rooms.")),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, &[Code::BadRequest, Code::Overloaded, Code::Draining]])))),
)]
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
    let items = shown?.iter().map(listed).collect();
    Ok(Json(Rooms::Own { items }).into_response())
}

/// A room as one's own list shows it, with the numbers of `/user/queue/rooms`.
fn listed(item: &Item) -> RoomListed {
    RoomListed {
        id: item.key.as_str().to_owned(),
        name: item.meta.name.clone(),
        kind: item.meta.kind.as_str(),
        public: item.meta.public,
        with: item.with.clone(),
        role: item.member.role.as_str(),
        head: item.head.seq.0,
        count: item.head.count.0,
        unread: item.unread,
        mentions: item.mentions,
        active_at: item.active_at_ms,
        last: item.last.clone(),
    }
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
    let found = page.rooms.iter();
    let items = found.map(|room| RoomFound::new(&room.room, &room.name, room.kind, true));
    let answer = Rooms::Public {
        items: items.collect(),
        next: page.next.map(|next| next.as_str().to_owned()),
    };
    Ok(Json(answer).into_response())
}

/// A room, if the caller may find it.
pub(super) async fn enter(
    gateway: &Gateway,
    signed_in: &SignedIn,
    key: &RoomKey,
) -> Result<Entered, Refusal> {
    gateway
        .hub
        .enter(key, &signed_in.caller, Purpose::FIND, None)
        .await
}

/// An event of the caller's.
pub(super) fn event(signed_in: &SignedIn, room: &RoomId, body: EventBody) -> Event {
    Event {
        key: room.into(),
        id: fresh_id(),
        sender: signed_in.user.sender(),
        body,
        headers: Vec::new(),
        by_admin: false,
    }
}

/// Changes a room or somebody's standing in it, if the caller may.
pub(super) async fn carry_out(
    gateway: &Gateway,
    signed_in: &SignedIn,
    mut event: Event,
) -> Result<Carried, Problem> {
    // Everyone judges it by the log alone, which knows no global roles but this.
    event.by_admin = signed_in.caller.is_admin;
    let record = Record::of(&event, &gateway.origin, None);
    let purpose = Purpose::Change(Box::new(event));
    Ok(gateway
        .carry_out(&signed_in.caller, purpose, record)
        .await?)
}

/// The answer of a command: with its seq once it came back, 202 before that.
pub(super) fn answer<T: Serialize>(
    carried: Carried,
    done: StatusCode,
    body: impl FnOnce(Option<u64>) -> T,
) -> Response {
    let (status, seq) = match carried {
        Carried::Out(echo, _) => (done, Some(echo.seq.0)),
        Carried::Accepted(_) => (StatusCode::ACCEPTED, None),
    };
    (status, Json(body(seq))).into_response()
}

pub(super) fn described(id: &RoomId, caller: &Caller, entered: &Entered) -> RoomShown {
    let (me, meta) = (&caller.user, entered.room.as_ref());
    let member = entered.member.filter(Membership::is_in);
    RoomShown {
        id: id.as_str().to_owned(),
        head: entered.head.0,
        count: entered.count.0,
        name: meta.map(|meta| meta.name.clone()),
        with: meta.and_then(|meta| meta.partner(me)).map(str::to_owned),
        kind: meta.map(|meta| meta.kind.as_str()),
        public: meta.map(|meta| meta.public),
        slow_mode_s: meta.map(|meta| meta.slow_mode_s),
        read_only: meta.map(|meta| meta.read_only),
        pinned: meta
            .filter(|_| member.is_some() || caller.is_admin)
            .map(|meta| meta.pinned.iter().map(|seq| seq.0).collect()),
        members: meta.map(|meta| meta.members.into()),
        created_by: meta.map(|meta| meta.created_by.as_str().to_owned()),
        role: member.map(|member| member.role.as_str()),
        muted: member.map(|member| member.muted),
        online: None,
    }
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
