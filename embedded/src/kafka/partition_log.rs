//! One partition's log: segments, the producers it knows, what readers may see, retention and recovery.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::batch::{self, BatchError, Header};
use super::files::replace_file;
use super::producers::{Admission, Appended, Producers};
use super::segment::Segment;

/// Names the file that holds the first offset kept, when records were deleted by request.
const START_FILE: &str = "start";

/// A partition's records, their order and their age.
pub(super) struct PartitionLog {
    dir: Option<PathBuf>,
    /// Oldest first, never empty; the last one takes appends.
    segments: VecDeque<Segment>,
    segment_bytes_max: u64,
    producers: Producers,
    /// The first offset a reader may ask for.
    start: i64,
    /// The offset of the next record.
    end: i64,
    /// Readers see records below this; those from here to `end` are still being flushed.
    visible: i64,
    /// The greatest append time given so far: time never runs backwards within a partition.
    append_time: i64,
    /// Set when a write or flush has left the file in an unknown state: nothing more is taken or acknowledged.
    failed: bool,
}

/// Which clock a topic's records carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's at the append.
    LogAppendTime,
}

/// What came of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Append {
    /// It is in the log now.
    Done(Appended),
    /// It had been there before.
    Duplicate(Appended),
    /// The producer's sequence has a gap before it.
    OutOfOrder,
    /// The producer has been replaced.
    StaleEpoch,
}

/// Why a batch did not get into the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum AppendError {
    /// The batch itself is at fault.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The disk is.
    #[error("cannot write the log")]
    Storage(#[from] io::Error),
}

/// How much is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Retention {
    /// Bytes kept; the oldest segments beyond go.
    pub(super) bytes_max: Option<u64>,
    /// Records all older than this go, milliseconds of the records' own clock.
    pub(super) age_ms_max: Option<i64>,
}

// === impl PartitionLog ===

impl PartitionLog {
    /// Opens or creates the log in `dir`, or an empty one in memory.
    pub(super) fn open(dir: Option<&Path>, segment_bytes_max: u64) -> io::Result<PartitionLog> {
        let mut log = PartitionLog {
            dir: dir.map(Into::into),
            segments: VecDeque::new(),
            segment_bytes_max,
            producers: Producers::default(),
            start: 0,
            end: 0,
            visible: 0,
            append_time: i64::MIN,
            failed: false,
        };
        if let Some(dir) = dir {
            fs::create_dir_all(dir)?;
            log.recover(dir)?;
        }
        if log.segments.is_empty() {
            log.roll()?;
        }
        Ok(log)
    }

