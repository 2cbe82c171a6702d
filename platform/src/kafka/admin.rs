//! The requests by which topics are made, asked about and changed.
//!
//! They go through the client library's admin client. That one never learns of a token, as nothing polls the queue on which
//! it is asked for; who signs in by token therefore has a connection of its own for them.

#[cfg(feature = "msk-iam")]
mod by_token;

use std::{future::Future, time::Duration};

use rdkafka::{
    admin::{
        AdminClient, AdminOptions, AlterConfig, ConfigEntry, ConfigSource, NewTopic,
        ResourceSpecifier, TopicReplication,
    },
    client::DefaultClientContext,
    error::{KafkaResult, RDKafkaErrorCode},
};

use super::{
    KafkaConfig,
    topics::{Creation, REQUEST_TIMEOUT, TopicError, TopicSpec},
};

/// How long the brokers may take to make a topic. It is done once, and a busy controller is no reason to give up.
const CREATION_TIMEOUT: Duration = Duration::from_secs(30);
/// What the client library's own time limit may be late by; it bounds its requests, but not the wait for a first broker.
const GRACE: Duration = Duration::from_secs(1);

/// A topic's setting and its value, if it has one.
pub(super) type Setting = (String, Option<String>);

/// Brokers that take requests about topics.
pub(super) enum Admin {
    /// By way of the client library.
    Library(AdminClient<DefaultClientContext>),
    /// Signed in by token.
    #[cfg(feature = "msk-iam")]
    ByToken(Box<by_token::Connection>),
}

// === impl Admin ===

impl Admin {
    /// # Errors
    /// When a setting is refused, or, signed in by token, no broker takes us.
    pub(super) async fn connect(config: &KafkaConfig) -> Result<Self, TopicError> {
        if config.signs_in_by_token() {
            return signed_in_by_token(config).await;
        }
        let client = config.client(&[]).create();
        client
            .map(Self::Library)
            .map_err(|error| TopicError::Setting(error.to_string()))
    }

    /// Makes a topic with these settings, unless it is there.
    ///
    /// # Errors
    /// When it is refused or the brokers don't answer.
    pub(super) async fn create(
        &mut self,
        topic: &TopicSpec,
        settings: &[(&str, &str)],
    ) -> Result<Creation, TopicError> {
        match self {
            Self::Library(client) => create(client, topic, settings).await,
            #[cfg(feature = "msk-iam")]
            Self::ByToken(connection) => connection.create(topic, settings).await,
        }
    }

    /// Every setting of a topic, the brokers' defaults among them.
    ///
    /// # Errors
    /// When the topic is missing, the question is refused or the brokers don't answer.
    pub(super) async fn settings(&mut self, topic: &str) -> Result<Vec<Setting>, TopicError> {
        match self {
            Self::Library(client) => {
                let entries = entries(client, topic).await?;
                let pairs = entries.into_iter().map(|entry| (entry.name, entry.value));
                Ok(pairs.collect())
            }
            #[cfg(feature = "msk-iam")]
            Self::ByToken(connection) => connection.settings(topic).await,
        }
    }

    /// Gives a topic's setting another value and leaves all its others.
    ///
    /// # Errors
    /// When the topic is missing, the change is refused or the brokers don't answer.
    pub(super) async fn set(
        &mut self,
        topic: &str,
        setting: (&str, &str),
    ) -> Result<(), TopicError> {
        match self {
            Self::Library(client) => set(client, topic, setting).await,
            #[cfg(feature = "msk-iam")]
            Self::ByToken(connection) => connection.set(topic, setting).await,
        }
    }
}

#[cfg(feature = "msk-iam")]
async fn signed_in_by_token(config: &KafkaConfig) -> Result<Admin, TopicError> {
    let connection = by_token::Connection::open(config).await?;
    Ok(Admin::ByToken(Box::new(connection)))
}

#[cfg(not(feature = "msk-iam"))]
async fn signed_in_by_token(_: &KafkaConfig) -> Result<Admin, TopicError> {
    let told = "this program was built without the feature msk-iam";
    Err(TopicError::Setting(told.to_owned()))
}

async fn create(
    client: &AdminClient<DefaultClientContext>,
    topic: &TopicSpec,
    settings: &[(&str, &str)],
) -> Result<Creation, TopicError> {
    let count = i32::try_from(topic.partition_count).unwrap_or(i32::MAX);
    let replication = TopicReplication::Fixed(i32::from(topic.replication));
    let bare = NewTopic::new(&topic.name, count, replication);
    let new = settings
        .iter()
        .fold(bare, |new, (name, value)| new.set(name, value));
    let answers = in_time(
        CREATION_TIMEOUT,
        client.create_topics([&new], &options(CREATION_TIMEOUT)),
    )
    .await?;
    match answers.into_iter().next() {
        Some(Ok(_)) => Ok(Creation::Created),
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(Creation::Existed),
        Some(Err((_, code))) => Err(refused(&topic.name, code)),
        None => Err(no_answer()),
    }
}

async fn entries(
    client: &AdminClient<DefaultClientContext>,
    topic: &str,
) -> Result<Vec<ConfigEntry>, TopicError> {
    let answers = in_time(
        REQUEST_TIMEOUT,
        client.describe_configs(
            [&ResourceSpecifier::Topic(topic)],
            &options(REQUEST_TIMEOUT),
        ),
    )
    .await?;
    match answers.into_iter().next() {
        Some(Ok(settings)) => Ok(settings.entries),
        Some(Err(code)) => Err(refused(topic, code)),
        None => Err(no_answer()),
    }
}

async fn set(
    client: &AdminClient<DefaultClientContext>,
    topic: &str,
    (name, value): (&str, &str),
) -> Result<(), TopicError> {
    // The request replaces all of a topic's own settings, so those it has are given again.
    let entries = entries(client, topic).await?;
    let is_kept =
        |entry: &&ConfigEntry| entry.source == ConfigSource::DynamicTopic && entry.name != name;
    let bare = AlterConfig::new(ResourceSpecifier::Topic(topic));
    let kept = entries
        .iter()
        .filter(is_kept)
        .filter_map(|entry| Some((entry.name.as_str(), entry.value.as_deref()?)));
    let altered = kept.fold(bare, |altered, (name, value)| altered.set(name, value));
    let altered = altered.set(name, value);
    let answers = in_time(
        REQUEST_TIMEOUT,
        client.alter_configs([&altered], &options(REQUEST_TIMEOUT)),
    )
    .await?;
    match answers.into_iter().next() {
        Some(Ok(_)) => Ok(()),
        Some(Err((_, code))) => Err(refused(topic, code)),
        None => Err(no_answer()),
    }
}

fn options(at_most: Duration) -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(at_most))
        .operation_timeout(Some(at_most))
}

async fn in_time<T>(
    at_most: Duration,
    request: impl Future<Output = KafkaResult<T>>,
) -> Result<T, TopicError> {
    match tokio::time::timeout(at_most + GRACE, request).await {
        Ok(answer) => answer.map_err(|error| TopicError::Unavailable(error.to_string())),
        Err(_) => Err(TopicError::Unavailable("no broker could be reached".into())),
    }
}

fn refused(topic: &str, code: RDKafkaErrorCode) -> TopicError {
    match code {
        RDKafkaErrorCode::UnknownTopicOrPartition => TopicError::Missing(topic.to_owned()),
        _ => TopicError::Refused {
            topic: topic.to_owned(),
            reason: code.to_string(),
        },
    }
}

/// The brokers answered for no topic.
fn no_answer() -> TopicError {
    TopicError::Unavailable("an empty answer".into())
}
