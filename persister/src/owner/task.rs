//! The loop of one owner: records come in, windows are written in parallel, rows follow over the contiguous prefix.

use std::{sync::Arc, time::Duration};

use roomlog_core::{
    ids::RoomKey,
    prefix::{Prefix, WindowId},
    room_log::Head,
};
use roomlog_platform::{
    backoff::Backoff,
    dynamo::{PartitionRow, StoreError},
    kafka::{Batch, LogRecord, PartitionStream, ReadError},
};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{OwnerError, Progress, Resources, base};
use crate::{
    ledger::{Entry, Ledger, Window},
    mail,
    metrics::{self, Lasting},
    moves::{Moves, Step},
};

/// Records taken from the reader at once: enough windows to keep all writers busy, few enough that rows follow soon.
const BATCH_RECORDS_MAX: usize = 500;
/// Windows of one partition being written at once. At 10 ms a write that is 40,000 events a second.
const WRITERS_MAX: usize = 16;
/// Windows begun whose rows may not follow yet, as one before them is not written. Full: no window is begun.
const WINDOWS_MAX: usize = 64;
/// Events stored whose rows have not followed. The more, the fewer rows are written per event; full: no records are
/// taken, and the reader's buffer pauses the partition.
const STEPS_MAX: usize = 8_192;
/// How long a released owner may take to bring what it began to an end. Below the time the group waits.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(4);
/// The shortest wait before a record is put aside again.
const PUT_ASIDE_FLOOR: Duration = Duration::from_millis(100);
/// The longest: what an operator mended is noticed within it.
const PUT_ASIDE_CEILING: Duration = Duration::from_secs(5);

/// What the loop waits for.
enum Event {
    Records(Result<Batch, ReadError>),
    WindowWritten(Written),
    RowsMoved(Result<Vec<(RoomKey, Head)>, StoreError>),
    Release,
    DrainTimeout,
}

/// A window's fate.
type Written = (WindowId, Result<(), StoreError>);

/// What follows once a window and all before it are written.
struct Followers {
    steps: Vec<Step>,
    after: PartitionRow,
}

struct Owner {
    resources: Arc<Resources>,
    partition: u32,
    progress: Arc<Progress>,
    ledger: Ledger,
    /// Packed, not begun yet; from one batch of records.
    packed: std::collections::VecDeque<Window>,
    begun: Prefix<Followers>,
    writers: JoinSet<Written>,
    /// Collected while the mover is busy.
    moves: Moves,
    /// Moves rows; one at a time, since they must not overtake each other.
    mover: JoinSet<Result<Vec<(RoomKey, Head)>, StoreError>>,
    /// How far the mover brings the partition.
    moving_to: Option<PartitionRow>,
}

/// Owns a partition until released, and ends with what was begun stored, or after a bounded while without.
pub(crate) async fn own(
    resources: Arc<Resources>,
    partition: u32,
    progress: &Arc<Progress>,
    release: &CancellationToken,
) -> Result<(), OwnerError> {
    let Some(base) = release
        .run_until_cancelled(base::load(&resources, partition))
        .await
    else {
        return Ok(());
    };
    let base::Base {
        ledger,
        stream,
        first,
    } = base?;
    progress.set(ledger.next().offset);
    tracing::info!(
        partition,
        offset = ledger.next().offset,
        "storing a partition"
    );
    let mut owner = Owner {
        resources,
        partition,
        progress: Arc::clone(progress),
        ledger,
        packed: Default::default(),
        begun: Prefix::new(WINDOWS_MAX),
        writers: JoinSet::new(),
        moves: Moves::none(partition),
        mover: JoinSet::new(),
        moving_to: None,
    };
    if let Some(taken) = release.run_until_cancelled(owner.take(first)).await {
        taken?;
        owner.run(stream, release).await?;
    }
    tracing::info!(partition, "gave a partition back");
    Ok(())
}

// === impl Owner ===

impl Owner {
    async fn run(
        mut self,
        mut stream: PartitionStream,
        release: &CancellationToken,
    ) -> Result<(), OwnerError> {
        let mut drain_until = None;
        loop {
            self.begin();
            if drain_until.is_some() && self.is_idle() {
                return Ok(());
            }
            let event = self.event(&mut stream, release, drain_until).await?;
            match event {
                Event::Records(batch) => {
                    // A release ends the wait for loads; what was begun before is brought to its end.
                    let taken = self.take(batch?.records);
                    if let Some(taken) = release.run_until_cancelled(taken).await {
                        taken?;
                    }
                }
                Event::WindowWritten((id, written)) => {
                    written?;
                    self.follow(id);
                }
                Event::RowsMoved(rooms) => self.moved(rooms?),
                Event::Release => {
                    drain_until = Some(Instant::now() + DRAIN_TIMEOUT);
                    self.packed.clear();
                }
                Event::DrainTimeout => {
                    tracing::warn!(
                        partition = self.partition,
                        "released with windows unfinished; the next owner does them again"
                    );
                    return Ok(());
                }
            }
        }
    }

