//! What clients see, to the letter.

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
            by_admin: false,
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
        assert!(!line.contains('\n') && serde_json::from_str::<serde_json::Value>(&line).is_ok());
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

#[test]
fn deleted_content_leaves_place_sender_and_thread() {
    let message = Message {
        text: "secret".into(),
        reply_to: Some(Seq(12)),
        mentions: vec![UserId::parse("bob").expect("alphabet")],
        meta: r#"{"secret":1}"#.into(),
        ..Message::default()
    };
    let deleted = |body| String::from_utf8(deleted_body(&numbered(body))).expect("text");
    assert_eq!(
        deleted(Body::Message(message)),
        format!(r#"{START}"message",{SENDER},"reply_to":12,"headers":{{}},"deleted":true}}"#)
    );
    let edit = Body::Edit {
        target: Seq(7),
        text: "secret".into(),
    };
    assert_eq!(
        deleted(edit),
        format!(r#"{START}"edit",{SENDER},"target":7,"headers":{{}},"deleted":true}}"#)
    );
}

#[test]
fn a_message_shows_what_became_of_it() {
    use roomlog_core::amendment::{Amendment, Change};
    let user = |name| UserId::parse(name).expect("alphabet");
    let amendment = |by, seq, change| Amendment {
        target: Seq(42),
        by: user(by),
        seq: Seq(seq),
        at_ms: 7,
        change,
    };
    let react = |emoji: &str| Change::Reacted {
        emoji: emoji.into(),
        on: true,
    };
    let mut amended = Amended::default();
    amended.take(amendment("alice", 43, Change::Edited("new".into())));
    amended.take(amendment("mallory", 44, Change::Edited("forged".into())));
    amended.take(amendment("bob", 45, react("+1")));
    let newest = |amended: Option<&Amended>| {
        let message = Message {
            text: "old".into(),
            ..Message::default()
        };
        let newest = Newest {
            amended,
            viewer: &user("bob"),
            read_count: Some(3),
        };
        let body = newest_body(&numbered(Body::Message(message)), &newest);
        serde_json::from_slice::<serde_json::Value>(&body).expect("JSON")
    };
    let plain = newest(None);
    assert_eq!(
        (&plain["text"], &plain["reactions"], &plain["read_count"]),
        (&"old".into(), &serde_json::json!([]), &3.into())
    );
    let edited = newest(Some(&amended));
    assert_eq!(
        (&edited["text"], &edited["edited_seq"], &edited["edited_at"]),
        (&"new".into(), &43.into(), &7.into())
    );
    assert_eq!(
        edited["reactions"],
        serde_json::json!([{"emoji": "+1", "count": 1, "own": true}])
    );
    amended.take(amendment("moderator", 46, Change::Deleted));
    let deleted = newest(Some(&amended));
    assert_eq!(
        (&deleted["deleted"], &deleted["reactions"]),
        (&true.into(), &serde_json::json!([]))
    );
    assert!(deleted.get("text").is_none() && deleted.get("edited_seq").is_none());
}
