//! Whatever is interrupted, done twice or done by two owners at once comes to the rows of one quiet run.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;
use roomlog_core::{
    event::{Body, Event, MemberChange, MemberEvent, Message, Role, RoomEvent, RoomKind, Sender},
    ids::{Count, MessageId, Seq},
    prefix::{Prefix, WindowId},
    room_log::Spec,
    room_state::{Membership, RoomMeta},
};
use roomlog_platform::dynamo::{ReadMark, RoomMove};

use super::*;
use crate::moves::Moves;

const SPEC: Spec = Spec {
    partition: 0,
    partition_count: 1,
    window_offsets: 12,
};

/// Small, so that it fills up.
const WINDOWS_MAX: usize = 3;

/// The store, with the conditions of the real one.
#[derive(Clone, Debug, Default, PartialEq)]
struct Rows {
    events: BTreeMap<(RoomKey, Seq), EventRow>,
    rooms: BTreeMap<RoomKey, (Head, Option<RoomMeta>)>,
    standings: BTreeMap<(RoomKey, UserId), Membership>,
    reads: BTreeMap<(RoomKey, UserId), (Seq, Count)>,
    partition: Option<PartitionRow>,
}

/// One write to the store, done whole or not at all.
#[derive(Debug)]
enum Write {
    Read(ReadMark),
    Room(RoomMove),
    Partition(PartitionRow),
}

/// One owner, moved on by single steps.
struct Owner {
    ledger: Ledger,
    packed: VecDeque<Window>,
    begun: Prefix<(Vec<Step>, PartitionRow)>,
    in_flight: Vec<(WindowId, Vec<EventRow>)>,
    moves: Moves,
    writes: VecDeque<Write>,
}

// === impl Rows ===

impl Rows {
    /// An event row is never replaced by another one.
    fn put(&mut self, row: EventRow) {
        let key = (row.event.key.clone(), row.event.seq);
        let before = self.events.insert(key, row.clone());
        assert!(
            before.is_none_or(|before| before == row),
            "an event row changed to {row:?}"
        );
    }

    fn write(&mut self, write: Write) {
        match write {
            Write::Read(mark) => {
                let read = self.reads.entry((mark.key, mark.user)).or_default();
                *read = (*read).max((mark.seq, mark.count));
            }
            Write::Room(step) => self.move_room(step),
            Write::Partition(row) => {
                if self
                    .partition
                    .is_none_or(|held| held.position < row.position)
                {
                    self.partition = Some(row);
                }
            }
        }
        self.rows_only_say_what_is_stored();
    }

    fn move_room(&mut self, step: RoomMove) {
        let held = self.rooms.get(&step.key);
        if held.is_some_and(|(head, _)| head.seq >= step.head.seq) {
            return;
        }
        let meta = step
            .meta
            .or_else(|| held.and_then(|(_, meta)| meta.clone()));
        for member in step.members {
            let key = (step.key.clone(), member.user);
            self.standings.insert(key, member.membership);
        }
        self.rooms.insert(step.key, (step.head, meta));
    }

    /// A room's head never runs ahead of its events, nor the partition's row of its rooms.
    fn rows_only_say_what_is_stored(&self) {
        for (key, (head, _)) in &self.rooms {
            for seq in 1..=head.seq.0 {
                assert!(
                    self.events.contains_key(&(key.clone(), Seq(seq))),
                    "{key} {seq} is missing"
                );
            }
        }
        if let Some(row) = self.partition {
            let heads: u64 = self.rooms.values().map(|(head, _)| head.seq.0).sum();
            assert!(
                heads >= row.accepted,
                "the partition ran ahead of its rooms"
            );
        }
    }

    fn room_rows(&self, keys: &[RoomKey]) -> Vec<RoomRow> {
        let found = keys.iter().filter_map(|key| {
            let (head, meta) = self.rooms.get(key)?;
            Some(RoomRow {
                key: key.clone(),
                head: *head,
                partition: 0,
                shards: KeyShards::ONE,
                active_at_ms: 0,
                meta: meta.clone(),
            })
        });
        found.collect()
    }

