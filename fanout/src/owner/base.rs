//! Where a new owner's numbering begins.

use std::time::Duration;

use roomlog_core::room_log::{Position, RoomLog};
use roomlog_platform::{
    backoff::Backoff,
    dynamo::PartitionRow,
    kafka::{EVENTS_TOPIC, Watermarks},
};

use super::{
    OwnerError, Resources,
    effects::{Effects, Patience},
};

/// Waits between attempts to learn a partition's bounds.
const RETRY_FLOOR: Duration = Duration::from_millis(100);
/// The longest wait between attempts to learn a partition's bounds.
const RETRY_CEILING: Duration = Duration::from_secs(2);

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
pub(super) async fn find(effects: &Effects) -> Result<Base, OwnerError> {
    let (resources, partition) = (&*effects.resources, effects.partition);
    let bounds = watermarks(resources, partition).await;
    let snapshot = restore(effects, bounds).await?;
    let trusted = snapshot.is_some();
    let log = match snapshot {
        Some(log) => log,
        None => from_row(resources, partition, bounds).await?,
    };
    // What lies below the log's own start is older than any retry can be, as retention is longer than 24 hours.
    let read_from = log.window_start_for(log.next()).max(bounds.low);
    Ok(Base {
        log,
        trusted,
        read_from,
        end: bounds.high,
    })
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

/// The numbering Redis holds, if it can be trusted and the log still has what comes after it.
async fn restore(effects: &Effects, bounds: Watermarks) -> Result<Option<RoomLog>, OwnerError> {
    let (resources, partition) = (&*effects.resources, effects.partition);
    let snapshot = match resources.cache.read_heads(effects.heads_key()).await {
        Ok(Some(snapshot)) => snapshot,
        Ok(None) => return Ok(None),
        Err(error) => {
            tracing::warn!(partition, %error, "no snapshot can be read");
            return Ok(None);
        }
    };
    match RoomLog::restore(resources.spec(partition), snapshot) {
        Ok(log) => {
            let offset = log.next().offset;
            within(partition, offset, bounds)?;
            // A snapshot that was left behind by retention is useless; the persister's row may be newer.
            Ok((offset >= bounds.low).then_some(log))
        }
        Err(untrusted) => {
            tracing::warn!(partition, %untrusted, "the snapshot is discarded");
            Ok(None)
        }
    }
}

/// A numbering that starts at the persister's row, or at the log's first record where there is none.
async fn from_row(
    resources: &Resources,
    partition: u32,
    bounds: Watermarks,
) -> Result<RoomLog, OwnerError> {
    let row = row(resources, partition).await;
    let start = Position {
        generation: resources.generation,
        offset: 0,
    };
    let (position, accepted) = row.map_or((start, 0), |row| (row.position, row.accepted));
    if position.generation != start.generation {
        let (stored, opened) = (position.generation, start.generation);
        return Err(OwnerError::Generation {
            partition,
            stored,
            opened,
        });
    }
    within(partition, position.offset, bounds)?;
    if position.offset < bounds.low {
        return Err(OwnerError::Trimmed {
            partition,
            offset: position.offset,
            low: bounds.low,
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
        match resources.store.partition(EVENTS_TOPIC, partition).await {
            Ok(row) => return row,
            Err(error) => patience.after(&error).await,
        }
    }
}

fn within(partition: u32, offset: i64, bounds: Watermarks) -> Result<(), OwnerError> {
    let high = bounds.high;
    if offset > high {
        return Err(OwnerError::PastEnd {
            partition,
            offset,
            high,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_past_the_end_stops_the_owner() {
        let bounds = Watermarks { low: 5, high: 10 };
        assert!(within(0, 10, bounds).is_ok());
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
