//! Appending records, each with proof.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::{DeliveryResult, Header, Message, OwnedHeaders},
    producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer},
};
use thiserror::Error;
use tokio::sync::{oneshot, watch};

use super::{
    KafkaConfig,
    client::{Events, Failure},
    token,
    topics::LETTER_BYTES_MAX,
};

/// Records that wait for the log; beyond, [`ProduceError::QueueFull`]. Some seconds of a gateway's peak, so that a
/// leader election fills memory no further.
const QUEUE_RECORDS_MAX: &str = "100000";
/// The same in kilobytes, as one record may have 128.
const QUEUE_KBYTES_MAX: &str = "65536";
/// How often the client tells its state, from which readiness is read; there is no other way to learn of the id.
const STATISTICS_INTERVAL_MS: &str = "200";
/// What the state says once the producer id is there. Until then the first send would wait up to half a second.
const ID_ASSIGNED: &[u8] = br#""idemp_state": "Assigned""#;
/// How long the topic's leaders may take to be known before the first send; without them it only is a bit slower.
const WARM_UP: Duration = Duration::from_secs(2);

/// A record to append. All of it is copied.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// Decides the partition; empty for none, which spreads.
    pub key: &'a [u8],
    /// The framed value.
    pub value: &'a [u8],
    /// Its headers.
    pub headers: Headers,
    /// Where it goes. By its key, over all partitions there are by now, when it is not said: only for topics of which
    /// nobody expects that a key stays where it is.
    pub partition: Option<u32>,
}

/// A record's headers, in order. Collect them from pairs of name and value.
#[derive(Debug, Default)]
pub struct Headers(OwnedHeaders);

/// Where a record was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Partition of the topic.
    pub partition: u32,
    /// Offset in that partition; -1 where the log only says that it has the record, after a retry of its own.
    pub offset: i64,
}

/// Why a record has no proof of append.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProduceError {
    /// Too much waits for the log already; the record was not taken.
    #[error("the queue to the log is full")]
    QueueFull,
    /// It may or may not be in the log. Sending the same event again is safe: readers drop the repeat.
    #[error("the log did not acknowledge the record: {0}")]
    Unknown(String),
    /// It is not in the log, as it is larger than the topic takes.
    #[error("the log refused the record for its size: {0}")]
    TooLarge(String),
    /// It is not in the log, and sending it again will not help.
    #[error("the log refused the record: {0}")]
    Refused(String),
}

/// Why there is no producer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConnectError {
    /// A setting the client does not take.
    #[error("kafka setting refused: {0}")]
    Setting(String),
    /// No broker answered in time.
    #[error("kafka at {brokers} did not become ready within {waited:?}")]
    Unreachable {
        /// The bootstrap servers.
        brokers: String,
        /// How long was waited.
        waited: Duration,
    },
    /// The client failed for good.
    #[error("kafka refused the producer: {0}")]
    Failed(String),
}

/// The process's one idempotent producer; a clone is the same one.
#[derive(Clone)]
pub struct Producer {
    client: ThreadedProducer<Reports>,
    failure: Failure,
}

/// Resolves when the log has acknowledged the record, or when its fate is called unknown.
#[derive(Debug)]
pub struct Delivery {
    outcome: oneshot::Receiver<Result<Appended, ProduceError>>,
}

/// Takes the client's delivery reports on its own thread and wakes whoever waits.
struct Reports {
    events: Events,
    ready: watch::Sender<bool>,
}

// === impl Headers ===

impl<N: AsRef<str>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter();
        let headers = OwnedHeaders::new_with_capacity(pairs.size_hint().0);
        Self(pairs.fold(headers, |headers, (name, value)| {
            headers.insert(Header {
                key: name.as_ref(),
                value: Some(value.as_ref()),
            })
        }))
    }
}

// === impl Producer ===

