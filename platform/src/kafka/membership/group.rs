//! The thread that is a member of the group.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::Ordering,
        mpsc::{RecvTimeoutError, sync_channel},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};
use tokio::sync::mpsc;

use super::{Rebalance, Released, Shared, TopicPartition, UNPOISONED};
use crate::kafka::{
    client::{self, Lines},
    token,
};

/// How long the group waits for a service to drain revoked partitions. The numbering makes a late writer harmless, so
/// it need not wait longer.
pub const DRAIN_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long one poll waits, and so the longest until closing is noticed.
const POLL_WAIT: Duration = Duration::from_millis(50);
/// How often hints are written, all in one request.
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);

/// The client's callbacks: they run on the thread, within its polls.
pub(super) struct Group {
    changes: mpsc::Sender<Rebalance>,
    shared: Arc<Shared>,
    owned: Mutex<BTreeSet<TopicPartition>>,
    /// The hints the group has, so that each is written once.
    written: Mutex<BTreeMap<TopicPartition, i64>>,
    lines: Lines,
}

/// Polls until the service closes the membership, is gone, or membership fails for good.
pub(super) fn run(consumer: &BaseConsumer<Group>) {
    let group = Arc::clone(consumer.context());
    let mut committed_at = Instant::now();
    while !group.is_closing() {
        match consumer.poll(POLL_WAIT) {
            Some(Err(error)) if is_final(&error) => {
                tracing::error!(%error, "group membership failed");
                // Without a receiver nobody is left to be told.
                let _ = group
                    .changes
                    .blocking_send(Rebalance::Failed(error.to_string()));
                break;
            }
            Some(Err(error)) => group.lines.complain(&error),
            // A paused partition delivers nothing; what slipped in is the reader's to read.
            Some(Ok(_)) | None => {}
        }
        if committed_at.elapsed() >= COMMIT_INTERVAL {
            group.commit(consumer, CommitMode::Async);
            committed_at = Instant::now();
        }
    }
    group.shared.closing.store(true, Ordering::Release);
    group.commit(consumer, CommitMode::Sync);
}

/// Whether no retry helps: another process took our place, or an access list shuts us out.
fn is_final(error: &KafkaError) -> bool {
    client::is_fatal(error)
        || matches!(
            error.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::GroupAuthorizationFailed
                    | RDKafkaErrorCode::TopicAuthorizationFailed
                    | RDKafkaErrorCode::FencedInstanceId
            )
        )
}

// === impl Group ===

impl Group {
    pub(super) fn new(changes: mpsc::Sender<Rebalance>, shared: Arc<Shared>) -> Self {
        Self {
            changes,
            shared,
            owned: Mutex::default(),
            written: Mutex::default(),
            lines: Lines::default(),
        }
    }

    fn is_closing(&self) -> bool {
        self.shared.closing.load(Ordering::Acquire) || self.changes.is_closed()
    }

    /// Writes the hints of our partitions that the group does not have yet.
    fn commit(&self, consumer: &BaseConsumer<Self>, mode: CommitMode) {
        let hints = self.unwritten();
        if hints.count() == 0 {
            return;
        }
        match consumer.commit(&hints, mode) {
            Ok(()) if matches!(mode, CommitMode::Sync) => self.remember_written(&hints),
            Ok(()) => {}
            Err(error) => tracing::debug!(%error, "commit hint not written"),
        }
    }

    fn unwritten(&self) -> TopicPartitionList {
        let (owned, written) = (
            self.owned.lock().expect(UNPOISONED),
            self.written.lock().expect(UNPOISONED),
        );
        let mut list = TopicPartitionList::new();
        for (place, &offset) in self.shared.hints.lock().expect(UNPOISONED).iter() {
            if owned.contains(place) && written.get(place) != Some(&offset) {
                add(&mut list, place, Offset::Offset(offset));
            }
        }
        list
    }

    fn remember_written(&self, list: &TopicPartitionList) {
        let mut written = self.written.lock().expect(UNPOISONED);
        for element in list.elements() {
            if let (Ok(()), Offset::Offset(offset)) = (element.error(), element.offset()) {
                written.insert(place(element.topic(), element.partition()), offset);
            }
        }
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        // From the end, so that no committed offset is asked for, and paused before anything is fetched.
        let places = places(list);
        let mut at_end = TopicPartitionList::new();
        for place in &places {
            add(&mut at_end, place, Offset::End);
        }
        if let Err(error) = consumer
            .incremental_assign(&at_end)
            .and_then(|()| consumer.pause(&at_end))
        {
            tracing::error!(%error, "assigned partitions could not be taken");
        }
        self.owned
            .lock()
            .expect(UNPOISONED)
            .extend(places.iter().cloned());
        // Told even where it is none: a member beyond the number of partitions knows that it has nothing to wait for.
        self.tell(places, Rebalance::Assigned);
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let places = places(list);
        if consumer.assignment_lost() && !places.is_empty() {
            self.tell(places.clone(), Rebalance::Lost);
        } else if !places.is_empty() && !self.is_closing() {
            self.drain(places.clone());
            self.commit(consumer, CommitMode::Sync);
        }
        self.forget(&places);
        if let Err(error) = consumer.incremental_unassign(list) {
            tracing::error!(%error, "revoked partitions could not be given back");
        }
    }

