//! What an owner has done elsewhere while it goes on: each effect ends with news for it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use roomlog_core::{
    ids::RoomKey,
    room_log::{Head, Snapshot},
};
use roomlog_platform::{
    backoff::Backoff,
    dynamo::StoreError,
    kafka::LogRecord,
    link::EncodedEvent,
    redis::{CacheError, HeadsKey, Lease},
};

use super::{Resources, presence::Places, snapshots::Write};
use crate::{dead_letter, metrics};

/// Waits between attempts to read the store: short, as records wait for it; never a storm.
const RETRY_FLOOR: Duration = Duration::from_millis(50);
/// The longest wait between attempts to read the store.
const RETRY_CEILING: Duration = Duration::from_secs(2);

/// How long looking for records at the log's end may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(1);

/// The news an effect ends with.
pub(super) enum Done {
    /// These rooms' rows were read; a room may have none.
    Heads(Vec<(RoomKey, Option<Head>)>),
    /// The partition's rooms were listed.
    Rooms(Vec<RoomKey>),
    /// The dead-letter topic has the record.
    PutAside,
    /// A gateway was answered from the log, or not.
    Recalled,
    /// Events were written to the tails, or not.
    Tail,
    /// Presence was written, or not.
    Places(bool),
    /// The snapshot was written, or not.
    Snapshot(Write, bool),
    /// The snapshot was read, or not.
    Checked(Result<Option<Snapshot>, ()>),
    /// The log's end, if it could be asked for.
    End(Option<i64>),
    /// The log holds no record from where it was looked up to this end, if that could be proved.
    Nothing(Option<i64>),
}

/// The effects of one partition's owner.
#[derive(Clone)]
pub(super) struct Effects {
    pub(super) resources: Arc<Resources>,
    pub(super) partition: u32,
}

/// Reading the store until it answers: without its answer an owner can't go on, and nobody else needs this one to give up.
pub(super) struct Patience {
    problem: &'static str,
    backoff: Backoff,
}

// === impl Effects ===

impl Effects {
    pub(super) async fn load_heads(self, keys: Vec<RoomKey>) -> Done {
        let mut patience = Patience::with("rooms' rows can't be read");
        loop {
            match self.resources.store.rooms(&keys).await {
                Ok(rows) => {
                    let found: HashMap<_, _> =
                        rows.into_iter().map(|row| (row.key, row.head)).collect();
                    let heads = keys.into_iter().map(|key| {
                        let head = found.get(&key).copied();
                        (key, head)
                    });
                    return Done::Heads(heads.collect());
                }
                Err(error) => patience.after(&error).await,
            }
        }
    }

    pub(super) async fn list_rooms(self) -> Done {
        let mut patience = Patience::with("a partition's rooms can't be listed");
        let (mut rooms, mut next) = (vec![], None);
        loop {
            match self
                .resources
                .store
                .rooms_in_partition(self.partition, next.as_ref())
                .await
            {
                Ok(page) => {
                    rooms.extend(page.rooms);
                    next = page.next;
                    if next.is_none() {
                        return Done::Rooms(rooms);
                    }
                }
                Err(error) => patience.after(&error).await,
            }
        }
    }

    pub(super) async fn put_aside(self, record: LogRecord, reason: String) -> Done {
        dead_letter::put_aside(&self.resources, &record, &reason).await;
        Done::PutAside
    }

    pub(super) async fn write_tail(self, events: Vec<EncodedEvent>) -> Done {
        let written = self.resources.cache.append_tails(&events).await;
        metrics::cache_write(metrics::CacheWrite::Tail, self.worked(written));
        Done::Tail
    }

    /// `wall_ms` is the time of day: leases end by it.
    pub(super) async fn write_places(self, places: Places, wall_ms: i64) -> Done {
        let Places { places, sweep } = places;
        let lease = Lease {
            now_ms: u64::try_from(wall_ms).unwrap_or(0),
            holds: self.resources.presence.lease.0,
        };
        let cache = &self.resources.cache;
        let written = async {
            cache.write_places(&places, lease).await?;
            cache.sweep_places(&sweep, lease.now_ms).await
        };
        let worked = self.worked(written.await);
        metrics::cache_write(metrics::CacheWrite::Presence, worked);
        Done::Places(worked)
    }

    pub(super) async fn write_snapshot(self, write: Write) -> Done {
        let (cache, key) = (&self.resources.cache, self.heads_key());
        let written = if write.whole {
            let snapshot = Snapshot {
                position: write.changes.position,
                accepted: write.changes.accepted,
                heads: write.changes.heads.clone(),
            };
            cache
                .replace_heads(key, &self.resources.instance, &snapshot)
                .await
        } else {
            cache.advance_heads(key, &write.changes).await
        };
        let worked = self.worked(written);
        metrics::cache_write(metrics::CacheWrite::Snapshot, worked);
        Done::Snapshot(write, worked)
    }

    pub(super) async fn check_snapshot(self) -> Done {
        match self.resources.cache.read_heads(self.heads_key()).await {
            Ok(found) => Done::Checked(Ok(found)),
            // What is there is not ours to understand, so it is replaced like a set that does not add up.
            Err(CacheError::Content { reason, .. }) => {
                tracing::warn!(partition = self.partition, %reason, "the snapshot in redis is unusable");
                Done::Checked(Ok(None))
            }
            Err(_) => Done::Checked(Err(())),
        }
    }

    pub(super) async fn find_end(self) -> Done {
        let watermarks = self.resources.bounds.watermarks(self.partition).await;
        Done::End(watermarks.ok().map(|watermarks| watermarks.high))
    }

    /// Finds out whether the log holds any record in a range at its end. Marks of transactions take offsets there that no
    /// reader ever gets to see.
    pub(super) async fn look_for_records(self, from: i64, end: i64) -> Done {
        let mut stream = self.resources.bounds.open(self.partition, from);
        let batch = tokio::time::timeout(LOOK_TIMEOUT, stream.next_batch(1)).await;
        let nothing = matches!(batch, Ok(Ok(batch)) if batch.caught_up && batch.records.is_empty());
        Done::Nothing(nothing.then_some(end))
    }

    pub(super) fn heads_key(&self) -> HeadsKey {
        HeadsKey {
            generation: self.resources.topic.generation,
            partition: self.partition,
        }
    }

    fn worked(&self, written: Result<(), CacheError>) -> bool {
        if let Err(error) = &written {
            tracing::debug!(partition = self.partition, %error, "redis does not help");
        }
        written.is_ok()
    }
}

// === impl Patience ===

impl Patience {
    /// `problem` is what the log says of each failure.
    pub(super) fn with(problem: &'static str) -> Self {
        Self {
            problem,
            backoff: Backoff::between(RETRY_FLOOR, RETRY_CEILING),
        }
    }

    /// Waits before the next attempt.
    pub(super) async fn after(&mut self, error: &StoreError) {
        tracing::warn!(%error, "{}", self.problem);
        self.backoff.wait().await;
    }
}
