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
mod conversation;
mod fanout;
mod faults;
mod gateway;
mod healing;
mod log;
mod mutants;
mod opening;
mod owner;
mod persister;
mod producing;
mod random;
mod room;
mod rules;
mod run;
mod stage;
mod steps;
mod stores;
mod tally;
mod tending;
mod world;

use std::{
    panic::{RefUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use faults::Victim;
use rules::Rules;
use run::{CRASH_STEPS, run, run_with_crash};
use tally::Tally;

/// How many seeds a plain test run takes: about half a minute of an unoptimized build on two cores.
const SEEDS: u64 = 2_000;
/// How many seeds are crashed at every step, one run for each step and victim: a few seconds.
const CRASH_SEEDS: u64 = 2;
/// No run: none has failed.
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
    let tally = run_all(seeds, |seed| run(seed, rules(), false).tally);
    let tally = tally.unwrap_or_else(|seed| {
        panic!("seed {seed} failed; replay it with ROOMLOG_SIM_SEED={seed}")
    });
    println!("{seeds} seeds: {tally}");
    tally.says_that_every_fault_struck();
}

#[test]
fn a_crash_between_any_two_steps_breaks_no_promise() {
    let victims = Victim::ALL.len() as u64;
    let case = |index: u64| {
        let (rest, victim) = (index / victims, index % victims);
        let (seed, step) = (rest / CRASH_STEPS as u64, rest % CRASH_STEPS as u64);
        (seed, step as usize, Victim::ALL[victim as usize])
    };
    let runs = CRASH_SEEDS * CRASH_STEPS as u64 * victims;
    let tally = run_all(runs, |index| {
        let (seed, step, victim) = case(index);
        run_with_crash(seed, step, victim, rules()).tally
    });
    let tally = tally.unwrap_or_else(|index| panic!("(seed, step, victim): {:?}", case(index)));
    assert!(tally.cut_off > 0, "no snapshot write was cut off");
}

/// Makes runs on all cores until there are no more, or one has failed, which the error names.
fn run_all(runs: u64, run: impl Fn(u64) -> Tally + Sync + RefUnwindSafe) -> Result<Tally, u64> {
    let (next, failed) = (AtomicU64::new(0), AtomicU64::new(NONE));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let tally = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| run_some(&next, runs, &failed, &run)))
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("panics are caught per run"))
            .fold(Tally::default(), |sum, tally| sum + tally)
    });
    match failed.into_inner() {
        NONE => Ok(tally),
        failed => Err(failed),
    }
}

/// Takes runs until there are no more, or one has failed.
fn run_some(
    next: &AtomicU64,
    runs: u64,
    failed: &AtomicU64,
    run: &(impl Fn(u64) -> Tally + RefUnwindSafe),
) -> Tally {
    let mut sum = Tally::default();
    while failed.load(Ordering::Relaxed) == NONE {
        let index = next.fetch_add(1, Ordering::Relaxed);
        if index >= runs {
            break;
        }
        match catch_unwind(|| run(index)) {
            Ok(tally) => sum = sum + tally,
            // The lowest is named, whichever thread comes first.
            Err(_) => drop(failed.fetch_min(index, Ordering::Relaxed)),
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
