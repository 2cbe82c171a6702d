//! Presence over two gateways and two fanouts, whoever dies.

use serde_json::json;

use crate::harness::{Frame, Role, Shape, Stack, StompClient, System};

async fn presence(client: &mut StompClient) -> (String, String) {
    loop {
        let body = client.message("s").await.json();
        if body["type"] == "presence" {
            let text = |name: &str| body[name].as_str().expect("a text").to_owned();
            return (text("user"), text("status"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_users_of_a_dead_gateway_go_with_its_lease_and_a_dead_fanout_takes_nobody() {
    let settings = [
        ("ROOMLOG_PRESENCE_LEASE", "15s"),
        ("ROOMLOG_PRESENCE_HOLD", "5s"),
    ];
    let shape = Shape::of_each(Stack::Real { brokers: 1 }, 2);
    let mut system = System::start_with(shape, &settings).await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let bob_elsewhere = bob.at(&system.http(1));
    let room = alice.opens_room().await;
    bob.joins(&room).await;
    let mut listener = alice.connects().await;
    let topic = format!("/topic/rooms/{room}/signals");
    listener.request(Frame::subscribe("s", &topic)).await;
    let snapshot = listener.message("s").await.json();
    if snapshot["online"] != json!([alice.id]) {
        assert_eq!(presence(&mut listener).await.0, alice.id);
    }
    // Two devices at two gateways count once.
    let here = bob.connects().await;
    assert_eq!(
        presence(&mut listener).await,
        (bob.id.clone(), "online".into())
    );
    let mut there = bob_elsewhere.connects().await;
    there
        .request(Frame::subscribe("r", &format!("/topic/rooms/{room}")))
        .await;
    // A fanout dies: nobody comes or goes, and what is typed is heard.
    system.kill(Role::Fanout, 0);
    let typing = Frame::new("SEND").with("destination", format!("/app/rooms/{room}/typing"));
    there.request(typing).await;
    let heard = listener.message("s").await.json();
    assert_eq!(
        (&heard["type"], &heard["user"]),
        (&json!("typing"), &json!(bob.id))
    );
    let mut here = here;
    here.request(Frame::new("DISCONNECT")).await;
    // He is still there by the other gateway, until that one dies.
    system.kill(Role::Gateway, 1);
    assert_eq!(
        presence(&mut listener).await,
        (bob.id.clone(), "offline".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joined_a_moment_ago_is_shown_though_nothing_is_stored_yet() {
    let mut system = System::start(Shape::single(Stack::Real { brokers: 1 })).await;
    system.kill(Role::Persister, 0);
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let room = alice.opens_room().await;
    bob.joins(&room).await;
    let mut listener = alice.connects().await;
    let topic = format!("/topic/rooms/{room}/signals");
    listener.request(Frame::subscribe("s", &topic)).await;
    let _bob = bob.connects().await;
    while presence(&mut listener).await != (bob.id.clone(), "online".into()) {}
}
