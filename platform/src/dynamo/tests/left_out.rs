//! What the store leaves out of a batch comes again, seen at the wire: a server that answers like a throttled table.
//!
//! Neither stand-in nor DynamoDB Local ever leaves an item out.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, http::header, response::IntoResponse, routing::post};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::event;
use crate::{
    config::Dynamodb,
    dynamo::{EventWrite, KeyShards, Store, StoreError, events::WRITE_WAIT},
};

const TABLE: &str = "wire-events";
/// One batch and a part of another.
const EVENTS: u64 = 30;

/// A table that takes an item only once it was offered often enough.
#[derive(Clone)]
struct Throttled {
    /// How often an item is left out, by its seq.
    left_out: fn(u64) -> usize,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// Each item as it was offered, time and again.
    offered: BTreeMap<u64, Vec<Value>>,
    taken: BTreeMap<u64, Value>,
    /// When each item was left out last, and how long after that it came again.
    answered: BTreeMap<u64, Instant>,
    waits: Vec<Duration>,
    requests: usize,
}

// === impl Throttled ===

impl Throttled {
    fn new(left_out: fn(u64) -> usize) -> Self {
        Self {
            left_out,
            seen: Arc::default(),
        }
    }

    /// A store whose endpoint is this table.
    async fn serve(&self) -> Store {
        let table = self.clone();
        let answering = post(async move |body: Bytes| {
            let answer = table.answer(&serde_json::from_slice(&body).expect("a request"));
            let media_type = (header::CONTENT_TYPE, "application/x-amz-json-1.0");
            ([media_type], answer.to_string()).into_response()
        });
        let routes = Router::new().route("/", answering);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Store::connect(&Dynamodb {
            endpoint: Some(format!("http://{address}")),
            region: None,
            table_prefix: "wire-".into(),
        })
        .await
    }

    /// Takes what it takes of a BatchWriteItem and gives back the rest.
    fn answer(&self, request: &Value) -> Value {
        let mut seen = self.seen.lock().expect("no panic");
        let seen = &mut *seen;
        seen.requests += 1;
        let tables = request["RequestItems"].as_object().expect("tables");
        assert_eq!(tables.keys().collect::<Vec<_>>(), [TABLE]);
        let puts = tables[TABLE].as_array().expect("writes");
        assert!((1..=25).contains(&puts.len()), "{} writes", puts.len());
        let mut unprocessed = Vec::new();
        for put in puts {
            let item = &put["PutRequest"]["Item"];
            let seq = item["seq"]["N"].as_str().expect("a number");
            let seq: u64 = seq.parse().expect("a number");
            assert!(!seen.taken.contains_key(&seq), "{seq} was taken before");
            if let Some(answered) = seen.answered.get(&seq) {
                let waited = answered.elapsed();
                seen.waits.push(waited);
            }
            let offered = seen.offered.entry(seq).or_default();
            offered.push(item.clone());
            if offered.len() > (self.left_out)(seq) {
                seen.taken.insert(seq, item.clone());
            } else {
                unprocessed.push(put.clone());
                seen.answered.insert(seq, Instant::now());
            }
        }
        match unprocessed.is_empty() {
            true => json!({ "UnprocessedItems": {} }),
            false => json!({ "UnprocessedItems": { (TABLE): unprocessed } }),
        }
    }
}

#[tokio::test]
async fn what_the_store_leaves_out_is_sent_again() {
    let table = Throttled::new(|seq| (seq % 3) as usize);
    let store = table.serve().await;
    let rows: Vec<_> = (1..=EVENTS).map(|seq| event(seq, 100)).collect();
    let writes: Vec<_> = rows
        .iter()
        .map(|row| EventWrite {
            row,
            shards: KeyShards::ONE,
        })
        .collect();
    store.put_events(&writes).await.expect("all are stored");

    let seen = table.seen.lock().expect("no panic");
    assert_eq!(
        seen.taken.keys().copied().collect::<Vec<_>>(),
        (1..=EVENTS).collect::<Vec<_>>()
    );
    for (seq, offered) in &seen.offered {
        assert_eq!(offered.len(), 1 + (seq % 3) as usize, "{seq}");
        assert!(offered.iter().all(|item| *item == offered[0]), "{seq}");
        assert_eq!(seen.taken[seq], offered[0]);
        assert_eq!(offered[0]["room_shard"]["S"], "lobby/0");
    }
    // Each of the two batches went out three times, and never sooner than a throttled store is to be asked again.
    assert_eq!(seen.requests, 6);
    assert!(
        seen.waits.iter().all(|wait| *wait >= WRITE_WAIT.0),
        "{:?}",
        seen.waits
    );
}

#[tokio::test]
async fn a_store_that_never_takes_the_rest_leaves_the_decision_to_the_caller() {
    let table = Throttled::new(|seq| if seq == 2 { usize::MAX } else { 0 });
    let store = table.serve().await;
    let rows = [event(1, 1), event(2, 1), event(3, 1)];
    let writes = rows.each_ref().map(|row| EventWrite {
        row,
        shards: KeyShards::ONE,
    });
    let error = store
        .put_events(&writes)
        .await
        .expect_err("one is left out");
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    let seen = table.seen.lock().expect("no panic");
    assert_eq!(seen.taken.keys().copied().collect::<Vec<_>>(), [1, 3]);
    assert!(seen.offered[&2].len() > 2, "it was tried again and again");
}
