//! How far a reader of the log is behind, in records and in time.
//!
//! The age is that of the end of the log the reader has not passed yet: from when that end was first seen to now. It
//! needs nothing but what is asked of the log anyway, is as coarse as the looks at it are, and never says more than has
//! passed since the first look.

use std::collections::VecDeque;

/// Ends remembered. When there are more, every second one is forgotten, so a long lag is told more coarsely.
const ENDS_MAX: usize = 256;

/// One partition's lag as of a look at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Records in the log that the reader has not passed.
    pub records: u64,
    /// Milliseconds since the first of them was seen to be there; 0 while there are none.
    pub age_ms: u64,
}

/// Remembers when the log was how long.
#[derive(Debug, Default)]
pub struct LagClock {
    /// Ends and when they were first seen (milliseconds of a monotonic clock), both ascending.
    ends: VecDeque<(i64, u64)>,
}

// === impl LagClock ===

impl LagClock {
    /// Takes note of the partition's end (the next offset to be written) and of the reader's (the next to be read).
    pub fn look(&mut self, end: i64, reader: i64, now_ms: u64) -> Lag {
        while self.ends.front().is_some_and(|(seen, _)| *seen <= reader) {
            self.ends.pop_front();
        }
        // A topic made anew begins again.
        self.ends.retain(|(seen, _)| *seen <= end);
        if end > reader && self.ends.back().is_none_or(|(seen, _)| *seen < end) {
            self.ends.push_back((end, now_ms));
        }
        if self.ends.len() > ENDS_MAX {
            let mut keeps = false;
            self.ends.retain(|_| {
                keeps = !keeps;
                keeps
            });
        }
        Lag {
            records: u64::try_from(end - reader).unwrap_or(0),
            age_ms: self
                .ends
                .front()
                .map_or(0, |(_, seen_ms)| now_ms.saturating_sub(*seen_ms)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn is_as_old_as_the_first_end_that_was_not_passed() {
        let mut clock = LagClock::default();
        let lag = |records, age_ms| Lag { records, age_ms };
        assert_eq!(clock.look(10, 10, 0), lag(0, 0));
        assert_eq!(clock.look(15, 10, 5_000), lag(5, 0));
        assert_eq!(clock.look(30, 12, 10_000), lag(18, 5_000));
        assert_eq!(clock.look(30, 15, 15_000), lag(15, 5_000));
        assert_eq!(clock.look(30, 15, 20_000), lag(15, 10_000));
        assert_eq!(clock.look(30, 30, 25_000), lag(0, 0));
        assert_eq!(clock.look(31, 30, 90_000), lag(1, 0));
    }

    proptest! {
        #[test]
        fn is_bounded_in_memory_and_zero_exactly_for_who_has_caught_up(
            looks in prop::collection::vec((0..9_i64, 0..9_i64, 1..9_000_u64), 1..1_000),
        ) {
            let mut clock = LagClock::default();
            let (mut end, mut reader, mut now_ms) = (0, 0, 0);
            for (written, read, passed_ms) in looks {
                end += written;
                reader = end.min(reader + read);
                now_ms += passed_ms;
                let lag = clock.look(end, reader, now_ms);
                prop_assert_eq!(lag.records, u64::try_from(end - reader).unwrap_or(0));
                prop_assert!(lag.age_ms <= now_ms);
                prop_assert!(lag.records > 0 || lag.age_ms == 0);
                prop_assert!(clock.ends.len() <= ENDS_MAX);
            }
        }
    }
}
