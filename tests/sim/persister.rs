//! The persister: numbers, folds, writes events in parallel windows, and moves rows within the contiguous prefix.

use std::collections::{BTreeMap, VecDeque};

use roomlog_core::{
    amendment::Amendment,
    event::Event,
    ids::{Count, RoomKey, Seq, UserId},
    prefix::{Prefix, WindowId},
    room_log::{Head, Outcome, Position, RoomLog, Unfit},
    room_state::{Change, Effect, Membership, RoomMeta, Rows, fold, subject_of},
    unread::readers_by,
};

use crate::{
    checks,
    log::{Log, Record},
    owner,
    random::Random,
    rules::{Mechanism, Rules},
    stores::{Dynamo, PartitionRow, Write},
    tally::Tally,
};

/// Windows in flight; beyond, nothing is read.
const WINDOWS_MAX: usize = 3;
/// Rows that wait to be moved; beyond, nothing is read.
const ROWS_MAX: usize = 20;

/// One process, from its start to its end.
#[derive(Debug)]
pub(crate) struct Persister {
    rules: Rules,
    /// None until the partition's row could be read.
    pub(crate) log: Option<RoomLog>,
    /// Why there is none.
    pub(crate) refused: Option<Unfit>,
    states: BTreeMap<RoomKey, State>,
    prefix: Prefix<Vec<RowMove>>,
    /// The event rows each window in flight still has to write.
    windows: Vec<(WindowId, Vec<EventRow>)>,
    /// Rows of committed windows, in log order.
    rows: VecDeque<RowMove>,
}

/// A room as of the last event folded; only the users looked up so far.
#[derive(Debug, Default)]
struct State {
    meta: Option<RoomMeta>,
    members: BTreeMap<UserId, Option<Membership>>,
}

#[derive(Clone, Debug)]
struct EventRow {
    room: RoomKey,
    seq: Seq,
    place: Position,
    is_void: bool,
}

#[derive(Clone, Debug)]
enum RowMove {
    Read(RoomKey, UserId, (Seq, Count)),
    Amend(RoomKey, Amendment),
    Room(RoomKey, Head, Vec<Change>),
    Partition(PartitionRow),
}

/// Why a record can't be taken now.
enum Stop {
    /// The store must answer first.
    Waits,
    /// Somebody else stores the partition as well and is further: everything is begun anew.
    Overtaken,
}

