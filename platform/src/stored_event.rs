//! An event with its place, its value still encoded: what the link forwards, the tail caches and DynamoDB stores.

use bytes::Bytes;
use roomlog_core::{
    event::{Event, Kind},
    ids::{Count, RoomKey, Seq},
};
use thiserror::Error;

/// One numbered record of a room.
///
/// The value stays as the log holds it, so only who shows an event pays for decoding it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// The log it belongs to.
    pub key: RoomKey,
    /// Rank in the room.
    pub seq: Seq,
    /// Messages and notices up to and including this event.
    pub count: Count,
    /// The log's append time, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Partition of the topic.
    pub partition: u32,
    /// Offset in that partition.
    pub offset: i64,
    /// The `id` record header; empty where a foreign producer set none.
    pub id: String,
    /// The `sender` record header; empty where a foreign producer set none.
    pub sender: String,
    /// The `type` record header, or [`Kind::Unreadable`] where the value could not be decoded.
    pub kind: Kind,
    /// The W3C trace context of the request that produced it.
    pub traceparent: Option<String>,
    /// The record's value: Avro in Confluent framing.
    pub value: Bytes,
}

/// Why a value does not show as its event. Every reader judges alike, so that all show the same.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnreadableValue {
    /// Its type is not known, or was found to be unreadable before.
    #[error("the record's type is missing or unknown")]
    Type,
    /// The bytes are not what a schema of ours describes.
    #[error("the value can't be decoded: {0}")]
    Value(String),
    /// The value is of another room or type than its record says.
    #[error("the value contradicts its record's key or type")]
    Contradiction,
}

// === impl StoredEvent ===

impl StoredEvent {
    /// Decodes the value and holds it to its record.
    ///
    /// # Errors
    /// When the event is to be shown as [`Kind::Unreadable`].
    pub fn event(&self) -> Result<Event, UnreadableValue> {
        if self.kind == Kind::Unreadable {
            return Err(UnreadableValue::Type);
        }
        let event = roomlog_schemas::decode_event(&self.value)
            .map_err(|error| UnreadableValue::Value(error.to_string()))?;
        if event.key != self.key || event.body.kind() != self.kind {
            return Err(UnreadableValue::Contradiction);
        }
        Ok(event)
    }

    /// Whether lists of rooms order by it: a message or notice, or the event a room begins with.
    #[must_use]
    pub fn shows_activity(&self) -> bool {
        self.kind.counts() || self.seq == Seq(1)
    }
}
