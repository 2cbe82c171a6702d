//! Rooms: their settings, slow mode, deletion, direct rooms and notices.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{
    Frame, System,
    rest::Answer,
    user::{Room, User},
    wait::{SOON, until},
};

async fn patch(user: &User, room: &str, settings: Value) -> Answer {
    let path = format!("rooms/{room}");
    user.rest
        .ask(Method::PATCH, &path, Some(settings), &[])
        .await
}

async fn delete(user: &User, room: &str) -> Answer {
    let path = format!("rooms/{room}");
    user.rest.ask(Method::DELETE, &path, None, &[]).await
}

async fn post(user: &User, room: &str, id: &str) -> Answer {
    let path = format!("rooms/{room}/messages");
    let headers = [("Idempotency-Key", id)];
    let text = Some(json!({"text": "hello"}));
    user.rest.ask(Method::POST, &path, text, &headers).await
}

async fn a_room_of(kind: &str, owner: &User, member: &User) -> Room {
    let wish = json!({"name": "A room", "kind": kind, "public": true});
    let made = owner.rest.post("rooms", wish).await.ok();
    let room = made["room"]["id"].as_str().expect("an id").to_owned();
    member.joins(&room).await;
    room
}

/// Somebody who can be found: a user's row is written behind their first request.
async fn somebody(system: &System, name: &str) -> User {
    let user = system.user(name);
    user.rest.get("me").await.ok();
    user
}

#[tokio::test]
async fn an_owner_changes_the_settings_and_everyone_sees_it_in_the_log() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let room = a_room_of("group", &alice, &bob).await;
    let (mut watching, head) = bob.watches(&room).await;
    let changed = patch(&alice, &room, json!({"name": "Tea", "read_only": true})).await;
    let changed = changed.ok();
    assert_eq!(changed["seq"], head + 1);
    assert_eq!(changed["room"]["name"], "Tea");
    let event = watching.message(&room).await.json();
    assert_eq!(
        (&event["type"], &event["name"]),
        (&json!("room"), &json!("Tea"))
    );
    assert_eq!(
        bob.rest.get(&format!("rooms/{room}")).await.ok()["room"]["name"],
        "Tea"
    );

    let refused = patch(&bob, &room, json!({"name": "Coffee"})).await;
    assert_eq!(refused.refusal(), (403, "forbidden"));
    for bad in [
        json!({}),
        json!({"name": " "}),
        json!({"slow_mode_s": 100_000}),
        json!({"slow_mode_s": -1}),
        json!({"kind": "channel"}),
    ] {
        let refused = patch(&alice, &room, bad.clone()).await;
        assert_eq!(refused.refusal(), (400, "bad-request"), "{bad}");
    }
}

#[tokio::test]
async fn only_few_post_in_read_only_rooms_channels_and_announcements() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    for kind in ["group", "channel", "announcement"] {
        let room = a_room_of(kind, &alice, &bob).await;
        if kind == "group" {
            patch(&alice, &room, json!({"read_only": true})).await.ok();
        }
        assert_eq!(
            post(&bob, &room, "b").await.refusal(),
            (403, "read-only"),
            "{kind}"
        );
        post(&alice, &room, "a").await.ok();
        let mut client = bob.connects().await;
        client.send(&Frame::send(&room, "hello")).await;
        assert_eq!(client.error().await.0.header("code"), "read-only", "{kind}");
    }
}

#[tokio::test]
async fn slow_mode_spaces_out_members_and_lets_retries_and_moderators_pass() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let room = a_room_of("group", &alice, &bob).await;
    let errors = Frame::subscribe("errors", "/user/queue/errors");
    let (mut client, _) = bob.watches(&room).await;
    client.request(errors).await;
    patch(&alice, &room, json!({"slow_mode_s": 3_600}))
        .await
        .ok();

    post(&bob, &room, "first").await.ok();
    post(&bob, &room, "first").await.ok();
    client
        .request(Frame::send(&room, "again").with("id", "first"))
        .await;
    let refused = post(&bob, &room, "second").await;
    assert_eq!(refused.refusal(), (429, "slow-mode"));
    let wait_ms = refused.body["retry_after_ms"].as_u64().expect("how long");
    assert!((1..=3_600_000).contains(&wait_ms), "{wait_ms}");
    client
        .send(&Frame::send(&room, "third").with("receipt", "r"))
        .await;
    let refusal = client.message("errors").await;
    assert_eq!(refusal.header("code"), "slow-mode");
    assert_eq!(refusal.header("receipt-id"), "r");
    for id in ["a", "b"] {
        post(&alice, &room, id).await.ok();
    }

    patch(&alice, &room, json!({"slow_mode_s": 0})).await.ok();
    for id in ["fourth", "fifth"] {
        post(&bob, &room, id).await.ok();
    }
}