    fn recover(&mut self, dir: &Path) -> io::Result<()> {
        for path in Segment::files_in(dir)? {
            let segment = Segment::open(&path, |header| {
                self.producers.remember(header);
                self.end = header.last_offset().saturating_add(1);
                self.append_time = self.append_time.max(header.max_timestamp);
            })?;
            // A rolled segment may still be empty: its name alone says how far the log had come.
            self.end = self.end.max(segment.base_offset());
            self.segments.push_back(segment);
        }
        self.visible = self.end;
        let first = self.segments.front().map_or(0, Segment::base_offset);
        let deleted = match fs::read_to_string(dir.join(START_FILE)) {
            Ok(text) => text.trim().parse().unwrap_or(0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        self.start = first.max(deleted).min(self.end);
        Ok(())
    }

    /// The first offset there is.
    pub(super) fn start(&self) -> i64 {
        self.start
    }

    /// The offset after the last record that readers may see.
    pub(super) fn high_watermark(&self) -> i64 {
        self.visible
    }

    /// Adds one batch. Readers don't see it before [`publish`](Self::publish).
    pub(super) fn append(
        &mut self,
        batch: &mut [u8],
        timestamps: TimestampType,
        now_ms: i64,
    ) -> Result<Append, AppendError> {
        let mut header = batch::validate(batch)?;
        if self.failed {
            return Err(io::Error::other("an earlier write failed").into());
        }
        match self.producers.admit(&header) {
            Admission::Append => {}
            Admission::Duplicate(first) => return Ok(Append::Duplicate(first)),
            Admission::OutOfOrder => return Ok(Append::OutOfOrder),
            Admission::StaleEpoch => return Ok(Append::StaleEpoch),
        }
        header.base_offset = self.end;
        batch::set_offset(batch, self.end);
        if timestamps == TimestampType::LogAppendTime {
            self.append_time = self.append_time.max(now_ms);
            batch::set_append_time(batch, &mut header, self.append_time);
        }
        self.write(&header, batch)?;
        self.end = header.last_offset() + 1;
        self.producers.remember(&header);
        Ok(Append::Done(Appended {
            first_sequence: header.sequence,
            last_sequence: header.last_sequence(),
            base_offset: header.base_offset,
            timestamp: header.max_timestamp,
        }))
    }

    fn write(&mut self, header: &Header, batch: &[u8]) -> io::Result<()> {
        let full = |segment: &Segment| segment.bytes() >= self.segment_bytes_max;
        if self.segments.back().is_none_or(full) {
            self.roll()?;
        }
        let segment = self.segments.back_mut().expect("rolled just above");
        let appended = segment.append(header, batch);
        if appended.is_err() {
            // A full disk passes; half a batch left in the file would hide everything after it from the next start.
            self.failed = segment.cut().is_err();
        }
        appended
    }

    /// The file to flush before what was appended may be acknowledged.
    pub(super) fn file(&self) -> Option<Arc<File>> {
        self.segments.back().and_then(Segment::file)
    }

    /// Lets readers see everything appended so far.
    pub(super) fn publish(&mut self) {
        self.visible = self.end;
    }

    /// Refuses all further appends.
    pub(super) fn fail(&mut self) {
        self.failed = true;
    }

    /// Whole batches from the one that holds `offset` on: about `bytes_max`, yet at least one if there is any.
    pub(super) fn read(&self, offset: i64, bytes_max: usize) -> io::Result<Bytes> {
        if offset >= self.visible {
            return Ok(Bytes::new());
        }
        let after = self
            .segments
            .partition_point(|segment| segment.base_offset() <= offset);
        for segment in self.segments.range(after.saturating_sub(1)..) {
            let bytes = segment.read(offset, self.visible, bytes_max)?;
            if !bytes.is_empty() {
                return Ok(bytes);
            }
        }
        Ok(Bytes::new())
    }

    /// Offset and timestamp of the first record not older than `timestamp`.
    pub(super) fn first_not_before(&self, timestamp: i64) -> io::Result<Option<(i64, i64)>> {
        for segment in &self.segments {
            let found = segment.first_not_before(timestamp)?;
            if let Some((offset, time)) = found.filter(|(offset, _)| *offset < self.visible) {
                return Ok(Some((offset.max(self.start), time)));
            }
        }
        Ok(None)
    }

    /// The greatest timestamp in the log.
    pub(super) fn max_timestamp(&self) -> Option<i64> {
        let newest = self.segments.iter().map(Segment::max_timestamp).max();
        newest.filter(|timestamp| *timestamp != i64::MIN)
    }

    /// Makes `offset` the first one there is; `None` stands for the end. Gives the first offset there is then.
    pub(super) fn delete_before(&mut self, offset: Option<i64>) -> io::Result<Option<i64>> {
        let offset = offset.unwrap_or(self.visible);
        if offset < 0 || offset > self.visible {
            return Ok(None);
        }
        if offset > self.start {
            if let Some(dir) = &self.dir {
                replace_file(&dir.join(START_FILE), offset.to_string().as_bytes())?;
            }
            self.start = offset;
            while self.segments.len() > 1 && self.segments[1].base_offset() <= offset {
                self.remove_oldest()?;
            }
        }
        Ok(Some(self.start))
    }

    /// Removes whole segments that are too old or too many.
    pub(super) fn retain(&mut self, retention: Retention, now_ms: i64) -> io::Result<()> {
        let oldest_kept = retention.age_ms_max.map(|age| now_ms.saturating_sub(age));
        let expired = |segment: &Segment| {
            segment.bytes() > 0 && oldest_kept.is_some_and(|time| segment.max_timestamp() < time)
        };
        if self.visible == self.end && self.segments.back().is_some_and(expired) {
            self.roll()?;
        }
        while self.segments.len() > 1 {
            let bytes: u64 = self.segments.iter().map(Segment::bytes).sum();
            let too_many = retention.bytes_max.is_some_and(|max| bytes > max);
            if !too_many && !self.segments.front().is_some_and(expired) {
                break;
            }
            self.remove_oldest()?;
        }
        Ok(())
    }

    fn remove_oldest(&mut self) -> io::Result<()> {
        if let Some(segment) = self.segments.pop_front() {
            segment.remove()?;
        }
        let first = self.segments.front().map_or(self.end, Segment::base_offset);
        self.start = self.start.max(first);
        Ok(())
    }

    fn roll(&mut self) -> io::Result<()> {
        let segment = Segment::create(self.dir.as_deref(), self.end)?;
        self.segments.push_back(segment);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
