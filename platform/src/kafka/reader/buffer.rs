//! What was fetched of one partition and not yet taken.

use std::{collections::VecDeque, sync::Mutex};

use tokio::sync::Notify;

use super::{Batch, ReadError};
use crate::kafka::LogRecord;

/// Bytes at which the partition is paused. With the client's own prefetch this bounds what a backlog can occupy.
const BYTES_MAX: usize = 1 << 20;
/// Records at which the partition is paused.
const RECORDS_MAX: usize = 4096;
/// The partition goes on when what is left is at most this part of either bound. Large enough to last until the next
/// fetch, which a broker may hold a tenth of a second; small enough that pauses, which throw away what the client had
/// fetched ahead, are rare.
const RESUME_DIVISOR: usize = 2;

/// One partition's buffer, shared by the task that fills it and the stream that empties it.
pub(super) struct Buffer {
    pub(super) partition: u32,
    state: Mutex<State>,
    readable: Notify,
}

struct State {
    records: VecDeque<LogRecord>,
    bytes: usize,
    /// The offset after the last record pushed.
    next_offset: i64,
    /// Whether the log held nothing further after the last record pushed.
    at_end: bool,
    /// Whether the stream was not told of that yet.
    end_is_news: bool,
    /// Where offsets were found missing once; missing again they are truly not there.
    hole_at: Option<i64>,
    failure: Option<ReadError>,
    paused: bool,
    closed: bool,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Push {
    /// It is in the buffer.
    Taken,
    /// It is in the buffer, which is full: pause the partition. Said once until it is resumed.
    Full,
    /// It was here before.
    Repeated,
    /// Offsets before it are missing. It was not taken: fetch again from the buffer's next offset.
    Hole,
}

// === impl Buffer ===

impl Buffer {
    pub(super) fn new(partition: u32, from_offset: i64) -> Self {
        let state = State {
            records: VecDeque::new(),
            bytes: 0,
            next_offset: from_offset,
            at_end: false,
            end_is_news: false,
            hole_at: None,
            failure: None,
            paused: false,
            closed: false,
        };
        Self {
            partition,
            state: Mutex::new(state),
            readable: Notify::new(),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    pub(super) async fn readable(&self) {
        self.readable.notified().await;
    }

    /// Puts a record at the end.
    pub(super) fn push(&self, record: LogRecord) -> Push {
        let mut state = self.state();
        let was_empty = state.records.is_empty();
        let push = state.push(record);
        drop(state);
        if was_empty && matches!(push, Push::Taken | Push::Full) {
            self.readable.notify_one();
        }
        push
    }

    /// The log holds nothing further for now.
    pub(super) fn reached_end(&self) {
        let mut state = self.state();
        state.at_end = true;
        state.end_is_news = true;
        drop(state);
        self.readable.notify_one();
    }

    /// Nothing more will come.
    pub(super) fn fail(&self, error: ReadError) {
        self.state().failure.get_or_insert(error);
        self.readable.notify_one();
    }

    /// At most `max` records, or news without a record; `None` when there is nothing yet.
    pub(super) fn take(&self, max: usize) -> Option<Result<Batch, ReadError>> {
        self.state().take(max)
    }

    /// Whether the stream has taken so much that a paused partition should go on.
    pub(super) fn wants_resume(&self) -> bool {
        let state = self.state();
        state.paused && state.is_low()
    }

    pub(super) fn is_paused(&self) -> bool {
        self.state().paused
    }

    /// The partition goes on.
    pub(super) fn resumed(&self) {
        self.state().paused = false;
    }

    /// The stream is gone.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.records = VecDeque::new();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    pub(super) fn is_failed(&self) -> bool {
        self.state().failure.is_some()
    }

    /// Where the client should fetch next.
    pub(super) fn next_offset(&self) -> i64 {
        self.state().next_offset
    }
}

// === impl State ===

impl State {
    fn push(&mut self, record: LogRecord) -> Push {
        if record.offset < self.next_offset || self.closed {
            return Push::Repeated;
        }
        if record.offset > self.next_offset && self.hole_at != Some(self.next_offset) {
            self.hole_at = Some(self.next_offset);
            return Push::Hole;
        }
        self.next_offset = record.offset + 1;
        self.at_end = false;
        self.end_is_news = false;
        self.bytes += record.size_bytes();
        self.records.push_back(record);
        if !self.paused && (self.bytes >= BYTES_MAX || self.records.len() >= RECORDS_MAX) {
            self.paused = true;
            return Push::Full;
        }
        Push::Taken
    }

