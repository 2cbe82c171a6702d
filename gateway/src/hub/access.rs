//! May a caller do what they ask for: the room's standing put to [`permission`]'s table.

use roomlog_core::{
    code::{Code, Refusal},
    event::Event,
    ids::{RoomKey, Seq, UserId},
    permission::{self, Action, Scene, action_of},
    room_state::Membership,
    standing::Standing,
};

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) user: UserId,
    /// Whether they have the global role that may do everything.
    pub(crate) is_admin: bool,
}

/// What somebody wants of a room.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    /// Do something in it.
    May(Action),
    /// Make it.
    Create,
    /// Change it, or somebody's membership.
    Change(Box<Event>),
    /// Leave a letter in somebody's inbox.
    Leave,
    /// Bring the two people of a direct room together; the room's id says who they are.
    Meet(Box<Event>),
}

// === impl Purpose ===

impl Purpose {
    pub(crate) const FIND: Self = Self::May(Action::Find);
    pub(crate) const READ: Self = Self::May(Action::Read);
    pub(crate) const NOTICE: Self = Self::May(Action::Notice);
    pub(crate) const POST: Self = Self::May(Action::Post);

    /// Whether it is to say something, which slow mode spaces out.
    pub(super) fn is_post(&self) -> bool {
        matches!(self, Self::May(Action::Post))
    }
}

/// Decides on an inbox: its owner reads it, and the server alone writes to it.
fn decide_on_inbox(key: &RoomKey, caller: &Caller, purpose: &Purpose) -> Result<(), Refusal> {
    let is_own = *key == RoomKey::inbox(&caller.user);
    match purpose {
        Purpose::Leave => Ok(()),
        Purpose::May(Action::Find | Action::Read) if is_own => Ok(()),
        _ => Err(permission::refusal(Code::NotFound)),
    }
}

/// Decides; `next` is the seq the request would get at the earliest.
pub(crate) fn decide(
    key: &RoomKey,
    standing: &Standing,
    caller: &Caller,
    purpose: &Purpose,
    next: Seq,
) -> Result<(), Refusal> {
    if key.is_inbox() {
        return decide_on_inbox(key, caller, purpose);
    }
    match purpose {
        Purpose::May(action) => may(standing, caller, *action),
        Purpose::Create if standing.room().is_none() && next == Seq(1) => Ok(()),
        Purpose::Create => Err(Refusal::new(Code::Conflict, "this room id is taken")),
        // An event was passed over: whether this one would stand is known when the state was read anew.
        Purpose::Change(_) | Purpose::Meet(_) if standing.is_unsure() => Err(Refusal::retry_after(
            Code::StoreUnavailable,
            "the store did not answer",
            1_000,
        )),
        Purpose::Change(event) => {
            let subject = standing.subject(event);
            let action = action_of(event, subject.as_ref()).unwrap_or(Action::Read);
            may(standing, caller, action)?;
            stands(standing, event, next)
        }
        Purpose::Meet(event) => stands(standing, event, next),
        Purpose::Leave => Err(permission::refusal(Code::NotFound)),
    }
}

fn stands(standing: &Standing, event: &Event, next: Seq) -> Result<(), Refusal> {
    let allowed = standing.allows(event, next);
    allowed
        .then_some(())
        .ok_or_else(|| Refusal::new(Code::Conflict, "the room's state does not allow this"))
}

