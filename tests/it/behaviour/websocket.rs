//! STOMP over WebSocket: subprotocols, fragments, control frames, what was never agreed on, close codes.

use tokio_tungstenite::tungstenite::Message;

use crate::harness::{
    Frame, StompClient, System, User,
    socket::{self, BINARY, CONTINUATION, FINAL, PING, PONG, RESERVED, Socket, TEXT},
    stomp::Door,
};

fn connect(user: &User) -> Frame {
    Frame::new("CONNECT").with("Authorization", format!("Bearer {}", user.token))
}

// req: 105
#[tokio::test]
async fn the_best_offered_subprotocol_is_echoed_and_none_where_none_is_known() {
    let system = System::shared().await;
    let alice = system.user("alice");
    for (offered, chosen) in [
        ("v10.stomp, v12.stomp, v11.stomp", Some("v12.stomp")),
        ("mqtt, v11.stomp", Some("v11.stomp")),
        ("v10.stomp", Some("v10.stomp")),
        ("mqtt, V12.STOMP, v12.stompx", None),
    ] {
        let headers = [("Sec-WebSocket-Protocol", offered)];
        let mut socket = Socket::upgrade(&alice.http, &headers).await;
        assert_eq!(socket.status(), 101, "{offered}");
        assert_eq!(socket.header("sec-websocket-protocol"), chosen, "{offered}");
        let versions = "1.2,1.1,1.0";
        let connect = connect(&alice).with("accept-version", versions);
        socket.send(FINAL | TEXT, &connect.encode()).await;
        assert_eq!(socket.frame().await.command, "CONNECTED", "{offered}");
    }
    let plain = Socket::upgrade(&alice.http, &[]).await;
    assert_eq!(plain.header("sec-websocket-protocol"), None);
}

#[tokio::test]
async fn the_endpoint_has_an_alias() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let mut socket = Socket::upgrade_at(&alice.http, "/ws/websocket", &[]).await;
    assert_eq!(socket.status(), 101);
    socket.signs_in(&alice.token, &[]).await;
}

// req: 106
#[tokio::test]
async fn a_subprotocol_allows_its_own_version_only() {
    let system = System::shared().await;
    let alice = system.user("alice");
    for (subprotocol, accepted, agreed) in [
        ("v12.stomp", Some("1.0,1.1,1.2"), Some("1.2")),
        ("v11.stomp", Some("1.2,1.1"), Some("1.1")),
        ("v11.stomp", Some("1.2"), None),
        ("v12.stomp", Some("1.1"), None),
        ("v12.stomp", None, None),
        ("v10.stomp", None, Some("1.0")),
    ] {
        let door = Door {
            subprotocols: Some(subprotocol),
            ..Door::default()
        };
        let mut client = StompClient::knock(&alice.http, door)
            .await
            .expect("an upgrade");
        let mut frame = connect(&alice);
        if let Some(versions) = accepted {
            frame = frame.with("accept-version", versions);
        }
        client.send(&frame).await;
        let Some(agreed) = agreed else {
            let (error, close) = client.error().await;
            assert_eq!(close, Some(1002), "{error:?}");
            assert_eq!(error.header("version"), version_of(subprotocol));
            continue;
        };
        let connected = client
            .frame("CONNECTED", |frame| frame.command == "CONNECTED")
            .await;
        assert_eq!(connected.header("version"), agreed, "{subprotocol}");
    }
}

fn version_of(subprotocol: &str) -> &str {
    match subprotocol {
        "v10.stomp" => "1.0",
        "v11.stomp" => "1.1",
        _ => "1.2",
    }
}