    /// Waits until the service has dropped its [`Released`], at most [`DRAIN_WAIT_MAX`].
    fn drain(&self, places: Vec<TopicPartition>) {
        let (released, drained) = sync_channel(0);
        self.tell(places, |places| {
            Rebalance::Revoked(places, Released { _drained: released })
        });
        if let Err(RecvTimeoutError::Timeout) = drained.recv_timeout(DRAIN_WAIT_MAX) {
            tracing::warn!("revoked partitions were given back before they were drained");
        }
    }

    fn forget(&self, places: &[TopicPartition]) {
        let mut owned = self.owned.lock().expect(UNPOISONED);
        let mut written = self.written.lock().expect(UNPOISONED);
        let mut hints = self.shared.hints.lock().expect(UNPOISONED);
        for place in places {
            owned.remove(place);
            written.remove(place);
            hints.remove(place);
        }
    }

    fn tell(
        &self,
        places: Vec<TopicPartition>,
        change: impl FnOnce(Vec<TopicPartition>) -> Rebalance,
    ) {
        if !self.is_closing() {
            // Without a receiver nobody is left to be told, and the loop ends.
            let _ = self.changes.blocking_send(change(places));
        }
    }
}

impl ClientContext for Group {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, region: Option<&str>) -> token::Answer {
        token::generate(region)
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.lines.log(level, facility, message);
    }

    /// The poll returns the same error.
    fn error(&self, _: KafkaError, _: &str) {}
}

impl ConsumerContext for Group {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            _ => self.revoke(consumer, list),
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        match result {
            Ok(()) => self.remember_written(offsets),
            Err(error) => tracing::debug!(%error, "commit hint not written"),
        }
    }
}

fn place(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition {
        topic: topic.to_owned(),
        partition: u32::try_from(partition).unwrap_or_default(),
    }
}

fn places(list: &TopicPartitionList) -> Vec<TopicPartition> {
    let elements = list.elements();
    elements
        .iter()
        .map(|element| place(element.topic(), element.partition()))
        .collect()
}

fn add(list: &mut TopicPartitionList, place: &TopicPartition, offset: Offset) {
    let partition = i32::try_from(place.partition).unwrap_or(i32::MAX);
    list.add_partition_offset(&place.topic, partition, offset)
        .expect("offsets of a log are never negative");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> (Group, mpsc::Receiver<Rebalance>) {
        let (changes, receiver) = mpsc::channel(4);
        (Group::new(changes, Arc::default()), receiver)
    }

    fn hint(group: &Group, partition: i32, offset: i64) {
        let place = place("t", partition);
        group
            .shared
            .hints
            .lock()
            .expect(UNPOISONED)
            .insert(place, offset);
    }

    #[test]
    fn writes_only_new_hints_of_its_own_partitions() {
        let (group, _receiver) = group();
        group.owned.lock().expect(UNPOISONED).insert(place("t", 1));
        hint(&group, 1, 5);
        hint(&group, 2, 9);
        let list = group.unwritten();
        assert_eq!(places(&list), [place("t", 1)]);
        group.remember_written(&list);
        assert_eq!(group.unwritten().count(), 0);
        hint(&group, 1, 6);
        assert_eq!(group.unwritten().count(), 1);
    }

    #[test]
    fn a_drain_ends_when_the_service_lets_go() {
        let (group, mut receiver) = group();
        std::thread::scope(|scope| {
            let drain = scope.spawn(|| group.drain(vec![place("t", 1)]));
            let Some(Rebalance::Revoked(places, released)) = receiver.blocking_recv() else {
                panic!("nothing was revoked");
            };
            assert_eq!(places, [place("t", 1)]);
            assert!(!drain.is_finished());
            drop(released);
            drain.join().expect("the drain ends");
        });
    }

    #[test]
    fn nothing_waits_for_a_service_that_is_gone() {
        let (group, receiver) = group();
        drop(receiver);
        let began = Instant::now();
        group.drain(vec![place("t", 1)]);
        assert!(began.elapsed() < DRAIN_WAIT_MAX);
    }
}
