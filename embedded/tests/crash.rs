//! The log server is killed again and again while a producer writes: what it acknowledged is there, once and in order.

#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use roomlog_embedded::kafka::{Config, Server};

/// Names the directory and the address to a copy of this program that is to be the server.
const SERVE: &str = "ROOMLOG_EMBEDDED_TEST_SERVE";

const ROUNDS: usize = 8;
const PARTITIONS: i32 = 4;
const ROOMS: usize = 16;
const TOPIC: &str = "crash";

/// Acknowledgements between two kills.
const ACKNOWLEDGED_PER_ROUND: usize = 300;

/// Records sent and not acknowledged yet, so that a stopped server does not fill the producer's queue.
const IN_FLIGHT_MAX: usize = 2000;

const DEADLINE: Duration = Duration::from_secs(90);

/// Where each acknowledged record went.
type Acknowledged = Arc<Mutex<BTreeMap<usize, (i32, i64)>>>;

/// Not a test of its own: run by the other with the variable set, it serves until it is killed.
#[tokio::test(flavor = "multi_thread")]
async fn serves_when_asked_to() {
    let Ok(asked) = std::env::var(SERVE) else {
        return;
    };
    let (addr, dir) = asked.split_once(' ').unwrap();
    let config = Config {
        listen: addr.parse().unwrap(),
        dir: Some(dir.into()),
        ..Config::default()
    };
    let _server = Server::start(config).await.unwrap();
    std::future::pending::<()>().await;
}

fn spawn(addr: SocketAddr, dir: &Path) -> Child {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "serves_when_asked_to", "--nocapture"])
        .env(SERVE, format!("{addr} {}", dir.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the server listens", || TcpStream::connect(addr).is_ok());
    child
}

#[expect(
    clippy::disallowed_methods,
    reason = "it waits for another process, and other threads go on meanwhile"
)]
fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn client(addr: SocketAddr) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", addr.to_string())
        .set("reconnect.backoff.max.ms", "100");
    config
}

async fn create_topic(addr: SocketAddr) {
    let admin: AdminClient<DefaultClientContext> = client(addr).create().unwrap();
    let topic = NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(1))
        .set("message.timestamp.type", "LogAppendTime")
        // Small segments, so that kills fall between and inside of several.
        .set("segment.bytes", "20000");
    let created = admin
        .create_topics(&[topic], &AdminOptions::new())
        .await
        .unwrap();
    assert!(created.iter().all(Result::is_ok), "{created:?}");
}

/// Writes numbered records until told to stop; gives how many.
async fn write(addr: SocketAddr, acknowledged: Acknowledged, stop: Arc<AtomicBool>) -> usize {
    let mut config = client(addr);
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "1")
        .set("compression.type", "lz4")
        .set("message.timeout.ms", "60000")
        .set("retry.backoff.ms", "20");
    let producer: FutureProducer = config.create().unwrap();
    let mut sent = 0;
    let mut waiting = tokio::task::JoinSet::new();
    while !stop.load(Ordering::Relaxed) {
        let (key, value) = (format!("room-{}", sent % ROOMS), sent.to_string());
        let delivery = producer.send_result(FutureRecord::to(TOPIC).key(&key).payload(&value));
        let (delivery, acknowledged, number) = (delivery.unwrap(), Arc::clone(&acknowledged), sent);
        waiting.spawn(async move {
            let delivered = delivery.await.unwrap().unwrap();
            acknowledged
                .lock()
                .unwrap()
                .insert(number, (delivered.partition, delivered.offset));
        });
        sent += 1;
        while waiting.len() >= IN_FLIGHT_MAX {
            waiting.join_next().await.unwrap().unwrap();
        }
        tokio::time::sleep(Duration::from_micros(300)).await;
    }
    while let Some(delivered) = waiting.join_next().await {
        delivered.unwrap();
    }
    producer.flush(DEADLINE).unwrap();
    sent
}

/// All records by place, with key and number.
fn read_all(addr: SocketAddr) -> Vec<((i32, i64), String, usize)> {
    let mut config = client(addr);
    config
        .set("group.id", "crash-reader")
        .set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut records = Vec::new();
    for partition in 0..PARTITIONS {
        let (_, end) = consumer
            .fetch_watermarks(TOPIC, partition, DEADLINE)
            .unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(TOPIC, partition, Offset::Beginning)
            .unwrap();
        consumer.assign(&list).unwrap();
        for offset in 0..end {
            let message = consumer.poll(DEADLINE).unwrap().unwrap();
            assert_eq!((message.partition(), message.offset()), (partition, offset));
            let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
            let number = std::str::from_utf8(message.payload().unwrap())
                .unwrap()
                .parse()
                .unwrap();
            records.push(((partition, offset), key, number));
        }
    }
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kills_once_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let addr = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut server = spawn(addr, dir.path());
    create_topic(addr).await;

    let acknowledged = Acknowledged::default();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(write(addr, Arc::clone(&acknowledged), Arc::clone(&stop)));
    for round in 0..ROUNDS {
        let target = acknowledged.lock().unwrap().len() + ACKNOWLEDGED_PER_ROUND;
        wait_until(&format!("round {round}"), || {
            acknowledged.lock().unwrap().len() >= target
        });
        // On Unix this is SIGKILL.
        server.kill().unwrap();
        server.wait().unwrap();
        server = spawn(addr, dir.path());
    }
    stop.store(true, Ordering::Relaxed);
    let sent = tokio::time::timeout(DEADLINE, writer)
        .await
        .unwrap()
        .unwrap();

    let records = tokio::task::spawn_blocking(move || read_all(addr))
        .await
        .unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    let acknowledged = acknowledged.lock().unwrap();
    assert_eq!(acknowledged.len(), sent);
    let by_number: BTreeMap<usize, (i32, i64)> = records
        .iter()
        .map(|(place, _, number)| (*number, *place))
        .collect();
    assert_eq!(records.len(), by_number.len(), "a record is there twice");
    assert_eq!(by_number, *acknowledged, "places are those acknowledged");
    let mut last: BTreeMap<&str, usize> = BTreeMap::new();
    for (place, key, number) in &records {
        let before = last.insert(key, *number);
        assert!(
            before.is_none_or(|before| before < *number),
            "{key} out of order at {place:?}"
        );
    }
}
