//! Senders and followers on a few rooms, and what became of their messages.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::table::{Table, tell};
use crate::{
    harness::{
        Frame, Room, System, User,
        pulse::Worst,
        traffic::{Flow, Followers, Post, Senders, message_ids},
        wait::until,
    },
    real::scale::is_stored,
};

const USERS: usize = 4;
/// More than are sent in any scenario.
const POSTS_PER_USER: usize = 20_000;
/// A hundred messages a second: enough that a pause of delivery shows to the hundredth, few enough for two cores.
pub(super) const STEADY: Duration = Duration::from_millis(10);
/// Messages before a fault, and after it until it counts as over.
const CALM: usize = 60;
/// The longest that a fault and what follows may take.
const RECOVERY_LIMIT: Duration = Duration::from_secs(240);

/// Traffic through one fault, or several in a row.
pub(super) struct Load {
    /// The one it went through last.
    fault: String,
    users: Vec<User>,
    rooms: Vec<Room>,
    senders: Senders,
    followers: Followers,
    flow: Flow,
}

impl Load {
    /// Makes so many new rooms, and returns once messages flow through them, one after each pause.
    pub(super) async fn begin(system: &System, room_count: usize, pause: Duration) -> Self {
        let gateways = system.linked_gateways();
        let users: Vec<User> = (0..USERS).map(|_| system.user("u")).collect();
        let mut rooms = Vec::new();
        for _ in 0..room_count {
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
        let flow = senders.flow(pause);
        senders.go_on(CALM).await;
        followers.have_seen(USERS * CALM).await;
        followers.listen();
        followers.all_see_something().await;
        Self {
            fault: String::new(),
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

    /// Waits until messages of every room reach everyone again; the worst that each follower of each room had to bear
    /// since it was asked last.
    pub(super) async fn worst(&mut self) -> Vec<Worst> {
        self.senders.go_on(CALM).await;
        self.followers.all_see_something().await;
        let worst = self.followers.worst();
        self.followers.listen();
        worst
    }

    /// The same, of events on their way from the log alone.
    pub(super) async fn delays(&mut self) -> Vec<Duration> {
        let worst = self.worst().await.into_iter();
        worst.map(|worst| worst.delay).collect()
    }

    /// Names what comes next. What was before is not counted.
    pub(super) async fn faces(&mut self, fault: &str) {
        fault.clone_into(&mut self.fault);
        self.followers.listen();
        self.followers.all_see_something().await;
    }

    /// Waits until messages flow again; the longest that anyone heard nothing of a room.
    pub(super) async fn recovers(&mut self) -> Duration {
        let worst = self.worst().await.into_iter();
        let silences = worst.map(|worst| worst.silence);
        silences.max().expect("a follower of a room")
    }

    /// Stops, compares, and adds the fault to the table.
    pub(super) async fn ends(self, system: &System, fault: &str, silence: Duration) {
        let messages = self.compares(system).await;
        tell(
            Table::Faults,
            &format!(
                "| {fault} | {messages} | 0 | 0 | 0 | {:.2} s |",
                silence.as_secs_f64()
            ),
        );
    }

    /// Stops, and compares: every acknowledged message is shown to every follower once, in the one order, and DynamoDB
    /// holds exactly that. How many messages that were.
    pub(super) async fn compares(self, system: &System) -> usize {
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
        expected.values().map(BTreeSet::len).sum()
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
