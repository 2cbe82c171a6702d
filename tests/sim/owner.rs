//! A fanout's owner of the partition: finds a base, numbers, answers, writes its snapshot behind.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use roomlog_core::{
    fresh::FreshQuestions,
    ids::{Count, RoomKey, Seq},
    room_log::{Changes, Outcome, Position, RecordRef, RoomLog, Unfit},
};

use crate::{
    checks,
    log::{Log, Record, Truth, at},
    rules::{Mechanism, Rules},
    stores::{Dynamo, Redis},
    tally::Tally,
};

/// Events of one room an owner keeps; the oldest leave.
const MEMORY_MAX: usize = 6;

/// What an owner says to gateways.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    /// The partition is owned here and its heads are stated.
    Owned,
    Event {
        room: RoomKey,
        seq: Seq,
        count: Count,
        place: Position,
    },
    Head {
        room: RoomKey,
        seq: Seq,
    },
}

/// A gateway waits for a room's head.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) gateway: usize,
    pub(crate) room: RoomKey,
}

/// A room's event as every source tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) seq: Seq,
    pub(crate) place: Position,
}

/// One process, from its start to its end.
#[derive(Debug, Default)]
pub(crate) struct Owner {
    rules: Rules,
    /// None until a base is found.
    pub(crate) log: Option<RoomLog>,
    /// Why there is none.
    pub(crate) refused: Option<Unfit>,
    /// Whether heads are stated: everything that was there at the assignment is numbered.
    pub(crate) live: bool,
    /// The log's end at the assignment.
    end: i64,
    /// Everything before it was read.
    read_to: i64,
    /// An unreadable event that is shown once its record is put aside.
    aside: Option<Said>,
    /// Recent events by room, without holes.
    memory: BTreeMap<RoomKey, VecDeque<Told>>,
    /// Rooms a partial base knows to be empty.
    empty: BTreeSet<RoomKey>,
    fresh: FreshQuestions<Question>,
    unanswered: Vec<Question>,
    /// Rooms whose head somebody is to be told as soon as it is known.
    wanted: BTreeSet<RoomKey>,
    /// Events not written to the tails yet.
    backlog: Vec<(RoomKey, Told)>,
    /// A snapshot write without an answer yet.
    writing: Option<Changes>,
    /// Rooms with an event since their heads were repeated.
    busy: BTreeSet<RoomKey>,
}

impl Said {
    pub(crate) fn room(&self) -> Option<&RoomKey> {
        match self {
            Self::Owned => None,
            Self::Event { room, .. } | Self::Head { room, .. } => Some(room),
        }
    }
}

