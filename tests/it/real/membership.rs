//! Who keeps its partitions when it goes for a moment, and who hands them over.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use crate::harness::{
    Role, Shape, Stack, System,
    wait::{SOON, until},
};

/// What a persister logs of each partition it takes over, and of each that it hands back.
const TAKEN: &str = "storing a partition";
const GIVEN_BACK: &str = "gave a partition back";
/// How many there are, by the harness's settings.
const PARTITIONS: usize = 6;
/// Nothing is moved for so long: the group has settled.
const SETTLED: Duration = Duration::from_secs(3);
const SETTLE_LIMIT: Duration = Duration::from_secs(180);

/// Numbers of partitions.
type Held = BTreeSet<u32>;

#[tokio::test(flavor = "multi_thread")]
async fn a_member_with_an_id_finds_its_partitions_again_and_nobody_else_gets_them() {
    let mut system = two_persisters(&[("ROOMLOG_INSTANCE_ID", "it")]).await;
    let before = settled(&mut system).await;
    let taken_by_the_other = log(&mut system, 0).matches(TAKEN).count();
    system.stop_gracefully(Role::Persister, 1).await;
    system.restart(Role::Persister, 1).await;
    until("it to have its partitions again", SOON, async || {
        (held(&mut system, 1) == before.1).then_some(())
    })
    .await;
    assert_eq!(held(&mut system, 0), before.0);
    assert_eq!(
        log(&mut system, 0).matches(TAKEN).count(),
        taken_by_the_other,
        "the other one got no partition"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_without_one_hands_its_partitions_over() {
    let mut system = two_persisters(&[]).await;
    settled(&mut system).await;
    system.stop_gracefully(Role::Persister, 1).await;
    until("the other one to have all partitions", SOON, async || {
        (held(&mut system, 0).len() == PARTITIONS).then_some(())
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

/// What each holds by the time the group has settled with both in it.
async fn settled(system: &mut System) -> (Held, Held) {
    let mut last = ((Held::new(), Held::new()), Instant::now());
    until("both to have partitions", SETTLE_LIMIT, async || {
        let now = (held(system, 0), held(system, 1));
        if now != last.0 {
            last = (now.clone(), Instant::now());
        }
        let shared_out = !now.0.is_empty()
            && !now.1.is_empty()
            && now.0.is_disjoint(&now.1)
            && now.0.len() + now.1.len() == PARTITIONS;
        (shared_out && last.1.elapsed() >= SETTLED).then_some(now)
    })
    .await
}

/// The partitions a persister holds, by its log, whichever of the two joined first.
fn held(system: &mut System, persister: usize) -> Held {
    let mut held = Held::new();
    for line in log(system, persister).lines() {
        if line.contains(TAKEN) {
            held.insert(partition(line));
        } else if line.contains(GIVEN_BACK) {
            held.remove(&partition(line));
        }
    }
    held
}

fn log(system: &mut System, persister: usize) -> String {
    system.process(Role::Persister, persister).errors()
}

fn partition(line: &str) -> u32 {
    let (_, rest) = line.split_once("partition=").expect("its number");
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
    digits
        .and_then(|digits| digits.parse().ok())
        .expect("a number")
}
