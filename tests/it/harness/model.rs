//! Random use of a system beside a naive recount: after every stretch of it each number shown to anybody must be the
//! one that counting everything from the beginning gives.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    Frame, Room, StompClient, System, User,
    device::Device,
    wait::{SOON, until},
};

/// Users, rooms and devices: few, so that everything meets everything.
const USERS: usize = 4;
const ROOMS: usize = 2;
const DEVICES: usize = 2;

/// What a gateway answers that is busy, or that answers before the event came back: ask again, as any client does.
const BUSY: [StatusCode; 2] = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::ACCEPTED];

/// A person, their devices, and the rooms a session of theirs looks at.
struct Person {
    user: User,
    devices: Vec<Device>,
    looking: BTreeMap<Room, Session>,
}

/// A session that looks at a room.
struct Session {
    client: StompClient,
    /// The gateway it is connected to.
    http: String,
}

/// What happened in a room, as told by its answers.
#[derive(Default)]
struct Log {
    messages: Vec<Sent>,
    members: BTreeSet<String>,
    positions: BTreeMap<String, u64>,
}

struct Sent {
    seq: u64,
    mentions: BTreeSet<String>,
    is_deleted: bool,
}

/// People, rooms, and the log that is counted.
pub(crate) struct Model {
    people: Vec<Person>,
    rooms: BTreeMap<Room, Log>,
    gateways: Vec<String>,
    dice: Dice,
    /// Messages posted, to name the next.
    posts: usize,
}

/// The same throws for the same seed.
struct Dice(u64);

// === impl Dice ===

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        // xorshift64*, Vigna 2016.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let thrown = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(thrown).expect("31 bits") % sides
    }
}

// === impl Log ===

impl Log {
    /// Somebody has read up to here.
    fn reads(&mut self, user: &str, seq: u64) {
        let position = self.positions.entry(user.to_owned()).or_default();
        *position = seq.max(*position);
    }

    fn unread(&self, user: &str) -> impl Iterator<Item = &Sent> {
        let position = self.positions[user];
        self.messages.iter().filter(move |sent| sent.seq > position)
    }

    /// Members at or past an event.
    fn readers(&self, seq: u64) -> BTreeSet<&str> {
        let members = self.members.iter();
        members
            .filter(|member| self.positions[*member] >= seq)
            .map(String::as_str)
            .collect()
    }
}

// === impl Model ===

impl Model {
    /// Everybody signs in, and the first person opens the rooms.
    pub(crate) async fn of(system: &System, seed: u64) -> Self {
        println!("the dice begin with {seed}");
        let gateways = system.gateways();
        let mut model = Self {
            people: Vec::new(),
            rooms: BTreeMap::new(),
            gateways,
            dice: Dice(seed),
            posts: 0,
        };
        for _ in 0..USERS {
            let user = User::new("person", model.gateway());
            let mut devices = Vec::new();
            for _ in 0..DEVICES {
                devices.push(Device::of(&user.at(model.gateway())).await);
            }
            model.people.push(Person {
                user,
                devices,
                looking: BTreeMap::new(),
            });
        }
        for _ in 0..ROOMS {
            let owner = &model.people[0].user;
            let room = owner.opens_room().await;
            let mut log = Log::default();
            log.members.insert(owner.id.clone());
            log.reads(&owner.id, 1);
            model.rooms.insert(room, log);
        }
        model
    }

    fn gateway(&mut self) -> &str {
        let gateway = self.dice.throw(self.gateways.len());
        &self.gateways[gateway]
    }

    /// Somebody does something, so many times.
    pub(crate) async fn goes_on(&mut self, acts: usize) {
        for _ in 0..acts {
            let (who, what) = (self.dice.throw(USERS), self.dice.throw(20));
            let room = self.dice.throw(ROOMS);
            let room = self.rooms.keys().nth(room).expect("a room").clone();
            let is_member = self.rooms[&room]
                .members
                .contains(&self.people[who].user.id);
            match what {
                _ if !is_member => self.join(who, &room).await,
                0..8 => self.post(who, &room).await,
                8..12 => self.read(who, &room).await,
                12 | 13 => self.look(who, &room).await,
                14 => self.look_away(who, &room).await,
                15 => self.leave(who, &room).await,
                16 => self.change(who, &room).await,
                _ => self.reconnect(who).await,
            }
        }
    }

    /// The same user, at any gateway.
    fn anywhere(&mut self, who: usize) -> User {
        let gateway = self.gateway().to_owned();
        self.people[who].user.at(&gateway)
    }

    async fn join(&mut self, who: usize, room: &str) {
        let user = self.anywhere(who);
        let path = format!("rooms/{room}/join");
        let seq = seq(&user.insists(&path, json!({}), &BUSY).await);
        let log = self.log(room);
        log.members.insert(user.id.clone());
        log.reads(&user.id, seq);
    }

