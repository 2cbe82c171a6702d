//! What waits to be sent to one gateway: bounded, never waited for, complete in the end.
//!
//! A gateway that reads too slowly does not hold back the owner. When its queue is full, the events in it turn into
//! one head per room; the gateway then sees how far each room is and fetches what it lacks.

mod queue;

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use roomlog_core::ids::{Count, RoomKey, Seq};
use roomlog_platform::link::{EncodedEvent, EncodedSignal, RoomHead};
use tokio::sync::Notify;

use self::queue::Queue;
use crate::metrics;

/// Bytes of events one gateway may have waiting: some seconds of a busy gateway's traffic. Full: heads instead.
const QUEUE_BYTES_MAX: usize = 16 << 20;

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
