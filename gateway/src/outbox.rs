//! What waits to be written to one client: bounded in bytes, filled by the hub, emptied by the connection.
//!
//! The hub never waits for a client. When a client is too slow, everything that waits is dropped and the connection
//! fetches it again from the last seq it wrote: nothing is lost, and memory stays bounded.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use axum::extract::ws::Utf8Bytes;
use futures_util::task::AtomicWaker;
use roomlog_core::{
    ids::{Count, Seq},
    session::SubIndex,
};

use crate::metrics;

/// Bytes of frames that may wait for one client. A single larger frame passes when nothing else waits. When full, all of
/// it is dropped and replayed by seq.
pub(crate) const OUTBOX_BYTES_MAX: usize = 64 << 10;

/// Bytes of signals that may wait for one client, beside the events. A single larger one passes when nothing else waits.
/// When full, all of it is dropped and the client's subscriptions to signals begin anew.
const SIGNALS_BYTES_MAX: usize = 32 << 10;

/// A queue's memory is given back when it grew beyond this many entries.
const SPARE_ENTRIES_MAX: usize = 64;

/// One MESSAGE for one subscription.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    /// Whose it is.
    pub(crate) index: SubIndex,
    /// Its place, by which the connection sees that nothing is missing; the MESSAGE's rank for a signal.
    pub(crate) seq: Seq,
    /// The room's count there; nothing for a signal.
    pub(crate) count: Count,
    /// The whole frame, shared with all who get the same bytes.
    pub(crate) frame: Utf8Bytes,
}

/// What the connection finds in its outbox.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// What is next.
    Deliveries,
    /// Everything was dropped: each subscription goes on from the last seq it wrote.
    Overflow,
    /// Signals were dropped: the subscriptions to signals begin anew.
    Lapse,
    /// The user signed out: nothing more is for this client.
    SignedOut,
}

/// The queue between the hub and one connection.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    waker: AtomicWaker,
}

#[derive(Debug, Default)]
struct Queue {
    deliveries: VecDeque<Delivery>,
    bytes: usize,
    signals: VecDeque<Delivery>,
    signals_bytes: usize,
    /// Signals were dropped; none are taken until the connection has noticed.
    has_lapsed: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// Full once; takes nothing until the connection has noticed.
    Overflowed,
    /// Its user signed out; takes nothing any more.
    SignedOut,
    /// The connection is gone.
    Closed,
}

// === impl Outbox ===

impl Outbox {
    /// Queues a delivery, or drops everything where it does not fit. Never waits. `false` once it takes nothing: the
    /// subscription is not live any more until the connection asks again. Who pushes to many tells
    /// [`metrics::queued`] once for all that were taken.
    pub(crate) fn push(&self, delivery: Delivery) -> bool {
        let mut queue = self.lock();
        if queue.state != State::Open {
            return false;
        }
        let bytes = queue.bytes + delivery.frame.len();
        let fits = bytes <= OUTBOX_BYTES_MAX || queue.deliveries.is_empty();
        if fits {
            queue.bytes = bytes;
            queue.deliveries.push_back(delivery);
            if queue.deliveries.len() > 1 {
                // The connection was woken for the first and has not come yet.
                return true;
            }
        } else {
            queue.empty(State::Overflowed);
        }
        drop(queue);
        self.waker.wake();
        fits
    }

    /// Queues a signal, or drops all of them where it does not fit. Never waits. `false` once it takes none: the
    /// subscription is over until the connection begins it anew.
    pub(crate) fn push_signal(&self, delivery: Delivery) -> bool {
        let mut queue = self.lock();
        if queue.has_lapsed || queue.state == State::Closed {
            return false;
        }
        let bytes = queue.signals_bytes + delivery.frame.len();
        let fits = bytes <= SIGNALS_BYTES_MAX || queue.signals.is_empty();
        if fits {
            metrics::queued(delivery.frame.len());
            queue.signals_bytes = bytes;
            queue.signals.push_back(delivery);
        } else {
            queue.drop_signals();
            queue.has_lapsed = true;
        }
        drop(queue);
        self.waker.wake();
        fits
    }

    /// Moves what waits to `into`, signals after events; pending while nothing does.
    pub(crate) fn poll_take(
        &self,
        cx: &mut Context<'_>,
        into: &mut VecDeque<Delivery>,
    ) -> Poll<Taken> {
        self.waker.register(cx.waker());
        let mut queue = self.lock();
        if queue.state == State::Overflowed {
            queue.state = State::Open;
            return Poll::Ready(Taken::Overflow);
        }
        if queue.state == State::SignedOut {
            queue.state = State::Closed;
            return Poll::Ready(Taken::SignedOut);
        }
        if queue.deliveries.is_empty() && queue.signals.is_empty() {
            return match std::mem::take(&mut queue.has_lapsed) {
                true => Poll::Ready(Taken::Lapse),
                false => Poll::Pending,
            };
        }
        metrics::unqueued(std::mem::take(&mut queue.bytes));
        into.append(&mut queue.deliveries);
        into.append(&mut queue.signals);
        queue.drop_signals();
        queue.deliveries.shrink_to(SPARE_ENTRIES_MAX);
        Poll::Ready(Taken::Deliveries)
    }

    /// Drops what waits and has the connection say goodbye.
    pub(crate) fn sign_out(&self) {
        let mut queue = self.lock();
        if queue.state != State::Closed {
            queue.empty(State::SignedOut);
            queue.drop_signals();
        }
        drop(queue);
        self.waker.wake();
    }

