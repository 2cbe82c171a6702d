//! `roomlog replay`: the log as data engineers read it, beside services that don't notice.

use std::collections::{BTreeMap, BTreeSet};

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
};
use serde_json::Value;

use crate::{
    behaviour::tools::lines,
    harness::{
        Frame, Room, StompClient, System, User,
        system::{Shape, Stack},
        wait::{SOON, until},
    },
};

const TOPIC: &str = "chat.events.v1";
const ROOMS: usize = 5;
const MESSAGES: usize = 4;
/// How long one question to the brokers may take.
const LOOK: std::time::Duration = std::time::Duration::from_secs(5);

/// The consumer groups, their members, and what they have committed of every partition that holds something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Groups {
    members: BTreeMap<String, BTreeSet<String>>,
    committed: BTreeMap<(String, i32), Offset>,
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_selects_by_time_offsets_and_partition_and_commits_nothing() {
    let system = System::start(Shape::single(Stack::chosen())).await;
    let alice = system.user("alice");
    let rooms = furnish(&alice).await;
    let before = settled(&system.kafka).await;

    let all = replay(&system, &[]).await;
    for room in &rooms {
        let seqs: Vec<u64> = of_room(&all, room)
            .map(|event| number(event, "seq"))
            .collect();
        let dense: Vec<u64> = (1..=seqs.len() as u64).collect();
        assert_eq!(seqs, dense, "{room}");
        assert!(seqs.len() > MESSAGES);
        let expected: Vec<&Value> = of_room(&all, room).collect();
        assert_eq!(refs(&replay(&system, &["--room", room]).await), expected);
    }

    let middle = number(&all[all.len() / 2], "at");
    let time = jiff::Timestamp::from_millisecond(i64::try_from(middle).expect("a time"));
    let time = time.expect("a time").to_string();
    let (since, until): (Vec<&Value>, Vec<&Value>) =
        all.iter().partition(|event| number(event, "at") >= middle);
    assert!(!since.is_empty() && !until.is_empty());
    assert_eq!(refs(&replay(&system, &["--from", &time]).await), since);
    assert_eq!(refs(&replay(&system, &["--to", &time]).await), until);

    let mut by_partition = BTreeMap::<u64, Vec<&Value>>::new();
    for event in &all {
        let partition = number(event, "partition");
        by_partition.entry(partition).or_default().push(event);
    }
    let fullest = by_partition
        .into_iter()
        .max_by_key(|(_, events)| events.len());
    let (partition, within) = fullest.expect("some");
    let named = partition.to_string();
    let whole = replay(&system, &["--partition", &named]).await;
    assert_eq!(refs(&whole), within);
    let (first, last) = (
        number(within[1], "offset"),
        number(within[within.len() - 1], "offset"),
    );
    let range = format!("{first}..{last}");
    let part = replay(&system, &["--partition", &named, "--offsets", &range]).await;
    assert_eq!(refs(&part), within[1..within.len() - 1]);

    let after = settled(&system.kafka).await;
    assert_eq!(before, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_numbers_by_the_recorded_window_and_says_where_the_store_is_silent() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, head) = alice.watches(&room).await;
    let twice = Frame::send(&room, "said once").with("id", "twice");
    client.request(twice.clone()).await;
    client.request(Frame::send(&room, "between")).await;
    client.request(twice).await;
    client.request(Frame::send(&room, "last")).await;
    let last = shown(&mut client, &room, 3).await;
    assert_eq!(last, head + 3, "the second one is a retry");

    // A window of one offset finds no retry that is further away.
    let narrow = ("ROOMLOG_TOPICS_WINDOW_OFFSETS".into(), "1".into());
    let mut recorded = system.at_its_log(&["replay", "--room", &room]);
    recorded.variables.push(narrow);
    let mut silent = recorded.clone();
    let numbered = lines(recorded).await;
    assert_eq!(
        numbered.last().map(|event| number(event, "seq")),
        Some(last)
    );

    let store = "ROOMLOG_DYNAMODB_ENDPOINT";
    silent.variables.retain(|(name, _)| name != store);
    silent
        .variables
        .push((store.into(), "http://127.0.0.1:1".into()));
    silent.name = "silent".into();
    let told = silent.folder.join("silent.stderr.log");
    let numbered = lines(silent).await;
    assert_eq!(
        numbered.last().map(|event| number(event, "seq")),
        Some(last + 1)
    );
    let told = std::fs::read_to_string(told).expect("its standard error");
    for part in [
        "can't be learned from the store",
        "1 offsets",
        "numbers may differ",
    ] {
        assert!(told.contains(part), "{part} is not in: {told}");
    }
}

