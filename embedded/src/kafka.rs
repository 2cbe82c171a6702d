//! A single-node log server that speaks the Kafka protocol.
//!
//! One node leads every partition and coordinates every group. What clients rely on is here in full: idempotent producers,
//! long-polling fetches, offsets by time, append times, classic groups with static members, committed offsets, topics and their settings.
//! What needs more than one node, or nobody here uses, is absent: replication, transactions, quotas, authentication, compaction.

mod api;
mod batch;
mod broker;
mod connection;
mod error_code;
mod files;
mod group;
mod groups;
mod offsets;
mod partition;
mod partition_log;
mod producers;
mod segment;
mod shape;
mod topic_config;
mod topics;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::StackError;
use crate::error::listen;
use broker::Broker;

/// Pause after a failed accept, which nearly always means that this process is out of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// How often groups are looked at for members that are gone.
const GROUP_TICK: Duration = Duration::from_millis(25);

/// How often expired records are removed.
const RETENTION_INTERVAL: Duration = Duration::from_secs(10);

/// What an acknowledged record has survived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It is in memory: of this process without a directory, of the operating system with one.
    /// The latter outlives a killed process, not a power cut.
    Memory,
    /// It is on disk. Without a directory this means nothing.
    Fsync,
}

/// What a [`Server`] is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Where logs, topics and committed offsets are kept; `None` keeps them in memory.
    pub dir: Option<PathBuf>,
    /// What happens before a record is acknowledged.
    pub durability: Durability,
    /// How long the first rebalance of an empty group waits for more members.
    pub initial_rebalance_delay: Duration,
    /// Connections at a time; one more waits to be accepted until another ends.
    pub connections_max: usize,
}

/// A running log server. Dropping it stops it without waiting.
pub struct Server {
    addr: SocketAddr,
    broker: Arc<Broker>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: ([127, 0, 0, 1], 0).into(),
            dir: None,
            durability: Durability::Fsync,
            initial_rebalance_delay: Duration::from_millis(50),
            connections_max: 512,
        }
    }
}

// === impl Server ===

impl Server {
    /// Recovers what the directory holds and starts to answer.
    pub async fn start(config: Config) -> Result<Server, StackError> {
        let (listener, addr) = listen(config.listen).await?;
        let broker = Arc::new(Broker::open(&config)?);
        let server = Server {
            addr,
            broker,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        server.spawn(server.accept(listener, config.connections_max));
        server.spawn(tick_groups(Arc::clone(&server.broker)));
        server.spawn(retain(Arc::clone(&server.broker)));
        Ok(server)
    }

    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Closes every connection and waits until all files are written and released.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.broker.groups().release();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(task).await;
        });
    }

    fn accept(
        &self,
        listener: TcpListener,
        connections_max: usize,
    ) -> impl Future<Output = ()> + use<> {
        let broker = Arc::clone(&self.broker);
        let (stop, tasks) = (self.stop.clone(), self.tasks.clone());
        let places = Arc::new(Semaphore::new(connections_max));
        async move {
            while let Ok(place) = Arc::clone(&places).acquire_owned().await {
                let Ok((socket, peer)) = listener.accept().await else {
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                };
                let (broker, stop) = (Arc::clone(&broker), stop.clone());
                tasks.spawn(async move {
                    let served = stop.run_until_cancelled(connection::serve(broker, socket));
                    if let Some(Err(error)) = served.await {
                        tracing::debug!(%peer, %error, "closed a Kafka connection");
                    }
                    drop(place);
                });
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn tick_groups(broker: Arc<Broker>) {
    let mut ticks = tokio::time::interval(GROUP_TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        broker.groups().tick(Instant::now());
    }
}

async fn retain(broker: Arc<Broker>) {
    let mut ticks = tokio::time::interval(RETENTION_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let broker = Arc::clone(&broker);
        // Removing files may take a while.
        let removed = tokio::task::spawn_blocking(move || broker.topics().retain(broker::now_ms()));
        if let Err(error) = removed.await {
            tracing::error!(%error, "removing expired records panicked");
        }
    }
}

#[cfg(test)]
mod tests;
