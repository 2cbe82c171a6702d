//! The record batch (format version 2): its header, what makes one acceptable, and the stamps the broker puts on it.
//!
//! Batches are stored and served as they came; of their records only the framing is looked at, and that only while uncompressed.

use std::ops::Range;

/// Bytes before the first record.
pub(super) const HEADER_BYTES: usize = 61;

/// The length field counts what follows it: this many bytes precede that.
const LENGTH_OVERHEAD: usize = 12;

/// The checksum covers everything from the attributes on.
const CHECKED_FROM: usize = 21;

/// The only record format still in use.
const MAGIC: u8 = 2;

const ATTRIBUTE_CODEC: i16 = 0b111;
const ATTRIBUTE_LOG_APPEND_TIME: i16 = 1 << 3;
const ATTRIBUTE_TRANSACTIONAL: i16 = 1 << 4;
const ATTRIBUTE_CONTROL: i16 = 1 << 5;
/// The highest codec number, zstd.
const CODEC_MAX: i16 = 4;

/// The fields of a batch header that a broker looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Offset of the first record.
    pub(super) base_offset: i64,
    /// Bytes of the whole batch, header included.
    pub(super) bytes: usize,
    /// CRC-32C as the batch states it.
    pub(super) crc: u32,
    /// Codec, timestamp type and flags.
    pub(super) attributes: i16,
    /// Offset of the last record minus that of the first.
    pub(super) last_offset_delta: i32,
    /// Timestamp of the first record, milliseconds.
    pub(super) base_timestamp: i64,
    /// The greatest timestamp, milliseconds.
    pub(super) max_timestamp: i64,
    /// Who produced it; negative when the producer is not idempotent.
    pub(super) producer: i64,
    /// Incarnation of the producer.
    pub(super) epoch: i16,
    /// Sequence number of the first record within producer and partition.
    pub(super) sequence: i32,
    /// Records in the batch.
    pub(super) count: i32,
}

/// Why a produced batch is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BatchError {
    /// Not one whole batch with a right checksum.
    #[error("not one whole record batch with a right checksum")]
    Corrupt,
    /// Well framed, yet its header contradicts itself or its records.
    #[error("the batch header contradicts the batch")]
    Invalid,
    /// A record format older than this broker serves.
    #[error("only record format 2 is supported")]
    Format,
    /// Transactions are not offered.
    #[error("transactions are not supported")]
    Transactional,
}

// === impl Header ===

impl Header {
    /// Reads a header; `None` when there are too few bytes or they can't be one.
    pub(super) fn read(bytes: &[u8]) -> Option<Header> {
        if bytes.len() < HEADER_BYTES || bytes[16] != MAGIC {
            return None;
        }
        let length = usize::try_from(int32(bytes, 8)?).ok()?;
        let whole = length.checked_add(LENGTH_OVERHEAD)?;
        let last_offset_delta = int32(bytes, 23)?;
        if whole < HEADER_BYTES || last_offset_delta < 0 {
            return None;
        }
        Some(Header {
            base_offset: int64(bytes, 0)?,
            bytes: whole,
            crc: int32(bytes, 17)?.cast_unsigned(),
            attributes: int16(bytes, 21)?,
            last_offset_delta,
            base_timestamp: int64(bytes, 27)?,
            max_timestamp: int64(bytes, 35)?,
            producer: int64(bytes, 43)?,
            epoch: int16(bytes, 51)?,
            sequence: int32(bytes, 53)?,
            count: int32(bytes, 57)?,
        })
    }

    /// Offset of the last record.
    pub(super) fn last_offset(&self) -> i64 {
        self.base_offset
            .saturating_add(i64::from(self.last_offset_delta))
    }

    /// Sequence number of the last record: numbers start again at zero after the greatest one.
    pub(super) fn last_sequence(&self) -> i32 {
        self.sequence.wrapping_add(self.last_offset_delta) & i32::MAX
    }

    /// Whether all records carry the time of the append instead of their own.
    pub(super) fn has_append_time(&self) -> bool {
        self.attributes & ATTRIBUTE_LOG_APPEND_TIME != 0
    }

    fn is_compressed(&self) -> bool {
        self.attributes & ATTRIBUTE_CODEC != 0
    }
}