impl Owner {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            ..Self::default()
        }
    }

    /// Looks for a base: a trusted snapshot, otherwise the persister's rows, otherwise it waits.
    pub(crate) fn start(&mut self, log: &Log, redis: &Redis, dynamo: &Dynamo, tally: &mut Tally) {
        if self.log.is_some() {
            return;
        }
        let Some(mut base) = self.restored(log, redis, tally).or_else(|| {
            let (position, accepted) = dynamo.start();
            let answers = dynamo.answers();
            tally.partial += u64::from(answers);
            answers.then(|| RoomLog::partial(log.spec, position, accepted))
        }) else {
            return;
        };
        if let Err(unfit) = log.bounds().admit(base.next().offset) {
            self.refused = Some(unfit);
            return;
        }
        self.refused = None;
        if self.rules.keep(Mechanism::WindowReadBack) {
            read_back(log, &mut base);
        }
        self.end = log.end().offset;
        self.read_to = base.next().offset;
        self.log = Some(base);
    }

    fn restored(&self, log: &Log, redis: &Redis, tally: &mut Tally) -> Option<RoomLog> {
        let mut snapshot = redis.snapshot().filter(|_| !redis.down)?;
        if !self.rules.keep(Mechanism::SumOfHeads) {
            snapshot.accepted = snapshot.heads.iter().map(|(_, seq, _)| seq.0).sum();
        }
        let Ok(base) = RoomLog::restore(log.spec, snapshot) else {
            tally.untrusted += 1;
            return None;
        };
        tally.trusted += 1;
        match log.bounds().admit(base.next().offset) {
            // Retention left it behind: the rows know more.
            Err(Unfit::Trimmed { .. }) => return None,
            Err(Unfit::PastEnd { .. }) => {}
            Ok(()) => checks::a_trusted_snapshot_is_true(log, &base),
        }
        Some(base)
    }

    /// Applies the next records; stops where it needs a row that can't be read now, or the dead-letter topic, which
    /// takes a record or not.
    pub(crate) fn poll(
        &mut self,
        log: &mut Log,
        dynamo: &Dynamo,
        records_max: usize,
        takes_dead_letters: bool,
        tally: &mut Tally,
    ) -> Vec<Said> {
        let mut said = Vec::new();
        for _ in 0..records_max {
            if let Some(Said::Event { place, .. }) = &self.aside {
                if !takes_dead_letters {
                    break;
                }
                log.put_aside.insert(*place);
                self.show(log, &mut said);
            }
            let Some(numbering) = &mut self.log else {
                break;
            };
            let Some(record) = log.from(numbering.next()).first() else {
                self.read_to = log.end().offset;
                break;
            };
            let Some(outcome) = apply(numbering, &record.as_ref(), dynamo, self.rules) else {
                tally.waits += 1;
                break;
            };
            self.read_to = record.position.after().offset;
            checks::an_outcome_is_true(log, record, outcome, numbering);
            let room = RoomKey::parse(&record.draft.key).ok();
            match (outcome, room) {
                (Outcome::Accepted { seq, count }, Some(room)) => {
                    let place = record.position;
                    let puts_aside = self.rules.keep(Mechanism::PuttingAside);
                    let is_readable = record.event.is_some() || !puts_aside;
                    self.aside = Some(Said::Event {
                        room,
                        seq,
                        count,
                        place,
                    });
                    if is_readable {
                        self.show(log, &mut said);
                    }
                }
                (Outcome::Past, Some(room)) => {
                    tally.past += 1;
                    said.extend(self.head_of(&room));
                }
                (Outcome::Duplicate { .. }, _) => tally.duplicates += 1,
                _ => {}
            }
        }
        if self.go_live() {
            said.push(Said::Owned);
        }
        said
    }

    /// Shows the event that is next and keeps it.
    fn show(&mut self, log: &Log, said: &mut Vec<Said>) {
        if let Some(Said::Event {
            room,
            seq,
            count,
            place,
        }) = self.aside.take()
        {
            checks::the_unreadable_is_put_aside_first(log, place);
            self.remember(&room, Told { seq, place });
            self.busy.insert(room.clone());
            said.push(Said::Event {
                room,
                seq,
                count,
                place,
            });
        }
    }

    fn remember(&mut self, room: &RoomKey, told: Told) {
        let events = self.memory.entry(room.clone()).or_default();
        if events
            .back()
            .is_some_and(|last| last.seq.next() != told.seq)
        {
            events.clear();
        }
        events.push_back(told);
        if events.len() > MEMORY_MAX {
            events.pop_front();
        }
        self.backlog.push((room.clone(), told));
    }

    /// Everything before it is numbered and shown.
    fn passed(&self) -> i64 {
        match &self.aside {
            Some(Said::Event { place, .. }) => place.offset,
            _ => self.read_to,
        }
    }

    /// States heads from the end of the catch-up on; says so once.
    fn go_live(&mut self) -> bool {
        let begins = !self.live && self.log.is_some() && self.passed() >= self.end;
        self.live |= begins;
        begins
    }

    pub(crate) fn ask(&mut self, question: Question) {
        self.fresh.ask(question);
    }

    /// Looks at the log's end for those who asked before.
    pub(crate) fn look(&mut self, log: &Log) {
        if self.fresh.begin_look() {
            self.fresh.looked(Some(log.end().offset));
        }
    }

    /// The heads of those rooms that were asked for and are known freshly enough.
    pub(crate) fn answers(&mut self, dynamo: &Dynamo) -> Vec<(Question, Seq, Count)> {
        self.unanswered.extend(self.fresh.passed(self.passed()));
        let mut answers = Vec::new();
        for question in std::mem::take(&mut self.unanswered) {
            self.load_head(dynamo, &question.room);
            match self.head(&question.room) {
                Some((seq, count)) => answers.push((question, seq, count)),
                None => self.unanswered.push(question),
            }
        }
        answers
    }

    /// A room's head, unless it has yet to be loaded.
    pub(crate) fn head(&self, room: &RoomKey) -> Option<(Seq, Count)> {
        let numbering = self.log.as_ref()?;
        let head = numbering.head(room).map(|head| (head.seq, head.count));
        let none = numbering.is_complete() || self.empty.contains(room);
        head.or_else(|| none.then_some((Seq::ZERO, Count::ZERO)))
    }

    /// Somebody is interested in a room whose head is not known.
    pub(crate) fn want(&mut self, room: RoomKey) {
        self.wanted.insert(room);
    }

    /// The heads of wanted rooms, as far as their rows can be read now.
    pub(crate) fn wanted_heads(&mut self, dynamo: &Dynamo) -> Vec<Said> {
        let wanted = std::mem::take(&mut self.wanted);
        wanted
            .into_iter()
            .filter_map(|room| {
                self.load_head(dynamo, &room);
                let said = self.head_of(&room);
                if said.is_none() {
                    self.wanted.insert(room);
                }
                said
            })
            .collect()
    }

    fn load_head(&mut self, dynamo: &Dynamo, room: &RoomKey) {
        let is_known = self.head(room).is_some();
        let unknowing = self.log.as_mut().filter(|_| !is_known);
        if let Some(numbering) = unknowing.filter(|_| dynamo.answers()) {
            let row = dynamo.head(room);
            if row.is_none() {
                self.empty.insert(room.clone());
            }
            numbering.load_head(room.clone(), row);
        }
    }

    /// Reads rooms' rows in the background; the index that lists them may not show all.
    pub(crate) fn load_rows(
        &mut self,
        log: &Log,
        dynamo: &Dynamo,
        mut shows: impl FnMut() -> bool,
    ) {
        let Some(numbering) = self.log.as_mut().filter(|_| dynamo.answers()) else {
            return;
        };
        for (room, row) in &dynamo.rooms {
            if shows() {
                numbering.load_head(room.clone(), Some(row.head));
            }
        }
        if numbering.all_heads_loaded() || !self.rules.keep(Mechanism::SumOfRows) {
            checks::a_complete_base_is_true(log, numbering);
        }
    }

    /// Begins to write what changed.
    pub(crate) fn begin_write(&mut self) {
        if self.writing.is_none() {
            self.writing = self.log.as_mut().and_then(RoomLog::take_changes);
        }
    }

    /// Whether a write is on its way.
    pub(crate) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// What is on its way when the process ends.
    pub(crate) fn cut_off(self) -> Option<Changes> {
        self.writing
    }

    /// The write reaches Redis, or not, and is acknowledged, or not.
    pub(crate) fn end_write(&mut self, redis: &mut Redis, arrives: bool, acknowledged: bool) {
        let Some(changes) = self.writing.take() else {
            return;
        };
        if arrives {
            redis.take(&changes);
        }
        if let Some(numbering) = self.log.as_mut().filter(|_| !acknowledged || redis.down) {
            numbering.return_changes(changes);
        }
    }

    /// Writes the tails behind; what Redis does not take is not tried again.
    pub(crate) fn write_tails(&mut self, redis: &mut Redis) {
        for (room, told) in std::mem::take(&mut self.backlog) {
            if !redis.down {
                redis.add_to_tail(&room, told.seq, told.place);
            }
        }
    }

    /// Looks whether the written snapshot adds up, and writes all of it anew if not.
    pub(crate) fn check_snapshot(&mut self, log: &Log, redis: &Redis) {
        let snapshot = redis.snapshot();
        let adds_up = snapshot.is_some_and(|found| RoomLog::restore(log.spec, found).is_ok());
        if let Some(numbering) = self.log.as_mut().filter(|_| !adds_up && !redis.down) {
            numbering.rewrite_snapshot();
        }
    }

    /// Repeats the heads of rooms that fell quiet.
    pub(crate) fn repeat_heads(&mut self) -> Vec<Said> {
        let rooms = std::mem::take(&mut self.busy);
        rooms.iter().filter_map(|room| self.head_of(room)).collect()
    }

    pub(crate) fn head_of(&self, room: &RoomKey) -> Option<Said> {
        let (seq, _) = self.head(room)?;
        let room = room.clone();
        Some(Said::Head { room, seq })
    }

    /// Recent events of a room from exactly a seq on.
    pub(crate) fn recent(&self, room: &RoomKey, from: Seq) -> Vec<Told> {
        let events = self.memory.get(room).into_iter().flatten();
        let events: Vec<_> = events.filter(|told| told.seq >= from).copied().collect();
        let begins = events.first().is_some_and(|first| first.seq == from);
        if begins { events } else { Vec::new() }
    }

    pub(crate) fn memory_is_bounded(&self) {
        let mut rooms = self.memory.values();
        assert!(rooms.all(|events| events.len() <= MEMORY_MAX));
    }
}

