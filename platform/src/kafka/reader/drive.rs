//! The task that drives the client for all partitions of a reader.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::StreamExt;
use rdkafka::{
    TopicPartitionList,
    consumer::Consumer,
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, Message},
};
use tokio::{sync::Notify, task::JoinSet};

use super::{
    Client, ReadError, Watermarks,
    buffer::{Buffer, Push},
    place, watermarks,
};
use crate::kafka::{LogRecord, client};

/// How long to wait before a leader that did not tell its bounds is asked again.
const BOUNDS_RETRY: Duration = Duration::from_secs(1);

/// What streams ask of the task. Opened buffers are at most as many as streams were opened since it last looked.
#[derive(Default)]
pub(super) struct Requests {
    opened: Mutex<Vec<Arc<Buffer>>>,
    wake: Notify,
}

/// The task's state.
pub(super) struct Driver {
    client: Arc<Client>,
    topic: Arc<str>,
    requests: Arc<Requests>,
    buffers: HashMap<u32, Arc<Buffer>>,
    /// The inquiry into which partition's offset is outside the log; at most one at a time.
    inquiry: JoinSet<Vec<(Arc<Buffer>, i64, Watermarks)>>,
    /// Why the client reads no more at all.
    failure: Option<ReadError>,
}

/// Everything the task waits for.
enum Event<'a> {
    Requests,
    Message(Result<BorrowedMessage<'a>, KafkaError>),
    Bounds(Vec<(Arc<Buffer>, i64, Watermarks)>),
}

// === impl Requests ===

impl Requests {
    pub(super) fn open(&self, buffer: Arc<Buffer>) {
        self.opened
            .lock()
            .expect("no holder of this lock panics")
            .push(buffer);
        self.wake();
    }

    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    fn take_opened(&self) -> Vec<Arc<Buffer>> {
        std::mem::take(&mut *self.opened.lock().expect("no holder of this lock panics"))
    }
}

// === impl Driver ===

impl Driver {
    pub(super) fn new(client: Arc<Client>, topic: Arc<str>, requests: Arc<Requests>) -> Self {
        Self {
            client,
            topic,
            requests,
            buffers: HashMap::new(),
            inquiry: JoinSet::new(),
            failure: None,
        }
    }

    /// Runs until it is aborted with its reader.
    pub(super) async fn run(mut self) {
        let client = Arc::clone(&self.client);
        let requests = Arc::clone(&self.requests);
        let mut messages = client.stream();
        loop {
            let event = tokio::select! {
                biased;
                () = requests.wake.notified() => Event::Requests,
                Some(Ok(bounds)) = self.inquiry.join_next() => Event::Bounds(bounds),
                Some(message) = messages.next() => Event::Message(message),
            };
            match event {
                Event::Requests => self.serve_requests(),
                Event::Message(Ok(message)) => self.take_in(&message),
                Event::Message(Err(error)) => self.explain(error),
                Event::Bounds(bounds) => self.judge(bounds),
            }
            // A backlog is always ready, and other tasks want to run as well.
            tokio::task::coop::consume_budget().await;
        }
    }

    fn serve_requests(&mut self) {
        let gone: Vec<u32> = self.partitions_where(|buffer| buffer.is_closed());
        for partition in gone {
            self.unassign(partition);
        }
        for buffer in self.requests.take_opened() {
            self.assign(buffer);
        }
        for partition in self.partitions_where(|buffer| buffer.wants_resume()) {
            self.resume(partition);
        }
    }

    fn partitions_where(&self, holds: impl Fn(&Buffer) -> bool) -> Vec<u32> {
        let matching = self.buffers.values().filter(|buffer| holds(buffer));
        matching.map(|buffer| buffer.partition).collect()
    }

    fn take_in(&mut self, message: &BorrowedMessage<'_>) {
        let partition = u32::try_from(message.partition()).unwrap_or_default();
        let Some(buffer) = self.buffers.get(&partition) else {
            return;
        };
        match buffer.push(LogRecord::copied(message)) {
            Push::Taken | Push::Repeated => {}
            Push::Full => self.pause(partition),
            Push::Hole => {
                let buffer = Arc::clone(buffer);
                let (expected, found) = (buffer.next_offset(), message.offset());
                tracing::warn!(
                    partition,
                    expected,
                    found,
                    "offsets are missing; fetching them again"
                );
                self.assign_again(buffer);
            }
        }
    }

