//! Where a new owner's numbering begins.

use std::time::Duration;

use roomlog_core::room_log::{Bounds, Position, RoomLog, Unfit};
use roomlog_platform::{backoff::Backoff, dynamo::PartitionRow, kafka::Watermarks};

use super::{
    OwnerError, Resources,
    effects::{Effects, Patience},
};

/// Waits between attempts to learn a partition's bounds.
const RETRY_FLOOR: Duration = Duration::from_millis(100);
/// The longest wait between attempts to learn a partition's bounds.
const RETRY_CEILING: Duration = Duration::from_secs(2);

/// How long Redis may take to say that it is there; the store answers as soon.
const CACHE_ANSWER_TIMEOUT: Duration = Duration::from_millis(500);
/// How long reading a snapshot may take; beyond, the rows are read instead.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(5);

/// A numbering that is ready for the window to be read back.
pub(super) struct Base {
    pub(super) log: RoomLog,
    /// It is what Redis holds.
    pub(super) trusted: bool,
    /// The first offset to read.
    pub(super) read_from: i64,
    /// The log's end when the partition was assigned; heads are stated once it is passed.
    pub(super) end: i64,
}

/// Finds the base of a partition: the snapshot in Redis if it adds up, else the persister's row.
///
/// The bounds are asked for after the position was read: others move it all the time, and an honest one then lies
/// within them.
pub(super) async fn find(effects: &Effects) -> Result<Base, OwnerError> {
    let (resources, partition) = (&*effects.resources, effects.partition);
    if let Some(log) = restore(effects).await {
        let bounds = watermarks(resources, partition).await;
        if within(partition, log.next().offset, bounds)? {
            return Ok(Base::on(log, true, bounds));
        }
        tracing::warn!(partition, "the snapshot was left behind by retention");
    }
    let log = from_row(resources, partition).await?;
    let bounds = watermarks(resources, partition).await;
    let offset = log.next().offset;
    if !within(partition, offset, bounds)? {
        return Err(OwnerError::Trimmed {
            partition,
            offset,
            low: bounds.low,
        });
    }
    Ok(Base::on(log, false, bounds))
}

// === impl Base ===

impl Base {
    fn on(log: RoomLog, trusted: bool, bounds: Watermarks) -> Self {
        // What lies below the log's own start is older than any retry can be, as retention is longer than 24 hours.
        let read_from = log.window_start_for(log.next()).max(bounds.low);
        Self {
            log,
            trusted,
            read_from,
            end: bounds.high,
        }
    }
}

async fn watermarks(resources: &Resources, partition: u32) -> Watermarks {
    let mut backoff = Backoff::between(RETRY_FLOOR, RETRY_CEILING);
    loop {
        match resources.bounds.watermarks(partition).await {
            Ok(bounds) => return bounds,
            Err(error) => {
                tracing::warn!(partition, %error, "a partition's bounds can't be learned")
            }
        }
        backoff.wait().await;
    }
}

/// The numbering Redis holds, if it answers soon and can be trusted.
async fn restore(effects: &Effects) -> Option<RoomLog> {
    let (resources, partition) = (&*effects.resources, effects.partition);
    let read = async {
        // A Redis that does not even answer this is not worth the wait for the whole set.
        tokio::time::timeout(CACHE_ANSWER_TIMEOUT, resources.cache.ping())
            .await
            .ok()?
            .ok()?;
        Some(resources.cache.read_heads(effects.heads_key()).await)
    };
    let snapshot = match tokio::time::timeout(SNAPSHOT_TIMEOUT, read).await {
        Ok(Some(Ok(snapshot))) => snapshot?,
        Ok(Some(Err(error))) => {
            tracing::warn!(partition, %error, "no snapshot can be read");
            return None;
        }
        Ok(None) | Err(_) => {
            tracing::warn!(partition, "redis does not answer in time");
            return None;
        }
    };
    RoomLog::restore(resources.spec(partition), snapshot)
        .inspect_err(|untrusted| tracing::warn!(partition, %untrusted, "the snapshot is discarded"))
        .ok()
}

/// A numbering that starts at the persister's row, or at the log's first record where there is none.
async fn from_row(resources: &Resources, partition: u32) -> Result<RoomLog, OwnerError> {
    let row = row(resources, partition).await;
    let opened = resources.topic.generation;
    let start = Position {
        generation: opened,
        offset: 0,
    };
    let (position, accepted) = row.map_or((start, 0), |row| (row.position, row.accepted));
    if position.generation != opened {
        let stored = position.generation;
        return Err(OwnerError::Generation {
            partition,
            stored,
            opened,
        });
    }
    Ok(RoomLog::partial(
        resources.spec(partition),
        position,
        accepted,
    ))
}

async fn row(resources: &Resources, partition: u32) -> Option<PartitionRow> {
    let mut patience = Patience::with("a partition's row can't be read");
    loop {
        match resources
            .store
            .partition(&resources.topic.topic, partition)
            .await
        {
            Ok(row) => return row,
            Err(error) => patience.after(&error).await,
        }
    }
}

/// Holds a stored offset to the log; `false` if retention has left it behind.
fn within(partition: u32, offset: i64, bounds: Watermarks) -> Result<bool, OwnerError> {
    let Watermarks { low, high } = bounds;
    match (Bounds { low, high }).admit(offset) {
        Ok(()) => Ok(true),
        Err(Unfit::Trimmed { .. }) => Ok(false),
        Err(Unfit::PastEnd { .. }) => Err(OwnerError::PastEnd {
            partition,
            offset,
            high,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_past_the_end_stops_the_owner() {
        let bounds = Watermarks { low: 5, high: 10 };
        assert!(matches!(within(0, 10, bounds), Ok(true)));
        assert!(matches!(within(0, 4, bounds), Ok(false)));
        assert!(matches!(
            within(3, 11, bounds),
            Err(OwnerError::PastEnd {
                partition: 3,
                offset: 11,
                high: 10
            })
        ));
    }
}
