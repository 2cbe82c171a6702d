//! Sends of one session whose fate is unknown, and what they hold back.
//!
//! A record whose acknowledgement did not come may be in the log or not. Until its sender has sent it again and the log
//! has acknowledged it, no other send of that session to that room is produced: otherwise the later one could come
//! before the earlier one, though its sender wrote them in order.

use std::collections::{HashMap, HashSet};

use crate::ids::{MessageId, RoomKey};

/// The rooms of one session with a send whose fate is unknown. It holds no more ids than a session may have requests
/// open, since nothing new is produced for a room that is in it.
#[derive(Debug, Default)]
pub struct Resends {
    rooms: HashMap<RoomKey, HashSet<MessageId>>,
}

// === impl Resends ===

impl Resends {
    /// Whether this may be produced now. A no is told as `log-unavailable`: the earlier one comes first.
    pub fn allow(&self, key: &RoomKey, id: &MessageId) -> bool {
        self.rooms.get(key).is_none_or(|ids| ids.contains(id))
    }

    /// The log did not say whether it has this one.
    pub fn unknown(&mut self, key: RoomKey, id: MessageId) {
        self.rooms.entry(key).or_default().insert(id);
    }

    /// The log has this one.
    pub fn acknowledged(&mut self, key: &RoomKey, id: &MessageId) {
        if let Some(ids) = self.rooms.get_mut(key) {
            ids.remove(id);
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
}
