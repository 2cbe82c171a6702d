//! People at two gateways: what one of them is told holds at the other.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::{
    behaviour::identity_provider,
    harness::{
        Frame, Shape, Stack, StompClient, System, User,
        device::Device,
        rest::Rest,
        wait::{SOON, until},
    },
};

const PASSWORD: &str = "correct horse battery staple";

/// How many tests share a system. The last that comes takes it along: servers that stay would be in the way of all
/// tests after these.
const SHARING: usize = 6;

/// A system with two gateways, which these tests share.
async fn two() -> Arc<System> {
    static TWO: Mutex<(usize, Option<Arc<System>>)> = Mutex::const_new((0, None));
    let mut two = TWO.lock().await;
    let system = match two.1.take() {
        Some(system) => system,
        None => {
            let shape = Shape {
                gateways: 2,
                ..Shape::single(Stack::Real { brokers: 1 })
            };
            Arc::new(System::start(shape).await)
        }
    };
    two.0 += 1;
    if two.0 < SHARING {
        two.1 = Some(Arc::clone(&system));
    }
    system
}

fn token(entrance: &Value, which: &str) -> String {
    entrance[which].as_str().expect("a token").to_owned()
}

/// Somebody's device at one gateway.
fn bearer(http: &str, entrance: &Value) -> Rest {
    Rest::new(http, Some(&token(entrance, "access_token")))
}

async fn connects(http: &str, entrance: &Value) -> StompClient {
    StompClient::try_connect(http, &token(entrance, "access_token"))
        .await
        .expect("CONNECTED")
}

/// Shows a ticket; the user it was good for, or the code of the ERROR.
async fn shows(http: &str, ticket: &str) -> Result<String, String> {
    let answer = StompClient::by_ticket(http, ticket).await;
    let connected = answer.map_err(|error| error.header("code").to_owned())?;
    Ok(connected.header("user-name").to_owned())
}

async fn ticket(user: &User) -> String {
    let issued = user.rest.post("ws-tickets", json!({})).await.ok();
    token(&issued, "ticket")
}

/// Waits until a gateway lets somebody read a room they are in.
async fn is_in(user: &User, room: &str) {
    let path = format!("rooms/{room}/messages");
    until("a member to be known", SOON, async || {
        let answer = user.rest.get(&path).await;
        answer.status.is_success().then_some(())
    })
    .await;
}

