//! Domain values to link messages and back.

use bytes::Bytes;
use prost::Message as _;
use roomlog_core::{
    event::Kind,
    ids::{Count, IdError, RoomKey, Seq},
};
use thiserror::Error;

use super::{Level, RoomHead, RoomInterest, proto};
use crate::stored_event::StoredEvent;

/// An event encoded once, shared by every stream and by the tail in Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedEvent {
    /// The room.
    pub key: RoomKey,
    /// Rank in the room.
    pub seq: Seq,
    /// Messages and notices up to and including this event.
    pub count: Count,
    /// The encoded `EventRecord`.
    pub record: Bytes,
}

/// Why a message of the other side can't be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// The bytes are no message of the link.
    #[error("malformed link message: {0}")]
    Malformed(String),
    /// A room key outside its alphabet.
    #[error("bad room key: {0}")]
    Key(#[from] IdError),
    /// A level of interest this version does not know.
    #[error("unknown interest level {0}")]
    Level(i32),
}

// === impl EncodedEvent ===

impl EncodedEvent {
    /// Encodes an event.
    pub fn encode(event: &StoredEvent) -> Self {
        let record = proto::EventRecord {
            room: event.key.as_str().to_owned(),
            seq: event.seq.0,
            count: event.count.0,
            at_ms: event.at_ms,
            partition: event.partition,
            offset: event.offset,
            id: event.id.clone(),
            sender: event.sender.clone(),
            r#type: event.kind.as_str().to_owned(),
            traceparent: event.traceparent.clone(),
            value: event.value.clone(),
        };
        Self {
            key: event.key.clone(),
            seq: event.seq,
            count: event.count,
            record: record.encode_to_vec().into(),
        }
    }

    /// Decodes an event from its record. The value is copied, so that keeping it does not pin the buffer it came in.
    ///
    /// # Errors
    /// When the bytes are no event this version understands.
    pub fn decode(record: &[u8]) -> Result<StoredEvent, WireError> {
        let record = proto::EventRecord::decode(record)
            .map_err(|error| WireError::Malformed(error.to_string()))?;
        Ok(StoredEvent {
            key: RoomKey::parse(&record.room)?,
            seq: Seq(record.seq),
            count: Count(record.count),
            at_ms: record.at_ms,
            partition: record.partition,
            offset: record.offset,
            id: record.id,
            sender: record.sender,
            // A type of a later version shows as unreadable here, and as itself after this instance's upgrade.
            kind: Kind::parse(&record.r#type).unwrap_or(Kind::Unreadable),
            traceparent: record.traceparent,
            value: record.value,
        })
    }
}

// === impl RoomHead, RoomInterest ===

impl From<RoomHead> for proto::RoomHead {
    fn from(head: RoomHead) -> Self {
        Self {
            room: head.key.as_str().to_owned(),
            seq: head.seq.0,
            count: head.count.0,
        }
    }
}

impl TryFrom<proto::RoomHead> for RoomHead {
    type Error = WireError;

    fn try_from(head: proto::RoomHead) -> Result<Self, WireError> {
        Ok(Self {
            key: RoomKey::parse(&head.room)?,
            seq: Seq(head.seq),
            count: Count(head.count),
        })
    }
}

impl From<RoomInterest> for proto::RoomInterest {
    fn from(interest: RoomInterest) -> Self {
        let level = match interest.level {
            Level::None => proto::Level::None,
            Level::Badge => proto::Level::Badge,
            Level::Live => proto::Level::Live,
        };
        Self {
            room: interest.key.as_str().to_owned(),
            level: level.into(),
            seq: interest.seq.map(|seq| seq.0),
            signals: interest.signals,
        }
    }
}

impl TryFrom<proto::RoomInterest> for RoomInterest {
    type Error = WireError;

    fn try_from(interest: proto::RoomInterest) -> Result<Self, WireError> {
        let level = match interest.level() {
            proto::Level::Badge => Level::Badge,
            proto::Level::Live => Level::Live,
            // An unknown number reads as the default and must not be taken for a withdrawal.
            proto::Level::None if interest.level == 0 => Level::None,
            proto::Level::None => return Err(WireError::Level(interest.level)),
        };
        Ok(Self {
            key: RoomKey::parse(&interest.room)?,
            level,
            seq: interest.seq.map(Seq),
            signals: interest.signals,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn event() -> StoredEvent {
        StoredEvent {
            key: RoomKey::parse("room-1").unwrap(),
            seq: Seq(7),
            count: Count(5),
            at_ms: 1_763_700_000_000,
            partition: 3,
            offset: 1_234,
            id: "m-1".into(),
            sender: "alice".into(),
            kind: Kind::Message,
            traceparent: None,
            value: Bytes::from_static(&[0, 0, 0, 0, 1, 42]),
        }
    }

    #[test]
    fn an_event_survives_the_wire() {
        let encoded = EncodedEvent::encode(&event());
        assert_eq!(EncodedEvent::decode(&encoded.record), Ok(event()));
    }

    #[test]
    fn shared_bytes_read_as_event_records() {
        /// The form of `Forward` a client of another language would generate.
        #[derive(prost::Message)]
        struct Typed {
            #[prost(message, repeated, tag = "1")]
            events: Vec<proto::EventRecord>,
        }
        let events = vec![EncodedEvent::encode(&event()).record];
        let forward = proto::Forward {
            events,
            heads: vec![],
        };
        let typed = Typed::decode(forward.encode_to_vec().as_slice()).unwrap();
        assert_eq!((typed.events.len(), typed.events[0].seq), (1, 7));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        assert!(matches!(
            EncodedEvent::decode(&[0xff]),
            Err(WireError::Malformed(_))
        ));
        let odd = proto::RoomInterest {
            room: "a".into(),
            level: 9,
            seq: None,
            signals: false,
        };
        assert_eq!(RoomInterest::try_from(odd), Err(WireError::Level(9)));
    }

    #[test]
    fn a_type_of_a_later_version_is_unreadable() {
        let mut later = event();
        later.kind = Kind::Notice;
        let mut bytes = EncodedEvent::encode(&later).record.to_vec();
        let at = bytes.windows(6).position(|part| part == b"notice").unwrap();
        bytes[at] = b'N';
        let event = EncodedEvent::decode(&bytes).unwrap();
        assert_eq!((event.kind, event.seq), (Kind::Unreadable, Seq(7)));
    }
}
