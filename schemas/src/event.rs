//! Events as values of `chat.events.v1`.

use bytes::Bytes;
use roomlog_core::{
    event::{
        Attachment, Body, Event, Kind, MemberChange, MemberEvent, Message, Role, RoomEvent,
        RoomKind, Sender,
    },
    ids::{MessageId, RoomKey, Seq, UserId},
};

use crate::{
    avro::{Reader, Writer},
    framing::{DecodeError, datum},
    subjects::EVENTS,
};

/// The framed value of an event.
pub fn encode_event(event: &Event) -> Bytes {
    let mut to = Writer::framed(EVENTS.id);
    to.string(event.id.as_str());
    to.string(event.key.as_str());
    to.string(event.body.kind().as_str());
    to.string(event.sender.id.as_str());
    to.string(&event.sender.name);
    to.nullable(event.sender.avatar.as_deref(), Writer::string);
    encode_body(&mut to, &event.body);
    to.array(&event.headers, |to, (name, value)| {
        to.string(name);
        to.string(value);
    });
    to.finish()
}

/// The event of a framed value. Any bytes may be given.
///
/// # Errors
/// When the value is not one of ours; numbering does not need it, so the record keeps its place.
pub fn decode_event(value: &[u8]) -> Result<Event, DecodeError> {
    let mut from = Reader::new(datum(value, EVENTS.id)?);
    let id = parsed(&mut from, "id", MessageId::parse)?;
    let key = parsed(&mut from, "room", RoomKey::parse)?;
    let kind = Kind::parse(from.string()?).ok_or(DecodeError::Meaningless("type"))?;
    let sender = Sender {
        id: parsed(&mut from, "sender.id", UserId::parse)?,
        name: from.string()?.to_owned(),
        avatar: from.nullable(Reader::string)?.map(str::to_owned),
    };
    let body = decode_body(&mut from, kind)?;
    let headers = from.array(|from| Ok((from.string()?.to_owned(), from.string()?.to_owned())))?;
    from.end()?;
    Ok(Event {
        key,
        id,
        sender,
        body,
        headers,
    })
}

fn parsed<T, E>(
    from: &mut Reader<'_>,
    field: &'static str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, DecodeError> {
    parse(from.string()?).map_err(|_| DecodeError::Meaningless(field))
}

/// The nullable records of the types, in the schema's order; exactly the body's own is set.
fn encode_body(to: &mut Writer, body: &Body) {
    to.nullable(as_message(body), encode_message);
    to.nullable(as_edit(body), |to, (target, text)| {
        to.unsigned(target.0);
        to.string(text);
    });
    to.nullable(as_deletion(body), |to, target| to.unsigned(target.0));
    to.nullable(as_reaction(body), |to, (target, emoji, on)| {
        to.unsigned(target.0);
        to.string(emoji);
        to.boolean(on);
    });
    to.nullable(as_member(body), encode_member);
    to.nullable(as_room(body), encode_room);
    to.nullable(as_notice(body), |to, (text, pinned)| {
        to.string(text);
        to.boolean(pinned);
    });
}

fn as_message(body: &Body) -> Option<&Message> {
    match body {
        Body::Message(message) => Some(message),
        _ => None,
    }
}

fn as_edit(body: &Body) -> Option<(Seq, &str)> {
    match body {
        Body::Edit { target, text } => Some((*target, text)),
        _ => None,
    }
}

fn as_deletion(body: &Body) -> Option<Seq> {
    match body {
        Body::Delete { target } => Some(*target),
        _ => None,
    }
}

fn as_reaction(body: &Body) -> Option<(Seq, &str, bool)> {
    match body {
        Body::Reaction { target, emoji, on } => Some((*target, emoji, *on)),
        _ => None,
    }
}

fn as_member(body: &Body) -> Option<&MemberEvent> {
    match body {
        Body::Member(member) => Some(member),
        _ => None,
    }
}

fn as_room(body: &Body) -> Option<&RoomEvent> {
    match body {
        Body::Room(room) => Some(room),
        _ => None,
    }
}

fn as_notice(body: &Body) -> Option<(&str, bool)> {
    match body {
        Body::Notice { text, pinned } => Some((text, *pinned)),
        _ => None,
    }
}

fn encode_message(to: &mut Writer, message: &Message) {
    to.string(&message.text);
    to.nullable(message.reply_to, |to, seq| to.unsigned(seq.0));
    to.array(&message.mentions, |to, user| to.string(user.as_str()));
    to.array(&message.attachments, |to, attachment| {
        to.string(&attachment.id);
        to.string(&attachment.name);
        to.string(&attachment.media_type);
        to.unsigned(attachment.size_bytes);
    });
    let meta = Some(message.meta.as_str()).filter(|meta| !meta.is_empty());
    to.nullable(meta, Writer::string);
}

