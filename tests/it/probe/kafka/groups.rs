//! Consumer groups: membership, static members, commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rdkafka::consumer::{
    BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance, StreamConsumer,
};
use rdkafka::{ClientContext, Message, Offset, TopicPartitionList};
use tokio::task::JoinHandle;

use super::{CALL, admin, blocking, client, create_topic, options, producer, send};
use crate::probe::{Failure, Outcome, Report, ensure, fresh, same};

/// Partitions shared in these checks.
const PARTITIONS: i32 = 8;

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Counts a member's rebalances.
#[derive(Clone, Default)]
struct Rebalances(Arc<AtomicU32>);

/// A member of a group that reads all it is given.
struct MemberOfGroup {
    consumer: Arc<StreamConsumer<Rebalances>>,
    reading: JoinHandle<()>,
}

pub(super) async fn run(addr: &str, report: &mut Report) {
    report
        .check(
            "two members share, and one that leaves gives back",
            shares(addr),
        )
        .await;
    report
        .check(
            "a static member that returns disturbs nobody",
            returns(addr),
        )
        .await;
    report
        .check("a group resumes at its commit", resumes(addr))
        .await;
    report
        .check(
            "offsets can be committed without members",
            commits_outside(addr),
        )
        .await;
    report
        .check("two groups read independently", independent(addr))
        .await;
    report
        .check("groups are listed, described and deleted", lists(addr))
        .await;
}

impl ClientContext for Rebalances {}

