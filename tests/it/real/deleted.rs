//! A deleted room stays deleted, also for processes that were not there when it was.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Frame, Role, Shape, Stack, System};

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_room_is_gone_for_everyone_who_opens_it_anew() {
    let mut system = System::start(Shape::single(Stack::Real { brokers: 1 })).await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let room = alice.opens_room().await;
    bob.joins(&room).await;
    let (mut watching, _) = bob.watches(&room).await;
    watching.request(Frame::send(&room, "soon gone")).await;
    watching.message(&room).await;
    let path = format!("rooms/{room}");
    let deleted = alice.rest.ask(Method::DELETE, &path, None, &[]).await;
    let seq = deleted.ok()["seq"].clone();
    let last = watching.message(&room).await.json();
    assert_eq!((&last["deleted"], &last["seq"]), (&json!(true), &seq));

    for is_wiped in [false, true] {
        for role in [Role::Gateway, Role::Fanout] {
            system.kill(role, 0);
        }
        if is_wiped {
            system.servers().redis.wipe().await;
        }
        for role in [Role::Fanout, Role::Gateway] {
            system.restart(role, 0).await;
        }
        for user in [&alice, &bob] {
            let messages = format!("rooms/{room}/messages");
            let asked = [
                user.rest.get(&path).await,
                user.rest.get(&messages).await,
                user.rest.post(&messages, json!({"text": "hello?"})).await,
            ];
            for answer in asked {
                assert_eq!(answer.refusal(), (404, "not-found"));
            }
        }
        // Its id is nobody's again: whoever has read its history would take the new one for it.
        let again = json!({"id": room, "name": "Again", "kind": "group", "public": true});
        let refused = alice.rest.post("rooms", again).await;
        assert_eq!(refused.refusal(), (409, "conflict"));
    }
}
