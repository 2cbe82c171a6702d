//! What rows follow from events that are stored, and in which order they may move.

use std::collections::{BTreeMap, BTreeSet};

use crate::mail::Mail;
use roomlog_core::{
    amendment::{Amendment, Change as Amends},
    ids::{RoomKey, Seq, UserId},
    room_log::Head,
    room_state::{Change, Membership},
    unread::{Positions, ReadPosition},
};
use roomlog_platform::dynamo::{
    MEMBERS_PER_MOVE_MAX, MembershipMove, Mention, PartitionRow, ReadMark, RoomMove, ShownFile,
};

/// Text of an edit that counts as one more step.
const STEP_TEXT_BYTES: usize = 512;

/// What an event changes beside its own row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// The room or inbox.
    pub(crate) key: RoomKey,
    /// Where the event leaves it.
    pub(crate) head: Head,
    /// When it was appended, if it is a message or notice, or the room's first event: lists order by it.
    pub(crate) active_at_ms: Option<i64>,
    /// Who has thereby read up to the event: its sender, and who joined by it.
    pub(crate) readers: Vec<UserId>,
    /// Whom it names.
    pub(crate) named: Vec<UserId>,
    /// Which files it shows.
    pub(crate) files: Vec<ShownFile>,
    /// What it sends to inboxes.
    pub(crate) mail: Option<Box<Mail>>,
    /// What it changes about the room's state.
    pub(crate) changes: Vec<Change>,
    /// What it changes about an earlier message.
    pub(crate) amendment: Option<Amendment>,
}

/// The rows that follow from a contiguous run of events, as few as possible.
///
/// [`Self::mail`] is sent before anything is written, and [`Self::standing`] tells who may get it.
/// The rest is written in this order: [`Self::reads`], [`Self::mentions`], [`Self::files`] and [`Self::amendments`],
/// [`Self::rooms`], [`Self::partition`]. What comes before the rooms does so because a room's row hides the events up to
/// it from whoever does this again, and because readers add the events after it to what they find here.
#[derive(Debug)]
pub(crate) struct Moves {
    partition: u32,
    reads: Positions<(RoomKey, UserId)>,
    mentions: BTreeSet<Mention>,
    files: BTreeSet<ShownFile>,
    mail: Vec<Mail>,
    amendments: BTreeMap<Amended, Amendment>,
    rooms: BTreeMap<RoomKey, Vec<RoomMove>>,
    reached: Option<PartitionRow>,
    steps: usize,
}

/// What an amendment is about: of two with the same, one is enough.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Amended {
    /// A user's edits of a message.
    Text(RoomKey, Seq, UserId),
    /// A message's life.
    Life(RoomKey, Seq),
    /// A user's use of an emoji on a message.
    Reaction(RoomKey, Seq, String, UserId),
}

/// Positions as the store takes them.
pub(crate) fn read_marks(positions: Positions<(RoomKey, UserId)>) -> Vec<ReadMark> {
    let positions = positions.into_iter();
    positions
        .map(|((key, user), at)| ReadMark {
            key,
            user,
            seq: at.seq,
            count: at.count,
        })
        .collect()
}

// === impl Moves ===

impl Moves {
    /// No row moves.
    pub(crate) fn none(partition: u32) -> Self {
        Self {
            partition,
            reads: Positions::default(),
            mentions: BTreeSet::new(),
            files: BTreeSet::new(),
            mail: Vec::new(),
            amendments: BTreeMap::new(),
            rooms: BTreeMap::new(),
            reached: None,
            steps: 0,
        }
    }

