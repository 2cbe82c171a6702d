//! The whole table, written out a second time as a reader would check it, and compared cell by cell.

use super::*;
use crate::ids::{Seq, UserId};

/// Everybody who can ask, in the columns' order. `muted` is a plain member's.
const WHO: [&str; 8] = [
    "stranger",
    "invited",
    "banned",
    "muted",
    "member",
    "moderator",
    "owner",
    "admin",
];

const ACTIONS: [(&str, Action); 23] = [
    ("find", Action::Find),
    ("read", Action::Read),
    ("join", Action::Join),
    ("leave", Action::Leave),
    ("react", Action::React),
    ("post", Action::Post),
    ("edit own", Action::EditOwn),
    ("delete own", Action::DeleteOwn),
    ("edit others", Action::EditOthers),
    ("delete others", Action::DeleteOthers),
    ("notice", Action::Notice),
    ("pin", Action::Pin),
    ("invite", Action::Invite),
    ("remove", Action::Remove(Over::Others)),
    ("mute", Action::Mute(Over::Others)),
    ("ban", Action::Ban(Over::Others)),
    ("remove owner", Action::Remove(Over::Owner)),
    ("mute owner", Action::Mute(Over::Owner)),
    ("ban owner", Action::Ban(Over::Owner)),
    ("give role", Action::GiveRole),
    ("slow mode", Action::SlowMode),
    ("settings", Action::Settings),
    ("delete room", Action::DeleteRoom),
];

/// `+` yes, `-` `not-a-member`, `b` `banned`, `m` `muted`, `r` `read-only`, `x` `forbidden`.
///
/// Columns as in [`WHO`]. A private room is the same but for strangers, to whom it is `not-found`; see
/// [`expected`]. A row without a kind holds in all kinds that have no row of their own; `read-only` stands for any
/// kind of room in that state.
const TABLE: &str = "
find                    ++b+++++
read                    --b+++++
join                    ++b+++++
leave                   -+b+++++
leave         direct    --bxxxx+
react                   --b+++++
post                    --bm++++
post          channel   --bmr+++
post          announcement --bmr+++
edit own                --bm++++
edit own      channel   --bmr+++
edit own      announcement --bmr+++
delete own              --bm++++
delete own    channel   --bmr+++
delete own    announcement --bmr+++
edit others             --bxxxxx
delete others           --bxx+++
delete others direct    --bxxxx+
notice                  --bmx+++
notice        direct    --bxxxx+
pin                     --bxx+++
pin           direct    --bxxxx+
invite                  --bxx+++
invite        group     --b+++++
invite        direct    --bxxxx+
remove                  --bxx+++
remove        direct    --bxxxx+
mute                    --bxx+++
mute          direct    --bxxxx+
ban                     --bxx+++
ban           direct    --bxxxx+
remove owner            --bxxx++
remove owner  direct    --bxxxx+
mute owner              --bxxx++
mute owner    direct    --bxxxx+
ban owner               --bxxx++
ban owner     direct    --bxxxx+
give role               --bxxx++
give role     direct    --bxxxx+
slow mode               --bxx+++
slow mode     direct    --bxxxx+
settings                --bxxx++
settings      direct    --bxxxx+
delete room             --bxxx++
delete room   direct    --bxxxx+
";

fn room(kind: RoomKind, public: bool, read_only: bool) -> RoomMeta {
    RoomMeta {
        kind,
        name: "r".to_owned(),
        public,
        slow_mode_s: 0,
        read_only,
        deleted: false,
        pinned: Vec::new(),
        created_by: UserId::parse("owner").expect("alphabet"),
        members: 1,
        owners: 1,
        changed_seq: Seq(1),
    }
}

fn row(who: &str) -> Option<Membership> {
    let (state, role) = match who {
        "stranger" | "admin" => return None,
        "invited" => (MemberState::Invited, Role::Member),
        "banned" => (MemberState::Banned, Role::Member),
        "moderator" => (MemberState::Joined, Role::Moderator),
        "owner" => (MemberState::Joined, Role::Owner),
        _ => (MemberState::Joined, Role::Member),
    };
    Some(Membership {
        state,
        role,
        muted: who == "muted",
        changed_seq: Seq(2),
    })
}

