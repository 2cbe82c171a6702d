//! Changing messages: edits, deletions, reactions, and how pages and replays show what became of them.

use reqwest::Method;
use roomlog_core::{event::Body, ids::Seq};
use serde_json::{Value, json};

use crate::harness::{Frame, StompClient, System, User, records::append_event, rest::Answer, wait};

fn sends(room: &str, verb: &str, body: &Value) -> Frame {
    Frame::new("SEND")
        .with("destination", format!("/app/rooms/{room}/{verb}"))
        .with("content-type", "application/json")
        .body(body.to_string())
}

/// Posts a text and says which seq it got.
async fn posts(user: &User, room: &str, body: Value) -> u64 {
    let path = format!("rooms/{room}/messages");
    let posted = user.rest.post(&path, body).await.ok();
    posted["seq"].as_u64().expect("a seq")
}

async fn changes(user: &User, method: Method, path: &str, body: Option<Value>) -> Answer {
    user.rest.ask(method, path, body, &[]).await
}

fn message_path(room: &str, seq: u64) -> String {
    format!("rooms/{room}/messages/{seq}")
}

/// The message with this seq, on a page around it.
async fn newest(user: &User, room: &str, seq: u64) -> Value {
    let page = user.reads(room, &format!("around={seq}&limit=3")).await;
    let items = page["items"].as_array().expect("items");
    let found = items.iter().find(|item| item["seq"] == seq);
    found
        .unwrap_or_else(|| panic!("no {seq} in {page}"))
        .clone()
}

/// Everything stored in a table for this room, once there are so many rows.
pub(super) async fn stored(system: &System, table: &str, room: &str, count: usize) {
    wait::until("rows to be stored", wait::SOON, async || {
        let rows = system.rows(table).await;
        let of_room = |row: &&crate::harness::dynamo::Row| {
            row.get("room").and_then(|room| room.as_s().ok()) == Some(&room.to_owned())
        };
        (rows.iter().filter(of_room).count() == count).then_some(())
    })
    .await;
}

/// A room of alice's that bob is in, and alice watching it.
async fn shared_room(system: &System) -> (User, User, String, StompClient) {
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let room = alice.opens_room().await;
    bob.joins(&room).await;
    let (client, _) = alice.watches(&room).await;
    (alice, bob, room, client)
}

#[tokio::test]
async fn a_message_is_edited_reacted_to_and_deleted_over_stomp() {
    let system = System::shared().await;
    let (alice, _, room, mut client) = shared_room(system).await;
    client.request(Frame::send(&room, "old")).await;
    let target = client.message(&room).await.number("seq");

    let edit = sends(&room, "edit", &json!({"target": target, "text": "new"})).with("id", "e-1");
    for _ in 0..2 {
        // The second is a retry: acknowledged, shown once.
        client.request(edit.clone()).await;
    }
    let seen = client.message(&room).await;
    assert_eq!(
        (seen.header("type"), seen.number("seq")),
        ("edit", target + 1)
    );
    let body = seen.json();
    assert_eq!(
        (&body["target"], &body["text"]),
        (&target.into(), &"new".into())
    );

    let react = json!({"target": target, "emoji": "👍", "on": true});
    client.request(sends(&room, "react", &react)).await;
    let seen = client.message(&room).await;
    assert_eq!(
        (seen.header("type"), seen.number("seq")),
        ("reaction", target + 2)
    );
    assert_eq!(seen.json()["emoji"], "👍");
    let item = newest(&alice, &room, target).await;
    assert_eq!(
        (&item["text"], &item["edited_seq"]),
        (&"new".into(), &(target + 1).into())
    );
    assert_eq!(
        item["reactions"],
        json!([{"emoji": "👍", "count": 1, "own": true}])
    );

    let delete = sends(&room, "delete", &json!({"target": target})).with("id", "d-1");
    for _ in 0..2 {
        client.request(delete.clone()).await;
    }
    let seen = client.message(&room).await;
    assert_eq!(
        (seen.header("type"), seen.number("seq")),
        ("delete", target + 3)
    );
    let item = newest(&alice, &room, target).await;
    assert_eq!(
        (&item["deleted"], &item["reactions"]),
        (&true.into(), &json!([]))
    );
    assert!(item.get("text").is_none(), "{item}");
    assert_eq!(
        item["count"],
        seen.number("count"),
        "a deletion lowers no count"
    );
}

