//! Notices: what a room's moderators put up for everyone to see.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use roomlog_core::{code::Code, event::Body as EventBody, limits::Limits};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    messages::idempotency_key,
    openapi::{BODY, COMMAND, IdempotencyKey, MEMBERS, SIGNED_IN, SPEAK, refusals},
    problem::{Answer, Problem},
    request::{Body, Room, Sender},
    rooms::{answer, event},
    shape::Sent,
};
use crate::{gateway::Gateway, hub::Purpose, publish::Record};

/// A notice to be put up.
#[derive(Deserialize, ToSchema)]
pub(super) struct Notice {
    #[schema(min_length = 1)]
    text: String,
    /// Whether it stays on top of the room.
    #[serde(default)]
    pinned: bool,
}

/// Refuses what is no text of a notice.
pub(super) fn checked_text(text: &str, limits: &Limits) -> Result<(), Problem> {
    if text.trim().is_empty() {
        return Err(Problem::new(Code::BadRequest, "a notice has a text"));
    }
    let max = limits.text_bytes_max;
    if text.len() > max {
        let message = format!("a text has at most {max} bytes");
        return Err(Problem::new(Code::TooLarge, message));
    }
    Ok(())
}

/// Puts up a notice in a room.
#[utoipa::path(
    post, path = "/rooms/{id}/notices", tag = "messages", operation_id = "postNotice", params(Room, IdempotencyKey),
    request_body = Notice,
    responses(
        (status = 201, body = Sent, description = "Everybody can see it."),
        (status = 202, body = Sent, description = "The log has it."),
    ),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, BODY, MEMBERS, SPEAK, COMMAND, &[Code::Forbidden]])))),
)]
pub(super) async fn post(
    State(gateway): State<Arc<Gateway>>,
    Sender(signed_in): Sender,
    room: Room,
    headers: HeaderMap,
    Body(notice): Body<Notice>,
) -> Answer {
    checked_text(&notice.text, &gateway.limits)?;
    let body = EventBody::Notice {
        text: notice.text,
        pinned: notice.pinned,
    };
    let mut event = event(&signed_in, &room.0, body);
    if let Some(id) = idempotency_key(&headers)? {
        event.id = id;
    }
    signed_in.pace(&gateway, &event).await?;
    let record = Record::of(&event, &gateway.origin, None);
    let carried = gateway
        .carry_out(&signed_in.caller, Purpose::NOTICE, record)
        .await?;
    Ok(answer(carried, StatusCode::CREATED, |seq| {
        Sent::new(&event.id, seq)
    }))
}
