//! The instance: joins its replica group, runs an owner per partition that is assigned, serves the link.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use roomlog_platform::{
    backoff::Backoff,
    config::Config,
    dynamo::{Store, StoreError},
    kafka::{
        ConnectError, EVENTS_TOPIC, JoinError, KafkaConfig, Membership, Producer, ReadError,
        Reader, Rebalance,
        topics::{self, TopicError},
    },
    link::{Identity, server},
    readiness::{Condition, Readiness},
    redis::{Cache, CacheError},
    shutdown::Shutdown,
};
use thiserror::Error;
use tokio::{net::TcpListener, sync::mpsc};

use crate::{attach::Attach, directory::Directory, metrics, owner::Resources, owners::Owners};

/// How long one attempt to reach the log may take at the start.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Waits between attempts to reach log and store at the start: they may start together with this instance.
const RETRY_FLOOR: Duration = Duration::from_millis(100);
/// The longest wait between those attempts.
const RETRY_CEILING: Duration = Duration::from_secs(3);

/// How often committed offsets are moved. They are a hint for people and lag monitors.
const COMMIT_INTERVAL: Duration = Duration::from_secs(5);

/// How long leaving the group may take.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long gateways may take to read what is left for them.
const STREAMS_TIMEOUT: Duration = Duration::from_secs(2);

/// Why the fanout does not run.
#[derive(Debug, Error)]
pub enum RunError {
    /// There are two replica groups.
    #[error("ROOMLOG_FANOUT_GROUP: the value {0:?} can't be used: expected a or b")]
    Group(String),
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
    /// The address gateways attach to is not to be had.
    #[error("ROOMLOG_FANOUT_LISTEN: {address} can't be listened on: {error}")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// The link's server ended.
    #[error("the link can't be served: {0}")]
    Link(String),
    /// The producer ended.
    #[error("the log can't be written any more: {0}")]
    ProducerFailed(String),
}

/// What the instance waits for.
enum Event {
    Rebalance(Option<Rebalance>),
    OwnerEnded(u32),
    OwnershipChanged,
    Commit,
    LinkEnded(String),
    ProducerFailed(String),
    Stop,
}

/// Runs a fanout until the shutdown, then hands its partitions over in order.
///
/// States its address as `fanout`. It is ready once it serves and states the heads of the partitions assigned first.
///
/// # Errors
/// When it can't start, or when its place in the group or its producer is lost for good.
pub async fn run(
    config: &Config,
    readiness: &Readiness,
    shutdown: &Shutdown,
) -> Result<(), RunError> {
    metrics::describe();
    let ready = readiness.condition("fanout");
    let group = group_of(&config.fanout.group)?;
    let Some(start) = start(config, group, shutdown).await? else {
        return Ok(());
    };
    let Start {
        resources,
        identity,
        kafka,
    } = start;
    let (listener, address) = listen(config).await?;
    readiness.serves("fanout", address.to_string());
    let directory = Arc::clone(&resources.directory);
    let attach = Attach {
        identity,
        directory: Arc::clone(&directory),
    };
    let stop_link = Shutdown::default();
    let stopping = stop_link.clone();
    let mut link = tokio::spawn(async move {
        server::serve(listener, attach, async move { stopping.begun().await }).await
    });
    let instance_id = config.process.instance_id.as_deref();
    let (membership, rebalances) = Membership::join(
        &kafka,
        &format!("fanout-{group}"),
        &[EVENTS_TOPIC],
        instance_id,
    )?;
    let mut instance = Instance {
        membership: &membership,
        owners: Owners::new(Arc::clone(&resources)),
        assigned: None,
        ready,
    };
    let outcome = instance.serve(rebalances, &mut link, shutdown).await;
    // Gateways go over to the other group at once, while this one is still tidying up.
    directory.close();
    instance.drain(config.process.stop_timeout.0).await;
    membership.close(LEAVE_TIMEOUT).await;
    stop_link.begin();
    if tokio::time::timeout(STREAMS_TIMEOUT, &mut link)
        .await
        .is_err()
    {
        link.abort();
    }
    outcome
}

/// What is there once log and store were reached.
struct Start {
    resources: Arc<Resources>,
    identity: Identity,
    kafka: KafkaConfig,
}

/// A running instance.
struct Instance<'a> {
    membership: &'a Membership,
    owners: Owners,
    /// What the group assigned to this instance; `None` before it first did.
    assigned: Option<BTreeSet<u32>>,
    ready: Condition,
}

fn group_of(group: &str) -> Result<&str, RunError> {
    matches!(group, "a" | "b")
        .then_some(group)
        .ok_or_else(|| RunError::Group(group.to_owned()))
}

async fn listen(config: &Config) -> Result<(TcpListener, SocketAddr), RunError> {
    let address = config.fanout.listen.to_string();
    let bound = async {
        let listener = TcpListener::bind(&address).await?;
        let local = listener.local_addr()?;
        Ok((listener, local))
    };
    bound.await.map_err(|error| RunError::Listen {
        address: address.clone(),
        error,
    })
}

