//! OffsetCommit and OffsetFetch.

use std::time::Instant;

use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    GroupId, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
    TopicName,
};

use super::super::broker::Broker;
use super::super::error_code;
use super::super::group::Group;
use super::super::offsets::{Commit, CommitError, METADATA_BYTES_MAX};
use super::text;

/// From this version on a request asks for several groups.
const SEVERAL_GROUPS: i16 = 8;

/// Commits have a leader epoch in the response from this version on.
const WITH_LEADER_EPOCH: i16 = 5;

/// What a partition without a commit answers.
const NO_OFFSET: i64 = -1;

pub(super) fn commit(broker: &Broker, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let generation = request.generation_id_or_member_epoch;
    let instance = request.group_instance_id.as_deref();
    let check = |group: &mut Group| {
        group.check_commit(&request.member_id, instance, generation, Instant::now())
    };
    let unknown_group = if generation < 0 {
        Ok(())
    } else {
        Err(error_code::ILLEGAL_GENERATION)
    };
    let allowed = match request.group_id.is_empty() {
        true => Err(error_code::INVALID_GROUP_ID),
        false => broker
            .groups()
            .with(&request.group_id, check)
            .unwrap_or(unknown_group),
    };
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|wanted| {
            let index = wanted.partition_index;
            let commit = Commit {
                offset: wanted.committed_offset,
                leader_epoch: wanted.committed_leader_epoch,
                metadata: wanted
                    .committed_metadata
                    .map(|text| text.to_string())
                    .unwrap_or_default(),
            };
            let stored =
                allowed.and_then(|()| store(broker, &request.group_id, &topic.name, index, commit));
            OffsetCommitResponsePartition::default()
                .with_partition_index(index)
                .with_error_code(stored.err().unwrap_or(error_code::NONE))
        });
        let partitions = partitions.collect();
        OffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions)
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

fn store(
    broker: &Broker,
    group: &str,
    topic: &str,
    partition: i32,
    commit: Commit,
) -> Result<(), i16> {
    if broker.topics().partition(topic, partition).is_none() {
        return Err(error_code::UNKNOWN_TOPIC_OR_PARTITION);
    }
    if commit.metadata.len() > METADATA_BYTES_MAX {
        return Err(error_code::OFFSET_METADATA_TOO_LARGE);
    }
    let stored = broker.offsets().commit(group, topic, partition, commit);
    stored.map_err(|error| match error {
        CommitError::Full => error_code::COORDINATOR_NOT_AVAILABLE,
        CommitError::Storage(error) => {
            tracing::error!(%error, "cannot write committed offsets");
            error_code::STORAGE_ERROR
        }
    })
}

pub(super) fn fetch(
    broker: &Broker,
    request: OffsetFetchRequest,
    version: i16,
) -> OffsetFetchResponse {
    if version < SEVERAL_GROUPS {
        return fetch_one(broker, request, version);
    }
    let groups = request.groups.into_iter().map(|wanted| {
        let topics = wanted.topics.map(|topics| {
            let topics = topics.into_iter();
            topics
                .map(|topic| (topic.name, topic.partition_indexes))
                .collect()
        });
        let topics = commits(broker, &wanted.group_id, topics).into_iter();
        let topics = topics.map(|(name, commits)| {
            let partitions = commits.into_iter().map(|(index, commit)| {
                OffsetFetchResponsePartitions::default()
                    .with_partition_index(index)
                    .with_committed_offset(commit.offset)
                    .with_committed_leader_epoch(commit.leader_epoch)
                    .with_metadata(Some(text(commit.metadata)))
            });
            OffsetFetchResponseTopics::default()
                .with_name(name)
                .with_partitions(partitions.collect())
        });
        OffsetFetchResponseGroup::default()
            .with_group_id(wanted.group_id)
            .with_topics(topics.collect())
    });
    OffsetFetchResponse::default().with_groups(groups.collect())
}

fn fetch_one(broker: &Broker, request: OffsetFetchRequest, version: i16) -> OffsetFetchResponse {
    let topics = request.topics.map(|topics| {
        let topics = topics.into_iter();
        topics
            .map(|topic| (topic.name, topic.partition_indexes))
            .collect()
    });
    let topics = commits(broker, &request.group_id, topics).into_iter();
    let topics = topics.map(|(name, commits)| {
        let partitions = commits.into_iter().map(|(index, commit)| {
            let epoch = if version >= WITH_LEADER_EPOCH {
                commit.leader_epoch
            } else {
                -1
            };
            OffsetFetchResponsePartition::default()
                .with_partition_index(index)
                .with_committed_offset(commit.offset)
                .with_committed_leader_epoch(epoch)
                .with_metadata(Some(text(commit.metadata)))
        });
        OffsetFetchResponseTopic::default()
            .with_name(name)
            .with_partitions(partitions.collect())
    });
    OffsetFetchResponse::default().with_topics(topics.collect())
}

/// The commits of the partitions asked for, or of all if nothing in particular is.
fn commits(
    broker: &Broker,
    group: &GroupId,
    wanted: Option<Vec<(TopicName, Vec<i32>)>>,
) -> Vec<(TopicName, Vec<(i32, Commit)>)> {
    let Some(wanted) = wanted else {
        let all = broker.offsets().of_group(group).into_iter();
        return all
            .map(|(name, commits)| (text(name).into(), commits))
            .collect();
    };
    let none = Commit {
        offset: NO_OFFSET,
        leader_epoch: -1,
        metadata: String::new(),
    };
    let topics = wanted.into_iter().map(|(name, indexes)| {
        let commits = indexes.into_iter().map(|index| {
            let commit = broker.offsets().committed(group, &name, index);
            (index, commit.unwrap_or_else(|| none.clone()))
        });
        let commits = commits.collect();
        (name, commits)
    });
    topics.collect()
}
