//! What a partition's records come to: their numbers, whether they stand, and the windows they are written in.
//!
//! Nothing here waits. Whoever feeds it loads what it asks for, in this order for each batch of records:
//! [`Ledger::unknown`], [`Ledger::load_heads`], [`Ledger::number`], [`Ledger::missing`], [`Ledger::load_states`],
//! [`Ledger::pack`].

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use roomlog_core::{
    amendment::Amendment,
    event::{Body, Event, Kind},
    ids::{RoomKey, Seq, UserId},
    media::is_file_id,
    room_log::{Head, Outcome, Position, RoomLog},
    room_state::Effect,
    unread::{joiner, named_by, reads_by_sending},
};
use roomlog_platform::{
    dynamo::{EventRow, KeyShards, MemberRow, PartitionRow, RoomRow, ShownFile},
    kafka::LogRecord,
    stored_event::{StoredEvent, UnreadableValue},
};

use crate::{
    mail::Mail,
    moves::Step,
    states::{Missing, Overtaken, States, is_folded},
};

/// Events in a window: what the store takes in one batch.
pub(crate) const WINDOW_EVENTS_MAX: usize = 25;

/// One partition, numbered and folded.
#[derive(Debug)]
pub(crate) struct Ledger {
    log: RoomLog,
    states: States,
    /// How rooms are spread; those under one key are left out, as nearly all are.
    shards: HashMap<RoomKey, KeyShards>,
}

/// A record after numbering.
#[derive(Debug)]
pub(crate) struct Entry {
    record: LogRecord,
    verdict: Verdict,
    /// What the partition's row says once this record and all before it are stored.
    after: PartitionRow,
}

#[derive(Debug)]
enum Verdict {
    /// An event whose state does not matter to the fold, and what it says.
    Plain(StoredEvent, Said),
    /// An event that changes an earlier message.
    Amending(StoredEvent, Amendment),
    /// An event to be folded.
    Folded(StoredEvent, Box<Event>),
    /// An event whose value does not show as one, and why.
    Unreadable(StoredEvent, UnreadableValue),
    /// It gets no row: a retry, one numbered before, or none of ours.
    Nothing,
}

/// What follows from what an event says.
#[derive(Debug, Default)]
struct Said {
    /// Whom it names.
    named: Vec<UserId>,
    /// Which files it shows.
    files: Vec<ShownFile>,
    /// What it sends to inboxes.
    mail: Option<Box<Mail>>,
}

/// A run of records whose events are written at once.
#[derive(Debug)]
pub(crate) struct Window {
    /// The events, each with how its room is spread.
    pub(crate) events: Vec<(EventRow, KeyShards)>,
    /// What follows once they are stored, in log order.
    pub(crate) steps: Vec<Step>,
    /// What the partition's row says then.
    pub(crate) after: PartitionRow,
}

/// A record came up before its room's head was loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the head of the room of offset {0} was not loaded")]
pub(crate) struct HeadMissing(i64);

/// How many records were what, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) accepted: u64,
    pub(crate) duplicates: u64,
    pub(crate) past: u64,
    pub(crate) foreign: u64,
    pub(crate) unreadable: u64,
}

// === impl Ledger ===

impl Ledger {
    /// Goes on from a base.
    pub(crate) fn new(log: RoomLog) -> Self {
        Self {
            log,
            states: States::default(),
            shards: HashMap::new(),
        }
    }

    /// The next record to number.
    pub(crate) fn next(&self) -> Position {
        self.log.next()
    }

    /// Takes a record from before the base into the duplicate window.
    pub(crate) fn remember(&mut self, record: &LogRecord) {
        let generation = self.log.next().generation;
        self.log.remember(&record.as_ref(generation));
    }

    /// The rooms of these records whose heads are not known, each once.
    pub(crate) fn unknown(&self, records: &[LogRecord]) -> Vec<RoomKey> {
        let keys: HashSet<&[u8]> = records.iter().map(|record| &record.key[..]).collect();
        keys.into_iter()
            .filter_map(|key| RoomKey::parse(std::str::from_utf8(key).ok()?).ok())
            .filter(|key| self.log.head(key).is_none())
            .collect()
    }