impl ConsumerContext for Rebalances {
    fn post_rebalance(&self, _: &BaseConsumer<Self>, _: &Rebalance<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl MemberOfGroup {
    fn join(
        addr: &str,
        group: &str,
        topic: &str,
        instance: Option<&str>,
    ) -> Result<MemberOfGroup, Failure> {
        let mut config = client(addr);
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", "10000")
            .set("heartbeat.interval.ms", "300");
        if let Some(instance) = instance {
            config.set("group.instance.id", instance);
        }
        let consumer: StreamConsumer<Rebalances> =
            config.create_with_context(Rebalances::default())?;
        consumer.subscribe(&[topic])?;
        let consumer = Arc::new(consumer);
        let reader = Arc::clone(&consumer);
        // Reading is what drives the membership.
        let reading = tokio::spawn(async move {
            loop {
                let _ = reader.recv().await;
            }
        });
        Ok(MemberOfGroup { consumer, reading })
    }

    fn rebalances(&self) -> u32 {
        self.consumer.context().0.load(Ordering::SeqCst)
    }

    fn partitions(&self) -> usize {
        self.consumer
            .assignment()
            .map_or(0, |assignment| assignment.count())
    }

    async fn has(&self, partitions: usize) {
        while self.partitions() != partitions {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Closes the consumer: a dynamic member leaves its group then, a static one stays in it.
    async fn close(self) -> Outcome {
        self.reading.abort();
        let _ = self.reading.await;
        Ok(tokio::task::spawn_blocking(move || drop(self.consumer)).await?)
    }
}

async fn shares(addr: &str) -> Outcome {
    let (topic, group) = (fresh("share"), fresh("group"));
    create_topic(addr, &topic, PARTITIONS).await?;
    let first = MemberOfGroup::join(addr, &group, &topic, None)?;
    first.has(8).await;
    let second = MemberOfGroup::join(addr, &group, &topic, None)?;
    tokio::join!(first.has(4), second.has(4));
    second.close().await?;
    first.has(8).await;
    first.close().await
}

async fn returns(addr: &str) -> Outcome {
    let (topic, group) = (fresh("static"), fresh("group"));
    create_topic(addr, &topic, PARTITIONS).await?;
    let first = MemberOfGroup::join(addr, &group, &topic, Some("one"))?;
    first.has(8).await;
    let second = MemberOfGroup::join(addr, &group, &topic, Some("two"))?;
    tokio::join!(first.has(4), second.has(4));
    // Cooperative rebalances come in two rounds: the second may still be under way when the shares are right.
    let mut settled = (first.rebalances(), 0);
    while settled.1 < 50 {
        tokio::time::sleep(LOOK).await;
        let now = first.rebalances();
        settled = if now == settled.0 {
            (now, settled.1 + 1)
        } else {
            (now, 0)
        };
    }
    second.close().await?;
    let second = MemberOfGroup::join(addr, &group, &topic, Some("two"))?;
    second.has(4).await;
    same("partitions of the other", first.partitions(), 4)?;
    same("rebalances of the other", first.rebalances(), settled.0)?;
    second.close().await?;
    first.close().await
}

/// A consumer of a group, subscribed, that reads record by record.
fn consumer(addr: &str, group: &str, topic: &str) -> Result<StreamConsumer, Failure> {
    let mut config = client(addr);
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("partition.assignment.strategy", "cooperative-sticky");
    let consumer: StreamConsumer = config.create()?;
    consumer.subscribe(&[topic])?;
    Ok(consumer)
}

async fn filled(addr: &str) -> Result<String, Failure> {
    let topic = fresh("commit");
    create_topic(addr, &topic, 1).await?;
    let producer = producer(addr, "none")?;
    for number in 0..30 {
        send(&producer, &topic, "key", &number.to_string()).await?;
    }
    Ok(topic)
}

async fn committed(addr: &str, group: &str, topic: &str) -> Result<Offset, Failure> {
    let topic = topic.to_owned();
    let config = {
        let mut config = client(addr);
        config.set("group.id", group);
        config
    };
    blocking(addr, move |_| {
        let consumer: BaseConsumer = config.create()?;
        let mut list = TopicPartitionList::new();
        list.add_partition(&topic, 0);
        Ok(consumer.committed_offsets(list, CALL)?.elements()[0].offset())
    })
    .await
}

async fn resumes(addr: &str) -> Outcome {
    let (topic, group) = (filled(addr).await?, fresh("group"));
    {
        let consumer = consumer(addr, &group, &topic)?;
        for offset in 0..20 {
            let message = consumer.recv().await?;
            same("offset", message.offset(), offset)?;
            if offset == 14 {
                consumer.commit_message(&message, CommitMode::Sync)?;
            }
        }
    }
    same(
        "commit",
        committed(addr, &group, &topic).await?,
        Offset::Offset(15),
    )?;
    let consumer = consumer(addr, &group, &topic)?;
    same("resumed", consumer.recv().await?.offset(), 15)
}

async fn commits_outside(addr: &str) -> Outcome {
    let (topic, group) = (filled(addr).await?, fresh("group"));
    same(
        "before",
        committed(addr, &group, &topic).await?,
        Offset::Invalid,
    )?;
    let mut config = client(addr);
    config.set("group.id", &group);
    let commit_topic = topic.clone();
    blocking(addr, move |_| {
        let consumer: BaseConsumer = config.create()?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&commit_topic, 0, Offset::Offset(7))?;
        Ok(consumer.commit(&list, CommitMode::Sync)?)
    })
    .await?;
    same(
        "after",
        committed(addr, &group, &topic).await?,
        Offset::Offset(7),
    )
}

async fn independent(addr: &str) -> Outcome {
    let topic = filled(addr).await?;
    for _ in 0..2 {
        let consumer = consumer(addr, &fresh("group"), &topic)?;
        for offset in 0..30 {
            same("offset", consumer.recv().await?.offset(), offset)?;
        }
    }
    Ok(())
}

async fn lists(addr: &str) -> Outcome {
    let (topic, group) = (filled(addr).await?, fresh("group"));
    let consumer = consumer(addr, &group, &topic)?;
    let message = consumer.recv().await?;
    consumer.commit_message(&message, CommitMode::Sync)?;
    drop(message);
    let wanted = group.clone();
    let state = blocking(addr, move |asking| {
        let list = asking.fetch_group_list(Some(&wanted), CALL)?;
        let found = list.groups().first().ok_or("not listed")?;
        Ok((
            found.state().to_owned(),
            found.protocol().to_owned(),
            found.members().len(),
        ))
    });
    same(
        "described",
        state.await?,
        ("Stable".to_owned(), "cooperative-sticky".to_owned(), 1),
    )?;
    let refused = admin(addr)?.delete_groups(&[&group], &options()).await?;
    ensure(
        refused.iter().all(Result::is_err),
        "a group with a member was deleted",
    )?;
    tokio::task::spawn_blocking(move || drop(consumer)).await?;
    let deleted = admin(addr)?.delete_groups(&[&group], &options()).await?;
    ensure(deleted.iter().all(Result::is_ok), format!("{deleted:?}"))?;
    same(
        "commit",
        committed(addr, &group, &topic).await?,
        Offset::Invalid,
    )
}
