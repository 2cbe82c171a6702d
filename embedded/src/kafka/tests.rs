//! The server against bytes as they may come: every request in every version, and anything else.

#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Encodable, StrBytes};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::batch::sample::plain;
use super::shape::SERVED;
use super::*;

/// How long anything here may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// Names the thread whose panics are counted.
const SERVING_THREAD: &str = "kafka-under-test";

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

/// A frame of the given kind and version around a body.
fn frame(api: ApiKey, version: i16, body: &[u8]) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    let header = RequestHeader::default()
        .with_request_api_key(api as i16)
        .with_request_api_version(version)
        .with_correlation_id(7)
        .with_client_id(Some(text("test")));
    header
        .encode(&mut bytes, api.request_header_version(version))
        .unwrap();
    bytes.put_slice(body);
    let mut frame = (bytes.len() as i32).to_be_bytes().to_vec();
    frame.extend(bytes);
    frame
}

fn encoded(request: &impl Encodable, version: i16) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    request.encode(&mut bytes, version).unwrap();
    bytes.to_vec()
}

/// A request with something in every list, where that takes other paths than an empty one.
fn example(api: ApiKey, version: i16) -> Option<Vec<u8>> {
    let topic = || text("known");
    Some(match api {
        ApiKey::Metadata => {
            let wanted = MetadataRequestTopic::default().with_name(Some(topic().into()));
            encoded(
                &MetadataRequest::default().with_topics(Some(vec![wanted])),
                version,
            )
        }
        ApiKey::Produce => {
            let batch = PartitionProduceData::default().with_records(Some(plain(3, 5).into()));
            let data = TopicProduceData::default()
                .with_name(topic().into())
                .with_partition_data(vec![batch]);
            encoded(
                &ProduceRequest::default()
                    .with_acks(-1)
                    .with_topic_data(vec![data]),
                version,
            )
        }
        ApiKey::ListOffsets => {
            let wanted = ListOffsetsPartition::default().with_timestamp(-1);
            let wanted = ListOffsetsTopic::default()
                .with_name(topic().into())
                .with_partitions(vec![wanted]);
            encoded(
                &ListOffsetsRequest::default()
                    .with_replica_id((-1).into())
                    .with_topics(vec![wanted]),
                version,
            )
        }
        ApiKey::JoinGroup => {
            let protocol = JoinGroupRequestProtocol::default().with_name(text("range"));
            let request = JoinGroupRequest::default()
                .with_group_id(text("group").into())
                .with_session_timeout_ms(6000)
                .with_rebalance_timeout_ms(if version >= 1 { 6000 } else { -1 })
                .with_protocol_type(text("consumer"))
                .with_protocols(vec![protocol]);
            encoded(&request, version)
        }
        ApiKey::OffsetFetch if version >= 8 => {
            let topics = OffsetFetchRequestTopics::default()
                .with_name(topic().into())
                .with_partition_indexes(vec![0]);
            let group = OffsetFetchRequestGroup::default()
                .with_group_id(text("group").into())
                .with_topics(Some(vec![topics]));
            encoded(
                &OffsetFetchRequest::default().with_groups(vec![group]),
                version,
            )
        }
        ApiKey::OffsetFetch => {
            let wanted = OffsetFetchRequestTopic::default()
                .with_name(topic().into())
                .with_partition_indexes(vec![0]);
            let request = OffsetFetchRequest::default()
                .with_group_id(text("group").into())
                .with_topics(Some(vec![wanted]));
            encoded(&request, version)
        }
        ApiKey::CreateTopics => {
            let topic = CreatableTopic::default()
                .with_name(text("fresh").into())
                .with_num_partitions(2)
                .with_replication_factor(1);
            encoded(
                &CreateTopicsRequest::default().with_topics(vec![topic]),
                version,
            )
        }
        _ => return None,
    })
}

/// A request with nothing in it.
fn empty_body(api: ApiKey, version: i16) -> Vec<u8> {
    macro_rules! empty {
        ($($kind:ident => $request:ty),*) => {
            match api {
                $(ApiKey::$kind => encoded(&<$request>::default(), version),)*
                other => panic!("{other:?} is not served"),
            }
        };
    }
    empty!(
        Produce => ProduceRequest, Fetch => FetchRequest, ListOffsets => ListOffsetsRequest,
        Metadata => MetadataRequest, OffsetCommit => OffsetCommitRequest, OffsetFetch => OffsetFetchRequest,
        FindCoordinator => FindCoordinatorRequest, JoinGroup => JoinGroupRequest, Heartbeat => HeartbeatRequest,
        LeaveGroup => LeaveGroupRequest, SyncGroup => SyncGroupRequest, DescribeGroups => DescribeGroupsRequest,
        ListGroups => ListGroupsRequest, ApiVersions => ApiVersionsRequest, CreateTopics => CreateTopicsRequest,
        DeleteTopics => DeleteTopicsRequest, DeleteRecords => DeleteRecordsRequest,
        InitProducerId => InitProducerIdRequest, DescribeConfigs => DescribeConfigsRequest,
        AlterConfigs => AlterConfigsRequest, IncrementalAlterConfigs => IncrementalAlterConfigsRequest,
        CreatePartitions => CreatePartitionsRequest, DeleteGroups => DeleteGroupsRequest
    )
}

async fn server() -> Server {
    let server = Server::start(Config::default()).await.unwrap();
    let config = topic_config::TopicConfig::default();
    server.broker.topics().create("known", 2, config).unwrap();
    server
}

