//! Every number shown beside a naive recount, by several gateways, whatever is lost meanwhile.

use reqwest::StatusCode;
use serde_json::json;

use crate::{
    behaviour::unread::sees_reading,
    harness::{
        Frame, Role, Shape, Stack, System,
        model::Model,
        proxy::{Mode, Proxy},
        wait::{SOON, until},
    },
};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_made_while_no_fanout_was_reached_is_shown_once_one_is() {
    let shape = Shape {
        linked: true,
        ..Shape::single(REAL)
    };
    let mut system = System::start(shape).await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let room = alice.opens_room().await;
    bob.joins(&room).await;
    let message = json!({ "text": "read me" });
    let path = format!("rooms/{room}/messages");
    let posted = alice.rest.post(&path, message).await.ok();
    let mut listener = alice.connects().await;
    let topic = format!("/topic/rooms/{room}/signals");
    listener.request(Frame::subscribe("s", &topic)).await;
    assert_eq!(listener.message("s").await.json()["type"], "snapshot");
    link_to_the_fanout(&mut system).set(Mode::Reset);
    let admin = system.admin(Role::Gateway, 0);
    until("the gateway to miss the fanout", SOON, async || {
        let ready = admin.get("/health/ready").await;
        (!ready.status.is_success()).then_some(())
    })
    .await;
    let busy = [StatusCode::SERVICE_UNAVAILABLE];
    let read = json!({ "seq": posted["seq"] });
    bob.insists(&format!("rooms/{room}/read"), read, &busy)
        .await;
    link_to_the_fanout(&mut system).set(Mode::Open);
    sees_reading(&mut listener, &bob, &posted["seq"]).await;
}

fn link_to_the_fanout(system: &mut System) -> &Proxy {
    let links = system.servers().links.as_ref();
    &links.expect("a linked system").fanouts[0]
}
