//! A reader against the client library's own mock brokers, which fail as they are told.

use std::time::Duration;

use rdkafka::{
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};

use super::*;
use crate::kafka::{DEAD_LETTER_TRUNCATED_HEADER, DEAD_LETTERS_TOPIC, Outgoing, Producer};

const TOPIC: &str = "events";
/// Longer than anything here takes on a busy machine.
const SOON: Duration = Duration::from_secs(30);
/// More fetches than happen until the error they bring is told.
const REFUSALS: usize = 20;

type Brokers = MockCluster<'static, DefaultProducerContext>;

struct Scene {
    brokers: Brokers,
    reader: Reader,
    producer: Producer,
}

impl Scene {
    async fn with_partitions(partitions: i32) -> Self {
        let brokers = MockCluster::new(1).expect("a mock broker");
        brokers
            .create_topic(TOPIC, partitions, 1)
            .expect("a new topic");
        let config = KafkaConfig::new(brokers.bootstrap_servers());
        Self {
            reader: Reader::new(&config, TOPIC, "nobody").expect("good settings"),
            producer: Producer::connect(&config, SOON)
                .await
                .expect("the broker answers"),
            brokers,
        }
    }

    async fn append(&self, partition: u32, value: &[u8]) {
        let record = Outgoing {
            key: b"room",
            value,
            headers: Default::default(),
            partition: Some(partition),
        };
        let sent = self.producer.send(TOPIC, record).expect("taken");
        sent.await.expect("appended");
    }
}

async fn records(stream: &mut PartitionStream) -> Result<Vec<LogRecord>, ReadError> {
    let read = async {
        loop {
            let batch = stream.next_batch(10).await?;
            if !batch.records.is_empty() {
                return Ok(batch.records);
            }
        }
    };
    tokio::time::timeout(SOON, read)
        .await
        .expect("news of the partition in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_can_be_opened_again_once_the_log_lets_us_read_again() {
    let scene = Scene::with_partitions(1).await;
    scene.append(0, b"one").await;
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    scene
        .brokers
        .request_errors(RDKafkaApiKey::Fetch, &[refused; REFUSALS]);
    let mut stream = scene.reader.open(0, 0);
    let error = records(&mut stream).await.err();
    assert!(matches!(error, Some(ReadError::Refused(_))), "{error:?}");
    scene.brokers.clear_request_errors(RDKafkaApiKey::Fetch);
    let mut again = scene.reader.open(0, 0);
    let read = records(&mut again).await.expect("the log lets us read");
    assert_eq!(&read[0].value[..], b"one");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_stream_outside_the_log_is_told_so_even_one_opened_during_an_inquiry() {
    let scene = Scene::with_partitions(4).await;
    scene.append(3, b"one").await;
    let mut inside = scene.reader.open(3, 0);
    let mut outside: Vec<_> = (0..3)
        .map(|partition| scene.reader.open(partition, 100))
        .collect();
    for stream in &mut outside {
        let error = records(stream).await.err();
        assert!(
            matches!(error, Some(ReadError::OutOfRange { offset: 100, .. })),
            "{error:?}"
        );
        // The next one's inquiry may still run.
        *stream = scene.reader.open(stream.partition(), 50);
    }
    for stream in &mut outside {
        let error = records(stream).await.err();
        assert!(
            matches!(error, Some(ReadError::OutOfRange { offset: 50, .. })),
            "{error:?}"
        );
    }
    assert_eq!(records(&mut inside).await.expect("inside").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_fail_when_the_reader_breaks_down() {
    let scene = Scene::with_partitions(1).await;
    let mut before = scene.reader.open(0, 0);
    scene.reader.inner.task.abort();
    let failed = records(&mut before).await.err();
    assert!(matches!(failed, Some(ReadError::Fatal(_))), "{failed:?}");
    let mut after = scene.reader.open(0, 0);
    let failed = records(&mut after).await.err();
    assert!(matches!(failed, Some(ReadError::Fatal(_))), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_too_large_for_the_dead_letter_topic_leaves_its_place_there() {
    let scene = Scene::with_partitions(1).await;
    let config = KafkaConfig::new(scene.brokers.bootstrap_servers());
    scene
        .brokers
        .create_topic(DEAD_LETTERS_TOPIC, 1, 1)
        .expect("a new topic");
    let value = vec![7; 3 << 20];
    let record = LogRecord::new((5, 77), 0, b"room", &value, std::iter::empty());
    let put = scene.producer.put_aside(TOPIC, &record, "no event").await;
    put.expect("size is no reason");
    let letters = Reader::new(&config, DEAD_LETTERS_TOPIC, "nobody").expect("good settings");
    let letter = &records(&mut letters.open(0, 0)).await.expect("a letter")[0];
    let header = |wanted: &str| {
        let found = letter.headers().find(|(name, _)| *name == wanted);
        String::from_utf8_lossy(found.expect("a header of every letter").1).into_owned()
    };
    assert!(letter.value.is_empty());
    assert_eq!(
        header(DEAD_LETTER_TRUNCATED_HEADER),
        value.len().to_string()
    );
    assert_eq!(
        (header("dlq.partition"), header("dlq.offset")),
        ("5".into(), "77".into())
    );
}