#[tokio::test]
async fn a_transaction_holds_changes_too_and_one_bad_target_spoils_it() {
    let system = System::shared().await;
    let (_, _, room, mut client) = shared_room(system).await;
    client.request(Frame::send(&room, "text")).await;
    let target = client.message(&room).await.number("seq");
    client
        .send(&Frame::subscribe("errors", "/user/queue/errors"))
        .await;
    for (name, second) in [("bad", target + 50), ("good", target)] {
        let frames = [
            Frame::new("BEGIN").with("transaction", name),
            Frame::send(&room, name).with("transaction", name),
            sends(&room, "delete", &json!({"target": second})).with("transaction", name),
        ];
        for frame in &frames {
            client.send(frame).await;
        }
        let commit = Frame::new("COMMIT").with("transaction", name);
        if name == "bad" {
            client.send(&commit).await;
            assert_eq!(client.message("errors").await.header("code"), "not-found");
        } else {
            client.request(commit).await;
        }
    }
    let types: Vec<_> = client
        .messages(&room, 2)
        .await
        .iter()
        .map(Frame::json)
        .collect();
    assert_eq!(
        (&types[0]["text"], &types[1]["type"]),
        (&"good".into(), &"delete".into())
    );
}

#[tokio::test]
async fn changes_are_made_by_rest_and_answer_with_their_seq() {
    let system = System::shared().await;
    let (alice, bob, room, mut client) = shared_room(system).await;
    let target = posts(&alice, &room, json!({"text": "old"})).await;
    let path = message_path(&room, target);
    let edited = changes(&alice, Method::PATCH, &path, Some(json!({"text": "new"}))).await;
    assert_eq!(edited.ok()["seq"], target + 1);
    let reaction = format!("{path}/reactions/%F0%9F%91%8D");
    let reacted = changes(&bob, Method::PUT, &reaction, None).await;
    assert_eq!(reacted.ok()["seq"], target + 2);
    let seen = newest(&alice, &room, target).await;
    assert_eq!(
        seen["reactions"],
        json!([{"emoji": "👍", "count": 1, "own": false}])
    );
    let withdrawn = changes(&bob, Method::DELETE, &reaction, None).await;
    assert_eq!(withdrawn.ok()["seq"], target + 3);
    assert_eq!(newest(&alice, &room, target).await["reactions"], json!([]));
    for _ in 0..2 {
        // A retry is told the first seq.
        let key = [("Idempotency-Key", "d-1")];
        let deleted = alice.rest.ask(Method::DELETE, &path, None, &key).await;
        assert_eq!(deleted.ok()["seq"], target + 4);
    }
    let types: Vec<String> = client
        .messages(&room, 5)
        .await
        .iter()
        .map(|frame| frame.header("type").to_owned())
        .collect();
    assert_eq!(types, ["message", "edit", "reaction", "reaction", "delete"]);
}

#[tokio::test]
async fn who_may_not_change_a_message_is_told_so() {
    let system = System::shared().await;
    let (alice, bob, room, mut client) = shared_room(system).await;
    let stranger = system.user("stranger");
    let target = posts(&alice, &room, json!({"text": "text"})).await;
    let bobs = posts(&bob, &room, json!({"text": "text"})).await;
    let path = message_path(&room, target);
    let reaction = format!("{path}/reactions/x");
    let text = || Some(json!({"text": "forged"}));
    let missing = message_path(&room, target + 100);
    let creation = message_path(&room, 1);
    for (user, method, path, body, expected) in [
        (&bob, Method::PATCH, &path, text(), (403, "forbidden")),
        (&bob, Method::DELETE, &path, None, (403, "forbidden")),
        (
            &stranger,
            Method::PATCH,
            &path,
            text(),
            (403, "not-a-member"),
        ),
        (
            &stranger,
            Method::PUT,
            &reaction,
            None,
            (403, "not-a-member"),
        ),
        (&alice, Method::PATCH, &missing, text(), (404, "not-found")),
        (&alice, Method::DELETE, &missing, None, (404, "not-found")),
        (&alice, Method::DELETE, &creation, None, (404, "not-found")),
        (
            &alice,
            Method::PATCH,
            &path,
            Some(json!({"text": 5})),
            (400, "bad-request"),
        ),
        (
            &alice,
            Method::PATCH,
            &path,
            Some(json!({"text": "x".repeat(17 << 10)})),
            (413, "too-large"),
        ),
        (
            &alice,
            Method::PUT,
            &format!("{path}/reactions/%20"),
            None,
            (400, "bad-request"),
        ),
        (
            &alice,
            Method::PUT,
            &format!("{path}/reactions/{}", "x".repeat(65)),
            None,
            (413, "too-large"),
        ),
        (
            &alice,
            Method::DELETE,
            &message_path(&room, 0),
            None,
            (404, "not-found"),
        ),
        (
            &alice,
            Method::DELETE,
            &format!("rooms/{room}/messages/x"),
            None,
            (404, "not-found"),
        ),
    ] {
        let answer = changes(user, method.clone(), path, body).await;
        assert_eq!(answer.refusal(), expected, "{method} {path}");
    }
    // The owner takes back what others said, and does not put words into their mouths.
    let path = message_path(&room, bobs);
    let forged = changes(&alice, Method::PATCH, &path, text()).await;
    assert_eq!(forged.refusal(), (403, "forbidden"));
    changes(&alice, Method::DELETE, &path, None).await.ok();
    for (method, path, body) in [
        (Method::PATCH, path.clone(), text()),
        (Method::DELETE, path.clone(), None),
        (Method::PUT, format!("{path}/reactions/x"), None),
    ] {
        let answer = changes(&bob, method, &path, body).await;
        assert_eq!(answer.refusal(), (409, "conflict"));
    }
    client
        .send(&Frame::subscribe("errors", "/user/queue/errors"))
        .await;
    for (verb, body, code) in [
        ("edit", json!({"target": bobs, "text": "x"}), "conflict"),
        (
            "edit",
            json!({"target": target + 100, "text": "x"}),
            "not-found",
        ),
        ("delete", json!({"target": "one"}), "bad-request"),
        (
            "react",
            json!({"target": target, "emoji": "", "on": true}),
            "bad-request",
        ),
        (
            "react",
            json!({"target": target, "emoji": "x"}),
            "bad-request",
        ),
    ] {
        client.send(&sends(&room, verb, &body)).await;
        let refused = client.message("errors").await;
        assert_eq!(refused.header("code"), code, "{verb} {body}");
    }
}

