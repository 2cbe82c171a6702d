//! The topic's partition count: changed behind our back nobody starts, changed as the operators' page says every room goes
//! on.

use std::{collections::BTreeSet, time::Duration};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewPartitions},
    client::DefaultClientContext,
    producer::{FutureProducer, FutureRecord},
};
use serde_json::json;

use super::scale::is_stored;
use crate::{
    behaviour::tools::lines,
    harness::{
        Frame, Role, Room, Shape, Stack, System, User,
        traffic::{Followers, Post, Senders, message_ids},
        wait::{SOON, until, within},
    },
};

const TOPIC: &str = "chat.events.v1";
const SUCCESSOR: &str = "chat.events.v2";
const SUCCEED: [&str; 6] = [
    "topics",
    "succeed",
    "--name",
    SUCCESSOR,
    "--partitions",
    "12",
];
const MORE_PARTITIONS: usize = 8;
const ROOMS: usize = 8;
/// A service that is refused says so as soon as it has asked the log.
const REFUSAL_LIMIT: Duration = Duration::from_secs(60);
const ALL: [Role; 3] = [Role::Gateway, Role::Fanout, Role::Persister];
/// Messages of each room while partitions are added: for longer than any client goes without a look at the topic.
const MESSAGES: usize = 200;
const PACE: Duration = Duration::from_millis(5);
/// What a member of the group says once it has seen the added partitions and owns one of them.
const OWNED: &str = "partition taken over";

