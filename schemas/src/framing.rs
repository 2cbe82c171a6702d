//! The Confluent wire format: a zero byte, the schema's id as four big-endian bytes, the Avro datum.

use thiserror::Error;

use crate::subjects::Subject;

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

/// The datum of a value of this subject.
pub(crate) fn datum<'a>(value: &'a [u8], subject: &Subject) -> Result<&'a [u8], DecodeError> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(DecodeError::TooLarge(value.len()));
    }
    match schema_id(value) {
        None => Err(DecodeError::Unframed),
        Some(found) if !subject.has(found) => Err(DecodeError::UnknownSchema(found)),
        Some(_) => Ok(&value[HEADER_BYTES..]),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;
    use crate::subjects::EVENTS_1;

    #[test]
    fn a_frame_names_its_schema() {
        assert_eq!(schema_id(&[0, 0, 0, 1, 2, 9]), Some(258));
        assert_eq!(datum(&[0, 0, 0, 0, 1, 9], &EVENTS_1), Ok(&[9][..]));
        let of_reads = datum(&[0, 0, 0, 0, 2, 9], &EVENTS_1);
        assert_eq!(of_reads, Err(DecodeError::UnknownSchema(2)));
        for unframed in [&[][..], &[0, 0, 0, 1], &[1, 0, 0, 0, 1, 9]] {
            assert_eq!(datum(unframed, &EVENTS_1), Err(DecodeError::Unframed));
        }
    }

    #[test]
    fn an_oversize_value_is_refused_unread() {
        let value = vec![0; VALUE_BYTES_MAX + 1];
        let refused = datum(&value, &EVENTS_1);
        assert_eq!(refused, Err(DecodeError::TooLarge(VALUE_BYTES_MAX + 1)));
    }

    #[test]
    fn a_registrys_id_is_written_and_the_built_in_one_still_read() {
        // Its own subject, as ids are the process's.
        static REGISTERED: AtomicU32 = AtomicU32::new(0);
        let subject = Subject {
            registered: &REGISTERED,
            ..EVENTS_1
        };
        assert_eq!(subject.written_id(), 1);
        subject.adopt(70_001);
        assert_eq!(subject.written_id(), 70_001);
        assert!(subject.has(1) && subject.has(70_001) && !subject.has(2));
    }
}
