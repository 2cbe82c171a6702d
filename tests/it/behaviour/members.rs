//! Members: invitation, roles, muting, banning, leaving, and what the table of rights says to each.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Frame, System,
    rest::Answer,
    user::User,
    wait::{SOON, until},
};

async fn put(user: &User, room: &str, subject: &User, standing: Value) -> Answer {
    let path = format!("rooms/{room}/members/{}", subject.id);
    user.rest.ask(Method::PUT, &path, Some(standing), &[]).await
}

async fn remove(user: &User, room: &str, subject: &User) -> Answer {
    let path = format!("rooms/{room}/members/{}", subject.id);
    user.rest.ask(Method::DELETE, &path, None, &[]).await
}

async fn post(user: &User, room: &str) -> Answer {
    let path = format!("rooms/{room}/messages");
    user.rest.post(&path, json!({"text": "hello"})).await
}

async fn go(user: &User, room: &str, path: &str) -> Answer {
    user.rest
        .post(&format!("rooms/{room}/{path}"), json!({}))
        .await
}

/// Users everyone can find: a row is written behind a user's first request.
async fn known(system: &System, names: [&str; 3]) -> [User; 3] {
    let users = names.map(|name| system.user(name));
    let finder = system.user("finder");
    let room = finder.opens_room().await;
    for user in &users {
        user.rest.get("me").await.ok();
        until("a user to be known", SOON, async || {
            let invited = put(&finder, &room, user, json!({})).await;
            invited.status.is_success().then_some(())
        })
        .await;
    }
    users
}

async fn ids(user: &User, room: &str, query: &str) -> (Vec<String>, Value) {
    let page = user
        .rest
        .get(&format!("rooms/{room}/members?{query}"))
        .await
        .ok();
    let items = page["items"].as_array().expect("items");
    let id = |item: &Value| item["user"]["id"].as_str().expect("an id").to_owned();
    (items.iter().map(id).collect(), page["next"].clone())
}

#[tokio::test]
async fn a_private_room_is_entered_by_invitation() {
    let system = System::shared().await;
    let [alice, bob, carol] = known(system, ["alice", "bob", "carol"]).await;
    let room = alice.opens_private_room().await;
    assert_eq!(go(&bob, &room, "join").await.refusal(), (404, "not-found"));
    let invited = put(&alice, &room, &bob, json!({})).await.ok();
    assert!(invited["seq"].as_u64() > Some(1), "{invited}");
    assert_eq!(
        put(&alice, &room, &bob, json!({})).await.ok()["seq"],
        invited["seq"]
    );
    assert_eq!(post(&bob, &room).await.refusal(), (403, "not-a-member"));
    bob.joins(&room).await;
    post(&bob, &room).await.ok();

    put(&bob, &room, &carol, json!({})).await.ok();
    go(&carol, &room, "leave").await.ok();
    assert_eq!(
        go(&carol, &room, "join").await.refusal(),
        (404, "not-found"),
        "declined"
    );
    let stranger = system.user("stranger");
    assert_eq!(
        put(&stranger, &room, &carol, json!({})).await.refusal(),
        (404, "not-found")
    );
    let nobody = User::new("nobody", &alice.http);
    assert_eq!(
        put(&alice, &room, &nobody, json!({})).await.refusal(),
        (404, "not-found")
    );
}

#[tokio::test]
async fn roles_are_given_by_owners_and_a_room_is_handed_over() {
    let system = System::shared().await;
    let [alice, bob, carol] = known(system, ["alice", "bob", "carol"]).await;
    let room = alice.opens_room().await;
    let early = put(&alice, &room, &bob, json!({"role": "moderator"})).await;
    assert_eq!(early.refusal(), (409, "conflict"));
    bob.joins(&room).await;
    carol.joins(&room).await;
    put(&alice, &room, &bob, json!({"role": "moderator"}))
        .await
        .ok();
    let refused = put(&bob, &room, &carol, json!({"role": "moderator"})).await;
    assert_eq!(refused.refusal(), (403, "forbidden"));
    let refused = put(&bob, &room, &alice, json!({"muted": true})).await;
    assert_eq!(
        refused.refusal(),
        (403, "forbidden"),
        "an owner answers to owners"
    );
    for bad in [
        json!({"role": "king"}),
        json!({"muted": "yes"}),
        json!({"rank": 1}),
        json!({"banned": true, "role": "member"}),
    ] {
        let refused = put(&alice, &room, &bob, bad.clone()).await;
        assert_eq!(refused.refusal(), (400, "bad-request"), "{bad}");
    }

    assert_eq!(
        go(&alice, &room, "leave").await.refusal(),
        (409, "conflict"),
        "the last owner"
    );
    put(&alice, &room, &bob, json!({"role": "owner"}))
        .await
        .ok();
    go(&alice, &room, "leave").await.ok();
    let shown = bob.rest.get(&format!("rooms/{room}")).await.ok();
    assert_eq!(
        (&shown["room"]["role"], &shown["room"]["members"]),
        (&json!("owner"), &json!(2))
    );
    assert_eq!(
        go(&alice, &room, "leave").await.refusal(),
        (403, "not-a-member")
    );
}

