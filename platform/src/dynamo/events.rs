//! Events: written once in batches, read by room and seq.

use std::{
    cmp::Ordering,
    num::NonZeroU16,
    time::{SystemTime, UNIX_EPOCH},
};

use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
use futures_util::FutureExt as _;
use roomlog_core::ids::{RoomKey, Seq};

use super::{
    Consistency, Store, StoreError,
    item::{Fields, Item, name, number, text},
    rows::{EventRow, KeyShards, RoomRow, named},
    running::Running,
    tables,
};
use crate::backoff::Backoff;

/// Items the store takes in one batch.
pub(super) const BATCH_ITEMS_MAX: usize = 25;
/// Bytes put into one batch at most. The store takes 16 MB; the rest is room for its own spelling, in which bytes
/// are a third longer.
pub(super) const BATCH_BYTES_MAX: usize = 8 << 20;
/// What a row weighs beside its value, generously.
const ROW_OVERHEAD_BYTES: usize = 1 << 10;
/// Batches one call writes at once; it is meant for one or a few.
const BATCHES_AT_ONCE: usize = 4;
/// How often items the store left out are sent again within one call; then the caller decides.
const WRITE_ROUNDS_MAX: u32 = 8;
/// The waits between those rounds, random between these two and doubling.
pub(super) const WRITE_WAIT: (std::time::Duration, std::time::Duration) = (
    std::time::Duration::from_millis(25),
    std::time::Duration::from_millis(1_000),
);

/// Events one read answers at most, whatever was asked for.
pub const EVENTS_READ_MAX: u16 = 1_000;
/// Bytes of values after which a read stops; the caller goes on behind the last event it got.
pub const EVENTS_READ_BYTES_MAX: usize = 4 << 20;

/// An event on its way into the store.
#[derive(Clone, Copy, Debug)]
pub struct EventWrite<'a> {
    /// The event.
    pub row: &'a EventRow,
    /// How its room's events are spread.
    pub shards: KeyShards,
}

/// The order of a read, and which end of the range it begins at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

/// Which events of a room.
#[derive(Clone, Debug)]
pub struct EventQuery<'a> {
    /// The room or inbox.
    pub key: &'a RoomKey,
    /// As its row says.
    pub shards: KeyShards,
    /// The first seq wanted.
    pub from: Seq,
    /// The last seq wanted.
    pub to: Seq,
    /// At most so many, and never more than [`EVENTS_READ_MAX`].
    pub limit: NonZeroU16,
    /// From which end.
    pub direction: Direction,
    /// Whether events stored just now must be seen.
    pub consistency: Consistency,
}

/// The events a read found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage {
    /// In the order asked for. Stored events of a room are dense, yet the store is still being written: look for
    /// holes.
    pub rows: Vec<EventRow>,
    /// Whether there are no more in the range. Otherwise limit or bytes were reached: go on behind the last one.
    pub complete: bool,
}

/// Milliseconds since the Unix epoch.
pub(super) fn unix_ms() -> u128 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.map_or(0, |elapsed| elapsed.as_millis())
}

/// What one partition key answered.
pub(super) struct ShardPage {
    pub(super) rows: Vec<EventRow>,
    /// Nothing follows in the range.
    pub(super) complete: bool,
}

impl Store {
    /// Writes events. Writing one again with the same content changes nothing but the note of when that was, so a
    /// call that failed is repeated whole.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] also when the store keeps leaving items out. Some of the events may be stored.
    pub async fn put_events(&self, writes: &[EventWrite<'_>]) -> Result<(), StoreError> {
        let mut writing = Running::at_most(BATCHES_AT_ONCE);
        for batch in batches(writes) {
            writing.begin(self.put_batch(batch).boxed()).await?;
        }
        writing.finish().await.map(drop)
    }

    async fn put_batch(&self, batch: &[EventWrite<'_>]) -> Result<(), StoreError> {
        let stored_ms = number(unix_ms());
        let item = |write: &EventWrite<'_>| {
            let mut item = write.row.to_item(write.shards);
            item.extend([named(name::STORED, stored_ms.clone())]);
            item
        };
        let requests = batch
            .iter()
            .map(|write| put(item(write)))
            .collect::<Result<Vec<_>, _>>()?;
        self.write_batch(tables::EVENTS, requests).await
    }

    /// Writes one batch to a table, until the store has left nothing of it out.
    pub(super) async fn write_batch(
        &self,
        table: &str,
        mut requests: Vec<WriteRequest>,
    ) -> Result<(), StoreError> {
        let table = self.tables.name(table);
        let mut backoff = Backoff::between(WRITE_WAIT.0, WRITE_WAIT.1);
        loop {
            let sent = self.client.batch_write_item();
            let sent = sent.request_items(&table, requests).send().await;
            let answer = sent.map_err(StoreError::of)?;
            requests = answer
                .unprocessed_items
                .and_then(|mut left| left.remove(&table))
                .unwrap_or_default();
            if requests.is_empty() {
                return Ok(());
            }
            if backoff.attempts() >= WRITE_ROUNDS_MAX {
                return Err(StoreError::Unavailable(
                    "batched writes are throttled".into(),
                ));
            }
            backoff.wait().await;
        }
    }

    /// When an event was stored, in milliseconds since the Unix epoch; `None` if its room's row has not reached it.
    ///
    /// For a room's last event that is when the room's row came to it, so the event was acknowledged by then. The row
    /// tells nothing of earlier ones: of those it is when the store was given them, as the batch that carries the note
    /// can't know when it will be acknowledged.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn event_stored_ms(
        &self,
        key: &RoomKey,
        seq: Seq,
    ) -> Result<Option<u64>, StoreError> {
        let room = Item::from_iter([named(name::ROOM, text(key.as_str()))]);
        let Some(item) = self.noted(tables::ROOMS, room).await? else {
            return Ok(None);
        };
        let mut note = Fields::of(tables::ROOMS, item.clone());
        let row = RoomRow::from_item(item)?;
        match seq.cmp(&row.head.seq) {
            Ordering::Greater => Ok(None),
            Ordering::Equal => note.number(name::STORED),
            Ordering::Less => {
                let event = Item::from_iter([
                    named(name::ROOM_SHARD, text(&row.shards.key_of(key, seq))),
                    named(name::SEQ, number(seq)),
                ]);
                let Some(item) = self.noted(tables::EVENTS, event).await? else {
                    return Ok(None);
                };
                Fields::of(tables::EVENTS, item).number(name::STORED)
            }
        }
    }

