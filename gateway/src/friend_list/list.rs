//! One user's list of friends: who is shown it, and what they have yet to be told.

use std::collections::BTreeSet;

use roomlog_core::{
    ids::UserId,
    presence::Circles,
    session::{SubIndex, Topic},
    stomp::{Mark, MessageFrame},
};
use serde_json::{Value, json};

use crate::{
    clock,
    hub::{ConnectionId, Subscriber},
};

/// A list's audience.
pub(super) struct List {
    subscribers: Vec<Subscriber>,
    /// Those who wait until the list is read.
    waiting: Vec<Subscriber>,
    /// Friends of whom something may have to be told.
    pub(super) dirty: BTreeSet<UserId>,
    /// There is something to show.
    is_read: bool,
    /// It is being read.
    is_reading: bool,
    /// It changed while it was being read.
    is_stale: bool,
    /// The rank of the last MESSAGE. Begins with the time, so that ids stay apart when the list is made again.
    number: u64,
    /// When its rows were read last.
    pub(super) read_ms: u64,
}

// === impl List ===

impl Default for List {
    fn default() -> Self {
        Self {
            subscribers: Vec::new(),
            waiting: Vec::new(),
            dirty: BTreeSet::new(),
            is_read: false,
            is_reading: false,
            is_stale: false,
            number: clock::unix_ms(),
            read_ms: clock::monotonic_ms(),
        }
    }
}

impl List {
    /// Adds a subscriber, who is shown a snapshot as soon as there is one.
    pub(super) fn subscribe(&mut self, subscriber: Subscriber, circles: &Circles) {
        self.unsubscribe(subscriber.connection, subscriber.index);
        self.waiting.push(subscriber);
        self.greet(circles);
    }

    pub(super) fn unsubscribe(&mut self, connection: ConnectionId, index: SubIndex) {
        let is_it = |it: &Subscriber| (it.connection, it.index) == (connection, index);
        self.subscribers.retain(|it| !is_it(it));
        self.waiting.retain(|it| !is_it(it));
    }

    /// Whether nobody has begun to read it.
    pub(super) fn is_new(&self) -> bool {
        !self.is_read && !self.is_reading
    }

    /// Whether it is to be read now; otherwise it is read again once the reading under way has ended.
    pub(super) fn begins_reading(&mut self, now_ms: u64) -> bool {
        self.read_ms = now_ms;
        self.is_stale = self.is_reading;
        !std::mem::replace(&mut self.is_reading, true)
    }

    /// Its rows are there; `true` if they may be outdated already.
    pub(super) fn ends_reading(&mut self) -> bool {
        self.is_read = true;
        self.is_reading = false;
        std::mem::take(&mut self.is_stale)
    }

    /// Tells what changed, each friend's latest status once, and shows the list to those who wait for it.
    pub(super) fn tell(&mut self, user: &UserId, circles: &Circles) {
        for friend in std::mem::take(&mut self.dirty) {
            if self.subscribers.is_empty() {
                continue;
            }
            let change = match circles.status(user, &friend) {
                Some(online) => told(&friend, online),
                None => json!({ "user": friend.as_str(), "gone": true }),
            };
            self.send(change);
        }
        self.greet(circles);
    }

    /// Whether it is of use: somebody sees it or waits for it, or it is being read. Whoever comes back meanwhile waits for
    /// that reading, so that a store that is away is waited for once for each user.
    pub(super) fn is_of_use(&mut self) -> bool {
        self.subscribers.retain(|it| !it.outbox.is_closed());
        self.waiting.retain(|it| !it.outbox.is_closed());
        self.is_reading || !self.subscribers.is_empty() || !self.waiting.is_empty()
    }

    fn greet(&mut self, circles: &Circles) {
        if !self.is_read {
            return;
        }
        for subscriber in std::mem::take(&mut self.waiting) {
            let friends = circles.of(&subscriber.user);
            let friends: Vec<Value> = friends.map(|(id, online)| told(id, online)).collect();
            self.number += 1;
            let frame = frame(
                self.number,
                &json!({ "type": "snapshot", "friends": friends }),
            );
            if subscriber.push_signal(self.number, &frame) {
                self.subscribers.push(subscriber);
            }
        }
    }

    fn send(&mut self, mut change: Value) {
        change["type"] = "change".into();
        self.number += 1;
        let (number, frame) = (self.number, frame(self.number, &change));
        // Who takes nothing more begins anew by themselves.
        self.subscribers
            .retain(|subscriber| subscriber.push_signal(number, &frame));
    }
}

fn told(friend: &UserId, online: bool) -> Value {
    let status = if online { "online" } else { "offline" };
    json!({ "user": friend.as_str(), "status": status })
}

fn frame(number: u64, body: &Value) -> MessageFrame {
    let message_id = Topic::Friends.message_id(number);
    let destination = Topic::Friends.destination();
    let server = [
        ("message-id", message_id.as_str()),
        ("destination", &destination),
        ("content-type", "application/json"),
    ];
    MessageFrame::new(Mark::Number(number), &server, [], &body.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }

    #[test]
    fn a_list_is_shown_once_it_is_read_and_then_what_changes() {
        let (mut list, mut circles, alice) = (
            List::default(),
            Circles::default(),
            Subscriber::of("alice", 1),
        );
        list.subscribe(alice.clone(), &circles);
        assert!(list.begins_reading(1) && alice.received().is_empty());
        list.ends_reading();
        list.dirty
            .extend(circles.set(&alice.user, [user("bob")].into()));
        list.tell(&alice.user, &circles);
        let bob = json!({"user": "bob", "status": "offline"});
        let snapshot = json!({"type": "snapshot", "friends": [bob]});
        assert_eq!(alice.received(), [snapshot]);
        for (_, friend) in circles.take([(user("bob"), true)]) {
            list.dirty.insert(friend);
        }
        list.dirty
            .extend(circles.set(&alice.user, [user("bob"), user("carol")].into()));
        list.tell(&alice.user, &circles);
        let changes = [("bob", "online"), ("carol", "offline")]
            .map(|(user, status)| json!({"type": "change", "user": user, "status": status}));
        assert_eq!(alice.received(), changes);
        list.dirty.extend(circles.set(&alice.user, BTreeSet::new()));
        list.tell(&alice.user, &circles);
        assert_eq!(alice.received().len(), 2);
        list.tell(&alice.user, &circles);
        assert!(alice.received().is_empty());
    }

    #[test]
    fn a_list_that_changes_while_it_is_read_is_read_again() {
        let mut list = List::default();
        assert!(list.begins_reading(1));
        assert!(!list.begins_reading(2));
        assert!(list.ends_reading());
        assert!(list.begins_reading(3) && !list.ends_reading());
    }

    #[test]
    fn a_list_whose_reader_left_is_kept_until_it_is_read() {
        let (mut list, circles, alice) = (
            List::default(),
            Circles::default(),
            Subscriber::of("alice", 1),
        );
        list.subscribe(alice.clone(), &circles);
        assert!(list.begins_reading(1));
        list.unsubscribe(alice.connection, alice.index);
        assert!(list.is_of_use());
        list.ends_reading();
        assert!(!list.is_of_use());
    }
}
