//! The list of rooms and its numbers: what is unread, on every device, by whatever way it was read.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Frame, Shape, Stack, StompClient, System,
    device::{Device, order},
    dynamo::Row,
    model::Model,
    redis::wipe,
    user::User,
    wait::{SOON, a_moment, until},
};

async fn says(client: &mut StompClient, room: &str, text: &str) {
    client.request(Frame::send(room, text)).await;
}

#[tokio::test]
async fn every_device_counts_what_others_say_and_reading_on_one_clears_all() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let room = alice.opens_room().await;
    let mut speaker = alice.connects().await;
    says(&mut speaker, &room, "before").await;
    bob.joins(&room).await;
    let (mut phone, mut laptop) = (Device::of(&bob).await, Device::of(&bob).await);
    phone.shows_unread(&room, 0, 0).await;
    for text in ["one", "two", "three"] {
        says(&mut speaker, &room, text).await;
    }
    for device in [&mut phone, &mut laptop] {
        device.shows_unread(&room, 3, 0).await;
        device
            .shows("the last message", |rooms| {
                rooms[&room]["last"]["text"] == "three"
            })
            .await;
    }
    let head = phone.rooms[&room]["head"].as_u64().expect("a head");
    let read = Frame::new("SEND")
        .with("destination", format!("/app/rooms/{room}/read"))
        .body(json!({ "seq": head - 1 }).to_string());
    phone.client.request(read).await;
    for device in [&mut phone, &mut laptop] {
        device.shows_unread(&room, 1, 0).await;
    }
    // Marks that are older change nothing, whichever way they come.
    let rest = format!("rooms/{room}/read");
    bob.rest.post(&rest, json!({ "seq": head - 2 })).await.ok();
    bob.rest.post(&rest, json!({ "seq": head })).await.ok();
    for device in [&mut phone, &mut laptop] {
        device.shows_unread(&room, 0, 0).await;
    }
}

#[tokio::test]
async fn what_one_sends_is_read_and_mentions_are_counted_apart() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let room = alice.opens_room().await;
    bob.joins(&room).await;
    let mut device = Device::of(&bob).await;
    let mut speaker = alice.connects().await;
    says(&mut speaker, &room, "one").await;
    let naming = json!({ "text": "look", "mentions": [bob.id] }).to_string();
    let naming = Frame::send(&room, &naming).with("content-type", "application/json");
    speaker.request(naming).await;
    says(&mut speaker, &room, "three").await;
    device.shows_unread(&room, 3, 1).await;
    let mut alices = Device::of(&alice).await;
    alices.shows_unread(&room, 0, 0).await;
    let mut other = bob.connects().await;
    says(&mut other, &room, "an answer").await;
    device.shows_unread(&room, 0, 0).await;
    alices.shows_unread(&room, 1, 0).await;
}

#[tokio::test]
async fn rooms_come_and_go_live() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let mut device = Device::of(&bob).await;
    assert!(!device.rooms.contains_key("nothing"));
    let room = alice.opens_room().await;
    bob.joins(&room).await;
    device
        .shows("the room joined", |rooms| rooms.contains_key(&room))
        .await;
    device.shows_unread(&room, 0, 0).await;
    let own = bob.opens_room().await;
    device
        .shows("the room made", |rooms| rooms.contains_key(&own))
        .await;
    bob.rest
        .post(&format!("rooms/{room}/leave"), json!({}))
        .await
        .ok();
    device
        .shows("the room left", |rooms| !rooms.contains_key(&room))
        .await;
}

#[tokio::test]
async fn rooms_are_in_the_order_of_their_last_messages() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let mut speaker = alice.connects().await;
    let mut rooms = Vec::new();
    for _ in 0..3 {
        let room = alice.opens_room().await;
        bob.joins(&room).await;
        rooms.push(room);
    }
    let [first, second, third] = rooms.try_into().expect("three");
    let mut said = Vec::new();
    for room in [&third, &first, &second] {
        let messages = format!("rooms/{room}/messages");
        let posted = alice.rest.post(&messages, json!({ "text": "hello" })).await;
        said.push(posted.ok()["seq"].as_u64().expect("a seq"));
    }
    // What is no message makes no room active.
    let edit = json!({ "text": "hello!" });
    let path = format!("rooms/{third}/messages/{}", said[0]);
    let edited = alice.rest.ask(Method::PATCH, &path, Some(edit), &[]).await;
    edited.ok();
    let mut device = Device::of(&bob).await;
    let expected = [second.as_str(), &first, &third];
    device
        .shows("the order", |rooms| order(rooms) == expected)
        .await;
    says(&mut speaker, &third, "again").await;
    let expected = [third.as_str(), &second, &first];
    device
        .shows("the order", |rooms| order(rooms) == expected)
        .await;
    let listed = bob.rest.get("rooms").await.ok();
    let items = listed["items"].as_array().expect("items");
    let listed: Vec<_> = items
        .iter()
        .filter_map(|room| room["id"].as_str())
        .collect();
    assert_eq!(listed, expected);
}

