//! The numbering against a model: one uninterrupted read by the simplest code imaginable.

#![allow(clippy::unwrap_used)]

mod facts;
mod model;
mod recall;

use proptest::{prelude::*, sample::Index};

use self::model::*;
use super::*;
use crate::event::Kind;

// === strategies ===

fn spec() -> impl Strategy<Value = Spec> {
    (0..PARTITION_COUNT, 0_i64..14).prop_map(|(partition, window_offsets)| Spec {
        partition,
        partition_count: PARTITION_COUNT,
        window_offsets,
    })
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    let kind = prop_oneof![
        4 => Just(Some(Kind::Message)),
        1 => Just(Some(Kind::Notice)),
        1 => Just(Some(Kind::Reaction)),
        1 => Just(None),
    ];
    let hole = prop_oneof![8 => Just(0_i64), 2 => 1_i64..4, 1 => Just(20)];
    // Around the 24 hours, to the millisecond, forwards and backwards.
    let step = prop_oneof![
        8 => 0_i64..3,
        1 => -5_i64..0,
        2 => WINDOW_MS - 3..WINDOW_MS + 3,
        1 => -WINDOW_MS - 2..-WINDOW_MS + 2,
    ];
    let sender = prop_oneof![5 => Just("x"), 3 => Just("y"), 1 => Just("")];
    let id = prop_oneof![5 => Just("1"), 3 => Just("2"), 2 => Just("3"), 1 => Just("")];
    let record = (0..NAMES.len(), sender, id, kind, hole, step);
    prop::collection::vec(record, 0..70).prop_map(|rows| {
        let (mut offset, mut now) = (0, 1_763_700_000_000);
        let mut records = Vec::new();
        for (name, sender, id, kind, hole, step) in rows {
            offset += hole;
            now += step;
            records.push(Record {
                offset,
                key: NAMES[name].into(),
                sender: sender.into(),
                id: id.into(),
                kind,
                append_time_ms: now,
            });
            offset += 1;
        }
        records
    })
}

fn world() -> impl Strategy<Value = World> {
    (spec(), records()).prop_map(|(spec, records)| World::new(spec, records))
}

#[derive(Clone, Debug)]
enum Step {
    Apply(usize),
    /// A write that is acknowledged, one that fails and is given back, and one that is acknowledged and lost.
    Write,
    FailWrite,
    LoseWrite,
    /// A write that happens for some of its rooms only, with both totals; the owner may take it for acknowledged.
    WritePart {
        written: Vec<bool>,
        acknowledged: bool,
    },
    /// Redis fails over to what it was some writes ago, or is emptied.
    RollBack(Index),
    /// The owner finds the snapshot it wrote damaged.
    Rewrite,
    /// Crash, and restart from the snapshot if it is trusted, otherwise from stored rows.
    Restart {
        partition_row: Index,
        rows: Vec<Index>,
    },
    /// Crash, and restart from the first record.
    Replay,
    LoadRows(Option<usize>),
}

fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    let step = prop_oneof![
        8 => (1_usize..12).prop_map(Step::Apply),
        4 => Just(Step::Write),
        1 => Just(Step::FailWrite),
        1 => Just(Step::LoseWrite),
        2 => (prop::collection::vec(any::<bool>(), NAMES.len()), any::<bool>())
            .prop_map(|(written, acknowledged)| Step::WritePart { written, acknowledged }),
        1 => any::<Index>().prop_map(Step::RollBack),
        1 => Just(Step::Rewrite),
        4 => (any::<Index>(), prop::collection::vec(any::<Index>(), NAMES.len()))
            .prop_map(|(partition_row, rows)| Step::Restart { partition_row, rows }),
        1 => Just(Step::Replay),
        3 => prop::option::of(0..NAMES.len()).prop_map(Step::LoadRows),
    ];
    prop::collection::vec((0_usize..2, step), 0..40)
}

// === properties ===

