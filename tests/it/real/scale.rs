//! Two of every service: many rooms, many senders, many followers; everybody sees one history, and the store holds
//! exactly that, whoever is killed meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::task::JoinSet;

use crate::harness::{
    Role, Room, Shape, Stack, System, User,
    traffic::{Followers, Post, Senders, Sight, message_ids},
    wait::until,
};

const ROOMS: usize = 50;
const USERS: usize = 20;
const MESSAGES: usize = 20_000;
const MESSAGES_PER_ROOM: usize = MESSAGES / ROOMS;
/// Rooms that one connection follows, so that each user follows all by several connections.
const ROOMS_PER_CONNECTION: usize = 10;
/// The persister's way through everything on two busy cores.
const STORED_LIMIT: Duration = Duration::from_secs(600);

/// Everything is ready and nothing is sent yet.
struct Scene {
    rooms: Vec<Room>,
    plans: Vec<(User, Vec<Post>)>,
    followers: Followers,
    senders: Senders,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_follower_sees_the_one_history_that_the_store_holds() {
    let system = System::start(Shape::of_each(Stack::Real { brokers: 1 }, 2)).await;
    let mut scene = Scene::set(&system).await;
    scene.senders.release(MESSAGES);
    scene.ends_well(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_holds_when_each_process_is_killed_once() {
    let mut system = System::start(Shape::of_each(Stack::Real { brokers: 1 }, 2)).await;
    let mut scene = Scene::set(&system).await;
    let victims = [Role::Gateway, Role::Fanout, Role::Persister]
        .into_iter()
        .flat_map(|role| [(role, 0), (role, 1)]);
    let portion = MESSAGES / 8;
    for (role, index) in victims {
        scene.senders.release(portion);
        scene.senders.in_full_flow(portion).await;
        system.kill(role, index);
        // What is still open comes through while the process is gone.
        scene.senders.release(portion / 8);
        system.restart(role, index).await;
    }
    scene.senders.release(MESSAGES);
    scene.ends_well(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_brokers_lose_nothing_when_one_is_killed() {
    let mut system = System::start(Shape::single(Stack::Real { brokers: 3 })).await;
    let mut scene = Scene::set(&system).await;
    let portion = MESSAGES / 8;
    scene.senders.release(portion);
    scene.senders.in_full_flow(portion).await;
    system.servers().kafka.node(0).kill();
    scene.senders.release(portion);
    scene.senders.in_full_flow(portion).await;
    system.servers().kafka.restart(0).await;
    scene.senders.release(MESSAGES);
    scene.ends_well(&system).await;
}

impl Scene {
    async fn set(system: &System) -> Self {
        let gateways = system.gateways();
        let users: Vec<User> = (0..USERS)
            .map(|index| system.user("u").at(&gateways[index % gateways.len()]))
            .collect();
        let mut rooms = Vec::new();
        for _ in 0..ROOMS {
            rooms.push(users[0].opens_room().await);
        }
        let mut joining = JoinSet::new();
        for user in users.iter().skip(1) {
            let (user, rooms) = (user.clone(), rooms.clone());
            joining.spawn(async move {
                for room in &rooms {
                    user.joins(room).await;
                }
            });
        }
        while let Some(joined) = joining.join_next().await {
            joined.expect("every user joins every room");
        }
        let plans = plans(&users, &rooms);
        let follow = users.iter().flat_map(|user| {
            rooms
                .chunks(ROOMS_PER_CONNECTION)
                .map(|rooms| (user.clone(), rooms.to_vec()))
        });
        let followers = Followers::new(&gateways, follow.collect(), MESSAGES_PER_ROOM as u64);
        // Each follower has seen each room's creation and joins.
        followers.have_seen(USERS * ROOMS * USERS).await;
        let senders = Senders::new(&gateways, plans.clone());
        Self {
            rooms,
            plans,
            followers,
            senders,
        }
    }

    async fn ends_well(self, system: &System) {
        self.senders.finish().await;
        let sight = self.followers.agreed().await;
        assert_eq!(sight.len(), self.rooms.len());
        let mut expected: BTreeMap<&Room, BTreeSet<&str>> = BTreeMap::new();
        for post in self.plans.iter().flat_map(|(_, posts)| posts) {
            expected.entry(&post.room).or_default().insert(&post.id);
        }
        for (room, events) in &sight {
            let ids = message_ids(events);
            assert_eq!(
                ids.len(),
                MESSAGES_PER_ROOM,
                "no message of {room} is shown twice"
            );
            assert_eq!(
                ids.into_iter().collect::<BTreeSet<_>>(),
                expected[room],
                "every message of {room} is shown"
            );
        }
        is_stored(system, &sight).await;
    }
}

/// Every user's share of every room's messages.
fn plans(users: &[User], rooms: &[Room]) -> Vec<(User, Vec<Post>)> {
    let share = |user: &User| {
        let numbers = 0..MESSAGES / USERS;
        let post = |number: usize| Post {
            room: rooms[number % ROOMS].clone(),
            id: format!("{}-{number}", user.id),
            text: format!("message {number} of {}", user.id),
        };
        numbers.map(post).collect()
    };
    users
        .iter()
        .map(|user| (user.clone(), share(user)))
        .collect()
}

/// Waits until DynamoDB holds as many events as were seen, and compares them one by one.
pub(crate) async fn is_stored(system: &System, sight: &Sight) {
    let events: usize = sight.values().map(Vec::len).sum();
    let rows = until("everything to be stored", STORED_LIMIT, async || {
        let rows = system.stored_events().await;
        let ours: usize = sight
            .keys()
            .map(|room| rows.get(room).map_or(0, Vec::len))
            .sum();
        (ours >= events).then_some(rows)
    })
    .await;
    for (room, events) in sight {
        assert!(
            rows[room] == *events,
            "DynamoDB holds another history of {room} than its followers saw"
        );
    }
}
