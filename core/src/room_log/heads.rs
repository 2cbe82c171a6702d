//! Every room of a partition and how far it has come, with what the last written snapshot lacks.

use std::collections::{HashMap, hash_map};

use super::{Head, Position};
use crate::ids::{Count, RoomKey, Seq};

/// The heads of a partition's rooms.
#[derive(Debug)]
pub(super) struct Heads {
    /// Each known room; one that is known to be empty has seq 0.
    rooms: HashMap<RoomKey, Entry>,
    /// Whether a room that is not in `rooms` is an empty one.
    complete: bool,
    /// Sum of all seqs in `rooms`.
    sum: u64,
    /// The latest position of all heads.
    highest: Position,
    /// The rooms marked as changed, each once.
    changed: Vec<RoomKey>,
    /// The position of the changes taken last; `None` when the next ones must be taken whatever it is.
    taken_at: Option<Position>,
}

#[derive(Debug)]
struct Entry {
    head: Head,
    /// Whether the room is in `changed`.
    changed: bool,
}

// === impl Heads ===

impl Heads {
    /// No room has an event but those that are loaded.
    pub(super) fn complete() -> Self {
        Self {
            complete: true,
            ..Self::partial()
        }
    }

    /// Nothing is known about any room.
    pub(super) fn partial() -> Self {
        Self {
            rooms: HashMap::new(),
            complete: false,
            sum: 0,
            highest: Position::ORIGIN,
            changed: Vec::new(),
            taken_at: None,
        }
    }

    /// Takes a stored head, unless the room is known; says whether it was taken.
    pub(super) fn load(&mut self, room: RoomKey, head: Head) -> bool {
        let hash_map::Entry::Vacant(vacant) = self.rooms.entry(room) else {
            return false;
        };
        vacant.insert(Entry {
            head,
            changed: false,
        });
        // Saturates so that rows nobody could have written disagree instead of panicking.
        self.sum = self.sum.saturating_add(head.seq.0);
        self.highest = self.highest.max(head.position);
        true
    }

    /// Moves a room by one event.
    pub(super) fn advance(&mut self, room: RoomKey, head: Head) {
        self.sum = self.sum.saturating_add(1);
        self.highest = self.highest.max(head.position);
        let entry = self.rooms.entry(room);
        // An incomplete set is written as a whole once it is complete, so no marks are needed before.
        let mark = self.complete;
        match entry {
            hash_map::Entry::Occupied(mut known) => {
                if mark && !known.get().changed {
                    self.changed.push(known.key().clone());
                    known.get_mut().changed = true;
                }
                known.get_mut().head = head;
            }
            hash_map::Entry::Vacant(newcomer) => {
                if mark {
                    self.changed.push(newcomer.key().clone());
                }
                newcomer.insert(Entry {
                    head,
                    changed: mark,
                });
            }
        }
    }

    pub(super) fn find(&self, room: &str) -> Option<(&RoomKey, Head)> {
        self.rooms
            .get_key_value(room)
            .map(|(room, entry)| (room, entry.head))
    }

    /// Every room with at least one event.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&RoomKey, Head)> {
        self.rooms
            .iter()
            .map(|(room, entry)| (room, entry.head))
            .filter(|(_, head)| head.seq > Seq::ZERO)
    }

    pub(super) fn sum(&self) -> u64 {
        self.sum
    }

    pub(super) fn highest(&self) -> Position {
        self.highest
    }

    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// From here on a room that is not known is an empty one.
    pub(super) fn mark_complete(&mut self) {
        self.complete = true;
        self.mark_all_changed();
    }

    pub(super) fn mark_all_changed(&mut self) {
        self.taken_at = None;
        if !self.complete {
            return;
        }
        for (room, entry) in &mut self.rooms {
            if !entry.changed && entry.head.seq > Seq::ZERO {
                entry.changed = true;
                self.changed.push(room.clone());
            }
        }
    }

    /// The heads that changed up to `position`, which need no marks from now on.
    pub(super) fn take_changed(
        &mut self,
        position: Position,
    ) -> Option<Vec<(RoomKey, Seq, Count)>> {
        if !self.complete || self.taken_at == Some(position) {
            return None;
        }
        self.taken_at = Some(position);
        let mut heads = Vec::with_capacity(self.changed.len());
        for room in self.changed.drain(..) {
            if let Some(entry) = self.rooms.get_mut(&room) {
                entry.changed = false;
                heads.push((room, entry.head.seq, entry.head.count));
            }
        }
        Some(heads)
    }

    /// Marks the rooms of a write that failed.
    pub(super) fn return_changed(&mut self, heads: Vec<(RoomKey, Seq, Count)>) {
        self.taken_at = None;
        for (room, ..) in heads {
            if let Some(entry) = self.rooms.get_mut(&room)
                && !entry.changed
            {
                entry.changed = true;
                self.changed.push(room);
            }
        }
    }
}
