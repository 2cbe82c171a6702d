//! Sessions: one row for each sign-in that can be renewed. Holds a hash of the newest refresh token, never a token.

use aws_sdk_dynamodb::types::ReturnValue;
use roomlog_core::{ids::UserId, renewal::Standing};

use super::{
    Moved, Store, StoreError,
    item::{Change, Fields, Item, name, number, text},
    rows::named,
    tables,
    users::user_key,
};

/// One sign-in.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub user: UserId,
    /// The user's sessions version when it began.
    pub version: u64,
    /// Where its chain of refresh tokens stands; it ends at the latest then, whatever is renewed.
    pub standing: Standing,
    /// The newest refresh token's SHA-256, in hex.
    pub hash: String,
    /// From when on the row may be dropped, in seconds since the Unix epoch: it was not used for long.
    pub expires_at_s: u64,
}

impl Store {
    /// Keeps a new session.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn begin_session(&self, session: &SessionRow) -> Result<(), StoreError> {
        let standing = session.standing;
        let change = session
            .renewed()
            .set(name::USER, text(session.user.as_str()))
            .set(name::SESSIONS_VERSION, number(session.version))
            .set(name::ENDS_AT, number(standing.ends_at_ms))
            .if_absent(name::SESSION);
        match self
            .update(tables::SESSIONS, session_key(&session.id), change)
            .await?
        {
            Moved::Forward => Ok(()),
            // The id is random: it is our own write, whose answer got lost.
            Moved::Already => Ok(()),
        }
    }

    /// A session, read consistently. `None` once it was ended or dropped.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn session(&self, id: &str) -> Result<Option<SessionRow>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(self.tables.name(tables::SESSIONS))
            .set_key(Some(session_key(id)))
            .consistent_read(true)
            .send()
            .await
            .map_err(StoreError::of)?;
        answer.item.map(SessionRow::from_item).transpose()
    }

    /// Moves a session to this state if it is one generation before it. `false` when somebody else was faster or it
    /// is over.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn renew_session(&self, session: &SessionRow) -> Result<bool, StoreError> {
        let before = session.standing.generation.saturating_sub(1);
        let change = session.renewed().if_equal(name::GENERATION, number(before));
        let moved = self
            .update(tables::SESSIONS, session_key(&session.id), change)
            .await?;
        Ok(moved == Moved::Forward)
    }

    /// Ends a session. Ending it again changes nothing.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn end_session(&self, id: &str) -> Result<(), StoreError> {
        self.client
            .delete_item()
            .table_name(self.tables.name(tables::SESSIONS))
            .set_key(Some(session_key(id)))
            .send()
            .await
            .map(drop)
            .map_err(StoreError::of)
    }

    /// Ends all sessions of a user; answers the version from which on theirs are good.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn end_sessions(&self, user: &UserId) -> Result<u64, StoreError> {
        let answer = self
            .client
            .update_item()
            .table_name(self.tables.name(tables::USERS))
            .set_key(Some(user_key(user)))
            .update_expression("ADD #version :one")
            .condition_expression("attribute_exists(#user)")
            .expression_attribute_names("#version", name::SESSIONS_VERSION)
            .expression_attribute_names("#user", name::USER)
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::UpdatedNew)
            .send()
            .await
            .map_err(StoreError::of)?;
        Fields::of(tables::USERS, answer.attributes.unwrap_or_default())
            .the_number(name::SESSIONS_VERSION)
    }
}

fn session_key(id: &str) -> Item {
    Item::from_iter([named(name::SESSION, text(id))])
}

// === impl SessionRow ===

impl SessionRow {
    /// What a renewal writes.
    fn renewed(&self) -> Change {
        Change::default()
            .set(name::GENERATION, number(self.standing.generation))
            .set(name::GIVEN_AT, number(self.standing.given_at_ms))
            .set(name::HASH, text(&self.hash))
            .set(name::EXPIRES_AT, number(self.expires_at_s))
    }

    fn from_item(item: Item) -> Result<Self, StoreError> {
        let mut row = Fields::of(tables::SESSIONS, item);
        let (id, hash) = (row.text(name::SESSION)?, row.text(name::HASH)?);
        Ok(Self {
            id: row.required(name::SESSION, id)?,
            user: row.parsed(name::USER, |id| UserId::parse(id).ok())?,
            version: row.the_number(name::SESSIONS_VERSION)?,
            standing: Standing {
                generation: row.the_number(name::GENERATION)?,
                given_at_ms: row.the_number(name::GIVEN_AT)?,
                ends_at_ms: row.the_number(name::ENDS_AT)?,
            },
            hash: row.required(name::HASH, hash)?,
            expires_at_s: row.the_number(name::EXPIRES_AT)?,
        })
    }
}
