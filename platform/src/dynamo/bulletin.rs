//! The bulletin: short notes from one gateway to all others about users, such as "signed out" and "has a new name".
//!
//! A note is added to the row of the current stretch of time in `sessions`; every gateway reads the rows of the last
//! few stretches every other second. It needs nothing but the store, which has to be there for what the notes are
//! about anyway, and a gateway that could not read for a while finds everything later.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    Store, StoreError,
    item::{Item, name, number, text},
    rows::named,
    tables,
};

/// The length of a stretch. A row holds 400 KB: over 5,000 notes, or 170 a second; beyond it the store refuses.
pub const BULLETIN_MS: u64 = 30_000;

/// What is put before a stretch's number to make its key; no session id looks like it.
const BULLETIN_KEY: &str = "bulletin:";

/// The number of a stretch since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bulletin(pub u64);

// === impl Bulletin ===

impl Bulletin {
    /// The stretch of a moment, in milliseconds since the Unix epoch.
    pub fn at(now_ms: u64) -> Self {
        Self(now_ms / BULLETIN_MS)
    }

    fn key(self) -> Item {
        Item::from_iter([named(
            name::SESSION,
            text(&format!("{BULLETIN_KEY}{}", self.0)),
        )])
    }
}

impl Store {
    /// Adds a note. It is kept until this time, in seconds since the Unix epoch.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn post_note(
        &self,
        bulletin: Bulletin,
        note: &str,
        until_s: u64,
    ) -> Result<(), StoreError> {
        self.client
            .update_item()
            .table_name(self.tables.name(tables::SESSIONS))
            .set_key(Some(bulletin.key()))
            .update_expression("ADD #entries :note SET #expires = :until")
            .expression_attribute_names("#entries", name::ENTRIES)
            .expression_attribute_names("#expires", name::EXPIRES_AT)
            .expression_attribute_values(":note", AttributeValue::Ss(vec![note.to_owned()]))
            .expression_attribute_values(":until", number(until_s))
            .send()
            .await
            .map(drop)
            .map_err(StoreError::of)
    }

    /// The notes of these stretches, read consistently.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn notes(
        &self,
        bulletins: impl IntoIterator<Item = Bulletin>,
    ) -> Result<BTreeMap<Bulletin, Vec<String>>, StoreError> {
        let keys = bulletins.into_iter().map(Bulletin::key).collect();
        let items = self.batch_get(tables::SESSIONS, keys).await?;
        items.into_iter().map(from_item).collect()
    }
}

fn from_item(mut item: Item) -> Result<(Bulletin, Vec<String>), StoreError> {
    let number = item
        .get(name::SESSION)
        .and_then(|key| key.as_s().ok()?.strip_prefix(BULLETIN_KEY)?.parse().ok());
    match (number, item.remove(name::ENTRIES)) {
        (Some(number), Some(AttributeValue::Ss(notes))) => Ok((Bulletin(number), notes)),
        _ => Err(StoreError::Corrupt(
            "table sessions: a bulletin that is none".into(),
        )),
    }
}