    fn take(&mut self, max: usize) -> Option<Result<Batch, ReadError>> {
        if self.records.is_empty() {
            if let Some(failure) = &self.failure {
                return Some(Err(failure.clone()));
            }
            if !self.end_is_news {
                return None;
            }
        }
        let taken = max
            .clamp(1, self.records.len().max(1))
            .min(self.records.len());
        let records: Vec<LogRecord> = self.records.drain(..taken).collect();
        self.bytes -= records.iter().map(LogRecord::size_bytes).sum::<usize>();
        let caught_up = self.records.is_empty() && self.at_end;
        if caught_up {
            self.end_is_news = false;
        }
        Some(Ok(Batch {
            next_offset: match self.records.front() {
                Some(first) => first.offset,
                None => self.next_offset,
            },
            records,
            caught_up,
        }))
    }

    fn is_low(&self) -> bool {
        self.bytes <= BYTES_MAX / RESUME_DIVISOR
            && self.records.len() <= RECORDS_MAX / RESUME_DIVISOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset: i64, value_bytes: usize) -> LogRecord {
        LogRecord::new(
            (0, offset),
            0,
            b"room",
            &vec![0; value_bytes],
            std::iter::empty(),
        )
    }

    fn offsets(batch: &Batch) -> Vec<i64> {
        batch.records.iter().map(|record| record.offset).collect()
    }

    fn taken(buffer: &Buffer, max: usize) -> Batch {
        buffer
            .take(max)
            .expect("something is there")
            .expect("and no error")
    }

    #[test]
    fn gives_records_in_order_and_says_when_it_caught_up() {
        let buffer = Buffer::new(0, 5);
        assert_eq!(buffer.take(10), None);
        for offset in 5..8 {
            assert_eq!(buffer.push(record(offset, 1)), Push::Taken);
        }
        buffer.reached_end();
        let first = taken(&buffer, 2);
        assert_eq!(
            (offsets(&first), first.next_offset, first.caught_up),
            (vec![5, 6], 7, false)
        );
        let second = taken(&buffer, 2);
        assert_eq!(
            (offsets(&second), second.next_offset, second.caught_up),
            (vec![7], 8, true)
        );
        assert_eq!(buffer.take(2), None);
    }

    #[test]
    fn being_at_the_end_is_news_without_a_record() {
        let buffer = Buffer::new(0, 5);
        buffer.reached_end();
        let news = taken(&buffer, 1);
        assert_eq!(
            (news.records.len(), news.next_offset, news.caught_up),
            (0, 5, true)
        );
        assert_eq!(buffer.take(1), None);
    }

    #[test]
    fn a_full_buffer_pauses_once_and_goes_on_when_low() {
        let buffer = Buffer::new(0, 0);
        let full = (0..)
            .find(|&offset| buffer.push(record(offset, 1 << 16)) == Push::Full)
            .expect("a bound");
        assert_eq!(buffer.push(record(full + 1, 1)), Push::Taken);
        assert!(!buffer.wants_resume());
        taken(&buffer, 1);
        assert!(!buffer.wants_resume());
        taken(&buffer, usize::MAX);
        assert!(buffer.wants_resume());
        buffer.resumed();
        assert!(!buffer.wants_resume());
    }

    #[test]
    fn many_small_records_fill_it_too() {
        let buffer = Buffer::new(0, 0);
        let full = (0..).find(|&offset| buffer.push(record(offset, 1)) == Push::Full);
        assert!(full.is_some_and(|offset| offset < RECORDS_MAX as i64));
    }

    #[test]
    fn a_repeat_is_dropped_and_a_hole_fetched_again_once() {
        let buffer = Buffer::new(0, 5);
        assert_eq!(buffer.push(record(4, 1)), Push::Repeated);
        assert_eq!(buffer.push(record(7, 1)), Push::Hole);
        assert_eq!(buffer.next_offset(), 5);
        // A transaction's marker took the offset: missing again, it is truly not there.
        assert_eq!(buffer.push(record(7, 1)), Push::Taken);
        assert_eq!(buffer.push(record(9, 1)), Push::Hole);
    }

    #[test]
    fn an_error_comes_after_the_records_before_it_and_stays() {
        let buffer = Buffer::new(0, 0);
        buffer.push(record(0, 1));
        buffer.fail(ReadError::Fatal("first".into()));
        buffer.fail(ReadError::Fatal("second".into()));
        assert_eq!(offsets(&taken(&buffer, 9)), [0]);
        for _ in 0..2 {
            assert_eq!(buffer.take(9), Some(Err(ReadError::Fatal("first".into()))));
        }
    }
}
