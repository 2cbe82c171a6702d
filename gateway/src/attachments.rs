//! Files: granted to those who may post, looked at before a message shows them, and given to members only.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use roomlog_core::{
    code::{Code, Refusal},
    event::{Body, Event},
    ids::{RoomId, RoomKey, Seq, UserId},
    media::{begins_as, is_allowed, is_file_id, is_media_type},
};
use roomlog_platform::{
    dynamo::FileRow,
    s3::{Files, FilesError, Shown, UPLOAD_TTL},
};

use crate::{accounts::store_refusal, clock, gateway::Gateway, hub::is_taken_back};

/// The longest name of a file, in bytes.
const NAME_BYTES_MAX: usize = 255;
/// Messages that may show one file. Whoever wants to show it in more uploads it again: all of them are looked at when
/// somebody asks for the file.
const MESSAGES_MAX: usize = 100;
/// What a profile image may be: what every browser shows, and nothing that runs.
const PICTURE_TYPES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];
/// Where profile images are had.
pub(crate) const AVATARS_PATH: &str = "/api/v1/avatars/";
/// A file may be kept by its reader alone, for as long as its address is good.
const FILE_CACHING: &str = "private, max-age=300";
/// A profile image never changes: another one has another address.
const PICTURE_CACHING: &str = "public, max-age=86400, immutable";

/// What somebody wants to upload.
pub(crate) struct Wish<'a> {
    pub(crate) user: &'a UserId,
    /// The room whose members may have it; `None` for a profile image.
    pub(crate) room: Option<&'a RoomId>,
    pub(crate) name: &'a str,
    pub(crate) media_type: &'a str,
    pub(crate) size_bytes: u64,
}

/// A granted upload.
pub(crate) struct Grant {
    pub(crate) file: FileRow,
    pub(crate) url: String,
    pub(crate) expires_in_s: u64,
}

impl Gateway {
    fn files(&self) -> Result<&Files, Refusal> {
        let none = || Refusal::new(Code::NotFound, "no files can be uploaded here");
        self.files.as_ref().ok_or_else(none)
    }

    /// Grants an upload, and notes what it is to be.
    pub(crate) async fn grant_upload(&self, wish: Wish<'_>) -> Result<Grant, Refusal> {
        let files = self.files()?;
        self.check_wish(&wish)?;
        let file = FileRow {
            id: format!("f-{}", uuid::Uuid::new_v4().simple()),
            room: wish.room.cloned(),
            user: wish.user.clone(),
            name: wish.name.to_owned(),
            media_type: wish.media_type.to_owned(),
            size_bytes: wish.size_bytes,
            at_ms: clock::unix_ms_signed(),
            messages: BTreeSet::new(),
        };
        let noted = self.source.store.create_file(&file).await;
        noted.map_err(|error| store_refusal(&error))?;
        let url = files
            .upload(&key_of(&file), &file.media_type, file.size_bytes)
            .await
            .map_err(|error| unavailable(&error))?;
        Ok(Grant {
            file,
            url,
            expires_in_s: UPLOAD_TTL.as_secs(),
        })
    }

    fn check_wish(&self, wish: &Wish<'_>) -> Result<(), Refusal> {
        let bad = |message: &str| Err(Refusal::new(Code::BadRequest, message));
        let is_named = (1..=NAME_BYTES_MAX).contains(&wish.name.len());
        if !is_named || wish.name.chars().any(char::is_control) {
            return bad("a file's name has 1 to 255 bytes and can be seen");
        }
        if wish.size_bytes == 0 {
            return bad("an empty file is none");
        }
        let (max, allowed): (u64, Vec<&str>) = match wish.room {
            Some(_) => {
                let types = self.config.files.types.iter().map(String::as_str);
                (self.limits.attachment_bytes_max, types.collect())
            }
            None => (self.limits.avatar_bytes_max, PICTURE_TYPES.to_vec()),
        };
        if wish.size_bytes > max {
            let message = format!("a file has at most {max} bytes here");
            return Err(Refusal::new(Code::TooLarge, message));
        }
        if !is_media_type(wish.media_type) || !is_allowed(wish.media_type, allowed) {
            return bad("files of this type can't be uploaded");
        }
        Ok(())
    }

