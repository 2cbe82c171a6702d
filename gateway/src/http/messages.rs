//! Messages: posting, history, read marks, and the way of a recent one.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse as _,
};
use roomlog_core::{
    code::{Code, Refusal},
    ids::{MessageId, RoomKey, Seq},
};
use roomlog_schemas::json as body;
use serde::Deserialize;
use serde_json::json;

use super::{
    problem::{Answer, Problem},
    request::{Parameters, Raw, Room, SignedIn},
};
use crate::{
    gateway::{Carried, Gateway},
    hub::{Decoded, Purpose, page_to_show, stored_ms},
    publish::{Draft, Record},
};

/// Messages of a page, where the client names no number and at most.
const PAGE_DEFAULT: u64 = 50;
const PAGE_MAX: u64 = 200;
/// Events looked through for one page. Where messages are rarer than that a page is short, and says where to go on.
const SCAN_EVENTS_MAX: u64 = 2_000;

/// Which part of the history.
#[derive(Deserialize)]
pub(super) struct Window {
    before: Option<u64>,
    after: Option<u64>,
    around: Option<u64>,
    limit: Option<u64>,
    include: Option<String>,
}

/// A stretch of a room's events.
#[derive(Default)]
struct Stretch {
    items: Vec<Decoded>,
    /// Whether there is more beyond its far end.
    has_more: bool,
}

/// What is looked for.
#[derive(Clone, Copy)]
struct Search<'a> {
    gateway: &'a Gateway,
    key: &'a RoomKey,
    head: Seq,
    all: bool,
}

/// Posts a message.
pub(super) async fn post(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    room: Room,
    headers: HeaderMap,
    Raw(bytes): Raw,
) -> Answer {
    let id = headers.get("idempotency-key").map(|value| {
        let id = value.to_str().ok().and_then(|id| MessageId::parse(id).ok());
        id.ok_or_else(|| {
            Problem::new(
                Code::BadRequest,
                "Idempotency-Key is 1 to 64 visible ASCII characters",
            )
        })
    });
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let draft = Draft {
        room: &room.0,
        id: id.transpose()?,
        content_type,
        headers: Vec::new(),
        body: &bytes,
    };
    let event = draft.event(signed_in.user.sender(), &gateway.limits)?;
    signed_in.user.pace([event.id.as_str()])?;
    let traceparent = headers.get("traceparent");
    let traceparent = traceparent.and_then(|value| value.to_str().ok());
    let record = Record::of(&event, &gateway.origin, traceparent);
    let carried = gateway
        .carry_out(&signed_in.caller, Purpose::POST, record)
        .await?;
    let (status, seq, place) = match carried {
        Carried::Out(echo, place) => (StatusCode::CREATED, Some(echo.seq.0), place),
        Carried::Accepted(place) => (StatusCode::ACCEPTED, None, place),
    };
    let mut answer =
        json!({ "id": event.id.as_str(), "partition": place.partition, "offset": place.offset });
    if let Some(seq) = seq {
        answer["seq"] = seq.into();
    }
    Ok((status, Json(answer)).into_response())
}

/// Marks the room read up to a seq.
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
    Ok(Json(json!({ "seq": seq.0 })).into_response())
}

/// A page of the history: stored events joined with those that are not stored yet.
pub(super) async fn page(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    room: Room,
    Parameters(window): Parameters<Window>,
) -> Answer {
    let (limit, all) = checked(&window)?;
    let key = room.key();
    let entered = gateway
        .hub
        .enter(&key, &signed_in.caller, Purpose::READ, None)
        .await?;
    let search = Search {
        gateway: &gateway,
        key: &key,
        head: entered.head,
        all,
    };
    let (before, after) = match window {
        Window {
            after: Some(after), ..
        } => (
            Stretch::nothing(after > 0),
            search.forwards(Seq(after), limit).await?,
        ),
        Window {
            around: Some(around),
            ..
        } => {
            let before = search
                .backwards(Seq(around.saturating_add(1)), limit.div_ceil(2))
                .await?;
            let left = limit - before.items.len() as u64;
            (before, search.forwards(Seq(around), left).await?)
        }
        Window { before, .. } => {
            let before = before.map_or(entered.head.next(), Seq);
            (
                search.backwards(before, limit).await?,
                Stretch::nothing(before <= entered.head),
            )
        }
    };
    let items: Vec<String> = before
        .items
        .iter()
        .chain(&after.items)
        .map(|decoded| decoded.body(decoded.is_void))
        .collect();
    let answer = format!(
        r#"{{"items":[{}],"head":{},"has_before":{},"has_after":{}}}"#,
        items.join(","),
        entered.head,
        before.has_more,
        after.has_more,
    );
    Ok(([(header::CONTENT_TYPE, "application/json")], answer).into_response())
}

