//! What answers look like: the bodies that more than one route gives.

mod messages;

use roomlog_core::{
    event::RoomKind,
    ids::{MessageId, RoomId},
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use self::messages::Event;
pub(super) use self::messages::{Draft, Edit, Marked, Page, Read, Traced};
use super::openapi::{id, kind, made_kind, role};

/// Somebody, as others see them.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Person {
    #[schema(schema_with = id)]
    pub(super) id: String,
    /// What they are called; the id where nothing is known of them yet.
    pub(super) name: String,
    /// Where their picture is.
    pub(super) avatar: Option<String>,
}

/// Somebody who has just signed in.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Entered {
    pub(super) user: Person,
    /// For the header `Authorization: Bearer`.
    pub(super) access_token: String,
    /// Good for one `POST /auth/refresh`.
    pub(super) refresh_token: String,
    /// Seconds the access token holds.
    pub(super) expires_in: u64,
}

/// A one-time ticket.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ticket {
    /// For `/ws?ticket=`; good once.
    pub(super) ticket: String,
    /// Seconds it holds.
    pub(super) expires_in: u64,
}

/// Which members of a room are online.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Online {
    /// Their ids; some of them where the room is very large.
    pub(super) online: Vec<String>,
    /// How many there are.
    pub(super) online_total: u64,
    /// Whether not all of them are named.
    pub(super) sample: bool,
}

/// Which members of a room look at it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Viewers {
    /// Their ids; some of them where the room is very large.
    pub(super) users: Vec<String>,
    /// How many there are.
    pub(super) total: u64,
    /// Whether not all of them are named.
    pub(super) sample: bool,
}

/// Whether users are online.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Statuses {
    pub(super) users: Vec<Status>,
}

/// Whether a user is online.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Status {
    #[schema(schema_with = id)]
    pub(super) user: String,
    /// `online` or `offline`.
    pub(super) status: &'static str,
    /// When they were last, in milliseconds since the Unix epoch, where that is known.
    pub(super) last_active: Option<u64>,
}

/// How it is called whether a user is online.
pub(super) fn status(online: bool) -> &'static str {
    if online { "online" } else { "offline" }
}

/// Whether this gateway takes clients.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ready {
    /// What it still waits for.
    pub(super) waiting_for: Vec<&'static str>,
}

/// What became of a command.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct Done {
    /// The event's rank in the room; left out where everybody does not see it yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    pub(super) seq: Option<u64>,
}

/// What became of an event that has an id.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Sent {
    /// The id its sender chose, or was given.
    pub(super) id: String,
    /// The event's rank in the room; left out where everybody does not see it yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seq: Option<u64>,
    /// Where the log keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) partition: Option<u32>,
    /// Where in that partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) offset: Option<i64>,
}

/// A room as one caller sees it.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct RoomShown {
    #[schema(schema_with = id)]
    pub(super) id: String,
    /// The last event's seq.
    pub(super) head: u64,
    /// Messages and notices so far.
    pub(super) count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// Whom a direct room is with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) with: Option<String>,
    #[schema(schema_with = kind, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<&'static str>,
    /// Whether anybody signed in may find and join it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) public: Option<bool>,
    /// Least seconds between two messages of one member; 0 is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) slow_mode_s: Option<u32>,
    /// Whether only moderators and owners post.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) read_only: Option<bool>,
    /// The seqs of what is pinned, in the order it was; only who may read the room sees them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) pinned: Option<Vec<u64>>,
    /// How many are in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) members: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) created_by: Option<String>,
    /// One's own role, where one is a member.
    #[schema(schema_with = role, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<&'static str>,
    /// Whether one is muted, where one is a member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) muted: Option<bool>,
    /// Members who are online, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) online: Option<u64>,
}

/// A room.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RoomAnswer {
    pub(super) room: RoomShown,
    /// The seq of the change, where everybody sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seq: Option<u64>,
}

/// A room just made, or found among the public ones.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RoomFound {
    #[schema(schema_with = id)]
    id: String,
    name: String,
    #[schema(schema_with = made_kind)]
    kind: &'static str,
    public: bool,
}

/// A room just made.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RoomMade {
    pub(super) room: RoomFound,
    /// The seq of its first event, where it is there for everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seq: Option<u64>,
}

/// A room of one's own list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RoomListed {
    #[schema(schema_with = id)]
    pub(super) id: String,
    pub(super) name: String,
    #[schema(schema_with = kind)]
    pub(super) kind: &'static str,
    pub(super) public: bool,
    /// Whom a direct room is with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) with: Option<String>,
    /// One's own role.
    #[schema(schema_with = role)]
    pub(super) role: &'static str,
    /// The last event's seq.
    pub(super) head: u64,
    /// Messages and notices so far.
    pub(super) count: u64,
    /// Messages and notices after one's position.
    pub(super) unread: u64,
    /// Unread messages that name one.
    pub(super) mentions: u64,
    /// When the last message or notice was sent, or the room opened: milliseconds since 1970.
    pub(super) active_at: i64,
    /// The last message or notice, its text cut short.
    #[schema(value_type = Option<Event>)]
    pub(super) last: Option<Value>,
}

/// One's own rooms; or the public ones, by id.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Rooms {
    /// One's own: all of them.
    Own { items: Vec<RoomListed> },
    /// A page of the public ones.
    Public {
        items: Vec<RoomFound>,
        /// Where the next page begins: its `after`.
        next: Option<String>,
    },
}

/// A page of a room's members.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Members {
    pub(super) items: Vec<MemberShown>,
    /// Where the next page begins: its `after`. A page may be short, or empty, and still name it.
    pub(super) next: Option<String>,
}

/// A member of a room.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MemberShown {
    pub(super) user: Person,
    #[schema(schema_with = role)]
    pub(super) role: &'static str,
    pub(super) muted: bool,
    /// How far they have read.
    pub(super) read_seq: u64,
}

// === impl Sent, RoomFound ===

impl Sent {
    pub(super) fn new(id: &MessageId, seq: Option<u64>) -> Self {
        Self {
            id: id.as_str().to_owned(),
            seq,
            partition: None,
            offset: None,
        }
    }
}

impl RoomFound {
    pub(super) fn new(id: &RoomId, name: &str, kind: RoomKind, public: bool) -> Self {
        Self {
            id: id.as_str().to_owned(),
            name: name.to_owned(),
            kind: kind.as_str(),
            public,
        }
    }
}
