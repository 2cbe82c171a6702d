//! A notice to everyone is not lost with the gateway that took it.

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::{
    Role, Shape, Stack, System, User,
    wait::{SOON, until},
};

/// More than are told between the answer and a kill that follows at once.
const USERS: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_to_everyone_outlives_the_gateway_that_took_it() {
    let shape = Shape {
        gateways: 2,
        ..Shape::single(Stack::Real { brokers: 1 })
    };
    let mut system = System::start(shape).await;
    let there = system.http(1);
    let readers: Vec<User> = (0..USERS)
        .map(|_| system.user("reader").at(&there))
        .collect();
    for answer in join_all(readers.iter().map(|reader| reader.rest.get("me"))).await {
        answer.ok();
    }
    for reader in &readers {
        let path = format!("users/{}", reader.id);
        until("a user's row", SOON, async || {
            let answer = reader.rest.get(&path).await;
            answer.status.is_success().then_some(())
        })
        .await;
    }
    let admin = system.user("warden").into_admin();
    let told = admin.rest.post("notices", json!({"text": "to all"})).await;
    assert_eq!(told.status, 202);
    system.kill(Role::Gateway, 0);

    for reader in &readers {
        let letter = until("the notice", SOON, async || {
            let inbox = reader.rest.get("inbox").await;
            (inbox.body["head"] == 1).then(|| inbox.body["items"][0].clone())
        })
        .await;
        assert_eq!(
            (&letter["type"], &letter["text"]),
            (&json!("notice"), &json!("to all"))
        );
    }
    until("the notice to be done with", SOON, async || {
        let rows = format!("{:?}", system.rows("sessions").await);
        (!rows.contains("notice:")).then_some(())
    })
    .await;
    for reader in &readers {
        let inbox = reader.rest.get("inbox").await.ok();
        assert_eq!(inbox["head"], 1, "nobody was told twice");
    }
}
