//! The partition's log, and what is true of it: numbered and folded in one uninterrupted read, by the simplest code
//! imaginable.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use roomlog_core::{
    amendment::{Amendment, Amendments},
    event::{Body, Event, Kind, MemberChange, MemberEvent, Message, RoomEvent, RoomKind, Sender},
    ids::{Count, MessageId, RoomKey, Seq, UserId},
    partition::partition_of,
    room_log::{Bounds, Position, RecordRef, Spec, WINDOW_MS},
    room_state::{Change, Effect, Membership, RoomMeta, Rows, fold, subject_of},
};

pub(crate) const GENERATION: u32 = 1;

/// A window small enough for retries to fall out of it.
pub(crate) const WINDOW_OFFSETS: i64 = 24;

/// What somebody sends.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) key: String,
    pub(crate) sender: &'static str,
    pub(crate) id: String,
    /// `None` for a value nobody can decode.
    pub(crate) body: Option<Body>,
    /// The header `type`.
    pub(crate) kind: Option<Kind>,
}

/// A record and what it truly is.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) position: Position,
    pub(crate) draft: Draft,
    /// The decoded event, where the value is one.
    pub(crate) event: Option<Event>,
    pub(crate) append_time_ms: i64,
    pub(crate) truth: Truth,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    Accepted(Seq, Count),
    Duplicate,
    Foreign,
}

/// Rooms and how far they have come.
pub(crate) type Totals = BTreeMap<RoomKey, (Seq, Count)>;

/// A room's true state after one of its events.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) meta: Option<RoomMeta>,
    pub(crate) members: BTreeMap<UserId, Membership>,
    /// Whether that event changed nothing because it was not allowed.
    pub(crate) is_void: bool,
    pub(crate) count: Count,
}

#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) spec: Spec,
    pub(crate) records: Vec<Record>,
    /// Totals before each record, and after the last.
    totals: Vec<Totals>,
    /// Where each room's events are, by seq from 1.
    places: BTreeMap<RoomKey, Vec<Position>>,
    /// Each room's state, by seq from 0.
    states: BTreeMap<RoomKey, Vec<Rc<State>>>,
    /// Records the dead-letter topic has.
    pub(crate) put_aside: BTreeSet<Position>,
    low: i64,
    end: i64,
}

pub(crate) fn at(offset: i64) -> Position {
    Position {
        generation: GENERATION,
        offset,
    }
}

pub(crate) fn room(name: &str) -> RoomKey {
    RoomKey::parse(name).expect("alphabet")
}

pub(crate) fn user(name: &str) -> UserId {
    UserId::parse(name).expect("alphabet")
}

// === impl Draft ===

impl Draft {
    pub(crate) fn of(key: &str, sender: &'static str, id: &str, body: Body) -> Self {
        Self {
            key: key.to_owned(),
            sender,
            id: id.to_owned(),
            kind: Some(body.kind()),
            body: Some(body),
        }
    }

    pub(crate) fn message(key: &str, sender: &'static str, id: &str) -> Self {
        Self::of(key, sender, id, Body::Message(Message::default()))
    }

    /// A message whose value is none.
    pub(crate) fn poison(key: &str, sender: &'static str, id: &str) -> Self {
        Self {
            body: None,
            ..Self::message(key, sender, id)
        }
    }

    pub(crate) fn creation(key: &str, sender: &'static str, id: &str) -> Self {
        let fields = RoomEvent {
            kind: Some(RoomKind::Group),
            name: Some(key.to_owned()),
            public: Some(true),
            ..RoomEvent::default()
        };
        Self::of(key, sender, id, Body::Room(fields))
    }

    pub(crate) fn member(
        key: &str,
        sender: &'static str,
        id: &str,
        whose: &str,
        change: MemberChange,
    ) -> Self {
        let user = user(whose);
        Self::of(key, sender, id, Body::Member(MemberEvent { user, change }))
    }

    pub(crate) fn event(&self) -> Option<Event> {
        Some(Event {
            key: RoomKey::parse(&self.key).ok()?,
            id: MessageId::parse(&self.id).ok()?,
            sender: Sender {
                id: user(self.sender),
                name: self.sender.to_owned(),
                avatar: None,
            },
            body: self.body.clone()?,
            headers: Vec::new(),
            by_admin: false,
        })
    }
}

// === impl Record ===

