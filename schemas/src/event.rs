//! Events as values of `chat.events.v1`.

mod row;

use std::sync::LazyLock;

use apache_avro::Schema;
use bytes::Bytes;
use roomlog_core::{
    event::{
        Attachment, Body, Event, Kind, MemberChange, MemberEvent, Message, Role, RoomEvent,
        RoomKind, Sender,
    },
    ids::{MessageId, RoomId, RoomKey, Seq, UserId},
    inbox::{About, Letter},
};
use serde::{Deserialize, Serialize};

use self::row::Row;
use crate::{
    avro::{Codec, long, parsed_schema, unsigned},
    framing::{DecodeError, schema_id},
    subjects::{EVENTS_1, EVENTS_2, EVENTS_3, version_of},
};

static SCHEMA_1: LazyLock<Schema> = LazyLock::new(|| parsed_schema(&EVENTS_1));
static SCHEMA_2: LazyLock<Schema> = LazyLock::new(|| parsed_schema(&EVENTS_2));
static SCHEMA_3: LazyLock<Schema> = LazyLock::new(|| parsed_schema(&EVENTS_3));
static CODEC_1: LazyLock<Codec> = LazyLock::new(|| Codec::new(&EVENTS_1, &SCHEMA_1));
static CODEC_2: LazyLock<Codec> = LazyLock::new(|| Codec::new(&EVENTS_2, &SCHEMA_2));
static CODEC_3: LazyLock<Codec> = LazyLock::new(|| Codec::new(&EVENTS_3, &SCHEMA_3));

/// What `meta` holds of a letter.
#[derive(Serialize, Deserialize)]
struct LetterMeta<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    room: Option<std::borrow::Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    accepted: bool,
}

/// The framed value of an event, by the oldest version of the schema that can say it: while services of two releases run
/// side by side, the older ones can't read what only the newer can say, and nothing else.
pub fn encode_event(event: &Event) -> Bytes {
    let row = Row {
        id: event.id.as_str().into(),
        room: event.key.as_str().into(),
        kind: event.body.kind().as_str().into(),
        sender: row::Sender {
            id: event.sender.id.as_str().into(),
            name: event.sender.name.as_str().into(),
            avatar: event.sender.avatar.as_deref().map(Into::into),
        },
        headers: header_rows(&event.headers),
        by_admin: event.by_admin,
        ..body_row(&event.body)
    };
    match &event.body {
        _ if event.by_admin => CODEC_3.encode(&row),
        Body::Room(RoomEvent {
            pinned: Some(_), ..
        }) => CODEC_2.encode(&row),
        _ => CODEC_1.encode(&row),
    }
}

/// The event of a framed value. Any bytes may be given.
///
/// # Errors
/// When the value is not one of ours; numbering does not need it, so the record keeps its place.
pub fn decode_event(value: &[u8]) -> Result<Event, DecodeError> {
    let versions = [&EVENTS_1, &EVENTS_2, &EVENTS_3];
    let codec = match schema_id(value).map(|id| version_of(versions, id)) {
        Some(3) => &CODEC_3,
        Some(2) => &CODEC_2,
        _ => &CODEC_1,
    };
    let mut row: Row<'static> = codec.decode(value)?;
    let headers = std::mem::take(&mut row.headers);
    let by_admin = row.by_admin;
    Ok(Event {
        key: known("room", RoomKey::parse(&row.room).ok())?,
        id: known("id", MessageId::parse(&row.id).ok())?,
        sender: Sender {
            id: known("sender.id", UserId::parse(&row.sender.id).ok())?,
            name: std::mem::take(&mut row.sender.name).into_owned(),
            avatar: row.sender.avatar.take().map(Into::into),
        },
        body: body(row)?,
        headers: headers
            .into_iter()
            .map(|header| (header.name.into_owned(), header.value.into_owned()))
            .collect(),
        by_admin,
    })
}

/// What a field says, if the domain knows it; otherwise the field is named.
fn known<T>(field: &'static str, meaning: Option<T>) -> Result<T, DecodeError> {
    meaning.ok_or(DecodeError::Meaningless(field))
}

fn header_rows(headers: &[(String, String)]) -> Vec<row::Header<'_>> {
    let rows = headers.iter().map(|(name, value)| row::Header {
        name: name.into(),
        value: value.into(),
    });
    rows.collect()
}

