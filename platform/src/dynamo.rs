//! The store: what the log says, in tables made for reading it back.
//!
//! Every row here is a view of the log, except accounts and sessions. Rows that say "stored up to here" move only
//! forward, by a condition on the very item, so a writer that was replaced, or that does its work twice, changes
//! nothing. A write whose answer got lost can therefore always be tried again.
//!
//! An answer that is slow costs its caller at most [`OPERATION_TIMEOUT`]; a caller that can't give up (the
//! persister) tries again on [`StoreError::Unavailable`] for as long as it takes.

mod accounts;
mod amendments;
mod bulletin;
mod devices;
mod error;
mod events;
mod files;
mod friends;
mod item;
mod members;
mod mentions;
mod moves;
mod notices;
mod partitions;
mod rooms;
mod rows;
mod running;
mod sessions;
mod tables;
#[cfg(test)]
mod tests;
mod tickets;
mod users;
mod written;

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    config::{
        BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig, retry::RetryConfig,
        timeout::TimeoutConfig,
    },
};

pub use self::{
    accounts::{LoginRow, SignUp},
    amendments::AMENDS_AT_ONCE,
    bulletin::{BULLETIN_MS, Bulletin},
    devices::DeviceRow,
    error::StoreError,
    events::{
        Direction, EVENTS_READ_BYTES_MAX, EVENTS_READ_MAX, EventPage, EventQuery, EventWrite,
    },
    files::{FILES_AT_ONCE, FileRow, ShownFile},
    friends::FriendRow,
    members::{MemberPage, READS_AT_ONCE, ReadMark},
    mentions::{MENTION_BATCHES_AT_ONCE, Mention},
    moves::{MEMBERS_PER_MOVE_MAX, MembershipMove, RoomMove},
    notices::NoticeRow,
    rooms::{Moved, PublicPage, RoomNames},
    rows::{
        EventRow, KeyShards, MemberRow, PartitionRow, PublicRoom, RoomRow, RoomsOfRow, TopicRow,
        UserRow,
    },
    running::Running,
    sessions::SessionRow,
    users::{Everyone, FoundUser, ProfileChange},
};
use crate::config::Dynamodb;

/// A connection that takes longer is given up; the store is in the same region.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// An answer whose first byte takes longer is given up. The store's own p99 is tens of milliseconds.
pub const READ_TIMEOUT: Duration = Duration::from_secs(3);
/// One attempt with everything in it.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);
/// One call with all its attempts.
pub const OPERATION_TIMEOUT: Duration = Duration::from_secs(8);
/// Attempts of one call. The second covers a throttle or a broken connection; beyond it the caller decides, as
/// only it knows how long it can wait.
pub const ATTEMPTS_MAX: u32 = 2;
/// The wait before the second attempt is random between nothing and this.
const RETRY_WAIT: Duration = Duration::from_millis(50);

/// Where nothing else is said about the region of a local endpoint, which does not care.
const LOCAL_REGION: &str = "us-east-1";

/// Whether a read must show every write acknowledged before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// It must; costs twice as much.
    Strong,
    /// It may lag behind by moments.
    Eventual,
}

/// The tables. A clone shares the connections.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    tables: tables::Tables,
}

// === impl Consistency ===

impl Consistency {
    fn is_strong(self) -> bool {
        self == Self::Strong
    }
}

// === impl Store ===

impl Store {
    /// A client of the configured endpoint or region. Nothing is sent yet.
    pub async fn connect(config: &Dynamodb) -> Self {
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .timeout_config(timeouts())
            .retry_config(retries())
            // Answers are small and bounded by the timeouts above.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some(region) = &config.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(endpoint) = &config.endpoint {
            loader = loader.endpoint_url(endpoint);
            if std::env::var_os("AWS_ACCESS_KEY_ID").is_none() {
                // A local endpoint checks no signature; without this the client would look for an instance role.
                loader = loader
                    .credentials_provider(Credentials::new("local", "local", None, None, "local"));
            }
            if config.region.is_none() && std::env::var_os("AWS_REGION").is_none() {
                loader = loader.region(Region::new(LOCAL_REGION));
            }
        }
        let written = written::Written {
            prefix: config.table_prefix.clone(),
        };
        let client = aws_sdk_dynamodb::config::Builder::from(&loader.load().await);
        Self {
            client: Client::from_conf(client.interceptor(written).build()),
            tables: tables::Tables::prefixed(&config.table_prefix),
        }
    }

    /// Makes the tables that are missing, waits until all of them can be used, and makes their epoch. Doing it
    /// again changes nothing.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn create_tables(&self) -> Result<(), StoreError> {
        tables::create(&self.client, &self.tables).await?;
        self.create_epoch().await
    }
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build()
}

fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(ATTEMPTS_MAX)
        .with_initial_backoff(RETRY_WAIT)
        .with_max_backoff(RETRY_WAIT)
}
