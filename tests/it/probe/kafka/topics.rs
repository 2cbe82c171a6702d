//! Topics: making, describing, growing and removing them.

use rdkafka::admin::{
    AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication, TopicResult,
};
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;

use super::{CALL, admin, blocking, client, create_topic, options, send};
use crate::probe::{Failure, Outcome, Report, ensure, fresh, same};

pub(super) async fn run(addr: &str, report: &mut Report) {
    report
        .check(
            "a topic has the partitions and settings it was made with",
            describes(addr),
        )
        .await;
    report
        .check("a topic that exists is not made again", exists(addr))
        .await;
    report
        .check("impossible topics are refused", impossible(addr))
        .await;
    report.check("a topic can be grown", grows(addr)).await;
    report.check("settings can be changed", alters(addr)).await;
    report.check("a deleted topic is gone", deletes(addr)).await;
    report
        .check("an unknown topic takes no records", unknown(addr))
        .await;
}

async fn partitions(addr: &str, topic: &str) -> Result<usize, Failure> {
    let topic = topic.to_owned();
    blocking(addr, move |consumer| {
        let metadata = consumer.fetch_metadata(Some(&topic), CALL)?;
        let topic = metadata
            .topics()
            .first()
            .ok_or("no topic in the metadata")?;
        Ok(topic.partitions().len())
    })
    .await
}

async fn setting(addr: &str, topic: &str, name: &str) -> Result<Option<String>, Failure> {
    let described = admin(addr)?
        .describe_configs(&[ResourceSpecifier::Topic(topic)], &options())
        .await?;
    let described = described.into_iter().next().ok_or("nothing described")?;
    let described = described.map_err(|code| code.to_string())?;
    Ok(described.get(name).and_then(|entry| entry.value.clone()))
}

/// What became of each topic, without the names of those that were refused.
fn codes(results: Vec<TopicResult>) -> Vec<Result<String, RDKafkaErrorCode>> {
    let results = results.into_iter();
    results
        .map(|result| result.map_err(|(_, code)| code))
        .collect()
}

async fn describes(addr: &str) -> Outcome {
    let topic = fresh("describe");
    create_topic(addr, &topic, 8).await?;
    same("partitions", partitions(addr, &topic).await?, 8)?;
    let time = setting(addr, &topic, "message.timestamp.type").await?;
    same("timestamp type", time.as_deref(), Some("LogAppendTime"))?;
    let retention = setting(addr, &topic, "retention.ms").await?;
    same("retention", retention.as_deref(), Some("604800000"))?;
    let policy = setting(addr, &topic, "cleanup.policy").await?;
    same("default", policy.as_deref(), Some("delete"))
}

async fn exists(addr: &str) -> Outcome {
    let topic = fresh("exists");
    create_topic(addr, &topic, 1).await?;
    let wanted = NewTopic::new(&topic, 1, TopicReplication::Fixed(1));
    let again = admin(addr)?.create_topics(&[wanted], &options()).await?;
    same(
        "second time",
        codes(again),
        vec![Err(RDKafkaErrorCode::TopicAlreadyExists)],
    )
}

async fn impossible(addr: &str) -> Outcome {
    let topic = fresh("impossible");
    let cases = [
        (
            NewTopic::new("not/a/name", 1, TopicReplication::Fixed(1)),
            RDKafkaErrorCode::InvalidTopic,
        ),
        (
            NewTopic::new(&topic, 0, TopicReplication::Fixed(1)),
            RDKafkaErrorCode::InvalidPartitions,
        ),
        (
            NewTopic::new(&topic, 1, TopicReplication::Fixed(7)),
            RDKafkaErrorCode::InvalidReplicationFactor,
        ),
        (
            NewTopic::new(&topic, 1, TopicReplication::Fixed(1)).set("no.such.setting", "1"),
            RDKafkaErrorCode::InvalidConfig,
        ),
    ];
    for (wanted, expected) in cases {
        let results = admin(addr)?.create_topics(&[wanted], &options()).await?;
        same("refusal", codes(results), vec![Err(expected)])?;
    }
    Ok(())
}

async fn grows(addr: &str) -> Outcome {
    let topic = fresh("grow");
    create_topic(addr, &topic, 2).await?;
    let admin = admin(addr)?;
    let grown = admin
        .create_partitions(&[NewPartitions::new(&topic, 5)], &options())
        .await?;
    ensure(grown.iter().all(Result::is_ok), format!("{grown:?}"))?;
    same("partitions", partitions(addr, &topic).await?, 5)?;
    let shrunk = admin
        .create_partitions(&[NewPartitions::new(&topic, 3)], &options())
        .await?;
    same(
        "shrinking",
        codes(shrunk),
        vec![Err(RDKafkaErrorCode::InvalidPartitions)],
    )
}

async fn alters(addr: &str) -> Outcome {
    let topic = fresh("alter");
    create_topic(addr, &topic, 1).await?;
    let change = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("retention.ms", "1000000");
    let altered = admin(addr)?.alter_configs(&[change], &options()).await?;
    ensure(altered.iter().all(Result::is_ok), format!("{altered:?}"))?;
    // A broker may show a change a moment after it has taken it.
    for _ in 0..100 {
        let retention = setting(addr, &topic, "retention.ms").await?;
        if retention.as_deref() == Some("1000000") {
            return Ok(());
        }
    }
    Err("the change does not show".into())
}

async fn deletes(addr: &str) -> Outcome {
    let topic = fresh("delete");
    create_topic(addr, &topic, 1).await?;
    let admin = admin(addr)?;
    let deleted = admin.delete_topics(&[&topic], &options()).await?;
    ensure(deleted.iter().all(Result::is_ok), format!("{deleted:?}"))?;
    let again = admin.delete_topics(&[&topic], &options()).await?;
    same(
        "second time",
        codes(again),
        vec![Err(RDKafkaErrorCode::UnknownTopicOrPartition)],
    )
}

async fn unknown(addr: &str) -> Outcome {
    let mut config = client(addr);
    // The client waits for a topic to appear; nobody is going to make this one.
    config.set("topic.metadata.propagation.max.ms", "1000");
    let sent = send(&config.create()?, &fresh("unknown"), "key", "value").await;
    ensure(
        sent.is_err(),
        "a record for an unknown topic was acknowledged",
    )
}