impl Persister {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            log: None,
            refused: None,
            states: BTreeMap::new(),
            prefix: Prefix::new(WINDOWS_MAX),
            windows: Vec::new(),
            rows: VecDeque::new(),
        }
    }

    pub(crate) fn start(&mut self, log: &Log, dynamo: &Dynamo) {
        if self.log.is_some() || !dynamo.answers() {
            return;
        }
        let (position, accepted) = dynamo.start();
        self.refused = log.bounds().admit(position.offset).err();
        if self.refused.is_none() {
            let mut numbering = RoomLog::partial(log.spec, position, accepted);
            if self.rules.keep(Mechanism::WindowReadBack) {
                owner::read_back(log, &mut numbering);
            }
            self.log = Some(numbering);
        }
    }

    /// Reads the next records and begins a window of them.
    pub(crate) fn poll(
        &mut self,
        log: &mut Log,
        dynamo: &Dynamo,
        records_max: usize,
        takes_dead_letters: bool,
        tally: &mut Tally,
    ) {
        let paused = self.prefix.is_full() || self.rows.len() > ROWS_MAX;
        if paused || self.log.is_none() {
            tally.pauses += u64::from(paused);
            return;
        }
        let before = self.next();
        let (mut events, mut moves) = (Vec::new(), Vec::new());
        for _ in 0..records_max {
            let next = self.next().and_then(|next| log.from(next).first());
            let is_readable = next.is_none_or(|record| record.event.is_some());
            if !is_readable && !takes_dead_letters && self.rules.keep(Mechanism::PuttingAside) {
                break;
            }
            match self.take_next(log, dynamo, &mut events, &mut moves) {
                Ok(true) => {}
                Ok(false) | Err(Stop::Waits) => break,
                Err(Stop::Overtaken) => {
                    tally.overtaken += 1;
                    *self = Self::new(self.rules);
                    return;
                }
            }
        }
        let Some(numbering) = self.log.as_ref().filter(|log| Some(log.next()) != before) else {
            return;
        };
        moves.push(RowMove::Partition(PartitionRow {
            position: numbering.next(),
            accepted: numbering.accepted(),
        }));
        let id = self.prefix.begin(moves).expect("not full");
        self.windows.push((id, events));
    }

    fn next(&self) -> Option<Position> {
        self.log.as_ref().map(RoomLog::next)
    }

    /// Numbers and folds one record; `false` where there is none.
    fn take_next(
        &mut self,
        log: &mut Log,
        dynamo: &Dynamo,
        events: &mut Vec<EventRow>,
        moves: &mut Vec<RowMove>,
    ) -> Result<bool, Stop> {
        let next = self.next().expect("started");
        let Some(record) = log.from(next).first() else {
            return Ok(false);
        };
        if record.folded().is_some() && !dynamo.answers() {
            return Err(Stop::Waits);
        }
        let numbering = self.log.as_mut().expect("started");
        let Some(outcome) = owner::apply(numbering, &record.as_ref(), dynamo, self.rules) else {
            return Err(Stop::Waits);
        };
        checks::an_outcome_is_true(log, record, outcome, numbering);
        if let Outcome::Accepted { seq, count } = outcome {
            let room = RoomKey::parse(&record.draft.key).expect("it was accepted");
            let head = numbering.head(&room).expect("it has an event");
            let place = record.position;
            let (is_void, changes) = self.fold(record, seq, dynamo)?;
            let stands = record.event.as_ref().filter(|_| !is_void);
            let stands = stands.filter(|_| self.rules.keep(Mechanism::PostingIsReading));
            let readers = stands.into_iter().flat_map(readers_by);
            moves.extend(
                readers.map(|user| RowMove::Read(room.clone(), user.clone(), (seq, count))),
            );
            let amendment = record.amendment(seq);
            moves.extend(amendment.map(|amends| RowMove::Amend(room.clone(), amends)));
            moves.push(RowMove::Room(room.clone(), head, changes));
            events.push(EventRow {
                room,
                seq,
                place,
                is_void,
            });
            if record.event.is_none() && self.rules.keep(Mechanism::PuttingAside) {
                log.put_aside.insert(place);
            }
        }
        Ok(true)
    }

    /// Judges an event by the rows before it, which are loaded where they are not known.
    fn fold(
        &mut self,
        record: &Record,
        seq: Seq,
        dynamo: &Dynamo,
    ) -> Result<(bool, Vec<Change>), Stop> {
        let Some(event) = record.folded() else {
            return Ok((false, Vec::new()));
        };
        let room = &event.key;
        let users: Vec<_> = subject_of(event)
            .into_iter()
            .chain([&event.sender.id])
            .collect();
        let state = self.states.get(room);
        let is_known =
            |user: &&&UserId| state.is_some_and(|state| state.members.contains_key(**user));
        let unknown: Vec<_> = users.iter().filter(|user| !is_known(user)).collect();
        if state.is_none() || !unknown.is_empty() {
            let row = dynamo.rooms.get(room);
            let is_overtaken = row.is_some_and(|row| row.head.seq >= seq);
            if is_overtaken && self.rules.keep(Mechanism::Overtaken) {
                return Err(Stop::Overtaken);
            }
            let loaded: Vec<_> = unknown
                .iter()
                .map(|user| {
                    let row = dynamo.members.get(&(room.clone(), (**user).clone()));
                    ((**user).clone(), row.copied())
                })
                .collect();
            let state = self.states.entry(room.clone()).or_insert_with(|| State {
                meta: row.and_then(|row| row.meta.clone()),
                members: BTreeMap::new(),
            });
            state.members.extend(loaded);
        }
        let state = self.states.get_mut(room).expect("it was loaded");
        Ok(state.fold(event, seq))
    }

    /// Writes some of the rows of some window, not necessarily the oldest.
    pub(crate) fn write_some(
        &mut self,
        log: &Log,
        dynamo: &mut Dynamo,
        random: &mut Random,
        tally: &mut Tally,
    ) {
        if self.windows.is_empty() {
            return;
        }
        let which = random.below(self.windows.len());
        let rows = random.below(self.windows[which].1.len() + 1);
        match dynamo.takes() {
            Write::Made => self.write_events(which, rows, log, dynamo, tally),
            Write::Unanswered => put_events(&self.windows[which].1[..rows], log, dynamo),
            Write::Refused => {}
        }
    }

    /// Writes so many of the rows a window still has to write.
    pub(crate) fn write_events(
        &mut self,
        which: usize,
        rows: usize,
        log: &Log,
        dynamo: &mut Dynamo,
        tally: &mut Tally,
    ) {
        let (id, events) = &mut self.windows[which];
        let rows = rows.min(events.len());
        put_events(&events[..rows], log, dynamo);
        events.drain(..rows);
        if events.is_empty() {
            let id = *id;
            self.windows.remove(which);
            tally.early += u64::from(which > 0);
            let committed = self.prefix.finish(id).into_iter().flatten();
            self.rows.extend(committed);
        }
        if !self.rules.keep(Mechanism::ContiguousPrefix) {
            let mut rest = std::mem::replace(&mut self.prefix, Prefix::new(WINDOWS_MAX));
            // Whatever is begun is taken for done.
            for (id, _) in &self.windows {
                self.rows.extend(rest.finish(*id).into_iter().flatten());
            }
            self.windows.clear();
        }
    }

    /// Moves the next row; one whose move is not acknowledged is moved again, before any other.
    pub(crate) fn move_row(&mut self, dynamo: &mut Dynamo) {
        let Some(next) = self.rows.front() else {
            return;
        };
        let write = dynamo.takes();
        if write == Write::Refused {
            return;
        }
        match next.clone() {
            RowMove::Read(room, user, to) => dynamo.advance_read(room, user, to, self.rules),
            RowMove::Amend(room, amends) => dynamo.amend(&room, amends, self.rules),
            RowMove::Room(room, head, changes) => dynamo.advance_room(room, head, changes),
            RowMove::Partition(row) => dynamo.advance_partition(row),
        }
        if write == Write::Made {
            self.rows.pop_front();
        }
    }

    /// Windows in flight.
    pub(crate) fn windows(&self) -> usize {
        self.windows.len()
    }

    pub(crate) fn work_is_bounded(&self) {
        assert!(self.windows.len() <= WINDOWS_MAX);
    }
}

