//! Setting aside a record that can't be decoded.

use super::{DEAD_LETTERS_TOPIC, Delivery, LogRecord, Outgoing, ProduceError, Producer};

/// The topic a dead letter was read from.
pub const DEAD_LETTER_TOPIC_HEADER: &str = "dlq.topic";
/// Its partition there.
pub const DEAD_LETTER_PARTITION_HEADER: &str = "dlq.partition";
/// Its offset there.
pub const DEAD_LETTER_OFFSET_HEADER: &str = "dlq.offset";
/// Why it is a dead letter.
pub const DEAD_LETTER_REASON_HEADER: &str = "dlq.reason";

impl Producer {
    /// Appends the record as it was to the dead-letter topic; further headers say from where and why. Doing it twice
    /// leaves two equal dead letters, which is harmless.
    ///
    /// # Errors
    /// As [`Producer::send`].
    pub fn send_dead_letter(
        &self,
        topic: &str,
        record: &LogRecord,
        reason: &str,
    ) -> Result<Delivery, ProduceError> {
        let (partition, offset) = (record.partition.to_string(), record.offset.to_string());
        let origin = [
            (DEAD_LETTER_TOPIC_HEADER, topic.as_bytes()),
            (DEAD_LETTER_PARTITION_HEADER, partition.as_bytes()),
            (DEAD_LETTER_OFFSET_HEADER, offset.as_bytes()),
            (DEAD_LETTER_REASON_HEADER, reason.as_bytes()),
        ];
        let letter = Outgoing {
            key: &record.key,
            value: &record.value,
            headers: record.headers().chain(origin).collect(),
            partition: None,
        };
        self.send(DEAD_LETTERS_TOPIC, letter)
    }
}