/// Accepts `bytes` only as exactly one sound batch.
pub(super) fn validate(bytes: &[u8]) -> Result<Header, BatchError> {
    if bytes.len() < HEADER_BYTES {
        return Err(BatchError::Corrupt);
    }
    if bytes[16] != MAGIC {
        return Err(BatchError::Format);
    }
    let header = Header::read(bytes).ok_or(BatchError::Corrupt)?;
    if header.bytes != bytes.len() || crc32c::crc32c(&bytes[CHECKED_FROM..]) != header.crc {
        return Err(BatchError::Corrupt);
    }
    if header.attributes & (ATTRIBUTE_TRANSACTIONAL | ATTRIBUTE_CONTROL) != 0 {
        return Err(BatchError::Transactional);
    }
    let numbered = header.producer < 0 || (header.epoch >= 0 && header.sequence >= 0);
    let dense = header.count > 0 && header.last_offset_delta == header.count - 1;
    let framed = header.is_compressed() || frames_agree(&header, &bytes[HEADER_BYTES..]);
    if !numbered || !dense || !framed || header.attributes & ATTRIBUTE_CODEC > CODEC_MAX {
        return Err(BatchError::Invalid);
    }
    Ok(header)
}

/// Whether an intact batch starts at the front of `bytes`, as recovery after a crash asks.
pub(super) fn is_intact(header: &Header, bytes: &[u8]) -> bool {
    bytes.len() >= header.bytes && crc32c::crc32c(&bytes[CHECKED_FROM..header.bytes]) == header.crc
}

/// Gives the batch its place in the log. The checksum does not cover these fields.
pub(super) fn set_offset(batch: &mut [u8], base_offset: i64) {
    const LEADER_EPOCH: i32 = 0;
    put(batch, 0..8, &base_offset.to_be_bytes());
    put(batch, 12..16, &LEADER_EPOCH.to_be_bytes());
}

/// Stamps all records with the time of the append, and makes the checksum right again.
pub(super) fn set_append_time(batch: &mut [u8], header: &mut Header, now_ms: i64) {
    header.attributes |= ATTRIBUTE_LOG_APPEND_TIME;
    header.max_timestamp = now_ms;
    put(batch, 21..23, &header.attributes.to_be_bytes());
    put(batch, 35..43, &now_ms.to_be_bytes());
    header.crc = crc32c::crc32c(&batch[CHECKED_FROM..]);
    put(batch, 17..21, &header.crc.to_be_bytes());
}

/// Offset and timestamp of the first record not older than `timestamp`.
/// A compressed batch is not opened: it answers with its first record, so that a reader starts early, never late.
pub(super) fn first_not_before(
    header: &Header,
    batch: &[u8],
    timestamp: i64,
) -> Option<(i64, i64)> {
    if header.max_timestamp < timestamp {
        return None;
    }
    if header.has_append_time() || header.is_compressed() {
        return Some((header.base_offset, header.max_timestamp));
    }
    let mut records = batch.get(HEADER_BYTES..header.bytes)?;
    for _ in 0..header.count {
        let (time_delta, offset_delta) = next_record(&mut records)?;
        let time = header.base_timestamp.saturating_add(time_delta);
        if time >= timestamp {
            return Some((header.base_offset.saturating_add(offset_delta), time));
        }
    }
    Some((header.base_offset, header.max_timestamp))
}

/// Whether `records` holds exactly the promised number of records, numbered from zero.
fn frames_agree(header: &Header, mut records: &[u8]) -> bool {
    for expected in 0..header.count {
        match next_record(&mut records) {
            Some((_, offset_delta)) if offset_delta == i64::from(expected) => {}
            _ => return false,
        }
    }
    records.is_empty()
}

/// Cuts one record off the front; gives its timestamp delta and offset delta.
fn next_record(records: &mut &[u8]) -> Option<(i64, i64)> {
    let length = usize::try_from(varint(records)?).ok()?;
    if length > records.len() {
        return None;
    }
    let (record, rest) = records.split_at(length);
    *records = rest;
    let (_attributes, mut record) = record.split_first()?;
    Some((varint(&mut record)?, varint(&mut record)?))
}

/// A zigzag variable-length integer.
fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    None
}

fn put(batch: &mut [u8], field: Range<usize>, value: &[u8]) {
    if let Some(place) = batch.get_mut(field) {
        place.copy_from_slice(value);
    }
}

