//! The numbering: a pure function of one partition's records.
//!
//! [`RoomLog::apply`] takes the records of a partition in offset order and says for each whether it is a
//! room's next event, and with which rank, or a retry of an earlier one. It reads a record's key, headers and
//! append time only, so everyone who reads the same partition reaches the same numbers on their own.
//!
//! An owner that starts in the middle needs two things: a *base* (each room's head where it starts) and the
//! *window* (the keys seen in the W offsets before). The base is one of
//! - [`RoomLog::empty`]: the log is read from its very first record;
//! - [`RoomLog::restore`]: a complete snapshot, taken only when its heads add up to its accepted count;
//! - [`RoomLog::partial`]: the persister's partition row, with room rows loaded as rooms come up.
//!
//! Afterwards the records from [`Spec::window_start_for`] to the start are given to [`RoomLog::remember`], and
//! all others to [`RoomLog::apply`].

mod bounds;
mod heads;
mod recall;
mod record;
mod snapshot;
#[cfg(test)]
mod tests;
mod window;

pub use self::{
    bounds::{Bounds, Unfit},
    recall::Recall,
    record::{Foreign, Outcome, Position, RecordRef, Spec, WINDOW_MS},
    snapshot::{Changes, Head, Snapshot, Untrusted},
};

use self::{
    heads::Heads,
    window::{RetryKey, Window},
};
use crate::ids::{Count, RoomKey, Seq};

/// The numbering of one partition.
#[derive(Debug)]
pub struct RoomLog {
    /// The partition and its window.
    spec: Spec,
    /// Everything before it has been applied.
    next: Position,
    /// Records accepted before `next`, whoever numbered them.
    accepted: u64,
    /// Rooms and how far they have come.
    heads: Heads,
    /// The keys of the W offsets before `next`.
    window: Window,
}

// === impl RoomLog ===

impl RoomLog {
    /// A numbering that starts with the very first record of a generation which follows no other.
    pub fn empty(spec: Spec, generation: u32) -> Self {
        let start = Position {
            generation,
            offset: 0,
        };
        Self::based(spec, start, 0, Heads::complete())
    }

    /// A numbering that goes on from a snapshot, in which a missing room is an empty one. A snapshot that was
    /// never written, or was wiped, is not an empty one: its owner starts from stored rows.
    ///
    /// The snapshot must be of one moment. The sum shows what is missing, since then no head is above its true
    /// value; it does not show a mixture, in which one head that is too low makes up for one that is too high.
    pub fn restore(spec: Spec, snapshot: Snapshot) -> Result<Self, Untrusted> {
        let mut heads = Heads::complete();
        let position = snapshot.position.before();
        for (room, seq, count) in snapshot.heads {
            let head = Head {
                seq,
                count,
                position,
            };
            if count.0 > seq.0 || !spec.holds(&room) || !heads.load(room, head) {
                return Err(Untrusted::Head);
            }
        }
        let (sum, accepted) = (heads.sum(), snapshot.accepted);
        if sum != accepted {
            return Err(Untrusted::Sum { sum, accepted });
        }
        Ok(Self::based(spec, snapshot.position, accepted, heads))
    }

    /// A numbering that goes on from the persister's partition row, or from offset 0 and nothing accepted
    /// where there is none yet. Heads are asked for by [`Outcome::HeadUnknown`].
    pub fn partial(spec: Spec, position: Position, accepted: u64) -> Self {
        Self::based(spec, position, accepted, Heads::partial())
    }

    fn based(spec: Spec, next: Position, accepted: u64, heads: Heads) -> Self {
        Self {
            spec,
            next,
            accepted,
            heads,
            window: Window::new(spec.window_offsets),
        }
    }

    /// Takes a room's stored row into a partial base; `None` says that there is no row.
    ///
    /// The row must have been read consistently and *after* the partition row the base was made of: then it
    /// holds everything before the base, and perhaps more. An index that lags can tell which rooms exist, but
    /// never where they are. A room that is known already keeps what it has, as every room of a complete base
    /// does, and a row of another partition is left out.
    pub fn load_head(&mut self, room: RoomKey, row: Option<Head>) {
        if !self.heads.is_complete() && self.spec.holds(&room) {
            self.heads.load(room, row.unwrap_or(Head::NONE));
        }
    }

    /// Whether every room of the partition is known, asked after all rows have been loaded.
    ///
    /// Only the sum proves it: a lagging index may leave a room out. It can't agree by accident, because no
    /// head is above its true value once [`Self::next`] has passed every loaded row; while it has not, the
    /// answer is no, and one asks again later. With the first yes a missing room is an empty one, and every
    /// head is among the next [`Changes`].
    pub fn all_heads_loaded(&mut self) -> bool {
        if !self.heads.is_complete()
            && self.heads.highest() < self.next
            && self.heads.sum() == self.accepted
        {
            self.heads.mark_complete();
        }
        self.heads.is_complete()
    }

    /// Takes a record from before the start into the window, in offset order.
    pub fn remember(&mut self, record: &RecordRef<'_>) {
        if record.position.generation == self.next.generation && record.position < self.next {
            self.remember_at(record, record.position.offset);
        }
    }

    /// Takes a record of the generation before into the window, in offset order and before any of this one;
    /// `end_offset` is where that generation's log ended. The two count as one log, end to start.
    pub fn remember_carried(&mut self, record: &RecordRef<'_>, end_offset: i64) {
        if record.position.generation < self.next.generation {
            let offset = record.position.offset.saturating_sub(end_offset);
            self.remember_at(record, offset.min(-1));
        }
    }

