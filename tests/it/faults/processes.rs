//! Roomlog's own processes die, stand still, and come and go.

use std::time::Duration;

use super::{is_full, system, under};
use crate::harness::Role;

/// Longer than a session of the group and the links' time-outs.
const STANDSTILL: Duration = Duration::from_secs(5);
/// How long a process is missed before it is started again.
const ABSENCE: Duration = Duration::from_secs(2);
const STORM_ROUNDS: usize = 3;
/// A broker hands its partitions over before it ends.
const STOP_LIMIT: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn no_process_of_ours_is_missed() {
    let mut system = system().await;
    for role in [Role::Gateway, Role::Fanout, Role::Persister] {
        under(
            &mut system,
            &format!("SIGKILL of a {role:?}").to_lowercase(),
            async |system, load| {
                system.kill(role, 0);
                load.lasts(ABSENCE).await;
                system.restart(role, 0).await;
            },
        )
        .await;
    }
    let frozen: &[Role] = if is_full() {
        &[Role::Gateway, Role::Fanout, Role::Persister]
    } else {
        &[Role::Fanout]
    };
    for role in frozen {
        under(
            &mut system,
            &format!("SIGSTOP of a {role:?}").to_lowercase(),
            async |system, load| {
                system.process(*role, 0).freeze();
                load.lasts(STANDSTILL).await;
                system.process(*role, 0).thaw();
            },
        )
        .await;
    }
    under(&mut system, "rebalance storm", async |system, _| {
        for _ in 0..STORM_ROUNDS {
            for role in [Role::Persister, Role::Fanout] {
                system.stop_gracefully(role, 1).await;
                system.restart(role, 1).await;
            }
        }
    })
    .await;
    if is_full() {
        under(
            &mut system,
            "rolling restart of everything",
            async |system, _| {
                for role in [Role::Persister, Role::Fanout, Role::Gateway] {
                    for index in 0..2 {
                        system.stop_gracefully(role, index).await;
                        system.restart(role, index).await;
                    }
                }
                for node in 0..3 {
                    let kafka = &mut system.servers().kafka;
                    kafka.node(node).terminate();
                    kafka.node(node).exited(STOP_LIMIT).await;
                    kafka.restart(node).await;
                    kafka.in_step().await;
                }
            },
        )
        .await;
    }
}
