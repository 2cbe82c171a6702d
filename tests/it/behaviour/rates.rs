//! Limits on how often and how many: each refuses with its code, says when to come back, and is counted.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::harness::{
    Frame, StompClient, System,
    rest::{Answer, Rest},
    system::{Role, Shape, Stack},
};

const SENDS_BURST: usize = 5;
const REQUESTS_BURST: usize = 10;
const TEXT_MAX: usize = 100;
const SUBSCRIPTIONS_MAX: usize = 4;
const GUEST_ROOM: &str = "guests";

/// A system with small limits behind one proxy, which is this test.
async fn narrow() -> &'static System {
    static NARROW: OnceCell<System> = OnceCell::const_new();
    let settings = [
        ("ROOMLOG_SENDS_PER_SECOND", "1"),
        ("ROOMLOG_SENDS_BURST", "5"),
        ("ROOMLOG_REQUESTS_PER_SECOND", "2"),
        ("ROOMLOG_FRAMES_PER_SECOND", "200"),
        ("ROOMLOG_SUBSCRIBES_PER_SECOND", "1"),
        ("ROOMLOG_SUBSCRIPTIONS", "4"),
        ("ROOMLOG_SIGN_INS_PER_MINUTE", "12"),
        ("ROOMLOG_GUESTS_PER_MINUTE", "3"),
        ("ROOMLOG_CONNECTS_PER_MINUTE", "30"),
        ("ROOMLOG_CONNECTIONS_PER_USER", "1"),
        ("ROOMLOG_ROOMS_PER_USER", "2"),
        ("ROOMLOG_MEMBERS_PER_ROOM", "2"),
        ("ROOMLOG_TEXT_BYTES", "100"),
        ("ROOMLOG_TRUSTED_PROXIES", "1"),
        ("ROOMLOG_GUEST_ROOM", GUEST_ROOM),
    ];
    NARROW
        .get_or_init(|| System::start_with(Shape::single(Stack::chosen()), &settings))
        .await
}

/// Asks as somebody at this address.
async fn from(system: &System, address: &str, method: Method, path: &str, body: Value) -> Answer {
    let rest = Rest::new(&system.http(0), None);
    let body = (method != Method::GET).then_some(body);
    rest.ask(method, path, body, &[("x-forwarded-for", address)])
        .await
}

/// The refused ones, each of which says when to come back and what the limit is.
fn refused(answers: &[Answer], limit: usize) -> usize {
    let refused = answers.iter().filter(|answer| answer.status == 429);
    let refused: Vec<&Answer> = refused.collect();
    for answer in &refused {
        assert_eq!(answer.refusal(), (429, "too-many"));
        let wait_s: u64 = answer.header("retry-after").parse().expect("seconds");
        assert!((1..=60).contains(&wait_s), "{answer:?}");
        assert!(answer.body["retry_after_ms"].is_u64(), "{answer:?}");
        assert_eq!(answer.header("ratelimit-limit"), limit.to_string());
        assert_eq!(answer.header("ratelimit-remaining"), "0");
        assert!(answer.header("ratelimit-reset").parse::<u64>().is_ok());
    }
    refused.len()
}

/// How often a limit was reached.
async fn counted(system: &System, limit: &str) -> u64 {
    let metrics = system.admin(Role::Gateway, 0).get("/metrics").await.body;
    let line = format!("roomlog_gateway_limited_total{{limit=\"{limit}\"}} ");
    let text = metrics.as_str().expect("text");
    let found = text.lines().find_map(|found| found.strip_prefix(&line));
    found.map_or(0, |count| count.parse().expect("a count"))
}

