//! Messages: posting, read marks, and the way of a recent one.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse as _,
};
use roomlog_core::{
    code::Code,
    event::Event,
    ids::{MessageId, RoomKey, Seq},
    session::Verb,
};
use roomlog_schemas::json as body;

use super::{
    openapi::{BODY, COMMAND, IdempotencyKey, MEMBERS, SIGNED_IN, SPEAK, refusals},
    problem::{Answer, Problem},
    request::{Raw, Room, Sender, SignedIn},
    shape::{Draft as DraftShape, Marked, Read, Sent, Traced},
};
use crate::{
    amending::purpose_of,
    gateway::{Carried, Gateway},
    hub::{Purpose, find_recent, stored_ms},
    publish::{Draft, Record},
};

/// How long a message may take to come back before it is looked for among those posted before.
const RETRY_LOOK_AFTER: Duration = Duration::from_millis(200);

/// Posts a message.
#[utoipa::path(
    post, path = "/rooms/{id}/messages", tag = "messages", operation_id = "postMessage", params(Room, IdempotencyKey),
    request_body(content((DraftShape = "application/json"), (String = "text/plain"))),
    responses(
        (status = 201, body = Sent, description = "Everybody can see it; a retry answers with the first one's seq."),
        (status = 202, body = Sent, description = "The log has it."),
    ),
    extensions(("x-refusals" = json!(refusals(&[
        SIGNED_IN, BODY, MEMBERS, SPEAK, COMMAND, &[Code::IdMismatch, Code::SlowMode],
    ])))),
)]
pub(super) async fn post(
    State(gateway): State<Arc<Gateway>>,
    Sender(signed_in): Sender,
    room: Room,
    headers: HeaderMap,
    Raw(bytes): Raw,
) -> Answer {
    let id = idempotency_key(&headers)?;
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let draft = Draft {
        room: &room.0,
        verb: Verb::Post,
        id: id.clone(),
        content_type,
        headers: Vec::new(),
        body: &bytes,
    };
    let mut event = draft.event(signed_in.user.sender(), &gateway.limits)?;
    signed_in.pace(&gateway, &event).await?;
    gateway.attach(&mut event).await?;
    let traceparent = headers.get("traceparent");
    let traceparent = traceparent.and_then(|value| value.to_str().ok());
    let record = Record::of(&event, &gateway.origin, traceparent);
    let posted = async {
        let purpose = purpose_of(&gateway, &signed_in.caller, &event).await?;
        gateway.carry_out(&signed_in.caller, purpose, record).await
    };
    let first = first_seq(&gateway, &signed_in, &event, id.is_some());
    let (status, seq, place) = tokio::select! {
        biased;
        carried = posted => match carried? {
            Carried::Out(echo, place) => (StatusCode::CREATED, Some(echo.seq), Some(place)),
            Carried::Accepted(place) => (StatusCode::ACCEPTED, None, Some(place)),
        },
        seq = first => (StatusCode::CREATED, Some(seq), None),
    };
    let answer = Sent {
        partition: place.map(|place| place.partition),
        offset: place.map(|place| place.offset),
        ..Sent::new(&event.id, seq.map(|seq| seq.0))
    };
    Ok((status, Json(answer)).into_response())
}

/// The seq a message got when it was posted before, by whatever gateway. Never ends for one that is new.
async fn first_seq(
    gateway: &Gateway,
    signed_in: &SignedIn,
    event: &Event,
    may_be_retry: bool,
) -> Seq {
    if may_be_retry {
        // A message that is new comes back by itself, and sooner.
        tokio::time::sleep(RETRY_LOOK_AFTER).await;
        let entered = gateway
            .hub
            .enter(&event.key, &signed_in.caller, Purpose::POST, None);
        if let Ok(entered) = entered.await {
            let name = (event.sender.id.as_str(), event.id.as_str());
            let found = find_recent(&gateway.source, &event.key, entered.head, name);
            if let Some(seq) = found.await {
                return seq;
            }
        }
    }
    std::future::pending().await
}

/// The id a client gave its request.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<MessageId>, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let id = value.to_str().ok().and_then(|id| MessageId::parse(id).ok());
    id.map(Some).ok_or_else(|| {
        Problem::new(
            Code::BadRequest,
            "Idempotency-Key is 1 to 64 visible ASCII characters",
        )
    })
}

/// Marks the room read up to a seq.
#[utoipa::path(
    post, path = "/rooms/{id}/read", tag = "messages", operation_id = "markRead", params(Room), request_body = Read,
    responses((status = 200, body = Marked, description = "The position after it.")),
    extensions(("x-refusals" = json!(refusals(&[
        SIGNED_IN, BODY, MEMBERS, &[Code::LogUnavailable, Code::Internal],
    ])))),
)]
pub(super) async fn read(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    room: Room,
    Raw(bytes): Raw,
) -> Answer {
    let seq = body::parse_read(&bytes)?;
    let seq = gateway
        .mark_read(&signed_in.caller, &room.key(), seq)
        .await?;
    Ok(Json(Marked { seq: seq.0 }).into_response())
}

/// When a recent message of one's own passed each station.
#[utoipa::path(
    get, path = "/trace/{id}", tag = "messages", operation_id = "traceMessage",
    params(("id" = String, Path, description = "The message's id.")),
    responses((status = 200, body = Traced, description = "What this gateway remembers of it.")),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, &[Code::NotFound]])))),
)]
pub(super) async fn trace(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Answer {
    let unknown = || Problem::new(Code::NotFound, "this gateway remembers no such message");
    let trace = gateway.source.traces.of(&id).ok_or_else(unknown)?;
    if trace.sender != signed_in.user.id && !signed_in.identity.is_admin {
        return Err(unknown());
    }
    let persisted_ms = match (trace.seq, RoomKey::parse(&trace.room)) {
        (Some(seq), Ok(key)) => stored_ms(&gateway.source, &key, Seq(seq)).await,
        _ => None,
    };
    Ok(Json(Traced {
        trace,
        persisted_ms,
    })
    .into_response())
}
