//! How a room's row moves forward with what the log says, and its members' rows with it.

use aws_sdk_dynamodb::types::{TransactWriteItem, Update};
use roomlog_core::{
    ids::{RoomKey, UserId},
    room_log::{Head, Position},
    room_state::{Membership, RoomMeta},
};

use super::{
    Moved, Store, StoreError,
    error::{Cancelled, cancelled},
    events::unix_ms,
    item::{Change, Item, name, number, text},
    rooms::LISTED_MARK,
    rows::{membership_attributes, meta_attributes, named},
    tables,
};

/// Members whose standing one move can change. A transaction takes 100 items; each member is two of them, the
/// room one.
pub const MEMBERS_PER_MOVE_MAX: usize = 49;

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

impl Store {
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
