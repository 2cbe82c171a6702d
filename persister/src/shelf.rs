//! Writing to the store for as long as it takes.

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use roomlog_core::{
    amendment::Amendment,
    ids::{RoomKey, UserId},
    room_log::Head,
};
use roomlog_platform::{
    backoff::Backoff,
    dynamo::{
        AMENDS_AT_ONCE, Consistency, EventRow, EventWrite, FILES_AT_ONCE, KeyShards,
        MENTION_BATCHES_AT_ONCE, MemberRow, Mention, PartitionRow, READS_AT_ONCE, ReadMark,
        RoomMove, RoomRow, Running, ShownFile, Store, StoreError,
    },
    message_trace,
};
use tokio::{sync::Semaphore, time::Instant};

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
/// Calls of one partition that move read positions at once.
const READ_CALLS_AT_ONCE: usize = 4;
/// Calls of one partition that change messages at once, and changes in one call.
const AMEND_CALLS_AT_ONCE: usize = 4;
const AMENDS_PER_CALL_MAX: usize = 64;
/// Calls of one partition that note which messages show files at once, and files in one call.
const FILE_CALLS_AT_ONCE: usize = 4;
const FILES_PER_CALL_MAX: usize = 64;
/// Read positions in one call.
const READS_PER_CALL_MAX: usize = 64;

/// Batches of events being written by this process. When there are as many, others wait their turn, so that a store
/// that answers slowly is not also flooded by attempts that it will answer too late.
const WRITERS_MAX: usize = 64;
/// The same for rows that move, counted in requests; a transaction counts by its size.
const MOVERS_MAX: u32 = 48;
/// Members in a transaction that weigh as much as one request.
const MEMBERS_PER_REQUEST: usize = 5;

/// Rows of a room's members read at once.
const READERS_PER_PAGE: u16 = 500;

/// The store, as the owners use it: an operation ends when it is done, or when the store will never do it.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    store: Store,
    /// The topic whose rows move with events.
    topic: Arc<str>,
    writers: Arc<Semaphore>,
    movers: Arc<Semaphore>,
}

// === impl Shelf ===

