//! A room numbered backwards has the numbers it has.

use proptest::{prelude::*, sample::Index};

use super::{model::*, world};
use crate::{ids::Seq, room_log::Recall};

/// What a recall finds of a room whose head is as of an index, reading from another index on.
fn recalled(
    world: &World,
    name: &str,
    head_at: usize,
    read_from: usize,
    from: Seq,
) -> Option<Vec<(u64, u64, i64)>> {
    let head = world.row(name, head_at)?;
    let start = world.position(read_from);
    let mut recall = Recall::new(world.spec, room(name), head, from, start);
    let window_start = world.spec.window_start_for(start);
    for record in world
        .records
        .iter()
        .filter(|record| record.offset >= window_start)
    {
        recall.take(&record.as_ref(), || record.offset);
    }
    let found = recall.finish()?;
    Some(
        found
            .into_iter()
            .map(|(seq, count, offset)| (seq.0, count.0, offset))
            .collect(),
    )
}

/// What is true of it.
fn truth(world: &World, name: &str, head_at: usize, from: Seq) -> Vec<(u64, u64, i64)> {
    let events = world.truth[..head_at].iter().zip(&world.records);
    events
        .filter(|(_, record)| record.key == name)
        .filter_map(|(truth, record)| match truth {
            Truth::Accepted(seq, count) if *seq >= from => Some((seq.0, count.0, record.offset)),
            _ => None,
        })
        .collect()
}

proptest! {
    #[test]
    fn a_room_read_again_from_anywhere_gets_its_own_numbers_or_none(
        world in world(), name in 0..NAMES.len(), head_at: Index, read_from: Index, from in 1_u64..12,
    ) {
        let head_at = head_at.index(world.len() + 1);
        let read_from = read_from.index(head_at + 1);
        let (name, from) = (NAMES[name], Seq(from));
        let true_events = truth(&world, name, head_at, from);
        let first_is_read = true_events
            .first()
            .is_some_and(|(_, _, offset)| *offset >= world.position(read_from).offset);
        let found = recalled(&world, name, head_at, read_from, from);
        prop_assert_eq!(found, first_is_read.then_some(true_events));
    }
}
