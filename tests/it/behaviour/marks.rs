//! Read marks on their way to the log: gathered, so that it holds few records however many read, and however often.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
};
use reqwest::StatusCode;
use roomlog_schemas::{ReadPositions, decode_reads};
use serde_json::json;

use crate::harness::{
    System,
    wait::{SOON, until},
};

const TOPIC: &str = "chat.reads.v1";
const PARTITIONS: i32 = 6;
/// How long marks are gathered.
const GATHER: Duration = Duration::from_millis(250);
const READERS: usize = 10;
const MESSAGES: usize = 12;

#[tokio::test]
async fn many_marks_are_few_records_that_hold_the_furthest_of_each_reader() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let readers: Vec<_> = (0..READERS).map(|_| system.user("reader")).collect();
    for reader in &readers {
        reader.joins(&room).await;
    }
    let messages = format!("rooms/{room}/messages");
    let mut seqs = Vec::new();
    for _ in 0..MESSAGES {
        let posted = alice.rest.post(&messages, json!({ "text": "read me" }));
        seqs.push(posted.await.ok()["seq"].as_u64().expect("a seq"));
    }
    let began = Instant::now();
    let (path, busy) = (
        &format!("rooms/{room}/read"),
        &[StatusCode::SERVICE_UNAVAILABLE],
    );
    let marks = readers.iter().flat_map(|reader| {
        let marks = seqs.iter().map(|seq| json!({ "seq": seq }));
        marks.map(move |mark| reader.insists(path, mark, busy))
    });
    join_all(marks).await;
    // Each was acknowledged, so all of it is in the topic.
    let gathered = began.elapsed().as_millis() / GATHER.as_millis() + 1;
    let records = records(&system.kafka, &room).await;
    println!("{gathered} times gathered, {records:?}");
    assert!(
        records.len() as u128 <= gathered,
        "{} records of {} marks",
        records.len(),
        READERS * MESSAGES
    );
    let mut furthest = BTreeMap::new();
    for record in &records {
        let mut named = BTreeMap::new();
        for mark in &record.positions {
            let before = named.insert(mark.user.as_str(), mark.seq.0);
            assert_eq!(before, None, "a reader is named twice in {record:?}");
            let position = furthest.entry(mark.user.as_str()).or_insert(0);
            *position = mark.seq.0.max(*position);
        }
    }
    let last = *seqs.last().expect("messages");
    let expected = readers.iter().map(|reader| (reader.id.as_str(), last));
    assert_eq!(furthest, expected.collect::<BTreeMap<_, _>>());
}

/// The batches of a room that the topic holds now.
async fn records(brokers: &str, room: &str) -> Vec<ReadPositions> {
    let reader: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "it-marks")
        .create()
        .expect("a consumer");
    let (mut all, mut left) = (TopicPartitionList::new(), BTreeMap::new());
    for partition in 0..PARTITIONS {
        let marks = reader.fetch_watermarks(TOPIC, partition, SOON);
        let (low, high) = marks.expect("the watermarks");
        all.add_partition_offset(TOPIC, partition, Offset::Offset(low))
            .expect("an offset");
        if low < high {
            left.insert(partition, high);
        }
    }
    reader.assign(&all).expect("an assignment");
    let mut records = Vec::new();
    until("the end of the topic as it was", SOON, async || {
        while let Some(polled) = reader.poll(Duration::ZERO) {
            let record = polled.expect("a record");
            let end = left.get(&record.partition());
            if end.is_some_and(|end| record.offset() + 1 >= *end) {
                left.remove(&record.partition());
            }
            if record.key() == Some(room.as_bytes()) {
                let value = record.payload().unwrap_or_default();
                records.push(decode_reads(value).expect("a batch of positions"));
            }
        }
        left.is_empty().then_some(())
    })
    .await;
    records
}