    async fn leave(&mut self, who: usize, room: &str) {
        // The owner keeps the room.
        if who == 0 {
            return;
        }
        self.look_away(who, room).await;
        let user = self.anywhere(who);
        let busy = [StatusCode::SERVICE_UNAVAILABLE];
        let path = format!("rooms/{room}/leave");
        user.insists(&path, json!({}), &busy).await;
        self.log(room).members.remove(&user.id);
    }

    async fn post(&mut self, who: usize, room: &str) {
        let user = self.anywhere(who);
        let named = self.dice.throw(USERS);
        let mut mentions = BTreeSet::new();
        if self.dice.throw(3) == 0 && named != who {
            mentions.insert(self.people[named].user.id.clone());
        }
        self.posts += 1;
        let id = format!("message-{}", self.posts);
        let message = json!({ "id": id, "text": "something", "mentions": mentions });
        let path = format!("rooms/{room}/messages");
        let seq = seq(&user.insists(&path, message, &BUSY).await);
        let log = self.log(room);
        log.messages.push(Sent {
            seq,
            mentions,
            is_deleted: false,
        });
        log.reads(&user.id, seq);
        // Whoever looks at the room has read it once it is delivered.
        for person in &mut self.people {
            if let Some(session) = person.looking.get_mut(room) {
                while session.client.message("room").await.number("seq") < seq {}
                let log = self.rooms.get_mut(room).expect("a room");
                log.reads(&person.user.id, seq);
            }
        }
    }

    async fn read(&mut self, who: usize, room: &str) {
        let user = self.anywhere(who);
        let messages = &self.rooms[room].messages;
        let (from, device) = (self.dice.throw(4), self.dice.throw(DEVICES + 1));
        let Some(sent) = messages.iter().rev().nth(from) else {
            return;
        };
        let seq = sent.seq;
        match self.people[who].devices.get_mut(device) {
            Some(device) => {
                let mark = Frame::new("SEND")
                    .with("destination", format!("/app/rooms/{room}/read"))
                    .body(json!({ "seq": seq }).to_string());
                device.client.request(mark).await;
            }
            None => mark_by_rest(&user, room, seq).await,
        }
        self.log(room).reads(&user.id, seq);
    }

    async fn look(&mut self, who: usize, room: &str) {
        if self.people[who].looking.contains_key(room) {
            return;
        }
        let user = self.anywhere(who);
        let mut client = user.connects().await;
        let topic = format!("/topic/rooms/{room}");
        client.request(Frame::subscribe("room", &topic)).await;
        client.request(turn(room, "focus")).await;
        let http = user.http;
        let session = Session { client, http };
        self.people[who].looking.insert(room.to_owned(), session);
    }

    async fn look_away(&mut self, who: usize, room: &str) {
        if let Some(Session { mut client, .. }) = self.people[who].looking.remove(room) {
            client.request(turn(room, "unfocus")).await;
            client.request(Frame::new("DISCONNECT")).await;
        }
    }

    /// Edits or takes back a message of one's own: no number moves.
    async fn change(&mut self, who: usize, room: &str) {
        let user = self.anywhere(who);
        let chosen = self.dice.throw(3);
        let deletes = self.dice.throw(2) == 0;
        let log = self.rooms.get_mut(room).expect("a room");
        let mut standing = log
            .messages
            .iter_mut()
            .rev()
            .filter(|sent| !sent.is_deleted);
        let Some(sent) = standing.nth(chosen) else {
            return;
        };
        let path = format!("rooms/{room}/messages/{}", sent.seq);
        let answer = match deletes {
            true => user.rest.ask(Method::DELETE, &path, None, &[]).await,
            false => {
                let edit = Some(json!({ "text": "something else" }));
                user.rest.ask(Method::PATCH, &path, edit, &[]).await
            }
        };
        // Others' messages are not theirs to change.
        sent.is_deleted |= deletes && answer.status.is_success();
    }

    async fn reconnect(&mut self, who: usize) {
        let (device, user) = (self.dice.throw(DEVICES), self.anywhere(who));
        self.people[who].devices[device] = Device::of(&user).await;
    }

    /// A gateway is gone: whoever was connected to it connects elsewhere and goes on as they were.
    pub(crate) async fn abandon(&mut self, gateway: &str) {
        self.gateways.retain(|other| other != gateway);
        for who in 0..USERS {
            for device in 0..DEVICES {
                if self.people[who].devices[device].http == gateway {
                    let user = self.anywhere(who);
                    self.people[who].devices[device] = Device::of(&user).await;
                }
            }
            let looking = &mut self.people[who].looking;
            let lost = looking.extract_if(.., |_, session| session.http == gateway);
            let lost: Vec<Room> = lost.map(|(room, _)| room).collect();
            for room in lost {
                self.look(who, &room).await;
                // What was shown last may have gone with the gateway before it was marked.
                let user = self.anywhere(who);
                let seq = self.rooms[&room].positions[&user.id];
                mark_by_rest(&user, &room, seq).await;
            }
        }
    }

