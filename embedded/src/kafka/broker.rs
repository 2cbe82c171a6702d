//! What all connections share.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::groups::Groups;
use super::offsets::Offsets;
use super::topics::Topics;
use super::{Config, Durability};
use crate::StackError;

/// The only node's id.
pub(super) const NODE_ID: i32 = 1;

/// What the cluster is called.
pub(super) const CLUSTER_ID: &str = "roomlog-embedded";

/// Producer ids start at the clock times this, so that a restart never gives one out twice.
const PRODUCER_IDS_PER_MS: i64 = 1024;

/// Topics, groups, offsets and producer ids.
pub(super) struct Broker {
    topics: Topics,
    groups: Groups,
    offsets: Offsets,
    next_producer: AtomicI64,
    durability: Durability,
}

// === impl Broker ===

impl Broker {
    pub(super) fn open(config: &Config) -> Result<Broker, StackError> {
        let dir = config.dir.as_deref();
        let storage = StackError::storage(dir.unwrap_or("memory".as_ref()));
        let open = || Ok((Topics::open(dir)?, Offsets::open(dir)?));
        let (topics, offsets) = open().map_err(storage)?;
        Ok(Broker {
            topics,
            groups: Groups::new(config.initial_rebalance_delay),
            offsets,
            next_producer: AtomicI64::new(now_ms().saturating_mul(PRODUCER_IDS_PER_MS)),
            durability: match dir {
                Some(_) => config.durability,
                None => Durability::Memory,
            },
        })
    }

    pub(super) fn topics(&self) -> &Topics {
        &self.topics
    }

    pub(super) fn groups(&self) -> &Groups {
        &self.groups
    }

    pub(super) fn offsets(&self) -> &Offsets {
        &self.offsets
    }

    pub(super) fn durability(&self) -> Durability {
        self.durability
    }

    /// An id that no producer has had before.
    pub(super) fn new_producer(&self) -> i64 {
        self.next_producer.fetch_add(1, Ordering::Relaxed)
    }
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
