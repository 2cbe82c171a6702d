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

/// A room's state, kept exact by folding every event that is shown.
#[derive(Debug, Default)]
pub struct Standing {
    /// The room's own row; `None` while it does not exist.
    room: Option<RoomMeta>,
    /// The users looked up so far; `None` for those without a row.
    members: HashMap<UserId, Option<Membership>>,
    /// Rows as of this seq can be read again at any time: the store is at least here.
    stored: Seq,
    /// The last event that could have changed a row and is in these rows.
    as_of: Seq,
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
            stored,
            as_of: stored,
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
    ///
    /// # Errors
    /// When the row is newer than the room's state. Nothing was taken.
    pub fn learn(&mut self, user: UserId, row: Option<Membership>) -> Result<(), Ahead> {
        if self.members.contains_key(&user) {
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
        self.as_of = self.as_of.max(seq);
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

    /// Passes over an event that could not be judged for want of rows. Whose membership it would end is taken to be
    /// out, and nobody gets in by it: until the room is opened anew, an error keeps somebody out and lets nobody in.
    pub fn pass_over(&mut self, event: &Event, seq: Seq) {
        let Body::Member(member) = &event.body else {
            return;
        };
        let state = match member.change {
            MemberChange::Left | MemberChange::Removed => MemberState::Gone,
            MemberChange::Banned => MemberState::Banned,
            _ => return,
        };
        let muted = self
            .member(&member.user)
            .flatten()
            .is_some_and(|row| row.muted);
        let row = Membership {
            state,
            role: Role::Member,
            muted,
            changed_seq: seq,
        };
        self.members.insert(member.user.clone(), Some(row));
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
mod tests {
    use super::*;
    use crate::{
        event::{MemberEvent, RoomEvent, RoomKind, Sender},
        ids::{MessageId, RoomKey},
    };

    fn user(name: &str) -> UserId {
        UserId::parse(name).expect("alphabet")
    }

    fn event(sender: &str, body: Body) -> Event {
        Event {
            key: RoomKey::parse("r").expect("alphabet"),
            id: MessageId::parse("1").expect("visible"),
            sender: Sender {
                id: user(sender),
                name: sender.to_owned(),
                avatar: None,
            },
            body,
            headers: vec![],
        }
    }

    fn row(state: MemberState, seq: u64) -> Membership {
        Membership {
            state,
            role: Role::Member,
            muted: false,
            changed_seq: Seq(seq),
        }
    }

    #[test]
    fn a_row_that_is_ahead_of_the_room_is_not_taken() {
        // The room's row was read before the room was made, the creator's after it.
        let mut standing = Standing::new(None, Seq::ZERO);
        let ahead = Ahead {
            changed: Seq(1),
            as_of: Seq::ZERO,
        };
        let creator = Some(row(MemberState::Joined, 1));
        assert_eq!(standing.learn(user("ann"), creator), Err(ahead));
        assert_eq!(standing.member(&user("ann")), None);
        assert_eq!(standing.learn(user("ann"), None), Ok(()));
        let fields = RoomEvent {
            kind: Some(RoomKind::Group),
            ..RoomEvent::default()
        };
        assert!(standing.apply(&event("ann", Body::Room(fields)), Seq(1)));
        assert!(standing.room().is_some());
        assert_eq!(
            standing.learn(user("bob"), Some(row(MemberState::Gone, 1))),
            Ok(())
        );
        assert!(
            standing
                .learn(user("cy"), Some(row(MemberState::Gone, 2)))
                .is_err()
        );
    }

    #[test]
    fn an_event_nobody_could_judge_keeps_out_and_lets_nobody_in() {
        let mut standing = Standing::new(None, Seq(5));
        let change =
            |user: UserId, change| event("ann", Body::Member(MemberEvent { user, change }));
        for (name, state) in [("bob", MemberState::Joined), ("cy", MemberState::Gone)] {
            let learned = standing.learn(user(name), Some(row(state, 3)));
            assert_eq!(learned, Ok(()));
        }
        standing.pass_over(&change(user("bob"), MemberChange::Banned), Seq(6));
        standing.pass_over(&change(user("cy"), MemberChange::Joined), Seq(7));
        let state = |name| standing.member(&user(name)).flatten().map(|row| row.state);
        assert_eq!(state("bob"), Some(MemberState::Banned));
        assert_eq!(state("cy"), Some(MemberState::Gone));
    }
}
