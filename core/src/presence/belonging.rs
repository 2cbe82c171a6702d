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
    moves: HashMap<UserId, HashMap<RoomKey, Belonging>>,
    /// The oldest first; some of them may be forgotten by now.
    order: VecDeque<(UserId, RoomKey)>,
}

// === impl Recent ===

impl Recent {
    /// Remembers a move, unless a later one of the same user and room is known.
    pub(super) fn note(&mut self, user: &UserId, key: &RoomKey, belonging: Belonging) {
        let moves = self.moves.entry(user.clone()).or_default();
        match moves.get_mut(key) {
            Some(known) if known.at >= belonging.at => {}
            Some(known) => *known = belonging,
            None => {
                moves.insert(key.clone(), belonging);
                self.order.push_back((user.clone(), key.clone()));
            }
        }
        if self.order.len() > MOVES_MAX {
            self.forget_one();
        }
    }

    /// The moves of a user.
    pub(super) fn of(&self, user: &UserId) -> impl Iterator<Item = (RoomKey, Belonging)> + '_ {
        let moves = self.moves.get(user).into_iter().flatten();
        moves.map(|(key, belonging)| (key.clone(), *belonging))
    }

    /// Forgets a move, if none later than `at` is known; `true` if there was one.
    pub(super) fn forget(&mut self, user: &UserId, key: &RoomKey, at: Seq) -> bool {
        let Some(moves) = self.moves.get_mut(user) else {
            return false;
        };
        if !moves.get(key).is_some_and(|known| known.at <= at) {
            return false;
        }
        moves.remove(key);
        if moves.is_empty() {
            self.moves.remove(user);
        }
        true
    }

    fn forget_one(&mut self) {
        let Some((user, key)) = self.order.pop_front() else {
            return;
        };
        if let Some(moves) = self.moves.get_mut(&user) {
            moves.remove(&key);
            if moves.is_empty() {
                self.moves.remove(&user);
            }
        }
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
}