    /// Adds an event. Events come in log order.
    pub(crate) fn add(&mut self, step: Step) {
        self.steps += 1 + step.mail.as_ref().map_or(0, |mail| mail.weight());
        self.steps += step.named.len() + step.files.len();
        self.steps += step.amendment.as_ref().map_or(0, weight);
        let Step {
            key,
            head,
            active_at_ms,
            readers,
            named,
            files,
            mail,
            changes,
            amendment,
        } = step;
        self.mail.extend(mail.map(|mail| *mail));
        self.files.extend(files);
        self.mentions.extend(named.into_iter().map(|user| Mention {
            user,
            key: key.clone(),
            seq: head.seq,
        }));
        for reader in readers {
            let at = ReadPosition::at(head.seq, head.count);
            self.reads.note((key.clone(), reader), at);
        }
        if let Some(amendment) = amendment {
            self.amend(&key, amendment);
        }
        let moves = self.rooms.entry(key.clone()).or_default();
        let fits = moves.last().is_some_and(|last| fits(last, &changes));
        if !fits {
            moves.push(RoomMove {
                key,
                partition: self.partition,
                head,
                meta: None,
                active_at_ms: None,
                members: Vec::new(),
            });
        }
        let last = moves.last_mut().expect("one was pushed if there was none");
        last.head = head;
        last.active_at_ms = active_at_ms.or(last.active_at_ms);
        for change in changes {
            apply(last, change);
        }
    }

    /// Adds a change of a message: the later one counts, and the first deletion.
    fn amend(&mut self, key: &RoomKey, amendment: Amendment) {
        let (target, by) = (amendment.target, amendment.by.clone());
        let about = match &amendment.change {
            Amends::Edited(_) => Amended::Text(key.clone(), target, by),
            Amends::Deleted => {
                let about = Amended::Life(key.clone(), target);
                self.amendments.entry(about).or_insert(amendment);
                return;
            }
            Amends::Reacted { emoji, .. } => {
                Amended::Reaction(key.clone(), target, emoji.clone(), by)
            }
        };
        self.amendments.insert(about, amendment);
    }

    /// Says that everything before this row's position has been added.
    pub(crate) fn reach(&mut self, row: PartitionRow) {
        self.reached = Some(row);
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.reached.is_none()
    }

    /// How many events were added, counted by what they take to hold.
    pub(crate) fn steps(&self) -> usize {
        self.steps
    }

    /// The read positions, each its furthest.
    pub(crate) fn reads(&self) -> Vec<ReadMark> {
        read_marks(self.reads.clone())
    }

    /// Whom messages name.
    pub(crate) fn mentions(&self) -> Vec<Mention> {
        self.mentions.iter().cloned().collect()
    }

    /// Which messages show which files.
    pub(crate) fn files(&self) -> Vec<ShownFile> {
        self.files.iter().cloned().collect()
    }

    /// The changes of messages, each the last of its kind.
    pub(crate) fn amendments(&self) -> Vec<(RoomKey, Amendment)> {
        let amendments = self.amendments.iter();
        amendments
            .map(|(about, amendment)| (about.room().clone(), amendment.clone()))
            .collect()
    }

    /// The moves of each room, to be made one after the other; rooms do not depend on each other.
    pub(crate) fn rooms(&self) -> impl Iterator<Item = &[RoomMove]> {
        self.rooms.values().map(Vec::as_slice)
    }

    /// What is to be sent to inboxes.
    pub(crate) fn mail(&self) -> &[Mail] {
        &self.mail
    }

    /// How a user will stand in a room once it has moved, if that changes.
    pub(crate) fn standing(&self, key: &RoomKey, user: &UserId) -> Option<Membership> {
        let moves = self.rooms.get(key)?.iter().rev();
        let mut members = moves.flat_map(|step| &step.members);
        let member = members.find(|member| member.user == *user)?;
        Some(member.membership)
    }

    /// How far the partition is stored once all of this is.
    pub(crate) fn partition(&self) -> Option<(u32, PartitionRow)> {
        self.reached.map(|row| (self.partition, row))
    }
}

// === impl Amended ===

impl Amended {
    fn room(&self) -> &RoomKey {
        match self {
            Self::Text(room, ..) | Self::Life(room, _) | Self::Reaction(room, ..) => room,
        }
    }
}

/// Whether a move can take these changes as well and still be one transaction.
fn fits(to: &RoomMove, changes: &[Change]) -> bool {
    let known = |user: &UserId| to.members.iter().any(|member| member.user == *user);
    let new = changes
        .iter()
        .filter(|change| matches!(change, Change::Member(user, _) if !known(user)));
    to.members.len() + new.count() <= MEMBERS_PER_MOVE_MAX
}

