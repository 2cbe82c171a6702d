//! A device that shows a user's list of rooms, and what stands there.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    stomp::{Frame, StompClient},
    user::User,
    wait::SOON,
};

/// How long a list may be silent before it shows what it must: less than a client waits for any MESSAGE, so that the
/// failure tells what the list shows.
const PATIENCE: Duration = Duration::from_secs(75);

/// A connection with a subscription to the list.
pub(crate) struct Device {
    pub(crate) client: StompClient,
    /// The gateway it is connected to.
    pub(crate) http: String,
    /// The latest values, by room.
    pub(crate) rooms: BTreeMap<String, Value>,
    /// What is unread in all of them, and what of it names the user, as said last.
    pub(crate) total: (u64, u64),
    /// How far the inbox goes, is read, and what of it is unread.
    pub(crate) inbox: (u64, u64, u64),
}

// === impl Device ===

impl Device {
    pub(crate) async fn of(user: &User) -> Self {
        let mut client = user.connects().await;
        client
            .request(Frame::subscribe("list", "/user/queue/rooms"))
            .await;
        let first = client.message("list").await;
        assert_eq!(first.header("destination"), "/user/queue/rooms");
        let mut device = Self {
            client,
            http: user.http.clone(),
            rooms: BTreeMap::new(),
            total: (0, 0),
            inbox: (0, 0, 0),
        };
        device.begin(&first.json());
        device
    }

    fn begin(&mut self, snapshot: &Value) {
        assert_eq!(snapshot["type"], "snapshot");
        let rooms = snapshot["rooms"].as_array().expect("rooms");
        let active = rooms.iter().map(|room| room["active_at"].as_u64());
        assert!(active.is_sorted_by(|a, b| a >= b), "{snapshot}");
        let named = rooms.iter().map(|room| {
            let name = room["room"].as_str().expect("a room's id");
            (name.to_owned(), room.clone())
        });
        self.rooms = named.collect();
        self.total = total(snapshot);
        self.inbox = inbox(&snapshot["inbox"]);
    }

    /// Takes a change: after the one snapshot there is nothing else.
    fn take(&mut self, body: &Value) {
        self.total = total(body);
        match body["type"].as_str() {
            Some("inbox") => self.inbox = inbox(body),
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
    pub(crate) async fn shows(
        &mut self,
        what: &str,
        fits: impl Fn(&BTreeMap<String, Value>) -> bool,
    ) {
        let begun = Instant::now();
        while !fits(&self.rooms) {
            assert!(begun.elapsed() < SOON, "{what}: {:?}", self.rooms);
            let next = tokio::time::timeout(PATIENCE, self.client.message("list")).await;
            let body = next.unwrap_or_else(|_| panic!("{what}: {:?}", self.rooms));
            self.take(&body.json());
        }
    }

    /// Follows the list until it shows the inbox so: how far it goes, is read, and what of it is unread.
    pub(crate) async fn shows_inbox(&mut self, expected: (u64, u64, u64)) {
        let begun = Instant::now();
        while self.inbox != expected {
            let shown = self.inbox;
            assert!(begun.elapsed() < SOON, "{expected:?}, not {shown:?}");
            let next = tokio::time::timeout(PATIENCE, self.client.message("list")).await;
            let body = next.unwrap_or_else(|_| panic!("{expected:?}, not {shown:?}"));
            self.take(&body.json());
        }
    }

    pub(crate) async fn shows_unread(&mut self, room: &str, unread: u64, mentions: u64) {
        let fits = |rooms: &BTreeMap<String, Value>| {
            rooms
                .get(room)
                .is_some_and(|room| room["unread"] == unread && room["mentions"] == mentions)
        };
        self.shows(
            &format!("{unread} unread, {mentions} mentions in {room}"),
            fits,
        )
        .await;
    }
}

fn inbox(shown: &Value) -> (u64, u64, u64) {
    let number = |name: &str| shown[name].as_u64().expect("a number of the inbox");
    (number("head"), number("read_seq"), number("unread"))
}

fn total(body: &Value) -> (u64, u64) {
    let number = |name: &str| body["total"][name].as_u64().expect("a total");
    (number("unread"), number("mentions"))
}

/// The rooms, the one active last first.
pub(crate) fn order(rooms: &BTreeMap<String, Value>) -> Vec<&str> {
    let mut rooms: Vec<_> = rooms.iter().collect();
    rooms.sort_by_key(|(_, room)| std::cmp::Reverse(room["active_at"].as_u64()));
    rooms.into_iter().map(|(name, _)| name.as_str()).collect()
}
