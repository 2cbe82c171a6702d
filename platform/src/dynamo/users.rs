//! Users: the rows that make a name and a picture of an id.

use std::collections::HashMap;

use roomlog_core::ids::UserId;

use super::{
    Consistency, Moved, Store, StoreError,
    item::{Change, Fields, Item, name, number, text},
    rows::{UserRow, name_keys, named},
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

    /// Changes how a user is shown. Answers the row there is then; `None` when there is no such user.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn update_user(
        &self,
        id: &UserId,
        shown: &ProfileChange,
    ) -> Result<Option<UserRow>, StoreError> {
        let mut change = Change::default().if_exists(name::USER);
        if let Some(wanted) = &shown.name {
            change = change.set(name::NAME, text(wanted));
            for (key, value) in name_keys(wanted) {
                change = change.set(&key, value);
            }
        }
        for (attribute, wanted) in [(name::AVATAR, &shown.avatar), (name::LOCALE, &shown.locale)] {
            change = match wanted {
                Some(Some(wanted)) => change.set(attribute, text(wanted)),
                Some(None) => change.remove(attribute),
                None => change,
            };
        }
        match self.update(tables::USERS, user_key(id), change).await? {
            Moved::Forward => self.user(id, Consistency::Strong).await,
            Moved::Already => Ok(None),
        }
    }

    /// Keeps when a user was last here, in ms since the Unix epoch, unless a later time is kept or there is no such user.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn note_active(&self, id: &UserId, at_ms: u64) -> Result<(), StoreError> {
        let change = Change::default()
            .set(name::LAST_ACTIVE, number(at_ms))
            .if_exists(name::USER)
            .and_forward(name::LAST_ACTIVE);
        let written = self.update(tables::USERS, user_key(id), change).await;
        // Moved or not, the row says what it should.
        written.map(drop)
    }

    /// When these users were last here, as far as their rows say; read consistently. An id may occur once only.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn last_active(&self, ids: &[UserId]) -> Result<HashMap<UserId, u64>, StoreError> {
        let keys = ids.iter().map(user_key).collect();
        let mut known = HashMap::new();
        for item in self.batch_get(tables::USERS, keys).await? {
            let mut row = Fields::of(tables::USERS, item);
            if let Some(at_ms) = row.number(name::LAST_ACTIVE)? {
                known.insert(row.parsed(name::USER, |id| UserId::parse(id).ok())?, at_ms);
            }
        }
        Ok(known)
    }

    /// Users, a page of at most `limit` at a time, in no order.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn everyone(&self, after: Option<&str>, limit: u16) -> Result<Everyone, StoreError> {
        let page = self
            .client
            .scan()
            .table_name(self.tables.name(tables::USERS))
            .projection_expression("#user")
            .expression_attribute_names("#user", name::USER)
            // Login names have rows of their own, which have no name to be shown.
            .filter_expression("attribute_exists(#name)")
            .expression_attribute_names("#name", name::NAME)
            .set_exclusive_start_key(
                after.map(|key| Item::from_iter([named(name::USER, text(key))])),
            )
            .limit(i32::from(limit))
            .send()
            .await
            .map_err(StoreError::of)?;
        let parsed = |item: Item| {
            let mut row = Fields::of(tables::USERS, item);
            row.parsed(name::USER, |id| UserId::parse(id).ok())
        };
        let items = page.items.unwrap_or_default();
        Ok(Everyone {
            users: items.into_iter().map(parsed).collect::<Result<_, _>>()?,
            next: match page.last_evaluated_key {
                Some(key) => Fields::of(tables::USERS, key).text(name::USER)?,
                None => None,
            },
        })
    }

    /// The users whose names begin like this, in the order of their names. The index lags a moment behind the rows.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn users_named(&self, begin: &str, limit: u16) -> Result<Vec<FoundUser>, StoreError> {
        let keys = name_keys(begin);
        let [(_, initial), (_, folded)] = keys.as_slice() else {
            return Ok(Vec::new());
        };
        let answer = self
            .client
            .query()
            .table_name(self.tables.name(tables::USERS))
            .index_name(tables::BY_NAME)
            .key_condition_expression("#initial = :initial AND begins_with(#folded, :folded)")
            .expression_attribute_names("#initial", name::INITIAL)
            .expression_attribute_names("#folded", name::FOLDED)
            .expression_attribute_values(":initial", initial.clone())
            .expression_attribute_values(":folded", folded.clone())
            .limit(i32::from(limit))
            .send()
            .await
            .map_err(StoreError::of)?;
        let items = answer.items.unwrap_or_default();
        items.into_iter().map(FoundUser::from_item).collect()
    }
}

/// Some of all users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Everyone {
    /// Who, in no order.
    pub users: Vec<UserId>,
    /// Where the next page begins: a key of the table, which need not be a user's.
    pub next: Option<String>,
}

/// What is to change about how a user is shown: the outer `None` leaves a field as it is, the inner one clears it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileChange {
    /// Display name.
    pub name: Option<String>,
    /// Where a picture is.
    pub avatar: Option<Option<String>>,
    /// The language they want, as a BCP 47 tag.
    pub locale: Option<Option<String>>,
}

/// A user as a search shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundUser {
    /// Who.
    pub id: UserId,
    /// Display name.
    pub name: String,
    /// Where a picture is.
    pub avatar: Option<String>,
}

// === impl FoundUser ===

impl FoundUser {
    fn from_item(item: Item) -> Result<Self, StoreError> {
        let mut row = Fields::of(tables::USERS, item);
        Ok(Self {
            id: row.parsed(name::USER, |id| UserId::parse(id).ok())?,
            name: row.text(name::NAME)?.unwrap_or_default(),
            avatar: row.text(name::AVATAR)?,
        })
    }
}

pub(super) fn user_key(id: &UserId) -> Item {
    Item::from_iter([named(name::USER, text(id.as_str()))])
}
