//! TLS, sign-in and the cloud's identity, against servers that insist on them.
//!
//! The program under test is built with the feature `kafka-tls`; without it these tests do not exist.

#[cfg(feature = "msk-iam")]
mod by_token;

use crate::harness::{
    Frame, Role, Shape, Stack, System, User,
    dynamo::DynamoLocal,
    process::Program,
    secure::{Certificates, CredentialsAgent, PASSWORD, SecureKafka, SecureRedis, USER},
    wait::SOON,
};

/// A client whose sign-in fails gives up after its own time-out of ten seconds.
const REFUSAL_LIMIT: std::time::Duration = std::time::Duration::from_secs(45);

struct Secured {
    kafka: SecureKafka,
    redis: SecureRedis,
    dynamodb: DynamoLocal,
    agent: CredentialsAgent,
    certificates: Certificates,
}

impl Secured {
    async fn start() -> Self {
        let certificates = Certificates::make().await;
        let (kafka, redis, dynamodb, agent) = tokio::join!(
            SecureKafka::start(&certificates),
            SecureRedis::start(&certificates),
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

    /// How all of them are reached: the keys an operator sets, and none that only a test would.
    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("ROOMLOG_KAFKA_BROKERS", self.kafka.brokers()),
            ("ROOMLOG_KAFKA_SECURITY_PROTOCOL", "SASL_SSL".into()),
            ("ROOMLOG_KAFKA_SASL_MECHANISM", "SCRAM-SHA-512".into()),
            ("ROOMLOG_KAFKA_USERNAME", USER.into()),
            ("ROOMLOG_KAFKA_PASSWORD", PASSWORD.into()),
            ("ROOMLOG_KAFKA_CA_FILE", self.certificates.authority()),
            ("ROOMLOG_REDIS_URL", self.redis.url()),
            ("ROOMLOG_REDIS_CA_FILE", self.certificates.authority()),
            // The store by the identity of the task: no key in the environment, an agent to ask instead.
            ("AWS_ENDPOINT_URL_DYNAMODB", self.dynamodb.endpoint()),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", self.agent.address()),
            ("AWS_ACCESS_KEY_ID", String::new()),
            ("AWS_SECRET_ACCESS_KEY", String::new()),
            ("ROOMLOG_TOPICS_REPLICATION", "1".into()),
            ("ROOMLOG_TOPICS_MIN_INSYNC", "1".into()),
        ]
    }

    /// A system for tools, with one setting other than that.
    fn with(&self, changed: &'static str, value: &str) -> System {
        let mut settings = self.settings();
        settings.retain(|(name, _)| *name != changed);
        settings.push((changed, value.to_owned()));
        System::prepared(&self.dynamodb.endpoint(), &borrowed(&settings))
    }
}

fn borrowed<'a>(settings: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    let pairs = settings.iter().map(|(name, value)| (*name, value.as_str()));
    pairs.collect()
}

/// What one says in a room, the other one hears there.
async fn is_heard(speaker: &User, listener: &User, room: &str, text: &str) {
    let (mut sees, _) = listener.watches(room).await;
    let mut sender = speaker.connects().await;
    sender.request(Frame::send(room, text)).await;
    assert_eq!(sees.message(room).await.json()["text"], text);
}

/// What a tool says that could not sign in and ends so; no secret is in it.
async fn refused(tool: Program, ended: i32) -> String {
    let errors = tool.errors();
    let (code, _) = tool.run_to_exit(REFUSAL_LIMIT).await;
    let printed = std::fs::read_to_string(errors).expect("its standard error");
    assert_eq!(code, Some(ended), "{printed}");
    assert!(!printed.contains("canary"), "{printed}");
    printed
}

#[tokio::test]
async fn everything_works_over_tls_and_sign_in() {
    let secured = Secured::start().await;
    let settings = secured.settings();
    let shape = Shape::single(Stack::Real { brokers: 1 });
    let system = System::on(shape, &secured.dynamodb.endpoint(), &borrowed(&settings)).await;

    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let room = alice.opens_room().await;
    bob.joins(&room).await;
    is_heard(&alice, &bob, &room, "hello").await;

    // The cache holds something only if it was signed in to as well.
    let address = system.admin_address(Role::Fanout, 0);
    crate::harness::wait::until("a write to the cache", SOON, async || {
        let figures = reqwest::get(format!("http://{address}/metrics"))
            .await
            .ok()?;
        let figures = figures.text().await.ok()?;
        figures
            .contains(r#"roomlog_fanout_cache_writes_total{what="tail",result="ok"}"#)
            .then_some(())
    })
    .await;

    let health = |address: &str| system.tool(&["health", "--admin-listen", address]);
    assert_eq!(health(&address).run_to_exit(SOON).await.0, Some(0));
    assert_eq!(health("127.0.0.1:1").run_to_exit(SOON).await.0, Some(1));
}

#[tokio::test]
async fn a_refused_sign_in_says_so_and_hides_the_password() {
    let secured = Secured::start().await;
    let plain = secured.with("ROOMLOG_LOG", "info");
    plain.tool(&["tables", "create"]).run(SOON).await;
    for (changed, value, ended, told) in [
        (
            "ROOMLOG_KAFKA_PASSWORD",
            "canary-wrong",
            1,
            "authentication",
        ),
        ("ROOMLOG_KAFKA_CA_FILE", "", 1, "certificate verify failed"),
        ("ROOMLOG_KAFKA_CA_FILE", "/nowhere.pem", 64, "/nowhere.pem"),
    ] {
        let tool = secured.with(changed, value).tool(&["topics", "describe"]);
        let printed = refused(tool, ended).await;
        assert!(printed.to_lowercase().contains(told), "{told}: {printed}");
    }
    let shown = plain.tool(&["config", "show"]).run(SOON).await;
    assert!(shown.contains(USER) && !shown.contains("canary"), "{shown}");
}
