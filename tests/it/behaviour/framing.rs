//! Frames as octets: line ends, lengths, cuts, and what waits before sign-in.

use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{
    Frame, StompClient, System, User,
    socket::{CLOSE, FINAL, Socket, TEXT},
    stomp::Door,
};

/// What comes between CONNECT and its answer may be four times a frame of a stranger's.
const HELD_MAX: usize = 4 * 16 * 1024;
const FRAME_BODY_MAX: usize = 64 * 1024;

/// A connection that speaks this version.
async fn speaking(user: &User, version: &str) -> StompClient {
    let mut client = StompClient::knock(&user.http, Door::default())
        .await
        .expect("an upgrade");
    let connect = Frame::new("CONNECT")
        .with("accept-version", version)
        .with("Authorization", format!("Bearer {}", user.token));
    client.send(&connect).await;
    client
        .frame("CONNECTED", |frame| frame.command == "CONNECTED")
        .await;
    client
}

fn texts(messages: &[Frame]) -> Vec<String> {
    let texts = messages
        .iter()
        .map(|message| message.json()["text"].clone());
    texts
        .map(|text| match text {
            Value::String(text) => text,
            other => panic!("{other} is no text"),
        })
        .collect()
}

/// Sends octets on a connection of its own; the ERROR's code and the close code.
async fn ends_with(user: &User, octets: &[u8]) -> (String, Option<u16>) {
    let mut client = user.connects().await;
    client.send_message(Message::binary(octets.to_vec())).await;
    let (error, close) = client.error().await;
    (error.header("code").to_owned(), close)
}

// req: 2
#[tokio::test]
async fn line_ends_may_be_mixed_in_every_version() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut reader, _) = alice.watches(&room).await;
    for version in ["1.0", "1.1", "1.2"] {
        let mut client = speaking(&alice, version).await;
        let octets = format!(
            "SEND\r\ndestination:/app/rooms/{room}\nreceipt:r\r\n\r\nkept\r\n\nin {version}\0\r\n"
        );
        client.send_message(Message::text(octets)).await;
        client.receipt("r").await;
        let seen = reader.message(&room).await;
        assert_eq!(texts(&[seen]), [format!("kept\r\n\nin {version}")]);
    }
}

// req: 4
#[tokio::test]
async fn line_ends_around_frames_are_no_frames() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, _) = alice.watches(&room).await;
    let send = |text: &str| String::from_utf8(Frame::send(&room, text).encode()).expect("text");
    let octets = format!("\r\n\n\n{}\n\r\n\n{}\r\n\n", send("one"), send("two"));
    client.send_message(Message::text(octets)).await;
    client.request(Frame::send(&room, "three")).await;
    assert_eq!(
        texts(&client.messages(&room, 3).await),
        ["one", "two", "three"]
    );
}

// req: 12
#[tokio::test]
async fn headers_are_utf8_and_anything_else_is_a_fault() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, head) = alice.watches(&room).await;
    let post = Frame::send(&room, "x").with("größe", "ünï\u{1f600}");
    client.request(post).await;
    assert_eq!(client.message(&room).await.header("größe"), "ünï\u{1f600}");
    let broken: [&[u8]; 4] = [
        b"SE\xffND\ndestination:/app/rooms/ROOM\n\nx\0",
        b"SEND\ndestination:/app/rooms/ROOM\nh\xc3:x\n\nx\0",
        b"SEND\ndestination:/app/rooms/ROOM\nh:\xff\xfe\n\nx\0",
        // A surrogate's half, as only a careless encoder writes it.
        b"SEND\ndestination:/app/rooms/ROOM\nh:\xed\xa0\x80\n\nx\0",
    ];
    for octets in broken {
        let ended = ends_with(&alice, octets).await;
        assert_eq!(ended, ("bad-frame".to_owned(), Some(1002)), "{octets:?}");
    }
    client.request(Frame::send(&room, "after")).await;
    assert_eq!(client.message(&room).await.number("seq"), head + 2);
}

// req: 28
#[tokio::test]
async fn a_content_length_is_judged_when_its_line_ends() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let malformed = [
        "-1",
        "+5",
        " 5",
        "5 ",
        "0x5",
        "",
        "five",
        "5,5",
        "\u{661}",
        "1\ncontent-length:2",
    ];
    let too_large = [
        (FRAME_BODY_MAX + 1).to_string(),
        u64::MAX.to_string(),
        u128::MAX.to_string(),
    ];
    // Nothing of the body ever comes: the line alone decides.
    let line = |length: &str| {
        format!("SEND\ndestination:/app/rooms/any\ncontent-length:{length}\n").into_bytes()
    };
    for length in malformed {
        let ended = ends_with(&alice, &line(length)).await;
        assert_eq!(ended, ("bad-frame".to_owned(), Some(1002)), "{length:?}");
    }
    for length in too_large {
        let ended = ends_with(&alice, &line(&length)).await;
        assert_eq!(
            ended,
            ("frame-too-large".to_owned(), Some(1009)),
            "{length}"
        );
    }
    let room = alice.opens_room().await;
    let (mut client, _) = alice.watches(&room).await;
    let repeated = Frame::send(&room, "equal")
        .with("content-length", 5)
        .with("content-length", 5);
    client.request(repeated).await;
    assert_eq!(texts(&[client.message(&room).await]), ["equal"]);
}