fn encode_member(to: &mut Writer, member: &MemberEvent) {
    to.string(member.user.as_str());
    to.string(member.change.as_str());
    let role = match member.change {
        MemberChange::Role(role) => Some(role.as_str()),
        _ => None,
    };
    to.nullable(role, Writer::string);
}

fn encode_room(to: &mut Writer, room: &RoomEvent) {
    to.nullable(room.kind.map(RoomKind::as_str), Writer::string);
    to.nullable(room.name.as_deref(), Writer::string);
    to.nullable(room.public, Writer::boolean);
    to.nullable(room.slow_mode_s, |to, seconds| to.unsigned(seconds.into()));
    to.nullable(room.read_only, Writer::boolean);
    to.nullable(room.deleted, Writer::boolean);
}

/// Reads every record of the types, as the encoding has no way around them, and keeps the one `kind` names.
fn decode_body(from: &mut Reader<'_>, kind: Kind) -> Result<Body, DecodeError> {
    let message = from.nullable(decode_message)?;
    let edit = from.nullable(|from| {
        Ok(Body::Edit {
            target: target(from)?,
            text: from.string()?.to_owned(),
        })
    })?;
    let deletion = from.nullable(|from| {
        Ok(Body::Delete {
            target: target(from)?,
        })
    })?;
    let reaction = from.nullable(|from| {
        Ok(Body::Reaction {
            target: target(from)?,
            emoji: from.string()?.to_owned(),
            on: from.boolean()?,
        })
    })?;
    let member = from.nullable(decode_member)?;
    let room = from.nullable(decode_room)?;
    let notice = from.nullable(|from| {
        Ok(Body::Notice {
            text: from.string()?.to_owned(),
            pinned: from.boolean()?,
        })
    })?;
    let (body, field) = match kind {
        Kind::Message => (message, "message"),
        Kind::Edit => (edit, "edit"),
        Kind::Delete => (deletion, "deletion"),
        Kind::Reaction => (reaction, "reaction"),
        Kind::Member => (member, "member"),
        Kind::Room => (room, "room_change"),
        Kind::Notice => (notice, "notice"),
        Kind::Unreadable => (Some(Body::Unreadable), "type"),
    };
    body.ok_or(DecodeError::Meaningless(field))
}

fn target(from: &mut Reader<'_>) -> Result<Seq, DecodeError> {
    from.unsigned("target").map(Seq)
}

fn decode_message(from: &mut Reader<'_>) -> Result<Body, DecodeError> {
    Ok(Body::Message(Message {
        text: from.string()?.to_owned(),
        reply_to: from.nullable(|from| from.unsigned("reply_to"))?.map(Seq),
        mentions: from.array(|from| parsed(from, "mentions", UserId::parse))?,
        attachments: from.array(|from| {
            Ok(Attachment {
                id: from.string()?.to_owned(),
                name: from.string()?.to_owned(),
                media_type: from.string()?.to_owned(),
                size_bytes: from.unsigned("attachments.size")?,
            })
        })?,
        meta: from
            .nullable(Reader::string)?
            .unwrap_or_default()
            .to_owned(),
    }))
}

fn decode_member(from: &mut Reader<'_>) -> Result<Body, DecodeError> {
    let user = parsed(from, "member.user", UserId::parse)?;
    let change = from.string()?;
    let role = from.nullable(Reader::string)?;
    let change = match change {
        "joined" => MemberChange::Joined,
        "left" => MemberChange::Left,
        "invited" => MemberChange::Invited,
        "removed" => MemberChange::Removed,
        "banned" => MemberChange::Banned,
        "unbanned" => MemberChange::Unbanned,
        "muted" => MemberChange::Muted,
        "unmuted" => MemberChange::Unmuted,
        "profile" => MemberChange::Profile,
        "role" => role
            .and_then(Role::parse)
            .map(MemberChange::Role)
            .ok_or(DecodeError::Meaningless("member.role"))?,
        _ => return Err(DecodeError::Meaningless("member.change")),
    };
    Ok(Body::Member(MemberEvent { user, change }))
}

fn decode_room(from: &mut Reader<'_>) -> Result<Body, DecodeError> {
    let unknown = DecodeError::Meaningless;
    let kind = from.nullable(Reader::string)?;
    let kind = kind
        .map(|kind| RoomKind::parse(kind).ok_or(unknown("room_change.kind")))
        .transpose()?;
    Ok(Body::Room(RoomEvent {
        kind,
        name: from.nullable(Reader::string)?.map(str::to_owned),
        public: from.nullable(Reader::boolean)?,
        slow_mode_s: from
            .nullable(Reader::long)?
            .map(|seconds| u32::try_from(seconds).map_err(|_| unknown("room_change.slow_mode_s")))
            .transpose()?,
        read_only: from.nullable(Reader::boolean)?,
        deleted: from.nullable(Reader::boolean)?,
    }))
}