#[tokio::test]
async fn messages_beyond_the_rate_are_refused_and_retries_of_earlier_ones_are_not() {
    let system = narrow().await;
    let alice = system.user("fast");
    let room = alice.opens_room().await;
    let first = alice.posts(&room, "first").await.ok();
    let ids: Vec<String> = (0..4 * SENDS_BURST)
        .map(|index| format!("m{index}"))
        .collect();
    let fresh = join_all(ids.iter().map(|id| alice.posts(&room, id)));
    let retries = join_all((0..2 * SENDS_BURST).map(|_| alice.posts(&room, "first")));
    let (fresh, retries) = tokio::join!(fresh, retries);
    let count = refused(&fresh, SENDS_BURST);
    assert!(count > 0 && count < fresh.len(), "{fresh:?}");
    for retry in retries {
        assert_eq!(retry.ok()["seq"], first["seq"]);
    }
    let accepted = fresh.iter().find(|answer| answer.status == 201);
    let left = accepted.expect("some passed").header("ratelimit-remaining");
    assert!(left.parse::<usize>().expect("a number") < SENDS_BURST);
    assert!(counted(system, "sends").await > 0);
}

#[tokio::test]
async fn sends_beyond_the_rate_are_refused_and_retries_of_earlier_ones_are_not() {
    let system = narrow().await;
    let bob = system.user("quick");
    let room = bob.opens_room().await;
    let mut client = bob.connects().await;
    client
        .request(Frame::subscribe("errors", "/user/queue/errors"))
        .await;
    client
        .request(Frame::send(&room, "first").with("id", "first"))
        .await;
    for index in 0..4 * SENDS_BURST {
        let send = Frame::send(&room, "fresh").with("id", format!("m{index}"));
        client.send(&send.with("receipt", index)).await;
        // A refused one would be no retry, so it is always the first.
        let retry = Frame::send(&room, "first").with("id", "first");
        if index < SENDS_BURST {
            client
                .send(&retry.with("receipt", format!("retry-{index}")))
                .await;
        }
    }
    let error = client.message("errors").await;
    assert_eq!(error.header("code"), "too-many");
    assert!(error.number("retry_after_ms") > 0, "{error:?}");
    for index in 0..SENDS_BURST {
        client.receipt(&format!("retry-{index}")).await;
    }
}

#[tokio::test]
async fn requests_beyond_the_rate_are_refused_and_every_answer_says_what_is_left() {
    let system = narrow().await;
    let carol = system.user("curious");
    let first = carol.rest.get("me").await;
    assert_eq!(first.header("ratelimit-limit"), REQUESTS_BURST.to_string());
    assert_eq!(
        first.header("ratelimit-remaining"),
        (REQUESTS_BURST - 1).to_string()
    );
    let answers = join_all((0..4 * REQUESTS_BURST).map(|_| carol.rest.get("me"))).await;
    assert!(refused(&answers, REQUESTS_BURST) > 0);
    assert!(counted(system, "requests").await > 0);
    // It is their rate and nobody else's.
    system.user("other").rest.get("me").await.ok();
}

#[tokio::test]
async fn what_is_refused_counts_too() {
    let system = narrow().await;
    let path = format!("rooms/{}/messages", system.user("host").opens_room().await);
    let tries: [(&str, Method, &str, Value); 4] = [
        ("no message", Method::POST, &path, json!({"text": 5})),
        ("no notice", Method::POST, "notices", json!({"text": ""})),
        (
            "nowhere",
            Method::POST,
            "rooms/no%20room/messages",
            json!({"text": "x"}),
        ),
        (
            "no reaction",
            Method::PATCH,
            "rooms/r/messages/none",
            json!({}),
        ),
    ];
    for (index, (what, method, path, body)) in tries.into_iter().enumerate() {
        let user = system.user(&format!("wrong-{index}"));
        let ask = || user.rest.ask(method.clone(), path, Some(body.clone()), &[]);
        let answers = join_all((0..4 * REQUESTS_BURST).map(|_| ask())).await;
        let count = refused(&answers, REQUESTS_BURST);
        assert!(count > 0 && count < answers.len(), "{what}: {answers:?}");
    }
}

