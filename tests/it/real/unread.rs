//! Every number shown beside a naive recount, by several gateways, whatever is lost meanwhile.

use crate::harness::{Role, Shape, Stack, System, model::Model};

const REAL: Stack = Stack::Real { brokers: 1 };

#[tokio::test(flavor = "multi_thread")]
async fn three_gateways_show_the_naive_recount_whichever_of_them_is_killed() {
    let shape = Shape {
        gateways: 3,
        fanouts: 2,
        ..Shape::single(REAL)
    };
    let mut system = System::start(shape).await;
    let mut model = Model::of(&system, 11).await;
    model.goes_on(40).await;
    model.agrees().await;
    for gateway in [1, 2] {
        let address = system.http(gateway);
        model.goes_on(15).await;
        system.kill(Role::Gateway, gateway);
        model.abandon(&address).await;
        model.goes_on(30).await;
        model.agrees().await;
        let restart = system.restart(Role::Gateway, gateway);
        tokio::join!(model.goes_on(15), restart);
        model.take_back(address);
    }
    model.goes_on(30).await;
    model.agrees().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_naive_recount_is_shown_after_redis_is_lost_under_load() {
    let shape = Shape {
        gateways: 2,
        ..Shape::single(REAL)
    };
    let mut system = System::start(shape).await;
    let mut model = Model::of(&system, 12).await;
    model.goes_on(40).await;
    model.agrees().await;
    // It is gone for a while, and comes back empty while everything goes on.
    system.servers().redis.process().kill();
    model.goes_on(20).await;
    let redis = &mut system.servers().redis;
    tokio::join!(model.goes_on(30), redis.restart());
    model.agrees().await;
    // Who moves the sets along dies as well, with what it had not written yet.
    system.kill(Role::Persister, 0);
    system.servers().redis.wipe().await;
    let restart = system.restart(Role::Persister, 0);
    tokio::join!(model.goes_on(40), restart);
    model.agrees().await;
}
