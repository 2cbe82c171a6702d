//! Whether users belong to rooms, and since which event: enough to join what comes from many sides in any order.

use std::collections::{HashMap, VecDeque};

use crate::ids::{RoomKey, Seq, UserId};

/// Moves remembered on one gateway: some MiB, and minutes of a busy system's joins. Beyond it the oldest are forgotten;
/// the store has them long since, unless it is down.
const MOVES_MAX: usize = 16_384;

/// Whether a user is a member of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Belonging {
    /// Whether they are in.
    pub is_in: bool,
    /// The event of the room's log that made it so.
    pub at: Seq,
}

/// The latest moves of users into rooms and out of them.
#[derive(Debug, Default)]
pub(super) struct Recent {
    moves: HashMap<UserId, HashMap<RoomKey, Noted>>,
    /// What was noted, the oldest first. Of some of it something later was noted, and some is forgotten by now.
    order: VecDeque<(UserId, RoomKey, u64)>,
    /// How many notes there were.
    notes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Noted {
    belonging: Belonging,
    /// Which note of them all it is.
    note: u64,
}

// === impl Recent ===

impl Recent {
    /// Remembers a move, unless a later one of the same user and room is known.
    pub(super) fn note(&mut self, user: &UserId, key: &RoomKey, belonging: Belonging) {
        let moves = self.moves.entry(user.clone()).or_default();
        let known = moves.get(key);
        if known.is_some_and(|known| known.belonging.at >= belonging.at) {
            return;
        }
        self.notes += 1;
        let note = self.notes;
        moves.insert(key.clone(), Noted { belonging, note });
        self.order.push_back((user.clone(), key.clone(), note));
        if self.order.len() > MOVES_MAX {
            self.forget_oldest();
        }
    }

    /// The moves of a user.
    pub(super) fn of(&self, user: &UserId) -> impl Iterator<Item = (RoomKey, Belonging)> + '_ {
        let moves = self.moves.get(user).into_iter().flatten();
        moves.map(|(key, noted)| (key.clone(), noted.belonging))
    }

    /// Forgets a move, if none later than `at` is known; `true` if there was one.
    pub(super) fn forget(&mut self, user: &UserId, key: &RoomKey, at: Seq) -> bool {
        self.forget_if(user, key, |known| known.belonging.at <= at)
    }

    fn forget_oldest(&mut self) {
        if let Some((user, key, note)) = self.order.pop_front() {
            self.forget_if(&user, &key, |known| known.note == note);
        }
    }

    fn forget_if(&mut self, user: &UserId, key: &RoomKey, is_it: impl Fn(&Noted) -> bool) -> bool {
        let Some(moves) = self.moves.get_mut(user) else {
            return false;
        };
        if !moves.get(key).is_some_and(is_it) {
            return false;
        }
        moves.remove(key);
        if moves.is_empty() {
            self.moves.remove(user);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn room(number: usize) -> RoomKey {
        RoomKey::parse(&format!("r{number}")).unwrap()
    }

    #[test]
    fn the_oldest_moves_are_forgotten_when_there_are_too_many() {
        let mut recent = Recent::default();
        let alice = UserId::parse("alice").unwrap();
        for number in 0..=MOVES_MAX {
            let belonging = Belonging {
                is_in: true,
                at: Seq(1),
            };
            recent.note(&alice, &room(number), belonging);
        }
        let known: Vec<RoomKey> = recent.of(&alice).map(|(key, _)| key).collect();
        assert_eq!(known.len(), MOVES_MAX);
        assert!(!known.contains(&room(0)));
    }

    #[test]
    fn a_move_noted_again_is_not_forgotten_with_what_was_noted_before() {
        let mut recent = Recent::default();
        let alice = UserId::parse("alice").unwrap();
        let at = |seq| Belonging {
            is_in: true,
            at: Seq(seq),
        };
        recent.note(&alice, &room(0), at(1));
        recent.note(&alice, &room(1), at(1));
        assert!(recent.forget(&alice, &room(0), Seq(1)));
        // The same event is heard again, and a later one of the other room.
        recent.note(&alice, &room(0), at(1));
        recent.note(&alice, &room(1), at(2));
        for number in 2..MOVES_MAX {
            recent.note(&alice, &room(number), at(1));
        }
        let known: HashMap<RoomKey, Belonging> = recent.of(&alice).collect();
        assert_eq!(known.len(), MOVES_MAX);
        assert_eq!((known[&room(0)].at, known[&room(1)].at), (Seq(1), Seq(2)));
        // Now they are the oldest.
        recent.note(&alice, &room(MOVES_MAX), at(1));
        assert!(!recent.of(&alice).any(|(key, _)| key == room(0)));
        assert!(recent.order.len() <= MOVES_MAX);
    }
}