// req: 107
#[tokio::test]
async fn text_and_binary_are_read_alike_and_only_text_comes_back() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let mut socket = Socket::signed_in(&alice.http, &alice.token, &[]).await;
    let topic = format!("/topic/rooms/{room}");
    let subscribe = Frame::subscribe("s", &topic).with("receipt", "s");
    socket.send(FINAL | BINARY, &subscribe.encode()).await;
    let post = Frame::send(&room, "half and half").encode();
    let (one, other) = post.split_at(post.len() / 2);
    socket.send(FINAL | TEXT, one).await;
    socket.send(FINAL | BINARY, other).await;
    let mut commands = Vec::new();
    while commands.last().is_none_or(|command| command != "MESSAGE") {
        let piece = socket.piece().await.expect("an open connection");
        assert_eq!(
            piece.first_octet,
            FINAL | TEXT,
            "one text message: {piece:?}"
        );
        let frame = Frame::decode(&piece.payload);
        assert!(std::str::from_utf8(&piece.payload).is_ok());
        commands.push(frame.command);
    }
    assert_eq!(commands, ["RECEIPT", "MESSAGE"]);
}

// req: 108
#[tokio::test]
async fn frames_arrive_whole_however_the_client_cuts_them() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, _) = alice.watches(&room).await;
    let bytes = Frame::send(&room, "zwei Hälften\u{1f600}")
        .with("receipt", "whole")
        .encode();
    for byte in &bytes {
        client.send_message(Message::binary(vec![*byte])).await;
    }
    client.receipt("whole").await;
    // Three frames in two messages, the second cut in the middle of its name.
    let three = ["two", "three", "four"].map(|text| Frame::send(&room, text).encode());
    let three = String::from_utf8(three.concat()).expect("text");
    let (first, rest) = three.split_at(three.len() / 2);
    client.send_message(Message::text(first)).await;
    client.send_message(Message::text(rest)).await;
    let texts: Vec<String> = client
        .messages(&room, 4)
        .await
        .iter()
        .map(|frame| frame.json()["text"].to_string())
        .collect();
    assert_eq!(
        texts,
        [
            "\"zwei Hälften\u{1f600}\"",
            "\"two\"",
            "\"three\"",
            "\"four\""
        ]
    );
}

// req: 108, 109
#[tokio::test]
async fn fragments_and_pings_inside_a_frame_do_not_matter() {
    const FRAGMENT: usize = 3;
    const FRAGMENTS_PER_PING: usize = 8;
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut reader, _) = alice.watches(&room).await;
    let mut socket = Socket::signed_in(&alice.http, &alice.token, &[]).await;
    // No fragment ends where a character does.
    let text = "\u{1f600}ünï".repeat(8);
    let frame = Frame::send(&room, &text).with("receipt", "whole").encode();
    let fragments: Vec<&[u8]> = frame.chunks(FRAGMENT).collect();
    let mut octets = Vec::new();
    let mut pings = Vec::new();
    for (number, fragment) in fragments.iter().enumerate() {
        let opcode = if number == 0 { TEXT } else { CONTINUATION };
        let last = if number + 1 == fragments.len() {
            FINAL
        } else {
            0
        };
        octets.extend(socket::piece(opcode | last, fragment));
        if number % FRAGMENTS_PER_PING == 0 {
            let payload = number.to_string().into_bytes();
            octets.extend(socket::piece(FINAL | PING, &payload));
            pings.push(payload);
        }
    }
    // The transport cuts where it likes as well.
    for part in octets.chunks(7) {
        socket.send_octets(part).await;
    }
    let mut pongs = Vec::new();
    loop {
        let piece = socket.piece().await.expect("an open connection");
        if piece.first_octet == FINAL | PONG {
            pongs.push(piece.payload);
            continue;
        }
        let receipt = Frame::decode(&piece.payload);
        assert_eq!(receipt.header("receipt-id"), "whole");
        break;
    }
    assert_eq!(pongs.last(), pings.last(), "the newest ping is answered");
    assert!(pongs.iter().all(|pong| pings.contains(pong)), "{pongs:?}");
    assert_eq!(reader.message(&room).await.json()["text"], text);
}

