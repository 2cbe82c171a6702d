//! The list of rooms and its numbers: what is unread, on every device, by whatever way it was read.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Frame, StompClient, System,
    dynamo::Row,
    user::User,
    wait::{SOON, until},
};

/// A device that shows the user's list.
struct Device {
    client: StompClient,
    rooms: BTreeMap<String, Value>,
}

impl Device {
    async fn of(user: &User) -> Self {
        let mut client = user.connects().await;
        client
            .request(Frame::subscribe("list", "/user/queue/rooms"))
            .await;
        let first = client.message("list").await;
        assert_eq!(first.header("destination"), "/user/queue/rooms");
        let mut device = Self {
            client,
            rooms: BTreeMap::new(),
        };
        device.take(&first.json());
        device
    }

    fn take(&mut self, body: &Value) {
        match body["type"].as_str() {
            Some("snapshot") => {
                let rooms = body["rooms"].as_array().expect("rooms");
                let named = rooms.iter().map(|room| {
                    let name = room["room"].as_str().expect("a room's id");
                    (name.to_owned(), room.clone())
                });
                self.rooms = named.collect();
            }
            Some("change") => {
                let room = body["room"].as_str().expect("a room's id").to_owned();
                if body["gone"] == true {
                    self.rooms.remove(&room);
                    return;
                }
                let shown = self.rooms.entry(room).or_insert_with(|| json!({}));
                for (field, value) in body.as_object().expect("fields") {
                    shown[field] = value.clone();
                }
            }
            other => panic!("{other:?} in {body}"),
        }
    }

    /// Follows the list until it shows this.
    async fn shows(&mut self, what: &str, fits: impl Fn(&BTreeMap<String, Value>) -> bool) {
        while !fits(&self.rooms) {
            let body = self.client.message("list").await.json();
            self.take(&body);
            println!("{what}: {body}");
        }
    }

    async fn shows_unread(&mut self, room: &str, unread: u64, mentions: u64) {
        let fits = |rooms: &BTreeMap<String, Value>| {
            rooms
                .get(room)
                .is_some_and(|room| room["unread"] == unread && room["mentions"] == mentions)
        };
        self.shows(&format!("{unread} unread, {mentions} mentions"), fits)
            .await;
    }
}

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
    loop {
        let body = listener.message("s").await.json();
        if body["type"] == "reads" && body["positions"][&bob.id] == posted["seq"] {
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
