//! Starts a gateway, and stops it in order.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use axum::Router;
use roomlog_core::{session::SessionConfig, stomp::HeartBeat};
use roomlog_platform::{
    backoff::Backoff,
    config::{Config, ConfigError},
    dynamo::{Store, StoreError, TopicRow},
    kafka::{
        self, EVENTS_TOPIC, KafkaConfig, Producer,
        topics::{self, TopicError},
    },
    link::{Links, TargetError, Targets},
    readiness::Readiness,
    redis::{Cache, CacheError},
    s3::{Files, FilesError},
    shutdown::Shutdown,
};
use thiserror::Error;
use tokio::{net::TcpListener, time::timeout};
use tokio_util::task::TaskTracker;

use crate::{
    accounts::Accounts,
    auth::{Tickets, Verifier},
    bulletin::Board,
    doors::Doors,
    friend_list::FriendLists,
    gateway::Gateway,
    http,
    hub::{Hub, Source},
    metrics,
    notices::Notices,
    presence::Presence,
    readers::Readers,
    reads::ReadMarks,
    room_list::{self, RoomLists},
    trace::Traces,
    users::Users,
};

/// How long the log may take to answer at the start, before it is said that it is waited for.
const PRODUCER_WAIT: Duration = Duration::from_secs(60);
/// The waits between two tries to reach the store at the start.
const RETRY_FLOOR: Duration = Duration::from_millis(100);
const RETRY_CEILING: Duration = Duration::from_secs(2);
/// What a connection may take beyond the drain's spread: open requests, ERROR, close frame and linger.
const FAREWELL_WAIT: Duration = Duration::from_secs(10);

/// Why a gateway could not serve.
#[derive(Debug, Error)]
pub enum RunError {
    /// The address can't be listened on.
    #[error("ROOMLOG_LISTEN: {address} can't be listened on: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// Tokens can't be checked; [`check`](crate::check) tells it earlier.
    #[error("the keys of tokens can't be used")]
    Keys(#[from] ConfigError),
    /// The log can't be written to, however long it is waited for.
    #[error(transparent)]
    Log(#[from] kafka::ConnectError),
    /// The topic was never recorded.
    #[error(
        "topic {EVENTS_TOPIC} is not recorded in the store; `roomlog topics create` makes and records it"
    )]
    NotRecorded,
    /// The topic is not what was recorded: rooms would be somewhere else than their readers look.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log's producer failed for good.
    #[error("the producer failed: {0}")]
    Producer(String),
    /// The cache's address can't be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The bucket can't be used.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The fanouts' addresses can't be used.
    #[error("ROOMLOG_FANOUT: {0}")]
    Fanout(#[from] TargetError),
}

/// Serves clients until the shutdown, then moves them on and sees their requests through. Whoever connects may ask for
/// the routes `beside` the gateway's own.
///
/// # Errors
/// When the configuration can't be used, or log or store refuse. One that does not answer yet is waited for.
pub async fn run(
    config: &Config,
    readiness: &Readiness,
    shutdown: &Shutdown,
    beside: Router,
) -> Result<(), RunError> {
    metrics::describe();
    let (log, fanout) = (
        readiness.condition("gateway log"),
        readiness.condition("gateway fanout"),
    );
    let verifier = Verifier::new(&config.jwt)?;
    let cache = Cache::connect(&config.redis)?;
    let files = Files::connect(&config.files).await?;
    let targets = Targets::parse(&config.fanout.instances)?;
    let listener = bind(config.gateway.listen.0).await?;
    let store = Store::connect(&config.dynamodb).await;
    let Some(epoch) = epoch(&store, shutdown).await else {
        return Ok(());
    };
    let kafka = KafkaConfig::from(&config.kafka);
    let topic = topic_as_recorded(&kafka, &store, shutdown);
    let producer = producer(&kafka, shutdown);
    let (Some(topic), Some(producer)) = tokio::try_join!(topic, producer)? else {
        return Ok(());
    };
    log.holds();

    // What connections rely on outlives them: it stops when the last one has gone.
    let behind = Shutdown::default();
    let origin = config
        .process
        .instance_id
        .clone()
        .unwrap_or_else(|| format!("gateway-{}", uuid::Uuid::new_v4().simple()));
    let (links, link_events) = Links::start(targets, &origin, &behind);
    let links = Arc::new(links);
    let (presence, doubts) = Presence::start(
        &config.presence,
        Arc::clone(&links),
        store.clone(),
        cache.clone(),
        &behind,
    );
    let (ear, hearing) = room_list::ear();
    let readers = Readers::new(store.clone(), cache.clone(), config.presence.names_max);
    let source = Source {
        readers,
        links,
        cache,
        store,
        producer: producer.clone(),
        topic: Arc::new(topic),
        epoch: epoch.into(),
        traces: Arc::new(Traces::default()),
        presence: presence.clone(),
        ear,
    };
    let (hub, mut linked) = Hub::start(&source, link_events, &behind);
    behind.spawn(
        presence
            .clone()
            .settle_doubts(doubts, hub.clone(), behind.clone()),
    );
    let limits = config.limits();
    let gateway = Arc::new(Gateway {
        config: config.clone(),
        session: Arc::new(session_config(config)),
        origin,
        room_lists: RoomLists::start(hearing, hub.clone(), source.clone(), &behind),
        friend_lists: FriendLists::start(source.store.clone(), presence.clone(), &behind),
        hub,
        verifier,
        tickets: Tickets::new(&config.jwt),
        accounts: Accounts::new(config),
        users: Users::new(limits.clone()),
        doors: Doors::new(&limits),
        files,
        reads: ReadMarks::start(producer.clone(), &source, &behind),
        notices: Notices::default(),
        presence,
        limits,
        source,
        readiness: readiness.clone(),
        drain: shutdown.clone(),
        connections: TaskTracker::new(),
        next_connection: AtomicU64::new(0),
    });
    let mut board = Board::default();
    if !board.catch_up(&gateway, shutdown).await {
        return Ok(());
    }
    behind.spawn(board.follow(Arc::clone(&gateway), behind.clone()));
    behind.spawn(Notices::follow(Arc::clone(&gateway), behind.clone()));
    let address = listener.local_addr().unwrap_or(config.gateway.listen.0);
    readiness.serves("http", address.to_string());
    let served = behind.spawn(http::serve(
        listener,
        Arc::clone(&gateway),
        beside,
        shutdown.clone(),
    ));
    let outcome = loop {
        tokio::select! {
            changed = linked.changed() => match changed {
                Ok(()) if *linked.borrow_and_update() => fanout.holds(),
                Ok(()) => fanout.fails(),
                Err(_) => break Ok(()),
            },
            reason = producer.failed() => break Err(RunError::Producer(reason)),
            () = shutdown.begun() => break Ok(()),
        }
    };
    log.fails();
    shutdown.begin();
    drain(&gateway, config).await;
    served.abort();
    behind.begin();
    behind.finished(FAREWELL_WAIT).await;
    outcome
}

/// Waits until the connections have been moved on and what they sent has its outcome.
async fn drain(gateway: &Gateway, config: &Config) {
    let connections = &gateway.connections;
    tracing::info!(connections = connections.len(), "moving connections on");
    connections.close();
    let at_most = config.gateway.drain.0 + FAREWELL_WAIT;
    if timeout(at_most, connections.wait()).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "some connections did not go in time"
        );
    }
    if !gateway
        .source
        .producer
        .drain(config.kafka.message_timeout.0)
        .await
    {
        tracing::error!(
            "the log did not acknowledge everything in time; its senders don't know and send again"
        );
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, RunError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| RunError::Listen { address, error })
}

