//! The inbox: what concerns one user wherever it happened, live, paged and counted.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Frame, StompClient, System,
    device::Device,
    rest::{Answer, Rest},
    system::{Shape, Stack},
    user::{self, User},
    wait::{SOON, until},
};

/// A device that follows its user's inbox.
async fn follows(user: &User) -> StompClient {
    let mut client = user.connects().await;
    let inbox = Frame::subscribe("inbox", "/user/queue/inbox");
    client.request(inbox).await;
    client
}

async fn letter(client: &mut StompClient) -> Value {
    client.message("inbox").await.json()
}

/// What a letter is about, and where it points.
fn about(letter: &Value) -> (&str, &Value) {
    (letter["type"].as_str().expect("a type"), &letter["source"])
}

async fn says(user: &User, room: &str, text: &str, mentions: &[&User]) -> u64 {
    let mentions: Vec<&str> = mentions.iter().map(|user| user.id.as_str()).collect();
    let body = json!({"text": text, "mentions": mentions});
    let posted = user
        .rest
        .post(&format!("rooms/{room}/messages"), body)
        .await
        .ok();
    posted["seq"].as_u64().expect("a seq")
}

async fn invites(user: &User, room: &str, other: &User) -> Value {
    // Whom nobody has seen yet can't be invited.
    other.rest.get("me").await.ok();
    let path = format!("rooms/{room}/members/{}", other.id);
    until("the invited to be there", SOON, async || {
        let answer = user
            .rest
            .ask(Method::PUT, &path, Some(json!({})), &[])
            .await;
        answer.status.is_success().then_some(answer.body)
    })
    .await
}

async fn inbox(user: &User, query: &str) -> Value {
    user.rest.get(&format!("inbox{query}")).await.ok()
}

#[tokio::test]
async fn a_mention_comes_into_the_inbox_of_each_named_member_once() {
    let system = System::shared().await;
    let (ada, bob, outsider) = (system.user("ada"), system.user("bob"), system.user("out"));
    let room = ada.opens_private_room().await;
    invites(&ada, &room, &bob).await;
    bob.joins(&room).await;
    let (mut of_bob, mut of_outsider) = (follows(&bob).await, follows(&outsider).await);
    // The invitation may come before or after the subscription, and counts either way.
    let seq = says(&ada, &room, "see this", &[&bob, &ada, &outsider]).await;
    let found = loop {
        let letter = letter(&mut of_bob).await;
        if letter["type"] == "mention" {
            break letter;
        }
    };
    assert_eq!(
        about(&found),
        ("mention", &json!({"room": room, "seq": seq}))
    );
    assert_eq!(found["sender"]["id"], json!(ada.id));
    assert!(
        found["text"].is_null(),
        "what was said stays in its room: {found}"
    );
    // A letter that came later shows that none was lost on the way: an outsider learns nothing of the room.
    asks(&ada, &outsider).await.ok();
    assert_eq!(letter(&mut of_outsider).await["type"], "friend-request");
    let own = inbox(&ada, "").await;
    assert_eq!(own["items"], json!([]), "nobody names themselves");
}

async fn asks(user: &User, other: &User) -> Answer {
    other.rest.get("me").await.ok();
    let path = format!("friends/{}", other.id);
    until("the asked to be there", SOON, async || {
        let answer = user.rest.ask(Method::PUT, &path, None, &[]).await;
        (answer.status != 404).then_some(answer)
    })
    .await
}

#[tokio::test]
async fn invitations_and_notices_come_into_the_inbox() {
    let system = System::shared().await;
    let (ada, bob) = (system.user("ada"), system.user("bob"));
    let room = ada.opens_private_room().await;
    let mut client = follows(&bob).await;
    let invited = invites(&ada, &room, &bob).await;
    let found = letter(&mut client).await;
    let source = json!({"room": room, "seq": invited["seq"]});
    assert_eq!(about(&found), ("invitation", &source));
    bob.joins(&room).await;
    // Who is a member is stored a moment after they joined.
    until("bob to be stored", SOON, async || {
        let listed = bob.rest.get("rooms").await.ok();
        listed["items"]
            .as_array()
            .is_some_and(|rooms| !rooms.is_empty())
            .then_some(())
    })
    .await;
    let notice = json!({"text": "read me", "pinned": true});
    let posted = ada
        .rest
        .post(&format!("rooms/{room}/notices"), notice)
        .await
        .ok();
    let found = letter(&mut client).await;
    assert_eq!(
        about(&found),
        ("notice", &json!({"room": room, "seq": posted["seq"]}))
    );
}

