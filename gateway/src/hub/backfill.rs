//! Fetches what is not at hand: from a fanout's memory, then the cache, then the store, then the log itself.
//!
//! An answer is only used if it begins exactly where it must and has no hole.

use std::{collections::HashMap, num::NonZeroU16, sync::Arc, time::Duration};

use roomlog_core::{
    event::Kind,
    gap::Hole,
    ids::{Count, RoomKey, Seq, UserId},
    room_state::Membership,
};
use roomlog_platform::{
    backoff::Backoff,
    dynamo::{
        Consistency, Direction, EventQuery, KeyShards, READ_TIMEOUT, RoomRow, Store, TopicRow,
    },
    kafka::Producer,
    link::Links,
    redis::Cache,
    stored_event::StoredEvent,
};
use tokio::time::{Instant, timeout};

use super::{
    amended::hide_deleted,
    shown::{Decoded, Shown},
};
use crate::{presence::Presence, readers::Readers, room_list::Ear, trace::Traces};

/// Events fetched at once: some 50 KiB of usual messages, and no more than 2 MiB of the largest.
pub(crate) const PAGE_EVENTS_MAX: u64 = 100;
/// How long one attempt to fill a hole goes on before the room looks at its needs again.
const FILL_WAIT: Duration = Duration::from_secs(10);
/// How long a hole is looked for elsewhere before the log is read again: an event that is just on its way is somewhere
/// by then.
const LOG_AFTER: Duration = Duration::from_secs(1);
/// The waits between two rounds through all sources: short at first, as a missing event is usually about to be stored.
const RETRY_FLOOR: Duration = Duration::from_millis(20);
const RETRY_CEILING: Duration = Duration::from_millis(500);
/// How long rows may take: as long as the store's client waits for one answer, so that a store that is slow and no more
/// than that still lets people in. Delivery and requests go on without them after it.
const ROWS_WAIT: Duration = READ_TIMEOUT;
/// How long the store may take to say whether an old event was void; without an answer it is shown as standing.
const VOID_WAIT: Duration = Duration::from_millis(500);

/// Where events and rows come from and go to; a clone is the same.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) links: Arc<Links>,
    pub(crate) cache: Cache,
    pub(crate) store: Store,
    pub(crate) producer: Producer,
    /// The topic room events go to.
    pub(crate) topic: Arc<TopicRow>,
    /// The life of the tables that all seqs belong to.
    pub(crate) epoch: Arc<str>,
    pub(crate) traces: Arc<Traces>,
    pub(crate) presence: Presence,
    pub(crate) readers: Readers,
    /// Where the lists of rooms hear what happens.
    pub(crate) ear: Ear,
}

/// A stored event and whether the room's state allowed it, as far as that is known.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) event: StoredEvent,
    pub(crate) is_void: bool,
}

/// The next events of a room: dense and beginning with `from`; `None` where no source has the first one or can be
/// asked.
pub(crate) async fn page(
    source: &Source,
    key: &RoomKey,
    from: Seq,
    to: Seq,
) -> Option<Vec<StoredEvent>> {
    let to = to.min(Seq(from.0 + PAGE_EVENTS_MAX - 1));
    if let Some(events) = page_at_hand(source, key, from, to).await {
        return Some(events);
    }
    logged_page(source, key, from, to).await
}

/// The same while the store does not answer.
pub(super) async fn page_without_store(
    source: &Source,
    key: &RoomKey,
    from: Seq,
    to: Seq,
) -> Option<Vec<StoredEvent>> {
    match remembered_page(source, key, from, to).await {
        Some(events) => Some(events),
        None => logged_page(source, key, from, to).await,
    }
}

/// The same from the log alone.
async fn logged_page(
    source: &Source,
    key: &RoomKey,
    from: Seq,
    to: Seq,
) -> Option<Vec<StoredEvent>> {
    let to = to.min(Seq(from.0 + PAGE_EVENTS_MAX - 1));
    let read = source.links.events_from_log(key, from..=to).await;
    let read =
        read.inspect_err(|error| tracing::debug!(%error, "no fanout could read the log again"));
    read.ok().filter(|events| !events.is_empty())
}

