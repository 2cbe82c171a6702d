//! Roomlog's own processes die, stand still, and come and go.

use std::time::Duration;

use super::{Course, hand_over::STATED, is_full};
use crate::harness::{Role, Shape, Stack, System};

/// Longer than a member's session: its partitions are another's when it wakes and does not know it.
const STANDSTILL: Duration = Duration::from_secs(9);
/// How long a process is missed before it is started again.
const ABSENCE: Duration = Duration::from_secs(2);
const STORM_ROUNDS: usize = 3;
/// Who comes and goes in a storm: one of the two members of each group.
const RESTLESS: [(Role, usize); 3] = [(Role::Fanout, 2), (Role::Fanout, 3), (Role::Persister, 1)];
/// A broker hands its partitions over before it ends; Redis just ends.
const STOP_LIMIT: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn no_process_of_ours_is_missed() {
    // Each group has two members, so that partitions can move.
    let shape = Shape {
        fanouts: 4,
        ..Shape::of_each(Stack::Real { brokers: 3 }, 2)
    };
    let mut course = Course::on(shape).await;
    for role in [Role::Gateway, Role::Fanout, Role::Persister] {
        let killed = format!("SIGKILL of a {role:?}").to_lowercase();
        course
            .under(&killed, async |system, load| {
                system.kill(role, 0);
                load.lasts(ABSENCE).await;
                system.restart(role, 0).await;
            })
            .await;
        let frozen = format!("SIGSTOP of a {role:?}").to_lowercase();
        course
            .under(&frozen, async |system, load| {
                system.process(role, 0).freeze();
                load.lasts(STANDSTILL).await;
                system.process(role, 0).thaw();
            })
            .await;
    }
    course
        .under("rebalance storm", async |system, _| {
            let before = taken_by_the_others(system);
            for _ in 0..STORM_ROUNDS {
                for (role, index) in RESTLESS {
                    system.stop_gracefully(role, index).await;
                }
                for (role, index) in RESTLESS {
                    system.restart(role, index).await;
                }
            }
            let moved = taken_by_the_others(system) - before;
            assert!(moved > 0, "a storm in which no partition moved");
        })
        .await;
    let (of_each, brokers) = if is_full() { (2, 3) } else { (1, 1) };
    course
        .under("rolling restart of everything", async |system, _| {
            for (role, count) in [
                (Role::Persister, of_each),
                (Role::Fanout, 2 * of_each),
                (Role::Gateway, of_each),
            ] {
                for index in 0..count {
                    system.stop_gracefully(role, index).await;
                    system.restart(role, index).await;
                }
            }
            // DynamoDB Local keeps its tables only while it lives; that the store is away is a fault of its own.
            let redis = &mut system.servers().redis;
            redis.process().terminate();
            redis.process().exited(STOP_LIMIT).await;
            redis.restart().await;
            for node in 0..brokers {
                let kafka = &mut system.servers().kafka;
                kafka.node(node).terminate();
                kafka.node(node).exited(STOP_LIMIT).await;
                kafka.restart(node).await;
                kafka.in_step().await;
            }
        })
        .await;
    course.ends().await;
}

/// How many times the fanouts that stay took a partition.
fn taken_by_the_others(system: &mut System) -> usize {
    let of = |index| {
        let log = system.process(Role::Fanout, index).errors();
        log.matches(STATED).count()
    };
    [0, 1].map(of).into_iter().sum()
}
