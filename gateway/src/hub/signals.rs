//! A room's signals on this gateway: who listens, and what they are shown.
//!
//! Signals are MESSAGEs of a topic without a log: one snapshot first, then changes. A listener that can't keep up
//! loses what waits and gets a new snapshot instead.

use axum::extract::ws::Utf8Bytes;
use foldhash::HashMap;
use roomlog_core::{
    ids::{RoomKey, Seq, UserId},
    session::SubIndex,
    signal::{Change, Live, Stamped},
    stomp::{Envelope, Mark, MessageFrame, Provenance},
};
use serde_json::{Value, json};

use super::{
    audience::{ConnectionId, Subscriber},
    shown::text,
};
use crate::{clock, outbox::Delivery};

/// The live side of one room.
#[derive(Debug)]
pub(super) struct Signals {
    live: Live,
    listeners: HashMap<Envelope, Vec<Subscriber>>,
    /// The rank of the last MESSAGE. Begins with the time, so that ids stay apart when the room is opened again.
    number: u64,
    /// Whether the owners were told that this gateway wants the room's signals.
    pub(super) is_declared: bool,
}

// === impl Signals ===

impl Default for Signals {
    fn default() -> Self {
        Self {
            live: Live::default(),
            listeners: HashMap::default(),
            number: clock::unix_ms(),
            is_declared: false,
        }
    }
}

impl Signals {
    /// Takes a signal of an owner's and shows what follows from it.
    pub(super) fn take(&mut self, signal: Stamped) {
        let Stamped { key, stamp, signal } = signal;
        if let Some(change) = self.live.take(stamp, signal, clock::monotonic_ms()) {
            self.show(&key, &body_of(change));
        }
    }

    /// Shows what is due; `false` once nothing is left to become due.
    pub(super) fn tick(&mut self, key: &RoomKey) -> bool {
        for change in self.live.due(clock::monotonic_ms()) {
            self.show(key, &body_of(change));
        }
        !self.live.is_quiet()
    }

    /// Adds a listener, or begins anew with one, and shows it the state of things.
    pub(super) fn enlist(&mut self, key: &RoomKey, subscriber: Subscriber) {
        self.dismiss(
            subscriber.connection,
            subscriber.index,
            &subscriber.envelope,
        );
        let snapshot = json!({
            "type": "snapshot",
            "online": [],
            "online_total": 0,
            "viewers": [],
            "reads": {},
        });
        self.number += 1;
        let frame = frame(key, self.number, &snapshot);
        let sealed = text(frame.sealed(&subscriber.envelope, Provenance::Live));
        if subscriber
            .outbox
            .push_signal(delivery(&subscriber, self.number, sealed))
        {
            let group = self.listeners.entry(subscriber.envelope.clone());
            group.or_default().push(subscriber);
        }
    }

    /// Ends a subscription.
    pub(super) fn dismiss(
        &mut self,
        connection: ConnectionId,
        index: SubIndex,
        envelope: &Envelope,
    ) {
        if let Some(group) = self.listeners.get_mut(envelope) {
            group.retain(|listener| (listener.connection, listener.index) != (connection, index));
            if group.is_empty() {
                self.listeners.remove(envelope);
            }
        }
    }

    /// Ends all subscriptions of a user.
    pub(super) fn dismiss_user(&mut self, user: &UserId) {
        self.retain(|listener| listener.user != *user);
    }

    /// Ends all subscriptions.
    pub(super) fn clear(&mut self) {
        self.listeners.clear();
    }

    /// Ends the subscriptions of connections that are gone.
    pub(super) fn forget_the_gone(&mut self) {
        self.retain(|listener| !listener.outbox.is_closed());
    }

    /// Whether nobody listens.
    pub(super) fn is_empty(&self) -> bool {
        self.listeners.is_empty()
    }

    fn retain(&mut self, stays: impl Fn(&Subscriber) -> bool) {
        for group in self.listeners.values_mut() {
            group.retain(&stays);
        }
        self.listeners.retain(|_, group| !group.is_empty());
    }

    fn show(&mut self, key: &RoomKey, body: &Value) {
        if self.listeners.is_empty() {
            return;
        }
        self.number += 1;
        let (number, frame) = (self.number, frame(key, self.number, body));
        for (envelope, group) in &mut self.listeners {
            let sealed = text(frame.sealed(envelope, Provenance::Live));
            group.retain(|listener| {
                listener
                    .outbox
                    .push_signal(delivery(listener, number, sealed.clone()))
            });
        }
        self.listeners.retain(|_, group| !group.is_empty());
    }
}

fn delivery(to: &Subscriber, number: u64, frame: Utf8Bytes) -> Delivery {
    Delivery {
        index: to.index,
        seq: Seq(number),
        frame,
    }
}

fn body_of(change: Change) -> Value {
    match change {
        Change::Typing { user, on } => json!({"type": "typing", "user": user.as_str(), "on": on}),
        Change::Reads(positions) => {
            let positions = positions.into_iter();
            let positions: serde_json::Map<String, Value> = positions
                .map(|(user, seq)| (user.as_str().to_owned(), seq.0.into()))
                .collect();
            json!({"type": "reads", "positions": positions})
        }
    }
}

fn frame(key: &RoomKey, number: u64, body: &Value) -> MessageFrame {
    let message_id = format!("{key}-signals-{number}");
    let destination = format!("/topic/rooms/{key}/signals");
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
    use std::{
        collections::VecDeque,
        sync::Arc,
        task::{Context, Waker},
    };

    use roomlog_core::{
        signal::{Signal, Stamp},
        stomp::Version,
    };

    use super::*;
    use crate::outbox::Outbox;

    fn key() -> RoomKey {
        RoomKey::parse("room").unwrap()
    }

    fn listener(name: &str) -> Subscriber {
        Subscriber {
            connection: ConnectionId(1),
            index: SubIndex(3),
            user: UserId::parse(name).unwrap(),
            envelope: Envelope::new(Version::V1_2, Some("s"), None),
            outbox: Arc::new(Outbox::default()),
        }
    }

    fn received(outbox: &Outbox) -> Vec<Value> {
        let mut into = VecDeque::new();
        let _ = outbox.poll_take(&mut Context::from_waker(Waker::noop()), &mut into);
        let bodies = into.iter().map(|delivery| {
            let (_, body) = delivery.frame.as_str().split_once("\n\n").unwrap();
            serde_json::from_str(body.trim_end_matches('\0')).unwrap()
        });
        bodies.collect()
    }

    fn typing(counter: u64, on: bool) -> Stamped {
        Stamped {
            key: key(),
            stamp: Stamp { source: 1, counter },
            signal: Signal::Typing {
                user: UserId::parse("bob").unwrap(),
                on,
            },
        }
    }

    #[test]
    fn a_listener_gets_a_snapshot_and_then_changes_once() {
        let (mut signals, alice) = (Signals::default(), listener("alice"));
        signals.enlist(&key(), alice.clone());
        for signal in [typing(1, true), typing(1, true)] {
            signals.take(signal);
        }
        let received = received(&alice.outbox);
        assert_eq!(received.len(), 2);
        assert_eq!(received[0]["type"], "snapshot");
        assert_eq!(
            received[1],
            json!({"type": "typing", "user": "bob", "on": true})
        );
    }

    #[test]
    fn who_is_removed_hears_nothing_more() {
        let (mut signals, alice) = (Signals::default(), listener("alice"));
        signals.enlist(&key(), alice.clone());
        signals.dismiss_user(&alice.user);
        signals.take(typing(1, true));
        assert_eq!(received(&alice.outbox).len(), 1);
        assert!(signals.is_empty());
    }
}
