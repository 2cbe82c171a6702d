//! Rooms: making, finding, joining and leaving them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use roomlog_core::{
    code::{Code, Refusal},
    event::{Body as EventBody, Event, MemberChange, RoomEvent, RoomKind},
    ids::{RoomId, RoomKey, Seq, UserId},
    permission::{self, Action},
    room_state::{MemberState, Membership, PINS_MAX},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    members::change_member,
    openapi::{BODY, COMMAND, FIND, MEMBERS, SIGNED_IN, id as any_id, made_kind, refusals},
    problem::{Answer, Problem},
    request::{Body, Parameters, Room, SignedIn},
    shape::{Done, RoomAnswer, RoomFound, RoomListed, RoomMade, RoomShown, Rooms},
};
use crate::{
    gateway::{Carried, Gateway},
    hub::{Caller, Entered, Purpose, page_to_show},
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

/// What is to change about a room; one of them at least.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(min_properties = 1)]
pub(super) struct Settings {
    #[schema(min_length = 1, max_length = 128)]
    name: Option<String>,
    /// Whether anybody signed in may find and join it.
    public: Option<bool>,
    /// Whether only moderators and owners post.
    read_only: Option<bool>,
    /// Least seconds between two messages of one member; 0 is none.
    #[schema(maximum = 86_400)]
    slow_mode_s: Option<u32>,
    /// The seqs of all messages and notices that are to be on top of the room, in this order, each once;
    /// at most 32.
    #[schema(nullable = false)]
    pinned: Option<Vec<u64>>,
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
    if let Some(member) = entered.member.filter(Membership::is_in) {
        let seq = Some(member.changed_seq.0);
        return Ok(Json(Done { seq }).into_response());
    }
    has_room_for_one_more(&gateway, &signed_in.user).await?;
    has_place(&gateway, &entered)?;
    change(&gateway, &signed_in, &room, MemberChange::Joined).await
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

/// Changes a room's settings.
#[utoipa::path(
    patch, path = "/rooms/{id}", tag = "rooms", operation_id = "changeRoom", params(Room), request_body = Settings,
    responses(
        (status = 200, body = RoomAnswer, description = "The room as it is now."),
        (status = 202, body = RoomAnswer, description = "The log has it; the room as it was."),
    ),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, BODY, MEMBERS, COMMAND, &[Code::Forbidden]])))),
)]
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
        pinned: settings.pinned.as_deref().map(pins).transpose()?,
        ..RoomEvent::default()
    };
    if fields == RoomEvent::default() {
        return Err(Problem::new(
            Code::BadRequest,
            "name one of name, public, read_only, slow_mode_s and pinned",
        ));
    }
    if fields.slow_mode_s.is_some_and(|s| s > SLOW_MODE_S_MAX) {
        return Err(Problem::new(
            Code::BadRequest,
            format!("slow_mode_s is 0 to {SLOW_MODE_S_MAX}"),
        ));
    }
    if let Some(pinned) = &fields.pinned {
        can_be_pinned(&gateway, &signed_in.caller, &room.key(), pinned).await?;
    }
    let event = event(&signed_in, &room.0, EventBody::Room(fields));
    let carried = carry_out(&gateway, &signed_in, event).await?;
    let entered = enter(&gateway, &signed_in, &room.key()).await?;
    let room = described(&room.0, &signed_in.user.id, &entered);
    Ok(answer(carried, StatusCode::OK, |seq| RoomAnswer {
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
    let mut shown = described(&room.0, &signed_in.user.id, &entered);
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
    Ok(answer(carried, StatusCode::OK, |seq| Done { seq }))
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

/// What is to be pinned, each once.
fn pins(seqs: &[u64]) -> Result<Vec<Seq>, Problem> {
    let distinct: BTreeSet<u64> = seqs.iter().copied().collect();
    if distinct.len() < seqs.len() || seqs.len() > PINS_MAX || distinct.contains(&0) {
        return Err(Problem::new(
            Code::BadRequest,
            format!("pinned names at most {PINS_MAX} messages, each once"),
        ));
    }
    Ok(seqs.iter().copied().map(Seq).collect())
}

/// Refuses to pin what is no message and no notice. What is pinned already stays without a look.
async fn can_be_pinned(
    gateway: &Gateway,
    caller: &Caller,
    key: &RoomKey,
    pinned: &[Seq],
) -> Result<(), Problem> {
    let entered = gateway
        .hub
        .enter(key, caller, Purpose::May(Action::Pin), None)
        .await?;
    let known = entered.room.map(|room| room.pinned).unwrap_or_default();
    for seq in pinned.iter().filter(|seq| !known.contains(seq)) {
        if *seq > entered.head {
            return Err(no_such_message(*seq));
        }
        let found = page_to_show(&gateway.source, key, *seq, *seq).await;
        let found = found.and_then(|events| events.into_iter().next());
        let found = found.ok_or_else(|| {
            Refusal::retry_after(Code::StoreUnavailable, "the store did not answer", 1_000)
        })?;
        if !found.stored.kind.counts() {
            return Err(no_such_message(*seq));
        }
    }
    Ok(())
}

fn no_such_message(seq: Seq) -> Problem {
    Problem::new(
        Code::BadRequest,
        format!("pinned: {seq} is no message or notice of this room"),
    )
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

pub(super) fn described(id: &RoomId, me: &UserId, entered: &Entered) -> RoomShown {
    let meta = entered.room.as_ref();
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
            .filter(|_| member.is_some())
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
