//! A room's settings: what its moderators and owners change about it.

use std::{collections::BTreeSet, sync::Arc};

use axum::{extract::State, http::StatusCode};
use roomlog_core::{
    code::{Code, Refusal},
    event::{Body as EventBody, RoomEvent},
    ids::{RoomKey, Seq},
    permission::Action,
    room_state::PINS_MAX,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    openapi::{BODY, COMMAND, MEMBERS, SIGNED_IN, refusals},
    problem::{Answer, Problem},
    request::{Body, Room, SignedIn},
    rooms::{answer, carry_out, described, enter, event},
    shape::RoomAnswer,
};
use crate::{
    gateway::Gateway,
    hub::{Caller, Purpose, page_to_show},
};

/// Bytes of a room's name.
const NAME_BYTES_MAX: usize = 128;
/// The longest slow mode: a day.
const SLOW_MODE_S_MAX: u32 = 86_400;

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
    let room = described(&room.0, &signed_in.caller, &entered);
    Ok(answer(carried, StatusCode::OK, |seq| RoomAnswer {
        room,
        seq,
    }))
}

/// A name people can see.
pub(super) fn shown_name(name: &str) -> Result<&str, Problem> {
    let name = name.trim();
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Problem::new(
            Code::BadRequest,
            "a room's name has 1 to 128 bytes and can be seen",
        ));
    }
    Ok(name)
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