#[tokio::test]
async fn a_transaction_is_spaced_out_as_a_whole() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let room = a_room_of("group", &alice, &bob).await;
    patch(&alice, &room, json!({"slow_mode_s": 3_600}))
        .await
        .ok();
    let (mut client, head) = bob.watches(&room).await;
    client
        .request(Frame::subscribe("errors", "/user/queue/errors"))
        .await;
    client
        .send(&Frame::new("BEGIN").with("transaction", "t"))
        .await;
    for text in ["one", "two"] {
        client
            .send(&Frame::send(&room, text).with("transaction", "t"))
            .await;
    }
    client
        .send(&Frame::new("COMMIT").with("transaction", "t"))
        .await;
    assert_eq!(client.message("errors").await.header("code"), "slow-mode");
    post(&alice, &room, "after").await.ok();
    assert_eq!(
        client.message(&room).await.number("seq"),
        head + 1,
        "nothing of it was produced"
    );
}

#[tokio::test]
async fn a_deleted_room_is_seen_to_go_and_then_not_found() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let room = a_room_of("group", &alice, &bob).await;
    let (mut watching, head) = bob.watches(&room).await;
    assert_eq!(delete(&bob, &room).await.refusal(), (403, "forbidden"));
    assert_eq!(delete(&alice, &room).await.ok()["seq"], head + 1);
    assert_eq!(watching.message(&room).await.json()["deleted"], true);
    for user in [&alice, &bob] {
        let gone = user.rest.get(&format!("rooms/{room}")).await;
        assert_eq!(gone.refusal(), (404, "not-found"));
        assert_eq!(post(user, &room, "x").await.refusal(), (404, "not-found"));
    }
    assert_eq!(delete(&alice, &room).await.refusal(), (404, "not-found"));
    let again = json!({"id": room, "name": "Again", "kind": "group", "public": true});
    assert_eq!(
        alice.rest.post("rooms", again).await.refusal(),
        (409, "conflict")
    );
    until("the list without the room", SOON, async || {
        let rooms = bob.rest.get("rooms").await.ok();
        (!rooms.to_string().contains(&room)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn of_two_who_make_one_room_exactly_one_owns_it() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    for round in 0..5 {
        let wish = json!({"id": format!("race-{}-{round}", alice.id), "name": "R", "kind": "group", "public": true});
        let (one, other) = tokio::join!(
            alice.rest.post("rooms", wish.clone()),
            bob.rest.post("rooms", wish.clone())
        );
        let mut statuses = [one.status.as_u16(), other.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409], "{one:?} {other:?}");
        let (winner, loser) = match one.status.is_success() {
            true => (&alice, other),
            false => (&bob, one),
        };
        assert_eq!(loser.refusal(), (409, "conflict"));
        let id = wish["id"].as_str().expect("text");
        let shown = winner.rest.get(&format!("rooms/{id}")).await.ok();
        assert_eq!(shown["room"]["role"], "owner");
        assert_eq!(shown["room"]["members"], 1);
    }
}

#[tokio::test]
async fn two_people_have_one_direct_room_whoever_asks() {
    let system = System::shared().await;
    let (alice, bob) = (
        somebody(system, "alice").await,
        somebody(system, "bob").await,
    );
    let ask = async |from: &User, to: &User| {
        until("the other one to be known", SOON, async || {
            let answer = from.rest.post(&format!("dm/{}", to.id), json!({})).await;
            answer.status.is_success().then_some(answer.body)
        })
        .await
    };
    let (one, other) = tokio::join!(ask(&alice, &bob), ask(&bob, &alice));
    assert_eq!(one["room"]["id"], other["room"]["id"]);
    assert_eq!(
        (&one["room"]["with"], &other["room"]["with"]),
        (&json!(bob.id), &json!(alice.id))
    );
    assert_eq!(one["room"]["kind"], "direct");
    let room = one["room"]["id"].as_str().expect("an id");
    assert_eq!(ask(&alice, &bob).await["room"]["id"], room);

    let mut list = alice.connects().await;
    list.request(Frame::subscribe("list", "/user/queue/rooms"))
        .await;
    // A snapshot, or the change by which the room comes onto the list.
    let listed = loop {
        let body = list.message("list").await.json();
        let rooms = body["rooms"].as_array().cloned();
        let mut rooms = rooms.unwrap_or_else(|| vec![body]).into_iter();
        if let Some(listed) = rooms.find(|listed| listed["room"] == room) {
            break listed;
        }
    };
    assert_eq!(listed["with"], bob.id, "{listed}");

    let (mut client, _) = bob.watches(room).await;
    post(&alice, room, "hi").await.ok();
    client.message(room).await;
    post(&bob, room, "hi").await.ok();
    let shown = alice.rest.get(&format!("rooms/{room}")).await.ok();
    assert_eq!(shown["room"]["members"], 2);

    let carol = system.user("carol");
    assert_eq!(
        carol.rest.get(&format!("rooms/{room}")).await.refusal(),
        (404, "not-found")
    );
    let join = carol
        .rest
        .post(&format!("rooms/{room}/join"), json!({}))
        .await;
    assert_eq!(join.refusal(), (404, "not-found"));
    for (user, path) in [(&alice, "leave"), (&bob, "leave")] {
        let refused = user
            .rest
            .post(&format!("rooms/{room}/{path}"), json!({}))
            .await;
        assert_eq!(refused.refusal(), (403, "forbidden"));
    }
    assert_eq!(delete(&alice, room).await.refusal(), (403, "forbidden"));
}

#[tokio::test]
async fn a_direct_room_needs_somebody_else() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let own = alice
        .rest
        .post(&format!("dm/{}", alice.id), json!({}))
        .await;
    assert_eq!(own.refusal(), (400, "bad-request"));
    let nobody = alice.rest.post("dm/nobody-at-all", json!({})).await;
    assert_eq!(nobody.refusal(), (404, "not-found"));
    let bad = alice.rest.post("dm/no%20body", json!({})).await;
    assert_eq!(bad.refusal(), (404, "not-found"));
    let squatted = json!({"id": "dm-0123", "name": "x", "kind": "group", "public": true});
    assert_eq!(
        alice.rest.post("rooms", squatted).await.refusal(),
        (400, "bad-request")
    );
    let direct = json!({"name": "x", "kind": "direct", "public": false});
    assert_eq!(
        alice.rest.post("rooms", direct).await.refusal(),
        (400, "bad-request")
    );
}

