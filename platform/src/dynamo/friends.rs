//! Friends: a row for each of two people, both written by one transaction.

use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem, Update};
use roomlog_core::{
    friendship::{Friendship, Step},
    ids::UserId,
};

use super::{
    Consistency, Store, StoreError,
    error::{Cancelled, cancelled},
    item::{Fields, Item, name, number, text},
    rows::named,
    tables,
};

/// How a user stands to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FriendRow {
    /// The other one.
    pub friend: UserId,
    /// How they stand.
    pub standing: Friendship,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_ms: i64,
}

impl Store {
    /// How a user stands to everyone they have to do with, by the others' ids.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn friends(&self, user: &UserId) -> Result<Vec<FriendRow>, StoreError> {
        self.rows_of(tables::FRIENDS, user, FriendRow::from_item)
            .await
    }

    /// How a user stands to another.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn friend(
        &self,
        user: &UserId,
        friend: &UserId,
    ) -> Result<Option<FriendRow>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(self.tables.name(tables::FRIENDS))
            .set_key(Some(key(user, friend)))
            .consistent_read(Consistency::Strong.is_strong())
            .send()
            .await
            .map_err(StoreError::of)?;
        answer.item.map(FriendRow::from_item).transpose()
    }

    /// Carries out a step of a user's towards another, for both at once. `false` if they don't stand as the step
    /// expects any more.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn befriend(
        &self,
        user: &UserId,
        friend: &UserId,
        step: Step,
        at_ms: i64,
    ) -> Result<bool, StoreError> {
        let writes = match step {
            Step::Nothing => return Ok(true),
            Step::Request => [
                self.ask(user, friend, Friendship::Requested, at_ms)?,
                self.ask(friend, user, Friendship::Received, at_ms)?,
            ],
            Step::Accept => [
                self.agree(user, friend, Friendship::Received, at_ms)?,
                self.agree(friend, user, Friendship::Requested, at_ms)?,
            ],
        };
        self.write_both(writes).await
    }

    /// Ends whatever there is between two people. `false` where another change was under way.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn unfriend(&self, user: &UserId, friend: &UserId) -> Result<bool, StoreError> {
        let away = |user, friend| {
            let delete = Delete::builder()
                .table_name(self.tables.name(tables::FRIENDS))
                .set_key(Some(key(user, friend)))
                .build()
                .map_err(StoreError::built)?;
            Ok::<_, StoreError>(TransactWriteItem::builder().delete(delete).build())
        };
        self.write_both([away(user, friend)?, away(friend, user)?])
            .await
    }

    async fn write_both(&self, writes: [TransactWriteItem; 2]) -> Result<bool, StoreError> {
        let sent = self
            .client
            .transact_write_items()
            .set_transact_items(Some(writes.into()))
            .send()
            .await;
        match sent {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error().map(cancelled) {
                Some(Cancelled::Condition | Cancelled::Busy) => Ok(false),
                Some(Cancelled::No) | None => Err(StoreError::of(error)),
            },
        }
    }

    fn ask(
        &self,
        user: &UserId,
        friend: &UserId,
        standing: Friendship,
        at_ms: i64,
    ) -> Result<TransactWriteItem, StoreError> {
        let mut item = key(user, friend);
        item.extend([
            named(name::STATE, text(standing.as_str())),
            named(name::AT, number(at_ms)),
        ]);
        let put = Put::builder()
            .table_name(self.tables.name(tables::FRIENDS))
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(#user)")
            .expression_attribute_names("#user", name::USER)
            .build()
            .map_err(StoreError::built)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    fn agree(
        &self,
        user: &UserId,
        friend: &UserId,
        was: Friendship,
        at_ms: i64,
    ) -> Result<TransactWriteItem, StoreError> {
        let value = |standing: Friendship| AttributeValue::S(standing.as_str().to_owned());
        let update = Update::builder()
            .table_name(self.tables.name(tables::FRIENDS))
            .set_key(Some(key(user, friend)))
            .update_expression("SET #state = :friends, #at = :at")
            .condition_expression("#state = :was")
            .expression_attribute_names("#state", name::STATE)
            .expression_attribute_names("#at", name::AT)
            .expression_attribute_values(":friends", value(Friendship::Friends))
            .expression_attribute_values(":was", value(was))
            .expression_attribute_values(":at", number(at_ms))
            .build()
            .map_err(StoreError::built)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }
}

fn key(user: &UserId, friend: &UserId) -> Item {
    Item::from_iter([
        named(name::USER, text(user.as_str())),
        named(name::FRIEND, text(friend.as_str())),
    ])
}

// === impl FriendRow ===

impl FriendRow {
    fn from_item(item: Item) -> Result<Self, StoreError> {
        let mut row = Fields::of(tables::FRIENDS, item);
        Ok(Self {
            friend: row.parsed(name::FRIEND, |id| UserId::parse(id).ok())?,
            standing: row.parsed(name::STATE, Friendship::parse)?,
            since_ms: row.the_number(name::AT)?,
        })
    }
}
