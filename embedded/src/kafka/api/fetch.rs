//! Fetch: records from the offsets asked for, at once or as soon as there are any.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchRequest};
use kafka_protocol::messages::fetch_response::{
    FetchResponse, FetchableTopicResponse, PartitionData,
};
use tokio::sync::futures::Notified;
use tokio::time::Instant;

use super::super::broker::Broker;
use super::super::error_code;
use super::super::partition::Partition;
use super::super::partition_log::PartitionLog;

/// Bytes of records per reply, whatever the client allows. A single larger batch still goes through.
const RESPONSE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The longest wait for records. A client that asks for more gets an empty reply and asks again.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The response's word for "read from the leader".
const NO_REPLICA: i32 = -1;

/// What one look at all partitions has brought.
struct Look {
    response: FetchResponse,
    bytes: usize,
    has_error: bool,
}

pub(super) async fn fetch(broker: &Broker, request: FetchRequest) -> FetchResponse {
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let deadline = Instant::now() + wait.min(WAIT_MAX);
    let bytes_min = usize::try_from(request.min_bytes).unwrap_or(0);
    let partitions = partitions_of(broker, &request);
    loop {
        // Waiting begins before looking, so that an append between the two is not missed.
        let mut bells: Vec<Pin<Box<Notified<'_>>>> = Vec::new();
        for partition in partitions.iter().flatten() {
            let mut bell = Box::pin(partition.grew().notified());
            bell.as_mut().enable();
            bells.push(bell);
        }
        let look = look(&request, &partitions);
        let is_over = Instant::now() >= deadline;
        if look.has_error || look.bytes >= bytes_min || bells.is_empty() || is_over {
            return look.response;
        }
        tokio::select! {
            () = any(&mut bells) => {}
            () = tokio::time::sleep_until(deadline) => {}
        }
    }
}

/// The partitions asked for, in the order of the request.
fn partitions_of(broker: &Broker, request: &FetchRequest) -> Vec<Option<Arc<Partition>>> {
    let all = request.topics.iter().flat_map(|topic| {
        let of_topic = topic.partitions.iter();
        of_topic.map(|wanted| broker.topics().partition(&topic.topic, wanted.partition))
    });
    all.collect()
}

fn look(request: &FetchRequest, partitions: &[Option<Arc<Partition>>]) -> Look {
    let allowed = usize::try_from(request.max_bytes).unwrap_or(0);
    let mut room = allowed.min(RESPONSE_BYTES_MAX);
    let (mut bytes, mut has_error) = (0, false);
    let mut partitions = partitions.iter();
    let mut topics = Vec::new();
    for topic in &request.topics {
        let mut answers = Vec::new();
        for wanted in &topic.partitions {
            let partition = partitions.next().and_then(Option::as_ref);
            let answer = match partition {
                Some(partition) => partition.with_log(|log| read(log, wanted, room, bytes == 0)),
                None => answer_to(wanted)
                    .with_error_code(error_code::UNKNOWN_TOPIC_OR_PARTITION)
                    .with_high_watermark(-1),
            };
            let length = answer.records.as_ref().map_or(0, Bytes::len);
            room = room.saturating_sub(length);
            bytes += length;
            has_error |= answer.error_code != error_code::NONE;
            answers.push(answer);
        }
        let answer = FetchableTopicResponse::default().with_topic(topic.topic.clone());
        topics.push(answer.with_partitions(answers));
    }
    Look {
        response: FetchResponse::default().with_responses(topics),
        bytes,
        has_error,
    }
}

/// Reads one partition. Only the first records of a reply may exceed what is allowed, so that a reader always gets on.
fn read(log: &PartitionLog, wanted: &FetchPartition, room: usize, is_first: bool) -> PartitionData {
    let (start, end) = (log.start(), log.high_watermark());
    let answer = answer_to(wanted)
        .with_high_watermark(end)
        .with_last_stable_offset(end)
        .with_log_start_offset(start);
    if !(start..=end).contains(&wanted.fetch_offset) {
        return answer.with_error_code(error_code::OFFSET_OUT_OF_RANGE);
    }
    let allowed = usize::try_from(wanted.partition_max_bytes)
        .unwrap_or(0)
        .min(room);
    match log.read(wanted.fetch_offset, allowed) {
        Ok(records) if records.len() <= allowed || is_first => answer.with_records(Some(records)),
        Ok(_) => answer,
        Err(error) => {
            tracing::error!(partition = wanted.partition, %error, "cannot read the log");
            answer.with_error_code(error_code::STORAGE_ERROR)
        }
    }
}

fn answer_to(wanted: &FetchPartition) -> PartitionData {
    PartitionData::default()
        .with_partition_index(wanted.partition)
        .with_aborted_transactions(None)
        .with_preferred_read_replica(NO_REPLICA.into())
        .with_records(Some(Bytes::new()))
}

/// Waits until one of the bells rings.
async fn any(bells: &mut [Pin<Box<Notified<'_>>>]) {
    poll_fn(|context| {
        let rings = |bell: &mut Pin<Box<Notified<'_>>>| bell.as_mut().poll(context).is_ready();
        if bells.iter_mut().any(rings) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}
