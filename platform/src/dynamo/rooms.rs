//! Rooms: their heads and settings, who may find them, and how rows of any table are updated and read together.

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use futures_util::FutureExt as _;
use roomlog_core::ids::{RoomId, RoomKey};

use super::{
    Consistency, Store, StoreError,
    item::{Change, Item, name, number, text},
    rows::{PublicRoom, RoomRow, named},
    running::Running,
    tables,
};
use crate::backoff::Backoff;

/// Rows one batched read asks for; the store takes no more.
pub(super) const READ_BATCH_MAX: usize = 100;
/// Batched reads at once.
const READ_BATCHES_AT_ONCE: usize = 4;
/// How often a batched read asks again for what the store left out under load; then it is unavailable.
const READ_ROUNDS_MAX: u32 = 6;

/// The value of the attribute that puts a room among those anyone may find.
pub(super) const LISTED_MARK: &str = "room";

/// What a write that only moves forward came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// The row is where it was to go.
    Forward,
    /// It was there already or beyond, and was left alone.
    Already,
}

/// Some of the rooms of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomNames {
    /// In no order that means anything. Rooms made a moment ago may be missing.
    pub rooms: Vec<RoomKey>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<RoomKey>,
}

/// Some of the rooms anyone may find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicPage {
    /// By id. Rooms made or renamed a moment ago may be missing or have their old name.
    pub rooms: Vec<PublicRoom>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<RoomId>,
}

