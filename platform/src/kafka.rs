//! The log: producing with proof of append, learning which partitions are ours, reading them at exact offsets.
//!
//! Membership and reading are two consumers. [`Membership`] joins a group only to learn which partitions are ours;
//! it reads nothing. [`Reader`] belongs to no group and reads each partition from the very offset we name, so
//! where reading starts is stored with our data and never depends on what the group remembers. A reader that
//! outlives its right to a partition does no harm, as everything derived from the log is a function of it.

mod admin;
mod client;
mod config;
mod dead_letter;
mod membership;
mod producer;
mod reader;
mod record;
mod succession;
mod token;
pub mod topics;

pub use config::KafkaConfig;
pub use dead_letter::{
    DEAD_LETTER_OFFSET_HEADER, DEAD_LETTER_PARTITION_HEADER, DEAD_LETTER_REASON_HEADER,
    DEAD_LETTER_TOPIC_HEADER, DEAD_LETTER_TRUNCATED_HEADER,
};
pub use membership::{DRAIN_WAIT_MAX, JoinError, Membership, Rebalance, Released, TopicPartition};
pub use producer::{Appended, ConnectError, Delivery, Headers, Outgoing, ProduceError, Producer};
pub use reader::{Batch, PartitionStream, ReadError, Reader, Watermarks};
pub use record::LogRecord;
pub use succession::{CARRIED_HEADER, SuccessionError, carry, close};

/// The room events, in order, keyed by room: the first topic of them, until an operator opens a successor.
pub const EVENTS_TOPIC: &str = "chat.events.v1";
/// Batches of read positions, keyed by room.
pub const READS_TOPIC: &str = "chat.reads.v1";
/// Records whose value could not be decoded, as they were.
pub const DEAD_LETTERS_TOPIC: &str = "chat.dlq.v1";