#[tokio::test]
async fn friend_requests_and_answers_come_into_the_inbox() {
    let system = System::shared().await;
    let (ada, bob) = (system.user("ada"), system.user("bob"));
    let (mut of_ada, mut of_bob) = (follows(&ada).await, follows(&bob).await);
    asks(&ada, &bob).await.ok();
    let found = letter(&mut of_bob).await;
    assert_eq!(
        (&found["type"], &found["accepted"]),
        (&json!("friend-request"), &json!(false))
    );
    assert_eq!(found["sender"]["id"], json!(ada.id));
    // Asking again is the same request.
    asks(&ada, &bob).await.ok();
    asks(&bob, &ada).await.ok();
    let found = letter(&mut of_ada).await;
    assert_eq!(
        (&found["sender"]["id"], &found["accepted"]),
        (&json!(bob.id), &json!(true))
    );
    assert_eq!(inbox(&bob, "").await["head"], 1);
}

#[tokio::test]
async fn the_inbox_is_paged_counted_and_marked_read() {
    let system = System::shared().await;
    let (ada, bob) = (system.user("ada"), system.user("bob"));
    let room = ada.opens_room().await;
    bob.joins(&room).await;
    assert_eq!(
        inbox(&bob, "").await,
        json!({"items": [], "head": 0, "read_seq": 0, "unread": 0, "has_before": false})
    );
    for index in 0..5 {
        says(&ada, &room, &format!("{index}"), &[&bob]).await;
    }
    let whole = until("five letters", SOON, async || {
        let page = inbox(&bob, "").await;
        (page["head"] == 5).then_some(page)
    })
    .await;
    assert_eq!(
        (&whole["unread"], &whole["has_before"]),
        (&json!(5), &json!(false))
    );
    let seqs = |page: &Value| -> Vec<u64> {
        let items = page["items"].as_array().expect("items").iter();
        items
            .map(|item| item["seq"].as_u64().expect("a seq"))
            .collect()
    };
    assert_eq!(seqs(&whole), [1, 2, 3, 4, 5]);
    let newest = inbox(&bob, "?limit=2").await;
    assert_eq!(
        (seqs(&newest), &newest["has_before"]),
        (vec![4, 5], &json!(true))
    );
    let older = inbox(&bob, "?before=4&limit=200").await;
    assert_eq!(
        (seqs(&older), &older["has_before"]),
        (vec![1, 2, 3], &json!(false))
    );
    let read = bob.rest.post("inbox/read", json!({"seq": 3})).await.ok();
    assert_eq!(read, json!({"seq": 3, "unread": 2}));
    // Marks only move forward, and not beyond the end.
    let read = bob.rest.post("inbox/read", json!({"seq": 1})).await.ok();
    assert_eq!(read, json!({"seq": 3, "unread": 2}));
    let read = bob.rest.post("inbox/read", json!({"seq": 99})).await.ok();
    assert_eq!(read, json!({"seq": 5, "unread": 0}));
    for bad in ["?limit=0", "?limit=201", "?before=x"] {
        let answer = bob.rest.get(&format!("inbox{bad}")).await;
        assert_eq!(answer.refusal(), (400, "bad-request"), "{bad}");
    }
    let answer = bob.rest.post("inbox/read", json!({"seq": "x"})).await;
    assert_eq!(answer.refusal(), (400, "bad-request"));
    let nobody = Rest::new(&system.http(0), None);
    assert_eq!(
        nobody.get("inbox").await.refusal(),
        (401, "unauthenticated")
    );
}

#[tokio::test]
async fn reading_the_inbox_on_one_device_shows_on_all_of_them_live() {
    let system = System::shared().await;
    let (ada, bob) = (system.user("ada"), system.user("bob"));
    let room = ada.opens_room().await;
    bob.joins(&room).await;
    let (mut phone, mut laptop) = (Device::of(&bob).await, Device::of(&bob).await);
    assert_eq!(laptop.inbox, (0, 0, 0));
    for index in 0..3 {
        says(&ada, &room, &format!("{index}"), &[&bob]).await;
    }
    for device in [&mut phone, &mut laptop] {
        device.shows_inbox((3, 0, 3)).await;
    }
    bob.rest.post("inbox/read", json!({"seq": 2})).await.ok();
    for device in [&mut phone, &mut laptop] {
        device.shows_inbox((3, 2, 1)).await;
    }
    // Acknowledging on one device is reading, too.
    let all = Frame::subscribe("inbox", "/user/queue/inbox")
        .with("since", 0)
        .with("ack", "client");
    phone.client.request(all).await;
    let last = phone.client.messages("inbox", 3).await.pop();
    let ack = last.expect("three").header("ack").to_owned();
    phone
        .client
        .request(Frame::new("ACK").with("id", ack))
        .await;
    for device in [&mut phone, &mut laptop] {
        device.shows_inbox((3, 3, 0)).await;
    }
    // Who comes back finds it so.
    let tablet = Device::of(&bob).await;
    assert_eq!(tablet.inbox, (3, 3, 0));
}

