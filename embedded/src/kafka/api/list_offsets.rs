//! ListOffsets: the ends of a partition, and offsets by time.

use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::super::broker::Broker;
use super::super::error_code;
use super::super::partition_log::PartitionLog;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;

/// The response has a leader epoch from this version on.
const WITH_LEADER_EPOCH: i16 = 4;

pub(super) fn list(
    broker: &Broker,
    request: ListOffsetsRequest,
    version: i16,
) -> ListOffsetsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| {
            let epoch = if version >= WITH_LEADER_EPOCH { 0 } else { -1 };
            let answer = ListOffsetsPartitionResponse::default()
                .with_partition_index(wanted.partition_index)
                .with_leader_epoch(epoch)
                .with_timestamp(-1)
                .with_offset(-1);
            match broker
                .topics()
                .partition(&topic.name, wanted.partition_index)
            {
                Some(partition) => partition.with_log(|log| find(log, wanted, answer)),
                None => answer.with_error_code(error_code::UNKNOWN_TOPIC_OR_PARTITION),
            }
        });
        let partitions = partitions.collect();
        ListOffsetsTopicResponse::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions)
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

fn find(
    log: &PartitionLog,
    wanted: &ListOffsetsPartition,
    answer: ListOffsetsPartitionResponse,
) -> ListOffsetsPartitionResponse {
    let timestamp = match wanted.timestamp {
        LATEST => return answer.with_offset(log.high_watermark()),
        EARLIEST | EARLIEST_LOCAL => return answer.with_offset(log.start()),
        MAX_TIMESTAMP => match log.max_timestamp() {
            Some(timestamp) => timestamp,
            None => return answer,
        },
        timestamp => timestamp,
    };
    match log.first_not_before(timestamp) {
        Ok(Some((offset, time))) => answer.with_offset(offset).with_timestamp(time),
        Ok(None) => answer,
        Err(error) => {
            tracing::error!(partition = wanted.partition_index, %error, "cannot read the log");
            answer.with_error_code(error_code::STORAGE_ERROR)
        }
    }
}
