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
/// Present, with the length of the original value in bytes, where the topic would not take the whole record: key and
/// headers are missing too then, and the headers above say where the original is.
pub const DEAD_LETTER_TRUNCATED_HEADER: &str = "dlq.truncated";

impl Producer {
    /// Puts a record aside and returns once the dead-letter topic has acknowledged it: as it was, with further headers
    /// that say from where and why, or without its content where it is too large for that topic. Doing it twice leaves
    /// two equal dead letters, which is harmless.
    ///
    /// # Errors
    /// As [`Producer::send`] and its delivery; never because of the record's size.
    pub async fn put_aside(
        &self,
        topic: &str,
        record: &LogRecord,
        reason: &str,
    ) -> Result<(), ProduceError> {
        let whole = self.send_dead_letter(topic, record, reason, Content::Whole);
        match outcome(whole).await {
            Err(ProduceError::TooLarge(_)) => {
                outcome(self.send_dead_letter(topic, record, reason, Content::Truncated)).await
            }
            done => done,
        }
    }

    fn send_dead_letter(
        &self,
        topic: &str,
        record: &LogRecord,
        reason: &str,
        content: Content,
    ) -> Result<Delivery, ProduceError> {
        let (partition, offset) = (record.partition.to_string(), record.offset.to_string());
        let origin = [
            (DEAD_LETTER_TOPIC_HEADER, topic.as_bytes()),
            (DEAD_LETTER_PARTITION_HEADER, partition.as_bytes()),
            (DEAD_LETTER_OFFSET_HEADER, offset.as_bytes()),
            (DEAD_LETTER_REASON_HEADER, reason.as_bytes()),
        ];
        let length = record.value.len().to_string();
        let letter = match content {
            Content::Whole => Outgoing {
                key: &record.key,
                value: &record.value,
                headers: record.headers().chain(origin).collect(),
                partition: None,
            },
            Content::Truncated => Outgoing {
                key: b"",
                value: b"",
                headers: origin
                    .into_iter()
                    .chain([(DEAD_LETTER_TRUNCATED_HEADER, length.as_bytes())])
                    .collect(),
                partition: None,
            },
        };
        self.send(DEAD_LETTERS_TOPIC, letter)
    }
}

/// How much of a record its dead letter holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Whole,
    Truncated,
}

async fn outcome(sent: Result<Delivery, ProduceError>) -> Result<(), ProduceError> {
    sent?.await.map(drop)
}