impl Shelf {
    pub(crate) fn new(store: Store, topic: &str) -> Self {
        Self {
            store,
            topic: topic.into(),
            writers: Arc::new(Semaphore::new(WRITERS_MAX)),
            movers: Arc::new(Semaphore::new(MOVERS_MAX as usize)),
        }
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
            let turn = (&self.writers, 1);
            insist(Operation::PutEvents, turn, || {
                self.store.put_events(&writes)
            })
            .await?;
            metrics::events_stored(writes.len());
            for event in writes.iter().map(|write| &write.row.event) {
                message_trace::passed("persist", event.traceparent.as_deref(), event.at_ms);
            }
        }
        Ok(())
    }

    /// Moves all rows that follow from stored events, in the order they must move. Says where the rooms are now.
    pub(crate) async fn make(&self, moves: &Moves) -> Result<Vec<(RoomKey, Head)>, StoreError> {
        self.move_reads(&moves.reads()).await?;
        self.note_mentions(&moves.mentions()).await?;
        self.note_files(&moves.files()).await?;
        self.amend(&moves.amendments()).await?;
        let mut moving = Running::at_most(ROOMS_AT_ONCE);
        for steps in moves.rooms() {
            moving.begin(self.move_room(steps).boxed()).await?;
        }
        let rooms = moving.finish().await?.into_iter().flatten().collect();
        if let Some((partition, row)) = moves.partition() {
            self.move_partition(&self.topic, partition, row).await?;
        }
        Ok(rooms)
    }

    pub(crate) async fn move_reads(&self, marks: &[ReadMark]) -> Result<(), StoreError> {
        let turn = (&self.movers, READS_AT_ONCE as u32);
        let mut moving = Running::at_most(READ_CALLS_AT_ONCE);
        for marks in marks.chunks(READS_PER_CALL_MAX) {
            let moved = insist(Operation::MoveReads, turn, || self.store.move_reads(marks));
            moving.begin(moved.boxed()).await?;
        }
        moving.finish().await.map(drop)
    }

    async fn note_mentions(&self, mentions: &[Mention]) -> Result<(), StoreError> {
        if mentions.is_empty() {
            return Ok(());
        }
        let turn = (&self.movers, MENTION_BATCHES_AT_ONCE as u32);
        insist(Operation::Mention, turn, || {
            self.store.put_mentions(mentions)
        })
        .await
    }

    async fn note_files(&self, files: &[ShownFile]) -> Result<(), StoreError> {
        let turn = (&self.movers, FILES_AT_ONCE as u32);
        let mut noting = Running::at_most(FILE_CALLS_AT_ONCE);
        for files in files.chunks(FILES_PER_CALL_MAX) {
            let noted = insist(Operation::ShowFiles, turn, || self.store.note_shown(files));
            noting.begin(noted.boxed()).await?;
        }
        noting.finish().await.map(drop)
    }

    async fn amend(&self, amendments: &[(RoomKey, Amendment)]) -> Result<(), StoreError> {
        let turn = (&self.movers, AMENDS_AT_ONCE as u32);
        let mut amending = Running::at_most(AMEND_CALLS_AT_ONCE);
        for amendments in amendments.chunks(AMENDS_PER_CALL_MAX) {
            let amended = insist(Operation::Amend, turn, || self.store.amend(amendments));
            amending.begin(amended.boxed()).await?;
        }
        amending.finish().await.map(drop)
    }

    /// Moves one room, step by step.
    async fn move_room(&self, steps: &[RoomMove]) -> Result<Option<(RoomKey, Head)>, StoreError> {
        for step in steps {
            let weight = 1 + step.members.len() / MEMBERS_PER_REQUEST;
            let turn = (&self.movers, u32::try_from(weight).unwrap_or(MOVERS_MAX));
            insist(Operation::MoveRooms, turn, || self.store.move_room(step)).await?;
        }
        Ok(steps.last().map(|step| (step.key.clone(), step.head)))
    }

    pub(crate) async fn move_partition(
        &self,
        topic: &str,
        partition: u32,
        row: PartitionRow,
    ) -> Result<(), StoreError> {
        let moved = insist(Operation::MovePartition, (&self.movers, 1), || {
            self.store.move_partition(topic, partition, row)
        });
        moved.await.map(drop)
    }

    pub(crate) async fn partition(
        &self,
        topic: &str,
        partition: u32,
    ) -> Result<Option<PartitionRow>, StoreError> {
        let turn = (&self.movers, 1);
        insist(Operation::Load, turn, || {
            self.store.partition(topic, partition)
        })
        .await
    }

    pub(crate) async fn rooms(&self, keys: &[RoomKey]) -> Result<Vec<RoomRow>, StoreError> {
        insist(Operation::Load, (&self.movers, 1), || {
            self.store.rooms(keys)
        })
        .await
    }

    pub(crate) async fn members(
        &self,
        pairs: &[(RoomKey, UserId)],
    ) -> Result<Vec<(RoomKey, MemberRow)>, StoreError> {
        let turn = (&self.movers, 1);
        insist(Operation::Load, turn, || self.store.members_among(pairs)).await
    }

    /// The members of a room, or nobody where they are more than so many.
    pub(crate) async fn readers(
        &self,
        key: &RoomKey,
        readers_max: usize,
    ) -> Result<Vec<UserId>, StoreError> {
        let Some(room) = key.room() else {
            return Ok(Vec::new());
        };
        let mut readers = Vec::new();
        let mut after: Option<UserId> = None;
        loop {
            let page = insist(Operation::Load, (&self.movers, 1), || {
                let after = after.as_ref();
                self.store
                    .members(&room, after, READERS_PER_PAGE, Consistency::Strong)
            });
            let page = page.await?;
            let rows = page.members.into_iter();
            let joined = rows.filter(|row| row.membership.is_some_and(|row| row.is_in()));
            readers.extend(joined.map(|row| row.user));
            if readers.len() > readers_max {
                return Ok(Vec::new());
            }
            after = page.next;
            if after.is_none() {
                return Ok(readers);
            }
        }
    }
}

/// Tries until it works or never will, each time when it is its turn.
async fn insist<T, F>(
    operation: Operation,
    (turns, weight): (&Arc<Semaphore>, u32),
    mut attempt: impl FnMut() -> F,
) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut backoff = Backoff::between(RETRY_FLOOR, RETRY_CEILING);
    let mut stall = None;
    loop {
        let turn = turns.acquire_many(weight.min(MOVERS_MAX)).await;
        let began = Instant::now();
        let outcome = attempt().await;
        // Whoever waits to try again takes nobody's turn meanwhile.
        drop(turn);
        match outcome {
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
