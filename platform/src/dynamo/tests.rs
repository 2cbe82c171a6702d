//! What can be told without a store: how rows are spelled, how writes are cut, how keys are merged.

mod left_out;

use std::num::NonZeroU16;

use bytes::Bytes;
use proptest::prelude::*;
use roomlog_core::{
    amendment::{Amendment, Change as Amends},
    event::{Kind, Role, RoomKind},
    ids::{Count, RoomKey, Seq, UserId},
    room_log::{Head, Position},
    room_state::{MemberState, Membership, RoomMeta},
};

use super::{
    amendments::{patch_from, reaction_from, written},
    events::{BATCH_BYTES_MAX, BATCH_ITEMS_MAX, ShardPage, batches, merge},
    item::{Fields, Item, name, text},
    rows::{membership_attributes, meta_attributes, named},
    *,
};
use crate::stored_event::StoredEvent;

fn event(seq: u64, bytes: usize) -> EventRow {
    EventRow::standing(StoredEvent {
        key: RoomKey::parse("lobby").expect("alphabet"),
        seq: Seq(seq),
        count: Count(seq),
        at_ms: 1_763_700_000_000,
        partition: 3,
        offset: 41,
        id: "m-1".into(),
        sender: String::new(),
        kind: Kind::Message,
        traceparent: None,
        value: Bytes::from(vec![7; bytes]),
    })
}

#[test]
fn an_event_comes_back_as_it_was_written() {
    let plain = event(42, 10);
    let mut full = event(43, 0);
    full.void = true;
    full.event.key = RoomKey::parse("@alice").expect("alphabet");
    full.event.traceparent = Some("00-1-2-01".into());
    for row in [plain, full] {
        let item = row.to_item(KeyShards::new(4));
        assert_eq!(EventRow::from_item(item), Ok(row));
    }
}

#[test]
fn a_row_that_lacks_something_is_corrupt_and_says_what() {
    let mut item = event(1, 1).to_item(KeyShards::ONE);
    item.remove(name::COUNT);
    let error = EventRow::from_item(item).expect_err("it has no count");
    assert_eq!(
        error,
        StoreError::Corrupt("table events, attribute count: missing".into())
    );
    let mut item = event(1, 1).to_item(KeyShards::ONE);
    item.insert(name::TYPE.into(), text("novel"));
    assert!(matches!(
        EventRow::from_item(item),
        Err(StoreError::Corrupt(_))
    ));
    let mut wrong = Fields::of("t", Item::from_iter([named("n", text("7"))]));
    assert!(matches!(
        wrong.number::<u32>("n"),
        Err(StoreError::Corrupt(_))
    ));
}

#[test]
fn a_room_and_its_members_come_back_as_they_were_written() {
    let alice = UserId::parse("alice").expect("alphabet");
    let meta = RoomMeta {
        kind: RoomKind::Channel,
        name: "News".into(),
        public: true,
        slow_mode_s: 5,
        read_only: true,
        deleted: false,
        pinned: vec![Seq(4), Seq(2)],
        created_by: alice.clone(),
        members: 3,
        owners: 1,
        changed_seq: Seq(9),
    };
    let mut item = Item::from_iter([named(name::ROOM, text("news"))]);
    for (name, value) in meta_attributes(&meta) {
        item.insert(name.into(), value);
    }
    for (name, value) in [
        (name::HEAD, 12),
        (name::COUNT, 7),
        (name::GENERATION, 1),
        (name::OFFSET, 99),
        (name::PARTITION, 3),
    ] {
        item.insert(name.into(), item::number(value));
    }
    let row = RoomRow::from_item(item).expect("complete");
    let position = Position {
        generation: 1,
        offset: 99,
    };
    let head = Head {
        seq: Seq(12),
        count: Count(7),
        position,
    };
    assert_eq!(
        (row.head, row.shards, row.meta),
        (head, KeyShards::ONE, Some(meta))
    );

    let membership = Membership {
        state: MemberState::Banned,
        role: Role::Member,
        muted: true,
        changed_seq: Seq(8),
    };
    let mut item = Item::from_iter([named(name::USER, text("alice"))]);
    assert_eq!(
        MemberRow::from_item(item.clone()).map(|row| row.membership),
        Ok(None),
        "a read position alone is no standing"
    );
    for (name, value) in membership_attributes(&membership) {
        item.insert(name.into(), value);
    }
    let row = MemberRow::from_item(item).expect("complete");
    assert_eq!((row.user, row.membership), (alice, Some(membership)));
}

