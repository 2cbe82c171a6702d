//! Redis and DynamoDB, as far as the system meets them.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use roomlog_core::{
    amendment::{Amendment, Amendments, Change as Amends},
    ids::{Count, RoomKey, Seq, UserId},
    room_log::{Changes, Head, Position, Snapshot},
    room_state::{Change, Membership, RoomMeta},
};

use crate::{
    log::at,
    random::Random,
    rules::{Mechanism, Rules},
};

/// Events a room's tail keeps.
const TAIL_MAX: usize = 8;

/// The numbering snapshot, one sorted set that only moves forward, and the tails of rooms.
#[derive(Debug, Default)]
pub(crate) struct Redis {
    pub(crate) down: bool,
    content: Content,
    /// Earlier contents, one of which a failover may bring back.
    past: Vec<Content>,
}

#[derive(Clone, Debug, Default)]
struct Content {
    set: Option<Set>,
    tails: BTreeMap<RoomKey, BTreeMap<Seq, Position>>,
}

#[derive(Clone, Debug)]
struct Set {
    heads: BTreeMap<RoomKey, (Seq, Count)>,
    position: Position,
    accepted: u64,
}

/// Read positions by room and user.
pub(crate) type Reads = BTreeMap<(RoomKey, UserId), (Seq, Count)>;

/// What a change of a message is about; each has a row or attributes of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum About {
    /// What its author, or somebody who takes themselves for that, makes of the text.
    Text(Seq, UserId),
    /// Whether it is deleted.
    Life(Seq),
    /// One user's word on one emoji.
    Reaction(Seq, String, UserId),
}

/// The rows of the persister.
#[derive(Debug)]
pub(crate) struct Dynamo {
    pub(crate) down: bool,
    /// So many requests in a hundred are refused now, or made without an answer.
    pub(crate) throttled: usize,
    /// Which of them.
    chance: RefCell<Random>,
    /// Requests that were throttled so far.
    pub(crate) refused: Refused,
    /// Event rows: where the event is, and whether it is void.
    pub(crate) events: BTreeMap<(RoomKey, Seq), (Position, bool)>,
    pub(crate) rooms: BTreeMap<RoomKey, RoomRow>,
    pub(crate) members: BTreeMap<(RoomKey, UserId), Membership>,
    pub(crate) reads: Reads,
    /// What became of messages.
    amendments: BTreeMap<(RoomKey, About), Amendment>,
    pub(crate) partition: Option<PartitionRow>,
    /// How far the read marks' own topic is stored.
    pub(crate) marks: usize,
    /// Rooms whose row moved since anybody looked.
    pub(crate) moved: Vec<RoomKey>,
}