    fn member_rows(&self, pairs: &[(RoomKey, UserId)]) -> Vec<(RoomKey, MemberRow)> {
        let found = pairs.iter().filter_map(|pair| {
            let (membership, read) = (self.standings.get(pair), self.reads.get(pair));
            (membership.is_some() || read.is_some()).then(|| {
                let (read_seq, read_count) = read.copied().unwrap_or_default();
                let row = MemberRow {
                    user: pair.1.clone(),
                    membership: membership.copied(),
                    read_seq,
                    read_count,
                    notify: Default::default(),
                };
                (pair.0.clone(), row)
            })
        });
        found.collect()
    }
}

// === impl Owner ===

impl Owner {
    /// Starts where the partition's row says, with the window read back.
    fn start(rows: &Rows, log: &[LogRecord]) -> Self {
        let row = rows.partition.unwrap_or(PartitionRow {
            position: Position {
                generation: 0,
                offset: 0,
            },
            accepted: 0,
        });
        let mut ledger = Ledger::new(RoomLog::partial(SPEC, row.position, row.accepted));
        let from = SPEC.window_start_for(row.position);
        for record in log {
            if (from..row.position.offset).contains(&record.offset) {
                ledger.remember(record);
            }
        }
        Self {
            ledger,
            packed: VecDeque::new(),
            begun: Prefix::new(WINDOWS_MAX),
            in_flight: Vec::new(),
            moves: Moves::none(0),
            writes: VecDeque::new(),
        }
    }

    /// Does one thing that can be done now, by choice; at most one write.
    fn step(&mut self, choice: usize, rows: &mut Rows, log: &[LogRecord]) -> Result<(), Overtaken> {
        match choice % 4 {
            0 => self.take(1 + choice / 4 % 60, rows, log)?,
            1 => self.begin_window(),
            2 => self.write_event(choice / 4, rows),
            _ => self.write_row(rows),
        }
        Ok(())
    }

    fn take(&mut self, at_most: usize, rows: &Rows, log: &[LogRecord]) -> Result<(), Overtaken> {
        let start = usize::try_from(self.ledger.next().offset).expect("offsets are not negative");
        let records = &log[start..log.len().min(start + at_most)];
        if !self.packed.is_empty() || records.is_empty() {
            return Ok(());
        }
        let unknown = self.ledger.unknown(records);
        let heads = rows.room_rows(&unknown);
        self.ledger.load_heads(unknown, heads);
        let (entries, _) = self
            .ledger
            .number(records.to_vec())
            .expect("heads are loaded");
        let missing = self.ledger.missing(&entries);
        let members = rows.member_rows(&missing.members);
        let keys: Vec<_> = missing.rooms.keys().cloned().collect();
        self.ledger
            .load_states(missing, members, rows.room_rows(&keys))?;
        self.packed.extend(self.ledger.pack(entries));
        Ok(())
    }

    fn begin_window(&mut self) {
        if self.begun.is_full() {
            return;
        }
        if let Some(window) = self.packed.pop_front() {
            assert!(window.events.len() <= WINDOW_EVENTS_MAX);
            let id = self
                .begun
                .begin((window.steps, window.after))
                .expect("not full");
            let events = window.events.into_iter().map(|(row, _)| row).collect();
            self.in_flight.push((id, events));
        }
    }

    fn write_event(&mut self, choice: usize, rows: &mut Rows) {
        if self.in_flight.is_empty() {
            return;
        }
        let index = choice % self.in_flight.len();
        let (id, events) = &mut self.in_flight[index];
        if let Some(row) = events.pop() {
            return rows.put(row);
        }
        let id = *id;
        self.in_flight.remove(index);
        for (steps, after) in self.begun.finish(id) {
            for step in steps {
                self.moves.add(step);
            }
            self.moves.reach(after);
        }
    }

    fn write_row(&mut self, rows: &mut Rows) {
        if self.writes.is_empty() && !self.moves.is_empty() {
            let moves = std::mem::replace(&mut self.moves, Moves::none(0));
            self.writes
                .extend(moves.reads().into_iter().map(Write::Read));
            self.writes
                .extend(moves.rooms().flatten().cloned().map(Write::Room));
            self.writes
                .extend(moves.partition().map(|(_, row)| Write::Partition(row)));
        }
        match self.writes.pop_front() {
            Some(Write::Room(step)) => {
                let (key, head) = (step.key.clone(), step.head);
                rows.write(Write::Room(step));
                self.ledger.stored(&key, head);
            }
            Some(write) => rows.write(write),
            None => {}
        }
    }

