//! Where an owner starts: behind what is stored, with the duplicate window before it read back.

use roomlog_core::room_log::{Bounds, Position, RoomLog, Spec, Unfit};
use roomlog_platform::{
    dynamo::{PartitionRow, TopicRow},
    kafka::{LogRecord, PartitionStream, Reader, Watermarks},
};

use super::{OwnerError, Resources};
use crate::ledger::Ledger;

/// Records of the window taken from the reader at once.
const READ_BACK_RECORDS_MAX: usize = 4_096;

/// A partition ready to go on.
pub(super) struct Base {
    pub(super) ledger: Ledger,
    pub(super) stream: PartitionStream,
    /// Records at and behind the start that came with the last of the window.
    pub(super) first: Vec<LogRecord>,
}

/// Loads a partition's row and reads back the window before it.
pub(super) async fn load(resources: &Resources, partition: u32) -> Result<Base, OwnerError> {
    let row = resources
        .shelf
        .partition(&resources.topic.topic, partition)
        .await?;
    let topic = &resources.topic;
    let (row, bounds) = start(row, topic, resources.events.watermarks(partition).await?)?;
    let spec = Spec {
        partition,
        partition_count: topic.partition_count,
        window_offsets: topic.window_offsets,
    };
    let mut log = RoomLog::partial(spec, row.position, row.accepted);
    log.open_generation(topic.generation);
    // What the log no longer holds is older than the window's 24 hours, as retention is longer.
    let from = log.window_start_for(log.next()).max(bounds.low);
    let ledger = Ledger::new(log);
    read_back(&resources.events, partition, from, ledger).await
}

/// Holds a partition's row to the log: what is not stored must still be there.
pub(super) fn start(
    row: Option<PartitionRow>,
    topic: &TopicRow,
    bounds: Watermarks,
) -> Result<(PartitionRow, Watermarks), OwnerError> {
    let origin = Position {
        generation: topic.generation,
        offset: 0,
    };
    let row = row.unwrap_or(PartitionRow {
        position: origin,
        accepted: 0,
    });
    if row.position.generation > topic.generation {
        return Err(OwnerError::Generation {
            stored: row.position,
            recorded: topic.generation,
        });
    }
    // A generation that was opened since begins at its first record.
    let stored = row.position.max(origin).offset;
    let Watermarks { low, high } = bounds;
    match (Bounds { low, high }).admit(stored) {
        Ok(()) => Ok((row, bounds)),
        Err(Unfit::PastEnd { .. }) => Err(OwnerError::PastEnd { stored, end: high }),
        Err(Unfit::Trimmed { .. }) => Err(OwnerError::Trimmed { stored, low }),
    }
}

async fn read_back(
    reader: &Reader,
    partition: u32,
    from: i64,
    mut ledger: Ledger,
) -> Result<Base, OwnerError> {
    let mut stream = reader.open(partition, from);
    let (mut first, mut next) = (Vec::new(), from);
    while next < ledger.next().offset {
        let batch = stream.next_batch(READ_BACK_RECORDS_MAX).await?;
        next = batch.next_offset;
        for record in batch.records {
            if record.offset < ledger.next().offset {
                ledger.remember(&record);
            } else {
                first.push(record);
            }
        }
        if batch.caught_up {
            // The offsets up to the start hold no records.
            break;
        }
    }
    Ok(Base {
        ledger,
        stream,
        first,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic() -> TopicRow {
        TopicRow {
            topic: "chat.events.v2".into(),
            partition_count: 1,
            window_offsets: 10,
            generation: 2,
        }
    }

    fn stored(generation: u32, offset: i64) -> Option<PartitionRow> {
        Some(PartitionRow {
            position: Position { generation, offset },
            accepted: 7,
        })
    }

    #[test]
    fn refuses_a_log_that_lost_what_is_stored_or_is_not() {
        let bounds = Watermarks { low: 5, high: 20 };
        let at = |row| start(row, &topic(), bounds).map(|(row, _)| row.position.offset);
        assert!(matches!(at(stored(2, 20)), Ok(20)));
        assert!(matches!(
            at(stored(2, 21)),
            Err(OwnerError::PastEnd {
                stored: 21,
                end: 20
            })
        ));
        assert!(matches!(
            at(stored(2, 4)),
            Err(OwnerError::Trimmed { stored: 4, low: 5 })
        ));
        assert!(matches!(
            at(None),
            Err(OwnerError::Trimmed { stored: 0, low: 5 })
        ));
        assert!(matches!(
            at(stored(3, 6)),
            Err(OwnerError::Generation { .. })
        ));
    }

    #[test]
    fn a_new_generation_begins_at_its_first_record_whatever_was_stored_of_the_last() {
        let bounds = Watermarks { low: 0, high: 3 };
        assert!(start(stored(1, 1_000), &topic(), bounds).is_ok());
    }
}