async fn says(user: &User, room: &str, text: &str) {
    let path = format!("rooms/{room}/messages");
    user.rest.post(&path, json!({ "text": text })).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_out_everywhere_ends_every_sign_in_at_the_other_gateway_too() {
    let system = two().await;
    let (here, there) = (system.http(0), system.http(1));
    let login = format!("ada.{}", uuid::Uuid::new_v4().simple());
    let wish = json!({"login": login, "password": PASSWORD, "name": "Ada"});
    let phone = Rest::new(&here, None)
        .post("auth/signup", wish.clone())
        .await
        .ok();
    let wish = json!({"login": login, "password": PASSWORD});
    let nobody = Rest::new(&there, None);
    let desk = nobody.post("auth/login", wish.clone()).await.ok();
    let (mut on_phone, mut on_desk) =
        (connects(&here, &phone).await, connects(&there, &desk).await);
    let out = bearer(&here, &phone)
        .post("auth/logout", json!({"everywhere": true}))
        .await;
    assert_eq!(out.status, 204);
    for client in [&mut on_phone, &mut on_desk] {
        assert_eq!(client.error().await.0.header("code"), "unauthenticated");
    }
    // Whose connections were ended there, their tokens are refused there.
    let answer = bearer(&there, &desk).get("me").await;
    assert_eq!(answer.refusal(), (401, "unauthenticated"));
    let renewal = json!({ "refresh_token": token(&desk, "refresh_token") });
    let answer = nobody.post("auth/refresh", renewal).await;
    assert_eq!(answer.refusal(), (401, "unauthenticated"));
    let fresh = nobody.post("auth/login", wish).await.ok();
    bearer(&here, &fresh).get("me").await.ok();
    connects(&there, &fresh).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_of_one_gateway_is_good_once_over_both() {
    let system = two().await;
    is_good_once_over_both(&system, &system.user("ada")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_is_one_where_only_an_identity_provider_signs() {
    let shape = Shape {
        gateways: 2,
        ..Shape::single(Stack::Real { brokers: 1 })
    };
    let system = identity_provider::trusting_in(shape).await;
    let zoe = identity_provider::vouched(&system, "zoe", None);
    is_good_once_over_both(&system, &zoe).await;
}

/// Each ticket of a user's at the first gateway.
async fn is_good_once_over_both(system: &System, user: &User) {
    let (here, there) = (system.http(0), system.http(1));
    let first = ticket(user).await;
    assert_eq!(shows(&there, &first).await, Ok(user.id.clone()));
    let used = Err("unauthenticated".to_owned());
    assert_eq!(shows(&here, &first).await, used);
    assert_eq!(shows(&there, &first).await, used);
    // Of two who come at once, one gets in.
    for _ in 0..5 {
        let second = ticket(user).await;
        let (one, other) = tokio::join!(shows(&here, &second), shows(&there, &second));
        assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_name_shows_at_the_other_gateway() {
    let system = two().await;
    let there = system.http(1);
    let ada = system.user("ada");
    let (ada_there, bob) = (ada.at(&there), system.user("bob").at(&there));
    let room = bob.opens_room().await;
    ada_there.joins(&room).await;
    // The other gateway knows her by her old name.
    says(&ada_there, &room, "before").await;
    until("her list here to have the room", SOON, async || {
        let listed = ada.rest.get("rooms").await.ok();
        listed.to_string().contains(&room).then_some(())
    })
    .await;
    let (mut client, _) = bob.watches(&room).await;
    let wish = json!({"name": "Ada Lovelace"});
    ada.rest
        .ask(Method::PATCH, "me", Some(wish), &[])
        .await
        .ok();
    let event = client.message(&room).await.json();
    assert_eq!(
        (&event["change"], &event["sender"]["name"]),
        (&json!("profile"), &json!("Ada Lovelace"))
    );
    until("what she says there to carry it", SOON, async || {
        says(&ada_there, &room, "again").await;
        let event = client.message(&room).await.json();
        assert_eq!(event["text"], "again");
        (event["sender"]["name"] == "Ada Lovelace").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_mode_holds_over_both_gateways() {
    let system = two().await;
    let there = system.http(1);
    let (ada, bob) = (system.user("ada"), system.user("bob"));
    let bob_there = bob.at(&there);
    let room = ada.opens_room().await;
    bob.joins(&room).await;
    let path = format!("rooms/{room}");
    let slow = Some(json!({"slow_mode_s": 3_600}));
    ada.rest.ask(Method::PATCH, &path, slow, &[]).await.ok();
    is_in(&bob_there, &room).await;
    let (mut client, _) = bob_there.watches(&room).await;
    says(&bob, &room, "first").await;
    // The other gateway has seen it.
    let mut event = Value::Null;
    while event["text"] != "first" {
        event = client.message(&room).await.json();
    }
    let messages = format!("{path}/messages");
    let refused = bob_there
        .rest
        .post(&messages, json!({"text": "second"}))
        .await;
    assert_eq!(refused.refusal(), (429, "slow-mode"));
    client.send(&Frame::send(&room, "third")).await;
    assert_eq!(client.error().await.0.header("code"), "slow-mode");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_of_the_inbox_at_one_gateway_shows_at_the_other() {
    let system = two().await;
    let there = system.http(1);
    let (ada, bob) = (system.user("ada"), system.user("bob"));
    let room = ada.opens_room().await;
    bob.joins(&room).await;
    let mut device = Device::of(&bob.at(&there)).await;
    let path = format!("rooms/{room}/messages");
    for _ in 0..2 {
        let naming = json!({"text": "look", "mentions": [bob.id]});
        ada.rest.post(&path, naming).await.ok();
    }
    device.shows_inbox((2, 0, 2)).await;
    until("the letters to be here as well", SOON, async || {
        let inbox = bob.rest.get("inbox").await.ok();
        (inbox["head"] == 2).then_some(())
    })
    .await;
    bob.rest.post("inbox/read", json!({"seq": 1})).await.ok();
    device.shows_inbox((2, 1, 1)).await;
    bob.rest.post("inbox/read", json!({"seq": 2})).await.ok();
    device.shows_inbox((2, 2, 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_admin_does_by_one_gateway_stands_at_the_other() {
    let system = two().await;
    let there = system.http(1);
    let (ada, bob) = (system.user("ada"), system.user("bob"));
    let admin = system.user("warden").into_admin();
    let room = ada.opens_room().await;
    bob.joins(&room).await;
    is_in(&ada.at(&there), &room).await;
    let (mut client, _) = ada.at(&there).watches(&room).await;
    let path = format!("rooms/{room}/members/{}", bob.id);
    let ban = Some(json!({"banned": true}));
    admin.rest.ask(Method::PUT, &path, ban, &[]).await.ok();
    let event = loop {
        let event = client.message(&room).await.json();
        if event["change"] == "banned" {
            break event;
        }
    };
    assert_eq!(
        (&event["by_admin"], &event["void"]),
        (&json!(true), &Value::Null)
    );
    let refused = bob
        .at(&there)
        .rest
        .get(&format!("rooms/{room}/messages"))
        .await;
    assert_eq!(refused.refusal(), (403, "banned"));
}
