//! A stretch of one partition's log: batches one after another, in a file or in memory, with a sparse index.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::batch::{self, HEADER_BYTES, Header};
use super::files::sync_parent;

/// One index entry per this many bytes: a look-up scans at most as much.
const INDEX_INTERVAL_BYTES: u64 = 4096;

/// How the files of segments end.
const EXTENSION: &str = "log";

/// A run of batches without gaps in it.
pub(super) struct Segment {
    /// Offset of the first record it holds or will hold.
    base_offset: i64,
    /// Bytes of whole, intact batches.
    bytes: u64,
    /// The greatest timestamp in it, `i64::MIN` while it is empty.
    max_timestamp: i64,
    store: Store,
    /// Ascending in offset and position.
    index: Vec<Mark>,
}

enum Store {
    File { file: Arc<File>, path: PathBuf },
    Memory(Vec<u8>),
}

/// Where a batch starts, and the greatest timestamp from there to the next mark.
struct Mark {
    offset: i64,
    position: u64,
    max_timestamp: i64,
}

// === impl Segment ===

impl Segment {
    /// An empty segment; with a directory, its file is made durable before anything is written to it.
    pub(super) fn create(dir: Option<&Path>, base_offset: i64) -> io::Result<Segment> {
        let store = match dir {
            None => Store::Memory(Vec::new()),
            Some(dir) => {
                let path = dir.join(format!("{base_offset:020}.{EXTENSION}"));
                let file = open_file(&path)?;
                file.set_len(0)?;
                sync_parent(&path)?;
                Store::File {
                    file: Arc::new(file),
                    path,
                }
            }
        };
        Ok(Segment::over(store, base_offset))
    }

    /// Opens a segment's file; `visit` sees the header of each intact batch in order.
    /// The file ends at the first byte that is not part of one: what a killed process was writing goes.
    pub(super) fn open(path: &Path, mut visit: impl FnMut(&Header)) -> io::Result<Segment> {
        let base_offset = base_offset_of(path)
            .ok_or_else(|| io::Error::other("the name of a segment is not an offset"))?;
        let file = open_file(path)?;
        let length = file.metadata()?.len();
        let store = Store::File {
            file: Arc::new(file),
            path: path.into(),
        };
        let mut segment = Segment::over(store, base_offset);
        let mut next_offset = base_offset;
        while let Some(header) = segment.intact_batch_at(segment.bytes, length)? {
            if header.base_offset < next_offset {
                break;
            }
            next_offset = header.last_offset().saturating_add(1);
            visit(&header);
            segment.note(&header);
        }
        if segment.bytes < length {
            tracing::warn!(
                path = %path.display(),
                bytes = length - segment.bytes,
                "cut an unfinished write off the log"
            );
            segment.cut()?;
        }
        Ok(segment)
    }

