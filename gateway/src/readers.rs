//! How many have read a message, and who: range counts over a room's set in Redis.
//!
//! Nobody keeps anything per message. A set that is missing, or is not to be believed, is built again from the store
//! by whoever asks; where Redis does not answer, the rows of a small room are counted instead.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use roomlog_core::{
    ids::{RoomId, RoomKey, Seq, UserId},
    unread::{self, ReadPosition},
};
use roomlog_platform::{
    dynamo::{Consistency, Store, StoreError},
    redis::{Cache, CacheError, ReaderMove, ReadersPage},
};
use tokio::{sync::Semaphore, time::timeout};

/// How long Redis may take to answer before the store is asked, or the answer does without.
const CACHE_WAIT: Duration = Duration::from_millis(500);
/// How long somebody waits for a set to be built. It is built to its end for those who ask next.
const BUILD_WAIT: Duration = Duration::from_secs(2);
/// Sets built at once: each holds a room's members in memory, some 10 MB for a hundred thousand.
const BUILDS_AT_ONCE: usize = 2;
/// Sets that are built or wait for it, each once or more. Beyond it the rows are counted instead, as without Redis.
const BUILDS_WAITING_MAX: usize = 256;
/// Rows in one read of the store: below what it answers at once.
const PAGE_ROWS: u16 = 1_000;
/// Members of a room that are counted by their rows while Redis does not answer. Beyond it nothing is told.
const COUNTED_MEMBERS_MAX: usize = 2_000;

/// The way to the sets; a clone is the same.
#[derive(Clone, Debug)]
pub(crate) struct Readers {
    store: Store,
    cache: Cache,
    building: Arc<Semaphore>,
    /// Held by each that is built or waits for it.
    waiting: Arc<Semaphore>,
    /// Members whose positions are told to a new listener.
    names_max: u64,
}

/// Why a set was not built.
#[derive(Debug, thiserror::Error)]
enum Unbuilt {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// A member's row: their position, or nothing for somebody who is none.
type Row = (UserId, Option<ReadPosition>);

// === impl Readers ===

impl Readers {
    pub(crate) fn new(store: Store, cache: Cache, names_max: u32) -> Self {
        Self {
            store,
            cache,
            building: Arc::new(Semaphore::new(BUILDS_AT_ONCE)),
            waiting: Arc::new(Semaphore::new(BUILDS_WAITING_MAX)),
            names_max: u64::from(names_max),
        }
    }

    /// Moves positions along at once. What fails is done by the persister, which moves them again.
    pub(crate) fn read(&self, marks: Vec<(RoomKey, UserId, ReadPosition)>) {
        let cache = self.cache.clone();
        let marks = marks.into_iter();
        let moves: Vec<_> = marks
            .map(|(key, user, at)| (key, user, ReaderMove::Read(at)))
            .collect();
        tokio::spawn(async move {
            if let Err(error) = cache.move_readers(&moves).await {
                tracing::debug!(%error, "read positions wait for the persister");
            }
        });
    }

    /// How many have read each of these events; `None` where that is not known now.
    pub(crate) async fn counts(&self, key: &RoomKey, seqs: &[Seq]) -> Option<Vec<u64>> {
        if let Some(counts) = self.ask(key, || self.cache.read_counts(key, seqs)).await {
            return Some(counts);
        }
        let stored = self.stored(key).await?;
        Some(seqs.iter().map(|seq| stored.read_count(*seq)).collect())
    }

    /// The same by the room's set alone, for those who ask again and again: the store is spared that.
    pub(crate) async fn counts_in_set(&self, key: &RoomKey, seqs: &[Seq]) -> Option<Vec<u64>> {
        self.ask(key, || self.cache.read_counts(key, seqs)).await
    }

    /// Whether a room of so many members has more of them than are told by name how far they have read.
    pub(crate) fn is_large(&self, members: u32) -> bool {
        u64::from(members) > self.names_max
    }