impl Record {
    pub(crate) fn as_ref(&self) -> RecordRef<'_> {
        RecordRef {
            position: self.position,
            key: self.draft.key.as_bytes(),
            id: self.draft.id.as_bytes(),
            sender: self.draft.sender.as_bytes(),
            kind: self.draft.kind,
            append_time_ms: self.append_time_ms,
        }
    }

    /// The event, if it is one that the fold looks at.
    pub(crate) fn folded(&self) -> Option<&Event> {
        let event = self.event.as_ref()?;
        matches!(event.body, Body::Member(_) | Body::Room(_)).then_some(event)
    }

    /// What it makes of an earlier message, as the event with this seq.
    pub(crate) fn amendment(&self, seq: Seq) -> Option<Amendment> {
        Amendment::of(self.event.as_ref()?, seq, self.append_time_ms)
    }

    fn is_retry_of(&self, other: &Self) -> bool {
        let name = |draft: &Draft| (draft.key.clone(), draft.sender, draft.id.clone());
        name(&self.draft) == name(&other.draft)
            && self.append_time_ms - other.append_time_ms <= WINDOW_MS
    }
}

// === impl State ===

impl State {
    pub(crate) fn has(&self, user: &UserId) -> bool {
        self.members.get(user).is_some_and(Membership::is_in)
            && self.meta.as_ref().is_some_and(|meta| !meta.deleted)
    }

    /// The state after the room's next event.
    fn after(&self, event: &Event, seq: Seq) -> Self {
        let rows = Rows {
            room: self.meta.as_ref(),
            subject: subject_of(event).and_then(|user| self.members.get(user)),
            actor: self.members.get(&event.sender.id),
        };
        let mut next = self.clone();
        match fold(rows, event, seq) {
            Effect::Void => next.is_void = true,
            Effect::Folded => unreachable!("each event is folded once"),
            Effect::Stands(changes) => {
                next.is_void = false;
                for change in changes {
                    match change {
                        Change::Room(meta) => next.meta = Some(meta),
                        Change::Member(user, row) => drop(next.members.insert(user, row)),
                    }
                }
            }
        }
        next
    }
}

// === impl Log ===

impl Log {
    /// An empty log of partition 0 of 2, so that half of all room names don't belong there.
    pub(crate) fn new() -> Self {
        Self::with_window(WINDOW_OFFSETS)
    }

    /// The same with another window than the one that is promised.
    pub(crate) fn with_window(window_offsets: i64) -> Self {
        Self {
            spec: Spec {
                partition: 0,
                partition_count: 2,
                window_offsets,
            },
            records: Vec::new(),
            totals: vec![Totals::new()],
            places: BTreeMap::new(),
            states: BTreeMap::new(),
            put_aside: BTreeSet::new(),
            low: 0,
            end: 0,
        }
    }

    /// Whether a room belongs to the partition.
    pub(crate) fn holds(&self, key: &str) -> bool {
        partition_of(key.as_bytes(), self.spec.partition_count) == self.spec.partition
    }

    /// Leaves offsets out, as marks of transactions do.
    pub(crate) fn skip(&mut self, offsets: i64) {
        self.end += offsets;
    }

    pub(crate) fn append(&mut self, draft: Draft, append_time_ms: i64) -> Position {
        let position = at(self.end);
        let mut record = Record {
            position,
            event: draft.event(),
            draft,
            append_time_ms,
            truth: Truth::Foreign,
        };
        let mut totals = self.totals.last().expect("one to begin with").clone();
        let key = RoomKey::parse(&record.draft.key).ok();
        let key = key.filter(|_| self.holds(&record.draft.key));
        record.truth = match key {
            None => Truth::Foreign,
            Some(_) if self.is_retry(&record) => Truth::Duplicate,
            Some(key) => {
                let total = totals.entry(key.clone()).or_default();
                let counts = record.draft.kind.is_some_and(Kind::counts);
                *total = (total.0.next(), Count(total.1.0 + u64::from(counts)));
                self.places.entry(key.clone()).or_default().push(position);
                self.fold(key, &record, *total);
                Truth::Accepted(total.0, total.1)
            }
        };
        self.end += 1;
        self.totals.push(totals);
        self.records.push(record);
        position
    }

