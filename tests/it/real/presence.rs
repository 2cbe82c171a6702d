//! Presence over several gateways and fanouts, whoever dies.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    behaviour::friends::{Circle, befriend},
    harness::{Frame, Role, Shape, Stack, StompClient, System, User, wait::a_moment},
};

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
    // A signal may be lost while links change: who types says so again.
    let heard = loop {
        there.request(typing.clone()).await;
        let heard = tokio::select! {
            heard = listener.message("s") => heard.json(),
            () = a_moment() => continue,
        };
        // How far members have read is told whenever it is known.
        if heard["type"] != "reads" {
            break heard;
        }
    };
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
    let mut sight = Sight::of(&alice, &room).await;
    let _bob = bob.connects().await;
    sight.shows(&[&alice, &bob]).await;
}

/// Who is online, as a client shows it that took the snapshot and every change since.
struct Sight {
    client: StompClient,
    online: BTreeSet<String>,
}

impl Sight {
    async fn of(user: &User, room: &str) -> Self {
        let mut client = user.connects().await;
        let topic = format!("/topic/rooms/{room}/signals");
        client.request(Frame::subscribe("s", &topic)).await;
        let online = BTreeSet::new();
        Self { client, online }
    }

    async fn shows(&mut self, users: &[&User]) {
        let expected: BTreeSet<String> = users.iter().map(|user| user.id.clone()).collect();
        while self.online != expected {
            let body = self.client.message("s").await.json();
            println!("{expected:?}: {body}");
            self.take(&body);
        }
    }

    fn take(&mut self, body: &Value) {
        let text = |value: &Value| value.as_str().expect("a user").to_owned();
        match body["type"].as_str() {
            Some("snapshot") => {
                let online = body["online"].as_array().expect("users");
                self.online = online.iter().map(text).collect();
            }
            Some("presence") => {
                let user = text(&body["user"]);
                let is_news = match body["status"] == "online" {
                    true => self.online.insert(user),
                    false => self.online.remove(&user),
                };
                assert!(is_news, "told twice: {body}");
            }
            _ => {}
        }
    }
}

async fn list_shows(client: &mut StompClient, room: &str, online: u64) {
    loop {
        let body = client.message("list").await.json();
        let listed = body["rooms"].as_array().into_iter().flatten();
        let mut told = listed.chain([&body]);
        if told.any(|told| told["room"] == room && told["online"] == online) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_or_leaves_by_another_gateway_is_shown_so_and_a_killed_gateway_takes_only_its_own()
 {
    let settings = [
        ("ROOMLOG_PRESENCE_LEASE", "3s"),
        ("ROOMLOG_PRESENCE_HOLD", "1s"),
    ];
    let shape = Shape {
        gateways: 3,
        ..Shape::single(Stack::Real { brokers: 1 })
    };
    let mut system = System::start_with(shape, &settings).await;
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| system.user(name));
    let room = alice.opens_room().await;
    let mut sight = Sight::of(&alice, &room).await;
    sight.shows(&[&alice]).await;
    let mut list = alice.connects().await;
    let topic = "/user/queue/rooms";
    list.request(Frame::subscribe("list", topic)).await;
    list_shows(&mut list, &room, 1).await;
    // They are connected where nobody looks at the room, and join by yet another gateway.
    let (second, third) = (system.http(1), system.http(2));
    let _bob = bob.at(&second).connects().await;
    let _carol = carol.at(&third).connects().await;
    bob.at(&third).joins(&room).await;
    sight.shows(&[&alice, &bob]).await;
    carol.at(&second).joins(&room).await;
    sight.shows(&[&alice, &bob, &carol]).await;
    list_shows(&mut list, &room, 3).await;
    // One is taken out of the room and stays connected; the other goes with their gateway.
    let member = format!("rooms/{room}/members/{}", bob.id);
    let removal = alice.rest.ask(Method::DELETE, &member, None, &[]).await;
    removal.ok();
    sight.shows(&[&alice, &carol]).await;
    system.kill(Role::Gateway, 2);
    sight.shows(&[&alice]).await;
    list_shows(&mut list, &room, 1).await;
    system.restart(Role::Gateway, 2).await;
    let _carol = carol.at(&system.http(2)).connects().await;
    sight.shows(&[&alice, &carol]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_friend_at_another_gateway_is_seen_to_come_and_goes_with_it_while_redis_is_down() {
    let settings = [
        ("ROOMLOG_PRESENCE_LEASE", "3s"),
        ("ROOMLOG_PRESENCE_HOLD", "1s"),
    ];
    let shape = Shape {
        gateways: 2,
        ..Shape::single(Stack::Real { brokers: 1 })
    };
    let mut system = System::start_with(shape, &settings).await;
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| system.user(name));
    befriend(&alice, &bob).await;
    befriend(&carol, &alice).await;
    let mut circle = Circle::of(&alice).await;
    circle
        .shows(&[(&bob, "offline"), (&carol, "offline")])
        .await;
    system.servers().redis.process().kill();
    let second = system.http(1);
    let mut of_bob = bob.at(&second).connects().await;
    let _carol = carol.at(&second).connects().await;
    circle.shows(&[(&bob, "online"), (&carol, "online")]).await;
    let query = json!({"users": [bob.id]});
    let asked = alice.rest.post("presence/query", query).await.ok();
    assert_eq!(asked["users"][0]["status"], "online");
    of_bob.request(Frame::new("DISCONNECT")).await;
    circle.shows(&[(&bob, "offline"), (&carol, "online")]).await;
    system.kill(Role::Gateway, 1);
    circle
        .shows(&[(&bob, "offline"), (&carol, "offline")])
        .await;
}