    #[cfg(test)]
    pub(crate) fn is_signed_out(&self) -> bool {
        self.lock().state == State::SignedOut
    }

    /// Takes what waits, as a connection does.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> VecDeque<Delivery> {
        let mut into = VecDeque::new();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let _ = self.poll_take(&mut cx, &mut into);
        into
    }

    /// Drops what waits: each subscription goes on from the last seq that was written.
    pub(crate) fn rewind(&self) {
        let mut queue = self.lock();
        if queue.state == State::Open {
            queue.empty(State::Overflowed);
        }
        drop(queue);
        self.waker.wake();
    }

    /// Drops the signals that wait: the subscriptions to signals begin anew.
    pub(crate) fn lapse(&self) {
        let mut queue = self.lock();
        if queue.state != State::Closed {
            queue.drop_signals();
            queue.has_lapsed = true;
        }
        drop(queue);
        self.waker.wake();
    }

    /// Drops what waits and takes nothing more.
    pub(crate) fn close(&self) {
        let mut queue = self.lock();
        queue.empty(State::Closed);
        queue.drop_signals();
    }

    /// Whether the connection is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().state == State::Closed
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Queue ===

impl Queue {
    fn empty(&mut self, state: State) {
        self.deliveries = VecDeque::new();
        metrics::unqueued(std::mem::take(&mut self.bytes));
        self.state = state;
    }

    fn drop_signals(&mut self) {
        self.signals = VecDeque::new();
        metrics::unqueued(std::mem::take(&mut self.signals_bytes));
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn delivery(seq: u64, bytes: usize) -> Delivery {
        Delivery {
            index: SubIndex(0),
            seq: Seq(seq),
            count: Count(seq),
            frame: "x".repeat(bytes).into(),
        }
    }

    fn take(outbox: &Outbox) -> Poll<(Taken, Vec<u64>)> {
        let mut into = VecDeque::new();
        outbox
            .poll_take(&mut Context::from_waker(Waker::noop()), &mut into)
            .map(|taken| (taken, into.iter().map(|delivery| delivery.seq.0).collect()))
    }

    #[test]
    fn gives_out_in_order_what_was_put_in() {
        let outbox = Outbox::default();
        assert_eq!(take(&outbox), Poll::Pending);
        for seq in 1..=3 {
            assert!(outbox.push(delivery(seq, 10)));
        }
        assert_eq!(
            take(&outbox),
            Poll::Ready((Taken::Deliveries, vec![1, 2, 3]))
        );
        assert_eq!(take(&outbox), Poll::Pending);
    }

    #[test]
    fn drops_everything_when_full_and_says_so_once() {
        let outbox = Outbox::default();
        for seq in 1..=4 {
            assert!(outbox.push(delivery(seq, OUTBOX_BYTES_MAX / 4)));
        }
        assert!(!outbox.push(delivery(5, 1)));
        assert!(!outbox.push(delivery(6, 1)));
        assert_eq!(take(&outbox), Poll::Ready((Taken::Overflow, vec![])));
        assert_eq!(take(&outbox), Poll::Pending);
        assert!(outbox.push(delivery(7, 1)));
        assert_eq!(take(&outbox), Poll::Ready((Taken::Deliveries, vec![7])));
    }

    #[test]
    fn signals_come_after_events_and_lapse_by_themselves() {
        let outbox = Outbox::default();
        assert!(outbox.push_signal(delivery(1, SIGNALS_BYTES_MAX)));
        assert!(outbox.push(delivery(7, 1)));
        assert_eq!(take(&outbox), Poll::Ready((Taken::Deliveries, vec![7, 1])));
        assert!(outbox.push_signal(delivery(2, SIGNALS_BYTES_MAX)));
        assert!(!outbox.push_signal(delivery(3, 1)));
        assert!(!outbox.push_signal(delivery(4, 1)));
        assert!(outbox.push(delivery(8, 1)));
        assert_eq!(take(&outbox), Poll::Ready((Taken::Deliveries, vec![8])));
        assert_eq!(take(&outbox), Poll::Ready((Taken::Lapse, vec![])));
        assert_eq!(take(&outbox), Poll::Pending);
        assert!(outbox.push_signal(delivery(5, 1)));
    }

    #[test]
    fn lets_a_single_large_frame_through() {
        let outbox = Outbox::default();
        assert!(outbox.push(delivery(1, OUTBOX_BYTES_MAX + 1)));
        assert_eq!(take(&outbox), Poll::Ready((Taken::Deliveries, vec![1])));
    }

    #[test]
    fn says_once_that_its_user_signed_out() {
        let outbox = Outbox::default();
        assert!(outbox.push(delivery(1, 1)));
        outbox.sign_out();
        assert!(!outbox.push(delivery(2, 1)));
        assert_eq!(take(&outbox), Poll::Ready((Taken::SignedOut, vec![])));
        assert_eq!(take(&outbox), Poll::Pending);
    }

    #[test]
    fn holds_nothing_for_a_connection_that_is_gone() {
        let outbox = Outbox::default();
        assert!(outbox.push(delivery(1, 1)));
        outbox.close();
        assert!(!outbox.push(delivery(2, 1)));
        assert!(outbox.is_closed());
        assert_eq!(take(&outbox), Poll::Pending);
    }
}