// req: 114
#[tokio::test]
async fn no_extension_is_negotiated_and_none_is_used() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let offer = "permessage-deflate; client_max_window_bits, x-webkit-deflate-frame";
    let headers = [("Sec-WebSocket-Extensions", offer)];
    let mut socket = Socket::upgrade(&alice.http, &headers).await;
    assert_eq!(socket.status(), 101);
    assert_eq!(socket.header("sec-websocket-extensions"), None);
    let connect = connect(&alice).with("accept-version", "1.2").encode();
    socket.send(FINAL | TEXT, &connect).await;
    assert_eq!(socket.frame().await.command, "CONNECTED");
    // Only an extension would give this bit a meaning.
    socket.send(FINAL | RESERVED | TEXT, b"\n").await;
    let (frames, close) = socket.rest().await;
    assert_eq!((code(&frames), close), ("bad-frame", Some(1002)));
}

fn code(frames: &[Frame]) -> &str {
    let last = frames.last().expect("an ERROR");
    assert_eq!(last.command, "ERROR");
    last.header("code")
}

// req: 112
#[tokio::test]
async fn each_end_has_its_close_code_after_its_error() {
    const CONNECTED: bool = true;
    let system = System::shared().await;
    let alice = system.user("alice");
    let unmasked = [FINAL | TEXT, 1, b'\n'];
    let too_long = socket::piece(FINAL | TEXT, &vec![b'\n'; 128 * 1024 + 1]);
    let text = |octets: &[u8]| socket::piece(FINAL | TEXT, octets);
    let ends = [
        (CONNECTED, text(b"DISCONNECT\n\n\0"), None, 1000),
        (CONNECTED, text(b"HELLO\n\n\0"), Some("bad-frame"), 1002),
        (
            CONNECTED,
            text(b"SUBSCRIBE\n\n\0"),
            Some("bad-request"),
            1002,
        ),
        (CONNECTED, unmasked.to_vec(), Some("bad-frame"), 1002),
        (
            CONNECTED,
            socket::piece(FINAL | 0x3, b"x"),
            Some("bad-frame"),
            1002,
        ),
        (
            CONNECTED,
            socket::piece(FINAL | CONTINUATION, b"x"),
            Some("bad-frame"),
            1002,
        ),
        (CONNECTED, text(b"\xff"), Some("bad-frame"), 1007),
        (
            CONNECTED,
            text(b"SEND\ndestination:/nowhere\n\n\0"),
            Some("bad-destination"),
            1008,
        ),
        (
            !CONNECTED,
            text(b"CONNECT\naccept-version:1.2\npasscode:wrong\n\n\0"),
            Some("unauthenticated"),
            1008,
        ),
        (CONNECTED, too_long, Some("frame-too-large"), 1009),
    ];
    for (is_connected, octets, wanted, close) in ends {
        let mut socket = if is_connected {
            Socket::signed_in(&alice.http, &alice.token, &[]).await
        } else {
            Socket::upgrade(&alice.http, &[]).await
        };
        socket.send_octets(&octets).await;
        let (frames, closed) = socket.rest().await;
        let told = wanted.map(|_| code(&frames));
        let shown = String::from_utf8_lossy(&octets[..octets.len().min(40)]).into_owned();
        assert_eq!((told, closed), (wanted, Some(close)), "{shown:?}");
        assert_eq!(frames.len(), usize::from(wanted.is_some()), "{shown:?}");
    }
}

// req: 115
#[tokio::test]
async fn connect_subscribe_and_send_in_one_message_work_in_order() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let mut socket = Socket::upgrade(&alice.http, &[]).await;
    let frames = [
        connect(&alice).with("accept-version", "1.2"),
        Frame::subscribe("s", &format!("/topic/rooms/{room}")).with("receipt", "first"),
        Frame::send(&room, "at once").with("receipt", "second"),
    ];
    let octets: Vec<u8> = frames.iter().flat_map(Frame::encode).collect();
    socket.send(FINAL | TEXT, &octets).await;
    assert_eq!(socket.frame().await.command, "CONNECTED");
    assert_eq!(socket.frame().await.header("receipt-id"), "first");
    let mut rest = [socket.frame().await, socket.frame().await];
    rest.sort_by_key(|frame| frame.command.clone());
    assert_eq!(rest[0].json()["text"], "at once");
    assert_eq!(rest[1].header("receipt-id"), "second");
}
