//! The body of an event as every client sees it: one line, fields in a fixed order.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use roomlog_core::{
    amendment::{Amended, Reactions},
    event::{Attachment, Body, Kind, MemberChange, MemberEvent, Message, Numbered, RoomEvent},
    ids::{Count, RoomKey, Seq, UserId},
    inbox::{About, Letter},
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

/// Room for a short message without growing.
const CAPACITY_BYTES: usize = 512;

/// Where the files that go with messages are had.
const ATTACHMENTS_PATH: &str = "/api/v1/attachments/";

/// The place of a record whose value could not be decoded: all that is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The log.
    pub key: &'a RoomKey,
    /// Rank in the room.
    pub seq: Seq,
    /// Messages and notices up to and including it.
    pub count: Count,
    /// The log's append time, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Header `id`; may be empty.
    pub id: &'a str,
    /// Header `sender`; may be empty.
    pub sender: &'a str,
}

/// A message or notice as it is now: what was added to it by later events and readers.
#[derive(Clone, Copy, Debug)]
pub struct Newest<'a> {
    /// What later events made of it; `None` for nothing.
    pub amended: Option<&'a Amended>,
    /// Who looks: their own reactions are marked.
    pub viewer: &'a UserId,
    /// How many members have read it, where that is known.
    pub read_count: Option<u64>,
}

/// The body of an event, on one line. `void` marks a change the room's state did not allow.
pub fn event_body(numbered: &Numbered, void: bool) -> Vec<u8> {
    line(&Line::of(numbered, &numbered.event.body, void))
}

/// The body of an event whose content was deleted: its place, its sender and `deleted`.
pub fn deleted_body(numbered: &Numbered) -> Vec<u8> {
    line(&Line {
        is_deleted: true,
        headers: &[],
        ..Line::of(numbered, &numbered.event.body, false)
    })
}

/// The body of a message or notice as it is now.
pub fn newest_body(numbered: &Numbered, newest: &Newest<'_>) -> Vec<u8> {
    let amended = newest.amended;
    let edit = amended.and_then(|amended| amended.edit(&numbered.event.sender.id));
    let edited = edit.map(|edit| with_text(&numbered.event.body, &edit.text));
    let mut shown = Line::of(
        numbered,
        edited.as_ref().unwrap_or(&numbered.event.body),
        false,
    );
    shown.extras = Some(Extras {
        edited: edit.map(|edit| (edit.seq, edit.at_ms)),
        reactions: amended.map_or(Vec::new(), |amended| amended.reactions(newest.viewer)),
        read_count: newest.read_count,
    });
    if amended.is_some_and(|amended| amended.deletion().is_some()) {
        shown.is_deleted = true;
        shown.headers = &[];
    }
    line(&shown)
}

/// The same content with another text.
fn with_text(body: &Body, text: &str) -> Body {
    let text = text.to_owned();
    match body {
        Body::Message(message) => Body::Message(Message {
            text,
            ..message.clone()
        }),
        Body::Notice { pinned, .. } => Body::Notice {
            text,
            pinned: *pinned,
        },
        other => other.clone(),
    }
}

/// The body of a record that could not be decoded, of type `unreadable`.
pub fn unreadable_body(place: Place<'_>) -> Vec<u8> {
    line(&Line {
        place,
        name: "",
        avatar: None,
        body: &Body::Unreadable,
        headers: &[],
        by_admin: false,
        void: false,
        is_deleted: false,
        extras: None,
    })
}

fn line(line: &Line<'_>) -> Vec<u8> {
    let mut json = Vec::with_capacity(CAPACITY_BYTES);
    serde_json::to_writer(&mut json, line)
        .expect("memory takes every write and every key is a text");
    json
}

/// Everything one line shows.
struct Line<'a> {
    place: Place<'a>,
    name: &'a str,
    avatar: Option<&'a str>,
    body: &'a Body,
    headers: &'a [(String, String)],
    by_admin: bool,
    void: bool,
    /// Its content is not shown.
    is_deleted: bool,
    extras: Option<Extras<'a>>,
}

/// What a message has beyond its own event.
struct Extras<'a> {
    /// The seq and time of its last edit.
    edited: Option<(Seq, i64)>,
    reactions: Vec<Reactions<'a>>,
    read_count: Option<u64>,
}

