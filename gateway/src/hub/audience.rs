//! Who gets a room's events live.
//!
//! Subscriptions with equal envelopes get the same bytes, so a frame is made once for each envelope and shared.

use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use foldhash::HashMap;
use roomlog_core::{
    ids::{Count, Seq, UserId},
    session::SubIndex,
    stomp::{Envelope, MessageFrame, Provenance},
};

use super::shown::{Shown, text};
use crate::{
    metrics,
    outbox::{Delivery, Outbox},
};

/// Names a connection for the life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// One subscription of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Subscriber {
    pub(crate) connection: ConnectionId,
    pub(crate) index: SubIndex,
    pub(crate) user: UserId,
    pub(crate) envelope: Envelope,
    pub(crate) outbox: Arc<Outbox>,
}

/// The live subscriptions of a room.
#[derive(Debug, Default)]
pub(super) struct Audience {
    groups: HashMap<Envelope, Vec<Live>>,
}

#[derive(Debug)]
struct Live {
    connection: ConnectionId,
    index: SubIndex,
    user: UserId,
    outbox: Arc<Outbox>,
    /// The first event it has not got yet.
    next: Seq,
}

// === impl Subscriber ===

impl Subscriber {
    /// Queues a MESSAGE of a topic without a log; `false` where the subscription takes none until it begins anew.
    pub(crate) fn push_signal(&self, number: u64, frame: &MessageFrame) -> bool {
        self.push_sealed(number, text(frame.sealed(&self.envelope, Provenance::Live)))
    }

    /// The same with the bytes that equal envelopes share.
    pub(super) fn push_sealed(&self, number: u64, frame: Utf8Bytes) -> bool {
        self.outbox.push_signal(Delivery {
            index: self.index,
            seq: Seq(number),
            count: Count::ZERO,
            frame,
        })
    }
}

#[cfg(test)]
impl Subscriber {
    /// A user's, with an outbox of its own.
    pub(crate) fn of(user: &str, connection: u64) -> Self {
        let version = roomlog_core::stomp::Version::V1_2;
        Self {
            connection: ConnectionId(connection),
            index: SubIndex(0),
            user: UserId::parse(user).expect("a test's user fits the alphabet"),
            envelope: Envelope::new(version, Some("test"), None),
            outbox: Arc::default(),
        }
    }

    /// The bodies of what came since this was last asked.
    pub(crate) fn received(&self) -> Vec<serde_json::Value> {
        let taken = self.outbox.taken();
        let bodies = taken.iter().map(|delivery| {
            let parts = delivery.frame.as_str().split_once("\n\n");
            let (_, body) = parts.expect("a frame has a body");
            serde_json::from_str(body.trim_end_matches('\0')).expect("the body is JSON")
        });
        bodies.collect()
    }
}

// === impl Audience ===

impl Audience {
    /// Puts an event into the outboxes of all who have not got it yet; answers how many those are. Who takes nothing
    /// any more is dismissed, and asks again when ready.
    pub(super) fn show(&mut self, shown: &Shown) -> u64 {
        let (mut deliveries, mut queued_bytes) = (0, 0);
        for (envelope, members) in &mut self.groups {
            let frame = shown.sealed(envelope, Provenance::Live);
            members.retain_mut(|live| {
                if live.next > shown.seq {
                    return true;
                }
                live.next = shown.seq.next();
                deliveries += 1;
                let takes = live.outbox.push(Delivery {
                    index: live.index,
                    seq: shown.seq,
                    count: shown.count,
                    frame: frame.clone(),
                });
                if takes {
                    queued_bytes += frame.len();
                }
                takes
            });
        }
        metrics::queued(queued_bytes);
        deliveries
    }

    /// Makes a subscription live that has everything before `next`.
    pub(super) fn enlist(&mut self, subscriber: &Subscriber, next: Seq) {
        self.dismiss(
            subscriber.connection,
            subscriber.index,
            &subscriber.envelope,
        );
        let members = self.groups.entry(subscriber.envelope.clone()).or_default();
        members.push(Live {
            connection: subscriber.connection,
            index: subscriber.index,
            user: subscriber.user.clone(),
            outbox: Arc::clone(&subscriber.outbox),
            next,
        });
    }

    /// Ends a subscription.
    pub(super) fn dismiss(
        &mut self,
        connection: ConnectionId,
        index: SubIndex,
        envelope: &Envelope,
    ) {
        let Some(members) = self.groups.get_mut(envelope) else {
            return;
        };
        let is_it = |live: &Live| live.connection == connection && live.index == index;
        if let Some(at) = members.iter().position(is_it) {
            members.swap_remove(at);
        }
        if members.is_empty() {
            self.groups.remove(envelope);
        }
    }

    /// Ends all subscriptions of a user.
    pub(super) fn dismiss_user(&mut self, user: &UserId) {
        for members in self.groups.values_mut() {
            members.retain(|live| live.user != *user);
        }
    }

    /// Ends all subscriptions; their connections ask again from the last seq they wrote.
    pub(super) fn send_back(&mut self) {
        for live in self.groups.values().flatten() {
            live.outbox.rewind();
        }
        self.clear();
    }

    /// Ends all subscriptions.
    pub(super) fn clear(&mut self) {
        self.groups.clear();
    }

    /// Ends the subscriptions of connections that are gone.
    pub(super) fn forget_the_gone(&mut self) {
        for members in self.groups.values_mut() {
            members.retain(|live| !live.outbox.is_closed());
        }
        self.groups.retain(|_, members| !members.is_empty());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}