impl Producer {
    /// Connects and waits until the first producer id is there, at most `at_most`; sending is fast from then on.
    ///
    /// # Errors
    /// When a setting is wrong or no broker answers in time.
    pub async fn connect(config: &KafkaConfig, at_most: Duration) -> Result<Self, ConnectError> {
        let began = Instant::now();
        let (events, mut failure) = Events::new();
        let (ready, mut readiness) = watch::channel(false);
        let client: ThreadedProducer<Reports> = settings(config)
            .create_with_context(Reports { events, ready })
            .map_err(|error| ConnectError::Setting(error.to_string()))?;
        let id = tokio::time::timeout(at_most, async {
            tokio::select! {
                _ = readiness.wait_for(|ready| *ready) => Ok(()),
                reason = failure_of(&mut failure) => Err(ConnectError::Failed(reason)),
            }
        });
        id.await.map_err(|_| ConnectError::Unreachable {
            brokers: config.brokers.clone(),
            waited: at_most,
        })??;
        let producer = Self { client, failure };
        producer
            .warm_up(WARM_UP.min(at_most.saturating_sub(began.elapsed())))
            .await;
        Ok(producer)
    }

    /// Hands the record to the client; never blocks. Records with one key are appended in the order of these calls.
    ///
    /// # Errors
    /// At once, when the record was not taken.
    pub fn send(&self, topic: &str, record: Outgoing<'_>) -> Result<Delivery, ProduceError> {
        let (report, outcome) = oneshot::channel();
        let mut base = BaseRecord::with_opaque_to(topic, Box::new(report))
            .payload(record.value)
            .headers(record.headers.0);
        if !record.key.is_empty() {
            base = base.key(record.key);
        }
        if let Some(partition) = record.partition {
            base = base.partition(i32::try_from(partition).unwrap_or(i32::MAX));
        }
        match self.client.send(base) {
            Ok(()) => Ok(Delivery { outcome }),
            Err((error, _)) => Err(match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::QueueFull) => ProduceError::QueueFull,
                _ => not_appended(&error),
            }),
        }
    }

    /// Resolves when this producer has failed for good, with the reason; the process must then restart.
    pub async fn failed(&self) -> String {
        failure_of(&mut self.failure.clone()).await
    }

    /// Waits until everything sent has its outcome, at most `at_most`. `false` when some had none.
    pub async fn drain(&self, at_most: Duration) -> bool {
        let client = self.client.clone();
        let flushed = tokio::task::spawn_blocking(move || client.flush(at_most).is_ok());
        flushed.await.unwrap_or(false)
    }

    /// Records that wait for their acknowledgement.
    pub fn in_flight(&self) -> usize {
        usize::try_from(self.client.in_flight_count()).unwrap_or(0)
    }

    /// Learns the leaders of all topics ahead of the first send. Whether they exist is checked elsewhere.
    async fn warm_up(&self, at_most: Duration) {
        let client = self.client.clone();
        let known = tokio::task::spawn_blocking(move || {
            client.client().fetch_metadata(None, at_most).map(drop)
        });
        if let Ok(Err(error)) = known.await {
            tracing::debug!(%error, "the leaders of the topics are not known yet");
        }
    }
}

fn settings(config: &KafkaConfig) -> rdkafka::ClientConfig {
    let message_timeout_ms = config.message_timeout.as_millis().to_string();
    config.client(&[
        ("enable.idempotence", "true"),
        ("acks", "all"),
        // Places a key as the Java client does, so that Flink and Connect agree on where a room is.
        ("partitioner", "murmur2_random"),
        ("linger.ms", "0"),
        // Dead letters are larger than what they were made of; each topic has its own bound below this one.
        ("message.max.bytes", LETTER_BYTES_MAX),
        ("message.timeout.ms", &message_timeout_ms),
        ("request.timeout.ms", "3000"),
        ("retry.backoff.ms", "50"),
        ("queue.buffering.max.messages", QUEUE_RECORDS_MAX),
        ("queue.buffering.max.kbytes", QUEUE_KBYTES_MAX),
        ("statistics.interval.ms", STATISTICS_INTERVAL_MS),
    ])
}

async fn failure_of(failure: &mut Failure) -> String {
    let reason = match failure.wait_for(Option::is_some).await {
        Ok(reason) => reason.clone(),
        Err(_) => None,
    };
    reason.unwrap_or_else(|| "the producer is gone".into())
}

// === impl Delivery ===

