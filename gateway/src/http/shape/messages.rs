//! What the log's events look like, and the bodies that messages are posted, changed and marked with.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    super::openapi::{change, id, kind, role, room_type},
    Person,
};
use crate::trace::Trace;

/// An event of a room's log, the same as over STOMP. Which fields there are goes by its type.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Event {
    #[schema(schema_with = id)]
    room: String,
    /// Its rank in the room: 1, 2, 3 … without holes, the same for every reader, for ever.
    #[schema(minimum = 1)]
    seq: u64,
    /// Messages and notices up to and including it.
    count: u64,
    #[schema(schema_with = room_type)]
    r#type: String,
    /// Chosen by its sender, or given.
    id: String,
    sender: Person,
    /// When the log took it, in milliseconds since the Unix epoch.
    at: i64,
    /// Of `message`, `notice` and `edit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// Of `message`: the seq of what it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<u64>,
    /// Of `message`: the users it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    mentions: Option<Vec<String>>,
    /// Of `message`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    attachments: Option<Vec<File>>,
    /// Of `message`: the client's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object, required = false)]
    meta: Option<Value>,
    /// The sender's own headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    headers: Option<BTreeMap<String, String>>,
    /// Of `edit`, `delete` and `reaction`: the seq of the message it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<u64>,
    /// Of `reaction`.
    #[serde(skip_serializing_if = "Option::is_none")]
    emoji: Option<String>,
    /// Of `reaction`: set or withdrawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    on: Option<bool>,
    /// Of `member`: whom it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// Of `member`.
    #[schema(schema_with = change, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<String>,
    /// Of `member` with the change `role`.
    #[schema(schema_with = role, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    /// Of `room`, as are `name`, `public`, `slow_mode_s` and `read_only`: those that changed.
    #[schema(schema_with = kind, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    public: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slow_mode_s: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_only: Option<bool>,
    /// Of `notice`: whether it came on top of the room. Of `room`: the seqs of all that is pinned from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pinned: Option<Pinned>,
    /// The content is gone; or, of `room`, the room is.
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<bool>,
    /// Of `member` and `room`: its sender may do everything everywhere, and needed no role in the room.
    #[serde(skip_serializing_if = "Option::is_none")]
    by_admin: Option<bool>,
    /// The room's state did not allow it: it changed nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    void: Option<bool>,
    /// In pages: the seq of its last edit.
    #[serde(skip_serializing_if = "Option::is_none")]
    edited_seq: Option<u64>,
    /// In pages: when that was, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    edited_at: Option<i64>,
    /// In pages: who reacted, by emoji.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reactions: Option<Vec<Reactions>>,
    /// In pages: members who have read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    read_count: Option<u64>,
}

/// What an event says of what is pinned.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "the shape of what is written elsewhere")]
enum Pinned {
    /// Of a notice.
    Itself(bool),
    /// Of a room.
    All(Vec<u64>),
}

/// A file that goes with a message.
#[derive(Debug, Serialize, ToSchema)]
struct File {
    id: String,
    name: String,
    /// Its media type.
    r#type: String,
    /// In bytes.
    size: u64,
    url: Option<String>,
}

/// The reactions to a message with one emoji.
#[derive(Debug, Serialize, ToSchema)]
struct Reactions {
    emoji: String,
    /// How many users.
    count: u64,
    /// Whether oneself is among them.
    own: bool,
}

/// A message to be posted.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct Draft {
    /// Its id; the same as `Idempotency-Key`, where both are given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[!-~]{1,64}$")]
    id: Option<String>,
    /// May be left out where there are attachments.
    text: Option<String>,
    /// The seq of what it answers.
    reply_to: Option<u64>,
    /// The users it names.
    mentions: Option<Vec<String>>,
    attachments: Option<Vec<Attached>>,
    /// An object of the client's own.
    #[schema(value_type = Object, required = false)]
    meta: Option<Value>,
}

/// A file that is to go with a message.
#[derive(Debug, Serialize, ToSchema)]
struct Attached {
    id: String,
    /// As it is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    name: Option<String>,
    /// Its media type.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    r#type: Option<String>,
    /// In bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    size: Option<u64>,
}

/// What a message is to say from now on.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct Edit {
    text: String,
}

/// Up to where one has read.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct Read {
    seq: u64,
}

/// The position after a mark.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct Marked {
    /// Never behind an earlier one, nor ahead of the room's last event.
    pub(in super::super) seq: u64,
}

/// A message's way.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct Traced {
    #[serde(flatten)]
    pub(in super::super) trace: Trace,
    /// In the store for certain, by the clock of who stored it; once later events of the room are stored too, when
    /// the store was given it.
    pub(in super::super) persisted_ms: Option<u64>,
}

/// A page of the history, ascending by seq.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct Page {
    items: Vec<Event>,
    /// The last event's seq when the page was made.
    head: u64,
    /// Whether there is more before it.
    has_before: bool,
    /// Whether there is more after it.
    has_after: bool,
}
