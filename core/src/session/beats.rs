//! Heart-beats over time: when this side has to say something, and when the other was silent for too long.

use crate::stomp::Cadence;

/// A beat goes out after this part of the agreed interval, so that the client has it within the interval although
/// timers and networks are late.
const BEAT_AT: (u64, u64) = (4, 5);
/// A client is given up after this many intervals of silence, as other servers do: timers and networks are late.
const SILENT_INTERVALS: u64 = 2;

/// The heart-beats of one connection.
#[derive(Debug, Default)]
pub(super) struct Beats {
    cadence: Cadence,
    /// When something went out last.
    wrote_ms: u64,
    /// When an octet came in last.
    heard_ms: u64,
}

// === impl Beats ===

impl Beats {
    /// Beats by this agreement from now on.
    pub(super) fn start(&mut self, cadence: Cadence, now_ms: u64) {
        *self = Self {
            cadence,
            wrote_ms: now_ms,
            heard_ms: now_ms,
        };
    }

    /// Notes that something went out.
    pub(super) fn wrote(&mut self, now_ms: u64) {
        self.wrote_ms = self.wrote_ms.max(now_ms);
    }

    /// Notes that something came in.
    pub(super) fn heard(&mut self, now_ms: u64) {
        self.heard_ms = self.heard_ms.max(now_ms);
    }

    /// When the next beat is due.
    pub(super) fn due_ms(&self) -> Option<u64> {
        let every = u64::from(self.cadence.send_every_ms?);
        Some(self.wrote_ms + every * BEAT_AT.0 / BEAT_AT.1)
    }

    /// From when on the client counts as silent.
    pub(super) fn silent_ms(&self) -> Option<u64> {
        let every = u64::from(self.cadence.expect_every_ms?);
        Some(self.heard_ms + every * SILENT_INTERVALS)
    }
}