/// Rooms with messages, spread over partitions.
async fn furnish(alice: &User) -> Vec<Room> {
    let mut client = alice.connects().await;
    let mut rooms = Vec::new();
    for _ in 0..ROOMS {
        rooms.push(alice.opens_room().await);
    }
    for message in 0..MESSAGES {
        for room in &rooms {
            client
                .request(Frame::send(room, &format!("message {message}")))
                .await;
        }
    }
    rooms
}

async fn shown(client: &mut StompClient, room: &str, count: usize) -> u64 {
    let messages = client.messages(room, count).await;
    messages.last().expect("some").number("seq")
}

async fn replay(system: &System, arguments: &[&str]) -> Vec<Value> {
    lines(system.at_its_log(&[&["replay"], arguments].concat())).await
}

/// The groups once each has committed all there is, so that whatever changes later changes for another reason.
async fn settled(brokers: &str) -> Groups {
    until(
        "every group to have read and committed the log",
        SOON,
        async || {
            let groups = groups(brokers).await?;
            let of_group = |group: &str| {
                let theirs = groups
                    .committed
                    .iter()
                    .filter(|((name, _), _)| name == group);
                let offsets: Vec<_> = theirs.map(|(_, offset)| *offset).collect();
                !offsets.is_empty() && offsets.iter().all(|offset| *offset == Offset::End)
            };
            ["persister", "fanout-a"]
                .iter()
                .all(|group| of_group(group))
                .then_some(groups)
        },
    )
    .await
}

/// The groups as the brokers describe them; [`Offset::End`] stands for a commit at a partition's end.
async fn groups(brokers: &str) -> Option<Groups> {
    let brokers = brokers.to_owned();
    tokio::task::spawn_blocking(move || look(&brokers).ok())
        .await
        .ok()?
}

fn look(brokers: &str) -> rdkafka::error::KafkaResult<Groups> {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", brokers);
    let asking: BaseConsumer = client.create()?;
    let mut groups = Groups::default();
    for group in asking.fetch_group_list(None, LOOK)?.groups() {
        let members = group.members().iter().map(|member| member.id().to_owned());
        groups
            .members
            .insert(group.name().to_owned(), members.collect());
    }
    let metadata = asking.fetch_metadata(Some(TOPIC), LOOK)?;
    let mut ends = BTreeMap::new();
    for partition in metadata.topics()[0].partitions() {
        let (_, end) = asking.fetch_watermarks(TOPIC, partition.id(), LOOK)?;
        if end > 0 {
            ends.insert(partition.id(), end);
        }
    }
    for group in groups.members.keys() {
        let theirs: BaseConsumer = client.clone().set("group.id", group).create()?;
        let mut list = TopicPartitionList::new();
        for partition in ends.keys() {
            list.add_partition(TOPIC, *partition);
        }
        for element in theirs.committed_offsets(list, LOOK)?.elements() {
            let at_end = element.offset() == Offset::Offset(ends[&element.partition()]);
            let offset = if at_end {
                Offset::End
            } else {
                element.offset()
            };
            groups
                .committed
                .insert((group.clone(), element.partition()), offset);
        }
    }
    Ok(groups)
}

fn of_room<'a>(events: &'a [Value], room: &'a str) -> impl Iterator<Item = &'a Value> {
    events.iter().filter(move |event| event["room"] == room)
}

fn number(event: &Value, field: &str) -> u64 {
    event[field]
        .as_u64()
        .unwrap_or_else(|| panic!("no {field} in {event}"))
}

fn refs(events: &[Value]) -> Vec<&Value> {
    events.iter().collect()
}
