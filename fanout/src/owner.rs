//! One partition and its owner.

mod base;
mod effects;
mod loads;
mod presence;
mod recall;
mod snapshots;
mod state;
mod tail;
mod task;

use std::{ops::RangeInclusive, sync::Arc};

use bytes::Bytes;
use roomlog_core::{
    ids::{RoomKey, Seq},
    interest::GatewayId,
    presence::Declaration,
    room_log::Spec,
};
use roomlog_platform::{
    config,
    dynamo::{Store, TopicRow},
    kafka::{Producer, ReadError, Reader},
    link::{EncodedSignal, RoomHead, RoomInterest},
    redis::Cache,
};
use thiserror::Error;
use tokio::sync::{Semaphore, oneshot};

use crate::{directory::Directory, outbox::Outbox};

pub(crate) use recall::RECALL_TIMEOUT;
pub(crate) use task::{Progress, own};

/// Bytes of the events sent at once to a gateway that is behind, and of an answer. Beyond, the rest is left out.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What gateways ask of an owner. A question whose reply is dropped could not be answered.
pub(crate) enum Command {
    /// A gateway's interest in rooms of this partition.
    Interest {
        /// Who.
        gateway: GatewayId,
        /// Where its events go.
        outbox: Arc<Outbox>,
        /// What it wants.
        rooms: Vec<RoomInterest>,
    },
    /// What is live in rooms of this partition.
    Signals(Vec<EncodedSignal>),
    /// How users of a gateway stand in rooms of this partition.
    Declarations {
        /// Who says it.
        gateway: GatewayId,
        /// Where its events go.
        outbox: Arc<Outbox>,
        /// What it says.
        declarations: Vec<Declaration>,
    },
    /// Who is in rooms.
    Presence {
        /// The rooms.
        keys: Vec<RoomKey>,
        /// Whether totals are enough.
        totals_only: bool,
        /// Encoded, one per room.
        reply: oneshot::Sender<Vec<Bytes>>,
    },
    /// Recent events of a room from memory.
    Events {
        /// The room.
        key: RoomKey,
        /// The seqs wanted.
        range: RangeInclusive<Seq>,
        /// Encoded events, dense from the first seq, or none.
        reply: oneshot::Sender<Vec<Bytes>>,
    },
    /// Events of a room that nobody else has, from the log.
    Recall {
        /// The room.
        key: RoomKey,
        /// The seqs wanted.
        range: RangeInclusive<Seq>,
        /// Encoded events, dense from the first seq, or none.
        reply: oneshot::Sender<Vec<Bytes>>,
    },
    /// A room's head, once everything the log holds now is numbered.
    Head {
        /// The room.
        key: RoomKey,
        /// The head.
        reply: oneshot::Sender<RoomHead>,
    },
}

/// What every owner of an instance works with.
pub(crate) struct Resources {
    pub(crate) store: Store,
    pub(crate) cache: Cache,
    pub(crate) reader: Reader,
    /// Asks for the log's end only: on the connection of the other one, its questions would wait for a fetch to come
    /// back, up to 100 ms when all is quiet.
    pub(crate) bounds: Reader,
    /// Reads what was read before, where a gateway finds it nowhere else.
    pub(crate) recalls: Reader,
    /// Held by the question that is being answered from the log.
    pub(crate) recalling: Semaphore,
    pub(crate) producer: Producer,
    pub(crate) directory: Arc<Directory>,
    /// The topic, as recorded at its creation.
    pub(crate) topic: TopicRow,
    /// A name no other run of any instance has.
    pub(crate) instance: Arc<str>,
    pub(crate) presence: config::Presence,
}

/// Why an owner stopped. It is started again, as an operator may mend the cause.
#[derive(Debug, Error)]
pub(crate) enum OwnerError {
    /// The log is not the one the stored numbering is of.
    #[error(
        "the stored position {offset} of partition {partition} is past the log's end {high}: \
         the topic was recreated or lost its end; open a new generation"
    )]
    PastEnd {
        partition: u32,
        offset: i64,
        high: i64,
    },
    /// The records that were not numbered yet are gone.
    #[error(
        "partition {partition} can't be numbered: the log begins at {low}, the stored numbering ends at {offset}; \
         retention was shorter than the persister's lag"
    )]
    Trimmed {
        partition: u32,
        offset: i64,
        low: i64,
    },
    /// The rows are of another generation than the topic.
    #[error("partition {partition} is stored for generation {stored}, but the topic's is {opened}")]
    Generation {
        partition: u32,
        stored: u32,
        opened: u32,
    },
    /// The log can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Something done for it broke down; whether it took effect is unknown.
    #[error("a task of the owner broke down: {0}")]
    Broken(#[from] tokio::task::JoinError),
}

// === impl OwnerError ===

impl OwnerError {
    /// Whether no owner of this instance can go on.
    pub(crate) fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Read(ReadError::Fatal(_) | ReadError::Setting(_))
        )
    }
}

// === impl Resources ===

impl Resources {
    pub(crate) fn spec(&self, partition: u32) -> Spec {
        Spec {
            partition,
            partition_count: self.topic.partition_count,
            window_offsets: self.topic.window_offsets,
        }
    }
}
