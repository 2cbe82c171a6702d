//! Records that can't be decoded, put aside as they were.

use std::time::Duration;

use roomlog_platform::{backoff::Backoff, kafka::LogRecord};

use crate::{metrics, owner::Resources};

/// Waits between attempts. The record's partition waits with it, as nothing may be shown before it is put aside.
const RETRY_FLOOR: Duration = Duration::from_millis(100);
/// The longest wait: what an operator mended is noticed within it.
const RETRY_CEILING: Duration = Duration::from_secs(5);

/// Puts a record aside and returns once the log has acknowledged it. It may be put aside more than once.
pub(crate) async fn put_aside(resources: &Resources, record: &LogRecord, reason: &str) {
    let (partition, offset) = (record.partition, record.offset);
    tracing::warn!(partition, offset, reason, "a record can't be decoded");
    let mut backoff = Backoff::between(RETRY_FLOOR, RETRY_CEILING);
    let (producer, topic) = (&resources.producer, &resources.topic.topic);
    while let Err(error) = producer.put_aside(topic, record, reason).await {
        tracing::error!(partition, offset, %error, "a record can't be put aside; its partition waits");
        backoff.wait().await;
    }
    metrics::dead_letter();
}
