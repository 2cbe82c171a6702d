//! Records as any client of Kafka sees them: appending one to the rooms' log, and reading the dead letters.

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    message::{Header, Headers as _, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use roomlog_core::{
    event::{Body, Event, Sender},
    ids::{MessageId, RoomKey, UserId},
};

use super::wait::{SOON, until};

/// The rooms' log.
pub(crate) const EVENTS: &str = "chat.events.v1";
/// What nobody could read.
pub(crate) const DEAD_LETTERS: &str = "chat.dlq.v1";
/// How many either has, by the harness's settings.
const PARTITIONS: i32 = 6;
/// Fanout and persister put a record aside each for itself.
const LETTERS: usize = 2;

/// A record as it lies in a topic.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Raw {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

/// Appends a record to the rooms' log, where any client of Kafka would; its partition and offset.
pub(crate) async fn append(brokers: &str, record: &Raw) -> (i32, i64) {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("partitioner", "murmur2_random")
        .create()
        .expect("a producer");
    let headers = record
        .headers
        .iter()
        .fold(OwnedHeaders::new(), |headers, (key, value)| {
            let value = Some(value);
            headers.insert(Header { key, value })
        });
    let record = FutureRecord::to(EVENTS)
        .key(&record.key)
        .payload(&record.value)
        .headers(headers);
    let delivery = producer.send(record, SOON).await.expect("it is appended");
    (delivery.partition, delivery.offset)
}

/// Appends an event as a program that does not ask a gateway.
pub(crate) async fn append_event(brokers: &str, room: &str, sender: &str, id: &str, body: Body) {
    let event = Event {
        key: RoomKey::parse(room).expect("a room"),
        id: MessageId::parse(id).expect("an id"),
        sender: Sender {
            id: UserId::parse(sender).expect("a user"),
            name: sender.to_owned(),
            avatar: None,
        },
        body,
        headers: Vec::new(),
        by_admin: false,
    };
    let headers = roomlog_schemas::headers(&event, "elsewhere", None).into_iter();
    let record = Raw {
        key: room.as_bytes().to_vec(),
        value: roomlog_schemas::encode_event(&event).to_vec(),
        headers: headers
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    };
    append(brokers, &record).await;
}

/// The dead letters with this key, empty where they have none, once all are there.
pub(crate) async fn letters_of(brokers: &str, key: &[u8]) -> Vec<Raw> {
    let reader: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "it-letters")
        .create()
        .expect("a consumer");
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        all.add_partition_offset(DEAD_LETTERS, partition, Offset::Beginning)
            .expect("an offset");
    }
    reader.assign(&all).expect("an assignment");
    let mut letters = Vec::new();
    until("the dead letters", SOON, async || {
        while let Some(polled) = reader.poll(std::time::Duration::ZERO) {
            let letter = polled.expect("a record");
            if letter.key().unwrap_or_default() != key {
                continue;
            }
            let headers = letter.headers().expect("headers").iter();
            letters.push(Raw {
                key: key.to_vec(),
                value: letter.payload().unwrap_or_default().to_vec(),
                headers: headers
                    .map(|header| {
                        let value = header.value.expect("a value");
                        (header.key.to_owned(), value.to_vec())
                    })
                    .collect(),
            });
        }
        (letters.len() >= LETTERS).then_some(())
    })
    .await;
    letters
}
