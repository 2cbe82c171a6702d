//! Belonging to a consumer group: learning which partitions are ours.
//!
//! The consumer has a thread of its own, as the client calls back from within a poll and waits meanwhile. The
//! partitions it is given are paused before anything is fetched.

mod group;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rdkafka::consumer::{BaseConsumer, Consumer};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use self::group::Group;
use super::KafkaConfig;

/// Changes that wait for the service. When it is this far behind, the thread waits for it and, after
/// [`POLL_INTERVAL_MAX_MS`], the group gives our partitions to another.
const REBALANCES_MAX: usize = 16;
/// How soon the group notices that a process died. Shorter ones are refused by brokers with default settings.
const SESSION_TIMEOUT_MS: &str = "6000";
/// Well below a third of the session, so that two lost heart-beats do not end it; and the longest until a member hears
/// of a rebalance.
const HEARTBEAT_INTERVAL_MS: &str = "500";
/// How long a service may keep the thread waiting, for example by not draining, before the group goes on without it.
const POLL_INTERVAL_MAX_MS: &str = "60000";

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: String,
    /// The partition.
    pub partition: u32,
}

/// A change of what is ours.
#[derive(Debug)]
pub enum Rebalance {
    /// These are ours from now on, in addition to what was.
    Assigned(Vec<TopicPartition>),
    /// These are about to be another's. Finish what was begun, commit, then drop the [`Released`]: the group waits
    /// for it, though no longer than [`DRAIN_WAIT_MAX`].
    Revoked(Vec<TopicPartition>, Released),
    /// These may be another's already, as we were too slow to answer the group. Stop; a commit would be refused.
    Lost(Vec<TopicPartition>),
    /// Membership is over for good, for example as another process took our instance id. The last change.
    Failed(String),
}

pub use self::group::DRAIN_WAIT_MAX;

/// Dropped by the service when the revoked partitions are drained.
#[derive(Debug)]
pub struct Released {
    /// Never sent on: that it is gone is the message.
    _drained: std::sync::mpsc::SyncSender<()>,
}

/// Why a group could not be joined.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum JoinError {
    /// A setting the client does not take.
    #[error("kafka setting refused: {0}")]
    Setting(String),
    /// No thread could be started for it.
    #[error("no thread for the group membership: {0}")]
    Thread(String),
}

/// A place in a consumer group. Dropping it closes it without waiting.
pub struct Membership {
    shared: Arc<Shared>,
    closed: oneshot::Receiver<()>,
}

/// What the service tells the thread.
#[derive(Default)]
struct Shared {
    /// The latest hint of each partition; as many as the topics have partitions.
    hints: Mutex<BTreeMap<TopicPartition, i64>>,
    closing: AtomicBool,
}

// === impl Membership ===

impl Membership {
    /// Joins. With an instance id the place outlives a restart that is shorter than the session time-out.
    ///
    /// # Errors
    /// When a setting is wrong. An unreachable broker is no error: the first assignment comes when it answers.
    pub fn join(
        config: &KafkaConfig,
        group: &str,
        topics: &[&str],
        instance_id: Option<&str>,
    ) -> Result<(Self, mpsc::Receiver<Rebalance>), JoinError> {
        let setting = |error: rdkafka::error::KafkaError| JoinError::Setting(error.to_string());
        let (changes, rebalances) = mpsc::channel(REBALANCES_MAX);
        let shared = Arc::new(Shared::default());
        let member = Group::new(changes, Arc::clone(&shared));
        let consumer: BaseConsumer<Group> = settings(config, group, instance_id)
            .create_with_context(member)
            .map_err(setting)?;
        consumer.subscribe(topics).map_err(setting)?;
        let (done, closed) = oneshot::channel();
        std::thread::Builder::new()
            .name("kafka-group".into())
            .spawn(move || {
                group::run(&consumer);
                // Closing the consumer leaves the group, unless an instance id keeps the place.
                drop(consumer);
                let _ = done.send(());
            })
            .map_err(|error| JoinError::Thread(error.to_string()))?;
        Ok((Self { shared, closed }, rebalances))
    }

    /// Says how far a partition is done: the offset to go on at. A hint for humans and lag monitors, written within
    /// a second or so while the partition is ours; what counts is stored with the data.
    pub fn commit(&self, topic: &str, partition: u32, next_offset: i64) {
        let place = TopicPartition {
            topic: topic.to_owned(),
            partition,
        };
        self.shared
            .hints
            .lock()
            .expect(UNPOISONED)
            .insert(place, next_offset);
    }

    /// Writes pending hints and closes: without an instance id the group is left at once, with one the place is kept
    /// until the session time-out. Call it after the partitions are drained. Gives up after `at_most`; the thread
    /// then ends on its own.
    pub async fn close(mut self, at_most: Duration) {
        self.shared.closing.store(true, Ordering::Release);
        if tokio::time::timeout(at_most, &mut self.closed)
            .await
            .is_err()
        {
            tracing::warn!(
                "the group was not told in time that we leave; it will notice by itself"
            );
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
    }
}

/// Nothing panics while it holds one of our locks.
const UNPOISONED: &str = "no holder of this lock panics";

fn settings(config: &KafkaConfig, group: &str, instance_id: Option<&str>) -> rdkafka::ClientConfig {
    let mut client = config.client(&[
        ("group.id", group),
        // The newer group protocol stalls with this client.
        ("group.protocol", "classic"),
        ("partition.assignment.strategy", "cooperative-sticky"),
        ("session.timeout.ms", SESSION_TIMEOUT_MS),
        ("heartbeat.interval.ms", HEARTBEAT_INTERVAL_MS),
        ("max.poll.interval.ms", POLL_INTERVAL_MAX_MS),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        // What it would start at does not matter, as it reads nothing.
        ("auto.offset.reset", "latest"),
    ]);
    if let Some(instance_id) = instance_id {
        client.set("group.instance.id", instance_id);
    }
    client
}
