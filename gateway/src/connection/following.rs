//! How a connection's subscriptions follow their rooms: what comes by itself, what is replayed, and how one that
//! could not keep up gets back in step.

use std::{collections::VecDeque, sync::Arc};

use futures_util::FutureExt as _;
use roomlog_core::{
    code::Refusal,
    ids::{Count, Seq},
    resume::Reset,
    session::{AckMode, Done, Mark, RequestId, SubIndex},
    stomp::Provenance,
    unread::ReadPosition,
};

use super::{
    Connection, Outcome,
    subscription::{self, Batch, Begin, REPLAY_BYTES_MAX, State},
};
use crate::{
    hub::{Shown, Subscriber, reset_frame},
    metrics,
    outbox::Delivery,
};

/// Subscriptions of a connection that catch up at once; each may hold [`REPLAY_BYTES_MAX`]. The others wait their turn.
const PULLS_MAX: usize = 4;

impl Connection {
    /// Writes what the hub delivered, each subscription's events in order.
    pub(super) fn deliver(&mut self, deliveries: VecDeque<Delivery>, now_ms: u64) {
        for delivery in deliveries {
            let Some(subscription) = self.subscriptions.get_mut(&delivery.index) else {
                if let Some(delivery) = self.deliver_listing(delivery) {
                    self.deliver_signal(delivery);
                }
                continue;
            };
            if subscription.next != delivery.seq {
                subscription.miss(delivery.seq);
                continue;
            }
            subscription.next = delivery.seq.next();
            if subscription.ack != AckMode::Auto {
                self.session
                    .delivered(delivery.index, Mark::Number(delivery.seq.0));
            }
            let at = ReadPosition::at(delivery.seq, delivery.count);
            self.looking.delivered(&subscription.key, at);
            self.wire.push(delivery.frame);
        }
        self.mark_seen();
        self.session.wrote(now_ms);
    }

    /// The outbox was full and is empty now: what was dropped is fetched again, as fast as the client takes it.
    pub(super) fn fall_behind(&mut self, now_ms: u64) {
        metrics::overflow();
        for (index, subscription) in &mut self.subscriptions {
            if subscription.fall_behind() {
                self.lagging.insert(*index);
            }
        }
        if !self.lagging.is_empty() {
            self.behind_ms.get_or_insert(now_ms);
        }
    }

    /// A subscription is in step with its room again, or does not matter any more.
    pub(super) fn catches_up(&mut self, index: SubIndex) {
        self.lagging.remove(&index);
        if self.lagging.is_empty() {
            self.behind_ms = None;
        }
    }

    /// Asks for the next events of those that are behind, once what they got before has left.
    pub(super) fn pull_those_behind(&mut self) {
        if !self.wire.is_idle() {
            return;
        }
        let Some(member) = &self.member else {
            return;
        };
        let caller = &member.caller;
        let is_pulling = |state| matches!(state, State::Pulling | State::PullingStale);
        let subscriptions = self.subscriptions.values();
        let pulling = subscriptions
            .filter(|subscription| is_pulling(subscription.state))
            .count();
        let behind = self.subscriptions.iter_mut();
        let behind = behind.filter(|(_, subscription)| subscription.state == State::Behind);
        for (index, subscription) in behind.take(PULLS_MAX.saturating_sub(pulling)) {
            subscription.state = State::Pulling;
            let (gateway, caller) = (Arc::clone(&self.gateway), caller.clone());
            let (index, key, next) = (*index, subscription.key.clone(), subscription.next);
            let page_events = subscription.page_events;
            let subscriber = Subscriber {
                connection: self.id,
                index,
                user: caller.user.clone(),
                envelope: subscription.envelope.clone(),
                outbox: Arc::clone(&self.outbox),
            };
            self.doing.push(
                async move {
                    let batch =
                        subscription::pull(&gateway, &caller, &key, subscriber, next, page_events)
                            .await;
                    Outcome::Pulled(index, batch)
                }
                .boxed(),
            );
        }
    }

