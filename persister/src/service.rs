//! The instance: reaches log and store, joins the group, and keeps an owner per assigned partition.

use std::{sync::Arc, time::Duration};

use roomlog_platform::{
    backoff::Backoff,
    config::Config,
    dynamo::{Store, StoreError},
    kafka::{
        ConnectError, EVENTS_TOPIC, JoinError, KafkaConfig, Membership, Producer, READS_TOPIC,
        ReadError, Reader, Rebalance, TopicPartition,
        topics::{self, TopicError},
    },
    readiness::{Condition, Readiness},
    redis::{Cache, CacheError},
    shutdown::Shutdown,
};
use thiserror::Error;
use tokio::sync::mpsc;

use crate::{
    metrics,
    owner::{OwnerError, Resources},
    owners::{Finished, Owners},
    readers::ReaderSets,
    shelf::Shelf,
};

/// The consumer groups of the two topics, whose offsets are a hint for people and lag monitors. They are two, as the
/// assignment evens out how many partitions each instance of a group has, not of which topic: in one group, all events
/// could fall to one instance and all read positions to another.
const EVENTS_GROUP: &str = "persister";
const READS_GROUP: &str = "persister-reads";
/// How long one attempt to reach the log may take at the start.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Waits between attempts to reach log and store at the start: they may start together with this instance.
const RETRY_FLOOR: Duration = Duration::from_millis(100);
/// The longest of those waits.
const RETRY_CEILING: Duration = Duration::from_secs(3);
/// How often offsets are committed.
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);
/// How long leaving the group may take.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the sets of readers may take to be brought up to date at the end. What is left makes the sets doubtful when
/// the next owner begins.
const READERS_WAIT: Duration = Duration::from_secs(1);

/// Why the persister does not run.
#[derive(Debug, Error)]
pub enum RunError {
    /// The topic was never recorded.
    #[error(
        "topic {EVENTS_TOPIC} is not recorded in the store; `roomlog topics create` makes and records it"
    )]
    NotRecorded,
    /// The topic is not what was recorded.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The cache's address can't be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The log can't be written.
    #[error(transparent)]
    Producer(#[from] ConnectError),
    /// The log can't be read.
    #[error(transparent)]
    Reader(#[from] ReadError),
    /// The group can't be joined.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The group threw this instance out for good.
    #[error("membership of the group ended: {0}")]
    Membership(String),
    /// An owner broke down in a way that only a new process may mend.
    #[error("partition {partition} of {topic} can't be stored any more: {reason}")]
    Owner {
        /// The topic.
        topic: String,
        /// Its partition.
        partition: u32,
        /// What its owner said.
        reason: String,
    },
    /// The producer ended.
    #[error("the log can't be written any more: {0}")]
    ProducerFailed(String),
}

/// What the instance waits for.
enum Event {
    Rebalance(Option<Rebalance>),
    OwnerEnded(TopicPartition, Result<(), OwnerError>),
    Commit,
    ProducerFailed(String),
    Stop,
}

/// Runs a persister until the shutdown, then brings what was begun to its end and hands its partitions over.
///
/// It is ready once log and store were reached and the group is joined. It stays so while the store does not answer:
/// nothing is lost meanwhile, and a restart would not help.
///
/// # Errors
/// When it can't start, or when its place in the group or its producer is lost for good.
pub async fn run(
    config: &Config,
    readiness: &Readiness,
    shutdown: &Shutdown,
) -> Result<(), RunError> {
    metrics::describe();
    let ready = readiness.condition("persister");
    let behind = Shutdown::default();
    let readers = ReaderSets::start(Cache::connect(&config.redis)?, &behind);
    let Some(resources) = start(config, readers, shutdown).await? else {
        return Ok(());
    };
    let (groups, mut rebalances) = Groups::join(config, &resources.topic.topic)?;
    let producer = resources.producer.clone();
    let mut instance = Instance {
        groups: &groups,
        owners: Owners::new(Arc::new(resources)),
        ready,
    };
    instance.ready.holds();
    let outcome = instance.serve(&mut rebalances, &producer, shutdown).await;
    instance.drain(config.process.stop_timeout.0).await;
    // The group lets go of a member whose receiver is gone, so it is kept until the last commit is made.
    groups.close().await;
    drop(rebalances);
    behind.begin();
    behind.finished(READERS_WAIT).await;
    outcome
}

/// The places in both groups.
struct Groups {
    events: Membership,
    reads: Membership,
}

/// What both groups tell of.
struct Rebalances {
    events: mpsc::Receiver<Rebalance>,
    reads: mpsc::Receiver<Rebalance>,
}

/// A running instance.
struct Instance<'a> {
    groups: &'a Groups,
    owners: Owners,
    ready: Condition,
}

/// Reaches log and store, and holds the topic to what was recorded; `None` when told to stop meanwhile.
async fn start(
    config: &Config,
    readers: ReaderSets,
    shutdown: &Shutdown,
) -> Result<Option<Resources>, RunError> {
    let kafka = KafkaConfig::from(&config.kafka);
    let store = Store::connect(&config.dynamodb).await;
    let mut backoff = Backoff::between(RETRY_FLOOR, RETRY_CEILING);
    loop {
        let attempt = tokio::select! {
            attempt = reach(&kafka, &store, &readers) => attempt,
            () = shutdown.begun() => return Ok(None),
        };
        match attempt {
            Err(error) if is_passing(&error) => {
                tracing::warn!(%error, "waiting for log and store");
                backoff.wait().await;
            }
            started => return started.map(Some),
        }
    }
}

