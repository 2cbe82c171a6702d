//! The binary encoding of Avro: just what our schemas use.
//!
//! Written out by hand because every event passes here twice, and because it bounds decoding by construction:
//! nothing is allocated that the input does not hold. The tests hold it to a complete implementation of Avro.

use bytes::Bytes;

use crate::framing::{DecodeError, HEADER_BYTES};

/// Room for a short message without growing.
const CAPACITY_BYTES: usize = 256;

/// The longest encoding of a 64-bit number.
const VARINT_BYTES_MAX: usize = 10;

/// Builds a framed value, field after field.
pub(crate) struct Writer(Vec<u8>);

/// Reads a datum, field after field.
pub(crate) struct Reader<'a> {
    datum: &'a [u8],
    at: usize,
}

// === impl Writer ===

impl Writer {
    /// A value framed with this schema id.
    pub(crate) fn framed(schema_id: u32) -> Self {
        let mut value = Vec::with_capacity(CAPACITY_BYTES);
        value.push(0);
        value.extend_from_slice(&schema_id.to_be_bytes());
        Self(value)
    }

    pub(crate) fn finish(self) -> Bytes {
        Bytes::from(self.0)
    }

    pub(crate) fn long(&mut self, number: i64) {
        let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
        while rest >= 0x80 {
            self.0.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
    }

    /// A number that is never negative in the domain. One beyond the range of `long` can't come from a log.
    pub(crate) fn unsigned(&mut self, number: u64) {
        self.long(i64::try_from(number).unwrap_or(i64::MAX));
    }

    pub(crate) fn boolean(&mut self, yes: bool) {
        self.0.push(yes.into());
    }

    pub(crate) fn string(&mut self, text: &str) {
        self.unsigned(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A union of null and one other type.
    pub(crate) fn nullable<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        match value {
            None => self.0.push(0),
            Some(value) => {
                self.0.push(2);
                write(self, value);
            }
        }
    }

    pub(crate) fn array<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        if !items.is_empty() {
            self.unsigned(items.len() as u64);
            for item in items {
                write(self, item);
            }
        }
        self.0.push(0);
    }
}

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(crate) fn new(datum: &'a [u8]) -> Self {
        Self { datum, at: 0 }
    }

    /// The datum must end here.
    pub(crate) fn end(&self) -> Result<(), DecodeError> {
        if self.at == self.datum.len() {
            Ok(())
        } else {
            Err(self.malformed())
        }
    }

    fn malformed(&self) -> DecodeError {
        DecodeError::Malformed(HEADER_BYTES + self.at)
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        let byte = *self.datum.get(self.at).ok_or_else(|| self.malformed())?;
        self.at += 1;
        Ok(byte)
    }

    pub(crate) fn long(&mut self) -> Result<i64, DecodeError> {
        let mut number = 0_u64;
        for position in 0..VARINT_BYTES_MAX {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte holds the 64th bit and nothing else.
            if position == VARINT_BYTES_MAX - 1 && bits > 1 {
                break;
            }
            number |= bits << (7 * position);
            if byte < 0x80 {
                return Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
            }
        }
        Err(self.malformed())
    }

    /// A number that must not be negative; `field` is named when it is.
    pub(crate) fn unsigned(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        u64::try_from(self.long()?).map_err(|_| DecodeError::Meaningless(field))
    }

    pub(crate) fn boolean(&mut self) -> Result<bool, DecodeError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.malformed()),
        }
    }

    pub(crate) fn string(&mut self) -> Result<&'a str, DecodeError> {
        let length = usize::try_from(self.long()?).map_err(|_| self.malformed())?;
        let end = self
            .at
            .checked_add(length)
            .ok_or_else(|| self.malformed())?;
        let bytes = self
            .datum
            .get(self.at..end)
            .ok_or_else(|| self.malformed())?;
        let text = std::str::from_utf8(bytes).map_err(|_| self.malformed())?;
        self.at = end;
        Ok(text)
    }

    /// A union of null and one other type.
    pub(crate) fn nullable<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        match self.long()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(self.malformed()),
        }
    }

    pub(crate) fn array<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let mut items = Vec::new();
        loop {
            let count = self.long()?;
            if count == 0 {
                return Ok(items);
            }
            if count < 0 {
                // A negative count announces the block's size in bytes, which only who skips blocks needs.
                self.long()?;
            }
            // Every item of our schemas takes a byte at least, so a larger count is a lie.
            if count.unsigned_abs() > (self.datum.len() - self.at) as u64 {
                return Err(self.malformed());
            }
            for _ in 0..count.unsigned_abs() {
                items.push(read(self)?);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_at_their_ends() {
        for number in [0, 1, -1, 63, 64, -64, -65, i64::MAX, i64::MIN] {
            let mut writer = Writer::framed(0);
            writer.long(number);
            let value = writer.finish();
            let mut reader = Reader::new(&value[HEADER_BYTES..]);
            assert_eq!(reader.long(), Ok(number));
            assert_eq!(reader.end(), Ok(()));
        }
    }

    #[test]
    fn a_lie_about_length_allocates_nothing() {
        let mut claims = Writer::framed(0);
        claims.long(i64::MAX);
        let value = claims.finish();
        let datum = &value[HEADER_BYTES..];
        assert!(Reader::new(datum).string().is_err());
        assert!(Reader::new(datum).array(Reader::boolean).is_err());
        assert!(Reader::new(&[0xff; 11]).long().is_err());
    }

    #[test]
    fn reads_arrays_in_sized_blocks() {
        // Two blocks: one of a single item with its size announced, one of two items without.
        let datum = [1, 2, 1, 4, 0, 1, 0];
        let mut reader = Reader::new(&datum);
        assert_eq!(reader.array(Reader::boolean), Ok(vec![true, false, true]));
        assert_eq!(reader.end(), Ok(()));
    }
}