#[tokio::test]
async fn a_guest_finds_no_place_in_a_full_room() {
    let system = narrow().await;
    let (host, second) = (system.user("host"), system.user("second"));
    let room = json!({"id": GUEST_ROOM, "name": "Guests", "kind": "group", "public": true});
    host.rest.post("rooms", room).await.ok();
    second.joins(GUEST_ROOM).await;
    let wish = json!({"name": "Third"});
    let guest = from(system, "203.0.113.77", Method::POST, "auth/guest", wish)
        .await
        .ok();
    let token = guest["access_token"].as_str().expect("a token");
    let guest = Rest::new(&system.http(0), Some(token));
    let found = guest.get(&format!("rooms/{GUEST_ROOM}")).await.ok();
    assert!(found["room"]["role"].is_null(), "{found}");
}

#[tokio::test]
async fn log_ins_are_limited_by_address_and_by_account() {
    let system = narrow().await;
    let tries = async |address: &str, login: &str| {
        let wish = json!({"login": login, "password": "not the password"});
        from(system, address, Method::POST, "auth/login", wish).await
    };
    let logins: Vec<String> = (0..24).map(|index| format!("somebody-{index}")).collect();
    let answers = join_all(logins.iter().map(|login| tries("198.51.100.1", login))).await;
    assert!(refused(&answers, 12) > 0);
    assert_eq!(
        tries("198.51.100.2", "somebody-0").await.refusal(),
        (401, "unauthenticated")
    );
    // What a client writes itself stands before what the proxy adds: it is one address, whatever it claims to be.
    let claims: Vec<String> = (0..24)
        .map(|index| format!("192.0.2.{index}, 198.51.100.4"))
        .collect();
    let forged = claims.iter().zip(&logins);
    let forged = forged.map(|(address, login)| tries(address, login));
    assert!(refused(&join_all(forged).await, 12) > 0);
    let answers = join_all((0..6).map(|_| tries("198.51.100.3", "one-account"))).await;
    let refused = answers.iter().filter(|answer| answer.status == 429).count();
    assert!(refused > 0 && refused < 6, "{answers:?}");
    assert_eq!(
        tries("198.51.100.3", "another").await.refusal(),
        (401, "unauthenticated")
    );
    assert!(counted(system, "sign-ins").await > 0 && counted(system, "account").await > 0);
}

#[tokio::test]
async fn guests_and_connections_are_limited_by_address() {
    let system = narrow().await;
    let guest = async |address: &str| {
        let wish = json!({"name": "Guest"});
        from(system, address, Method::POST, "auth/guest", wish).await
    };
    let answers = join_all((0..8).map(|_| guest("203.0.113.1"))).await;
    assert!(refused(&answers, 3) > 0);
    guest("203.0.113.2").await.ok();
    let knock = async |address: &str| from(system, address, Method::GET, "/ws", json!({})).await;
    // Subscribers of IPv6 have more addresses than anybody can count.
    let addresses: Vec<String> = (0..60)
        .map(|index| format!("2001:db8::{index:x}"))
        .collect();
    let answers = join_all(addresses.iter().map(|address| knock(address))).await;
    let refused: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 429)
        .collect();
    assert!(!refused.is_empty() && refused.len() < 60);
    assert_eq!(refused[0].refusal(), (429, "too-many"));
    assert!(refused[0].header("retry-after").parse::<u64>().is_ok());
    assert_ne!(knock("2001:db8:0:1::1").await.status, 429);
    assert!(counted(system, "guests").await > 0 && counted(system, "connects").await > 0);
}

#[tokio::test]
async fn a_user_is_in_so_many_rooms_and_a_room_has_so_many_members() {
    let system = narrow().await;
    let (owner, member, late) = (
        system.user("host"),
        system.user("member"),
        system.user("late"),
    );
    let room = owner.opens_room().await;
    member.joins(&room).await;
    let answer = late
        .rest
        .post(&format!("rooms/{room}/join"), json!({}))
        .await;
    assert_eq!(answer.refusal(), (429, "too-many"));
    // What counts is stored a moment after it happened.
    let wish = json!({"name": "One more", "kind": "group", "public": true});
    let mut made = 1;
    let answer = loop {
        let answer = owner.rest.post("rooms", wish.clone()).await;
        if !answer.status.is_success() {
            break answer;
        }
        made += 1;
        assert!(made < REQUESTS_BURST, "rooms without an end");
    };
    assert_eq!(answer.refusal(), (429, "too-many"));
    assert!(made >= 2);
    assert!(counted(system, "rooms").await > 0 && counted(system, "members").await > 0);
}

