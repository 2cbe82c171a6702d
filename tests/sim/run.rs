//! One run: a seed decides who is there and which faults strike, and what came of its steps is counted.

use crate::{
    faults::{Faults, Victim},
    log::{Log, Record, Truth, room},
    random::Random,
    rules::Rules,
    tally::Tally,
    world::World,
};

/// Steps before the healing.
const STEPS: usize = 500;
/// The same where every one of them is crashed at: a run for each step and victim.
pub(crate) const CRASH_STEPS: usize = 120;

/// What a run came to. Equal for equal seeds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    /// Over everything that happened, in order.
    pub(crate) fingerprint: u64,
}

/// Runs a seed; a fact that does not hold panics.
pub(crate) fn run(seed: u64, rules: Rules, trace: bool) -> Outcome {
    let mut random = Random::new(seed);
    let faults = Faults::of(&mut random);
    let world = World::new(random, faults, rules);
    walk(world, STEPS, None, trace)
}

/// Runs a seed in which processes crash once and at no other time: these, just before that step.
pub(crate) fn run_with_crash(seed: u64, step: usize, victim: Victim, rules: Rules) -> Outcome {
    let mut random = Random::new(seed);
    let faults = Faults {
        crash: 0,
        zombie: 0,
        ..Faults::of(&mut random)
    };
    let world = World::new(random, faults, rules);
    walk(world, CRASH_STEPS, Some((step, victim)), false)
}

fn walk(mut world: World, steps: usize, crash_at: Option<(usize, Victim)>, trace: bool) -> Outcome {
    world.populate();
    let mut fingerprint = 0_u64;
    for step in 0..steps {
        if let Some((_, victim)) = crash_at.filter(|(at, _)| *at == step) {
            world.crash(victim);
            world.check();
        }
        let what = world.step();
        if trace {
            println!("{step}: {what}");
        }
        for byte in what.bytes() {
            fingerprint = fingerprint.rotate_left(5) ^ u64::from(byte).wrapping_mul(0x9e37_79b9);
        }
        world.check();
    }
    world.heal();
    let records = world.log.records.iter();
    let void = records.filter(|record| is_void(&world.log, record));
    world.tally.void = void.count() as u64;
    world.tally.receipts = world.clients.iter().map(|client| client.receipts).sum();
    world.tally.refused = world.clients.iter().map(|client| client.refusals).sum();
    world.tally.unread = world.dynamo.refused.reads.get();
    world.tally.throttled = world.dynamo.refused.writes.get();
    world.tally.trimmed = world.log.bounds().low.unsigned_abs();
    fingerprint ^= world.log.end().offset.unsigned_abs() << 32;
    let tally = world.tally;
    Outcome { tally, fingerprint }
}

/// Whether a record is an event that its room's state did not allow.
fn is_void(log: &Log, record: &Record) -> bool {
    match record.truth {
        Truth::Accepted(seq, _) => log.state(&room(&record.draft.key), seq).is_void,
        _ => false,
    }
}
