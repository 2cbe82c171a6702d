//! Batches of read positions as values of `chat.reads.v1`.

use std::{borrow::Cow, sync::LazyLock};

use apache_avro::Schema;
use bytes::Bytes;
use roomlog_core::ids::{Count, RoomId, Seq, UserId};
use serde::{Deserialize, Serialize};

use crate::{
    avro::{Codec, long, parsed_schema, unsigned},
    framing::DecodeError,
    subjects::READS,
};

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| parsed_schema(&READS));
static CODEC: LazyLock<Codec> = LazyLock::new(|| Codec::new(&READS, &SCHEMA));

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

/// The records of `chat.reads.v1-value.avsc`.
#[derive(Serialize, Deserialize)]
#[serde(rename = "ReadPositions")]
struct Row<'a> {
    room: Cow<'a, str>,
    positions: Vec<PositionRow<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "ReadPosition")]
struct PositionRow<'a> {
    user: Cow<'a, str>,
    seq: i64,
    count: i64,
}

/// The framed value of a batch.
pub fn encode_reads(reads: &ReadPositions) -> Bytes {
    let positions = reads.positions.iter().map(|position| PositionRow {
        user: position.user.as_str().into(),
        seq: long(position.seq.0),
        count: long(position.count.0),
    });
    CODEC.encode(&Row {
        room: reads.room.as_str().into(),
        positions: positions.collect(),
    })
}

/// The batch of a framed value. Any bytes may be given.
///
/// # Errors
/// When the value is not one of ours.
pub fn decode_reads(value: &[u8]) -> Result<ReadPositions, DecodeError> {
    let row: Row<'static> = CODEC.decode(value)?;
    let positions = row.positions.iter().map(|position| {
        Ok(ReadPosition {
            user: UserId::parse(&position.user).map_err(|_| DecodeError::Meaningless("user"))?,
            seq: Seq(unsigned(position.seq, "seq")?),
            count: Count(unsigned(position.count, "count")?),
        })
    });
    Ok(ReadPositions {
        room: RoomId::parse(&row.room).map_err(|_| DecodeError::Meaningless("room"))?,
        positions: positions.collect::<Result<_, _>>()?,
    })
}
