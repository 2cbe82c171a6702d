//! When the numbering snapshot in Redis is moved forward, replaced, and checked.

use std::time::Duration;

use roomlog_core::room_log::{Changes, RoomLog, Snapshot};
use roomlog_platform::redis::CHANGED_ROOMS_MAX;

use crate::metrics;

/// How often it is moved forward: what a new owner has to number again is this much of the log.
const WRITE_INTERVAL_MS: u64 = 500;

/// How often the wait doubles while writes fail, up to 16 s: collecting a whole set in vain costs the owner time.
const RETRY_DOUBLINGS_MAX: u32 = 5;

/// How often it is checked against itself. A lost write stands at most this long, and is harmless until then, as its
/// sum shows it.
const CHECK_INTERVAL_MS: u64 = 5_000;

/// For each so many rooms, checks are one interval further apart: reading a set costs Redis time.
const ROOMS_PER_CHECK_INTERVAL: usize = 50_000;

/// Decides about one partition's snapshot. At most one write or one check is under way.
#[derive(Debug)]
pub(super) struct Snapshots {
    /// Whether the set in Redis is not known to be ours and sound.
    replace: bool,
    writing: bool,
    checking: bool,
    /// Writes that failed since the last one that did not.
    failures: u32,
    next_write_ms: u64,
    next_check_ms: u64,
}

/// A write to be made; [`Snapshots::written`] must follow.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) changes: Changes,
    /// Whether it takes the place of the whole set.
    pub(super) whole: bool,
}

// === impl Snapshots ===

impl Snapshots {
    /// `trusted` says that the numbering began with what Redis holds.
    pub(super) fn new(trusted: bool, now_ms: u64) -> Self {
        Self {
            replace: !trusted,
            writing: false,
            checking: false,
            failures: 0,
            next_write_ms: now_ms,
            next_check_ms: now_ms + CHECK_INTERVAL_MS,
        }
    }

    /// What is to be written now, if it is time and anything changed.
    pub(super) fn begin_write(&mut self, log: &mut RoomLog, now_ms: u64) -> Option<Write> {
        if self.writing || self.checking || now_ms < self.next_write_ms {
            return None;
        }
        let write = self.next_write(log)?;
        self.writing = true;
        let wait = WRITE_INTERVAL_MS << self.failures.min(RETRY_DOUBLINGS_MAX);
        self.next_write_ms = now_ms + wait;
        Some(write)
    }

    /// The last write of an owner that stops, if none is under way.
    pub(super) fn last_write(&mut self, log: &mut RoomLog) -> Option<Write> {
        if self.writing {
            None
        } else {
            self.next_write(log)
        }
    }

    fn next_write(&mut self, log: &mut RoomLog) -> Option<Write> {
        if self.replace {
            log.rewrite_snapshot();
        }
        let mut changes = log.take_changes()?;
        if !self.replace && changes.heads.len() > CHANGED_ROOMS_MAX {
            self.replace = true;
            log.return_changes(changes);
            log.rewrite_snapshot();
            changes = log.take_changes()?;
        }
        Some(Write {
            changes,
            whole: self.replace,
        })
    }

    /// The write ended. What may not have been written is written with the next one.
    pub(super) fn written(&mut self, log: &mut RoomLog, write: Write, worked: bool) {
        self.writing = false;
        if worked {
            self.failures = 0;
            self.replace &= !write.whole;
        } else {
            log.return_changes(write.changes);
            self.failures = self.failures.saturating_add(1);
        }
    }

    /// Whether the set is to be read and looked at now; [`Self::checked`] must follow.
    pub(super) fn begin_check(&mut self, log: &RoomLog, now_ms: u64) -> bool {
        let due = !self.checking
            && !self.writing
            && !self.replace
            && log.is_complete()
            && now_ms >= self.next_check_ms;
        self.checking |= due;
        due
    }

    /// The set was read, or could not be. One that does not add up is replaced.
    pub(super) fn checked(&mut self, found: Result<Option<Snapshot>, ()>, now_ms: u64) {
        self.checking = false;
        let mut intervals = 1;
        if let Ok(found) = found {
            let rooms = found.as_ref().map_or(0, |found| found.heads.len());
            intervals += rooms / ROOMS_PER_CHECK_INTERVAL;
            if !found.is_some_and(|found| adds_up(&found)) {
                metrics::snapshot_mismatch();
                self.replace = true;
            }
        }
        let wait = Duration::from_millis(CHECK_INTERVAL_MS)
            .saturating_mul(u32::try_from(intervals).unwrap_or(u32::MAX));
        self.next_check_ms =
            now_ms.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    }
}