    /// Those who have read an event, the furthest first, after so many of them; `None` where that is not known now.
    pub(crate) async fn page(
        &self,
        key: &RoomKey,
        seq: Seq,
        (skipped, limit): (u64, u64),
    ) -> Option<ReadersPage> {
        let question = || self.cache.readers(key, seq, (skipped, limit));
        if let Some(page) = self.ask(key, question).await {
            return Some(page);
        }
        let stored = self.stored(key).await?;
        let mut readers: Vec<(UserId, Seq)> = stored
            .iter()
            .filter(|(_, at)| at.seq >= seq)
            .map(|(user, at)| (user.clone(), at.seq))
            .collect();
        readers.sort_by(|a, b| (b.1, &b.0).cmp(&(a.1, &a.0)));
        Some(ReadersPage {
            total: readers.len() as u64,
            readers: readers
                .into_iter()
                .skip(usize::try_from(skipped).unwrap_or(usize::MAX))
                .take(usize::try_from(limit).unwrap_or(usize::MAX))
                .collect(),
        })
    }

    /// How far members have read, those who are furthest where they are many; nothing where that is not known now.
    pub(crate) async fn furthest(&self, key: &RoomKey) -> BTreeMap<UserId, Seq> {
        let page = self.page(key, Seq::ZERO, (0, self.names_max)).await;
        page.unwrap_or_default().readers.into_iter().collect()
    }

    /// Asks a room's set, which is built first where it is not to be believed.
    async fn ask<T, F>(&self, key: &RoomKey, question: impl Fn() -> F) -> Option<T>
    where
        F: Future<Output = Result<Option<T>, CacheError>>,
    {
        if let Some(answer) = answered(question()).await? {
            return Some(answer);
        }
        let place = Arc::clone(&self.waiting).try_acquire_owned().ok()?;
        let (readers, key) = (self.clone(), key.clone());
        let building = tokio::spawn(async move {
            let _place = place;
            if let Err(error) = readers.build(&key).await {
                tracing::debug!(%error, "a set of readers is not built");
            }
        });
        timeout(BUILD_WAIT, building).await.ok()?.ok()?;
        answered(question()).await?
    }

    async fn build(&self, key: &RoomKey) -> Result<(), Unbuilt> {
        let Some(room) = key.room() else {
            return Ok(());
        };
        // Never closed.
        let _turn = self.building.acquire().await;
        if self.cache.read_counts(key, &[]).await?.is_some() {
            // By somebody who had their turn before.
            return Ok(());
        }
        let belief = self.cache.belief().await?;
        let rows = self.rows(&room, usize::MAX).await?;
        self.cache.fill_readers(key, &rows).await?;
        // Whoever moved between the reading and the filling was not in the set yet and is found now.
        let rows = self.rows(&room, usize::MAX).await?;
        self.cache.settle_readers(key, &rows, &belief).await?;
        Ok(())
    }

    /// The rows of a room, or the first so many and some.
    async fn rows(&self, room: &RoomId, rows_max: usize) -> Result<Vec<Row>, StoreError> {
        let (mut rows, mut after) = (Vec::new(), None);
        loop {
            let page = self
                .store
                .members(room, after.as_ref(), PAGE_ROWS, Consistency::Strong)
                .await?;
            rows.extend(page.members.into_iter().map(|row| {
                let is_in = row.membership.is_some_and(|member| member.is_in());
                let at = ReadPosition::at(row.read_seq, row.read_count);
                (row.user, is_in.then_some(at))
            }));
            after = page.next;
            if after.is_none() || rows.len() > rows_max {
                return Ok(rows);
            }
        }
    }

    /// A small room's readers by its rows.
    async fn stored(&self, key: &RoomKey) -> Option<unread::Readers> {
        let rows = self.rows(&key.room()?, COUNTED_MEMBERS_MAX).await.ok()?;
        if rows.len() > COUNTED_MEMBERS_MAX {
            return None;
        }
        let mut readers = unread::Readers::default();
        for (user, position) in rows {
            if let Some(position) = position {
                readers.add(user, position);
            }
        }
        Some(readers)
    }
}

/// What Redis answers, if it does in time.
async fn answered<T>(question: impl Future<Output = Result<T, CacheError>>) -> Option<T> {
    let answer = timeout(CACHE_WAIT, question).await.ok()?;
    answer
        .inspect_err(|error| tracing::debug!(%error, "a set of readers can't be asked"))
        .ok()
}
