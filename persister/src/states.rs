//! The rows the fold needs, as of the last event folded: loaded from the store, then changed by our own folds.

use std::collections::HashMap;

use roomlog_core::{
    event::Event,
    ids::{RoomKey, Seq, UserId},
    room_state::{self, Change, Effect, Membership, RoomMeta, Rows, fold, subject_of},
};
use roomlog_platform::dynamo::{MemberRow, RoomRow};

/// Members held after their changes are stored, over all rooms of a partition; beyond it, rooms without unstored
/// changes are forgotten. About 2 MB.
const MEMBERS_HELD_MAX: usize = 20_000;

/// The state of the rooms that membership and room events lately were about.
#[derive(Debug, Default)]
pub(crate) struct States {
    rooms: HashMap<RoomKey, RoomState>,
}

#[derive(Debug, Default)]
struct RoomState {
    meta: Option<RoomMeta>,
    /// Users whose row is known; `None` for one without a standing.
    members: HashMap<UserId, Option<Membership>>,
    /// The last event that changed any of this and may not be stored.
    unstored: Option<Seq>,
}

/// Rows that must be loaded before some events can be folded. Members are to be read before rooms.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Missing {
    /// Each pair once.
    pub(crate) members: Vec<(RoomKey, UserId)>,
    /// The rooms of all those members, and others; each once, with the first event that needs it.
    pub(crate) rooms: HashMap<RoomKey, Seq>,
}

/// Somebody else stores this partition as well and is further: what was loaded holds events we have yet to fold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "room {room} is stored up to {stored}, while {needed} is to be folded: another owner is at work"
)]
pub(crate) struct Overtaken {
    room: RoomKey,
    stored: Seq,
    needed: Seq,
}

/// Whether the fold looks at an event at all.
pub(crate) fn is_folded(event: &Event) -> bool {
    room_state::is_folded(event) && !event.key.is_inbox()
}

// === impl States ===

impl States {
    /// What must be loaded to fold these events.
    pub(crate) fn missing<'a>(&self, events: impl Iterator<Item = (Seq, &'a Event)>) -> Missing {
        let mut missing = Missing::default();
        let mut wanted = std::collections::HashSet::new();
        for (seq, event) in events {
            let room = self.rooms.get(&event.key);
            let users = subject_of(event).into_iter().chain([&event.sender.id]);
            let unknown = users
                .filter(|&user| room.is_none_or(|room| !room.members.contains_key(user)))
                .map(|user| (event.key.clone(), user.clone()))
                .filter(|pair| wanted.insert(pair.clone()));
            let before = missing.members.len();
            missing.members.extend(unknown);
            if room.is_none() || missing.members.len() > before {
                missing.rooms.entry(event.key.clone()).or_insert(seq);
            }
        }
        missing
    }

    /// Takes what was loaded. Members were read before rooms, so that a room's head tells how new they can be.
    ///
    /// # Errors
    /// When a row is not older than the event it is needed for. Nothing was taken.
    pub(crate) fn load(
        &mut self,
        missing: Missing,
        members: Vec<(RoomKey, MemberRow)>,
        rooms: Vec<RoomRow>,
    ) -> Result<(), Overtaken> {
        for row in &rooms {
            let (needed, stored) = (missing.rooms.get(&row.key), row.head.seq);
            if let Some(&needed) = needed.filter(|needed| stored >= **needed) {
                let room = row.key.clone();
                return Err(Overtaken {
                    room,
                    stored,
                    needed,
                });
            }
        }
        let mut metas: HashMap<_, _> = rooms.into_iter().map(|row| (row.key, row.meta)).collect();
        for (key, _) in missing.rooms {
            // A room that is held already is held as of our last fold, which no row is newer than.
            let meta = metas.remove(&key).flatten();
            self.rooms.entry(key).or_insert_with(|| RoomState {
                meta,
                ..RoomState::default()
            });
        }
        for (key, user) in missing.members {
            self.room(key).members.insert(user, None);
        }
        for (key, row) in members {
            self.room(key).members.insert(row.user, row.membership);
        }
        Ok(())
    }

    /// Folds an event whose rows are loaded and makes its changes.
    pub(crate) fn fold(&mut self, event: &Event, seq: Seq) -> Effect {
        let Some(room) = self.rooms.get_mut(&event.key) else {
            return fold(Rows::default(), event, seq);
        };
        let row_of = |user: &UserId| room.members.get(user).and_then(Option::as_ref);
        let rows = Rows {
            room: room.meta.as_ref(),
            subject: subject_of(event).and_then(row_of),
            actor: row_of(&event.sender.id),
        };
        let effect = fold(rows, event, seq);
        if let Effect::Stands(changes) = &effect {
            for change in changes {
                room.unstored = Some(seq);
                match change.clone() {
                    Change::Room(meta) => room.meta = Some(meta),
                    Change::Member(user, membership) => {
                        room.members.insert(user, Some(membership));
                    }
                }
            }
        }
        effect
    }

    /// A room is stored up to this seq: what it holds can be loaded again.
    pub(crate) fn stored(&mut self, key: &RoomKey, seq: Seq) {
        if let Some(room) = self.rooms.get_mut(key)
            && room.unstored.is_some_and(|unstored| unstored <= seq)
        {
            room.unstored = None;
        }
    }

    /// Keeps the bound on what is held.
    pub(crate) fn forget_stored(&mut self) {
        let members: usize = self.rooms.values().map(|room| 1 + room.members.len()).sum();
        if members > MEMBERS_HELD_MAX {
            self.rooms.retain(|_, room| room.unstored.is_some());
        }
    }

    fn room(&mut self, key: RoomKey) -> &mut RoomState {
        self.rooms.entry(key).or_default()
    }
}
