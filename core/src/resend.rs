//! Sends of one session whose fate is unknown, and what they hold back.
//!
//! A record whose acknowledgement did not come may be in the log or not. Until its sender has sent it again and the log
//! has acknowledged it, no other send of that session to that room is produced: otherwise the later one could come
//! before the earlier one, though its sender wrote them in order.

use std::collections::{HashMap, HashSet};

use crate::ids::{MessageId, RoomKey};

/// Sends of unknown fate in all rooms of a session, as many as it may have requests open. Once there are so many, it
/// sends to no further room either before some are acknowledged; what was under way by then may pass it.
const UNKNOWN_MAX: usize = 1_024;

/// The rooms of one session with a send whose fate is unknown.
#[derive(Debug, Default)]
pub struct Resends {
    rooms: HashMap<RoomKey, HashSet<MessageId>>,
    /// Ids in all of them.
    count: usize,
}

// === impl Resends ===

impl Resends {
    /// Whether this may be produced now. A no is told as `log-unavailable`: the earlier one comes first.
    pub fn allow(&self, key: &RoomKey, id: &MessageId) -> bool {
        match self.rooms.get(key) {
            Some(ids) => ids.contains(id),
            None => self.count < UNKNOWN_MAX,
        }
    }

    /// The log did not say whether it has this one.
    pub fn unknown(&mut self, key: RoomKey, id: MessageId) {
        let is_new = self.rooms.entry(key).or_default().insert(id);
        self.count += usize::from(is_new);
    }

    /// The log has this one.
    pub fn acknowledged(&mut self, key: &RoomKey, id: &MessageId) {
        if let Some(ids) = self.rooms.get_mut(key) {
            self.count -= usize::from(ids.remove(id));
            if ids.is_empty() {
                self.rooms.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_failed_may_be_sent_until_all_of_it_is_acknowledged() {
        let room = |name| RoomKey::parse(name).expect("alphabet");
        let id = |text| MessageId::parse(text).expect("visible");
        let mut resends = Resends::default();
        resends.unknown(room("a"), id("1"));
        resends.unknown(room("a"), id("2"));
        assert!(resends.allow(&room("a"), &id("1")) && resends.allow(&room("a"), &id("2")));
        assert!(!resends.allow(&room("a"), &id("3")));
        assert!(
            resends.allow(&room("b"), &id("3")),
            "rooms don't wait for each other"
        );
        resends.acknowledged(&room("a"), &id("2"));
        assert!(!resends.allow(&room("a"), &id("3")));
        resends.acknowledged(&room("a"), &id("1"));
        assert!(resends.allow(&room("a"), &id("3")));
        assert!(resends.rooms.is_empty());
    }

    #[test]
    fn so_many_of_unknown_fate_hold_back_every_other_room() {
        let room = |number: usize| RoomKey::parse(&format!("r-{number}")).expect("alphabet");
        let id = |text| MessageId::parse(text).expect("visible");
        let mut resends = Resends::default();
        for number in 0..UNKNOWN_MAX {
            assert!(resends.allow(&room(number), &id("1")));
            // Twice without an answer is still one.
            (0..2).for_each(|_| resends.unknown(room(number), id("1")));
        }
        assert!(!resends.allow(&room(UNKNOWN_MAX), &id("1")));
        assert!(
            resends.allow(&room(7), &id("1")),
            "this one has to come first"
        );
        resends.acknowledged(&room(7), &id("1"));
        resends.acknowledged(&room(7), &id("1"));
        assert!(resends.allow(&room(UNKNOWN_MAX), &id("1")));
    }
}
