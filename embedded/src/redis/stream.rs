//! Entries under ascending ids.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;

use super::reply::Failure;

/// Milliseconds and a number within them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StreamId {
    pub(super) ms: u64,
    pub(super) number: u64,
}

/// The id that an entry is to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NewId {
    /// `*`: by the clock.
    Clock,
    /// `5-*`: the next within these milliseconds.
    Within(u64),
    Exactly(StreamId),
}

/// Fields and values in turn.
pub(super) type Fields = Vec<Bytes>;

/// A stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    entries: BTreeMap<StreamId, Fields>,
    /// The greatest id ever used: new ones must be greater even if it has been deleted.
    last: StreamId,
}

/// How a stream is shortened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trim {
    /// To this many of the newest entries.
    MaxLength(usize),
    /// To the entries from this id on.
    MinId(StreamId),
}

// === impl StreamId ===

impl StreamId {
    pub(super) const MIN: StreamId = StreamId { ms: 0, number: 0 };
    pub(super) const MAX: StreamId = StreamId {
        ms: u64::MAX,
        number: u64::MAX,
    };

    /// `5-1`, or `5` with `number` for what is missing.
    pub(super) fn parse(bytes: &[u8], number: u64) -> Result<StreamId, Failure> {
        let parse = || {
            let text = std::str::from_utf8(bytes).ok()?;
            let (ms, number) = match text.split_once('-') {
                Some((ms, number)) => (ms, number.parse().ok()?),
                None => (text, number),
            };
            Some(StreamId {
                ms: ms.parse().ok()?,
                number,
            })
        };
        parse().ok_or_else(invalid_id)
    }

    pub(super) fn next(self) -> Option<StreamId> {
        match self.number.checked_add(1) {
            Some(number) => Some(StreamId { number, ..self }),
            None => Some(StreamId {
                ms: self.ms.checked_add(1)?,
                number: 0,
            }),
        }
    }

    pub(super) fn previous(self) -> Option<StreamId> {
        match self.number.checked_sub(1) {
            Some(number) => Some(StreamId { number, ..self }),
            None => Some(StreamId {
                ms: self.ms.checked_sub(1)?,
                number: u64::MAX,
            }),
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.number)
    }
}

// === impl NewId ===

impl NewId {
    pub(super) fn parse(bytes: &[u8]) -> Result<NewId, Failure> {
        if bytes == b"*" {
            return Ok(NewId::Clock);
        }
        match bytes.strip_suffix(b"-*") {
            Some(ms) => Ok(NewId::Within(StreamId::parse(ms, 0)?.ms)),
            None => Ok(NewId::Exactly(StreamId::parse(bytes, 0)?)),
        }
    }
}

// === impl Stream ===

impl Stream {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether an entry can get this id, and which that is.
    pub(super) fn next_id(&self, id: NewId, now_ms: u64) -> Result<StreamId, Failure> {
        let id = match id {
            NewId::Exactly(StreamId::MIN) => {
                return Err(Failure::new(
                    "ERR The ID specified in XADD must be greater than 0-0",
                ));
            }
            NewId::Exactly(id) => id,
            NewId::Clock if now_ms > self.last.ms => StreamId {
                ms: now_ms,
                number: 0,
            },
            NewId::Within(ms) if ms > self.last.ms => StreamId { ms, number: 0 },
            NewId::Within(ms) if ms < self.last.ms => return Err(too_small()),
            NewId::Clock | NewId::Within(_) => self.last.next().ok_or_else(too_small)?,
        };
        if id > self.last {
            Ok(id)
        } else {
            Err(too_small())
        }
    }

    /// Adds an entry under an id given by [`next_id`](Self::next_id).
    pub(super) fn add(&mut self, id: StreamId, fields: Fields) {
        self.last = id;
        self.entries.insert(id, fields);
    }

    pub(super) fn between(
        &self,
        from: StreamId,
        to: StreamId,
    ) -> impl DoubleEndedIterator<Item = (StreamId, &Fields)> {
        // The map refuses a range that ends before it starts.
        let range = self
            .entries
            .range(from..=to.max(from))
            .map(|(id, fields)| (*id, fields));
        range.filter(move |(id, _)| *id <= to)
    }

    pub(super) fn delete(&mut self, id: StreamId) -> bool {
        self.entries.remove(&id).is_some()
    }

    /// Removes the oldest entries; gives how many.
    pub(super) fn trim(&mut self, trim: Trim) -> usize {
        let before = self.entries.len();
        match trim {
            Trim::MaxLength(length) => {
                while self.entries.len() > length {
                    self.entries.pop_first();
                }
            }
            Trim::MinId(id) => self.entries = self.entries.split_off(&id),
        }
        before - self.entries.len()
    }
}

fn too_small() -> Failure {
    Failure::new("ERR The ID specified in XADD is equal or smaller than the target stream top item")
}

fn invalid_id() -> Failure {
    Failure::new("ERR Invalid stream ID specified as stream command argument")
}
