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
}

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
}

#[tokio::test]
async fn a_subscription_id_in_use_is_an_error() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, _) = alice.watches(&room).await;
    client.send(&Frame::subscribe(&room, &topic(&room))).await;
    client.error().await;
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
}
