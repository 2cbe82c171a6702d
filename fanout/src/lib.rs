//! The fanout service: owns partitions of the log, numbers their events and forwards each once to every interested
//! gateway.
//!
//! - [`run`] joins the replica group, starts an owner per assigned partition and serves the link;
//! - `owner` is one partition: what it knows (`state`), where it starts (`base`), what it waits for (`task`);
//! - `outbox` is one gateway: a bounded queue that turns events into heads when it is full;
//! - `directory` is where owners and gateways find each other.
//!
//! Delivery waits for the log alone. Redis is written behind, DynamoDB is read at a take-over without a trusted snapshot.

mod attach;
mod dead_letter;
mod directory;
mod memory;
mod metrics;
mod outbox;
mod owner;
mod owners;
mod service;
mod start;
mod stating;

pub use service::{RunError, run};
