//! `roomlog topics`: make the topics and record what is fixed about them, say how they are, or open a successor.

mod succeed;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use futures_util::future::try_join_all;
use roomlog_platform::{
    config::{Config, Topics},
    dynamo::{Store, TopicRow},
    kafka::{
        DEAD_LETTERS_TOPIC, EVENTS_TOPIC, KafkaConfig, READS_TOPIC,
        topics::{self, Creation, TopicSpec},
    },
};
use serde_json::json;

/// Dead letters wait this long for somebody to look at them: 30 days.
const DEAD_LETTERS_RETENTION: std::time::Duration =
    std::time::Duration::from_secs(30 * 24 * 60 * 60);

/// A topic's first generation; an operator raises it when the topic is recreated or succeeded.
const FIRST_GENERATION: u32 = 1;

/// Options of `roomlog topics`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make the topics that are missing, and record their partition count and duplicate window for good.
    Create,
    /// Say how the brokers describe the topics.
    Describe,
    /// Move room events to a new topic with another partition count or duplicate window. Closes the old one for good.
    Succeed(succeed::Options),
}

pub(crate) async fn run(options: Options, config: &Config) -> anyhow::Result<()> {
    match options.action {
        Action::Create => {
            for (topic, creation) in ensure(config).await? {
                println!(
                    "{}",
                    json!({"topic": topic, "created": creation == Creation::Created})
                );
            }
        }
        Action::Succeed(options) => succeed::run(options, config).await?,
        Action::Describe => {
            let kafka = KafkaConfig::from(&config.kafka);
            let events = events_topic(&Store::connect(&config.dynamodb).await).await?;
            for topic in [events.as_str(), READS_TOPIC, DEAD_LETTERS_TOPIC] {
                let found = topics::describe(&kafka, topic).await?;
                println!(
                    "{}",
                    json!({
                        "topic": topic,
                        "partitions": found.partition_count,
                        "replication": found.replication,
                        "retention_ms": found.retention_ms,
                        "log_append_time": found.log_append_time,
                    })
                );
            }
        }
    }
    Ok(())
}

/// The topics are there and recorded.
pub(crate) async fn ensure(config: &Config) -> anyhow::Result<Vec<(String, Creation)>> {
    let kafka = KafkaConfig::from(&config.kafka);
    let store = Store::connect(&config.dynamodb).await;
    let wanted = specs(&config.topics, &events_topic(&store).await?);
    let made = topics::create(&kafka, &wanted)
        .await
        .context("the topics can't be made")?;
    let kept = wanted.iter().zip(&made);
    let kept = kept.filter(|(spec, _)| spec.name != DEAD_LETTERS_TOPIC);
    try_join_all(kept.map(|(spec, (_, found))| async {
        // What the brokers have is recorded, not what is configured: the topic may have been there before.
        let row = TopicRow {
            topic: spec.name.clone(),
            partition_count: found.partition_count,
            window_offsets: config.topics.window_offsets.into(),
            generation: FIRST_GENERATION,
        };
        let recorded = store
            .create_topic(&row)
            .await
            .context("the topic can't be recorded")?;
        anyhow::Ok(found.check(&spec.name, recorded.partition_count)?)
    }))
    .await?;
    let names = wanted.into_iter().map(|spec| spec.name);
    Ok(names
        .zip(made.into_iter().map(|(creation, _)| creation))
        .collect())
}

/// The topic room events are in, or the first one where none was recorded yet.
async fn events_topic(store: &Store) -> anyhow::Result<String> {
    let topic = store
        .events_topic()
        .await
        .context("the topic of room events can't be learned")?;
    Ok(topic.map_or_else(|| EVENTS_TOPIC.to_owned(), |topic| topic.topic))
}

fn specs(topics: &Topics, events_topic: &str) -> Vec<TopicSpec> {
    let spec = |name: &str, retention| TopicSpec {
        name: name.to_owned(),
        partition_count: topics.partitions,
        replication: topics.replication,
        min_insync: topics.min_insync,
        retention,
    };
    vec![
        spec(events_topic, topics.retention.0),
        spec(READS_TOPIC, topics.retention.0),
        spec(DEAD_LETTERS_TOPIC, DEAD_LETTERS_RETENTION),
    ]
}
