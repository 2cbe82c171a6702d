//! SEND: receipts, order, retries, what a message carries.

use std::collections::BTreeMap;

use serde_json::json;

use super::tools::lines;
use crate::harness::{Frame, System, User};

// req: 101, 103
#[tokio::test]
async fn a_message_carries_what_the_contract_names() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, head) = alice.watches(&room).await;
    let post = Frame::send(&room, "hello")
        .with("id", "m-1")
        .with("x-colour", "light: blue\nor so\\")
        .with("content-type", "text/plain");
    client.request(post).await;
    let message = client.message(&room).await;
    assert_eq!(message.number("seq"), head + 1);
    assert_eq!(message.number("count"), 1);
    assert_eq!(
        message.header("destination"),
        format!("/topic/rooms/{room}")
    );
    assert_eq!(message.header("message-id"), format!("{room}-{}", head + 1));
    assert_eq!(message.header("type"), "message");
    assert_eq!(message.number("content-length"), message.body.len() as u64);
    assert!(
        message
            .header("content-type")
            .starts_with("application/json")
    );
    assert_eq!(message.header("x-colour"), "light: blue\nor so\\");
    assert!(
        message.find("ack").is_none()
            && message.find("replay").is_none()
            && !message.header("epoch").is_empty()
    );
    let body = message.json();
    assert_eq!(body["at"], message.number("timestamp"));
    assert_eq!(
        (&body["room"], &body["id"], &body["text"]),
        (&json!(room), &json!("m-1"), &json!("hello"))
    );
    assert_eq!(body["sender"]["id"], alice.id);
    assert!(!message.text().contains('\n'), "one line");
}

// req: 102
#[tokio::test]
async fn aliases_reach_the_same_room_and_answer_with_its_one_name() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let mut client = alice.connects().await;
    client
        .request(Frame::subscribe("s", &format!("/sub/rooms/{room}")))
        .await;
    for prefix in ["/app/rooms", "/topic/rooms", "/pub/rooms"] {
        client
            .request(
                Frame::new("SEND")
                    .with("destination", format!("{prefix}/{room}"))
                    .body(prefix),
            )
            .await;
        let message = client.message("s").await;
        assert_eq!(message.json()["text"], prefix);
        assert_eq!(
            message.header("destination"),
            format!("/topic/rooms/{room}")
        );
    }
}

#[tokio::test]
async fn a_json_body_sets_the_writable_fields() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, _) = alice.watches(&room).await;
    let body = json!({"id": "json-1", "text": "hi @bob", "reply_to": 1, "mentions": ["bob"], "meta": {"a": [1, 2]}});
    let post = Frame::new("SEND")
        .with("destination", format!("/app/rooms/{room}"))
        .with("content-type", "application/json;charset=utf-8");
    client.request(post.body(body.to_string())).await;
    let seen = client.message(&room).await.json();
    for field in ["id", "text", "reply_to", "mentions", "meta"] {
        assert_eq!(seen[field], body[field], "{field}");
    }
}

#[tokio::test]
async fn every_reader_sees_one_order_without_hole_or_repeat() {
    const SENDERS: usize = 4;
    const POSTS: usize = 50;
    let system = System::shared().await;
    let owner = system.user("owner");
    let room = owner.opens_room().await;
    let senders: Vec<User> = (0..SENDERS).map(|_| system.user("sender")).collect();
    for sender in &senders {
        sender.joins(&room).await;
    }
    let (mut first, head) = owner.watches(&room).await;
    let (mut second, _) = senders[0].watches(&room).await;
    let mut tasks = tokio::task::JoinSet::new();
    for sender in senders {
        let room = room.clone();
        tasks.spawn(async move {
            let mut client = sender.connects().await;
            for number in 0..POSTS {
                client
                    .send(&Frame::send(&room, &number.to_string()).with("receipt", number))
                    .await;
            }
            for number in 0..POSTS {
                client.receipt(&number.to_string()).await;
            }
        });
    }
    let messages = first.messages(&room, SENDERS * POSTS).await;
    let same = second.messages(&room, SENDERS * POSTS).await;
    while let Some(ended) = tasks.join_next().await {
        ended.expect("every SEND is receipted");
    }
    let mut of_sender: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (index, (message, other)) in messages.iter().zip(&same).enumerate() {
        assert_eq!(message.number("seq"), head + 1 + index as u64);
        assert_eq!(
            (message.number("seq"), &message.body),
            (other.number("seq"), &other.body)
        );
        let body = message.json();
        of_sender
            .entry(body["sender"]["id"].to_string())
            .or_default()
            .push(body["text"].as_str().expect("text").into());
    }
    let in_order: Vec<String> = (0..POSTS).map(|number| number.to_string()).collect();
    assert_eq!(of_sender.len(), SENDERS);
    assert!(
        of_sender.values().all(|texts| *texts == in_order),
        "each sender's own order is kept"
    );
}

#[tokio::test]
async fn a_repeated_id_is_acknowledged_and_shown_once() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let room = alice.opens_room().await;
    bob.joins(&room).await;
    let (mut client, head) = alice.watches(&room).await;
    for _ in 0..3 {
        client
            .request(Frame::send(&room, "once").with("id", "same"))
            .await;
    }
    // A second connection is a reconnect; another sender's equal id is another message.
    alice
        .connects()
        .await
        .request(Frame::send(&room, "once").with("id", "same"))
        .await;
    bob.connects()
        .await
        .request(Frame::send(&room, "bob's").with("id", "same"))
        .await;
    let messages = client.messages(&room, 2).await;
    let seen: Vec<(u64, String)> = messages
        .iter()
        .map(|message| (message.number("seq"), message.json()["text"].to_string()))
        .collect();
    assert_eq!(
        seen,
        [
            (head + 1, "\"once\"".into()),
            (head + 2, "\"bob's\"".into())
        ]
    );
}

#[tokio::test]
async fn two_different_ids_for_one_message_are_refused() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let mut client = alice.connects().await;
    let post = Frame::new("SEND")
        .with("destination", format!("/app/rooms/{room}"))
        .with("content-type", "application/json")
        .with("id", "a");
    client.send(&post.body(r#"{"id":"b","text":"x"}"#)).await;
    assert_eq!(client.error().await.0.header("code"), "id-mismatch");
}

// req: 23, 26, 104
#[tokio::test]
async fn a_body_keeps_its_octets() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, _) = alice.watches(&room).await;
    let text = "tab\t quote\" back\\slash\r\nnew line, NUL \0 and \u{1f980}";
    client
        .request(Frame::send(&room, text).with("content-length", text.len()))
        .await;
    assert_eq!(client.message(&room).await.json()["text"], text);
}

// req: 70
#[tokio::test]
async fn what_is_receipted_is_in_the_log() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let mut client = alice.connects().await;
    client
        .request(Frame::send(&room, "kept").with("id", "receipted"))
        .await;
    // Whoever reads the log itself from now on finds it there, and nobody waits for that.
    let replayed = lines(system.at_its_log(&["replay", "--room", &room])).await;
    let last = replayed.last().expect("the room's events");
    assert_eq!(
        (&last["id"], &last["text"]),
        (&json!("receipted"), &json!("kept"))
    );
}
