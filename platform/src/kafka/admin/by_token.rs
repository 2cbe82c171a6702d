//! A connection to one broker over TLS, signed in by token (RFC 7628), for the few requests about topics.
//!
//! It speaks versions of the protocol that brokers from 2.4 to 4 understand, so nothing is negotiated. Whichever broker is
//! asked passes changes on to the controller.

mod tls;

use std::{io, time::Duration};

use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    error::{ParseResponseErrorCode as _, ResponseError},
    messages::{
        CreateTopicsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest, RequestHeader,
        ResponseHeader, SaslAuthenticateRequest, SaslHandshakeRequest, TopicName,
        create_topics_request::{CreatableTopic, CreatableTopicConfig},
        describe_configs_request::DescribeConfigsResource,
        incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig},
    },
    protocol::{
        Decodable as _, HeaderVersion as _, Request, StrBytes, encode_request_header_into_buffer,
    },
};
use thiserror::Error;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{CREATION_TIMEOUT, GRACE, Setting, no_answer};
use crate::kafka::{
    KafkaConfig,
    topics::{Creation, REQUEST_TIMEOUT, TopicError, TopicSpec},
};

/// How long one broker may take until it is connected to; then the next is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of an answer. The longest, a topic's settings, has a few thousand; a longer one ends the connection.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// What a request names a topic by, among the kinds of things that have settings.
const TOPIC: i8 = 2;
/// A change that sets a value.
const SET: i8 = 0;

const MECHANISM: &str = "OAUTHBEARER";

/// The versions of the requests: the last ones before the compact encoding.
const HANDSHAKE_VERSION: i16 = 1;
const AUTHENTICATE_VERSION: i16 = 1;
const CREATE_VERSION: i16 = 4;
const DESCRIBE_VERSION: i16 = 1;
const ALTER_VERSION: i16 = 0;

/// A broker that knows who we are. It answers one request after another.
pub(in crate::kafka) struct Connection {
    stream: TlsStream<TcpStream>,
    /// The number of the latest request.
    latest: i32,
}

/// Why a request has no answer.
#[derive(Debug, Error)]
enum ExchangeError {
    #[error(transparent)]
    Socket(#[from] io::Error),
    #[error("no answer within {0:?}")]
    TooLate(Duration),
    #[error("an answer of {0} bytes is not possible")]
    Length(i32),
    #[error("an answer to another request")]
    Number,
    #[error("the protocol was not understood: {0}")]
    Shape(String),
}

// === impl Connection ===

impl Connection {
    /// Signs in at the first broker that can be reached. What is told of several failures is the first.
    ///
    /// # Errors
    /// When there is no token, no broker can be reached, or the token is refused.
    pub(super) async fn open(config: &KafkaConfig) -> Result<Self, TopicError> {
        let (connector, token) = tls::prepared(config).await?;
        let mut first = None;
        for broker in config.brokers.split(',').map(str::trim) {
            match Self::to(broker, &connector, &token).await {
                Ok(connection) => return Ok(connection),
                Err(error) => first.get_or_insert(error),
            };
        }
        Err(first.unwrap_or_else(|| TopicError::Setting("no broker is named".into())))
    }

    async fn to(broker: &str, connector: &TlsConnector, token: &str) -> Result<Self, TopicError> {
        let stream = timeout(CONNECT_TIMEOUT, tls::connect(broker, connector)).await;
        let stream = stream.unwrap_or(Err(io::ErrorKind::TimedOut.into()));
        let stream =
            stream.map_err(|error| TopicError::Unavailable(format!("{broker}: {error}")))?;
        let mut connection = Self { stream, latest: 0 };
        connection.sign_in(token).await?;
        Ok(connection)
    }

    async fn sign_in(&mut self, token: &str) -> Result<(), TopicError> {
        let mechanism = StrBytes::from_static_str(MECHANISM);
        let handshake = SaslHandshakeRequest::default().with_mechanism(mechanism);
        let answer = self.ask(HANDSHAKE_VERSION, &handshake).await?;
        if answer.error_code != 0 {
            let offered: Vec<&str> = answer.mechanisms.iter().map(|name| &**name).collect();
            let offered = offered.join(", ");
            return Err(not_signed_in(&format!(
                "the broker takes {offered} and no token"
            )));
        }
        let message = Bytes::from(format!("n,,\u{1}auth=Bearer {token}\u{1}\u{1}"));
        let authenticate = SaslAuthenticateRequest::default().with_auth_bytes(message);
        let answer = self.ask(AUTHENTICATE_VERSION, &authenticate).await?;
        match answer.error_code.err() {
            Some(code) => Err(not_signed_in(&explained(code, answer.error_message))),
            // A refusal comes as a challenge that says why.
            None if !answer.auth_bytes.is_empty() => {
                Err(not_signed_in(&String::from_utf8_lossy(&answer.auth_bytes)))
            }
            None => Ok(()),
        }
    }

