//! Seeded simulation: the machines of core, joined to a simulated log, link, Redis and DynamoDB in virtual time.
//!
//! Every seed is one run: clients that write, resend and come back, two gateways, two replica groups of fanouts that
//! number, and persisters that store, while faults strike between any two steps. What can happen next is drawn from
//! the seed, so a run that fails fails again:
//!
//! - `ROOMLOG_SIM_SEED=n` runs that seed alone and prints its steps;
//! - `ROOMLOG_SIM_SEEDS=n` runs so many seeds;
//! - `ROOMLOG_SIM_WITHOUT=name` runs them without that mechanism of `rules.rs`, and must fail.
//!
//! The named facts of `checks.rs` hold after every step. Afterwards all faults are healed, and everything must
//! arrive everywhere. `cases` walks through named situations in the same world, `mutants` takes one mechanism away at
//! a time and expects the checkers to notice.

mod cases;
mod checks;
mod client;
mod fanout;
mod faults;
mod gateway;
mod log;
mod mutants;
mod opening;
mod owner;
mod persister;
mod random;
mod room;
mod rules;
mod run;
mod stage;
mod stores;
mod tally;
mod world;

use std::{
    panic::catch_unwind,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use rules::Rules;
use run::run;
use tally::Tally;

/// How many seeds a plain test run takes: about half a minute of an unoptimized build on two cores.
const SEEDS: u64 = 2_000;
/// No seed: none has failed.
const NONE: u64 = u64::MAX;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a seed or a number of seeds"))
}

/// Everything holds, unless the environment asks for less.
fn rules() -> Rules {
    match std::env::var("ROOMLOG_SIM_WITHOUT") {
        Ok(name) => Rules::without_named(&name).expect("a mechanism of rules.rs"),
        Err(_) => Rules::default(),
    }
}

#[test]
fn any_mix_of_faults_leaves_one_order_for_everyone() {
    if let Some(seed) = number("ROOMLOG_SIM_SEED") {
        let outcome = run(seed, rules(), true);
        println!("seed {seed}: {}", outcome.tally);
        return;
    }
    let seeds = number("ROOMLOG_SIM_SEEDS").unwrap_or(SEEDS);
    let (next, failed) = (AtomicU64::new(0), AtomicU64::new(NONE));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let tallies = thread::scope(|scope| {
        let runs: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| run_seeds(&next, seeds, &failed)))
            .collect();
        runs.into_iter()
            .map(|run| run.join().expect("panics are caught per seed"))
            .fold(Tally::default(), |sum, tally| sum + tally)
    });
    let failed = failed.load(Ordering::Relaxed);
    assert!(
        failed == NONE,
        "seed {failed} failed; replay it with ROOMLOG_SIM_SEED={failed}"
    );
    println!("{seeds} seeds: {tallies}");
    tallies.says_that_every_fault_struck();
}

/// Takes seeds until there are no more, or one has failed.
fn run_seeds(next: &AtomicU64, seeds: u64, failed: &AtomicU64) -> Tally {
    let mut sum = Tally::default();
    while failed.load(Ordering::Relaxed) == NONE {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= seeds {
            break;
        }
        match catch_unwind(|| run(seed, rules(), false).tally) {
            Ok(tally) => sum = sum + tally,
            // The lowest is named, whichever thread comes first.
            Err(_) => drop(failed.fetch_min(seed, Ordering::Relaxed)),
        }
    }
    sum
}

#[test]
fn a_seed_is_one_run_whoever_runs_it() {
    for seed in 0..20 {
        let again = run(seed, Rules::default(), false);
        assert_eq!(run(seed, Rules::default(), false), again, "seed {seed}");
    }
}