/// The same without the log.
async fn page_at_hand(
    source: &Source,
    key: &RoomKey,
    from: Seq,
    to: Seq,
) -> Option<Vec<StoredEvent>> {
    if let Some(events) = remembered_page(source, key, from, to).await {
        return Some(events);
    }
    let found = stored_page(source, key, from, to).await?;
    Some(found.into_iter().map(|found| found.event).collect())
}

/// The same from memory alone: a fanout's, then the cache.
pub(super) async fn remembered_page(
    source: &Source,
    key: &RoomKey,
    from: Seq,
    to: Seq,
) -> Option<Vec<StoredEvent>> {
    let to = to.min(Seq(from.0 + PAGE_EVENTS_MAX - 1));
    match source.links.events(key, from..=to).await {
        Ok(events) if !events.is_empty() => return Some(events),
        Ok(_) => {}
        Err(error) => tracing::debug!(%error, "no fanout could be asked for events"),
    }
    match source.cache.tail(key, from..=to).await {
        Ok(events) if !events.is_empty() => return Some(events),
        Ok(_) => {}
        Err(error) => tracing::debug!(%error, "the cache could not be asked for events"),
    }
    None
}

/// The next events as they are shown again, with what the store knows of void ones.
pub(crate) async fn page_to_show(
    source: &Source,
    key: &RoomKey,
    from: Seq,
    to: Seq,
) -> Option<Vec<Decoded>> {
    let events = page(source, key, from, to).await?;
    let is_judged = |event: &&StoredEvent| matches!(event.kind, Kind::Member | Kind::Room);
    let mut void = Vec::new();
    let first = events.iter().find(is_judged).map(|event| event.seq);
    let last = events.iter().rfind(is_judged).map(|event| event.seq);
    if let (Some(first), Some(last)) = (first, last) {
        let stored = timeout(VOID_WAIT, stored_page(source, key, first, last)).await;
        let stored = stored.ok().flatten().unwrap_or_default();
        void.extend(
            stored
                .iter()
                .filter(|found| found.is_void)
                .map(|found| found.event.seq),
        );
    }
    let decoded = events.into_iter().map(|event| {
        let is_void = void.contains(&event.seq);
        Decoded::known(event, is_void)
    });
    Some(decoded.collect())
}

/// The same, ready to be sent, without the content that was deleted up to `head`.
pub(crate) async fn page_of_shown(
    source: &Source,
    key: &RoomKey,
    from: Seq,
    (to, head): (Seq, Seq),
) -> Option<Vec<Arc<Shown>>> {
    let mut events = page_to_show(source, key, from, to).await?;
    hide_deleted(source, key, &mut events, head).await?;
    let shown = events
        .iter()
        .map(|decoded| Arc::new(decoded.shown(&source.epoch, decoded.is_void)));
    Some(shown.collect())
}

/// When an event was stored, in milliseconds since the Unix epoch; `None` if it is not, or the store does not answer.
pub(crate) async fn stored_ms(source: &Source, key: &RoomKey, seq: Seq) -> Option<u64> {
    let stored = source.store.event_stored_ms(key, seq).await;
    stored
        .inspect_err(|error| tracing::warn!(%error, room = %key, "the store does not answer"))
        .ok()?
}

/// The seq of the message with this number, which lies within these bounds; `None` where that can't be read. Counts
/// never fall, so halving finds it.
pub(crate) async fn seq_of_message(
    source: &Source,
    key: &RoomKey,
    number: Count,
    (mut low, mut high): (Seq, Seq),
) -> Option<Seq> {
    while low < high {
        let middle = Seq(low.0.midpoint(high.0));
        let there = page(source, key, middle, middle).await?.first()?.count;
        if there >= number {
            high = middle;
        } else {
            low = middle.next();
        }
    }
    Some(low)
}

/// The first events of a hole. Goes on until some are found or [`FILL_WAIT`] is over: a room never skips an event.
pub(super) async fn fill(source: &Source, key: &RoomKey, hole: Hole) -> Vec<StoredEvent> {
    let began = Instant::now();
    let deadline = began + FILL_WAIT;
    let mut backoff = Backoff::between(RETRY_FLOOR, RETRY_CEILING);
    loop {
        let to = hole.to.min(Seq(hole.from.0 + PAGE_EVENTS_MAX - 1));
        let found = if began.elapsed() < LOG_AFTER {
            page_at_hand(source, key, hole.from, to).await
        } else {
            page(source, key, hole.from, to).await
        };
        if let Some(events) = found {
            return events;
        }
        if Instant::now() >= deadline {
            tracing::error!(
                from = hole.from.0,
                to = hole.to.0,
                "events of a room are missing everywhere, still trying"
            );
            return Vec::new();
        }
        backoff.wait().await;
    }
}

