//! How many records one owner numbers per second, with the duplicate window full.
//!
//! The control hashes the same key without numbering anything: it is the part of the cost that only a weaker
//! promise about retries could save.
//!
//! `cargo bench --bench numbering -- --write` puts the figures into docs/benchmarks.md.

mod figures;

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use figures::Row;
use roomlog_core::{
    event::Kind,
    room_log::{Outcome, Position, RecordRef, RoomLog, Spec},
};
use sha2::{Digest, Sha256};

/// The default window.
const WINDOW_OFFSETS: i64 = 131_072;
/// Rooms that take turns.
const ROOMS: usize = 1_000;

const SPEC: Spec = Spec {
    partition: 0,
    partition_count: 1,
    window_offsets: WINDOW_OFFSETS,
};

/// Records without end, a new id each.
struct Stream {
    rooms: Vec<String>,
    offset: i64,
    id: [u8; 36],
}

impl Stream {
    fn new() -> Self {
        Self {
            rooms: (0..ROOMS).map(|room| format!("room-{room}")).collect(),
            offset: 0,
            // As long as the UUIDs that ids are by default.
            id: *b"0190a5b4-7e3c-7000-8000-000000000000",
        }
    }

    fn next(&mut self) -> RecordRef<'_> {
        let offset = self.offset;
        self.offset += 1;
        self.id[..8].copy_from_slice(&offset.to_be_bytes());
        self.at(offset)
    }

    fn at(&self, offset: i64) -> RecordRef<'_> {
        RecordRef {
            position: Position {
                generation: 1,
                offset,
            },
            key: self.rooms[offset as usize % ROOMS].as_bytes(),
            id: &self.id,
            sender: b"ann",
            kind: Some(Kind::Message),
            append_time_ms: 1_763_700_000_000 + offset,
        }
    }
}

fn full() -> (RoomLog, Stream) {
    let mut log = RoomLog::empty(SPEC, 1);
    let mut stream = Stream::new();
    for _ in 0..WINDOW_OFFSETS {
        log.apply(&stream.next());
    }
    (log, stream)
}

/// An owner that is to read one window back, from an offset on.
fn before(offset: i64) -> RoomLog {
    let start = Position {
        generation: 1,
        offset: offset + WINDOW_OFFSETS,
    };
    RoomLog::partial(SPEC, start, 0)
}

fn numbering(c: &mut Criterion) {
    let mut group = c.benchmark_group("numbering");
    group.throughput(Throughput::Elements(1));

    let (mut log, mut stream) = full();
    group.bench_function("new events", |b| {
        b.iter(|| {
            let outcome = log.apply(black_box(&stream.next()));
            assert!(matches!(outcome, Outcome::Accepted { .. }));
        });
    });

    let (mut log, mut stream) = full();
    group.bench_function("retries", |b| {
        b.iter(|| {
            // The same id for each room's next record, so that every one but a room's first is a retry.
            let offset = stream.offset;
            stream.offset += 1;
            black_box(log.apply(black_box(&stream.at(offset))))
        });
    });

    let mut stream = Stream::new();
    let mut log = before(0);
    group.bench_function("read-back", |b| {
        b.iter(|| {
            // One log takes one window; the next one starts where this one's ends.
            if stream.offset % WINDOW_OFFSETS == 0 {
                log = before(stream.offset);
            }
            log.remember(black_box(&stream.next()));
        });
    });

    let mut stream = Stream::new();
    group.bench_function("control: hash only", |b| {
        b.iter(|| {
            let record = stream.next();
            let mut hash = Sha256::new();
            for part in [record.key, record.sender, record.id] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
            black_box(hash.finalize())
        });
    });
    group.finish();
}

/// What the figures mean, for who reads only the page.
const PREFACE: &str = "\
## Numbering

What one owner of a partition does with one record, the duplicate window of 131,072 offsets full, 1,000 rooms in turn:
median nanoseconds on one core. The control hashes the record's key, sender and id and does nothing else.
";

const ROWS: &[Row] = &[
    Row::of(
        "numbering",
        "new events",
        "a new event gets its seq and count",
    ),
    Row::of("numbering", "retries", "a retry is found in the window"),
    Row::of(
        "numbering",
        "read-back",
        "a record is read back into the window at a take-over",
    ),
    Row::of("numbering", "control: hash only", "control"),
];

fn main() {
    figures::run("numbering", &[numbering], PREFACE, ROWS);
}
