//! Read positions, unread numbers and read counts: arithmetic over a log's seqs and counts.
//!
//! A position only moves forward and the furthest wins, so marks of any number of devices come to the same in any
//! order, late or twice. Unread is the room's count less the count at the position; nothing is kept per message.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, btree_map};

use crate::{
    event::{Body, Event, Kind, MemberChange},
    ids::{Count, Seq, UserId},
};

/// Unread messages that name the user, as many as are counted in one room: some 100 KB for each user and room. They are
/// held one by one, since repeats and order must not matter; what is unread needs no such set and has no bound. Beyond it
/// the number stays, and it is exact again once no more are unread.
pub const MENTIONS_MAX: usize = 10_000;

/// Up to where somebody has read a log. The count follows from the seq, so comparing by the seq is comparing both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadPosition {
    /// The last event read; zero for none.
    pub seq: Seq,
    /// The log's count there.
    pub count: Count,
}

/// The furthest position of each of many, whatever names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Positions<K> {
    furthest: BTreeMap<K, ReadPosition>,
}

/// What one user's list shows of one room: a maximum of everything heard, so it may be heard in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Badge {
    head: ReadPosition,
    position: ReadPosition,
    /// Messages past the position that name the user.
    mentions: BTreeSet<Seq>,
}

/// A room's members and how far each has read: what read counts are taken from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readers {
    positions: BTreeMap<UserId, ReadPosition>,
}

/// Whether sending an event of this type counts as reading up to it. Who edits, deletes, reacts or changes
/// memberships need not have read what came before.
pub fn reads_by_sending(kind: Kind) -> bool {
    kind.counts()
}

/// Who becomes a member by an event that stands, and so starts with everything up to it read.
pub fn joiner(event: &Event) -> Option<&UserId> {
    match &event.body {
        Body::Member(member) if member.change == MemberChange::Joined => Some(&member.user),
        // A room's creation makes its sender a member.
        Body::Room(room) if room.kind.is_some() => Some(&event.sender.id),
        _ => None,
    }
}

/// Everyone who has read up to an event by the event itself, if it stands: its sender, and who joined by it.
pub fn readers_by(event: &Event) -> impl Iterator<Item = &UserId> {
    let sender = reads_by_sending(event.body.kind()).then_some(&event.sender.id);
    sender.into_iter().chain(joiner(event))
}

/// The users an event names, who are told of it apart from what is unread. A sender does not name themselves.
pub fn named_by(event: &Event) -> impl Iterator<Item = &UserId> {
    let named = match &event.body {
        Body::Message(message) => &message.mentions[..],
        _ => &[],
    };
    named.iter().filter(|user| **user != event.sender.id)
}

// === impl ReadPosition ===

impl ReadPosition {
    /// The position at an event.
    pub fn at(seq: Seq, count: Count) -> Self {
        Self { seq, count }
    }

    /// Messages and notices after the position, in a log of this count. A position ahead of the count, as from a
    /// reader who heard of more, leaves nothing unread.
    pub fn unread(self, count: Count) -> u64 {
        count.0.saturating_sub(self.count.0)
    }
}

// === impl Positions ===

impl<K> Default for Positions<K> {
    fn default() -> Self {
        Self {
            furthest: BTreeMap::new(),
        }
    }
}

impl<K: Ord> Positions<K> {
    /// Takes a position, unless a further one of the same name is known. `true` if it moved.
    pub fn note(&mut self, name: K, position: ReadPosition) -> bool {
        match self.furthest.entry(name) {
            btree_map::Entry::Vacant(entry) => {
                entry.insert(position);
                true
            }
            btree_map::Entry::Occupied(mut entry) => {
                let moves = position > *entry.get();
                if moves {
                    entry.insert(position);
                }
                moves
            }
        }
    }

    /// The furthest position of this name.
    pub fn of(&self, name: &K) -> Option<ReadPosition> {
        self.furthest.get(name).copied()
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.furthest.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.furthest.is_empty()
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&K, ReadPosition)> {
        self.furthest
            .iter()
            .map(|(name, position)| (name, *position))
    }

    /// Takes out at most so many, by name; the others stay for later.
    pub fn take(&mut self, at_most: usize) -> Vec<(K, ReadPosition)> {
        std::iter::from_fn(|| self.furthest.pop_first())
            .take(at_most)
            .collect()
    }
}

impl<K: Ord> IntoIterator for Positions<K> {
    type Item = (K, ReadPosition);
    type IntoIter = btree_map::IntoIter<K, ReadPosition>;

    fn into_iter(self) -> Self::IntoIter {
        self.furthest.into_iter()
    }
}

// === impl Badge ===

impl Badge {
    /// Hears how far the log has come. `true` if that was news.
    pub fn note_head(&mut self, head: ReadPosition) -> bool {
        let moves = head > self.head;
        self.head = self.head.max(head);
        moves
    }

    /// Hears how far the user has read. `true` if that was news.
    pub fn note_position(&mut self, position: ReadPosition) -> bool {
        let moves = position > self.position;
        if moves {
            self.position = position;
            self.mentions = self.mentions.split_off(&position.seq.next());
        }
        moves
    }

    /// Hears of a message that names the user. `true` if that was news and is unread.
    pub fn note_mention(&mut self, seq: Seq) -> bool {
        let is_news = seq > self.position.seq && self.mentions.insert(seq);
        if self.mentions.len() > MENTIONS_MAX {
            // The latest stay: once no more of them are unread, the number is exact again.
            self.mentions.pop_first();
        }
        is_news
    }

    /// How far the log has come.
    pub fn head(&self) -> ReadPosition {
        self.head
    }

    /// How far the user has read.
    pub fn position(&self) -> ReadPosition {
        self.position
    }

    /// Messages and notices not read.
    pub fn unread(&self) -> u64 {
        self.position.unread(self.head.count)
    }

    /// Those of them that name the user.
    pub fn mentions(&self) -> u64 {
        self.mentions.len() as u64
    }
}

// === impl Readers ===

impl Readers {
    /// A member, who has read up to here or further.
    pub fn add(&mut self, user: UserId, position: ReadPosition) {
        let known = self.positions.entry(user).or_default();
        *known = (*known).max(position);
    }

    /// Not a member any more.
    pub fn remove(&mut self, user: &UserId) {
        self.positions.remove(user);
    }

    /// A member has read on; for anyone else it means nothing.
    pub fn note(&mut self, user: &UserId, position: ReadPosition) {
        if let Some(known) = self.positions.get_mut(user) {
            *known = (*known).max(position);
        }
    }

    /// How many members have read an event.
    pub fn read_count(&self, seq: Seq) -> u64 {
        self.of(seq).count() as u64
    }

    /// The members who have read an event.
    pub fn of(&self, seq: Seq) -> impl Iterator<Item = &UserId> {
        let readers = self.positions.iter();
        readers
            .filter(move |(_, position)| position.seq >= seq)
            .map(|(user, _)| user)
    }

    /// Every member and their position.
    pub fn iter(&self) -> impl Iterator<Item = (&UserId, ReadPosition)> {
        self.positions
            .iter()
            .map(|(user, position)| (user, *position))
    }
}