#[tokio::test]
async fn an_answer_names_an_event_that_exists() {
    let system = System::shared().await;
    let (alice, _, room, _) = shared_room(system).await;
    let target = posts(&alice, &room, json!({"text": "question"})).await;
    let reply = json!({"text": "answer", "reply_to": target});
    let seq = posts(&alice, &room, reply).await;
    assert_eq!(newest(&alice, &room, seq).await["reply_to"], target);
    for reply_to in [json!(0), json!(seq + 1), json!("first"), json!(-1)] {
        let bad = json!({"text": "answer", "reply_to": reply_to});
        let refused = alice
            .rest
            .post(&format!("rooms/{room}/messages"), bad)
            .await;
        assert_eq!(refused.refusal(), (400, "bad-request"), "{reply_to}");
    }
    for mentions in [json!(["no id"]), json!("bob"), json!([5])] {
        let bad = json!({"text": "hi", "mentions": mentions});
        let refused = alice
            .rest
            .post(&format!("rooms/{room}/messages"), bad)
            .await;
        assert_eq!(refused.refusal(), (400, "bad-request"), "{mentions}");
    }
}

#[tokio::test]
async fn deleted_content_is_never_replayed_stored_or_not() {
    let system = System::shared().await;
    let (alice, _, room, mut client) = shared_room(system).await;
    let mut targets = Vec::new();
    for text in ["secret one", "secret two"] {
        let post = json!({"text": text, "meta": {"secret": 1}});
        targets.push(posts(&alice, &room, post).await);
    }
    let path = message_path(&room, targets[0]);
    changes(
        &alice,
        Method::PATCH,
        &path,
        Some(json!({"text": "secret edit"})),
    )
    .await
    .ok();
    for target in &targets {
        let path = message_path(&room, *target);
        changes(&alice, Method::DELETE, &path, None).await.ok();
    }
    let topic = format!("/topic/rooms/{room}");
    client.messages(&room, 5).await;
    for (round, (header, value)) in [("since", targets[0] - 1), ("history", 5)]
        .into_iter()
        .enumerate()
    {
        for is_stored in [false, true] {
            if is_stored {
                stored(system, "patches", &room, 2).await;
            }
            let id = format!("{round}-{is_stored}");
            client
                .request(Frame::subscribe(&id, &topic).with(header, value))
                .await;
            let replayed = client.messages(&id, 5).await;
            let types: Vec<&str> = replayed.iter().map(|frame| frame.header("type")).collect();
            assert_eq!(types, ["message", "message", "edit", "delete", "delete"]);
            for frame in &replayed[..3] {
                assert_eq!(frame.json()["deleted"], true, "{frame:?}");
                assert!(!frame.text().contains("secret"), "{frame:?}");
                assert_eq!(frame.header("replay"), "true");
            }
        }
    }
    let all = alice.reads(&room, "include=all").await.to_string();
    assert!(!all.contains("secret"), "{all}");
    let replay = |raw: &[&str]| {
        let mut arguments = vec!["replay", "--room", &room];
        arguments.extend(raw);
        let mut tool = system.tool(&arguments);
        let brokers = "ROOMLOG_KAFKA_BROKERS";
        tool.variables.retain(|(name, _)| name != brokers);
        let kafka = system.kafka.clone();
        tool.variables.push((brokers.into(), kafka));
        tool
    };
    let limit = std::time::Duration::from_secs(60);
    let clean = replay(&[]).run(limit).await;
    assert!(
        clean.contains("\"deleted\":true") && !clean.contains("secret"),
        "{clean}"
    );
    let raw = replay(&["--raw"]).run(limit).await;
    assert!(
        raw.contains("secret one") && raw.contains("secret edit"),
        "{raw}"
    );
}