#[tokio::test]
async fn a_moderators_notice_counts_and_stays_pinned() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let room = a_room_of("group", &alice, &bob).await;
    let (mut watching, head) = bob.watches(&room).await;
    let path = format!("rooms/{room}/notices");
    let notice = json!({"text": "Mind the step", "pinned": true});
    let posted = alice.rest.post(&path, notice.clone()).await;
    assert_eq!(
        (posted.status.as_u16(), &posted.body["seq"]),
        (201, &json!(head + 1))
    );
    let event = watching.message(&room).await;
    assert_eq!((event.header("type"), event.number("count")), ("notice", 1));
    let event = event.json();
    assert_eq!(
        (&event["text"], &event["pinned"]),
        (&notice["text"], &json!(true))
    );
    let page = bob.reads(&room, "").await;
    assert_eq!(page["items"][0]["type"], "notice");

    assert_eq!(
        bob.rest.post(&path, notice).await.refusal(),
        (403, "forbidden")
    );
    for bad in [json!({"text": " "}), json!({}), json!({"text": 5})] {
        assert_eq!(
            alice.rest.post(&path, bad).await.refusal(),
            (400, "bad-request")
        );
    }
    let long = json!({"text": "x".repeat(17 << 10)});
    assert_eq!(
        alice.rest.post(&path, long).await.refusal(),
        (413, "too-large")
    );
}

#[tokio::test]
async fn who_joins_several_times_at_once_has_joined_once() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let room = alice.opens_room().await;
    let path = format!("rooms/{room}/join");
    let joins = (0..8).map(|_| bob.rest.post(&path, json!({})));
    let seqs: BTreeSet<u64> = join_all(joins)
        .await
        .into_iter()
        .filter_map(|answer| answer.ok()["seq"].as_u64())
        .collect();
    // Who asks once more is told when it was; one of those at once that took long is answered without its seq.
    let busy = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::ACCEPTED];
    let joined = bob.insists(&path, json!({}), &busy).await;
    let joined = joined["seq"].as_u64().expect("a seq");
    assert!(seqs.iter().all(|seq| *seq == joined), "{joined} {seqs:?}");
    let found = bob.rest.get(&format!("rooms/{room}")).await.ok();
    assert_eq!(found["room"]["members"], 2);
}