    /// Fills in what is known of a message's files, and refuses those that are not its sender's, not of its room, or not
    /// what they were to be.
    pub(crate) async fn attach(&self, event: &mut Event) -> Result<(), Refusal> {
        let (room, sender) = (event.key.room(), event.sender.id.clone());
        let Body::Message(message) = &mut event.body else {
            return Ok(());
        };
        if message.attachments.is_empty() {
            return Ok(());
        }
        let bad = |message: &str| Refusal::new(Code::BadRequest, message);
        let ids: BTreeSet<&str> = message.attachments.iter().map(|file| &*file.id).collect();
        let ids: Vec<&str> = ids.into_iter().collect();
        if ids.len() != message.attachments.len() {
            return Err(bad("a file is attached twice"));
        }
        let rows = self.source.store.files(&ids).await;
        let rows = rows.map_err(|error| store_refusal(&error))?;
        let is_own = |row: &FileRow| row.room.is_some() && row.room == room && row.user == sender;
        let known: BTreeMap<&str, &FileRow> = rows
            .iter()
            .filter(|row| is_own(row))
            .map(|row| (&*row.id, row))
            .collect();
        if known.len() != ids.len() {
            return Err(bad("an attachment is not a file you uploaded to this room"));
        }
        if known.values().any(|row| row.messages.len() >= MESSAGES_MAX) {
            return Err(bad("a file is shown by too many messages, upload it again"));
        }
        try_join_all(known.values().map(|row| self.look_at(row))).await?;
        for attachment in &mut message.attachments {
            let row = known[&*attachment.id];
            attachment.name.clone_from(&row.name);
            attachment.media_type.clone_from(&row.media_type);
            attachment.size_bytes = row.size_bytes;
        }
        Ok(())
    }

    /// Refuses a file that was not uploaded, or begins as something else than it was to be.
    async fn look_at(&self, file: &FileRow) -> Result<(), Refusal> {
        let begins = self.files()?.beginning(&key_of(file)).await;
        let begins = begins.map_err(|error| unavailable(&error))?;
        let bad = |message: &str| Err(Refusal::new(Code::BadRequest, message));
        match begins {
            None => bad("a file was not uploaded yet"),
            Some(found) if found.size_bytes != file.size_bytes => bad("a file has another size"),
            Some(found) if !begins_as(&file.media_type, &found.bytes) => {
                bad("a file is not what its type says")
            }
            Some(_) => Ok(()),
        }
    }

    /// A file that was noted.
    pub(crate) async fn file(&self, id: &str) -> Result<FileRow, Refusal> {
        if !is_file_id(id) {
            return Err(no_such_file());
        }
        let rows = self.source.store.files(&[id]).await;
        let rows = rows.map_err(|error| store_refusal(&error))?;
        rows.into_iter().next().ok_or_else(no_such_file)
    }

    /// Refuses a room's file once it was shown by messages and none of them is left. The head is the room's, as pages of
    /// its history see it.
    pub(crate) async fn check_shown(
        &self,
        file: &FileRow,
        room: &RoomKey,
        head: Seq,
    ) -> Result<(), Refusal> {
        match is_taken_back(&self.source, room, &file.id, head).await {
            Some(false) => Ok(()),
            Some(true) => Err(no_such_file()),
            None => Err(Refusal::retry_after(
                Code::StoreUnavailable,
                "the store did not answer",
                1_000,
            )),
        }
    }

    /// Where a file can be had for a while. Whoever gets the address may fetch it.
    pub(crate) async fn address_of(&self, file: &FileRow) -> Result<String, Refusal> {
        let shown = match file.room {
            Some(_) => Shown {
                media_type: &file.media_type,
                save_as: Some(&file.name),
                caching: FILE_CACHING,
            },
            None => Shown {
                media_type: &file.media_type,
                save_as: None,
                caching: PICTURE_CACHING,
            },
        };
        let url = self.files()?.download(&key_of(file), shown).await;
        url.map_err(|error| unavailable(&error))
    }

    /// Refuses an address among ours that is no profile image of this user's.
    pub(crate) async fn check_picture(&self, user: &UserId, path: &str) -> Result<(), Refusal> {
        let file = self.file(path.strip_prefix(AVATARS_PATH).unwrap_or_default());
        let not_theirs = || Refusal::new(Code::BadRequest, "avatar is no picture you uploaded");
        let file = file.await.map_err(|refusal| match refusal.code {
            Code::NotFound => not_theirs(),
            _ => refusal,
        })?;
        if file.room.is_some() || file.user != *user {
            return Err(not_theirs());
        }
        self.look_at(&file).await
    }
}

/// Where a file is in the bucket. Its name is no part of it.
fn key_of(file: &FileRow) -> String {
    match &file.room {
        Some(room) => format!("rooms/{room}/{}", file.id),
        None => format!("avatars/{}/{}", file.user, file.id),
    }
}

fn no_such_file() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such file")
}

fn unavailable(error: &FilesError) -> Refusal {
    tracing::warn!(%error, "files can't be had");
    Refusal::retry_after(
        Code::StoreUnavailable,
        "the store of files did not answer",
        1_000,
    )
}
