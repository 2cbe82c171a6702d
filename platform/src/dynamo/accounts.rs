//! Accounts: who signs in with which login name and password.
//!
//! A login name has a row of its own in `users`, under a key no user id can be. One transaction makes it together
//! with the user's row, so a name is given once, however many ask at once. The password's hash is in that row and
//! nowhere else: rows that are read for names and pictures don't carry it.

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use roomlog_core::{account::Login, ids::UserId};

use super::{
    Moved, Store, StoreError,
    error::{Cancelled, cancelled},
    item::{Change, Fields, Item, name, text},
    rows::{UserRow, named},
    tables,
};

/// What is put before a login name to make its key.
const LOGIN_KEY: &str = "login:";

/// What a login name leads to.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginRow {
    /// Whose account it is.
    pub user: UserId,
    /// The password's hash, a PHC string.
    pub password: String,
}

/// What became of a wish for an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignUp {
    /// It is made.
    Made,
    /// Somebody has the login name.
    Taken,
}

impl Store {
    /// Makes an account: the user's row and the login name's, both or neither.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn sign_up(
        &self,
        user: &UserRow,
        login: &Login,
        password: &str,
    ) -> Result<SignUp, StoreError> {
        let mut person = user.to_item();
        person.extend([named(name::LOGIN, text(login.as_str()))]);
        let mut entrance = login_key(login);
        entrance.extend([
            named(name::ACCOUNT, text(user.id.as_str())),
            named(name::PASSWORD, text(password)),
        ]);
        let sent = self
            .client
            .transact_write_items()
            .transact_items(self.if_new(entrance)?)
            .transact_items(self.if_new(person)?)
            .send()
            .await;
        match sent {
            Ok(_) => Ok(SignUp::Made),
            Err(error) => match error.as_service_error().map(cancelled) {
                Some(Cancelled::Condition) => Ok(SignUp::Taken),
                Some(Cancelled::Busy) => Err(StoreError::Unavailable(
                    "another sign-up for the name is under way".into(),
                )),
                Some(Cancelled::No) | None => Err(StoreError::of(error)),
            },
        }
    }

    fn if_new(&self, item: Item) -> Result<TransactWriteItem, StoreError> {
        let put = Put::builder()
            .table_name(self.tables.name(tables::USERS))
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(#key)")
            .expression_attribute_names("#key", name::USER)
            .build()
            .map_err(StoreError::built)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// What a login name leads to, read consistently.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn login(&self, login: &Login) -> Result<Option<LoginRow>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(self.tables.name(tables::USERS))
            .set_key(Some(login_key(login)))
            .consistent_read(true)
            .send()
            .await
            .map_err(StoreError::of)?;
        answer.item.map(LoginRow::from_item).transpose()
    }

    /// Puts another hash in the place of this one. `false` when it is not there any more.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn replace_password(
        &self,
        login: &Login,
        from: &str,
        to: &str,
    ) -> Result<bool, StoreError> {
        let change = Change::default()
            .set(name::PASSWORD, text(to))
            .if_equal(name::PASSWORD, text(from));
        let moved = self.update(tables::USERS, login_key(login), change).await?;
        Ok(moved == Moved::Forward)
    }
}

fn login_key(login: &Login) -> Item {
    let key = format!("{LOGIN_KEY}{}", login.as_str());
    Item::from_iter([named(name::USER, text(&key))])
}

// === impl LoginRow ===

impl LoginRow {
    fn from_item(item: Item) -> Result<Self, StoreError> {
        let mut row = Fields::of(tables::USERS, item);
        let password = row.text(name::PASSWORD)?;
        Ok(Self {
            user: row.parsed(name::ACCOUNT, |id| UserId::parse(id).ok())?,
            password: row.required(name::PASSWORD, password)?,
        })
    }
}
