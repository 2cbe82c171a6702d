//! What rows follow from events that are stored, and in which order they may move.

use std::collections::BTreeMap;

use roomlog_core::{
    ids::{Count, RoomKey, Seq, UserId},
    room_log::Head,
    room_state::Change,
};
use roomlog_platform::dynamo::{
    MEMBERS_PER_MOVE_MAX, MembershipMove, PartitionRow, ReadMark, RoomMove,
};

/// What an event changes beside its own row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// The room or inbox.
    pub(crate) key: RoomKey,
    /// Where the event leaves it.
    pub(crate) head: Head,
    /// Who has thereby read up to the event: its sender, and who joined by it.
    pub(crate) readers: Vec<UserId>,
    /// What it changes about the room's state.
    pub(crate) changes: Vec<Change>,
}

/// The rows that follow from a contiguous run of events, as few as possible.
///
/// They are written in this order: [`Self::reads`], [`Self::rooms`], [`Self::partition`]. Read positions come before
/// the rooms because a room's row hides the events up to it from whoever does this again.
#[derive(Debug)]
pub(crate) struct Moves {
    partition: u32,
    reads: BTreeMap<(RoomKey, UserId), (Seq, Count)>,
    rooms: BTreeMap<RoomKey, Vec<RoomMove>>,
    reached: Option<PartitionRow>,
    steps: usize,
}

// === impl Moves ===

impl Moves {
    /// No row moves.
    pub(crate) fn none(partition: u32) -> Self {
        Self {
            partition,
            reads: BTreeMap::new(),
            rooms: BTreeMap::new(),
            reached: None,
            steps: 0,
        }
    }

    /// Adds an event. Events come in log order.
    pub(crate) fn add(&mut self, step: Step) {
        self.steps += 1;
        let Step {
            key,
            head,
            readers,
            changes,
        } = step;
        for reader in readers {
            // A later event of the same room is further.
            self.reads
                .insert((key.clone(), reader), (head.seq, head.count));
        }
        let moves = self.rooms.entry(key.clone()).or_default();
        let fits = moves.last().is_some_and(|last| fits(last, &changes));
        if !fits {
            moves.push(RoomMove {
                key,
                partition: self.partition,
                head,
                meta: None,
                members: Vec::new(),
            });
        }
        let last = moves.last_mut().expect("one was pushed if there was none");
        last.head = head;
        for change in changes {
            apply(last, change);
        }
    }

    /// Says that everything before this row's position has been added.
    pub(crate) fn reach(&mut self, row: PartitionRow) {
        self.reached = Some(row);
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.reached.is_none()
    }

    /// How many events were added.
    pub(crate) fn steps(&self) -> usize {
        self.steps
    }

    /// The read positions, each its furthest.
    pub(crate) fn reads(&self) -> Vec<ReadMark> {
        let reads = self.reads.iter();
        reads
            .map(|((key, user), (seq, count))| ReadMark {
                key: key.clone(),
                user: user.clone(),
                seq: *seq,
                count: *count,
            })
            .collect()
    }

    /// The moves of each room, to be made one after the other; rooms do not depend on each other.
    pub(crate) fn rooms(&self) -> impl Iterator<Item = &[RoomMove]> {
        self.rooms.values().map(Vec::as_slice)
    }

    /// How far the partition is stored once all of this is.
    pub(crate) fn partition(&self) -> Option<(u32, PartitionRow)> {
        self.reached.map(|row| (self.partition, row))
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
            readers: vec![user.clone()],
            changes: vec![Change::Member(user, membership)],
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
}