/// What holding a change of a message costs, in steps that hold none.
fn weight(amendment: &Amendment) -> usize {
    match &amendment.change {
        Amends::Edited(text) => text.len() / STEP_TEXT_BYTES,
        _ => 0,
    }
}

fn apply(to: &mut RoomMove, change: Change) {
    match change {
        Change::Room(meta) => to.meta = Some(meta),
        Change::Member(user, membership) => {
            match to.members.iter_mut().find(|member| member.user == user) {
                Some(member) => member.membership = membership,
                None => to.members.push(MembershipMove { user, membership }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use roomlog_core::{
        event::Role,
        ids::{Count, Seq},
        room_log::Position,
        room_state::{MemberState, Membership},
    };

    use super::*;

    fn step(room: &str, seq: u64, user: &str) -> Step {
        let user = UserId::parse(user).expect("alphabet");
        let membership = Membership {
            state: MemberState::Joined,
            role: Role::Member,
            muted: false,
            changed_seq: Seq(seq),
        };
        Step {
            key: RoomKey::parse(room).expect("alphabet"),
            head: Head {
                seq: Seq(seq),
                count: Count(0),
                position: Position {
                    generation: 0,
                    offset: i64::try_from(seq).expect("small"),
                },
            },
            active_at_ms: None,
            readers: vec![user.clone()],
            named: Vec::new(),
            files: Vec::new(),
            mail: None,
            changes: vec![Change::Member(user, membership)],
            amendment: None,
        }
    }

    #[test]
    fn one_room_moves_once_however_many_events_it_has() {
        let mut moves = Moves::none(0);
        for seq in 1..=500 {
            moves.add(Step {
                changes: Vec::new(),
                ..step("lobby", seq, "alice")
            });
        }
        let rooms: Vec<_> = moves.rooms().collect();
        assert_eq!((rooms.len(), rooms[0].len()), (1, 1));
        assert_eq!(rooms[0][0].head.seq, Seq(500));
        assert_eq!(moves.reads().len(), 1);
        assert_eq!(moves.reads()[0].seq, Seq(500));
    }

    #[test]
    fn a_room_was_active_when_something_was_said_in_it_last() {
        let mut moves = Moves::none(0);
        for (seq, active_at_ms) in [(1, Some(10)), (2, None), (3, Some(30)), (4, None)] {
            moves.add(Step {
                active_at_ms,
                changes: Vec::new(),
                ..step("lobby", seq, "alice")
            });
        }
        let last = moves.rooms().next().expect("a room")[0].active_at_ms;
        assert_eq!(last, Some(30));
    }

    #[test]
    fn a_join_storm_is_cut_into_transactions_that_end_at_an_event() {
        let mut moves = Moves::none(0);
        for seq in 1..=100 {
            moves.add(step("lobby", seq, &format!("user{seq}")));
        }
        let rooms: Vec<_> = moves.rooms().collect();
        let ends: Vec<_> = rooms[0]
            .iter()
            .map(|one| (one.head.seq.0, one.members.len()))
            .collect();
        assert_eq!(ends, [(49, 49), (98, 49), (100, 2)]);
    }

    #[test]
    fn of_many_changes_of_one_message_only_those_that_count_are_written() {
        let mut moves = Moves::none(0);
        let react = |on| Amends::Reacted {
            emoji: "+1".into(),
            on,
        };
        let edit = |text: &str| Amends::Edited(text.into());
        let changes = [
            ("alice", edit("a")),
            ("alice", edit("b")),
            ("mallory", edit("c")),
            ("bob", react(true)),
            ("bob", react(false)),
            ("alice", Amends::Deleted),
            ("bob", Amends::Deleted),
        ];
        for (seq, (by, change)) in (2..).zip(changes) {
            let amendment = Amendment {
                target: Seq(1),
                by: UserId::parse(by).expect("alphabet"),
                seq: Seq(seq),
                at_ms: 0,
                change,
            };
            moves.add(Step {
                amendment: Some(amendment),
                ..step("lobby", seq, by)
            });
        }
        let mut seqs: Vec<_> = moves
            .amendments()
            .iter()
            .map(|(_, amendment)| amendment.seq.0)
            .collect();
        seqs.sort_unstable();
        assert_eq!(seqs, [3, 4, 6, 7]);
    }
}