/// The life of the tables; asked until the store answers. `None` if the process is stopped first.
async fn epoch(store: &Store, shutdown: &Shutdown) -> Option<String> {
    let mut backoff = Backoff::between(RETRY_FLOOR, RETRY_CEILING);
    loop {
        match store.epoch().await {
            Ok(epoch) => return Some(epoch),
            Err(error) => tracing::warn!(%error, "the store's epoch can't be read yet"),
        }
        tokio::select! {
            () = backoff.wait() => {}
            () = shutdown.begun() => return None,
        }
    }
}

/// The topic, held to what was recorded at its creation; asked until log and store answer. `None` if the process is
/// stopped first.
async fn topic_as_recorded(
    kafka: &KafkaConfig,
    store: &Store,
    shutdown: &Shutdown,
) -> Result<Option<TopicRow>, RunError> {
    let mut backoff = Backoff::between(RETRY_FLOOR, RETRY_CEILING);
    loop {
        match check_topic(kafka, store).await {
            Ok(topic) => return Ok(Some(topic)),
            Err(RunError::Topic(TopicError::Unavailable(error))) => {
                tracing::warn!(%error, "the topic can't be checked yet")
            }
            Err(RunError::Store(error)) if error.is_transient() => {
                tracing::warn!(%error, "the topic's row can't be read yet")
            }
            Err(error) => return Err(error),
        }
        tokio::select! {
            () = backoff.wait() => {}
            () = shutdown.begun() => return Ok(None),
        }
    }
}

/// The log's producer; tried until the log answers. `None` if the process is stopped first.
async fn producer(kafka: &KafkaConfig, shutdown: &Shutdown) -> Result<Option<Producer>, RunError> {
    loop {
        let connected = tokio::select! {
            connected = Producer::connect(kafka, PRODUCER_WAIT) => connected,
            () = shutdown.begun() => return Ok(None),
        };
        match connected {
            Err(error @ kafka::ConnectError::Unreachable { .. }) => {
                tracing::warn!(%error, "there is no producer yet");
            }
            connected => return Ok(Some(connected?)),
        }
    }
}

async fn check_topic(kafka: &KafkaConfig, store: &Store) -> Result<TopicRow, RunError> {
    let recorded = store.events_topic().await?.ok_or(RunError::NotRecorded)?;
    topics::check(kafka, &recorded.topic, recorded.partition_count).await?;
    Ok(recorded)
}

fn session_config(config: &Config) -> SessionConfig {
    let beat_ms = u32::try_from(config.gateway.heart_beat.as_millis()).unwrap_or(u32::MAX);
    SessionConfig {
        limits: config.limits(),
        heart_beat: HeartBeat {
            send_ms: beat_ms,
            receive_ms: beat_ms,
        },
        server: concat!("roomlog/", env!("CARGO_PKG_VERSION")).to_owned(),
    }
}
