//! The encoding against Avro without our rows, against its own past, and against arbitrary bytes.

use std::collections::BTreeMap;

use apache_avro::{
    Schema, reader::datum::GenericDatumReader, schema_compatibility::SchemaCompatibility,
    types::Value, writer::datum::GenericDatumWriter,
};
use proptest::prelude::*;
use roomlog_core::{
    event::{
        Attachment, Body, Event, MemberChange, MemberEvent, Message, Numbered, Role, RoomEvent,
        RoomKind, Sender,
    },
    ids::{Count, MessageId, RoomId, RoomKey, Seq, UserId},
    inbox::{About, Letter},
};

use crate::{
    ReadPosition, ReadPositions, decode_event, decode_reads, encode_event, encode_reads,
    framing::{DecodeError, HEADER_BYTES, schema_id},
    json::event_body,
    subjects,
    subjects::{EVENTS_1, EVENTS_2, EVENTS_3, READS},
};

/// Values as version 1 wrote them, with what they show: `name`, `value` in hexadecimal, `body`.
const GOLDEN_EVENTS: &str = include_str!("../golden/chat.events.v1-value.1.jsonl");
/// The same of what version 2 brought.
const GOLDEN_EVENTS_2: &str = include_str!("../golden/chat.events.v1-value.2.jsonl");
/// The same of what version 3 brought.
const GOLDEN_EVENTS_3: &str = include_str!("../golden/chat.events.v1-value.3.jsonl");
/// Every published version of every schema, by subject and version.
const PUBLISHED: &[(&str, u64, &str)] = &[
    (
        EVENTS_1.name,
        1,
        include_str!("../golden/chat.events.v1-value.1.avsc"),
    ),
    (
        EVENTS_2.name,
        2,
        include_str!("../golden/chat.events.v1-value.2.avsc"),
    ),
    (
        EVENTS_3.name,
        3,
        include_str!("../golden/chat.events.v1-value.3.avsc"),
    ),
    (
        READS.name,
        1,
        include_str!("../golden/chat.reads.v1-value.1.avsc"),
    ),
];

fn parsed(schema: &str) -> Schema {
    Schema::parse_str(schema).expect("a valid schema")
}

fn by_oracle(schema: &Schema, value: &[u8]) -> Value {
    let mut datum = &value[HEADER_BYTES..];
    let reader = GenericDatumReader::builder(schema)
        .build()
        .expect("a valid schema");
    let decoded = reader.read_value(&mut datum).expect("the oracle reads it");
    assert!(datum.is_empty(), "the oracle left bytes over");
    decoded
}

/// The datum the oracle writes for what it read.
fn rewritten(schema: &str, value: &[u8]) -> Vec<u8> {
    let schema = parsed(schema);
    let writer = GenericDatumWriter::builder(&schema)
        .build()
        .expect("a valid schema");
    let decoded = by_oracle(&schema, value);
    writer
        .write_value_to_vec(decoded)
        .expect("the oracle writes it")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hexadecimal"))
        .collect()
}

// === the past ===

#[test]
fn ids_and_versions_are_those_published() {
    let ids: BTreeMap<String, Vec<BTreeMap<String, u32>>> =
        serde_json::from_str(include_str!("../ids.json")).expect("valid JSON");
    let versions: usize = ids.values().map(Vec::len).sum();
    assert_eq!(versions, subjects().len());
    for subject in subjects() {
        let mut versions = ids[subject.name].iter();
        let version = versions.find(|version| version["version"] == subject.version);
        assert_eq!(version.expect("a version")["id"], subject.id);
        let version = u64::from(subject.version);
        let published = PUBLISHED
            .iter()
            .find(|(name, of, _)| (*name, *of) == (subject.name, version));
        let (_, _, schema) = published.expect("every version is published");
        assert_eq!(
            *schema, subject.schema,
            "a published schema never changes: add a version"
        );
    }
}

#[test]
fn every_version_reads_every_other() {
    for subject in subjects() {
        let current = parsed(subject.schema);
        for (_, version, schema) in PUBLISHED.iter().filter(|(name, ..)| *name == subject.name) {
            let other = parsed(schema);
            assert!(
                SchemaCompatibility::can_read(&current, &other).is_ok(),
                "{version} -> current"
            );
            assert!(
                SchemaCompatibility::can_read(&other, &current).is_ok(),
                "current -> {version}"
            );
        }
    }
}

