//! How long followers hear nothing of a room that is talked in all the time, and how late what they hear is.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::user::Room;

/// When each follower heard something of each of its rooms last, and what it had to bear meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// By follower and room; `None` while nobody listens.
    beats: Mutex<Option<HashMap<(usize, Room), Beat>>>,
}

#[derive(Clone, Copy, Debug)]
struct Beat {
    last: Instant,
    worst: Worst,
}

/// The worst that a follower of a room had to bear.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Worst {
    /// The longest that it heard nothing.
    pub(crate) silence: Duration,
    /// The longest that an event was on its way from the log, by the time it was appended there.
    pub(crate) delay: Duration,
}

// === impl Pulse ===

impl Pulse {
    /// From now on silence counts, for these followers and rooms.
    pub(crate) fn listen(&self, pairs: impl IntoIterator<Item = (usize, Room)>) {
        let beat = Beat {
            last: Instant::now(),
            worst: Worst::default(),
        };
        let beats = pairs.into_iter().map(|pair| (pair, beat));
        *self.beats() = Some(beats.collect());
    }

    /// A follower hears an event of a room, appended then, in milliseconds since 1970 by the clock of this machine.
    pub(crate) fn beat(&self, follower: usize, room: &str, appended_ms: u64) {
        if let Some(beats) = &mut *self.beats() {
            let Some(beat) = beats.get_mut(&(follower, room.to_owned())) else {
                return;
            };
            let now = Instant::now();
            beat.worst.silence = beat.worst.silence.max(now - beat.last);
            let appended = UNIX_EPOCH + Duration::from_millis(appended_ms);
            let delay = SystemTime::now().duration_since(appended);
            beat.worst.delay = beat.worst.delay.max(delay.unwrap_or_default());
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

    /// The worst for each follower and room.
    pub(crate) fn worst(&self) -> Vec<Worst> {
        let beats = self.beats();
        let beats = beats.iter().flat_map(HashMap::values);
        beats.map(|beat| beat.worst).collect()
    }

    fn beats(&self) -> MutexGuard<'_, Option<HashMap<(usize, Room), Beat>>> {
        self.beats.lock().expect("no holder panics")
    }
}