    /// A gateway is back.
    pub(crate) fn take_back(&mut self, gateway: String) {
        self.gateways.push(gateway);
    }

    fn log(&mut self, room: &str) -> &mut Log {
        self.rooms.get_mut(room).expect("a room")
    }

    /// Waits until every number anybody is shown is the one a recount gives.
    pub(crate) async fn agrees(&mut self) {
        for who in 0..USERS {
            let id = self.people[who].user.id.clone();
            let expected: BTreeMap<&Room, Option<(u64, u64, u64)>> = self
                .rooms
                .iter()
                .map(|(room, log)| {
                    let numbers = log.members.contains(&id).then(|| {
                        let mentions = log.unread(&id).filter(|sent| sent.mentions.contains(&id));
                        (
                            log.messages.len() as u64,
                            log.unread(&id).count() as u64,
                            mentions.count() as u64,
                        )
                    });
                    (room, numbers)
                })
                .collect();
            let person = &mut self.people[who];
            for device in &mut person.devices {
                println!("{id} is to see {expected:?}");
                let what = format!("{id} sees {expected:?}");
                device
                    .shows(&what, |rooms| {
                        expected
                            .iter()
                            .all(|(room, expected)| rooms.get(*room).map(numbers) == *expected)
                    })
                    .await;
                let rooms = expected.values().flatten();
                let total = rooms.fold((0, 0), |total, (_, unread, mentions)| {
                    (total.0 + unread, total.1 + mentions)
                });
                assert_eq!(device.total, total, "{what}");
            }
            self.rest_agrees(who).await;
        }
        self.presence_agrees().await;
    }

    /// The same by REST, and who has read each message.
    async fn rest_agrees(&mut self, who: usize) {
        let user = self.anywhere(who);
        for (room, log) in &self.rooms {
            if !log.members.contains(&user.id) {
                continue;
            }
            let expected: Vec<(u64, u64)> = log
                .messages
                .iter()
                .map(|sent| (sent.seq, log.readers(sent.seq).len() as u64))
                .collect();
            let expected = &expected[expected.len().saturating_sub(200)..];
            until(&format!("{expected:?} in {room}"), SOON, async || {
                let page = user.reads(room, "limit=200").await;
                let items = page["items"].as_array().expect("items");
                let counts: Option<Vec<(u64, u64)>> = items
                    .iter()
                    .map(|item| Some((item["seq"].as_u64()?, item["read_count"].as_u64()?)))
                    .collect();
                (counts.as_deref() == Some(expected)).then_some(())
            })
            .await;
            let Some(last) = log.messages.last() else {
                continue;
            };
            let path = format!("rooms/{room}/messages/{}/readers", last.seq);
            let expected = log.readers(last.seq);
            until(&format!("{expected:?} to be named"), SOON, async || {
                let readers = user.rest.get(&path).await.ok();
                let items = readers["items"].as_array().expect("items").iter();
                let named: BTreeSet<&str> = items
                    .filter_map(|item| item["user"]["id"].as_str())
                    .collect();
                (named == expected && readers["total"] == named.len()).then_some(())
            })
            .await;
        }
    }

    /// Everybody has a device that is connected, so everybody is online, and so in each of their rooms.
    async fn presence_agrees(&mut self) {
        let user = self.anywhere(0);
        let everybody: Vec<&str> = self.people.iter().map(|it| it.user.id.as_str()).collect();
        let query = json!({ "users": everybody });
        until("everybody to be online", SOON, async || {
            let answer = user.rest.post("presence/query", query.clone()).await;
            let users = answer.body["users"].as_array()?.iter();
            let online = users.filter(|user| user["status"] == "online");
            (online.count() == USERS).then_some(())
        })
        .await;
        // The owner, who is asked for, is in every room.
        for (room, log) in &self.rooms {
            let path = format!("rooms/{room}/presence");
            until("the members to be online", SOON, async || {
                let answer = user.rest.get(&path).await;
                let online = answer.body["online"].as_array()?.iter();
                let online: BTreeSet<&str> = online.filter_map(Value::as_str).collect();
                let members: BTreeSet<&str> = log.members.iter().map(String::as_str).collect();
                (online == members).then_some(())
            })
            .await;
        }
    }
}

/// Marks read, and comes back until the log has it.
async fn mark_by_rest(user: &User, room: &str, seq: u64) {
    let path = format!("rooms/{room}/read");
    user.insists(&path, json!({ "seq": seq }), &BUSY).await;
}

fn turn(room: &str, to: &str) -> Frame {
    Frame::new("SEND").with("destination", format!("/app/rooms/{room}/{to}"))
}

fn seq(answer: &Value) -> u64 {
    answer["seq"]
        .as_u64()
        .unwrap_or_else(|| panic!("no seq in {answer}"))
}

/// The count, what is unread, and what of it names the user.
fn numbers(room: &Value) -> (u64, u64, u64) {
    let number = |name: &str| room[name].as_u64().unwrap_or(u64::MAX);
    (number("count"), number("unread"), number("mentions"))
}
