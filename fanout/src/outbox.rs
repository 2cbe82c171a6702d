//! What waits to be sent to one gateway: bounded, never waited for, complete in the end.
//!
//! A gateway that reads too slowly does not hold back the owner. When its queue is full, the events in it turn into
//! one head per room; the gateway then sees how far each room is and fetches what it lacks.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use roomlog_core::{
    ids::{Count, RoomKey, Seq},
    signal::{Latest, Subject},
};
use roomlog_platform::link::{EncodedEvent, EncodedSignal, RoomHead};
use tokio::sync::Notify;

use crate::metrics;

/// Bytes of events one gateway may have waiting: some seconds of a busy gateway's traffic. Full: heads instead.
const QUEUE_BYTES_MAX: usize = 16 << 20;

/// What one event is counted as beside its record.
const EVENT_OVERHEAD_BYTES: usize = 128;

/// Bytes of events in one message: large enough to make batches cheap, small enough to leave the stream usable.
const FORWARD_BYTES_MAX: usize = 1 << 20;

/// Heads in one message: about 500 KiB.
const FORWARD_HEADS_MAX: usize = 10_000;

/// Signals that may wait for one gateway, one per subject: some 2 MiB. Full: a signal is lost.
const SIGNALS_MAX: usize = 16_384;

/// Bytes of presence one gateway may have waiting. Full: all of it is dropped and the gateway asks anew.
const PRESENCE_BYTES_MAX: usize = 4 << 20;

/// Signals in one message: some 100 KiB.
const SIGNALS_AT_ONCE: usize = 1_024;

/// The queue of one gateway's stream, filled by owners and emptied by the stream.
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    ready: Notify,
}

/// What is sent next, in this order.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Sendable {
    /// The partitions this instance states the heads of, when that changed: what was owned throughout, then what is
    /// owned now.
    pub(crate) owned: Vec<Vec<u32>>,
    /// Encoded events, each room's in order.
    pub(crate) events: Vec<Bytes>,
    /// Heads that hold after those events.
    pub(crate) heads: Vec<RoomHead>,
    /// Encoded signals, only when no event waits.
    pub(crate) signals: Vec<Bytes>,
    /// Encoded presence of rooms, each room's in order.
    pub(crate) presences: Vec<Bytes>,
    /// Presence was dropped before that.
    pub(crate) has_lapsed: bool,
}

/// The queue itself.
#[derive(Debug)]
struct Queue {
    owned: Option<Ownership>,
    events: VecDeque<EncodedEvent>,
    /// Of `events`.
    bytes: usize,
    bytes_max: usize,
    /// The highest head of each room, where one is to be sent.
    heads: HashMap<RoomKey, (Seq, Count)>,
    signals: Latest<Subject, Bytes>,
    presences: VecDeque<Bytes>,
    /// Of `presences`.
    presence_bytes: usize,
    has_lapsed: bool,
    /// Whether something was added since the stream was last woken.
    unannounced: bool,
    closed: bool,
}

/// What is to be said about ownership. A partition that went and came back has a new owner, to whom interest must be
/// declared again, so the gateway has to see it go even where only the outcome would be left to say.
#[derive(Debug)]
struct Ownership {
    throughout: BTreeSet<u32>,
    now: BTreeSet<u32>,
}

// === impl Outbox ===

impl Outbox {
    pub(crate) fn new() -> Self {
        Self {
            queue: Mutex::new(Queue::bounded(QUEUE_BYTES_MAX)),
            ready: Notify::new(),
        }
    }

    /// Adds an event. Call [`Self::wake`] after the last of a batch.
    pub(crate) fn push_event(&self, event: &EncodedEvent) {
        let turned = self.lock().push_event(event);
        if turned > 0 {
            metrics::queue_overflowed(turned);
        }
    }

    /// Adds a head. Call [`Self::wake`] after the last of a batch.
    pub(crate) fn push_head(&self, key: &RoomKey, seq: Seq, count: Count) {
        self.lock().push_head(key, seq, count);
    }

    /// Adds a signal, unless too many wait. Call [`Self::wake`] after the last of a batch.
    pub(crate) fn push_signal(&self, signal: &EncodedSignal) {
        if !self.lock().push_signal(signal) {
            metrics::signals_lost(1);
        }
    }

    /// Adds presence of a room. Call [`Self::wake`] after the last of a batch.
    pub(crate) fn push_presence(&self, said: Bytes) {
        self.lock().push_presence(said);
    }

    /// States what this instance owns.
    pub(crate) fn set_owned(&self, partitions: BTreeSet<u32>) {
        self.lock().set_owned(partitions);
        self.wake();
    }

    /// Tells the stream that there is something to send, if there is.
    pub(crate) fn wake(&self) {
        if std::mem::take(&mut self.lock().unannounced) {
            self.ready.notify_one();
        }
    }

