//! Batches of read positions as values of `chat.reads.v1`.

use bytes::Bytes;
use roomlog_core::ids::{Count, RoomId, Seq, UserId};

use crate::{
    avro::{Reader, Writer},
    framing::{DecodeError, datum},
    subjects::READS,
};

/// Marks of one room, coalesced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadPositions {
    /// The room.
    pub room: RoomId,
    /// The latest mark of each user in the batch.
    pub positions: Vec<ReadPosition>,
}

/// How far one user has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadPosition {
    /// Who.
    pub user: UserId,
    /// Up to which event.
    pub seq: Seq,
    /// The room's count there.
    pub count: Count,
}

/// The framed value of a batch.
pub fn encode_reads(reads: &ReadPositions) -> Bytes {
    let mut to = Writer::framed(READS.id);
    to.string(reads.room.as_str());
    to.array(&reads.positions, |to, position| {
        to.string(position.user.as_str());
        to.unsigned(position.seq.0);
        to.unsigned(position.count.0);
    });
    to.finish()
}

/// The batch of a framed value. Any bytes may be given.
///
/// # Errors
/// When the value is not one of ours.
pub fn decode_reads(value: &[u8]) -> Result<ReadPositions, DecodeError> {
    let mut from = Reader::new(datum(value, READS.id)?);
    let room = RoomId::parse(from.string()?).map_err(|_| DecodeError::Meaningless("room"))?;
    let positions = from.array(|from| {
        Ok(ReadPosition {
            user: UserId::parse(from.string()?).map_err(|_| DecodeError::Meaningless("user"))?,
            seq: Seq(from.unsigned("seq")?),
            count: Count(from.unsigned("count")?),
        })
    })?;
    from.end()?;
    Ok(ReadPositions { room, positions })
}
