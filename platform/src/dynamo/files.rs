//! Files: to which room each belongs, who uploaded it, and what it is said to be.

use roomlog_core::ids::{RoomId, UserId};

use super::{
    Moved, Store, StoreError,
    item::{Change, Fields, Item, name, number, text},
    rows::named,
    tables,
};

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
        })
    }
}
