//! The whole stack: the three stand-ins over one data directory.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::{StackError, dynamo, kafka, lock::DirLock, redis};

/// What a [`Stack`] is started with.
#[derive(Clone, Debug)]
pub struct StackConfig {
    /// Where the log and the tables are kept; `None` keeps everything in memory.
    pub data_dir: Option<PathBuf>,
    /// Address of the log server; port 0 takes any free one.
    pub kafka_listen: SocketAddr,
    /// Address of the RESP server; port 0 takes any free one.
    pub redis_listen: SocketAddr,
    /// Address of the DynamoDB endpoint; port 0 takes any free one.
    pub dynamodb_listen: SocketAddr,
    /// Delay added to every DynamoDB request; zero for none.
    pub slow_store: Duration,
}

/// The running stand-ins. Dropping it stops them too, without waiting.
pub struct Stack {
    kafka: kafka::Server,
    redis: redis::Server,
    dynamo: dynamo::Server,
    /// Held as long as the stack runs, so that no second process opens the same files.
    _lock: Option<DirLock>,
}

// === impl StackConfig ===

impl Default for StackConfig {
    fn default() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        StackConfig {
            data_dir: None,
            kafka_listen: any,
            redis_listen: any,
            dynamodb_listen: any,
            slow_store: Duration::ZERO,
        }
    }
}

// === impl Stack ===

impl Stack {
    /// Starts all three; they accept connections when this returns.
    /// With a data directory every acknowledged record and row is on disk; without one nothing is.
    pub async fn start(config: StackConfig) -> Result<Stack, StackError> {
        let lock = config.data_dir.as_deref().map(DirLock::take).transpose()?;
        let in_dir = |name: &str| config.data_dir.as_ref().map(|dir| dir.join(name));
        let kafka = kafka::Server::start(kafka::Config {
            listen: config.kafka_listen,
            dir: in_dir("log"),
            ..kafka::Config::default()
        })
        .await?;
        let redis = redis::Server::start(redis::Config {
            listen: config.redis_listen,
            ..redis::Config::default()
        })
        .await?;
        let dynamo = dynamo::Server::start(dynamo::Config {
            listen: config.dynamodb_listen,
            file: in_dir("dynamodb.sqlite"),
            slow: config.slow_store,
        })
        .await?;
        Ok(Stack {
            kafka,
            redis,
            dynamo,
            _lock: lock,
        })
    }

    /// Where Kafka clients connect.
    pub fn kafka_addr(&self) -> SocketAddr {
        self.kafka.addr()
    }

    /// Where Redis clients connect.
    pub fn redis_addr(&self) -> SocketAddr {
        self.redis.addr()
    }

    /// The Redis address as a URL, `redis://host:port`.
    pub fn redis_url(&self) -> String {
        format!("redis://{}", self.redis.addr())
    }

    /// The DynamoDB address as a URL, `http://host:port`.
    pub fn dynamodb_endpoint(&self) -> String {
        format!("http://{}", self.dynamo.addr())
    }

    /// Changes the delay of every DynamoDB request from now on.
    pub fn set_slow_store(&self, delay: Duration) {
        self.dynamo.set_slow(delay);
    }

    /// Closes every connection and waits until all files are written and released.
    pub async fn shutdown(self) {
        self.dynamo.shutdown().await;
        self.redis.shutdown().await;
        self.kafka.shutdown().await;
    }
}
