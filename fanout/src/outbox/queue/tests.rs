//! In which order things go out, and what becomes of what does not fit.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use roomlog_core::{
    ids::UserId,
    signal::{Signal, Stamp, Stamped},
};

use super::{super::Outbox, *};

fn event(room: u8, seq: u64) -> EncodedEvent {
    EncodedEvent {
        key: RoomKey::parse(&format!("room-{room}")).unwrap(),
        seq: Seq(seq),
        count: Count(seq),
        // A record that can be recognized: its room and seq.
        record: format!("{room} {seq}").into_bytes().into(),
    }
}

#[test]
fn heads_follow_the_events_before_them() {
    let mut queue = Queue::bounded(1 << 20);
    let sent = event(1, 5);
    queue.push_event(&sent);
    queue.push_head(&sent.key, Seq(5), Count(5));
    queue.set_owned([3].into());
    let next = queue.take().unwrap();
    assert_eq!(
        (next.owned, next.events, next.heads.len()),
        (vec![vec![3]], vec![sent.record], 1)
    );
    assert_eq!(queue.take(), None);
    assert_eq!(queue.bytes, 0);
}

#[test]
fn a_full_queue_becomes_one_head_per_room() {
    let mut queue = Queue::bounded(3 * cost(&event(1, 1)));
    assert_eq!(
        (1..=3)
            .map(|seq| queue.push_event(&event(1, seq)))
            .sum::<usize>(),
        0
    );
    assert_eq!(queue.push_event(&event(2, 9)), 4);
    let mut next = queue.take().unwrap();
    next.heads.sort_by_key(|head| head.seq);
    assert!(next.events.is_empty());
    assert_eq!(
        next.heads.iter().map(|head| head.seq.0).collect::<Vec<_>>(),
        [3, 9]
    );
}

#[test]
fn a_partition_that_came_back_is_seen_to_go() {
    let mut queue = Queue::bounded(1 << 20);
    queue.set_owned([1, 2].into());
    assert_eq!(queue.take().unwrap().owned, [vec![1, 2]]);
    for now in [vec![1], vec![1, 2], vec![1, 2, 3]] {
        queue.set_owned(now.into_iter().collect());
    }
    assert_eq!(queue.take().unwrap().owned, [vec![1], vec![1, 2, 3]]);
    queue.set_owned([].into());
    assert_eq!(queue.take().unwrap().owned, [Vec::<u32>::new()]);
}

#[test]
fn signals_come_after_events_and_are_the_latest() {
    let mut queue = Queue::bounded(4 << 20);
    let typing = |counter| {
        EncodedSignal::encode(Stamped {
            key: RoomKey::parse("room").unwrap(),
            stamp: Stamp { source: 1, counter },
            signal: Signal::Typing {
                user: UserId::parse("alice").unwrap(),
                on: true,
            },
        })
    };
    queue.push_signal(&typing(1));
    let large = EncodedEvent {
        record: vec![0; FORWARD_BYTES_MAX].into(),
        ..event(1, 1)
    };
    for _ in 0..2 {
        queue.push_event(&large);
    }
    assert!(queue.push_signal(&typing(2)));
    assert_eq!(queue.take().unwrap().signals, Vec::<Bytes>::new());
    assert_eq!(queue.take().unwrap().signals, [typing(2).record]);
    assert_eq!(queue.take(), None);
}

#[test]
fn a_read_mark_that_is_late_does_not_take_the_place_of_a_further_one() {
    let mut queue = Queue::bounded(1 << 20);
    // Two devices of one user at two gateways, whose counters say nothing of each other.
    let read = |source, counter, seq| {
        EncodedSignal::encode(Stamped {
            key: RoomKey::parse("room").unwrap(),
            stamp: Stamp { source, counter },
            signal: Signal::Read {
                user: UserId::parse("alice").unwrap(),
                seq: Seq(seq),
                count: Count(seq),
            },
        })
    };
    let further = read(1, 1, 10);
    queue.push_signal(&further);
    queue.push_signal(&read(2, 50, 7));
    assert_eq!(queue.take().unwrap().signals, [further.record]);
}

#[test]
fn presence_that_does_not_fit_is_asked_for_anew() {
    let mut queue = Queue::bounded(1);
    let half = Bytes::from(vec![0; PRESENCE_BYTES_MAX / 2]);
    for _ in 0..3 {
        queue.push_presence(half.clone());
    }
    queue.push_presence(Bytes::from_static(b"after"));
    let next = queue.take().unwrap();
    assert_eq!((next.has_lapsed, next.presences.len()), (true, 1));
    assert_eq!(queue.take(), None);
    assert_eq!(queue.presence_bytes, 0);
}

#[tokio::test]
async fn a_closed_queue_is_emptied_and_then_ends() {
    let outbox = Outbox::new();
    outbox.push_event(&event(1, 1));
    outbox.close();
    outbox.push_event(&event(1, 2));
    assert_eq!(outbox.next().await.map(|next| next.events.len()), Some(1));
    assert_eq!(outbox.next().await, None);
}

proptest! {
    /// Whatever is pushed and whenever it is taken: each room's events come in order, and the last thing known of
    /// it is its true head.
    #[test]
    fn the_last_head_always_arrives(pushes in prop::collection::vec((0_u8..4, any::<bool>()), 1..200), room_for in 1_usize..20) {
        let mut queue = Queue::bounded(room_for * (EVENT_OVERHEAD_BYTES + 4));
        let mut heads = BTreeMap::<u8, u64>::new();
        let mut seen = BTreeMap::<u8, u64>::new();
        let mut look = |next: Sendable| {
            for record in next.events {
                let text = String::from_utf8(record.to_vec()).unwrap();
                let (room, seq) = text.split_once(' ').unwrap();
                let (room, seq) = (room.parse().unwrap(), seq.parse().unwrap());
                let last = seen.insert(room, seq).unwrap_or(0);
                assert!(last < seq, "room {room}: {seq} after {last}");
            }
            for head in next.heads {
                let room = head.key.as_str().strip_prefix("room-").unwrap().parse().unwrap();
                let last = seen.entry(room).or_default();
                *last = (*last).max(head.seq.0);
            }
        };
        for (room, take) in pushes {
            let head = heads.entry(room).or_default();
            *head += 1;
            queue.push_event(&event(room, *head));
            prop_assert!(queue.bytes <= queue.bytes_max);
            if take && let Some(next) = queue.take() {
                look(next);
            }
        }
        while let Some(next) = queue.take() {
            look(next);
        }
        prop_assert_eq!(seen, heads);
    }
}
