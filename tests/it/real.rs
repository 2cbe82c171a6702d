//! What only real servers and several processes can show.

mod back_pressure;
mod backlog;
mod banned;
mod committed;
mod dead_letter;
mod deleted;
mod drain;
mod duplicates;
mod last_source;
mod leases;
mod membership;
mod notices;
mod open_send;
mod people;
mod presence;
mod probes;
mod registry;
mod replicas;
pub(crate) mod scale;
#[cfg(feature = "kafka-tls")]
mod security;
mod servers;
mod snapshot;
mod store_stall;
mod telemetry;
mod topic_change;
mod trimmed;
mod unread;
