//! Numbering a room backwards: its events are read from the log once more and ranked from its head down.
//!
//! Which records of a room are events and which are retries follows from the log alone, so no stored position is
//! needed: whoever knows the room's head finds the ranks of the events before it by counting them.

use std::collections::VecDeque;

use super::{Head, Outcome, Position, RecordRef, RoomLog, Spec};
use crate::ids::{Count, RoomKey, Seq};

/// A room's last events, taken from the log again. `T` is whatever the caller keeps of a record.
#[derive(Debug)]
pub struct Recall<T> {
    room: RoomKey,
    head: Head,
    /// Numbers the room from nothing: its ranks are right but for what came before.
    log: RoomLog,
    /// How many of the last events are wanted.
    wanted: usize,
    /// The last of them so far, each with the count it was given here.
    events: VecDeque<(Count, T)>,
    /// What all events so far counted.
    counted: Count,
}

// === impl Recall ===

impl<T> Recall<T> {
    /// Looks for the events of a room from the seq `from` on to its `head`, among the records from `start` on. The
    /// records of a window before `start` are needed as well, to know retries: see [`Spec::window_start_for`].
    pub fn new(spec: Spec, room: RoomKey, head: Head, from: Seq, start: Position) -> Self {
        let mut log = RoomLog::partial(spec, start, 0);
        log.load_head(room.clone(), None);
        let wanted = (head.seq.0 + 1).saturating_sub(from.0.max(1));
        Self {
            room,
            head,
            log,
            wanted: usize::try_from(wanted).unwrap_or(usize::MAX),
            events: VecDeque::new(),
            counted: Count::ZERO,
        }
    }

    /// Takes the next record, in offset order; `kept` is asked for what to keep of an event that is wanted.
    pub fn take(&mut self, record: &RecordRef<'_>, kept: impl FnOnce() -> T) {
        if record.key != self.room.as_str().as_bytes() || record.position > self.head.position {
            return;
        }
        self.log.remember(record);
        if let Outcome::Accepted { count, .. } = self.log.apply(record) {
            self.counted = count;
            self.events.push_back((count, kept()));
            if self.events.len() > self.wanted {
                self.events.pop_front();
            }
        }
    }

    /// Takes a record that is no event and yet makes its retries: see [`RoomLog::remember`].
    pub fn remember(&mut self, record: &RecordRef<'_>) {
        if record.key == self.room.as_str().as_bytes() {
            self.log.remember(record);
        }
    }

    /// How many events are kept at present.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The events with their ranks, dense from `from` up to the head; `None` where the first of them lies before what
    /// was read. Everything up to the head's position must have been taken.
    pub fn finish(self) -> Option<Vec<(Seq, Count, T)>> {
        if self.wanted == 0 || self.events.len() < self.wanted {
            return None;
        }
        let (head, counted) = (self.head, self.counted.0);
        let last_first = (0..self.events.len() as u64).rev();
        self.events
            .into_iter()
            .zip(last_first)
            .map(|((count, kept), before)| {
                let seq = head.seq.0.checked_sub(before)?;
                let count = head.count.0.checked_sub(counted - count.0)?;
                Some((Seq(seq), Count(count), kept))
            })
            .collect()
    }
}
