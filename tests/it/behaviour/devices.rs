//! Devices for push messages, and of which rooms a member wants any.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    System,
    rest::{Answer, Rest},
    user::User,
};

async fn put(user: &User, token: &str) -> Answer {
    let path = format!("devices/{token}");
    user.rest.ask(Method::PUT, &path, None, &[]).await
}

async fn delete(rest: &Rest, token: &str) -> Answer {
    let path = format!("devices/{token}");
    rest.ask(Method::DELETE, &path, None, &[]).await
}

async fn set(user: &User, room: &str, wish: Value) -> Answer {
    let path = format!("rooms/{room}/notifications");
    user.rest.ask(Method::PUT, &path, Some(wish), &[]).await
}

#[tokio::test]
async fn a_device_is_its_users_alone() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    for _ in 0..2 {
        assert_eq!(put(&alice, "fX3:APA91b-_.x").await.status, 204);
    }
    let foreign = delete(&bob.rest, "fX3:APA91b-_.x").await;
    assert_eq!(foreign.refusal(), (404, "not-found"));
    let own = delete(&alice.rest, "fX3:APA91b-_.x").await;
    assert_eq!(own.status, 204, "nobody else took it away");
    let again = delete(&alice.rest, "fX3:APA91b-_.x").await;
    assert_eq!(again.refusal(), (404, "not-found"));

    let long = "x".repeat(513);
    for bad in ["a%20b", "%C3%A4", "a%2Fb", long.as_str()] {
        assert_eq!(put(&alice, bad).await.refusal(), (400, "bad-request"));
        let refused = delete(&alice.rest, bad).await;
        assert_eq!(refused.refusal(), (400, "bad-request"));
    }
    let stranger = Rest::new(&system.http(0), None);
    assert_eq!(
        delete(&stranger, "x").await.refusal(),
        (401, "unauthenticated")
    );
}

#[tokio::test]
async fn beyond_the_bound_the_device_named_longest_ago_goes() {
    let system = System::shared().await;
    let alice = system.user("alice");
    for index in 0..33 {
        assert_eq!(put(&alice, &format!("token-{index}")).await.status, 204);
    }
    let mut kept = 0;
    for index in 0..33 {
        let gone = delete(&alice.rest, &format!("token-{index}")).await;
        kept += usize::from(gone.status == 204);
    }
    assert_eq!(kept, 32);
}

#[tokio::test]
async fn who_signs_out_gets_no_more_push_messages() {
    let system = System::shared().await;
    let enter = async || {
        let guest = Rest::new(&system.http(0), None);
        let entered = guest.post("auth/guest", json!({"name": "Gus"})).await.ok();
        let token = entered["access_token"].as_str().expect("a token");
        (
            Rest::new(&system.http(0), Some(token)),
            entered["refresh_token"].clone(),
        )
    };
    let (guest, refresh) = enter().await;
    let kept = guest.ask(Method::PUT, "devices/phone", None, &[]).await;
    assert_eq!(kept.status, 204);
    let renewed = Rest::new(&system.http(0), None)
        .post("auth/refresh", json!({ "refresh_token": refresh }))
        .await
        .ok();
    let out = json!({"refresh_token": renewed["refresh_token"]});
    let out = Rest::new(&system.http(0), None)
        .post("auth/logout", out)
        .await;
    assert_eq!(out.status, 204);
    // A token this test signs says who it is without that sign-in.
    let id = renewed["user"]["id"].as_str().expect("an id");
    let later = crate::harness::user::token(id, 60);
    let later = Rest::new(&system.http(0), Some(&later));
    assert_eq!(delete(&later, "phone").await.refusal(), (404, "not-found"));
}

#[tokio::test]
async fn a_member_says_of_which_messages_they_want_to_hear() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let (room, private) = (alice.opens_room().await, alice.opens_private_room().await);
    let path = format!("rooms/{room}/notifications");
    assert_eq!(alice.rest.get(&path).await.ok()["level"], "all");
    for level in ["mentions", "none", "all", "mentions"] {
        let wish = json!({ "level": level });
        assert_eq!(set(&alice, &room, wish.clone()).await.ok(), wish);
        assert_eq!(alice.rest.get(&path).await.ok(), wish);
    }
    let wish = json!({"level": "none"});
    let refused = set(&bob, &room, wish.clone()).await;
    assert_eq!(refused.refusal(), (403, "not-a-member"));
    let refused = set(&bob, &private, wish.clone()).await;
    assert_eq!(refused.refusal(), (404, "not-found"));
    bob.joins(&room).await;
    set(&bob, &room, wish).await.ok();
    assert_eq!(
        alice.rest.get(&path).await.ok()["level"],
        "mentions",
        "everyone for themselves"
    );
    for bad in [
        json!({}),
        json!({"level": "some"}),
        json!({"level": 1}),
        json!({"level": "all", "sound": true}),
    ] {
        let refused = set(&alice, &room, bad.clone()).await;
        assert_eq!(refused.refusal(), (400, "bad-request"), "{bad}");
    }
    let members = alice.rest.get(&format!("rooms/{room}/members")).await.ok();
    assert_eq!(members["items"].as_array().map(Vec::len), Some(2));
}
