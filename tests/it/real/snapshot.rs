//! The numbering in Redis is read as of one moment, also while its owner writes it.

use roomlog_core::{
    ids::{Count, RoomKey, Seq},
    room_log::{Changes, Position, Snapshot},
};
use roomlog_platform::{
    config,
    redis::{Cache, CacheError, HeadsKey},
};

use crate::harness::redis::Redis;

/// So many that a scan of the set takes several answers of Redis, between which others write.
const ROOMS: u64 = 12_000;
const READS: u64 = 12;
/// Writes that begin together with a read: some fall between its pages.
const WRITES_PER_READ: u64 = 4;
const KEY: HeadsKey = HeadsKey {
    generation: 1,
    partition: 0,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_set_written_between_two_pages_of_its_scan_is_never_read_as_a_mixture() {
    let redis = Redis::start().await;
    let config = config::Redis {
        url: config::Secret::new(redis.url()),
        ca_file: None,
    };
    let cache = Cache::connect(&config).expect("a valid address");
    let mut written = ROOMS;
    let first = state_after(written);
    cache
        .replace_heads(KEY, "test", &first)
        .await
        .expect("redis takes it");
    for _ in 0..READS {
        let (read, ()) = tokio::join!(cache.read_heads(KEY), async {
            for _ in 0..WRITES_PER_READ {
                written += 1;
                let written = cache.advance_heads(KEY, &change(written)).await;
                written.expect("redis takes it");
            }
        });
        let mut found = match read {
            Ok(found) => found.expect("the set is there"),
            // Written to faster than it could be read: it says so.
            Err(CacheError::Busy(_)) => continue,
            Err(error) => panic!("{error}"),
        };
        found.heads.sort();
        let mut expected = state_after(found.accepted);
        expected.heads.sort();
        assert!(found == expected, "a mixture at {:?}", found.position);
    }
}

/// The numbering after so many records, each of the next room in turn.
fn state_after(records: u64) -> Snapshot {
    let heads = (0..ROOMS).map(|room| head(room, records)).collect();
    Snapshot {
        position: position(records),
        accepted: records,
        heads,
    }
}

/// What the last of so many records changed.
fn change(records: u64) -> Changes {
    Changes {
        position: position(records),
        accepted: records,
        heads: vec![head((records - 1) % ROOMS, records)],
    }
}

fn head(room: u64, records: u64) -> (RoomKey, Seq, Count) {
    let seq = records / ROOMS + u64::from(room < records % ROOMS);
    let key = RoomKey::parse(&format!("room-{room}")).expect("alphabet");
    (key, Seq(seq), Count(seq))
}

fn position(records: u64) -> Position {
    Position {
        generation: KEY.generation,
        offset: i64::try_from(records).expect("few"),
    }
}
