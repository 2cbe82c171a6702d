//! A topic succeeds another: the old one is closed, and the new one begins with the ids that occurred lately in it.

use std::time::Duration;

use thiserror::Error;

use super::{
    Delivery, KafkaConfig, LogRecord, Outgoing, ProduceError, Producer, ReadError, Reader,
    admin::Admin, topics::TopicError,
};

/// On a record that only says which id occurred in the old topic. It lies before the offset numbering begins at.
pub const CARRIED_HEADER: &str = "carried";

/// Records carried at once; the next are read once all of them are acknowledged.
const BATCH_RECORDS_MAX: usize = 1_000;
/// How long the client may take to find brokers.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// A topic's setting, and what no record fits into.
const RECORD_BYTES_MAX: (&str, &str) = ("max.message.bytes", "1");

/// Why a topic could not be carried over.
#[derive(Debug, Error)]
pub enum SuccessionError {
    /// The old topic can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The new topic takes nothing.
    #[error(transparent)]
    Produce(#[from] ProduceError),
    /// No broker takes anything.
    #[error(transparent)]
    Connect(#[from] super::ConnectError),
}

/// Makes the brokers refuse every further record of a topic as too large, from whichever gateway. What they acknowledged
/// before is read as ever.
///
/// # Errors
/// When the brokers refuse or don't answer.
pub async fn close(config: &KafkaConfig, topic: &str) -> Result<(), TopicError> {
    let mut admin = Admin::connect(config).await?;
    admin.set(topic, RECORD_BYTES_MAX).await
}

/// Copies which ids occurred lately in each partition of a topic to its successor, so that their retries are known there
/// too: among the last `window_offsets` records, those appended since. How many that were.
///
/// # Errors
/// When the one topic can't be read or the other one written.
pub async fn carry(
    config: &KafkaConfig,
    (from, partition_count): (&str, u32),
    to: &str,
    (window_offsets, since_ms): (i64, i64),
) -> Result<u64, SuccessionError> {
    let producer = Producer::connect(config, CONNECT_TIMEOUT).await?;
    let reader = Reader::new(config, from, "roomlog-topics")?;
    let mut carried = 0;
    for partition in 0..partition_count {
        let bounds = reader.watermarks(partition).await?;
        let mut next = (bounds.high - window_offsets.max(0)).max(bounds.low);
        let mut stream = reader.open(partition, next);
        while next < bounds.high {
            let batch = stream.next_batch(BATCH_RECORDS_MAX).await?;
            next = batch.next_offset;
            let mut deliveries = Vec::new();
            for record in &batch.records {
                if record.append_time_ms >= since_ms {
                    deliveries.extend(copy(&producer, to, record)?);
                }
            }
            for delivery in deliveries {
                delivery.await?;
                carried += 1;
            }
            if batch.caught_up {
                break;
            }
        }
    }
    Ok(carried)
}

/// What makes a retry of a record, and nothing else of it; `None` for one that can't be sent again.
fn copy(
    producer: &Producer,
    to: &str,
    record: &LogRecord,
) -> Result<Option<Delivery>, ProduceError> {
    let read = record.as_ref(0);
    if read.id.is_empty() || read.sender.is_empty() {
        return Ok(None);
    }
    let headers: [(&str, &[u8]); 3] = [
        ("id", read.id),
        ("sender", read.sender),
        (CARRIED_HEADER, b"1"),
    ];
    let copy = Outgoing {
        key: read.key,
        value: b"",
        headers: headers.into_iter().collect(),
        partition: None,
    };
    producer.send(to, copy).map(Some)
}
