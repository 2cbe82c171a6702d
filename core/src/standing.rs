//! Who stands how in a room, as of the last event shown: stored rows and the events after them.

use std::collections::HashMap;

use thiserror::Error;

use crate::{
    event::{Body, Event, MemberChange, Role},
    ids::{Seq, UserId},
    room_state::{Change, Effect, MemberState, Membership, RoomMeta, Rows, fold, subject_of},
};

/// Members remembered per room. Beyond it [`Standing::trim`] forgets those that can be read again.
const MEMBERS_MAX: usize = 20_000;
/// Users remembered who ceased to be members. When full all are forgotten: who is behind then gets nothing more.
const PARTED_MAX: usize = 10_000;

/// A room's state, kept exact by folding every event that is shown.
#[derive(Debug, Default)]
pub struct Standing {
    /// The room's own row; `None` while it does not exist.
    room: Option<RoomMeta>,
    /// The users looked up so far; `None` for those without a row.
    members: HashMap<UserId, Option<Membership>>,
    /// Whether every event of the room was judged here, so that whoever is not among `members` has no row.
    is_whole: bool,
    /// Rows as of this seq can be read again at any time: the store is at least here.
    stored: Seq,
    /// The last event that could have changed a row and is in these rows.
    as_of: Seq,
    /// Whether an event was passed over that could not be judged.
    is_unsure: bool,
    /// Who ceased to be a member here, and by which event.
    parted: HashMap<UserId, Seq>,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// The room's state allows it, and holds it now.
    Stands,
    /// The room's state does not allow it: it changes nothing.
    Void,
    /// Nobody here can say. It is shown as standing; see [`Standing::pass_over`].
    PassedOver,
}

/// A row was read that holds events which are yet to be judged here. Rows of two moments judge wrongly: everything must
/// be read anew, from a room row that is at least as new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a row holds event {changed}, the room's state only what is up to {as_of}")]
pub struct Ahead {
    /// The event that changed the row.
    pub changed: Seq,
    /// How far the room's state is.
    pub as_of: Seq,
}

// === impl Standing ===

impl Standing {
    /// The state as read from the store, which holds everything up to `stored`.
    pub fn new(room: Option<RoomMeta>, stored: Seq) -> Self {
        Self {
            room,
            members: HashMap::new(),
            is_whole: false,
            stored,
            as_of: stored,
            is_unsure: false,
            parted: HashMap::new(),
        }
    }

    /// The state before a room's first event: there is no room, and nobody has a row in it. Rows are made of the room's
    /// own events and nothing else, so with every event from `Seq(1)` on judged by [`Self::judge`], without a gap, this
    /// is exact and the store is never asked.
    pub fn before_the_first_event() -> Self {
        Self {
            is_whole: true,
            ..Self::new(None, Seq::ZERO)
        }
    }

    /// Whether every event of the room was judged here.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Whether an event was passed over, so that nothing can be judged any more: the state should be read anew as soon
    /// as the store answers.
    pub fn is_unsure(&self) -> bool {
        self.is_unsure
    }

    pub fn room(&self) -> Option<&RoomMeta> {
        self.room.as_ref()
    }

    /// A user's row; the outer `None` where it was not looked up.
    pub fn member(&self, user: &UserId) -> Option<Option<Membership>> {
        let known = self.members.get(user).copied();
        known.or_else(|| self.is_whole.then_some(None))
    }

    /// The row of the user an event is about.
    pub fn subject(&self, event: &Event) -> Option<Membership> {
        subject_of(event).and_then(|user| self.member(user).flatten())
    }

    /// Takes a row from the store. One that is known stays: it holds at least as much.
    ///
    /// # Errors
    /// When the row is newer than the room's state. Nothing was taken.
    pub fn learn(&mut self, user: UserId, row: Option<Membership>) -> Result<(), Ahead> {
        if self.member(&user).is_some() {
            return Ok(());
        }
        let as_of = self.as_of;
        match row.map(|row| row.changed_seq) {
            Some(changed) if changed > as_of => Err(Ahead { changed, as_of }),
            _ => {
                self.members.insert(user, row);
                Ok(())
            }
        }
    }

    /// The known rows of users after `after` and up to `upto`, in no order. Those the store does not hold yet are
    /// among them.
    pub fn between(
        &self,
        after: Option<&UserId>,
        upto: Option<&UserId>,
    ) -> Vec<(UserId, Membership)> {
        let is_within = |user: &UserId| {
            after.is_none_or(|after| user > after) && upto.is_none_or(|upto| user <= upto)
        };
        self.members
            .iter()
            .filter(|(user, _)| is_within(user))
            .filter_map(|(user, row)| Some((user.clone(), (*row)?)))
            .collect()
    }