/// When a recent message of one's own passed each station.
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
    let mut answer = json!(trace);
    answer["persisted_ms"] = persisted_ms.into();
    Ok(Json(answer).into_response())
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
    match window.include.as_deref() {
        None => Ok((limit, false)),
        Some("all") => Ok((limit, true)),
        Some(_) => bad("include is all, or not given"),
    }
}

// === impl Stretch, Search ===

impl Stretch {
    fn nothing(has_more: bool) -> Self {
        Self {
            items: Vec::new(),
            has_more,
        }
    }
}

impl Search<'_> {
    fn wants(&self, decoded: &Decoded) -> bool {
        self.all || decoded.stored.kind.counts()
    }

    /// Up to `limit` items after a seq.
    async fn forwards(&self, after: Seq, limit: u64) -> Result<Stretch, Refusal> {
        let mut stretch = Stretch::default();
        let (mut next, mut scanned) = (Seq(after.0.saturating_add(1)), 0);
        while next <= self.head && scanned < SCAN_EVENTS_MAX && (stretch.items.len() as u64) < limit
        {
            for decoded in self.events(next, self.head).await? {
                next = decoded.stored.seq.next();
                scanned += 1;
                if self.wants(&decoded) {
                    stretch.items.push(decoded);
                }
                if stretch.items.len() as u64 == limit {
                    break;
                }
            }
        }
        stretch.has_more = next <= self.head;
        Ok(stretch)
    }

    /// Up to `limit` items before a seq, ascending.
    async fn backwards(&self, before: Seq, limit: u64) -> Result<Stretch, Refusal> {
        let mut stretch = Stretch::default();
        // Everything from here on was looked at.
        let mut seen = before.min(self.head.next());
        let floor = seen.0.saturating_sub(SCAN_EVENTS_MAX).max(1);
        while seen.0 > floor && (stretch.items.len() as u64) < limit {
            let wanted = limit - stretch.items.len() as u64;
            let from = seen.0.saturating_sub(wanted.max(32)).max(floor);
            let mut chunk = Vec::new();
            let mut next = Seq(from);
            while next < seen {
                for decoded in self.events(next, Seq(seen.0 - 1)).await? {
                    next = decoded.stored.seq.next();
                    chunk.push(decoded);
                }
            }
            seen = Seq(from);
            chunk.retain(|decoded| self.wants(decoded));
            let surplus = chunk
                .len()
                .saturating_sub(usize::try_from(wanted).unwrap_or(usize::MAX));
            if let Some(last_dropped) = surplus.checked_sub(1) {
                seen = chunk[last_dropped].stored.seq.next();
                chunk.drain(..surplus);
            }
            chunk.append(&mut stretch.items);
            stretch.items = chunk;
        }
        stretch.has_more = match stretch.items.first() {
            // The number of a message says whether there are others before it.
            Some(first) if !self.all => first.stored.count.0 > 1,
            _ => seen.0 > 1,
        };
        Ok(stretch)
    }

    async fn events(&self, from: Seq, to: Seq) -> Result<Vec<Decoded>, Refusal> {
        page_to_show(&self.gateway.source, self.key, from, to)
            .await
            .ok_or_else(|| {
                Refusal::retry_after(Code::StoreUnavailable, "the store did not answer", 1_000)
            })
    }
}
