//! ACK and NACK: what is offered to be acknowledged, what it does, and that the server repeats nothing on its own.

use serde_json::Value;

use crate::harness::{Frame, StompClient, System, User, stomp::Door, wait};

fn subscribe(id: &str, room: &str, ack: &str) -> Frame {
    Frame::subscribe(id, &format!("/topic/rooms/{room}")).with("ack", ack)
}

fn acks(command: &str, message: &Frame) -> Frame {
    Frame::new(command).with("id", message.header("ack"))
}

/// A room of Alice's that Bob is in, and connections of both.
async fn a_room(system: &System) -> (User, User, String, StompClient, StompClient) {
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let room = alice.opens_room().await;
    bob.joins(&room).await;
    let (speaker, reader) = (alice.connects().await, bob.connects().await);
    (alice, bob, room, speaker, reader)
}

/// How many messages of the room the user has not read, as another device of theirs shows it first.
async fn unread(user: &User, room: &str) -> Value {
    let mut client = user.connects().await;
    client
        .request(Frame::subscribe("list", "/user/queue/rooms"))
        .await;
    let snapshot = client.message("list").await.json();
    let rooms = snapshot["rooms"].as_array().expect("rooms");
    let shown = rooms.iter().find(|shown| shown["room"] == room);
    shown.map_or(Value::Null, |shown| shown["unread"].clone())
}

async fn becomes_unread(user: &User, room: &str, wanted: u64) {
    let what = format!("{wanted} unread");
    wait::until(&what, wait::SOON, async || {
        (unread(user, room).await == wanted).then_some(())
    })
    .await;
}

// req: 83, 86
#[tokio::test]
async fn only_subscriptions_that_acknowledge_get_an_ack_and_each_its_own() {
    let system = System::shared().await;
    let (_, bob, room, mut speaker, mut reader) = a_room(system).await;
    for mode in ["auto", "client", "client-individual"] {
        reader.request(subscribe(mode, &room, mode)).await;
    }
    reader
        .request(Frame::subscribe("default", &format!("/topic/rooms/{room}")))
        .await;
    let mut old = StompClient::knock(&bob.http, Door::default())
        .await
        .expect("an upgrade");
    let connect = Frame::new("CONNECT")
        .with("accept-version", "1.1")
        .with("Authorization", format!("Bearer {}", bob.token));
    old.send(&connect).await;
    old.request(subscribe("old", &room, "client")).await;
    speaker.request(Frame::send(&room, "to all")).await;

    for silent in ["auto", "default"] {
        assert_eq!(reader.message(silent).await.find("ack"), None, "{silent}");
    }
    let cumulative = reader.message("client").await;
    let individual = reader.message("client-individual").await;
    assert_ne!(cumulative.header("ack"), individual.header("ack"));
    for message in [&cumulative, &individual] {
        reader.request(acks("ACK", message)).await;
    }
    let message = old.message("old").await;
    assert_eq!(message.find("ack"), None, "1.1 has no such header");
    let ack = Frame::new("ACK")
        .with("message-id", message.header("message-id"))
        .with("subscription", "old");
    old.request(ack).await;
    becomes_unread(&bob, &room, 0).await;
}

// req: 87
#[tokio::test]
async fn a_nack_changes_nothing_and_brings_nothing_back() {
    let system = System::shared().await;
    let (_, bob, room, mut speaker, mut reader) = a_room(system).await;
    let head = reader
        .request(subscribe("s", &room, "client-individual"))
        .await
        .number("head");
    for text in ["one", "two"] {
        speaker.request(Frame::send(&room, text)).await;
        let message = reader.message("s").await;
        reader.request(acks("NACK", &message)).await;
    }
    speaker.request(Frame::send(&room, "three")).await;
    let next = reader.message("s").await;
    assert_eq!(next.number("seq"), head + 3, "nothing comes again");
    becomes_unread(&bob, &room, 3).await;
    // What is wanted again is asked for.
    reader
        .request(subscribe("again", &room, "auto").with("since", head))
        .await;
    let again = reader.messages("again", 3).await;
    let seqs: Vec<u64> = again.iter().map(|message| message.number("seq")).collect();
    assert_eq!(seqs, [head + 1, head + 2, head + 3]);
}

// req: 90
#[tokio::test]
async fn an_ack_in_a_transaction_counts_from_its_commit() {
    let system = System::shared().await;
    let (_, bob, room, mut speaker, mut reader) = a_room(system).await;
    reader.request(subscribe("s", &room, "client")).await;
    for text in ["one", "two"] {
        speaker.request(Frame::send(&room, text)).await;
    }
    let messages = reader.messages("s", 2).await;
    let in_transaction = |frame: Frame| frame.with("transaction", "t");
    reader.request(in_transaction(Frame::new("BEGIN"))).await;
    reader
        .send(&in_transaction(acks("ACK", &messages[1])))
        .await;
    reader
        .send(&in_transaction(acks("NACK", &messages[0])))
        .await;
    // A later request of the same connection is done, and the ACK still is not.
    reader.request(acks("ACK", &messages[0])).await;
    becomes_unread(&bob, &room, 1).await;
    reader.request(in_transaction(Frame::new("COMMIT"))).await;
    becomes_unread(&bob, &room, 0).await;
}

// req: 90
#[tokio::test]
async fn a_fatal_fault_inside_a_transaction_is_told_at_once() {
    let system = System::shared().await;
    let mut client = system.user("alice").connects().await;
    let begin = Frame::new("BEGIN").with("transaction", "t");
    client.request(begin).await;
    let no_destination = Frame::new("SEND").with("transaction", "t");
    client.send(&no_destination).await;
    let (error, close) = client.error().await;
    assert_eq!((error.header("code"), close), ("bad-request", Some(1002)));
}