/// Sends bytes and gives the frame that comes back, or `None` if the connection is closed instead.
async fn exchange(socket: &mut TcpStream, bytes: &[u8]) -> Option<Vec<u8>> {
    let exchange = async {
        socket.write_all(bytes).await.ok()?;
        let length = socket.read_i32().await.ok()?;
        let mut reply = vec![0; length as usize];
        socket.read_exact(&mut reply).await.ok()?;
        Some(reply)
    };
    tokio::time::timeout(DEADLINE, exchange).await.unwrap()
}

#[tokio::test]
async fn every_version_of_every_request_is_answered() {
    let server = server().await;
    let mut socket = TcpStream::connect(server.addr()).await.unwrap();
    for served in SERVED {
        for version in served.version_min..=served.version_max {
            let bodies = [
                Some(empty_body(served.api, version)),
                example(served.api, version),
            ];
            for body in bodies.into_iter().flatten() {
                assert_eq!(
                    served.check(version, &body),
                    Ok(()),
                    "{:?} {version}",
                    served.api
                );
                if is_silent(served.api, version, &body) {
                    continue;
                }
                let reply = exchange(&mut socket, &frame(served.api, version, &body)).await;
                let reply = reply.unwrap_or_else(|| panic!("{:?} {version} closed", served.api));
                assert_eq!(
                    reply[..4],
                    7_i32.to_be_bytes(),
                    "{:?} {version}",
                    served.api
                );
            }
        }
    }
}

/// Whether this is the empty produce request, which wants no acknowledgement.
fn is_silent(api: ApiKey, version: i16, body: &[u8]) -> bool {
    api == ApiKey::Produce && body == empty_body(api, version)
}

#[tokio::test]
async fn a_version_question_from_the_future_is_told_the_versions_there_are() {
    let server = server().await;
    let mut socket = TcpStream::connect(server.addr()).await.unwrap();
    let reply = exchange(&mut socket, &frame(ApiKey::ApiVersions, 99, &[]))
        .await
        .unwrap();
    assert_eq!(reply[4..6], error_code::UNSUPPORTED_VERSION.to_be_bytes());
    let reply = exchange(&mut socket, &frame(ApiKey::ApiVersions, 0, &[]))
        .await
        .unwrap();
    assert_eq!(reply[4..6], error_code::NONE.to_be_bytes());
}

#[tokio::test]
async fn what_is_not_served_closes_that_connection_only() {
    let server = server().await;
    let mut good = TcpStream::connect(server.addr()).await.unwrap();
    let bad = [
        frame(ApiKey::Metadata, 99, &[]),
        frame(ApiKey::EndTxn, 0, &[]),
        frame(ApiKey::Metadata, 1, &i32::MAX.to_be_bytes()),
        i32::MAX.to_be_bytes().to_vec(),
        (-1_i32).to_be_bytes().to_vec(),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
    ];
    for bytes in bad {
        let mut socket = TcpStream::connect(server.addr()).await.unwrap();
        assert_eq!(exchange(&mut socket, &bytes).await, None, "{bytes:?}");
        let alive = exchange(&mut good, &frame(ApiKey::ApiVersions, 0, &[])).await;
        assert!(alive.is_some());
    }
}

/// Random bodies, and sound ones with a few bytes changed, under every kind and version.
fn bodies() -> impl Strategy<Value = (usize, i16, Vec<u8>)> {
    let served = 0..SERVED.len();
    let random = prop::collection::vec(any::<u8>(), 0..120);
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (
        served,
        any::<prop::sample::Index>(),
        random,
        changes,
        any::<bool>(),
    )
        .prop_map(|(index, version, random, changes, is_random)| {
            let served = &SERVED[index];
            let versions = (served.version_max - served.version_min + 1) as usize;
            let version = served.version_min + version.index(versions) as i16;
            if is_random {
                return (index, version, random);
            }
            let sound = example(served.api, version);
            let mut body = sound.unwrap_or_else(|| empty_body(served.api, version));
            for (at, byte) in changes {
                if !body.is_empty() {
                    let at = at.index(body.len());
                    body[at] = byte;
                }
            }
            (index, version, body)
        })
}

#[test]
fn no_bytes_take_the_server_down() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(SERVING_THREAD)
        .enable_all()
        .build()
        .unwrap();
    let panics = count_panics();
    let server = runtime.block_on(server());
    let addr = server.addr();
    let mut runner = TestRunner::new(ProptestConfig::with_cases(1500));
    let outcome = runner.run(&bodies(), |(index, version, body)| {
        let bytes = frame(SERVED[index].api, version, &body);
        runtime.block_on(async {
            let mut socket = TcpStream::connect(addr).await.unwrap();
            socket.write_all(&bytes).await.unwrap();
            // Whoever waits for a reply that a fetch or a join holds back would wait long; hanging up is enough here.
            socket.shutdown().await.unwrap();
            let mut reply = Vec::new();
            let drained = tokio::time::timeout(DEADLINE, socket.read_to_end(&mut reply)).await;
            drop(drained.unwrap());
        });
        Ok(())
    });
    outcome.unwrap();
    runtime.block_on(async {
        let mut socket = TcpStream::connect(addr).await.unwrap();
        let reply = exchange(&mut socket, &frame(ApiKey::ApiVersions, 0, &[])).await;
        assert!(reply.is_some());
    });
    runtime.block_on(server.shutdown());
    assert_eq!(panics.load(Ordering::Relaxed), 0, "a connection panicked");
}

/// Counts panics of the serving thread: the runtime contains them, so that nobody else would notice.
fn count_panics() -> Arc<AtomicUsize> {
    let panics = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&panics);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() == Some(SERVING_THREAD) {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        before(panic);
    }));
    panics
}