#[tokio::test(flavor = "multi_thread")]
async fn no_service_starts_on_a_topic_whose_partition_count_was_changed() {
    let mut system = System::start(Shape::single(Stack::Real { brokers: 1 })).await;
    for role in ALL {
        system.stop_gracefully(role, 0).await;
    }
    adds_partitions(&system.kafka).await;
    let last = u32::try_from(MORE_PARTITIONS - 1).expect("few");
    let kafka = &system.servers().kafka;
    until("the brokers to know of them", SOON, async || {
        kafka.leader(TOPIC, last).await
    })
    .await;
    for role in ALL {
        let process = system.process(role, 0);
        process.start_again();
        let status = process.exited(REFUSAL_LIMIT).await;
        assert!(!status.success(), "{role:?} must not serve this topic");
        assert!(
            process
                .errors()
                .contains("more partitions need a new topic"),
            "{role:?} says what is wrong"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_added_to_a_running_system_lose_nothing() {
    let mut system = System::start(Shape::single(Stack::Real { brokers: 1 })).await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let mut rooms = Vec::new();
    for _ in 0..ROOMS {
        let room = alice.opens_room().await;
        bob.joins(&room).await;
        rooms.push(room);
    }
    let plan: Vec<Post> = (0..MESSAGES * ROOMS)
        .map(|number| Post {
            room: rooms[number % ROOMS].clone(),
            id: format!("m-{number}"),
            text: format!("message {number}"),
        })
        .collect();
    let gateways = system.gateways();
    let follow = vec![(bob.clone(), rooms.clone())];
    let followers = Followers::new(&gateways, follow, MESSAGES as u64);
    let mut senders = Senders::new(&gateways, vec![(alice.clone(), plan.clone())]);
    let before = MESSAGES * ROOMS / 8;
    senders.release(before);
    senders.acknowledged(before).await;

    adds_partitions(&system.kafka).await;
    let flow = senders.flow(PACE);
    until("a client to see the added partitions", SOON, async || {
        let log = system.process(Role::Fanout, 0).errors();
        let last = format!(" partition={} ", MORE_PARTITIONS - 1);
        let mut lines = log.lines();
        let is_taken = |line: &str| line.contains(OWNED) && line.contains(&last);
        lines.any(is_taken).then_some(())
    })
    .await;
    senders.finish().await;
    drop(flow);

    // Everything that was acknowledged is shown, wherever its room's key would be put by now.
    let sight = within("everybody to see everything", SOON, followers.agreed()).await;
    for room in &rooms {
        let sent = plan.iter().filter(|post| post.room == *room);
        let sent: BTreeSet<&str> = sent.map(|post| post.id.as_str()).collect();
        let shown = message_ids(&sight[room]);
        assert_eq!(shown.len(), sent.len(), "{room} shows one twice");
        assert_eq!(shown.into_iter().collect::<BTreeSet<_>>(), sent);
    }
    is_stored(&system, &sight).await;
    letters_arrive(&system, &alice, &rooms[0]).await;

    // No service would start on this topic again, and the way out is open.
    moves_on(&mut system).await;
    for room in &rooms {
        let head = posts(&alice, room, "after").await;
        shows_all(&alice, room, head).await;
    }
}

/// Those who are named in a message find it in their inboxes, which are places in the log as rooms are.
async fn letters_arrive(system: &System, from: &User, room: &Room) {
    let members: Vec<User> = (0..ROOMS).map(|_| system.user("named")).collect();
    for member in &members {
        member.joins(room).await;
    }
    let names: Vec<&str> = members.iter().map(|member| member.id.as_str()).collect();
    let wish = json!({"text": "all of you", "mentions": names});
    from.rest
        .post(&format!("rooms/{room}/messages"), wish)
        .await
        .ok();
    for member in &members {
        until("a letter in each inbox", SOON, async || {
            let page = member.rest.get("inbox").await.ok();
            let letters = page["items"].as_array().map_or(0, Vec::len);
            (letters == 1).then_some(())
        })
        .await;
    }
}

async fn adds_partitions(brokers: &str) {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .create()
        .expect("an admin client");
    let more = NewPartitions::new(TOPIC, MORE_PARTITIONS);
    let added = admin.create_partitions([&more], &AdminOptions::new()).await;
    added.expect("an answer")[0]
        .as_ref()
        .expect("partitions added");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_succeeded_as_the_operators_page_says_and_every_room_goes_on() {
    let mut system = System::start(Shape::single(Stack::Real { brokers: 1 })).await;
    let alice = system.user("alice");
    let mut rooms = Vec::new();
    for _ in 0..ROOMS {
        rooms.push(alice.opens_room().await);
    }
    let mut heads = Vec::new();
    for room in &rooms {
        heads.push(posts(&alice, room, "before").await);
    }

    moves_on(&mut system).await;
    assert!(
        is_closed(&system.kafka).await,
        "the old topic takes nothing"
    );
    let again = lines(system.tool(&SUCCEED)).await;
    assert_eq!(again[0]["opened"], false, "{again:?}");
    for (room, head) in rooms.iter().zip(&mut heads) {
        // What was sent before is a retry in the new topic too.
        let mut client = alice.connects().await;
        let retry = Frame::send(room, "before").with("id", format!("{room}-before"));
        client.request(retry).await;
        assert_eq!(posts(&alice, room, "after").await, *head + 1);
        *head += 1;
        shows_all(&alice, room, *head).await;
    }

    // So it is for whoever takes over from the store alone.
    until("everything to be stored", SOON, async || {
        let stored = system.stored_events().await;
        let has_all = |(room, head): (&Room, &u64)| {
            stored
                .get(room)
                .and_then(|events| events.last())
                .map(|last| last.seq)
                == Some(*head)
        };
        rooms.iter().zip(&heads).all(has_all).then_some(())
    })
    .await;
    system.servers().redis.wipe().await;
    for role in [Role::Fanout, Role::Gateway] {
        system.kill(role, 0);
        system.restart(role, 0).await;
    }
    for (room, head) in rooms.iter().zip(&heads) {
        assert_eq!(posts(&alice, room, "at last").await, head + 1);
        shows_all(&alice, room, head + 1).await;
    }
    let replay = ["replay", "--topic", SUCCESSOR, "--room", &rooms[0]];
    let replayed = lines(system.tool(&replay)).await;
    let texts: Vec<&str> = replayed
        .iter()
        .filter_map(|line| line["text"].as_str())
        .collect();
    assert_eq!(texts, ["after", "at last"], "{replayed:?}");
    assert!(replayed[0]["seq"].is_null(), "{replayed:?}");
}

/// Moves to a new topic by the operators' page.
async fn moves_on(system: &mut System) {
    system.stop_gracefully(Role::Gateway, 0).await;
    let done = lines(system.tool(&SUCCEED)).await;
    assert_eq!(
        (&done[0]["opened"], &done[0]["generation"]),
        (&true.into(), &2.into()),
        "{done:?}"
    );
    for role in [Role::Fanout, Role::Persister] {
        system.stop_gracefully(role, 0).await;
    }
    for role in [Role::Fanout, Role::Persister, Role::Gateway] {
        system.restart(role, 0).await;
    }
}

/// Posts a message and waits until it is shown; its seq.
async fn posts(user: &User, room: &Room, text: &str) -> u64 {
    let (mut client, _) = user.watches(room).await;
    let id = format!("{room}-{}", text.replace(' ', "-"));
    client.request(Frame::send(room, text).with("id", id)).await;
    client.message(room).await.number("seq")
}

/// A new subscriber sees every event from the first one to the head.
async fn shows_all(user: &User, room: &Room, head: u64) {
    let mut client = user.connects().await;
    let all = Frame::subscribe("all", &format!("/topic/rooms/{room}")).with("since", 0);
    client.request(all).await;
    for seq in 1..=head {
        assert_eq!(client.message("all").await.number("seq"), seq);
    }
}

/// Whether a record that must be acknowledged by all replicas is refused.
async fn is_closed(brokers: &str) -> bool {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("acks", "all")
        .set("message.timeout.ms", "3000")
        .create()
        .expect("a producer");
    let record = FutureRecord::to(TOPIC).key("late").payload("late");
    producer.send(record, SOON).await.is_err()
}