// === impl State ===

impl State {
    fn fold(&mut self, event: &Event, seq: Seq) -> (bool, Vec<Change>) {
        let row_of = |user: &UserId| self.members.get(user).and_then(Option::as_ref);
        let rows = Rows {
            room: self.meta.as_ref(),
            subject: subject_of(event).and_then(row_of),
            actor: row_of(&event.sender.id),
        };
        match fold(rows, event, seq) {
            Effect::Void => (true, Vec::new()),
            Effect::Folded => (false, Vec::new()),
            Effect::Stands(changes) => {
                for change in changes.clone() {
                    match change {
                        Change::Room(meta) => self.meta = Some(meta),
                        Change::Member(user, row) => drop(self.members.insert(user, Some(row))),
                    }
                }
                (false, changes)
            }
        }
    }
}

fn put_events(rows: &[EventRow], log: &Log, dynamo: &mut Dynamo) {
    for row in rows.iter().cloned() {
        checks::the_unreadable_is_put_aside_first(log, row.place);
        checks::a_stored_event_never_changes(dynamo, &row.room, row.seq, row.place, row.is_void);
        let what = (row.place, row.is_void);
        dynamo.events.insert((row.room, row.seq), what);
    }
}

/// Stores read marks: a log of their own, in which the furthest mark of a user wins.
#[derive(Debug, Default)]
pub(crate) struct MarkStore {
    /// The next mark to store; none until the stored place was read.
    next: Option<usize>,
}

/// A member has read up to here.
#[derive(Clone, Debug)]
pub(crate) struct ReadMark {
    pub(crate) room: RoomKey,
    pub(crate) user: UserId,
    pub(crate) to: (Seq, Count),
}

// === impl MarkStore ===

impl MarkStore {
    /// Stores the next few marks, each user's furthest, then how far the marks are stored.
    pub(crate) fn store(
        &mut self,
        marks: &[ReadMark],
        most: usize,
        dynamo: &mut Dynamo,
        rules: Rules,
    ) {
        let write = dynamo.takes();
        if write == Write::Refused {
            return;
        }
        let next = *self.next.get_or_insert(dynamo.marks);
        let batch = &marks[next..marks.len().min(next + most)];
        let mut furthest: BTreeMap<_, (Seq, Count)> = BTreeMap::new();
        for mark in batch {
            let position = furthest
                .entry((mark.room.clone(), mark.user.clone()))
                .or_default();
            *position = (*position).max(mark.to);
        }
        for ((room, user), to) in furthest {
            dynamo.advance_read(room, user, to, rules);
        }
        if write == Write::Made {
            let stored = next + batch.len();
            self.next = Some(stored);
            dynamo.marks = dynamo.marks.max(stored);
        }
    }
}