/// Each of them is somebody the gateway has to look up in the store.
#[tokio::test]
async fn a_crowd_at_the_door_is_let_in() {
    const CROWD: u64 = 300;
    let system = System::shared().await;
    let owner = system.user("owner");
    let room = owner.opens_room().await;
    let crowd: Vec<User> = (0..CROWD).map(|_| system.user("guest")).collect();
    join_all(crowd.iter().map(|guest| guest.joins(&room))).await;
    let view = owner.rest.get(&format!("rooms/{room}")).await.ok();
    assert_eq!(view["room"]["members"], CROWD + 1, "{view}");
}

#[tokio::test]
async fn a_pinned_notice_is_found_by_who_joins_later_and_unpinned() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let room = alice.opens_room().await;
    let said = post(&alice, &room, "said").await.ok()["seq"].clone();
    let notice = json!({"text": "Mind the step", "pinned": true});
    let path = format!("rooms/{room}/notices");
    let notice = alice.rest.post(&path, notice).await.ok()["seq"].clone();
    let pinned =
        async |user: &User| user.rest.get(&format!("rooms/{room}")).await.ok()["room"].clone();
    assert!(
        pinned(&bob).await["pinned"].is_null(),
        "what is pinned is for members"
    );
    bob.joins(&room).await;
    assert_eq!(pinned(&bob).await["pinned"], json!([notice]));
    let page = bob.reads(&room, &format!("around={notice}&limit=1")).await;
    assert_eq!(page["items"][0]["text"], "Mind the step");

    let wish = |seqs: Value| json!({"pinned": seqs});
    let by_member = patch(&bob, &room, wish(json!([]))).await;
    assert_eq!(by_member.refusal(), (403, "forbidden"));
    let joined = said.as_u64().expect("a seq") + 2;
    let too_many: Vec<u64> = (1..=33).collect();
    for bad in [
        json!([said, said]),
        json!([0]),
        json!([10_000]),
        json!([joined]),
        json!(too_many),
        json!([-1]),
        json!("all"),
    ] {
        let refused = patch(&alice, &room, wish(bad.clone())).await;
        assert_eq!(refused.refusal(), (400, "bad-request"), "{bad}");
    }
    let (mut watching, _) = bob.watches(&room).await;
    let both = json!([said, notice]);
    let changed = patch(&alice, &room, wish(both.clone())).await.ok();
    assert_eq!(changed["room"]["pinned"], both);
    let event = watching.message(&room).await.json();
    assert_eq!((&event["type"], &event["pinned"]), (&json!("room"), &both));
    patch(&alice, &room, wish(json!([]))).await.ok();
    assert_eq!(watching.message(&room).await.json()["pinned"], json!([]));
    assert_eq!(pinned(&bob).await["pinned"], json!([]));
}

#[tokio::test]
async fn the_public_rooms_are_paged_and_neither_private_nor_deleted_ones_are_among_them() {
    let system = System::shared().await;
    let alice = system.user("alice");
    // Ids that follow one another, so that a page begins where ours do.
    let id = |index: usize| format!("paged-{}-{index}", alice.id);
    let make = async |index: usize, public: bool| {
        let wish = json!({"id": id(index), "name": "Paged", "kind": "group", "public": public});
        alice.rest.post("rooms", wish).await.ok();
    };
    for index in 0..5 {
        make(index, index != 2).await;
    }
    delete(&alice, &id(3)).await.ok();
    let before = format!("paged-{}-", alice.id);
    let page = async |after: &str| {
        let path = format!("rooms?public=true&after={after}&limit=2");
        alice.rest.get(&path).await.ok()
    };
    let ids = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().expect("items").iter();
        items
            .map(|room| room["id"].as_str().expect("an id").to_owned())
            .collect()
    };
    let first = until("all of it to be stored", SOON, async || {
        let last = page(&id(1)).await;
        let found = ids(&last);
        let is_stored = found.first() == Some(&id(4));
        if !is_stored {
            return None;
        }
        Some(page(&before).await)
    })
    .await;
    assert_eq!(ids(&first), [id(0), id(1)]);
    let next = first["next"].as_str().expect("there is more");
    let second = page(next).await;
    assert_eq!(ids(&second)[0], id(4));
    for bad in ["limit=0", "limit=201", "after=no%20room", "limit=x"] {
        let path = format!("rooms?public=true&{bad}");
        let refused = alice.rest.get(&path).await;
        assert_eq!(refused.refusal(), (400, "bad-request"), "{bad}");
    }
}
