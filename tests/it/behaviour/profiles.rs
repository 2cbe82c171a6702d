//! Profiles, the search for users, and friends.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Frame, System,
    rest::{Answer, Rest},
    user::User,
    wait::{SOON, until},
};

const PICTURE: &str = "https://pictures.example/ada.png";

async fn alters(user: &User, wish: Value) -> Answer {
    user.rest.ask(Method::PATCH, "me", Some(wish), &[]).await
}

#[tokio::test]
async fn a_guest_keeps_nickname_and_avatar_on_return() {
    let system = System::shared().await;
    let nobody = Rest::new(&system.http(0), None);
    let guest = nobody
        .post("auth/guest", json!({"name": "Wanderer"}))
        .await
        .ok();
    let token =
        |entrance: &Value, which: &str| entrance[which].as_str().expect("a token").to_owned();
    let first = Rest::new(&system.http(0), Some(&token(&guest, "access_token")));
    let wish = json!({"name": "Settler", "avatar": PICTURE});
    first.ask(Method::PATCH, "me", Some(wish), &[]).await.ok();
    let refresh = json!({"refresh_token": token(&guest, "refresh_token")});
    let back = nobody.post("auth/refresh", refresh).await.ok();
    let id = &guest["user"]["id"];
    assert_eq!(
        back["user"],
        json!({"id": id, "name": "Settler", "avatar": PICTURE})
    );
    let again = Rest::new(&system.http(0), Some(&token(&back, "access_token")));
    let me = again.get("me").await.ok();
    assert_eq!(me["user"]["name"], "Settler");
    assert_eq!(
        (&me["user"]["avatar"], &me["user"]["guest"]),
        (&json!(PICTURE), &json!(true))
    );
}

#[tokio::test]
async fn a_name_changed_right_after_joining_shows_in_that_room_too() {
    let system = System::shared().await;
    let (ada, bob) = (system.user("ada"), system.user("bob"));
    let room = bob.opens_room().await;
    let (mut client, _) = bob.watches(&room).await;
    ada.joins(&room).await;
    alters(&ada, json!({"name": "Ada anew"})).await.ok();
    let mut changes = Vec::new();
    while changes.last() != Some(&json!("profile")) {
        let event = client.message(&room).await.json();
        changes.push(event["change"].clone());
        if event["change"] == "profile" {
            assert_eq!(event["sender"]["name"], "Ada anew");
        }
    }
    assert_eq!(changes, [json!("joined"), json!("profile")]);
}

#[tokio::test]
async fn a_changed_name_shows_live_in_every_room_and_list() {
    let system = System::shared().await;
    let (ada, bob) = (system.user("ada"), system.user("bob"));
    let rooms = [ada.opens_room().await, ada.opens_room().await];
    let mut client = bob.connects().await;
    for room in &rooms {
        bob.joins(room).await;
        ada.rest
            .post(
                &format!("rooms/{room}/messages"),
                json!({"text": "from me"}),
            )
            .await
            .ok();
        client
            .request(Frame::subscribe(room, &format!("/topic/rooms/{room}")))
            .await;
    }
    client
        .request(Frame::subscribe("list", "/user/queue/rooms"))
        .await;
    assert_eq!(client.message("list").await.json()["type"], "snapshot");
    // The store knows of a membership a moment after it began.
    until("ada's rooms to be stored", SOON, async || {
        let listed = ada.rest.get("rooms").await.ok();
        let count = listed["items"].as_array().map_or(0, Vec::len);
        (count >= 2).then_some(())
    })
    .await;
    let shown = alters(&ada, json!({"name": "Ada Lovelace", "avatar": PICTURE}))
        .await
        .ok();
    let sender = json!({"id": ada.id, "name": "Ada Lovelace", "avatar": PICTURE});
    assert_eq!(shown["user"]["name"], sender["name"]);
    for room in &rooms {
        let event = client.message(room).await.json();
        assert_eq!(
            (&event["type"], &event["change"]),
            (&json!("member"), &json!("profile"))
        );
        assert_eq!(
            (&event["user"], &event["sender"]),
            (&json!(ada.id), &sender)
        );
    }
    let mut left: Vec<&str> = rooms.iter().map(String::as_str).collect();
    while !left.is_empty() {
        let change = client.message("list").await.json();
        if change["last"]["sender"] == sender {
            left.retain(|room| change["room"] != *room);
        }
    }
    // Events carry it from now on, and so do the lists.
    ada.rest
        .post(
            &format!("rooms/{}/messages", rooms[0]),
            json!({"text": "again"}),
        )
        .await
        .ok();
    assert_eq!(client.message(&rooms[0]).await.json()["sender"], sender);
    let members = bob
        .rest
        .get(&format!("rooms/{}/members", rooms[0]))
        .await
        .ok();
    let members = members["items"].as_array().expect("members").clone();
    assert!(
        members.iter().any(|member| member["user"] == sender),
        "{members:?}"
    );
    // A change that changes nothing is no event.
    alters(&ada, json!({"name": "Ada Lovelace"})).await.ok();
    ada.rest
        .post(
            &format!("rooms/{}/messages", rooms[0]),
            json!({"text": "last"}),
        )
        .await
        .ok();
    assert_eq!(client.message(&rooms[0]).await.json()["text"], "last");
}

