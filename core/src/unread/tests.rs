//! Unread, mentions and read counts equal a naive recount of the log, whatever was heard in whatever order.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::event::{MemberEvent, Message};

const USERS: usize = 4;

fn user(index: usize) -> UserId {
    UserId::parse(&format!("user-{index}")).unwrap()
}

/// What somebody does. Where it is not theirs to do at that moment, nothing happens.
#[derive(Clone, Debug)]
enum Act {
    Send { named: Option<usize> },
    Edit,
    Delete,
    React,
    Profile,
    Invite,
    Join,
    Leave,
    Read { back: u64 },
    Focus,
    Unfocus,
}

fn acts() -> impl Strategy<Value = Vec<(usize, Act)>> {
    let act = prop_oneof![
        6 => prop::option::of(0..USERS).prop_map(|named| Act::Send { named }),
        1 => Just(Act::Edit),
        1 => Just(Act::Delete),
        1 => Just(Act::React),
        1 => Just(Act::Profile),
        1 => Just(Act::Invite),
        2 => Just(Act::Join),
        1 => Just(Act::Leave),
        4 => (0_u64..6).prop_map(|back| Act::Read { back }),
        1 => Just(Act::Focus),
        1 => Just(Act::Unfocus),
    ];
    prop::collection::vec((0..USERS, act), 1..80)
}

/// Everything a device can hear.
#[derive(Clone, Copy, Debug)]
enum Heard {
    Head(ReadPosition),
    Position(usize, ReadPosition),
    Mention(usize, Seq),
}

/// A room as a novel: every event, and every mark anyone made.
#[derive(Default)]
struct Room {
    log: Vec<Event>,
    /// By user: a member since this event, if at all.
    member_since: [Option<u64>; USERS],
    focused: [bool; USERS],
    /// By user: every event they read, one by one.
    read: [BTreeSet<u64>; USERS],
    heard: Vec<Heard>,
    readers: Readers,
}

impl Room {
    fn head(&self) -> ReadPosition {
        let count = self.log.iter().filter(|event| event.body.kind().counts());
        ReadPosition::at(Seq(self.log.len() as u64), Count(count.count() as u64))
    }

    fn count_at(&self, seq: u64) -> Count {
        let events = self.log.iter().take(usize::try_from(seq).unwrap());
        Count(events.filter(|event| event.body.kind().counts()).count() as u64)
    }

    fn is_member(&self, who: usize) -> bool {
        self.member_since[who].is_some()
    }

    /// Everything up to an event is read by somebody, one event after the other; the product hears one mark.
    fn reads(&mut self, who: usize, seq: u64) {
        if self.is_member(who) {
            self.read[who].extend(1..=seq);
            let position = ReadPosition::at(Seq(seq), self.count_at(seq));
            self.heard.push(Heard::Position(who, position));
            self.readers.note(&user(who), position);
        }
    }

    fn happens(&mut self, who: usize, body: Body) {
        let event = Event::by(user(who), "room", body);
        self.log.push(event.clone());
        let at = self.head();
        self.heard.push(Heard::Head(at));
        for named in named_by(&event) {
            let named = (0..USERS).find(|index| user(*index) == *named).unwrap();
            self.heard.push(Heard::Mention(named, at.seq));
        }
        for reader in readers_by(&event) {
            let reader = (0..USERS).find(|index| user(*index) == *reader).unwrap();
            self.reads(reader, at.seq.0);
        }
        for reader in 0..USERS {
            if self.focused[reader] {
                self.reads(reader, at.seq.0);
            }
        }
    }

    fn member(&mut self, who: usize, change: MemberChange) {
        let member = MemberEvent {
            user: user(who),
            change,
        };
        self.happens(who, Body::Member(member));
    }

    fn act(&mut self, who: usize, act: &Act) {
        let target = Seq(1);
        match act {
            Act::Join if !self.is_member(who) => {
                self.member_since[who] = Some(self.log.len() as u64 + 1);
                self.readers.add(user(who), ReadPosition::default());
                self.member(who, MemberChange::Joined);
            }
            Act::Leave if self.is_member(who) => {
                self.member(who, MemberChange::Left);
                self.member_since[who] = None;
                self.focused[who] = false;
                self.readers.remove(&user(who));
            }
            _ if !self.is_member(who) => {}
            Act::Send { named } => {
                let message = Message {
                    mentions: named.iter().map(|index| user(*index)).collect(),
                    ..Message::default()
                };
                self.happens(who, Body::Message(message));
            }
            Act::Edit => self.happens(
                who,
                Body::Edit {
                    target,
                    text: String::new(),
                },
            ),
            Act::Delete => self.happens(who, Body::Delete { target }),
            Act::React => self.happens(
                who,
                Body::Reaction {
                    target,
                    emoji: "+".to_owned(),
                    on: true,
                },
            ),
            Act::Profile => self.member(who, MemberChange::Profile),
            Act::Invite => self.member((who + 1) % USERS, MemberChange::Invited),
            Act::Read { back } => self.reads(who, (self.log.len() as u64).saturating_sub(*back)),
            Act::Focus => {
                self.focused[who] = true;
                self.reads(who, self.log.len() as u64);
            }
            Act::Unfocus => self.focused[who] = false,
            Act::Join | Act::Leave => {}
        }
    }

    /// Messages after everything a user ever read, counted one by one.
    fn naive_unread(&self, who: usize) -> (u64, u64) {
        let last = self.read[who].last().copied().unwrap_or(0);
        let after = self.log.iter().zip(1_u64..).filter(|(_, seq)| *seq > last);
        let messages = after.filter(|(event, _)| event.body.kind().counts());
        let (mut unread, mut mentions) = (0, 0);
        for (event, _) in messages {
            unread += 1;
            mentions += u64::from(named_by(event).any(|named| *named == user(who)));
        }
        (unread, mentions)
    }
}

