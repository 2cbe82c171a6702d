//! Notices: what a room's moderators put up for everyone to see.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::IntoResponse as _,
};
use roomlog_core::{code::Code, event::Body as EventBody, ids::MessageId};
use serde::Deserialize;
use serde_json::json;

use super::{
    problem::{Answer, Problem},
    request::{Body, Room, Sender},
    rooms::event,
};
use crate::{
    gateway::{Carried, Gateway},
    hub::Purpose,
    publish::Record,
};

#[derive(Deserialize)]
pub(super) struct Notice {
    text: String,
    /// Whether it stays on top of the room.
    #[serde(default)]
    pinned: bool,
}

/// Puts up a notice in a room.
pub(super) async fn post(
    State(gateway): State<Arc<Gateway>>,
    Sender(signed_in): Sender,
    room: Room,
    headers: HeaderMap,
    Body(notice): Body<Notice>,
) -> Answer {
    if notice.text.trim().is_empty() {
        return Err(Problem::new(Code::BadRequest, "a notice has a text"));
    }
    let max = gateway.limits.text_bytes_max;
    if notice.text.len() > max {
        return Err(Problem::new(
            Code::TooLarge,
            format!("a text has at most {max} bytes"),
        ));
    }
    let body = EventBody::Notice {
        text: notice.text,
        pinned: notice.pinned,
    };
    let mut event = event(&signed_in, &room.0, body);
    if let Some(key) = headers.get("idempotency-key") {
        let id = key.to_str().ok().and_then(|id| MessageId::parse(id).ok());
        event.id = id.ok_or_else(|| {
            Problem::new(
                Code::BadRequest,
                "Idempotency-Key is 1 to 64 visible ASCII characters",
            )
        })?;
    }
    signed_in.pace(&event)?;
    let record = Record::of(&event, &gateway.origin, None);
    let carried = gateway
        .carry_out(&signed_in.caller, Purpose::NOTICE, record)
        .await?;
    let mut answer = json!({ "id": event.id.as_str() });
    let status = match carried {
        Carried::Out(echo, _) => {
            answer["seq"] = echo.seq.0.into();
            StatusCode::CREATED
        }
        Carried::Accepted(_) => StatusCode::ACCEPTED,
    };
    Ok((status, Json(answer)).into_response())
}
