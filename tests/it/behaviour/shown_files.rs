//! Files and the messages that show them: what becomes of a file once they are deleted, and which of them count.

use reqwest::Method;
use roomlog_core::{
    event::{Attachment, Body, Message},
    ids::Seq,
};
use serde_json::Value;

use super::{
    attachments::{address, posts, uploads},
    messages::stored,
};
use crate::harness::{System, dynamo::Row, records::append_event, wait};

/// Waits until the store knows so many messages that show a file.
async fn is_noted(system: &System, file: &Value, count: usize) {
    let id = file["id"].as_str().expect("an id");
    wait::until("the file's messages to be stored", wait::SOON, async || {
        let rows = system.rows("attachments").await;
        let is_it = |row: &&Row| row["attachment"].as_s().is_ok_and(|found| found == id);
        let messages = rows.iter().find(is_it)?.get("messages")?.as_ns().ok()?;
        (messages.len() == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_file_of_deleted_messages_is_gone_for_everyone() {
    let system = System::shared().await;
    let (ada, bob) = (system.user("ada"), system.user("bob"));
    let room = ada.opens_room().await;
    bob.joins(&room).await;
    let (file, other) = (uploads(&ada, &room).await, uploads(&ada, &room).await);
    let mut paths = Vec::new();
    for _ in 0..2 {
        let posted = posts(&ada, &room, &[&file["id"]]).await.ok();
        paths.push(format!("rooms/{room}/messages/{}", posted["seq"]));
    }
    let deletes = async |path: &String| {
        let deleted = ada.rest.ask(Method::DELETE, path, None, &[]).await;
        assert_eq!(deleted.status, 200, "{deleted:?}");
    };
    deletes(&paths[0]).await;
    for user in [&ada, &bob] {
        // The other message still shows it.
        address(user, &file).await.ok();
    }
    deletes(&paths[1]).await;
    for is_stored in [false, true] {
        if is_stored {
            is_noted(system, &file, 2).await;
            stored(system, "patches", &room, 2).await;
        }
        for user in [&ada, &bob] {
            assert_eq!(address(user, &file).await.refusal(), (404, "not-found"));
            // One that no message shows is there as before.
            address(user, &other).await.ok();
        }
    }
    // Whoever may show it again says it anew.
    posts(&ada, &room, &[&file["id"]]).await.ok();
    address(&bob, &file).await.ok();
}

#[tokio::test]
async fn a_file_goes_with_so_many_messages_and_no_more() {
    const MESSAGES_MAX: usize = 100;
    let system = System::shared().await;
    let ada = system.user("ada");
    let room = ada.opens_room().await;
    let file = uploads(&ada, &room).await;
    for _ in 0..MESSAGES_MAX {
        posts(&ada, &room, &[&file["id"]]).await.ok();
    }
    is_noted(system, &file, MESSAGES_MAX).await;
    let one_more = posts(&ada, &room, &[&file["id"]]).await;
    assert_eq!(one_more.refusal(), (400, "bad-request"));
    address(&ada, &file).await.ok();
}

#[tokio::test]
async fn a_message_elsewhere_says_nothing_about_a_file() {
    let system = System::shared().await;
    let (ada, eve) = (system.user("ada"), system.user("eve"));
    let (room, elsewhere) = (ada.opens_room().await, eve.opens_room().await);
    let file = uploads(&ada, &room).await;
    let (mut client, head) = eve.watches(&elsewhere).await;
    // A gateway refuses what somebody writes into the log who does not ask one.
    let ids = [file["id"].as_str().expect("an id"), "", "../x"];
    let attachments = ids.map(|id| Attachment {
        id: id.to_owned(),
        name: "a b.png".to_owned(),
        media_type: "image/png".to_owned(),
        size_bytes: 1,
    });
    let message = Message {
        text: "look".to_owned(),
        attachments: attachments.into(),
        ..Message::default()
    };
    let target = Seq(head + 1);
    for (id, body) in [
        ("f-1", Body::Message(message)),
        ("f-2", Body::Delete { target }),
    ] {
        append_event(&system.kafka, &elsewhere, &eve.id, id, body).await;
    }
    client.messages(&elsewhere, 2).await;
    stored(system, "patches", &elsewhere, 1).await;
    address(&ada, &file).await.ok();
    posts(&ada, &room, &[&file["id"]]).await.ok();
    is_noted(system, &file, 1).await;
    address(&ada, &file).await.ok();
}