    /// The known rows that the store may not hold yet.
    pub fn unstored(&self) -> impl Iterator<Item = (UserId, Membership)> + '_ {
        let rows = self.members.iter();
        let rows = rows.filter_map(|(user, row)| Some((user.clone(), (*row)?)));
        rows.filter(|(_, row)| row.changed_seq > self.stored)
    }

    /// Forgets rows that can be read again, where there are too many.
    pub fn trim(&mut self) {
        if self.members.len() > MEMBERS_MAX {
            let stored = self.stored;
            self.members
                .retain(|_, row| row.is_some_and(|row| row.changed_seq > stored));
        }
    }

    /// The users whose rows are needed to judge an event and are not known; none where nothing can be judged.
    pub fn wanted_by(&self, event: &Event) -> Vec<UserId> {
        match self.is_unsure {
            true => Vec::new(),
            false => self.unknown_of(event),
        }
    }

    /// The users an event is about whose rows are not known.
    pub fn unknown_of(&self, event: &Event) -> Vec<UserId> {
        if matches!(event.body, Body::Notice { .. }) {
            // The room's own row is all it changes.
            return Vec::new();
        }
        let mut users: Vec<UserId> = subject_of(event).into_iter().cloned().collect();
        if !users.contains(&event.sender.id) {
            users.push(event.sender.id.clone());
        }
        users.retain(|user| self.member(user).is_none());
        users
    }

    /// Judges the next event, of which [`Self::wanted_by`] wants no more rows, and takes over what it changes.
    pub fn judge(&mut self, event: &Event, seq: Seq) -> Judged {
        if self.is_unsure {
            self.pass_over(event, seq);
            return Judged::PassedOver;
        }
        self.as_of = self.as_of.max(seq);
        match fold(self.rows(event), event, seq) {
            Effect::Void => return Judged::Void,
            Effect::Folded => {}
            Effect::Stands(changes) => {
                for change in changes {
                    match change {
                        Change::Room(room) => self.room = Some(room),
                        Change::Member(user, row) => self.put(user, row),
                    }
                }
            }
        }
        Judged::Stands
    }

    /// Passes over an event that can't be judged for want of rows. Whose membership it would end is taken to be out,
    /// and nobody gets in by it: until the state is read anew, an error keeps somebody out and lets nobody in. What
    /// comes after it is passed over as well, for judging that needs the very rows this one may have changed.
    pub fn pass_over(&mut self, event: &Event, seq: Seq) {
        self.is_unsure = true;
        let member = match &event.body {
            Body::Member(member) => member,
            Body::Room(fields) => {
                if let Some(room) = self.room.as_mut().filter(|_| fields.deleted == Some(true)) {
                    (room.deleted, room.changed_seq) = (true, seq);
                }
                return;
            }
            _ => return,
        };
        let known = self.member(&member.user);
        let state = match member.change {
            MemberChange::Left | MemberChange::Removed => MemberState::Gone,
            MemberChange::Banned => MemberState::Banned,
            MemberChange::Muted => match known.flatten() {
                Some(row) => row.state,
                None => return,
            },
            _ => return,
        };
        let row = known.flatten();
        let is_muted = row.is_some_and(|row| row.muted) || member.change == MemberChange::Muted;
        let role = row.filter(|_| state == MemberState::Joined);
        let after = Membership {
            state,
            role: role.map_or(Role::Member, |row| row.role),
            muted: is_muted,
            changed_seq: seq,
        };
        // Nobody knows whether somebody of no known row was in.
        if known.is_none() {
            self.part(member.user.clone(), seq);
        }
        self.put(member.user.clone(), after);
    }

    /// The last event that somebody who may not read any more gets to see: the one that ended it. Zero where nobody
    /// knows, as it is better they see nothing than what came after.
    pub fn last_seq_of(&self, user: &UserId) -> Seq {
        let is_in = self.member(user).flatten().is_some_and(|row| row.is_in());
        match self.room.as_ref().filter(|room| is_in && room.deleted) {
            Some(room) => room.changed_seq,
            None => self.parted.get(user).copied().unwrap_or(Seq::ZERO),
        }
    }

    fn put(&mut self, user: UserId, row: Membership) {
        let was_in = self.member(&user).flatten().is_some_and(|row| row.is_in());
        match row.is_in() {
            true => drop(self.parted.remove(&user)),
            false if was_in => self.part(user.clone(), row.changed_seq),
            false => {}
        }
        self.members.insert(user, Some(row));
    }

    fn part(&mut self, user: UserId, seq: Seq) {
        if self.parted.len() >= PARTED_MAX {
            self.parted.clear();
        }
        self.parted.insert(user, seq);
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

#[cfg(test)]
mod tests;
