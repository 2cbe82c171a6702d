//! Who is here: online and looking, over all of a user's devices.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};

use crate::harness::{
    Frame, Room, Shape, Stack, StompClient, System, User, redis,
    socket::{FINAL, PING, PONG, Socket},
    wait::{SOON, until},
};

/// A room of Alice's that Bob is in, and a connection of hers that listens to its signals.
struct Scene {
    alice: User,
    bob: User,
    room: Room,
    listener: StompClient,
}

// === impl Scene ===

impl Scene {
    async fn set(system: &System) -> Self {
        let (alice, bob) = (system.user("alice"), system.user("bob"));
        let room = alice.opens_room().await;
        bob.joins(&room).await;
        let mut listener = alice.connects().await;
        let topic = format!("/topic/rooms/{room}/signals");
        listener.request(Frame::subscribe("s", &topic)).await;
        let snapshot = listener.message("s").await.json();
        assert_eq!(snapshot["type"], "snapshot");
        let mut scene = Self {
            alice,
            bob,
            room,
            listener,
        };
        // She may have been told of herself in the snapshot or after it.
        if snapshot["online"] != json!([scene.alice.id]) {
            let alice = scene.alice.id.clone();
            assert_eq!(scene.presence().await, (alice, "online".to_owned()));
        }
        scene
    }

    /// Who came or went next.
    async fn presence(&mut self) -> (String, String) {
        let change = self.next("presence").await;
        let text = |name: &str| change[name].as_str().expect("a text").to_owned();
        (text("user"), text("status"))
    }

    /// Who looks at the room now.
    async fn viewers(&mut self) -> Value {
        let change = self.next("viewers").await;
        assert_eq!(
            change["total"],
            change["users"].as_array().expect("a list").len()
        );
        change["users"].clone()
    }

    /// The next change, which must be of this kind. How far members have read is told whenever it is known.
    async fn next(&mut self, kind: &str) -> Value {
        loop {
            let change = self.listener.message("s").await.json();
            if change["type"] != "reads" {
                assert_eq!(change["type"], kind, "{change}");
                return change;
            }
        }
    }

    fn bob_is(&self, status: &str) -> (String, String) {
        (self.bob.id.clone(), status.to_owned())
    }

    async fn sends(&self, client: &mut StompClient, verb: &str) {
        let destination = format!("/app/rooms/{}/{verb}", self.room);
        client
            .request(Frame::new("SEND").with("destination", destination))
            .await;
    }
}

async fn says_goodbye(mut client: StompClient) {
    client.request(Frame::new("DISCONNECT")).await;
}

async fn asks(user: &User, about: &str) -> Value {
    let answer = user
        .rest
        .post("presence/query", json!({"users": [about]}))
        .await;
    answer.ok()["users"][0].clone()
}

