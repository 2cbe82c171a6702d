//! Senders and followers on a few rooms, and what became of their messages.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::OpenOptions,
    io::Write as _,
    time::{Duration, Instant},
};

use crate::{
    harness::{
        Frame, Room, System, User,
        traffic::{Flow, Followers, Post, Senders, message_ids},
        wait::until,
    },
    real::scale::is_stored,
};

const ROOMS: usize = 4;
const USERS: usize = 4;
/// More than are sent in any scenario.
const POSTS_PER_USER: usize = 20_000;
/// A hundred messages a second: enough that a pause of delivery shows to the hundredth, few enough for two cores.
const EACH: Duration = Duration::from_millis(10);
/// Messages before a fault, and after it until it counts as over.
const CALM: usize = 60;
/// The longest that a fault and what follows may take.
const RECOVERY_LIMIT: Duration = Duration::from_secs(120);
/// Names the file the rows of the fault table are added to.
const ROWS_VARIABLE: &str = "ROOMLOG_FAULTS_ROWS";

/// Traffic through one fault.
pub(super) struct Load {
    fault: String,
    users: Vec<User>,
    rooms: Vec<Room>,
    senders: Senders,
    followers: Followers,
    flow: Flow,
}

impl Load {
    /// Makes new rooms, and returns once messages flow through them.
    pub(super) async fn begin(system: &System, fault: &str) -> Self {
        let gateways = system.linked_gateways();
        let users: Vec<User> = (0..USERS).map(|_| system.user("u")).collect();
        let mut rooms = Vec::new();
        for _ in 0..ROOMS {
            let room = users[0].opens_room().await;
            for user in users.iter().skip(1) {
                user.joins(&room).await;
            }
            rooms.push(room);
        }
        let plans = users.iter().map(|user| (user.clone(), posts(user, &rooms)));
        let mut senders = Senders::new(&gateways, plans.collect());
        let follow = users.iter().map(|user| (user.clone(), rooms.clone()));
        let followers = Followers::new(&gateways, follow.collect(), u64::MAX);
        let flow = senders.flow(EACH);
        senders.go_on(CALM).await;
        followers.have_seen(USERS * CALM).await;
        followers.listen();
        Self {
            fault: fault.to_owned(),
            users,
            rooms,
            senders,
            followers,
            flow,
        }
    }

    /// The rooms messages flow through.
    pub(super) fn rooms(&self) -> &[Room] {
        &self.rooms
    }

    /// A member of every room, who sends and follows too.
    pub(super) fn member(&self) -> &User {
        &self.users[0]
    }

    /// Lets the fault last.
    pub(super) async fn lasts(&self, time: Duration) {
        let end = Instant::now() + time;
        until("the fault's time", RECOVERY_LIMIT, async || {
            (Instant::now() >= end).then_some(())
        })
        .await;
    }

    /// Waits until messages flow again, stops, and compares: every acknowledged message is shown to every follower
    /// once, in the one order, and DynamoDB holds exactly that.
    pub(super) async fn end(mut self, system: &System) {
        self.senders.go_on(CALM).await;
        self.followers
            .have_seen(self.followers.seen() + USERS * CALM)
            .await;
        let silence = self.followers.longest_silence();
        drop(self.flow);
        let mut expected: BTreeMap<Room, BTreeSet<String>> = BTreeMap::new();
        for post in self.senders.stop().await {
            expected.entry(post.room).or_default().insert(post.id);
        }
        let mut last = self.users[0].connects().await;
        for room in &self.rooms {
            let ids = expected.entry(room.clone()).or_default();
            self.followers.end_at(room, ids.len() as u64 + 1);
            let end = Frame::send(room, "the end").with("id", "the-end");
            last.request(end).await;
            ids.insert("the-end".into());
        }
        // A follower that missed, repeated or mixed up one event has failed by now.
        let sight = self.followers.agreed().await;
        for (room, ids) in &expected {
            let shown = message_ids(&sight[room]);
            assert_eq!(
                shown.len(),
                ids.len(),
                "{}: repeated or lost in {room}",
                self.fault
            );
            let shown: BTreeSet<String> = shown.into_iter().map(String::from).collect();
            assert!(
                shown == *ids,
                "{}: another set of messages in {room}",
                self.fault
            );
        }
        is_stored(system, &sight).await;
        let messages: usize = expected.values().map(BTreeSet::len).sum();
        tell(&format!(
            "| {} | {messages} | 0 | 0 | 0 | {:.2} s |",
            self.fault,
            silence.as_secs_f64()
        ));
    }
}

fn posts(user: &User, rooms: &[Room]) -> Vec<Post> {
    let post = |number: usize| Post {
        room: rooms[number % rooms.len()].clone(),
        id: format!("{}-{number}", user.id),
        text: format!("message {number} of {}", user.id),
    };
    (0..POSTS_PER_USER).map(post).collect()
}

/// A row of the fault table: on the screen, and in the file asked for.
fn tell(row: &str) {
    println!("{row}");
    if let Some(path) = std::env::var_os(ROWS_VARIABLE) {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let written = file.and_then(|mut file| writeln!(file, "{row}"));
        written.expect("the file of rows can be written");
    }
}
