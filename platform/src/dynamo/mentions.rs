//! Mentions: a row for each user a message names, counted where it is past the user's read position.
//!
//! A row means nothing once it is read past, so whoever counts drops those it finds behind the position.

use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};
use futures_util::FutureExt as _;
use roomlog_core::ids::{RoomKey, Seq, UserId};

use super::{
    Store, StoreError,
    events::{BATCH_ITEMS_MAX, put},
    item::{Fields, Item, name, text},
    rows::named,
    running::Running,
    tables,
};

/// Batches one call writes at once.
pub const MENTION_BATCHES_AT_ONCE: usize = 4;

/// Digits of a seq in a mention's key, so that they sort as numbers.
const SEQ_DIGITS: usize = 20;

/// A message that names a user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mention {
    /// Who is named.
    pub user: UserId,
    /// Where.
    pub key: RoomKey,
    /// By which message.
    pub seq: Seq,
}

impl Store {
    /// Notes mentions, each once at most. Noting one again changes nothing.
    ///
    /// # Errors
    /// See [`StoreError`]. Some of them may be noted.
    pub async fn put_mentions(&self, mentions: &[Mention]) -> Result<(), StoreError> {
        let requests = mentions.iter().map(|mention| put(row(mention)));
        self.write_mentions(requests.collect::<Result<_, _>>()?)
            .await
    }

    /// Drops mentions that are read.
    ///
    /// # Errors
    /// See [`StoreError`]. Some of them may be dropped.
    pub async fn drop_mentions(&self, mentions: &[Mention]) -> Result<(), StoreError> {
        let requests = mentions.iter().map(|mention| {
            let request = DeleteRequest::builder().set_key(Some(row(mention))).build();
            let request = request.map_err(StoreError::built)?;
            Ok(WriteRequest::builder().delete_request(request).build())
        });
        self.write_mentions(requests.collect::<Result<_, StoreError>>()?)
            .await
    }

    async fn write_mentions(&self, requests: Vec<WriteRequest>) -> Result<(), StoreError> {
        let mut writing = Running::at_most(MENTION_BATCHES_AT_ONCE);
        for batch in requests.chunks(BATCH_ITEMS_MAX) {
            let written = self.write_batch(tables::MENTIONS, batch.to_vec());
            writing.begin(written.boxed()).await?;
        }
        writing.finish().await.map(drop)
    }

    /// Everything that names a user and was not dropped, read consistently.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn mentions_of(&self, user: &UserId) -> Result<Vec<Mention>, StoreError> {
        self.mentions(user, "").await
    }

    /// The same in one room.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn mentions_in(
        &self,
        key: &RoomKey,
        user: &UserId,
    ) -> Result<Vec<Mention>, StoreError> {
        self.mentions(user, &format!("{key}/")).await
    }

    async fn mentions(&self, user: &UserId, begins: &str) -> Result<Vec<Mention>, StoreError> {
        let query = self
            .client
            .query()
            .table_name(self.tables.name(tables::MENTIONS))
            .expression_attribute_names("#user", name::USER)
            .expression_attribute_values(":user", text(user.as_str()))
            .consistent_read(true);
        let query = match begins {
            "" => query.key_condition_expression("#user = :user"),
            begins => query
                .key_condition_expression("#user = :user AND begins_with(#mention, :begins)")
                .expression_attribute_names("#mention", name::MENTION)
                .expression_attribute_values(":begins", text(begins)),
        };
        let mut pages = query.into_paginator().send();
        let mut mentions = Vec::new();
        while let Some(page) = pages.next().await {
            for item in page.map_err(StoreError::of)?.items.unwrap_or_default() {
                mentions.push(mention(item)?);
            }
        }
        Ok(mentions)
    }
}

/// The whole row, which is its key.
fn row(mention: &Mention) -> Item {
    let place = format!("{}/{:0SEQ_DIGITS$}", mention.key, mention.seq.0);
    Item::from_iter([
        named(name::USER, text(mention.user.as_str())),
        named(name::MENTION, text(&place)),
    ])
}

fn mention(item: Item) -> Result<Mention, StoreError> {
    let mut row = Fields::of(tables::MENTIONS, item);
    let user = row.parsed(name::USER, |user| UserId::parse(user).ok())?;
    let (key, seq) = row.parsed(name::MENTION, |place| {
        let (key, seq) = place.split_once('/')?;
        Some((RoomKey::parse(key).ok()?, Seq(seq.parse().ok()?)))
    })?;
    Ok(Mention { user, key, seq })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_mention_is_read_as_it_was_written() {
        let written = Mention {
            user: UserId::parse("bob").unwrap(),
            key: RoomKey::parse("room-1").unwrap(),
            seq: Seq(42),
        };
        assert_eq!(mention(row(&written)).unwrap(), written);
    }
}
