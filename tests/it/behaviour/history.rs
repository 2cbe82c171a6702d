//! A walk through the pages of a room, in either direction, while others post in it and change what was said.

use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Frame, System, User};

/// Messages before the walk begins, and on a page.
const MESSAGES: usize = 60;
const PAGE: usize = 7;
/// Pages after which a walk would never end: the writer has no more than one request under way.
const PAGES_MAX: usize = 1_000;

fn items(page: &Value) -> &[Value] {
    page["items"].as_array().expect("items")
}

fn seq(item: &Value) -> u64 {
    item["seq"].as_u64().expect("a seq")
}

/// From the newest to the oldest; each page but the last is whole. Also the head it began at.
async fn backwards(user: &User, room: &str) -> (Vec<Value>, u64) {
    let mut page = user.reads(room, &format!("limit={PAGE}")).await;
    let head = page["head"].as_u64().expect("a head");
    let mut walked = items(&page).to_vec();
    while page["has_before"] == true {
        let before = seq(&walked[0]);
        let query = format!("before={before}&limit={PAGE}");
        page = user.reads(room, &query).await;
        assert!(items(&page).len() == PAGE || page["has_before"] == false);
        let mut longer = items(&page).to_vec();
        longer.append(&mut walked);
        walked = longer;
    }
    (walked, head)
}

/// From the oldest to the newest, and the head it ended at.
async fn forwards(user: &User, room: &str) -> (Vec<Value>, u64) {
    let mut walked: Vec<Value> = Vec::new();
    for _ in 0..PAGES_MAX {
        let after = walked.last().map_or(0, seq);
        let query = format!("after={after}&limit={PAGE}");
        let page = user.reads(room, &query).await;
        walked.extend_from_slice(items(&page));
        if page["has_after"] == false {
            return (walked, page["head"].as_u64().expect("a head"));
        }
        assert_eq!(items(&page).len(), PAGE, "{page}");
    }
    panic!("a walk without an end");
}

/// Posts, edits and reacts until told to stop. Where its messages are.
async fn writes(user: &User, room: &str, target: u64, is_over: &AtomicBool) -> Vec<u64> {
    let path = format!("rooms/{room}/messages");
    let mut posted = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let number = posted.len();
        let post = json!({ "text": format!("meanwhile {number}") });
        let answer = user.rest.post(&path, post).await.ok();
        posted.push(seq(&answer));
        let edit = json!({ "text": format!("edit {number}") });
        let (message, react) = (format!("{path}/{target}"), json!({}));
        let edited = user.rest.ask(Method::PATCH, &message, Some(edit), &[]);
        edited.await.ok();
        let reaction = format!("{path}/{}/reactions/r{number}", posted[number]);
        let reacted = user.rest.ask(Method::PUT, &reaction, Some(react), &[]);
        reacted.await.ok();
    }
    posted
}

/// Which edit a message shows.
fn edit_of(item: &Value) -> usize {
    let text = item["text"].as_str().expect("a text");
    let number = text.strip_prefix("edit ").expect("an edit");
    number.parse().expect("a number")
}

#[tokio::test]
async fn a_walk_misses_and_repeats_nothing_while_others_post_and_edit() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let room = alice.opens_room().await;
    bob.joins(&room).await;
    let (mut client, _) = bob.watches(&room).await;
    for number in 0..MESSAGES {
        client.send(&Frame::send(&room, &number.to_string())).await;
    }
    let sent = client.messages(&room, MESSAGES).await;
    drop(client);
    let before: Vec<u64> = sent.iter().map(|message| message.number("seq")).collect();
    let target = before[MESSAGES / 2];
    let edit = json!({"text": "edit 0"});
    let path = format!("rooms/{room}/messages/{target}");
    let edited = bob.rest.ask(Method::PATCH, &path, Some(edit), &[]).await;
    edited.ok();

    let is_over = AtomicBool::new(false);
    let walks = async {
        let back = backwards(&alice, &room).await;
        let forth = forwards(&alice, &room).await;
        is_over.store(true, Ordering::Relaxed);
        (back, forth)
    };
    let (meanwhile, (back, forth)) = tokio::join!(writes(&bob, &room, target, &is_over), walks);

    let all: Vec<u64> = before.into_iter().chain(meanwhile).collect();
    let mut shown = Vec::new();
    for (walked, head) in [back, forth] {
        let expected: Vec<u64> = all.iter().copied().filter(|seq| *seq <= head).collect();
        let seqs: Vec<u64> = walked.iter().map(seq).collect();
        assert_eq!(seqs, expected, "up to {head}");
        let changed = walked.iter().find(|item| seq(item) == target);
        shown.push(edit_of(changed.expect("the edited message")));
    }
    assert!(
        shown[0] <= shown[1],
        "what was read later is no older: {shown:?}"
    );
}
