//! Produce and InitProducerId.

use std::sync::Arc;

use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProduceResponse};

use super::super::batch::BatchError;
use super::super::broker::{Broker, now_ms};
use super::super::partition_log::{Append, AppendError, TimestampType};
use super::super::{Durability, error_code};

/// What the response says in place of an append time where the topic keeps the producer's times.
const NO_TIME: i64 = -1;

/// Appends the batches of a request; `None` if the client wants no answer.
pub(super) async fn produce(
    broker: &Arc<Broker>,
    request: ProduceRequest,
) -> Option<ProduceResponse> {
    let wants_answer = request.acks != 0;
    let response = if broker.durability() == Durability::Fsync {
        // Waiting for the disk must not hold up the runtime.
        let broker = Arc::clone(broker);
        let appended = tokio::task::spawn_blocking(move || append_all(&broker, request));
        appended.await.unwrap_or_default()
    } else {
        append_all(broker, request)
    };
    wants_answer.then_some(response)
}

/// Gives a producer the id that its sequence numbers belong to.
pub(super) fn new_producer(
    broker: &Broker,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    let response = InitProducerIdResponse::default();
    if request.transactional_id.is_some() {
        return response.with_error_code(error_code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
    }
    response
        .with_producer_id(broker.new_producer().into())
        .with_producer_epoch(0)
}

fn append_all(broker: &Broker, request: ProduceRequest) -> ProduceResponse {
    let is_transactional = request.transactional_id.is_some();
    let topics = request.topic_data.into_iter().map(|topic| {
        let partitions = topic.partition_data.into_iter().map(|partition| {
            if is_transactional {
                return refused(
                    &partition,
                    error_code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
                );
            }
            append(broker, &topic.name, partition)
        });
        let partitions = partitions.collect();
        TopicProduceResponse::default()
            .with_name(topic.name.clone())
            .with_partition_responses(partitions)
    });
    ProduceResponse::default().with_responses(topics.collect())
}

fn append(
    broker: &Broker,
    topic_name: &str,
    data: PartitionProduceData,
) -> PartitionProduceResponse {
    let unknown = error_code::UNKNOWN_TOPIC_OR_PARTITION;
    let Some(topic) = broker.topics().get(topic_name) else {
        return refused(&data, unknown);
    };
    let index = usize::try_from(data.index).ok();
    let Some(partition) = index.and_then(|index| topic.partitions.get(index)) else {
        return refused(&data, unknown);
    };
    let mut batch = data.records.as_deref().unwrap_or_default().to_vec();
    if batch.len() > topic.config.message_bytes_max() {
        return refused(&data, error_code::MESSAGE_TOO_LARGE);
    }
    let timestamps = topic.config.timestamps();
    match partition.append(&mut batch, timestamps, broker.durability(), now_ms()) {
        Ok(Append::Done(appended) | Append::Duplicate(appended)) => {
            let time = match timestamps {
                TimestampType::LogAppendTime => appended.timestamp,
                TimestampType::CreateTime => NO_TIME,
            };
            PartitionProduceResponse::default()
                .with_index(data.index)
                .with_base_offset(appended.base_offset)
                .with_log_append_time_ms(time)
                .with_log_start_offset(partition.with_log(|log| log.start()))
        }
        Ok(Append::OutOfOrder) => refused(&data, error_code::OUT_OF_ORDER_SEQUENCE_NUMBER),
        Ok(Append::StaleEpoch) => refused(&data, error_code::INVALID_PRODUCER_EPOCH),
        Err(AppendError::Batch(error)) => refused(&data, code_of(error)),
        Err(AppendError::Storage(error)) => {
            tracing::error!(topic = topic_name, partition = data.index, %error, "cannot write the log");
            refused(&data, error_code::STORAGE_ERROR)
        }
    }
}

fn refused(data: &PartitionProduceData, code: i16) -> PartitionProduceResponse {
    PartitionProduceResponse::default()
        .with_index(data.index)
        .with_error_code(code)
        .with_base_offset(-1)
        .with_log_append_time_ms(NO_TIME)
        .with_log_start_offset(-1)
}

fn code_of(error: BatchError) -> i16 {
    match error {
        BatchError::Corrupt => error_code::CORRUPT_MESSAGE,
        BatchError::Invalid => error_code::INVALID_RECORD,
        BatchError::Format => error_code::UNSUPPORTED_FOR_MESSAGE_FORMAT,
        BatchError::Transactional => error_code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
}
