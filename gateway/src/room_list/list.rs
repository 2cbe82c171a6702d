//! One user's list: its rooms, who is shown it, and what they have yet to be told.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use roomlog_core::{
    ids::{RoomKey, Seq},
    session::SubIndex,
    stomp::{Mark, MessageFrame},
    unread::Badge,
};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::entry::{Entry, Item, Level};
use crate::{
    clock,
    hub::{Caller, ConnectionId, Subscriber},
};
use roomlog_core::code::Refusal;

/// Looks remembered of one list: twice as many as there are rooms one may be in. Beyond it, those at rooms that are not
/// on it are forgotten, and one that was left may come back for as long as a row that was read before shows it.
const JUDGED_MAX: usize = 10_000;

/// A list and its audience.
pub(super) struct List {
    pub(super) caller: Caller,
    pub(super) rooms: BTreeMap<RoomKey, Entry>,
    /// Rooms of which something may have to be told.
    pub(super) dirty: BTreeSet<RoomKey>,
    gone: BTreeSet<RoomKey>,
    /// The user's inbox, where every letter counts.
    pub(super) inbox: Badge,
    /// The inbox as subscribers were told of it.
    inbox_told: Badge,
    /// What the last look at a room came to, and as of which event: looks may end in another order than they began,
    /// and rows may be older than all of them.
    judged: BTreeMap<RoomKey, (Seq, bool)>,
    pub(super) state: State,
    /// Rooms that are being looked at, as they may belong here.
    pub(super) looking: usize,
    subscribers: Vec<Subscriber>,
    /// Those who wait until the list is read.
    waiting: Vec<Waiter>,
    /// The rank of the last MESSAGE. Begins with the time, so that ids stay apart when the list is read again.
    number: u64,
    pub(super) used_ms: u64,
    /// When its rows were read last.
    pub(super) read_ms: u64,
}

/// How far a list is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its rows are being read.
    Reading,
    /// What is not stored yet is being counted in, for at most until then.
    Levelling { until_ms: u64 },
    /// It is shown.
    Shown,
}

/// Somebody who wants to see the list.
enum Waiter {
    Subscriber(Box<Subscriber>),
    Reader(oneshot::Sender<Result<Vec<Item>, Refusal>>),
}

// === impl List ===

impl List {
    pub(super) fn new(caller: Caller) -> Self {
        Self {
            caller,
            rooms: BTreeMap::new(),
            dirty: BTreeSet::new(),
            gone: BTreeSet::new(),
            inbox: Badge::default(),
            inbox_told: Badge::default(),
            judged: BTreeMap::new(),
            state: State::Reading,
            looking: 0,
            subscribers: Vec::new(),
            waiting: Vec::new(),
            number: clock::unix_ms(),
            used_ms: clock::monotonic_ms(),
            read_ms: clock::monotonic_ms(),
        }
    }

    /// Adds a subscriber, who is shown a snapshot as soon as there is one.
    pub(super) fn subscribe(&mut self, subscriber: Subscriber) {
        self.unsubscribe(subscriber.connection, subscriber.index);
        match self.state {
            State::Shown => self.show_to(subscriber),
            _ => self.waiting.push(Waiter::Subscriber(Box::new(subscriber))),
        }
    }

    pub(super) fn unsubscribe(&mut self, connection: ConnectionId, index: SubIndex) {
        let is_it = |it: &Subscriber| (it.connection, it.index) == (connection, index);
        self.subscribers.retain(|it| !is_it(it));
        self.waiting
            .retain(|waiter| !matches!(waiter, Waiter::Subscriber(it) if is_it(it)));
    }

    /// Answers with the list as soon as it is read.
    pub(super) fn show(&mut self, reply: oneshot::Sender<Result<Vec<Item>, Refusal>>) {
        match self.state {
            State::Shown => drop(reply.send(Ok(self.items()))),
            _ => self.waiting.push(Waiter::Reader(reply)),
        }
    }

    /// Shows it to all who wait, once everything is counted in or has taken too long.
    pub(super) fn settle(&mut self, now_ms: u64) {
        let State::Levelling { until_ms } = self.state else {
            return;
        };
        let is_even =
            self.looking == 0 && self.rooms.values().all(|entry| entry.level == Level::Even);
        if !is_even && now_ms < until_ms {
            return;
        }
        self.state = State::Shown;
        for waiter in std::mem::take(&mut self.waiting) {
            match waiter {
                Waiter::Subscriber(subscriber) => self.show_to(*subscriber),
                // Who asked may be gone.
                Waiter::Reader(reply) => drop(reply.send(Ok(self.items()))),
            }
        }
    }

    /// Takes what a look came to; `false` if it is older than what is known.
    pub(super) fn judge(&mut self, key: &RoomKey, as_of: Seq, is_in: bool) -> bool {
        let is_news = self.judged.get(key).is_none_or(|(seq, _)| *seq <= as_of);
        if is_news {
            self.judged.insert(key.clone(), (as_of, is_in));
        }
        if self.judged.len() > JUDGED_MAX {
            let rooms = &self.rooms;
            self.judged
                .retain(|other, _| other == key || rooms.contains_key(other));
        }
        is_news
    }