/// Whether an event is kept nowhere any more. The store and the log say so themselves; one that does not answer has said
/// nothing.
pub(crate) async fn is_gone(source: &Source, key: &RoomKey, seq: Seq) -> bool {
    let Some(Some(row)) = source.stored_room(key).await else {
        return false;
    };
    // Every event up to a stored head was stored, so one without a row was taken away since.
    let is_stored_no_more = row.head.seq >= seq
        && matches!(
            stored_under(source, key, row.shards, seq, seq).await,
            Some(None)
        );
    let in_log = source.links.events_from_log(key, seq..=seq);
    is_stored_no_more && in_log.await.is_ok_and(|events| events.is_empty())
}

/// The rows of these users in a room, each named once; `None` if they can't be read.
pub(super) async fn rows(
    source: &Source,
    key: &RoomKey,
    users: &[UserId],
) -> Option<Vec<(UserId, Option<Membership>)>> {
    let mut rows: Vec<_> = users.iter().map(|user| (user.clone(), None)).collect();
    if key.room().is_none() || users.is_empty() {
        return Some(rows);
    }
    let pairs: Vec<_> = users
        .iter()
        .map(|user| (key.clone(), user.clone()))
        .collect();
    let read = timeout(ROWS_WAIT, source.store.members_among(&pairs)).await;
    let read = read
        .ok()?
        .inspect_err(|error| tracing::warn!(%error, room = %key, "members' rows can't be read"))
        .ok()?;
    let mut read: HashMap<_, _> = read
        .into_iter()
        .map(|(_, row)| (row.user, row.membership))
        .collect();
    for (user, row) in &mut rows {
        *row = read.remove(user).flatten();
    }
    Some(rows)
}

/// The next stored events. Few rooms are spread over several keys; that is looked up only when one key does not do.
async fn stored_page(source: &Source, key: &RoomKey, from: Seq, to: Seq) -> Option<Vec<Found>> {
    if let Some(found) = stored_under(source, key, KeyShards::ONE, from, to).await? {
        return Some(found);
    }
    let shards = source.stored_room(key).await??.shards;
    if shards == KeyShards::ONE {
        return None;
    }
    stored_under(source, key, shards, from, to).await?
}

/// The outer `None` where the store does not answer, the inner where it does not have the first event.
async fn stored_under(
    source: &Source,
    key: &RoomKey,
    shards: KeyShards,
    from: Seq,
    to: Seq,
) -> Option<Option<Vec<Found>>> {
    let limit = to.0.saturating_sub(from.0) + 1;
    let query = EventQuery {
        key,
        shards,
        from,
        to,
        limit: u16::try_from(limit).ok().and_then(NonZeroU16::new)?,
        direction: Direction::Ascending,
        consistency: Consistency::Strong,
    };
    let page = source
        .store
        .events(&query)
        .await
        .inspect_err(|error| tracing::warn!(%error, "events can't be read from the store"))
        .ok()?;
    let dense = (from.0..)
        .zip(page.rows)
        .take_while(|(seq, row)| row.event.seq.0 == *seq);
    let found: Vec<Found> = dense
        .map(|(_, row)| Found {
            event: row.event,
            is_void: row.void,
        })
        .collect();
    Some((!found.is_empty()).then_some(found))
}

// === impl Source ===

impl Source {
    /// A room's stored row, read consistently; the outer `None` where the store does not answer.
    pub(super) async fn stored_room(&self, key: &RoomKey) -> Option<Option<RoomRow>> {
        let row = timeout(ROWS_WAIT, self.store.room(key, Consistency::Strong)).await;
        match row {
            Ok(Ok(row)) => Some(row),
            Ok(Err(error)) => {
                tracing::warn!(%error, "a room's row can't be read");
                None
            }
            Err(_) => None,
        }
    }
}