    /// Takes the rows of rooms that were unknown; one without a row has no events.
    pub(crate) fn load_heads(&mut self, asked: Vec<RoomKey>, rows: Vec<RoomRow>) {
        let mut rows: HashMap<_, _> = rows.into_iter().map(|row| (row.key.clone(), row)).collect();
        for key in asked {
            let row = rows.remove(&key);
            if let Some(row) = row.as_ref().filter(|row| row.shards != KeyShards::ONE) {
                self.shards.insert(key.clone(), row.shards);
            }
            self.log.load_head(key, row.map(|row| row.head));
        }
    }

    /// Numbers records and decodes those that are events. Their rooms' heads must be loaded.
    ///
    /// # Errors
    /// When a head is missing. The records are lost then, and the partition must be started again.
    pub(crate) fn number(
        &mut self,
        records: Vec<LogRecord>,
    ) -> Result<(Vec<Entry>, Tally), HeadMissing> {
        let mut tally = Tally::default();
        let mut entries = Vec::with_capacity(records.len());
        for record in records {
            let generation = self.log.next().generation;
            let outcome = self.log.apply(&record.as_ref(generation));
            if outcome == Outcome::HeadUnknown {
                return Err(HeadMissing(record.offset));
            }
            tally.count(outcome);
            let verdict = Verdict::of(&record, outcome);
            tally.unreadable += u64::from(matches!(verdict, Verdict::Unreadable(..)));
            entries.push(Entry {
                record,
                verdict,
                after: PartitionRow {
                    position: self.log.next(),
                    accepted: self.log.accepted(),
                },
            });
        }
        Ok((entries, tally))
    }

    /// What must be loaded before these can be packed.
    pub(crate) fn missing(&self, entries: &[Entry]) -> Missing {
        let folded = entries.iter().filter_map(|entry| match &entry.verdict {
            Verdict::Folded(stored, event) => Some((stored.seq, &**event)),
            _ => None,
        });
        self.states.missing(folded)
    }

    /// Takes what was missing.
    ///
    /// # Errors
    /// See [`States::load`].
    pub(crate) fn load_states(
        &mut self,
        missing: Missing,
        members: Vec<(RoomKey, MemberRow)>,
        rooms: Vec<RoomRow>,
    ) -> Result<(), Overtaken> {
        self.states.load(missing, members, rooms)
    }

    /// Folds entries and cuts them into windows. Every entry is in one, as the partition's row goes over all of them.
    pub(crate) fn pack(&mut self, entries: Vec<Entry>) -> Vec<Window> {
        self.states.forget_stored();
        let mut windows: Vec<Window> = Vec::new();
        for entry in entries {
            let after = entry.after;
            let packed = self.packed(entry);
            let full =
                |window: &Window| packed.is_some() && window.events.len() >= WINDOW_EVENTS_MAX;
            if windows.last().is_none_or(full) {
                windows.push(Window {
                    events: Vec::new(),
                    steps: Vec::new(),
                    after,
                });
            }
            let window = windows
                .last_mut()
                .expect("one was pushed if there was none");
            window.after = after;
            if let Some((event, step)) = packed {
                window.events.push(event);
                window.steps.push(step);
            }
        }
        windows
    }

