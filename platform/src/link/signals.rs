//! Signals as the link carries them.

use bytes::Bytes;
use prost::Message as _;
use roomlog_core::{
    ids::{Count, RoomKey, Seq, UserId},
    signal::{Signal, Stamp, Stamped},
};

use super::{
    WireError,
    proto::{self, room_signal},
};

/// A signal encoded once, shared by every stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedSignal {
    /// What it says.
    pub signal: Stamped,
    /// The encoded `RoomSignal`.
    pub record: Bytes,
}

// === impl EncodedSignal ===

impl EncodedSignal {
    /// Encodes a signal.
    pub fn encode(signal: Stamped) -> Self {
        let kind = match &signal.signal {
            Signal::Typing { user, on } => room_signal::Kind::Typing(proto::Typing {
                user: user.as_str().to_owned(),
                on: *on,
            }),
            Signal::Read { user, seq, count } => room_signal::Kind::Read(proto::Read {
                user: user.as_str().to_owned(),
                seq: seq.0,
                count: count.0,
            }),
        };
        let record = proto::RoomSignal {
            room: signal.key.as_str().to_owned(),
            source: signal.stamp.source,
            counter: signal.stamp.counter,
            kind: Some(kind),
        };
        Self {
            record: record.encode_to_vec().into(),
            signal,
        }
    }

    /// Decodes a signal and keeps its bytes.
    ///
    /// # Errors
    /// When the bytes are no signal this version understands.
    pub fn decode(record: Bytes) -> Result<Self, WireError> {
        let malformed = |reason: String| WireError::Malformed(reason);
        let decoded = proto::RoomSignal::decode(record.clone())
            .map_err(|error| malformed(error.to_string()))?;
        let signal = match decoded.kind {
            Some(room_signal::Kind::Typing(typing)) => Signal::Typing {
                user: UserId::parse(&typing.user)?,
                on: typing.on,
            },
            Some(room_signal::Kind::Read(read)) => Signal::Read {
                user: UserId::parse(&read.user)?,
                seq: Seq(read.seq),
                count: Count(read.count),
            },
            None => return Err(malformed("a signal of an unknown kind".into())),
        };
        let stamp = Stamp {
            source: decoded.source,
            counter: decoded.counter,
        };
        Ok(Self {
            signal: Stamped {
                key: RoomKey::parse(&decoded.room)?,
                stamp,
                signal,
            },
            record,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_signal_survives_the_wire() {
        let user = UserId::parse("alice").unwrap();
        let typing = Signal::Typing {
            user: user.clone(),
            on: true,
        };
        let read = Signal::Read {
            user,
            seq: Seq(9),
            count: Count(7),
        };
        for signal in [typing, read] {
            let encoded = EncodedSignal::encode(Stamped {
                key: RoomKey::parse("room").unwrap(),
                stamp: Stamp {
                    source: u64::MAX,
                    counter: 3,
                },
                signal,
            });
            assert_eq!(EncodedSignal::decode(encoded.record.clone()), Ok(encoded));
        }
        assert!(EncodedSignal::decode(Bytes::from_static(&[0xff])).is_err());
    }
}
