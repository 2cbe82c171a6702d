//! The link between gateways and fanouts: one long-lived stream each way per pair of instances.
//!
//! A fanout states which partitions it owns; a gateway declares its interest in rooms of those; events and heads
//! flow back. Nothing on the link needs to arrive: every receiver sees a gap by seq and can ask for what is missing.

mod client;
mod connection;
mod pending;
pub mod presence;
mod registry;
pub mod server;
mod signals;
mod targets;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;

use roomlog_core::{
    ids::{Count, RoomKey, Seq},
    signal::Stamped,
};
use thiserror::Error;

pub use client::Links;
pub use presence::Said;
pub use roomlog_core::interest::Level;
pub use signals::EncodedSignal;
pub use targets::{TargetError, Targets};
pub use wire::{EncodedEvent, WireError};

/// The generated messages, client and server of `proto/link.proto`.
pub mod proto {
    #![allow(missing_docs, unreachable_pub, clippy::all)]
    tonic::include_proto!("roomlog.link.v1");
}

/// The largest message either side sends or accepts. A full forward or reply stays well below; a larger one ends the call.
pub const MESSAGE_BYTES_MAX: usize = 8 << 20;

/// One stream's life. A fanout that was lost and found again is a new link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// A room's last seq and its count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomHead {
    /// The room.
    pub key: RoomKey,
    /// Its last seq; zero for an empty log.
    pub seq: Seq,
    /// Its messages and notices up to there.
    pub count: Count,
}

/// What a gateway wants to hear of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomInterest {
    /// The room.
    pub key: RoomKey,
    /// How much.
    pub level: Level,
    /// The last seq it has, if it has any knowledge of the room. What came after is sent at once where the owner
    /// still holds it in memory, the head otherwise.
    pub seq: Option<Seq>,
    /// Whether it wants the room's signals too.
    pub signals: bool,
}

/// What a fanout says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Unique to one run of one instance.
    pub instance: Arc<str>,
    /// Its replica group, `a` or `b`.
    pub group: Arc<str>,
    /// The life of the set of tables that seqs belong to.
    pub epoch: Arc<str>,
    /// Partitions of the topic.
    pub partition_count: u32,
}

/// What a gateway hears.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkEvent {
    /// A fanout was reached.
    Up {
        /// The new link.
        link: LinkId,
        /// Who is at its other end.
        fanout: Identity,
    },
    /// A link ended; its interest and its ownership are gone with it.
    Down {
        /// The link that was.
        link: LinkId,
    },
    /// A fanout owns exactly these partitions from now on.
    Owned {
        /// The link.
        link: LinkId,
        /// The whole set.
        partitions: Vec<u32>,
        /// Those it did not own before on this link: interest in their rooms is to be declared now.
        gained: Vec<u32>,
    },
    /// Events and heads, each room's in order.
    Forward {
        /// The link.
        link: LinkId,
        /// Whole events. Values are copies: keeping one pins nothing else.
        events: Vec<crate::stored_event::StoredEvent>,
        /// Heads; a head beyond what was received tells of events that were not sent.
        heads: Vec<RoomHead>,
    },
    /// What is live in rooms whose signals were asked for.
    Signals {
        /// Each comes once per owner of its room.
        signals: Vec<Stamped>,
    },
    /// Who is in rooms whose signals were asked for.
    Presences {
        /// The link.
        link: LinkId,
        /// Wholes and changes, each room's in order.
        rooms: Vec<Said>,
    },
    /// Presence of this link was dropped: interest in signals is to be declared again.
    Lapsed {
        /// The link.
        link: LinkId,
    },
}

/// Why a question over the link has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LinkError {
    /// No linked fanout owns the room's partition at present.
    #[error("no fanout owns the partition of this room at present")]
    NoOwner,
    /// The owners could not answer in time.
    #[error("no owner answered: {0}")]
    Unavailable(String),
}
