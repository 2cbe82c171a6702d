//! The persister: numbers, writes events in parallel windows, and moves rows within the contiguous prefix.

use std::collections::{BTreeMap, VecDeque};

use roomlog_core::{
    ids::{RoomKey, Seq},
    prefix::{Prefix, WindowId},
    room_log::{Head, Outcome, Position, RoomLog},
};

use crate::{
    checks,
    log::{Log, at},
    owner,
    random::Random,
    stores::{Dynamo, PartitionRow},
    tally::Tally,
};

/// Windows in flight; beyond, nothing is read.
const WINDOWS_MAX: usize = 3;
/// Rows that wait to be moved; beyond, nothing is read.
const ROWS_MAX: usize = 20;

/// One process, from its start to its end.
#[derive(Debug)]
pub(crate) struct Persister {
    /// None until the partition's row could be read.
    pub(crate) log: Option<RoomLog>,
    prefix: Prefix<RowMoves>,
    /// The event rows each window in flight still has to write.
    windows: Vec<(WindowId, Vec<EventRow>)>,
    /// Rows of committed windows, in log order.
    rows: VecDeque<RowMove>,
}

type EventRow = (RoomKey, Seq, Position);
type RowMoves = Vec<RowMove>;

#[derive(Debug)]
enum RowMove {
    Room(RoomKey, Head),
    Partition(PartitionRow),
}

impl Persister {
    pub(crate) fn new() -> Self {
        Self {
            log: None,
            prefix: Prefix::new(WINDOWS_MAX),
            windows: Vec::new(),
            rows: VecDeque::new(),
        }
    }

    pub(crate) fn start(&mut self, log: &Log, dynamo: &Dynamo) {
        if self.log.is_none() && !dynamo.down {
            let row = dynamo.partition;
            let (position, accepted) = row.map_or((at(0), 0), |row| (row.position, row.accepted));
            let mut numbering = RoomLog::partial(log.spec, position, accepted);
            owner::read_back(log, &mut numbering);
            self.log = Some(numbering);
        }
    }

    /// Reads the next records and begins a window of them.
    pub(crate) fn poll(
        &mut self,
        log: &Log,
        dynamo: &Dynamo,
        records_max: usize,
        tally: &mut Tally,
    ) {
        let paused = self.prefix.is_full() || self.rows.len() > ROWS_MAX;
        let Some(numbering) = self.log.as_mut().filter(|_| !paused) else {
            tally.pauses += u64::from(paused);
            return;
        };
        let before = numbering.next();
        let (mut events, mut heads) = (Vec::new(), BTreeMap::new());
        for record in log.from(before).iter().take(records_max) {
            let Some(outcome) = owner::apply(numbering, &record.as_ref(), dynamo) else {
                break;
            };
            checks::an_outcome_is_true(log, record, outcome, numbering);
            if let Outcome::Accepted { seq, .. } = outcome {
                let room = RoomKey::parse(&record.key).expect("it was accepted");
                let head = numbering.head(&room).expect("it has an event");
                heads.insert(room.clone(), head);
                events.push((room, seq, record.position));
            }
        }
        if numbering.next() == before {
            return;
        }
        let row = PartitionRow {
            position: numbering.next(),
            accepted: numbering.accepted(),
        };
        let rooms = heads
            .into_iter()
            .map(|(room, head)| RowMove::Room(room, head));
        let moves = rooms.chain([RowMove::Partition(row)]).collect();
        let id = self.prefix.begin(moves).expect("not full");
        self.windows.push((id, events));
    }

    /// Writes some of the rows of some window, not necessarily the oldest.
    pub(crate) fn write_events(
        &mut self,
        dynamo: &mut Dynamo,
        random: &mut Random,
        tally: &mut Tally,
    ) {
        if self.windows.is_empty() || dynamo.down {
            return;
        }
        let which = random.below(self.windows.len());
        let (id, events) = &mut self.windows[which];
        let written = random.below(events.len() + 1);
        for (room, seq, place) in events.drain(..written) {
            checks::a_stored_event_never_changes(dynamo, &room, seq, place);
            dynamo.events.insert((room, seq), place);
        }
        if events.is_empty() {
            let id = *id;
            self.windows.remove(which);
            tally.early += u64::from(which > 0);
            self.rows
                .extend(self.prefix.finish(id).into_iter().flatten());
        }
    }

    /// Moves the next row.
    pub(crate) fn move_row(&mut self, dynamo: &mut Dynamo) {
        if dynamo.down {
            return;
        }
        match self.rows.pop_front() {
            Some(RowMove::Room(room, head)) => dynamo.advance_room(room, head),
            Some(RowMove::Partition(row)) => dynamo.advance_partition(row),
            None => {}
        }
    }

    pub(crate) fn work_is_bounded(&self) {
        assert!(self.windows.len() <= WINDOWS_MAX);
    }
}
