//! Making the topics, and holding them to what was recorded when they were made.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::try_join_all;
use rdkafka::{
    ClientContext,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
};
use thiserror::Error;
use tokio::time::Instant;

use super::{
    DEAD_LETTERS_TOPIC, KafkaConfig,
    admin::{Admin, Setting},
    token,
};

/// How long one request to the brokers may take.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a new topic may take to be ready to be written to.
const NEW_WAIT_MAX: Duration = Duration::from_secs(30);
/// How long a broker may take to know a topic, with its settings, that another one knows: each learns of it by itself, a
/// moment after the controller made it.
const KNOWN_WAIT_MAX: Duration = Duration::from_secs(5);
/// How often a broker is asked meanwhile.
const POLL_EVERY: Duration = Duration::from_millis(50);

/// Bytes of a record in our topics, Kafka's own default; a foreign producer's larger one is refused by the broker.
const RECORD_BYTES_MAX: &str = "1048588";

/// Bytes of a dead letter: the largest record there can be, with the headers that say where it came from.
pub(super) const LETTER_BYTES_MAX: &str = "2097152";

/// A topic as it is to be made. Fixed for its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: String,
    /// How many partitions.
    pub partition_count: u32,
    /// Copies of each partition.
    pub replication: u16,
    /// Copies that must have a record before it is acknowledged.
    pub min_insync: u16,
    /// How long records are kept.
    pub retention: Duration,
}

/// What creating did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// The topic is new.
    Created,
    /// It was there; nothing was changed.
    Existed,
}

/// A topic as the brokers describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// How many partitions.
    pub partition_count: u32,
    /// Copies of each partition.
    pub replication: u16,
    /// Whether every partition can be written to.
    pub all_led: bool,
    /// Whether records carry the broker's append time, as the numbering asks.
    pub log_append_time: bool,
    /// How long records are kept, in milliseconds; -1 is for ever.
    pub retention_ms: i64,
}

/// Why a topic can't be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TopicError {
    /// It does not exist.
    #[error("topic {0} does not exist; `roomlog topics create` makes it")]
    Missing(String),
    /// Its partition count is not what was recorded when it was made.
    #[error(
        "topic {topic} has {found} partitions, recorded at its creation were {recorded}; more partitions need a new topic"
    )]
    PartitionCount {
        /// Its name.
        topic: String,
        /// As recorded.
        recorded: u32,
        /// As the brokers say.
        found: u32,
    },
    /// Records carry their producer's clock instead of the broker's.
    #[error(
        "topic {0} does not use LogAppendTime, on which finding retries depends: set its message.timestamp.type"
    )]
    NotAppendTime(String),
    /// Some of its partitions can't be written to.
    #[error("topic {0} has partitions without a leader")]
    Leaderless(String),
    /// A broker does not do what was asked.
    #[error("topic {topic} was refused: {reason}")]
    Refused {
        /// Its name.
        topic: String,
        /// What the broker said.
        reason: String,
    },
    /// A setting the client does not take.
    #[error("kafka setting refused: {0}")]
    Setting(String),
    /// No broker answered in time.
    #[error("kafka did not answer: {0}")]
    Unavailable(String),
}

// === impl Described ===

impl Described {
    /// Refuses a topic that is not what was recorded when it was made.
    ///
    /// # Errors
    /// When it differs.
    pub fn check(&self, topic: &str, recorded_partition_count: u32) -> Result<(), TopicError> {
        if self.partition_count != recorded_partition_count {
            return Err(TopicError::PartitionCount {
                topic: topic.to_owned(),
                recorded: recorded_partition_count,
                found: self.partition_count,
            });
        }
        self.has_append_time(topic)
    }

    /// The same topic, if it can be written to.
    fn ready(self, topic: &str) -> Result<Self, TopicError> {
        if !self.all_led {
            return Err(TopicError::Leaderless(topic.to_owned()));
        }
        self.has_append_time(topic)?;
        Ok(self)
    }

    fn has_append_time(&self, topic: &str) -> Result<(), TopicError> {
        match self.log_append_time {
            true => Ok(()),
            false => Err(TopicError::NotAppendTime(topic.to_owned())),
        }
    }
}

// === impl TopicError ===

impl TopicError {
    /// Whether the same question may have another answer a moment after the topic was made.
    fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Missing(_) | Self::NotAppendTime(_) | Self::Leaderless(_)
        )
    }
}

