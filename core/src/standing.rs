//! Who stands how in a room, as of the last event shown: stored rows and the events after them.

use std::collections::HashMap;

use crate::{
    event::Event,
    ids::{Seq, UserId},
    room_state::{Change, Effect, Membership, RoomMeta, Rows, fold, subject_of},
};

/// Members remembered per room. Beyond it [`Standing::trim`] forgets those that can be read again.
const MEMBERS_MAX: usize = 20_000;

/// A room's state, kept exact by folding every event that is shown.
#[derive(Debug, Default)]
pub struct Standing {
    /// The room's own row; `None` while it does not exist.
    room: Option<RoomMeta>,
    /// The users looked up so far; `None` for those without a row.
    members: HashMap<UserId, Option<Membership>>,
    /// Rows as of this seq can be read again at any time: the store is at least here.
    stored: Seq,
}

// === impl Standing ===

impl Standing {
    /// The state as read from the store, which holds everything up to `stored`.
    pub fn new(room: Option<RoomMeta>, stored: Seq) -> Self {
        Self {
            room,
            members: HashMap::new(),
            stored,
        }
    }

    pub fn room(&self) -> Option<&RoomMeta> {
        self.room.as_ref()
    }

    /// A user's row; the outer `None` where it was not looked up.
    pub fn member(&self, user: &UserId) -> Option<Option<Membership>> {
        self.members.get(user).copied()
    }

    /// The row of the user an event is about.
    pub fn subject(&self, event: &Event) -> Option<Membership> {
        subject_of(event).and_then(|user| self.member(user).flatten())
    }

    /// Takes a row from the store. One that is known stays: it holds at least as much.
    pub fn learn(&mut self, user: UserId, row: Option<Membership>) {
        self.members.entry(user).or_insert(row);
    }

    /// Forgets rows that can be read again, where there are too many.
    pub fn trim(&mut self) {
        if self.members.len() > MEMBERS_MAX {
            let stored = self.stored;
            self.members
                .retain(|_, row| row.is_some_and(|row| row.changed_seq > stored));
        }
    }

    /// The users whose rows are needed to judge an event and are not known.
    pub fn unknown_of(&self, event: &Event) -> Vec<UserId> {
        let mut users: Vec<UserId> = subject_of(event).into_iter().cloned().collect();
        if !users.contains(&event.sender.id) {
            users.push(event.sender.id.clone());
        }
        users.retain(|user| !self.members.contains_key(user));
        users
    }

    /// Judges the next event and takes over what it changes; `false` if the room's state does not allow it.
    pub fn apply(&mut self, event: &Event, seq: Seq) -> bool {
        match fold(self.rows(event), event, seq) {
            Effect::Void => false,
            Effect::Folded => true,
            Effect::Stands(changes) => {
                for change in changes {
                    match change {
                        Change::Room(room) => self.room = Some(room),
                        Change::Member(user, row) => {
                            self.members.insert(user, Some(row));
                        }
                    }
                }
                true
            }
        }
    }

    /// Whether an event would stand if it were the next.
    pub fn allows(&self, event: &Event, seq: Seq) -> bool {
        !matches!(fold(self.rows(event), event, seq), Effect::Void)
    }

    fn rows(&self, event: &Event) -> Rows<'_> {
        let row = |user: &UserId| self.members.get(user).and_then(Option::as_ref);
        Rows {
            room: self.room.as_ref(),
            subject: subject_of(event).and_then(row),
            actor: row(&event.sender.id),
        }
    }
}
