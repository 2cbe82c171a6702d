//! `roomlog topics succeed`: room events move to a new topic, and every room's seq goes on.
//!
//! Every step can be made again, so a run that was cut off is run again; the last one alone opens the new topic.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use clap::Args;
use roomlog_core::{
    partition::partition_of,
    room_log::{Position, WINDOW_MS},
};
use roomlog_platform::{
    config::Config,
    dynamo::{PartitionRow, Store, TopicRow},
    kafka::{self, KafkaConfig, Reader, topics},
};
use serde_json::json;
use tokio::time::Instant;

use super::specs;

/// How often the persister's rows are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Options of `roomlog topics succeed`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The new topic's name, like chat.events.v2.
    #[arg(long, value_name = "TOPIC")]
    name: String,
    /// Its partition count.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    partitions: u32,
    /// The longest to wait until the persister has stored everything, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    wait: u64,
}

pub(super) async fn run(options: Options, config: &Config) -> anyhow::Result<()> {
    let (kafka, store) = (
        KafkaConfig::from(&config.kafka),
        Store::connect(&config.dynamodb).await,
    );
    let old = store.events_topic().await?;
    let old = old.context("no topic is recorded; `roomlog topics create` makes the first one")?;
    if old.topic == options.name {
        println!("{}", json!({"topic": old.topic, "opened": false}));
        return Ok(());
    }
    let new = TopicRow {
        topic: options.name.clone(),
        partition_count: options.partitions,
        window_offsets: config.topics.window_offsets.into(),
        generation: old.generation + 1,
    };
    make(config, &kafka, &store, &new).await?;
    // Partitions that somebody has added hold nothing that was numbered, and are a reason to move.
    let found = topics::describe(&kafka, &old.topic).await?.partition_count;
    ensure!(
        found >= old.partition_count,
        "topic {} has {found} of {} partitions",
        old.topic,
        old.partition_count
    );
    kafka::close(&kafka, &old.topic).await?;
    eprintln!("{} takes no more records", old.topic);
    all_is_stored(&kafka, &store, &old, Duration::from_secs(options.wait)).await?;
    let since_ms = now_ms()? - WINDOW_MS;
    let carried = kafka::carry(
        &kafka,
        (&old.topic, old.partition_count),
        &new.topic,
        (new.window_offsets, since_ms),
    )
    .await?;
    let rooms = place(&kafka, &store, &new).await?;
    store.open_events_topic(&new).await?;
    let report = json!({
        "topic": new.topic, "opened": true, "generation": new.generation, "partitions": new.partition_count,
        "rooms": rooms, "carried_ids": carried,
    });
    println!("{report}");
    Ok(())
}

/// Makes and records the new topic.
async fn make(
    config: &Config,
    kafka: &KafkaConfig,
    store: &Store,
    new: &TopicRow,
) -> anyhow::Result<()> {
    let mut spec = specs(&config.topics, &new.topic);
    spec.truncate(1);
    spec[0].partition_count = new.partition_count;
    let made = topics::create(kafka, &spec)
        .await
        .context("the topic can't be made")?;
    let recorded = store.create_topic(new).await?;
    ensure!(
        recorded == *new,
        "topic {} is recorded already with {} partitions, a window of {} and generation {}",
        new.topic,
        recorded.partition_count,
        recorded.window_offsets,
        recorded.generation
    );
    for (_, found) in made {
        found.check(&new.topic, new.partition_count)?;
    }
    Ok(())
}

/// Waits until every record of a closed topic is stored.
async fn all_is_stored(
    kafka: &KafkaConfig,
    store: &Store,
    topic: &TopicRow,
    at_most: Duration,
) -> anyhow::Result<()> {
    let reader = Reader::new(kafka, &topic.topic, "roomlog-topics")?;
    let deadline = Instant::now() + at_most;
    for partition in 0..topic.partition_count {
        loop {
            // The end first: it does not move any more.
            let end = reader.watermarks(partition).await?.high;
            let row = store.partition(&topic.topic, partition).await?;
            let stored = row.map_or(0, |row| row.position.offset);
            if stored >= end {
                break;
            }
            ensure!(
                Instant::now() < deadline,
                "partition {partition} is stored up to {stored} of {end}; is the persister running? Run this again then"
            );
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    Ok(())
}

/// Gives every room its new partition, and every partition the place where its numbering begins: behind what was carried
/// over, with all that its rooms hold. How many rooms there are.
async fn place(kafka: &KafkaConfig, store: &Store, new: &TopicRow) -> anyhow::Result<usize> {
    let mut accepted = vec![0; new.partition_count as usize];
    let (mut rooms, mut after) = (0, None);
    loop {
        let (page, next) = store.every_room(after.as_ref()).await?;
        for room in &page {
            let partition = partition_of(room.key.as_str().as_bytes(), new.partition_count);
            accepted[partition as usize] += room.head.seq.0;
            if room.partition != partition {
                store.place_room(&room.key, partition).await?;
            }
        }
        rooms += page.len();
        after = next;
        if after.is_none() {
            break;
        }
    }
    let reader = Reader::new(kafka, &new.topic, "roomlog-topics")?;
    for (partition, accepted) in (0..).zip(accepted) {
        let position = Position {
            generation: new.generation,
            offset: reader.watermarks(partition).await?.high,
        };
        let row = PartitionRow { position, accepted };
        store.move_partition(&new.topic, partition, row).await?;
    }
    Ok(rooms)
}

fn now_ms() -> anyhow::Result<i64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(i64::try_from(since.as_millis())?)
}