#[tokio::test]
async fn a_profile_that_can_not_be_shown_is_refused() {
    let system = System::shared().await;
    let ada = system.user("ada");
    for bad in [
        json!({"name": ""}),
        json!({"name": "\u{202e}"}),
        json!({"name": "x".repeat(65)}),
        json!({"name": 5}),
        json!({"avatar": "javascript:alert(1)"}),
        json!({"avatar": "http://plain.example/a.png"}),
        json!({"locale": "not a language"}),
        json!({"id": "somebody-else"}),
        json!({"role": "admin"}),
        json!([]),
    ] {
        let answer = alters(&ada, bad.clone()).await;
        assert_eq!(answer.refusal(), (400, "bad-request"), "{bad}");
    }
    let me = ada.rest.get("me").await.ok();
    assert_eq!(me["user"]["name"], json!(ada.id));
    let kept = alters(&ada, json!({"locale": "pt-BR"})).await.ok();
    assert_eq!(kept["user"]["locale"], "pt-BR");
    let cleared = alters(&ada, json!({"locale": null})).await.ok();
    assert_eq!(cleared["user"]["locale"], Value::Null);
}

#[tokio::test]
async fn users_are_found_by_the_beginning_of_their_name_and_by_id() {
    let system = System::shared().await;
    let (ada, bob) = (system.user("ada"), system.user("bob"));
    let name = format!("Quux {}", uuid::Uuid::new_v4().simple());
    alters(&ada, json!({"name": name})).await.ok();
    let found = async |q: &str| {
        let q = q.replace(' ', "%20");
        bob.rest.get(&format!("users?q={q}")).await.ok()["items"].clone()
    };
    let expected = json!([{"id": ada.id, "name": name, "avatar": null}]);
    let begin = name[..20].to_uppercase();
    until("the search to know the name", SOON, async || {
        (found(&begin).await == expected).then_some(())
    })
    .await;
    assert_eq!(found(&ada.id).await, expected);
    assert_eq!(found(&name[5..]).await, json!([]), "not from the middle");
    let shown = bob.rest.get(&format!("users/{}", ada.id)).await.ok();
    assert_eq!(shown["user"], expected[0]);
    assert_eq!(
        bob.rest.get("users/nobody-at-all").await.refusal(),
        (404, "not-found")
    );
    for bad in [
        "users",
        "users?q=",
        "users?q=%20",
        "users?q=a&limit=0",
        "users?q=a&limit=51",
    ] {
        assert_eq!(
            bob.rest.get(bad).await.refusal(),
            (400, "bad-request"),
            "{bad}"
        );
    }
    let nobody = Rest::new(&system.http(0), None);
    assert_eq!(
        nobody.get("users?q=a").await.refusal(),
        (401, "unauthenticated")
    );
}

