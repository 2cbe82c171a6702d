//! What we use of Kafka.

mod groups;
mod records;
mod topics;

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, StreamConsumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;
use rdkafka::{Offset, TopicPartitionList};

use super::{Failure, Report};

/// How long one call to the broker may take.
const CALL: Duration = Duration::from_secs(15);

/// Makes all checks against the broker at `host:port`.
pub async fn run(addr: &str) -> Report {
    let mut report = Report::default();
    topics::run(addr, &mut report).await;
    records::run(addr, &mut report).await;
    groups::run(addr, &mut report).await;
    report
}

fn client(addr: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", addr);
    config
}

fn admin(addr: &str) -> Result<AdminClient<DefaultClientContext>, Failure> {
    Ok(client(addr).create()?)
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(CALL))
        .operation_timeout(Some(CALL))
}

/// A topic as ours are: the broker's time on every record.
async fn create_topic(addr: &str, name: &str, partitions: i32) -> Result<(), Failure> {
    let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1))
        .set("message.timestamp.type", "LogAppendTime")
        .set("retention.ms", "604800000");
    for created in admin(addr)?.create_topics(&[topic], &options()).await? {
        created.map_err(|(topic, code)| format!("{topic}: {code}"))?;
    }
    Ok(())
}

fn producer(addr: &str, codec: &str) -> Result<FutureProducer, Failure> {
    let mut config = client(addr);
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "1")
        .set("compression.type", codec)
        .set("partitioner", "murmur2_random")
        .set("message.timeout.ms", "30000");
    Ok(config.create()?)
}

/// Sends one record; gives its partition and offset.
async fn send(
    producer: &FutureProducer,
    topic: &str,
    key: &str,
    value: &str,
) -> Result<(i32, i64), Failure> {
    let record = FutureRecord::to(topic).key(key).payload(value);
    let sent = producer.send(record, Timeout::After(CALL)).await;
    let delivery = sent.map_err(|(error, _)| error)?;
    Ok((delivery.partition, delivery.offset))
}

/// A consumer without a group of members, which reads where it is told.
fn reader(addr: &str) -> Result<StreamConsumer, Failure> {
    Ok(reader_config(addr).create()?)
}

fn reader_config(addr: &str) -> ClientConfig {
    let mut config = client(addr);
    config
        .set("group.id", "probe-reader")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("fetch.min.bytes", "1");
    config
}

fn assign(
    consumer: &StreamConsumer,
    topic: &str,
    partition: i32,
    offset: i64,
) -> Result<(), Failure> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(offset))?;
    Ok(consumer.assign(&list)?)
}

/// The first offset and the one after the last.
async fn watermarks(addr: &str, topic: &str, partition: i32) -> Result<(i64, i64), Failure> {
    let topic = topic.to_owned();
    blocking(addr, move |consumer| {
        Ok(consumer.fetch_watermarks(&topic, partition, CALL)?)
    })
    .await
}

/// Asks the broker by one of the client's blocking calls.
async fn blocking<T: Send + 'static>(
    addr: &str,
    ask: impl FnOnce(BaseConsumer) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let consumer: BaseConsumer = reader_config(addr).create()?;
    tokio::task::spawn_blocking(move || ask(consumer)).await?
}
