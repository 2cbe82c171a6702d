//! Pages of the history: messages as they are now, stored or not.
//!
//! A page ends at the head its request saw, so what happens meanwhile moves no page. A message of any age can be edited,
//! deleted and reacted to, so a page of now may be kept by its reader and must be asked for again each time; an `ETag`
//! makes the answer short where nothing changed.
//!
//! A page as of an earlier head is closed, as long as nothing became of its messages since: it never changes, and may be
//! kept without asking. Where something did, the page of now is the answer, and nothing deleted is shown again.

mod search;

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use roomlog_core::{
    code::Code,
    ids::{RoomKey, Seq, UserId},
};
use serde::Deserialize;
use utoipa::IntoParams;

use self::search::Search;
use super::{
    entity_tag::{is_known, tag},
    openapi::{MEMBERS, SIGNED_IN, refusals},
    problem::{Answer, Problem},
    request::{Parameters, Room, SignedIn},
    shape::Page,
};
use crate::{
    gateway::Gateway,
    hub::{Decoded, Purpose, page_to_show},
};

/// Messages of a page, where the client names no number and at most.
const PAGE_DEFAULT: u64 = 50;
const PAGE_MAX: u64 = 200;
/// Its reader may keep a page and asks each time whether it still holds.
const CACHING: &str = "private, no-cache";
/// A closed page need not be asked for again for five minutes, as long as the address of a file is good. What is deleted
/// meanwhile stays that long where its reader keeps it, and no longer.
const CLOSED_CACHING: &str = "private, max-age=300, immutable";

/// Which part of the history; the newest where nothing is named.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Window {
    /// What comes before this seq.
    before: Option<u64>,
    /// What comes after this seq.
    after: Option<u64>,
    /// This seq, and what lies around it.
    around: Option<u64>,
    /// 50 where it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u64>,
    /// `all` for every event; messages and notices where it is left out.
    #[param(pattern = "^all$")]
    include: Option<String>,
    /// A head the client knows: the page as it was then, if that is how it still is, without `read_count` and to be kept.
    #[param(minimum = 1)]
    as_of: Option<u64>,
}

/// A page, and how it may be kept.
struct Made {
    items: Vec<String>,
    /// As of which event it is.
    head: Seq,
    has_before: bool,
    has_after: bool,
    caching: &'static str,
}

/// A page of the history.
#[utoipa::path(
    get, path = "/rooms/{id}/messages", tag = "messages", operation_id = "listMessages",
    params(Room, Window, ("If-None-Match" = Option<String>, Header, description = "The page's tag as last seen.")),
    responses(
        (status = 200, body = Page, description = "A page, ascending by seq.", headers(
            ("ETag" = String, description = "Names the state the page is in."),
        )),
        (status = 304, description = "The page is as it was."),
    ),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, MEMBERS, &[Code::BadRequest]])))),
)]
pub(super) async fn page(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    room: Room,
    headers: HeaderMap,
    Parameters(window): Parameters<Window>,
) -> Answer {
    let (limit, all) = checked(&window)?;
    let key = room.key();
    let entered = gateway
        .hub
        .enter(&key, &signed_in.caller, Purpose::READ, None)
        .await?;
    let (viewer, now) = (&signed_in.user.id, (entered.head, entered.count));
    let known = |head: &Seq| (Seq(1)..=entered.head).contains(head);
    let closed = match window.as_of.map(Seq).filter(known) {
        Some(head) => closed(&gateway, &key, (head, entered.head), viewer, &window, limit).await?,
        None => None,
    };
    let made = match closed {
        Some(made) => made,
        None => {
            let mut search = Search::new(&gateway, &key, now, entered.head).of_all(all);
            let (before, after) = search.window(&window, limit).await?;
            let items: Vec<Decoded> = before.items.into_iter().chain(after.items).collect();
            search.amend(&items).await?;
            let read = search.read_counts(&items).await;
            Made {
                items: search.bodies(items, viewer, read),
                head: entered.head,
                has_before: before.has_more,
                has_after: after.has_more,
                caching: CACHING,
            }
        }
    };
    Ok(made.answer(&headers))
}

/// The page as it was at a head, if nothing became of its messages up to now.
async fn closed(
    gateway: &Gateway,
    key: &RoomKey,
    (head, present): (Seq, Seq),
    viewer: &UserId,
    window: &Window,
    limit: u64,
) -> Result<Option<Made>, Problem> {
    let last = page_to_show(&gateway.source, key, head, head).await;
    let Some(count) = last.and_then(|events| Some(events.first()?.stored.count)) else {
        return Ok(None);
    };
    let mut search = Search::new(gateway, key, (head, count), present);
    let (before, after) = search.window(window, limit).await?;
    let items: Vec<Decoded> = before.items.into_iter().chain(after.items).collect();
    search.amend(&items).await?;
    if search.last_change(&items) > head {
        return Ok(None);
    }
    Ok(Some(Made {
        items: search.bodies(items, viewer, HashMap::new()),
        head,
        has_before: before.has_more,
        has_after: after.has_more,
        caching: CLOSED_CACHING,
    }))
}

fn checked(window: &Window) -> Result<(u64, bool), Problem> {
    let bad = |message: &str| Err(Problem::new(Code::BadRequest, message));
    let given = [window.before, window.after, window.around];
    if given.iter().flatten().count() > 1 {
        return bad("before, after and around exclude each other");
    }
    let limit = window.limit.unwrap_or(PAGE_DEFAULT);
    if !(1..=PAGE_MAX).contains(&limit) {
        return bad("limit is 1 to 200");
    }
    if window.as_of.is_some() && window.include.is_some() {
        return bad("as_of goes with messages and notices alone");
    }
    match window.include.as_deref() {
        None => Ok((limit, false)),
        Some("all") => Ok((limit, true)),
        Some(_) => bad("include is all, or not given"),
    }
}

// === impl Made ===

impl Made {
    fn answer(self, headers: &HeaderMap) -> Response {
        // Where the head is matters to those whose page ends there.
        let seen_head = if self.has_after { Seq::ZERO } else { self.head };
        let tag = tag(&self.items, seen_head, (self.has_before, self.has_after));
        let caching = [
            (header::ETAG, tag.as_str()),
            (header::CACHE_CONTROL, self.caching),
            (header::VARY, "authorization"),
        ];
        if is_known(headers, &tag) {
            return (StatusCode::NOT_MODIFIED, caching).into_response();
        }
        let answer = format!(
            r#"{{"items":[{}],"head":{},"has_before":{},"has_after":{}}}"#,
            self.items.join(","),
            self.head,
            self.has_before,
            self.has_after,
        );
        let media_type = [(header::CONTENT_TYPE, "application/json")];
        (caching, media_type, answer).into_response()
    }
}
