//! Making, growing and removing topics, and deleting their oldest records.

use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    TopicName,
};
use uuid::Uuid;

use super::super::broker::Broker;
use super::super::error_code;
use super::super::topic_config::TopicConfig;
use super::super::topics::TopicError;
use super::text;

/// Partitions of a topic whose creator leaves the number to the broker.
const PARTITIONS_DEFAULT: i32 = 1;

/// Stands for "as the broker likes" in numbers of partitions and replicas.
const BROKER_DEFAULT: i32 = -1;

/// An error code and what it is about.
type Refusal = (i16, String);

pub(super) fn create_topics(
    broker: &Broker,
    request: CreateTopicsRequest,
    version: i16,
) -> CreateTopicsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let result = CreatableTopicResult::default().with_name(topic.name.clone());
        match create_topic(broker, &topic, request.validate_only) {
            Ok((id, partitions)) => {
                let id = if version >= 7 { id } else { Uuid::nil() };
                let result = result.with_topic_id(id);
                if version < 5 {
                    return result;
                }
                result
                    .with_num_partitions(partitions)
                    .with_replication_factor(1)
            }
            Err((code, message)) => result
                .with_error_code(code)
                .with_error_message(Some(text(message))),
        }
    });
    CreateTopicsResponse::default().with_topics(topics.collect())
}

fn create_topic(
    broker: &Broker,
    topic: &CreatableTopic,
    only_check: bool,
) -> Result<(Uuid, i32), Refusal> {
    let partitions = match (topic.assignments.len(), topic.num_partitions) {
        (0, BROKER_DEFAULT) => PARTITIONS_DEFAULT,
        (0, count) => count,
        (assigned, _) => i32::try_from(assigned).unwrap_or(i32::MAX),
    };
    if topic.assignments.is_empty() && ![1, -1].contains(&topic.replication_factor) {
        let message = "replication factor larger than available brokers, of which there is one";
        return Err((error_code::INVALID_REPLICATION_FACTOR, message.into()));
    }
    let mut config = TopicConfig::default();
    for setting in &topic.configs {
        let set = config.set(&setting.name, setting.value.as_deref());
        set.map_err(|error| (error_code::INVALID_CONFIG, error.to_string()))?;
    }
    let topics = broker.topics();
    let id = match only_check {
        true => topics
            .check_new(&topic.name, partitions)
            .map(|()| Uuid::nil()),
        false => topics.create(&topic.name, partitions, config),
    };
    Ok((id.map_err(refusal)?, partitions))
}

pub(super) fn delete_topics(
    broker: &Broker,
    request: DeleteTopicsRequest,
    version: i16,
) -> DeleteTopicsResponse {
    let mut results = Vec::new();
    let by_name = request
        .topic_names
        .into_iter()
        .map(|name| (Some(name), Uuid::nil()));
    let by_state = request
        .topics
        .into_iter()
        .map(|topic| (topic.name, topic.topic_id));
    for (name, id) in by_name.chain(by_state) {
        let all = || broker.topics().all().into_iter();
        let by_id = || {
            all()
                .find(|(_, topic)| topic.id == id)
                .map(|(name, _)| TopicName(text(name)))
        };
        let Some(name) = name.or_else(by_id) else {
            let unknown = DeletableTopicResult::default().with_topic_id(id);
            results.push(unknown.with_error_code(error_code::UNKNOWN_TOPIC_ID));
            continue;
        };
        let deleted = broker.topics().delete(&name);
        let result = DeletableTopicResult::default().with_name(Some(name));
        results.push(match deleted.map_err(refusal) {
            Ok(id) if version >= 6 => result.with_topic_id(id),
            Ok(_) => result,
            Err((code, message)) => {
                let message = (version >= 5).then(|| text(message));
                result.with_error_code(code).with_error_message(message)
            }
        });
    }
    DeleteTopicsResponse::default().with_responses(results)
}

pub(super) fn create_partitions(
    broker: &Broker,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let results = request.topics.into_iter().map(|topic| {
        let grown = broker
            .topics()
            .grow(&topic.name, topic.count, request.validate_only);
        let result = CreatePartitionsTopicResult::default().with_name(topic.name);
        match grown.map_err(refusal) {
            Ok(()) => result,
            Err((code, message)) => result
                .with_error_code(code)
                .with_error_message(Some(text(message))),
        }
    });
    CreatePartitionsResponse::default().with_results(results.collect())
}

pub(super) fn delete_records(
    broker: &Broker,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| {
            let index = wanted.partition_index;
            let offset = Some(wanted.offset).filter(|offset| *offset != -1);
            let result = DeleteRecordsPartitionResult::default().with_partition_index(index);
            let refused = |code| result.clone().with_low_watermark(-1).with_error_code(code);
            let Some(partition) = broker.topics().partition(&topic.name, index) else {
                return refused(error_code::UNKNOWN_TOPIC_OR_PARTITION);
            };
            match partition.with_log(|log| log.delete_before(offset)) {
                Ok(Some(start)) => result.with_low_watermark(start),
                Ok(None) => refused(error_code::OFFSET_OUT_OF_RANGE),
                Err(error) => {
                    tracing::error!(partition = index, %error, "cannot delete records");
                    refused(error_code::STORAGE_ERROR)
                }
            }
        });
        let partitions = partitions.collect();
        DeleteRecordsTopicResult::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions)
    });
    DeleteRecordsResponse::default().with_topics(topics.collect())
}

pub(super) fn refusal(error: TopicError) -> Refusal {
    let code = match &error {
        TopicError::Name => error_code::INVALID_TOPIC,
        TopicError::Exists => error_code::TOPIC_ALREADY_EXISTS,
        TopicError::Unknown => error_code::UNKNOWN_TOPIC_OR_PARTITION,
        TopicError::Partitions => error_code::INVALID_PARTITIONS,
        TopicError::Storage(source) => {
            tracing::error!(error = %source, "cannot write a topic");
            error_code::STORAGE_ERROR
        }
    };
    (code, error.to_string())
}