fn may(standing: &Standing, caller: &Caller, action: Action) -> Result<(), Refusal> {
    let member: Option<Membership> = standing.member(&caller.user).flatten();
    let scene = Scene {
        room: standing.room(),
        member: member.as_ref(),
        is_admin: caller.is_admin,
    };
    permission::may(action, scene).map_err(permission::refusal)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use roomlog_core::{
        event::{Body, MemberChange, MemberEvent, Role, RoomKind, Sender},
        ids::MessageId,
        room_state::{MemberState, RoomMeta},
    };

    use super::*;

    fn room() -> RoomMeta {
        RoomMeta {
            kind: RoomKind::Group,
            name: "r".to_owned(),
            public: true,
            slow_mode_s: 0,
            read_only: false,
            deleted: false,
            pinned: Vec::new(),
            created_by: user("owner"),
            members: 2,
            owners: 1,
            changed_seq: Seq(1),
        }
    }

    fn user(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }

    fn standing(role: Role) -> Standing {
        let mut standing = Standing::new(Some(room()), Seq(5));
        let row = Membership {
            state: MemberState::Joined,
            role,
            muted: false,
            changed_seq: Seq(2),
        };
        standing.learn(user("alice"), Some(row)).unwrap();
        standing.learn(user("bob"), None).unwrap();
        standing
    }

    fn outcome(standing: &Standing, purpose: &Purpose, next: u64) -> Option<Code> {
        let caller = Caller {
            user: user("alice"),
            is_admin: false,
        };
        let key = RoomKey::parse("r").unwrap();
        let decided = decide(&key, standing, &caller, purpose, Seq(next));
        decided.err().map(|refusal| refusal.code)
    }

    fn bob(change: MemberChange) -> Purpose {
        Purpose::Change(Box::new(Event {
            key: RoomKey::parse("r").unwrap(),
            id: MessageId::parse("m").unwrap(),
            sender: Sender {
                id: user("alice"),
                name: "Alice".to_owned(),
                avatar: None,
            },
            body: Body::Member(MemberEvent {
                user: user("bob"),
                change,
            }),
            headers: Vec::new(),
            by_admin: false,
        }))
    }

    #[test]
    fn an_admin_changes_a_room_by_events_that_say_so() {
        let mut standing = standing(Role::Owner);
        standing.learn(user("warden"), None).unwrap();
        let admin = Caller {
            user: user("warden"),
            is_admin: true,
        };
        let outcome = |by_admin| {
            let Purpose::Change(mut event) = bob(MemberChange::Banned) else {
                panic!("a change");
            };
            event.sender.id = admin.user.clone();
            event.by_admin = by_admin;
            let key = event.key.clone();
            let decided = decide(&key, &standing, &admin, &Purpose::Change(event), Seq(6));
            decided.err().map(|refusal| refusal.code)
        };
        assert_eq!(outcome(true), None);
        let unmarked = outcome(false);
        assert_eq!(
            unmarked,
            Some(Code::Conflict),
            "the fold would show it void"
        );
    }

    #[test]
    fn an_inbox_is_read_by_its_owner_and_written_by_the_server_alone() {
        let (own, other) = (RoomKey::inbox(&user("alice")), RoomKey::inbox(&user("bob")));
        let empty = Standing::default();
        let outcome = |key, is_admin, purpose: &Purpose| {
            let caller = Caller {
                user: user("alice"),
                is_admin,
            };
            let decided = decide(key, &empty, &caller, purpose, Seq(1));
            decided.err().map(|refusal| refusal.code)
        };
        assert_eq!(outcome(&own, false, &Purpose::READ), None);
        assert_eq!(outcome(&other, true, &Purpose::Leave), None);
        for is_admin in [false, true] {
            assert_eq!(
                outcome(&other, is_admin, &Purpose::READ),
                Some(Code::NotFound)
            );
            for purpose in [&Purpose::POST, &Purpose::NOTICE, &Purpose::Create] {
                assert_eq!(outcome(&own, is_admin, purpose), Some(Code::NotFound));
            }
        }
        let room = RoomKey::parse("r").unwrap();
        let left = decide(
            &room,
            &standing(Role::Owner),
            &Caller {
                user: user("alice"),
                is_admin: true,
            },
            &Purpose::Leave,
            Seq(6),
        );
        assert!(left.is_err(), "a room is no inbox");
    }

    #[test]
    fn a_room_id_is_taken_once() {
        let taken = outcome(&standing(Role::Member), &Purpose::Create, 6);
        assert_eq!(taken, Some(Code::Conflict));
        let free = Standing::new(None, Seq::ZERO);
        assert_eq!(outcome(&free, &Purpose::Create, 1), None);
        let used = outcome(&free, &Purpose::Create, 2);
        assert_eq!(
            used,
            Some(Code::Conflict),
            "only its first event makes a room"
        );
    }

    #[test]
    fn the_table_comes_before_the_state() {
        let (member, owner) = (standing(Role::Member), standing(Role::Owner));
        let banned = bob(MemberChange::Banned);
        assert_eq!(outcome(&member, &banned, 6), Some(Code::Forbidden));
        assert_eq!(outcome(&owner, &banned, 6), None);
        let removed = bob(MemberChange::Removed);
        assert_eq!(outcome(&member, &removed, 6), Some(Code::Forbidden));
        assert_eq!(
            outcome(&owner, &removed, 6),
            Some(Code::Conflict),
            "they are not in"
        );
    }
}
