//! Moves the sets of readers in Redis along with what was stored.
//!
//! It runs beside the owners and they never wait for it. What may be lost here, because this process or Redis went
//! away or took too long, makes the sets doubtful: a new era begins, and whoever asks builds theirs again from the
//! store, which has it all.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use roomlog_core::ids::{RoomKey, UserId};
use roomlog_platform::{
    backoff::Backoff,
    dynamo::ReadMark,
    redis::{Cache, CacheError, ReaderMove},
    shutdown::Shutdown,
};
use tokio::sync::mpsc;

use crate::moves::Moves;

/// Batches that wait for the task. When full, one is dropped and the sets become doubtful.
const BATCHES_MAX: usize = 256;
/// Places that wait for Redis: some 10 MB. Beyond, all are dropped and the sets become doubtful.
const PLACES_MAX: usize = 100_000;
/// Waits between attempts while Redis does not answer.
const RETRY_FLOOR: Duration = Duration::from_millis(50);
/// The longest of them.
const RETRY_CEILING: Duration = Duration::from_secs(2);

/// A place in a room's sets and what happens to it.
type Place = (RoomKey, UserId, ReaderMove);

/// The way to the task; a clone leads to the same one.
#[derive(Clone, Debug)]
pub(crate) struct ReaderSets {
    news: mpsc::Sender<News>,
    /// Holds what could not be sent: that something was dropped.
    doubt: Arc<AtomicBool>,
}

#[derive(Debug)]
enum News {
    Moved(Vec<Place>),
    /// An owner began: the one before it may have stored what it did not tell here.
    Doubt,
}

/// What waits for Redis.
#[derive(Debug, Default)]
struct Waiting {
    places: BTreeMap<(RoomKey, UserId), ReaderMove>,
    is_doubtful: bool,
}

// === impl ReaderSets ===

impl ReaderSets {
    /// Starts the task.
    pub(crate) fn start(cache: Cache, shutdown: &Shutdown) -> Self {
        let (news, received) = mpsc::channel(BATCHES_MAX);
        let doubt = Arc::<AtomicBool>::default();
        let sets = Self { news, doubt };
        shutdown.spawn(keep(
            cache,
            received,
            Arc::clone(&sets.doubt),
            shutdown.clone(),
        ));
        sets
    }

    /// Somebody else moved the sets until now and may not have come to the end.
    pub(crate) fn doubt(&self) {
        self.tell(News::Doubt);
    }

    /// Rows were moved in the store.
    pub(crate) fn moved(&self, moves: &Moves) {
        self.tell(News::Moved(places(moves)));
    }

    /// Positions were moved in the store.
    pub(crate) fn read(&self, marks: &[ReadMark]) {
        let places = marks.iter().map(|mark| {
            let change = ReaderMove::Read(mark.position());
            (mark.key.clone(), mark.user.clone(), change)
        });
        self.tell(News::Moved(places.collect()));
    }

    fn tell(&self, news: News) {
        if self.news.try_send(news).is_err() {
            self.doubt.store(true, Ordering::Relaxed);
        }
    }
}

/// What stored moves mean for the sets.
fn places(moves: &Moves) -> Vec<Place> {
    let mut waiting = Waiting::default();
    let reads = moves.reads();
    for mark in &reads {
        let change = ReaderMove::Read(mark.position());
        waiting.add((mark.key.clone(), mark.user.clone(), change));
    }
    for step in moves.rooms().flatten() {
        for member in &step.members {
            let name = (step.key.clone(), member.user.clone());
            let read = waiting.places.get(&name).copied();
            let change = match (member.membership.is_in(), read) {
                (false, _) => ReaderMove::Left,
                // A join is read up to by who joins.
                (true, Some(ReaderMove::Read(at) | ReaderMove::Joined(at))) => {
                    ReaderMove::Joined(at)
                }
                (true, _) => continue,
            };
            waiting.places.insert(name, change);
        }
    }
    waiting.take()
}

async fn keep(
    cache: Cache,
    mut news: mpsc::Receiver<News>,
    doubt: Arc<AtomicBool>,
    shutdown: Shutdown,
) {
    let mut waiting = Waiting::default();
    let mut backoff = Backoff::between(RETRY_FLOOR, RETRY_CEILING);
    loop {
        let mut is_over = false;
        if waiting.is_empty() {
            tokio::select! {
                first = news.recv() => match first {
                    Some(first) => waiting.hear(first),
                    None => is_over = true,
                },
                () = shutdown.begun() => is_over = true,
            }
        }
        while let Ok(more) = news.try_recv() {
            waiting.hear(more);
        }
        waiting.is_doubtful |= doubt.swap(false, Ordering::Relaxed);
        match waiting.write(&cache).await {
            _ if is_over => return,
            Ok(()) => backoff = Backoff::between(RETRY_FLOOR, RETRY_CEILING),
            Err(error) => {
                tracing::debug!(%error, "the sets of readers wait for redis");
                tokio::select! {
                    () = backoff.wait() => {}
                    () = shutdown.begun() => return,
                }
            }
        }
    }
}

// === impl Waiting ===

impl Waiting {
    fn hear(&mut self, news: News) {
        match news {
            News::Moved(places) => places.into_iter().for_each(|place| self.add(place)),
            News::Doubt => self.is_doubtful = true,
        }
        if self.places.len() > PLACES_MAX {
            self.places.clear();
            self.is_doubtful = true;
        }
    }

    fn add(&mut self, (key, user, change): Place) {
        let place = self.places.entry((key, user));
        place
            .and_modify(|before| *before = before.then(change))
            .or_insert(change);
    }

    fn take(self) -> Vec<Place> {
        let places = self.places.into_iter();
        places
            .map(|((key, user), change)| (key, user, change))
            .collect()
    }

    fn is_empty(&self) -> bool {
        self.places.is_empty() && !self.is_doubtful
    }

    /// Writes what waits; what was not written waits on.
    async fn write(&mut self, cache: &Cache) -> Result<(), CacheError> {
        let places: Vec<Place> = self
            .places
            .iter()
            .map(|((key, user), change)| (key.clone(), user.clone(), *change))
            .collect();
        cache.move_readers(&places).await?;
        self.places.clear();
        if self.is_doubtful {
            cache.doubt_readers().await?;
            self.is_doubtful = false;
        }
        Ok(())
    }
}
