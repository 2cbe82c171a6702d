//! DynamoDB stands still for a while: chat does not notice, history stays served, the store catches up. A room it has
//! nothing of is entered all the same.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::scale::is_stored;
use crate::harness::{
    Frame, Role, Shape, Stack, System,
    traffic::{Followers, Post, Senders},
    wait::{SOON, until, within},
};

/// How long the store stands still.
const STALL: Duration = Duration::from_secs(20);
/// Whatever waits for the store takes longer, as it stands still; everything else is done by then on the busiest machine.
const DELIVERY_MAX: Duration = Duration::from_secs(15);
const MESSAGES: usize = 2_000;
const PORTION: usize = 20;
/// So that the traffic lasts as long as the stall: fewer portions fit into it than there are messages.
const PORTION_EVERY: Duration = Duration::from_millis(250);

#[tokio::test(flavor = "multi_thread")]
async fn chat_goes_on_while_the_store_stands_still_and_nothing_is_missing() {
    let mut system = System::start(Shape::single(Stack::Real { brokers: 1 })).await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let room = alice.opens_room().await;
    bob.joins(&room).await;
    let (_, head) = bob.watches(&room).await;
    let head = usize::try_from(head).expect("few");
    let posts = (0..MESSAGES).map(|number| Post {
        room: room.clone(),
        id: format!("m-{number}"),
        text: format!("message {number}"),
    });
    let gateways = system.gateways();
    let followers = Followers::new(
        &gateways,
        vec![(bob.clone(), vec![room.clone()])],
        MESSAGES as u64 + 1,
    );
    let mut senders = Senders::new(&gateways, vec![(alice.clone(), posts.collect())]);
    let mut released = PORTION * 5;
    senders.release(released);
    senders.acknowledged(released).await;

    system.servers().dynamodb.process().freeze();
    let frozen_at = Instant::now();
    let mut pace = tokio::time::interval(PORTION_EVERY);
    while frozen_at.elapsed() < STALL {
        pace.tick().await;
        senders.release(PORTION);
        released += PORTION;
        let acknowledged = senders.acknowledged(released);
        within(
            "receipts while the store stands still",
            DELIVERY_MAX,
            acknowledged,
        )
        .await;
        let delivered = followers.have_seen(head + released);
        within(
            "delivery while the store stands still",
            DELIVERY_MAX,
            delivered,
        )
        .await;
        let page = within(
            "history while the store stands still",
            DELIVERY_MAX,
            alice.reads(&room, "limit=10"),
        )
        .await;
        assert_eq!(newest(&page), format!("message {}", released - 1));
    }
    system.servers().dynamodb.process().thaw();

    senders.release(MESSAGES);
    senders.finish().await;
    // The last message comes after the thaw by another way in, and ends the following.
    alice
        .connects()
        .await
        .request(Frame::send(&room, "the end"))
        .await;
    is_stored(&system, &followers.agreed().await).await;
}

/// Nothing of the room is stored, and nobody at the second gateway has ever looked at it: its log is all there is, and
/// says who may come in.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_room_is_entered_while_the_store_stands_still() {
    let shape = Shape {
        gateways: 2,
        ..Shape::single(Stack::Real { brokers: 1 })
    };
    let mut system = System::start(shape).await;
    let alice = system.user("alice");
    let elsewhere = system.gateways().remove(1);
    let stranger = system.user("bob").at(&elsewhere);
    system.process(Role::Persister, 0).freeze();
    let room = alice.opens_room().await;
    system.servers().dynamodb.process().freeze();

    let elsewhere = alice.at(&elsewhere);
    let (mut client, head) = elsewhere.watches(&room).await;
    assert_eq!(head, 1);
    client.request(Frame::send(&room, "the first")).await;
    assert_eq!(client.message(&room).await.json()["text"], "the first");
    let answer = stranger.rest.get(&format!("rooms/{room}/messages")).await;
    assert_eq!(answer.refusal(), (403, "not-a-member"));

    system.servers().dynamodb.process().thaw();
    system.process(Role::Persister, 0).thaw();
    let rows = until("the room to be stored", SOON, async || {
        let rows = system.stored_events().await.remove(&room);
        rows.filter(|events| events.len() >= 2)
    });
    assert_eq!(rows.await.len(), 2);
    stranger.joins(&room).await;
    let page = stranger.reads(&room, "limit=10").await;
    assert_eq!(newest(&page), "the first");
}

fn newest(page: &Value) -> &str {
    let last = page["items"].as_array().and_then(|items| items.last());
    last.and_then(|item| item["text"].as_str())
        .unwrap_or_else(|| panic!("no items in {page}"))
}
