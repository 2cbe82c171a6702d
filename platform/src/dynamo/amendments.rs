//! Edits, deletions and reactions: rows that say what became of a message, written without reading anything.
//!
//! A row of `patches` holds the last edit of each user who sent one, as attributes that carry the user's id, and the
//! first deletion. A row of `reactions` holds one user's last word on one emoji. Every write is conditional on the
//! very attributes it sets, so doing one twice, or late, changes nothing.

use std::ops::RangeInclusive;

use aws_sdk_dynamodb::{
    operation::query::builders::QueryFluentBuilder,
    types::AttributeValue::{N, S},
};
use futures_util::FutureExt as _;
use roomlog_core::{
    amendment::{Amendment, Change as Amends},
    ids::{RoomKey, Seq, UserId},
};

use super::{
    Moved, Store, StoreError,
    item::{Change, Fields, Item, flag, name, number, text},
    rows::named,
    running::Running,
    tables,
};

/// Amendments one call writes at once.
pub const AMENDS_AT_ONCE: usize = 8;
/// Reactions read for one page of history, at most: some 2 MB. Beyond it the counts of the page are too low.
const REACTIONS_READ_MAX: usize = 20_000;

/// What comes before a user's id in the names of the attributes of their edit.
const BY_SEQ: &str = "by_seq/";
const TEXT: &str = "text/";
const AT: &str = "at/";

/// Digits of a target in a reaction's key, so that they sort as numbers.
const TARGET_DIGITS: usize = 20;

impl Store {
    /// Writes changes of messages. One that is stored already, or that a later one has replaced, changes nothing.
    ///
    /// A change the store can't hold, as only foreign producers can make them, is left out: an edit of hundreds of
    /// kilobytes, or of a message that dozens of strangers edited.
    ///
    /// # Errors
    /// See [`StoreError`]. Some of the changes may be stored.
    pub async fn amend(&self, amendments: &[(RoomKey, Amendment)]) -> Result<(), StoreError> {
        let mut writing = Running::at_most(AMENDS_AT_ONCE);
        for (key, amendment) in amendments {
            writing
                .begin(self.amend_one(key, amendment).boxed())
                .await?;
        }
        writing.finish().await.map(drop)
    }

    async fn amend_one(&self, key: &RoomKey, amendment: &Amendment) -> Result<Moved, StoreError> {
        let (table, row, change) = written(key, amendment);
        let moved = self.update(table, row, change);
        unless_never(moved.await, key.as_str(), amendment.seq)
    }

    /// The stored edits and deletions of a stretch of messages, read consistently.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn patches(
        &self,
        key: &RoomKey,
        targets: RangeInclusive<Seq>,
    ) -> Result<Vec<Amendment>, StoreError> {
        let (from, to) = (N(targets.start().to_string()), N(targets.end().to_string()));
        let query = self
            .range_of(tables::PATCHES, key, name::TARGET)
            .expression_attribute_values(":from", from)
            .expression_attribute_values(":to", to);
        let rows = read(query, usize::MAX).await?;
        let mut amendments = Vec::new();
        for row in rows {
            patch_from(row, &mut amendments)?;
        }
        Ok(amendments)
    }

    /// The stored reactions to a stretch of messages, read consistently.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn reactions(
        &self,
        key: &RoomKey,
        targets: RangeInclusive<Seq>,
    ) -> Result<Vec<Amendment>, StoreError> {
        // The first character after the one that ends a target.
        let end = format!("{:0TARGET_DIGITS$}0", targets.end().0);
        let query = self
            .range_of(tables::REACTIONS, key, name::REACTION)
            .expression_attribute_values(":from", S(target_prefix(*targets.start())))
            .expression_attribute_values(":to", S(end));
        let rows = read(query, REACTIONS_READ_MAX).await?;
        rows.into_iter().map(reaction_from).collect()
    }

    fn range_of(&self, table: &str, key: &RoomKey, range: &str) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(self.tables.name(table))
            .key_condition_expression("#room = :room AND #range BETWEEN :from AND :to")
            .expression_attribute_names("#room", name::ROOM)
            .expression_attribute_names("#range", range)
            .expression_attribute_values(":room", text(key.as_str()))
            .consistent_read(true)
    }
}

async fn read(query: QueryFluentBuilder, rows_max: usize) -> Result<Vec<Item>, StoreError> {
    let mut pages = query.into_paginator().send();
    let mut rows = Vec::new();
    while rows.len() < rows_max
        && let Some(page) = pages.next().await
    {
        rows.extend(page.map_err(StoreError::of)?.items.unwrap_or_default());
    }
    Ok(rows)
}