#[test]
fn golden_values_still_read_and_are_still_written() {
    for (subject, golden, samples) in [
        (&EVENTS_1, GOLDEN_EVENTS, samples()),
        (&EVENTS_2, GOLDEN_EVENTS_2, samples_2()),
        (&EVENTS_3, GOLDEN_EVENTS_3, samples_3()),
    ] {
        let schema = parsed(subject.schema);
        let written: Vec<String> = samples
            .iter()
            .map(|(name, event)| golden_line(name, event))
            .collect();
        assert_eq!(
            written,
            golden.lines().collect::<Vec<_>>(),
            "\n{}",
            written.join("\n")
        );
        for (line, (_, event)) in golden.lines().zip(samples) {
            let golden: serde_json::Value = serde_json::from_str(line).expect("valid JSON");
            let value = unhex(golden["value"].as_str().expect("hexadecimal text"));
            assert_eq!(decode_event(&value), Ok(event));
            by_oracle(&schema, &value);
        }
    }
}

/// What version 1 can't say.
fn samples_2() -> Vec<(&'static str, Event)> {
    let (_, event) = samples().remove(0);
    let pinning = |pinned: &[u64]| Event {
        body: Body::Room(RoomEvent {
            pinned: Some(pinned.iter().copied().map(Seq).collect()),
            ..RoomEvent::default()
        }),
        ..event.clone()
    };
    vec![("pins", pinning(&[7, 300])), ("no-pins", pinning(&[]))]
}

/// What version 2 can't say.
fn samples_3() -> Vec<(&'static str, Event)> {
    let (_, event) = samples().remove(0);
    let by_admin = |body| Event {
        body,
        by_admin: true,
        ..event.clone()
    };
    let banned = MemberEvent {
        user: UserId::parse("bob").expect("alphabet"),
        change: MemberChange::Banned,
    };
    let renamed = RoomEvent {
        name: Some("Hall".into()),
        ..RoomEvent::default()
    };
    let pinned = RoomEvent {
        pinned: Some(vec![Seq(7)]),
        ..RoomEvent::default()
    };
    vec![
        ("admin-bans", by_admin(Body::Member(banned))),
        ("admin-renames", by_admin(Body::Room(renamed))),
        ("admin-pins", by_admin(Body::Room(pinned))),
    ]
}

