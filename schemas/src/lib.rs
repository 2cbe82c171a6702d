//! The contract of the log: what a record's value, headers and JSON look like.
//!
//! Values are Avro in the Confluent wire format. The schemas are the `.avsc` files beside this crate, their ids
//! are those of `ids.json`; README.md tells data engineers how to read them.

mod avro;
#[cfg(test)]
mod contract_tests;
mod event;
mod framing;
mod headers;
pub mod json;
mod reads;
mod subjects;

pub use event::{decode_event, encode_event};
pub use framing::{DecodeError, VALUE_BYTES_MAX, schema_id};
pub use headers::{RecordHeaders, headers};
pub use reads::{ReadPosition, ReadPositions, decode_reads, encode_reads};
pub use subjects::{Subject, subjects};
