//! The bounds of a frame and of a connection: exactly at the bound is fine, one more is not.

use tokio_tungstenite::tungstenite::Message;

use crate::harness::{
    Frame, StompClient, System,
    socket::{FINAL, Socket, TEXT},
    stomp::{Arrival, Door},
    wait::{SOON, until, within},
};

const FRAME_BODY_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 64;
const HEADER_LINE_MAX: usize = 8 * 1024;
const TEXT_MAX: usize = 16 * 1024;
const SUBSCRIPTIONS_MAX: usize = 256;
const MESSAGE_MAX: usize = 128 * 1024;

/// Sends what is too large; the connection ends with the code for it.
async fn ends_as_too_large(mut client: StompClient, message: Message) {
    client.send_message(message).await;
    let (error, code) = client.error().await;
    assert_eq!(
        (error.header("code"), code),
        ("frame-too-large", Some(1009)),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_text_may_be_as_long_as_the_limit_says() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, _) = alice.watches(&room).await;
    let text = "x".repeat(TEXT_MAX);
    client.request(Frame::send(&room, &text)).await;
    assert_eq!(client.message(&room).await.json()["text"], text);
}

// req: 37
#[tokio::test]
async fn a_frame_beyond_a_limit_ends_the_connection() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let frame = Frame::new("SEND").with("destination", "/app/rooms/any");
    let mut many_headers = frame.clone();
    for index in 0..HEADERS_MAX {
        many_headers = many_headers.with(&format!("h{index}"), "x");
    }
    let too_large = [
        frame.clone().body(vec![b'x'; FRAME_BODY_MAX + 1]),
        frame.clone().with("long", "x".repeat(HEADER_LINE_MAX)),
        many_headers,
        // It is refused by what it announces, before anything of it is there.
        frame
            .clone()
            .with("content-length", FRAME_BODY_MAX + 1)
            .body("x"),
        frame.clone().with("content-length", u128::MAX).body("x"),
    ];
    for frame in too_large {
        let bytes = String::from_utf8(frame.encode()).expect("text");
        ends_as_too_large(alice.connects().await, Message::text(bytes)).await;
    }
    system.has_not_panicked();
}

// req: 39
#[tokio::test]
async fn an_endless_frame_ends_the_connection_before_it_ends() {
    let system = System::shared().await;
    let mut client = system.user("alice").connects().await;
    client
        .send_message(Message::text("SEND\ndestination:/app/rooms/any\n\n"))
        .await;
    for _ in 0..=FRAME_BODY_MAX / 8192 {
        client.send_message(Message::text("x".repeat(8192))).await;
    }
    assert_eq!(client.error().await.0.header("code"), "frame-too-large");
}

// req: 39
#[tokio::test]
async fn a_stranger_may_send_less_than_a_signed_in_user() {
    let system = System::shared().await;
    let client = StompClient::knock(&system.http(0), Door::default())
        .await
        .expect("an upgrade");
    let frame = Frame::new("CONNECT")
        .with("a", "x".repeat(6000))
        .with("b", "x".repeat(6000))
        .with("c", "x".repeat(6000));
    ends_as_too_large(
        client,
        Message::text(String::from_utf8(frame.encode()).expect("text")),
    )
    .await;
}

#[tokio::test]
async fn a_websocket_message_beyond_its_limit_ends_the_connection() {
    let system = System::shared().await;
    let mut client = system.user("alice").connects().await;
    client
        .send_message(Message::text("\n".repeat(MESSAGE_MAX + 1)))
        .await;
    assert_eq!(client.closed().await, Some(1009));
}

/// Many clients, and browsers among them, see nothing of what was sent to a connection that is reset.
#[tokio::test]
async fn a_connection_is_not_reset_while_a_message_beyond_the_limit_is_still_on_its_way() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let mut tries = 0;
    loop {
        let mut socket = Socket::signed_in(&alice.http, &alice.token, &[]).await;
        // More than is read at once, so that some of it is left unread.
        let message = vec![b'\n'; 2 * MESSAGE_MAX];
        socket.try_send(FINAL | TEXT, &message).await;
        // The server waits for a moment only, which a busy machine may take from this test.
        if socket.stays_after_its_close().await {
            return;
        }
        tries += 1;
        assert!(tries < 5, "each was reset with its close frame");
    }
}

// req: 82
#[tokio::test]
async fn a_connection_holds_so_many_subscriptions_and_no_more() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let mut client = alice.connects().await;
    client
        .request(Frame::subscribe("errors", "/user/queue/errors"))
        .await;
    for index in 1..SUBSCRIPTIONS_MAX {
        client
            .send(&Frame::subscribe(
                &index.to_string(),
                &format!("/topic/rooms/{room}"),
            ))
            .await;
    }
    client
        .send(&Frame::subscribe("one-more", &format!("/topic/rooms/{room}")).with("receipt", "r"))
        .await;
    assert_eq!(client.message("errors").await.header("receipt-id"), "r");
    client.request(Frame::send(&room, "to all")).await;
    client.message(&(SUBSCRIPTIONS_MAX - 1).to_string()).await;
}

/// The next receipt or refusal of a session that has an errors queue.
async fn verdict(client: &mut StompClient) -> Frame {
    within("a receipt or a refusal", SOON, async {
        loop {
            match client.arrival().await {
                Arrival::Frame(frame) if frame.find("receipt-id").is_some() => return frame,
                Arrival::Frame(frame) => assert!(frame.command == "MESSAGE", "{frame:?}"),
                Arrival::Beat => {}
                Arrival::Closed(code) => panic!("closed with {code:?}"),
            }
        }
    })
    .await
}

#[tokio::test]
async fn who_sends_too_fast_is_told_when_to_come_back_and_the_session_lives() {
    // The bucket holds 20 and gets one a second: these are too many however slowly they are read.
    const POSTS: usize = 150;
    let system = System::strict().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, _) = alice.watches(&room).await;
    let errors = Frame::subscribe("errors", "/user/queue/errors");
    client.request(errors).await;
    let post = |number: usize| {
        let id = format!("m-{number}");
        Frame::send(&room, "again and again")
            .with("id", &id)
            .with("receipt", &id)
    };
    let sent = client.try_send_all((0..POSTS).map(post)).await;
    sent.expect("an open connection");
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    for _ in 0..POSTS {
        let verdict = verdict(&mut client).await;
        match verdict.command.as_str() {
            "RECEIPT" => taken.push(verdict.header("receipt-id").to_owned()),
            _ => refused.push(verdict),
        }
    }
    assert!(taken.len() >= 20, "the burst is let through: {taken:?}");
    for refusal in &refused {
        assert_eq!(refusal.header("code"), "too-many", "{refusal:?}");
        let wait_ms = refusal.json()["retry_after_ms"].as_u64();
        assert!(
            wait_ms.is_some_and(|wait_ms| (1..=1_000).contains(&wait_ms)),
            "{refusal:?}"
        );
    }
    let refused = refused.first().expect("not all of them are let through");

    // What was taken is a retry, which nobody has to wait for; what was refused comes through after a while.
    let retry = post(taken[0][2..].parse().expect("a number"));
    client.send(&retry).await;
    assert_eq!(verdict(&mut client).await.command, "RECEIPT");
    let id = refused.header("receipt-id").to_owned();
    until("what was refused to be taken", SOON, async || {
        let again = post(id[2..].parse().expect("a number"));
        client.send(&again).await;
        (verdict(&mut client).await.command == "RECEIPT").then_some(())
    })
    .await;
}