/// Two people the store knows.
async fn pair(system: &System) -> (User, User) {
    let (ada, bob) = (system.user("ada"), system.user("bob"));
    for user in [&ada, &bob] {
        user.rest.get("me").await.ok();
        until("the user to be there", SOON, async || {
            let answer = user.rest.get(&format!("users/{}", user.id)).await;
            answer.status.is_success().then_some(())
        })
        .await;
    }
    (ada, bob)
}

async fn asks(user: &User, other: &User) -> Answer {
    let path = format!("friends/{}", other.id);
    user.rest.ask(Method::PUT, &path, None, &[]).await
}

async fn ends(user: &User, other: &User) {
    let path = format!("friends/{}", other.id);
    let answer = user.rest.ask(Method::DELETE, &path, None, &[]).await;
    assert_eq!(answer.status, 204, "{answer:?}");
}

/// How the user stands to others, by their ids.
async fn standing(user: &User) -> Vec<(String, String)> {
    let listed = user.rest.get("friends").await.ok();
    let items = listed["items"].as_array().expect("items").clone();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let rows = items
        .iter()
        .map(|item| (text(&item["user"]["id"]), text(&item["state"])));
    rows.collect()
}

#[tokio::test]
async fn who_is_asked_agrees_and_either_ends_it() {
    let system = System::shared().await;
    let (ada, bob) = pair(system).await;
    let asked = asks(&ada, &bob).await;
    assert_eq!(
        (asked.status.as_u16(), &asked.body["state"]),
        (201, &json!("requested"))
    );
    assert_eq!(standing(&ada).await, [(bob.id.clone(), "requested".into())]);
    assert_eq!(standing(&bob).await, [(ada.id.clone(), "received".into())]);
    // Asking again does not make the other agree.
    assert_eq!(asks(&ada, &bob).await.ok()["state"], "requested");
    assert_eq!(asks(&bob, &ada).await.ok()["state"], "friends");
    for (one, other) in [(&ada, &bob), (&bob, &ada)] {
        assert_eq!(standing(one).await, [(other.id.clone(), "friends".into())]);
    }
    ends(&bob, &ada).await;
    assert!(standing(&ada).await.is_empty() && standing(&bob).await.is_empty());
    ends(&bob, &ada).await;
}

#[tokio::test]
async fn a_request_is_declined_and_withdrawn() {
    let system = System::shared().await;
    let (ada, bob) = pair(system).await;
    asks(&ada, &bob).await.ok();
    ends(&bob, &ada).await;
    assert!(standing(&ada).await.is_empty());
    asks(&ada, &bob).await.ok();
    ends(&ada, &bob).await;
    assert!(standing(&bob).await.is_empty());
}

#[tokio::test]
async fn two_who_ask_each_other_at_once_are_friends() {
    let system = System::shared().await;
    let (ada, bob) = pair(system).await;
    let (one, other) = tokio::join!(asks(&ada, &bob), asks(&bob, &ada));
    one.ok();
    other.ok();
    assert_eq!(standing(&ada).await, [(bob.id.clone(), "friends".into())]);
    assert_eq!(standing(&bob).await, [(ada.id.clone(), "friends".into())]);
}

#[tokio::test]
async fn nobody_befriends_themselves_or_nobody() {
    let system = System::shared().await;
    let (ada, _) = pair(system).await;
    assert_eq!(asks(&ada, &ada).await.refusal(), (400, "bad-request"));
    let stranger = system.user("stranger");
    assert_eq!(asks(&ada, &stranger).await.refusal(), (404, "not-found"));
    let answer = ada
        .rest
        .ask(Method::PUT, "friends/no%20id", None, &[])
        .await;
    assert_eq!(answer.refusal(), (404, "not-found"));
}
