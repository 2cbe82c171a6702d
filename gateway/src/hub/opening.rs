//! Opens a room: its fresh head, its stored state, and the changes that came after what is stored.
//!
//! A young room needs no store: all its events together are all its state.

use std::time::Duration;

use roomlog_core::{
    code::{Code, Refusal},
    ids::{RoomKey, Seq},
    standing::{Ahead, Standing},
};
use roomlog_platform::{backoff::Backoff, link::RoomHead, stored_event::StoredEvent};
use tokio::time::Instant;

use super::{
    backfill::{self, Source},
    shown::Decoded,
};

/// How long opening waits for someone who owns the room's partition: a take-over is done in that time.
const OWNER_WAIT: Duration = Duration::from_secs(2);
/// The waits between two questions.
const RETRY_FLOOR: Duration = Duration::from_millis(25);
const RETRY_CEILING: Duration = Duration::from_millis(250);
/// How far the store may be behind for its rows to be brought up to date here. Beyond it the room is refused
/// `store-unavailable` until the persister has caught up.
const BEHIND_EVENTS_MAX: u64 = 10_000;

/// Events of a room that is opened without the store: three answers of a fanout. With more of them a room is refused
/// `store-unavailable` while the store does not answer.
const YOUNG_EVENTS_MAX: u64 = 3 * backfill::PAGE_EVENTS_MAX;

/// How often opening begins again because the store moved on between two reads. A room in which somebody's standing
/// changes between any two reads so many times is refused `store-unavailable` for the moment.
const ATTEMPTS_MAX: u32 = 10;

/// Why an attempt to open a room came to nothing.
#[derive(Debug)]
enum Failure {
    /// A member's row was read after the room's row and holds events that one does not.
    Ahead(Ahead),
    /// It can't be opened now.
    Refused(Refusal),
}

/// A room as of its head.
pub(super) struct Opened {
    pub(super) head: RoomHead,
    pub(super) standing: Standing,
    /// The latest events, where the room is in slow mode: who posted just now has to wait here too.
    pub(super) latest: Vec<StoredEvent>,
}

pub(super) async fn open(source: &Source, key: &RoomKey) -> Result<Opened, Refusal> {
    for _ in 0..ATTEMPTS_MAX {
        match attempt(source, key).await {
            Err(Failure::Ahead(ahead)) => {
                tracing::debug!(%ahead, "the store moved on while a room was opened");
            }
            Err(Failure::Refused(refusal)) => return Err(refusal),
            Ok(opened) => return Ok(opened),
        }
    }
    Err(store_unavailable())
}

async fn attempt(source: &Source, key: &RoomKey) -> Result<Opened, Failure> {
    let (head, row) = tokio::join!(fresh_head(source, key), source.stored_room(key));
    let head = head?;
    let Some(row) = row else {
        return young(source, head).await;
    };
    let stored = row.as_ref().map_or(Seq::ZERO, |row| row.head.seq);
    let standing = Standing::new(row.as_ref().and_then(|row| row.meta.clone()), stored);
    let head = match row {
        // The store can only be ahead if the answers were given at different moments.
        Some(row) if row.head.seq > head.seq => RoomHead {
            key: key.clone(),
            seq: row.head.seq,
            count: row.head.count,
        },
        _ => head,
    };
    if head.seq.0 - stored.0 > BEHIND_EVENTS_MAX {
        return Err(store_unavailable().into());
    }
    finish(source, head, standing, stored.next()).await
}

/// Opens a room by all its events, for the store does not answer. What a missing one says can't be guessed, so with any
/// of them out of reach the room stays closed.
async fn young(source: &Source, head: RoomHead) -> Result<Opened, Failure> {
    if head.seq.0 > YOUNG_EVENTS_MAX {
        return Err(store_unavailable().into());
    }
    finish(source, head, Standing::before_the_first_event(), Seq(1)).await
}

async fn finish(
    source: &Source,
    head: RoomHead,
    mut standing: Standing,
    from: Seq,
) -> Result<Opened, Failure> {
    catch_up(source, &mut standing, from, &head).await?;
    let is_slow = standing.room().is_some_and(|room| room.slow_mode_s > 0);
    let latest = match is_slow {
        true => {
            let reach = backfill::PAGE_EVENTS_MAX - 1;
            let from = Seq(head.seq.0.saturating_sub(reach).max(1));
            let page = page(source, &standing, &head, from).await;
            page.unwrap_or_default()
        }
        false => Vec::new(),
    };
    Ok(Opened {
        head,
        standing,
        latest,
    })
}

/// The next events of a room that is being opened, from wherever its state comes from.
async fn page(
    source: &Source,
    standing: &Standing,
    head: &RoomHead,
    from: Seq,
) -> Option<Vec<StoredEvent>> {
    match standing.is_whole() {
        true => backfill::page_without_store(source, &head.key, from, head.seq).await,
        false => backfill::page(source, &head.key, from, head.seq).await,
    }
}

/// Folds the events the store does not hold yet.
async fn catch_up(
    source: &Source,
    standing: &mut Standing,
    from: Seq,
    head: &RoomHead,
) -> Result<(), Failure> {
    let mut next = from;
    while next <= head.seq {
        let events = page(source, standing, head, next)
            .await
            .ok_or_else(store_unavailable)?;
        for stored in events {
            next = stored.seq.next();
            let decoded = Decoded::new(stored);
            let Some(event) = decoded.event.as_ref().filter(|_| decoded.is_judged()) else {
                continue;
            };
            let unknown = standing.unknown_of(event);
            let rows = backfill::rows(source, &head.key, &unknown)
                .await
                .ok_or_else(store_unavailable)?;
            rows.into_iter()
                .try_for_each(|(user, row)| standing.learn(user, row))?;
            standing.judge(event, decoded.stored.seq);
        }
    }
    Ok(())
}

/// The head as of now, from an owner.
pub(crate) async fn fresh_head(source: &Source, key: &RoomKey) -> Result<RoomHead, Refusal> {
    let deadline = Instant::now() + OWNER_WAIT;
    let mut backoff = Backoff::between(RETRY_FLOOR, RETRY_CEILING);
    loop {
        match source.links.head(key).await {
            Ok(head) => return Ok(head),
            Err(error) if Instant::now() >= deadline => {
                tracing::warn!(%error, "a room could not be opened");
                return Err(Refusal::retry_after(
                    Code::Overloaded,
                    "this room is being taken over, try again",
                    1_000,
                ));
            }
            Err(_) => backoff.wait().await,
        }
    }
}

// === impl Failure ===

impl From<Ahead> for Failure {
    fn from(ahead: Ahead) -> Self {
        Self::Ahead(ahead)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

pub(super) fn store_unavailable() -> Refusal {
    Refusal::retry_after(Code::StoreUnavailable, "the store did not answer", 1_000)
}