    fn finish(mut self, rows: &mut Rows, log: &[LogRecord]) -> Result<(), Overtaken> {
        let end = i64::try_from(log.len()).expect("small");
        while rows.partition.is_none_or(|row| row.position.offset < end) {
            for choice in 0..4 {
                self.step(choice, rows, log)?;
            }
        }
        Ok(())
    }
}

// === the log ===

#[derive(Clone, Debug)]
enum Act {
    Create,
    Post,
    Member(u8, MemberChange),
    Rename,
    Poison,
    Repeat,
    ForeignKey,
}

fn act() -> impl Strategy<Value = Act> {
    let change = prop_oneof![
        6 => Just(MemberChange::Joined),
        2 => Just(MemberChange::Left),
        1 => Just(MemberChange::Removed),
        1 => Just(MemberChange::Banned),
        1 => Just(MemberChange::Unbanned),
        1 => Just(MemberChange::Muted),
        2 => Just(MemberChange::Role(Role::Owner)),
        1 => Just(MemberChange::Role(Role::Member)),
    ];
    prop_oneof![
        2 => Just(Act::Create),
        6 => Just(Act::Post),
        8 => (0..4_u8, change).prop_map(|(user, change)| Act::Member(user, change)),
        1 => Just(Act::Rename),
        1 => Just(Act::Poison),
        2 => Just(Act::Repeat),
        1 => Just(Act::ForeignKey),
    ]
}

fn user(number: u8) -> UserId {
    UserId::parse(&format!("u{number}")).expect("alphabet")
}

fn body(act: &Act, sender: &UserId) -> Body {
    match act {
        Act::Create => Body::Room(RoomEvent {
            kind: Some(RoomKind::Group),
            ..RoomEvent::default()
        }),
        Act::Rename => Body::Room(RoomEvent {
            name: Some("renamed".into()),
            ..RoomEvent::default()
        }),
        Act::Member(other, change) => {
            let alone = matches!(change, MemberChange::Joined | MemberChange::Left);
            Body::Member(MemberEvent {
                user: if alone { sender.clone() } else { user(*other) },
                change: *change,
            })
        }
        _ => Body::Message(Message::default()),
    }
}

fn record(offset: usize, id: usize, room: u8, sender: u8, act: &Act) -> LogRecord {
    let sender = user(sender);
    let event = Event {
        key: RoomKey::parse(&format!("room{room}")).expect("alphabet"),
        id: MessageId::parse(&format!("id{id}")).expect("visible"),
        body: body(act, &sender),
        sender: Sender {
            id: sender,
            name: String::new(),
            avatar: None,
        },
        headers: Vec::new(),
        by_admin: false,
    };
    let value = match act {
        Act::Poison => "poison".into(),
        _ => roomlog_schemas::encode_event(&event),
    };
    let key = match act {
        Act::ForeignKey => "no room",
        _ => event.key.as_str(),
    };
    let headers = roomlog_schemas::headers(&event, "test", None);
    let headers = headers.iter().map(|(name, value)| (*name, &value[..]));
    let offset = i64::try_from(offset).expect("small");
    LogRecord::new((0, offset), offset, key.as_bytes(), &value, headers)
}

fn log() -> impl Strategy<Value = Vec<LogRecord>> {
    prop::collection::vec((0..3_u8, 0..4_u8, act()), 1..90).prop_map(|acts| {
        let mut records: Vec<LogRecord> = Vec::new();
        let mut sent = Vec::new();
        for (offset, (room, sender, act)) in acts.into_iter().enumerate() {
            let what = match (&act, sent.last().cloned()) {
                (Act::Repeat, Some(last)) => last,
                _ => (offset, room, sender, act),
            };
            records.push(record(offset, what.0, what.1, what.2, &what.3));
            sent.push(what);
        }
        records
    })
}

fn quiet_run(log: &[LogRecord]) -> Rows {
    let mut rows = Rows::default();
    let owner = Owner::start(&rows, log);
    owner
        .finish(&mut rows, log)
        .expect("nobody else is at work");
    rows
}