    /// A row with its note of when it was written, read consistently.
    async fn noted(&self, table: &str, key: Item) -> Result<Option<Item>, StoreError> {
        let request = self
            .client
            .get_item()
            .table_name(self.tables.name(table))
            .set_key(Some(key))
            .consistent_read(true);
        let answer = request.send().await.map_err(StoreError::of)?;
        Ok(answer.item)
    }

    /// Reads events of one room by their seqs.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn events(&self, query: &EventQuery<'_>) -> Result<EventPage, StoreError> {
        let limit = usize::from(query.limit.get().min(EVENTS_READ_MAX));
        if query.from > query.to {
            return Ok(EventPage {
                rows: Vec::new(),
                complete: true,
            });
        }
        let mut reading = Running::at_most(BATCHES_AT_ONCE);
        for key in query.shards.keys(query.key) {
            let shard = self.shard_events(query, key, limit);
            reading.begin(shard.boxed()).await?;
        }
        Ok(merge(reading.finish().await?, query.direction, limit))
    }

    /// The first events of a range under one partition key, to the limit.
    async fn shard_events(
        &self,
        query: &EventQuery<'_>,
        key: String,
        limit: usize,
    ) -> Result<ShardPage, StoreError> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        let mut start: Option<Item> = None;
        loop {
            let page = self
                .client
                .query()
                .table_name(self.tables.name(tables::EVENTS))
                .key_condition_expression("#key = :key AND #seq BETWEEN :from AND :to")
                .expression_attribute_names("#key", name::ROOM_SHARD)
                .expression_attribute_names("#seq", name::SEQ)
                .expression_attribute_values(":key", text(&key))
                .expression_attribute_values(":from", number(query.from))
                .expression_attribute_values(":to", number(query.to))
                .scan_index_forward(query.direction == Direction::Ascending)
                .consistent_read(query.consistency.is_strong())
                .limit(i32::try_from(limit - rows.len()).unwrap_or(i32::MAX))
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(StoreError::of)?;
            for item in page.items.unwrap_or_default() {
                let row = EventRow::from_item(item)?;
                bytes += row.event.value.len();
                rows.push(row);
            }
            start = page.last_evaluated_key;
            if start.is_none() || rows.len() >= limit || bytes >= EVENTS_READ_BYTES_MAX {
                return Ok(ShardPage {
                    rows,
                    complete: start.is_none(),
                });
            }
        }
    }
}

/// Cuts writes into what the store takes at once.
pub(super) fn batches<'a, 'b>(writes: &'a [EventWrite<'b>]) -> Vec<&'a [EventWrite<'b>]> {
    let (mut batches, mut rest) = (Vec::new(), writes);
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest.iter().take(BATCH_ITEMS_MAX).take_while(|write| {
            bytes += write.row.event.value.len() + ROW_OVERHEAD_BYTES;
            bytes <= BATCH_BYTES_MAX
        });
        // An event beyond the bound goes alone, for the store to refuse.
        let (batch, behind) = rest.split_at(fitting.count().max(1));
        batches.push(batch);
        rest = behind;
    }
    batches
}

pub(super) fn put(item: Item) -> Result<WriteRequest, StoreError> {
    let request = PutRequest::builder().set_item(Some(item)).build();
    let request = request.map_err(StoreError::built)?;
    Ok(WriteRequest::builder().put_request(request).build())
}

/// One room's events from those of its partition keys.
///
/// Where one key stopped early, what others hold behind that point is left for the next read: between them there
/// may be events this read did not get.
pub(super) fn merge(shards: Vec<ShardPage>, direction: Direction, limit: usize) -> EventPage {
    let ascending = direction == Direction::Ascending;
    let rank = |row: &EventRow| {
        let seq = row.event.seq.0;
        if ascending { seq } else { u64::MAX - seq }
    };
    let stopped = shards
        .iter()
        .filter(|shard| !shard.complete)
        .filter_map(|shard| shard.rows.last().map(rank))
        .min();
    let mut complete = shards.iter().all(|shard| shard.complete);
    let mut rows: Vec<EventRow> = shards.into_iter().flat_map(|shard| shard.rows).collect();
    rows.sort_by_key(rank);
    // One event can be under two keys when its room was spread between two writes of it.
    rows.dedup_by_key(|row| row.event.seq);
    if let Some(stopped) = stopped {
        rows.retain(|row| rank(row) <= stopped);
    }
    if rows.len() > limit {
        rows.truncate(limit);
        complete = false;
    }
    EventPage { rows, complete }
}
