//! Receipts and ends: DISCONNECT, ERROR, a connection that is just gone, and that none of them leaves anything behind.

use std::collections::BTreeMap;

use tokio::net::TcpStream;

use crate::harness::{
    Frame, Role, Shape, Stack, StompClient, System, User,
    socket::{CLOSE, FINAL, Socket, TEXT},
    stomp::Door,
    wait::{SOON, until},
};

/// What a client may have sent that nobody reads any more: more than a socket's buffers hold.
const UNREAD_MESSAGES: usize = 200;
const UNREAD_BYTES: usize = 8 * 1024;

fn in_transaction(command: &str) -> Frame {
    Frame::new(command).with("transaction", "t")
}

async fn signed_in(user: &User) -> Socket {
    Socket::signed_in(&user.http, &user.token, &[]).await
}

fn octets<'a>(frames: impl IntoIterator<Item = &'a Frame>) -> Vec<u8> {
    frames.into_iter().flat_map(Frame::encode).collect()
}

// req: 93
#[tokio::test]
async fn every_frame_but_connect_is_receipted_once_where_it_asks() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let mut client = StompClient::knock(&alice.http, Door::default())
        .await
        .expect("an upgrade");
    let connect = Frame::new("CONNECT")
        .with("accept-version", "1.2")
        .with("Authorization", format!("Bearer {}", alice.token))
        .with("receipt", "connect");
    client.send(&connect).await;
    let topic = Frame::subscribe("s", &format!("/topic/rooms/{room}")).with("ack", "client");
    client.send(&topic.with("receipt", "subscribe")).await;
    client
        .send(&Frame::send(&room, "x").with("receipt", ""))
        .await;
    let message = client.message("s").await;
    let acks = |command: &str| Frame::new(command).with("id", message.header("ack"));
    let frames = [
        (acks("ACK"), "a: receipt\nof \\ two lines"),
        (acks("NACK"), "nack"),
        (in_transaction("BEGIN"), "begin"),
        (in_transaction("ABORT"), "abort"),
        (in_transaction("BEGIN"), "begin again"),
        (in_transaction("COMMIT"), "commit"),
        (Frame::new("UNSUBSCRIBE").with("id", "s"), "unsubscribe"),
        (Frame::new("DISCONNECT"), "disconnect"),
    ];
    let mut asked = BTreeMap::from([("subscribe", 1), ("", 1)]);
    for (frame, receipt) in frames {
        client.send(&frame.with("receipt", receipt)).await;
        asked.insert(receipt, 1);
    }
    assert_eq!(client.closed().await, Some(1000));
    let receipts = client.all_kept("RECEIPT");
    let mut got = BTreeMap::new();
    for receipt in &receipts {
        *got.entry(receipt.header("receipt-id")).or_insert(0) += 1;
    }
    assert_eq!(got, asked);
}

// req: 95
#[tokio::test]
async fn disconnect_is_receipted_before_the_connection_closes() {
    let system = System::shared().await;
    let mut client = system.user("alice").connects().await;
    client.request(Frame::new("DISCONNECT")).await;
    assert_eq!(client.closed().await, Some(1000));
}

// req: 95, 96, 97
#[tokio::test]
async fn what_comes_before_disconnect_is_done_and_what_comes_after_is_ignored() {
    const POSTS: usize = 20;
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut reader, head) = alice.watches(&room).await;
    let mut socket = signed_in(&alice).await;
    let before = (0..POSTS).map(|number| Frame::send(&room, &number.to_string()));
    let bye = Frame::new("DISCONNECT").with("receipt", "bye");
    let mut frames: Vec<Frame> = before.chain([bye]).collect();
    frames.push(Frame::send(&room, "too late").with("receipt", "late"));
    frames.push(Frame::new("NO SUCH COMMAND"));
    socket.send(FINAL | TEXT, &octets(&frames)).await;
    // Much that nobody reads takes the receipt away from nobody.
    for _ in 0..UNREAD_MESSAGES {
        socket.try_send(FINAL | TEXT, &[b'\n'; UNREAD_BYTES]).await;
    }
    let (frames, close) = socket.rest().await;
    let told: Vec<&str> = frames
        .iter()
        .map(|frame| frame.header("receipt-id"))
        .collect();
    assert_eq!((told, close), (vec!["bye"], Some(1000)));
    reader.request(Frame::send(&room, "after")).await;
    let seen = reader.messages(&room, POSTS + 1).await;
    let seen: Vec<u64> = seen.iter().map(|message| message.number("seq")).collect();
    let expected: Vec<u64> = (head + 1..=head + 1 + POSTS as u64).collect();
    assert_eq!(seen, expected, "everything before it, and nothing after");
}

