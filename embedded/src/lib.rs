//! Development stand-ins for Kafka, Redis, DynamoDB and S3, in one process and ready in milliseconds.
//!
//! They speak the real wire protocols, so that the product has one code path whatever it runs against.
//! They are for `roomlog dev` and fast tests, never for production: one node, no replication, no authentication.

pub mod dynamo;
mod error;
pub mod kafka;
mod lock;
mod mutex;
pub mod redis;
pub mod s3;
mod stack;

pub use error::StackError;
pub use stack::{Stack, StackConfig};
