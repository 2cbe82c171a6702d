//! The start of an instance: reaches log and store, and holds the topic to what was recorded.

use std::{sync::Arc, time::Duration};

use roomlog_platform::{
    backoff::Backoff,
    config::{self, Config},
    dynamo::Store,
    kafka::{
        ConnectError, KafkaConfig, Producer, Reader,
        topics::{self, TopicError},
    },
    link::Identity,
    redis::Cache,
    shutdown::Shutdown,
};

use tokio::sync::Semaphore;

use crate::{directory::Directory, owner::Resources, service::RunError};

/// How long one attempt to reach the log may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Waits between attempts to reach log and store: they may start together with this instance.
const RETRY_FLOOR: Duration = Duration::from_millis(100);
/// The longest wait between those attempts.
const RETRY_CEILING: Duration = Duration::from_secs(3);

/// What is there once log and store were reached.
pub(crate) struct Start {
    pub(crate) resources: Arc<Resources>,
    pub(crate) identity: Identity,
    pub(crate) kafka: KafkaConfig,
}

/// Reaches log and store, and holds the topic to what was recorded; `None` when told to stop meanwhile.
pub(crate) async fn start(
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
            attempt = reach(&kafka, &store, &cache, group, &config.presence) => attempt,
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
    presence: &config::Presence,
) -> Result<Start, RunError> {
    let topic = store.events_topic().await?.ok_or(RunError::NotRecorded)?;
    let (checked, producer) = tokio::join!(
        topics::check(kafka, &topic.topic, topic.partition_count),
        Producer::connect(kafka, CONNECT_TIMEOUT),
    );
    checked?;
    let epoch = store.epoch().await?;
    let instance: Arc<str> = uuid::Uuid::now_v7().to_string().into();
    let resources = Resources {
        store: store.clone(),
        cache: cache.clone(),
        reader: Reader::new(kafka, &topic.topic, &format!("fanout-{group}"))?,
        bounds: Reader::new(kafka, &topic.topic, &format!("fanout-{group}"))?,
        recalls: Reader::new(kafka, &topic.topic, &format!("fanout-{group}"))?,
        recalling: Semaphore::new(1),
        producer: producer?,
        directory: Arc::new(Directory::new(topic.partition_count)),
        topic: topic.clone(),
        instance: Arc::clone(&instance),
        presence: presence.clone(),
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