fn int16(bytes: &[u8], at: usize) -> Option<i16> {
    Some(i16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn int32(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn int64(bytes: &[u8], at: usize) -> Option<i64> {
    Some(i64::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Batches for the tests of this crate.
#[cfg(test)]
pub(super) mod sample {
    /// A batch of empty records at the given times.
    pub(in crate::kafka) struct Sample<'a> {
        pub(in crate::kafka) producer: i64,
        pub(in crate::kafka) epoch: i16,
        pub(in crate::kafka) sequence: i32,
        pub(in crate::kafka) times: &'a [i64],
    }

    impl Sample<'_> {
        pub(in crate::kafka) fn encode(&self) -> Vec<u8> {
            let base_time = self.times[0];
            let mut records = Vec::new();
            for (index, time) in self.times.iter().enumerate() {
                let mut record = vec![0];
                zigzag(&mut record, time - base_time);
                zigzag(&mut record, index as i64);
                // No key, no value, no headers.
                record.extend([1, 1, 0]);
                zigzag(&mut records, record.len() as i64);
                records.extend(record);
            }
            let count = self.times.len() as i32;
            let mut checked = Vec::new();
            checked.extend(0_i16.to_be_bytes());
            checked.extend((count - 1).to_be_bytes());
            checked.extend(base_time.to_be_bytes());
            checked.extend(self.times.iter().max().expect("a time").to_be_bytes());
            checked.extend(self.producer.to_be_bytes());
            checked.extend(self.epoch.to_be_bytes());
            checked.extend(self.sequence.to_be_bytes());
            checked.extend(count.to_be_bytes());
            checked.extend(records);
            let mut batch = vec![0; 8];
            batch.extend((checked.len() as i32 + 9).to_be_bytes());
            batch.extend((-1_i32).to_be_bytes());
            batch.push(2);
            batch.extend(crc32c::crc32c(&checked).to_be_bytes());
            batch.extend(checked);
            batch
        }
    }

    /// A batch of `count` records made at `time`, by no idempotent producer.
    pub(in crate::kafka) fn plain(count: usize, time: i64) -> Vec<u8> {
        let times = vec![time; count];
        let (producer, epoch, sequence) = (-1, -1, -1);
        Sample {
            producer,
            epoch,
            sequence,
            times: &times,
        }
        .encode()
    }

    fn zigzag(bytes: &mut Vec<u8>, value: i64) {
        let mut rest = ((value << 1) ^ (value >> 63)) as u64;
        while rest >= 0x80 {
            bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::sample::{Sample, plain};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn accepts_a_sound_batch() {
        let header = validate(&plain(3, 1000)).unwrap();
        assert_eq!((header.count, header.last_offset_delta), (3, 2));
    }

    #[test]
    fn refuses_a_count_that_the_records_do_not_bear_out() {
        let mut batch = plain(3, 1000);
        batch[57..61].copy_from_slice(&2_i32.to_be_bytes());
        batch[23..27].copy_from_slice(&1_i32.to_be_bytes());
        let crc = crc32c::crc32c(&batch[21..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(validate(&batch), Err(BatchError::Invalid));
    }

    #[test]
    fn stamping_the_append_time_keeps_the_checksum_right() {
        let mut batch = plain(2, 1000);
        let mut header = validate(&batch).unwrap();
        set_offset(&mut batch, 77);
        set_append_time(&mut batch, &mut header, 5000);
        let stamped = validate(&batch).unwrap();
        assert!(stamped.has_append_time());
        assert_eq!((stamped.base_offset, stamped.max_timestamp), (77, 5000));
    }

    #[test]
    fn finds_the_first_record_of_a_time_inside_a_batch() {
        let times = [100, 200, 300];
        let batch = Sample {
            producer: -1,
            epoch: -1,
            sequence: -1,
            times: &times,
        }
        .encode();
        let header = validate(&batch).unwrap();
        assert_eq!(first_not_before(&header, &batch, 150), Some((1, 200)));
        assert_eq!(first_not_before(&header, &batch, 301), None);
    }

    #[test]
    fn sequence_numbers_start_again_after_the_greatest() {
        let times = [0; 3];
        let batch = Sample {
            producer: 1,
            epoch: 0,
            sequence: i32::MAX - 1,
            times: &times,
        };
        assert_eq!(validate(&batch.encode()).unwrap().last_sequence(), 0);
    }

    proptest! {
        #[test]
        fn one_changed_bit_is_noticed(bit in 8 * 8_usize..8 * 80) {
            let mut batch = plain(4, 1_700_000_000_000);
            batch[bit / 8] ^= 1 << (bit % 8);
            // Bytes 12 to 15 are the leader's epoch, which the checksum leaves out.
            if !(12 * 8..16 * 8).contains(&bit) {
                prop_assert!(validate(&batch).is_err());
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = validate(&bytes);
        }
    }
}
