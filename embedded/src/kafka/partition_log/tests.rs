//! What a partition's log promises, in memory and on disk.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::kafka::batch::sample::{Sample, plain};
use proptest::prelude::*;

const SEGMENT_BYTES: u64 = 400;

fn append(log: &mut PartitionLog, mut batch: Vec<u8>, now_ms: i64) -> Append {
    let append = log
        .append(&mut batch, TimestampType::LogAppendTime, now_ms)
        .unwrap();
    log.publish();
    append
}

/// The offsets that a reader starting at `from` sees.
fn offsets(log: &PartitionLog, from: i64) -> Vec<i64> {
    let mut seen = Vec::new();
    let mut next = from;
    loop {
        let bytes = log.read(next, 200).unwrap();
        let mut rest = &bytes[..];
        if rest.is_empty() {
            return seen;
        }
        while let Some(header) = Header::read(rest) {
            seen.extend(
                (header.base_offset..=header.last_offset()).filter(|offset| *offset >= next),
            );
            next = header.last_offset() + 1;
            rest = &rest[header.bytes..];
        }
    }
}

#[test]
fn append_time_never_runs_backwards() {
    let mut log = PartitionLog::open(None, SEGMENT_BYTES).unwrap();
    let times = [1000, 900, 1100].map(|now| match append(&mut log, plain(1, 5), now) {
        Append::Done(appended) => appended.timestamp,
        other => panic!("{other:?}"),
    });
    assert_eq!(times, [1000, 1000, 1100]);
}

#[test]
fn a_duplicate_is_answered_with_its_first_place_and_time() {
    let mut log = PartitionLog::open(None, SEGMENT_BYTES).unwrap();
    let batch = Sample {
        producer: 7,
        epoch: 0,
        sequence: 0,
        times: &[1, 2],
    }
    .encode();
    let Append::Done(first) = append(&mut log, batch.clone(), 1000) else {
        panic!()
    };
    append(&mut log, plain(1, 5), 1500);
    assert_eq!(append(&mut log, batch, 2000), Append::Duplicate(first));
    assert_eq!(log.high_watermark(), 3);
}

#[test]
fn what_is_not_flushed_is_not_read() {
    let mut log = PartitionLog::open(None, SEGMENT_BYTES).unwrap();
    let mut batch = plain(2, 5);
    log.append(&mut batch, TimestampType::CreateTime, 0)
        .unwrap();
    assert!(log.read(0, 1000).unwrap().is_empty());
    assert_eq!(log.high_watermark(), 0);
    log.publish();
    assert_eq!(offsets(&log, 0), [0, 1]);
}

#[test]
fn expired_segments_go_and_offsets_stay() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = PartitionLog::open(Some(dir.path()), SEGMENT_BYTES).unwrap();
    for now in 0..20 {
        append(&mut log, plain(1, 0), now * 1000);
    }
    let retention = Retention {
        bytes_max: None,
        age_ms_max: Some(5000),
    };
    log.retain(retention, 20_000).unwrap();
    assert!((10..=15).contains(&log.start()), "start {}", log.start());
    log.retain(retention, 1_000_000).unwrap();
    assert_eq!((log.start(), log.high_watermark()), (20, 20));
    drop(log);
    let mut log = PartitionLog::open(Some(dir.path()), SEGMENT_BYTES).unwrap();
    assert_eq!((log.start(), log.high_watermark()), (20, 20));
    append(&mut log, plain(1, 0), 0);
    assert_eq!(offsets(&log, 20), [20]);
}

#[test]
fn deleted_records_stay_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = PartitionLog::open(Some(dir.path()), SEGMENT_BYTES).unwrap();
    for _ in 0..9 {
        append(&mut log, plain(1, 0), 0);
    }
    assert_eq!(log.delete_before(Some(4)).unwrap(), Some(4));
    assert_eq!(log.delete_before(Some(10)).unwrap(), None);
    drop(log);
    let log = PartitionLog::open(Some(dir.path()), SEGMENT_BYTES).unwrap();
    assert_eq!((log.start(), log.high_watermark()), (4, 9));
}

#[test]
fn a_time_is_found_across_segments() {
    let mut log = PartitionLog::open(None, SEGMENT_BYTES).unwrap();
    for now in 0..50 {
        append(&mut log, plain(2, 0), now * 10);
    }
    assert_eq!(log.first_not_before(115).unwrap(), Some((24, 120)));
    assert_eq!(log.first_not_before(491).unwrap(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// However the last write was torn, everything before it is there and the log goes on.
    #[test]
    fn a_torn_tail_is_cut_off(counts in prop::collection::vec(1_usize..4, 1..30), torn in 1_usize..60) {
        let dir = tempfile::tempdir().unwrap();
        let mut log = PartitionLog::open(Some(dir.path()), SEGMENT_BYTES).unwrap();
        for count in &counts {
            append(&mut log, plain(*count, 0), 0);
        }
        drop(log);
        let last = Segment::files_in(dir.path()).unwrap().pop().unwrap();
        let file = fs::OpenOptions::new().write(true).open(&last).unwrap();
        let length = file.metadata().unwrap().len();
        file.set_len(length - torn as u64).unwrap();

        let mut log = PartitionLog::open(Some(dir.path()), SEGMENT_BYTES).unwrap();
        let kept: usize = counts[..counts.len() - 1].iter().sum();
        prop_assert_eq!(log.high_watermark(), kept as i64);
        append(&mut log, plain(1, 0), 0);
        let expected: Vec<i64> = (0..=kept as i64).collect();
        prop_assert_eq!(offsets(&log, 0), expected);
    }

    #[test]
    fn any_offset_can_be_read_from(counts in prop::collection::vec(1_usize..5, 1..40), from in 0_i64..100) {
        let mut log = PartitionLog::open(None, SEGMENT_BYTES).unwrap();
        for count in &counts {
            append(&mut log, plain(*count, 0), 0);
        }
        let end = counts.iter().sum::<usize>() as i64;
        let from = from.min(end);
        let expected: Vec<i64> = (from..end).collect();
        prop_assert_eq!(offsets(&log, from), expected);
    }
}