    /// The segment files of a directory in the order of their offsets.
    pub(super) fn files_in(dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if base_offset_of(&path).is_some() {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    fn over(store: Store, base_offset: i64) -> Segment {
        Segment {
            base_offset,
            bytes: 0,
            max_timestamp: i64::MIN,
            store,
            index: Vec::new(),
        }
    }

    pub(super) fn base_offset(&self) -> i64 {
        self.base_offset
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn max_timestamp(&self) -> i64 {
        self.max_timestamp
    }

    /// The file to flush before what was appended may be acknowledged.
    pub(super) fn file(&self) -> Option<Arc<File>> {
        match &self.store {
            Store::File { file, .. } => Some(Arc::clone(file)),
            Store::Memory(_) => None,
        }
    }

    /// Adds one batch. After an error [`cut`](Self::cut) takes the segment back to what it was before.
    pub(super) fn append(&mut self, header: &Header, batch: &[u8]) -> io::Result<()> {
        match &mut self.store {
            Store::Memory(bytes) => bytes.extend_from_slice(batch),
            Store::File { file, .. } => {
                let mut file: &File = file;
                file.write_all(batch)?;
            }
        }
        self.note(header);
        Ok(())
    }

    /// Whole batches from the one that holds `offset`, or the next one, up to about `bytes_max` and before `end`; at least one.
    pub(super) fn read(&self, offset: i64, end: i64, bytes_max: usize) -> io::Result<Bytes> {
        let Some(start) = self.position_of(offset)? else {
            return Ok(Bytes::new());
        };
        let first = self.header_at(start)?;
        let bytes = self.bytes_at(start, bytes_max.max(first.bytes))?;
        let mut whole = 0;
        while let Some(header) = Header::read(&bytes[whole..]) {
            if whole + header.bytes > bytes.len() || header.last_offset() >= end {
                break;
            }
            whole += header.bytes;
        }
        Ok(bytes.slice(..whole))
    }

    /// Offset and timestamp of the first record not older than `timestamp`.
    pub(super) fn first_not_before(&self, timestamp: i64) -> io::Result<Option<(i64, i64)>> {
        if self.max_timestamp < timestamp {
            return Ok(None);
        }
        for (index, mark) in self.index.iter().enumerate() {
            if mark.max_timestamp < timestamp {
                continue;
            }
            let end = self
                .index
                .get(index + 1)
                .map_or(self.bytes, |next| next.position);
            let length = usize::try_from(end - mark.position).map_err(io::Error::other)?;
            let bytes = self.bytes_at(mark.position, length)?;
            let mut rest = &bytes[..];
            while let Some(header) = Header::read(rest) {
                if let Some(found) = batch::first_not_before(&header, rest, timestamp) {
                    return Ok(Some(found));
                }
                rest = rest.get(header.bytes..).unwrap_or_default();
            }
        }
        Ok(None)
    }

    /// Deletes the segment and its file.
    pub(super) fn remove(self) -> io::Result<()> {
        match self.store {
            Store::Memory(_) => Ok(()),
            Store::File { path, .. } => fs::remove_file(path),
        }
    }

    /// Position of the first batch that ends at or after `offset`.
    fn position_of(&self, offset: i64) -> io::Result<Option<u64>> {
        let after = self.index.partition_point(|mark| mark.offset <= offset);
        let Some(mark) = self.index.get(after.saturating_sub(1)) else {
            return Ok(None);
        };
        let mut position = mark.position;
        while position < self.bytes {
            let header = self.header_at(position)?;
            if header.last_offset() >= offset {
                return Ok(Some(position));
            }
            position += header.bytes as u64;
        }
        Ok(None)
    }

    fn header_at(&self, position: u64) -> io::Result<Header> {
        let bytes = self.bytes_at(position, HEADER_BYTES)?;
        Header::read(&bytes).ok_or_else(|| io::Error::other("a stored batch is damaged"))
    }

    /// Up to `length` bytes of intact batches.
    fn bytes_at(&self, position: u64, length: usize) -> io::Result<Bytes> {
        let left = usize::try_from(self.bytes.saturating_sub(position)).unwrap_or(usize::MAX);
        self.raw_bytes_at(position, length.min(left))
    }

    fn raw_bytes_at(&self, position: u64, length: usize) -> io::Result<Bytes> {
        match &self.store {
            Store::Memory(bytes) => {
                let start = usize::try_from(position).map_err(io::Error::other)?;
                Ok(Bytes::copy_from_slice(&bytes[start..start + length]))
            }
            Store::File { file, .. } => {
                let mut bytes = vec![0; length];
                read_exact_at(file, &mut bytes, position)?;
                Ok(bytes.into())
            }
        }
    }

    /// The header of the batch at `position` of a file of `length` bytes, when all of it is there and sound.
    fn intact_batch_at(&self, position: u64, length: u64) -> io::Result<Option<Header>> {
        let left = length.saturating_sub(position);
        if left < HEADER_BYTES as u64 {
            return Ok(None);
        }
        let Some(header) = Header::read(&self.raw_bytes_at(position, HEADER_BYTES)?) else {
            return Ok(None);
        };
        if header.bytes as u64 > left {
            return Ok(None);
        }
        let batch = self.raw_bytes_at(position, header.bytes)?;
        Ok(batch::is_intact(&header, &batch).then_some(header))
    }

    /// Takes a batch that has just been written at the end into the books.
    fn note(&mut self, header: &Header) {
        let last = self.index.last();
        if last.is_none_or(|mark| self.bytes - mark.position >= INDEX_INTERVAL_BYTES) {
            self.index.push(Mark {
                offset: header.base_offset,
                position: self.bytes,
                max_timestamp: i64::MIN,
            });
        }
        if let Some(mark) = self.index.last_mut() {
            mark.max_timestamp = mark.max_timestamp.max(header.max_timestamp);
        }
        self.max_timestamp = self.max_timestamp.max(header.max_timestamp);
        self.bytes += header.bytes as u64;
    }

    /// Removes whatever follows the intact batches.
    pub(super) fn cut(&self) -> io::Result<()> {
        match &self.store {
            Store::Memory(_) => Ok(()),
            Store::File { file, .. } => file.set_len(self.bytes),
        }
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .open(path)
}

fn base_offset_of(path: &Path) -> Option<i64> {
    if path.extension()? != EXTENSION {
        return None;
    }
    path.file_stem()?.to_str()?.parse().ok()
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], position: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, position)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut bytes: &mut [u8], mut position: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let length = std::os::windows::fs::FileExt::seek_read(file, bytes, position)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes = &mut bytes[length..];
        position += length as u64;
    }
    Ok(())
}