#[tokio::test]
async fn an_edit_in_the_log_by_somebody_else_changes_nothing() {
    let system = System::shared().await;
    let (alice, bob, room, mut client) = shared_room(system).await;
    let target = posts(&alice, &room, json!({"text": "old"})).await;
    let path = message_path(&room, target);
    changes(&alice, Method::PATCH, &path, Some(json!({"text": "hers"})))
        .await
        .ok();
    let edit = |target, text: &str| Body::Edit {
        target: Seq(target),
        text: text.into(),
    };
    append_event(&system.kafka, &room, &bob.id, "f-1", edit(target, "forged")).await;
    append_event(
        &system.kafka,
        &room,
        &alice.id,
        "f-2",
        edit(target + 1, "of an edit"),
    )
    .await;
    append_event(
        &system.kafka,
        &room,
        &alice.id,
        "f-3",
        edit(target + 999, "of nothing"),
    )
    .await;
    client.messages(&room, 5).await;
    for is_stored in [false, true] {
        if is_stored {
            stored(system, "patches", &room, 2).await;
        }
        let seen = newest(&alice, &room, target).await;
        assert_eq!(
            (&seen["text"], &seen["edited_seq"]),
            (&"hers".into(), &(target + 1).into())
        );
    }
}

#[tokio::test]
async fn a_page_is_told_apart_by_its_tag_and_changes_with_its_messages() {
    let system = System::shared().await;
    let (alice, bob, room, _) = shared_room(system).await;
    let mut last = 0;
    for number in 0..6 {
        last = posts(&alice, &room, json!({"text": number.to_string()})).await;
    }
    let target = last - 5;
    let path = format!("rooms/{room}/messages?before={}&limit=3", target + 3);
    let asked = async |known: Option<&str>| {
        let headers: Vec<(&str, &str)> = known
            .map(|tag| ("If-None-Match", tag))
            .into_iter()
            .collect();
        alice.rest.ask(Method::GET, &path, None, &headers).await
    };
    // Its sender has read each of them, which is known a moment later.
    let first = wait::until("the read counts", wait::SOON, async || {
        let page = asked(None).await;
        let items = page.body["items"].as_array().expect("items");
        let is_settled = items.iter().all(|item| item["read_count"] == 1);
        is_settled.then_some(page)
    })
    .await;
    let tag = first.header("etag").to_owned();
    assert_eq!(first.header("cache-control"), "private, no-cache");
    let again = asked(Some(&tag)).await;
    assert_eq!((again.status.as_u16(), again.header("etag")), (304, &*tag));
    // What happens beyond the page does not touch it.
    posts(&alice, &room, json!({"text": "later"})).await;
    assert_eq!(asked(Some(&tag)).await.status.as_u16(), 304);
    let message = message_path(&room, target);
    changes(&bob, Method::PUT, &format!("{message}/reactions/x"), None)
        .await
        .ok();
    let changed = asked(Some(&tag)).await;
    assert_eq!(changed.status.as_u16(), 200);
    assert_ne!(changed.header("etag"), tag);
}

#[tokio::test]
async fn pages_are_whole_where_messages_are_rare() {
    const BETWEEN: usize = 150;
    let system = System::shared().await;
    let (alice, _, room, mut client) = shared_room(system).await;
    let first = posts(&alice, &room, json!({"text": "first"})).await;
    client.message(&room).await;
    for number in 0..BETWEEN {
        let react = json!({"target": first, "emoji": format!("e{number}"), "on": true});
        client.send(&sends(&room, "react", &react)).await;
    }
    client.messages(&room, BETWEEN).await;
    let last = posts(&alice, &room, json!({"text": "last"})).await;
    let seqs = |page: &Value| -> Vec<u64> {
        let items = page["items"].as_array().expect("items").iter();
        items
            .map(|item| item["seq"].as_u64().expect("a seq"))
            .collect()
    };
    let newest = alice.reads(&room, "limit=2").await;
    assert_eq!(
        (seqs(&newest), &newest["has_before"]),
        (vec![first, last], &false.into())
    );
    let reactions = newest["items"][0]["reactions"]
        .as_array()
        .expect("reactions")
        .len();
    assert_eq!(reactions, BETWEEN);
    let after = alice.reads(&room, &format!("after={first}&limit=1")).await;
    assert_eq!(seqs(&after), [last]);
    let before = alice.reads(&room, &format!("before={last}&limit=1")).await;
    assert_eq!(seqs(&before), [first]);
}