    fn explain(&mut self, error: KafkaError) {
        match error {
            KafkaError::PartitionEOF(partition) => {
                let partition = u32::try_from(partition).unwrap_or_default();
                if let Some(buffer) = self.buffers.get(&partition) {
                    buffer.reached_end();
                }
            }
            error if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset) => {
                self.inquire()
            }
            error if shuts_out(&error) => {
                let failure = ReadError::Fatal(error.to_string());
                for partition in self.partitions_where(|_| true) {
                    self.fail(partition, failure.clone());
                }
                self.failure = Some(failure);
            }
            error => self.client.context().0.complain(&error),
        }
    }

    /// The client does not say which partition's offset it can't find, so all leaders are asked for their bounds.
    fn inquire(&mut self) {
        if !self.inquiry.is_empty() {
            return;
        }
        let (client, topic) = (Arc::clone(&self.client), Arc::clone(&self.topic));
        let buffers: Vec<_> = self.buffers.values().cloned().collect();
        self.inquiry.spawn(async move {
            let mut bounds = Vec::with_capacity(buffers.len());
            for buffer in buffers {
                let offset = buffer.next_offset();
                let found = loop {
                    match watermarks(&client, &topic, buffer.partition).await {
                        Ok(found) => break found,
                        Err(error) => {
                            tracing::warn!(%error, partition = buffer.partition, "no bounds yet")
                        }
                    }
                    tokio::time::sleep(BOUNDS_RETRY).await;
                };
                bounds.push((buffer, offset, found));
            }
            bounds
        });
    }

    /// Fails what lies outside the log and fetches the rest again, as one of them was given up by the client.
    fn judge(&mut self, bounds: Vec<(Arc<Buffer>, i64, Watermarks)>) {
        for (buffer, offset, Watermarks { low, high }) in bounds {
            let partition = buffer.partition;
            let is_current = self
                .buffers
                .get(&partition)
                .is_some_and(|current| Arc::ptr_eq(current, &buffer));
            if !is_current {
                continue;
            }
            if offset < low || offset > high {
                let error = ReadError::OutOfRange {
                    partition,
                    offset,
                    low,
                    high,
                };
                self.fail(partition, error);
            } else {
                self.assign_again(buffer);
            }
        }
    }

    fn assign(&mut self, buffer: Arc<Buffer>) {
        if let Some(failure) = &self.failure {
            buffer.fail(failure.clone());
        }
        if buffer.is_failed() || buffer.is_closed() {
            return;
        }
        let partition = buffer.partition;
        if let Some(earlier) = self.unassign(partition) {
            earlier.fail(ReadError::Fatal("the partition was opened again".into()));
        }
        let start = place(&self.topic, partition, buffer.next_offset());
        let assigned = start.and_then(|start| self.client.incremental_assign(&start));
        match assigned {
            Ok(()) => {
                self.buffers.insert(partition, buffer);
            }
            Err(error) => buffer.fail(ReadError::Fatal(error.to_string())),
        }
    }

    /// Fetches from the buffer's next offset; whatever was fetched before is void.
    fn assign_again(&mut self, buffer: Arc<Buffer>) {
        self.unassign(buffer.partition);
        buffer.resumed();
        self.assign(buffer);
    }

    fn unassign(&mut self, partition: u32) -> Option<Arc<Buffer>> {
        let buffer = self.buffers.remove(&partition)?;
        let list = self.list(partition);
        // The client remembers a pause over an assignment, and the next one of this partition must not begin with it.
        let resumed = if buffer.is_paused() {
            self.client.resume(&list)
        } else {
            Ok(())
        };
        if let Err(error) = resumed.and_then(|()| self.client.incremental_unassign(&list)) {
            tracing::warn!(%error, partition, "partition not closed");
        }
        Some(buffer)
    }

    fn fail(&mut self, partition: u32, error: ReadError) {
        if let Some(buffer) = self.unassign(partition) {
            buffer.fail(error);
        }
    }

    fn pause(&mut self, partition: u32) {
        if let Err(error) = self.client.pause(&self.list(partition)) {
            self.fail(partition, ReadError::Fatal(error.to_string()));
        }
    }

    fn resume(&mut self, partition: u32) {
        match self.client.resume(&self.list(partition)) {
            Ok(()) => {
                if let Some(buffer) = self.buffers.get(&partition) {
                    buffer.resumed();
                }
            }
            Err(error) => self.fail(partition, ReadError::Fatal(error.to_string())),
        }
    }

    fn list(&self, partition: u32) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, i32::try_from(partition).unwrap_or(i32::MAX));
        list
    }
}

/// Whether no retry helps.
fn shuts_out(error: &KafkaError) -> bool {
    client::is_fatal(error)
        || error.rdkafka_error_code() == Some(RDKafkaErrorCode::TopicAuthorizationFailed)
}
