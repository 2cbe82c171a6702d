//! Which rooms' rows a partial base still needs from the store.

use std::collections::{HashSet, VecDeque};

use roomlog_core::ids::RoomKey;

/// Rows read by one request; the store takes no more.
const ROWS_PER_LOAD_MAX: usize = 100;

/// Requests at once: enough to keep a take-over short, few enough to leave the store to others.
const LOADS_MAX: usize = 4;

/// How long after all listed rows are loaded the rooms are listed again, where the heads do not add up yet: the list
/// comes from an index that lags behind.
const RELIST_INTERVAL_MS: u64 = 3_000;

/// The rooms to be read. Those records wait for come first.
#[derive(Debug)]
pub(super) struct Loads {
    urgent: VecDeque<RoomKey>,
    /// What is in `urgent`.
    urgent_keys: HashSet<RoomKey>,
    listed: Vec<RoomKey>,
    /// Everything whose read began.
    begun: HashSet<RoomKey>,
    running: usize,
    listing: bool,
    next_list_ms: u64,
    /// Nothing is needed (any more).
    complete: bool,
}

// === impl Loads ===

impl Loads {
    pub(super) fn new(complete: bool) -> Self {
        Self {
            urgent: VecDeque::new(),
            urgent_keys: HashSet::new(),
            listed: vec![],
            begun: HashSet::new(),
            running: 0,
            listing: false,
            next_list_ms: 0,
            complete,
        }
    }

    /// A row is needed now; it is read once.
    pub(super) fn want(&mut self, key: &RoomKey) {
        if !self.complete && !self.begun.contains(key) && self.urgent_keys.insert(key.clone()) {
            self.urgent.push_back(key.clone());
        }
    }

    /// The rooms are listed; their rows are needed in the end.
    pub(super) fn listed(&mut self, keys: Vec<RoomKey>, now_ms: u64) {
        self.listing = false;
        self.next_list_ms = now_ms + RELIST_INTERVAL_MS;
        if !self.complete {
            self.listed = keys;
        }
    }

    /// Whether to list the rooms now; [`Self::listed`] must follow.
    pub(super) fn begin_list(&mut self, now_ms: u64) -> bool {
        let idle = self.running == 0 && self.urgent.is_empty() && self.listed.is_empty();
        let begin = !self.complete && !self.listing && idle && now_ms >= self.next_list_ms;
        self.listing |= begin;
        begin
    }

    /// The rows to read next, while fewer than the bound are being read; [`Self::loaded`] must follow.
    pub(super) fn begin_load(&mut self) -> Option<Vec<RoomKey>> {
        if self.running >= LOADS_MAX {
            return None;
        }
        let mut keys = vec![];
        while keys.len() < ROWS_PER_LOAD_MAX
            && let Some(key) = self.urgent.pop_front().or_else(|| self.listed.pop())
        {
            self.urgent_keys.remove(&key);
            if self.begun.insert(key.clone()) {
                keys.push(key);
            }
        }
        let begin = !keys.is_empty();
        self.running += usize::from(begin);
        begin.then_some(keys)
    }

    pub(super) fn loaded(&mut self) {
        self.running -= 1;
    }

    /// Nothing more is needed.
    pub(super) fn finish(&mut self) {
        let running = self.running;
        *self = Self {
            running,
            ..Self::new(true)
        };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn key(room: usize) -> RoomKey {
        RoomKey::parse(&format!("room-{room}")).unwrap()
    }

    #[test]
    fn rows_that_records_wait_for_come_first_and_once() {
        let mut loads = Loads::new(false);
        assert!(loads.begin_list(0) && !loads.begin_list(0));
        loads.listed((0..1_000).map(key).collect(), 0);
        loads.want(&key(5_000));
        loads.want(&key(5_000));
        loads.want(&key(7));
        let first = loads.begin_load().unwrap();
        assert_eq!(first[..2], [key(5_000), key(7)]);
        let mut read = first;
        for _ in 1..LOADS_MAX {
            read.extend(loads.begin_load().unwrap());
        }
        assert!(loads.begin_load().is_none(), "no more at once");
        for _ in 0..LOADS_MAX {
            loads.loaded();
        }
        while let Some(more) = loads.begin_load() {
            read.extend(more);
            loads.loaded();
        }
        let distinct: HashSet<_> = read.iter().collect();
        assert_eq!((read.len(), distinct.len()), (1_001, 1_001));
    }

    #[test]
    fn lists_again_only_when_all_is_loaded_and_time_has_passed() {
        let mut loads = Loads::new(false);
        assert!(loads.begin_list(0));
        loads.listed(vec![key(1)], 0);
        assert!(!loads.begin_list(RELIST_INTERVAL_MS));
        loads.begin_load().unwrap();
        loads.loaded();
        assert!(!loads.begin_list(RELIST_INTERVAL_MS - 1));
        assert!(loads.begin_list(RELIST_INTERVAL_MS));
        loads.finish();
        loads.want(&key(2));
        assert!(!loads.begin_list(u64::MAX) && loads.begin_load().is_none());
    }
}