#[test]
fn writes_are_cut_by_items_and_by_bytes() {
    let sizes = |count: u64, bytes: usize| {
        let rows: Vec<_> = (1..=count).map(|seq| event(seq, bytes)).collect();
        let writes: Vec<_> = rows
            .iter()
            .map(|row| EventWrite {
                row,
                shards: KeyShards::ONE,
            })
            .collect();
        batches(&writes)
            .iter()
            .map(|batch| batch.len())
            .collect::<Vec<_>>()
    };
    assert_eq!(sizes(60, 100), [BATCH_ITEMS_MAX, BATCH_ITEMS_MAX, 10]);
    assert_eq!(sizes(5, BATCH_BYTES_MAX / 2 - 2_000), [2, 2, 1]);
    assert_eq!(sizes(2, BATCH_BYTES_MAX + 1), [1, 1]);
    assert!(sizes(0, 0).is_empty());
}

/// What each key would answer to a query of `limit`, stopping after at most `page` rows.
fn shard_pages(
    stored: &[(u64, u32)],
    shards: u32,
    (limit, page): (usize, usize),
    direction: Direction,
) -> Vec<ShardPage> {
    (0..shards)
        .map(|shard| {
            let mut rows: Vec<_> = stored
                .iter()
                .filter(|(_, at)| at % shards == shard)
                .map(|(seq, _)| event(*seq, 1))
                .collect();
            if direction == Direction::Descending {
                rows.reverse();
            }
            let complete = rows.len() <= limit.min(page);
            rows.truncate(limit.min(page));
            ShardPage { rows, complete }
        })
        .collect()
}

proptest! {
    /// However a room's events are spread, and wherever keys stop early, reading on gives all of them in order.
    #[test]
    fn merging_keys_leaves_no_hole(
        places in prop::collection::vec(0..4_u32, 1..60),
        limit in 1..20_u16,
        page in 1..10_usize,
        ascending in any::<bool>(),
    ) {
        let direction = if ascending { Direction::Ascending } else { Direction::Descending };
        let limit = usize::from(NonZeroU16::new(limit).expect("from one").get());
        let mut left: Vec<(u64, u32)> = (1..).zip(places).collect();
        let mut expected: Vec<u64> = left.iter().map(|(seq, _)| *seq).collect();
        if !ascending {
            expected.reverse();
        }
        let mut read = Vec::new();
        loop {
            let merged = merge(shard_pages(&left, 4, (limit, page), direction), direction, limit);
            prop_assert!(merged.rows.len() <= limit);
            read.extend(merged.rows.iter().map(|row| row.event.seq.0));
            if merged.complete {
                break;
            }
            let last = *read.last().expect("a page that is not the last has rows");
            left.retain(|(seq, _)| if ascending { *seq > last } else { *seq < last });
        }
        prop_assert_eq!(read, expected);
    }
}

#[test]
fn an_event_under_two_keys_is_read_once() {
    let page = || ShardPage {
        rows: vec![event(1, 1), event(2, 1)],
        complete: true,
    };
    let merged = merge(vec![page(), page()], Direction::Ascending, 10);
    let seqs: Vec<_> = merged.rows.iter().map(|row| row.event.seq.0).collect();
    assert_eq!((seqs, merged.complete), (vec![1, 2], true));
}

/// A row as the update leaves it, and the change's condition.
fn amended_row(by: &str, change: Amends) -> (Item, Amendment, Option<String>) {
    let amendment = Amendment {
        target: Seq(7),
        by: UserId::parse(by).expect("alphabet"),
        seq: Seq(9),
        at_ms: 1_763_700_000_000,
        change,
    };
    let key = RoomKey::parse("lobby").expect("alphabet");
    let (_, mut row, change) = written(&key, &amendment);
    let parts = change.parts();
    for (placeholder, attribute) in parts.names {
        let values = parts.values.as_ref().expect("values");
        let value = values[&placeholder.replace('#', ":")].clone();
        row.insert(attribute, value);
    }
    (row, amendment, parts.condition)
}

#[test]
fn changes_of_a_message_come_back_as_they_were_written() {
    let (mut row, edit, condition) = amended_row("a-b_c", Amends::Edited("new".into()));
    let forward = "attribute_not_exists(#by_seq_a_b_c) OR #by_seq_a_b_c < :by_seq_a_b_c";
    assert_eq!(condition.as_deref(), Some(forward));
    let (deleted, deletion, _) = amended_row("bob", Amends::Deleted);
    row.extend(deleted);
    let mut read = Vec::new();
    assert_eq!(patch_from(row, &mut read), Ok(()));
    assert_eq!(read, [edit, deletion]);

    for emoji in ["+1", "a/b", ""] {
        let emoji = emoji.to_owned();
        let (row, reaction, _) = amended_row("bob", Amends::Reacted { emoji, on: true });
        assert_eq!(reaction_from(row), Ok(reaction));
    }
}
