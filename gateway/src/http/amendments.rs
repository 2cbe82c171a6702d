//! Changing messages: edit, delete, react. Each is an event that answers with its seq once everybody sees it.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use roomlog_core::{
    code::Code,
    event::{Body, Event},
};
use roomlog_schemas::json as body;

use super::{
    messages::idempotency_key,
    openapi::{BODY, COMMAND, IdempotencyKey, MEMBERS, SIGNED_IN, SPEAK, refusals},
    problem::Answer,
    request::{Message, Raw, Sender, SignedIn},
    rooms::answer,
    shape::{Edit, Sent},
};
use crate::{
    amending::purpose_of,
    gateway::Gateway,
    publish::{Record, fresh_id},
};

/// Replaces a message's text.
#[utoipa::path(
    patch, path = "/rooms/{id}/messages/{seq}", tag = "messages", operation_id = "editMessage",
    params(Message, IdempotencyKey), request_body = Edit,
    responses(
        (status = 200, body = Sent, description = "Everybody can see it."),
        (status = 202, body = Sent, description = "The log has it."),
    ),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, BODY, MEMBERS, SPEAK, COMMAND, &[Code::Forbidden]])))),
)]
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
#[utoipa::path(
    delete, path = "/rooms/{id}/messages/{seq}", tag = "messages", operation_id = "deleteMessage",
    params(Message, IdempotencyKey),
    responses(
        (status = 200, body = Sent, description = "Everybody can see it."),
        (status = 202, body = Sent, description = "The log has it."),
    ),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, BODY, MEMBERS, SPEAK, COMMAND, &[Code::Forbidden]])))),
)]
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
#[utoipa::path(
    put, path = "/rooms/{id}/messages/{seq}/reactions/{emoji}", tag = "messages", operation_id = "addReaction",
    params(Message, ("emoji" = String, Path, description = "One emoji, or any text of up to 64 bytes.", min_length = 1, max_length = 64), IdempotencyKey),
    responses(
        (status = 200, body = Sent, description = "Everybody can see it."),
        (status = 202, body = Sent, description = "The log has it."),
    ),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, BODY, MEMBERS, SPEAK, COMMAND, &[Code::Forbidden]])))),
)]
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
#[utoipa::path(
    delete, path = "/rooms/{id}/messages/{seq}/reactions/{emoji}", tag = "messages", operation_id = "removeReaction",
    params(Message, ("emoji" = String, Path, description = "One emoji, or any text of up to 64 bytes.", min_length = 1, max_length = 64), IdempotencyKey),
    responses(
        (status = 200, body = Sent, description = "Everybody can see it."),
        (status = 202, body = Sent, description = "The log has it."),
    ),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, BODY, MEMBERS, SPEAK, COMMAND, &[Code::Forbidden]])))),
)]
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
        by_admin: false,
    };
    signed_in.pace(gateway, &event).await?;
    let purpose = purpose_of(gateway, &signed_in.caller, &event).await?;
    let record = Record::of(&event, &gateway.origin, None);
    let carried = gateway
        .carry_out(&signed_in.caller, purpose, record)
        .await?;
    Ok(answer(carried, StatusCode::OK, |seq| {
        Sent::new(&event.id, seq)
    }))
}