    /// An event's row and what follows from it; `None` for a record that is none.
    fn packed(&mut self, entry: Entry) -> Option<((EventRow, KeyShards), Step)> {
        let generation = entry.after.position.generation;
        let (mut changes, mut void, mut joined) = (Vec::new(), false, None);
        let (mut amendment, mut said) = (None, Said::default());
        let event = match entry.verdict {
            Verdict::Nothing => return None,
            Verdict::Plain(stored, says) => {
                said = says;
                stored
            }
            Verdict::Amending(stored, amends) => {
                amendment = Some(amends);
                stored
            }
            Verdict::Unreadable(mut stored, _) => {
                stored.kind = Kind::Unreadable;
                stored
            }
            Verdict::Folded(stored, event) => {
                match self.states.fold(&event, stored.seq) {
                    Effect::Stands(stands) => {
                        changes = stands;
                        said.mail = Mail::of(&event, stored.seq, stored.at_ms).map(Box::new);
                        joined = joiner(&event).cloned();
                    }
                    Effect::Void => void = true,
                    Effect::Folded => {}
                }
                stored
            }
        };
        let position = Position {
            generation,
            offset: event.offset,
        };
        let step = Step {
            active_at_ms: event.shows_activity().then_some(event.at_ms),
            key: event.key.clone(),
            head: Head {
                seq: event.seq,
                count: event.count,
                position,
            },
            readers: readers(&event, joined),
            named: said.named,
            files: said.files,
            mail: said.mail,
            changes,
            amendment,
        };
        let shards = self.shards.get(&event.key).copied();
        let row = EventRow { event, void };
        Some(((row, shards.unwrap_or(KeyShards::ONE)), step))
    }

    /// A room's row is stored up to this head.
    pub(crate) fn stored(&mut self, key: &RoomKey, head: Head) {
        self.states.stored(key, head.seq);
    }
}

/// Who has read up to an event by the event itself.
fn readers(event: &StoredEvent, joined: Option<UserId>) -> Vec<UserId> {
    if event.key.is_inbox() {
        // Whose inbox it is says nothing about who wrote to it.
        return Vec::new();
    }
    let sender = reads_by_sending(event.kind).then_some(&event.sender);
    let mut readers: Vec<_> = sender
        .and_then(|sender| UserId::parse(sender).ok())
        .into_iter()
        .collect();
    readers.extend(joined.filter(|joined| !readers.contains(joined)));
    readers
}

// === impl Verdict, Said, Entry ===

impl Verdict {
    fn of(record: &LogRecord, outcome: Outcome) -> Self {
        let Outcome::Accepted { seq, count } = outcome else {
            return Self::Nothing;
        };
        let Some(stored) = record.stored(seq, count) else {
            return Self::Nothing;
        };
        match stored.event() {
            Ok(event) if is_folded(&event) => Self::Folded(stored, Box::new(event)),
            Ok(event) => match Amendment::of(&event, stored.seq, stored.at_ms) {
                Some(amendment) => Self::Amending(stored, amendment),
                None => {
                    let said = Said::of(&event, &stored);
                    Self::Plain(stored, said)
                }
            },
            Err(why) => Self::Unreadable(stored, why),
        }
    }
}

impl Said {
    fn of(event: &Event, stored: &StoredEvent) -> Self {
        Self {
            named: named_by(event).cloned().collect(),
            files: shown_files(event, stored.seq),
            mail: Mail::of(event, stored.seq, stored.at_ms).map(Box::new),
        }
    }
}

/// The files a message shows; none whose id could not be one of ours.
fn shown_files(event: &Event, seq: Seq) -> Vec<ShownFile> {
    let (Body::Message(message), Some(room)) = (&event.body, event.key.room()) else {
        return Vec::new();
    };
    let files = message.attachments.iter();
    files
        .filter(|file| is_file_id(&file.id))
        .map(|file| ShownFile {
            id: file.id.clone(),
            room: room.clone(),
            user: event.sender.id.clone(),
            seq,
        })
        .collect()
}

impl Entry {
    /// The record and why it does not show as an event, where that is so.
    pub(crate) fn unreadable(&self) -> Option<(&LogRecord, &UnreadableValue)> {
        match &self.verdict {
            Verdict::Unreadable(_, why) => Some((&self.record, why)),
            _ => None,
        }
    }
}

// === impl Tally ===

impl Tally {
    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Accepted { .. } => self.accepted += 1,
            Outcome::Duplicate { .. } => self.duplicates += 1,
            Outcome::Past => self.past += 1,
            Outcome::Foreign(_) | Outcome::HeadUnknown => self.foreign += 1,
        }
    }
}
