//! One partition of the room events, from where its row says it is stored.

mod base;
mod task;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use roomlog_core::room_log::Position;
use roomlog_platform::{
    dynamo::{StoreError, TopicRow},
    kafka::{Producer, ReadError, Reader},
};
use thiserror::Error;

pub(crate) use self::task::{own, put_aside};
use crate::{ledger::HeadMissing, readers::ReaderSets, shelf::Shelf, states::Overtaken};

/// What the owners of one instance share.
pub(crate) struct Resources {
    /// The store.
    pub(crate) shelf: Shelf,
    /// Moves the sets of readers along.
    pub(crate) readers: ReaderSets,
    /// Reads the room events.
    pub(crate) events: Reader,
    /// Reads the read positions.
    pub(crate) reads: Reader,
    /// Puts aside what can't be decoded.
    pub(crate) producer: Producer,
    /// What was recorded when the topic was made.
    pub(crate) topic: TopicRow,
}

/// How far an owner has stored its partition.
#[derive(Debug)]
pub(crate) struct Progress(AtomicI64);

/// Why an owner stopped. It is started again after a while: the cause may pass or be mended.
#[derive(Debug, Error)]
pub(crate) enum OwnerError {
    /// The store will never take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Another owner is further.
    #[error(transparent)]
    Overtaken(#[from] Overtaken),
    /// A mistake of ours.
    #[error(transparent)]
    HeadMissing(#[from] HeadMissing),
    /// The log is not the one that was stored.
    #[error(
        "the partition is stored up to offset {stored}, past the log's end {end}: the log lost its end or was \
         recreated; a recreated topic needs a new generation, opened by an operator"
    )]
    PastEnd {
        /// As stored.
        stored: i64,
        /// The log's end.
        end: i64,
    },
    /// Records were dropped before they were stored.
    #[error(
        "the log begins at offset {low}, but only what is before {stored} is stored: retention dropped events"
    )]
    Trimmed {
        /// As stored.
        stored: i64,
        /// The log's start.
        low: i64,
    },
    /// The row is of a topic that is yet to come.
    #[error(
        "the partition is stored up to {stored:?}, but the topic recorded is of generation {recorded}"
    )]
    Generation {
        /// As stored.
        stored: Position,
        /// As recorded for the topic.
        recorded: u32,
    },
    /// A task of ours broke down.
    #[error("a task broke down: {0}")]
    Broken(#[from] tokio::task::JoinError),
}

// === impl OwnerError ===

impl OwnerError {
    /// Whether no owner of this instance can go on: only a new process may.
    pub(crate) fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Read(ReadError::Fatal(_) | ReadError::Setting(_))
        )
    }
}

// === impl Progress ===

impl Progress {
    /// Not known yet.
    pub(crate) fn unknown() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(-1)))
    }

    pub(crate) fn set(&self, offset: i64) {
        self.0.store(offset, Ordering::Relaxed);
    }

    /// The first offset that may not be stored, once known.
    pub(crate) fn offset(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|offset| *offset >= 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reader_that_is_gone_needs_a_new_process() {
        for passing in [
            ReadError::Refused("access lists".into()),
            ReadError::Unavailable("no leader".into()),
        ] {
            assert!(!OwnerError::from(passing).is_final());
        }
        assert!(OwnerError::from(ReadError::Fatal("fenced".into())).is_final());
    }
}
