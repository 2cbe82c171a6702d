//! What presence costs Redis, and that a Redis that lost everything has it again after one renewal.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{
    Frame, Shape, Stack, StompClient, System, User,
    redis::connected,
    wait::{SOON, until},
};

/// Users whose leases are counted: what else a quiet system asks of Redis is little against them.
const USERS: usize = 100;

/// Renewals that are waited for.
const RENEWALS: u64 = 3;

/// A figure of `INFO`: what follows `name` and the sign after it, up to anything that is no digit; 0 where it is not there.
async fn figure(redis: &mut MultiplexedConnection, section: &str, name: &str) -> u64 {
    let info: String = redis::cmd("INFO")
        .arg(section)
        .query_async(redis)
        .await
        .expect("Redis answers");
    let line = info.lines().find_map(|line| line.strip_prefix(name));
    let digits = line.map(|rest| rest.chars().take_while(char::is_ascii_digit));
    digits.map_or(0, |digits| {
        digits.collect::<String>().parse().expect("a number")
    })
}

/// How often leases were written: each is one `PEXPIRE`, and nothing else is.
async fn leases(redis: &mut MultiplexedConnection) -> u64 {
    figure(redis, "commandstats", "cmdstat_pexpire:calls=").await
}

/// Whether these users have a session somewhere, as Redis says.
async fn are_there(redis: &MultiplexedConnection, users: &[User]) -> bool {
    let mut pipe = redis::pipe();
    for user in users {
        pipe.cmd("ZCARD").arg(sessions(user));
    }
    let mut redis = redis.clone();
    let there: Vec<u64> = pipe.query_async(&mut redis).await.expect("Redis answers");
    there.iter().all(|gateways| *gateways == 1)
}

fn sessions(user: &User) -> String {
    format!("user:{{{}}}:sessions", user.id)
}

