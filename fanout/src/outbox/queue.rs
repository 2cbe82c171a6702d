//! The queue of an outbox: what is added in any order, and what goes out together.

use std::collections::{BTreeSet, HashMap, VecDeque};

use bytes::Bytes;
use roomlog_core::{
    ids::{Count, RoomKey, Seq},
    signal::{Latest, Subject},
};
use roomlog_platform::link::{EncodedEvent, EncodedSignal, RoomHead};

use super::Sendable;

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

/// What waits, and whether anything may still come.
#[derive(Debug)]
pub(super) struct Queue {
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
    pub(super) unannounced: bool,
    pub(super) closed: bool,
}

/// What is to be said about ownership. A partition that went and came back has a new owner, to whom interest must be
/// declared again, so the gateway has to see it go even where only the outcome would be left to say.
#[derive(Debug)]
struct Ownership {
    throughout: BTreeSet<u32>,
    now: BTreeSet<u32>,
}

// === impl Queue ===

impl Queue {
    pub(super) fn bounded(bytes_max: usize) -> Self {
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

    pub(super) fn set_owned(&mut self, now: BTreeSet<u32>) {
        self.unannounced = true;
        let throughout = match self.owned.take() {
            Some(before) => before.throughout.intersection(&now).copied().collect(),
            None => now.clone(),
        };
        self.owned = Some(Ownership { throughout, now });
    }

    /// Adds an event and says how many events had to be turned into heads.
    pub(super) fn push_event(&mut self, event: &EncodedEvent) -> usize {
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

    pub(super) fn push_head(&mut self, key: &RoomKey, seq: Seq, count: Count) {
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
    pub(super) fn push_signal(&mut self, signal: &EncodedSignal) -> bool {
        if self.closed {
            return true;
        }
        self.unannounced = true;
        let (subject, rank) = (signal.signal.subject(), signal.signal.rank());
        self.signals.push(subject, rank, signal.record.clone())
    }

    pub(super) fn push_presence(&mut self, said: Bytes) {
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
    pub(super) fn take(&mut self) -> Option<Sendable> {
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
mod tests;