// req: 33
#[tokio::test]
async fn a_body_whose_connection_ends_early_is_no_message() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, head) = alice.watches(&room).await;
    let measured = format!("SEND\ndestination:/app/rooms/{room}\ncontent-length:9\n\nonly so");
    let unmeasured = format!("SEND\ndestination:/app/rooms/{room}\n\nno NUL");
    for octets in [measured, unmeasured] {
        let mut cut = Socket::signed_in(&alice.http, &alice.token, &[]).await;
        cut.send(FINAL | TEXT, octets.as_bytes()).await;
        cut.end_output().await;
        assert_eq!(cut.rest().await.0, []);

        let mut closed = Socket::signed_in(&alice.http, &alice.token, &[]).await;
        closed.send(FINAL | TEXT, octets.as_bytes()).await;
        closed.send(FINAL | CLOSE, &1000_u16.to_be_bytes()).await;
        assert_eq!(closed.rest().await, (vec![], Some(1000)));
    }
    client.request(Frame::send(&room, "whole")).await;
    let message = client.message(&room).await;
    assert_eq!(message.number("seq"), head + 1);
    assert_eq!(texts(&[message]), ["whole"]);
}

// req: 39
#[tokio::test]
async fn what_comes_between_connect_and_its_answer_is_bounded() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let connect = Frame::new("CONNECT")
        .with("accept-version", "1.2")
        .with("Authorization", format!("Bearer {}", alice.token))
        .encode();
    for (waiting, fits) in [(HELD_MAX, true), (HELD_MAX + 1, false)] {
        let mut client = StompClient::knock(&alice.http, Door::default())
            .await
            .expect("an upgrade");
        let octets = [connect.clone(), vec![b'\n'; waiting]].concat();
        client.send_message(Message::binary(octets)).await;
        if fits {
            client
                .frame("CONNECTED", |frame| frame.command == "CONNECTED")
                .await;
        } else {
            let (error, close) = client.error().await;
            assert_eq!(
                (error.header("code"), close),
                ("frame-too-large", Some(1009))
            );
        }
    }
}

// req: 66
#[tokio::test]
async fn own_headers_come_back_as_they_were_live_and_replayed() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, head) = alice.watches(&room).await;
    let own = [
        ("z-last", "first: of\nmany\r\\"),
        ("Z-Last", " kept as it is\t"),
        ("a:first\n", ""),
        ("größe", "ünï\u{1f600}\u{2028}"),
    ];
    let mut post = Frame::send(&room, "x");
    for (name, value) in own {
        post = post.with(name, value);
    }
    // Of repeated headers the first is forwarded.
    client.request(post.with("z-last", "again")).await;
    client
        .request(Frame::subscribe("again", &format!("/topic/rooms/{room}")).with("since", head))
        .await;
    for subscription in [room.as_str(), "again"] {
        let message = client.message(subscription).await;
        let names = own.map(|(name, _)| name);
        let seen: Vec<(&str, &str)> = message
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(|(name, _)| names.contains(name))
            .collect();
        assert_eq!(seen, own, "{message:?}");
    }
}

// req: 66
#[tokio::test]
async fn own_headers_may_be_so_many_and_so_long() {
    const COUNT_MAX: usize = 16;
    const BYTES_MAX: usize = 2 * 1024;
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, _) = alice.watches(&room).await;
    client
        .request(Frame::subscribe("errors", "/user/queue/errors"))
        .await;
    let many = |count: usize| {
        let post = Frame::send(&room, "many");
        (0..count).fold(post, |post, number| post.with(&format!("h{number}"), "x"))
    };
    let long = |bytes: usize| Frame::send(&room, "long").with("h", "x".repeat(bytes - 1));
    for fitting in [many(COUNT_MAX), long(BYTES_MAX)] {
        client.request(fitting).await;
        client.message(&room).await;
    }
    for beyond in [many(COUNT_MAX + 1), long(BYTES_MAX + 1)] {
        client.send(&beyond).await;
        assert_eq!(client.message("errors").await.header("code"), "bad-request");
    }
}
