//! Changing messages: edit, delete, react. Each is an event that answers with its seq once everybody sees it.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use roomlog_core::event::{Body, Event};
use roomlog_schemas::json as body;
use serde_json::json;

use super::{
    messages::idempotency_key,
    problem::Answer,
    request::{Message, Raw, Sender, SignedIn},
    rooms::answer,
};
use crate::{
    amending::purpose_of,
    gateway::Gateway,
    publish::{Record, fresh_id},
};

/// Replaces a message's text.
pub(super) async fn edit(
    State(gateway): State<Arc<Gateway>>,
    Sender(signed_in): Sender,
    message: Message,
    headers: HeaderMap,
    Raw(bytes): Raw,
) -> Answer {
    let edit = Body::Edit {
        target: message.seq,
        text: body::parse_text(&bytes, &gateway.limits)?,
    };
    change(&gateway, &signed_in, &message, &headers, edit).await
}

/// Takes a message back.
pub(super) async fn delete(
    State(gateway): State<Arc<Gateway>>,
    Sender(signed_in): Sender,
    message: Message,
    headers: HeaderMap,
) -> Answer {
    let target = message.seq;
    let delete = Body::Delete { target };
    change(&gateway, &signed_in, &message, &headers, delete).await
}

/// Sets a reaction of one's own.
pub(super) async fn react(
    State(gateway): State<Arc<Gateway>>,
    Sender(signed_in): Sender,
    message: Message,
    headers: HeaderMap,
) -> Answer {
    let reaction = Body::Reaction {
        target: message.seq,
        emoji: body::checked_emoji(message.emoji.clone())?,
        on: true,
    };
    change(&gateway, &signed_in, &message, &headers, reaction).await
}

/// Withdraws it.
pub(super) async fn unreact(
    State(gateway): State<Arc<Gateway>>,
    Sender(signed_in): Sender,
    message: Message,
    headers: HeaderMap,
) -> Answer {
    let reaction = Body::Reaction {
        target: message.seq,
        emoji: body::checked_emoji(message.emoji.clone())?,
        on: false,
    };
    change(&gateway, &signed_in, &message, &headers, reaction).await
}

async fn change(
    gateway: &Gateway,
    signed_in: &SignedIn,
    message: &Message,
    headers: &HeaderMap,
    body: Body,
) -> Answer {
    let event = Event {
        key: (&message.room).into(),
        id: idempotency_key(headers)?.unwrap_or_else(fresh_id),
        sender: signed_in.user.sender(),
        body,
        headers: Vec::new(),
    };
    signed_in.pace(&event)?;
    let purpose = purpose_of(gateway, &signed_in.caller, &event).await?;
    let record = Record::of(&event, &gateway.origin, None);
    let carried = gateway
        .carry_out(&signed_in.caller, purpose, record)
        .await?;
    Ok(answer(
        carried,
        StatusCode::OK,
        json!({ "id": event.id.as_str() }),
    ))
}
