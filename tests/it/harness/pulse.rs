//! How long followers hear nothing of a room that is talked in all the time.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use super::user::Room;

/// When each follower heard something of each of its rooms last, and the longest that it heard nothing.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// By follower and room; `None` while nobody listens.
    beats: Mutex<Option<HashMap<(usize, Room), Beat>>>,
}

#[derive(Clone, Copy, Debug)]
struct Beat {
    last: Instant,
    longest_silence: Duration,
}

// === impl Pulse ===

impl Pulse {
    /// From now on silence counts, for these followers and rooms.
    pub(crate) fn listen(&self, pairs: impl IntoIterator<Item = (usize, Room)>) {
        let beat = Beat {
            last: Instant::now(),
            longest_silence: Duration::ZERO,
        };
        let beats = pairs.into_iter().map(|pair| (pair, beat));
        *self.beats() = Some(beats.collect());
    }

    /// A follower hears something of a room.
    pub(crate) fn beat(&self, follower: usize, room: &str) {
        if let Some(beats) = &mut *self.beats() {
            let Some(beat) = beats.get_mut(&(follower, room.to_owned())) else {
                return;
            };
            let now = Instant::now();
            beat.longest_silence = beat.longest_silence.max(now - beat.last);
            beat.last = now;
        }
    }

    /// Whether every follower has heard something of each of its rooms since then.
    pub(crate) fn all_heard_since(&self, then: Instant) -> bool {
        let beats = self.beats();
        beats
            .as_ref()
            .is_some_and(|beats| beats.values().all(|beat| beat.last > then))
    }

    /// The longest silence of each follower and room, the shortest first.
    pub(crate) fn silences(&self) -> Vec<Duration> {
        let beats = self.beats();
        let silences = beats.iter().flat_map(HashMap::values);
        let mut silences: Vec<Duration> = silences.map(|beat| beat.longest_silence).collect();
        silences.sort_unstable();
        silences
    }

    fn beats(&self) -> MutexGuard<'_, Option<HashMap<(usize, Room), Beat>>> {
        self.beats.lock().expect("no holder panics")
    }
}
