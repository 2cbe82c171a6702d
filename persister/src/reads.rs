//! One partition of the read positions.
//!
//! They only move forward and the furthest wins, so there is nothing to number: a batch is coalesced, written, and
//! the partition's row moved. What is done twice comes to the same.

use std::sync::Arc;

use roomlog_core::{
    ids::RoomKey,
    room_log::Position,
    unread::{Positions, ReadPosition},
};
use roomlog_platform::{
    dynamo::{PartitionRow, ReadMark},
    kafka::{Batch, LogRecord, READS_TOPIC, Watermarks},
};
use tokio_util::sync::CancellationToken;

use crate::{
    metrics,
    moves::read_marks,
    owner::{OwnerError, Progress, Resources, put_aside},
};

/// Records taken at once: the more, the more marks of one user fall into one write.
const BATCH_RECORDS_MAX: usize = 500;

/// Owns a partition until released. A write that is under way then is given up: the next owner does it again.
pub(crate) async fn own(
    resources: Arc<Resources>,
    partition: u32,
    progress: &Arc<Progress>,
    release: &CancellationToken,
) -> Result<(), OwnerError> {
    let owning = store(&resources, partition, progress);
    release.run_until_cancelled(owning).await.unwrap_or(Ok(()))
}

/// Ends by an error only.
async fn store(
    resources: &Resources,
    partition: u32,
    progress: &Progress,
) -> Result<(), OwnerError> {
    let row = resources.shelf.partition(READS_TOPIC, partition).await?;
    let generation = resources.topic.generation;
    let start = start(
        row,
        generation,
        resources.reads.watermarks(partition).await?,
    )?;
    progress.set(start);
    let mut stream = resources.reads.open(partition, start);
    loop {
        let batch = stream.next_batch(BATCH_RECORDS_MAX).await?;
        if batch.records.is_empty() {
            continue;
        }
        let Batch {
            records,
            next_offset,
            ..
        } = batch;
        let marks = coalesced(resources, &records).await;
        resources.shelf.move_reads(&marks).await?;
        resources.readers.read(&marks);
        metrics::reads_stored(marks.len());
        let position = Position {
            generation,
            offset: next_offset,
        };
        let row = PartitionRow {
            position,
            accepted: 0,
        };
        resources
            .shelf
            .move_partition(READS_TOPIC, partition, row)
            .await?;
        progress.set(next_offset);
    }
}

/// Where to begin. Marks that retention dropped are no loss worth stopping for: later ones replace them.
fn start(
    row: Option<PartitionRow>,
    generation: u32,
    bounds: Watermarks,
) -> Result<i64, OwnerError> {
    let stored = row
        .filter(|row| row.position.generation >= generation)
        .map_or(bounds.low, |row| row.position.offset);
    if stored > bounds.high {
        let end = bounds.high;
        return Err(OwnerError::PastEnd { stored, end });
    }
    Ok(stored.max(bounds.low))
}

/// The furthest mark of each user and room; what can't be decoded is put aside.
async fn coalesced(resources: &Resources, records: &[LogRecord]) -> Vec<ReadMark> {
    let mut furthest = Positions::default();
    for record in records {
        match roomlog_schemas::decode_reads(&record.value) {
            Ok(reads) => {
                let room = RoomKey::from(reads.room);
                for mark in reads.positions {
                    let at = ReadPosition::at(mark.seq, mark.count);
                    furthest.note((room.clone(), mark.user), at);
                }
            }
            Err(error) => put_aside(resources, READS_TOPIC, record, &error.to_string()).await,
        }
    }
    read_marks(furthest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begins_at_the_stored_offset_or_at_what_is_left() {
        let bounds = Watermarks { low: 5, high: 20 };
        let row = |generation, offset| {
            Some(PartitionRow {
                position: Position { generation, offset },
                accepted: 0,
            })
        };
        assert_eq!(start(row(1, 8), 1, bounds).expect("within"), 8);
        assert_eq!(start(row(1, 2), 1, bounds).expect("trimmed"), 5);
        assert_eq!(start(row(0, 400), 1, bounds).expect("older topic"), 5);
        assert_eq!(start(None, 1, bounds).expect("first start"), 5);
        assert!(matches!(
            start(row(1, 21), 1, bounds),
            Err(OwnerError::PastEnd { .. })
        ));
    }
}