/// Gives a fresh numbering the window before its start.
pub(crate) fn read_back(log: &Log, numbering: &mut RoomLog) {
    let start = numbering.next();
    let from = numbering.window_start_for(start).max(log.bounds().low);
    let before = log.from(at(from)).iter();
    for record in before.take_while(|record| record.position < start) {
        numbering.remember(&record.as_ref());
    }
}

/// Applies a record, with its room's row read where that is needed; `None` while it can't be read.
pub(crate) fn apply(
    numbering: &mut RoomLog,
    record: &RecordRef<'_>,
    dynamo: &Dynamo,
    rules: Rules,
) -> Option<Outcome> {
    let outcome = numbering.apply(record);
    if outcome != Outcome::HeadUnknown {
        return Some(outcome);
    }
    let answers = dynamo.answers();
    if !answers && rules.keep(Mechanism::WaitingForRows) {
        return None;
    }
    let key = std::str::from_utf8(record.key).expect("a known room's key");
    let room = RoomKey::parse(key).expect("a known room's key");
    let row = dynamo.head(&room).filter(|_| answers);
    numbering.load_head(room, row);
    Some(numbering.apply(record))
}

/// What a room's event says of itself: its count is the record's.
pub(crate) fn count_of(record: &Record) -> Count {
    match record.truth {
        Truth::Accepted(_, count) => count,
        Truth::Duplicate | Truth::Foreign => Count::ZERO,
    }
}
