//! Changes that a room's state does not allow: in its log, shown as void, without effect.

use roomlog_core::{
    event::{Body, MemberChange, MemberEvent, RoomEvent},
    ids::UserId,
};
use serde_json::json;

use crate::harness::{System, records::append_event, wait};

#[tokio::test]
async fn what_the_rooms_state_does_not_allow_is_shown_void_and_changes_nothing() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let room = alice.opens_room().await;
    bob.joins(&room).await;
    let (mut client, head) = bob.watches(&room).await;
    // No gateway lets these through: a program writes them to the topic.
    let removal = Body::Member(MemberEvent {
        user: UserId::parse(&alice.id).expect("alphabet"),
        change: MemberChange::Removed,
    });
    let renamed = Body::Room(RoomEvent {
        name: Some("Bob's".into()),
        ..RoomEvent::default()
    });
    append_event(&system.kafka, &room, &bob.id, "v-1", removal).await;
    append_event(&system.kafka, &room, &bob.id, "v-2", renamed).await;
    for kind in ["member", "room"] {
        let shown = client.message(&room).await.json();
        assert_eq!(
            (&shown["type"], &shown["void"]),
            (&json!(kind), &json!(true))
        );
    }
    let found = alice.rest.get(&format!("rooms/{room}")).await.ok();
    assert_eq!(
        (&found["room"]["role"], &found["room"]["name"]),
        (&json!("owner"), &json!("A room"))
    );
    // What is void is stored as such, and shown so again.
    let path = format!("rooms/{room}/messages?include=all&after={head}");
    wait::until("both to be known as void", wait::SOON, async || {
        let page = bob.rest.get(&path).await.ok();
        let items = page["items"].as_array().expect("items");
        let is_void = items.iter().all(|item| item["void"] == true);
        (items.len() == 2 && is_void).then_some(())
    })
    .await;
}
