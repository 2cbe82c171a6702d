//! Avro data of one subject: rows to bytes and back, within bounds.

use apache_avro::{
    Schema, reader::datum::GenericDatumReader, util::max_allocation_bytes,
    writer::datum::GenericDatumWriter,
};
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    framing::{DecodeError, HEADER_BYTES, VALUE_BYTES_MAX, datum},
    subjects::Subject,
};

/// Room for a short message without growing.
const CAPACITY_BYTES: usize = 256;

/// Writes and reads the values of one subject. Parsing a schema takes far longer than a value, so it is done once.
pub(crate) struct Codec {
    subject: &'static Subject,
    writer: GenericDatumWriter<'static>,
    reader: GenericDatumReader<'static>,
}

// === impl Codec ===

impl Codec {
    /// The codec of a subject, whose schema lives as long as the program.
    pub(crate) fn new(subject: &'static Subject, schema: &'static Schema) -> Self {
        // Nothing in a value can be longer than the value, so neither may what a length announces.
        max_allocation_bytes(VALUE_BYTES_MAX);
        Self {
            subject,
            writer: GenericDatumWriter::builder(schema)
                .build()
                .expect("our schema resolves"),
            reader: GenericDatumReader::builder(schema)
                .build()
                .expect("our schema resolves"),
        }
    }

    /// The framed value of a row.
    pub(crate) fn encode(&self, row: &impl Serialize) -> Bytes {
        let mut value = Vec::with_capacity(CAPACITY_BYTES);
        value.push(0);
        value.extend_from_slice(&self.subject.written_id().to_be_bytes());
        self.writer
            .write_ser(&mut value, row)
            .expect("a row has the shape of its schema");
        Bytes::from(value)
    }

    /// The row of a framed value. Any bytes may be given.
    pub(crate) fn decode<Row: DeserializeOwned>(&self, value: &[u8]) -> Result<Row, DecodeError> {
        let mut rest = datum(value, self.subject)?;
        let row = self.reader.read_deser(&mut rest);
        let at = HEADER_BYTES.max(value.len() - rest.len());
        match row {
            Ok(row) if rest.is_empty() => Ok(row),
            _ => Err(DecodeError::Malformed(at)),
        }
    }
}

/// The schema of a subject.
pub(crate) fn parsed_schema(subject: &Subject) -> Schema {
    Schema::parse_str(subject.schema).expect("our schema is valid")
}

/// A number of the domain as Avro's `long`. One beyond its range can't come from a log.
pub(crate) fn long(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number that must not be negative; `field` is named when it is.
pub(crate) fn unsigned(number: i64, field: &'static str) -> Result<u64, DecodeError> {
    u64::try_from(number).map_err(|_| DecodeError::Meaningless(field))
}
