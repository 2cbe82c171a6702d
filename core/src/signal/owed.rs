//! Read marks that were told lately: whoever may have missed them is told again.
//!
//! A mark is said once, to whoever owns its room at that moment. An owner that can't be reached then, or whose link was
//! dead already, never hears it; who is found to own the room later is told what was said meanwhile. Marks merge by
//! maximum wherever they are heard, so telling one twice is no harm.

use std::collections::{BTreeMap, VecDeque};

use crate::ids::{RoomKey, Seq, UserId};

use super::{Signal, Stamped};

/// How long a mark is kept: several times what it takes to find a link dead and to make another.
const KEPT_MS: u64 = 60_000;

/// Marks kept: some 2 MB. Beyond it the oldest is forgotten, and its reader's next one makes up for it.
const MARKS_MAX: usize = 8_192;

/// The furthest mark of each reader and room.
#[derive(Debug, Default)]
pub struct Owed {
    marks: BTreeMap<(RoomKey, UserId), Mark>,
    /// Each of them once, with when it was said then; it may have been said again since.
    order: VecDeque<(u64, (RoomKey, UserId))>,
}

#[derive(Debug)]
struct Mark {
    said_ms: u64,
    seq: Seq,
    stamped: Stamped,
}

// === impl Owed ===

impl Owed {
    /// A signal was said; only read marks are kept.
    pub fn said(&mut self, stamped: &Stamped, now_ms: u64) {
        self.forget_before(now_ms.saturating_sub(KEPT_MS));
        let Signal::Read { user, seq, .. } = &stamped.signal else {
            return;
        };
        let name = (stamped.key.clone(), user.clone());
        let known = self.marks.get(&name);
        if known.is_some_and(|mark| mark.seq > *seq) {
            return;
        }
        if known.is_none() {
            self.order.push_back((now_ms, name.clone()));
        }
        let mark = Mark {
            said_ms: now_ms,
            seq: *seq,
            stamped: stamped.clone(),
        };
        self.marks.insert(name, mark);
        if self.order.len() > MARKS_MAX
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.marks.remove(&oldest);
        }
    }

    /// What was said lately in the rooms that are asked about.
    pub fn of(&mut self, is_asked: impl Fn(&RoomKey) -> bool, now_ms: u64) -> Vec<Stamped> {
        let since_ms = now_ms.saturating_sub(KEPT_MS);
        self.forget_before(since_ms);
        let marks = self.marks.iter();
        marks
            .filter(|((key, _), mark)| mark.said_ms >= since_ms && is_asked(key))
            .map(|(_, mark)| mark.stamped.clone())
            .collect()
    }

    /// Forgets what was said before; what was said again since waits for another turn.
    fn forget_before(&mut self, since_ms: u64) {
        let is_old = |(said_ms, _): &(u64, _)| *said_ms < since_ms;
        while self.order.front().is_some_and(is_old) {
            let Some((_, name)) = self.order.pop_front() else {
                return;
            };
            match self.marks.get(&name) {
                Some(mark) if mark.said_ms >= since_ms => {
                    self.order.push_back((mark.said_ms, name));
                }
                _ => drop(self.marks.remove(&name)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{ids::Count, signal::Stamp};

    fn key(name: &str) -> RoomKey {
        RoomKey::parse(name).unwrap()
    }

    fn mark(room: &str, user: &str, seq: u64) -> Stamped {
        Stamped {
            key: key(room),
            stamp: Stamp {
                source: 1,
                counter: seq,
            },
            signal: Signal::Read {
                user: UserId::parse(user).unwrap(),
                seq: Seq(seq),
                count: Count(seq),
            },
        }
    }

    #[test]
    fn the_furthest_mark_of_each_is_told_again_for_a_while() {
        let mut owed = Owed::default();
        for (at_ms, said) in [
            (0, mark("a", "ann", 1)),
            (1, mark("a", "ben", 7)),
            (2, mark("b", "ann", 9)),
            (KEPT_MS, mark("a", "ann", 4)),
            (KEPT_MS, mark("a", "ann", 3)),
        ] {
            owed.said(&said, at_ms);
        }
        let of_a = owed.of(|room| *room == key("a"), KEPT_MS);
        assert_eq!(of_a, [mark("a", "ann", 4), mark("a", "ben", 7)]);
        let of_a = owed.of(|room| *room == key("a"), KEPT_MS + 2);
        assert_eq!(of_a, [mark("a", "ann", 4)]);
        assert_eq!(owed.of(|_| true, 3 * KEPT_MS), []);
        assert!(owed.marks.is_empty());
    }

    #[test]
    fn typing_is_never_told_again() {
        let mut owed = Owed::default();
        let user = UserId::parse("ann").unwrap();
        owed.said(
            &Stamped {
                signal: Signal::Typing { user, on: true },
                ..mark("a", "ann", 1)
            },
            0,
        );
        assert_eq!(owed.of(|_| true, 0), []);
    }

    #[test]
    fn so_many_are_kept() {
        let mut owed = Owed::default();
        for user in 0..MARKS_MAX + 10 {
            owed.said(&mark("a", &format!("user-{user}"), 1), 0);
        }
        assert_eq!(owed.of(|_| true, 0).len(), MARKS_MAX);
        // Who marks often takes one place.
        for seq in 2..100 {
            owed.said(&mark("a", "user-100", seq), 1);
        }
        assert_eq!(owed.of(|_| true, 1).len(), MARKS_MAX);
        assert_eq!(owed.order.len(), MARKS_MAX);
    }
}
