//! A room's latest events, ready to be shown to those who come late or fall behind.

use std::{
    collections::{VecDeque, vec_deque::Iter},
    sync::Arc,
};

use roomlog_core::ids::Seq;

use super::shown::{Amends, Shown};

/// Events kept for those who come late or fall behind. The fanout's memory holds more.
pub(super) const RECENT_EVENTS_MAX: usize = 64;
/// Bytes of those events; the oldest go first.
pub(super) const RECENT_BYTES_MAX: usize = 64 << 10;

/// Dense, ascending, and without content that was deleted.
#[derive(Debug, Default)]
pub(super) struct Recent {
    events: VecDeque<Arc<Shown>>,
    /// What they hold together.
    bytes: usize,
}

// === impl Recent ===

impl Recent {
    /// Keeps the next event.
    pub(super) fn push(&mut self, shown: Arc<Shown>) {
        if let Some(Amends::Deletes(target)) = shown.amends {
            self.forget_content_of(target);
        }
        self.bytes += shown.bytes();
        self.events.push_back(shown);
        while self.events.len() > RECENT_EVENTS_MAX || self.bytes > RECENT_BYTES_MAX {
            let Some(oldest) = self.events.pop_front() else {
                return;
            };
            self.bytes -= oldest.bytes();
        }
    }

    /// The oldest one.
    pub(super) fn front(&self) -> Option<&Arc<Shown>> {
        self.events.front()
    }

    /// All of them, the oldest first.
    pub(super) fn iter(&self) -> Iter<'_, Arc<Shown>> {
        self.events.iter()
    }

    /// How many there are, and their bytes.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        (self.events.len(), self.bytes)
    }

    /// Forgets everything up to the last event that shows a deleted message's content. Who needs what came before it
    /// fetches that, and gets it without the content.
    fn forget_content_of(&mut self, target: Seq) {
        let shows =
            |shown: &Arc<Shown>| shown.seq == target || shown.amends == Some(Amends::Edits(target));
        let Some(last) = self.events.iter().rposition(shows) else {
            return;
        };
        for forgotten in self.events.drain(..=last) {
            self.bytes -= forgotten.bytes();
        }
    }
}
