//! The log can't be reached: what it does not take is refused and never shown as acknowledged.

use std::collections::BTreeSet;

use tokio::task::JoinSet;

use crate::harness::{
    Frame, Room, Shape, Stack, StompClient, System,
    proxy::Mode,
    stomp::Arrival,
    wait::{SOON, within},
};

/// Together more than the producer's queue takes.
const CLIENTS: usize = 48;
const POSTS_PER_CLIENT: usize = 120;
const TEXT_BYTES: usize = 16_000;

#[tokio::test(flavor = "multi_thread")]
async fn sends_are_refused_once_the_producers_queue_is_full() {
    let shape = Shape {
        linked: true,
        ..Shape::single(Stack::Real { brokers: 1 })
    };
    // The queue must be full before what is in it is given up, however slowly a busy machine fills it.
    let patient = [("ROOMLOG_KAFKA_MESSAGE_TIMEOUT", "60s")];
    let mut system = System::start_with(shape, &patient).await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (_, head) = alice.watches(&room).await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(alice.connects().await);
    }
    system.servers().kafka.link(0).set(Mode::BlackHole);
    let mut sending = JoinSet::new();
    for (number, client) in clients.into_iter().enumerate() {
        sending.spawn(refusal(client, room.clone(), number));
    }
    let mut codes = BTreeSet::new();
    while let Some(code) = sending.join_next().await {
        codes.insert(code.expect("a refusal"));
    }
    assert!(codes.contains("overloaded"), "{codes:?}");
    let known = ["log-unavailable", "overloaded"];
    assert!(
        codes.iter().all(|code| known.contains(&&**code)),
        "{codes:?}"
    );

    // What was refused and is sent again with its id is shown once, whether or not the first sending got through.
    system.servers().kafka.link(0).set(Mode::Open);
    for client in 0..CLIENTS {
        alice.gets_through(post(&room, client, 0)).await;
    }
    alice
        .gets_through(Frame::send(&room, "the end").with("id", "end"))
        .await;
    // Read as history, which waits for its reader: nobody here is as fast as what was queued.
    let subscribe = Frame::subscribe(&room, &format!("/topic/rooms/{room}"));
    let mut reader = alice.gets_through(subscribe.with("since", head)).await;
    let mut ids = Vec::new();
    while ids.last().is_none_or(|id| id != "end") {
        let message = reader.message(&room).await;
        ids.push(message.json()["id"].as_str().expect("an id").to_owned());
        assert_eq!(message.number("seq"), head + ids.len() as u64);
    }
    let distinct: BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "no message is shown twice");
}

fn post(room: &str, client: usize, number: usize) -> Frame {
    Frame::send(room, &"x".repeat(TEXT_BYTES)).with("id", format!("m-{client}-{number}"))
}

/// Sends until it is refused; the code.
async fn refusal(mut client: StompClient, room: Room, number: usize) -> String {
    let posts = (0..POSTS_PER_CLIENT).map(|post_number| {
        let post = post(&room, number, post_number);
        let receipt = format!("{number}-{post_number}");
        post.with("receipt", receipt)
    });
    // The gateway may close before it has read everything.
    let _ = client.try_send_all(posts).await;
    within("a refusal", SOON * 3, async {
        loop {
            match client.arrival().await {
                Arrival::Frame(frame) if frame.command == "ERROR" => {
                    return frame.header("code").to_owned();
                }
                Arrival::Frame(frame) => panic!("nothing is acknowledged: {frame:?}"),
                Arrival::Beat => {}
                Arrival::Closed(code) => panic!("closed with {code:?} and no reason"),
            }
        }
    })
    .await
}
