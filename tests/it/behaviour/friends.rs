//! Friends as their lists show them: who comes, who goes, and who is a friend no more.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Frame, StompClient, System, User,
    wait::{SOON, until},
};

/// A list of friends, as a client shows it that took the snapshot and every change since.
pub(crate) struct Circle {
    client: StompClient,
    shown: Option<BTreeMap<String, String>>,
}

// === impl Circle ===

impl Circle {
    pub(crate) async fn of(user: &User) -> Self {
        let mut client = user.connects().await;
        let receipt = client
            .request(Frame::subscribe("friends", "/user/queue/friends"))
            .await;
        assert_eq!(receipt.command, "RECEIPT");
        Self {
            client,
            shown: None,
        }
    }

    /// Waits until it shows these friends and no others.
    pub(crate) async fn shows(&mut self, friends: &[(&User, &str)]) {
        let friends = friends.iter();
        let expected: BTreeMap<String, String> = friends
            .map(|(friend, status)| (friend.id.clone(), (*status).to_owned()))
            .collect();
        while self.shown.as_ref() != Some(&expected) {
            let message = self.client.message("friends").await;
            assert_eq!(message.header("destination"), "/user/queue/friends");
            self.take(&message.json());
        }
    }

    fn take(&mut self, body: &Value) {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        if body["type"] == "snapshot" {
            let friends = body["friends"].as_array().expect("friends").iter();
            let friends = friends.map(|friend| (text(&friend["user"]), text(&friend["status"])));
            self.shown = Some(friends.collect());
            return;
        }
        assert_eq!(body["type"], "change");
        let shown = self.shown.as_mut().expect("the snapshot is first");
        let friend = text(&body["user"]);
        let before = match body["gone"] == true {
            true => shown.remove(&friend),
            false => shown.insert(friend, text(&body["status"])),
        };
        assert_ne!(
            before.as_deref(),
            body["status"].as_str(),
            "no news: {body}"
        );
    }
}

async fn asks(user: &User, other: &User) -> Value {
    other.rest.get("me").await.ok();
    let path = format!("friends/{}", other.id);
    until("the asked to be there", SOON, async || {
        let answer = user.rest.ask(Method::PUT, &path, None, &[]).await;
        (answer.status != 404).then(|| answer.ok())
    })
    .await
}

/// Makes friends of two users.
pub(crate) async fn befriend(one: &User, other: &User) {
    asks(one, other).await;
    assert_eq!(asks(other, one).await["state"], "friends");
}

/// How the user's only friend is listed.
async fn listed(user: &User) -> Value {
    let listed = user.rest.get("friends").await.ok();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
    listed["items"][0].clone()
}

async fn says_goodbye(mut client: StompClient) {
    client.request(Frame::new("DISCONNECT")).await;
}

#[tokio::test]
async fn a_friend_is_seen_to_come_and_go_by_all_devices_without_any_room() {
    let system = System::shared().await;
    let (ada, bob) = (system.user("ada"), system.user("bob"));
    befriend(&ada, &bob).await;
    let (mut phone, mut laptop) = (Circle::of(&ada).await, Circle::of(&ada).await);
    for device in [&mut phone, &mut laptop] {
        device.shows(&[(&bob, "offline")]).await;
    }
    assert_eq!(listed(&ada).await["status"], "offline");
    let of_bob = bob.connects().await;
    for device in [&mut phone, &mut laptop] {
        device.shows(&[(&bob, "online")]).await;
    }
    assert_eq!(listed(&ada).await["status"], "online");
    // Who begins to look now is shown the same at once.
    Circle::of(&ada).await.shows(&[(&bob, "online")]).await;
    says_goodbye(of_bob).await;
    for device in [&mut phone, &mut laptop] {
        device.shows(&[(&bob, "offline")]).await;
    }
}

#[tokio::test]
async fn who_becomes_a_friend_is_on_the_list_until_either_ends_it_and_who_only_asks_is_not() {
    let system = System::shared().await;
    let [ada, bob, carol] = ["ada", "bob", "carol"].map(|name| system.user(name));
    let mut circle = Circle::of(&ada).await;
    circle.shows(&[]).await;
    asks(&ada, &bob).await;
    assert_eq!(listed(&ada).await["status"], json!(null));
    let _bob = bob.connects().await;
    befriend(&carol, &ada).await;
    circle.shows(&[(&carol, "offline")]).await;
    asks(&bob, &ada).await;
    circle.shows(&[(&bob, "online"), (&carol, "offline")]).await;
    let path = format!("friends/{}", ada.id);
    let ended = bob.rest.ask(Method::DELETE, &path, None, &[]).await;
    assert_eq!(ended.status, 204);
    circle.shows(&[(&carol, "offline")]).await;
}
