//! How often one connection's typing is passed on.

use std::collections::VecDeque;

use crate::ids::RoomId;

/// How long the word that somebody types stands before it is passed on again: well within
/// [`TYPING_TTL_MS`](super::TYPING_TTL_MS), so that one lost repeat ends nothing.
const REPEAT_MS: u64 = 2_000;

/// Rooms a connection may type in at once. Beyond it the one it typed in least recently is forgotten.
const ROOMS_MAX: usize = 16;

/// What a connection last said of its typing, room by room.
#[derive(Debug, Default)]
pub struct TypingPace {
    /// The least recent first.
    rooms: VecDeque<Said>,
}

#[derive(Debug)]
struct Said {
    room: RoomId,
    on: bool,
    at_ms: u64,
}

// === impl TypingPace ===

impl TypingPace {
    /// Whether this is news to pass on.
    pub fn is_news(&mut self, room: &RoomId, on: bool, now_ms: u64) -> bool {
        let known = self.rooms.iter().position(|said| said.room == *room);
        let before = known.and_then(|at| self.rooms.remove(at));
        let stands = match &before {
            Some(said) if said.on == on => !on || now_ms < said.at_ms + REPEAT_MS,
            Some(_) => false,
            None => !on,
        };
        let at_ms = match before {
            Some(said) if stands => said.at_ms,
            _ => now_ms,
        };
        self.rooms.push_back(Said {
            room: room.clone(),
            on,
            at_ms,
        });
        if self.rooms.len() > ROOMS_MAX {
            self.rooms.pop_front();
        }
        !stands
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn typing_is_passed_on_when_it_changes_or_grows_old() {
        let (mut pace, room) = (TypingPace::default(), RoomId::parse("r").unwrap());
        assert!(!pace.is_news(&room, false, 0));
        assert!(pace.is_news(&room, true, 0));
        assert!(!pace.is_news(&room, true, REPEAT_MS - 1));
        assert!(pace.is_news(&room, true, REPEAT_MS));
        assert!(pace.is_news(&room, false, REPEAT_MS));
        assert!(!pace.is_news(&room, false, REPEAT_MS));
        assert!(pace.is_news(&room, true, REPEAT_MS));
    }

    #[test]
    fn a_connection_is_remembered_in_so_many_rooms() {
        let mut pace = TypingPace::default();
        for room in 0..100 {
            let room = RoomId::parse(&format!("r{room}")).unwrap();
            assert!(pace.is_news(&room, true, 0));
        }
        assert_eq!(pace.rooms.len(), ROOMS_MAX);
    }
}