impl Store {
    /// One room's or inbox's row.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn room(
        &self,
        key: &RoomKey,
        consistency: Consistency,
    ) -> Result<Option<RoomRow>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(self.tables.name(tables::ROOMS))
            .key(name::ROOM, text(key.as_str()))
            .consistent_read(consistency.is_strong())
            .send()
            .await
            .map_err(StoreError::of)?;
        answer.item.map(RoomRow::from_item).transpose()
    }

    /// The rows of these rooms, read consistently; rooms without a row are left out, and so is the order.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn rooms(&self, keys: &[RoomKey]) -> Result<Vec<RoomRow>, StoreError> {
        let keys = keys
            .iter()
            .map(|key| Item::from_iter([named(name::ROOM, text(key.as_str()))]))
            .collect();
        let items = self.batch_get(tables::ROOMS, keys).await?;
        items.into_iter().map(RoomRow::from_item).collect()
    }

    /// The names of a partition's rooms and inboxes, a page at a time, from an index that lags a moment.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn rooms_in_partition(
        &self,
        partition: u32,
        from: Option<&RoomKey>,
    ) -> Result<RoomNames, StoreError> {
        let start = from.map(|room| {
            Item::from_iter([
                named(name::ROOM, text(room.as_str())),
                named(name::PARTITION, number(partition)),
            ])
        });
        let page = self
            .query_index(tables::BY_PARTITION, name::PARTITION, number(partition))
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(StoreError::of)?;
        let rooms = page.items.unwrap_or_default().into_iter();
        Ok(RoomNames {
            rooms: rooms.map(|item| key_in(&item)).collect::<Result<_, _>>()?,
            next: page.last_evaluated_key.as_ref().map(key_in).transpose()?,
        })
    }

    /// Rows of rooms and inboxes of all partitions, read consistently, a page at a time in no order that means anything.
    /// `None` beside them on the last page.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn every_room(
        &self,
        after: Option<&RoomKey>,
    ) -> Result<(Vec<RoomRow>, Option<RoomKey>), StoreError> {
        let start = after.map(|room| Item::from_iter([named(name::ROOM, text(room.as_str()))]));
        let page = self
            .client
            .scan()
            .table_name(self.tables.name(tables::ROOMS))
            .consistent_read(true)
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(StoreError::of)?;
        let rooms = page.items.unwrap_or_default().into_iter();
        Ok((
            rooms.map(RoomRow::from_item).collect::<Result<_, _>>()?,
            page.last_evaluated_key.as_ref().map(key_in).transpose()?,
        ))
    }

    /// Says which partition a room's log goes on in.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn place_room(&self, room: &RoomKey, partition: u32) -> Result<(), StoreError> {
        let key = Item::from_iter([named(name::ROOM, text(room.as_str()))]);
        let change = Change::default()
            .set(name::PARTITION, number(partition))
            .if_exists(name::ROOM);
        self.update(tables::ROOMS, key, change).await.map(drop)
    }

    /// The rooms anyone may find, by id, a page of at most `limit` at a time.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn public_rooms(
        &self,
        after: Option<&RoomId>,
        limit: u16,
    ) -> Result<PublicPage, StoreError> {
        let start = after.map(|room| {
            Item::from_iter([
                named(name::ROOM, text(room.as_str())),
                named(name::LISTED, text(LISTED_MARK)),
            ])
        });
        let page = self
            .query_index(tables::LISTED, name::LISTED, text(LISTED_MARK))
            .limit(i32::from(limit.max(1)))
            .set_exclusive_start_key(start)
            .send()
            .await
            .map_err(StoreError::of)?;
        let rooms = page.items.unwrap_or_default().into_iter();
        let next = page.last_evaluated_key.as_ref().map(key_in).transpose()?;
        Ok(PublicPage {
            rooms: rooms.map(PublicRoom::from_item).collect::<Result<_, _>>()?,
            next: next.and_then(|key| key.room()),
        })
    }

    fn query_index(
        &self,
        index: &str,
        attribute: &str,
        value: AttributeValue,
    ) -> aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder {
        self.client
            .query()
            .table_name(self.tables.name(tables::ROOMS))
            .index_name(index)
            .key_condition_expression("#key = :key")
            .expression_attribute_names("#key", attribute)
            .expression_attribute_values(":key", value)
    }

    /// Updates one row; a condition that does not hold is a value, not an error.
    pub(super) async fn update(
        &self,
        table: &str,
        key: Item,
        change: Change,
    ) -> Result<Moved, StoreError> {
        let parts = change.parts();
        let sent = self
            .client
            .update_item()
            .table_name(self.tables.name(table))
            .set_key(Some(key))
            .update_expression(parts.expression)
            .set_condition_expression(parts.condition)
            .set_expression_attribute_names(Some(parts.names))
            .set_expression_attribute_values(parts.values)
            .send()
            .await;
        match sent {
            Ok(_) => Ok(Moved::Forward),
            Err(error) => match error.as_service_error() {
                Some(service) if service.is_conditional_check_failed_exception() => {
                    Ok(Moved::Already)
                }
                _ => Err(StoreError::of(error)),
            },
        }
    }

    /// Reads rows of one table by their keys, consistently. A key may occur once only.
    pub(super) async fn batch_get(
        &self,
        table: &str,
        keys: Vec<Item>,
    ) -> Result<Vec<Item>, StoreError> {
        let mut reading = Running::at_most(READ_BATCHES_AT_ONCE);
        for batch in keys.chunks(READ_BATCH_MAX) {
            let batch = self.batch_get_one(table, batch.to_vec());
            reading.begin(batch.boxed()).await?;
        }
        Ok(reading.finish().await?.into_iter().flatten().collect())
    }

    async fn batch_get_one(
        &self,
        table: &str,
        mut keys: Vec<Item>,
    ) -> Result<Vec<Item>, StoreError> {
        let table = self.tables.name(table);
        let mut items = Vec::with_capacity(keys.len());
        let mut backoff = Backoff::between(super::RETRY_WAIT / 2, super::RETRY_WAIT * 8);
        while !keys.is_empty() {
            if backoff.attempts() >= READ_ROUNDS_MAX {
                return Err(StoreError::Unavailable(
                    "a batched read is throttled".into(),
                ));
            }
            if backoff.attempts() > 0 {
                backoff.wait().await;
            } else {
                backoff.next_wait();
            }
            let request = KeysAndAttributes::builder()
                .set_keys(Some(keys))
                .consistent_read(true)
                .build()
                .map_err(StoreError::built)?;
            let sent = self.client.batch_get_item().request_items(&table, request);
            let answer = sent.send().await.map_err(StoreError::of)?;
            let mut found = answer.responses.unwrap_or_default();
            items.append(&mut found.remove(&table).unwrap_or_default());
            let mut left = answer.unprocessed_keys.unwrap_or_default();
            keys = left
                .remove(&table)
                .map(|left| left.keys)
                .unwrap_or_default();
        }
        Ok(items)
    }
}

/// The room an item of any table names as `room`.
pub(super) fn key_in(item: &Item) -> Result<RoomKey, StoreError> {
    item.get(name::ROOM)
        .and_then(|room| RoomKey::parse(room.as_s().ok()?).ok())
        .ok_or_else(|| StoreError::Corrupt("a row without the room it belongs to".into()))
}