fn outcome(action: Action, room: &RoomMeta, who: &str) -> Option<Code> {
    let member = row(who);
    let scene = Scene {
        room: Some(room),
        member: member.as_ref(),
        is_admin: who == "admin",
    };
    may(action, scene).err()
}

/// The table's word for a cell.
fn expected(action: &str, room: &RoomMeta, column: usize) -> Option<Code> {
    if WHO[column] == "stranger" && !room.public {
        return Some(Code::NotFound);
    }
    let rows = || TABLE.lines().filter(|line| !line.is_empty());
    let of = |kind: &str| {
        let named = format!("{action} {kind}");
        rows().find(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words[..words.len() - 1].join(" ") == named.trim()
        })
    };
    let line = of(room.kind.as_str()).or_else(|| of("")).expect("a row");
    let cells = line.split_whitespace().next_back().expect("cells");
    let speaks = matches!(action, "post" | "edit own" | "delete own");
    match cells.chars().nth(column).expect("a cell") {
        '+' if room.read_only && speaks && WHO[column] == "member" => Some(Code::ReadOnly),
        '+' => None,
        '-' => Some(Code::NotAMember),
        'b' => Some(Code::Banned),
        'm' => Some(Code::Muted),
        'r' => Some(Code::ReadOnly),
        'x' => Some(Code::Forbidden),
        other => panic!("{other} in {line}"),
    }
}

#[test]
fn every_cell_is_as_the_table_says() {
    let kinds = [
        RoomKind::Group,
        RoomKind::Direct,
        RoomKind::Channel,
        RoomKind::Announcement,
    ];
    let mut cells = 0;
    for (name, action) in ACTIONS {
        for kind in kinds {
            for (public, read_only) in [(true, false), (true, true), (false, false), (false, true)]
            {
                let room = room(kind, public, read_only);
                for (column, who) in WHO.into_iter().enumerate() {
                    assert_eq!(
                        outcome(action, &room, who),
                        expected(name, &room, column),
                        "{who}: {name} in {room:?}"
                    );
                    cells += 1;
                }
            }
        }
    }
    assert_eq!(cells, 23 * 4 * 4 * 8);
}

#[test]
fn a_room_that_is_not_there_or_was_deleted_is_found_by_nobody() {
    let deleted = RoomMeta {
        deleted: true,
        ..room(RoomKind::Group, true, false)
    };
    for (_, action) in ACTIONS {
        for who in WHO {
            assert_eq!(outcome(action, &deleted, who), Some(Code::NotFound));
            let nowhere = Scene {
                room: None,
                member: None,
                is_admin: who == "admin",
            };
            assert_eq!(may(action, nowhere), Err(Code::NotFound));
        }
    }
}

#[test]
fn who_left_is_a_stranger_again() {
    for (_, action) in ACTIONS {
        for public in [true, false] {
            let room = room(RoomKind::Group, public, false);
            let gone = Membership {
                state: MemberState::Gone,
                ..row("member").expect("a row")
            };
            let scene = Scene {
                room: Some(&room),
                member: Some(&gone),
                is_admin: false,
            };
            assert_eq!(may(action, scene).err(), outcome(action, &room, "stranger"));
        }
    }
}

#[test]
fn a_moderator_can_be_muted_and_an_owner_not() {
    let room = room(RoomKind::Channel, true, true);
    let muted = |who: &str| Membership {
        muted: true,
        ..row(who).expect("a row")
    };
    for (who, code) in [("moderator", Some(Code::Muted)), ("owner", None)] {
        let member = muted(who);
        let scene = Scene {
            room: Some(&room),
            member: Some(&member),
            is_admin: false,
        };
        assert_eq!(may(Action::Post, scene).err(), code, "{who}");
        assert_eq!(may(Action::Notice, scene).err(), code, "{who}");
    }
}

#[test]
fn every_code_has_its_own_words() {
    let codes = [
        Code::NotFound,
        Code::NotAMember,
        Code::Banned,
        Code::Muted,
        Code::ReadOnly,
        Code::Forbidden,
    ];
    let words: std::collections::BTreeSet<String> = codes.map(|code| refusal(code).message).into();
    assert_eq!(words.len(), codes.len());
}
