//! Pages of the history as of a head: closed, and to be kept, until something becomes of their messages.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::System;

#[tokio::test]
async fn a_page_as_of_a_head_is_closed_until_something_becomes_of_it() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let mut seqs = Vec::new();
    for text in ["one", "two", "three"] {
        let body = json!({ "text": text });
        let posted = alice
            .rest
            .post(&format!("rooms/{room}/messages"), body)
            .await;
        seqs.push(posted.ok()["seq"].as_u64().expect("a seq"));
    }
    let head = seqs[1];
    let path = format!("rooms/{room}/messages?as_of={head}");
    let asked = async || alice.rest.get(&path).await;
    let texts = |page: &Value| -> Vec<Value> {
        let items = page["items"].as_array().expect("items").iter();
        items.map(|item| item["text"].clone()).collect()
    };
    let closed = asked().await;
    let caching = "private, max-age=300, immutable";
    assert_eq!(closed.header("cache-control"), caching);
    let closed = closed.ok();
    assert_eq!(
        (&closed["head"], texts(&closed)),
        (&json!(head), vec![json!("one"), json!("two")])
    );
    assert!(closed["items"][0]["read_count"].is_null(), "{closed}");

    // What is said later is no matter of this page; what becomes of its messages is.
    let third = format!("rooms/{room}/messages/{}", seqs[2]);
    alice.rest.ask(Method::DELETE, &third, None, &[]).await.ok();
    assert_eq!(asked().await.ok(), closed);
    let first = format!("rooms/{room}/messages/{}", seqs[0]);
    let deleted = alice.rest.ask(Method::DELETE, &first, None, &[]).await.ok();
    let open = asked().await;
    assert_eq!(open.header("cache-control"), "private, no-cache");
    let open = open.ok();
    assert_eq!(open["head"], deleted["seq"]);
    assert_eq!(open["items"][0]["deleted"], true);
    assert!(!open.to_string().contains("one"), "{open}");
    // From the deletion on the page is closed again.
    let later = format!(
        "rooms/{room}/messages?before={}&as_of={}",
        seqs[2], deleted["seq"]
    );
    let later = alice.rest.get(&later).await;
    assert_eq!(later.header("cache-control"), caching);
    let beyond = format!("rooms/{room}/messages?as_of=100000");
    assert_eq!(
        alice.rest.get(&beyond).await.header("cache-control"),
        "private, no-cache"
    );
    for bad in ["as_of=x", "as_of=1&include=all"] {
        let refused = alice
            .rest
            .get(&format!("rooms/{room}/messages?{bad}"))
            .await;
        assert_eq!(refused.refusal(), (400, "bad-request"), "{bad}");
    }
}
