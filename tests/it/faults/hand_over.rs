//! A fanout goes, and others have or take its partitions: how long what the log has is on its way to each follower of
//! each room.

use std::time::Duration;

use super::{
    is_full,
    load::Load,
    table::{Table, tell},
};
use crate::harness::{
    Role, Shape, Stack, System,
    wait::{SOON, until},
};

/// Enough that every partition has some.
const ROOMS: usize = 12;
/// So that messages of a room follow each other closely: one that finds delivery interrupted is on its way for as long.
const PAUSE: Duration = Duration::from_millis(4);
/// What one group's two fanouts do before one of them goes.
pub(super) const STATED: &str = "heads of the partition are stated";
const PARTITIONS: usize = 6;
/// How long a process is missed before it is started again.
const ABSENCE: Duration = Duration::from_secs(2);
/// Longer than a member's session, after which the others get its partitions.
const SESSION_IS_OVER: Duration = Duration::from_secs(9);
/// What the end of a fanout of two groups may cost, all but one time in a hundred, where the machine costs no more by
/// itself.
const PAUSE_P99_MAX: Duration = Duration::from_millis(250);

/// How a fanout goes.
#[derive(Clone, Copy, Debug)]
enum Going {
    /// It stays: what the machine's other work costs by itself.
    Not,
    /// It is killed, and comes back after a while.
    Killed(Duration),
    /// It is stopped as an operator does, and started at once.
    Restarted,
    /// It is stopped, and comes back after its partitions have gone to the other.
    Leaving,
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_notices_the_end_of_one_fanout_of_two_groups() {
    let mut system = system(2, &[]).await;
    let rounds = if is_full() { 10 } else { 2 };
    let nobody = "two groups, nobody goes, for comparison";
    let calm = measured(&mut system, nobody, Going::Not, rounds).await;
    let killed = "two groups, SIGKILL of either's only fanout";
    let pauses = measured(&mut system, killed, Going::Killed(ABSENCE), rounds).await;
    // A few rounds are too few for a hundredth of them.
    if is_full() {
        let again = "two groups, nobody goes, once more";
        let later = measured(&mut system, again, Going::Not, rounds).await;
        let calm = at(&calm, 0.99).max(at(&later, 0.99));
        let paused = at(&pauses, 0.99);
        assert!(
            paused <= PAUSE_P99_MAX.max(calm),
            "a fanout's end shows: {paused:?}, and {calm:?} without"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_group_pauses_for_as_long_as_its_partitions_take_to_move() {
    let mut system = system(1, &[]).await;
    let rounds = if is_full() { 4 } else { 1 };
    let killed = Going::Killed(SESSION_IS_OVER);
    measured(
        &mut system,
        "one group, SIGKILL of one of two",
        killed,
        rounds,
    )
    .await;
    let leaving = "one group, one of two leaves";
    measured(&mut system, leaving, Going::Leaving, rounds).await;
    drop(system);
    let mut system = self::system(1, &[("ROOMLOG_INSTANCE_ID", "it")]).await;
    let restarted = "one group, planned restart of one of two static members";
    measured(&mut system, restarted, Going::Restarted, rounds).await;
}

async fn system(groups: usize, settings: &[(&str, &str)]) -> System {
    let shape = Shape {
        fanouts: 2,
        groups,
        linked: true,
        ..Shape::single(Stack::Real { brokers: 3 })
    };
    let mut system = System::start_with(shape, settings).await;
    let stated = groups * PARTITIONS;
    until("all partitions to be owned", SOON * 2, async || {
        let of = |system: &mut System, index| {
            let log = system.process(Role::Fanout, index).errors();
            log.matches(STATED).count()
        };
        (of(&mut system, 0) + of(&mut system, 1) >= stated).then_some(())
    })
    .await;
    system
}

/// Lets the fanouts go in turn, and tells how long the slowest event of each round was on its way to each follower of
/// each room, the shortest first.
async fn measured(system: &mut System, name: &str, going: Going, rounds: usize) -> Vec<Duration> {
    let mut load = Load::begin(system, ROOMS, PAUSE).await;
    load.faces(name).await;
    let (mut delays, mut returns) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let index = round % 2;
        match going {
            Going::Not => {
                load.lasts(ABSENCE).await;
                delays.extend(load.delays().await);
                continue;
            }
            Going::Killed(absence) => {
                system.kill(Role::Fanout, index);
                load.lasts(absence).await;
            }
            Going::Restarted => system.stop_gracefully(Role::Fanout, index).await,
            Going::Leaving => {
                system.stop_gracefully(Role::Fanout, index).await;
                load.lasts(ABSENCE).await;
            }
        }
        if !matches!(going, Going::Restarted) {
            // What its absence costs, and not its return.
            delays.extend(load.delays().await);
        }
        system.restart(Role::Fanout, index).await;
        let back = load.delays().await;
        if matches!(going, Going::Restarted) {
            delays.extend(back);
        } else {
            returns.extend(back);
        }
    }
    let messages = load.compares(system).await;
    delays.sort_unstable();
    returns.sort_unstable();
    row(name, rounds, messages, &delays);
    if !returns.is_empty() {
        row(&format!("{name}: its return"), rounds, messages, &returns);
    }
    delays
}

/// The longest of this share of what was measured, which is sorted.
fn at(delays: &[Duration], share: f64) -> Duration {
    let last = delays.len() - 1;
    let rank = (delays.len() as f64 * share).ceil() as usize;
    delays[rank.saturating_sub(1).min(last)]
}

/// A row of the table: what the typical, all but one in a hundred, and the worst follower of a room waited for.
fn row(name: &str, rounds: usize, messages: usize, delays: &[Duration]) {
    let at = |share| at(delays, share).as_secs_f64();
    let row = format!(
        "| {name} | {rounds} | {messages} | {:.2} s | {:.2} s | {:.2} s |",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    tell(Table::HandOvers, &row);
}