    fn is_retry(&self, record: &Record) -> bool {
        let first = record.position.offset - self.spec.window_offsets;
        let mut earlier = self.records.iter().rev();
        earlier
            .by_ref()
            .take_while(|other| other.position.offset >= first)
            .any(|other| record.is_retry_of(other))
    }

    fn fold(&mut self, key: RoomKey, record: &Record, (seq, count): (Seq, Count)) {
        let states = self
            .states
            .entry(key)
            .or_insert_with(|| vec![Rc::default()]);
        let before = states.last().expect("the state before all events");
        let mut after = match record.folded() {
            Some(event) => before.after(event, seq),
            None => State {
                is_void: false,
                ..(**before).clone()
            },
        };
        after.count = count;
        states.push(Rc::new(after));
    }

    /// Retention takes everything before an offset.
    pub(crate) fn trim(&mut self, low: i64) {
        self.low = self.low.max(low.min(self.end));
    }

    pub(crate) fn bounds(&self) -> Bounds {
        Bounds {
            low: self.low,
            high: self.end,
        }
    }

    /// The offset after the last record.
    pub(crate) fn end(&self) -> Position {
        at(self.end)
    }

    /// How many records lie before a position.
    fn index(&self, position: Position) -> usize {
        self.records
            .partition_point(|record| record.position < position)
    }

    /// The records from an offset on, as a reader gets them.
    pub(crate) fn from(&self, position: Position) -> &[Record] {
        assert!(position.offset >= self.low, "{position:?} was trimmed");
        &self.records[self.index(position)..]
    }

    /// The record there, whether the log still has it or another source tells of it.
    pub(crate) fn record(&self, place: Position) -> &Record {
        &self.records[self.index(place)]
    }

    /// The true totals before a position.
    pub(crate) fn totals_at(&self, position: Position) -> &Totals {
        &self.totals[self.index(position)]
    }

    /// How many records before a position are accepted in truth.
    pub(crate) fn accepted_before(&self, position: Position) -> u64 {
        let totals = self.totals_at(position).values();
        totals.map(|(seq, _)| seq.0).sum()
    }

    /// Where a room's event truly is.
    pub(crate) fn place(&self, room: &RoomKey, seq: Seq) -> Option<Position> {
        let index = usize::try_from(seq.0.checked_sub(1)?).ok()?;
        self.places.get(room)?.get(index).copied()
    }

    /// A room's true state after an event of it.
    pub(crate) fn state(&self, room: &RoomKey, seq: Seq) -> Rc<State> {
        let states = self.states.get(room);
        let state = states.and_then(|states| states.get(usize::try_from(seq.0).ok()?));
        state.cloned().unwrap_or_default()
    }

    pub(crate) fn head(&self, room: &RoomKey) -> Seq {
        Seq(self.places.get(room).map_or(0, Vec::len) as u64)
    }

    /// What a room's events from a seq on truly make of its messages.
    pub(crate) fn amended_from(&self, room: &RoomKey, from: Seq) -> Amendments {
        let mut amended = Amendments::default();
        for seq in (from.0.max(1)..=self.head(room).0).map(Seq) {
            let place = self.place(room, seq).expect("it is up to the head");
            amended.extend(self.record(place).amendment(seq));
        }
        amended
    }

    /// Whether two sendings of an id lie further apart than the window that is promised.
    pub(crate) fn left_its_window(&self, draft: &Draft) -> bool {
        let name = |draft: &Draft| (draft.key.clone(), draft.sender, draft.id.clone());
        let sendings = self.records.iter();
        let sendings: Vec<_> = sendings
            .filter(|record| name(&record.draft) == name(draft))
            .collect();
        sendings.windows(2).any(|pair| {
            let offsets = pair[1].position.offset - pair[0].position.offset;
            let ms = pair[1].append_time_ms - pair[0].append_time_ms;
            offsets > WINDOW_OFFSETS || ms > WINDOW_MS
        })
    }

    /// The seqs of every accepted record of this room, sender and id.
    pub(crate) fn seqs_of(&self, key: &str, sender: &str, id: &str) -> Vec<Seq> {
        let of = |record: &&Record| {
            let draft = &record.draft;
            (draft.key.as_str(), draft.sender, draft.id.as_str()) == (key, sender, id)
        };
        let records = self.records.iter().filter(of);
        records
            .filter_map(|record| match record.truth {
                Truth::Accepted(seq, _) => Some(seq),
                _ => None,
            })
            .collect()
    }
}