fn adds_up(snapshot: &Snapshot) -> bool {
    let sum = snapshot
        .heads
        .iter()
        .try_fold(0_u64, |sum, (_, seq, _)| sum.checked_add(seq.0));
    sum == Some(snapshot.accepted)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use roomlog_core::{
        event::Kind,
        room_log::{Position, RecordRef, Spec},
    };

    use super::*;

    fn log() -> RoomLog {
        RoomLog::empty(
            Spec {
                partition: 0,
                partition_count: 1,
                window_offsets: 100,
            },
            1,
        )
    }

    fn number(log: &mut RoomLog, room: &str) {
        let record = RecordRef {
            position: log.next(),
            key: room.as_bytes(),
            id: b"",
            sender: b"",
            kind: Some(Kind::Message),
            append_time_ms: 0,
        };
        log.apply(&record);
    }

    #[test]
    fn an_untrusted_set_is_replaced_and_then_moved_forward() {
        let (mut snapshots, mut log) = (Snapshots::new(false, 0), log());
        number(&mut log, "a");
        let first = snapshots.begin_write(&mut log, 0).unwrap();
        assert!(first.whole);
        assert!(
            snapshots.begin_write(&mut log, 1_000).is_none(),
            "one write at a time"
        );
        snapshots.written(&mut log, first, true);
        number(&mut log, "b");
        assert!(snapshots.begin_write(&mut log, 1).is_none(), "not yet time");
        let second = snapshots.begin_write(&mut log, WRITE_INTERVAL_MS).unwrap();
        assert!(!second.whole);
        assert_eq!(
            (second.changes.heads.len(), second.changes.accepted),
            (1, 2)
        );
    }

    #[test]
    fn what_failed_is_written_with_the_next() {
        let (mut snapshots, mut log) = (Snapshots::new(true, 0), log());
        number(&mut log, "a");
        let lost = snapshots.begin_write(&mut log, 0).unwrap();
        number(&mut log, "b");
        snapshots.written(&mut log, lost, false);
        let next = snapshots.begin_write(&mut log, WRITE_INTERVAL_MS).unwrap();
        assert_eq!(next.changes.heads.len(), 2);
    }

    #[test]
    fn failing_writes_come_ever_more_rarely() {
        let (mut snapshots, mut log) = (Snapshots::new(false, 0), log());
        let (mut now_ms, mut writes) = (0, 0);
        while now_ms < 600_000 {
            number(&mut log, "a");
            if let Some(write) = snapshots.begin_write(&mut log, now_ms) {
                writes += 1;
                snapshots.written(&mut log, write, false);
            }
            now_ms += 250;
        }
        assert!((30..50).contains(&writes), "{writes}");
    }

    #[test]
    fn nothing_is_written_while_rooms_are_unknown() {
        let spec = Spec {
            partition: 0,
            partition_count: 1,
            window_offsets: 100,
        };
        let mut log = RoomLog::partial(
            spec,
            Position {
                generation: 1,
                offset: 5,
            },
            3,
        );
        assert!(Snapshots::new(false, 0).begin_write(&mut log, 0).is_none());
    }

    #[test]
    fn a_set_that_does_not_add_up_is_replaced() {
        let (mut snapshots, mut log) = (Snapshots::new(true, 0), log());
        number(&mut log, "a");
        let write = snapshots.begin_write(&mut log, 0).unwrap();
        snapshots.written(&mut log, write, true);
        assert!(!snapshots.begin_check(&log, 10));
        assert!(snapshots.begin_check(&log, CHECK_INTERVAL_MS));
        let mut found = log.snapshot().unwrap();
        snapshots.checked(Ok(Some(found.clone())), CHECK_INTERVAL_MS);
        assert!(
            snapshots
                .begin_write(&mut log, 2 * CHECK_INTERVAL_MS)
                .is_none(),
            "sound and unchanged"
        );
        for broken in [
            {
                found.accepted += 1;
                Some(found)
            },
            None,
        ] {
            let now_ms = snapshots.next_check_ms;
            assert!(snapshots.begin_check(&log, now_ms));
            snapshots.checked(Ok(broken), now_ms);
            let write = snapshots.begin_write(&mut log, now_ms).unwrap();
            assert!(write.whole);
            snapshots.written(&mut log, write, true);
        }
    }
}
