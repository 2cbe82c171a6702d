//! How many members of the rooms on lists are online.

use std::{collections::HashMap, ops::Bound};

use roomlog_core::ids::RoomKey;

use super::{COUNT_TICKS, Done, Task};

/// Rooms in one question of how many members are online; a gateway with more of them on lists asks about them in turn.
const COUNTS_MAX: usize = 2_000;

// === impl Task ===

impl Task {
    /// Counts the members who are online, in the rooms whose turn it is.
    pub(super) fn count_online(&mut self) {
        let begin = self
            .counted
            .take()
            .map_or(Bound::Unbounded, Bound::Excluded);
        let rooms = self.followers.range((begin, Bound::Unbounded));
        let keys: Vec<RoomKey> = rooms.map(|(key, _)| key.clone()).take(COUNTS_MAX).collect();
        if keys.len() == COUNTS_MAX {
            self.counted = keys.last().cloned();
        }
        self.counts_in = None;
        let presence = self.source.presence.clone();
        self.doing
            .spawn(async move { Done::Counted(presence.online_totals(&keys).await) });
    }

    pub(super) fn take_totals(&mut self, totals: HashMap<RoomKey, u64>) {
        self.counts_in = Some(COUNT_TICKS);
        for (key, online) in totals {
            for user in self.followers.get(&key).into_iter().flatten() {
                if let Some(list) = self.lists.get_mut(user)
                    && let Some(entry) = list.rooms.get_mut(&key)
                    && entry.note_online(online)
                {
                    list.dirty.insert(key.clone());
                }
            }
        }
    }
}
