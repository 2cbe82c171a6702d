//! Users: the rows that make a name and a picture of an id.

use roomlog_core::ids::UserId;

use super::{
    Consistency, Moved, Store, StoreError,
    item::{Change, Item, name, text},
    rows::{UserRow, named},
    tables,
};

impl Store {
    /// One user's row.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn user(
        &self,
        id: &UserId,
        consistency: Consistency,
    ) -> Result<Option<UserRow>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(self.tables.name(tables::USERS))
            .set_key(Some(user_key(id)))
            .consistent_read(consistency.is_strong())
            .send()
            .await
            .map_err(StoreError::of)?;
        answer.item.map(UserRow::from_item).transpose()
    }

    /// The rows of these users, read consistently; users without a row are left out, and so is the order. An id
    /// may occur once only.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn users(&self, ids: &[UserId]) -> Result<Vec<UserRow>, StoreError> {
        let keys = ids.iter().map(user_key).collect();
        let items = self.batch_get(tables::USERS, keys).await?;
        items.into_iter().map(UserRow::from_item).collect()
    }

    /// Makes a user's row unless there is one. Answers the row there is now.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn create_user(&self, user: &UserRow) -> Result<UserRow, StoreError> {
        let mut attributes = user.to_item();
        attributes.remove(name::USER);
        let change = Change::default()
            .set_all(
                attributes
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.clone())),
            )
            .if_absent(name::USER);
        match self
            .update(tables::USERS, user_key(&user.id), change)
            .await?
        {
            Moved::Forward => Ok(user.clone()),
            Moved::Already => self
                .user(&user.id, Consistency::Strong)
                .await?
                .ok_or_else(|| {
                    StoreError::Unavailable("a user's row was taken away meanwhile".into())
                }),
        }
    }

    /// Replaces a user's name and picture. `false` when there is no such user.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn update_user(
        &self,
        id: &UserId,
        display_name: &str,
        avatar: Option<&str>,
    ) -> Result<bool, StoreError> {
        let change = Change::default().set(name::NAME, text(display_name));
        let change = match avatar {
            Some(avatar) => change.set(name::AVATAR, text(avatar)),
            None => change.remove(name::AVATAR),
        };
        let change = change.if_exists(name::USER);
        let moved = self.update(tables::USERS, user_key(id), change).await?;
        Ok(moved == Moved::Forward)
    }
}

pub(super) fn user_key(id: &UserId) -> Item {
    Item::from_iter([named(name::USER, text(id.as_str()))])
}