/// Events looked through for the reason of a failure: the client's log lines come among them, and it says little more
/// than one reason an attempt.
const EVENTS_LOOKED_AT_MAX: usize = 64;

/// Looks at metadata, fetches its token when it is polled, and keeps what went wrong first.
#[derive(Default)]
struct Looking {
    complaint: Mutex<Option<String>>,
}

impl ClientContext for Looking {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, region: Option<&str>) -> token::Answer {
        token::generate(region)
    }

    fn error(&self, _: KafkaError, reason: &str) {
        let mut complaint = self
            .complaint
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        complaint.get_or_insert_with(|| reason.to_owned());
    }
}

impl ConsumerContext for Looking {}

/// A failed sign-in or handshake is an event beside the time-out it leads to.
fn explained(client: &BaseConsumer<Looking>, error: &KafkaError) -> TopicError {
    for _ in 0..EVENTS_LOOKED_AT_MAX {
        let _ = client.poll(Duration::ZERO);
    }
    let complaint = client.context().complaint.lock();
    match &*complaint.unwrap_or_else(PoisonError::into_inner) {
        Some(reason) => TopicError::Unavailable(reason.clone()),
        None => TopicError::Unavailable(error.to_string()),
    }
}

/// Makes those that don't exist, and waits until every partition has a leader. The answers, with what the brokers have
/// now, are in the order of `topics`.
///
/// # Errors
/// When a topic is refused, was made otherwise before, or the brokers don't answer; topics before it may have been made.
pub async fn create(
    config: &KafkaConfig,
    topics: &[TopicSpec],
) -> Result<Vec<(Creation, Described)>, TopicError> {
    let mut admin = Admin::connect(config).await?;
    let mut creations = Vec::with_capacity(topics.len());
    for topic in topics {
        creations.push(create_one(&mut admin, topic).await?);
    }
    aside(admin);
    let found = topics.iter().map(|topic| {
        let ready = |found: Described| found.ready(&topic.name);
        described(config, &topic.name, NEW_WAIT_MAX, ready)
    });
    let found = try_join_all(found).await?;
    Ok(creations.into_iter().zip(found).collect())
}

/// Asks the brokers about a topic.
///
/// # Errors
/// When it does not exist or the brokers don't answer.
pub async fn describe(config: &KafkaConfig, topic: &str) -> Result<Described, TopicError> {
    let settings = async {
        let mut admin = Admin::connect(config).await?;
        let settings = admin.settings(topic).await;
        aside(admin);
        settings
    };
    let (partitions, settings) = tokio::join!(partitions(config, topic), settings);
    // Where both fail, the partitions' failure says more.
    let (partitions, settings) = (partitions?, settings?);
    Ok(Described {
        partition_count: partitions.count,
        replication: partitions.replication,
        all_led: partitions.all_led,
        log_append_time: setting(&settings, "message.timestamp.type") == Some("LogAppendTime"),
        retention_ms: setting(&settings, "retention.ms")
            .and_then(|text| text.parse().ok())
            .unwrap_or(-1),
    })
}

/// Refuses a topic that is not what was recorded when it was made.
///
/// # Errors
/// When it differs, does not exist or the brokers don't answer.
pub async fn check(
    config: &KafkaConfig,
    topic: &str,
    recorded_partition_count: u32,
) -> Result<(), TopicError> {
    let check = |found: Described| found.check(topic, recorded_partition_count);
    described(config, topic, KNOWN_WAIT_MAX, check).await
}

/// Lets go of a client, of which some take a tenth of a second for it, without anybody waiting.
fn aside<T: Send + 'static>(client: T) {
    drop(tokio::task::spawn_blocking(move || drop(client)));
}

async fn create_one(admin: &mut Admin, topic: &TopicSpec) -> Result<Creation, TopicError> {
    let (min_insync, retention_ms) = (
        topic.min_insync.to_string(),
        topic.retention.as_millis().to_string(),
    );
    // A dead letter is a record and why it is one, so it needs more room than any record that is read.
    let record_bytes_max = if topic.name == DEAD_LETTERS_TOPIC {
        LETTER_BYTES_MAX
    } else {
        RECORD_BYTES_MAX
    };
    let settings = [
        ("min.insync.replicas", &*min_insync),
        // A replica that missed acknowledged records never becomes the leader.
        ("unclean.leader.election.enable", "false"),
        // The window of retries is measured by the broker's clock, and that must not run ahead of retention.
        ("message.timestamp.type", "LogAppendTime"),
        ("max.message.bytes", record_bytes_max),
        ("cleanup.policy", "delete"),
        ("retention.ms", &*retention_ms),
        ("retention.bytes", "-1"),
    ];
    admin.create(topic, &settings).await
}

