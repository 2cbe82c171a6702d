//! The process edge all services share, and the only crate that names a vendor: configuration, telemetry,
//! and the concrete Kafka, DynamoDB, Redis and gateway-to-fanout clients.

pub mod admin;
pub mod backoff;
pub mod config;
pub mod dynamo;
pub mod kafka;
pub mod link;
pub mod message_trace;
mod metrics;
pub mod readiness;
pub mod redis;
pub mod registry;
pub mod s3;
pub mod shutdown;
pub mod stored_event;
pub mod telemetry;