// === the body, written ===

/// A row in which just the record of the body's type is set.
fn body_row(body: &Body) -> Row<'_> {
    let mut row = Row::default();
    match body {
        Body::Message(message) => row.message = Some(message_row(message)),
        Body::Edit { target, text } => {
            row.edit = Some(row::Edit {
                target: long(target.0),
                text: text.into(),
            });
        }
        Body::Delete { target } => {
            row.deletion = Some(row::Deletion {
                target: long(target.0),
            });
        }
        Body::Reaction { target, emoji, on } => {
            row.reaction = Some(row::Reaction {
                target: long(target.0),
                emoji: emoji.into(),
                on: *on,
            });
        }
        Body::Member(member) => row.member = Some(member_row(member)),
        Body::Room(room) => row.room_change = Some(room_row(room)),
        Body::Notice { text, pinned } => {
            row.notice = Some(row::Notice {
                text: text.into(),
                pinned: *pinned,
            });
        }
        Body::Letter(letter) => row.message = Some(letter_row(letter)),
        Body::Unreadable => {}
    }
    row
}

fn message_row(message: &Message) -> row::Message<'_> {
    let attachments = message.attachments.iter().map(|file| row::Attachment {
        id: file.id.as_str().into(),
        name: file.name.as_str().into(),
        media_type: file.media_type.as_str().into(),
        size: long(file.size_bytes),
    });
    let mentions = message.mentions.iter().map(|user| user.as_str().into());
    row::Message {
        text: message.text.as_str().into(),
        reply_to: message.reply_to.map(|seq| long(seq.0)),
        mentions: mentions.collect(),
        attachments: attachments.collect(),
        meta: Some(message.meta.as_str().into()).filter(|_| !message.meta.is_empty()),
    }
}

/// A letter is written as a message that points at an event: `reply_to` is its seq, and what else there is to say is
/// in `meta`. Readers of the log without an idea of inboxes thus have nothing new to learn.
fn letter_row(letter: &Letter) -> row::Message<'_> {
    let meta = LetterMeta {
        room: letter.room.as_ref().map(|room| room.as_str().into()),
        accepted: letter.accepted,
    };
    let meta = serde_json::to_string(&meta).expect("texts and a flag are JSON");
    row::Message {
        text: letter.text.as_str().into(),
        reply_to: letter.seq.map(|seq| long(seq.0)),
        mentions: Vec::new(),
        attachments: Vec::new(),
        meta: Some(meta.into()),
    }
}

fn member_row(member: &MemberEvent) -> row::MemberChange<'_> {
    let role = match member.change {
        MemberChange::Role(role) => Some(role.as_str().into()),
        _ => None,
    };
    row::MemberChange {
        user: member.user.as_str().into(),
        change: member.change.as_str().into(),
        role,
    }
}

fn room_row(room: &RoomEvent) -> row::RoomChange<'_> {
    row::RoomChange {
        kind: room.kind.map(|kind| kind.as_str().into()),
        name: room.name.as_deref().map(Into::into),
        public: room.public,
        slow_mode_s: room.slow_mode_s.map(Into::into),
        read_only: room.read_only,
        deleted: room.deleted,
        pinned: room
            .pinned
            .as_ref()
            .map(|pinned| pinned.iter().map(|seq| long(seq.0)).collect()),
    }
}

// === the body, read ===

/// The body that the row's type names.
fn body(row: Row<'static>) -> Result<Body, DecodeError> {
    let kind = known("type", Kind::parse(&row.kind))?;
    // A notice is a letter where it came into somebody's inbox.
    if let Some(about) = About::of(kind).filter(|_| row.notice.is_none()) {
        return letter(about, known("message", row.message)?);
    }
    match kind {
        Kind::Message => message(known("message", row.message)?),
        Kind::Edit => edit(known("edit", row.edit)?),
        Kind::Delete => {
            target(known("deletion", row.deletion)?.target).map(|target| Body::Delete { target })
        }
        Kind::Reaction => reaction(known("reaction", row.reaction)?),
        Kind::Member => member(&known("member", row.member)?),
        Kind::Room => room(known("room_change", row.room_change)?),
        Kind::Notice => known("notice", row.notice).map(|notice| Body::Notice {
            text: notice.text.into_owned(),
            pinned: notice.pinned,
        }),
        Kind::Invitation | Kind::Mention | Kind::FriendRequest | Kind::Unreadable => {
            Ok(Body::Unreadable)
        }
    }
}