// req: 98
#[tokio::test]
async fn an_error_is_read_to_its_end_and_nothing_after_it_is_done() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut reader, head) = alice.watches(&room).await;
    let mut socket = signed_in(&alice).await;
    let post = Frame::send(&room, "after the fault").with("receipt", "r");
    let frames = [Frame::new("NO SUCH COMMAND"), post.clone()];
    socket.send(FINAL | TEXT, &octets(&frames)).await;
    for _ in 0..UNREAD_MESSAGES {
        socket.try_send(FINAL | TEXT, &post.encode()).await;
    }
    let (frames, close) = socket.rest().await;
    let [error] = frames.as_slice() else {
        panic!("one ERROR and nothing else: {frames:?}");
    };
    assert_eq!((error.header("code"), close), ("bad-frame", Some(1002)));
    assert!(!error.header("message").is_empty() && !error.body.is_empty());
    reader.request(Frame::send(&room, "next")).await;
    assert_eq!(reader.message(&room).await.number("seq"), head + 1);
}

// req: 91, 113
#[tokio::test]
async fn however_a_connection_ends_its_transactions_are_aborted() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut reader, head) = alice.watches(&room).await;
    let begun = [
        in_transaction("BEGIN").with("receipt", "begun"),
        Frame::send(&room, "never").with("transaction", "t"),
    ];
    for end in ["DISCONNECT", "close", "half open", "fault", "gone"] {
        let mut socket = signed_in(&alice).await;
        socket.send(FINAL | TEXT, &octets(&begun)).await;
        assert_eq!(socket.frame().await.header("receipt-id"), "begun");
        match end {
            "DISCONNECT" => socket.send(FINAL | TEXT, b"DISCONNECT\n\n\0").await,
            "close" => socket.send(FINAL | CLOSE, &[]).await,
            "half open" => socket.end_output().await,
            "fault" => socket.send(FINAL | TEXT, b"NOTHING\n\n\0").await,
            _ => continue,
        }
        socket.rest().await;
    }
    reader.request(Frame::send(&room, "kept")).await;
    let message = reader.message(&room).await;
    assert_eq!(
        (message.number("seq"), &message.json()["text"]),
        (head + 1, &"kept".into())
    );
}

// req: 117
#[tokio::test]
async fn coming_and_going_many_times_leaves_nothing_behind() {
    const ROUNDS: usize = 120;
    /// Files more, of pools that had a busier moment meanwhile; a single sort of five that leaves one would be 24.
    const POOLED_FILES_MAX: usize = 12;
    // A user may have a few connections: what is not given back is missed soon.
    let few = [("ROOMLOG_CONNECTIONS_PER_USER", "8")];
    let mut system = System::start_with(Shape::single(Stack::Embedded), &few).await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let address = alice.http.strip_prefix("http://").expect("an address");
    // What the first connection of all sets up stays.
    drop(comes(&alice, &room).await);
    let files = settled(&mut system, 0).await;
    for round in 0..ROUNDS {
        let mut socket = comes(&alice, &room).await;
        match round % 5 {
            0 => socket.send(FINAL | TEXT, b"DISCONNECT\n\n\0").await,
            1 => socket.send(FINAL | CLOSE, &1001_u16.to_be_bytes()).await,
            2 => socket.send(FINAL | TEXT, b"SEND\n\n\0").await,
            3 => socket.end_output().await,
            // Gone without a word, as somebody else is before the upgrade or after it.
            _ => {
                drop(TcpStream::connect(address).await.expect("a listener"));
                Socket::upgrade(&alice.http, &[]).await;
                continue;
            }
        }
        socket.rest().await;
    }
    let left = settled(&mut system, 0).await;
    assert!(
        left <= files + POOLED_FILES_MAX,
        "{files} files were open, and {left} are"
    );
    let mut client = alice.watches(&room).await.0;
    client.request(Frame::send(&room, "still here")).await;
    client.message(&room).await;
}

/// Subscribes to everything there is and says something.
async fn comes(user: &User, room: &str) -> Socket {
    let mut socket = signed_in(user).await;
    let topics = [
        &format!("/topic/rooms/{room}"),
        &format!("/topic/rooms/{room}/signals"),
        "/user/queue/rooms",
        "/user/queue/friends",
        "/user/queue/errors",
    ];
    let subscribe = |topic: &&str| Frame::subscribe(topic, topic);
    let mut frames: Vec<Frame> = topics.iter().map(subscribe).collect();
    frames.push(Frame::send(room, "here").with("receipt", "here"));
    socket.send(FINAL | TEXT, &octets(&frames)).await;
    while socket.frame().await.find("receipt-id").is_none() {}
    socket
}

/// How many files the program holds open once so many clients are connected and no more.
pub(super) async fn settled(system: &mut System, connected: usize) -> usize {
    let admin = system.admin(Role::Gateway, 0);
    let figure = format!("roomlog_gateway_connections {connected}\n");
    until("everybody else to be gone", SOON, async || {
        let figures = admin.get("/metrics").await.ok();
        let text = figures.as_str().expect("text");
        text.contains(&figure).then_some(())
    })
    .await;
    let folder = format!("/proc/{}/fd", system.process(Role::Gateway, 0).id());
    let mut last = usize::MAX;
    // The harness's own requests come and go as well: what two looks agree on is settled.
    until("the open files to settle", SOON, async || {
        let count = std::fs::read_dir(&folder)
            .expect("a running process")
            .count();
        let is_settled = count == std::mem::replace(&mut last, count);
        is_settled.then_some(count)
    })
    .await
}
