//! The program on brokers where one signs in by an AWS identity, as on Amazon MSK: it makes its topics itself, runs, and
//! moves to another topic.

use std::collections::HashMap;

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, ResourceSpecifier},
    client::DefaultClientContext,
};

use super::{borrowed, is_heard, refused};
use crate::{
    behaviour::tools::lines,
    harness::{
        Role, Shape, Stack, System,
        dynamo::{DynamoLocal, REGION},
        redis::Redis,
        secure::{Certificates, CredentialsAgent, TokenKafka},
        wait::SOON,
    },
};

const TOPIC: &str = "chat.events.v1";
const SUCCESSOR: &str = "chat.events.v2";
const DEAD_LETTERS: &str = "chat.dlq.v1";

struct Cloud {
    kafka: TokenKafka,
    redis: Redis,
    dynamodb: DynamoLocal,
    agent: CredentialsAgent,
    certificates: Certificates,
}

impl Cloud {
    async fn start() -> Self {
        let certificates = Certificates::make().await;
        let (kafka, redis, dynamodb, agent) = tokio::join!(
            TokenKafka::start(&certificates),
            Redis::start(),
            DynamoLocal::start(),
            CredentialsAgent::start(),
        );
        Self {
            kafka,
            redis,
            dynamodb,
            agent,
            certificates,
        }
    }

    /// As the modules of infra/terraform set them, but for the addresses and one broker instead of three.
    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("ROOMLOG_KAFKA_BROKERS", self.kafka.brokers()),
            ("ROOMLOG_KAFKA_SECURITY_PROTOCOL", "SASL_SSL".into()),
            ("ROOMLOG_KAFKA_SASL_MECHANISM", "AWS_MSK_IAM".into()),
            ("ROOMLOG_KAFKA_CA_FILE", self.certificates.authority()),
            ("ROOMLOG_REDIS_URL", self.redis.url()),
            ("ROOMLOG_TOPICS_REPLICATION", "1".into()),
            ("ROOMLOG_TOPICS_MIN_INSYNC", "1".into()),
            ("AWS_ENDPOINT_URL_DYNAMODB", self.dynamodb.endpoint()),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", self.agent.address()),
            ("AWS_REGION", REGION.into()),
            ("AWS_ACCESS_KEY_ID", String::new()),
            ("AWS_SECRET_ACCESS_KEY", String::new()),
        ]
    }

    /// A system for tools, with some settings other than that.
    fn with(&self, changed: Vec<(&'static str, String)>) -> System {
        let mut settings = self.settings();
        settings.retain(|(name, _)| changed.iter().all(|(other, _)| name != other));
        settings.extend(changed);
        System::prepared(&self.dynamodb.endpoint(), &borrowed(&settings))
    }

    /// A topic's settings, asked for by somebody else.
    async fn settings_of(&self, topic: &str) -> HashMap<String, String> {
        let client: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", self.kafka.inner())
            .create()
            .expect("an admin client");
        let question = ResourceSpecifier::Topic(topic);
        let answers = client
            .describe_configs([&question], &AdminOptions::new())
            .await;
        let answer = answers.expect("an answer").remove(0).expect("a topic");
        let pairs = answer.entries.into_iter();
        pairs
            .filter_map(|entry| Some((entry.name, entry.value?)))
            .collect()
    }
}

#[tokio::test]
async fn makes_topics_signed_in_by_token() {
    let cloud = Cloud::start().await;
    let system = cloud.with(Vec::new());
    system.tool(&["tables", "create"]).run(SOON).await;
    for is_new in [true, false] {
        let made = lines(system.tool(&["topics", "create"])).await;
        assert_eq!(made.len(), 3, "{made:?}");
        assert!(
            made.iter().all(|line| line["created"] == is_new),
            "{made:?}"
        );
    }

    let events = cloud.settings_of(TOPIC).await;
    for (name, value) in [
        ("message.timestamp.type", "LogAppendTime"),
        ("unclean.leader.election.enable", "false"),
        ("max.message.bytes", "1048588"),
        ("min.insync.replicas", "1"),
    ] {
        assert_eq!(events[name], value, "{name}");
    }
    let letters = cloud.settings_of(DEAD_LETTERS).await;
    assert_eq!(letters["max.message.bytes"], "2097152");

    let described = lines(system.tool(&["topics", "describe"])).await;
    assert_eq!(described[0]["log_append_time"], true, "{described:?}");
    let retention_ms = described[0]["retention_ms"].to_string();
    assert_eq!(retention_ms, events["retention.ms"]);
}

#[tokio::test]
async fn everything_works_and_moves_to_another_topic_signed_in_by_token() {
    let cloud = Cloud::start().await;
    let settings = cloud.settings();
    let shape = Shape::single(Stack::Real { brokers: 1 });
    let mut system = System::on(shape, &cloud.dynamodb.endpoint(), &borrowed(&settings)).await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let room = alice.opens_room().await;
    bob.joins(&room).await;
    is_heard(&alice, &bob, &room, "hello").await;

    let before = cloud.settings_of(TOPIC).await;
    system.stop_gracefully(Role::Gateway, 0).await;
    let to = ["--name", SUCCESSOR, "--partitions", "8"];
    let succeed: Vec<&str> = ["topics", "succeed"].into_iter().chain(to).collect();
    let done = lines(system.tool(&succeed)).await;
    assert_eq!(done[0]["opened"], true, "{done:?}");
    let closed = cloud.settings_of(TOPIC).await;
    assert_eq!(closed["max.message.bytes"], "1", "nothing fits any more");
    let kept = |settings: &HashMap<String, String>| {
        let mut settings = settings.clone();
        settings.remove("max.message.bytes");
        settings
    };
    assert_eq!(kept(&closed), kept(&before), "all else is as it was");

    for role in [Role::Fanout, Role::Persister] {
        system.stop_gracefully(role, 0).await;
    }
    for role in [Role::Fanout, Role::Persister, Role::Gateway] {
        system.restart(role, 0).await;
    }
    is_heard(&alice, &bob, &room, "again").await;
}

#[tokio::test]
async fn a_refused_token_says_so() {
    let cloud = Cloud::start().await;
    let stranger = CredentialsAgent::with("canary-another-secret").await;
    cloud
        .with(Vec::new())
        .tool(&["tables", "create"])
        .run(SOON)
        .await;
    let others = Certificates::make().await;
    let authority = ("ROOMLOG_KAFKA_CA_FILE", others.authority());
    let key = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", stranger.address());
    for (changed, told) in [
        (
            key,
            "SASL authentication error: SaslAuthenticationFailed: Access denied",
        ),
        (authority, "TLS handshake failed: invalid peer certificate"),
    ] {
        let tool = cloud.with(vec![changed]).tool(&["topics", "create"]);
        let printed = refused(tool, 1).await;
        assert!(printed.contains(told), "{told}: {printed}");
    }
}
