//! The identifiers of the domain, parsed once at the edge and valid ever after.

use std::{fmt, sync::Arc};

use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// The longest room, user or message id, in bytes.
pub const ID_BYTES_MAX: usize = 64;

/// Marks the log key of a user's inbox; no room id can begin with it.
const INBOX_MARK: char = '@';

/// Begins the ids of direct rooms, and of no other.
const DIRECT_MARK: &str = "dm-";

/// One conversation. Matches `[A-Za-z0-9_-]{1,64}`, so that no STOMP header that carries it needs escaping.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomId(Arc<str>);

/// One person or program. The same alphabet as [`RoomId`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(Arc<str>);

/// The key of one ordered log: a room's id, or `@` and a user's id for that user's inbox.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomKey(Arc<str>);

/// An event's id, chosen by its sender: 1 to 64 visible ASCII characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(Arc<str>);

/// An event's rank in its room's log, from 1 and without holes. Zero stands for "before the first".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

/// How many messages and notices a room holds up to and including an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Count(pub u64);

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IdError {
    /// Room and user ids.
    #[error("a room or user id is 1 to 64 characters of A-Z, a-z, 0-9, _ and -")]
    Alphabet,
    /// Message ids.
    #[error("a message id is 1 to 64 visible ASCII characters")]
    Message,
}

// === impl RoomId, UserId, RoomKey, MessageId ===

fn is_word(text: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

impl RoomId {
    /// Parses a room id.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        is_word(text)
            .then(|| Self(text.into()))
            .ok_or(IdError::Alphabet)
    }

    /// The room of two people: one for each pair, whoever asks first.
    ///
    /// 160 bits of SHA-256 over both ids, so that no two pairs meet and no id outgrows its bound.
    pub fn direct(one: &UserId, other: &UserId) -> Self {
        use fmt::Write as _;
        let (first, second) = (one.min(other), one.max(other));
        let digest = Sha256::digest(format!("{first} {second}"));
        let mut id = DIRECT_MARK.to_owned();
        for byte in &digest[..20] {
            // Writing to a string does not fail.
            let _ = write!(id, "{byte:02x}");
        }
        Self(id.into())
    }

    /// Whether only [`Self::direct`] may give this id.
    pub fn is_direct(&self) -> bool {
        self.0.starts_with(DIRECT_MARK)
    }
}

impl UserId {
    /// Parses a user id.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        is_word(text)
            .then(|| Self(text.into()))
            .ok_or(IdError::Alphabet)
    }
}

impl RoomKey {
    /// The key of a user's inbox.
    pub fn inbox(user: &UserId) -> Self {
        Self(format!("{INBOX_MARK}{user}").into())
    }

    /// Parses a record key: a room id or `@` and a user id.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        is_word(text.strip_prefix(INBOX_MARK).unwrap_or(text))
            .then(|| Self(text.into()))
            .ok_or(IdError::Alphabet)
    }

    /// Whether this is a user's inbox, where every event counts as unread.
    pub fn is_inbox(&self) -> bool {
        self.0.starts_with(INBOX_MARK)
    }

    /// Whose inbox this is, if it is one.
    pub fn owner(&self) -> Option<UserId> {
        UserId::parse(self.0.strip_prefix(INBOX_MARK)?).ok()
    }

    /// The room, unless this is an inbox.
    pub fn room(&self) -> Option<RoomId> {
        (!self.is_inbox()).then(|| RoomId(self.0.clone()))
    }
}

impl From<RoomId> for RoomKey {
    fn from(room: RoomId) -> Self {
        Self(room.0)
    }
}

impl From<&RoomId> for RoomKey {
    fn from(room: &RoomId) -> Self {
        Self(room.0.clone())
    }
}

impl MessageId {
    /// Parses a message id.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        ((1..=ID_BYTES_MAX).contains(&text.len()) && visible)
            .then(|| Self(text.into()))
            .ok_or(IdError::Message)
    }
}

macro_rules! text_id {
    ($($id:ident)*) => {$(
        impl $id {
            /// The id's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
        impl std::borrow::Borrow<str> for $id {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}
text_id!(RoomId UserId RoomKey MessageId);

// === impl Seq, Count ===

impl Seq {
    /// Before the first event.
    pub const ZERO: Self = Self(0);

    /// The rank that follows.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Count {
    /// No message yet.
    pub const ZERO: Self = Self(0);
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_to_their_alphabet() {
        for good in ["a", "room_1-B", &"x".repeat(64)] {
            assert_eq!(
                RoomId::parse(good).map(|id| id.to_string()),
                Ok(good.into())
            );
        }
        for bad in [
            "",
            "a b",
            "../x",
            "é",
            "@alice",
            "a:b",
            "a\n",
            &"x".repeat(65),
        ] {
            assert_eq!(RoomId::parse(bad), Err(IdError::Alphabet), "{bad:?}");
            assert_eq!(UserId::parse(bad), Err(IdError::Alphabet), "{bad:?}");
        }
    }

    #[test]
    fn an_inbox_key_is_no_room() {
        let alice = UserId::parse("alice").expect("alphabet");
        let key = RoomKey::inbox(&alice);
        assert_eq!(key.as_str(), "@alice");
        assert!(key.is_inbox() && key.room().is_none());
        assert_eq!(key.owner(), Some(alice));
        assert_eq!(RoomKey::parse("@alice"), Ok(key));
        assert!(RoomKey::parse("@").is_err() && RoomKey::parse("@@a").is_err());
    }

    #[test]
    fn a_message_id_is_visible_ascii() {
        assert!(MessageId::parse("0190-:\\!~").is_ok());
        for bad in ["", "a b", "a\u{7f}", "ä", &"x".repeat(65)] {
            assert_eq!(MessageId::parse(bad), Err(IdError::Message), "{bad:?}");
        }
    }
}
