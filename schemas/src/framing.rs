//! The Confluent wire format: a zero byte, the schema's id as four big-endian bytes, the Avro datum.

use thiserror::Error;

/// The largest framed value that is decoded; a larger one is refused before a byte of it is read.
pub const VALUE_BYTES_MAX: usize = 128 << 10;

/// Bytes before the datum.
pub(crate) const HEADER_BYTES: usize = 5;

/// Why a value can't be decoded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// It is not in the Confluent wire format.
    #[error("the value is not framed")]
    Unframed,
    /// Its schema is not one this program knows.
    #[error("unknown schema id {0}")]
    UnknownSchema(u32),
    /// It is larger than any value a gateway writes.
    #[error("the value has {0} bytes")]
    TooLarge(usize),
    /// The datum does not fit its schema.
    #[error("the datum is malformed at byte {0}")]
    Malformed(usize),
    /// The datum fits its schema and still says nothing the domain knows.
    #[error("the field {0} has no meaning here")]
    Meaningless(&'static str),
}

/// The schema id of a framed value.
pub fn schema_id(value: &[u8]) -> Option<u32> {
    match value {
        [0, a, b, c, d, ..] => Some(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => None,
    }
}

/// The datum of a value framed with this id.
pub(crate) fn datum(value: &[u8], id: u32) -> Result<&[u8], DecodeError> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(DecodeError::TooLarge(value.len()));
    }
    match schema_id(value) {
        None => Err(DecodeError::Unframed),
        Some(found) if found != id => Err(DecodeError::UnknownSchema(found)),
        Some(_) => Ok(&value[HEADER_BYTES..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_names_its_schema() {
        assert_eq!(schema_id(&[0, 0, 0, 1, 2, 9]), Some(258));
        assert_eq!(datum(&[0, 0, 0, 0, 7, 9], 7), Ok(&[9][..]));
        assert_eq!(
            datum(&[0, 0, 0, 0, 8, 9], 7),
            Err(DecodeError::UnknownSchema(8))
        );
        for unframed in [&[][..], &[0, 0, 0, 1], &[1, 0, 0, 0, 7, 9]] {
            assert_eq!(datum(unframed, 7), Err(DecodeError::Unframed));
        }
    }

    #[test]
    fn an_oversize_value_is_refused_unread() {
        let value = vec![0; VALUE_BYTES_MAX + 1];
        assert_eq!(
            datum(&value, 0),
            Err(DecodeError::TooLarge(VALUE_BYTES_MAX + 1))
        );
    }
}