/// Reaches log and store, and holds the topic to what was recorded; `None` when told to stop meanwhile.
async fn start(
    config: &Config,
    group: &str,
    shutdown: &Shutdown,
) -> Result<Option<Start>, RunError> {
    let kafka = KafkaConfig::from(&config.kafka);
    let store = Store::connect(&config.dynamodb).await;
    let cache = Cache::connect(&config.redis)?;
    let mut backoff = Backoff::between(RETRY_FLOOR, RETRY_CEILING);
    loop {
        let attempt = tokio::select! {
            attempt = reach(&kafka, &store, &cache, group) => attempt,
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
    cache: &Cache,
    group: &str,
) -> Result<Start, RunError> {
    let topic = store
        .topic(EVENTS_TOPIC)
        .await?
        .ok_or(RunError::NotRecorded)?;
    topics::check(kafka, EVENTS_TOPIC, topic.partition_count).await?;
    let epoch = store.epoch().await?;
    let instance: Arc<str> = uuid::Uuid::now_v7().to_string().into();
    let resources = Resources {
        store: store.clone(),
        cache: cache.clone(),
        reader: Reader::new(kafka, EVENTS_TOPIC, &format!("fanout-{group}"))?,
        bounds: Reader::new(kafka, EVENTS_TOPIC, &format!("fanout-{group}"))?,
        producer: Producer::connect(kafka, CONNECT_TIMEOUT).await?,
        directory: Arc::new(Directory::new(topic.partition_count)),
        generation: topic.generation,
        partition_count: topic.partition_count,
        window_offsets: topic.window_offsets,
        instance: Arc::clone(&instance),
    };
    let identity = Identity {
        instance,
        group: group.into(),
        epoch: epoch.as_str().into(),
        partition_count: topic.partition_count,
    };
    Ok(Start {
        resources: Arc::new(resources),
        identity,
        kafka: kafka.clone(),
    })
}

// === impl Instance ===

impl Instance<'_> {
    async fn serve(
        &mut self,
        mut rebalances: mpsc::Receiver<Rebalance>,
        link: &mut tokio::task::JoinHandle<Result<(), tonic::transport::Error>>,
        shutdown: &Shutdown,
    ) -> Result<(), RunError> {
        let mut commits = tokio::time::interval(COMMIT_INTERVAL);
        let mut stated = self.owners.resources().directory.stated();
        let producer = self.owners.resources().producer.clone();
        let failed = producer.failed();
        tokio::pin!(failed);
        loop {
            let event = tokio::select! {
                rebalance = rebalances.recv() => Event::Rebalance(rebalance),
                Some(partition) = self.owners.ended() => Event::OwnerEnded(partition),
                Ok(()) = stated.changed() => Event::OwnershipChanged,
                _ = commits.tick() => Event::Commit,
                ended = &mut *link => Event::LinkEnded(format!("{ended:?}")),
                reason = &mut failed => Event::ProducerFailed(reason),
                () = shutdown.begun() => Event::Stop,
            };
            match event {
                Event::Rebalance(None) => return Err(RunError::Membership("it was closed".into())),
                Event::Rebalance(Some(Rebalance::Failed(reason))) => {
                    return Err(RunError::Membership(reason));
                }
                Event::Rebalance(Some(rebalance)) => self.rebalanced(rebalance),
                Event::OwnerEnded(partition) => self.finish(partition),
                Event::OwnershipChanged => {}
                Event::Commit => self.commit(self.owners.progress()),
                Event::LinkEnded(reason) => return Err(RunError::Link(reason)),
                Event::ProducerFailed(reason) => return Err(RunError::ProducerFailed(reason)),
                Event::Stop => return Ok(()),
            }
            let serving = stated.borrow_and_update();
            if self
                .assigned
                .as_ref()
                .is_some_and(|assigned| assigned.is_subset(&serving))
            {
                self.ready.holds();
            }
        }
    }

    fn rebalanced(&mut self, rebalance: Rebalance) {
        let assigned = self.assigned.get_or_insert_default();
        match rebalance {
            Rebalance::Assigned(partitions) => {
                for partition in partitions.iter().map(|partition| partition.partition) {
                    assigned.insert(partition);
                    self.owners.start(partition);
                }
            }
            Rebalance::Revoked(partitions, released) => {
                let partitions: BTreeSet<u32> = partitions
                    .iter()
                    .map(|partition| partition.partition)
                    .collect();
                assigned.retain(|partition| !partitions.contains(partition));
                self.owners.release(partitions, Some(released));
            }
            Rebalance::Lost(partitions) => {
                let partitions: BTreeSet<u32> = partitions
                    .iter()
                    .map(|partition| partition.partition)
                    .collect();
                assigned.retain(|partition| !partitions.contains(partition));
                self.owners.release(partitions, None);
            }
            Rebalance::Failed(_) => {}
        }
    }

    fn finish(&mut self, partition: u32) {
        let numbered = self.owners.finish(partition);
        self.commit(numbered);
    }

    fn commit(&self, offsets: BTreeMap<u32, i64>) {
        for (partition, offset) in offsets {
            self.membership.commit(EVENTS_TOPIC, partition, offset);
        }
    }

    /// Stops every owner, in order and in bounds.
    async fn drain(&mut self, at_most: Duration) {
        self.ready.fails();
        self.owners.release_all();
        let drained = async {
            while let Some(partition) = self.owners.ended().await {
                self.finish(partition);
            }
        };
        if tokio::time::timeout(at_most, drained).await.is_err() {
            tracing::warn!("some partitions were not handed over in time");
        }
    }
}
