//! The task that drives the client for all partitions of a reader.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
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

/// What streams ask of the task.
#[derive(Default)]
pub(super) struct Requests {
    opened: Mutex<Opened>,
    wake: Notify,
}

/// Streams the task does not know yet.
#[derive(Default)]
struct Opened {
    /// At most as many as streams were opened since the task last looked.
    buffers: Vec<Arc<Buffer>>,
    /// The task is gone, and why: it will never look again.
    ended: Option<ReadError>,
}

/// A partition's bounds, asked for because some offset was not in the log.
struct Inquiry {
    buffer: Arc<Buffer>,
    /// Where it was to be read before the bounds were asked for.
    offset: i64,
    bounds: Watermarks,
}

/// The task's state.
pub(super) struct Driver {
    client: Arc<Client>,
    topic: Arc<str>,
    requests: Arc<Requests>,
    buffers: HashMap<u32, Arc<Buffer>>,
    /// Inquiries into which partition's offset is outside the log.
    inquiries: JoinSet<Inquiry>,
    /// The streams they are about, by partition: one inquiry each, so that none waits for another's leader.
    inquired: HashMap<u32, Arc<Buffer>>,
    /// Why the client reads no more at all.
    failure: Option<ReadError>,
}

/// Everything the task waits for.
enum Event<'a> {
    Requests,
    Message(Result<BorrowedMessage<'a>, KafkaError>),
    Bounds(Inquiry),
}

// === impl Requests ===

impl Requests {
    pub(super) fn open(&self, buffer: Arc<Buffer>) {
        let mut opened = self.opened();
        if let Some(error) = &opened.ended {
            buffer.fail(error.clone());
        } else {
            opened.buffers.push(buffer);
        }
        drop(opened);
        self.wake();
    }

    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    fn take_opened(&self) -> Vec<Arc<Buffer>> {
        std::mem::take(&mut self.opened().buffers)
    }

    /// Nobody serves requests any more: what was opened fails, and what is opened from now on.
    fn end(&self, error: &ReadError) {
        let mut opened = self.opened();
        opened.ended = Some(error.clone());
        for buffer in opened.buffers.drain(..) {
            buffer.fail(error.clone());
        }
    }

    fn opened(&self) -> MutexGuard<'_, Opened> {
        self.opened.lock().expect("no holder of this lock panics")
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
            inquiries: JoinSet::new(),
            inquired: HashMap::new(),
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
                Some(Ok(found)) = self.inquiries.join_next() => Event::Bounds(found),
                Some(message) = messages.next() => Event::Message(message),
            };
            match event {
                Event::Requests => self.serve_requests(),
                Event::Message(Ok(message)) => self.take_in(&message),
                Event::Message(Err(error)) => self.explain(error),
                Event::Bounds(found) => self.judge(&found),
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
                // Every marker of a transaction is such a hole, so this is no news for people.
                tracing::debug!(
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
            error if client::is_fatal(&error) => {
                let failure = ReadError::Fatal(error.to_string());
                self.fail_all(&failure);
                self.failure = Some(failure);
            }
            // Access lists and tokens are changed while we run: who opens the partition again may well be let in.
            error if is_refusal(&error) => self.fail_all(&ReadError::Refused(error.to_string())),
            error => self.client.context().0.complain(&error),
        }
    }

    /// The client does not say which partition's offset it can't find, so all leaders are asked for their bounds.
    fn inquire(&mut self) {
        for (partition, buffer) in &self.buffers {
            let asked = self.inquired.get(partition);
            // A running inquiry ends with a fetch from the stream's offset, which finds out whatever happened since.
            if asked.is_none_or(|asked| !Arc::ptr_eq(asked, buffer)) {
                self.inquired.insert(*partition, Arc::clone(buffer));
                self.inquiries.spawn(bounds_of(
                    Arc::clone(&self.client),
                    Arc::clone(&self.topic),
                    Arc::clone(buffer),
                ));
            }
        }
    }

    /// Fails a stream outside the log and fetches any other again, as one of them was given up by the client.
    fn judge(&mut self, found: &Inquiry) {
        let buffer = &found.buffer;
        let partition = buffer.partition;
        let is_same =
            |other: Option<&Arc<Buffer>>| other.is_some_and(|other| Arc::ptr_eq(other, buffer));
        if is_same(self.inquired.get(&partition)) {
            self.inquired.remove(&partition);
        }
        if !is_same(self.buffers.get(&partition)) {
            return;
        }
        match found.outside() {
            Some(error) => self.fail(partition, error),
            None => self.assign_again(Arc::clone(buffer)),
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
        // Whatever became of that: a partition that stays assigned could never be opened again.
        let unassigned = self.client.incremental_unassign(&list);
        if let Err(error) = resumed.and(unassigned) {
            tracing::warn!(%error, partition, "partition not closed");
        }
        Some(buffer)
    }

    fn fail_all(&mut self, error: &ReadError) {
        for partition in self.partitions_where(|_| true) {
            self.fail(partition, error.clone());
        }
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

impl Drop for Driver {
    /// However the task ends, by a mistake of ours or the client's: nobody waits for records that can't come.
    fn drop(&mut self) {
        let error = ReadError::Fatal("the reader broke down".into());
        for buffer in self.buffers.values() {
            buffer.fail(error.clone());
        }
        self.requests.end(&error);
    }
}

// === impl Inquiry ===

impl Inquiry {
    /// The error of a stream whose next offset is outside the log.
    fn outside(&self) -> Option<ReadError> {
        let Watermarks { low, high } = self.bounds;
        // The end may have grown since, the start too: each is compared with the offset that can't make it wrong.
        let next = self.buffer.next_offset();
        let offset = if self.offset > high {
            self.offset
        } else {
            next
        };
        (self.offset > high || next < low).then_some(ReadError::OutOfRange {
            partition: self.buffer.partition,
            offset,
            low,
            high,
        })
    }
}

/// Asks until the leader answers.
async fn bounds_of(client: Arc<Client>, topic: Arc<str>, buffer: Arc<Buffer>) -> Inquiry {
    let offset = buffer.next_offset();
    loop {
        match watermarks(&client, &topic, buffer.partition).await {
            Ok(bounds) => {
                return Inquiry {
                    buffer,
                    offset,
                    bounds,
                };
            }
            Err(error) => {
                tracing::warn!(%error, partition = buffer.partition, "no bounds yet")
            }
        }
        tokio::time::sleep(BOUNDS_RETRY).await;
    }
}

/// Whether the log does not let us read, for now.
fn is_refusal(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::TopicAuthorizationFailed)
}