    fn remember_at(&mut self, record: &RecordRef<'_>, offset: i64) {
        if self.locate(record.key).is_err() {
            return;
        }
        if let Some(key) = RetryKey::of(record) {
            self.window.insert(key, offset, record.append_time_ms, None);
        }
        // Measured from the start, not from the record: what lies before the window takes no room.
        self.window.forget_before(self.next.offset);
    }

    /// Goes on in a new generation, whose records start at offset 0. Heads, counts and the window carry over,
    /// and every head is among the next [`Changes`], since a snapshot belongs to one generation. A generation
    /// that is not later changes nothing.
    pub fn open_generation(&mut self, generation: u32) {
        if generation > self.next.generation {
            self.window.rebase(self.next.offset);
            self.heads.mark_all_changed();
            self.next = Position {
                generation,
                offset: 0,
            };
        }
    }

    /// Numbers a record. Records come in offset order; one that lies before [`Self::next`] changes nothing, and
    /// offsets the log does not hold (transaction marks, compaction) may be skipped.
    pub fn apply(&mut self, record: &RecordRef<'_>) -> Outcome {
        if record.position < self.next {
            return Outcome::Past;
        }
        if record.position.generation != self.next.generation {
            return Outcome::Foreign(Foreign::Generation);
        }
        let outcome = self.judge(record);
        if outcome != Outcome::HeadUnknown {
            self.next = record.position.after();
            self.window.forget_before(self.next.offset);
        }
        outcome
    }

    fn judge(&mut self, record: &RecordRef<'_>) -> Outcome {
        let (room, head) = match self.locate(record.key) {
            Ok(found) => found,
            Err(foreign) => return Outcome::Foreign(foreign),
        };
        self.window.forget_before(record.position.offset);
        let retry_key = RetryKey::of(record);
        let earlier = retry_key
            .as_ref()
            .and_then(|key| self.window.find(key, record.append_time_ms));
        let (outcome, first) = match earlier {
            Some(first) => (Outcome::Duplicate { first }, first),
            None => self.number(room, head, record),
        };
        if let Some(key) = retry_key
            && outcome != Outcome::HeadUnknown
        {
            self.window
                .insert(key, record.position.offset, record.append_time_ms, first);
        }
        outcome
    }

    /// The room a key names, and its head if known. A known room passed the checks of its key before.
    fn locate(&self, key: &[u8]) -> Result<(RoomKey, Option<Head>), Foreign> {
        let known = std::str::from_utf8(key)
            .ok()
            .and_then(|text| self.heads.find(text));
        match known {
            Some((room, head)) => Ok((room.clone(), Some(head))),
            None => {
                let none = self.heads.is_complete().then_some(Head::NONE);
                Ok((self.spec.own(key)?, none))
            }
        }
    }

    /// Numbers a record that is no retry; also says what a later retry will be told.
    fn number(
        &mut self,
        room: RoomKey,
        head: Option<Head>,
        record: &RecordRef<'_>,
    ) -> (Outcome, Option<(Seq, Count)>) {
        let Some(head) = head else {
            return (Outcome::HeadUnknown, None);
        };
        self.accepted += 1;
        if record.position <= head.position {
            // Of the events a loaded row covers, only the last one's rank is known without counting back.
            let is_last = record.position == head.position;
            return (Outcome::Past, is_last.then_some((head.seq, head.count)));
        }
        let head = head.advanced(&room, record);
        self.heads.advance(room, head);
        let Head { seq, count, .. } = head;
        (Outcome::Accepted { seq, count }, Some((seq, count)))
    }

    /// A room's head, as far as it is known: a room the base has not loaded and an empty one have none.
    pub fn head(&self, room: &RoomKey) -> Option<Head> {
        self.heads
            .find(room.as_str())
            .map(|(_, head)| head)
            .filter(|head| head.seq > Seq::ZERO)
    }

    /// Whether every room is known, so that one without a head is empty.
    pub fn is_complete(&self) -> bool {
        self.heads.is_complete()
    }

    /// Every known room with at least one event.
    pub fn heads(&self) -> impl Iterator<Item = (&RoomKey, Head)> {
        self.heads.iter()
    }

    /// The next record to apply: everything before it is done.
    pub fn next(&self) -> Position {
        self.next
    }

    /// How many records before [`Self::next`] were accepted.
    pub fn accepted(&self) -> u64 {
        self.accepted
    }

    /// What was fixed when the topic was made.
    pub fn spec(&self) -> Spec {
        self.spec
    }

    /// See [`Spec::window_start_for`].
    pub fn window_start_for(&self, position: Position) -> i64 {
        self.spec.window_start_for(position)
    }

    /// What changed since the last call; `None` when nothing did, or while not every room is known, since a
    /// snapshot that leaves rooms out must not be written. If the write fails, or may have failed, the changes
    /// must be given back to [`Self::return_changes`].
    pub fn take_changes(&mut self) -> Option<Changes> {
        self.heads.take_changed(self.next).map(|heads| Changes {
            position: self.next,
            accepted: self.accepted,
            heads,
        })
    }

    /// Takes changes back that were not written: their rooms are among the next ones, as they are then.
    pub fn return_changes(&mut self, changes: Changes) {
        self.heads.return_changed(changes.heads);
    }

    /// Puts every room among the next changes, for a snapshot that no longer adds up.
    pub fn rewrite_snapshot(&mut self) {
        self.heads.mark_all_changed();
    }

    /// All of it, as a snapshot that [`Self::restore`] takes; `None` while not every room is known.
    pub fn snapshot(&self) -> Option<Snapshot> {
        self.heads.is_complete().then(|| Snapshot {
            position: self.next,
            accepted: self.accepted,
            heads: self
                .heads
                .iter()
                .map(|(room, head)| (room.clone(), head.seq, head.count))
                .collect(),
        })
    }
}
