//! SIGTERM: a service finishes what it began and says goodbye.

use std::time::Instant;

use super::scale::is_stored;
use crate::harness::{
    Frame, Role, Shape, Stack, System,
    traffic::{Followers, Post, Senders},
};

const CLIENTS: usize = 20;
const MESSAGES: usize = 2_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_gateway_receipts_what_it_took_and_sends_its_clients_on() {
    let mut system = System::start(Shape {
        gateways: 2,
        ..Shape::single(Stack::Real { brokers: 1 })
    })
    .await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(alice.watches(&room).await.0);
    }
    let receipted = clients[0].request(Frame::send(&room, "before")).await;
    assert_eq!(receipted.command, "RECEIPT");
    let closing = tokio::spawn(async move {
        let mut closed = Vec::new();
        for client in &mut clients {
            closed.push((client.closed().await, Instant::now()));
        }
        closed
    });
    system.stop_gracefully(Role::Gateway, 0).await;
    let closed = closing.await.expect("every client is closed");
    assert!(
        closed.iter().all(|(code, _)| *code == Some(1012)),
        "{closed:?}"
    );

    let elsewhere = alice.at(&system.http(1));
    let (mut client, head) = elsewhere.watches(&room).await;
    client
        .request(Frame::subscribe("all", &format!("/topic/rooms/{room}")).with("since", 0))
        .await;
    let last = client
        .messages("all", usize::try_from(head).expect("few"))
        .await;
    assert_eq!(last.last().expect("events").json()["text"], "before");
}

#[tokio::test(flavor = "multi_thread")]
async fn services_stopped_one_after_the_other_lose_nothing() {
    let mut system = System::start(Shape::of_each(Stack::Real { brokers: 1 }, 2)).await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let gateways = system.gateways();
    let posts = (0..MESSAGES).map(|number| Post {
        room: room.clone(),
        id: format!("m-{number}"),
        text: "through all of it".into(),
    });
    let followers = Followers::new(
        &gateways,
        vec![(alice.clone(), vec![room.clone()])],
        MESSAGES as u64,
    );
    let mut senders = Senders::new(&gateways, vec![(alice, posts.collect())]);
    let portion = MESSAGES / 8;
    for role in [Role::Persister, Role::Fanout, Role::Gateway] {
        for index in 0..2 {
            senders.release(portion);
            senders.in_full_flow(portion).await;
            system.stop_gracefully(role, index).await;
            system.restart(role, index).await;
        }
    }
    senders.release(MESSAGES);
    senders.finish().await;
    is_stored(&system, &followers.agreed().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_fanout_hands_its_partitions_over() {
    let mut system = System::start(Shape::single(Stack::Real { brokers: 1 })).await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, head) = alice.watches(&room).await;
    client.request(Frame::send(&room, "before")).await;
    assert_eq!(client.message(&room).await.number("seq"), head + 1);
    system.stop_gracefully(Role::Fanout, 0).await;
    // The log takes messages while nobody numbers them.
    client.request(Frame::send(&room, "between")).await;
    system.restart(Role::Fanout, 0).await;
    assert_eq!(client.message(&room).await.number("seq"), head + 2);
}
