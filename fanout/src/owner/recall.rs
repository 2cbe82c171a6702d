//! Events read from the log once more, for gateways that find them nowhere else.

use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc, time::Duration};

use bytes::Bytes;
use roomlog_core::{
    event::Kind,
    ids::{Count, RoomKey, Seq},
    room_log::{Head, Position, Recall},
};
use roomlog_platform::{
    kafka::{LogRecord, PartitionStream, ReadError},
    link::EncodedEvent,
};
use tokio::sync::oneshot;

use super::{ANSWER_BYTES_MAX, Resources};

/// Records before a room's last event that are looked through, beside the window before them. What lies further back
/// is not found: whoever asks goes on trying the store.
const RECORDS_MAX: i64 = 100_000;

/// Events that may lie between the first one wanted and the head: as many as a subscription may be behind. Beyond,
/// nothing is found.
const EVENTS_MAX: u64 = 10_000;

/// Records taken from the reader at once.
const BATCH_RECORDS_MAX: usize = 1_024;

/// How long all of it may take. Beyond, whoever asked has gone.
pub(crate) const RECALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Events that a gateway lacks.
pub(super) struct Wanted {
    pub(super) key: RoomKey,
    pub(super) range: RangeInclusive<Seq>,
    /// The room's head, which the others are counted down from.
    pub(super) head: Head,
    /// Dropped where they can't be found, or where another question is being answered.
    pub(super) reply: oneshot::Sender<Vec<Bytes>>,
}

/// Numbers and places of the events from the first one wanted up to the head.
type Places = Vec<(Seq, Count, i64)>;

/// Answers from the log. One question at a time in an instance: this reads a lot, and delivery comes first.
pub(super) async fn recall(resources: Arc<Resources>, partition: u32, wanted: Wanted) {
    let Ok(_turn) = resources.recalling.try_acquire() else {
        return;
    };
    let Wanted {
        key,
        range,
        head,
        reply,
    } = wanted;
    let read = async {
        let places = places(&resources, partition, &key, *range.start(), head).await?;
        encoded(&resources, partition, places, *range.end()).await
    };
    match tokio::time::timeout(RECALL_TIMEOUT, read).await {
        Ok(Ok(events)) => {
            tracing::info!(
                partition,
                events = events.len(),
                "events were read from the log again"
            );
            // Who asked may have gone, and then nobody needs the answer.
            drop(reply.send(events));
        }
        Ok(Err(error)) => {
            tracing::warn!(partition, %error, "events can't be read from the log again")
        }
        Err(_) => tracing::warn!(
            partition,
            "reading events from the log again takes too long"
        ),
    }
}

/// Finds out which records are the events wanted; none where the first one lies too far back.
async fn places(
    resources: &Resources,
    partition: u32,
    key: &RoomKey,
    from: Seq,
    head: Head,
) -> Result<Places, ReadError> {
    if from > head.seq || head.seq.0 - from.0 >= EVENTS_MAX {
        return Ok(vec![]);
    }
    let (generation, end) = (head.position.generation, head.position.offset + 1);
    if generation != resources.topic.generation {
        // It is in the topic that this one succeeded.
        return Ok(vec![]);
    }
    let low = resources.recalls.watermarks(partition).await?.low;
    let offset = (end - RECORDS_MAX).max(low);
    let start = Position { generation, offset };
    let spec = resources.spec(partition);
    let mut recall = Recall::new(spec, key.clone(), head, from, start);
    let read_from = spec.window_start_for(start).max(low);
    let mut stream = resources.recalls.open(partition, read_from);
    read(&mut stream, end, |record| {
        let read = record.as_ref(generation);
        if record.is_carried() {
            recall.remember(&read);
        } else {
            recall.take(&read, || record.offset);
        }
        true
    })
    .await?;
    Ok(recall.finish().unwrap_or_default())
}

/// Reads the events again, from the first one on, as far as an answer may be long.
async fn encoded(
    resources: &Resources,
    partition: u32,
    mut places: Places,
    last: Seq,
) -> Result<Vec<Bytes>, ReadError> {
    places.retain(|(seq, ..)| *seq <= last);
    let (Some(first), Some(end)) = (places.first(), places.last()) else {
        return Ok(vec![]);
    };
    let mut stream = resources.recalls.open(partition, first.2);
    let (end, mut events, mut bytes) = (end.2 + 1, vec![], 0);
    let numbers: BTreeMap<_, _> = places
        .into_iter()
        .map(|(seq, count, offset)| (offset, (seq, count)))
        .collect();
    read(&mut stream, end, |record| {
        let number = numbers.get(&record.offset);
        if let Some(mut event) = number.and_then(|(seq, count)| record.stored(*seq, *count)) {
            if event.event().is_err() {
                event.kind = Kind::Unreadable;
            }
            let encoded = EncodedEvent::encode(&event).record;
            bytes += encoded.len();
            events.push(encoded);
        }
        bytes <= ANSWER_BYTES_MAX
    })
    .await?;
    Ok(events)
}

/// Shows every record before `end`, until told to stop.
async fn read(
    stream: &mut PartitionStream,
    end: i64,
    mut show: impl FnMut(&LogRecord) -> bool,
) -> Result<(), ReadError> {
    loop {
        let batch = stream.next_batch(BATCH_RECORDS_MAX).await?;
        let before_end = batch.records.iter().filter(|record| record.offset < end);
        for record in before_end {
            if !show(record) {
                return Ok(());
            }
        }
        if batch.next_offset >= end || batch.caught_up {
            return Ok(());
        }
    }
}