#[tokio::test]
async fn a_user_is_online_from_the_first_device_to_the_last() {
    // Who says goodbye is not waited for: whoever is would outlast the test.
    let hold = ("ROOMLOG_PRESENCE_HOLD", "1h");
    let system = System::start_with(Shape::single(Stack::chosen()), &[hold]).await;
    let mut scene = Scene::set(&system).await;
    let phone = scene.bob.connects().await;
    assert_eq!(scene.presence().await, scene.bob_is("online"));
    let laptop = scene.bob.connects().await;
    says_goodbye(phone).await;
    let path = format!("rooms/{}/presence", scene.room);
    let online = scene.alice.rest.get(&path).await.ok();
    assert_eq!(online["online_total"], 2);
    assert_eq!(asks(&scene.alice, &scene.bob.id).await["status"], "online");
    says_goodbye(laptop).await;
    assert_eq!(scene.presence().await, scene.bob_is("offline"));
    until("Bob to be offline for everyone", SOON, async || {
        let bob = asks(&scene.alice, &scene.bob.id).await;
        (bob["status"] == "offline" && bob["last_active"].is_u64()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_reconnect_is_neither_a_leave_nor_a_join() {
    // Long against a reconnect, however busy the machine is.
    let hold = ("ROOMLOG_PRESENCE_HOLD", "15s");
    let system = System::start_with(Shape::single(Stack::chosen()), &[hold]).await;
    let mut scene = Scene::set(&system).await;
    let first = scene.bob.connects().await;
    assert_eq!(scene.presence().await, scene.bob_is("online"));
    drop(first);
    let mut second = scene.bob.connects().await;
    // The next that is heard of him is that he looks at the room.
    scene.sends(&mut second, "focus").await;
    assert_eq!(scene.viewers().await, json!([scene.bob.id]));
    drop(second);
    assert_eq!(scene.presence().await, scene.bob_is("offline"));
    assert_eq!(scene.viewers().await, json!([]));
}

/// A connection that has agreed on no heart-beats.
async fn beatless(user: &User) -> Socket {
    Socket::signed_in(&user.http, &user.token, &[("heart-beat", "0,0")]).await
}

/// Answers pings as RFC 6455 demands and says nothing else, for ever; counts the answers.
async fn answers_pings(mut socket: Socket, answered: Arc<AtomicUsize>) {
    while let Some(piece) = socket.piece().await {
        assert_eq!(piece.first_octet, FINAL | PING, "{piece:?}");
        socket.send(FINAL | PONG, &piece.payload).await;
        answered.fetch_add(1, Ordering::Relaxed);
    }
    panic!("the connection was closed");
}

#[tokio::test]
async fn who_answers_no_ping_goes_offline_without_any_heart_beat_and_who_does_stays() {
    // Half of the silence is for the answer: long against any delay of a busy machine.
    let settings = [("ROOMLOG_SILENCE", "10s"), ("ROOMLOG_PRESENCE_HOLD", "1s")];
    let system = System::start_with(Shape::single(Stack::chosen()), &settings).await;
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| system.user(name));
    let room = alice.opens_room().await;
    bob.joins(&room).await;
    carol.joins(&room).await;
    let answered = Arc::<AtomicUsize>::default();
    let living = answers_pings(beatless(&carol).await, Arc::clone(&answered));
    let living = tokio::spawn(living);
    let mut deaf = beatless(&bob).await;
    let asked = deaf.piece().await.expect("a ping");
    assert_eq!(asked.first_octet, FINAL | PING, "{asked:?}");
    let (frames, close) = deaf.rest().await;
    let error = frames.last().expect("an ERROR");
    assert_eq!(
        (error.command.as_str(), error.header("code"), close),
        ("ERROR", "bad-request", Some(1002))
    );
    let path = format!("rooms/{room}/presence");
    until("Bob to be offline for everyone", SOON, async || {
        let online = alice.rest.get(&path).await.ok();
        let is_over = online["online"] == json!([carol.id]);
        let bob = asks(&alice, &bob.id).await;
        (is_over && bob["status"] == "offline" && bob["last_active"].is_u64()).then_some(())
    })
    .await;
    until("Carol to have answered often", SOON, async || {
        assert!(!living.is_finished(), "Carol was sent away");
        (answered.load(Ordering::Relaxed) >= 4).then_some(())
    })
    .await;
    assert_eq!(asks(&alice, &carol.id).await["status"], "online");
    living.abort();
}

#[tokio::test]
async fn who_looks_at_a_room_is_shown_until_they_look_away() {
    let system = System::shared().await;
    let mut scene = Scene::set(system).await;
    let mut bob = scene.bob.connects().await;
    assert_eq!(scene.presence().await, scene.bob_is("online"));
    scene.sends(&mut bob, "focus").await;
    assert_eq!(scene.viewers().await, json!([scene.bob.id]));
    let path = format!("rooms/{}/viewers", scene.room);
    let viewers = scene.alice.rest.get(&path).await.ok();
    assert_eq!(viewers["users"], json!([scene.bob.id]));
    scene.sends(&mut bob, "unfocus").await;
    assert_eq!(scene.viewers().await, json!([]));
}

#[tokio::test]
async fn who_leaves_a_room_is_not_there_any_more() {
    let system = System::shared().await;
    let mut scene = Scene::set(system).await;
    let _bob = scene.bob.connects().await;
    assert_eq!(scene.presence().await, scene.bob_is("online"));
    let path = format!("rooms/{}/leave", scene.room);
    scene.bob.rest.post(&path, json!({})).await.ok();
    assert_eq!(scene.presence().await, scene.bob_is("offline"));
}

#[tokio::test]
async fn a_large_room_is_shown_by_numbers_and_a_sample() {
    let names = ("ROOMLOG_PRESENCE_NAMES_MAX", "1");
    let system = System::start_with(Shape::single(Stack::chosen()), &[names]).await;
    let mut scene = Scene::set(&system).await;
    let mut bob = scene.bob.connects().await;
    let change = scene.next("presence").await;
    assert_eq!(
        (&change["online_total"], &change["user"]),
        (&json!(2), &json!(null))
    );
    let path = format!("rooms/{}/presence", scene.room);
    let online = scene.alice.rest.get(&path).await.ok();
    assert_eq!(
        (&online["sample"], &online["online_total"]),
        (&json!(true), &json!(2))
    );
    scene.sends(&mut bob, "focus").await;
    let path = format!("rooms/{}/viewers", scene.room);
    until("Bob to be counted among the viewers", SOON, async || {
        let viewers = scene.alice.rest.get(&path).await.ok();
        (viewers["sample"] == true && viewers["total"] == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn presence_comes_back_by_itself_when_redis_is_wiped() {
    let lease = ("ROOMLOG_PRESENCE_LEASE", "2s");
    let system = System::start_with(Shape::single(Stack::chosen()), &[lease]).await;
    let scene = Scene::set(&system).await;
    let bob = scene.bob.connects().await;
    until("Bob to have a row", SOON, async || {
        system.row_of(&scene.bob).await
    })
    .await;
    says_goodbye(bob).await;
    until("Bob's row to say when he left", SOON, async || {
        let row = system.row_of(&scene.bob).await?;
        row.contains_key("last_active").then_some(())
    })
    .await;
    redis::wipe(&system.redis).await;
    until("Bob to have been here, as his row says", SOON, async || {
        let bob = asks(&scene.alice, &scene.bob.id).await;
        (bob["status"] == "offline" && bob["last_active"].is_u64()).then_some(())
    })
    .await;
    let redis = redis::connected(&system.redis).await;
    let keys = [
        format!("user:{{{}}}:sessions", scene.alice.id),
        format!("{{r:{}}}:online", scene.room),
    ];
    for key in keys {
        let mut redis = redis.clone();
        until("the lease to be written again", SOON, async || {
            let members: u64 = ::redis::cmd("ZCARD")
                .arg(&key)
                .query_async(&mut redis)
                .await
                .expect("Redis answers");
            (members == 1).then_some(())
        })
        .await;
    }
}
