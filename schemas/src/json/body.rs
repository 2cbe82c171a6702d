//! The body of an event as every client sees it: one line, fields in a fixed order.

use std::borrow::Cow;

use roomlog_core::{
    event::{Attachment, Body, Kind, MemberChange, MemberEvent, Message, Numbered, RoomEvent},
    ids::{Count, RoomKey, Seq, UserId},
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

/// The body of an event, on one line. `void` marks a change the room's state did not allow.
pub fn event_body(numbered: &Numbered, void: bool) -> Vec<u8> {
    let event = &numbered.event;
    line(&Line {
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
        body: &event.body,
        headers: &event.headers,
        void,
    })
}

/// The body of a record that could not be decoded, of type `unreadable`.
pub fn unreadable_body(place: Place<'_>) -> Vec<u8> {
    line(&Line {
        place,
        name: "",
        avatar: None,
        body: &Body::Unreadable,
        headers: &[],
        void: false,
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
    void: bool,
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

struct Attachments<'a>(&'a [Attachment]);
struct Headers<'a>(&'a [(String, String)]);

// === impl Line ===

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
        own_fields(&mut map, self.body)?;
        if self.body.kind() != Kind::Unreadable {
            map.serialize_entry("headers", &Headers(self.headers))?;
        }
        if self.void {
            map.serialize_entry("void", &true)?;
        }
        map.end()
    }
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
    changed(map, "deleted", room.deleted)
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

#[cfg(test)]
mod tests {
    use roomlog_core::{
        event::{Event, Role, RoomKind, Sender},
        ids::MessageId,
    };

    use super::*;

    fn numbered(body: Body) -> Numbered {
        Numbered {
            seq: Seq(42),
            count: Count(40),
            at_ms: 1_763_700_000_000,
            event: Event {
                key: RoomKey::parse("lobby").expect("alphabet"),
                id: MessageId::parse("m-1").expect("visible"),
                sender: Sender {
                    id: UserId::parse("alice").expect("alphabet"),
                    name: "Alice".into(),
                    avatar: None,
                },
                body,
                headers: vec![("priority".into(), "high".into())],
            },
        }
    }

    fn shown(body: Body) -> String {
        String::from_utf8(event_body(&numbered(body), false)).expect("text")
    }

    const START: &str = r#"{"room":"lobby","seq":42,"count":40,"type":"#;
    const SENDER: &str =
        r#""id":"m-1","sender":{"id":"alice","name":"Alice","avatar":null},"at":1763700000000"#;
    const END: &str = r#""headers":{"priority":"high"}}"#;

    #[test]
    fn a_message_shows_all_its_fields_in_order() {
        let message = Message {
            text: "hi\n\"there\"".into(),
            reply_to: Some(Seq(12)),
            mentions: vec![UserId::parse("bob").expect("alphabet")],
            attachments: vec![Attachment {
                id: "f-1".into(),
                name: "a.png".into(),
                media_type: "image/png".into(),
                size_bytes: 123,
            }],
            meta: r#"{"k":[1]}"#.into(),
        };
        let own = concat!(
            r#""text":"hi\n\"there\"","reply_to":12,"mentions":["bob"],"#,
            r#""attachments":[{"id":"f-1","name":"a.png","type":"image/png","size":123,"#,
            r#""url":"/api/v1/attachments/f-1"}],"meta":{"k":[1]}"#
        );
        assert_eq!(
            shown(Body::Message(message)),
            format!("{START}\"message\",{SENDER},{own},{END}")
        );
    }

    #[test]
    fn an_empty_message_still_shows_every_field() {
        let own = r#""text":"","reply_to":null,"mentions":[],"attachments":[],"meta":{}"#;
        assert_eq!(
            shown(Body::Message(Message::default())),
            format!("{START}\"message\",{SENDER},{own},{END}")
        );
    }

    #[test]
    fn other_types_show_their_own_fields() {
        let user = UserId::parse("bob").expect("alphabet");
        let member = |change| {
            Body::Member(MemberEvent {
                user: user.clone(),
                change,
            })
        };
        let room = RoomEvent {
            kind: Some(RoomKind::Group),
            name: Some("Lobby".into()),
            public: Some(true),
            ..RoomEvent::default()
        };
        let (target, on) = (Seq(7), false);
        for (body, own) in [
            (
                Body::Edit {
                    target,
                    text: "x".into(),
                },
                r#""edit",S,"target":7,"text":"x""#,
            ),
            (Body::Delete { target }, r#""delete",S,"target":7"#),
            (
                Body::Reaction {
                    target,
                    emoji: "👍".into(),
                    on,
                },
                r#""reaction",S,"target":7,"emoji":"👍","on":false"#,
            ),
            (
                member(MemberChange::Joined),
                r#""member",S,"user":"bob","change":"joined""#,
            ),
            (
                member(MemberChange::Role(Role::Owner)),
                r#""member",S,"user":"bob","change":"role","role":"owner""#,
            ),
            (
                Body::Room(room),
                r#""room",S,"kind":"group","name":"Lobby","public":true"#,
            ),
            (
                Body::Notice {
                    text: "n".into(),
                    pinned: true,
                },
                r#""notice",S,"text":"n","pinned":true"#,
            ),
        ] {
            let own = own.replacen('S', SENDER, 1);
            assert_eq!(shown(body), format!("{START}{own},{END}"));
        }
    }

    #[test]
    fn a_void_change_says_so_last() {
        let line = event_body(&numbered(Body::Delete { target: Seq(1) }), true);
        assert!(line.ends_with(br#"},"void":true}"#));
    }

    #[test]
    fn a_foreign_meta_breaks_neither_json_nor_the_line() {
        for (meta, seen) in [
            ("{\"a\":\r\n1}", r#"{"a":  1}"#),
            ("[1]", "{}"),
            ("{\"a\":1} x", "{}"),
            ("}{", "{}"),
        ] {
            let message = Message {
                meta: meta.into(),
                ..Message::default()
            };
            let line = shown(Body::Message(message));
            assert!(line.contains(&format!("\"meta\":{seen},")), "{line}");
            assert!(
                !line.contains('\n') && serde_json::from_str::<serde_json::Value>(&line).is_ok()
            );
        }
    }

    #[test]
    fn an_unreadable_record_shows_its_place() {
        let line = unreadable_body(Place {
            key: &RoomKey::parse("lobby").expect("alphabet"),
            seq: Seq(3),
            count: Count(2),
            at_ms: 5,
            id: "",
            sender: "",
        });
        let expected = concat!(
            r#"{"room":"lobby","seq":3,"count":2,"type":"unreadable","id":"","#,
            r#""sender":{"id":"","name":"","avatar":null},"at":5}"#
        );
        assert_eq!(String::from_utf8(line).as_deref(), Ok(expected));
    }
}