    /// Ends the stream once everything is sent; what is added later is dropped.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Waits for something to send; `None` once it is closed and empty.
    pub(crate) async fn next(&self) -> Option<Sendable> {
        loop {
            {
                let mut queue = self.lock();
                if let Some(sendable) = queue.take() {
                    return Some(sendable);
                }
                if queue.closed {
                    return None;
                }
            }
            self.ready.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Queue ===

impl Queue {
    fn bounded(bytes_max: usize) -> Self {
        Self {
            owned: None,
            events: VecDeque::new(),
            bytes: 0,
            bytes_max,
            heads: HashMap::new(),
            signals: Latest::bounded(SIGNALS_MAX),
            presences: VecDeque::new(),
            presence_bytes: 0,
            has_lapsed: false,
            unannounced: false,
            closed: false,
        }
    }

    fn set_owned(&mut self, now: BTreeSet<u32>) {
        self.unannounced = true;
        let throughout = match self.owned.take() {
            Some(before) => before.throughout.intersection(&now).copied().collect(),
            None => now.clone(),
        };
        self.owned = Some(Ownership { throughout, now });
    }

    /// Adds an event and says how many events had to be turned into heads.
    fn push_event(&mut self, event: &EncodedEvent) -> usize {
        if self.closed {
            return 0;
        }
        self.unannounced = true;
        let bytes = cost(event);
        if self.bytes + bytes <= self.bytes_max {
            self.bytes += bytes;
            self.events.push_back(event.clone());
            return 0;
        }
        let turned = self.events.len() + 1;
        for event in std::mem::take(&mut self.events).iter().chain([event]) {
            self.push_head(&event.key, event.seq, event.count);
        }
        self.bytes = 0;
        turned
    }

    fn push_head(&mut self, key: &RoomKey, seq: Seq, count: Count) {
        if self.closed {
            return;
        }
        self.unannounced = true;
        match self.heads.get_mut(key) {
            Some(head) => *head = (*head).max((seq, count)),
            None => {
                self.heads.insert(key.clone(), (seq, count));
            }
        }
    }

    /// `false` if it was lost.
    fn push_signal(&mut self, signal: &EncodedSignal) -> bool {
        if self.closed {
            return true;
        }
        self.unannounced = true;
        self.signals
            .push(signal.signal.subject(), signal.record.clone())
    }

    fn push_presence(&mut self, said: Bytes) {
        if self.closed {
            return;
        }
        self.unannounced = true;
        self.presence_bytes += said.len();
        self.presences.push_back(said);
        if self.presence_bytes > PRESENCE_BYTES_MAX {
            self.presences = VecDeque::new();
            self.presence_bytes = 0;
            self.has_lapsed = true;
        }
    }

    fn take_presences(&mut self) -> Vec<Bytes> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while bytes < FORWARD_BYTES_MAX
            && let Some(said) = self.presences.pop_front()
        {
            bytes += said.len();
            taken.push(said);
        }
        self.presence_bytes -= bytes;
        taken
    }

    /// Takes one message's worth. Heads wait for the events before them, so that no head runs ahead of an event that
    /// is on its way.
    fn take(&mut self) -> Option<Sendable> {
        let mut sendable = Sendable {
            owned: self.take_owned(),
            ..Sendable::default()
        };
        let mut bytes = 0;
        while bytes < FORWARD_BYTES_MAX
            && let Some(event) = self.events.pop_front()
        {
            bytes += cost(&event);
            sendable.events.push(event.record);
        }
        self.bytes -= bytes;
        if self.events.is_empty() {
            let keys: Vec<_> = self.heads.keys().take(FORWARD_HEADS_MAX).cloned().collect();
            sendable.heads = keys
                .into_iter()
                .filter_map(|key| self.take_head(key))
                .collect();
            sendable.signals = self.signals.take(SIGNALS_AT_ONCE);
            sendable.has_lapsed = std::mem::take(&mut self.has_lapsed);
            sendable.presences = self.take_presences();
        }
        (sendable != Sendable::default()).then_some(sendable)
    }

    fn take_owned(&mut self) -> Vec<Vec<u32>> {
        let Some(Ownership { throughout, now }) = self.owned.take() else {
            return vec![];
        };
        let went = (throughout != now).then_some(throughout);
        let sets = went.into_iter().chain([now]);
        sets.map(|set| set.into_iter().collect()).collect()
    }

    fn take_head(&mut self, key: RoomKey) -> Option<RoomHead> {
        let (seq, count) = self.heads.remove(&key)?;
        Some(RoomHead { key, seq, count })
    }
}

fn cost(event: &EncodedEvent) -> usize {
    event.record.len() + EVENT_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use roomlog_core::{
        ids::UserId,
        signal::{Signal, Stamp, Stamped},
    };

    use super::*;

    fn event(room: u8, seq: u64) -> EncodedEvent {
        EncodedEvent {
            key: RoomKey::parse(&format!("room-{room}")).unwrap(),
            seq: Seq(seq),
            count: Count(seq),
            // A record that can be recognized: its room and seq.
            record: format!("{room} {seq}").into_bytes().into(),
        }
    }

    #[test]
    fn heads_follow_the_events_before_them() {
        let mut queue = Queue::bounded(1 << 20);
        let sent = event(1, 5);
        queue.push_event(&sent);
        queue.push_head(&sent.key, Seq(5), Count(5));
        queue.set_owned([3].into());
        let next = queue.take().unwrap();
        assert_eq!(
            (next.owned, next.events, next.heads.len()),
            (vec![vec![3]], vec![sent.record], 1)
        );
        assert_eq!(queue.take(), None);
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn a_full_queue_becomes_one_head_per_room() {
        let mut queue = Queue::bounded(3 * cost(&event(1, 1)));
        assert_eq!(
            (1..=3)
                .map(|seq| queue.push_event(&event(1, seq)))
                .sum::<usize>(),
            0
        );
        assert_eq!(queue.push_event(&event(2, 9)), 4);
        let mut next = queue.take().unwrap();
        next.heads.sort_by_key(|head| head.seq);
        assert!(next.events.is_empty());
        assert_eq!(
            next.heads.iter().map(|head| head.seq.0).collect::<Vec<_>>(),
            [3, 9]
        );
    }

    #[test]
    fn a_partition_that_came_back_is_seen_to_go() {
        let mut queue = Queue::bounded(1 << 20);
        queue.set_owned([1, 2].into());
        assert_eq!(queue.take().unwrap().owned, [vec![1, 2]]);
        for now in [vec![1], vec![1, 2], vec![1, 2, 3]] {
            queue.set_owned(now.into_iter().collect());
        }
        assert_eq!(queue.take().unwrap().owned, [vec![1], vec![1, 2, 3]]);
        queue.set_owned([].into());
        assert_eq!(queue.take().unwrap().owned, [Vec::<u32>::new()]);
    }

    #[test]
    fn signals_come_after_events_and_are_the_latest() {
        let mut queue = Queue::bounded(4 << 20);
        let typing = |counter| {
            EncodedSignal::encode(Stamped {
                key: RoomKey::parse("room").unwrap(),
                stamp: Stamp { source: 1, counter },
                signal: Signal::Typing {
                    user: UserId::parse("alice").unwrap(),
                    on: true,
                },
            })
        };
        queue.push_signal(&typing(1));
        let large = EncodedEvent {
            record: vec![0; FORWARD_BYTES_MAX].into(),
            ..event(1, 1)
        };
        for _ in 0..2 {
            queue.push_event(&large);
        }
        assert!(queue.push_signal(&typing(2)));
        assert_eq!(queue.take().unwrap().signals, Vec::<Bytes>::new());
        assert_eq!(queue.take().unwrap().signals, [typing(2).record]);
        assert_eq!(queue.take(), None);
    }

    #[test]
    fn presence_that_does_not_fit_is_asked_for_anew() {
        let mut queue = Queue::bounded(1);
        let half = Bytes::from(vec![0; PRESENCE_BYTES_MAX / 2]);
        for _ in 0..3 {
            queue.push_presence(half.clone());
        }
        queue.push_presence(Bytes::from_static(b"after"));
        let next = queue.take().unwrap();
        assert_eq!((next.has_lapsed, next.presences.len()), (true, 1));
        assert_eq!(queue.take(), None);
        assert_eq!(queue.presence_bytes, 0);
    }

    #[tokio::test]
    async fn a_closed_queue_is_emptied_and_then_ends() {
        let outbox = Outbox::new();
        outbox.push_event(&event(1, 1));
        outbox.close();
        outbox.push_event(&event(1, 2));
        assert_eq!(outbox.next().await.map(|next| next.events.len()), Some(1));
        assert_eq!(outbox.next().await, None);
    }

    proptest! {
        /// Whatever is pushed and whenever it is taken: each room's events come in order, and the last thing known of
        /// it is its true head.
        #[test]
        fn the_last_head_always_arrives(pushes in prop::collection::vec((0_u8..4, any::<bool>()), 1..200), room_for in 1_usize..20) {
            let mut queue = Queue::bounded(room_for * (EVENT_OVERHEAD_BYTES + 4));
            let mut heads = BTreeMap::<u8, u64>::new();
            let mut seen = BTreeMap::<u8, u64>::new();
            let mut look = |next: Sendable| {
                for record in next.events {
                    let text = String::from_utf8(record.to_vec()).unwrap();
                    let (room, seq) = text.split_once(' ').unwrap();
                    let (room, seq) = (room.parse().unwrap(), seq.parse().unwrap());
                    let last = seen.insert(room, seq).unwrap_or(0);
                    assert!(last < seq, "room {room}: {seq} after {last}");
                }
                for head in next.heads {
                    let room = head.key.as_str().strip_prefix("room-").unwrap().parse().unwrap();
                    let last = seen.entry(room).or_default();
                    *last = (*last).max(head.seq.0);
                }
            };
            for (room, take) in pushes {
                let head = heads.entry(room).or_default();
                *head += 1;
                queue.push_event(&event(room, *head));
                prop_assert!(queue.bytes <= queue.bytes_max);
                if take && let Some(next) = queue.take() {
                    look(next);
                }
            }
            while let Some(next) = queue.take() {
                look(next);
            }
            prop_assert_eq!(seen, heads);
        }
    }
}