#[tokio::test]
async fn a_reconnect_and_rest_show_the_same_numbers() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let room = alice.opens_room().await;
    bob.joins(&room).await;
    let mut speaker = alice.connects().await;
    for number in 0..20 {
        says(&mut speaker, &room, &number.to_string()).await;
    }
    for _ in 0..2 {
        let mut device = Device::of(&bob).await;
        device.shows_unread(&room, 20, 0).await;
        assert_eq!(device.rooms[&room]["last"]["text"], "19");
    }
    let listed = bob.rest.get("rooms").await.ok();
    let items = listed["items"].as_array().expect("items");
    let item = items.iter().find(|item| item["id"] == room.as_str());
    assert_eq!(item.expect("the room")["unread"], 20);
}

#[tokio::test]
async fn reading_shows_to_those_who_listen() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let room = alice.opens_room().await;
    bob.joins(&room).await;
    let mut listener = alice.connects().await;
    listener
        .request(Frame::subscribe(
            "s",
            &format!("/topic/rooms/{room}/signals"),
        ))
        .await;
    // The answer comes once the message has a place, so that bob can have seen it.
    let message = json!({ "text": "read me" });
    let posted = alice
        .rest
        .post(&format!("rooms/{room}/messages"), message)
        .await
        .ok();
    let read = json!({ "seq": posted["seq"] });
    bob.rest
        .post(&format!("rooms/{room}/read"), read)
        .await
        .ok();
    sees_reading(&mut listener, &bob, &posted["seq"]).await;
}

/// Waits until a listener to signals is shown that somebody has read this far: by a snapshot, which may come after the
/// mark, or by a change.
pub(crate) async fn sees_reading(listener: &mut StompClient, reader: &User, seq: &Value) {
    loop {
        let body = listener.message("s").await.json();
        let positions = match body["type"] == "snapshot" {
            true => &body["reads"],
            false => &body["positions"],
        };
        if positions[&reader.id] == *seq {
            return;
        }
    }
}

/// The stored position of a user in a room.
async fn stored_position(system: &System, room: &str, user: &User) -> Option<String> {
    let rows = system.rows("members").await;
    let text = |row: &Row, name: &str| row.get(name).and_then(|it| it.as_s().ok()).cloned();
    let row = rows.iter().find(|row| {
        text(row, "room").as_deref() == Some(room) && text(row, "user").as_deref() == Some(&user.id)
    })?;
    row.get("read_seq")?.as_n().ok().cloned()
}

#[tokio::test]
async fn an_ack_moves_the_stored_position() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let room = alice.opens_room().await;
    bob.joins(&room).await;
    let mut reader = bob.connects().await;
    let subscribe = Frame::subscribe("s", &format!("/topic/rooms/{room}")).with("ack", "client");
    reader.request(subscribe).await;
    let mut speaker = alice.connects().await;
    for text in ["one", "two", "three"] {
        says(&mut speaker, &room, text).await;
    }
    let received = reader.messages("s", 3).await;
    let second = &received[1];
    reader
        .request(Frame::new("ACK").with("id", second.header("ack")))
        .await;
    let seq = second.number("seq").to_string();
    until("the stored position", SOON, async || {
        let stored = stored_position(system, &room, &bob).await;
        (stored.as_ref() == Some(&seq)).then_some(())
    })
    .await;
    let mut device = Device::of(&bob).await;
    device.shows_unread(&room, 1, 0).await;
}

#[tokio::test]
async fn what_comes_to_a_focused_session_is_read() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let room = alice.opens_room().await;
    bob.joins(&room).await;
    let mut device = Device::of(&bob).await;
    let (mut looking, _) = bob.watches(&room).await;
    let mut speaker = alice.connects().await;
    says(&mut speaker, &room, "unseen").await;
    device.shows_unread(&room, 1, 0).await;
    let turn = |to: &str| Frame::new("SEND").with("destination", format!("/app/rooms/{room}/{to}"));
    looking.request(turn("focus")).await;
    for text in ["seen", "seen as well"] {
        says(&mut speaker, &room, text).await;
    }
    device.shows_unread(&room, 0, 0).await;
    device
        .shows("the last message", |rooms| {
            rooms[&room]["last"]["text"] == "seen as well" && rooms[&room]["unread"] == 0
        })
        .await;
    looking.request(turn("unfocus")).await;
    says(&mut speaker, &room, "unseen again").await;
    device.shows_unread(&room, 1, 0).await;
}

