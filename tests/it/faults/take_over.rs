//! What a new owner of a partition does before it states its heads, one by one: it reads the snapshot, and then the
//! window before it.

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer},
};
use roomlog_core::{
    event::{Body, Event, Message, Sender},
    ids::{MessageId, RoomKey, UserId},
    partition::partition_of,
};

use super::{
    is_full,
    table::{Table, tell},
};
use crate::harness::{
    Role, Shape, Stack, System,
    wait::{self, until},
};

const TOPIC: &str = "chat.events.v1";
const PARTITIONS: u32 = 6;
const PARTITION: u32 = 0;
/// The duplicate window as it is by default.
const WINDOW: usize = 131_072;
const ROOMS: usize = 5_000;
/// Reading and numbering all of it in a debug build, on two cores that other work shares.
const NUMBERING_LIMIT: Duration = Duration::from_secs(240);

#[tokio::test(flavor = "multi_thread")]
async fn a_new_owner_reads_the_snapshot_and_the_window_and_goes_on() {
    let (rooms, records) = match is_full() {
        true => (ROOMS, WINDOW + ROOMS),
        false => (ROOMS / 10, WINDOW / 10),
    };
    let shape = Shape {
        persisters: 0,
        ..Shape::single(Stack::Real { brokers: 1 })
    };
    let mut system = System::start(shape).await;
    appends(&system.kafka, rooms, records).await;
    let end = i64::try_from(records).expect("few");
    until("the snapshot to be written", NUMBERING_LIMIT, async || {
        (written(&system.redis).await? >= end).then_some(())
    })
    .await;
    system.stop_gracefully(Role::Fanout, 0).await;
    system.restart(Role::Fanout, 0).await;
    let stated = until("the heads to be stated", NUMBERING_LIMIT, async || {
        let log = system.process(Role::Fanout, 0).errors();
        Some((
            last(&log, "partition taken over")?,
            last(&log, "heads of the partition are stated")
                .filter(|line| number(line, "next") == Some(end))?,
        ))
    });
    let (taken, stated) = stated.await;
    assert!(taken.contains("base=\"snapshot\""), "{taken}");
    let of = |line: &str, field| number(line, field).unwrap_or_else(|| panic!("{field} in {line}"));
    let window = of(&taken, "next") - of(&taken, "read_from");
    let (base_ms, took_ms) = (of(&taken, "base_ms"), of(&stated, "took_ms"));
    assert_eq!(of(&taken, "next"), end, "the snapshot was the last one");
    let seconds = |ms: i64| ms as f64 / 1_000.0;
    let row = format!(
        "| {rooms} | {window} | {:.2} s | {:.2} s | {:.2} s |",
        seconds(base_ms),
        seconds(took_ms - base_ms),
        seconds(took_ms)
    );
    tell(Table::TakeOvers, &row);
}

/// So many messages in so many rooms of one partition, by a program that asks no gateway.
async fn appends(brokers: &str, rooms: usize, records: usize) {
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("queue.buffering.max.messages", "1000000")
        .set("linger.ms", "20")
        .create()
        .expect("a producer");
    let partition = i32::try_from(PARTITION).expect("few");
    let keys: Vec<String> = (0..)
        .map(|number| format!("r-{number}"))
        .filter(|room| partition_of(room.as_bytes(), PARTITIONS) == PARTITION)
        .take(rooms)
        .collect();
    let sent = tokio::task::spawn_blocking(move || {
        for number in 0..records {
            let room = &keys[number % keys.len()];
            let event = message(room, number);
            let value = roomlog_schemas::encode_event(&event);
            let headers = roomlog_schemas::headers(&event, "elsewhere", None);
            let headers = headers
                .iter()
                .fold(OwnedHeaders::new(), |headers, (key, value)| {
                    let value = Some(value);
                    headers.insert(Header { key, value })
                });
            let record = BaseRecord::to(TOPIC)
                .partition(partition)
                .key(room)
                .payload(&value[..])
                .headers(headers);
            let sent = producer.send(record);
            sent.map_err(|(error, _)| error).expect("room in the queue");
        }
        producer.flush(wait::SOON * 4).expect("all are appended");
    });
    sent.await.expect("all are sent");
}

fn message(room: &str, number: usize) -> Event {
    Event {
        key: RoomKey::parse(room).expect("a room"),
        id: MessageId::parse(&format!("m-{number}")).expect("an id"),
        sender: Sender {
            id: UserId::parse("somebody").expect("a user"),
            name: "Somebody".into(),
            avatar: None,
        },
        body: Body::Message(Message {
            text: "one of many".into(),
            ..Message::default()
        }),
        headers: Vec::new(),
        by_admin: false,
    }
}

/// How far the snapshot of the partition is.
async fn written(redis: &str) -> Option<i64> {
    let client = redis::Client::open(redis).ok()?;
    let mut connection = client.get_multiplexed_async_connection().await.ok()?;
    let score: Option<f64> = redis::cmd("ZSCORE")
        .arg(format!("{{p:1:{PARTITION}}}:heads"))
        .arg("@offset")
        .query_async(&mut connection)
        .await
        .ok()?;
    #[allow(
        clippy::cast_possible_truncation,
        reason = "offsets are whole and small"
    )]
    score.map(|score| score as i64)
}

/// The last line of the log that says this of the partition.
fn last(log: &str, text: &str) -> Option<String> {
    let of_partition = format!("partition={PARTITION} ");
    let mut lines = log.lines().rev();
    lines
        .find(|line| line.contains(text) && line.contains(&of_partition))
        .map(String::from)
}

/// A number the line states.
fn number(line: &str, field: &str) -> Option<i64> {
    let (_, rest) = line.split_once(&format!(" {field}="))?;
    rest.split_whitespace().next()?.parse().ok()
}
