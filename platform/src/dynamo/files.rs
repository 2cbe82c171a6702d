//! Files: to which room each belongs, who uploaded it, what it is said to be, and which messages show it.

use std::collections::BTreeSet;

use futures_util::FutureExt as _;
use roomlog_core::ids::{RoomId, Seq, UserId};

use super::{
    Moved, Store, StoreError,
    amendments::unless_never,
    item::{Change, Fields, Item, name, number, text},
    rows::named,
    running::Running,
    tables,
};

/// Files one call notes at once.
pub const FILES_AT_ONCE: usize = 8;

/// One file. The bytes are in S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRow {
    /// Its id, which nobody can guess.
    pub id: String,
    /// The room it is for; `None` for a profile image.
    pub room: Option<RoomId>,
    /// Who uploads it.
    pub user: UserId,
    /// The name they gave it.
    pub name: String,
    /// Media type.
    pub media_type: String,
    /// Bytes.
    pub size_bytes: u64,
    /// When it was granted, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// The stored messages that show it.
    pub messages: BTreeSet<Seq>,
}

/// A message that shows a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShownFile {
    /// The file's id.
    pub id: String,
    /// The message's room.
    pub room: RoomId,
    /// Who sent it.
    pub user: UserId,
    /// The message.
    pub seq: Seq,
}

impl Store {
    /// Notes a file before it is uploaded.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn create_file(&self, file: &FileRow) -> Result<(), StoreError> {
        let mut change = Change::default()
            .set(name::USER, text(file.user.as_str()))
            .set(name::NAME, text(&file.name))
            .set(name::TYPE, text(&file.media_type))
            .set(name::SIZE, number(file.size_bytes))
            .set(name::AT, number(file.at_ms));
        if let Some(room) = &file.room {
            change = change.set(name::ROOM, text(room.as_str()));
        }
        let change = change.if_absent(name::USER);
        match self
            .update(tables::ATTACHMENTS, key(&file.id), change)
            .await?
        {
            Moved::Forward => Ok(()),
            Moved::Already => Err(StoreError::Corrupt("a file's id came twice".into())),
        }
    }

    /// Notes which messages show which files. Noting one again changes nothing, nor does a message that names a file of
    /// somebody else or of another room, as only foreign producers can send it.
    ///
    /// # Errors
    /// See [`StoreError`]. Some of them may be noted.
    pub async fn note_shown(&self, files: &[ShownFile]) -> Result<(), StoreError> {
        let mut noting = Running::at_most(FILES_AT_ONCE);
        for file in files {
            noting.begin(self.note_one(file).boxed()).await?;
        }
        noting.finish().await.map(drop)
    }

    async fn note_one(&self, file: &ShownFile) -> Result<Moved, StoreError> {
        let change = Change::default()
            .add_to_set(name::MESSAGES, file.seq)
            .if_equal(name::ROOM, text(file.room.as_str()))
            .if_equal(name::USER, text(file.user.as_str()));
        let noted = self.update(tables::ATTACHMENTS, key(&file.id), change);
        unless_never(noted.await, file.room.as_str(), file.seq)
    }

    /// These files, those there are, in no order. An id may occur once only.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn files(&self, ids: &[&str]) -> Result<Vec<FileRow>, StoreError> {
        let keys = ids.iter().map(|id| key(id)).collect();
        let items = self.batch_get(tables::ATTACHMENTS, keys).await?;
        items.into_iter().map(FileRow::from_item).collect()
    }
}

fn key(id: &str) -> Item {
    Item::from_iter([named(name::ATTACHMENT, text(id))])
}

// === impl FileRow ===

impl FileRow {
    fn from_item(item: Item) -> Result<Self, StoreError> {
        let mut row = Fields::of(tables::ATTACHMENTS, item);
        let (id, room) = (row.text(name::ATTACHMENT)?, row.text(name::ROOM)?);
        let (media_type, shown) = (row.text(name::TYPE)?, row.text(name::NAME)?);
        let messages = row.number_set(name::MESSAGES)?;
        Ok(Self {
            id: row.required(name::ATTACHMENT, id)?,
            room: room
                .map(|room| RoomId::parse(&room))
                .transpose()
                .map_err(|error| StoreError::Corrupt(error.to_string()))?,
            user: row.parsed(name::USER, |id| UserId::parse(id).ok())?,
            name: shown.unwrap_or_default(),
            media_type: row.required(name::TYPE, media_type)?,
            size_bytes: row.the_number(name::SIZE)?,
            at_ms: row.the_number(name::AT)?,
            messages: messages.into_iter().map(Seq).collect(),
        })
    }
}
