//! The requests: each is decoded, acted on and answered by a function of its own.

mod admin;
mod configs;
mod fetch;
mod list_offsets;
mod membership;
mod metadata;
mod offsets;
mod produce;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsResponse, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use super::broker::Broker;
use super::error_code;
use super::shape::{Misshapen, SERVED};

/// Bytes reserved for a reply; most are smaller.
const REPLY_BYTES_RESERVED: usize = 512;

/// Who asks.
pub(super) struct Caller {
    /// The address that the client reached us by, so one that it can reach again.
    pub(super) local: SocketAddr,
    pub(super) peer: SocketAddr,
    /// What the client calls itself.
    pub(super) client: String,
}

/// A request whose kind and version are served.
pub(super) struct Request {
    pub(super) api: ApiKey,
    pub(super) version: i16,
    pub(super) correlation: i32,
    pub(super) body: Bytes,
}

/// Why a request gets no reply but the end of its connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error(transparent)]
    Misshapen(#[from] Misshapen),
    #[error("cannot decode the request: {0}")]
    Decode(String),
    /// A bug here: the reply has a field that the version lacks.
    #[error("cannot encode the reply: {0}")]
    Encode(String),
}

/// Acts on a request; gives the reply, length included, or `None` if the client wants none.
pub(super) async fn answer(
    broker: &Arc<Broker>,
    caller: &Caller,
    request: Request,
) -> Result<Option<BytesMut>, RequestError> {
    let version = request.version;
    let reply = Reply::to(&request);
    let body = request.body;
    let reply = match request.api {
        ApiKey::Produce => {
            let request = decode(body, version)?;
            let Some(response) = produce::produce(broker, request).await else {
                return Ok(None);
            };
            reply.with(&response)
        }
        ApiKey::Fetch => reply.with(&fetch::fetch(broker, decode(body, version)?).await),
        ApiKey::ListOffsets => {
            reply.with(&list_offsets::list(broker, decode(body, version)?, version))
        }
        ApiKey::Metadata => reply.with(&metadata::metadata(
            broker,
            caller,
            decode(body, version)?,
            version,
        )),
        ApiKey::FindCoordinator => reply.with(&metadata::coordinator(
            caller,
            decode(body, version)?,
            version,
        )),
        ApiKey::JoinGroup => {
            reply.with(&membership::join(broker, caller, decode(body, version)?, version).await)
        }
        ApiKey::SyncGroup => {
            reply.with(&membership::sync(broker, decode(body, version)?, version).await)
        }
        ApiKey::Heartbeat => reply.with(&membership::heartbeat(broker, decode(body, version)?)),
        ApiKey::LeaveGroup => {
            reply.with(&membership::leave(broker, decode(body, version)?, version))
        }
        ApiKey::ListGroups => {
            reply.with(&membership::list(broker, decode(body, version)?, version))
        }
        ApiKey::DescribeGroups => reply.with(&membership::describe(
            broker,
            decode(body, version)?,
            version,
        )),
        ApiKey::DeleteGroups => reply.with(&membership::delete(broker, decode(body, version)?)),
        ApiKey::OffsetCommit => reply.with(&offsets::commit(broker, decode(body, version)?)),
        ApiKey::OffsetFetch => reply.with(&offsets::fetch(broker, decode(body, version)?, version)),
        ApiKey::InitProducerId => {
            reply.with(&produce::new_producer(broker, decode(body, version)?))
        }
        ApiKey::CreateTopics => reply.with(&admin::create_topics(
            broker,
            decode(body, version)?,
            version,
        )),
        ApiKey::DeleteTopics => reply.with(&admin::delete_topics(
            broker,
            decode(body, version)?,
            version,
        )),
        ApiKey::CreatePartitions => {
            reply.with(&admin::create_partitions(broker, decode(body, version)?))
        }
        ApiKey::DeleteRecords => reply.with(&admin::delete_records(broker, decode(body, version)?)),
        ApiKey::DescribeConfigs => reply.with(&configs::describe(broker, decode(body, version)?)),
        ApiKey::AlterConfigs => reply.with(&configs::replace(broker, decode(body, version)?)),
        ApiKey::IncrementalAlterConfigs => {
            reply.with(&configs::change(broker, decode(body, version)?))
        }
        _ => reply.with(&versions()),
    };
    reply.map(Some)
}

/// The reply to a question for versions in a version that is not known here: the oldest form, with an error.
pub(super) fn versions_unknown(correlation: i32) -> Result<BytesMut, RequestError> {
    let response = versions().with_error_code(error_code::UNSUPPORTED_VERSION);
    Reply {
        correlation,
        header_version: 0,
        version: 0,
    }
    .with(&response)
}

fn versions() -> ApiVersionsResponse {
    let range = |served: &super::shape::Served| {
        // Older clients take a late start of Produce for a broker without the present record format.
        let is_produce = served.api == ApiKey::Produce;
        ApiVersion::default()
            .with_api_key(served.api as i16)
            .with_min_version(if is_produce { 0 } else { served.version_min })
            .with_max_version(served.version_max)
    };
    ApiVersionsResponse::default().with_api_keys(SERVED.iter().map(range).collect())
}

/// What a reply needs to know of its request.
struct Reply {
    correlation: i32,
    header_version: i16,
    version: i16,
}

// === impl Reply ===

impl Reply {
    fn to(request: &Request) -> Reply {
        Reply {
            correlation: request.correlation,
            header_version: request.api.response_header_version(request.version),
            version: request.version,
        }
    }

    fn with(&self, response: &impl Encodable) -> Result<BytesMut, RequestError> {
        let mut bytes = BytesMut::with_capacity(REPLY_BYTES_RESERVED);
        bytes.put_i32(0);
        let header = ResponseHeader::default().with_correlation_id(self.correlation);
        encode(&header, &mut bytes, self.header_version)?;
        encode(response, &mut bytes, self.version)?;
        let length = i32::try_from(bytes.len() - 4)
            .map_err(|_| RequestError::Encode("the reply is too long".into()))?;
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        Ok(bytes)
    }
}

fn decode<T: Decodable>(mut body: Bytes, version: i16) -> Result<T, RequestError> {
    T::decode(&mut body, version).map_err(|error| RequestError::Decode(error.to_string()))
}

fn encode(
    message: &impl Encodable,
    bytes: &mut BytesMut,
    version: i16,
) -> Result<(), RequestError> {
    message
        .encode(bytes, version)
        .map_err(|error| RequestError::Encode(error.to_string()))
}

/// A text in the protocol's own type.
fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}
