//! Notices to everyone that are under way, each a row of `sessions` until the last one was told.

use roomlog_core::{event::Sender, ids::UserId};

use super::{
    Moved, Store, StoreError,
    item::{Change, Fields, Item, name, number, text},
    rows::named,
    tables,
};

/// What is put before sender and id to make a row's key; no session id looks like it.
const NOTICE_KEY: &str = "notice:";

/// A notice to everyone, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeRow {
    /// Chosen by its sender; with the sender it names the notice.
    pub id: String,
    /// Who says it.
    pub sender: Sender,
    /// What.
    pub text: String,
    /// Everyone up to here was told; where a page of [`Store::everyone`] begins.
    pub after: Option<String>,
    /// Until when somebody is at it, in milliseconds since the Unix epoch.
    pub busy_until_ms: u64,
    /// From when on the row may be dropped, in seconds since the Unix epoch.
    pub expires_at_s: u64,
}

impl Store {
    /// Keeps a new notice. One that is under way already stays as it is.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn keep_notice(&self, notice: &NoticeRow) -> Result<(), StoreError> {
        let sender = &notice.sender;
        let change = Change::default()
            .set(name::USER, text(sender.id.as_str()))
            .set(name::NAME, text(&sender.name))
            .set(name::ID, text(&notice.id))
            .set(name::VALUE, text(&notice.text))
            .set(name::ENDS_AT, number(notice.busy_until_ms))
            .set(name::EXPIRES_AT, number(notice.expires_at_s))
            .if_absent(name::SESSION);
        let change = match &sender.avatar {
            Some(avatar) => change.set(name::AVATAR, text(avatar)),
            None => change,
        };
        let key = notice_key(&sender.id, &notice.id);
        self.update(tables::SESSIONS, key, change).await.map(drop)
    }

    /// A notice that is under way, read consistently; `None` once everyone was told.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn notice(&self, sender: &UserId, id: &str) -> Result<Option<NoticeRow>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(self.tables.name(tables::SESSIONS))
            .set_key(Some(notice_key(sender, id)))
            .consistent_read(true)
            .send()
            .await
            .map_err(StoreError::of)?;
        answer.item.map(NoticeRow::from_item).transpose()
    }

    /// Notes how far a notice has come, and that one is at it until `busy_until_ms`. `false` where somebody else has been
    /// at it since it was read.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn move_notice(
        &self,
        notice: &NoticeRow,
        busy_until_ms: u64,
    ) -> Result<bool, StoreError> {
        let change = Change::default()
            .set(name::ENDS_AT, number(busy_until_ms))
            .if_equal(name::ENDS_AT, number(notice.busy_until_ms));
        let change = match &notice.after {
            Some(after) => change.set(name::AFTER, text(after)),
            None => change,
        };
        let key = notice_key(&notice.sender.id, &notice.id);
        let moved = self.update(tables::SESSIONS, key, change).await?;
        Ok(moved == Moved::Forward)
    }

    /// Forgets a notice that everyone was told.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn end_notice(&self, sender: &UserId, id: &str) -> Result<(), StoreError> {
        self.client
            .delete_item()
            .table_name(self.tables.name(tables::SESSIONS))
            .set_key(Some(notice_key(sender, id)))
            .send()
            .await
            .map(drop)
            .map_err(StoreError::of)
    }
}

fn notice_key(sender: &UserId, id: &str) -> Item {
    let key = format!("{NOTICE_KEY}{sender}/{id}");
    Item::from_iter([named(name::SESSION, text(&key))])
}

// === impl NoticeRow ===

impl NoticeRow {
    fn from_item(item: Item) -> Result<Self, StoreError> {
        let mut row = Fields::of(tables::SESSIONS, item);
        let (id, says) = (row.text(name::ID)?, row.text(name::VALUE)?);
        let shown = row.text(name::NAME)?;
        Ok(Self {
            id: row.required(name::ID, id)?,
            sender: Sender {
                id: row.parsed(name::USER, |id| UserId::parse(id).ok())?,
                name: row.required(name::NAME, shown)?,
                avatar: row.text(name::AVATAR)?,
            },
            text: row.required(name::VALUE, says)?,
            after: row.text(name::AFTER)?,
            busy_until_ms: row.the_number(name::ENDS_AT)?,
            expires_at_s: row.the_number(name::EXPIRES_AT)?,
        })
    }
}
