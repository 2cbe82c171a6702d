//! The records of `chat.events.v1-value.avsc`, field by field. What a field means is said there;
//! the library matches the structs here to records by name.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer, ser::SerializeStruct as _};

/// Borrowed from the event that is written; owned by a row that was read.
pub(super) type Text<'a> = Cow<'a, str>;

/// `RoomEvent`. Of the nullable records, exactly the one `kind` names is set. Written by [`Row::serialize`], as a field
/// of a later version has no place in an earlier one's record.
#[derive(Default, Deserialize)]
#[serde(rename = "RoomEvent")]
pub(super) struct Row<'a> {
    pub(super) id: Text<'a>,
    pub(super) room: Text<'a>,
    #[serde(rename = "type")]
    pub(super) kind: Text<'a>,
    pub(super) sender: Sender<'a>,
    pub(super) message: Option<Message<'a>>,
    pub(super) edit: Option<Edit<'a>>,
    pub(super) deletion: Option<Deletion>,
    pub(super) reaction: Option<Reaction<'a>>,
    pub(super) member: Option<MemberChange<'a>>,
    pub(super) room_change: Option<RoomChange<'a>>,
    pub(super) notice: Option<Notice<'a>>,
    pub(super) headers: Vec<Header<'a>>,
    /// Since version 3.
    #[serde(default)]
    pub(super) by_admin: bool,
}

#[derive(Default, Serialize, Deserialize)]
pub(super) struct Sender<'a> {
    pub(super) id: Text<'a>,
    pub(super) name: Text<'a>,
    pub(super) avatar: Option<Text<'a>>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Message<'a> {
    pub(super) text: Text<'a>,
    pub(super) reply_to: Option<i64>,
    pub(super) mentions: Vec<Text<'a>>,
    pub(super) attachments: Vec<Attachment<'a>>,
    pub(super) meta: Option<Text<'a>>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Attachment<'a> {
    pub(super) id: Text<'a>,
    pub(super) name: Text<'a>,
    #[serde(rename = "type")]
    pub(super) media_type: Text<'a>,
    pub(super) size: i64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Edit<'a> {
    pub(super) target: i64,
    pub(super) text: Text<'a>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Deletion {
    pub(super) target: i64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Reaction<'a> {
    pub(super) target: i64,
    pub(super) emoji: Text<'a>,
    pub(super) on: bool,
}

#[derive(Serialize, Deserialize)]
pub(super) struct MemberChange<'a> {
    pub(super) user: Text<'a>,
    pub(super) change: Text<'a>,
    pub(super) role: Option<Text<'a>>,
}

/// Written by [`RoomChange::serialize`], for the same reason.
#[derive(Deserialize)]
pub(super) struct RoomChange<'a> {
    pub(super) kind: Option<Text<'a>>,
    pub(super) name: Option<Text<'a>>,
    pub(super) public: Option<bool>,
    pub(super) slow_mode_s: Option<i64>,
    pub(super) read_only: Option<bool>,
    pub(super) deleted: Option<bool>,
    /// Since version 2.
    #[serde(default)]
    pub(super) pinned: Option<Vec<i64>>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Notice<'a> {
    pub(super) text: Text<'a>,
    pub(super) pinned: bool,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Header<'a> {
    pub(super) name: Text<'a>,
    pub(super) value: Text<'a>,
}

// === impl Row, RoomChange ===

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = 12 + usize::from(self.by_admin);
        let mut row = serializer.serialize_struct("RoomEvent", fields)?;
        row.serialize_field("id", &self.id)?;
        row.serialize_field("room", &self.room)?;
        row.serialize_field("type", &self.kind)?;
        row.serialize_field("sender", &self.sender)?;
        row.serialize_field("message", &self.message)?;
        row.serialize_field("edit", &self.edit)?;
        row.serialize_field("deletion", &self.deletion)?;
        row.serialize_field("reaction", &self.reaction)?;
        row.serialize_field("member", &self.member)?;
        row.serialize_field("room_change", &self.room_change)?;
        row.serialize_field("notice", &self.notice)?;
        row.serialize_field("headers", &self.headers)?;
        if self.by_admin {
            row.serialize_field("by_admin", &self.by_admin)?;
        }
        row.end()
    }
}

impl Serialize for RoomChange<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = 6 + usize::from(self.pinned.is_some());
        let mut row = serializer.serialize_struct("RoomChange", fields)?;
        row.serialize_field("kind", &self.kind)?;
        row.serialize_field("name", &self.name)?;
        row.serialize_field("public", &self.public)?;
        row.serialize_field("slow_mode_s", &self.slow_mode_s)?;
        row.serialize_field("read_only", &self.read_only)?;
        row.serialize_field("deleted", &self.deleted)?;
        if self.pinned.is_some() {
            row.serialize_field("pinned", &self.pinned)?;
        }
        row.end()
    }
}