/// Leaves out what the store can never hold, as only foreign producers can make it: nobody is to wait for it.
pub(super) fn unless_never(
    moved: Result<Moved, StoreError>,
    room: &str,
    seq: Seq,
) -> Result<Moved, StoreError> {
    match moved {
        Err(StoreError::Refused(reason)) if reason.starts_with("ValidationException") => {
            tracing::error!(room, seq = seq.0, %reason, "what an event changes can't be stored");
            Ok(Moved::Already)
        }
        moved => moved,
    }
}

/// The table, the row's key and its change.
pub(super) fn written(key: &RoomKey, amendment: &Amendment) -> (&'static str, Item, Change) {
    let Amendment {
        target, by, seq, ..
    } = amendment;
    let room = named(name::ROOM, text(key.as_str()));
    let patch = || Item::from_iter([room.clone(), named(name::TARGET, number(target))]);
    match &amendment.change {
        Amends::Edited(new) => {
            let by_seq = format!("{BY_SEQ}{by}");
            let change = Change::default()
                .set(&by_seq, number(seq))
                .set(&format!("{AT}{by}"), number(amendment.at_ms))
                .set(&format!("{TEXT}{by}"), text(new))
                .if_forward(&by_seq);
            (tables::PATCHES, patch(), change)
        }
        Amends::Deleted => {
            let change = Change::default()
                .set(name::DELETED_SEQ, number(seq))
                .set(name::DELETED_AT, number(amendment.at_ms))
                .set(name::DELETED_BY, text(by.as_str()))
                .if_absent(name::DELETED_SEQ);
            (tables::PATCHES, patch(), change)
        }
        Amends::Reacted { emoji, on } => {
            let reaction = format!("{}{emoji}/{by}", target_prefix(*target));
            let row = Item::from_iter([room, named(name::REACTION, text(&reaction))]);
            let change = Change::default()
                .set(name::BY_SEQ, number(seq))
                .set(name::AT, number(amendment.at_ms))
                .set(name::ON, flag(*on))
                .if_forward(name::BY_SEQ);
            (tables::REACTIONS, row, change)
        }
    }
}

fn target_prefix(target: Seq) -> String {
    format!("{:0TARGET_DIGITS$}/", target.0)
}

/// The edits and the deletion a row of `patches` holds.
pub(super) fn patch_from(item: Item, to: &mut Vec<Amendment>) -> Result<(), StoreError> {
    let editors: Vec<String> = item
        .keys()
        .filter_map(|attribute| attribute.strip_prefix(BY_SEQ))
        .map(str::to_owned)
        .collect();
    let mut row = Fields::of(tables::PATCHES, item);
    let target = Seq(row.the_number(name::TARGET)?);
    for editor in editors {
        let new = row.text(&format!("{TEXT}{editor}"))?;
        to.push(Amendment {
            target,
            by: user_in(&row, BY_SEQ, &editor)?,
            seq: Seq(row.the_number(&format!("{BY_SEQ}{editor}"))?),
            at_ms: row.the_number(&format!("{AT}{editor}"))?,
            change: Amends::Edited(new.unwrap_or_default()),
        });
    }
    if let Some(seq) = row.number(name::DELETED_SEQ)? {
        to.push(Amendment {
            target,
            by: row.parsed(name::DELETED_BY, |by| UserId::parse(by).ok())?,
            seq: Seq(seq),
            at_ms: row.the_number(name::DELETED_AT)?,
            change: Amends::Deleted,
        });
    }
    Ok(())
}

/// The reaction a row of `reactions` holds.
pub(super) fn reaction_from(item: Item) -> Result<Amendment, StoreError> {
    let mut row = Fields::of(tables::REACTIONS, item);
    let (target, emoji, by) = row.parsed(name::REACTION, |reaction| {
        // Only the emoji can hold a slash.
        let (target, rest) = reaction.split_once('/')?;
        let (emoji, by) = rest.rsplit_once('/')?;
        let target = Seq(target.parse().ok()?);
        Some((target, emoji.to_owned(), UserId::parse(by).ok()?))
    })?;
    Ok(Amendment {
        target,
        by,
        seq: Seq(row.the_number(name::BY_SEQ)?),
        at_ms: row.the_number(name::AT)?,
        change: Amends::Reacted {
            emoji,
            on: row.flag(name::ON)?,
        },
    })
}

fn user_in(row: &Fields, attribute: &str, user: &str) -> Result<UserId, StoreError> {
    row.required(attribute, UserId::parse(user).ok())
}
