//! Slow mode: at least so many seconds between two messages of one member in one room.
//!
//! Every gateway that has the room open sees all its messages, and adds those it has just sent on itself: so it does
//! not matter by which gateway somebody posts.

use std::collections::HashMap;

use crate::ids::{MessageId, UserId};

/// Senders remembered per room. When full, those whose wait is over are forgotten, and newcomers are let through
/// where that frees nothing: a room in which so many post within one wait is not made slower by one more.
const SENDERS_MAX: usize = 50_000;

/// Who posted last, and when.
#[derive(Clone, Debug, Default)]
pub struct Paces {
    last: HashMap<UserId, Last>,
}

#[derive(Clone, Debug)]
struct Last {
    at_ms: u64,
    id: MessageId,
}

/// Why a message may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// The wait is over, or there is none.
    Free,
    /// It is the last message once more.
    Retry,
}

// === impl Paces ===

impl Paces {
    /// Whether this user may post under this id now; the milliseconds to wait otherwise. The last message's own id is
    /// a retry and always may.
    pub fn check(
        &self,
        user: &UserId,
        id: &MessageId,
        slow_mode_s: u32,
        now_ms: u64,
    ) -> Result<Pace, u64> {
        let wait_ms = u64::from(slow_mode_s) * 1_000;
        match self.last.get(user) {
            Some(last) if last.id != *id => {
                // A sender's clock that is ahead of ours makes nobody wait longer than the room says.
                let left_ms = (last.at_ms + wait_ms).saturating_sub(now_ms).min(wait_ms);
                if left_ms > 0 {
                    Err(left_ms)
                } else {
                    Ok(Pace::Free)
                }
            }
            Some(_) => Ok(Pace::Retry),
            None => Ok(Pace::Free),
        }
    }

    /// Notes a message. Earlier ones than the last change nothing.
    pub fn note(&mut self, user: &UserId, id: &MessageId, slow_mode_s: u32, at_ms: u64) {
        if slow_mode_s == 0 {
            self.last.clear();
            return;
        }
        if self.last.len() >= SENDERS_MAX && !self.last.contains_key(user) {
            let wait_ms = u64::from(slow_mode_s) * 1_000;
            self.last.retain(|_, last| last.at_ms + wait_ms > at_ms);
            if self.last.len() >= SENDERS_MAX {
                return;
            }
        }
        let last = self.last.entry(user.clone()).or_insert_with(|| Last {
            at_ms,
            id: id.clone(),
        });
        if at_ms > last.at_ms && *id != last.id {
            *last = Last {
                at_ms,
                id: id.clone(),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> MessageId {
        MessageId::parse(text).expect("visible")
    }

    fn user(name: &str) -> UserId {
        UserId::parse(name).expect("alphabet")
    }

    #[test]
    fn the_second_message_waits_and_says_how_long() {
        let mut paces = Paces::default();
        assert_eq!(
            paces.check(&user("ann"), &id("1"), 10, 50_000),
            Ok(Pace::Free)
        );
        paces.note(&user("ann"), &id("1"), 10, 50_000);
        assert_eq!(paces.check(&user("ann"), &id("2"), 10, 51_000), Err(9_000));
        assert_eq!(
            paces.check(&user("ann"), &id("2"), 10, 60_000),
            Ok(Pace::Free)
        );
        assert_eq!(
            paces.check(&user("bob"), &id("2"), 10, 51_000),
            Ok(Pace::Free)
        );
    }

    #[test]
    fn a_retry_neither_waits_nor_makes_wait() {
        let mut paces = Paces::default();
        paces.note(&user("ann"), &id("1"), 10, 50_000);
        assert_eq!(
            paces.check(&user("ann"), &id("1"), 10, 51_000),
            Ok(Pace::Retry)
        );
        paces.note(&user("ann"), &id("1"), 10, 59_000);
        assert_eq!(
            paces.check(&user("ann"), &id("2"), 10, 60_000),
            Ok(Pace::Free)
        );
    }

    #[test]
    fn a_clock_that_is_ahead_makes_nobody_wait_longer() {
        let mut paces = Paces::default();
        paces.note(&user("ann"), &id("1"), 10, 99_000);
        assert_eq!(paces.check(&user("ann"), &id("2"), 10, 50_000), Err(10_000));
    }

    #[test]
    fn nobody_is_remembered_without_slow_mode() {
        let mut paces = Paces::default();
        paces.note(&user("ann"), &id("1"), 10, 50_000);
        paces.note(&user("bob"), &id("1"), 0, 50_000);
        assert!(paces.last.is_empty());
    }
}
