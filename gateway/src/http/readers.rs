//! Who has read a message.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse as _};
use roomlog_core::{
    code::Code,
    ids::{RoomKey, Seq},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    members::people,
    openapi::{MEMBERS, SIGNED_IN, refusals},
    problem::{Answer, Problem},
    request::{Message, Parameters, SignedIn},
    rooms::page_size,
    shape::Person,
};
use crate::{gateway::Gateway, hub::Purpose};

/// Which part of the readers: those after so many, and how many of them.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// Those after so many; `next` of the part before.
    after: Option<u64>,
    /// 50 where it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
}

/// A part of those who have read a message.
#[derive(Serialize, ToSchema)]
pub(super) struct Readers {
    /// The furthest first.
    items: Vec<Reader>,
    /// All of them.
    total: u64,
    /// Where the next part begins, if there is one.
    next: Option<u64>,
}

/// Somebody who has read it.
#[derive(Serialize, ToSchema)]
pub(super) struct Reader {
    user: Person,
    /// Up to where they have read.
    read_seq: u64,
}

/// The members whose position is at or past a message, the furthest first.
#[utoipa::path(
    get, path = "/rooms/{id}/messages/{seq}/readers", tag = "messages", operation_id = "listReaders",
    params(Message, Page),
    responses((status = 200, body = Readers, description = "A part of those who have read it.")),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, MEMBERS, &[Code::BadRequest]])))),
)]
pub(super) async fn list(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    message: Message,
    Parameters(page): Parameters<Page>,
) -> Answer {
    let (limit, skipped) = (page_size(page.limit)?, page.after.unwrap_or_default());
    let key = RoomKey::from(&message.room);
    let entered = gateway
        .hub
        .enter(&key, &signed_in.caller, Purpose::READ, None)
        .await?;
    if message.seq == Seq::ZERO || message.seq > entered.head {
        return Err(Problem::new(Code::NotFound, "there is no such message"));
    }
    let part = (skipped, u64::from(limit));
    let found = gateway.source.readers.page(&key, message.seq, part).await;
    let found = found.ok_or_else(|| {
        Problem::new(
            Code::StoreUnavailable,
            "who has read it is not known at the moment",
        )
    })?;
    let ids = found.readers.iter().map(|(user, _)| user.clone()).collect();
    let people = people(&gateway, ids).await?;
    let readers = found.readers.iter().zip(people);
    let items: Vec<Reader> = readers
        .map(|((_, seq), user)| Reader {
            user,
            read_seq: seq.0,
        })
        .collect();
    let end = skipped + items.len() as u64;
    let readers = Readers {
        next: (end < found.total && !items.is_empty()).then_some(end),
        total: found.total,
        items,
    };
    Ok(Json(readers).into_response())
}