    /// Whether a membership that began with an event is known to be over.
    pub(super) fn is_over(&self, key: &RoomKey, since: Seq) -> bool {
        let judged = self.judged.get(key);
        judged.is_some_and(|(seq, is_in)| !is_in && *seq >= since)
    }

    /// Whether somebody looked at a room as of an event or later.
    pub(super) fn knows(&self, key: &RoomKey, event: Seq) -> bool {
        self.judged.get(key).is_some_and(|(seq, _)| *seq >= event)
    }

    /// Takes a room off the list; `true` if it was on it.
    pub(super) fn remove(&mut self, key: &RoomKey) -> bool {
        let was = self.rooms.remove(key).is_some();
        if was {
            self.gone.insert(key.clone());
        }
        was
    }

    /// Adds a room, or finds it.
    pub(super) fn entry(&mut self, key: &RoomKey, new: impl FnOnce() -> Entry) -> &mut Entry {
        self.gone.remove(key);
        self.rooms.entry(key.clone()).or_insert_with(new)
    }

    /// Tells every subscriber what changed, each room's latest values once.
    pub(super) fn tell(&mut self) {
        if self.state != State::Shown {
            return;
        }
        let (gone, dirty) = (
            std::mem::take(&mut self.gone),
            std::mem::take(&mut self.dirty),
        );
        let inbox_moved = self.inbox != self.inbox_told;
        if gone.is_empty() && dirty.is_empty() && !inbox_moved {
            return;
        }
        let total = self.total();
        for key in gone {
            let gone = json!({ "type": "change", "room": key.as_str(), "gone": true });
            self.send(gone, &total);
        }
        for key in dirty {
            let change = self
                .rooms
                .get_mut(&key)
                .and_then(|entry| entry.change(&key));
            if let Some(change) = change {
                self.send(change, &total);
            }
        }
        if inbox_moved {
            self.inbox_told = self.inbox.clone();
            let mut change = inbox_json(&self.inbox);
            change["type"] = "inbox".into();
            self.send(change, &total);
        }
    }

    /// Whether anybody sees it or waits for it.
    pub(super) fn is_watched(&mut self) -> bool {
        self.subscribers.retain(|it| !it.outbox.is_closed());
        self.waiting.retain(|waiter| !waiter.is_gone());
        !self.subscribers.is_empty() || !self.waiting.is_empty()
    }

    /// Asks for the last message of the most active rooms only, as many as are named.
    pub(super) fn want_last_of(&mut self, at_most: usize) {
        let mut entries: Vec<&mut Entry> = self.rooms.values_mut().collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.active_at_ms()));
        for (rank, entry) in entries.into_iter().enumerate() {
            entry.wants_last = rank < at_most;
        }
    }

    /// What is unread in all rooms.
    fn total(&self) -> Value {
        let badges = self.rooms.values().map(Entry::badge);
        let (unread, mentions) = badges.fold((0, 0), |(unread, mentions), badge| {
            (unread + badge.unread(), mentions + badge.mentions())
        });
        json!({ "unread": unread, "mentions": mentions })
    }

    /// By last activity, the latest first.
    fn items(&self) -> Vec<Item> {
        let mut items: Vec<_> = self
            .rooms
            .iter()
            .map(|(key, entry)| entry.item(key))
            .collect();
        items.sort_by_key(|item| std::cmp::Reverse(item.active_at_ms));
        items
    }

    fn show_to(&mut self, subscriber: Subscriber) {
        // What is yet to be told is not in the snapshots that the others have got.
        self.tell();
        if self.subscribers.is_empty() {
            for (key, entry) in &mut self.rooms {
                entry.told(key);
            }
        }
        let rooms: Vec<Value> = self.items().iter().map(Item::json).collect();
        let inbox = inbox_json(&self.inbox);
        let snapshot =
            json!({ "type": "snapshot", "rooms": rooms, "total": self.total(), "inbox": inbox });
        self.number += 1;
        let frame = frame(self.number, &snapshot);
        if subscriber.push_signal(self.number, &frame) {
            self.subscribers.push(subscriber);
        }
    }

    fn send(&mut self, mut change: Value, total: &Value) {
        change["total"] = total.clone();
        self.number += 1;
        let (number, frame) = (self.number, frame(self.number, &change));
        // Who takes nothing more begins anew by themselves.
        self.subscribers
            .retain(|subscriber| subscriber.push_signal(number, &frame));
    }
}

// === impl Waiter ===

impl Waiter {
    /// Whether nobody waits any more. A list that can't be read must not keep those who gave up.
    fn is_gone(&self) -> bool {
        match self {
            Self::Subscriber(subscriber) => subscriber.outbox.is_closed(),
            Self::Reader(reply) => reply.is_closed(),
        }
    }
}

/// A mark is stored at once and letters a moment later, so the store's head may lie behind what is read.
fn inbox_json(inbox: &Badge) -> Value {
    let (head, read) = (inbox.head().seq, inbox.position().seq);
    json!({ "head": head.max(read).0, "read_seq": read.0, "unread": inbox.unread() })
}

fn frame(number: u64, body: &Value) -> MessageFrame {
    let message_id = format!("rooms-{number}");
    let server = [
        ("message-id", message_id.as_str()),
        ("destination", "/user/queue/rooms"),
        ("content-type", "application/json"),
    ];
    MessageFrame::new(Mark::Number(number), &server, [], &body.to_string())
}
