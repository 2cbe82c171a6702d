//! A small in-memory server for the part of Redis this project uses, in RESP2 and RESP3.
//!
//! Strings, hashes, sets, sorted sets, streams, expiry, transactions and publish/subscribe, with the replies and error texts of Redis.
//! Scripts, lists, blocking commands, several databases and persistence are absent: what is kept here can always be rebuilt.

mod commands;
mod connection;
mod glob;
mod keyspace;
mod number;
mod pubsub;
mod reply;
mod request;
mod scan;
mod sorted_set;
mod stream;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::StackError;
use crate::error::listen;
use connection::Shared;

/// Pause after a failed accept, which nearly always means that this process is out of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// How often keys that have expired and that nobody asks for are removed.
const EXPIRY_INTERVAL: Duration = Duration::from_millis(100);

/// What a [`Server`] is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Connections at a time; one more waits to be accepted until another ends.
    pub connections_max: usize,
    /// Bytes of one request, and of the requests queued in a transaction; more closes the connection.
    pub query_bytes_max: usize,
    /// Bytes of messages waiting for one subscriber; a slower one is disconnected.
    pub subscriber_bytes_max: usize,
}

/// A running server. Dropping it stops it without waiting.
pub struct Server {
    addr: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: ([127, 0, 0, 1], 0).into(),
            connections_max: 1024,
            query_bytes_max: 16 * 1024 * 1024,
            subscriber_bytes_max: 8 * 1024 * 1024,
        }
    }
}

// === impl Server ===

impl Server {
    /// Starts to answer, with no keys.
    pub async fn start(config: Config) -> Result<Server, StackError> {
        let (listener, addr) = listen(config.listen).await?;
        let connections_max = config.connections_max;
        let shared = Arc::new(Shared::new(config));
        let server = Server {
            addr,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        server.spawn(expire(Arc::clone(&shared)));
        server.spawn(server.accept(listener, shared, connections_max));
        Ok(server)
    }

    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Closes every connection; all keys are gone then.
    pub async fn shutdown(self) {
        self.stop.cancel();
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
        shared: Arc<Shared>,
        connections_max: usize,
    ) -> impl Future<Output = ()> + use<> {
        let (stop, tasks) = (self.stop.clone(), self.tasks.clone());
        let places = Arc::new(Semaphore::new(connections_max));
        async move {
            let mut next_id = 1;
            while let Ok(place) = Arc::clone(&places).acquire_owned().await {
                let Ok((socket, peer)) = listener.accept().await else {
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                };
                let (shared, stop, id) = (Arc::clone(&shared), stop.clone(), next_id);
                next_id += 1;
                tasks.spawn(async move {
                    let served = stop.run_until_cancelled(connection::serve(shared, socket, id));
                    if let Some(Err(error)) = served.await {
                        tracing::debug!(%peer, %error, "closed a Redis connection");
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

async fn expire(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(EXPIRY_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        shared.keyspace().pass_time(now_ms());
    }
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
