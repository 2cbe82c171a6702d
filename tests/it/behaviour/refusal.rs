//! Bad input: a stable code, no effect, and nobody else notices.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Frame, StompClient, System, User};

fn topic(room: &str) -> String {
    format!("/topic/rooms/{room}")
}

/// What each of these frames is refused with, in the order of asking.
async fn refusals(system: &System, user: &User) -> Vec<(&'static str, Frame)> {
    let stranger = system.user("stranger");
    let public = stranger.opens_room().await;
    let private = stranger.opens_private_room().await;
    let own = user.opens_room().await;
    let send = |destination: &str| {
        Frame::new("SEND")
            .with("destination", destination)
            .body("x")
    };
    let typed = |media_type: &str, body: &[u8]| {
        Frame::new("SEND")
            .with("destination", format!("/app/rooms/{own}"))
            .with("content-type", media_type)
            .body(body)
    };
    vec![
        ("not-a-member", Frame::send(&public, "x")),
        ("not-a-member", Frame::subscribe("1", &topic(&public))),
        ("not-found", Frame::send(&private, "x")),
        ("not-found", Frame::subscribe("2", &topic(&private))),
        ("not-found", Frame::send("no-such-room", "x")),
        ("not-found", Frame::subscribe("3", &topic("no-such-room"))),
        ("bad-destination", send("/queue/anything")),
        ("bad-destination", send("/app/rooms/")),
        ("bad-destination", Frame::subscribe("4", "/topic/nothing")),
        ("bad-request", Frame::send(&own, "x").with("seq", 1)),
        (
            "bad-request",
            Frame::send(&own, "x").with("message-id", "1"),
        ),
        (
            "bad-request",
            Frame::send(&own, "x").with("sender", "someone"),
        ),
        (
            "bad-request",
            Frame::send(&own, "x").with("id", "with space"),
        ),
        ("bad-request", typed("image/png", b"x")),
        ("bad-request", typed("application/json", b"{")),
        ("bad-request", typed("application/json", br#"{"text":5}"#)),
        (
            "bad-request",
            Frame::subscribe("5", &topic(&own)).with("since", "yesterday"),
        ),
        (
            "bad-request",
            Frame::subscribe("6", &topic(&own)).with("history", 501),
        ),
        (
            "bad-request",
            Frame::subscribe("7", &topic(&own)).with("history", "-1"),
        ),
        ("too-large", Frame::send(&own, &"x".repeat(16 * 1024 + 1))),
    ]
}

// req: 68, 69
#[tokio::test]
async fn with_an_errors_queue_the_session_lives() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let mut client = alice.connects().await;
    client
        .request(Frame::subscribe("errors", "/user/queue/errors"))
        .await;
    for (index, (code, frame)) in refusals(system, &alice).await.into_iter().enumerate() {
        client.send(&frame.clone().with("receipt", index)).await;
        let refusal = client.message("errors").await;
        assert_eq!(refusal.header("code"), code, "{frame:?}");
        assert_eq!(refusal.header("receipt-id"), index.to_string());
        let body = refusal.json();
        assert_eq!(
            (&body["code"], &body["receipt-id"]),
            (&json!(code), &json!(index.to_string()))
        );
        assert!(
            body["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
    }
    let room = alice.opens_room().await;
    client.request(Frame::send(&room, "alive")).await;
    system.has_not_panicked();
}

// req: 68, 69, 99
#[tokio::test]
async fn without_one_a_refusal_is_an_error_and_the_end() {
    let system = System::shared().await;
    let alice = system.user("alice");
    for (code, frame) in refusals(system, &alice).await {
        let mut client = alice.connects().await;
        client.send(&frame.clone().with("receipt", "r")).await;
        let (error, _) = client.error().await;
        assert_eq!(
            (error.header("code"), error.header("receipt-id")),
            (code, "r"),
            "{frame:?}"
        );
        assert!(!error.header("message").is_empty());
    }
    system.has_not_panicked();
}

#[tokio::test]
async fn a_malformed_frame_is_an_error_and_nobody_else_notices() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut bystander, head) = alice.watches(&room).await;
    let malformed: [&[u8]; 13] = [
        b"HELLO\n\n\0",
        b"send\ndestination:/app/rooms/a\n\nx\0",
        b"SEND\nno colon here\n\nx\0",
        b"SEND\n:empty name\n\nx\0",
        b"SEND\ndestination:/app/rooms/a\\t\n\nx\0",
        b"SEND\ndestination:/app/rooms/a\ncontent-length:5\n\nxx\0yyyy\0",
        b"SEND\ndestination:/app/rooms/a\ncontent-length:-1\n\nx\0",
        b"SEND\ndesti\rnation:/app/rooms/a\n\nx\0",
        b"SUBSCRIBE\nid:1\ndestination:/topic/rooms/a\n\nwith a body\0",
        b"SUBSCRIBE\ndestination:/topic/rooms/a\n\n\0",
        b"SEND\n\nno destination\0",
        b"UNSUBSCRIBE\nid:never-subscribed\n\n\0",
        b"SEND\ndestination:/app/rooms/\xff\xfe\n\nx\0",
    ];
    for bytes in malformed {
        let mut client = alice.connects().await;
        client.send_message(Message::binary(bytes.to_vec())).await;
        let (error, code) = client.error().await;
        assert!(
            ["bad-frame", "bad-request"].contains(&error.header("code")),
            "{error:?}"
        );
        assert!(
            matches!(code, Some(1002 | 1008)),
            "closed with {code:?} after {error:?}"
        );
    }
    bystander.request(Frame::send(&room, "unharmed")).await;
    assert_eq!(bystander.message(&room).await.number("seq"), head + 1);
    system.has_not_panicked();
}

// req: 72
#[tokio::test]
async fn a_subscription_id_in_use_is_an_error() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, _) = alice.watches(&room).await;
    client.send(&Frame::subscribe(&room, &topic(&room))).await;
    client.error().await;
}