#[tokio::test]
async fn sizes_are_what_is_configured() {
    let system = narrow().await;
    let alice = system.user("verbose");
    let room = alice.opens_room().await;
    let path = format!("rooms/{room}/messages");
    let text = |bytes: usize| json!({ "text": "x".repeat(bytes) });
    alice.rest.post(&path, text(TEXT_MAX)).await.ok();
    for too_large in [
        text(TEXT_MAX + 1),
        json!({"text": "x", "meta": {"x": "x".repeat(4 << 10)}}),
        json!({"text": "x", "mentions": vec!["somebody"; 51]}),
        json!({"text": "x", "attachments": vec![json!({"id": "f-x"}); 11]}),
    ] {
        let answer = alice.rest.post(&path, too_large.clone()).await;
        assert_eq!(answer.refusal(), (413, "too-large"), "{too_large}");
    }
    let limits = alice.rest.get("limits").await.ok();
    assert_eq!(limits["text_bytes_max"], TEXT_MAX);
    assert_eq!(limits["subscriptions_max"], SUBSCRIPTIONS_MAX);
    assert_eq!(limits["requests_burst"], REQUESTS_BURST);
}

#[tokio::test]
async fn what_reaches_others_or_is_kept_is_limited_by_user() {
    // Nothing else is in the way here.
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    bob.rest.get("me").await.ok();
    let friend = format!("friends/{}", bob.id);
    let picture = json!({"type": "image/png", "size": 10});
    for (limit, method, path, body, per_minute) in [
        ("profiles", Method::PATCH, "me", json!({"locale": "de"}), 10),
        ("friends", Method::PUT, friend.as_str(), json!({}), 30),
        ("files", Method::POST, "me/avatar", picture, 60),
    ] {
        let ask = || {
            alice
                .rest
                .ask(method.clone(), path, Some(body.clone()), &[])
        };
        let answers = join_all((0..2 * per_minute).map(|_| ask())).await;
        let count = refused(&answers, per_minute);
        assert!(count > 0 && count < answers.len(), "{limit}: {answers:?}");
        assert!(counted(system, limit).await > 0, "{limit}");
    }
}

#[tokio::test]
async fn a_user_has_so_many_connections_and_the_next_is_told_so() {
    let system = narrow().await;
    let alice = system.user("twice");
    let _first = alice.connects().await;
    let refused = StompClient::try_connect(&alice.http, &alice.token).await;
    let error = refused.err().flatten().expect("an ERROR");
    assert_eq!(error.header("code"), "too-many");
    assert!(counted(system, "connections").await > 0);
}

#[tokio::test]
async fn subscribing_over_and_over_is_refused() {
    let system = narrow().await;
    let alice = system.user("restless");
    let room = alice.opens_room().await;
    let mut client = alice.connects().await;
    client
        .request(Frame::subscribe("errors", "/user/queue/errors"))
        .await;
    for index in 0..4 * SUBSCRIPTIONS_MAX {
        let subscribe = Frame::subscribe("again", &format!("/topic/rooms/{room}"));
        client.send(&subscribe.with("receipt", index)).await;
        client
            .send(&Frame::new("UNSUBSCRIBE").with("id", "again"))
            .await;
    }
    let error = client.message("errors").await;
    assert_eq!(error.header("code"), "too-many");
    assert!(error.number("retry_after_ms") > 0, "{error:?}");
    assert!(counted(system, "subscribes").await > 0);
}

#[tokio::test]
async fn a_flood_of_frames_is_read_slowly_and_loses_none() {
    let system = narrow().await;
    let mut client = system.user("flood").connects().await;
    for index in 0..400 {
        client
            .send(&Frame::new("BEGIN").with("transaction", index))
            .await;
        client
            .send(&Frame::new("ABORT").with("transaction", index))
            .await;
    }
    client
        .request(Frame::subscribe("errors", "/user/queue/errors"))
        .await;
    assert!(counted(system, "frames").await > 0);
}
