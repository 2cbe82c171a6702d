//! What gateways ask of an owner: events and heads of the rooms they look at, who is there, and how far rooms are.

use std::{ops::RangeInclusive, sync::Arc};

use bytes::Bytes;
use roomlog_core::{
    ids::{RoomKey, Seq},
    interest::{GatewayId, Level},
    presence::Declaration,
    signal::Signal,
};
use roomlog_platform::link::{EncodedSignal, RoomInterest};

use super::{super::ANSWER_BYTES_MAX, State};
use crate::outbox::Outbox;

/// Events sent at once to a gateway that declares interest and is behind. Beyond, it gets the head and asks.
const CATCH_UP_EVENTS_MAX: u64 = 500;

/// Questions that wait for a room's row, as many as may wait for the log. Beyond, further ones are dropped, which their
/// askers see as "not available".
pub(super) const UNANSWERED_MAX: usize = 10_000;

// === impl State ===

impl State {
    /// Takes a gateway's interest and sends it what it lacks.
    pub(in super::super) fn set_interest(
        &mut self,
        gateway: GatewayId,
        outbox: Arc<Outbox>,
        rooms: Vec<RoomInterest>,
    ) {
        for room in rooms {
            self.interest.set(gateway, &room.key, room.level);
            let listens = if room.signals {
                Level::Live
            } else {
                Level::None
            };
            self.listeners.set(gateway, &room.key, listens);
            if room.signals && room.level == Level::Live {
                outbox.push_presence(self.presence.whole(&room.key));
            }
            match (room.level, self.head(&room.key)) {
                (Level::None, _) => {}
                (_, None) => self.loads.want(&room.key),
                (Level::Live, Some(head)) if self.catch_up(&outbox, &room, head.seq) => {}
                (_, Some(head)) => outbox.push_head(&head.key, head.seq, head.count),
            }
        }
        self.gateways.insert(gateway, outbox);
    }

    /// Takes gateways that were attached, whatever they will be interested in: who joins a room is news to all.
    pub(in super::super) fn meet(&mut self, gateways: Vec<(GatewayId, Arc<Outbox>)>) {
        self.gateways.extend(gateways);
    }

    /// Passes signals on to the gateways that want them.
    pub(in super::super) fn pass_on(&self, signals: &[EncodedSignal]) {
        for signal in signals {
            let key = &signal.signal.key;
            // Those who look elsewhere follow only how far is read.
            let everywhere = matches!(signal.signal.signal, Signal::Read { .. });
            let listeners = self.listeners.live(key);
            let listeners =
                listeners.filter(|id| everywhere || self.interest.level(*id, key) == Level::Live);
            for outbox in listeners.filter_map(|gateway| self.gateways.get(&gateway)) {
                outbox.push_signal(signal);
            }
        }
    }

    /// Takes how users of a gateway stand in rooms.
    pub(in super::super) fn declare(
        &mut self,
        gateway: GatewayId,
        outbox: Arc<Outbox>,
        declarations: Vec<Declaration>,
    ) {
        self.presence.declare(gateway, declarations);
        self.gateways.insert(gateway, outbox);
    }

    pub(in super::super) fn presences(&self, keys: &[RoomKey], totals_only: bool) -> Vec<Bytes> {
        let keys = keys.iter();
        keys.map(|key| match totals_only {
            true => self.presence.total(key),
            false => self.presence.whole(key),
        })
        .collect()
    }

    /// Sends the events after what a gateway has; `false` if they are too many or not all here.
    fn catch_up(&self, outbox: &Outbox, room: &RoomInterest, head: Seq) -> bool {
        let Some(missing) = room.seq.and_then(|seq| head.0.checked_sub(seq.0)) else {
            return false;
        };
        if missing == 0 || missing > CATCH_UP_EVENTS_MAX {
            return false;
        }
        let from = Seq(head.0 - missing + 1);
        let events: Vec<_> = self
            .memory
            .range(&room.key, from..=head, ANSWER_BYTES_MAX)
            .collect();
        let whole = events.len() as u64 == missing;
        if whole {
            events
                .into_iter()
                .for_each(|event| outbox.push_event(event));
        }
        whole
    }

    pub(in super::super) fn events(&self, key: &RoomKey, range: RangeInclusive<Seq>) -> Vec<Bytes> {
        let events = self.memory.range(key, range, ANSWER_BYTES_MAX);
        events.map(|event| event.record.clone()).collect()
    }

    /// Answers the questions that waited for everything before `offset` to be numbered.
    pub(in super::super) fn answer(&mut self, offset: i64) {
        for question in self.fresh.passed(offset) {
            match self.head(&question.key) {
                // Who asked may have gone, and then nobody needs the answer.
                Some(head) => drop(question.reply.send(head)),
                None if self.unanswered.len() < UNANSWERED_MAX => {
                    self.loads.want(&question.key);
                    self.unanswered.push(question);
                }
                None => {}
            }
        }
    }

    pub(super) fn answer_known(&mut self) {
        for question in std::mem::take(&mut self.unanswered) {
            match self.head(&question.key) {
                Some(head) => drop(question.reply.send(head)),
                None => self.unanswered.push(question),
            }
        }
    }
}
