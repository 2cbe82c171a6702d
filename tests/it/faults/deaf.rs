//! A subscriber stops reading: what waits for it is dropped, and it gets everything all the same once it reads on.

use crate::harness::{
    Frame, Role, Room, StompClient, System, User,
    stomp::{Arrival, Door},
    wait::{SOON, within},
};

/// What the kernel may keep for the one that does not read. Much less makes reading on very slow on a link whose packets
/// are as large as this.
const UNREAD_BYTES: u32 = 64 << 10;
const TEXT_BYTES: usize = 16_000;
/// Together twice as much as the kernel keeps for a sender and the gateway for a connection.
const TEXTS: u64 = 640;
const OVERFLOWS: &str = "roomlog_gateway_outbox_overflows_total";

/// Lets a subscriber read nothing until its gateway has more for it than it keeps, and then everything.
pub(super) async fn is_no_burden(system: &System, user: &User) {
    let room = user.opens_room().await;
    let mut deaf = subscribes(user, &room, 0).await;
    let before = overflows(system).await;
    let mut sender = user.connects().await;
    let text = "x".repeat(TEXT_BYTES);
    let posts = (0..TEXTS).map(|number| Frame::send(&room, &text).with("receipt", number));
    let sent = sender.try_send_all(posts).await;
    sent.expect("an open connection");
    for number in 0..TEXTS {
        sender.receipt(&number.to_string()).await;
    }
    // Its gateway is still there for everybody else, and has everything for this one.
    let (mut other, _) = user.watches(&room).await;
    other.request(Frame::send(&room, "the end")).await;
    other.message(&room).await;
    let all = within("the deaf to read on", SOON, async {
        let (mut seen, mut times_sent_away) = (0, 0_u64);
        while !reads(&mut deaf, &mut seen, TEXTS + 2).await {
            deaf = subscribes(user, &room, seen).await;
            times_sent_away += 1;
        }
        times_sent_away
    });
    let times_sent_away = all.await;
    let overflowed = overflows(system).await - before;
    assert!(overflowed + times_sent_away > 0, "all of it was kept");
}

/// A subscriber that is sent all events after this one, and has read nothing of them yet.
async fn subscribes(user: &User, room: &Room, since: u64) -> StompClient {
    let door = Door {
        unread_bytes: Some(UNREAD_BYTES),
        ..Door::default()
    };
    let mut client = StompClient::knock(&user.http, door)
        .await
        .expect("an upgrade");
    client.sign_in(&user.token).await.expect("CONNECTED");
    let subscribe = Frame::subscribe("all", &format!("/topic/rooms/{room}"));
    client.send(&subscribe.with("since", since)).await;
    client
}

/// Reads up to the last event; `false` when the gateway has sent the client away before, as it may one that is too slow.
async fn reads(client: &mut StompClient, seen: &mut u64, end: u64) -> bool {
    while *seen < end {
        match client.arrival().await {
            Arrival::Frame(frame) if frame.command == "ERROR" => {
                assert_eq!(frame.header("code"), "overloaded", "{frame:?}");
            }
            Arrival::Frame(frame) => {
                assert_eq!(frame.command, "MESSAGE", "{frame:?}");
                assert_eq!(frame.number("seq"), *seen + 1, "a hole or a repeat");
                *seen += 1;
            }
            Arrival::Beat => {}
            Arrival::Closed(_) => return false,
        }
    }
    true
}

/// How often the gateway has dropped what waited for a connection.
async fn overflows(system: &System) -> u64 {
    let figures = system.admin(Role::Gateway, 0).get("/metrics").await.ok();
    let text = figures.as_str().expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix(OVERFLOWS));
    line.map_or(0, |count| count.trim().parse().expect("a count"))
}
