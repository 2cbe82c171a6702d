//! Writing to the store for as long as it takes.

use std::{future::Future, time::Duration};

use futures_util::FutureExt as _;
use roomlog_core::{
    ids::{RoomKey, UserId},
    room_log::Head,
};
use roomlog_platform::{
    backoff::Backoff,
    dynamo::{
        EventRow, EventWrite, KeyShards, MemberRow, PartitionRow, ReadMark, RoomMove, RoomRow,
        Running, Store, StoreError,
    },
    kafka::EVENTS_TOPIC,
};
use tokio::time::Instant;

use crate::{
    metrics::{self, Lasting, Operation},
    moves::Moves,
};

/// The shortest wait before the store is tried again.
const RETRY_FLOOR: Duration = Duration::from_millis(50);
/// The longest: a store that is back is noticed within it.
const RETRY_CEILING: Duration = Duration::from_secs(3);
/// Rooms of one partition whose rows move at once.
const ROOMS_AT_ONCE: usize = 32;

/// The store, as the owners use it: an operation ends when it is done, or when the store will never do it.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    store: Store,
}

// === impl Shelf ===

impl Shelf {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }

    /// Writes events.
    pub(crate) async fn put_events(
        &self,
        events: &[(EventRow, KeyShards)],
    ) -> Result<(), StoreError> {
        let writes: Vec<_> = events
            .iter()
            .map(|(row, shards)| EventWrite {
                row,
                shards: *shards,
            })
            .collect();
        if !writes.is_empty() {
            insist(Operation::PutEvents, || self.store.put_events(&writes)).await?;
            metrics::events_stored(writes.len());
        }
        Ok(())
    }

    /// Moves all rows that follow from stored events, in the order they must move. Says where the rooms are now.
    pub(crate) async fn make(&self, moves: &Moves) -> Result<Vec<(RoomKey, Head)>, StoreError> {
        self.move_reads(&moves.reads()).await?;
        let mut moving = Running::at_most(ROOMS_AT_ONCE);
        for steps in moves.rooms() {
            moving.begin(self.move_room(steps).boxed()).await?;
        }
        let rooms = moving.finish().await?.into_iter().flatten().collect();
        if let Some((partition, row)) = moves.partition() {
            self.move_partition(EVENTS_TOPIC, partition, row).await?;
        }
        Ok(rooms)
    }

    pub(crate) async fn move_reads(&self, marks: &[ReadMark]) -> Result<(), StoreError> {
        if marks.is_empty() {
            return Ok(());
        }
        insist(Operation::MoveReads, || self.store.move_reads(marks)).await
    }

    /// Moves one room, step by step.
    async fn move_room(&self, steps: &[RoomMove]) -> Result<Option<(RoomKey, Head)>, StoreError> {
        for step in steps {
            insist(Operation::MoveRooms, || self.store.move_room(step)).await?;
        }
        Ok(steps.last().map(|step| (step.key.clone(), step.head)))
    }

    pub(crate) async fn move_partition(
        &self,
        topic: &'static str,
        partition: u32,
        row: PartitionRow,
    ) -> Result<(), StoreError> {
        let moved = insist(Operation::MovePartition, || {
            self.store.move_partition(topic, partition, row)
        });
        moved.await.map(drop)
    }

    pub(crate) async fn partition(
        &self,
        topic: &'static str,
        partition: u32,
    ) -> Result<Option<PartitionRow>, StoreError> {
        insist(Operation::Load, || self.store.partition(topic, partition)).await
    }

    pub(crate) async fn rooms(&self, keys: &[RoomKey]) -> Result<Vec<RoomRow>, StoreError> {
        insist(Operation::Load, || self.store.rooms(keys)).await
    }

    pub(crate) async fn members(
        &self,
        pairs: &[(RoomKey, UserId)],
    ) -> Result<Vec<(RoomKey, MemberRow)>, StoreError> {
        insist(Operation::Load, || self.store.members_among(pairs)).await
    }
}

/// Tries until it works or never will.
async fn insist<T, F>(
    operation: Operation,
    mut attempt: impl FnMut() -> F,
) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut backoff = Backoff::between(RETRY_FLOOR, RETRY_CEILING);
    let mut stall = None;
    loop {
        let began = Instant::now();
        match attempt().await {
            Ok(done) => {
                metrics::store_answered(operation, began.elapsed());
                if stall.is_some() {
                    tracing::info!(?operation, "the store takes writes and reads again");
                }
                return Ok(done);
            }
            Err(error) if error.is_transient() => {
                if stall.is_none() {
                    tracing::warn!(?operation, %error, "the store does not answer; trying until it does");
                    stall = Some(Lasting::stall());
                }
                backoff.wait().await;
            }
            Err(error) => return Err(error),
        }
    }
}
