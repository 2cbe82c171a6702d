//! What happens in a room: the events of its log, as the domain sees them.

use crate::{
    ids::{Count, MessageId, RoomKey, Seq, UserId},
    inbox::Letter,
};

/// An event as its sender made it, before the log has given it a place.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The log it belongs to.
    pub key: RoomKey,
    /// Chosen by the sender; a second record with the same room, sender and id is a retry.
    pub id: MessageId,
    /// Who sent it, as known when it was sent.
    pub sender: Sender,
    /// What happened.
    pub body: Body,
    /// The client's own STOMP headers, in the order of their first occurrences.
    pub headers: Vec<(String, String)>,
    /// Whether a gateway saw that its sender may do everything everywhere, for what the fold asks a right for.
    /// The log is all that the fold goes by, and nobody's global role is in it.
    pub by_admin: bool,
}

/// The author of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Stable id.
    pub id: UserId,
    /// Display name at the time of sending.
    pub name: String,
    /// Where a picture is, at the time of sending.
    pub avatar: Option<String>,
}

/// An event with the place the log gave it.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbered {
    /// Rank in the room.
    pub seq: Seq,
    /// Messages and notices up to and including this event.
    pub count: Count,
    /// The log's append time, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// The event.
    pub event: Event,
}

/// What happened, by type.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Somebody said something.
    Message(Message),
    /// A message's text was replaced.
    Edit {
        /// The message.
        target: Seq,
        /// Its new text.
        text: String,
    },
    /// A message was taken back.
    Delete {
        /// The message.
        target: Seq,
    },
    /// A reaction was set or withdrawn.
    Reaction {
        /// The message.
        target: Seq,
        /// The reaction itself.
        emoji: String,
        /// Set (`true`) or withdrawn.
        on: bool,
    },
    /// Someone's membership changed.
    Member(MemberEvent),
    /// The room was made or its settings changed.
    Room(RoomEvent),
    /// An announcement.
    Notice {
        /// Its text.
        text: String,
        /// Whether it stays on top of the room.
        pinned: bool,
    },
    /// Something for one user, in their inbox.
    Letter(Letter),
    /// A record whose value could not be decoded; it keeps its place.
    Unreadable,
}

/// A message's content.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    /// Its text.
    pub text: String,
    /// The message it answers.
    pub reply_to: Option<Seq>,
    /// Users named in it.
    pub mentions: Vec<UserId>,
    /// Files that go with it.
    pub attachments: Vec<Attachment>,
    /// A JSON object of the client's own, as its text; empty for none.
    pub meta: String,
}

/// A file that goes with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Its id, which also is its access right's name.
    pub id: String,
    /// The name its sender gave it.
    pub name: String,
    /// Media type.
    pub media_type: String,
    /// Bytes.
    pub size_bytes: u64,
}

/// A change of one user's membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberEvent {
    /// Whose membership.
    pub user: UserId,
    /// What changed.
    pub change: MemberChange,
}

/// What changed about a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberChange {
    /// Became a member.
    Joined,
    /// Went on their own.
    Left,
    /// Was asked to join.
    Invited,
    /// Was taken out by somebody else.
    Removed,
    /// May neither read nor come back.
    Banned,
    /// May come back.
    Unbanned,
    /// May read but not post.
    Muted,
    /// May post again.
    Unmuted,
    /// Was given this role.
    Role(Role),
    /// Changed name or picture.
    Profile,
}

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Reads and, where the room allows, posts.
    Member,
    /// Keeps order.
    Moderator,
    /// May do everything in the room.
    Owner,
}

/// The kinds of rooms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RoomKind {
    /// Everyone posts.
    Group,
    /// Two people.
    Direct,
    /// Many readers, few posters.
    Channel,
    /// Notices to many.
    Announcement,
}

