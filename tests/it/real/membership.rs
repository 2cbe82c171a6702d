//! Who keeps its partitions when it goes for a moment, and who hands them over.

use std::time::{Duration, Instant};

use crate::harness::{
    Role, Shape, Stack, System,
    wait::{SOON, until},
};

/// What a persister logs of each partition it takes over.
const TAKEN: &str = "storing a partition";
/// Nothing is moved for so long: the group has settled.
const SETTLED: Duration = Duration::from_secs(3);
const SETTLE_LIMIT: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread")]
async fn a_member_with_an_id_finds_its_partitions_again_and_nobody_else_gets_them() {
    let mut system = two_persisters(&[("ROOMLOG_INSTANCE_ID", "it")]).await;
    let (stays, goes) = settled(&mut system).await;
    system.stop_gracefully(Role::Persister, 1).await;
    system.restart(Role::Persister, 1).await;
    until("it to have its partitions again", SOON, async || {
        (taken(&mut system, 1) >= 2 * goes).then_some(())
    })
    .await;
    assert_eq!(
        taken(&mut system, 0),
        stays,
        "the other one got no partition"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_without_one_hands_its_partitions_over() {
    let mut system = two_persisters(&[]).await;
    let (stays, goes) = settled(&mut system).await;
    system.stop_gracefully(Role::Persister, 1).await;
    until("the other one to have all partitions", SOON, async || {
        (taken(&mut system, 0) >= stays + goes).then_some(())
    })
    .await;
}

async fn two_persisters(settings: &[(&str, &str)]) -> System {
    let shape = Shape {
        persisters: 2,
        ..Shape::single(Stack::Real { brokers: 1 })
    };
    System::start_with(shape, settings).await
}

/// How many partitions each has taken by the time the group has settled with both in it; the second one, which came
/// last, still has all of its own.
async fn settled(system: &mut System) -> (usize, usize) {
    let mut last = (0, 0, Instant::now());
    until("both to have partitions", SETTLE_LIMIT, async || {
        let now = (taken(system, 0), taken(system, 1));
        if now != (last.0, last.1) {
            last = (now.0, now.1, Instant::now());
        }
        let is_settled = now.0 > 0 && now.1 > 0 && last.2.elapsed() >= SETTLED;
        is_settled.then_some(now)
    })
    .await
}

fn taken(system: &mut System, persister: usize) -> usize {
    let log = system.process(Role::Persister, persister).errors();
    log.matches(TAKEN).count()
}
