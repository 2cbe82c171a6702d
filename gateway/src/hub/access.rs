//! Who may do what in a room: one decision for STOMP and REST.

use roomlog_core::{
    code::{Code, Refusal},
    event::{Event, Role, RoomKind},
    ids::{Seq, UserId},
    room_state::{MemberState, Membership, RoomMeta},
    standing::Standing,
};

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) user: UserId,
    /// Whether they have the global role that may do everything.
    pub(crate) is_admin: bool,
}

/// What somebody wants to do in a room.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    /// See that it exists, and its settings.
    Find,
    /// See its events.
    Read,
    /// Say something.
    Post,
    /// Make it.
    Create,
    /// Change somebody's membership.
    Change(Box<Event>),
}

/// Decides; `next` is the seq the request would get at the earliest.
pub(crate) fn decide(
    standing: &Standing,
    caller: &Caller,
    purpose: &Purpose,
    next: Seq,
) -> Result<(), Refusal> {
    let room = standing.room().filter(|room| !room.deleted);
    if let Purpose::Create = purpose {
        return match standing.room() {
            None if next == Seq(1) => Ok(()),
            _ => Err(Refusal::new(Code::Conflict, "this room id is taken")),
        };
    }
    let room = room.ok_or_else(not_found)?;
    let row = standing.member(&caller.user).flatten();
    match purpose {
        Purpose::Create => Ok(()),
        Purpose::Find => find(room, row, caller),
        Purpose::Read => member(room, row, caller).map(|_| ()),
        Purpose::Post => post(room, row, caller),
        Purpose::Change(event) => {
            find(room, row, caller)?;
            if standing.allows(event, next) {
                Ok(())
            } else {
                Err(Refusal::new(
                    Code::Conflict,
                    "the room's state does not allow this",
                ))
            }
        }
    }
}

fn not_found() -> Refusal {
    Refusal::new(Code::NotFound, "there is no such room, or it is private")
}

fn find(room: &RoomMeta, row: Option<Membership>, caller: &Caller) -> Result<(), Refusal> {
    match row.map(|row| row.state) {
        Some(MemberState::Joined | MemberState::Invited) => Ok(()),
        Some(MemberState::Banned) => {
            Err(Refusal::new(Code::Banned, "you are banned from this room"))
        }
        Some(MemberState::Gone) | None if room.public || caller.is_admin => Ok(()),
        Some(MemberState::Gone) | None => Err(not_found()),
    }
}

/// The row of a member; admins need none.
fn member(
    room: &RoomMeta,
    row: Option<Membership>,
    caller: &Caller,
) -> Result<Option<Membership>, Refusal> {
    if caller.is_admin {
        return Ok(row);
    }
    find(room, row, caller)?;
    match row {
        Some(row) if row.is_in() => Ok(Some(row)),
        _ => Err(Refusal::new(
            Code::NotAMember,
            "you are not a member of this room",
        )),
    }
}

fn post(room: &RoomMeta, row: Option<Membership>, caller: &Caller) -> Result<(), Refusal> {
    let row = member(room, row, caller)?;
    if caller.is_admin {
        return Ok(());
    }
    let role = row.map_or(Role::Member, |row| row.role);
    if row.is_some_and(|row| row.muted) {
        return Err(Refusal::new(Code::Muted, "you are muted in this room"));
    }
    let few_post = matches!(room.kind, RoomKind::Channel | RoomKind::Announcement);
    if (few_post || room.read_only) && role < Role::Moderator {
        return Err(Refusal::new(
            Code::ReadOnly,
            "only moderators and owners post in this room",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn room(public: bool) -> RoomMeta {
        RoomMeta {
            kind: RoomKind::Group,
            name: "r".to_owned(),
            public,
            slow_mode_s: 0,
            read_only: false,
            deleted: false,
            created_by: UserId::parse("owner").unwrap(),
            members: 1,
            owners: 1,
            changed_seq: Seq(1),
        }
    }

    fn row(state: MemberState) -> Membership {
        Membership {
            state,
            role: Role::Member,
            muted: false,
            changed_seq: Seq(2),
        }
    }

    fn outcome(room: Option<RoomMeta>, row: Option<Membership>, purpose: &Purpose) -> Option<Code> {
        let caller = Caller {
            user: UserId::parse("alice").unwrap(),
            is_admin: false,
        };
        let mut standing = Standing::new(room, Seq(5));
        standing.learn(caller.user.clone(), row);
        decide(&standing, &caller, purpose, Seq(6))
            .err()
            .map(|refusal| refusal.code)
    }

    #[test]
    fn a_stranger_learns_nothing_of_a_private_room() {
        for purpose in [Purpose::Find, Purpose::Read, Purpose::Post] {
            assert_eq!(outcome(None, None, &purpose), Some(Code::NotFound));
            assert_eq!(
                outcome(Some(room(false)), None, &purpose),
                Some(Code::NotFound)
            );
            let gone = Some(row(MemberState::Gone));
            assert_eq!(
                outcome(Some(room(false)), gone, &purpose),
                Some(Code::NotFound)
            );
        }
    }

    #[test]
    fn a_public_room_is_found_by_all_and_used_by_members() {
        assert_eq!(outcome(Some(room(true)), None, &Purpose::Find), None);
        for purpose in [Purpose::Read, Purpose::Post] {
            assert_eq!(
                outcome(Some(room(true)), None, &purpose),
                Some(Code::NotAMember)
            );
            let member = Some(row(MemberState::Joined));
            assert_eq!(outcome(Some(room(true)), member, &purpose), None);
        }
    }

    #[test]
    fn a_banned_user_may_nothing() {
        for purpose in [Purpose::Find, Purpose::Read, Purpose::Post] {
            for public in [true, false] {
                let banned = Some(row(MemberState::Banned));
                assert_eq!(
                    outcome(Some(room(public)), banned, &purpose),
                    Some(Code::Banned)
                );
            }
        }
    }

    #[test]
    fn the_muted_read_and_do_not_post() {
        let muted = Some(Membership {
            muted: true,
            ..row(MemberState::Joined)
        });
        assert_eq!(outcome(Some(room(true)), muted, &Purpose::Read), None);
        assert_eq!(
            outcome(Some(room(true)), muted, &Purpose::Post),
            Some(Code::Muted)
        );
    }

    #[test]
    fn few_post_where_only_few_may() {
        let member = Some(row(MemberState::Joined));
        let moderator = Some(Membership {
            role: Role::Moderator,
            ..row(MemberState::Joined)
        });
        let channel = || RoomMeta {
            kind: RoomKind::Channel,
            ..room(true)
        };
        let quiet = || RoomMeta {
            read_only: true,
            ..room(true)
        };
        for room in [channel(), quiet()] {
            assert_eq!(
                outcome(Some(room.clone()), member, &Purpose::Post),
                Some(Code::ReadOnly)
            );
            assert_eq!(outcome(Some(room), moderator, &Purpose::Post), None);
        }
    }

    #[test]
    fn a_room_id_is_taken_once() {
        assert_eq!(
            outcome(Some(room(true)), None, &Purpose::Create),
            Some(Code::Conflict)
        );
    }
}