fn is_passing(error: &RunError) -> bool {
    match error {
        RunError::Topic(TopicError::Unavailable(_))
        | RunError::Producer(ConnectError::Unreachable { .. }) => true,
        RunError::Store(error) => error.is_transient(),
        _ => false,
    }
}

async fn reach(
    kafka: &KafkaConfig,
    store: &Store,
    readers: &ReaderSets,
) -> Result<Resources, RunError> {
    let topic = store.events_topic().await?.ok_or(RunError::NotRecorded)?;
    let (checked, producer) = tokio::join!(
        topics::check(kafka, &topic.topic, topic.partition_count),
        Producer::connect(kafka, CONNECT_TIMEOUT),
    );
    checked?;
    Ok(Resources {
        shelf: Shelf::new(store.clone(), &topic.topic),
        readers: readers.clone(),
        events: Reader::new(kafka, &topic.topic, EVENTS_GROUP)?,
        reads: Reader::new(kafka, READS_TOPIC, READS_GROUP)?,
        producer: producer?,
        topic,
    })
}

// === impl Groups ===

impl Groups {
    fn join(config: &Config, events_topic: &str) -> Result<(Self, Rebalances), JoinError> {
        let kafka = KafkaConfig::from(&config.kafka);
        let id = config.process.instance_id.as_deref();
        let (events, of_events) = Membership::join(&kafka, EVENTS_GROUP, &[events_topic], id)?;
        let (reads, of_reads) = Membership::join(&kafka, READS_GROUP, &[READS_TOPIC], id)?;
        let rebalances = Rebalances {
            events: of_events,
            reads: of_reads,
        };
        Ok((Self { events, reads }, rebalances))
    }

    fn commit(&self, place: &TopicPartition, next_offset: i64) {
        let membership = if place.topic == READS_TOPIC {
            &self.reads
        } else {
            &self.events
        };
        membership.commit(&place.topic, place.partition, next_offset);
    }

    async fn close(self) {
        tokio::join!(
            self.events.close(LEAVE_TIMEOUT),
            self.reads.close(LEAVE_TIMEOUT)
        );
    }
}

// === impl Rebalances ===

impl Rebalances {
    /// The next change of either; `None` when one of the groups tells nothing any more.
    async fn next(&mut self) -> Option<Rebalance> {
        tokio::select! {
            rebalance = self.events.recv() => rebalance,
            rebalance = self.reads.recv() => rebalance,
        }
    }
}

// === impl Instance ===

impl Instance<'_> {
    async fn serve(
        &mut self,
        rebalances: &mut Rebalances,
        producer: &Producer,
        shutdown: &Shutdown,
    ) -> Result<(), RunError> {
        let mut commits = tokio::time::interval(COMMIT_INTERVAL);
        let failed = producer.failed();
        tokio::pin!(failed);
        loop {
            let event = tokio::select! {
                rebalance = rebalances.next() => Event::Rebalance(rebalance),
                Some((place, ended)) = self.owners.ended() => Event::OwnerEnded(place, ended),
                _ = commits.tick() => Event::Commit,
                reason = &mut failed => Event::ProducerFailed(reason),
                () = shutdown.begun() => Event::Stop,
            };
            match event {
                Event::Rebalance(None) => {
                    return Err(RunError::Membership("it was closed".into()));
                }
                Event::Rebalance(Some(Rebalance::Failed(reason))) => {
                    return Err(RunError::Membership(reason));
                }
                Event::Rebalance(Some(rebalance)) => self.rebalanced(rebalance),
                Event::OwnerEnded(place, ended) => {
                    self.finish(&place);
                    ended.map_err(|error| RunError::Owner {
                        topic: place.topic,
                        partition: place.partition,
                        reason: error.to_string(),
                    })?;
                }
                Event::Commit => self.commit(),
                Event::ProducerFailed(reason) => return Err(RunError::ProducerFailed(reason)),
                Event::Stop => return Ok(()),
            }
        }
    }

    fn rebalanced(&mut self, rebalance: Rebalance) {
        match rebalance {
            Rebalance::Assigned(places) => {
                for place in places {
                    self.owners.start(place);
                }
            }
            Rebalance::Revoked(places, released) => self.owners.release(places, Some(released)),
            Rebalance::Lost(places) => self.owners.release(places, None),
            // Its only use is told by the caller.
            Rebalance::Failed(_) => {}
        }
    }

    fn commit(&self) {
        for (place, offset) in self.owners.progress() {
            self.groups.commit(&place, offset);
        }
    }

    /// The last commit of a partition comes before the group is told that it is released.
    fn finish(&mut self, place: &TopicPartition) {
        let finished: Finished = self.owners.finish(place);
        if let Some(offset) = finished.offset {
            self.groups.commit(place, offset);
        }
    }

    /// Ends every owner, in order and in bounds.
    async fn drain(&mut self, at_most: Duration) {
        self.ready.fails();
        self.owners.release_all();
        let drained = async {
            while let Some((place, _)) = self.owners.ended().await {
                self.finish(&place);
            }
        };
        if tokio::time::timeout(at_most, drained).await.is_err() {
            tracing::warn!(
                "some partitions were not drained in time; their next owners do the rest again"
            );
        }
    }
}