#[tokio::test]
async fn stored_mentions_are_counted_and_edits_joins_and_deletions_are_not() {
    let system = System::shared().await;
    let (alice, bob, carol) = (
        system.user("alice"),
        system.user("bob"),
        system.user("carol"),
    );
    let room = alice.opens_room().await;
    bob.joins(&room).await;
    let messages = format!("rooms/{room}/messages");
    let mut seqs = Vec::new();
    for text in ["one", "two", "three"] {
        let naming = json!({ "text": text, "mentions": [bob.id, alice.id] });
        let posted = alice.rest.post(&messages, naming).await.ok();
        seqs.push(posted["seq"].as_u64().expect("a seq"));
    }
    let change = |seq: u64| format!("{messages}/{seq}");
    alice
        .rest
        .ask(
            Method::PATCH,
            &change(seqs[0]),
            Some(json!({ "text": "new" })),
            &[],
        )
        .await
        .ok();
    carol.joins(&room).await;
    let last = alice
        .rest
        .ask(Method::DELETE, &change(seqs[1]), None, &[])
        .await
        .ok()["seq"]
        .as_u64()
        .expect("a seq");
    until("everything is stored", SOON, async || {
        let rows = system.rows("rooms").await;
        let row = rows
            .iter()
            .find(|row| row.get("room").and_then(|it| it.as_s().ok()) == Some(&room))?;
        let head: u64 = row.get("head")?.as_n().ok()?.parse().ok()?;
        (head >= last).then_some(())
    })
    .await;
    // The list is read from the store now, for the first time.
    let mut device = Device::of(&bob).await;
    device.shows_unread(&room, 3, 3).await;
    let mut reader = bob.connects().await;
    let read = Frame::new("SEND")
        .with("destination", format!("/app/rooms/{room}/read"))
        .body(json!({ "seq": seqs[1] }).to_string());
    reader.request(read).await;
    device.shows_unread(&room, 1, 1).await;
    let mut alices = Device::of(&alice).await;
    alices.shows_unread(&room, 0, 0).await;
}

#[tokio::test]
async fn every_message_shows_how_many_and_who_have_read_it() {
    let system = System::shared().await;
    let (alice, bob, carol) = (
        system.user("alice"),
        system.user("bob"),
        system.user("carol"),
    );
    let room = alice.opens_room().await;
    let messages = format!("rooms/{room}/messages");
    let mut seqs = Vec::new();
    for text in ["one", "two"] {
        let posted = alice
            .rest
            .post(&messages, json!({ "text": text }))
            .await
            .ok();
        seqs.push(posted["seq"].as_u64().expect("a seq"));
    }
    let counts = async |expected: [u64; 2]| {
        until(&format!("{expected:?} readers"), SOON, async || {
            let page = carol.reads(&room, "limit=2").await;
            let shown = page["items"].as_array().expect("items").iter();
            shown
                .map(|item| item["read_count"].as_u64())
                .eq(expected.map(Some))
                .then_some(())
        })
        .await;
    };
    bob.joins(&room).await;
    carol.joins(&room).await;
    // Who joins has read what was said before.
    counts([3, 3]).await;
    let posted = alice.rest.post(&messages, json!({ "text": "three" })).await;
    seqs.push(posted.ok()["seq"].as_u64().expect("a seq"));
    counts([3, 1]).await;
    let mut listener = carol.connects().await;
    let signals = format!("/topic/rooms/{room}/signals");
    listener.request(Frame::subscribe("s", &signals)).await;
    sees_reading(&mut listener, &alice, &json!(seqs[2])).await;
    bob.rest
        .post(&format!("rooms/{room}/read"), json!({ "seq": seqs[2] }))
        .await
        .ok();
    counts([3, 2]).await;
    let path = format!("{messages}/{}/readers", seqs[2]);
    let first = carol.rest.get(&format!("{path}?limit=1")).await.ok();
    assert_eq!((&first["total"], &first["next"]), (&json!(2), &json!(1)));
    let second = carol
        .rest
        .get(&format!("{path}?limit=1&after=1"))
        .await
        .ok();
    assert_eq!(second["next"], json!(null));
    let mut named = [&first, &second].map(|page| page["items"][0]["user"]["id"].clone());
    named.sort_by_key(|name| name.to_string());
    assert_eq!(named, [json!(alice.id), json!(bob.id)]);
    bob.rest
        .post(&format!("rooms/{room}/leave"), json!({}))
        .await
        .ok();
    counts([2, 1]).await;
    let path = format!("{messages}/999/readers");
    assert_eq!(carol.rest.get(&path).await.refusal(), (404, "not-found"));
}

#[tokio::test]
async fn every_number_is_the_one_of_a_naive_recount() {
    let system = System::shared().await;
    for seed in 1..=2 {
        let mut model = Model::of(system, seed).await;
        for _ in 0..3 {
            model.goes_on(40).await;
            model.agrees().await;
        }
    }
}

#[tokio::test]
async fn a_cache_that_is_wiped_under_load_is_repaired() {
    let system = System::start(Shape::single(Stack::chosen())).await;
    let mut model = Model::of(&system, 7).await;
    model.goes_on(40).await;
    model.agrees().await;
    for _ in 0..2 {
        let wiping = async {
            for _ in 0..4 {
                wipe(&system.redis).await;
                a_moment().await;
            }
        };
        tokio::join!(model.goes_on(40), wiping);
        model.agrees().await;
    }
}