/// What the brokers' metadata say of a topic's partitions.
struct Partitions {
    count: u32,
    replication: u16,
    all_led: bool,
}

async fn partitions(config: &KafkaConfig, topic: &str) -> Result<Partitions, TopicError> {
    let client: BaseConsumer<Looking> = config
        .client(&[])
        .create_with_context(Looking::default())
        .map_err(|error| TopicError::Setting(error.to_string()))?;
    let name = topic.to_owned();
    let answer = tokio::task::spawn_blocking(move || {
        // Serves the question for a token, where there is one; nothing is subscribed to.
        let _ = client.poll(Duration::ZERO);
        let metadata = client
            .fetch_metadata(Some(&name), REQUEST_TIMEOUT)
            .map_err(|error| explained(&client, &error));
        aside(client);
        let metadata = metadata?;
        let topic = metadata.topics().first();
        let code = topic.and_then(|topic| topic.error());
        if let Some(refusal) = code.and_then(|code| refusal(&name, code.into())) {
            return Err(refusal);
        }
        let partitions = topic.map(|topic| topic.partitions()).unwrap_or_default();
        Ok(Partitions {
            count: u32::try_from(partitions.len()).unwrap_or(u32::MAX),
            replication: partitions.first().map_or(0, |first| {
                u16::try_from(first.replicas().len()).unwrap_or(u16::MAX)
            }),
            all_led: partitions.iter().all(|partition| partition.leader() >= 0),
        })
    });
    let answer: Result<Partitions, TopicError> = answer
        .await
        .map_err(|error| TopicError::Unavailable(error.to_string()))?;
    let partitions = answer?;
    if partitions.count == 0 {
        return Err(TopicError::Missing(topic.to_owned()));
    }
    Ok(partitions)
}

/// What metadata say in a topic's place that is no absence; all else passes, or is one.
fn refusal(topic: &str, code: RDKafkaErrorCode) -> Option<TopicError> {
    (code == RDKafkaErrorCode::TopicAuthorizationFailed).then(|| TopicError::Refused {
        topic: topic.to_owned(),
        reason: code.to_string(),
    })
}

/// Describes a topic until it is acceptable, or is not for a reason that does not pass.
async fn described<T>(
    config: &KafkaConfig,
    topic: &str,
    at_most: Duration,
    accept: impl Fn(Described) -> Result<T, TopicError>,
) -> Result<T, TopicError> {
    let deadline = Instant::now() + at_most;
    loop {
        match describe(config, topic).await.and_then(&accept) {
            Err(error) if error.may_pass() && Instant::now() < deadline => {
                tokio::time::sleep(POLL_EVERY).await;
            }
            answer => return answer,
        }
    }
}

fn setting<'a>(settings: &'a [Setting], name: &str) -> Option<&'a str> {
    let (_, value) = settings.iter().find(|(found, _)| found == name)?;
    value.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_may_not_be_looked_at_is_not_said_to_be_missing() {
        let refused = refusal("t", RDKafkaErrorCode::TopicAuthorizationFailed);
        let said = refused.map(|error| error.to_string()).unwrap_or_default();
        let begins = "topic t was refused: TopicAuthorizationFailed";
        assert!(said.starts_with(begins), "{said}");
        assert_eq!(refusal("t", RDKafkaErrorCode::LeaderNotAvailable), None);
    }

    #[test]
    fn a_topic_must_be_what_was_recorded() {
        let described = Described {
            partition_count: 12,
            replication: 3,
            all_led: true,
            log_append_time: true,
            retention_ms: -1,
        };
        assert!(described.check("t", 12).is_ok());
        let grown = described.check("t", 8);
        assert!(matches!(
            grown,
            Err(TopicError::PartitionCount {
                recorded: 8,
                found: 12,
                ..
            })
        ));
        let create_time = Described {
            log_append_time: false,
            ..described
        };
        assert_eq!(
            create_time.check("t", 12),
            Err(TopicError::NotAppendTime("t".into()))
        );
    }
}
