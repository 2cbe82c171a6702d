//! Pages of the history: messages as they are now, stored or not.
//!
//! A page ends at the head its request saw, so what happens meanwhile moves no page. No page is ever closed: a message
//! of any age can be edited, deleted and reacted to. So a page may be kept by its reader and must be asked for again
//! each time; an `ETag` makes the answer short where nothing changed.

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse as _,
};
use roomlog_core::{
    amendment::Amendments,
    code::{Code, Refusal},
    ids::{Count, RoomKey, Seq, UserId},
};
use roomlog_schemas::json;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    entity_tag::{is_known, tag},
    openapi::{MEMBERS, SIGNED_IN, refusals},
    problem::{Answer, Problem},
    request::{Parameters, Room, SignedIn},
    shape::Page,
};
use crate::{
    gateway::Gateway,
    hub::{Decoded, Entered, Purpose, Scope, Targets, amend, page_to_show, seq_of_message},
};

/// Messages of a page, where the client names no number and at most.
const PAGE_DEFAULT: u64 = 50;
const PAGE_MAX: u64 = 200;
/// Events looked through for one page. Where messages are rarer than that a page is short, yet never empty while there
/// are more, and says where to go on.
const SCAN_EVENTS_MAX: u64 = 4_000;
/// Events fetched at least at once when going backwards.
const SCAN_EVENTS_MIN: u64 = 32;
/// Its reader may keep a page and asks each time whether it still holds.
const CACHING: &str = "private, no-cache";

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
}

/// A stretch of a room's events.
#[derive(Default)]
struct Stretch {
    items: Vec<Decoded>,
    /// Whether there is more beyond its far end.
    has_more: bool,
}

