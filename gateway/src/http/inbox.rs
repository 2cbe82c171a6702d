//! The inbox over REST.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse as _,
};
use roomlog_core::{
    code::{Code, Refusal},
    ids::{RoomKey, Seq},
};
use roomlog_schemas::json as body;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    messages::idempotency_key,
    notices::checked_text,
    openapi::{BODY, IdempotencyKey, SIGNED_IN, refusals},
    problem::{Answer, Problem},
    request::{Body, Parameters, Raw, SignedIn},
};
use crate::{gateway::Gateway, hub::page_to_show, publish::fresh_id};

/// Letters of one page, where nothing else is asked for, and at most.
const PAGE_DEFAULT: u64 = 50;
const PAGE_MAX: u64 = 200;

/// How far an inbox is read.
#[derive(Debug, Serialize, ToSchema)]
struct ReadInbox {
    /// The last letter that is read.
    seq: u64,
    /// Letters that are not.
    unread: u64,
}

/// A page of an inbox.
#[derive(Serialize, ToSchema)]
struct Letters {
    /// Events of type `invitation`, `mention`, `notice` or `friend-request`, ascending by `seq`.
    #[schema(value_type = Vec<Object>)]
    items: Vec<String>,
    /// The last letter there is.
    head: u64,
    /// The last that is read.
    read_seq: u64,
    /// Letters that are not.
    unread: u64,
    /// Whether there are earlier ones.
    has_before: bool,
}

/// What became of a notice to everyone.
#[derive(Debug, Serialize, ToSchema)]
struct Told {
    /// With this as `Idempotency-Key` it can be sent again, and comes once.
    id: String,
}

/// How far one has read.
#[derive(Deserialize, ToSchema)]
#[schema(as = InboxMark)]
#[expect(dead_code, reason = "the shape of what is parsed elsewhere")]
pub(super) struct MarkShape {
    #[schema(minimum = 0)]
    seq: u64,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Window {
    /// What comes before this seq; the newest where it is left out.
    before: Option<u64>,
    /// 50 where it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u64>,
}

/// A notice to everyone.
#[derive(Deserialize, ToSchema)]
#[schema(as = NoticeToAll)]
pub(super) struct Notice {
    #[schema(min_length = 1)]
    text: String,
}

/// A page of one's inbox, ascending, and how much of it is unread.
#[utoipa::path(
    get, path = "/inbox", tag = "inbox", operation_id = "getInbox", params(Window),
    responses((status = 200, body = Letters, description = "The newest, or what comes before.")),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, &[Code::BadRequest, Code::NotFound, Code::Overloaded, Code::Draining]])))),
)]
pub(super) async fn page(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    Parameters(window): Parameters<Window>,
) -> Answer {
    let limit = window.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        let message = format!("limit is 1 to {PAGE_MAX}");
        return Err(Problem::new(Code::BadRequest, message));
    }
    let (head, read) = gateway.inbox(&signed_in.caller).await?;
    let key = RoomKey::inbox(&signed_in.user.id);
    let before = window.before.map_or(head.next(), Seq).min(head.next());
    let from = Seq(before.0.saturating_sub(limit).max(1));
    let mut items = Vec::new();
    let mut next = from;
    while next < before {
        let found = page_to_show(&gateway.source, &key, next, Seq(before.0 - 1)).await;
        let found = found.filter(|found| !found.is_empty()).ok_or_else(|| {
            Refusal::retry_after(Code::StoreUnavailable, "the store did not answer", 1_000)
        })?;
        for decoded in found {
            next = decoded.stored.seq.next();
            items.push(decoded.body(false));
        }
    }
    let answer = format!(
        r#"{{"items":[{}],"head":{head},"read_seq":{read},"unread":{},"has_before":{}}}"#,
        items.join(","),
        head.0 - read.0,
        from > Seq(1),
    );
    let media_type = [(header::CONTENT_TYPE, "application/json")];
    Ok((media_type, answer).into_response())
}

/// Marks the inbox read up to a letter.
#[utoipa::path(
    post, path = "/inbox/read", tag = "inbox", operation_id = "markInbox", request_body = MarkShape,
    responses((status = 200, body = ReadInbox, description = "The position after it.")),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, BODY, &[Code::NotFound, Code::Overloaded, Code::Draining]])))),
)]
pub(super) async fn read(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    Raw(bytes): Raw,
) -> Answer {
    let seq = body::parse_read(&bytes)?;
    let key = RoomKey::inbox(&signed_in.user.id);
    gateway.mark_read(&signed_in.caller, &key, seq).await?;
    let (head, read) = gateway.inbox(&signed_in.caller).await?;
    let (seq, unread) = (read.0, head.0 - read.0);
    Ok(Json(ReadInbox { seq, unread }).into_response())
}

/// Puts a notice into everyone's inbox.
#[utoipa::path(
    post, path = "/notices", tag = "inbox", operation_id = "tellEveryone", params(IdempotencyKey), request_body = Notice,
    responses((status = 202, body = Told, description = "It is on its way, and will not be lost.")),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, BODY, &[Code::Forbidden, Code::Overloaded]])))),
)]
pub(super) async fn tell_all(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    headers: axum::http::HeaderMap,
    Body(notice): Body<Notice>,
) -> Answer {
    if !signed_in.identity.is_admin {
        let message = "only admins have something to say to everyone";
        return Err(Problem::new(Code::Forbidden, message));
    }
    checked_text(&notice.text, &gateway.limits)?;
    let id = idempotency_key(&headers)?.unwrap_or_else(fresh_id);
    let id = id.as_str().to_owned();
    let sender = signed_in.user.sender();
    gateway.tell_everyone(sender, notice.text, &id).await?;
    Ok((StatusCode::ACCEPTED, Json(Told { id })).into_response())
}