fn golden_line(name: &str, event: &Event) -> String {
    let numbered = Numbered {
        seq: Seq(42),
        count: Count(40),
        at_ms: 1_763_700_000_000,
        event: event.clone(),
    };
    let body = String::from_utf8(event_body(&numbered, false)).expect("text");
    let value = hex(&encode_event(event));
    format!(r#"{{"name":"{name}","value":"{value}","body":{body}}}"#)
}

fn samples() -> Vec<(&'static str, Event)> {
    let user = |id: &str| UserId::parse(id).expect("alphabet");
    let event = |body| Event {
        key: RoomKey::parse("lobby").expect("alphabet"),
        id: MessageId::parse("m-1").expect("visible"),
        sender: Sender {
            id: user("alice"),
            name: "Alice".into(),
            avatar: None,
        },
        body,
        headers: Vec::new(),
        by_admin: false,
    };
    let member = |change| {
        Body::Member(MemberEvent {
            user: user("bob"),
            change,
        })
    };
    let full = Message {
        text: "grüße, \"world\"\n👋".into(),
        reply_to: Some(Seq(12)),
        mentions: vec![user("bob"), user("carol")],
        attachments: vec![Attachment {
            id: "f-1".into(),
            name: "a.png".into(),
            media_type: "image/png".into(),
            size_bytes: 123,
        }],
        meta: r#"{"k":[1,2]}"#.into(),
    };
    let mut rich = event(Body::Message(full));
    rich.sender.avatar = Some("https://example.org/a.png".into());
    rich.headers = vec![
        ("priority".into(), "high".into()),
        ("x".into(), String::new()),
    ];
    let plain = Message {
        text: "hello".into(),
        ..Message::default()
    };
    let room = RoomEvent {
        kind: Some(RoomKind::Group),
        name: Some("Lobby".into()),
        public: Some(true),
        slow_mode_s: Some(0),
        read_only: Some(false),
        deleted: None,
        pinned: None,
    };
    let target = Seq(7);
    vec![
        ("message", event(Body::Message(plain))),
        ("message-full", rich),
        (
            "edit",
            event(Body::Edit {
                target,
                text: "new".into(),
            }),
        ),
        ("delete", event(Body::Delete { target })),
        (
            "reaction",
            event(Body::Reaction {
                target,
                emoji: "👍".into(),
                on: true,
            }),
        ),
        ("member-joined", event(member(MemberChange::Joined))),
        (
            "member-role",
            event(member(MemberChange::Role(Role::Moderator))),
        ),
        ("room", event(Body::Room(room))),
        (
            "notice",
            event(Body::Notice {
                text: "soon".into(),
                pinned: true,
            }),
        ),
    ]
}

// === arbitrary input ===

fn rank() -> impl Strategy<Value = Seq> {
    (0..=i64::MAX.cast_unsigned()).prop_map(Seq)
}

fn user() -> impl Strategy<Value = UserId> {
    "[A-Za-z0-9_-]{1,64}".prop_map(|id| UserId::parse(&id).expect("alphabet"))
}

fn change() -> impl Strategy<Value = MemberChange> {
    use MemberChange as Change;
    prop::sample::select(vec![
        Change::Joined,
        Change::Left,
        Change::Invited,
        Change::Removed,
        Change::Banned,
        Change::Unbanned,
        Change::Muted,
        Change::Unmuted,
        Change::Profile,
        Change::Role(Role::Member),
        Change::Role(Role::Moderator),
        Change::Role(Role::Owner),
    ])
}

fn attachment() -> impl Strategy<Value = Attachment> {
    let parts = (".{0,9}", ".{0,9}", ".{0,9}", 0..=i64::MAX.cast_unsigned());
    parts.prop_map(|(id, name, media_type, size_bytes)| Attachment {
        id,
        name,
        media_type,
        size_bytes,
    })
}

fn message() -> impl Strategy<Value = Message> {
    (
        ".{0,99}",
        prop::option::of(rank()),
        prop::collection::vec(user(), 0..4),
        prop::collection::vec(attachment(), 0..3),
        ".{0,20}",
    )
        .prop_map(|(text, reply_to, mentions, attachments, meta)| Message {
            text,
            reply_to,
            mentions,
            attachments,
            meta,
        })
}

fn room() -> impl Strategy<Value = RoomEvent> {
    let kinds = vec![
        RoomKind::Group,
        RoomKind::Direct,
        RoomKind::Channel,
        RoomKind::Announcement,
    ];
    (
        prop::option::of(prop::sample::select(kinds)),
        prop::option::of(".{0,9}"),
        any::<[Option<bool>; 3]>(),
        any::<Option<u32>>(),
        prop::option::of(prop::collection::vec(rank(), 0..4)),
    )
        .prop_map(
            |(kind, name, [public, read_only, deleted], slow_mode_s, pinned)| RoomEvent {
                kind,
                name,
                public,
                slow_mode_s,
                read_only,
                deleted,
                pinned,
            },
        )
}

fn letter() -> impl Strategy<Value = Letter> {
    let about = prop_oneof![
        Just(About::Invitation),
        Just(About::Mention),
        Just(About::Notice),
        Just(About::FriendRequest),
    ];
    let room = proptest::option::of("[A-Za-z0-9_-]{1,64}");
    (
        about,
        room,
        proptest::option::of(rank()),
        ".{0,9}",
        any::<bool>(),
    )
        .prop_map(|(about, room, seq, text, accepted)| Letter {
            about,
            room: room.map(|room| RoomId::parse(&room).expect("alphabet")),
            seq,
            text,
            accepted,
        })
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        message().prop_map(Body::Message),
        (rank(), ".{0,9}").prop_map(|(target, text)| Body::Edit { target, text }),
        rank().prop_map(|target| Body::Delete { target }),
        (rank(), ".{0,9}", any::<bool>()).prop_map(|(target, emoji, on)| Body::Reaction {
            target,
            emoji,
            on
        }),
        (user(), change()).prop_map(|(user, change)| Body::Member(MemberEvent { user, change })),
        room().prop_map(Body::Room),
        (".{0,9}", any::<bool>()).prop_map(|(text, pinned)| Body::Notice { text, pinned }),
        letter().prop_map(Body::Letter),
        Just(Body::Unreadable),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    (
        ("@?[A-Za-z0-9_-]{1,64}", "[!-~]{1,64}", user()),
        (".{0,9}", prop::option::of(".{0,9}")),
        body(),
        (
            prop::collection::vec((".{0,9}", ".{0,9}"), 0..4),
            any::<bool>(),
        ),
    )
        .prop_map(
            |((key, id, sender), (name, avatar), body, (headers, by_admin))| Event {
                key: RoomKey::parse(&key).expect("alphabet"),
                id: MessageId::parse(&id).expect("visible"),
                sender: Sender {
                    id: sender,
                    name,
                    avatar,
                },
                body,
                headers,
                by_admin,
            },
        )
}

fn reads() -> impl Strategy<Value = ReadPositions> {
    let position = (user(), rank(), rank()).prop_map(|(user, seq, count)| ReadPosition {
        user,
        seq,
        count: Count(count.0),
    });
    let positions = prop::collection::vec(position, 0..9);
    ("[A-Za-z0-9_-]{1,64}", positions).prop_map(|(room, positions)| ReadPositions {
        room: RoomId::parse(&room).expect("alphabet"),
        positions,
    })
}

#[test]
fn a_lie_about_length_is_refused_before_it_costs_memory() {
    // The longest length a varint can announce, for the first string and for the array of positions.
    let longest = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    let event = [&[0, 0, 0, 0, 1][..], &longest].concat();
    assert!(matches!(
        decode_event(&event),
        Err(DecodeError::Malformed(_))
    ));
    let reads = [&[0, 0, 0, 0, 2, 2, b'r'][..], &longest].concat();
    assert!(matches!(
        decode_reads(&reads),
        Err(DecodeError::Malformed(_))
    ));
}

proptest! {
    #[test]
    fn an_event_survives_and_is_what_avro_writes(event in event()) {
        let value = encode_event(&event);
        let version = [&EVENTS_2, &EVENTS_3].into_iter().find(|version| schema_id(&value) == Some(version.id));
        let version = version.unwrap_or(&EVENTS_1);
        prop_assert_eq!(&rewritten(version.schema, &value)[..], &value[HEADER_BYTES..]);
        prop_assert_eq!(decode_event(&value), Ok(event));
    }

    #[test]
    fn a_batch_of_reads_survives_and_is_what_avro_writes(reads in reads()) {
        let value = encode_reads(&reads);
        prop_assert_eq!(&rewritten(READS.schema, &value)[..], &value[HEADER_BYTES..]);
        prop_assert_eq!(decode_reads(&value), Ok(reads));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let framed = |id: u8| [&[0, 0, 0, 0, id][..], &bytes].concat();
        let _ = (decode_event(&bytes), decode_event(&framed(1)), decode_reads(&framed(2)));
        let _ = decode_event(&framed(4));
        let limits = roomlog_core::limits::Limits::default();
        let _ = crate::json::parse_message(Some("application/json"), &bytes, &limits);
    }

    #[test]
    fn a_damaged_value_never_panics(event in event(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut value = encode_event(&event).to_vec();
        let place = at.index(value.len());
        value[place] = byte;
        let _ = decode_event(&value);
        prop_assert!(decode_event(&value[..place]).is_err());
    }

    #[test]
    fn bytes_after_the_datum_are_refused(event in event()) {
        let value = [&encode_event(&event)[..], &[0]].concat();
        prop_assert_eq!(decode_event(&value), Err(DecodeError::Malformed(value.len() - 1)));
    }

    #[test]
    fn a_body_is_one_line_of_json(event in event(), void: bool) {
        let (seq, count, at_ms) = (Seq(1), Count(1), 0);
        let line = event_body(&Numbered { seq, count, at_ms, event }, void);
        prop_assert!(!line.contains(&b'\n') && !line.contains(&b'\r'));
        let json: serde_json::Value = serde_json::from_slice(&line).expect("valid JSON");
        prop_assert_eq!(json.get("void").is_some(), void);
    }
}