#[derive(Serialize)]
struct ReactionJson<'a> {
    emoji: &'a str,
    count: usize,
    own: bool,
}

#[derive(Serialize)]
struct SenderJson<'a> {
    id: &'a str,
    name: &'a str,
    avatar: Option<&'a str>,
}

#[derive(Serialize)]
struct AttachmentJson<'a> {
    id: &'a str,
    name: &'a str,
    #[serde(rename = "type")]
    media_type: &'a str,
    size: u64,
    url: Option<String>,
}

#[derive(Serialize)]
struct SourceJson<'a> {
    room: &'a str,
    seq: Option<u64>,
}

struct Attachments<'a>(&'a [Attachment]);
struct Headers<'a>(&'a [(String, String)]);

// === impl Line ===

impl<'a> Line<'a> {
    fn of(numbered: &'a Numbered, body: &'a Body, void: bool) -> Self {
        let event = &numbered.event;
        Self {
            place: Place {
                key: &event.key,
                seq: numbered.seq,
                count: numbered.count,
                at_ms: numbered.at_ms,
                id: event.id.as_str(),
                sender: event.sender.id.as_str(),
            },
            name: &event.sender.name,
            avatar: event.sender.avatar.as_deref(),
            body,
            headers: &event.headers,
            by_admin: event.by_admin,
            void,
            is_deleted: false,
            extras: None,
        }
    }
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let place = &self.place;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("room", place.key.as_str())?;
        map.serialize_entry("seq", &place.seq.0)?;
        map.serialize_entry("count", &place.count.0)?;
        map.serialize_entry("type", self.body.kind().as_str())?;
        map.serialize_entry("id", place.id)?;
        let sender = SenderJson {
            id: place.sender,
            name: self.name,
            avatar: self.avatar,
        };
        map.serialize_entry("sender", &sender)?;
        map.serialize_entry("at", &place.at_ms)?;
        match self.body {
            // Where a conversation went on from is no content.
            Body::Message(message) if self.is_deleted => {
                map.serialize_entry("reply_to", &message.reply_to.map(|seq| seq.0))?;
            }
            Body::Edit { target, .. } if self.is_deleted => {
                map.serialize_entry("target", &target.0)?;
            }
            _ if self.is_deleted => {}
            body => own_fields(&mut map, body)?,
        }
        if self.body.kind() != Kind::Unreadable {
            map.serialize_entry("headers", &Headers(self.headers))?;
        }
        if self.by_admin {
            map.serialize_entry("by_admin", &true)?;
        }
        if self.void {
            map.serialize_entry("void", &true)?;
        }
        if self.is_deleted {
            map.serialize_entry("deleted", &true)?;
        }
        if let Some(extras) = &self.extras {
            extra_fields(&mut map, extras)?;
        }
        map.end()
    }
}

fn extra_fields<M: SerializeMap>(map: &mut M, extras: &Extras<'_>) -> Result<(), M::Error> {
    if let Some((seq, at_ms)) = extras.edited {
        map.serialize_entry("edited_seq", &seq.0)?;
        map.serialize_entry("edited_at", &at_ms)?;
    }
    let reactions: Vec<_> = extras
        .reactions
        .iter()
        .map(|reactions| ReactionJson {
            emoji: reactions.emoji,
            count: reactions.count,
            own: reactions.is_own,
        })
        .collect();
    map.serialize_entry("reactions", &reactions)?;
    extras
        .read_count
        .map_or(Ok(()), |count| map.serialize_entry("read_count", &count))
}

/// The fields of the body's own type.
fn own_fields<M: SerializeMap>(map: &mut M, body: &Body) -> Result<(), M::Error> {
    match body {
        Body::Message(message) => message_fields(map, message),
        Body::Edit { target, text } => {
            map.serialize_entry("target", &target.0)?;
            map.serialize_entry("text", text)
        }
        Body::Delete { target } => map.serialize_entry("target", &target.0),
        Body::Reaction { target, emoji, on } => {
            map.serialize_entry("target", &target.0)?;
            map.serialize_entry("emoji", emoji)?;
            map.serialize_entry("on", on)
        }
        Body::Member(member) => member_fields(map, member),
        Body::Room(room) => room_fields(map, room),
        Body::Notice { text, pinned } => {
            map.serialize_entry("text", text)?;
            map.serialize_entry("pinned", pinned)
        }
        Body::Letter(letter) => letter_fields(map, letter),
        Body::Unreadable => Ok(()),
    }
}