    pub(super) async fn create(
        &mut self,
        topic: &TopicSpec,
        settings: &[(&str, &str)],
    ) -> Result<Creation, TopicError> {
        let settings = settings.iter().map(|(name, value)| {
            CreatableTopicConfig::default()
                .with_name(text(name))
                .with_value(Some(text(value)))
        });
        let new = CreatableTopic::default()
            .with_name(TopicName(text(&topic.name)))
            .with_num_partitions(i32::try_from(topic.partition_count).unwrap_or(i32::MAX))
            .with_replication_factor(i16::try_from(topic.replication).unwrap_or(i16::MAX))
            .with_configs(settings.collect());
        let at_most = i32::try_from(CREATION_TIMEOUT.as_millis()).unwrap_or(i32::MAX);
        let request = CreateTopicsRequest::default()
            .with_topics(vec![new])
            .with_timeout_ms(at_most);
        let answer = self
            .ask_for(CREATION_TIMEOUT + GRACE, CREATE_VERSION, &request)
            .await?;
        let answer = answer.topics.into_iter().next().ok_or_else(no_answer)?;
        match answer.error_code.err() {
            None => Ok(Creation::Created),
            Some(ResponseError::TopicAlreadyExists) => Ok(Creation::Existed),
            Some(code) => Err(refused(&topic.name, code, answer.error_message)),
        }
    }

    pub(super) async fn settings(&mut self, topic: &str) -> Result<Vec<Setting>, TopicError> {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text(topic))
            .with_configuration_keys(None);
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let answer = self.ask(DESCRIBE_VERSION, &request).await?;
        let answer = answer.results.into_iter().next().ok_or_else(no_answer)?;
        if let Some(code) = answer.error_code.err() {
            return Err(refused(topic, code, answer.error_message));
        }
        let settings = answer.configs.into_iter().map(|setting| {
            let value = setting.value.map(|value| value.to_string());
            (setting.name.to_string(), value)
        });
        Ok(settings.collect())
    }

    pub(super) async fn set(
        &mut self,
        topic: &str,
        (name, value): (&str, &str),
    ) -> Result<(), TopicError> {
        let setting = AlterableConfig::default()
            .with_name(text(name))
            .with_config_operation(SET)
            .with_value(Some(text(value)));
        let resource = AlterConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text(topic))
            .with_configs(vec![setting]);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let answer = self.ask(ALTER_VERSION, &request).await?;
        let answer = answer.responses.into_iter().next().ok_or_else(no_answer)?;
        match answer.error_code.err() {
            None => Ok(()),
            Some(code) => Err(refused(topic, code, answer.error_message)),
        }
    }

    async fn ask<R: Request>(
        &mut self,
        version: i16,
        request: &R,
    ) -> Result<R::Response, TopicError> {
        self.ask_for(REQUEST_TIMEOUT, version, request).await
    }

    async fn ask_for<R: Request>(
        &mut self,
        at_most: Duration,
        version: i16,
        request: &R,
    ) -> Result<R::Response, TopicError> {
        let answer = timeout(at_most, self.exchange(version, request)).await;
        let answer = answer.unwrap_or(Err(ExchangeError::TooLate(at_most)));
        answer.map_err(|error| TopicError::Unavailable(error.to_string()))
    }

    async fn exchange<R: Request>(
        &mut self,
        version: i16,
        request: &R,
    ) -> Result<R::Response, ExchangeError> {
        self.latest += 1;
        let frame = frame(self.latest, version, request)?;
        self.stream.write_all(&frame).await?;
        self.stream.flush().await?;
        let claimed = self.stream.read_i32().await?;
        let length = usize::try_from(claimed).ok();
        let length = length.filter(|length| *length <= ANSWER_BYTES_MAX);
        let mut answer = vec![0; length.ok_or(ExchangeError::Length(claimed))?];
        self.stream.read_exact(&mut answer).await?;
        let mut answer = Bytes::from(answer);
        let header_version = R::Response::header_version(version);
        let header = ResponseHeader::decode(&mut answer, header_version);
        if header.map_err(misshapen)?.correlation_id != self.latest {
            return Err(ExchangeError::Number);
        }
        R::Response::decode(&mut answer, version).map_err(misshapen)
    }
}

/// A request as it goes over the wire, its length before it.
fn frame<R: Request>(number: i32, version: i16, request: &R) -> Result<BytesMut, ExchangeError> {
    const LENGTH_BYTES: usize = 4;
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(number)
        .with_client_id(Some(StrBytes::from_static_str("roomlog")));
    let mut frame = BytesMut::zeroed(LENGTH_BYTES);
    encode_request_header_into_buffer(&mut frame, &header).map_err(misshapen)?;
    request.encode(&mut frame, version).map_err(misshapen)?;
    let length = u32::try_from(frame.len() - LENGTH_BYTES).map_err(misshapen)?;
    frame[..LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
    Ok(frame)
}

fn misshapen(error: impl std::fmt::Display) -> ExchangeError {
    ExchangeError::Shape(error.to_string())
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Told as the client library tells it.
fn not_signed_in(reason: &str) -> TopicError {
    TopicError::Unavailable(format!("SASL authentication error: {reason}"))
}

fn refused(topic: &str, code: ResponseError, message: Option<StrBytes>) -> TopicError {
    match code {
        ResponseError::UnknownTopicOrPartition => TopicError::Missing(topic.to_owned()),
        _ => TopicError::Refused {
            topic: topic.to_owned(),
            reason: explained(code, message),
        },
    }
}

/// Brokers send words beside some codes only.
fn explained(code: ResponseError, message: Option<StrBytes>) -> String {
    match message.filter(|message| !message.is_empty()) {
        Some(message) => format!("{code}: {message}"),
        None => code.to_string(),
    }
}