#[tokio::test]
async fn of_two_last_owners_who_leave_at_once_one_stays() {
    let system = System::shared().await;
    let [alice, bob, _] = known(system, ["alice", "bob", "carol"]).await;
    for _ in 0..5 {
        let room = alice.opens_room().await;
        bob.joins(&room).await;
        put(&alice, &room, &bob, json!({"role": "owner"}))
            .await
            .ok();
        let (one, other) = tokio::join!(go(&alice, &room, "leave"), go(&bob, &room, "leave"));
        let mut statuses = [one.status.as_u16(), other.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{one:?} {other:?}");
        let stays = if one.status.is_success() {
            &bob
        } else {
            &alice
        };
        let shown = stays.rest.get(&format!("rooms/{room}")).await.ok();
        assert_eq!(
            (&shown["room"]["role"], &shown["room"]["members"]),
            (&json!("owner"), &json!(1))
        );
    }
}

#[tokio::test]
async fn the_muted_read_on_and_say_nothing() {
    let system = System::shared().await;
    let [alice, bob, _] = known(system, ["alice", "bob", "carol"]).await;
    let room = alice.opens_room().await;
    bob.joins(&room).await;
    let (mut client, head) = bob.watches(&room).await;
    put(&alice, &room, &bob, json!({"muted": true})).await.ok();
    assert_eq!(client.message(&room).await.json()["change"], "muted");
    assert_eq!(post(&bob, &room).await.refusal(), (403, "muted"));
    go(&bob, &room, "leave").await.ok();
    bob.joins(&room).await;
    assert_eq!(
        post(&bob, &room).await.refusal(),
        (403, "muted"),
        "coming back does not shed it"
    );
    put(&alice, &room, &bob, json!({"muted": false})).await.ok();
    assert_eq!(post(&bob, &room).await.ok()["seq"], head + 5);
}

#[tokio::test]
async fn a_removed_or_banned_member_hears_of_that_and_nothing_after_it() {
    let system = System::shared().await;
    let [alice, bob, carol] = known(system, ["alice", "bob", "carol"]).await;
    let room = alice.opens_room().await;
    bob.joins(&room).await;
    carol.joins(&room).await;
    let (mut bobs, _) = bob.watches(&room).await;
    let (mut carols, _) = carol.watches(&room).await;
    let removed = remove(&alice, &room, &bob).await.ok()["seq"].clone();
    let banned = put(&alice, &room, &carol, json!({"banned": true}))
        .await
        .ok()["seq"]
        .clone();
    for _ in 0..3 {
        post(&alice, &room).await.ok();
    }
    assert_eq!(bobs.message(&room).await.json()["seq"], removed);
    let last = carols.messages(&room, 2).await.pop().expect("two");
    assert_eq!(last.json()["seq"], banned);
    // What was delivered before a receipt has arrived before it.
    let inside = alice.opens_room().await;
    for (user, client) in [(&bob, &mut bobs), (&carol, &mut carols)] {
        user.joins(&inside).await;
        client.request(Frame::send(&inside, "here")).await;
        assert_eq!(client.kept(&room), 0, "nothing after the last event");
    }

    assert_eq!(post(&bob, &room).await.refusal(), (403, "not-a-member"));
    assert_eq!(post(&carol, &room).await.refusal(), (403, "banned"));
    assert_eq!(go(&carol, &room, "join").await.refusal(), (403, "banned"));
    let refused = put(&alice, &room, &carol, json!({})).await;
    assert_eq!(
        refused.refusal(),
        (409, "conflict"),
        "the banned are not invited"
    );
    put(&alice, &room, &carol, json!({"banned": false}))
        .await
        .ok();
    carol.joins(&room).await;
    assert_eq!(
        remove(&bob, &room, &carol).await.refusal(),
        (403, "not-a-member")
    );
    assert_eq!(
        remove(&carol, &room, &alice).await.refusal(),
        (403, "forbidden")
    );
    assert_eq!(
        remove(&alice, &room, &bob).await.refusal(),
        (409, "conflict"),
        "not in"
    );
}

#[tokio::test]
async fn members_are_paged_and_fresh() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let mut expected = vec![alice.id.clone()];
    for name in ["m1", "m2", "m3", "m4"] {
        let user = system.user(name);
        user.joins(&room).await;
        expected.push(user.id);
    }
    expected.sort();
    assert_eq!(
        ids(&alice, &room, "").await,
        (expected.clone(), Value::Null)
    );
    let (mut paged, mut next) = ids(&alice, &room, "limit=2").await;
    assert_eq!(paged.len(), 2);
    while let Some(after) = next.as_str().map(str::to_owned) {
        let (page, more) = ids(&alice, &room, &format!("limit=2&after={after}")).await;
        assert!(page.len() <= 2, "{page:?}");
        paged.extend(page);
        next = more;
    }
    assert_eq!(paged, expected);
    let outsider = system.user("outsider");
    let refused = outsider.rest.get(&format!("rooms/{room}/members")).await;
    assert_eq!(refused.refusal(), (403, "not-a-member"));
    let refused = alice
        .rest
        .get(&format!("rooms/{room}/members?limit=0"))
        .await;
    assert_eq!(refused.refusal(), (400, "bad-request"));
}