/// All fields are always there, so that a client need not ask before it reads one.
fn message_fields<M: SerializeMap>(map: &mut M, message: &Message) -> Result<(), M::Error> {
    map.serialize_entry("text", &message.text)?;
    map.serialize_entry("reply_to", &message.reply_to.map(|seq| seq.0))?;
    map.serialize_key("mentions")?;
    map.serialize_value(&Mentions(&message.mentions))?;
    map.serialize_entry("attachments", &Attachments(&message.attachments))?;
    let meta = one_line(&message.meta);
    // A foreign producer may have written anything; what is no JSON object is not shown.
    let object = serde_json::from_str::<&RawValue>(&meta)
        .ok()
        .filter(|value| value.get().starts_with('{'));
    match object {
        Some(object) => map.serialize_entry("meta", object),
        None => map.serialize_entry("meta", &Headers(&[])),
    }
}

/// Where the letter points: the event itself is read there.
fn letter_fields<M: SerializeMap>(map: &mut M, letter: &Letter) -> Result<(), M::Error> {
    if let Some(room) = &letter.room {
        let source = SourceJson {
            room: room.as_str(),
            seq: letter.seq.map(|seq| seq.0),
        };
        map.serialize_entry("source", &source)?;
    }
    match letter.about {
        About::FriendRequest => map.serialize_entry("accepted", &letter.accepted),
        About::Notice if letter.room.is_none() => map.serialize_entry("text", &letter.text),
        About::Notice | About::Invitation | About::Mention => Ok(()),
    }
}

fn member_fields<M: SerializeMap>(map: &mut M, member: &MemberEvent) -> Result<(), M::Error> {
    map.serialize_entry("user", member.user.as_str())?;
    map.serialize_entry("change", member.change.as_str())?;
    match member.change {
        MemberChange::Role(role) => map.serialize_entry("role", role.as_str()),
        _ => Ok(()),
    }
}

fn room_fields<M: SerializeMap>(map: &mut M, room: &RoomEvent) -> Result<(), M::Error> {
    fn changed<M: SerializeMap, T: Serialize>(
        map: &mut M,
        name: &str,
        value: Option<T>,
    ) -> Result<(), M::Error> {
        value.map_or(Ok(()), |value| map.serialize_entry(name, &value))
    }
    changed(map, "kind", room.kind.map(|kind| kind.as_str()))?;
    changed(map, "name", room.name.as_deref())?;
    changed(map, "public", room.public)?;
    changed(map, "slow_mode_s", room.slow_mode_s)?;
    changed(map, "read_only", room.read_only)?;
    changed(map, "deleted", room.deleted)?;
    let pinned = room.pinned.as_ref();
    let pinned = pinned.map(|pinned| pinned.iter().map(|seq| seq.0).collect::<Vec<_>>());
    changed(map, "pinned", pinned)
}

/// Within JSON a raw line break is always white space, as strings can't hold one.
fn one_line(json: &str) -> Cow<'_, str> {
    if json.contains(['\n', '\r']) {
        Cow::Owned(json.replace(['\n', '\r'], " "))
    } else {
        Cow::Borrowed(json)
    }
}

// === impl Mentions, Attachments, Headers ===

struct Mentions<'a>(&'a [UserId]);

impl Serialize for Mentions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(UserId::as_str))
    }
}

impl Serialize for Attachments<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|attachment| AttachmentJson {
            id: &attachment.id,
            name: &attachment.name,
            media_type: &attachment.media_type,
            size: attachment.size_bytes,
            url: url(&attachment.id),
        }))
    }
}

/// Only an id that needs no escaping makes an address; others can't come from a gateway.
fn url(attachment: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (!attachment.is_empty() && attachment.bytes().all(plain))
        .then(|| format!("{ATTACHMENTS_PATH}{attachment}"))
}

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}