/// Restarts an owner from what the stores hold.
fn restart(world: &World, cache: &Cache, partition_row: Index, rows: &[Index]) -> Owner {
    let end = world.len();
    match RoomLog::restore(world.spec, cache.snapshot()) {
        Ok(mut log) => {
            let index = (0..=end)
                .find(|index| world.next_after(*index) == log.next())
                .expect("a trusted snapshot stands where somebody stood");
            heads_are_true(world, index, &log);
            world.read_back(&mut log);
            let rows = vec![end; NAMES.len()];
            Owner { log, index, rows }
        }
        Err(_) => {
            let index = partition_row.index(end + 1);
            let accepted = world.accepted(index);
            let mut log = RoomLog::partial(world.spec, world.next_after(index), accepted);
            world.read_back(&mut log);
            let ahead = |row: &Index| index + row.index(end + 1 - index);
            let rows = rows.iter().map(ahead).collect();
            Owner { log, index, rows }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// Two owners of one partition, each crashing and restarting from whatever the stores hold, with writes of
    /// the snapshot lost, failed, rolled back and interleaved, number as one uninterrupted read does.
    #[test]
    fn numbers_as_one_uninterrupted_read(world in world(), steps in steps()) {
        let start = || Owner {
            log: RoomLog::empty(world.spec, GENERATION),
            index: 0,
            rows: vec![0; NAMES.len()],
        };
        let mut owners = [start(), start()];
        let mut cache = Cache::default();
        let mut past = vec![cache.clone()];
        for (which, step) in steps {
            let owner = &mut owners[which];
            match step {
                Step::Apply(records) => {
                    let end = world.len().min(owner.index + records);
                    while owner.index < end {
                        owner.apply_one(&world);
                    }
                }
                Step::Write => {
                    if let Some(changes) = owner.log.take_changes() {
                        cache.write(&changes);
                        past.push(cache.clone());
                    }
                }
                Step::FailWrite => {
                    if let Some(changes) = owner.log.take_changes() {
                        owner.log.return_changes(changes);
                    }
                }
                Step::LoseWrite => drop(owner.log.take_changes()),
                Step::WritePart { written, acknowledged } => {
                    if let Some(changes) = owner.log.take_changes() {
                        cache.write(&part(&changes, &written));
                        past.push(cache.clone());
                        if !acknowledged {
                            owner.log.return_changes(changes);
                        }
                    }
                }
                Step::RollBack(to) => cache = past[to.index(past.len())].clone(),
                Step::Rewrite => owner.log.rewrite_snapshot(),
                Step::Restart { partition_row, rows } => {
                    *owner = restart(&world, &cache, partition_row, &rows);
                }
                Step::Replay => *owner = start(),
                Step::LoadRows(left_out) => owner.load_rows(&world, left_out),
            }
        }
        for mut owner in owners {
            while owner.index < world.len() {
                owner.apply_one(&world);
            }
            owner.load_rows(&world, None);
            prop_assert!(owner.log.is_complete(), "all rows were loaded and passed");
            heads_are_true(&world, world.len(), &owner.log);
        }
    }

    /// What an owner writes behind, with failures given back, always is a trusted snapshot of where it stands.
    #[test]
    fn acknowledged_changes_make_a_trusted_snapshot(
        world in world(),
        writes in prop::collection::vec((0_usize..6, any::<bool>()), 0..40),
    ) {
        let mut log = RoomLog::empty(world.spec, GENERATION);
        let mut cache = Cache::default();
        let mut index = 0;
        for (records, acknowledged) in writes {
            let end = world.len().min(index + records);
            for record in &world.records[index..end] {
                log.apply(&record.as_ref());
            }
            index = end;
            match log.take_changes() {
                Some(changes) if acknowledged => {
                    cache.write(&changes);
                    prop_assert_eq!(cache.snapshot(), sorted(log.snapshot().unwrap()));
                    prop_assert_eq!(log.take_changes(), None, "nothing happened since");
                }
                Some(changes) => log.return_changes(changes),
                None => prop_assert!(cache.snapshot() == sorted(log.snapshot().unwrap())),
            }
            let restored = RoomLog::restore(world.spec, cache.snapshot());
            prop_assert!(restored.is_ok(), "{:?}", restored.err());
        }
    }

    /// A write of which only some rooms arrived, with both totals, leaves a set that nobody trusts, until a write that
    /// has the others makes it whole.
    #[test]
    fn a_partly_written_snapshot_is_not_trusted(
        world in world(),
        cuts: [Index; 2],
        written in prop::collection::vec(any::<bool>(), NAMES.len()),
    ) {
        let [from, to] = cuts.map(|cut| cut.index(world.len() + 1));
        let mut log = RoomLog::empty(world.spec, GENERATION);
        let mut cache = Cache::default();
        for record in &world.records[..from.min(to)] {
            log.apply(&record.as_ref());
        }
        if let Some(changes) = log.take_changes() {
            cache.write(&changes);
        }
        for record in &world.records[from.min(to)..from.max(to)] {
            log.apply(&record.as_ref());
        }
        let changes = log.take_changes();
        prop_assume!(changes.is_some());
        let changes = changes.unwrap();
        let arrived = part(&changes, &written);
        cache.write(&arrived);
        let restored = RoomLog::restore(world.spec, cache.snapshot());
        prop_assert_eq!(restored.is_ok(), arrived == changes);
        log.return_changes(changes);
        cache.write(&log.take_changes().unwrap());
        let restored = RoomLog::restore(world.spec, cache.snapshot());
        heads_are_true(&world, from.max(to), &restored.unwrap());
    }

    /// A snapshot in which any head is not as it was is not trusted.
    #[test]
    fn a_tampered_snapshot_is_not_trusted(world in world(), which: Index, by in 1_u64..5) {
        let mut snapshot = world.snapshot(world.len());
        prop_assume!(!snapshot.heads.is_empty());
        let which = which.index(snapshot.heads.len());
        let mut lost = snapshot.clone();
        lost.heads.remove(which);
        prop_assert!(RoomLog::restore(world.spec, lost).is_err());
        let mut repeated = snapshot.clone();
        repeated.heads.push(snapshot.heads[which].clone());
        prop_assert!(RoomLog::restore(world.spec, repeated).is_err());
        snapshot.heads[which].1.0 += by;
        prop_assert!(RoomLog::restore(world.spec, snapshot).is_err());
    }

    /// A log that is closed and goes on in a new generation is numbered as if it had never been closed, by an
    /// owner that saw both and by one that starts anywhere in the second.
    #[test]
    fn a_new_generation_goes_on(world in world(), cut: Index, start: Index, gap in 0_i64..3) {
        let cut = cut.index(world.len() + 1);
        let start = cut + start.index(world.len() + 1 - cut);
        let end_offset = world.position(cut).offset - gap.min(world.position(cut).offset);
        let end_offset = end_offset.max(world.next_after(cut).offset);
        let second = |record: &Record| Record {
            offset: record.offset - end_offset,
            ..record.clone()
        };
        fn renewed(record: &Record) -> RecordRef<'_> {
            let mut record = record.as_ref();
            record.position.generation += 1;
            record
        }

        let mut lived = world.read_from_the_start(cut);
        if let Some(record) = world.records.get(cut) {
            let outcome = lived.apply(&renewed(record));
            prop_assert_eq!(outcome, Outcome::Foreign(Foreign::Generation));
        }
        // What lies between the last record and the end belongs to the first generation.
        lived.next = at(end_offset);
        lived.open_generation(GENERATION + 1);
        lived.open_generation(GENERATION);

        let next = Position {
            generation: GENERATION + 1,
            offset: (world.next_after(start).offset - end_offset).max(0),
        };
        let base = Snapshot { position: next, ..world.snapshot(start) };
        let mut fresh = RoomLog::restore(world.spec, base).unwrap();
        for record in &world.records[..cut] {
            fresh.remember_carried(&record.as_ref(), end_offset);
        }
        for record in &world.records[cut..start] {
            fresh.remember(&renewed(&second(record)));
        }
        window_is_bounded(&world, &fresh);

        for index in cut..world.len() {
            let record = second(&world.records[index]);
            says_the_truth(&world, index, lived.apply(&renewed(&record)), false);
            if index >= start {
                says_the_truth(&world, index, fresh.apply(&renewed(&record)), false);
            }
        }
        heads_are_true(&world, world.len(), &lived);
        heads_are_true(&world, world.len(), &fresh);
        let changes = lived.take_changes().unwrap();
        prop_assert_eq!(changes.heads.len(), world.totals[world.len()].len());
    }

    /// A record that comes again changes nothing, wherever the log stands.
    #[test]
    fn a_record_that_comes_again_changes_nothing(world in world(), again: Index) {
        let mut log = world.read_from_the_start(world.len());
        let before = (log.next(), log.accepted(), totals_of(&log), log.window.len());
        prop_assume!(world.len() > 0);
        for record in &world.records[again.index(world.len())..] {
            prop_assert_eq!(log.apply(&record.as_ref()), Outcome::Past);
            log.remember(&record.as_ref());
        }
        let after = (log.next(), log.accepted(), totals_of(&log), log.window.len());
        prop_assert_eq!(before, after);
    }

    /// Whatever bytes a record and a row hold, nothing panics and every record gets an answer.
    #[test]
    fn bad_input_never_panics(
        window_offsets: i64,
        partition_count: u32,
        start: i64,
        accepted: u64,
        rows in prop::collection::vec((0_u64.., any::<u64>(), any::<i64>()), 3),
        records in prop::collection::vec(
            (any::<i64>(), prop::collection::vec(any::<u8>(), 0..3), any::<i64>()), 0..20),
    ) {
        let spec = Spec { partition: 0, partition_count, window_offsets };
        let mut log = RoomLog::partial(spec, at(start), accepted.min(u64::MAX - 100));
        for (name, (seq, count, offset)) in ["a", "b", "c"].iter().zip(rows) {
            let (seq, count) = (Seq(seq.min(u64::MAX - 100)), Count(count.min(u64::MAX - 100)));
            log.load_head(room(name), Some(Head { seq, count, position: at(offset) }));
        }
        for (offset, bytes, append_time_ms) in records {
            let record = RecordRef {
                position: at(offset),
                key: if bytes.len() > 1 { b"a" } else { &bytes },
                id: &bytes,
                sender: &bytes,
                kind: None,
                append_time_ms,
            };
            log.apply(&record);
            log.remember(&record);
            log.all_heads_loaded();
        }
    }
}
