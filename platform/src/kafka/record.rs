//! A record of the log, copied out of the client's buffers.

use std::panic::AssertUnwindSafe;

use bytes::{BufMut, Bytes, BytesMut};
use rdkafka::{
    Timestamp,
    message::{BorrowedHeaders, BorrowedMessage, Headers as _, Message},
};
use roomlog_core::{
    event::Kind,
    ids::{Count, RoomKey, Seq},
    room_log::{Position, RecordRef},
};

use super::CARRIED_HEADER;
use crate::stored_event::StoredEvent;

/// What a record costs in a buffer beside its bytes.
const RECORD_OVERHEAD_BYTES: usize = 256;

/// What the headers of a gateway's record take.
const HEADERS_BYTES_USUAL: usize = 384;

/// One record.
///
/// Two allocations: the value, which lives as long as the event is kept, and everything else, which is short-lived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Partition of the topic.
    pub partition: u32,
    /// Offset in that partition.
    pub offset: i64,
    /// The broker's append time, in milliseconds since the Unix epoch.
    pub append_time_ms: i64,
    /// The record's key; empty where it has none.
    pub key: Bytes,
    /// The record's value; empty where it has none.
    pub value: Bytes,
    /// Header `id`; empty when missing.
    pub id: Bytes,
    /// Header `sender`; empty when missing.
    pub sender: Bytes,
    /// Header `type`; empty when missing.
    pub kind: Bytes,
    /// Header `traceparent`.
    pub traceparent: Option<Bytes>,
    /// Every header, each as two 32-bit lengths, name and value.
    headers: Bytes,
}

/// A header's name and value.
type Pair<'a> = (&'a str, &'a [u8]);

// === impl LogRecord ===

impl LogRecord {
    /// A record of these parts. Of several headers with one name the first counts.
    pub fn new<'a>(
        (partition, offset): (u32, i64),
        append_time_ms: i64,
        key: &[u8],
        value: &[u8],
        headers: impl Iterator<Item = Pair<'a>>,
    ) -> Self {
        let mut buffer = BytesMut::with_capacity(key.len() + HEADERS_BYTES_USUAL);
        buffer.put_slice(key);
        for (name, value) in headers {
            buffer.put_u32(length(name.as_bytes()));
            buffer.put_u32(length(value));
            buffer.put_slice(name.as_bytes());
            buffer.put_slice(value);
        }
        let mut rest = buffer.freeze();
        let key = rest.split_to(key.len());
        let mut record = Self {
            partition,
            offset,
            append_time_ms,
            key,
            value: Bytes::copy_from_slice(value),
            id: Bytes::new(),
            sender: Bytes::new(),
            kind: Bytes::new(),
            traceparent: None,
            headers: rest,
        };
        record.find_headers();
        record
    }

    /// Copies a record the client has fetched. One with a header name that is not UTF-8 is copied without headers: it
    /// then is no retry of anything, counts as no message and shows as unreadable, to every reader alike.
    pub(super) fn copied(message: &BorrowedMessage<'_>) -> Self {
        // The client library panics on such a name and offers no other way to look at it.
        let copy = AssertUnwindSafe(|| Self::copied_with(message, message.headers()));
        std::panic::catch_unwind(copy).unwrap_or_else(|_| Self::copied_with(message, None))
    }

    fn copied_with(message: &BorrowedMessage<'_>, headers: Option<&BorrowedHeaders>) -> Self {
        let append_time_ms = match message.timestamp() {
            Timestamp::LogAppendTime(ms) | Timestamp::CreateTime(ms) => ms,
            Timestamp::NotAvailable => 0,
        };
        let headers = headers.into_iter().flat_map(|headers| headers.iter());
        Self::new(
            (
                u32::try_from(message.partition()).unwrap_or_default(),
                message.offset(),
            ),
            append_time_ms,
            message.key().unwrap_or_default(),
            message.payload().unwrap_or_default(),
            headers.map(|header| (header.key, header.value.unwrap_or_default())),
        )
    }

    /// What the numbering reads of this record.
    pub fn as_ref(&self, generation: u32) -> RecordRef<'_> {
        RecordRef {
            position: Position {
                generation,
                offset: self.offset,
            },
            key: &self.key,
            id: &self.id,
            sender: &self.sender,
            kind: self.kind(),
            append_time_ms: self.append_time_ms,
        }
    }

    /// The event type its header names; `None` when missing or unknown.
    pub fn kind(&self) -> Option<Kind> {
        std::str::from_utf8(&self.kind).ok().and_then(Kind::parse)
    }

    /// The event with its place. `None` when the key names no room or inbox, which the numbering calls foreign.
    /// The type is the header's; an unknown one reads as [`Kind::Unreadable`].
    pub fn stored(&self, seq: Seq, count: Count) -> Option<StoredEvent> {
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        Some(StoredEvent {
            key: RoomKey::parse(std::str::from_utf8(&self.key).ok()?).ok()?,
            seq,
            count,
            at_ms: self.append_time_ms,
            partition: self.partition,
            offset: self.offset,
            id: text(&self.id),
            sender: text(&self.sender),
            kind: self.kind().unwrap_or(Kind::Unreadable),
            traceparent: self.traceparent.as_ref().map(text),
            value: self.value.clone(),
        })
    }

    /// Whether it only says which ids occurred lately in the topic that this one succeeds: it is no event.
    pub fn is_carried(&self) -> bool {
        self.headers().any(|(name, _)| name == CARRIED_HEADER)
    }

    /// Every header as it was, in order.
    pub fn headers(&self) -> impl Iterator<Item = Pair<'_>> {
        let mut rest = &self.headers[..];
        std::iter::from_fn(move || {
            let (name, value, after) = split_header(rest)?;
            rest = after;
            Some((std::str::from_utf8(name).ok()?, value))
        })
    }

    /// What it takes in a buffer.
    pub(super) fn size_bytes(&self) -> usize {
        RECORD_OVERHEAD_BYTES + self.key.len() + self.value.len() + self.headers.len()
    }

    fn find_headers(&mut self) {
        let all = self.headers.clone();
        let mut rest = &all[..];
        let (mut id, mut sender, mut kind, mut traceparent) = (None, None, None, None);
        while let Some((name, value, after)) = split_header(rest) {
            let place = match name {
                b"id" => Some(&mut id),
                b"sender" => Some(&mut sender),
                b"type" => Some(&mut kind),
                b"traceparent" => Some(&mut traceparent),
                _ => None,
            };
            if let Some(place) = place {
                place.get_or_insert_with(|| all.slice_ref(value));
            }
            rest = after;
        }
        self.id = id.unwrap_or_default();
        self.sender = sender.unwrap_or_default();
        self.kind = kind.unwrap_or_default();
        self.traceparent = traceparent;
    }
}