/// What a throttling store did not answer so far.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    pub(crate) reads: Cell<u64>,
    pub(crate) writes: Cell<u64>,
}

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    Made,
    /// It is made, and the writer does not hear of it.
    Unanswered,
    Refused,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoomRow {
    pub(crate) head: Head,
    pub(crate) meta: Option<RoomMeta>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct PartitionRow {
    pub(crate) position: Position,
    pub(crate) accepted: u64,
}

// === impl Redis ===

impl Redis {
    fn write(&mut self, change: impl FnOnce(&mut Content)) {
        self.past.push(self.content.clone());
        change(&mut self.content);
    }

    /// Takes a snapshot write, unless it is down.
    pub(crate) fn take(&mut self, changes: &Changes) {
        if !self.down {
            self.advance(changes);
        }
    }

    /// One atomic `ZADD GT`.
    fn advance(&mut self, changes: &Changes) {
        self.write(|content| {
            let set = content.set.get_or_insert_with(|| Set {
                heads: BTreeMap::new(),
                position: changes.position,
                accepted: 0,
            });
            for (room, seq, count) in &changes.heads {
                let known = set.heads.entry(room.clone()).or_default();
                *known = (known.0.max(*seq), known.1.max(*count));
            }
            set.position = set.position.max(changes.position);
            set.accepted = set.accepted.max(changes.accepted);
        });
    }

    pub(crate) fn snapshot(&self) -> Option<Snapshot> {
        self.content.set.as_ref().map(|set| Snapshot {
            position: set.position,
            accepted: set.accepted,
            heads: set
                .heads
                .iter()
                .map(|(room, (seq, count))| (room.clone(), *seq, *count))
                .collect(),
        })
    }

    /// Adds an event to a room's tail; one at or before its last is refused, as stream entries are.
    pub(crate) fn add_to_tail(&mut self, room: &RoomKey, seq: Seq, place: Position) {
        self.write(|content| {
            let tail = content.tails.entry(room.clone()).or_default();
            if tail.last_key_value().is_none_or(|(last, _)| *last < seq) {
                tail.insert(seq, place);
            }
            while tail.len() > TAIL_MAX {
                tail.pop_first();
            }
        });
    }

    pub(crate) fn tail(&self, room: &RoomKey) -> Vec<(Seq, Position)> {
        let tail = self.content.tails.get(room).into_iter().flatten();
        tail.map(|(seq, place)| (*seq, *place)).collect()
    }

    pub(crate) fn wipe(&mut self) {
        self.write(|content| *content = Content::default());
    }

    /// Comes back as it was so many writes ago.
    pub(crate) fn roll_back(&mut self, writes: usize) {
        let kept = self.past.len().saturating_sub(writes);
        if kept < self.past.len() {
            self.content = self.past[kept].clone();
            self.past.truncate(kept);
        }
    }
}

// === impl Dynamo ===

impl Dynamo {
    pub(crate) fn new(chance: Random) -> Self {
        Self {
            down: false,
            throttled: 0,
            chance: RefCell::new(chance),
            refused: Refused::default(),
            events: BTreeMap::new(),
            rooms: BTreeMap::new(),
            members: BTreeMap::new(),
            reads: Reads::new(),
            amendments: BTreeMap::new(),
            partition: None,
            marks: 0,
            moved: Vec::new(),
        }
    }

    /// Whether it answers the next request to read.
    pub(crate) fn answers(&self) -> bool {
        let throttles = !self.down && self.throttles();
        let reads = &self.refused.reads;
        reads.set(reads.get() + u64::from(throttles));
        !self.down && !throttles
    }

    /// What becomes of the next request to write.
    pub(crate) fn takes(&self) -> Write {
        if self.down {
            return Write::Refused;
        }
        if !self.throttles() {
            return Write::Made;
        }
        let writes = &self.refused.writes;
        writes.set(writes.get() + 1);
        match self.chance.borrow_mut().percent(30) {
            true => Write::Unanswered,
            false => Write::Refused,
        }
    }

    fn throttles(&self) -> bool {
        self.throttled > 0 && self.chance.borrow_mut().percent(self.throttled)
    }

    /// Where a reader without a snapshot begins, and how many records are accepted before.
    pub(crate) fn start(&self) -> (Position, u64) {
        self.partition
            .map_or((at(0), 0), |row| (row.position, row.accepted))
    }

    pub(crate) fn head(&self, room: &RoomKey) -> Option<Head> {
        self.rooms.get(room).map(|row| row.head)
    }

    /// A user's row; without the mechanism nobody sees of which moment it is.
    pub(crate) fn member(&self, room: &RoomKey, user: &UserId, rules: Rules) -> Option<Membership> {
        let row = *self.members.get(&(room.clone(), user.clone()))?;
        let changed_seq = match rules.keep(Mechanism::OneMoment) {
            true => row.changed_seq,
            false => Seq::ZERO,
        };
        Some(Membership { changed_seq, ..row })
    }

    /// Moves a room's row and what its state changed on the way, all at once; not if it is there or further already.
    pub(crate) fn advance_room(&mut self, room: RoomKey, head: Head, changes: Vec<Change>) {
        let row = self.rooms.get(&room);
        if row.is_some_and(|row| row.head.seq >= head.seq) {
            return;
        }
        let mut meta = row.and_then(|row| row.meta.clone());
        for change in changes {
            match change {
                Change::Room(changed) => meta = Some(changed),
                Change::Member(user, row) => drop(self.members.insert((room.clone(), user), row)),
            }
        }
        self.rooms.insert(room.clone(), RoomRow { head, meta });
        self.moved.push(room);
    }

    /// Moves the partition's row, unless it is there or further already.
    pub(crate) fn advance_partition(&mut self, row: PartitionRow) {
        if self
            .partition
            .is_none_or(|known| known.position < row.position)
        {
            self.partition = Some(row);
        }
    }

    /// Notes a change of a message, unless a later one has been noted; of deletions the first stays.
    pub(crate) fn amend(&mut self, room: &RoomKey, amendment: Amendment, rules: Rules) {
        let (target, by) = (amendment.target, amendment.by.clone());
        let about = match &amendment.change {
            Amends::Edited(_) => About::Text(target, by),
            Amends::Deleted => About::Life(target),
            Amends::Reacted { emoji, .. } => About::Reaction(target, emoji.clone(), by),
        };
        let known = self.amendments.get(&(room.clone(), about.clone()));
        let is_news = match known {
            None => true,
            Some(known) => about != About::Life(target) && known.seq < amendment.seq,
        };
        if is_news || !rules.keep(Mechanism::LaterChange) {
            self.amendments.insert((room.clone(), about), amendment);
        }
    }

    /// The rows that say what became of a room's messages.
    pub(crate) fn amendments(&self, room: &RoomKey) -> impl Iterator<Item = Amendment> {
        let rows = self
            .amendments
            .iter()
            .filter(move |((of, _), _)| of == room);
        rows.map(|(_, row)| row.clone())
    }

    /// What those come to.
    pub(crate) fn amended(&self, room: &RoomKey) -> Amendments {
        let mut amended = Amendments::default();
        amended.extend(self.amendments(room));
        amended
    }

    /// Moves a read position, unless it is there or further already.
    pub(crate) fn advance_read(
        &mut self,
        room: RoomKey,
        user: UserId,
        to: (Seq, Count),
        rules: Rules,
    ) {
        let position = self.reads.entry((room, user)).or_default();
        if *position < to || !rules.keep(Mechanism::ForwardOnly) {
            *position = to;
        }
    }
}
