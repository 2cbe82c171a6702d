//! Devices: where a user's push messages go. A row for each token, which the push service made.

use roomlog_core::ids::UserId;

use super::{
    Store, StoreError,
    item::{Fields, Item, name, number, text},
    rows::named,
    tables,
};

/// One device of a user.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceRow {
    /// What the push service calls it. Whoever has it can be sent to, so it is not for logs.
    pub token: String,
    /// The sign-in it was named in, where that was here: it goes with it.
    pub session: Option<String>,
    /// When it was named last, in milliseconds since the Unix epoch.
    pub at_ms: i64,
}

impl Store {
    /// A user's devices, in no order that means anything.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn devices(&self, user: &UserId) -> Result<Vec<DeviceRow>, StoreError> {
        self.rows_of(tables::DEVICES, user, DeviceRow::from_item)
            .await
    }

    /// Keeps a device, in place of what was known of it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn keep_device(&self, user: &UserId, device: &DeviceRow) -> Result<(), StoreError> {
        let mut item = key(user, &device.token);
        item.extend([named(name::AT, number(device.at_ms))]);
        if let Some(session) = &device.session {
            item.extend([named(name::SESSION, text(session))]);
        }
        self.client
            .put_item()
            .table_name(self.tables.name(tables::DEVICES))
            .set_item(Some(item))
            .send()
            .await
            .map(drop)
            .map_err(StoreError::of)
    }

    /// Forgets a device. `false` where there is none of that token.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn forget_device(&self, user: &UserId, token: &str) -> Result<bool, StoreError> {
        let gone = self
            .client
            .delete_item()
            .table_name(self.tables.name(tables::DEVICES))
            .set_key(Some(key(user, token)))
            .return_values(aws_sdk_dynamodb::types::ReturnValue::AllOld)
            .send()
            .await
            .map_err(StoreError::of)?;
        Ok(gone.attributes.is_some_and(|row| !row.is_empty()))
    }
}

fn key(user: &UserId, token: &str) -> Item {
    Item::from_iter([
        named(name::USER, text(user.as_str())),
        named(name::TOKEN, text(token)),
    ])
}

// === impl DeviceRow ===

impl DeviceRow {
    fn from_item(item: Item) -> Result<Self, StoreError> {
        let mut row = Fields::of(tables::DEVICES, item);
        let token = row.text(name::TOKEN)?;
        Ok(Self {
            token: row.required(name::TOKEN, token)?,
            session: row.text(name::SESSION)?,
            at_ms: row.the_number(name::AT)?,
        })
    }
}