/// A part of a record is far below the 2 GiB a record may have.
fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// The first header's name and value, and what follows.
fn split_header(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name_bytes, rest) = bytes.split_first_chunk::<4>()?;
    let (value_bytes, rest) = rest.split_first_chunk::<4>()?;
    let (name, rest) = rest.split_at_checked(u32::from_be_bytes(*name_bytes) as usize)?;
    let (value, rest) = rest.split_at_checked(u32::from_be_bytes(*value_bytes) as usize)?;
    Some((name, value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, headers: &[Pair<'_>]) -> LogRecord {
        LogRecord::new(
            (3, 7),
            99,
            key.as_bytes(),
            b"value",
            headers.iter().copied(),
        )
    }

    #[test]
    fn the_first_header_of_a_name_counts() {
        let headers: &[Pair<'_>] = &[
            ("x", b"other"),
            ("id", b"m-1"),
            ("type", b"message"),
            ("sender", b"alice"),
            ("id", b"m-2"),
        ];
        let record = record("lobby", headers);
        assert_eq!(
            (&record.id[..], &record.sender[..]),
            (&b"m-1"[..], &b"alice"[..])
        );
        assert_eq!(record.kind(), Some(Kind::Message));
        assert_eq!(record.headers().collect::<Vec<_>>(), headers);
        let numbering = record.as_ref(2);
        assert_eq!(
            (numbering.position.generation, numbering.position.offset),
            (2, 7)
        );
        assert_eq!(
            (numbering.key, numbering.append_time_ms),
            (&b"lobby"[..], 99)
        );
    }

    #[test]
    fn a_foreign_record_is_taken_as_it_is() {
        let bare = record("", &[]);
        assert!(bare.id.is_empty() && bare.kind().is_none() && bare.traceparent.is_none());
        assert!(bare.stored(Seq(1), Count(0)).is_none());
        let odd = record(
            "lobby",
            &[("type", b"novel"), ("id", b"\xff"), ("traceparent", b"")],
        );
        let stored = odd.stored(Seq(1), Count(0)).expect("the key is a room");
        assert_eq!(
            (stored.kind, stored.id.as_str()),
            (Kind::Unreadable, "\u{fffd}")
        );
        assert_eq!((stored.partition, stored.offset), (3, 7));
    }
}