fn badge_of(who: usize, heard: impl IntoIterator<Item = Heard>) -> Badge {
    let mut badge = Badge::default();
    for heard in heard {
        match heard {
            Heard::Head(head) => badge.note_head(head),
            Heard::Position(whose, position) if whose == who => badge.note_position(position),
            Heard::Mention(whose, seq) if whose == who => badge.note_mention(seq),
            Heard::Position(..) | Heard::Mention(..) => false,
        };
    }
    badge
}

proptest! {
    /// Any device that heard everything, in any order and some of it twice, shows what a recount says.
    #[test]
    fn every_device_shows_the_naive_recount(
        acts in acts(),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..200),
    ) {
        let mut room = Room::default();
        for (who, act) in &acts {
            room.act(*who, act);
        }
        let mut heard = room.heard.clone();
        for (at, other) in order.iter().enumerate() {
            if heard.is_empty() {
                break;
            }
            // Some are heard again, all are heard in another order.
            heard.push(heard[other.index(heard.len())]);
            let (a, b) = (at % heard.len(), other.index(heard.len()));
            heard.swap(a, b);
        }
        for who in 0..USERS {
            let badge = badge_of(who, heard.iter().copied());
            prop_assert_eq!((badge.unread(), badge.mentions()), room.naive_unread(who));
            prop_assert!(badge.mentions() <= badge.unread());
        }
    }

    /// After every single step the numbers move only by what may move them.
    #[test]
    fn only_messages_and_reading_move_unread(acts in acts()) {
        let mut room = Room::default();
        let mut badges: Vec<Badge> = vec![Badge::default(); USERS];
        for (who, act) in &acts {
            let (before, told) = (badges.clone(), room.heard.len());
            let members = room.member_since;
            room.act(*who, act);
            for (index, badge) in badges.iter_mut().enumerate() {
                let mut now = badge.clone();
                for heard in &room.heard[told..] {
                    match *heard {
                        Heard::Head(head) => now.note_head(head),
                        Heard::Position(whose, at) if whose == index => now.note_position(at),
                        Heard::Mention(whose, seq) if whose == index => now.note_mention(seq),
                        Heard::Position(..) | Heard::Mention(..) => false,
                    };
                }
                *badge = now;
            }
            for index in (0..USERS).filter(|index| members[*index].is_some()) {
                let (was, is) = (before[index].unread(), badges[index].unread());
                match act {
                    Act::Send { .. } if index == *who || room.focused[index] => prop_assert_eq!(is, 0),
                    Act::Send { .. } => prop_assert!(is == was || is == was + 1),
                    Act::Read { .. } | Act::Focus if index == *who => prop_assert!(is <= was),
                    _ => prop_assert_eq!(is, was),
                }
            }
            if matches!(act, Act::Join) && members[*who].is_none() {
                prop_assert_eq!(badges[*who].unread(), 0, "a join starts at the head");
            }
        }
    }

    /// Members at or past a message, counted one by one.
    #[test]
    fn read_counts_equal_the_naive_count(acts in acts()) {
        let mut room = Room::default();
        for (who, act) in &acts {
            room.act(*who, act);
        }
        for seq in 1..=room.log.len() as u64 {
            let naive = (0..USERS).filter(|who| room.is_member(*who) && room.read[*who].contains(&seq));
            prop_assert_eq!(room.readers.read_count(Seq(seq)), naive.count() as u64);
        }
    }

    /// Coalescing before telling changes nothing.
    #[test]
    fn coalesced_marks_come_to_the_same(
        marks in prop::collection::vec((0..USERS, 0_u64..50), 0..60),
        at_most in 1_usize..4,
    ) {
        let mut all: [Badge; USERS] = Default::default();
        let mut few = all.clone();
        let mut waiting = Positions::default();
        for (who, seq) in marks {
            let position = ReadPosition::at(Seq(seq), Count(seq / 2));
            all[who].note_position(position);
            waiting.note(who, position);
            if seq % 5 == 0 {
                for (who, position) in waiting.take(at_most) {
                    few[who].note_position(position);
                }
            }
        }
        for (who, position) in waiting {
            few[who].note_position(position);
        }
        prop_assert_eq!(all, few);
    }
}

#[test]
fn a_position_ahead_of_the_head_is_not_negative() {
    let mut badge = Badge::default();
    badge.note_head(ReadPosition::at(Seq(3), Count(2)));
    badge.note_position(ReadPosition::at(Seq(9), Count(7)));
    assert_eq!(badge.unread(), 0);
    badge.note_head(ReadPosition::at(Seq(10), Count(8)));
    assert_eq!(badge.unread(), 1);
}

#[test]
fn nobody_names_themselves() {
    let message = Message {
        mentions: vec![user(0), user(1)],
        ..Message::default()
    };
    let event = Event::by(user(0), "room", Body::Message(message));
    assert_eq!(named_by(&event).collect::<Vec<_>>(), [&user(1)]);
}

#[test]
fn mentions_are_bounded_and_exact_again_once_they_are_few() {
    let mut badge = Badge::default();
    let last = MENTIONS_MAX as u64 + 7;
    for seq in 1..=last {
        badge.note_mention(Seq(seq));
    }
    assert_eq!(badge.mentions(), MENTIONS_MAX as u64);
    badge.note_position(ReadPosition::at(Seq(last - 3), Count(last - 3)));
    assert_eq!(badge.mentions(), 3);
}