impl Future for Delivery {
    type Output = Result<Appended, ProduceError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.outcome).poll(cx).map(|outcome| {
            outcome.unwrap_or_else(|_| Err(ProduceError::Unknown("the producer is gone".into())))
        })
    }
}

// === impl Reports ===

impl ClientContext for Reports {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, region: Option<&str>) -> token::Answer {
        token::generate(region)
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.events.log(level, facility, message);
    }

    /// Looks for one word instead of parsing, as this goes on for the producer's whole life.
    fn stats_raw(&self, statistics: &[u8]) {
        let assigned = || {
            statistics
                .windows(ID_ASSIGNED.len())
                .any(|part| part == ID_ASSIGNED)
        };
        if !*self.ready.borrow() && assigned() {
            self.ready.send_replace(true);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.events.error(error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<oneshot::Sender<Result<Appended, ProduceError>>>;

    fn delivery(&self, result: &DeliveryResult<'_>, report: Self::DeliveryOpaque) {
        let outcome = match result {
            Ok(message) => Ok(Appended {
                partition: u32::try_from(message.partition()).unwrap_or_default(),
                offset: message.offset().max(-1),
            }),
            Err((error, _)) => Err(not_appended(error)),
        };
        // Whoever gave up waiting does not want to know.
        let _ = report.send(outcome);
    }
}

/// Only what a broker or the client refuses outright is surely not in the log. Everything else may be, or may be taken
/// when it is sent again: a broker that has just started does not know its topics for a moment.
fn not_appended(error: &KafkaError) -> ProduceError {
    use RDKafkaErrorCode as Code;
    if error.rdkafka_error_code() == Some(Code::MessageSizeTooLarge) {
        return ProduceError::TooLarge(error.to_string());
    }
    let refused = matches!(
        error.rdkafka_error_code(),
        Some(
            Code::InvalidTopic
                | Code::TopicAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::InvalidTimestamp
                | Code::PolicyViolation
                | Code::InvalidRecord
        )
    );
    if refused {
        ProduceError::Refused(error.to_string())
    } else {
        ProduceError::Unknown(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_means_every_replica_in_step_and_each_record_once() {
        let settings = settings(&KafkaConfig::new("127.0.0.1:1"));
        assert_eq!(settings.get("acks"), Some("all"));
        assert_eq!(settings.get("enable.idempotence"), Some("true"));
    }

    #[test]
    fn a_timeout_is_unknown_and_never_a_failure() {
        let outcome = |code| not_appended(&KafkaError::MessageProduction(code));
        for code in [
            RDKafkaErrorCode::MessageTimedOut,
            RDKafkaErrorCode::NotEnoughReplicasAfterAppend,
            RDKafkaErrorCode::PurgeInflight,
            RDKafkaErrorCode::Fatal,
        ] {
            assert!(
                matches!(outcome(code), ProduceError::Unknown(_)),
                "{code:?}"
            );
        }
        let too_large = outcome(RDKafkaErrorCode::MessageSizeTooLarge);
        assert!(matches!(too_large, ProduceError::TooLarge(_)));
        let refused = outcome(RDKafkaErrorCode::TopicAuthorizationFailed);
        assert!(matches!(refused, ProduceError::Refused(_)));
    }

    #[tokio::test]
    async fn a_wrong_setting_and_an_absent_broker_are_told_apart() {
        let mut config = KafkaConfig::new("127.0.0.1:1");
        let absent = Producer::connect(&config, Duration::from_millis(50)).await;
        assert!(matches!(
            absent.err(),
            Some(ConnectError::Unreachable { .. })
        ));
        config
            .properties
            .insert("no.such.setting".into(), "1".into());
        let wrong = Producer::connect(&config, Duration::from_millis(50)).await;
        let Some(ConnectError::Setting(reason)) = wrong.err() else {
            panic!("took a setting that does not exist");
        };
        assert!(reason.contains("no.such.setting"), "{reason}");
    }

    #[tokio::test]
    async fn a_delivery_without_its_producer_is_unknown() {
        let (_, outcome) = oneshot::channel();
        assert!(matches!(
            Delivery { outcome }.await,
            Err(ProduceError::Unknown(_))
        ));
    }
}