/// A room's creation (every field of a new room set) or the fields that changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomEvent {
    /// Set on creation only.
    pub kind: Option<RoomKind>,
    /// Display name.
    pub name: Option<String>,
    /// Whether anyone signed in may find and join it.
    pub public: Option<bool>,
    /// Least seconds between two messages of one member; 0 switches it off.
    pub slow_mode_s: Option<u32>,
    /// Whether only moderators and owners post.
    pub read_only: Option<bool>,
    /// Whether the room was deleted.
    pub deleted: Option<bool>,
    /// The messages and notices on top of the room, all of them.
    pub pinned: Option<Vec<Seq>>,
}

/// An event's type, as the record header `type` and the JSON field `type` spell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `message`
    Message,
    /// `edit`
    Edit,
    /// `delete`
    Delete,
    /// `reaction`
    Reaction,
    /// `member`
    Member,
    /// `room`
    Room,
    /// `notice`
    Notice,
    /// `invitation`, in inboxes only
    Invitation,
    /// `mention`, in inboxes only
    Mention,
    /// `friend-request`, in inboxes only
    FriendRequest,
    /// `unreadable`
    Unreadable,
}

/// Pairs each variant with its one spelling, in both directions.
macro_rules! spelled {
    ($name:ident { $($variant:ident = $text:literal),* $(,)? }) => {
        impl $name {
            /// Every variant, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The spelling used in records, JSON and headers.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// The variant with this spelling.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

// === impl Kind, Role, RoomKind ===

spelled!(Kind {
    Message = "message",
    Edit = "edit",
    Delete = "delete",
    Reaction = "reaction",
    Member = "member",
    Room = "room",
    Notice = "notice",
    Invitation = "invitation",
    Mention = "mention",
    FriendRequest = "friend-request",
    Unreadable = "unreadable",
});
spelled!(Role {
    Member = "member",
    Moderator = "moderator",
    Owner = "owner",
});
spelled!(RoomKind {
    Group = "group",
    Direct = "direct",
    Channel = "channel",
    Announcement = "announcement",
});

// === impl MemberChange ===

impl MemberChange {
    /// One of each kind, in the order of the documentation.
    pub const ALL: &'static [Self] = &[
        Self::Joined,
        Self::Left,
        Self::Invited,
        Self::Removed,
        Self::Banned,
        Self::Unbanned,
        Self::Muted,
        Self::Unmuted,
        Self::Role(Role::Member),
        Self::Profile,
    ];

    /// The spelling used in records and JSON; a role change spells the role in a field of its own.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Left => "left",
            Self::Invited => "invited",
            Self::Removed => "removed",
            Self::Banned => "banned",
            Self::Unbanned => "unbanned",
            Self::Muted => "muted",
            Self::Unmuted => "unmuted",
            Self::Role(_) => "role",
            Self::Profile => "profile",
        }
    }
}

// === impl Body ===

impl Body {
    /// The body's type.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Message(_) => Kind::Message,
            Self::Edit { .. } => Kind::Edit,
            Self::Delete { .. } => Kind::Delete,
            Self::Reaction { .. } => Kind::Reaction,
            Self::Member(_) => Kind::Member,
            Self::Room(_) => Kind::Room,
            Self::Notice { .. } => Kind::Notice,
            Self::Letter(letter) => letter.about.kind(),
            Self::Unreadable => Kind::Unreadable,
        }
    }
}

impl Kind {
    /// Whether an event of this type raises a room's message count.
    pub fn counts(self) -> bool {
        matches!(self, Self::Message | Self::Notice)
    }
}

#[cfg(test)]
impl Event {
    /// As tests make one: somebody who is called like their id does something in a log.
    pub(crate) fn by(sender: UserId, key: &str, body: Body) -> Self {
        Self {
            key: RoomKey::parse(key).expect("a test's key fits the alphabet"),
            id: MessageId::parse("m").expect("one letter is visible"),
            sender: Sender {
                name: sender.as_str().to_owned(),
                id: sender,
                avatar: None,
            },
            body,
            headers: Vec::new(),
            by_admin: false,
        }
    }
}
