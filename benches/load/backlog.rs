//! How fast a persister catches up on a backlog, beside a loop that writes the same rows and does nothing else.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue, PutRequest, WriteRequest},
};
use serde_json::{Value, json};

use super::{
    harness::{
        Role, Shape, Stack, System, dynamo,
        traffic::{Post, Senders},
        wait::until,
    },
    process,
};

/// The backlog: messages of 200 bytes over so many rooms.
const MESSAGES: usize = 20_000;
const ROOMS: usize = 100;
const SENDERS: usize = 4;
const TEXT_BYTES: usize = 200;

/// Rows of one BatchWriteItem, DynamoDB's limit.
const BATCH_ROWS: usize = 25;
/// Loops of the control side by side; more make DynamoDB Local no faster.
const LOOPS: usize = 8;
/// Far beyond what the slowest machine takes.
const CAUGHT_UP_LIMIT: Duration = Duration::from_secs(300);

/// Fills the log while no persister runs, starts one, and times it; then the control writes the same rows.
pub(crate) async fn measure() -> Value {
    let mut system = System::start(Shape::single(Stack::Real { brokers: 1 })).await;
    let owner = system.user("load");
    let mut rooms = Vec::new();
    for _ in 0..ROOMS {
        rooms.push(owner.opens_room().await);
    }
    until("the rooms to be stored", CAUGHT_UP_LIMIT, async || {
        (stored(&system).await >= ROOMS as u64).then_some(())
    })
    .await;
    system.stop_gracefully(Role::Persister, 0).await;

    let plan = |sender: usize| {
        let numbers = (0..MESSAGES).filter(move |number| number % SENDERS == sender);
        let posts = numbers.map(|number| Post {
            room: rooms[number % ROOMS].clone(),
            id: format!("m-{number}"),
            text: format!("{number:.<TEXT_BYTES$}"),
        });
        (owner.clone(), posts.collect())
    };
    let mut senders = Senders::new(&system.gateways(), (0..SENDERS).map(plan).collect());
    senders.release(MESSAGES);
    senders.finish().await;

    system.restart(Role::Persister, 0).await;
    let pid = system.process(Role::Persister, 0).id();
    let first = until("the persister to begin", CAUGHT_UP_LIMIT, async || {
        let stored = stored(&system).await;
        (stored > 0).then_some((stored, Instant::now(), process::cpu_seconds(pid)))
    })
    .await;
    let (began_with, began, cpu_before) = first;
    until("the persister to catch up", CAUGHT_UP_LIMIT, async || {
        (stored(&system).await >= MESSAGES as u64).then_some(())
    })
    .await;
    let ours = (MESSAGES as u64 - began_with) as f64 / began.elapsed().as_secs_f64();
    let cpu = process::cpu_seconds(pid) - cpu_before;
    let raw = raw_rows_per_second(&system).await;
    json!({
        "events_per_s": ours,
        "raw_rows_per_s": raw,
        "share_of_raw": ours / raw,
        "cpu_s_per_million": cpu / (MESSAGES as f64 / 1e6),
    })
}

/// Events the persister has stored since it began.
async fn stored(system: &System) -> u64 {
    let metrics = system.admin(Role::Persister, 0).get("/metrics").await.ok();
    let lines = metrics.as_str().unwrap_or_default().lines();
    let figure = lines
        .filter_map(|line| line.strip_prefix("roomlog_persister_events_stored_total "))
        .find_map(|value| value.trim().parse::<f64>().ok());
    figure.unwrap_or_default() as u64
}

/// Writes what the persister has written once more, under keys of its own.
async fn raw_rows_per_second(system: &System) -> f64 {
    let client = dynamo::client(&system.dynamodb);
    let table = system.table("events");
    let mut rows = system.rows("events").await;
    for row in &mut rows {
        let key = row["room_shard"].as_s().cloned().unwrap_or_default();
        row.insert("room_shard".into(), AttributeValue::S(format!("raw-{key}")));
    }
    let written = rows.len();
    let share = rows.len().div_ceil(LOOPS);
    let shares: Vec<Vec<dynamo::Row>> = rows.chunks(share).map(<[_]>::to_vec).collect();
    let began = Instant::now();
    futures_util::future::join_all(shares.into_iter().map(|rows| write(&client, &table, rows)))
        .await;
    written as f64 / began.elapsed().as_secs_f64()
}

async fn write(client: &Client, table: &str, rows: Vec<dynamo::Row>) {
    for batch in rows.chunks(BATCH_ROWS) {
        let put = |row: &dynamo::Row| PutRequest::builder().set_item(Some(row.clone())).build();
        let request = |row| {
            WriteRequest::builder()
                .put_request(put(row).unwrap())
                .build()
        };
        let mut left: Vec<WriteRequest> = batch.iter().map(request).collect();
        while !left.is_empty() {
            let call = client.batch_write_item().request_items(table, left);
            let answer = call.send().await.unwrap();
            left = answer
                .unprocessed_items
                .unwrap_or_default()
                .remove(table)
                .unwrap_or_default();
        }
    }
}
