//! Rooms: their heads and settings, and how both move.

use aws_sdk_dynamodb::{
    operation::transact_write_items::TransactWriteItemsError,
    types::{AttributeValue, KeysAndAttributes, TransactWriteItem, Update},
};
use futures_util::FutureExt as _;
use roomlog_core::{
    ids::{RoomId, RoomKey, UserId},
    room_log::{Head, Position},
    room_state::{Membership, RoomMeta},
};

use super::{
    Consistency, Store, StoreError,
    events::unix_ms,
    item::{Change, Item, name, number, text},
    rows::{PublicRoom, RoomRow, membership_attributes, meta_attributes, named},
    running::Running,
    tables,
};
use crate::backoff::Backoff;

/// Members whose standing one move can change. A transaction takes 100 items; each member is two of them, the
/// room one.
pub const MEMBERS_PER_MOVE_MAX: usize = 49;

/// Rows one batched read asks for; the store takes no more.
pub(super) const READ_BATCH_MAX: usize = 100;
/// Batched reads at once.
const READ_BATCHES_AT_ONCE: usize = 4;
/// How often a batched read asks again for what the store left out under load; then it is unavailable.
const READ_ROUNDS_MAX: u32 = 6;

/// The value of the attribute that puts a room among those anyone may find.
const LISTED_MARK: &str = "room";

/// A room's row on its way forward, with everything its state changed on the way. It happens whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomMove {
    /// Which room or inbox.
    pub key: RoomKey,
    /// The partition its log is in.
    pub partition: u32,
    /// Its new head; all events up to it are stored.
    pub head: Head,
    /// Its settings as of that head, if they changed.
    pub meta: Option<RoomMeta>,
    /// When its last message or notice, or its first event, was appended, if that is among those stored now.
    pub active_at_ms: Option<i64>,
    /// The standings as of that head that changed; at most [`MEMBERS_PER_MOVE_MAX`].
    pub members: Vec<MembershipMove>,
}

/// One member's new standing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MembershipMove {
    /// Who.
    pub user: UserId,
    /// Their standing.
    pub membership: Membership,
}

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

    /// Moves a room's row forward, together with the standings that changed.
    ///
    /// Nothing moves if the row's head is at or past the new one: then somebody who read the same log wrote it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn move_room(&self, step: &RoomMove) -> Result<Moved, StoreError> {
        if step.members.is_empty() {
            self.update(
                tables::ROOMS,
                Item::from_iter([named(name::ROOM, text(step.key.as_str()))]),
                step.room_change(),
            )
            .await
        } else {
            self.move_room_and_members(step).await
        }
    }

    async fn move_room_and_members(&self, step: &RoomMove) -> Result<Moved, StoreError> {
        let room = Item::from_iter([named(name::ROOM, text(step.key.as_str()))]);
        let mut writes = vec![self.transacted(tables::ROOMS, room, step.room_change())?];
        for member in &step.members {
            let key = Item::from_iter([
                named(name::ROOM, text(step.key.as_str())),
                named(name::USER, text(member.user.as_str())),
            ]);
            for table in [tables::MEMBERS, tables::ROOMS_OF] {
                let change = Change::default().set_all(membership_attributes(&member.membership));
                writes.push(self.transacted(table, key.clone(), change)?);
            }
        }
        let sent = self
            .client
            .transact_write_items()
            .set_transact_items(Some(writes))
            .send()
            .await;
        match sent {
            Ok(_) => Ok(Moved::Forward),
            Err(error) => match error.as_service_error().map(cancelled) {
                Some(Cancelled::Condition) => Ok(Moved::Already),
                Some(Cancelled::Busy) => Err(StoreError::Unavailable(
                    "the transaction met another one or was throttled".into(),
                )),
                Some(Cancelled::No) | None => Err(StoreError::of(error)),
            },
        }
    }

    fn transacted(
        &self,
        table: &str,
        key: Item,
        change: Change,
    ) -> Result<TransactWriteItem, StoreError> {
        let parts = change.parts();
        let update = Update::builder()
            .table_name(self.tables.name(table))
            .set_key(Some(key))
            .update_expression(parts.expression)
            .set_condition_expression(parts.condition)
            .set_expression_attribute_names(Some(parts.names))
            .set_expression_attribute_values(parts.values)
            .build()
            .map_err(StoreError::built)?;
        Ok(TransactWriteItem::builder().update(update).build())
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

// === impl RoomMove ===

impl RoomMove {
    fn room_change(&self) -> Change {
        let Position { generation, offset } = self.head.position;
        let change = Change::default()
            .set(name::HEAD, number(self.head.seq))
            .set(name::COUNT, number(self.head.count))
            .set(name::GENERATION, number(generation))
            .set(name::OFFSET, number(offset))
            .set(name::PARTITION, number(self.partition))
            .set(name::STORED, number(unix_ms()))
            .if_forward(name::HEAD);
        let change = match self.active_at_ms {
            Some(at_ms) => change.set(name::ACTIVE_AT, number(at_ms)),
            None => change,
        };
        let Some(meta) = &self.meta else {
            return change;
        };
        let change = change.set_all(meta_attributes(meta));
        if meta.public && !meta.deleted {
            change.set(name::LISTED, text(LISTED_MARK))
        } else {
            change.remove(name::LISTED)
        }
    }
}

/// Why a transaction did not happen.
pub(super) enum Cancelled {
    /// A row was further already.
    Condition,
    /// Trying again can help.
    Busy,
    /// It failed in another way.
    No,
}

pub(super) fn cancelled(error: &TransactWriteItemsError) -> Cancelled {
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else {
        return Cancelled::No;
    };
    let has = |wanted: &[&str]| {
        cancelled
            .cancellation_reasons()
            .iter()
            .filter_map(|reason| reason.code())
            .any(|code| wanted.contains(&code))
    };
    if has(&["ConditionalCheckFailed"]) {
        Cancelled::Condition
    } else if has(&[
        "TransactionConflict",
        "ThrottlingError",
        "ProvisionedThroughputExceeded",
    ]) {
        Cancelled::Busy
    } else {
        Cancelled::No
    }
}

/// The room an item of any table names as `room`.
pub(super) fn key_in(item: &Item) -> Result<RoomKey, StoreError> {
    item.get(name::ROOM)
        .and_then(|room| RoomKey::parse(room.as_s().ok()?).ok())
        .ok_or_else(|| StoreError::Corrupt("a row without the room it belongs to".into()))
}