#[tokio::test]
async fn an_inbox_is_resumed_and_acknowledged_like_a_room() {
    let system = System::shared().await;
    let (ada, bob) = (system.user("ada"), system.user("bob"));
    let room = ada.opens_room().await;
    bob.joins(&room).await;
    let mut client = follows(&bob).await;
    for index in 0..3 {
        says(&ada, &room, &format!("{index}"), &[&bob]).await;
    }
    for seq in 1..=3 {
        let frame = client.message("inbox").await;
        assert_eq!((frame.number("seq"), frame.number("count")), (seq, seq));
        assert_eq!(frame.header("destination"), "/user/queue/inbox");
        assert_eq!(frame.header("message-id"), format!("inbox-{seq}"));
    }
    let mut again = bob.connects().await;
    let since = Frame::subscribe("inbox", "/user/queue/inbox")
        .with("since", 1)
        .with("ack", "client");
    let receipt = again.request(since).await;
    assert_eq!(receipt.number("head"), 3);
    assert_eq!(again.message("inbox").await.number("seq"), 2);
    let last = again.message("inbox").await;
    assert_eq!(last.header("replay"), "true");
    let ack = Frame::new("ACK").with("id", last.header("ack"));
    again.request(ack).await;
    assert_eq!(inbox(&bob, "").await["unread"], 0);
}

#[tokio::test]
async fn nobody_writes_to_an_inbox_or_reads_another_ones() {
    let system = System::shared().await;
    let (ada, bob) = (system.user("ada"), system.user("bob"));
    let mut client = ada.connects().await;
    client
        .request(Frame::subscribe("errors", "/user/queue/errors"))
        .await;
    let key = format!("@{}", bob.id);
    client
        .send(&Frame::send(&key, "psst").with("receipt", "r1"))
        .await;
    assert_eq!(
        client.message("errors").await.header("code"),
        "bad-destination"
    );
    let reading = Frame::subscribe("spy", &format!("/topic/rooms/{key}"));
    client.send(&reading.with("receipt", "r2")).await;
    assert_eq!(
        client.message("errors").await.header("code"),
        "bad-destination"
    );
    for path in [format!("rooms/{key}/messages"), format!("rooms/{key}")] {
        assert_eq!(
            ada.rest.get(&path).await.refusal(),
            (404, "not-found"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_notice_to_everyone_is_an_admins() {
    // A system of its own, as everyone is everyone.
    let system = System::start(Shape::single(Stack::chosen())).await;
    let system = &system;
    let bob = system.user("bob");
    let mut client = follows(&bob).await;
    let text = format!("to all {}", uuid::Uuid::new_v4());
    let notice = json!({"text": text});
    let answer = bob.rest.post("notices", notice.clone()).await;
    assert_eq!(answer.refusal(), (403, "forbidden"));
    until("bob to be there", SOON, async || {
        let answer = bob.rest.get(&format!("users/{}", bob.id)).await;
        answer.status.is_success().then_some(())
    })
    .await;
    let claims = json!({"sub": "warden", "exp": user::now_s() + 600, "iss": "roomlog", "aud": "roomlog", "role": "admin"});
    let token = user::signed(&claims, user::SECRET);
    let admin = Rest::new(&system.http(0), Some(&token));
    assert_eq!(
        admin.post("notices", json!({"text": " "})).await.refusal(),
        (400, "bad-request")
    );
    let headers = [("idempotency-key", text.as_str())];
    let told = admin
        .ask(Method::POST, "notices", Some(notice.clone()), &headers)
        .await;
    assert_eq!(told.refusal(), (400, "bad-request"), "a key has no spaces");
    for _ in 0..2 {
        let headers = [("idempotency-key", &text[7..])];
        let told = admin
            .ask(Method::POST, "notices", Some(notice.clone()), &headers)
            .await;
        assert_eq!(told.status, 202);
    }
    let found = letter(&mut client).await;
    assert_eq!(
        (&found["type"], &found["text"]),
        (&json!("notice"), &json!(text))
    );
    assert_eq!(found["sender"]["id"], "warden");
    let other = system.user("asker");
    asks(&other, &bob).await.ok();
    assert_eq!(
        letter(&mut client).await["type"],
        "friend-request",
        "the notice came once"
    );
}