/// So many users with a connection each.
async fn crowd(system: &System) -> (Vec<User>, Vec<StompClient>) {
    let users: Vec<User> = (0..USERS).map(|_| system.user("member")).collect();
    let clients = join_all(users.iter().map(User::connects)).await;
    (users, clients)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heart_beat_writes_nothing() {
    // No lease is renewed while this looks.
    let settings = [("ROOMLOG_PRESENCE_LEASE", "3h")];
    let system = System::start_with(Shape::single(Stack::Real { brokers: 1 }), &settings).await;
    let mut redis = connected(&system.redis).await;
    let (users, mut clients) = crowd(&system).await;
    until("everybody's lease", SOON, async || {
        let are_written = leases(&mut redis).await >= USERS as u64;
        (are_written && are_there(&redis, &users).await).then_some(())
    })
    .await;
    let before = leases(&mut redis).await;
    for client in &mut clients {
        for _ in 0..20 {
            client.send_message(Message::text("\n")).await;
        }
        // A receipt says that all of them were read.
        let errors = Frame::subscribe("errors", "/user/queue/errors");
        client.request(errors).await;
    }
    assert_eq!(leases(&mut redis).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_are_renewed_in_batches_and_not_one_by_one() {
    let settings = [("ROOMLOG_PRESENCE_LEASE", "6s")];
    let system = System::start_with(Shape::single(Stack::Real { brokers: 1 }), &settings).await;
    let mut redis = connected(&system.redis).await;
    let (users, _clients) = crowd(&system).await;
    until("everybody's lease", SOON, async || {
        are_there(&redis, &users).await.then_some(())
    })
    .await;
    let read = "total_reads_processed:";
    let written = leases(&mut redis).await;
    let reads = figure(&mut redis, "stats", read).await;
    let mut looks = 0;
    let renewed = until("some renewals", SOON, async || {
        looks += 1;
        let renewed = leases(&mut redis).await - written;
        (renewed >= RENEWALS * USERS as u64).then_some(renewed)
    })
    .await;
    // What Redis has read from its sockets meanwhile, whoever wrote it, but for the looks of this test.
    let reads = figure(&mut redis, "stats", read).await - reads - looks;
    assert!(
        reads * 2 < renewed,
        "{renewed} leases of four commands each took {reads} reads"
    );
}

/// What Redis holds of these users who are online, if it holds all of it: when each of their leases ends.
async fn held(redis: &MultiplexedConnection, users: &[&User]) -> Option<BTreeSet<String>> {
    // At one moment, as a renewal may lie between two.
    let mut pipe = redis::pipe();
    pipe.atomic();
    for user in users {
        pipe.cmd("ZRANGE")
            .arg(sessions(user))
            .arg(0)
            .arg(-1)
            .arg("WITHSCORES");
    }
    let mut redis = redis.clone();
    let sessions: Vec<Vec<String>> = pipe.query_async(&mut redis).await.ok()?;
    let ends: Vec<String> = sessions
        .into_iter()
        .filter_map(|session| session.get(1).cloned())
        .collect();
    for user in users {
        let key = |part: &str| format!("user:{{{}}}:{part}", user.id);
        let status: Option<String> = redis::cmd("GET")
            .arg(key("status"))
            .query_async(&mut redis)
            .await
            .ok()?;
        let last_active: Option<u64> = redis::cmd("GET")
            .arg(key("last-active"))
            .query_async(&mut redis)
            .await
            .ok()?;
        (status.as_deref() == Some("online") && last_active.is_some()).then_some(())?;
    }
    (ends.len() == users.len()).then(|| ends.into_iter().collect())
}

async fn status(asking: &User, about: &User) -> Value {
    let query = json!({"users": [about.id]});
    let answer = asking.rest.post("presence/query", query).await;
    answer.body["users"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_was_restarted_has_everybody_back_after_one_renewal() {
    let settings = [("ROOMLOG_PRESENCE_LEASE", "15s")];
    let shape = Shape {
        gateways: 2,
        ..Shape::single(Stack::Real { brokers: 1 })
    };
    let mut system = System::start_with(shape, &settings).await;
    let [alice, bob, carol, dave] = ["alice", "bob", "carol", "dave"].map(|name| system.user(name));
    let room = alice.opens_room().await;
    for user in [&bob, &carol] {
        user.joins(&room).await;
    }
    // Alice asks at the first gateway; the others are at the second, so that only Redis can tell her.
    let second = system.http(1);
    let _bob = bob.at(&second).connects().await;
    let _carol = carol.at(&second).connects().await;
    let mut gone = dave.at(&second).connects().await;
    until("Dave to have a row", SOON, async || {
        system.row_of(&dave).await
    })
    .await;
    gone.request(Frame::new("DISCONNECT")).await;
    let left_ms = until("Dave's row to say when he left", SOON, async || {
        let row = system.row_of(&dave).await?;
        row.get("last_active")?.as_n().ok()?.parse::<u64>().ok()
    })
    .await;
    let is_back = async |redis: &MultiplexedConnection| {
        let ends = held(redis, &[&bob, &carol]).await?;
        let online: u64 = redis::cmd("ZCARD")
            .arg(format!("{{r:{room}}}:online"))
            .query_async(&mut redis.clone())
            .await
            .ok()?;
        (online == 2).then_some(ends)
    };
    let redis = connected(&system.redis).await;
    until("presence in Redis", SOON, async || is_back(&redis).await).await;

    system.servers().redis.restart().await;
    let redis = connected(&system.redis).await;
    let ends = until("presence to be back", SOON, async || is_back(&redis).await).await;
    assert_eq!(ends.len(), 1, "one renewal brings everybody back: {ends:?}");
    for user in [&bob, &carol] {
        until("them to be online for everyone", SOON, async || {
            (status(&alice, user).await["status"] == "online").then_some(())
        })
        .await;
    }
    let absent = until("an answer about Dave", SOON, async || {
        let absent = status(&alice, &dave).await;
        let is_known = absent["status"] == "offline" && absent["last_active"].is_u64();
        is_known.then_some(absent)
    })
    .await;
    assert_eq!(
        absent,
        json!({"user": dave.id, "status": "offline", "last_active": left_ms})
    );
}
