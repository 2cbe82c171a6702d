//! Metadata and FindCoordinator: where everything is, which is here.

use std::sync::Arc;

use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    FindCoordinatorRequest, FindCoordinatorResponse, MetadataRequest, MetadataResponse, TopicName,
};
use uuid::Uuid;

use super::super::broker::{Broker, CLUSTER_ID, NODE_ID};
use super::super::error_code;
use super::super::topics::{Topic, is_legal};
use super::{Caller, text};

/// In this oldest version an empty list of topics means all.
const EMPTY_MEANS_ALL: i16 = 0;

/// From this version on a request asks for several coordinators.
const SEVERAL_COORDINATORS: i16 = 4;

/// Topics have ids in the response from this version on.
const WITH_TOPIC_ID: i16 = 10;

pub(super) fn metadata(
    broker: &Broker,
    caller: &Caller,
    request: MetadataRequest,
    version: i16,
) -> MetadataResponse {
    let all = || {
        broker
            .topics()
            .all()
            .into_iter()
            .map(|(name, topic)| describe(&name, &topic, version))
    };
    let topics = match request.topics {
        None => all().collect(),
        Some(topics) if topics.is_empty() && version == EMPTY_MEANS_ALL => all().collect(),
        Some(topics) => {
            let wanted = topics.into_iter();
            wanted
                .map(|topic| find(broker, topic.name, topic.topic_id, version))
                .collect()
        }
    };
    let node = MetadataResponseBroker::default()
        .with_node_id(NODE_ID.into())
        .with_host(text(caller.local.ip().to_string()))
        .with_port(caller.local.port().into());
    MetadataResponse::default()
        .with_brokers(vec![node])
        .with_cluster_id(Some(text(CLUSTER_ID)))
        .with_controller_id(NODE_ID.into())
        .with_topics(topics)
}

pub(super) fn coordinator(
    caller: &Caller,
    request: FindCoordinatorRequest,
    version: i16,
) -> FindCoordinatorResponse {
    let host = text(caller.local.ip().to_string());
    let port = caller.local.port().into();
    let response = FindCoordinatorResponse::default();
    if version < SEVERAL_COORDINATORS {
        return response
            .with_node_id(NODE_ID.into())
            .with_host(host)
            .with_port(port);
    }
    let coordinators = request.coordinator_keys.into_iter().map(|key| {
        Coordinator::default()
            .with_key(key)
            .with_node_id(NODE_ID.into())
            .with_host(host.clone())
            .with_port(port)
    });
    response.with_coordinators(coordinators.collect())
}

/// One topic asked for by name, or by id where the name is missing.
fn find(broker: &Broker, name: Option<TopicName>, id: Uuid, version: i16) -> MetadataResponseTopic {
    let unknown = MetadataResponseTopic::default();
    let Some(name) = name else {
        let found = broker
            .topics()
            .all()
            .into_iter()
            .find(|(_, topic)| topic.id == id);
        return match found {
            Some((name, topic)) => describe(&name, &topic, version),
            None => unknown
                .with_topic_id(id)
                .with_error_code(error_code::UNKNOWN_TOPIC_ID),
        };
    };
    match broker.topics().get(&name) {
        Some(topic) => describe(&name, &topic, version),
        None => {
            let code = match is_legal(&name) {
                true => error_code::UNKNOWN_TOPIC_OR_PARTITION,
                false => error_code::INVALID_TOPIC,
            };
            unknown.with_name(Some(name)).with_error_code(code)
        }
    }
}

fn describe(name: &str, topic: &Arc<Topic>, version: i16) -> MetadataResponseTopic {
    let partitions = (0..).take(topic.partitions.len()).map(|index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(NODE_ID.into())
            .with_leader_epoch(if version >= 7 { 0 } else { -1 })
            .with_replica_nodes(vec![NODE_ID.into()])
            .with_isr_nodes(vec![NODE_ID.into()])
    });
    let id = if version >= WITH_TOPIC_ID {
        topic.id
    } else {
        Uuid::nil()
    };
    MetadataResponseTopic::default()
        .with_name(Some(text(name).into()))
        .with_topic_id(id)
        .with_partitions(partitions.collect())
}
