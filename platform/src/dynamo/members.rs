//! Members: a user's standing in a room and how far they have read.

use futures_util::FutureExt as _;
use roomlog_core::{
    ids::{Count, RoomId, RoomKey, Seq, UserId},
    push::Notify,
    unread::ReadPosition,
};

use super::{
    Consistency, Moved, Store, StoreError,
    item::{Change, Item, name, number, text},
    rows::{MemberRow, RoomsOfRow, named},
    running::Running,
    tables,
};

/// Read positions one call writes at once.
pub const READS_AT_ONCE: usize = 8;

/// Up to where a user has read a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadMark {
    /// The room.
    pub key: RoomKey,
    /// Who.
    pub user: UserId,
    /// Up to where.
    pub seq: Seq,
    /// The count there.
    pub count: Count,
}

/// Some of a room's rows of users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberPage {
    /// By user id; also those who are gone, banned or have a read position only.
    pub members: Vec<MemberRow>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<UserId>,
}

impl ReadMark {
    /// Up to where.
    pub fn position(&self) -> ReadPosition {
        ReadPosition::at(self.seq, self.count)
    }
}

impl Store {
    /// One user's row in a room.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn member(
        &self,
        room: &RoomId,
        user: &UserId,
        consistency: Consistency,
    ) -> Result<Option<MemberRow>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(self.tables.name(tables::MEMBERS))
            .set_key(Some(member_key(room.as_str(), user)))
            .consistent_read(consistency.is_strong())
            .send()
            .await
            .map_err(StoreError::of)?;
        answer.item.map(MemberRow::from_item).transpose()
    }

    /// The rows of these users in these rooms, read consistently, with the room of each; pairs without a row are
    /// left out, and so is the order. A pair may occur once only.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn members_among(
        &self,
        pairs: &[(RoomKey, UserId)],
    ) -> Result<Vec<(RoomKey, MemberRow)>, StoreError> {
        let keys = pairs
            .iter()
            .map(|(room, user)| member_key(room.as_str(), user))
            .collect();
        let items = self.batch_get(tables::MEMBERS, keys).await?;
        items
            .into_iter()
            .map(|item| {
                let room = super::rooms::key_in(&item)?;
                Ok((room, MemberRow::from_item(item)?))
            })
            .collect()
    }

    /// A room's rows of users, a page of at most `limit` at a time.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn members(
        &self,
        room: &RoomId,
        after: Option<&UserId>,
        limit: u16,
        consistency: Consistency,
    ) -> Result<MemberPage, StoreError> {
        let page = self
            .client
            .query()
            .table_name(self.tables.name(tables::MEMBERS))
            .key_condition_expression("#room = :room")
            .expression_attribute_names("#room", name::ROOM)
            .expression_attribute_values(":room", text(room.as_str()))
            .limit(i32::from(limit.max(1)))
            .set_exclusive_start_key(after.map(|user| member_key(room.as_str(), user)))
            .consistent_read(consistency.is_strong())
            .send()
            .await
            .map_err(StoreError::of)?;
        let members = page.items.unwrap_or_default().into_iter();
        let next = page.last_evaluated_key.map(MemberRow::from_item);
        Ok(MemberPage {
            members: members
                .map(MemberRow::from_item)
                .collect::<Result<_, _>>()?,
            next: next.transpose()?.map(|row| row.user),
        })
    }

    /// Every room a user has or had a standing in, read consistently. Bounded by the rooms a user may be in.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn rooms_of(&self, user: &UserId) -> Result<Vec<RoomsOfRow>, StoreError> {
        self.rows_of(tables::ROOMS_OF, user, RoomsOfRow::from_item)
            .await
    }

    /// All rows of a table that are kept by user, read consistently, in no order that means anything.
    pub(super) async fn rows_of<R>(
        &self,
        table: &str,
        user: &UserId,
        read: impl Fn(Item) -> Result<R, StoreError>,
    ) -> Result<Vec<R>, StoreError> {
        let mut pages = self
            .client
            .query()
            .table_name(self.tables.name(table))
            .key_condition_expression("#user = :user")
            .expression_attribute_names("#user", name::USER)
            .expression_attribute_values(":user", text(user.as_str()))
            .consistent_read(true)
            .into_paginator()
            .send();
        let mut rows = Vec::new();
        while let Some(page) = pages.next().await {
            for item in page.map_err(StoreError::of)?.items.unwrap_or_default() {
                rows.push(read(item)?);
            }
        }
        Ok(rows)
    }

    /// Moves read positions forward; those that are further already stay. A user without a row gets one that
    /// says nothing but this: whether they are a member is written elsewhere, and possibly later.
    ///
    /// # Errors
    /// See [`StoreError`]. Some of the positions may have moved.
    pub async fn move_reads(&self, marks: &[ReadMark]) -> Result<(), StoreError> {
        let mut moving = Running::at_most(READS_AT_ONCE);
        for mark in marks {
            moving.begin(self.move_read(mark).boxed()).await?;
        }
        moving.finish().await.map(drop)
    }

    /// Keeps of which messages of a room somebody wants to hear. They need not be stored as a member yet.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn set_notify(
        &self,
        room: &RoomId,
        user: &UserId,
        notify: Notify,
    ) -> Result<(), StoreError> {
        let change = Change::default().set(name::NOTIFY, text(notify.as_str()));
        let key = member_key(room.as_str(), user);
        self.update(tables::MEMBERS, key, change).await.map(drop)
    }

    async fn move_read(&self, mark: &ReadMark) -> Result<Moved, StoreError> {
        let change = Change::default()
            .set(name::READ_SEQ, number(mark.seq))
            .set(name::READ_COUNT, number(mark.count))
            .if_forward(name::READ_SEQ);
        let key = member_key(mark.key.as_str(), &mark.user);
        self.update(tables::MEMBERS, key, change).await
    }
}

fn member_key(room: &str, user: &UserId) -> Item {
    Item::from_iter([
        named(name::ROOM, text(room)),
        named(name::USER, text(user.as_str())),
    ])
}
