//! Who has the global role and is in no room: what they do stands by the log itself, for everyone alike.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Frame, System,
    user::User,
    wait::{SOON, until},
};

async fn put(user: &User, room: &str, subject: &User, standing: Value) -> Value {
    let path = format!("rooms/{room}/members/{}", subject.id);
    // Whom nobody has seen yet can't be invited.
    until("a user to be known", SOON, async || {
        let asked = user
            .rest
            .ask(Method::PUT, &path, Some(standing.clone()), &[]);
        let answer = asked.await;
        (answer.status != 404).then(|| answer.ok())
    })
    .await
}

async fn patch(user: &User, room: &str, settings: Value) -> Value {
    let path = format!("rooms/{room}");
    let asked = user.rest.ask(Method::PATCH, &path, Some(settings), &[]);
    asked.await.ok()
}

async fn says(user: &User, room: &str) -> u64 {
    let path = format!("rooms/{room}/messages");
    let posted = user.rest.post(&path, json!({"text": "hello"})).await.ok();
    posted["seq"].as_u64().expect("a seq")
}

/// What an event says beside who sent it, when and where.
fn told(event: &Value) -> Value {
    let fields = [
        "type", "change", "user", "pinned", "target", "text", "name", "void", "by_admin",
    ];
    let told = fields.iter().filter(|field| !event[**field].is_null());
    told.map(|field| ((*field).to_owned(), event[*field].clone()))
        .collect()
}

#[tokio::test]
async fn an_admin_who_is_no_member_keeps_order_and_everyone_sees_it() {
    let system = System::shared().await;
    let (alice, bob, carol) = (
        system.user("alice"),
        system.user("bob"),
        system.user("carol"),
    );
    let admin = system.user("warden").into_admin();
    let room = alice.opens_private_room().await;
    for user in [&bob, &carol] {
        user.rest.get("me").await.ok();
        put(&alice, &room, user, json!({})).await;
        user.joins(&room).await;
    }
    let kept = says(&bob, &room).await;
    let (by_rest, by_stomp) = (says(&bob, &room).await, says(&bob, &room).await);
    let (mut watching, head) = carol.watches(&room).await;
    // The admin has asked nobody in, and reads like a member.
    let (mut client, same) = admin.watches(&room).await;
    assert_eq!(same, head);

    put(&admin, &room, &bob, json!({"banned": true})).await;
    let path = format!("rooms/{room}/messages/{by_rest}");
    admin.rest.ask(Method::DELETE, &path, None, &[]).await.ok();
    let deletion = Frame::new("SEND")
        .with("destination", format!("/app/rooms/{room}/delete"))
        .with("content-type", "application/json")
        .body(json!({ "target": by_stomp }).to_string());
    client.request(deletion).await;
    let notice = json!({"text": "Order", "pinned": true});
    let path = format!("rooms/{room}/notices");
    let notice = admin.rest.post(&path, notice).await.ok()["seq"].clone();
    let both = json!([kept, notice]);
    let shown = patch(&admin, &room, json!({ "pinned": both })).await;
    assert_eq!(
        shown["room"]["pinned"], both,
        "who may read sees what is pinned"
    );
    client.request(Frame::send(&room, "All is well")).await;

    let expected = [
        json!({"type": "member", "change": "banned", "user": bob.id, "by_admin": true}),
        json!({"type": "delete", "target": by_rest}),
        json!({"type": "delete", "target": by_stomp}),
        json!({"type": "notice", "text": "Order", "pinned": true}),
        json!({"type": "room", "pinned": both, "by_admin": true}),
        json!({"type": "message", "text": "All is well"}),
    ];
    for client in [&mut watching, &mut client] {
        for expected in &expected {
            let event = client.message(&room).await.json();
            assert_eq!(&told(&event), expected);
            assert_eq!(event["sender"]["id"], json!(admin.id));
        }
    }
    // It took effect: for the banned, for who asks later, and in what is stored.
    let refused = bob.rest.get(&format!("rooms/{room}/messages")).await;
    assert_eq!(refused.refusal(), (403, "banned"));
    let found = carol.rest.get(&format!("rooms/{room}")).await.ok();
    assert_eq!(
        (&found["room"]["pinned"], &found["room"]["members"]),
        (&both, &json!(2))
    );
    let page = carol
        .reads(&room, &format!("include=all&after={head}"))
        .await;
    let items = page["items"].as_array().expect("items");
    let stored: Vec<Value> = items.iter().map(told).collect();
    assert_eq!((&stored[0], &stored[4]), (&expected[0], &expected[4]));
}

#[tokio::test]
async fn an_admin_hands_over_a_room_that_its_last_owner_keeps_otherwise() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let admin = system.user("warden").into_admin();
    let room = alice.opens_room().await;
    bob.joins(&room).await;
    let path = format!("rooms/{room}/members/{}", alice.id);
    let ban = Some(json!({"banned": true}));
    let refused = admin.rest.ask(Method::PUT, &path, ban.clone(), &[]).await;
    assert_eq!(refused.refusal(), (409, "conflict"));
    put(&admin, &room, &bob, json!({"role": "owner"})).await;
    admin.rest.ask(Method::PUT, &path, ban, &[]).await.ok();
    let found = bob.rest.get(&format!("rooms/{room}")).await.ok();
    assert_eq!(
        (&found["room"]["role"], &found["room"]["members"]),
        (&json!("owner"), &json!(1))
    );
    let delete = format!("rooms/{room}");
    admin
        .rest
        .ask(Method::DELETE, &delete, None, &[])
        .await
        .ok();
    until("the room to be gone", SOON, async || {
        let found = bob.rest.get(&delete).await;
        (found.status == 404).then_some(())
    })
    .await;
}

#[tokio::test]
async fn nobody_says_of_themselves_that_they_are_an_admin() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let room = alice.opens_room().await;
    bob.joins(&room).await;
    let path = format!("rooms/{room}/members/{}", alice.id);
    let wish = Some(json!({"muted": true, "by_admin": true}));
    let refused = bob.rest.ask(Method::PUT, &path, wish, &[]).await;
    assert_eq!(refused.refusal(), (400, "bad-request"));
    let wish = Some(json!({"muted": true}));
    let headers = [("by_admin", "true")];
    let refused = bob.rest.ask(Method::PUT, &path, wish, &headers).await;
    assert_eq!(refused.refusal(), (403, "forbidden"));
    let (mut watching, _) = alice.watches(&room).await;
    let posted = Frame::new("SEND")
        .with("destination", format!("/app/rooms/{room}"))
        .with("content-type", "application/json")
        .body(json!({"text": "trust me", "by_admin": true}).to_string());
    let mut client = bob.connects().await;
    client.send(&posted).await;
    client.request(Frame::send(&room, "last")).await;
    loop {
        let event = watching.message(&room).await.json();
        assert!(event["by_admin"].is_null(), "{event}");
        if event["text"] == "last" {
            break;
        }
    }
}