    pub(super) fn pulled(&mut self, index: SubIndex, batch: Result<Batch, Refusal>, now_ms: u64) {
        let Some(subscription) = self.subscriptions.get_mut(&index) else {
            return;
        };
        let is_stale = subscription.state == State::PullingStale;
        match batch {
            Ok(Batch::Events(events)) => {
                subscription.state = State::Behind;
                subscription.learn_size(&events);
                let mut bytes = 0;
                // What is left over is asked for again once this has left.
                for shown in &events {
                    if bytes >= REPLAY_BYTES_MAX {
                        break;
                    }
                    bytes += shown.bytes();
                    self.replay(index, shown);
                }
                self.mark_seen();
                self.session.wrote(now_ms);
            }
            Ok(Batch::Live) if is_stale => subscription.state = State::Behind,
            Ok(Batch::Live) => {
                subscription.state = State::Live;
                self.catches_up(index);
            }
            Ok(Batch::Ended) => {
                subscription.state = State::Ended;
                self.catches_up(index);
            }
            Ok(Batch::Trimmed(head)) => {
                subscription.state = State::Behind;
                self.begin_behind(index, head.seq, head.count, Reset::Trimmed.as_str());
            }
            // Silence would look like a quiet room.
            Err(refusal) => self.send_away(&refusal),
        }
    }

    pub(super) fn replay(&mut self, index: SubIndex, shown: &Shown) {
        let Some(subscription) = self.subscriptions.get_mut(&index) else {
            return;
        };
        if subscription.next != shown.seq {
            return;
        }
        subscription.next = shown.seq.next();
        if subscription.ack != AckMode::Auto {
            self.session.delivered(index, Mark::Number(shown.seq.0));
        }
        let at = ReadPosition::at(shown.seq, shown.count);
        self.looking.delivered(&subscription.key, at);
        self.wire
            .push(shown.sealed(&subscription.envelope, Provenance::Replay));
    }

    /// A subscription was granted or not: the RECEIPT goes out before its first MESSAGE.
    pub(super) fn begun(
        &mut self,
        index: SubIndex,
        request: RequestId,
        begun: Result<Begin, Refusal>,
        now_ms: u64,
    ) {
        self.take_its_place(index, request, begun, now_ms);
        self.starting.retain(|(starting, _)| *starting != index);
        self.let_go();
    }

    fn take_its_place(
        &mut self,
        index: SubIndex,
        request: RequestId,
        begun: Result<Begin, Refusal>,
        now_ms: u64,
    ) {
        let begin = match begun {
            Ok(begin) => begin,
            Err(refusal) => {
                self.subscriptions.remove(&index);
                return self.complete(request, Err(refusal), now_ms);
            }
        };
        let epoch = Arc::clone(&self.gateway.source.epoch);
        let done = Done::Subscribed {
            head: begin.head,
            count: begin.count,
            epoch: epoch.to_string(),
        };
        self.complete(request, Ok(done), now_ms);
        let Some(subscription) = self.subscriptions.get_mut(&index) else {
            return;
        };
        subscription.next = begin.next;
        subscription.state = State::Behind;
        if let Some(reason) = begin.reset {
            self.begin_behind(index, Seq(begin.next.0 - 1), begin.count, reason);
        }
    }

    /// Says that a subscription can't go on where its client wanted, and goes on behind the head.
    fn begin_behind(&mut self, index: SubIndex, head: Seq, count: Count, reason: &'static str) {
        let Some(subscription) = self.subscriptions.get_mut(&index) else {
            return;
        };
        subscription.next = head.next();
        if subscription.ack != AckMode::Auto {
            self.session.delivered(index, Mark::Reset(head.0));
        }
        self.wire.push(reset_frame(
            &subscription.key,
            head,
            count,
            &self.gateway.source.epoch,
            reason,
            &subscription.envelope,
        ));
    }

    /// Whether some subscription waits to ask for its next events.
    pub(super) fn is_any_behind(&self) -> bool {
        let mut subscriptions = self.subscriptions.values();
        subscriptions.any(|subscription| subscription.state == State::Behind)
    }
}