// req: 65
#[tokio::test]
async fn an_unknown_destination_is_refused_in_the_same_words_always() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let mut client = alice.connects().await;
    client
        .request(Frame::subscribe("errors", "/user/queue/errors"))
        .await;
    let nowhere = [
        String::new(),
        "/".into(),
        "/topic/**".into(),
        "/topic/rooms/*".into(),
        "/topic/rooms/".into(),
        format!("/topic/rooms/{room}/"),
        format!("/topic/rooms/{room}/../{room}"),
        format!("/topic/rooms/%2e%2e/{room}"),
        format!("/topic/rooms/{room}%00"),
        format!(" /topic/rooms/{room}"),
        format!("/Topic/rooms/{room}"),
        format!("/topic//rooms/{room}"),
        // Cyrillic, and as wide as a Han character.
        "/topic/rooms/r\u{43e}om".into(),
        "/topic/rooms/\u{ff52}oom".into(),
        format!("/topic/rooms/{room}\r\nseq:1"),
        format!("/topic/rooms/{}", "x".repeat(65)),
        format!("/app/rooms/{room}/fly"),
        format!("/app/rooms/{room}/edit/more"),
        "/user/queue/nothing".into(),
        "/user/alice/queue/errors".into(),
        "@alice".into(),
    ];
    for destination in &nowhere {
        let send = Frame::new("SEND").with("destination", destination);
        for frame in [send, Frame::subscribe("s", destination)] {
            client.send(&frame).await;
            let refusal = client.message("errors").await;
            assert_eq!(refusal.header("code"), "bad-destination", "{frame:?}");
            assert_eq!(
                refusal.header("message"),
                "there is no such destination",
                "{frame:?}"
            );
        }
    }
    let page = alice.reads(&room, "limit=10").await;
    assert_eq!(page["items"], json!([]));
    system.has_not_panicked();
}

// req: 67
#[tokio::test]
async fn nobody_sets_what_only_the_server_says() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, head) = alice.watches(&room).await;
    client
        .request(Frame::subscribe("errors", "/user/queue/errors"))
        .await;
    let reserved = [
        "ack",
        "count",
        "epoch",
        "message-id",
        "receipt-id",
        "replay",
        "sender",
        "seq",
        "session",
        "subscription",
        "timestamp",
        "type",
        "user-name",
    ];
    for name in reserved {
        client.send(&Frame::send(&room, "x").with(name, "1")).await;
        let refusal = client.message("errors").await;
        assert_eq!(refusal.header("code"), "bad-request", "{name}");
    }
    // What the body says of its own sender and place counts as little.
    let body =
        json!({"text": "x", "seq": 99, "sender": {"id": "bob"}, "type": "notice", "room": "x"});
    let post = Frame::new("SEND")
        .with("destination", format!("/app/rooms/{room}"))
        .with("content-type", "application/json");
    client
        .send(&post.body(body.to_string()).with("receipt", "r"))
        .await;
    let told = client
        .frame("an answer", |frame| {
            frame.command == "RECEIPT" || frame.find("code").is_some()
        })
        .await;
    if told.command == "RECEIPT" {
        let message = client.message(&room).await;
        let seen = message.json();
        assert_eq!(
            (message.number("seq"), &seen["seq"]),
            (head + 1, &json!(head + 1))
        );
        assert_eq!(
            (&seen["sender"]["id"], &seen["type"]),
            (&json!(alice.id), &json!("message"))
        );
    }
    system.has_not_panicked();
}

#[tokio::test]
async fn random_bytes_harm_nobody() {
    const ROUNDS: u64 = 200;
    let system = System::shared().await;
    let alice = system.user("alice");
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..ROUNDS {
        let length = next() % 300;
        let bytes: Vec<u8> = (0..length).map(|_| next().to_le_bytes()[0]).collect();
        let mut client = StompClient::knock(&alice.http, Default::default())
            .await
            .expect("an upgrade");
        client.send_message(Message::binary(bytes)).await;
    }
    let room = alice.opens_room().await;
    let (mut client, _) = alice.watches(&room).await;
    client.request(Frame::send(&room, "alive")).await;
    client.message(&room).await;
    system.has_not_panicked();
}