proptest! {
    #[test]
    fn a_crash_after_any_step_changes_no_row(
        log in log(),
        lives in prop::collection::vec(prop::collection::vec(any::<usize>(), 0..150), 0..5),
    ) {
        let mut rows = Rows::default();
        for life in lives {
            let mut owner = Owner::start(&rows, &log);
            for choice in life {
                owner.step(choice, &mut rows, &log).expect("nobody else is at work");
            }
        }
        Owner::start(&rows, &log).finish(&mut rows, &log).expect("nobody else is at work");
        prop_assert_eq!(rows, quiet_run(&log));
    }

    #[test]
    fn an_owner_that_was_replaced_and_goes_on_changes_no_row(
        log in log(),
        steps in prop::collection::vec((any::<bool>(), any::<usize>()), 0..600),
    ) {
        let mut rows = Rows::default();
        let mut owners = [Owner::start(&rows, &log), Owner::start(&rows, &log)];
        for (second, choice) in steps {
            let owner = &mut owners[usize::from(second)];
            if owner.step(choice, &mut rows, &log).is_err() {
                *owner = Owner::start(&rows, &log);
            }
        }
        for owner in owners {
            if owner.finish(&mut rows, &log).is_err() {
                Owner::start(&rows, &log).finish(&mut rows, &log).expect("the other has finished");
            }
        }
        prop_assert_eq!(rows, quiet_run(&log));
    }
}

#[test]
fn an_unreadable_record_keeps_its_bytes_and_its_place() {
    let log = [
        record(0, 0, 0, 0, &Act::Create),
        record(1, 1, 0, 0, &Act::Poison),
        record(2, 2, 0, 0, &Act::Post),
    ];
    let rows = quiet_run(&log);
    let stored: Vec<_> = rows.events.values().map(|row| &row.event).collect();
    let kinds: Vec<_> = stored.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [Kind::Room, Kind::Unreadable, Kind::Message]);
    assert_eq!(&stored[1].value[..], b"poison");
    assert_eq!(
        (stored[1].seq, stored[1].count, stored[2].count),
        (Seq(2), Count(1), Count(2))
    );
}

#[test]
fn an_event_the_state_does_not_allow_is_stored_as_void() {
    let log = [
        record(0, 0, 0, 0, &Act::Create),
        record(1, 1, 0, 1, &Act::Rename),
        record(2, 2, 0, 0, &Act::Rename),
    ];
    let rows = quiet_run(&log);
    let void: Vec<_> = rows.events.values().map(|row| row.void).collect();
    assert_eq!(void, [false, true, false]);
}

#[test]
fn posting_and_joining_move_the_position_and_nothing_else_does() {
    let log = [
        record(0, 0, 0, 0, &Act::Create),
        record(1, 1, 0, 0, &Act::Post),
        record(2, 2, 0, 0, &Act::Member(1, MemberChange::Invited)),
        record(3, 3, 0, 1, &Act::Member(1, MemberChange::Joined)),
        record(4, 4, 0, 1, &Act::Post),
        record(5, 5, 0, 0, &Act::Member(1, MemberChange::Muted)),
        record(6, 6, 0, 2, &Act::Member(2, MemberChange::Joined)),
    ];
    let rows = quiet_run(&log);
    let read = |number| {
        let key = RoomKey::parse("room0").expect("alphabet");
        rows.reads.get(&(key, user(number))).copied()
    };
    assert_eq!(read(0), Some((Seq(2), Count(1))), "inviting is not reading");
    assert_eq!(read(1), Some((Seq(5), Count(2))));
    assert_eq!(read(2), None, "a void join");
}

#[test]
fn rows_newer_than_the_event_are_not_folded_upon() {
    let log = [
        record(0, 0, 0, 0, &Act::Create),
        record(1, 1, 0, 1, &Act::Member(1, MemberChange::Joined)),
        record(2, 2, 0, 1, &Act::Rename),
        record(3, 3, 0, 0, &Act::Member(1, MemberChange::Role(Role::Owner))),
    ];
    let mut rows = Rows::default();
    let mut slow = Owner::start(&rows, &log);
    slow.take(1, &rows, &log).expect("nobody is ahead yet");
    slow.begin_window();
    Owner::start(&rows, &log)
        .finish(&mut rows, &log)
        .expect("the slow one wrote nothing");
    // By the rows there are now, user 1 may rename the room; at the rename's place in the log they might not.
    assert!(slow.take(3, &rows, &log).is_err());
}