    async fn event(
        &mut self,
        stream: &mut PartitionStream,
        release: &CancellationToken,
        drain_until: Option<Instant>,
    ) -> Result<Event, OwnerError> {
        let draining = drain_until.is_some();
        let takes = !draining && self.packed.is_empty() && self.moves.steps() < STEPS_MAX;
        let event = tokio::select! {
            Some(written) = self.writers.join_next() => Event::WindowWritten(written?),
            Some(moved) = self.mover.join_next() => Event::RowsMoved(moved?),
            () = release.cancelled(), if !draining => Event::Release,
            () = until(drain_until) => Event::DrainTimeout,
            batch = stream.next_batch(BATCH_RECORDS_MAX), if takes => Event::Records(batch),
        };
        Ok(event)
    }

    /// Begins whatever can be begun.
    fn begin(&mut self) {
        while self.writers.len() < WRITERS_MAX && !self.begun.is_full() {
            let Some(window) = self.packed.pop_front() else {
                break;
            };
            self.begin_window(window);
        }
        if self.mover.is_empty() && !self.moves.is_empty() {
            let moves = std::mem::replace(&mut self.moves, Moves::none(self.partition));
            self.moving_to = moves.partition().map(|(_, row)| row);
            let resources = Arc::clone(&self.resources);
            self.mover.spawn(async move {
                mail::post(&resources, &moves).await?;
                let moved = resources.shelf.make(&moves).await?;
                resources.readers.moved(&moves);
                Ok(moved)
            });
        }
    }

    fn begin_window(&mut self, window: Window) {
        let Window {
            events,
            steps,
            after,
        } = window;
        let begun = self.begun.begin(Followers { steps, after });
        let Ok(id) = begun.map_err(|_| ()) else {
            unreachable!("the caller looked whether there is room");
        };
        let shelf = self.resources.shelf.clone();
        self.writers.spawn(async move {
            let _writing = Lasting::window();
            (id, shelf.put_events(&events).await)
        });
    }

    /// A window is written: rows may follow it, if all before it are.
    fn follow(&mut self, id: WindowId) {
        for Followers { steps, after } in self.begun.finish(id) {
            for step in steps {
                self.moves.add(step);
            }
            self.moves.reach(after);
        }
    }

    fn moved(&mut self, rooms: Vec<(RoomKey, Head)>) {
        for (key, head) in rooms {
            self.ledger.stored(&key, head);
        }
        if let Some(row) = self.moving_to.take() {
            self.progress.set(row.position.offset);
        }
    }

    fn is_idle(&self) -> bool {
        self.packed.is_empty()
            && self.begun.is_empty()
            && self.moves.is_empty()
            && self.mover.is_empty()
    }

    /// Numbers, folds and packs records, loading what that takes.
    async fn take(&mut self, records: Vec<LogRecord>) -> Result<(), OwnerError> {
        if records.is_empty() {
            return Ok(());
        }
        let shelf = &self.resources.shelf;
        let unknown = self.ledger.unknown(&records);
        if !unknown.is_empty() {
            let rows = shelf.rooms(&unknown).await?;
            self.ledger.load_heads(unknown, rows);
        }
        let (entries, tally) = self.ledger.number(records)?;
        metrics::numbered(tally);
        let missing = self.ledger.missing(&entries);
        if !missing.rooms.is_empty() {
            // Members first: a room's head, read later, tells how new their rows can be.
            let members = shelf.members(&missing.members).await?;
            let keys: Vec<_> = missing.rooms.keys().cloned().collect();
            let rooms = shelf.rooms(&keys).await?;
            self.ledger.load_states(missing, members, rooms)?;
        }
        self.put_aside(&entries).await;
        self.packed.extend(self.ledger.pack(entries));
        Ok(())
    }

    /// Returns once every unreadable record is acknowledged by the dead-letter topic.
    async fn put_aside(&self, entries: &[Entry]) {
        for (record, reason) in entries.iter().filter_map(Entry::unreadable) {
            let (partition, offset) = (record.partition, record.offset);
            tracing::warn!(partition, offset, %reason, "a record does not show as an event and is put aside");
            put_aside(
                &self.resources,
                &self.resources.topic.topic,
                record,
                &reason.to_string(),
            )
            .await;
        }
    }
}

/// Returns once the dead-letter topic has acknowledged the record. It may be put aside more than once.
pub(crate) async fn put_aside(
    resources: &Resources,
    topic: &str,
    record: &LogRecord,
    reason: &str,
) {
    let mut backoff = Backoff::between(PUT_ASIDE_FLOOR, PUT_ASIDE_CEILING);
    let mut stall = None;
    loop {
        let Err(error) = resources.producer.put_aside(topic, record, reason).await else {
            return;
        };
        let (partition, offset) = (record.partition, record.offset);
        tracing::error!(topic, partition, offset, %error, "a record can't be put aside; its partition waits");
        stall.get_or_insert_with(Lasting::stall);
        backoff.wait().await;
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
