//! The instance: joins its replica group, runs an owner per partition that is assigned, serves the link.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use roomlog_platform::{
    config::Config,
    dynamo::StoreError,
    kafka::{
        ConnectError, EVENTS_TOPIC, JoinError, Membership, ReadError, Rebalance, topics::TopicError,
    },
    link::server,
    readiness::{Condition, Readiness},
    redis::CacheError,
    shutdown::Shutdown,
};
use thiserror::Error;
use tokio::{net::TcpListener, sync::mpsc, time::Instant};

use crate::{
    attach::Attach,
    metrics,
    owner::OwnerError,
    owners::Owners,
    start::{Start, start},
    stating::Stating,
};

/// How often committed offsets are moved. They are a hint for people and lag monitors.
const COMMIT_INTERVAL: Duration = Duration::from_secs(5);

/// How long leaving the group may take.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long gateways may take to read what is left for them.
const STREAMS_TIMEOUT: Duration = Duration::from_secs(2);

/// How often it is looked at whether some assigned partition's heads are not stated for long.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

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
    /// An owner broke down in a way that a new process may mend.
    #[error("partition {partition} can't be owned any more: {reason}")]
    Owner {
        /// The partition.
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
    OwnerEnded(u32, Result<(), OwnerError>),
    OwnershipChanged,
    Look,
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
    // Gateways that come before log and store were reached wait at the door.
    let (listener, address) = listen(config).await?;
    readiness.serves("fanout", address.to_string());
    let Some(start) = start(config, group, shutdown).await? else {
        return Ok(());
    };
    let Start {
        resources,
        identity,
        kafka,
    } = start;
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
    let (membership, mut rebalances) = Membership::join(
        &kafka,
        &format!("fanout-{group}"),
        &[&resources.topic.topic],
        instance_id,
    )?;
    let mut instance = Instance {
        membership: &membership,
        topic: &resources.topic.topic,
        owners: Owners::new(Arc::clone(&resources)),
        assigned: None,
        stating: Stating::default(),
        ready,
    };
    let outcome = instance.serve(&mut rebalances, &mut link, shutdown).await;
    // Gateways go over to the other group at once, while this one is still tidying up.
    directory.close();
    instance.drain(config.process.stop_timeout.0).await;
    // The group lets go of a member whose receiver is gone, so it is kept until everything is handed over.
    membership.close(LEAVE_TIMEOUT).await;
    drop(rebalances);
    stop_link.begin();
    let link_open = !link.is_finished();
    if link_open
        && tokio::time::timeout(STREAMS_TIMEOUT, &mut link)
            .await
            .is_err()
    {
        link.abort();
    }
    outcome
}

/// A running instance.
struct Instance<'a> {
    membership: &'a Membership,
    /// The name of the topic.
    topic: &'a str,
    owners: Owners,
    /// What the group assigned to this instance; `None` before it first did.
    assigned: Option<BTreeSet<u32>>,
    stating: Stating,
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

// === impl Instance ===

impl Instance<'_> {
    async fn serve(
        &mut self,
        rebalances: &mut mpsc::Receiver<Rebalance>,
        link: &mut tokio::task::JoinHandle<Result<(), tonic::transport::Error>>,
        shutdown: &Shutdown,
    ) -> Result<(), RunError> {
        let mut commits = tokio::time::interval(COMMIT_INTERVAL);
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        let mut stated = self.owners.resources().directory.stated();
        let producer = self.owners.resources().producer.clone();
        let failed = producer.failed();
        tokio::pin!(failed);
        loop {
            let event = tokio::select! {
                rebalance = rebalances.recv() => Event::Rebalance(rebalance),
                Some((partition, ended)) = self.owners.ended() => Event::OwnerEnded(partition, ended),
                Ok(()) = stated.changed() => Event::OwnershipChanged,
                _ = commits.tick() => Event::Commit,
                _ = looks.tick() => Event::Look,
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
                Event::OwnerEnded(partition, ended) => {
                    self.finish(partition);
                    ended.map_err(|error| RunError::Owner {
                        partition,
                        reason: error.to_string(),
                    })?;
                }
                Event::OwnershipChanged | Event::Look => {}
                Event::Commit => self.commit(self.owners.progress()),
                Event::LinkEnded(reason) => return Err(RunError::Link(reason)),
                Event::ProducerFailed(reason) => return Err(RunError::ProducerFailed(reason)),
                Event::Stop => return Ok(()),
            }
            let states_all = self
                .assigned
                .as_ref()
                .is_some_and(|assigned| assigned.is_subset(&stated.borrow_and_update()));
            match self.stating.look(states_all, Instant::now()) {
                Some(true) => self.ready.holds(),
                // An owner that fails again and again is noticed by whoever watches the process.
                Some(false) => self.ready.fails(),
                None => {}
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

    /// The last commit of a partition comes before the group is told that it is released.
    fn finish(&mut self, partition: u32) {
        self.commit(self.owners.progress());
        self.owners.finish(partition);
    }

    fn commit(&self, offsets: BTreeMap<u32, i64>) {
        for (partition, offset) in offsets {
            self.membership.commit(self.topic, partition, offset);
        }
    }

    /// Stops every owner, in order and in bounds.
    async fn drain(&mut self, at_most: Duration) {
        self.ready.fails();
        self.owners.release_all();
        let drained = async {
            while let Some((partition, _)) = self.owners.ended().await {
                self.finish(partition);
            }
        };
        if tokio::time::timeout(at_most, drained).await.is_err() {
            tracing::warn!("some partitions were not handed over in time");
        }
    }
}
