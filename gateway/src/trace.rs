//! When the recent messages of this gateway passed each station, for `roomlog trace`.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use roomlog_core::ids::{MessageId, RoomKey, Seq, UserId};
use roomlog_platform::{kafka::Appended, stored_event::StoredEvent};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{clock, metrics};

/// Messages remembered; the oldest are forgotten first. Enough to look at what one has just sent.
const TRACES_MAX: usize = 4_096;

/// One message's way, in milliseconds since the Unix epoch.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Trace {
    pub(crate) id: String,
    pub(crate) room: String,
    #[serde(skip)]
    pub(crate) sender: UserId,
    /// Taken by this gateway.
    pub(crate) accepted_ms: u64,
    /// Acknowledged by the log.
    pub(crate) acknowledged_ms: Option<u64>,
    pub(crate) partition: Option<u32>,
    pub(crate) offset: Option<i64>,
    /// Came numbered to this gateway, from the first fanout that sent it.
    pub(crate) fanned_out_ms: Option<u64>,
    pub(crate) seq: Option<u64>,
    /// Put into the outboxes of all its subscribers here; none where nobody here subscribes.
    pub(crate) delivered_ms: Option<u64>,
}

/// The recent messages.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    traces: HashMap<String, Trace>,
    order: VecDeque<String>,
}

// === impl Traces ===

impl Traces {
    /// Begins with a message that is on its way to the log.
    pub(crate) fn accepted(&self, room: &RoomKey, sender: &UserId, id: &MessageId) {
        let trace = Trace {
            id: id.as_str().to_owned(),
            room: room.as_str().to_owned(),
            sender: sender.clone(),
            accepted_ms: clock::unix_ms(),
            acknowledged_ms: None,
            partition: None,
            offset: None,
            fanned_out_ms: None,
            seq: None,
            delivered_ms: None,
        };
        let mut table = self.lock();
        let known = table.traces.get(id.as_str());
        if known.is_some_and(|known| known.room == trace.room && known.sender == trace.sender) {
            // A retry is the same message.
            return;
        }
        if table.traces.insert(trace.id.clone(), trace).is_none() {
            table.order.push_back(id.as_str().to_owned());
        }
        while table.order.len() > TRACES_MAX {
            if let Some(oldest) = table.order.pop_front() {
                table.traces.remove(&oldest);
            }
        }
    }

    pub(crate) fn acknowledged(&self, id: &MessageId, place: Appended) {
        let mut table = self.lock();
        let trace = table.traces.get_mut(id.as_str());
        if let Some(trace) = trace.filter(|trace| trace.acknowledged_ms.is_none()) {
            trace.acknowledged_ms = Some(clock::unix_ms());
            trace.partition = Some(place.partition);
            trace.offset = Some(place.offset);
        }
    }

    /// A fanout sent these events; they may still wait for their shards, and for events before them.
    pub(crate) fn arrived(&self, events: &[StoredEvent]) {
        let mut table = self.lock();
        for event in events {
            let trace = table.of_room(&event.key, &event.id);
            if let Some(trace) = trace.filter(|trace| trace.fanned_out_ms.is_none()) {
                trace.fanned_out_ms = Some(clock::unix_ms());
            }
        }
    }

    /// The event went to so many subscribers.
    pub(crate) fn shown(&self, room: &RoomKey, id: &str, seq: Seq, deliveries: u64) {
        let mut table = self.lock();
        let trace = table.of_room(room, id);
        if let Some(trace) = trace.filter(|trace| trace.seq.is_none()) {
            let now_ms = clock::unix_ms();
            // One that was asked for, to fill a hole, was sent by nobody.
            trace.fanned_out_ms.get_or_insert(now_ms);
            trace.seq = Some(seq.0);
            if deliveries > 0 {
                trace.delivered_ms = Some(now_ms);
                metrics::end_to_end(now_ms.saturating_sub(trace.accepted_ms));
            }
        }
    }

    /// A message's way so far.
    pub(crate) fn of(&self, id: &str) -> Option<Trace> {
        self.lock().traces.get(id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Table ===

impl Table {
    fn of_room(&mut self, room: &RoomKey, id: &str) -> Option<&mut Trace> {
        let trace = self.traces.get_mut(id);
        trace.filter(|trace| trace.room == room.as_str())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bytes::Bytes;
    use roomlog_core::{event::Kind, ids::Count};

    use super::*;

    #[test]
    fn remembers_the_recent_ones_only() {
        let traces = Traces::default();
        let (room, user) = (RoomKey::parse("r").unwrap(), UserId::parse("u").unwrap());
        for number in 0..TRACES_MAX + 10 {
            traces.accepted(
                &room,
                &user,
                &MessageId::parse(&number.to_string()).unwrap(),
            );
        }
        assert!(traces.of("9").is_none());
        traces.shown(&room, "10", Seq(3), 0);
        let trace = traces.of("10").unwrap();
        assert_eq!((trace.seq, trace.delivered_ms), (Some(3), None));
        assert!(trace.fanned_out_ms.is_some());
    }

    #[test]
    fn an_event_is_fanned_out_when_it_comes_first_and_delivered_when_it_is_shown() {
        let traces = Traces::default();
        let (room, user) = (RoomKey::parse("r").unwrap(), UserId::parse("u").unwrap());
        traces.accepted(&room, &user, &MessageId::parse("m").unwrap());
        let event = |key: &str| StoredEvent {
            key: RoomKey::parse(key).unwrap(),
            seq: Seq(3),
            count: Count(3),
            at_ms: 1,
            partition: 0,
            offset: 9,
            id: "m".into(),
            sender: "u".into(),
            kind: Kind::Message,
            traceparent: None,
            value: Bytes::new(),
        };
        traces.arrived(&[event("elsewhere")]);
        assert_eq!(traces.of("m").unwrap().fanned_out_ms, None);
        traces.arrived(&[event("r")]);
        let arrived = traces.of("m").unwrap();
        assert!(arrived.fanned_out_ms.is_some());
        assert_eq!((arrived.seq, arrived.delivered_ms), (None, None));
        traces.lock().traces.get_mut("m").unwrap().fanned_out_ms = Some(7);
        traces.arrived(&[event("r")]);
        traces.shown(&room, "m", Seq(3), 2);
        let shown = traces.of("m").unwrap();
        assert_eq!((shown.fanned_out_ms, shown.seq), (Some(7), Some(3)));
        assert!(shown.delivered_ms.is_some_and(|at_ms| at_ms > 7));
    }
}