/// What is looked for, and what was seen on the way.
struct Search<'a> {
    gateway: &'a Gateway,
    key: &'a RoomKey,
    head: Seq,
    count: Count,
    all: bool,
    /// Events that may still be looked at.
    budget: u64,
    /// What they changed.
    amendments: Amendments,
    /// The first and the last of a run of events all of which were looked at.
    run: Option<(Seq, Seq)>,
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
    let mut search = Search::new(&gateway, &key, &entered, all);
    let (before, after) = search.window(&window, limit).await?;
    let items: Vec<Decoded> = before.items.into_iter().chain(after.items).collect();
    let shown = search.newest(items, &signed_in.user.id).await?;
    // Where the head is matters to those whose page ends there.
    let seen_head = if after.has_more {
        Seq::ZERO
    } else {
        entered.head
    };
    let edges = (before.has_more, after.has_more);
    let tag = tag(&shown, seen_head, edges);
    let caching = [
        (header::ETAG, tag.as_str()),
        (header::CACHE_CONTROL, CACHING),
        (header::VARY, "authorization"),
    ];
    if is_known(&headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    let answer = format!(
        r#"{{"items":[{}],"head":{},"has_before":{},"has_after":{}}}"#,
        shown.join(","),
        entered.head,
        before.has_more,
        after.has_more,
    );
    let media_type = [(header::CONTENT_TYPE, "application/json")];
    Ok((caching, media_type, answer).into_response())
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

fn store_unavailable() -> Refusal {
    Refusal::retry_after(Code::StoreUnavailable, "the store did not answer", 1_000)
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

impl<'a> Search<'a> {
    fn new(gateway: &'a Gateway, key: &'a RoomKey, entered: &Entered, all: bool) -> Self {
        Self {
            gateway,
            key,
            head: entered.head,
            count: entered.count,
            all,
            budget: SCAN_EVENTS_MAX,
            amendments: Amendments::default(),
            run: None,
        }
    }

    /// What comes before and what comes after the place that was asked for.
    async fn window(&mut self, window: &Window, limit: u64) -> Result<(Stretch, Stretch), Refusal> {
        if let Some(after) = window.after {
            let found = self.forwards(Seq(after), limit).await?;
            return Ok((Stretch::nothing(after > 0), found));
        }
        if let Some(around) = window.around {
            let before = self
                .backwards(Seq(around.saturating_add(1)), limit.div_ceil(2))
                .await?;
            let left = limit - before.items.len() as u64;
            let after = self.forwards(Seq(around), left).await?;
            return Ok((before, after));
        }
        let before = window.before.map_or(self.head.next(), Seq);
        let found = self.backwards(before, limit).await?;
        Ok((found, Stretch::nothing(before <= self.head)))
    }

    fn wants(&self, decoded: &Decoded) -> bool {
        self.all || decoded.stored.kind.counts()
    }

    /// Up to `limit` items after a seq.
    async fn forwards(&mut self, after: Seq, limit: u64) -> Result<Stretch, Refusal> {
        let mut stretch = Stretch::default();
        let mut next = Seq(after.0.saturating_add(1));
        let mut count = None;
        while next <= self.head && self.budget > 0 && (stretch.items.len() as u64) < limit {
            for decoded in self.events(next, self.head).await? {
                next = decoded.stored.seq.next();
                count = Some(decoded.stored.count);
                if self.wants(&decoded) {
                    stretch.items.push(decoded);
                }
                if stretch.items.len() as u64 == limit {
                    break;
                }
            }
        }
        if let Some(count) = count.filter(|count| {
            stretch.items.is_empty() && limit > 0 && next <= self.head && *count < self.count
        }) {
            let decoded = self.message(Count(count.0 + 1), next, self.head).await?;
            next = decoded.stored.seq.next();
            stretch.items.push(decoded);
        }
        stretch.has_more = next <= self.head;
        Ok(stretch)
    }

    /// Up to `limit` items before a seq, ascending.
    async fn backwards(&mut self, before: Seq, limit: u64) -> Result<Stretch, Refusal> {
        let mut stretch = Stretch::default();
        // Everything from here on was looked at, and this many messages lie before it.
        let mut seen = before.min(self.head.next());
        let mut older = None;
        while seen > Seq(1) && self.budget > 0 && (stretch.items.len() as u64) < limit {
            let wanted = limit - stretch.items.len() as u64;
            let from = Seq(seen.0.saturating_sub(wanted.max(SCAN_EVENTS_MIN)).max(1));
            let behind = self.run.filter(|(first, _)| *first == seen);
            let mut chunk = self.all_events(from, Seq(seen.0 - 1)).await?;
            if let Some((_, last)) = behind {
                self.run = Some((from, last));
            }
            seen = from;
            older = chunk.first().map(count_before);
            chunk.retain(|decoded| self.wants(decoded));
            let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
            if let Some(last_dropped) = chunk.len().saturating_sub(wanted).checked_sub(1) {
                seen = chunk[last_dropped].stored.seq.next();
                chunk.drain(..=last_dropped);
            }
            chunk.append(&mut stretch.items);
            stretch.items = chunk;
        }
        if let Some(number) = older.filter(|older| stretch.items.is_empty() && *older > Count(0)) {
            let decoded = self.message(number, Seq(1), Seq(seen.0 - 1)).await?;
            seen = decoded.stored.seq;
            stretch.items.push(decoded);
        }
        stretch.has_more = match stretch.items.first() {
            // The number of a message says whether there are others before it.
            Some(first) if !self.all => count_before(first) > Count(0),
            None if !self.all => false,
            _ => seen > Seq(1),
        };
        Ok(stretch)
    }

    /// The message with this number, which lies within these bounds.
    async fn message(&mut self, number: Count, low: Seq, high: Seq) -> Result<Decoded, Refusal> {
        let found = seq_of_message(&self.gateway.source, self.key, number, (low, high)).await;
        let seq = found.ok_or_else(store_unavailable)?;
        let events = self.events(seq, seq).await?;
        events.into_iter().next().ok_or_else(store_unavailable)
    }

    async fn all_events(&mut self, from: Seq, to: Seq) -> Result<Vec<Decoded>, Refusal> {
        let (mut events, mut next) = (Vec::new(), from);
        while next <= to {
            let page = self.events(next, to).await?;
            next = page.last().ok_or_else(store_unavailable)?.stored.seq.next();
            events.extend(page);
        }
        Ok(events)
    }

    /// The next events, at least one. Notes what they change.
    async fn events(&mut self, from: Seq, to: Seq) -> Result<Vec<Decoded>, Refusal> {
        let events = page_to_show(&self.gateway.source, self.key, from, to).await;
        let events = events.ok_or_else(store_unavailable)?;
        let last = events.last().ok_or_else(store_unavailable)?.stored.seq;
        self.budget = self.budget.saturating_sub(events.len() as u64);
        self.amendments
            .extend(events.iter().filter_map(Decoded::amendment));
        self.run = match self.run {
            None => Some((from, last)),
            Some((first, end)) if from <= end.next() && last.next() >= first => {
                Some((first.min(from), end.max(last)))
            }
            // A gap: what was seen before it says nothing about what comes after it.
            Some(_) => Some((from, last)),
        };
        Ok(events)
    }

    /// How many have read each message; nothing where that is not known now.
    async fn read_counts(&self, items: &[Decoded]) -> HashMap<Seq, u64> {
        let messages = items.iter().filter(|item| item.stored.kind.is_amendable());
        let seqs: Vec<Seq> = messages.map(|item| item.stored.seq).collect();
        if seqs.is_empty() {
            return HashMap::new();
        }
        let counts = self.gateway.source.readers.counts(self.key, &seqs).await;
        seqs.into_iter().zip(counts.into_iter().flatten()).collect()
    }

    /// The items' JSON, in their newest state.
    async fn newest(
        &mut self,
        mut items: Vec<Decoded>,
        viewer: &UserId,
    ) -> Result<Vec<String>, Refusal> {
        let first = items.first().map_or(Seq::ZERO, |item| item.stored.seq);
        let known = match self.run {
            Some((from, to)) if from <= first => to,
            _ => first,
        };
        if let Some(targets) = Targets::among(&items, known) {
            amend(
                &self.gateway.source,
                self.key,
                &targets,
                self.head,
                Scope::Everything,
                &mut self.amendments,
            )
            .await
            .ok_or_else(store_unavailable)?;
        }
        let mut read = self.read_counts(&items).await;
        let bodies = items.iter_mut().map(|item| {
            item.hide_if_deleted(&self.amendments);
            match item.numbered() {
                Some(numbered) if item.stored.kind.is_amendable() => {
                    let newest = json::Newest {
                        amended: self.amendments.of(numbered.seq),
                        viewer,
                        read_count: read.remove(&numbered.seq),
                    };
                    let body = json::newest_body(&numbered, &newest);
                    String::from_utf8(body).expect("JSON is UTF-8")
                }
                _ => item.body(item.is_void),
            }
        });
        Ok(bodies.collect())
    }
}

/// How many messages lie before an event.
fn count_before(decoded: &Decoded) -> Count {
    let own = u64::from(decoded.stored.kind.counts());
    Count(decoded.stored.count.0.saturating_sub(own))
}
