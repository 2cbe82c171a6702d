//! Signals of a room: a snapshot, then what is live.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::harness::{Frame, Shape, Stack, StompClient, System};

/// How often positions are told at most.
const READS_EVERY: Duration = Duration::from_millis(250);
/// Positions that are told beside those: one that was on its way, one that makes up for a snapshot that would not wait
/// for it, those at both ends of the time that is counted.
const READS_BESIDE: u128 = 4;
/// Said at once, so that many positions fall into one such time.
const MESSAGES: u64 = 100;

fn listen(id: &str, room: &str) -> Frame {
    Frame::subscribe(id, &format!("/topic/rooms/{room}/signals"))
}

fn verb(room: &str, verb: &str, body: &str) -> Frame {
    Frame::new("SEND")
        .with("destination", format!("/app/rooms/{room}/{verb}"))
        .body(body)
}

/// The next signal of this type; others may come in between.
async fn signal(client: &mut StompClient, subscription: &str, wanted: &str) -> Value {
    loop {
        let body = client.message(subscription).await.json();
        if body["type"] == wanted {
            return body;
        }
    }
}

#[tokio::test]
async fn a_subscription_to_signals_begins_with_a_snapshot() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let mut client = alice.connects().await;
    client.request(listen("s", &room)).await;
    let first = client.message("s").await;
    assert_eq!(
        first.header("destination"),
        format!("/topic/rooms/{room}/signals")
    );
    let snapshot = first.json();
    assert_eq!(snapshot["type"], "snapshot");
    assert!(snapshot["reads"].is_object());
}

#[tokio::test]
async fn typing_is_shown_to_those_who_listen_and_ends() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let room = alice.opens_room().await;
    bob.joins(&room).await;
    let (mut listener, mut typist) = (alice.connects().await, bob.connects().await);
    listener.request(listen("s", &room)).await;
    signal(&mut listener, "s", "snapshot").await;
    for (body, on) in [("", true), (r#"{"on":false}"#, false)] {
        typist.request(verb(&room, "typing", body)).await;
        let typing = signal(&mut listener, "s", "typing").await;
        assert_eq!(typing, json!({"type": "typing", "user": bob.id, "on": on}));
    }
    typist.request(verb(&room, "typing", "")).await;
    signal(&mut listener, "s", "typing").await;
    // It ends by itself, once nothing more is heard.
    let over = signal(&mut listener, "s", "typing").await;
    assert_eq!(over["on"], false);
}

#[tokio::test]
async fn who_is_no_member_neither_listens_nor_signals() {
    let system = System::shared().await;
    let (alice, mallory) = (system.user("alice"), system.user("mallory"));
    let room = alice.opens_room().await;
    let mut client = mallory.connects().await;
    client
        .request(Frame::subscribe("e", "/user/queue/errors"))
        .await;
    for frame in [
        listen("s", &room),
        verb(&room, "typing", ""),
        verb(&room, "focus", ""),
    ] {
        client.send(&frame).await;
        assert_eq!(client.message("e").await.json()["code"], "not-a-member");
    }
}

#[tokio::test]
async fn a_typing_signal_that_makes_no_sense_is_refused() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let mut client = alice.connects().await;
    client
        .request(Frame::subscribe("e", "/user/queue/errors"))
        .await;
    client.send(&verb(&room, "typing", "[1]")).await;
    assert_eq!(client.message("e").await.json()["code"], "bad-request");
}

#[tokio::test]
async fn however_much_is_read_positions_are_told_four_times_a_second_at_most() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut listener, mut speaker) = (alice.connects().await, alice.connects().await);
    listener.request(listen("s", &room)).await;
    signal(&mut listener, "s", "snapshot").await;
    let began = Instant::now();
    // Each of them moves her own position.
    for number in 0..MESSAGES {
        speaker.send(&Frame::send(&room, &number.to_string())).await;
    }
    // The room's first event says who made it.
    let last = json!(MESSAGES + 1);
    let mut told = 0;
    loop {
        let body = listener.message("s").await.json();
        let positions = match body["type"].as_str() {
            Some("reads") => &body["positions"],
            // She fell behind and begins anew.
            Some("snapshot") => &body["reads"],
            _ => continue,
        };
        told += u128::from(body["type"] == "reads");
        if positions[&alice.id] == last {
            break;
        }
    }
    let bound = began.elapsed().as_millis() / READS_EVERY.as_millis() + READS_BESIDE;
    assert!(told <= bound, "told {told} times where {bound} are allowed");
}

/// Follows the read counts of a room until each of these messages has so many.
async fn shows_counts(
    listener: &mut StompClient,
    known: &mut BTreeMap<String, u64>,
    expected: [(u64, u64); 2],
) {
    let fits = |known: &BTreeMap<String, u64>| {
        let mut expected = expected.iter();
        expected.all(|(seq, count)| known.get(&seq.to_string()) == Some(count))
    };
    while !fits(known) {
        let body = signal(listener, "s", "reads").await;
        println!("{expected:?}: {body}");
        assert!(body["positions"].is_object(), "{body}");
        for (seq, count) in body["counts"].as_object().into_iter().flatten() {
            known.insert(seq.clone(), count.as_u64().expect("a count"));
        }
    }
}

#[tokio::test]
async fn a_room_with_too_many_members_to_name_shows_live_how_many_have_read() {
    let names = ("ROOMLOG_PRESENCE_NAMES_MAX", "1");
    let system = System::start_with(Shape::single(Stack::chosen()), &[names]).await;
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| system.user(name));
    let room = alice.opens_room().await;
    bob.joins(&room).await;
    carol.joins(&room).await;
    let mut seqs = [0; 2];
    for seq in &mut seqs {
        // What was said before anybody listened is counted too.
        let messages = format!("rooms/{room}/messages");
        let posted = alice.rest.post(&messages, json!({ "text": "read me" }));
        *seq = posted.await.ok()["seq"].as_u64().expect("a seq");
    }
    let [first, second] = seqs;
    let (mut listener, mut known) = (carol.connects().await, BTreeMap::new());
    listener.request(listen("s", &room)).await;
    shows_counts(&mut listener, &mut known, [(first, 1), (second, 1)]).await;
    let read = format!("rooms/{room}/read");
    bob.rest.post(&read, json!({ "seq": first })).await.ok();
    shows_counts(&mut listener, &mut known, [(first, 2), (second, 1)]).await;
    carol.rest.post(&read, json!({ "seq": second })).await.ok();
    shows_counts(&mut listener, &mut known, [(first, 3), (second, 2)]).await;
    // Who comes later to listen is told all of it.
    let (mut late, mut told) = (alice.connects().await, BTreeMap::new());
    late.request(listen("s", &room)).await;
    shows_counts(&mut late, &mut told, [(first, 3), (second, 2)]).await;
    let leave = format!("rooms/{room}/leave");
    bob.rest.post(&leave, json!({})).await.ok();
    shows_counts(&mut listener, &mut known, [(first, 2), (second, 2)]).await;
}