fn target(seq: i64) -> Result<Seq, DecodeError> {
    unsigned(seq, "target").map(Seq)
}

fn message(row: row::Message<'static>) -> Result<Body, DecodeError> {
    let reply_to = row.reply_to.map(|seq| unsigned(seq, "reply_to"));
    let mentions = row
        .mentions
        .iter()
        .map(|user| known("mentions", UserId::parse(user).ok()));
    Ok(Body::Message(Message {
        text: row.text.into_owned(),
        reply_to: reply_to.transpose()?.map(Seq),
        mentions: mentions.collect::<Result<_, _>>()?,
        attachments: row
            .attachments
            .into_iter()
            .map(attachment)
            .collect::<Result<_, _>>()?,
        meta: row.meta.unwrap_or_default().into_owned(),
    }))
}

fn letter(about: About, row: row::Message<'static>) -> Result<Body, DecodeError> {
    let meta = row.meta.unwrap_or_default();
    let meta: LetterMeta<'_> = known("message.meta", serde_json::from_str(&meta).ok())?;
    let room = meta
        .room
        .map(|room| known("message.meta.room", RoomId::parse(&room).ok()));
    let seq = row.reply_to.map(|seq| unsigned(seq, "reply_to"));
    Ok(Body::Letter(Letter {
        about,
        room: room.transpose()?,
        seq: seq.transpose()?.map(Seq),
        text: row.text.into_owned(),
        accepted: meta.accepted,
    }))
}

fn attachment(row: row::Attachment<'static>) -> Result<Attachment, DecodeError> {
    Ok(Attachment {
        id: row.id.into_owned(),
        name: row.name.into_owned(),
        media_type: row.media_type.into_owned(),
        size_bytes: unsigned(row.size, "attachments.size")?,
    })
}

fn edit(row: row::Edit<'static>) -> Result<Body, DecodeError> {
    Ok(Body::Edit {
        target: target(row.target)?,
        text: row.text.into_owned(),
    })
}

fn reaction(row: row::Reaction<'static>) -> Result<Body, DecodeError> {
    Ok(Body::Reaction {
        target: target(row.target)?,
        emoji: row.emoji.into_owned(),
        on: row.on,
    })
}

fn member(row: &row::MemberChange<'static>) -> Result<Body, DecodeError> {
    let change = match row.change.as_ref() {
        "joined" => MemberChange::Joined,
        "left" => MemberChange::Left,
        "invited" => MemberChange::Invited,
        "removed" => MemberChange::Removed,
        "banned" => MemberChange::Banned,
        "unbanned" => MemberChange::Unbanned,
        "muted" => MemberChange::Muted,
        "unmuted" => MemberChange::Unmuted,
        "profile" => MemberChange::Profile,
        "role" => {
            let role = row.role.as_deref().and_then(Role::parse);
            MemberChange::Role(known("member.role", role)?)
        }
        _ => return Err(DecodeError::Meaningless("member.change")),
    };
    let user = known("member.user", UserId::parse(&row.user).ok())?;
    Ok(Body::Member(MemberEvent { user, change }))
}

fn room(row: row::RoomChange<'static>) -> Result<Body, DecodeError> {
    let kind = row
        .kind
        .map(|kind| known("room_change.kind", RoomKind::parse(&kind)));
    let slow_mode_s = row
        .slow_mode_s
        .map(|seconds| known("room_change.slow_mode_s", u32::try_from(seconds).ok()));
    let pinned = row.pinned.map(|pinned| {
        let seqs = pinned.into_iter();
        seqs.map(|seq| unsigned(seq, "room_change.pinned").map(Seq))
            .collect::<Result<Vec<_>, _>>()
    });
    Ok(Body::Room(RoomEvent {
        kind: kind.transpose()?,
        name: row.name.map(Into::into),
        public: row.public,
        slow_mode_s: slow_mode_s.transpose()?,
        read_only: row.read_only,
        deleted: row.deleted,
        pinned: pinned.transpose()?,
    }))
}
