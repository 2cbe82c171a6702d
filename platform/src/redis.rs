//! Redis or Valkey: a cache of numbering and of recent events.
//!
//! Nothing here is the truth and nobody on the delivery path waits for it. An error is a value: the caller goes on
//! without the cache.

mod heads;
mod once;
mod presence;
mod reads;
mod tail;

use std::time::Duration;

use redis::{
    Client, TlsCertificates,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use thiserror::Error;

pub use heads::{CHANGED_ROOMS_MAX, HeadsKey};
pub use presence::{Lease, UserStatus};
pub use reads::{Belief, ReaderMove, ReadersPage};
pub use tail::TAIL_EVENTS_MAX;

use crate::config::ConfigError;

/// How long a command may take before its caller goes on without it.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest wait between attempts to connect again.
const RETRY_CEILING: Duration = Duration::from_secs(2);

/// Attempts to connect before the waiting commands fail; the next command begins again.
const RETRIES_MAX: usize = 2;

/// Commands under way at once on the one connection; beyond, callers wait within their own time-outs.
const COMMANDS_MAX: usize = 256;

/// A connection to the cache; a clone shares it.
#[derive(Clone)]
pub struct Cache {
    connection: ConnectionManager,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Cache").finish_non_exhaustive()
    }
}

/// Why the cache did not help.
#[derive(Debug, Error)]
pub enum CacheError {
    /// The address can't be used: a fault of the configuration.
    #[error("ROOMLOG_REDIS_URL: expected redis://host:port/ or rediss://host:port/: {0}")]
    Address(String),
    /// The file of authorities can't be used: a fault of the configuration.
    #[error("ROOMLOG_REDIS_CA_FILE: {path}: {reason}")]
    Authorities {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It did not answer, or refused.
    #[error("redis: {0}")]
    Command(#[from] redis::RedisError),
    /// A set is written to faster than it can be read.
    #[error("redis: {0} changed during every attempt to read it")]
    Busy(String),
    /// It holds something that is not ours.
    #[error("redis holds an unusable value in {key}: {reason}")]
    Content {
        /// The key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
}

// === impl Cache ===

impl Cache {
    /// A connection that is made when first used and again whenever it is lost.
    ///
    /// # Errors
    /// When the address can't be used. A server that is down is no error.
    pub fn connect(config: &crate::config::Redis) -> Result<Self, CacheError> {
        let address = |error: redis::RedisError| CacheError::Address(error.to_string());
        let client = client(config)?;
        let settings = ConnectionManagerConfig::new()
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_max_delay(RETRY_CEILING)
            .set_number_of_retries(RETRIES_MAX)
            .set_concurrency_limit(COMMANDS_MAX);
        let connection =
            ConnectionManager::new_lazy_with_config(client, settings).map_err(address)?;
        Ok(Self { connection })
    }

    /// Whether it answers now.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), CacheError> {
        let mut connection = self.connection.clone();
        Ok(redis::cmd("PING").query_async(&mut connection).await?)
    }
}

/// Refuses an address or authorities that no connection can be made with. Nothing is sent.
pub(crate) fn check(config: &crate::config::Redis) -> Result<(), ConfigError> {
    match client(config) {
        Ok(_) => Ok(()),
        Err(CacheError::Authorities { path, reason }) => {
            let expected = format!("expected a PEM file of authorities: {reason}");
            Err(ConfigError::value("ROOMLOG_REDIS_CA_FILE", path, &expected))
        }
        // The reason may hold a part of the address, and that a password.
        Err(_) => Err(ConfigError::secret(
            "ROOMLOG_REDIS_URL",
            "expected redis://host:port/ or rediss://host:port/",
        )),
    }
}

/// A client of the address, with the authorities where they are given.
fn client(config: &crate::config::Redis) -> Result<Client, CacheError> {
    let address = |error: redis::RedisError| CacheError::Address(error.to_string());
    let url = config.url.reveal();
    let Some(path) = &config.ca_file else {
        return Client::open(url).map_err(address);
    };
    let unusable = |reason: String| CacheError::Authorities {
        path: path.clone(),
        reason,
    };
    let authorities = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    let trusted = TlsCertificates {
        client_tls: None,
        root_cert: Some(authorities),
    };
    Client::build_with_tls(url, trusted).map_err(|error| unusable(error.to_string()))
}
